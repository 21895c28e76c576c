//! What a path may mean: beside `confinement`, the cases that need a mounted file system or a look over the server's
//! shoulder.
//!
//! Names begin with the case's number in the project's list of attacks.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use common::mount::Mounted;
use common::strace::recorded;
use common::{PATIENCE, Server};
use rustix::process::Signal;

/// What strace has written, once the traced process is gone.
fn record(path: &Path) -> String {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(path).unwrap();
        if text.contains("+++ exited") {
            return text;
        }
        assert!(std::time::Instant::now() < end, "the record has no end:\n{text}");
        std::thread::yield_now();
    }
}

#[test]
fn p02_nothing_outside_is_ever_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let Some(server) = recorded(&path) else { return };
    fs::write(server.outside().join("secret"), "s").unwrap();
    server.put("d/f", "1");
    symlink("../outside/secret", server.path("relative")).unwrap();
    // What would be opened, and destroyed, if something were, is ours.
    let host = server.outside().join("secret").display().to_string();
    symlink(&host, server.path("absolute")).unwrap();
    symlink("../outside", server.path("dir")).unwrap();
    symlink("/proc/self/root", server.path("magic")).unwrap();
    let mut ftp = server.login();
    let before = fs::read_to_string(&path).unwrap().lines().count();
    for name in [
        &*host,
        "../outside/secret",
        "/../outside/secret",
        "d/../../outside/secret",
        "relative",
        "absolute",
        "dir/secret",
        &format!("magic{host}"),
        &format!("/proc/self/root{host}"),
    ] {
        for verb in ["RETR", "STOR", "APPE", "SIZE", "MLST", "LIST", "STAT", "CWD", "MKD", "DELE", "RNFR", "HASH"] {
            let data = ftp.epsv();
            if ftp.say(format!("{verb} {name}")).code == 150 {
                // What was opened is in the record, however the transfer ends.
                drop(data);
                ftp.reply();
            }
        }
        for link in ["relative", "absolute", "dir", "magic"].iter().filter(|link| !server.has(link)) {
            symlink("../outside/secret", server.path(link)).unwrap();
        }
    }
    ftp.store("STOR d/g", b"2").expect(226);
    let root = server.root();
    drop(ftp);
    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
    // `openat2(7</…/root>, "d/g", …) = 9</…/root/d/g>`
    let text = record(&path);
    let opened = text.lines().skip(before).filter_map(|line| line.rsplit_once(" = ")?.1.split_once('<'));
    let opened: Vec<&str> = opened.map(|(_, path)| path.trim_end().trim_end_matches('>')).collect();
    assert!(opened.iter().any(|path| path.ends_with("d/g")), "the record is empty:\n{text}");
    for path in opened {
        assert!(Path::new(path).starts_with(&root), "{path} was opened:\n{text}");
    }
}

#[test]
fn p08_magic_links_lead_nowhere() {
    for links in ["inside", "rooted"] {
        let server = Server::full_and(&format!("[files]\nsymlinks = \"{links}\"\n[sandbox]\nmode = \"off\"\n"));
        fs::write(server.outside().join("secret"), "s").unwrap();
        symlink("/proc/self/root", server.path("magic")).unwrap();
        symlink("/proc/self/cwd", server.path("cwd")).unwrap();
        symlink("proc/self/root", server.path("near")).unwrap();
        // Where the real /proc lies beneath the root its links are there without any link of ours.
        let mounted = Mounted::at(server.path("proc"), &["--bind", "/proc"]);
        let mut ftp = server.login();
        let secret = server.outside().join("secret").display().to_string();
        let mut bases = vec!["magic", "cwd", "near"];
        if mounted.is_some() {
            bases.extend(["proc/self/root", "proc/self/cwd", "proc/thread-self/root", "proc/1/root"]);
        }
        for base in bases {
            for verb in ["RETR", "SIZE", "MDTM", "MLST", "STOR", "APPE", "DELE", "RNFR", "MKD"] {
                ftp.epsv();
                let code = ftp.say(format!("{verb} {base}{secret}")).code;
                assert!(matches!(code, 550 | 553), "{links}: {verb} {base}{secret}: {code}");
            }
            for verb in ["CWD", "MLSD"] {
                ftp.epsv();
                let code = ftp.say(format!("{verb} {base}")).code;
                assert!(matches!(code, 501 | 550), "{links}: {verb} {base}: {code}");
            }
        }
        assert_eq!(fs::read(server.outside().join("secret")).unwrap(), b"s");
    }
}

#[test]
fn p12_a_rename_to_another_file_system_is_no_copy() {
    let server = Server::full();
    let Some(_disk) = Mounted::at(server.path("disk"), &["-t", "tmpfs", "none"]) else { return };
    server.put("here", "x");
    symlink("../outside/made", server.path("disk/link")).unwrap();
    let mut ftp = server.login();
    for target in ["disk/there", "disk/link"] {
        ftp.say("RNFR here").expect(350);
        ftp.say(format!("RNTO {target}")).expect(550);
    }
    assert!(server.has("here") && !server.has("disk/there") && !server.outside().join("made").exists());
}

#[test]
fn p13_a_source_that_becomes_a_link_is_moved_as_one() {
    let server = Server::full();
    fs::write(server.outside().join("secret"), "s").unwrap();
    server.put("a", "1");
    let mut ftp = server.login();
    ftp.say("RNFR a").expect(350);
    fs::remove_file(server.path("a")).unwrap();
    symlink("../outside/secret", server.path("a")).unwrap();
    ftp.say("RNTO b").expect(250);
    assert!(fs::symlink_metadata(server.path("b")).unwrap().is_symlink());
    assert_eq!(fs::read(server.outside().join("secret")).unwrap(), b"s");
    // Any other command forgets the source.
    ftp.say("RNFR b").expect(350);
    ftp.say("PWD").expect(257);
    ftp.say("RNTO c").expect(503);
}

#[test]
fn p15_modes_and_times_stay_inside_and_give_no_privilege() {
    let server = Server::full();
    let secret = server.outside().join("secret");
    fs::write(&secret, "s").unwrap();
    server.put("f", "1");
    symlink("../outside/secret", server.path("link")).unwrap();
    let before = fs::metadata(&secret).unwrap();
    let mut ftp = server.login();
    for line in ["SITE CHMOD 777", "MFMT 20200101000000", "MFF UNIX.mode=0777;", "SITE UTIME 202001010000"] {
        ftp.say(format!("{line} link")).expect(550);
    }
    let after = fs::metadata(&secret).unwrap();
    assert_eq!((after.mode(), after.mtime()), (before.mode(), before.mtime()));
    ftp.say("SITE CHMOD 7777 f").expect(200);
    assert_eq!(fs::metadata(server.path("f")).unwrap().mode() & 0o6000, 0, "no set-user-ID");
}
