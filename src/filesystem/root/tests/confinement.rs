//! Links that lead out, links that do not, and directories that turn into links at the wrong moment.

use super::*;

#[test]
fn nothing_leads_out() {
    for open in RESOLVERS {
        let tree = Tree::new();
        symlink("../outside/secret", tree.inside("up")).expect("link");
        symlink(tree.outside("secret"), tree.inside("absolute")).expect("link");
        symlink("../outside/new", tree.inside("dangling")).expect("link");
        symlink("../outside/box", tree.inside("boxlink")).expect("link");
        symlink("/proc/self/root", tree.inside("magic")).expect("link");
        symlink("..", tree.inside("dir/parent")).expect("link");
        let (root, before) = (open(&tree.inside("")).expect("root"), tree.witness());
        let out = tree.outside("secret");
        let magic = format!("magic{}", out.to_str().expect("utf-8"));
        let climbing = "dir/parent/../outside/secret"; // text takes `..` out: stays inside, and is absent
        for name in ["up", "absolute", "dangling", "boxlink", "boxlink/kept", "magic", &magic, climbing] {
            let p = path(name);
            assert!(root.read(&p).is_err(), "read {name}");
            assert!(root.stat(&p).is_err(), "stat {name}");
            assert!(root.dir(&p).is_err(), "dir {name}");
            assert!(root.enter(&p).is_err(), "enter {name}");
            assert!(root.chmod(&p, 0o777).is_err(), "chmod {name}");
            assert!(root.set_times(&p, 0, Some(0)).is_err(), "times {name}");
            assert!(root.available(&p).is_err(), "available {name}");
            for start in [Start::Truncate, Start::At(0), Start::Append] {
                assert!(root.write(&p, start, ALL, 0o644).is_err(), "write {name}");
                assert!(root.probe_write(&p, &start, &ALL).is_err(), "probe {name}");
            }
            let below = p.join(b"below");
            assert!(root.mkdir(&below, 0o755).is_err(), "mkdir {name}");
            assert!(root.write(&below, Start::Truncate, ALL, 0o644).is_err(), "create {name}");
            assert!(root.create_unique(&p, b"x", 0o644).is_err(), "unique {name}");
            assert!(root.symlink(b"x", &below).is_err(), "symlink {name}");
            assert!(root.rename(&path("file"), &below, true).is_err(), "rename into {name}");
            assert!(root.lstat(&below).is_err(), "lstat below {name}");
        }
        for name in ["boxlink/kept", &magic] {
            let p = path(name);
            assert!(root.unlink(&p).is_err() && root.rmdir(&p).is_err(), "remove {name}");
            assert!(root.rename(&p, &path("taken"), true).is_err(), "rename {name}");
            assert!(root.lstat(&p).is_err() && root.read_link(&p).is_err(), "look {name}");
        }
        // Links themselves may be moved and removed: what they point to stays.
        root.rename(&path("up"), &path("moved"), false).expect("rename a link");
        root.rename(&path("moved"), &path("dangling"), true).expect("replace a link by a link");
        root.unlink(&path("dangling")).expect("unlink a link");
        assert_eq!(root.rmdir(&path("boxlink")), Err(Fault::NotDirectory));
        assert_eq!(tree.witness(), before);
        assert!(tree.inside("file").exists());
    }
}

#[test]
fn links_that_stay_inside_are_followed_by_the_kernel_and_by_hand() {
    let tree = Tree::new();
    symlink("dir/inner", tree.inside("link")).expect("link");
    symlink("../file", tree.inside("dir/back")).expect("link");
    symlink("dir", tree.inside("way")).expect("link");
    let [kernel, walk] = RESOLVERS.map(|open| open(&tree.inside("")).expect("root"));
    for (name, text) in [("link", "inner"), ("dir/back", "hello"), ("way/inner", "inner")] {
        assert_eq!(contents(kernel.read(&path(name)).expect(name).0), text);
        assert_eq!(contents(walk.read(&path(name)).expect(name).0), text);
        assert_eq!(walk.stat(&path(name)), kernel.stat(&path(name)));
    }
    let (file, written) = kernel.write(&path("link"), Start::Append, ALL, 0o600).expect("write");
    assert_eq!(written, Written { created: false, offset: 5, size: 5 });
    drop(file);
    for root in [kernel, walk] {
        assert_eq!(root.lstat(&path("link")).expect("lstat").kind, Kind::Link);
        assert_eq!(root.read_link(&path("link")).expect("text"), b"dir/inner");
        assert!(matches!(root.read_link(&path("file")), Err(Fault::Os(_))));
        assert_eq!(contents(root.read(&path("dir/inner")).expect("plain").0), "inner");
        root.enter(&path("/")).expect("enter the root");
        root.enter(&path("dir")).expect("enter");
    }
}

#[test]
fn links_are_made_only_to_the_inside() {
    let tree = Tree::new();
    let root = tree.root();
    for target in [&b"/etc/passwd"[..], b"../outside", b"", b"x/../../y"] {
        assert_eq!(root.symlink(target, &path("new")), Err(Fault::Forbidden));
    }
    root.symlink(b"../file", &path("dir/new")).expect("inside");
    assert_eq!(contents(root.read(&path("dir/new")).expect("read").0), "hello");
    assert_eq!(root.symlink(b"x", &path("file")), Err(Fault::Exists));
}

/// A second thread keeps exchanging a directory for a link that leads out, under every kind of call.
#[test]
fn a_directory_that_turns_into_a_link_leads_nowhere() {
    const ROUNDS: usize = 2000;
    for open in RESOLVERS {
        let tree = Tree::new();
        fs::write(tree.inside("dir/kept"), "mine").expect("kept");
        symlink("../outside/box", tree.inside("swap")).expect("link");
        let (root, before) = (open(&tree.inside("")).expect("root"), tree.witness());
        let stop = AtomicBool::new(false);
        let (a, b) = (tree.inside("dir"), tree.inside("swap"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).expect("swap");
                }
            });
            let attack = || {
                for round in 0..ROUNDS {
                    touch_everything(&root, round);
                }
            };
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attack));
            stop.store(true, Ordering::Relaxed);
            outcome.expect("no access outside");
        });
        assert_eq!(tree.witness(), before);
    }
}

fn touch_everything(root: &Root, round: usize) {
    let kept = path("dir/kept");
    if let Ok((file, _)) = root.read(&kept) {
        assert_eq!(contents(file), "mine");
    }
    let new = path("dir").join(format!("new{round}").as_bytes());
    if let Ok((file, _)) = root.write(&new, Start::Truncate, ALL, 0o600) {
        rustix::io::write(&file, b"x").expect("write");
    }
    let _ = root.rename(&new, &path("dir/newer"), true);
    let _ = root.rename(&path("file"), &path("dir/file"), true);
    let _ = root.rename(&path("dir/file"), &path("file"), true);
    let _ = root.unlink(&new);
    let _ = root.mkdir(&path("dir/made"), 0o700);
    let _ = root.rmdir(&path("dir/made"));
    let _ = root.chmod(&kept, 0o600);
    let _ = root.set_times(&kept, 1, None);
    if let Ok(stat) = root.stat(&kept) {
        assert_eq!(stat.kind, Kind::File);
    }
}
