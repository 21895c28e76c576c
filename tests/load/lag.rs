//! The tester's own lateness is told, and its end is in time.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::Value;

use crate::common::PATIENCE;
use crate::fake::{Move, fake};
use crate::{number, phase, report, url};

/// A run that has said NOOP once.
fn begun(program: &mut Command, options: &[&str]) -> (Child, crate::Fake) {
    let (sender, commands) = channel();
    let server = fake(move |verb, count| {
        if (verb, count) == ("NOOP", 1) {
            let _ = sender.send(());
        }
        Move::Usual
    });
    program.arg("--json").args(options).arg(url(server.address, ""));
    let load = program.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    commands.recv_timeout(PATIENCE).expect("a NOOP");
    (load, server)
}

fn tester() -> Command {
    Command::new(env!("CARGO_BIN_EXE_miniftp-load"))
}

fn end(load: Child) -> Value {
    let output = load.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).expect("a report")
}

#[test]
fn a_tester_that_was_stopped_says_that_it_was_late() {
    const STOPPED: Duration = Duration::from_millis(700);
    // Of the second one's sessions none has anything to do meanwhile: only the tester itself can know.
    for options in [["--rate", "50"], ["--think", "60000"]] {
        let (load, _server) = begun(&mut tester(), &[&options[..], &["--clients", "1", "--duration", "2"]].concat());
        let pid = Pid::from_child(&load);
        kill_process(pid, Signal::STOP).unwrap();
        thread::sleep(STOPPED);
        kill_process(pid, Signal::CONT).unwrap();
        let report = end(load);
        assert!(number(&report["loop_lag_ms"]) >= 600.0, "{report}");
        assert_eq!(report["limited_by_client"], true, "{report}");
    }
}

/// A program that wants all of a core; it ends with the test at the latest.
struct Greedy(Child);

impl Drop for Greedy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_tester_that_gets_no_core_says_that_it_was_late() {
    // On one core with two that want all of it too, and that come first: it has what nobody else wants.
    let greedy = [(); 2].map(|()| Greedy(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap()));
    let mut idle = Command::new("chrt");
    idle.args(["--idle", "0", env!("CARGO_BIN_EXE_miniftp-load")]);
    let (load, _server) = begun(&mut idle, &["--clients", "5", "--duration", "2"]);
    let all = sched_getaffinity(None).unwrap();
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).find(|core| all.is_set(*core)).expect("a core"));
    for child in [&greedy[0].0, &greedy[1].0, &load] {
        sched_setaffinity(Some(Pid::from_child(child)), &one).unwrap();
    }
    let report = end(load);
    assert_eq!(report["limited_by_client"], true, "{report}");
    assert!(number(&report["loop_lag_ms"]) > 20.0, "{report}");
}

#[test]
fn a_plan_that_is_done_is_not_waited_for() {
    // The first has an operation under way at its end, for as long as it has patience: five seconds more than the second,
    // which begins when it is at work.
    let (sender, commands) = channel();
    let silent = fake(move |verb, _| match verb {
        "NOOP" => {
            let _ = sender.send(());
            Move::Stall(PATIENCE, "200 never")
        }
        _ => Move::Usual,
    });
    let mut patient = tester();
    patient.args(["--json", "--clients", "1", "--rate", "1", "--duration", "1"]).arg(url(silent.address, ""));
    let mut patient = patient.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    commands.recv_timeout(PATIENCE).expect("a NOOP");
    let server = fake(|_, _| Move::Usual);
    let (code, report) = report(&url(server.address, ""), &["--clients", "1", "--rate", "200", "--duration", "1"]);
    assert_eq!((code, number(&report["ops"])), (0, 200.0), "{report}");
    assert_eq!(number(&phase(&report, "command")["count"]), 200.0);
    assert_eq!(patient.try_wait().unwrap(), None, "it waits for nothing as long as others do for a reply");
    patient.kill().unwrap();
    patient.wait().unwrap();
}
