//! An interrupt before all sessions stand ends the run with a report of what there was.

use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

use crate::common::{PATIENCE, accept};
use crate::fake::{Move, fake};
use crate::{children, number, only_error, phase, url};

fn start(options: &[&str], url: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miniftp-load"));
    command.args(["--json", "--duration", "3600"]).args(options).arg(url);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Interrupts it, which ends it however long the measurement was to be; the exit code, the report, and what it said beside that.
fn interrupt(mut load: Child) -> (i32, Value, String) {
    let watched = pidfd_open(Pid::from_child(&load), PidfdFlags::empty()).unwrap();
    kill_process(Pid::from_child(&load), Signal::INT).unwrap();
    let span = Timespec::try_from(PATIENCE).unwrap();
    // One that does not end is no reason for the test not to.
    if poll(&mut [PollFd::new(&watched, PollFlags::IN)], Some(&span)).unwrap() == 0 {
        load.kill().unwrap();
    }
    let Output { status, stdout, stderr } = load.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    let report = serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (status.code().unwrap(), report, said)
}

#[test]
fn a_silent_server_is_reported() {
    for processes in ["1", "2"] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = ["--clients", "2", "--processes", processes, "--histogram", log.to_str().unwrap()];
        let load = start(&options, &url(listener.local_addr().unwrap(), ""));
        let _held = [accept(&listener), accept(&listener)];
        let (code, report, said) = interrupt(load);
        assert_eq!((code, said.as_str(), report["errors"].to_string().as_str()), (0, "", "{}"), "{report}");
        assert_eq!((number(&report["ops"]), number(&report["duration_s"])), (0.0, 0.0), "{report}");
        assert!(std::fs::read_to_string(log).unwrap().starts_with('#'));
    }
}

#[test]
fn an_interrupt_that_reaches_a_process_before_it_listens_is_no_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let load = start(&["--clients", "2", "--processes", "2"], &url(listener.local_addr().unwrap(), ""));
    let end = Instant::now() + PATIENCE;
    while children(&load).len() < 2 {
        assert!(Instant::now() < end, "it starts none");
        std::thread::yield_now();
    }
    let (code, report, said) = interrupt(load);
    assert_eq!((code, said.as_str(), report["errors"].to_string().as_str()), (0, "", "{}"), "{report}");
}

#[test]
fn who_stood_before_and_what_failed_is_in_it() {
    for (processes, refused) in [("1", false), ("2", false), ("1", true)] {
        let (sender, words) = channel();
        let server = fake(move |verb, count| {
            let _ = sender.send((verb.to_owned(), count));
            if verb == "PASS" && refused { Move::Say("530 no") } else { Move::Usual }
        });
        let load = start(&["--clients", "4", "--ramp", "3600", "--processes", processes], &url(server.address, ""));
        // One that was refused comes again, and by then the refusal has been counted.
        let attempts = if refused || processes == "2" { 2 } else { 1 };
        while words.recv_timeout(PATIENCE).expect("a login") != ("PASS".to_owned(), attempts) {}
        let (code, report, said) = interrupt(load);
        assert_eq!((said.as_str(), number(&report["ops"])), ("", 0.0), "{report}");
        if refused {
            assert!(code == 1 && only_error(&report, "login") >= 1.0, "{report}");
        } else {
            // How far the last answer has come nobody knows.
            assert_eq!((code, report["errors"].to_string().as_str()), (0, "{}"), "{report}");
            assert_eq!(number(&phase(&report, "greeting")["count"]), attempts as f64, "{report}");
        }
    }
}

#[test]
fn a_run_that_comes_to_nothing_leaves_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let [new, old] = ["new", "old"].map(|name| folder.path().join(name));
    std::fs::write(&old, "what was there").unwrap();
    for log in [&new, &old] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = ["--clients", "2", "--processes", "2", "--histogram", log.to_str().unwrap()];
        let load = start(&options, &url(listener.local_addr().unwrap(), ""));
        let _held = [accept(&listener), accept(&listener)];
        for part in children(&load) {
            kill_process(part, Signal::KILL).unwrap();
        }
        assert_eq!(load.wait_with_output().unwrap().status.code(), Some(2));
    }
    assert!(!new.exists());
    assert_eq!(std::fs::read_to_string(old).unwrap(), "what was there");
}
