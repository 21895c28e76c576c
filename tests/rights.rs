//! What a process that serves has from the one that started it, and what a reload can give it: neither rights nor files.

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use common::processes::{await_children, children};
use common::{NOBODY, SECRET_HASH, Server, is_root};
use miniftp::process::sandbox::AUDIT_VARIABLE;
use rustix::process::{Pid, Signal, kill_process};

fn accounts(home: &str) -> String {
    format!("[[account]]\nname = \"ann\"\npassword = \"{SECRET_HASH}\"\nhome = \"{home}\"\npermissions = \"full\"\n")
}

/// Opens a server's folder to the user, who owns what is served.
fn open(command: Command) -> Command {
    let folder = PathBuf::from(command.get_args().last().unwrap()).parent().unwrap().to_owned();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["root", "outside"] {
        chown(folder.join(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    command
}

/// Puts another text in place of a server's configuration, and has it read.
fn reload(server: &Server, text: &str) {
    let text = format!("listen = [\"{}\"]\nroot = \"root\"\n{text}", server.address());
    fs::write(server.config(), text).unwrap();
    server.signal(Signal::HUP);
}

/// Waits until just so many processes serve and verify, none of `before`, and all of them as the user without a way back.
fn await_dropped(server: &Server, count: usize, before: &[u32]) -> Vec<u32> {
    let family = await_children(server.pid(), count, |pid, told| {
        let is = |name: &str, value: &str| told.get(name).is_some_and(|words| words[0] == value);
        let dropped = is("Uid", &NOBODY.to_string()) && is("CapBnd", "0000000000000000") && is("NoNewPrivs", "1");
        dropped && !before.contains(&pid)
    });
    family.into_iter().map(|(pid, _)| pid).collect()
}

#[test]
fn s08_a_reload_gives_no_rights_back() {
    if !is_root() {
        return;
    }
    for workers in [1, 2] {
        let text = format!("workers = {workers}\nuser = \"{NOBODY}\"\n");
        let files = [("accounts.toml", &*accounts("root"))];
        let server = Server::launch("127.0.0.1:0", &text, &files, open);
        await_dropped(&server, workers + 1, &[]);
        // A home elsewhere wants fresh workers at once, in the second round no more.
        fs::write(server.config().with_file_name("accounts.toml"), accounts("outside")).unwrap();
        let mut family = Vec::new();
        for user in [String::new(), format!("user = \"{}\"\n", NOBODY + 1)] {
            reload(&server, &format!("workers = {workers}\n{user}[sandbox]\nmode = \"off\"\n"));
            server.wait_for("user and sandbox change only with a restart");
            server.wait_for("reloaded");
            family = await_dropped(&server, workers + 1, &[]);
        }
        // One that retires may be gone already.
        for pid in &family {
            let _gone_already = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
        }
        await_dropped(&server, workers + 1, &family);
        let end = Instant::now() + common::PATIENCE;
        while !serves(&server) {
            assert!(Instant::now() < end, "nobody can log in");
        }
    }
}

/// Until worker and verifier know of each other a login is told to come back.
fn serves(server: &Server) -> bool {
    let mut peer = server.connect();
    peer.say("USER ann").code == 331 && peer.say("PASS secret").code == 230
}

fn check(config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_miniftpd")).args(["--check", "-c"]).arg(config).output().unwrap()
}

#[test]
fn what_the_user_cannot_enter_is_told() {
    if !is_root() {
        return;
    }
    let text = format!("user = \"{NOBODY}\"\n[active]\nfrom_port_20 = true\n[anonymous]\nenabled = true\n");
    let files = [("accounts.toml", &*accounts("outside/home"))];
    let server = Server::launch("127.0.0.1:0", &text, &files, |command| {
        let command = open(command);
        let folder = PathBuf::from(command.get_args().last().unwrap()).parent().unwrap().to_owned();
        fs::create_dir(folder.join("outside/home")).unwrap();
        for name in ["outside", "root"] {
            chown(folder.join(name), Some(0), Some(0)).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o700)).unwrap();
        }
        command
    });
    let report = check(&server.config());
    let text = String::from_utf8(report.stdout).unwrap();
    assert_eq!(report.status.code(), Some(2), "{text}");
    for folder in [server.root(), server.outside()] {
        let closed = format!("cannot enter {}: Permission denied", folder.display());
        assert!(server.beginning().contains(&closed), "{closed}: {}", server.beginning());
        assert!(text.contains(&format!("user {NOBODY} {closed}")), "{closed}: {text}");
    }
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if first.trim().parse().is_ok_and(|first: u32| first > 20) {
        assert!(text.contains("active.from_port_20: "), "{text}");
        assert!(server.beginning().contains("active.from_port_20: "), "{}", server.beginning());
    }
    for folder in [server.root(), server.outside()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let report = check(&server.config());
    assert_eq!(report.status.code(), Some(0), "{}", String::from_utf8_lossy(&report.stdout));
}

#[test]
fn s14_what_the_starter_had_open_is_nobodys() {
    for files in [&[][..], &[("accounts.toml", &*accounts("root"))]] {
        let mut secret = PathBuf::new();
        let text = "[anonymous]\nenabled = true\npermissions = \"full\"\n";
        let server = Server::launch("127.0.0.1:0", text, files, |command| {
            secret = PathBuf::from(command.get_args().last().unwrap()).with_file_name("secret");
            fs::write(&secret, "hashes").unwrap();
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec 9<\"$SECRET\"; exec \"$0\" \"$@\""]).env("SECRET", &secret);
            shell.arg(command.get_program()).args(command.get_args()).env(AUDIT_VARIABLE, "1").stdin(Stdio::null());
            shell
        });
        let own = u32::try_from(server.pid().as_raw_nonzero().get()).unwrap();
        let family: Vec<u32> = children(server.pid()).into_iter().map(|(pid, _)| pid).chain([own]).collect();
        assert_eq!(family.len(), if files.is_empty() { 1 } else { 3 });
        for pid in family {
            for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
                let entry = entry.unwrap().path();
                assert_ne!(fs::read_link(&entry).unwrap_or_default(), secret, "{}", entry.display());
            }
        }
        assert!(fs::read_to_string(format!("/proc/{own}/comm")).unwrap().starts_with("miniftpd"));
        server.login().store("STOR new", b"x").expect(226);
    }
}

/// A pipe that nobody writes to, in place of whatever was there.
fn pipe(path: &Path) {
    let _none_before = fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_pipe_for_a_file_stops_nobody() {
    let server = Server::full();
    let beside = |name: &str| server.config().with_file_name(name);
    let mut cases = vec![("miniftpd.toml", ""), ("accounts.toml", "")];
    if cfg!(feature = "tls") {
        cases.push(("p.pem", "[tls]\ncertificate = \"p.pem\"\nkey = \"p.pem\"\n"));
    }
    for (name, text) in cases {
        let text = format!("listen = [\"{}\"]\nroot = \"root\"\n{text}", server.address());
        let _a_pipe_before = fs::remove_file(server.config());
        fs::write(server.config(), text).unwrap();
        pipe(&beside(name));
        server.signal(Signal::HUP);
        let line = server.wait_for("reload refused");
        assert!(line.contains(name) && line.contains("not a plain file"), "{line}");
        server.login().say("NOOP").expect(200);
        fs::remove_file(beside(name)).unwrap();
    }
    let config = beside("fresh.toml");
    pipe(&config);
    let bounded = |arguments: &[&str]| {
        let mut command = Command::new("timeout");
        command.arg("60").arg(env!("CARGO_BIN_EXE_miniftpd")).args(arguments).arg(&config).output().unwrap()
    };
    for arguments in [&["-c"][..], &["--check", "-c"]] {
        assert_eq!(bounded(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
