use super::*;
use crate::filesystem::{Root, VirtualPath};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

fn stat_of(path: &Path) -> Stat {
    let file = fs::File::open(path).expect("a file");
    Stat::of(&file).expect("its facts")
}

fn counted(home: &Path, tally: &Rc<Tally>) -> Progress {
    let root = Rc::new(Root::open(home).expect("a root"));
    let mut count = Count::begin(root, Rc::clone(tally));
    for _ in 0..10_000 {
        match count.slice(false) {
            Progress::More => {}
            end => return end,
        }
    }
    panic!("it never ends");
}

fn quota(home: &Path, bytes: Option<u64>, files: Option<u64>) -> Rc<Quota> {
    let tally = Rc::new(Tally::default());
    counted(home, &tally);
    Rc::new(Quota::new(tally, Allotment { bytes, files }))
}

#[test]
fn a_tree_is_counted_without_following_links() {
    let home = tempfile::tempdir().expect("a home");
    fs::create_dir_all(home.path().join("a/b")).expect("directories");
    fs::write(home.path().join("a/b/x"), [0; 700]).expect("a file");
    fs::write(home.path().join("y"), [0; 30]).expect("a file");
    std::os::unix::fs::symlink("/", home.path().join("a/out")).expect("a link");
    // Nobody's upload, unless uploads are atomic: anybody can make one of that name.
    fs::write(home.path().join("a/.miniftpd-abcdefghijklmnop"), [0; 200]).expect("a file");
    for n in 0..1000 {
        fs::write(home.path().join(format!("a/{n}")), "z").expect("a file");
    }
    let tally = Rc::new(Tally::default());
    assert_eq!(counted(home.path(), &tally), Progress::Done(Usage { bytes: 1930, files: 1004 }));
    assert_eq!(tally.used(), Some(Usage { bytes: 1930, files: 1004 }));
}

#[test]
fn a_disturbed_count_is_worth_nothing() {
    let home = tempfile::tempdir().expect("a home");
    let tally = Rc::new(Tally::default());
    let mut count = Count::begin(Rc::new(Root::open(home.path()).expect("a root")), Rc::clone(&tally));
    tally.created();
    assert_eq!(count.slice(false), Progress::Disturbed);
    assert_eq!(tally.used(), None);
}

#[test]
fn a_home_that_changes_under_its_count_is_counted_all_the_same() {
    let home = tempfile::tempdir().expect("a home");
    let root = Rc::new(Root::open(home.path()).expect("a root"));
    fs::write(home.path().join("x"), [0; 100]).expect("a file");
    let quota = quota(home.path(), Some(10_000), None);
    let tally = quota.tally();
    let store = |name: &str, size: u64| {
        let path = home.path().join(name);
        fs::write(&path, "").expect("a file");
        let opened = Written { created: true, offset: 0, size: 0 };
        let charge = Charge::in_place(Rc::clone(&quota), &stat_of(&path), &opened);
        fs::write(&path, vec![0; size as usize]).expect("written");
        charge.written(size);
    };
    // The count has not begun to look: what is stored before it does is met, and told as well.
    let mut count = Count::begin(Rc::clone(&root), Rc::clone(tally));
    store("y", 30);
    assert_eq!(count.slice(false), Progress::Done(Usage { bytes: 130, files: 2 }));
    // Another program's file is found, though not to the byte.
    fs::write(home.path().join("foreign"), [0; 5000]).expect("a file");
    let mut count = Count::begin(Rc::clone(&root), Rc::clone(tally));
    store("z", 20);
    assert_eq!(count.slice(false), Progress::Done(Usage { bytes: 5150, files: 4 }));
    // What is in a directory that was renamed may have been met twice.
    let mut count = Count::begin(Rc::clone(&root), Rc::clone(tally));
    fs::create_dir(home.path().join("d")).expect("a directory");
    tally.moved(&root.lstat(&VirtualPath::root().join(b"d")).expect("its facts"));
    assert_eq!(count.slice(true), Progress::Disturbed);
    // First figures may be too high, never too low.
    let fresh = Rc::new(Tally::default());
    let mut count = Count::begin(root, Rc::clone(&fresh));
    fresh.created();
    assert_eq!(count.slice(true), Progress::Done(Usage { bytes: 5150, files: 5 }));
}

#[test]
fn nothing_is_promised_before_the_first_count() {
    let tally = Rc::new(Tally::default());
    let quota = Quota::new(Rc::clone(&tally), Allotment { bytes: Some(10), files: None });
    assert_eq!(quota.admit_upload(|| None), Err(Refusal::Counting));
    let free = Quota::new(tally, Allotment::default());
    assert_eq!(free.admit_upload(|| None), Ok(()));
}

#[test]
fn a_full_quota_admits_what_replaces_bytes() {
    let home = tempfile::tempdir().expect("a home");
    fs::write(home.path().join("x"), [0; 10]).expect("a file");
    let full = quota(home.path(), Some(10), Some(1));
    assert_eq!(full.admit_upload(|| None), Err(Refusal::Full));
    assert_eq!(full.admit_upload(|| Some(0)), Err(Refusal::Full));
    assert_eq!(full.admit_upload(|| Some(10)), Ok(()));
    let files = quota(home.path(), None, Some(1));
    assert_eq!(files.admit_upload(|| None), Err(Refusal::Full));
    assert_eq!(files.admit_upload(|| Some(0)), Ok(()));
}

#[test]
fn a_deleted_file_is_free_only_when_its_writer_is_gone() {
    let home = tempfile::tempdir().expect("a home");
    let path = home.path().join("x");
    fs::write(&path, "").expect("a file");
    let quota = quota(home.path(), Some(100), None);
    let opened = Written { created: false, offset: 0, size: 0 };
    let charge = Charge::in_place(Rc::clone(&quota), &stat_of(&path), &opened);
    charge.written(60);
    quota.tally().removed(&stat_of(&path));
    assert_eq!(quota.tally().used(), Some(Usage { bytes: 60, files: 0 }));
    charge.written(90);
    assert_eq!(charge.room(90, 50), 10);
    drop(charge);
    assert_eq!(quota.tally().used(), Some(Usage::default()));
}

/// What a client does, as the sessions carry it out.
#[derive(Debug, Clone)]
enum Deed {
    Store(usize, usize),
    Append(usize, usize),
    Restart(usize, usize, usize),
    Delete(usize),
    Rename(usize, usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let (name, size) = (0..4_usize, 0..400_usize);
    prop_oneof![
        (name.clone(), size.clone()).prop_map(|(n, s)| Deed::Store(n, s)),
        (name.clone(), size.clone()).prop_map(|(n, s)| Deed::Append(n, s)),
        (name.clone(), size.clone(), size).prop_map(|(n, m, s)| Deed::Restart(n, m, s)),
        name.clone().prop_map(Deed::Delete),
        (name.clone(), name).prop_map(|(a, b)| Deed::Rename(a, b)),
    ]
}

fn upload(quota: &Rc<Quota>, path: &Path, truncate: bool, at: impl Fn(u64) -> u64, size: usize) {
    let existing = fs::metadata(path).ok().map(|facts| facts.len());
    let begin = if truncate { 0 } else { at(existing.unwrap_or(0)) };
    if begin > existing.unwrap_or(0) {
        return;
    }
    if quota.admit_upload(|| existing.map(|size| size - begin)).is_err() {
        return;
    }
    let file = fs::OpenOptions::new().write(true).create(true).truncate(truncate).open(path).expect("a file");
    let stat = Stat::of(&file).expect("facts");
    let opened = Written { created: existing.is_none(), offset: begin, size: existing.unwrap_or(0) };
    let charge = Charge::in_place(Rc::clone(quota), &stat, &opened);
    let mut at = begin;
    let end = begin + size as u64;
    while at < end {
        let room = charge.room(at, (end - at).min(64) as usize);
        if room == 0 {
            return;
        }
        file.write_all_at(&vec![1; room], at).expect("written");
        at += room as u64;
        charge.written(at);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_tally_is_what_a_count_finds_and_never_beyond(deeds in proptest::collection::vec(deed(), 1..40)) {
        let home = tempfile::tempdir().expect("a home");
        let root = Root::open(home.path()).expect("a root");
        let quota = quota(home.path(), Some(1000), Some(3));
        let name = |n: usize| VirtualPath::root().join(format!("f{n}").as_bytes());
        let path = |n: usize| home.path().join(format!("f{n}"));
        for deed in deeds {
            match deed {
                Deed::Store(n, size) => upload(&quota, &path(n), true, |_| 0, size),
                Deed::Append(n, size) => upload(&quota, &path(n), false, |end| end, size),
                Deed::Restart(n, mark, size) => upload(&quota, &path(n), false, |_| mark as u64, size),
                Deed::Delete(n) => {
                    if let Ok(stat) = root.lstat(&name(n)) {
                        root.unlink(&name(n)).expect("deleted");
                        quota.tally().removed(&stat);
                    }
                }
                Deed::Rename(from, to) => {
                    let (old, source) = (root.lstat(&name(to)).ok(), root.lstat(&name(from)).ok());
                    if root.rename(&name(from), &name(to), true).is_ok()
                        && let (Some(old), Some(source)) = (old, source)
                        && old.ino != source.ino
                    {
                        quota.tally().removed(&old);
                    }
                }
            }
            let told = quota.tally().used().expect("counted");
            prop_assert!(told.bytes <= 1000 && told.files <= 3);
            let again = Rc::new(Tally::default());
            counted(home.path(), &again);
            prop_assert_eq!(again.used(), Some(told));
        }
    }
}
