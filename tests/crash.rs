//! Ends that nobody planned, and a clock that jumps.
//!
//! Names begin with the case's number in the project's list of faults.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use common::{Server, connect, free_ports, noise, read_all, read_some};
use rustix::process::Signal;

const FULL: &str = "[anonymous]\npermissions = \"full\"\n";

#[test]
fn s02_a_key_that_is_gone_means_its_default_again() {
    let server = Server::configured("banner = \"words of our own\"\n[limits]\nidle = \"7s\"\n");
    server.knock().reply().expect(220).says("words of our own");
    let mut old = server.login();
    old.say("SITE IDLE").expect(200).says("7");
    let listen = format!("listen = [\"{}\"]\nroot = \"root\"\n", server.address());
    fs::write(server.config(), listen).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("reload");
    let text = server.knock().reply().expect(220).text();
    assert!(!text.contains("words of our own"), "{text}");
    assert!(!old.say("SITE IDLE").expect(200).text().contains(" 7 "));
}

#[test]
fn s04_a_killed_server_never_leaves_a_file_shorter_than_it_was() {
    for uploads in ["direct", "atomic"] {
        let server = Server::full_and(&format!("[files]\nuploads = \"{uploads}\"\n"));
        let old = noise(100_000);
        server.put("appended", &old);
        server.put("restarted", &old);
        let mut open = Vec::new();
        for line in ["STOR new", "APPE appended", "STOR restarted"] {
            let mut ftp = server.login();
            if line.ends_with("restarted") {
                ftp.say("REST 60000").expect(350);
            }
            let mut data = ftp.epsv();
            ftp.say(line).expect(150);
            data.write_all(&[b'x'; 30_000]).unwrap();
            ftp.wait_for_progress(30_000);
            open.push((ftp, data));
        }
        server.signal(Signal::KILL);
        for (ftp, _) in &mut open {
            ftp.due_is_unknown();
            ftp.expect_close();
        }
        // A new name, by policy: what came can be resumed, or nothing of it has the name.
        match uploads {
            "direct" => assert_eq!(server.get("new"), [b'x'; 30_000]),
            _ => assert!(!server.has("new")),
        }
        assert_eq!(server.get("appended"), [&old[..], &[b'x'; 30_000]].concat());
        assert_eq!(server.get("restarted"), [&old[..60_000], &[b'x'; 30_000], &old[90_000..]].concat());
    }
}

#[test]
fn s06_a_restart_finds_its_port_and_a_second_server_does_not() {
    // Not one that the system may give to somebody else while nobody listens.
    let (port, _) = free_ports(1);
    let listen = format!("127.0.0.1:{port}");
    let first = Server::launch(&listen, FULL, &[], |command| command);
    // The server closes first: the connection's TIME_WAIT is on its side, at its port.
    for _ in 0..5 {
        let mut ftp = first.login();
        ftp.say("QUIT").expect(221);
        ftp.expect_close();
    }
    let second = Command::new(env!("CARGO_BIN_EXE_miniftpd"))
        .arg("--config")
        .arg(first.config())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains(&port.to_string()), "{said}");
    first.login().is_well();
    first.signal(Signal::TERM);
    assert_eq!(first.end(), Some(0));
    let again = Server::launch(&listen, FULL, &[], |command| command);
    again.login().is_well();
}

/// Stands between a program and its wall clock, and adds as many seconds as a file says at the moment.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, time);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
        char text[32] = {0};
        int file = open(getenv("CLOCK_STEP"), O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) time->tv_sec += atol(text);
            close(file);
        }
    }
    return done;
}
"#;

/// The file that says it.
const STEP: &str = ".step";

/// The shim as a library; none without a C compiler, which is printed.
fn shim(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
    fs::write(&source, SHIM).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    if built.is_ok_and(|status| status.success()) {
        return Some(library);
    }
    println!("skipped: no C compiler");
    None
}

#[test]
fn s13_a_wall_clock_that_jumps_ends_nothing() {
    const DAY: i64 = 86_400;
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = shim(folder.path()) else { return };
    let bans = "[limits]\nlogin_delay = \"0s\"\nlogin_attempts = 1\n[limits.bans]\nfailures = 1\nfor = \"1h\"\n";
    let server = Server::launch("127.0.0.1:0", &format!("{FULL}{bans}"), &[], |mut command| {
        // Where a sandboxed server may read too: in what it serves.
        let step = Path::new(command.get_args().last().unwrap()).with_file_name("root").join(STEP);
        command.env("LD_PRELOAD", &library).env("CLOCK_STEP", step);
        command
    });
    server.put("big", noise(30_000_000));
    server.put("tomorrow", "");
    let morrow = SystemTime::now() + Duration::from_secs(DAY as u64 / 2);
    fs::File::options().write(true).open(server.path("tomorrow")).unwrap().set_modified(morrow).unwrap();

    let (mut ftp, mut idle, mut promised, mut stranger) =
        (server.login(), server.login(), server.login(), server.connect());
    let mut data = ftp.epsv_narrow();
    ftp.say("RETR big").expect(150);
    let mut got = read_some(&mut data, 1000).len();
    let address = promised.epsv_address();
    // Somebody elsewhere is banned.
    let banned = || common::Peer::new(common::connect_from("127.0.0.9", server.address()));
    let mut guesser = banned();
    guesser.reply().expect(220);
    guesser.say("USER root").expect(331);
    guesser.say("PASS x").expect(421);
    banned().reply().expect(421);

    for jump in [DAY, -DAY] {
        server.put(STEP, jump.to_string());
        // The jump is there: an entry of tomorrow shows its time of day, one of the future its year.
        let line = server.login().lines("LIST tomorrow").concat();
        assert_eq!(line.contains(':'), jump > 0, "{line}");
        idle.is_well();
        stranger.say("NOOP").expect(200);
        ftp.wait_for_progress(1);
        got += read_some(&mut data, 1_000_000).len();
        banned().reply().expect(421);
    }
    promised.say("RETR big").expect(150);
    assert_eq!(read_all(connect(address)).len(), 30_000_000);
    promised.reply().expect(226);
    assert_eq!(got + read_all(data).len(), 30_000_000);
    ftp.reply().expect(226);
}
