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
