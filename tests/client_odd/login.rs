//! From the greeting to the login, and TLS that is refused on the way.

#[cfg(feature = "tls")]
use std::io::{Read as _, Write as _};

use crate::fake::{Client, Fake, Talk, says};
use crate::plain;

#[test]
fn greetings() {
    type Odd = fn(&mut Talk, &str, &str) -> bool;
    let rules: [(i32, Odd); 6] = [
        (0, |talk, verb, _| {
            verb.is_empty() && {
                talk.say("120 wait");
                talk.say("220-many\r\n220-lines\r\n220 in");
                true
            }
        }),
        (0, |talk, verb, _| {
            verb.is_empty() && {
                talk.raw(b"no code\r\n220 after all\r\n");
                true
            }
        }),
        (0, |talk, verb, _| {
            verb == "USER" && {
                talk.say("230 no password wanted");
                true
            }
        }),
        (2, |talk, verb, _| {
            verb.is_empty() && {
                talk.say("421 too many users");
                talk.hang_up();
                true
            }
        }),
        (4, |talk, verb, _| {
            verb == "PASS" && {
                talk.say("530 not you");
                true
            }
        }),
        (8, |_, verb, _| verb.is_empty()),
    ];
    for (code, rule) in rules {
        let (fake, client) = (Fake::start(&[("a", b"hello")], rule), Client::new());
        assert_eq!(client.code(&["-t", "1", "--retries", "0", "get", &fake.url("a")]), code);
    }
}

#[test]
fn tls_that_is_asked_for_is_not_replaced_by_nothing() {
    let (fake, client) = (Fake::start(&[("a", b"x")], plain), Client::new());
    let secure = fake.url("a").replace("ftp://", "ftps://");
    let explicit = fake.url("a").replace("ftp://", "ftpes://");
    for arguments in [&["get", &secure][..], &["get", &explicit], &["--tls", "required", "get", &fake.url("a")]] {
        assert_eq!(client.code(arguments), 3);
    }
    assert_eq!(fake.heard("USER"), 0);
}

#[test]
fn a_greeting_in_pieces_or_late() {
    let pieces = |talk: &mut Talk, verb: &str, _: &str| {
        verb.is_empty() && {
            for byte in b"120 soon\r\n220-hello\r\n and\r\n220 in\r\n" {
                talk.raw(&[*byte]);
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], pieces), Client::new());
    assert_eq!(client.code(&["-t", "5", "--retries", "0", "get", &fake.url("a")]), 0);
    // "Soon", and then nothing for as long as a reply may take.
    let (fake, client) = (Fake::start(&[("a", b"hello")], says(&[("", "120 soon\r\n")])), Client::new());
    assert_eq!(client.code(&["-t", "1", "--retries", "0", "get", &fake.url("a")]), 8);
}

#[test]
fn codes_of_logins_that_lead_nowhere_and_of_those_that_do() {
    for (what, code, table) in [
        ("refused by name", 4, &[("USER", "530 not you\r\n")][..]),
        ("for ever another password", 4, &[("PASS", "331 again\r\n")]),
        ("an account is wanted", 4, &[("PASS", "332 account\r\n")]),
        ("an account at once", 4, &[("USER", "332 account\r\n")]),
        ("an address is wanted", 0, &[("USER", "331 Guest login ok, send your e-mail address as password.\r\n")]),
        ("superfluous", 0, &[("USER", "230 in\r\n"), ("PASS", "503 already in\r\n")]),
        ("202", 0, &[("PASS", "202 superfluous\r\n")]),
        ("not now, in the field's words", 4, &[("PASS", "430 wrong\r\n")]),
        ("bad sequence", 4, &[("USER", "503 not yet\r\n")]),
        ("no service", 2, &[("", "500 no\r\n")]),
        ("no service by 554", 2, &[("", "554 no\r\n")]),
    ] {
        let (fake, client) = (Fake::start(&[("a", b"hello")], says(table)), Client::new());
        let begun = client.run(&["-q", "-t", "3", "--retries", "0", "get", &fake.url("a")]);
        let said = String::from_utf8_lossy(&begun.stderr).into_owned();
        assert_eq!(begun.status.code(), Some(code), "{what}: {said}");
        let lines = if code == 0 { 0..=0 } else { 1..=1 };
        assert!(lines.contains(&said.lines().filter(|line| !line.contains("in the clear")).count()), "{what}: {said}");
    }
}

#[test]
fn too_many_users_is_no_wrong_password() {
    // 530 says both; only the words tell. The second session waits for the first instead of failing.
    let crowded = |talk: &mut Talk, verb: &str, _: &str| {
        let second = verb == "PASS" && talk.number > 1;
        if second {
            talk.say("530 Sorry, the maximum number of clients (1) from your host are already connected.");
        }
        second
    };
    let files: Vec<(String, Vec<u8>)> = (0..12).map(|at| (format!("f{at}"), crate::content(at * 100))).collect();
    let borrowed: Vec<(&str, &[u8])> = files.iter().map(|(name, file)| (name.as_str(), &file[..])).collect();
    let (fake, client) = (Fake::start(&borrowed, crowded), Client::new());
    assert_eq!(client.code(&["-t", "5", "-P", "4", "mirror", &fake.url(""), "t"]), 0);
    for (name, file) in &files {
        assert_eq!(client.read(&format!("t/{name}")).as_ref(), Some(file), "{name}");
    }
}

#[test]
fn tls_refused_in_every_way() {
    for reply in
        ["500 what\r\n", "502 no\r\n", "504 no\r\n", "534 no\r\n", "431 no\r\n", "633 what\r\n", "530 log in\r\n"]
    {
        let (fake, client) = (Fake::start(&[("a", b"hello")], says(&[("AUTH", reply)])), Client::new());
        let explicit = fake.url("a").replace("ftp://", "ftpes://");
        assert_eq!(client.code(&["-t", "3", "--retries", "0", "get", &explicit]), 3, "{reply}");
        assert_eq!((fake.heard("USER"), client.read("a")), (0, None), "{reply}");
        if cfg!(feature = "tls") {
            let output = client.run(&["-t", "3", "--retries", "0", "get", &fake.url("a")]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!((output.status.code(), client.read("a")), (Some(0), Some(b"hello".to_vec())), "{reply}: {said}");
            assert!(said.contains("in the clear"), "{said}");
        }
    }
}

#[test]
#[cfg(feature = "tls")]
fn plain_text_in_place_of_a_handshake() {
    for answer in ["500 what\r\n", "230 in\r\n", "SSH-2.0-x\r\n", "\0\0\0\0\0\0\0\0"] {
        let turns_back = move |talk: &mut Talk, verb: &str, _: &str| {
            verb == "AUTH" && {
                talk.say("234 go on");
                // Only what comes after the client's hello is no injection.
                let _ = talk.control.read(&mut [0; 4096]);
                let _ = talk.control.write_all(answer.as_bytes());
                true
            }
        };
        let (fake, client) = (Fake::start(&[("a", b"hello")], turns_back), Client::new());
        for scheme in ["ftp://", "ftpes://"] {
            let url = fake.url("a").replace("ftp://", scheme);
            assert_eq!(client.code(&["-t", "3", "--retries", "0", "get", &url]), 3, "{scheme} {answer}");
        }
        assert_eq!((fake.heard("USER"), client.read("a")), (0, None), "{answer}");
    }
}
