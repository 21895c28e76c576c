//! The tree of processes from outside: who is started, who is restarted, who ends, and with which code.
//!
//! All processes of a tree share one pipe for standard error, so its end of file says that the last of them is gone;
//! nothing here waits for a span of time.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use common::processes::{child, children, send};
use rustix::process::Signal;

fn miniftpd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miniftpd"));
    command.args(arguments).stdin(Stdio::null());
    command.env("MINIFTPD_PASSWORD", "hunter2");
    command.env("MINIFTPD_SANDBOX_AUDIT", "1");
    command
}

fn run(arguments: &[&str]) -> Output {
    miniftpd(arguments).output().unwrap()
}

/// A running server; killed if a test fails before it has ended.
struct Server {
    keeper: Child,
    log: BufReader<ChildStderr>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut keeper = miniftpd(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(keeper.stderr.take().unwrap());
        let mut server = Server { keeper, log };
        server.read_to("listening on ");
        server
    }

    /// Reads the log up to a line with `words`, and returns it.
    fn read_to(&mut self, words: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "no \"{words}\" in {seen}");
            if line.contains(words) {
                return line;
            }
            seen += &line;
        }
    }

    fn signal(&self, signal: Signal) {
        send(self.keeper.id(), signal);
    }

    /// The processes the keeper has started: id and argv\[0\].
    fn children(&self) -> Vec<(u32, String)> {
        children(self.keeper.id())
    }

    fn child(&self, name: &str) -> u32 {
        child(self.keeper.id(), name)
    }

    /// The exit code, once the last process of the tree is gone.
    fn end(mut self) -> Option<i32> {
        let mut rest = String::new();
        while self.log.read_line(&mut rest).unwrap() > 0 {}
        self.keeper.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn tree(folder: &Path) -> Server {
    Server::start(&["-l", "127.0.0.1:0", "--user", "alice", folder.to_str().unwrap()])
}

#[test]
fn an_account_makes_a_tree_that_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = tree(folder.path());
    for name in ["miniftpd: worker", "miniftpd: verifier"] {
        let environment = fs::read(format!("/proc/{}/environ", server.child(name))).unwrap();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        assert!(!environment.contains("hunter2"), "{name}");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn children_leave_signals_to_the_keeper() {
    let folder = tempfile::tempdir().unwrap();
    let server = tree(folder.path());
    let before = server.children();
    for (child, _) in &before {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::USR1] {
            send(*child, signal);
        }
    }
    assert_eq!(server.children(), before);
    server.signal(Signal::INT);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_crashed_worker_is_replaced_on_the_same_port() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = tree(folder.path());
    let first = server.child("miniftpd: worker");
    send(first, Signal::KILL);
    server.read_to("the worker crashed");
    server.read_to("listening on ");
    assert_ne!(server.child("miniftpd: worker"), first);
    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn nobody_outlives_the_keeper() {
    let folder = tempfile::tempdir().unwrap();
    let server = tree(folder.path());
    server.signal(Signal::KILL);
    assert_eq!(server.end(), None);
}

#[test]
fn a17_a_broken_reload_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (config, accounts) = (folder.path().join("m.toml"), folder.path().join("accounts.toml"));
    fs::write(&config, "listen = [\"127.0.0.1:0\"]\n").unwrap();
    fs::write(&accounts, "[[account]]\nname = \"alice\"\npassword = \"*\"\n").unwrap();
    let mut server = Server::start(&["-c", config.to_str().unwrap()]);
    fs::write(&config, "lisen = 5\n").unwrap();
    server.signal(Signal::HUP);
    let line = server.read_to("reload refused");
    assert!(line.contains("m.toml:1: lisen: unknown key"), "{line}");
    fs::write(&config, "").unwrap();
    fs::remove_file(&accounts).unwrap();
    server.signal(Signal::HUP);
    let line = server.read_to("reload refused");
    assert!(line.contains("accounts file is gone"), "{line}");
    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_new_address_to_listen_on_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let (config, accounts) = (folder.path().join("m.toml"), folder.path().join("accounts.toml"));
    for tree in [false, true] {
        if tree {
            fs::write(&accounts, "[[account]]\nname = \"alice\"\npassword = \"*\"\n").unwrap();
        }
        fs::write(&config, "listen = [\"127.0.0.1:0\"]\n").unwrap();
        let mut server = Server::start(&["-c", config.to_str().unwrap()]);
        fs::write(&config, "listen = [\"127.0.0.2:0\"]\n").unwrap();
        server.signal(Signal::HUP);
        let line = server.read_to("listen");
        assert!(line.contains("listen: a change takes effect at the next start"), "{line}");
        server.signal(Signal::TERM);
        let mut rest = String::new();
        server.log.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("listen"), "twice: {rest}");
        assert_eq!(server.end(), Some(0));
    }
}

#[test]
fn exit_codes_tell_what_was_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("m.toml");
    fs::write(&config, "\n[limits]\nidel = 5\n").unwrap();
    let config = config.to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, code, words) in [
        (&["--bogus"][..], 2, "bogus"),
        (&["-c", config], 2, "m.toml:3: limits.idel: unknown key"),
        (&["--status", ":80"], 2, "not in this build"),
        (&["-l", &taken], 1, "another server"),
        (&["-l", &taken, "--user", "alice"], 1, "another server"),
    ] {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(words), "{text}");
    }
    let report = run(&["--check", "-c", config]);
    assert_eq!(report.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&report.stdout).contains("limits.idel"));
    assert_eq!(run(&["--check", "-p", "0"]).status.code(), Some(0));
}

#[test]
fn hashes_come_from_standard_input() {
    let mut command = miniftpd(&["--hash-password"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hunter2\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    assert_eq!(text.lines().count(), 1);
    let empty = run(&["--hash-password"]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(empty.stdout.is_empty());
}
