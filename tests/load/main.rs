//! The load tester against the real server, and against servers that do wrong.

#[path = "../common/mod.rs"]
mod common;

mod early;
mod fake;
mod lag;
mod wrong;

use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use common::{PATIENCE, Server, noise};
use fake::{Fake, Move, fake};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

/// Runs it on a URL; gives the exit code and what it said.
fn load(url: &str, options: &[&str]) -> (i32, Output) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miniftp-load"));
    let output = command.args(options).arg(url).stdin(Stdio::null()).output().unwrap();
    (output.status.code().unwrap(), output)
}

/// Its report as JSON, with the exit code.
fn report(url: &str, options: &[&str]) -> (i32, Value) {
    let (code, output) = load(url, &[&["--json"], options].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(&said);
    (code, json.unwrap_or_else(|error| panic!("{error}: {said} {}", String::from_utf8_lossy(&output.stderr))))
}

fn url(address: SocketAddr, path: &str) -> String {
    format!("ftp://{address}/{path}")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn phase<'a>(report: &'a Value, name: &str) -> &'a Value {
    let phase = &report["phases"][name];
    assert!(number(&phase["count"]) > 0.0, "no {name} in {report}");
    phase
}

/// What only this run can have counted, and nothing else.
fn only_error(report: &Value, class: &str) -> f64 {
    let errors = report["errors"].as_object().unwrap();
    assert_eq!(errors.keys().collect::<Vec<_>>(), [class], "{report}");
    number(&errors[class])
}

#[test]
fn every_scenario_runs_clean() {
    let server = Server::furnished();
    server.put("big", noise(3_000_000));
    let folder = tempfile::tempdir().unwrap();
    let steps = folder.path().join("steps.toml");
    std::fs::write(
        &steps,
        "[[step]]\ndo = 'put'\nsize = 1000\n[[step]]\ndo = 'get'\nweight = 2\nthink = 1\n\
         [[step]]\ndo = 'command'\nline = 'SIZE big'\n",
    )
    .unwrap();
    let data = ["data open", "transfer", "final reply"].as_slice();
    for (scenario, phases) in [
        ("login", ["connect", "greeting", "login"].as_slice()),
        ("idle", &["connect", "greeting", "login"]),
        ("command", &["command"]),
        ("get", &["data open", "first byte", "transfer", "final reply"]),
        ("put", data),
        ("list", &["data open", "first byte", "transfer", "final reply"]),
        ("mix", &["command", "connect", "first byte"]),
        (steps.to_str().unwrap(), data),
    ] {
        let options = ["--scenario", scenario, "--clients", "7", "--duration", "1", "--size", "3000000"];
        let options = if scenario == "put" { &options[..6] } else { &options };
        let (code, report) = report(&url(server.address(), "big"), options);
        assert_eq!((code, report["errors"].to_string().as_str()), (0, "{}"), "{scenario}: {report}");
        assert!(number(&report["ops"]) >= 7.0, "{scenario}: {report}");
        for name in phases.iter().chain(&["operation"]) {
            phase(&report, name);
        }
        assert_eq!(number(&report["bytes"]) > 0.0, scenario.contains('.') || "get put list mix".contains(scenario));
        if scenario == "put" {
            assert_eq!(server.get("big-0").len(), 65_536);
        }
    }
}

#[test]
fn uploads_have_new_names_where_nobody_may_write_over_a_file() {
    // Anonymous with `w` and without `o`, as pure-ftpd has it.
    let server = Server::configured("[anonymous]\npermissions = 'elrw'\n");
    let address = url(server.address(), "up");
    let options = ["--scenario", "put", "--clients", "2", "--duration", "0.5", "--size", "100"];
    let (code, refused) = report(&address, &options);
    assert_eq!((code, number(&refused["ops"])), (1, 2.0), "{refused}");
    let (code, fresh) = report(&address, &[&options[..], &["--fresh"]].concat());
    assert_eq!((code, fresh["errors"].to_string().as_str()), (0, "{}"), "{fresh}");
    let last = number(&fresh["ops"]);
    assert!(last > 2.0, "{fresh}");
    assert!(server.get("up-0-1").len() == 100 || server.get("up-1-1").len() == 100);
}

#[test]
fn the_report_has_its_shape() {
    let server = Server::full();
    let pid = server.pid().as_raw_nonzero().to_string();
    let options = ["--clients", "3", "--duration", "0.5", "--server-pid", &pid];
    let (code, report) = report(&url(server.address(), ""), &options);
    assert_eq!(code, 0);
    let mut keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    keys.sort();
    let wanted =
        ["bytes", "clients", "duration_s", "errors", "limited_by_client", "loop_lag_ms", "ops", "phases", "server"];
    assert_eq!(keys, wanted);
    assert_eq!(report["clients"], 3);
    assert!(number(&report["duration_s"]) >= 0.5);
    let command = phase(&report, "command");
    let quantiles = ["p50", "p90", "p99", "p999", "max"].map(|name| number(&command[name]));
    assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{command}");
    assert!(number(&report["loop_lag_ms"]) >= 0.0 && report["limited_by_client"].is_boolean());
    let server = &report["server"];
    assert!(number(&server["rss"]) >= number(&server["pss"]) && number(&server["pss"]) > 100_000.0, "{server}");
    assert!(number(&server["fds"]) >= 3.0 && number(&server["cpu_s"]) >= 0.0);
    let (_, text) = load(&url(SocketAddr::from(([127, 0, 0, 1], 1)), ""), &["--duration", "0.1", "--clients", "1"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("error: "));
}

#[test]
fn a_fast_stream_that_becomes_slow_has_not_stalled() {
    let server = fake(|verb, count| match verb {
        "RETR" if count == 1 => Move::Trickle(noise(3 << 20), Duration::from_millis(200), 15),
        "RETR" => Move::Say("550 no more"),
        _ => Move::Usual,
    });
    let options = ["--scenario", "get", "--clients", "1", "--duration", "6", "--timeout", "1"];
    let (_, report) = report(&url(server.address, "f"), &options);
    assert_eq!(number(&report["ops"]), 1.0, "{report}");
    assert_eq!(number(&report["bytes"]), f64::from((3 << 20) + 15_000), "{report}");
    assert!(report["errors"].get("timed out").is_none(), "{report}");
}

#[test]
fn an_open_loop_does_not_forgive_a_stall() {
    const STALL: Duration = Duration::from_millis(1000);
    let stalling = || {
        fake(|verb, count| match (verb, count) {
            ("NOOP", 5) => Move::Stall(STALL, "200 at last"),
            _ => Move::Usual,
        })
    };
    let common = ["--scenario", "command", "--clients", "1", "--duration", "2"];
    let (code, open) = report(&url(stalling().address, ""), &[&common[..], &["--rate", "50"]].concat());
    assert_eq!((code, number(&open["ops"])), (0, 100.0), "{open}");
    // About half of the plan's operations should have begun during the stall: one in ten waited for most of it.
    assert!(number(&phase(&open, "command")["p90"]) >= 500.0, "{open}");
    assert!(number(&phase(&open, "operation")["p90"]) >= 500.0, "{open}");
    // The closed loop knows of one.
    let (_, closed) = report(&url(stalling().address, ""), &common);
    assert!(number(&phase(&closed, "command")["max"]) >= 1000.0, "{closed}");
}

#[test]
fn a_pause_is_no_plan() {
    /// Of the tester itself, much longer than its pause, in which it begins.
    const STOPPED: Duration = Duration::from_secs(4);
    /// For the tester to hear the answer, of which nobody else sees anything: a fraction of its pause.
    const HEARD: Duration = Duration::from_millis(300);
    let (sender, commands) = std::sync::mpsc::channel();
    let server = fake(move |verb, count| {
        if (verb, count) == ("NOOP", 1) {
            let _ = sender.send(());
        }
        Move::Usual
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_miniftp-load"));
    command.args(["--json", "--clients", "1", "--think", "1500", "--duration", "7"]).arg(url(server.address, ""));
    let load = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    commands.recv_timeout(PATIENCE).expect("a NOOP");
    thread::sleep(HEARD);
    let pid = Pid::from_child(&load);
    kill_process(pid, Signal::STOP).unwrap();
    thread::sleep(STOPPED);
    kill_process(pid, Signal::CONT).unwrap();
    let output = load.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert!(number(&report["ops"]) >= 2.0, "{report}");
    // The second was said seconds after its pause was over, and answered at once.
    assert!(number(&phase(&report, "command")["max"]) < 1000.0 * STOPPED.as_secs_f64() / 2.0, "{report}");
    assert!(number(&phase(&report, "operation")["max"]) < 1000.0 * STOPPED.as_secs_f64() / 2.0, "{report}");
}

#[test]
fn what_a_plan_cannot_begin_is_an_error() {
    let server = fake(|verb, _| match verb {
        "NOOP" => Move::Stall(PATIENCE, "200 never"),
        _ => Move::Usual,
    });
    let options = ["--rate", "100", "--clients", "1", "--duration", "0.5", "--timeout", "1"];
    let (code, report) = report(&url(server.address, ""), &options);
    assert_eq!(code, 1);
    assert_eq!(number(&report["errors"]["not begun"]), 49.0, "{report}");
}

#[test]
fn processes_merge_what_they_count() {
    let server = fake(|_, _| Move::Usual);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("histograms.log");
    let (code, report) = report(
        &url(server.address, ""),
        &[
            "--processes",
            "3",
            "--clients",
            "10",
            "--rate",
            "100",
            "--duration",
            "1",
            "--source",
            "127.0.0.0/24",
            "--histogram",
            log.to_str().unwrap(),
        ],
    );
    assert_eq!((code, number(&report["ops"])), (0, 102.0), "each of three rounds a third of the plan up: {report}");
    assert_eq!(number(&phase(&report, "login")["count"]), 10.0);
    assert_eq!(number(&phase(&report, "command")["count"]), 102.0);
    let mut sources = server.sources.lock().unwrap().clone();
    sources.sort();
    sources.dedup();
    assert_eq!(sources.len(), 10, "{sources:?}");
    let text = std::fs::read_to_string(log).unwrap();
    assert!(
        text.starts_with('#') && text.contains("\nTag=command,0.000,") && text.contains("\nTag=loop_lag,"),
        "{text}"
    );
}

#[test]
fn data_connections_come_from_the_same_address() {
    let server = Server::furnished();
    let options = ["--scenario", "get", "--clients", "3", "--duration", "0.3", "--source", "127.0.7.0/24"];
    let (code, report) = report(&url(server.address(), "a.bin"), &options);
    assert_eq!((code, report["errors"].to_string().as_str()), (0, "{}"), "{report}");
}

#[test]
fn usage_and_limits_end_with_2() {
    let text = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    for options in [
        ["--clients", "none"],
        ["--scenario", "dance"],
        ["--scenario", "get"],
        ["--rate", "-1"],
        ["--source", "127.0.0.0/64"],
        // Documentation's network is nobody's.
        ["--source", "192.0.2.0/24"],
        ["--timeout", "0"],
        ["--histogram", "/no/such/folder/log"],
        ["--server-pid", "4294967295"],
        ["--tls", "maybe"],
        ["--frobnicate", "1"],
    ] {
        let (code, output) = load("ftp://127.0.0.1:1/", &options);
        assert!(code == 2 && !text(&output).is_empty(), "{options:?}: {code} {}", text(&output));
    }
    assert_eq!(load("http://127.0.0.1/", &[]).0, 2);
    let (code, ports) = load("ftp://127.0.0.1:1/", &["--clients", "70000", "--processes", "70"]);
    assert!(code == 2 && text(&ports).contains("--source"), "{}", text(&ports));
    let mut narrow = Command::new("sh");
    narrow.args(["-c", "ulimit -n 100; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_miniftp-load"), "--clients", "200"]);
    let output = narrow.arg("ftp://127.0.0.1:1/").output().unwrap();
    assert!(output.status.code() == Some(2) && text(&output).contains("--processes 3"), "{}", text(&output));
    // Where even one session is too much no number of processes helps.
    narrow = Command::new("sh");
    narrow.args(["-c", "ulimit -n 12; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_miniftp-load"), "--clients", "1"]);
    let output = narrow.arg("ftp://127.0.0.1:1/").output().unwrap();
    let said = text(&output);
    assert!(output.status.code() == Some(2) && said.contains("ulimit") && !said.contains("--processes"), "{said}");
    assert_eq!(load("--help", &[]).0, 0);
}

#[test]
fn an_interrupt_ends_the_measurement_with_its_report() {
    for (processes, signal) in [("1", Signal::INT), ("2", Signal::INT), ("2", Signal::TERM)] {
        let (load, _server) = under_way(processes);
        // Of the one that was started alone: its parts are in no terminal's reach.
        kill_process(Pid::from_child(&load), signal).unwrap();
        let output = load.wait_with_output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        assert_eq!((output.status.code(), report["errors"].to_string().as_str()), (Some(0), "{}"), "{report}");
        assert!(number(&report["ops"]) >= 3.0 && number(&report["duration_s"]) < 3600.0, "{report}");
    }
}

/// A plan of an hour that has begun; of what it does not begin nothing is owed.
fn under_way(processes: &str) -> (Child, Fake) {
    let (sender, commands) = std::sync::mpsc::channel();
    let server = fake(move |verb, count| {
        if (verb, count) == ("NOOP", 3) {
            let _ = sender.send(());
        }
        Move::Usual
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_miniftp-load"));
    command.args(["--json", "--clients", "2", "--rate", "50", "--duration", "3600", "--processes", processes]);
    let load = command.arg(url(server.address, "")).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    commands.recv_timeout(PATIENCE).expect("three NOOPs");
    (load, server)
}

/// The processes that one has started, as the kernel lists them.
fn children(of: &Child) -> Vec<Pid> {
    let list = format!("/proc/{0}/task/{0}/children", of.id());
    let numbers = std::fs::read_to_string(list).unwrap();
    numbers.split_whitespace().filter_map(|number| Pid::from_raw(number.parse().ok()?)).collect()
}

#[test]
fn a_process_that_dies_is_an_error_among_the_figures_of_the_others() {
    let (load, _server) = under_way("2");
    let parts = children(&load);
    assert_eq!(parts.len(), 2);
    kill_process(parts[0], Signal::KILL).unwrap();
    kill_process(Pid::from_child(&load), Signal::INT).unwrap();
    let output = load.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!((output.status.code(), only_error(&report, "process lost")), (Some(1), 1.0), "{report}");
    assert!(number(&report["phases"]["command"]["count"]) >= 1.0, "{report}");
}

#[test]
fn no_process_outlives_the_one_that_started_it() {
    let (mut load, _server) = under_way("2");
    let watched: Vec<_> =
        children(&load).into_iter().map(|part| pidfd_open(part, PidfdFlags::empty()).unwrap()).collect();
    assert_eq!(watched.len(), 2);
    load.kill().unwrap();
    load.wait().unwrap();
    for part in &watched {
        let span = Timespec::try_from(PATIENCE).unwrap();
        let ended = poll(&mut [PollFd::new(part, PollFlags::IN)], Some(&span)).unwrap();
        assert_eq!(ended, 1, "a part goes on by itself");
    }
}
