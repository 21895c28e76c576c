//! Descriptors: what an exec would inherit, what a service manager hands over, and standard streams that are closed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use miniftp::process::sandbox::AUDIT_VARIABLE;
use rustix::process::Signal;

use crate::common::processes::{Number as _, children};
use crate::common::{Peer, Server, connect, noise, reset};
use crate::{member, works};

#[test]
fn s14_no_descriptor_outlives_an_exec() {
    let (text, accounts) = member("root", "");
    let server = Server::with_accounts(&format!("{text}[log]\ntransfers = \"log\"\n"), &accounts);
    server.put("big", noise(8 << 20));
    let mut ftp = server.login_as("ann", "secret");
    let _transfer = ftp.epsv();
    ftp.say("RETR big").expect(150);
    let mut seen = 0;
    for pid in children(server.pid()).into_iter().map(|(pid, _)| pid).chain([server.pid().number()]) {
        for (fd, kept) in descriptors(pid) {
            let what = fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap_or_default();
            assert!(!kept || fd <= 2, "{pid}: {fd} ({}) stays open", what.display());
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

/// The descriptors of a process, and which of them a program it starts would have.
fn descriptors(pid: u32) -> Vec<(u32, bool)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().map(|entry| entry.unwrap().path());
    let one = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
        let kept = u32::from_str_radix(flags, 8).ok()? & libc::O_CLOEXEC.unsigned_abs() == 0;
        Some((path.file_name()?.to_str()?.parse().ok()?, kept))
    };
    entries.filter_map(one).collect()
}

#[test]
fn s14_sockets_can_be_handed_over() {
    for accounts in [false, true] {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (text, members) = member("root", "");
        let files = [("accounts.toml", members.as_str())];
        // The address that the configuration names is not bound at all.
        let server = Server::launch("192.0.2.1:21", &text, if accounts { &files } else { &[] }, |command| {
            let mut shell = Command::new("sh");
            shell.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 9</dev/zero </dev/null"]).env("LISTEN_FDS", "1");
            shell.arg(command.get_program()).args(command.get_args()).env(AUDIT_VARIABLE, "1");
            shell.stdin(std::os::fd::OwnedFd::from(socket));
            shell
        });
        assert_eq!(server.address(), address);
        works(&server);
        server.signal(Signal::HUP);
        server.wait_for("reloaded");
        server.login().say("NOOP").expect(200);
    }
}

#[test]
fn s07_closed_streams_and_peers_that_leave_end_nothing() {
    // No standard input and no standard output: their numbers must not become a client's.
    let server = Server::launch("127.0.0.1:0", "[anonymous]\npermissions = \"full\"\n", &[], |command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" <&- >&-"]).arg(command.get_program()).args(command.get_args());
        shell.env(AUDIT_VARIABLE, "1").stdin(Stdio::null());
        shell
    });
    server.put("big", noise(8 << 20));
    for _ in 0..3 {
        let mut ftp = server.login();
        let transfer = ftp.epsv();
        ftp.say("RETR big").expect(150);
        for number in 0..3 {
            let what = fs::read_link(format!("/proc/{}/fd/{number}", server.pid())).unwrap();
            assert!(!what.to_string_lossy().starts_with("socket:"), "{number} is {}", what.display());
        }
        // Half of it unread: the server's next write meets a closed connection.
        reset(transfer);
        ftp.reply().expect(426);
        drop(ftp);
    }
    works(&server);
}

#[test]
fn s07_a_log_that_nobody_reads_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_miniftpd"));
    command.args(["-l", "127.0.0.1:0", "--log-level", "debug"]).arg(folder.path()).env(AUDIT_VARIABLE, "1");
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = log.find(|line| line.as_ref().unwrap().contains("listening on ")).unwrap().unwrap();
    let address = line.rsplit(' ').next().unwrap().parse().unwrap();
    drop(log);
    for _ in 0..20 {
        let mut peer = Peer::new(connect(address));
        peer.reply().expect(220);
        peer.log_in();
        peer.say("QUIT").expect(221);
    }
    assert!(child.try_wait().unwrap().is_none(), "it has ended");
    child.kill().unwrap();
    child.wait().unwrap();
}
