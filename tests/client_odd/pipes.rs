//! Commands of this system at the other end of a pipe: `|COMMAND` where a local name may stand, and behind a verb.

use std::process::Stdio;

use rustix::process::Signal;

use crate::changing::{signal, wait_for};
use crate::fake::{Client, Fake, says};
use crate::plain;

/// Runs a script with one file on the server: exit code, standard output and standard error.
fn script(fake: &Fake, client: &Client, text: &str) -> (i32, String, String) {
    let output = client.run(&["--tls", "off", "-e", text, &fake.url("")]);
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), words(&output.stdout), words(&output.stderr))
}

#[test]
fn data_goes_to_a_command_that_is_typed_behind_a_verb() {
    let (fake, client) = (Fake::start(&[("a", b"hello"), ("b", b"xy")], plain), Client::new());
    for (line, shown) in [
        ("cat a |tr a-z A-Z", "HELLO"),
        ("cat a b | cat; echo done", "helloxydone\n"),
        ("nlist |sed s/^/+/", "+a\n+b\n"),
        ("nlist . \"|sed s/^/+/\"", "+a\n+b\n"),
        ("dir | wc -l", "2\n"),
        ("pwd |cat", "/\n"),
        ("get a |tr a-z A-Z", "HELLO"),
        ("get a \"|tr a-z A-Z\"", "HELLO"),
        ("get a |cat; pwd", "hello"),
    ] {
        let (code, out, err) = script(&fake, &client, line);
        let said = if line.ends_with("; pwd") { out.starts_with(shown) } else { out == shown };
        assert!(code == 0 && said || line.ends_with("; pwd"), "{line}: {code} {out:?} {err:?}");
    }
    assert!(client.names().iter().all(|name| name.starts_with('.')), "{:?}", client.names());
}

#[test]
fn what_a_command_writes_is_sent() {
    let (fake, client) = (Fake::start(&[], plain), Client::new());
    for (line, code) in [
        ("put \"|printf hi\" sent", 0),
        ("append \"|printf ' there'\" sent", 0),
        ("put |printf no", 1),
        ("put \"|printf half; exit 4\" failed", 7),
    ] {
        let (was, out, err) = script(&fake, &client, line);
        assert_eq!(was, code, "{line}: {out:?} {err:?}");
        assert_eq!(err.contains("exit status: 4"), code == 7, "{err}");
    }
    let files = fake.shared.files.lock().unwrap();
    assert_eq!(files.get("sent").map(Vec::as_slice), Some(b"hi there".as_slice()));
    assert!(!files.contains_key("no"));
}

#[test]
fn a_command_that_fails_is_a_failure_and_one_that_leaves_is_none() {
    let big = vec![b'x'; 1 << 20];
    let (fake, client) = (Fake::start(&[("a", b"hello"), ("big", &big)], plain), Client::new());
    for line in ["get a \"|exit 3\"", "cat a |exit 3", "ls |exit 3", "cat big |head -c 5 >&2; exit 3", "!exit 3"] {
        let (code, _, err) = script(&fake, &client, line);
        assert!(code == 7 && err.contains("exit status: 3"), "{line}: {code} {err:?}");
    }
    for line in ["cat big |head -c 5", "get big |head -c 5", "get big \"|head -c 5\""] {
        let text = format!("{line}\npwd");
        client.write("script", text.as_bytes());
        let output = client.run(&["--tls", "off", "-f", "script", &fake.url("")]);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!((output.status.code(), &*out), (Some(0), "xxxxx/\n"), "{line}: {err:?}");
        assert!(!err.contains("ipe"), "{line}: {err}");
    }
}

#[test]
fn only_verbs_that_show_something_have_a_command_behind_them() {
    let (fake, client) = (Fake::start(&[("a", b"hello")], plain), Client::new());
    for line in ["user ann |touch ran", "rm |touch ran", "cd |touch ran", "ls |"] {
        let (code, _, err) = script(&fake, &client, line);
        assert_eq!(code, 1, "{line}: {err}");
    }
    assert_eq!((client.read("ran"), fake.heard("DELE"), fake.heard("USER ann")), (None, 0, 0));
}

#[test]
fn a_script_that_is_stopped_stops_the_command_beside_it() {
    // The signal is told to the client alone, as by kill(1) or a service manager.
    for (line, made) in
        [("get a \"|cat >got; exec tail -f got\"", "got"), ("put \"|echo x >sent; exec tail -f sent\" b", "sent")]
    {
        for stop in [Signal::INT, Signal::TERM] {
            let (fake, client) = (Fake::start(&[("a", b"hello")], says(&[("ABOR", "226 aborted\r\n")])), Client::new());
            let mut child =
                client.command(&["--tls", "off", "-e", line, &fake.url("")]).stdout(Stdio::piped()).spawn().unwrap();
            wait_for(&mut child, || client.read(made).is_some_and(|held| !held.is_empty()));
            signal(&child, stop);
            // The command holds standard output as well, unless it writes to us, and lets it go when it ends.
            let mut rest = Vec::new();
            std::io::Read::read_to_end(&mut child.stdout.take().unwrap(), &mut rest).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(130), "{line} {stop:?}");
        }
    }
}
