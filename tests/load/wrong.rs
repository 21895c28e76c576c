//! What servers do wrong is an error, of the class that it is.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::net;
use serde_json::Value;

use crate::common::{PATIENCE, accept, noise};
use crate::fake::{Move, fake};
use crate::{number, only_error, report, url};

#[test]
fn wrong_bytes_are_an_error() {
    let good = noise(200_000);
    let mut bad = good.clone();
    bad[150_000] ^= 1;
    let server = fake(move |verb, count| match verb {
        "RETR" if count == 3 => Move::Send(bad.clone(), Some("226 done")),
        "RETR" => Move::Send(good.clone(), Some("226 done")),
        _ => Move::Usual,
    });
    let (code, report) = report(&url(server.address, "f"), &["--scenario", "get", "--clients", "1", "--duration", "1"]);
    assert_eq!((code, only_error(&report, "wrong bytes")), (1, 1.0), "{report}");
    assert!(number(&report["ops"]) > 3.0);
}

#[test]
fn a_download_of_another_length_is_an_error() {
    let server = fake(|verb, count| match verb {
        "RETR" if count == 2 => Move::Send(vec![7; 65_536], Some("226 done")),
        "RETR" => Move::Send(vec![7; 131_072], Some("226 done")),
        _ => Move::Usual,
    });
    let address = url(server.address, "f");
    let options = ["--scenario", "get", "--clients", "1", "--duration", "1"];
    let (code, counted) = report(&address, &options);
    assert_eq!((code, only_error(&counted, "wrong bytes")), (1, 1.0), "{counted}");
    // A server that is wrong every time is found out where the length is given.
    let (code, counted) = report(&address, &[&options[..], &["--size", "131073"]].concat());
    assert_eq!((code, number(&counted["ops"])), (1, 0.0));
    assert!(only_error(&counted, "wrong bytes") > 0.0);
}

#[test]
fn a_download_that_goes_on_behind_its_length_is_an_error_at_once() {
    for (size, options) in [("213 1048576", &[][..]), ("500 what?", &["--size", "1048576"]), ("213 10", &[])] {
        let server = fake(move |verb, _| match verb {
            "SIZE" => Move::Say(size),
            "RETR" => Move::Endless,
            _ => Move::Usual,
        });
        let options = [&["--scenario", "get", "--clients", "1", "--duration", "1", "--verify", "0"], options].concat();
        let (code, report) = report(&url(server.address, "f"), &options);
        assert_eq!((code, number(&report["ops"]), number(&report["bytes"])), (1, 0.0, 0.0), "{report}");
        // Each of them was ended, and the next one begun.
        assert!(only_error(&report, "wrong bytes") > 1.0, "{report}");
    }
}

#[test]
fn what_is_too_long_already_at_the_end_is_an_error() {
    // Of so few bytes behind so many the kernel tells late: they are here, and nobody was woken for them.
    const PAUSE: Duration = Duration::from_millis(500);
    let server = fake(|verb, _| match verb {
        "RETR" => Move::Hold(vec![7; 2_100_000], PAUSE, 1000),
        _ => Move::Usual,
    });
    let options = ["--scenario", "get", "--clients", "1", "--duration", "2", "--size", "2100000", "--verify", "0"];
    let (code, report) = report(&url(server.address, "f"), &options);
    assert!(code == 1 && only_error(&report, "wrong bytes") >= 1.0, "{report}");
}

#[test]
fn an_odd_answer_to_size_is_no_length() {
    let server = fake(|verb, _| match verb {
        "SIZE" => Move::Say("200 fine"),
        "RETR" => Move::Send(vec![7; 1000], Some("226 done")),
        _ => Move::Usual,
    });
    let (code, report) = report(&url(server.address, "f"), &["--scenario", "get", "--clients", "1", "--duration", "1"]);
    assert_eq!((code, report["errors"].to_string().as_str()), (0, "{}"), "{report}");
    assert!(number(&report["ops"]) >= 1.0, "{report}");
}

#[test]
fn what_is_no_greeting_is_garbage() {
    for (said, stays) in [(&b"\x16\x03\x01 hello\xfe\n"[..], true), (b"no line end", true), (b"SSH-2.0-x\r\n", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let speaker = thread::spawn(move || {
            let mut stream = accept(&listener);
            stream.write_all(said).unwrap();
            stays.then_some(stream)
        });
        let options = ["--clients", "1", "--scenario", "login", "--duration", "0.2", "--timeout", "1"];
        let (code, report) = report(&url(address, ""), &options);
        assert_eq!((code, only_error(&report, "garbage")), (1, 1.0), "{report}");
        speaker.join().unwrap();
    }
}

#[test]
fn a_server_that_is_gone_is_told_of() {
    let mut process = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = process.id().to_string();
    let (sender, commands) = std::sync::mpsc::channel();
    let server = fake(move |verb, count| {
        if (verb, count) == ("NOOP", 1) {
            let _ = sender.send(());
        }
        Move::Usual
    });
    let end = thread::spawn(move || {
        commands.recv_timeout(PATIENCE).expect("a NOOP");
        process.kill().unwrap();
        process.wait().unwrap();
    });
    let (code, report) = report(&url(server.address, ""), &["--clients", "1", "--duration", "1", "--server-pid", &pid]);
    end.join().unwrap();
    assert_eq!((code, only_error(&report, "server gone"), &report["server"]), (1, 1.0, &Value::Null), "{report}");
}

#[test]
fn a_missing_226_is_an_error() {
    for (reply, how) in [(None, "closes"), (Some("200 whatever"), "says something else"), (Some("150 still"), "waits")]
    {
        let server = fake(move |verb, count| match verb {
            "RETR" if count == 2 => Move::Send(vec![7; 1000], reply),
            "RETR" => Move::Send(vec![7; 1000], Some("226 done")),
            _ => Move::Usual,
        });
        let options = ["--scenario", "get", "--clients", "1", "--duration", "1", "--timeout", "2"];
        let (code, report) = report(&url(server.address, "f"), &options);
        assert_eq!((code, only_error(&report, "missing 226")), (1, 1.0), "a server that {how}: {report}");
    }
}

#[test]
fn errors_have_classes() {
    let refusing = |wanted: &'static str, text: &'static str| {
        fake(move |verb, _| if verb == wanted { Move::Say(text) } else { Move::Usual }).address
    };
    // Bound, so that it is nobody else's, and not listening.
    let socket = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None).unwrap();
    net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let nobody = SocketAddr::try_from(net::getsockname(&socket).unwrap()).unwrap();
    for (address, scenario, class) in [
        (refusing("PASS", "530 no"), "command", "login"),
        (refusing("NOOP", "502 no"), "command", "command refused"),
        (refusing("RETR", "550 no"), "get", "transfer refused"),
        (refusing("EPSV", "229 here (|||1|)"), "get", "data connection"),
        (refusing("NOOP", "421 no"), "command", "session lost"),
        (nobody, "login", "connect"),
    ] {
        let options = ["--scenario", scenario, "--clients", "1", "--duration", "0.3", "--think", "20"];
        let (code, report) = report(&url(address, "f"), &options);
        assert_eq!(code, 1, "{class}: {report}");
        assert!(only_error(&report, class) >= 1.0);
    }
}
