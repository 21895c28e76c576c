//! What a process of the server cannot do any more, and what becomes of the server where the kernel has no such walls.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use common::processes::{Number as _, await_children, children, status};
use common::{Peer, SECRET_HASH, Server, noise, shim};
use miniftp::process::sandbox::{AUDIT_VARIABLE, Kind, Needs, Rights, Touch, enter};
use miniftp::server::settings::SandboxMode;
use rustix::io::Errno;
use rustix::process::{Signal, geteuid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

/// A user without a name on any machine.
const NOBODY: u32 = 61_234;

/// Runs in a process of its own; see [`shim`].
#[test]
fn shim() {
    let Some(task) = shim::task() else { return };
    match task.split_once(' ').unwrap() {
        ("deny", rest) => deny(rest),
        ("walled", what) => walled(what),
        _ => panic!("{task}"),
    }
}

/// "ERRNO CALL,CALL…": makes these calls fail, then becomes the server that the environment names.
fn deny(task: &str) {
    let (errno, calls) = task.split_once(' ').unwrap();
    let calls = calls.split(',').map(|call| (call.parse().unwrap(), Vec::new())).collect();
    let refusal = SeccompAction::Errno(errno.parse().unwrap());
    let machine = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refusal, machine).unwrap();
    apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
    let arguments = std::env::var("MINIFTP_TEST_ARGUMENTS").unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_miniftpd"));
    panic!("{}", server.args(arguments.split('\n')).exec());
}

/// The server of a command on a kernel that lacks these calls.
fn lacking(errno: Errno, calls: &[i64]) -> impl FnOnce(Command) -> Command + use<> {
    let calls = calls.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    lacking_task(&format!("deny {} {calls}", errno.raw_os_error()))
}

fn lacking_task(task: &str) -> impl FnOnce(Command) -> Command + use<> {
    let mut shim = shim::command(task);
    move |command| {
        let arguments = command.get_args().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join("\n");
        shim.env("MINIFTP_TEST_ARGUMENTS", arguments).stdin(Stdio::null());
        shim
    }
}

fn of_config(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miniftpd"));
    command.arg("-c").arg(config).stdin(Stdio::null());
    command
}

/// The exit code and the log of a server that should not start; one that does is ended.
fn refuses(mut command: Command) -> (Option<i32>, String) {
    let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    for line in BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok) {
        text = text + &line + "\n";
        if line.contains("listening on ") {
            let _gone_already = server.kill();
        }
    }
    (server.wait().unwrap().code(), text)
}

/// Enters the sandbox of a worker that serves `root` in the folder of the environment, then does what it should not.
fn walled(what: &str) {
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
fn is_walled_kernel() -> bool {
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

fn member(home: &str, user: &str) -> (String, String) {
    let text = format!("user = \"{user}\"\n[anonymous]\nenabled = true\npermissions = \"full\"\n");
    (
        text,
        format!(
            "[[account]]\nname = \"ann\"\npassword = \"{SECRET_HASH}\"\nhome = \"{home}\"\npermissions = \"full\"\n"
        ),
    )
}

/// Opens a server's folder to a user, who owns what is served.
fn open_to(user: u32) -> impl FnOnce(Command) -> Command {
    move |command| {
        let config = PathBuf::from(command.get_args().last().unwrap());
        let folder = config.parent().unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        chown(folder.join("root"), Some(user), Some(user)).unwrap();
        command
    }
}

fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        println!("skipped: only root can start a server that drops its rights");
    }
    root
}

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

/// Logs in, uploads, lists and downloads.
fn works(server: &Server) {
    let mut ftp = server.login();
    server.put("sub/inner", "12");
    ftp.store("STOR sub/a", b"hello").expect(226);
    assert_eq!(ftp.fetch("RETR sub/a"), b"hello");
    ftp.say("CWD sub").expect(250);
    assert!(String::from_utf8(ftp.fetch("NLST")).unwrap().contains("inner"));
    fs::write(server.outside().join("f"), "secret").unwrap();
    symlink(server.outside(), server.path("out")).unwrap();
    ftp.say("SIZE ../out/f").expect(550);
    ftp.say("RETR /../outside/f").expect(550);
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

#[test]
fn a_root_outside_the_walls_brings_a_fresh_worker() {
    let (text, accounts) = member("root", "");
    let server = Server::with_accounts(&text, &accounts);
    server.put("big", noise(4 << 20));
    fs::write(server.outside().join("there"), "x").unwrap();
    let mut old = server.login_as("ann", "secret");
    let before = children(server.pid());
    let mut transfer = old.epsv();
    old.say("RETR big").expect(150);
    let (text, accounts) = member("outside", "");
    rewrite(&server, &text, &accounts);
    server.signal(Signal::HUP);
    server.wait_for("a fresh worker takes over");
    server.wait_for("reloaded");
    // Until the old one has heard that it retires it may still accept.
    let end = Instant::now() + common::PATIENCE;
    let mut new = loop {
        let mut peer = server.connect();
        if peer.say("USER ann").code == 331 && peer.say("PASS secret").code == 230 && peer.say("SIZE there").code == 213
        {
            break peer;
        }
        assert!(Instant::now() < end, "the new root is nowhere");
    };
    // Who was at work finishes.
    assert_eq!(common::read_some(&mut transfer, 4 << 20), server.get("big"));
    drop(transfer);
    old.reply().expect(226);
    old.reply().expect(421);
    new.say("NOOP").expect(200);
    let after = children(server.pid());
    let (verifiers, workers): (Vec<_>, Vec<_>) = after.iter().partition(|(_, name)| name.ends_with("verifier"));
    assert!(before.contains(verifiers[0]) && workers.iter().any(|worker| !before.contains(worker)));
}

#[test]
fn a_home_that_comes_later_is_there_after_a_reload() {
    let (text, accounts) = member("later", "");
    let server = Server::with_accounts(&text, &accounts);
    let mut early = server.connect();
    early.say("USER ann").expect(331);
    early.say("PASS secret").expect(451);
    let home = server.config().with_file_name("later");
    fs::create_dir(&home).unwrap();
    let mut early = server.connect();
    early.say("USER ann").expect(331);
    early.say("PASS secret").expect(451);
    server.wait_for("a reload opens it");
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    let end = Instant::now() + common::PATIENCE;
    while login_code(&server) != 230 {
        assert!(Instant::now() < end, "it is not there");
    }
}

/// Puts new texts in place of a server's files.
fn rewrite(server: &Server, text: &str, accounts: &str) {
    let listen = server.address();
    fs::write(server.config(), format!("listen = [\"{listen}\"]\nroot = \"root\"\n{text}")).unwrap();
    fs::write(server.config().with_file_name("accounts.toml"), accounts).unwrap();
}

#[test]
fn a_root_outside_the_walls_waits_for_the_next_start_of_a_lone_server() {
    let server = Server::full();
    let text = "root = \"outside\"\n[anonymous]\npermissions = \"full\"\n";
    fs::write(server.config(), format!("listen = [\"{}\"]\n{text}", server.address())).unwrap();
    server.put("here", "x");
    server.signal(Signal::HUP);
    let line = server.wait_for("reload refused");
    assert!(line.contains("outside is outside") && line.contains("next start"), "{line}");
    server.login().say("SIZE here").expect(213);
}

/// A login whose password waits for a verifier that has stopped.
fn pending(server: &Server, verifier: u32) -> Peer {
    common::processes::send(verifier, Signal::STOP);
    let mut peer = server.connect();
    peer.say("USER ann").expect(331);
    peer.order("PASS secret");
    peer
}

#[test]
fn s09_a_dead_verifier_costs_pending_logins_only() {
    let (text, accounts) = member("root", "");
    let server = Server::with_accounts(&text, &accounts);
    server.put("big", noise(8 << 20));
    let mut ftp = server.login_as("ann", "secret");
    let mut transfer = ftp.epsv();
    ftp.say("RETR big").expect(150);
    for _ in 0..2 {
        let verifier = common::processes::child(server.pid(), "miniftpd: verifier");
        let mut login = pending(&server, verifier);
        common::processes::send(verifier, Signal::KILL);
        login.reply().expect(451);
        server.wait_for("the verifier ended");
        // It comes back after a pause; until then a login is told to come back too.
        let end = Instant::now() + common::PATIENCE;
        while login_code(&server) != 230 {
            assert!(Instant::now() < end, "no verifier comes back");
            std::thread::yield_now();
        }
        assert_ne!(common::processes::child(server.pid(), "miniftpd: verifier"), verifier);
    }
    assert_eq!(common::read_some(&mut transfer, 8 << 20), server.get("big"));
    drop(transfer);
    ftp.reply().expect(226);
}

/// Whoever is served by a worker that retires just now hears 421.
fn login_code(server: &Server) -> u16 {
    let mut peer = server.connect();
    match peer.say("USER ann").code {
        331 => peer.say("PASS secret").code,
        other => other,
    }
}

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
        common::reset(transfer);
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
        let mut peer = Peer::new(common::connect(address));
        peer.reply().expect(220);
        peer.log_in();
        peer.say("QUIT").expect(221);
    }
    assert!(child.try_wait().unwrap().is_none(), "it has ended");
    child.kill().unwrap();
    child.wait().unwrap();
}
