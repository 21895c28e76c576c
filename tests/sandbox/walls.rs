//! Files, ports and system calls: what is walled off, and a kernel that lacks a part of it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use miniftp::process::sandbox::{Kind, Needs, Rights, Touch, enter};
use miniftp::server::settings::SandboxMode;
use rustix::io::Errno;
use rustix::process::Signal;

use crate::common::processes::status;
use crate::common::{Server, noise, shim};
use crate::{lacking, of_config, refuses, works};

/// Enters the sandbox of a worker that serves `root` in the folder of the environment, then does what it should not.
pub fn walled(what: &str) {
    let folder = PathBuf::from(std::env::var("MINIFTP_TEST_FOLDER").unwrap());
    let home = folder.join("root");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let needs = Needs { trees: vec![(home.clone(), Touch::Read)], bind: vec![], connect: false };
    enter(Kind::Worker, SandboxMode::Required, &Rights::Own, &needs).unwrap();
    let refused = match what {
        "nothing" => return assert_eq!(fs::read(home.join("f")).unwrap(), b"inside"),
        "read" => fs::read(folder.join("outside/f")).map(drop),
        "link" => fs::read(home.join("link")).map(drop),
        "list" => fs::read_dir(folder.join("outside")).map(drop),
        "write" => fs::write(home.join("f"), "x"),
        "make" => fs::create_dir(home.join("d")),
        "remove" => fs::remove_file(home.join("f")),
        "bind" => TcpListener::bind("127.0.0.1:0").map(drop),
        "connect" => std::net::TcpStream::connect(listener.local_addr().unwrap()).map(drop),
        "unix" => std::os::unix::net::UnixStream::pair().map(drop),
        "thread" => std::thread::Builder::new().spawn(|| {}).map(drop),
        "exec" => Err(Command::new("/bin/true").exec()),
        "chroot" => rustix::process::chroot("/").map_err(Into::into),
        _ => panic!("{what}"),
    };
    println!("REFUSED {:?}", refused.unwrap_err().kind());
}

fn run_walled(what: &str, folder: &Path) -> Output {
    shim::command(&format!("walled {what}")).env("MINIFTP_TEST_FOLDER", folder).output().unwrap()
}

/// A kernel of these days: the walls below are all there. Elsewhere the server says what is missing, which other tests see to.
pub fn is_walled_kernel() -> bool {
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path());
    let able = run_walled("nothing", folder.path()).status.success();
    if !able {
        println!("skipped: this kernel lacks a part of the sandbox");
    }
    able
}

fn furnish(folder: &Path) {
    for (name, content) in [("root", "inside"), ("outside", "outside")] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("f"), content).unwrap();
    }
    symlink(folder.join("outside/f"), folder.join("root/link")).unwrap();
}

#[test]
fn s11_what_a_worker_need_not_do_it_cannot() {
    if !is_walled_kernel() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path());
    for what in ["read", "link", "list", "write", "make", "remove", "bind", "connect", "unix", "thread"] {
        let output = run_walled(what, folder.path());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("REFUSED PermissionDenied"), "{what}: {:?} {text}", output.status);
    }
    assert_eq!(fs::read(folder.path().join("root/f")).unwrap(), b"inside");
    assert_eq!(fs::read_dir(folder.path().join("root")).unwrap().count(), 2);
}

#[test]
fn s11_what_only_an_intruder_does_is_death() {
    if !is_walled_kernel() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path());
    for what in ["exec", "chroot"] {
        let output = run_walled(what, folder.path());
        assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{what}: {output:?}");
    }
}

/// Under audit a call outside its list ends the process: every test with a server of [`common`] runs so. This one goes
/// through what those of other files do least.
#[test]
fn s11_a_day_of_work_meets_no_wall() {
    let server =
        Server::full_and("[files]\nuploads = \"atomic\"\nlisting_time = \"local\"\n[limits]\ncompressed = 2\n");
    let mut ftp = server.login();
    let bytes = noise(3 << 20);
    for stage in 0..2 {
        ftp.store("STOR a", &bytes).expect(226);
        assert_eq!(ftp.fetch("RETR a"), bytes);
        ftp.say("MKD d").expect(257);
        ftp.say("RNFR a").expect(350);
        ftp.say("RNTO d/b").expect(250);
        ftp.say("SITE CHMOD 600 d/b").expect(200);
        ftp.say("SITE SYMLINK b d/c").expect(200);
        ftp.say("MFMT 20240101000000 d/b").expect(213);
        ftp.say("XSHA256 d/b").expect(250);
        ftp.say("AVBL").expect(213);
        assert!(!ftp.fetch("LIST -a d").is_empty());
        for name in ["DELE d/c", "DELE d/b", "RMD d"] {
            ftp.say(name).expect(250);
        }
        // And again after a reload, which reads files and names anew.
        if stage == 0 {
            server.signal(Signal::HUP);
            server.wait_for("reloaded");
        }
    }
}

#[test]
fn s12_without_openat2_paths_are_walked() {
    for errno in [Errno::NOSYS, Errno::PERM] {
        let lacks = lacking(errno, &[libc::SYS_openat2]);
        works(&Server::launch("127.0.0.1:0", "[anonymous]\npermissions = \"full\"\n", &[], lacks));
    }
}

#[test]
fn s12_without_walls_the_server_says_so_and_serves() {
    for (errno, call, words) in [
        (Errno::NOSYS, libc::SYS_landlock_create_ruleset, "MISSING: this kernel has no Landlock"),
        (Errno::OPNOTSUPP, libc::SYS_landlock_create_ruleset, "MISSING: Landlock is switched off"),
        (Errno::PERM, libc::SYS_landlock_create_ruleset, "MISSING: this kernel has no Landlock"),
        (Errno::NOSYS, libc::SYS_seccomp, "MISSING: no seccomp"),
    ] {
        let lacks = lacking(errno, &[call]);
        let server = Server::launch("127.0.0.1:0", "[anonymous]\npermissions = \"full\"\n", &[], lacks);
        assert!(server.beginning().contains(words), "{}", server.beginning());
        works(&server);
    }
}

#[test]
fn s12_without_walls_the_server_does_not_start_where_they_are_required() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("m.toml");
    for accounts in ["", "[[account]]\nname = \"ann\"\npassword = \"*\"\n"] {
        fs::write(folder.path().join("accounts.toml"), accounts).unwrap();
        fs::write(&config, "listen = [\"127.0.0.1:0\"]\n[sandbox]\nmode = \"required\"\n").unwrap();
        for call in [libc::SYS_landlock_create_ruleset, libc::SYS_seccomp] {
            let (code, text) = refuses(lacking(Errno::NOSYS, &[call])(of_config(&config)));
            assert_eq!(code, Some(1), "{text}");
            assert!(text.contains("sandbox.mode is \"required\", but") && !text.contains("listening on"), "{text}");
        }
    }
}

#[test]
fn the_sandbox_can_be_left_away() {
    let server = Server::configured("[anonymous]\npermissions = \"full\"\n[sandbox]\nmode = \"off\"\n");
    assert_eq!(status(server.pid())["Seccomp"], ["0"]);
    works(&server);
}
