use super::*;
use proptest::prelude::*;

const NOW: i64 = 1_773_077_100; // 2026-03-09 17:25

fn entry(name: &'static str) -> Entry<'static> {
    Entry {
        name: name.as_bytes(),
        kind: Kind::File,
        mode: 0o644,
        links: 1,
        owner: Name::Known("alice"),
        group: Name::Known("users"),
        size: 1234,
        mtime: NOW - 1200,
        target: None,
        identity: (0xfd01, 0x1b),
        perm: Perm::NONE.with(Perm::WRITE, true).with(Perm::APPEND, true).with(Perm::READ, false),
    }
}

fn list(entry: &Entry<'_>) -> String {
    let mut out = Vec::new();
    entry.append_list(NOW, &mut out);
    String::from_utf8(out).expect("utf-8")
}

fn facts(entry: &Entry<'_>, set: &str) -> String {
    let mut out = Vec::new();
    entry.append_facts(FactSet::parse(set.as_bytes()).expect("set"), &mut out);
    String::from_utf8(out).expect("utf-8")
}

#[test]
fn the_list_line_has_its_columns() {
    let plain = entry("name");
    assert_eq!(list(&plain), "-rw-r--r--   1 alice    users            1234 Mar  9 17:05 name\r\n");
    let long = Entry {
        owner: Name::Known("averylongname"),
        group: Name::Number(4_000_000_000),
        size: u64::MAX,
        links: 1000,
        ..plain
    };
    assert_eq!(list(&long), "-rw-r--r-- 1000 averylongname 4000000000 18446744073709551615 Mar  9 17:05 name\r\n");
}

#[test]
fn links_devices_and_special_bits() {
    let link = Entry { kind: Kind::Link, mode: 0o777, target: Some(b"a b"), ..entry("l") };
    assert!(list(&link).starts_with("lrwxrwxrwx ") && list(&link).ends_with(" l -> a b\r\n"));
    assert!(list(&Entry { target: None, ..link }).ends_with(" l\r\n"));
    let device = Entry { kind: Kind::Block, ..entry("sda") };
    assert!(list(&device).contains("            0 Mar"));
    for (kind, mode, text) in [
        (Kind::Dir, 0o1777, "drwxrwxrwt"),
        (Kind::Dir, 0o1770, "drwxrwx--T"),
        (Kind::File, 0o4755, "-rwsr-xr-x"),
        (Kind::File, 0o6644, "-rwSr-Sr--"),
        (Kind::Fifo, 0, "p---------"),
        (Kind::Socket, 0o2010, "s-----s---"),
        (Kind::Char, 0o600, "crw-------"),
    ] {
        assert_eq!(mode_text(kind, mode), format!("{text} ").as_bytes());
    }
}

#[test]
fn a_name_cannot_end_its_line() {
    assert!(list(&entry("a\r\nb\0c")).ends_with(" a??b?c\r\n"));
    assert!(sendable(b"a \x1b\xff") && !sendable(b"a\n"));
}

#[test]
fn facts_in_their_order() {
    let plain = entry("a b.bin");
    assert_eq!(
        facts(&plain, "UNIX.group;unique;type;SIZE;modify;perm;unix.MODE;unix.owner"),
        "type=file;size=1234;modify=20260309170500;perm=aw;unique=fd01U1b;UNIX.mode=0644;UNIX.owner=alice;UNIX.group=users; a b.bin"
    );
    assert_eq!(facts(&plain, ""), " a b.bin");
    assert_eq!(
        facts(&Entry { kind: Kind::Dir, perm: Perm::NONE, ..plain }, "type;size;perm;"),
        "type=dir;perm=; a b.bin"
    );
}

#[test]
fn a_link_target_never_ends_a_fact() {
    let link = Entry { kind: Kind::Link, target: Some(b"x/y"), ..entry("l") };
    assert_eq!(facts(&link, "type;size"), "type=OS.unix=slink:x/y; l");
    for target in [&b"a b"[..], b"a;b", b"a\tb"] {
        assert_eq!(facts(&Entry { target: Some(target), ..link }, "type"), "type=OS.unix=slink; l");
    }
    assert_eq!(facts(&Entry { target: None, ..link }, "type"), "type=OS.unix=slink; l");
}

#[test]
fn perm_letters_are_sorted() {
    let all = [
        Perm::WRITE,
        Perm::READ,
        Perm::PURGE,
        Perm::MAKE,
        Perm::LIST,
        Perm::RENAME,
        Perm::ENTER,
        Perm::DELETE,
        Perm::CREATE,
        Perm::APPEND,
    ];
    let mut out = Vec::new();
    all.iter().fold(Perm::NONE, |perm, letter| perm.with(*letter, true)).append(&mut out);
    assert_eq!(out, b"acdeflmprw");
}

#[test]
fn fact_sets_and_their_texts() {
    let set = FactSet::parse(b"size;type;colour;").expect("set");
    assert_eq!(set.options_text(), "MLST OPTS type;size;");
    assert_eq!(set.feature_text(), "MLST type*;size*;modify;perm;unique;UNIX.mode;UNIX.owner;UNIX.group;");
    assert_eq!(FactSet::parse(b"").expect("none").options_text(), "MLST OPTS");
    assert_eq!(FactSet::parse(b"type; size;"), None);
    let every = FactSet::all().options_text();
    assert_eq!(FactSet::parse(&every.as_bytes()["MLST OPTS ".len()..]), Some(FactSet::all()));
}

proptest! {
    #[test]
    fn numbers_are_written_as_the_library_writes_them(number: u64, width in 0usize..=20) {
        let mut out = Vec::new();
        append_right(number, width, &mut out);
        prop_assert_eq!(String::from_utf8_lossy(&out), format!("{number:>width$}"));
        out.clear();
        append_hex(number, &mut out);
        prop_assert_eq!(String::from_utf8_lossy(&out), format!("{number:x}"));
    }

    #[test]
    fn a_line_is_one_line(name: Vec<u8>, target: Option<Vec<u8>>, mode in 0u32..0o10000, mtime: i64, now: i64) {
        let mut out = Vec::new();
        let entry = Entry { name: &name, kind: Kind::Link, target: target.as_deref(), mode, mtime, ..entry("") };
        entry.append_list(now, &mut out);
        prop_assert_eq!(out.iter().position(|byte| matches!(byte, b'\r' | b'\n')), Some(out.len() - 2));
    }
}
