//! What the user is told, and by which code: objects, words, closed and full outputs.

use std::process::Stdio;

use crate::fake::{Client, Fake, Talk, says};
use crate::plain;

/// The objects on standard output.
fn objects(client: &Client, arguments: &[&str]) -> (i32, Vec<String>) {
    let output = client.run(arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    eprintln!("{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), text.lines().map(str::to_owned).collect())
}

fn words(client: &Client, arguments: &[&str]) -> (i32, String) {
    let output = client.run(arguments);
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn removes(talk: &mut Talk, verb: &str, argument: &str) -> bool {
    match verb {
        "DELE" if talk.file(argument).is_some() => {
            talk.shared.files.lock().unwrap().remove(argument.trim_start_matches('/'));
            talk.say("250 gone");
        }
        "DELE" | "MKD" | "RMD" | "RNFR" => talk.say("550 no such file"),
        "MLSD" if argument.contains("nothing") => talk.say("550 no such directory"),
        "CWD" if argument.contains("nothing") => talk.say("550 no such directory"),
        _ => return false,
    }
    true
}

#[test]
fn every_failure_is_one_object() {
    let (fake, client) = (Fake::start(&[("a", b"hello")], removes), Client::new());
    client.write("here", b"other");
    let none = fake.url("nothing");
    for (verb, arguments) in [
        ("ls", vec!["ls", &none]),
        ("cat", vec!["cat", &none]),
        ("mkdir", vec!["mkdir", &none]),
        ("rm", vec!["rm", &none]),
        ("rmdir", vec!["rmdir", &none]),
        ("mv", vec!["mv", &none, "x"]),
        ("stat", vec!["stat", &none]),
        ("check", vec!["check", "here", &none]),
        ("mirror", vec!["mirror", &none, "tree"]),
        ("transfer", vec!["get", &none]),
    ] {
        let all = [&["--json", "--tls", "off", "--retries", "0"], &arguments[..]].concat();
        let (code, lines) = objects(&client, &all);
        let [line] = &lines[..] else { panic!("{verb}: {lines:?}") };
        assert_eq!(code, 5, "{verb}");
        assert!(
            line.starts_with(&format!("{{\"event\":\"{verb}\"")) && line.contains("\"result\":\"failed\""),
            "{line}"
        );
        assert!(line.contains("\"code\":550") && line.contains("no such"), "{line}");
    }
    // Several failures: an object each, and none for their number.
    let (code, lines) = objects(&client, &["--json", "--tls", "off", "rm", &none, &fake.url("neither")]);
    assert_eq!((code, lines.len()), (5, 2), "{lines:?}");
    // A shell's commands are no different.
    let (code, lines) = objects(&client, &["--json", "--tls", "off", "-e", "mkdir x", &fake.url("")]);
    assert_eq!((code, lines.len()), (5, 1), "{lines:?}");
    assert!(lines[0].starts_with("{\"event\":\"mkdir\""), "{lines:?}");
}

#[test]
fn objects_tell_what_check_found_and_mirror_removed() {
    let (fake, client) = (Fake::start(&[("a", b"hello"), ("b", b"x")], removes), Client::new());
    client.write("same", b"hello");
    client.write("longer", b"hello, world");
    let url = fake.url("a");
    let (code, lines) = objects(&client, &["--json", "--tls", "off", "check", "same", &url]);
    assert_eq!((code, lines.len()), (0, 1), "{lines:?}");
    assert!(lines[0].contains("\"result\":\"same\""), "{lines:?}");
    let (code, lines) = objects(&client, &["--json", "--tls", "off", "check", "longer", &url]);
    assert_eq!((code, lines.len()), (9, 1), "{lines:?}");
    assert!(lines[0].contains("12 bytes here, 5 there"), "{lines:?}");
    std::fs::create_dir(client.path("tree")).unwrap();
    for (name, bytes) in [("tree/a", &b"hello"[..]), ("tree/extra", b"1")] {
        client.write(name, bytes);
    }
    let all = ["--json", "--tls", "off", "--delete", "mirror", &fake.url(""), "tree"];
    let planned = objects(&client, &[&["--dry-run"], &all[..]].concat()).1;
    assert!(planned.iter().any(|line| line.contains("remove") && line.contains("extra") && line.contains("planned")));
    let (code, lines) = objects(&client, &all);
    assert_eq!(code, 0);
    let removed = lines.iter().find(|line| line.starts_with("{\"event\":\"remove\"")).unwrap();
    assert!(removed.contains("tree/extra") && removed.contains("\"ok\""), "{removed}");
    // In the other direction.
    let (code, lines) = objects(&client, &["--json", "--tls", "off", "--delete", "mirror", "tree", &fake.url("")]);
    assert_eq!(code, 0);
    assert!(!lines.iter().any(|line| line.contains("remove")), "{lines:?}");
    std::fs::remove_file(client.path("tree/b")).unwrap();
    let (_, lines) = objects(&client, &["--json", "--tls", "off", "--delete", "mirror", "tree", &fake.url("")]);
    assert!(lines.iter().any(|line| line.contains("\"remove\"") && line.contains("/b")), "{lines:?}");
}

#[test]
fn outputs_that_are_closed_or_full() {
    let (fake, client) = (Fake::start(&[("a", &[7; 300_000])], plain), Client::new());
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let url = fake.url("a");
    for arguments in [
        &["cat", &url][..],
        &["ls", &url],
        &["--json", "get", &url],
        &["--json", "rm", &fake.url("nothing")],
        &["--version"],
        &["--help"],
    ] {
        let all = [&["--tls", "off", "--retries", "0"], arguments].concat();
        let status = client.command(&all).stdout(full()).stderr(Stdio::null()).status().unwrap();
        // What the server refuses comes first.
        let expected = if matches!(arguments[..], ["--json", "rm", ..]) { 5 } else { 7 };
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    }
    // Nobody reads what is said, nor the data: no panic, and a code of the table.
    for (arguments, code) in
        [(&["-v", "cat", &url][..], 7), (&["-vv", "get", &url], 0), (&["-v", "ls", "ftp://127.0.0.1:1/"], 2)]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = client.command(&[&["--tls", "off", "--retries", "0"], arguments].concat());
        let status = command.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn mistakes_are_called_by_their_names() {
    let (fake, client) = (Fake::start(&[("a", b"hello")], plain), Client::new());
    for (arguments, code, said) in [
        (&["nosuchverb", "x"][..], 1, "nosuchverb: no such verb"),
        (&["ls"], 1, "URL or HOST:PATH is missing"),
        (&["-e", "ls"], 1, "not connected; open HOST first"),
        (&["-e", "open"], 1, "usage: open HOST"),
        (&["-e", "d x"], 1, "d may be delete, dir, disconnect or du"),
        (&["-e", "get -dash", &fake.url("")], 1, "goes behind --"),
        (&["-e", "mdelete nothing*", &fake.url("")], 5, "nothing*: no such files"),
        (&["-e", "mls nothing*", &fake.url("")], 5, "nothing*: no such files"),
        (&["put", "missing", &fake.url("x")], 7, "miniftp: missing: No such file or directory\n"),
        (&["--ca-file", "missing", "ls", "ftp://127.0.0.1:1/"], 1, "--tls off contradicts"),
        (&["--pin", &"a5".repeat(32), "ls", "ftp://127.0.0.1:1/"], 1, "--tls off contradicts"),
        (
            &["--tls", "auto", "--ca-file", "missing", "ls", "ftp://127.0.0.1:1/"],
            if cfg!(feature = "tls") { 7 } else { 2 },
            "",
        ),
    ] {
        let off = if arguments[0] == "--tls" { &[][..] } else { &["--tls", "off"] };
        let (got, text) = words(&client, &[off, &["--retries", "0"], arguments].concat());
        assert!(got == code && text.contains(said), "{arguments:?}: {got} {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    // Behind -- it is a name.
    assert_eq!(client.code(&["--tls", "off", "-e", "get -- -dash", &fake.url("")]), 5);
}

#[test]
fn retries_without_a_subject_are_said_without_one() {
    let (fake, client) = (Fake::start(&[], |_, verb, _| verb == "DELE"), Client::new());
    let (code, said) = words(&client, &["--tls", "off", "-t", "1", "--retries", "1", "rm", &fake.url("a")]);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("trying again") && !said.contains(": :"), "{said}");
}

#[test]
fn a_probe_says_what_failed_once() {
    let (fake, client) = (Fake::start(&[], says(&[("PASS", "530 not you\r\n")])), Client::new());
    let output = client.run(&["--tls", "off", "probe", &fake.url("")]);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!((output.status.code(), text.matches("not you").count()), (Some(4), 1), "{text}");
}

#[test]
fn a_directory_needs_no_slash_to_be_put_into() {
    let sub = |talk: &mut Talk, verb: &str, argument: &str| match (verb, argument) {
        // Some refuse when a part of it has arrived.
        ("STOR", "sub") => {
            talk.say("150 go on");
            talk.receive();
            talk.say("553 is a directory");
            true
        }
        ("STOR", "box") => {
            talk.say("550 is a directory");
            true
        }
        ("MLST", "box") => {
            talk.say("250-x\r\n type=dir; box\r\n250 end");
            true
        }
        ("MLST", "sub") => {
            talk.say("250-x\r\n type=dir; sub\r\n250 end");
            true
        }
        ("STOR", "denied") => {
            talk.say("553 not you");
            true
        }
        _ => false,
    };
    let (fake, client) = (Fake::start(&[], sub), Client::new());
    client.write("up", b"hello");
    for directory in ["sub", "box"] {
        assert_eq!(client.code(&["--tls", "off", "put", "up", &fake.url(directory)]), 0);
        let there = fake.shared.files.lock().unwrap().get(&format!("{directory}/up")).cloned();
        assert_eq!(there, Some(b"hello".to_vec()), "{directory}");
    }
    let (code, said) = words(&client, &["--tls", "off", "put", "up", &fake.url("denied")]);
    assert_eq!((code, said.matches("not you").count()), (5, 1), "{said}");
    assert_eq!(fake.heard("STOR denied/"), 0);
}

#[test]
fn directories_that_are_empty_by_a_refusal() {
    for (answer, empty) in [
        ("450 No files found", true),
        ("550 No files found.", true),
        ("550 nothing", true),
        ("450 nothing to list", true),
        ("550 Permission denied", false),
        ("450 Transfer failed", false),
    ] {
        for modern in [true, false] {
            let rule = move |talk: &mut Talk, verb: &str, _: &str| match verb {
                "MLSD" | "LIST" | "NLST" => {
                    talk.say(answer);
                    true
                }
                "FEAT" if !modern => {
                    talk.say("500 what");
                    true
                }
                _ => false,
            };
            let (fake, client) = (Fake::start(&[], rule), Client::new());
            let options = ["--tls", "off", "-t", "5", "--retries", "0"];
            let ls = client.code(&[&options[..], &["ls", &fake.url("dir/")]].concat());
            let mirror = client.code(&[&options[..], &["mirror", &fake.url("dir"), "tree"]].concat());
            assert_eq!((ls == 0, mirror == 0), (empty, empty), "{answer}, MLSD: {modern}");
        }
    }
}

/// The connection stays in the queue of the port, which is open until the next EPSV.
#[test]
fn directories_that_are_empty_and_not_worth_a_connection() {
    for modern in [true, false] {
        let rule = move |talk: &mut Talk, verb: &str, _: &str| match verb {
            "MLSD" | "LIST" | "NLST" => {
                talk.say("226 done");
                true
            }
            "FEAT" if !modern => {
                talk.say("500 what");
                true
            }
            _ => false,
        };
        let (fake, client) = (Fake::start(&[], rule), Client::new());
        assert_eq!(
            client.code(&["-t", "3", "--retries", "0", "mirror", &fake.url("dir"), "tree"]),
            0,
            "MLSD: {modern}"
        );
    }
}

#[test]
fn a_server_that_loses_what_is_sent_ahead_is_reached_step_by_step() {
    // From the login on it forgets whatever is behind a command.
    let forgets = |talk: &mut Talk, verb: &str, _: &str| match verb {
        "FEAT" => {
            talk.raw(b"211-Features:\r\n EPSV\r\n MDTM\r\n SIZE\r\n UTF8\r\n211 End\r\n");
            true
        }
        "" => false,
        _ => {
            talk.forget_lines();
            false
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], forgets), Client::new());
    assert_eq!(client.code(&["--tls", "off", "-t", "1", "--retries", "2", "get", &fake.url("a")]), 0);
    assert_eq!(client.read("a"), Some(b"hello".to_vec()));
}

#[test]
fn replies_are_judged_by_their_first_digit() {
    let odd = |talk: &mut Talk, verb: &str, argument: &str| {
        let text = match verb {
            "EPSV" if argument.is_empty() => {
                let port = talk.listen();
                format!("200 go on (|||{port}|)")
            }
            "SIZE" => "226 5".to_owned(),
            "MDTM" => "200 20240309170509".to_owned(),
            "CWD" | "DELE" | "RMD" | "MKD" => "226 fine".to_owned(),
            "REST" => {
                talk.restart = argument.parse().unwrap();
                "200 ok".to_owned()
            }
            _ => return false,
        };
        talk.say(&text);
        true
    };
    let options = ["--tls", "off", "-t", "2", "--retries", "0"];
    let (fake, client) = (Fake::start(&[("a", b"hello")], odd), Client::new());
    for arguments in
        [&["get", &fake.url("a")][..], &["rm", &fake.url("a")], &["rmdir", &fake.url("d")], &["mkdir", &fake.url("d")]]
    {
        assert_eq!(client.code(&[&options[..], arguments].concat()), 0, "{arguments:?}");
    }
    assert_eq!(client.read("a"), Some(b"hello".to_vec()));
    // A server that wants to know more has done nothing yet.
    let asks =
        crate::fake::says(&[("RNTO", "350 and then?\r\n"), ("DELE", "350 sure?\r\n"), ("RNFR", "350 go on\r\n")]);
    let (fake_asking, client_asking) = (Fake::start(&[("a", b"hello")], asks), Client::new());
    for arguments in [&["mv", &fake_asking.url("a"), &fake_asking.url("b")][..], &["rm", &fake_asking.url("a")]] {
        assert_eq!(client_asking.code(&[&options[..], arguments].concat()), 5, "{arguments:?}");
    }
    // What was begun is gone on with.
    let file = crate::content(200_000);
    let (fake, client) = (
        Fake::start(&[("b", &file)], move |talk, verb, argument| verb != "SIZE" && odd(talk, verb, argument)),
        Client::new(),
    );
    client.write("b.part", &file[..100_000]);
    assert_eq!(client.code(&[&options[..], &["-c", "get", &fake.url("b")]].concat()), 0);
    assert_eq!(client.read("b"), Some(file));
    // PASV as well.
    let classic = |talk: &mut Talk, verb: &str, _: &str| match verb {
        "EPSV" => {
            talk.say("500 what");
            true
        }
        "PASV" => {
            let port = talk.listen();
            talk.say(&format!("200 here (127,0,0,1,{},{})", port >> 8, port & 255));
            true
        }
        _ => false,
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], classic), Client::new());
    assert_eq!(client.code(&[&options[..], &["get", &fake.url("a")]].concat()), 0);
}

#[test]
#[cfg(feature = "tls")]
fn a_server_that_hangs_at_auth_is_left_with_a_hint() {
    let (fake, client) = (Fake::start(&[], |_, verb, _| verb == "AUTH"), Client::new());
    let (code, said) = words(&client, &["-t", "1", "--retries", "0", "ls", &fake.url("")]);
    assert!(code == 8 && said.contains("--tls off"), "{code} {said}");
}

#[test]
fn what_was_closed_can_be_opened_again() {
    let (fake, client) = (Fake::start(&[("a", b"hello")], plain), Client::new());
    let (url, verbs) = (fake.url(""), "ls; passive on; ls; user ann secret; close");
    let again = format!("ls; close; open {url}; {verbs}; open {url}; ls");
    let output = client.run(&["--tls", "off", "-t", "5", "--retries", "0", "-e", &again, &fake.url("")]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("a\n").count(), 4);
}
