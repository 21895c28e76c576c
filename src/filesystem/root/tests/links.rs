//! The policies for links, denied names, and what a path means where that decides.

use super::*;
use crate::filesystem::pattern::Pattern;

fn policy(links: Links, deny: &[&str]) -> Rc<Policy> {
    let deny = deny.iter().map(|pattern| Pattern::parse(pattern.as_bytes())).collect();
    Rc::new(Policy { links, deny, ..Policy::default() })
}

/// The same tree, with the kernel's help and without.
fn both(tree: &Tree, policy: &Rc<Policy>, guard: Guard) -> [Root; 2] {
    let open = [Root::governed, Root::walking];
    open.map(|open| open(&tree.inside(""), Rc::clone(policy), guard).expect("root"))
}

/// Links of all kinds beside the usual files.
fn linked() -> Tree {
    let tree = Tree::new();
    for (target, name) in [
        ("dir/inner", "relative"),
        ("/dir/inner", "absolute"),
        ("../../../dir/inner", "climbing"),
        ("../outside/secret", "out"),
        ("dir", "way"),
        ("/dir", "way2"),
        ("relative", "twice"),
        ("gone", "broken"),
        ("loop", "loop"),
        ("/proc/self/root", "magic"),
    ] {
        symlink(target, tree.inside(name)).expect("link");
    }
    symlink("../file", tree.inside("dir/back")).expect("link");
    tree
}

#[test]
fn each_policy_follows_its_links_with_and_without_the_kernel() {
    let tree = linked();
    let (inside, absolute) = (["relative", "way/inner", "twice"], ["absolute", "climbing", "way2/inner"]);
    for (links, followed) in
        [(Links::Inside, &inside[..]), (Links::Rooted, &[inside, absolute].concat()), (Links::Never, &[])]
    {
        for root in both(&tree, &policy(links, &[]), Guard::Open) {
            for name in [&inside[..], &absolute, &["out", "broken", "loop", "magic", "magic/etc/passwd"]].concat() {
                let read = root.read(&path(name)).map(|(file, _)| contents(file));
                match followed.contains(&name) {
                    true => assert_eq!(read.as_deref(), Ok("inner"), "{links:?} {name}"),
                    false => assert!(read.is_err(), "{links:?} {name}"),
                }
                assert_eq!(root.stat(&path(name)).is_ok(), followed.contains(&name), "{links:?} {name}");
            }
            assert_eq!(root.lstat(&path("out")).expect("the link itself").kind, Kind::Link);
            assert_eq!(contents(root.read(&path("dir/inner")).expect("no link").0), "inner");
        }
    }
}

#[test]
fn a_guarded_root_tells_where_links_lead_and_follows_none() {
    let tree = linked();
    for root in both(&tree, &policy(Links::Inside, &[]), Guard::Settled) {
        let settled = |name: &str, last| {
            root.settle(path(name), last).map(|path| String::from_utf8_lossy(path.as_bytes()).into_owned())
        };
        for (name, real) in [
            ("file", Ok("/file")),
            ("relative", Ok("/dir/inner")),
            ("twice", Ok("/dir/inner")),
            ("way/inner", Ok("/dir/inner")),
            ("way/back", Ok("/file")),
            ("way/new/deeper", Ok("/dir/new/deeper")),
            ("way", Ok("/dir")),
            ("/", Ok("/")),
            ("broken", Ok("/broken")),
            ("gone/x", Ok("/gone/x")),
            ("file/x", Ok("/file/x")),
            ("out", Err(Fault::Os(Errno::XDEV))),
            ("absolute", Err(Fault::Os(Errno::XDEV))),
            ("loop", Err(Fault::Os(Errno::LOOP))),
        ] {
            assert_eq!(settled(name, Last::Follow).as_deref(), real.as_ref().copied(), "{name}");
        }
        assert_eq!(settled("way/back", Last::Keep).as_deref(), Ok("/dir/back"));
        assert_eq!(settled("out", Last::Keep).as_deref(), Ok("/out"));
        assert!(
            root.read(&path("relative")).is_err() && root.write(&path("broken"), Start::Truncate, ALL, 0o600).is_err()
        );
        assert!(!tree.inside("gone").exists());
    }
    let open = Root::open(&tree.inside("")).expect("root");
    assert_eq!(open.settle(path("way/inner"), Last::Follow), Ok(path("way/inner")), "nothing to guard, nothing to do");
}

#[test]
fn a_chase_through_links_has_an_end() {
    let tree = Tree::new();
    let deep = "d/".repeat(200);
    fs::create_dir_all(tree.inside(&deep)).expect("deep");
    fs::write(tree.inside(&format!("{deep}l35")), "found").expect("file");
    for number in 0..35 {
        let name = tree.inside(&format!("{deep}l{number}"));
        symlink(format!("/{deep}l{}", number + 1), name).expect("link");
    }
    let root = Root::governed(&tree.inside(""), policy(Links::Rooted, &[]), Guard::Settled).expect("root");
    let settled = |from: &str| root.settle(path(&format!("{deep}{from}")), Last::Follow);
    assert_eq!(settled("l20"), Ok(path(&format!("{deep}l35"))));
    assert_eq!(settled("l0"), Err(Fault::Os(Errno::LOOP)), "36 walks of 201 directories");
}

#[test]
fn a_denied_name_is_absent_by_whatever_way() {
    let tree = linked();
    fs::write(tree.inside("a.lnk"), "denied").expect("file");
    fs::create_dir(tree.inside("private")).expect("dir");
    fs::write(tree.inside("private/x"), "denied").expect("file");
    symlink("a.lnk", tree.inside("alias")).expect("link");
    symlink("private", tree.inside("door")).expect("link");
    symlink("file", tree.inside("to-file.lnk")).expect("link");
    let absent = Fault::Os(Errno::NOENT);
    for root in both(&tree, &policy(Links::Inside, &["*.lnk", "private"]), Guard::Open) {
        for name in ["a.lnk", "private/x", "private", "to-file.lnk", "alias", "door/x", "door"] {
            let real = root.settle(path(name), Last::Follow).expect(name);
            assert_eq!(root.stat(&real), Err(absent), "{name}");
            assert_eq!(root.read(&real).map(drop), Err(absent), "{name}");
            assert!(root.dir(&real).is_err() && root.enter(&real).is_err(), "{name}");
            assert!(root.chmod(&real, 0o600).is_err() && root.set_times(&real, 0, None).is_err(), "{name}");
            assert!(root.write(&real, Start::Append, ALL, 0o600).is_err(), "{name}");
        }
        for name in ["a.lnk", "new.lnk", "private/new"] {
            let name = path(name);
            assert!(matches!(root.unlink(&name), Err(Fault::Denied)), "{name:?}");
            assert_eq!(root.mkdir(&name, 0o700), Err(Fault::Denied));
            assert_eq!(root.symlink(b"file", &name), Err(Fault::Denied));
            assert_eq!(root.rename(&path("file"), &name, true), Err(Fault::Denied));
            assert_eq!(root.write(&name, Start::Truncate, ALL, 0o600).map(drop), Err(Fault::Denied));
            assert_eq!(root.make_parents(&name.join(b"x"), 0o700, |_| true), Err(Fault::Denied));
        }
        assert_eq!(contents(root.read(&path("file")).expect("not denied").0), "hello");
    }
    assert_eq!(fs::read_to_string(tree.inside("a.lnk")).expect("still there"), "denied");
}

#[test]
fn missing_parents_are_made_as_far_as_it_is_granted() {
    let tree = Tree::new();
    let root = tree.root();
    root.make_parents(&path("dir/a/b/c"), 0o755, |_| true).expect("made");
    assert!(tree.inside("dir/a/b").is_dir() && !tree.inside("dir/a/b/c").exists());
    root.make_parents(&path("dir/a/b/c"), 0o755, |_| false).expect("nothing to make, nothing to ask");
    let only_below_dir = |path: &VirtualPath| path.starts_with(&super::path("dir"));
    let refused = root.make_parents(&path("new/x/y"), 0o755, only_below_dir);
    assert_eq!((refused, tree.inside("new").exists()), (Err(Fault::Os(Errno::NOENT)), false));
    let deep = path(&"d/".repeat(18));
    assert!(root.make_parents(&deep, 0o755, |_| true).is_err() && !tree.inside("d").exists());
    assert!(root.make_parents(&path("file/x/y"), 0o755, |_| true).is_err());
}
