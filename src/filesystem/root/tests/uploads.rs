//! Who may write a file at the same time, and when it becomes the file.

use super::*;
use crate::filesystem::policy::Uploads;
use rustix::fs::FlockOperation;

fn root(tree: &Tree, uploads: Uploads) -> Root {
    let policy = Rc::new(Policy { uploads, ..Policy::default() });
    Root::governed(&tree.inside(""), policy, Guard::Open).expect("root")
}

fn put(file: &Incoming, text: &str) {
    assert_eq!(rustix::io::pwrite(file, text.as_bytes(), 0), Ok(text.len()));
}

fn text(tree: &Tree, name: &str) -> String {
    fs::read_to_string(tree.inside(name)).unwrap_or_else(|_| "absent".to_owned())
}

fn names(tree: &Tree) -> Vec<String> {
    let entries = fs::read_dir(tree.inside("")).expect("the root").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn one_writer_a_file_whatever_it_is_called() {
    let tree = Tree::new();
    fs::hard_link(tree.inside("file"), tree.inside("other")).expect("link");
    let root = root(&tree, Uploads::Direct);
    let busy = Err(Fault::Os(Errno::BUSY));
    let (first, _) = root.write(&path("file"), Start::Append, ALL, 0o600).expect("first");
    for start in [Start::Truncate, Start::Append, Start::At(2)] {
        for name in ["file", "other"] {
            assert_eq!(root.write(&path(name), start, ALL, 0o600).map(drop), busy);
            assert_eq!(root.probe_write(&path(name), &start, &ALL), busy);
        }
    }
    assert_eq!(text(&tree, "file"), "hello", "the second writer cut nothing");
    drop(first);
    drop(root.write(&path("other"), Start::Truncate, ALL, 0o600).expect("after the first"));
    let (new, _) = root.write(&path("new"), Start::Truncate, ALL, 0o600).expect("new");
    assert_eq!(root.write(&path("new"), Start::Truncate, ALL, 0o600).map(drop), busy);
    assert_eq!(root.policy().writers.count(), 1);
    drop(new);
    assert_eq!(root.policy().writers.count(), 0);
}

#[test]
fn an_atomic_upload_is_nothing_until_it_is_all() {
    let tree = Tree::new();
    fs::set_permissions(tree.inside("file"), PermissionsExt::from_mode(0o604)).expect("mode");
    let root = root(&tree, Uploads::Atomic);
    let (mut over, written) = root.write(&path("file"), Start::Truncate, ALL, 0o640).expect("over");
    assert_eq!(written, Written { created: false, offset: 0, size: 5 });
    let (mut new, written) = root.write(&path("new"), Start::Append, ALL, 0o640).expect("new");
    assert!(written.created);
    put(&over, "over");
    put(&new, "new");
    assert_eq!((text(&tree, "file"), text(&tree, "new")), ("hello".to_owned(), "absent".to_owned()));
    let hidden: Vec<String> = names(&tree).into_iter().filter(|name| is_temporary(name.as_bytes())).collect();
    assert_eq!(hidden.len(), 2);
    for name in &hidden {
        assert!(root.read(&path(name)).is_err() && root.unlink(&path(name)).is_err(), "not to be had by its name");
        assert_eq!(fs::metadata(tree.inside(name)).expect("there").mode() & 0o777, 0o600);
    }
    over.commit().expect("commit");
    new.commit().expect("commit");
    new.commit().expect("twice is once");
    drop((over, new));
    assert_eq!((text(&tree, "file"), text(&tree, "new")), ("over".to_owned(), "new".to_owned()));
    assert_eq!(names(&tree), ["dir", "file", "new"]);
    let mode = |name: &str| fs::metadata(tree.inside(name)).expect(name).mode() & 0o777;
    assert_eq!((mode("file"), mode("new")), (0o604, 0o640), "the old file's mode stays");
}

#[test]
fn what_is_not_committed_leaves_nothing() {
    let tree = Tree::new();
    let root = root(&tree, Uploads::Atomic);
    let (file, _) = root.write(&path("file"), Start::Truncate, ALL, 0o640).expect("over");
    put(&file, "half");
    let (unique, name) = root.create_unique(&path("/"), b"u", 0o600).expect("unique");
    assert!(!tree.inside(str::from_utf8(&name).expect("letters")).exists());
    drop((file, unique));
    assert_eq!((names(&tree).join(" "), text(&tree, "file")), ("dir file".to_owned(), "hello".to_owned()));
}

#[test]
fn the_last_of_two_atomic_uploads_wins_whole_or_neither_replaces() {
    let tree = Tree::new();
    let root = root(&tree, Uploads::Atomic);
    let two = |name: &str, allow: Allow| {
        let open = || root.write(&path(name), Start::Truncate, allow, 0o600).expect("open").0;
        let (mut a, mut b) = (open(), open());
        put(&a, "first, the longer one");
        put(&b, "second");
        (b.commit(), a.commit())
    };
    assert_eq!(two("file", ALL), (Ok(()), Ok(())));
    assert_eq!(text(&tree, "file"), "first, the longer one");
    let create = Allow { create: true, overwrite: false, extend: false };
    assert_eq!(two("new", create), (Ok(()), Err(Errno::EXIST)));
    assert_eq!(text(&tree, "new"), "second");
    assert_eq!(names(&tree), ["dir", "file", "new"]);
}

#[test]
fn rest_and_appe_touch_the_file_itself_and_keep_replacers_out() {
    let tree = Tree::new();
    let root = root(&tree, Uploads::Atomic);
    for start in [Start::Append, Start::At(5)] {
        let (file, written) = root.write(&path("file"), start, ALL, 0o600).expect("open");
        assert_eq!(written.offset, 5);
        assert_eq!(names(&tree), ["dir", "file"]);
        assert_eq!(root.write(&path("file"), Start::Truncate, ALL, 0o600).map(drop), Err(Fault::Os(Errno::BUSY)));
        drop(file);
    }
}

#[test]
fn replacing_through_a_link_replaces_what_it_leads_to() {
    let tree = Tree::new();
    symlink("dir/inner", tree.inside("link")).expect("link");
    symlink("gone", tree.inside("broken")).expect("link");
    let root = root(&tree, Uploads::Atomic);
    let (mut file, _) = root.write(&path("link"), Start::Truncate, ALL, 0o600).expect("open");
    put(&file, "new");
    file.commit().expect("commit");
    assert_eq!(text(&tree, "dir/inner"), "new");
    assert!(fs::symlink_metadata(tree.inside("link")).expect("link").is_symlink());
    assert_eq!(root.write(&path("broken"), Start::Truncate, ALL, 0o600).map(drop), Err(Fault::Forbidden));
    assert_eq!(names(&tree).len(), 4);
}

#[test]
fn a_sweep_removes_leftovers_and_nothing_that_is_alive() {
    let tree = Tree::new();
    let left = ".miniftpd-abcdefghijklmnop";
    fs::create_dir_all(tree.inside("dir/a/b")).expect("deep");
    for name in [left, "dir/a/b/.miniftpd-qrstuvwxyz234567", "dir/.miniftpd-notes", "dir/.other"] {
        fs::write(tree.inside(name), "half").expect(name);
    }
    fs::write(tree.outside(left), "half").expect("outside");
    symlink("../../outside", tree.inside("dir/out")).expect("link");
    symlink("dir/inner", tree.inside(".miniftpd-aaaaaaaaaaaaaaaa")).expect("link");
    let busy = fs::File::create(tree.inside("dir/a/.miniftpd-bbbbbbbbbbbbbbbb")).expect("busy");
    rustix::fs::flock(&busy, FlockOperation::NonBlockingLockExclusive).expect("as by another process");
    let mut sweep = Sweep::open(&tree.inside("")).expect("open");
    let steps = (0..100).take_while(|_| sweep.step()).count();
    assert!(steps < 20, "{steps} steps");
    assert_eq!(sweep.removed(), 2);
    for name in [
        "dir/.miniftpd-notes",
        "dir/.other",
        "dir/a/.miniftpd-bbbbbbbbbbbbbbbb",
        ".miniftpd-aaaaaaaaaaaaaaaa",
        "dir/inner",
    ] {
        assert!(fs::symlink_metadata(tree.inside(name)).is_ok(), "{name}");
    }
    assert!(tree.outside(left).exists());
}
