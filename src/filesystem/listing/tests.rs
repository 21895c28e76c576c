//! Listings of real directories.

mod policy;

use super::*;
use crate::filesystem::path::VirtualPath;
use crate::filesystem::rights::Rights;
use crate::wire::listing::FactSet;
use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use tempfile::TempDir;

const NOW: i64 = 1_773_077_100; // 2026-03-09 17:25

/// Where names begin as long as owners have at most eight letters.
const NAME_COLUMN: usize = 59;

struct Tree {
    folder: TempDir,
    root: Rc<Root>,
}

impl Tree {
    /// A root with an empty directory `d` and a file `outside` beside it.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("tempdir");
        fs::create_dir_all(folder.path().join("root/d")).expect("root");
        fs::write(folder.path().join("outside"), "secret").expect("outside");
        let root = Rc::new(Root::open(&folder.path().join("root")).expect("root"));
        Self { folder, root }
    }

    fn with(names: &[&str]) -> Self {
        let tree = Self::new();
        names.iter().for_each(|name| tree.file(name, 1, 0));
        tree
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    /// A file of `size` bytes, `age` seconds old.
    fn file(&self, name: &str, size: usize, age: i64) {
        fs::write(self.at(name), vec![b'x'; size]).expect("file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(self.at(name), mode).expect("mode");
        let time = Timespec { tv_sec: NOW - age, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, self.at(name), &times, rustix::fs::AtFlags::empty()).expect("time");
    }

    fn open(&self, request: Request, rules: Rules) -> Result<Listing, Fault> {
        let owners = Rc::new(Owners::empty());
        Listing::open(Rc::clone(&self.root), request, Rc::new(rules), owners, NOW)
    }

    fn request(&self, argument: &str) -> Request {
        Request::parse_list(Some(argument.as_bytes()), &VirtualPath::root(), &self.root).expect("path")
    }

    /// LIST, all of it.
    fn list(&self, argument: &str) -> Result<String, Fault> {
        Ok(drain(self.open(self.request(argument), full())?))
    }

    /// The names of LIST in order.
    fn names(&self, argument: &str) -> Vec<String> {
        names(&self.list(argument).expect(argument))
    }

    fn nlst(&self, argument: &str) -> Result<String, Fault> {
        let cwd = VirtualPath::root();
        let request = Request::parse_nlst(Some(argument.as_bytes()), &cwd, &self.root).expect("path");
        Ok(drain(self.open(request, full())?))
    }

    fn mlsd(&self, path: &str, facts: &str, rules: Rules) -> Result<String, Fault> {
        let path = VirtualPath::root().resolve(path.as_bytes()).expect("path");
        let facts = FactSet::parse(facts.as_bytes()).expect("facts");
        Ok(drain(self.open(Request::facts(path, facts), rules)?))
    }
}

/// What follows the columns in lines of LIST.
fn names(text: &str) -> Vec<String> {
    text.lines().map(|line| line.get(NAME_COLUMN..).unwrap_or("").to_owned()).collect()
}

fn full() -> Rules {
    Rules::uniform(Rights::parse("full").expect("full"))
}

fn drain(mut listing: Listing) -> String {
    let mut out = Vec::new();
    for _ in 0..1_000_000 {
        if listing.fill(&mut out, 4096).expect("fill") == Fill::End {
            assert_eq!(listing.fill(&mut out, 1).expect("fill"), Fill::End);
            let lines = out.iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(listing.listed(), lines as u64);
            return String::from_utf8(out).expect("utf-8");
        }
    }
    panic!("a listing without end");
}

#[test]
fn names_are_sorted_by_bytes_and_dot_files_hidden() {
    let tree = Tree::with(&["b", "a", "B", ".h", "é", "longer than eight b", "longer than eight a"]);
    let sorted = ["B", "a", "b", "d", "longer than eight a", "longer than eight b", "é"];
    assert_eq!(tree.names(""), sorted);
    assert_eq!(tree.nlst("").expect("nlst"), sorted.map(|name| format!("{name}\r\n")).concat());
}

#[test]
fn a_line_is_what_stat_says() {
    let tree = Tree::with(&["plain"]);
    let uid = rustix::process::getuid().as_raw();
    let line = tree.list("plain").expect("list");
    assert!(line.starts_with(&format!("-rw-r--r--   1 {uid:<8} ")), "{line}");
    assert!(line.ends_with("            1 Mar  9 17:25 plain\r\n"), "{line}");
}

#[test]
fn dots_come_only_with_a_and_never_from_outside() {
    let tree = Tree::with(&[".h", "a"]);
    let shown = |argument| tree.names(argument);
    assert_eq!(shown("-a"), [".", "..", ".h", "a", "d"]);
    assert_eq!(shown("-A"), [".h", "a", "d"]);
    assert_eq!(shown("-la"), shown("-a"));
    assert_eq!(shown("-a /d"), [".", ".."]);
    let lines = tree.list("-a").expect("list");
    let (first, second) = lines.split_once("\r\n").expect("two lines");
    assert_eq!(first.trim_end_matches('.'), second.lines().next().expect("..").trim_end_matches('.'));
    assert_eq!(tree.nlst("-a").expect("nlst"), ".h\r\na\r\nd\r\n");
}

#[test]
fn orders_and_their_reverse() {
    let tree = Tree::new();
    fs::remove_dir(tree.at("d")).expect("rmdir");
    for (name, size, age) in [("old", 5, 300), ("new", 1, 10), ("mid", 9, 60), ("mid2", 9, 60)] {
        tree.file(name, size, age);
    }
    assert_eq!(tree.names(""), ["mid", "mid2", "new", "old"]);
    assert_eq!(tree.names("-r"), ["old", "new", "mid2", "mid"]);
    assert_eq!(tree.names("-t"), ["new", "mid", "mid2", "old"]);
    assert_eq!(tree.names("-tr"), ["old", "mid2", "mid", "new"]);
    assert_eq!(tree.names("-S"), ["mid", "mid2", "old", "new"]);
    let mut unsorted = tree.names("-U");
    unsorted.sort();
    assert_eq!(unsorted, ["mid", "mid2", "new", "old"]);
    tree.file("ancient", 1, NOW + 10);
    assert_eq!(tree.list("-t").expect("list").lines().last().map(|l| l.ends_with("ancient")), Some(true));
}

#[test]
fn options_paths_and_what_looks_like_them() {
    let tree = Tree::with(&["d/x", "-a", "a b", " lead", "-weird name"]);
    fs::create_dir(tree.at("with blank")).expect("mkdir");
    tree.file("with blank/in", 1, 0);
    for (argument, expected) in [
        ("d", &["x"][..]),
        ("-alF d", &[".", "..", "x"]),
        ("-l  d", &["?"]), // two blanks: the path is " d"
        ("-a -L d/", &[".", "..", "x"]),
        ("-la with blank", &[".", "..", "in"]),
        ("-a", &["-a"]), // a file of that name
        ("-weird name", &["-weird name"]),
        ("-l -weird name", &["-weird name"]),
        ("-- -a", &["-a"]),
        ("a b", &["a b"]),
        (" lead", &[" lead"]),
        ("-l  lead", &[" lead"]),
        ("-d d", &["d"]),
        ("-d", &["."]),
        ("-d d/.", &["."]),
        ("-Z d", &["x"]),
    ] {
        let found = tree.open(tree.request(argument), full()).map(drain);
        let found = match &found {
            Ok(text) => names(text),
            Err(fault) => {
                assert_eq!(*fault, Fault::Os(Errno::NOENT), "{argument}");
                vec!["?".to_owned()]
            }
        };
        assert_eq!(found, expected, "{argument}");
    }
    let many = "-a ".repeat(20);
    assert!(matches!(tree.list(&many), Err(Fault::Os(Errno::NOENT))), "the rest of many words is a path");
}

#[test]
fn patterns_of_the_last_component() {
    let tree = Tree::with(&["a.txt", "b.txt", ".c.txt", "d/e.txt", "x[1]", "x1"]);
    assert_eq!(tree.nlst("*.txt").expect("nlst"), "a.txt\r\nb.txt\r\n");
    assert_eq!(tree.nlst(".*").expect("nlst"), ".c.txt\r\n");
    assert_eq!(tree.nlst("-A *.txt").expect("nlst"), ".c.txt\r\na.txt\r\nb.txt\r\n");
    assert_eq!(tree.nlst("d/*").expect("nlst"), "d/e.txt\r\n");
    assert_eq!(tree.nlst("/d/./?.txt").expect("nlst"), "/d/./e.txt\r\n");
    assert_eq!(tree.nlst("x[1]").expect("nlst"), "x[1]\r\n"); // exists literally
    assert_eq!(tree.nlst("x[12]").expect("nlst"), "x1\r\n");
    for none in ["*.none", "gone/*", "*/e.txt", "a.txt/*", "{a,b}.txt"] {
        assert!(tree.nlst(none).is_err(), "{none}");
        assert!(tree.list(none).is_err(), "{none}");
    }
    assert_eq!(tree.mlsd("*.txt", "", full()), Err(Fault::Os(Errno::NOENT)));
}

#[test]
fn files_and_directories_as_nlst_arguments() {
    let tree = Tree::with(&["f", "d/g"]);
    assert_eq!(tree.nlst("d").expect("nlst"), "g\r\n");
    assert_eq!(tree.nlst("/d/").expect("nlst"), "g\r\n");
    assert_eq!(tree.nlst("f").expect("nlst"), "f\r\n");
    assert_eq!(tree.nlst("./d/g").expect("nlst"), "./d/g\r\n");
    assert_eq!(tree.nlst("-d d").expect("nlst"), "d\r\n");
    assert_eq!(tree.nlst("gone"), Err(Fault::Os(Errno::NOENT)));
    assert!(tree.nlst("-l f").expect("nlst").starts_with("-rw"));
    fs::remove_file(tree.at("d/g")).expect("rm");
    assert_eq!(tree.nlst("d").expect("nlst"), "");
    assert_eq!(tree.list("d").expect("list"), "");
}

#[test]
fn links_are_shown_as_far_as_they_stay_inside() {
    let tree = Tree::with(&["file", "d/g"]);
    for (target, name) in [
        ("file", "in"),
        ("d", "indir"),
        ("gone", "broken"),
        ("../outside", "out"),
        ("/etc/passwd", "abs"),
        ("../gone", "lost"),
        ("d/../../outside", "sly"),
        ("loop", "loop"),
    ] {
        symlink(target, tree.at(name)).expect("link");
    }
    let text = tree.list("").expect("list");
    let line = |name: &str| {
        let found = text.lines().find(|l| l.contains(&format!(" {name} -> ")) || l.ends_with(&format!(" {name}")));
        found.unwrap_or("missing").to_owned()
    };
    assert!(line("in").starts_with('l') && line("in").ends_with(" in -> file"));
    assert!(line("indir").ends_with(" indir -> d"));
    assert!(line("broken").ends_with(" broken -> gone"));
    for hidden in ["out", "abs", "lost", "sly"] {
        let line = line(hidden);
        assert!(line.starts_with('l') && line.ends_with(&format!(" {hidden}")), "{line}");
        assert!(line.contains("            0 "), "{line}");
    }
    let followed = tree.list("-L").expect("list");
    assert_eq!(followed.lines().filter(|line| line.starts_with('l')).count(), 6);
    assert!(followed.lines().any(|line| line.starts_with('d') && line.ends_with(" indir")));
    assert_eq!(tree.list("indir").expect("through").lines().count(), 1);
    assert!(tree.list("in").expect("one").ends_with(" in -> file\r\n"));
    for hidden in ["out", "abs", "lost", "sly", "loop"] {
        assert_eq!(tree.list(hidden).expect("the link itself").trim_end(), line(hidden));
    }
    for fault in ["-L out", "-d -L abs"] {
        assert!(tree.list(fault).is_err(), "{fault}");
    }
    let facts = tree.mlsd("/", "type;size", full()).expect("mlsd");
    for fact in [
        "type=file;size=1; in",
        "type=dir; indir",
        "type=OS.unix=slink:gone; broken",
        "type=OS.unix=slink; out",
        "type=OS.unix=slink; abs",
        "type=OS.unix=slink:loop; loop",
    ] {
        assert!(facts.lines().any(|line| line == fact), "{fact} in {facts}");
    }
}

#[test]
fn names_that_cannot_be_sent() {
    let tree = Tree::with(&["good"]);
    let bad = std::ffi::OsStr::from_bytes(b"b\r\nad");
    fs::write(tree.at("").join(bad), "x").expect("file");
    assert_eq!(tree.nlst("").expect("nlst"), "d\r\ngood\r\n");
    assert_eq!(tree.mlsd("/", "", full()).expect("mlsd"), " d\r\n good\r\n");
    assert!(tree.list("").expect("list").contains(" b??ad\r\n"));
}

#[test]
fn mlsd_tells_kinds_and_hidden_files() {
    let tree = Tree::with(&[".h"]);
    for (name, kind) in [("p", FileType::Fifo), ("s", FileType::Socket)] {
        rustix::fs::mknodat(CWD, tree.at(name), kind, Mode::from_raw_mode(0o644), 0).expect("mknod");
    }
    let facts = tree.mlsd("/", "type;modify", full()).expect("mlsd");
    assert!(facts.starts_with("type=file;modify=20260309172500; .h\r\ntype=dir;"), "{facts}");
    assert!(facts.contains("type=OS.unix=fifo;") && facts.contains("type=OS.unix=socket;"));
    assert_eq!(tree.mlsd("/.h", "", full()), Err(Fault::NotDirectory));
    assert_eq!(tree.mlsd("/.h/x", "", full()), Err(Fault::Os(Errno::NOTDIR)));
    assert_eq!(tree.mlsd("/gone", "", full()), Err(Fault::Os(Errno::NOENT)));
}

#[test]
fn perm_follows_the_rules_entry_by_entry() {
    let tree = Tree::with(&["f", "d/g"]);
    fs::create_dir(tree.at("in")).expect("mkdir");
    let (read, drop_box) = (Rights::parse("read").expect("read"), Rights::parse("drop").expect("drop"));
    let rules = Rules::new(read, [("/in", drop_box), ("/d/g", Rights::NONE)]).expect("rules");
    let facts = |path: &str| tree.mlsd(path, "perm", rules.clone()).expect("mlsd");
    assert_eq!(facts("/"), "perm=el; d\r\nperm=r; f\r\nperm=ce; in\r\n");
    assert_eq!(facts("/d"), "perm=; g\r\n");
    let all = tree.mlsd("/", "perm", full()).expect("mlsd");
    assert_eq!(all, "perm=cdeflmp; d\r\nperm=adfrw; f\r\nperm=cdeflmp; in\r\n");
}

#[test]
fn facts_of_one_path() {
    let tree = Tree::with(&["d/a b"]);
    symlink("../../outside", tree.at("d/out")).expect("link");
    symlink("gone", tree.at("d/broken")).expect("link");
    symlink("a b", tree.at("d/in")).expect("link");
    let facts = |path: &str, facts: &str| {
        let path = VirtualPath::root().resolve(path.as_bytes()).expect("path");
        let (owners, facts) = (Rc::new(Owners::empty()), FactSet::parse(facts.as_bytes()).expect("set"));
        let mut out = Vec::new();
        append_facts_of(&tree.root, &path, &Rc::new(full()), &owners, facts, &mut out)?;
        Ok::<_, Fault>(String::from_utf8(out).expect("utf-8"))
    };
    assert_eq!(facts("/", "type;perm").as_deref(), Ok("type=dir;perm=celmp; /"));
    assert_eq!(facts("/d", "type;perm").as_deref(), Ok("type=dir;perm=cdeflmp; /d"));
    assert_eq!(facts("d/a b", "type;size;perm").as_deref(), Ok("type=file;size=1;perm=adfrw; /d/a b"));
    assert_eq!(facts("d/in", "type;size").as_deref(), Ok("type=file;size=1; /d/in"));
    assert_eq!(facts("d/in", "unique").map(|f| f.replace("/in", "/a b")), facts("d/a b", "unique"));
    assert_eq!(facts("d/broken", "type").as_deref(), Ok("type=OS.unix=slink:gone; /d/broken"));
    assert_eq!(facts("d/out", "type").as_deref(), Ok("type=OS.unix=slink; /d/out"));
    assert_eq!(facts("nope", "type"), Err(Fault::Os(Errno::NOENT)));
}

#[test]
fn slices_are_whole_lines_and_make_the_same_whole() {
    let names: Vec<String> = (0..700).map(|number| format!("n{number:04}")).collect();
    let tree = Tree::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let whole = tree.list("").expect("list");
    for (argument, room) in [("", 1), ("", 300), ("-U", 1), ("-U", 5000)] {
        let mut listing = tree.open(tree.request(argument), full()).expect("open");
        let mut out = Vec::new();
        for call in 0.. {
            assert!(call < 2000, "calls without progress");
            let before = out.len();
            let fill = listing.fill(&mut out, room).expect("fill");
            assert!(out.len() - before < room + 100 && (out.is_empty() || out.ends_with(b"\r\n")));
            if fill == Fill::End {
                break;
            }
        }
        let mut lines: Vec<_> = str::from_utf8(&out).expect("utf-8").lines().collect();
        lines.sort_by_key(|line| line.get(NAME_COLUMN..));
        assert_eq!(lines, whole.lines().collect::<Vec<_>>(), "{argument} {room}");
    }
}

#[test]
fn what_vanishes_or_comes_meanwhile_does_no_harm() {
    let names: Vec<String> = (0..50).map(|number| format!("n{number:02}")).collect();
    let tree = Tree::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut listing = tree.open(tree.request(""), full()).expect("open");
    let mut out = Vec::new();
    assert_eq!(listing.fill(&mut out, 1).expect("fill"), Fill::More);
    fs::remove_dir_all(tree.at("")).expect("remove all");
    while listing.fill(&mut out, 1000).expect("fill") == Fill::More {}
    assert_eq!(listing.listed(), 1);
}

#[test]
fn more_names_than_are_sorted_come_all_and_once() {
    const COUNT: usize = SORT_LIMIT + 1500;
    let tree = Tree::new();
    for number in 0..COUNT {
        fs::File::create(tree.at(&format!("d/{number}"))).expect("file");
    }
    let mut listing = tree.open(tree.request("d"), full()).expect("open");
    let (mut out, mut calls) = (Vec::new(), 1);
    while listing.fill(&mut out, usize::MAX).expect("fill") == Fill::More {
        calls += 1;
    }
    assert!(calls >= COUNT * STAT_COST / WORK_PER_CALL, "{calls} calls");
    let text = String::from_utf8(out).expect("utf-8");
    let mut names: Vec<usize> = text.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    let came_sorted = names.is_sorted();
    names.sort_unstable();
    assert_eq!(names, (0..COUNT).collect::<Vec<_>>());
    assert!(!came_sorted);
    // A pattern that keeps few is sorted however many are looked at, and its absence is found out late.
    assert_eq!(tree.nlst("d/*999").expect("nlst").lines().count(), COUNT / 1000);
    assert_eq!(tree.nlst("d/none*").expect("too many to tell before 150"), "");
}
