use proptest::prelude::*;

use super::*;

/// 2024-07-01 12:00:00.
const NOW: i64 = 1_719_835_200;

/// kind, size, time as a stamp, name, target
fn shown(found: &Found) -> String {
    let kind = match found.kind {
        FoundKind::File => "file",
        FoundKind::Dir => "dir",
        FoundKind::Link => "link",
        FoundKind::Other => "other",
        FoundKind::Unknown => "?",
    };
    let size = found.size.map_or("-".into(), |size| size.to_string());
    let mut stamp = Vec::new();
    if let Some(when) = found.modify {
        crate::wire::date::append_stamp(when, &mut stamp);
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let target = found.target.as_ref().map(|target| format!(" -> {}", text(target))).unwrap_or_default();
    format!("{kind} {size} {} {}{target}", text(&stamp), text(&found.name))
}

fn list(text: &str) -> Vec<String> {
    let parsed = parse_list(text.as_bytes(), NOW);
    assert_eq!(parsed.odd, Vec::<Vec<u8>>::new(), "{text}");
    parsed.entries.iter().map(shown).collect()
}

#[test]
fn unix_lines() {
    for (line, want) in [
        ("-rw-r--r--   1 alice    users        1234 Mar  9 17:05 name", "file 1234 20240309170500 name"),
        ("-rw-r--r--   1 alice    users        1234 Mar  9  2019 a b  c ", "file 1234 20190309000000 a b  c "),
        ("-rw-r--r--   1 alice    users        1234 Mar  9 17:05  lead", "file 1234 20240309170500  lead"),
        ("drwxr-xr-x   2 0 0 4096 Dec 24 17:05 d", "dir 4096 20231224170500 d"),
        ("lrwxrwxrwx   1 a b 5 Mar  9 17:05 l -> to/x", "link - 20240309170500 l -> to/x"),
        ("-rw-r--r-- 1 a 1234 Mar 9 17:05 nogroup", "file 1234 20240309170500 nogroup"),
        ("-rw-r--r--+ 1 domain users group 1234 9 Mar 17:05 blanks", "file 1234 20240309170500 blanks"),
        ("-rw-r--r-- 1 a g 1234 2024-03-09 17:05 iso", "file 1234 20240309170500 iso"),
        ("-rw-r--r-- 1 a g 1234 2024-03-09 17:05:09.123 +0100 long", "file 1234 20240309170509 long"),
        ("-rw-r--r-- 1 a g 1234 9. M\u{e4}r 17:05 german", "file 1234 20240309170500 german"),
        ("-rw-r--r-- 1 a g 1234 ao\u{fb}t 9 2019 french", "file 1234 20190809000000 french"),
        ("-rw-r--r-- 1 a g 1234 3\u{6708} 9\u{65e5} 17:05 japan", "file 1234 20240309170500 japan"),
        ("crw-rw---- 1 root disk 8, 0 Mar  9 17:05 sda", "other - 20240309170500 sda"),
        ("-rw-r--r-- 1 a g 1,234,567 Mar  9 17:05 commas", "file 1234567 20240309170500 commas"),
        ("-rw-r--r-- 1 a g 5 Jul  2 11:00 tomorrow", "file 5 20240702110000 tomorrow"),
        ("-rw-r--r-- 1 a g 5 Jul  3 11:00 last year", "file 5 20230703110000 last year"),
        ("-rw-r--r-- 1 a g 5 Feb 29 11:00 leap", "file 5 20240229110000 leap"),
        ("-rw-r--r-- 1 a g 5 Mar  9 24:00 midnight", "file 5 20240309000000 midnight"),
        ("-rw-r--r-- 1 a g 5 Mar  9 17:05 Mar 10 2020", "file 5 20240309170500 Mar 10 2020"),
        ("-rw-r--r-- 1 a g 5 Mar  9 17:05 2020", "file 5 20240309170500 2020"),
        ("d [RWCEAFMS] owner  512 Jan 16 18:53 login", "dir 512 20240116185300 login"),
        ("- [R----F--] rhesus 214059 Jan 20 15:27 cx.exe", "file 214059 20240120152700 cx.exe"),
    ] {
        assert_eq!(list(line), [want], "{line}");
    }
}

#[test]
fn modes_and_people() {
    let parsed = parse_list(b"-rwsr-xr-T 12 alice users 5 Mar  9 17:05 x", NOW);
    let found = parsed.entries.first().expect("an entry");
    assert_eq!(
        (found.mode, found.owner.as_deref(), found.group.as_deref()),
        (Some(0o5754), Some(b"alice".as_slice()), Some(b"users".as_slice()))
    );
}

#[test]
fn the_other_dialects() {
    for (line, want) in [
        ("+i8388621.29609,m824255902,/,\tdev", "dir - 19960213235822 dev"),
        ("+i8388621.44468,m839956783,r,s10376,\tRFCEPLF", "file 10376 19960813171943 RFCEPLF"),
        ("03-09-24  05:05PM       <DIR>          sub dir", "dir - 20240309170500 sub dir"),
        ("03/09/2024  05:05 PM    <DIR>          sub dir", "dir - 20240309170500 sub dir"),
        ("03/09/2024  05:05 pm             1,234 PM x", "file 1234 20240309170500 PM x"),
        ("03-09-2024  12:05AM                 1234 a b", "file 1234 20240309000500 a b"),
        ("25-12-98  17:05  1,234 european", "file 1234 19981225170500 european"),
        ("2024-03-09  17:05       <DIR>          iso", "dir - 20240309170500 iso"),
        ("     1234      A      05-12-97   16:44  os2 file", "file 1234 19970512164400 os2 file"),
        ("        0     DIR      04-11-103  16:26  os2dir", "dir - 20030411162600 os2dir"),
        ("FILE.TXT;3   5/8   9-MAR-2024 17:05:09 [OWN,ER] (RWED,RE,,)", "file - 20240309170509 FILE.TXT"),
        ("SUB.DIR;1   1   9-MAR-2024 17:05 [OWNER] (RWE,RE,RE,RE)", "dir - 20240309170500 SUB"),
        ("A.LONG.NAME;1\r\n      5  9-MAR-2024 17:05:00 [O] (RWED)", "file - 20240309170500 A.LONG.NAME"),
        ("QSYS  77824 02/23/24 15:09:55 *DIR       QOpenSys/", "dir -  QOpenSys"),
        ("BOB   145 02/23/24 15:09:55 *STMF      a.txt", "file 145  a.txt"),
    ] {
        assert_eq!(list(line), [want], "{line}");
    }
}

#[test]
fn decoration_and_dots_are_no_entries_and_odd_lines_spoil_nothing() {
    let text = "total 12\r\n\r\ndrwxr-xr-x 2 a b 1 Mar  9 17:05 .\r\ndrwxr-xr-x 2 a b 1 Mar  9 17:05 ..\r\n\
                what is this\r\n-rw-r--r-- 1 a b 5 Mar  9 17:05 x\r\n";
    let parsed = parse_list(text.as_bytes(), NOW);
    assert_eq!(parsed.entries.iter().map(shown).collect::<Vec<_>>(), ["file 5 20240309170500 x"]);
    assert_eq!(parsed.odd, [b"what is this".to_vec()]);
}

#[test]
fn mlsd_as_it_is_sent() {
    for (line, want) in [
        ("type=file;size=5;modify=20240309170509; a b", "file 5 20240309170509 a b"),
        ("Type=Dir;Modify=20240309170509.123;Perm=el;  lead", "dir - 20240309170509  lead"),
        ("size=5;type=file name", "file 5  name"),
        (" bare", "? -  bare"),
        ("type=OS.unix=slink:to/x;size=4; l", "link 4  l -> to/x"),
        ("type=OS.unix=symlink; l", "link -  l"),
        ("type=OS.unix=slink:; l", "link -  l"),
        ("type=OS.unix=fifo; p", "other -  p"),
        ("modify=19100309170509;type=file; ok", "file - 19100309170509 ok"),
        ("modify=191240309170509;type=file; y2k", "file - 20240309170509 y2k"),
        ("modify=00010101000000;type=file; never", "file -  never"),
        ("type=file;sizd=7;UNIX.mode=0644;unknown=x y; z", "file 7  y; z"),
        ("type=file;size=18446744073709551616; big", "file -  big"),
        ("type=file;size=-1; neg", "file -  neg"),
    ] {
        let parsed = parse_mlsd(format!("{line}\r\n").as_bytes());
        assert_eq!(parsed.entries.iter().map(shown).collect::<Vec<_>>(), [want], "{line}");
    }
}

#[test]
fn mlsd_skips_itself_and_keeps_odd_lines_apart() {
    let text =
        "type=cdir; /pub\r\ntype=pdir; ..\r\ntype=dir; .\r\ngarbage\r\nERROR: no stat\r\ntype=file;size=1; a\r\n";
    let parsed = parse_mlsd(text.as_bytes());
    assert_eq!(parsed.entries.iter().map(shown).collect::<Vec<_>>(), ["file 1  a"]);
    assert_eq!(parsed.odd.len(), 2);
    let one = parse_fact_line(b" type=cdir;size=3; /pub/x").expect("facts");
    assert_eq!(shown(&one), "dir 3  /pub/x");
}

#[test]
fn nlst_gives_last_components() {
    let parsed = parse_nlst(b"a\r\ndir/b\r\n/full/c/\r\n.\r\n");
    assert_eq!(parsed.entries.iter().map(shown).collect::<Vec<_>>(), ["? -  a", "? -  b", "dir -  c"]);
}

proptest! {
    #[test]
    fn nothing_makes_the_readers_fail(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        parse_list(&text, NOW);
        parse_mlsd(&text);
        parse_nlst(&text);
    }

    #[test]
    fn our_own_server_is_understood(name in "[a-z -]{1,20}", size in any::<u32>(), age in 0i64..10_000_000) {
        use crate::wire::listing::{Entry, Kind, Name, Perm};
        let entry = Entry {
            name: name.as_bytes(), kind: Kind::File, mode: 0o640, links: 3, owner: Name::Known("alice"),
            group: Name::Number(7), size: u64::from(size), mtime: NOW - age, target: None, identity: (1, 2),
            perm: Perm::NONE,
        };
        let mut line = Vec::new();
        entry.append_list(NOW, &mut line);
        let parsed = parse_list(&line, NOW);
        let found = parsed.entries.first().expect("an entry");
        prop_assert_eq!((&found.name[..], found.size, found.mode), (name.as_bytes(), Some(u64::from(size)), Some(0o640)));
    }
}
