//! Whom a process serves as, and what is left of root in it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use miniftp::process::sandbox::AUDIT_VARIABLE;
use rustix::io::Errno;
use rustix::process::Signal;

use crate::common::processes::{await_children, children, status};
use crate::common::{NOBODY, Server, is_root};
use crate::walls::is_walled_kernel;
use crate::{lacking_task, member, of_config, open_to, refuses};

#[test]
fn s08_nothing_of_root_is_left_in_who_serves() {
    if !is_root() {
        return;
    }
    let (text, accounts) = member("root", &NOBODY.to_string());
    let server = Server::launch("127.0.0.1:0", &text, &[("accounts.toml", &accounts)], |command| {
        let mut command = open_to(NOBODY)(command);
        command.env_remove(AUDIT_VARIABLE);
        command
    });
    let walled = is_walled_kernel();
    // The verifier begins beside the worker, which is the one that has said that it listens.
    let last_step = if walled { ("Seccomp", "2") } else { ("NoNewPrivs", "1") };
    let family =
        await_children(server.pid(), 2, |_, told| told.get(last_step.0).is_some_and(|is| is[0] == last_step.1));
    for (pid, name) in family {
        let told = status(pid);
        for id in ["Uid", "Gid"] {
            assert_eq!(
                told[id],
                [NOBODY.to_string(), NOBODY.to_string(), NOBODY.to_string(), NOBODY.to_string()],
                "{name}"
            );
        }
        assert!(told["Groups"].is_empty(), "{name}: {:?}", told["Groups"]);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(told[set], ["0000000000000000"], "{name} {set}");
        }
        assert_eq!(told["NoNewPrivs"], ["1"], "{name}");
        if walled {
            assert_eq!(told["Seccomp"], ["2"], "{name}");
        }
        // What nobody may trace or dump belongs to root, whoever runs it.
        assert_eq!(fs::metadata(format!("/proc/{pid}/mem")).unwrap().uid(), 0, "{name} can be looked into");
    }
    let keeper = status(server.pid());
    assert_eq!(keeper["Uid"][0], "0");
    assert_eq!(keeper["NoNewPrivs"], ["1"]);
    let mut ftp = server.login_as("ann", "secret");
    ftp.store("STOR new", b"x").expect(226);
    assert_eq!(fs::metadata(server.path("new")).unwrap().uid(), NOBODY);
}

#[test]
fn s08_a_user_to_become_makes_a_tree_even_without_accounts() {
    if !is_root() {
        return;
    }
    let text = format!("user = \"{NOBODY}\"\n[anonymous]\npermissions = \"full\"\n[log]\ntransfers = \"log\"\n");
    let server = Server::launch("127.0.0.1:0", &text, &[], open_to(NOBODY));
    let names: Vec<String> = children(server.pid()).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["miniftpd: worker"]);
    let mut ftp = server.login();
    ftp.store("STOR new", b"x").expect(226);
    // The log is in a folder that only root can write to, and is opened anew there after it was moved away.
    let log = server.config().with_file_name("log");
    fs::rename(&log, log.with_extension("1")).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    ftp.store("STOR new", b"x").expect(226);
    drop(ftp);
    let folder = server.end_in();
    for name in ["log", "log.1"] {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(text.lines().count(), 1, "{name}: {text}");
    }
}

#[test]
fn s08_who_cannot_become_another_does_not_serve() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("m.toml");
    let start = |text: &str, task: Option<String>| {
        fs::write(&config, format!("listen = [\"127.0.0.1:0\"]\n{text}")).unwrap();
        match task {
            Some(task) => refuses(lacking_task(&task)(of_config(&config))),
            None => refuses(of_config(&config)),
        }
    };
    for user in ["root", "0", "no such user"] {
        let (code, text) = start(&format!("user = \"{user}\"\n"), None);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("user: "), "{text}");
    }
    // A kernel, or a container, that refuses any step of the way.
    for call in [libc::SYS_setgroups, libc::SYS_setresgid, libc::SYS_setresuid, libc::SYS_capset] {
        let task = format!("deny {} {call}", Errno::PERM.raw_os_error());
        let (code, text) = start(&format!("user = \"{NOBODY}\"\n"), Some(task));
        assert_eq!(code, Some(1), "{call}: {text}");
        assert!(text.contains("cannot become user") && !text.contains("listening on"), "{text}");
    }
    // One that says yes and does nothing.
    for call in [libc::SYS_setresuid, libc::SYS_setgroups] {
        let (code, text) = start(&format!("user = \"{NOBODY}\"\n"), Some(format!("deny 0 {call}")));
        assert_eq!(code, Some(1), "{call}: {text}");
        assert!(text.contains("can be regained"), "{text}");
    }
}

#[test]
fn s14_nobody_looks_into_who_serves() {
    if !is_root() {
        return;
    }
    // A change of user would have the same effect by itself: here there is none.
    let server = Server::launch("127.0.0.1:0", "[anonymous]\npermissions = \"full\"\n", &[], |command| {
        let command = open_to(NOBODY)(command);
        let config = PathBuf::from(command.get_args().last().unwrap());
        let program = config.with_file_name("miniftpd");
        // By another program: what this one has open for writing, another test's child may have too, and then it is busy.
        assert!(Command::new("cp").arg(command.get_program()).arg(&program).status().unwrap().success());
        let mut command = Command::new(program);
        command.arg("-c").arg(config).uid(NOBODY).gid(NOBODY).stdin(Stdio::null());
        command
    });
    assert_eq!(status(server.pid())["Uid"][0], NOBODY.to_string());
    assert_eq!(fs::metadata(format!("/proc/{}/mem", server.pid())).unwrap().uid(), 0, "its own user can");
    server.login().store("STOR new", b"x").expect(226);
}
