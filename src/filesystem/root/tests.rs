//! Real directories. Everything that must not be touched lies beside the root, in the same temporary folder.

mod confinement;
mod links;
mod uploads;

use super::*;
use rustix::fs::{FileType, RenameFlags};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

const ALL: Allow = Allow { create: true, overwrite: true, extend: true };
const RESOLVERS: [fn(&Path) -> io::Result<Root>; 2] = [Root::open, Root::open_walking];

/// `outside/` (a file `secret`, a directory `box` with a file `kept`) and `root/` (a file `file`, a directory
/// `dir` with a file `inner`).
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().expect("tempdir"));
        fs::create_dir_all(tree.outside("box")).expect("outside");
        fs::create_dir_all(tree.inside("dir")).expect("inside");
        fs::write(tree.outside("secret"), "secret").expect("secret");
        fs::write(tree.outside("box/kept"), "kept").expect("kept");
        fs::write(tree.inside("file"), "hello").expect("file");
        fs::write(tree.inside("dir/inner"), "inner").expect("inner");
        tree
    }

    fn inside(&self, name: &str) -> PathBuf {
        self.0.path().join("root").join(name)
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.0.path().join("outside").join(name)
    }

    fn root(&self) -> Root {
        Root::open(&self.inside("")).expect("root")
    }

    /// Everything outside that a leak could change.
    fn witness(&self) -> Vec<(PathBuf, u32, i64, u64)> {
        let facts = |path: PathBuf| {
            let data = fs::symlink_metadata(&path).expect("outside is whole");
            (path, data.mode(), data.mtime(), data.size())
        };
        let listed = |name: &str| fs::read_dir(self.outside(name)).expect("outside is whole");
        let mut all: Vec<_> = listed("").chain(listed("box")).flatten().map(|e| facts(e.path())).collect();
        all.sort();
        all
    }
}

fn path(text: &str) -> VirtualPath {
    VirtualPath::root().resolve(text.as_bytes()).expect("path")
}

fn contents(descriptor: OwnedFd) -> String {
    let mut text = String::new();
    fs::File::from(descriptor).read_to_string(&mut text).expect("read");
    text
}

#[test]
fn kinds_are_told_apart_without_waiting() {
    for open in RESOLVERS {
        let tree = Tree::new();
        let mode = Mode::from_raw_mode(0o666);
        for (name, kind) in [("fifo", FileType::Fifo), ("socket", FileType::Socket)] {
            rustix::fs::mknodat(CWD, tree.inside(name), kind, mode, 0).expect("mknod");
        }
        let root = open(&tree.inside("")).expect("root");
        for name in ["fifo", "socket"] {
            let p = path(name);
            assert_eq!(root.read(&p).map(drop), Err(Fault::NotRegular), "{name}");
            assert_eq!(root.write(&p, Start::Append, ALL, 0o600).map(drop), Err(Fault::NotRegular));
            assert_eq!(root.probe_write(&p, &Start::Append, &ALL), Err(Fault::NotRegular));
            assert_eq!(root.dir(&p).map(drop), Err(Fault::NotDirectory));
            assert!(root.chmod(&p, 0o600).is_err());
        }
        let (dir, file) = (path("dir"), path("file"));
        assert_eq!(root.read(&dir).map(drop), Err(Fault::IsDirectory));
        assert_eq!(root.write(&dir, Start::Truncate, ALL, 0).map(drop), Err(Fault::IsDirectory));
        assert_eq!(root.unlink(&dir), Err(Fault::IsDirectory));
        assert_eq!(root.dir(&file).map(drop), Err(Fault::NotDirectory));
        assert_eq!(root.enter(&file), Err(Fault::NotDirectory));
        assert_eq!(root.rmdir(&file), Err(Fault::NotDirectory));
        assert_eq!(root.mkdir(&file, 0o755), Err(Fault::Exists));
        // What is below a file is absent, not "no directory".
        assert_eq!(root.dir(&path("file/x")).map(drop), Err(Fault::Os(Errno::NOTDIR)));
        assert_eq!(root.rmdir(&dir), Err(Fault::Os(Errno::NOTEMPTY)));
    }
}

#[test]
fn the_root_itself_has_no_name() {
    let (tree, top) = (Tree::new(), VirtualPath::root());
    let root = tree.root();
    assert_eq!(root.unlink(&top), Err(Fault::Forbidden));
    assert_eq!(root.rmdir(&top), Err(Fault::Forbidden));
    assert_eq!(root.mkdir(&top, 0o755), Err(Fault::Forbidden));
    assert_eq!(root.rename(&top, &path("x"), true), Err(Fault::Forbidden));
    assert_eq!(root.rename(&path("file"), &top, true), Err(Fault::Forbidden));
    assert_eq!(root.write(&top, Start::Truncate, ALL, 0).map(drop), Err(Fault::IsDirectory));
    assert_eq!(root.stat(&top).expect("stat").kind, Kind::Dir);
}

/// Each case on a fresh tree: what probing says is what writing does, and probing does nothing.
#[test]
fn writing_and_its_probe_agree() {
    let none = Allow { create: false, overwrite: false, extend: false };
    let [create, over, extend] =
        [Allow { create: true, ..none }, Allow { overwrite: true, ..none }, Allow { extend: true, ..none }];
    let made = |created, offset, size| Ok(Written { created, offset, size });
    for (name, start, allow, expected, left) in [
        ("file", Start::Truncate, over, made(false, 0, 5), "X"),
        ("file", Start::Truncate, extend, Err(Fault::Forbidden), "hello"),
        ("file", Start::Append, extend, made(false, 5, 5), "helloX"),
        ("file", Start::Append, over, Err(Fault::Forbidden), "hello"),
        ("file", Start::At(2), extend, made(false, 2, 5), "heXlo"),
        ("file", Start::At(5), extend, made(false, 5, 5), "helloX"),
        ("file", Start::At(6), extend, Err(Fault::BeyondEnd { size: 5 }), "hello"),
        ("file", Start::At(6), create, Err(Fault::Forbidden), "hello"),
        ("new", Start::Truncate, create, made(true, 0, 0), "X"),
        ("new", Start::Append, create, made(true, 0, 0), "X"),
        ("new", Start::At(0), create, made(true, 0, 0), "X"),
        ("new", Start::At(1), create, Err(Fault::BeyondEnd { size: 0 }), ""),
        ("dir/new", Start::Truncate, create, made(true, 0, 0), "X"),
        ("new", Start::Truncate, over, Err(Fault::Forbidden), ""),
        ("gone/new", Start::Truncate, create, Err(Fault::Os(Errno::NOENT)), ""),
        ("file/new", Start::Truncate, create, Err(Fault::Os(Errno::NOTDIR)), ""),
        ("dir", Start::Truncate, ALL, Err(Fault::IsDirectory), ""),
    ] {
        let (tree, p) = (Tree::new(), path(name));
        let root = tree.root();
        let existed = tree.inside(name).exists();
        assert_eq!(root.probe_write(&p, &start, &allow), expected.map(drop), "{name} {start:?}");
        assert_eq!(tree.inside(name).exists(), existed);
        let text = || fs::read_to_string(tree.inside(name)).unwrap_or_default();
        assert_eq!(text(), if name == "file" { "hello" } else { "" });
        let result = root.write(&p, start, allow, 0o640).map(|(file, written)| {
            rustix::io::pwrite(&file, b"X", written.offset).expect("write");
            written
        });
        assert_eq!(result, expected, "{name} {start:?}");
        assert_eq!(text(), left, "{name} {start:?}");
    }
}

#[test]
fn a_name_too_long_is_no_new_file() {
    let tree = Tree::new();
    let long = VirtualPath::root().join(&[b'x'; 256]);
    let fault = Err(Fault::Os(Errno::NAMETOOLONG));
    assert_eq!(tree.root().write(&long, Start::Truncate, ALL, 0o600).map(drop), fault);
    assert_eq!(tree.root().probe_write(&long, &Start::Truncate, &ALL), fault);
}

#[test]
fn new_files_have_their_mode_and_unique_names_differ() {
    let tree = Tree::new();
    let root = tree.root();
    let (_, written) = root.write(&path("m"), Start::Truncate, ALL, 0o7600).expect("write");
    assert!(written.created);
    assert_eq!(fs::metadata(tree.inside("m")).expect("m").permissions().mode() & 0o7777, 0o600);
    let mut names: Vec<_> =
        (0..50).map(|_| root.create_unique(&path("dir"), b"../up/pre fix", 0o600).expect("unique").1).collect();
    assert!(names.iter().all(|name| name.starts_with(b"pre fix.") && !name.contains(&b'/')));
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 50);
    let (_, name) = root.create_unique(&path("/"), &[b'n'; 300], 0o600).expect("cut");
    assert_eq!(name.len(), 255);
    assert!(root.create_unique(&path("gone"), b"x", 0o600).is_err());
}

#[test]
fn rename_replaces_files_only_and_only_when_told() {
    let tree = Tree::new();
    let root = tree.root();
    fs::create_dir(tree.inside("empty")).expect("empty");
    let [file, dir, empty, new] = ["file", "dir", "empty", "new"].map(path);
    assert_eq!(root.rename(&file, &dir, true), Err(Fault::IsDirectory));
    assert_eq!(root.rename(&dir, &empty, true), Err(Fault::IsDirectory));
    assert_eq!(root.rename(&dir, &file, true), Err(Fault::Exists));
    assert_eq!(root.rename(&dir, &path("dir/below"), true), Err(Fault::Os(Errno::INVAL)));
    assert_eq!(root.rename(&path("gone"), &new, true), Err(Fault::Os(Errno::NOENT)));
    fs::write(tree.inside("other"), "other").expect("other");
    assert_eq!(root.rename(&path("other"), &file, false), Err(Fault::Exists));
    assert_eq!(fs::read_to_string(tree.inside("file")).expect("file"), "hello");
    root.rename(&path("other"), &file, true).expect("replace");
    assert_eq!(fs::read_to_string(tree.inside("file")).expect("file"), "other");
    root.rename(&file, &file, true).expect("onto itself");
    root.rename(&dir, &path("empty/moved"), false).expect("move a directory");
    assert!(tree.inside("empty/moved/inner").exists() && !tree.inside("dir").exists());
}

#[test]
fn modes_and_times_go_through_links_that_stay_inside() {
    let tree = Tree::new();
    symlink("file", tree.inside("link")).expect("link");
    fs::set_permissions(tree.inside("dir"), PermissionsExt::from_mode(0o2755)).expect("setgid");
    let root = tree.root();
    root.chmod(&path("link"), 0o6640).expect("chmod");
    root.chmod(&path("dir"), 0o1750).expect("chmod");
    assert_eq!(root.stat(&path("file")).expect("file").mode, 0o640);
    assert_eq!(root.stat(&path("dir")).expect("dir").mode, 0o3750);
    let accessed = fs::metadata(tree.inside("file")).expect("file").atime();
    root.set_times(&path("link"), 951_782_400, None).expect("times");
    let data = fs::metadata(tree.inside("file")).expect("file");
    assert_eq!((data.mtime(), data.atime()), (951_782_400, accessed));
    root.set_times(&path("dir"), -1, Some(7)).expect("times");
    let data = fs::metadata(tree.inside("dir")).expect("dir");
    assert_eq!((data.mtime(), data.atime()), (-1, 7));
}

#[test]
fn what_cannot_be_opened_is_reached_by_its_descriptor() {
    let tree = Tree::new();
    let handle = tree.root().handle(&path("file")).expect("handle");
    let mode = Mode::from_raw_mode(0o604);
    rustix::fs::chmodat(CWD, change::proc_name(&handle), mode, AtFlags::empty()).expect("chmod");
    assert_eq!(tree.root().stat(&path("file")).expect("file").mode, 0o604);
}

#[test]
fn free_space_is_known() {
    let tree = Tree::new();
    assert!(tree.root().available(&path("dir")).expect("available") > 0);
    assert!(tree.root().available(&path("gone")).is_err());
}
