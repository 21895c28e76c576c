//! Words of the shell.

use crate::content;
use crate::fake::{Client, Fake, Talk};
use crate::plain;

#[test]
fn two_names_are_a_remote_and_a_local_one_for_every_get() {
    let file = content(200_000);
    let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
    for verb in ["get", "reget", "pget", "pget -n 3"] {
        let line = format!("{verb} a here");
        assert_eq!(client.code(&["--tls", "off", "-e", &line, &fake.url("")]), 0, "{line}");
        assert_eq!((client.read("here"), client.read("a")), (Some(file.clone()), None), "{line}");
        std::fs::remove_file(client.path("here")).unwrap();
    }
    assert_eq!(client.code(&["--tls", "off", "-e", "pget a -o there", &fake.url("")]), 0);
    assert_eq!(client.read("there"), Some(file));
}

#[test]
fn what_is_said_with_quote_does_not_change_what_transfers_do() {
    let file = b"one\ntwo\n";
    let converts = |talk: &mut Talk, verb: &str, argument: &str| {
        let heard = talk.shared.heard.lock().unwrap().iter().rev().find(|line| line.starts_with("TYPE ")).cloned();
        if verb == "MODE" {
            talk.say("200 fine");
            return true;
        }
        verb == "RETR" && heard.as_deref() == Some("TYPE A") && {
            let file = String::from_utf8(talk.file(argument).unwrap()).unwrap();
            talk.send(file.replace('\n', "\r\n").as_bytes());
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", file)], converts), Client::new());
    assert_eq!(
        client.code(&["--tls", "off", "-e", "get a; quote TYPE A; get a b; quote MODE S; get a c", &fake.url("")]),
        0
    );
    for name in ["a", "b", "c"] {
        assert_eq!(client.read(name).as_deref(), Some(&file[..]), "{name}");
    }
}

#[test]
fn a_pattern_is_held_against_names_here() {
    let names = ["spare", "spot", "other", "[x]", "st*r"];
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, b"x".as_slice())).collect();
    let literal = |talk: &mut Talk, verb: &str, argument: &str| {
        let named = argument.trim_start_matches('/').to_owned();
        matches!(verb, "MLSD" | "LIST" | "NLST" | "STAT") && !named.is_empty() && {
            talk.say("550 no such directory");
            true
        }
    };
    let (fake, client) = (Fake::start(&files, literal), Client::new());
    for (line, shown, code) in [
        ("ls -1 sp*", "spare\nspot\n", 0),
        ("nlist sp?t", "spot\n", 0),
        ("nlist st[*]r", "st*r\n", 0),
        ("nlist [x]", "[x]\n", 0),
        ("nlist no*", "", 5),
    ] {
        let output = client.run(&["--tls", "off", "-e", line, &fake.url("")]);
        let out = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*out), (Some(code), shown), "{line}: {err}");
    }
}

#[test]
fn a_bookmark_keeps_who_logs_in_and_never_the_password() {
    let (fake, client) = (Fake::start(&[("a", b"x")], plain), Client::new());
    let url = fake.url("");
    let host = url.trim_start_matches("ftp://").trim_end_matches('/').to_owned();
    for (options, line, kept) in [
        (&["-u", "ann:secret"][..], "bookmark add m", format!("ftp://ann@{host}/%2F")),
        (&[][..], "bookmark add m", format!("ftp://{host}/%2F")),
        (&[][..], "bookmark add m ftps://bob:secret@h:99/a/b", "ftps://bob@h:99/a/b".into()),
        (&[][..], "bookmark add m bob@h:2121", "ftp://bob@h:2121/".into()),
    ] {
        assert_eq!(client.code(&[&["--tls", "off"], options, &["-e", line, &url]].concat()), 0, "{line}");
        let marks = String::from_utf8(client.read(".config/miniftp/bookmarks").unwrap()).unwrap();
        assert_eq!(marks, format!("m {kept}\n"), "{line}");
    }
}

#[test]
fn who_is_refused_may_give_another_name() {
    let knows_ann = |talk: &mut Talk, verb: &str, _: &str| {
        let users = talk.shared.heard.lock().unwrap().clone();
        let ann = users.iter().rev().find(|line| line.starts_with("USER")).is_some_and(|line| line == "USER ann");
        verb == "PASS" && !ann && {
            talk.say("530 not you");
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"x")], knows_ann), Client::new());
    for first in ["pwd", "user bob wrong"] {
        let user = if first == "pwd" { "bob:wrong" } else { "ann:right" };
        let script = format!("{first}\nuser ann right\npwd\n");
        client.write("script", script.as_bytes());
        let output = client.run(&["--tls", "off", "-u", user, "--keep-going", "-f", "script"]);
        assert_eq!(output.status.code(), Some(1), "there is nobody to talk to without an address");
        client.write("script", format!("open {}\n{script}", fake.url("")).as_bytes());
        let output = client.run(&["--tls", "off", "-u", user, "--keep-going", "-f", "script"]);
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(out.ends_with("/\n"), "{first}: {out:?} {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(4));
    }
}

#[test]
fn an_object_says_what_it_is_about() {
    let (fake, client) = (Fake::start(&[("a", b"x")], plain), Client::new());
    let missing = fake.url("b");
    for (arguments, path) in [
        (&["ls", "ftp://u:secret@h:0/a"][..], "\"path\":\"ftp://u@h:0/a\""),
        (&["cat", "http://h/a"], "\"path\":\"http://h/a\""),
        (&["check", "nothing", &missing], "\"path\":\"nothing\""),
        (&["cat", &missing], "\"path\":\"ftp://"),
    ] {
        let output = client.run(&[&["--tls", "off", "--json"], arguments].concat());
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(out.lines().count() == 1 && out.contains(path), "{arguments:?}: {out}");
        assert!(!out.contains("secret") && !err.contains("secret"), "{out} {err}");
    }
}
