//! Replies on the control connection as servers in the field give them.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::fake::{Client, Fake, Talk, says};

fn get(rule: impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static) -> (i32, Option<Vec<u8>>, Fake) {
    get_within("3", rule)
}

fn get_within(
    seconds: &str,
    rule: impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static,
) -> (i32, Option<Vec<u8>>, Fake) {
    let (fake, client) = (Fake::start(&[("a", b"hello")], rule), Client::new());
    let code = client.code(&["-t", seconds, "--retries", "0", "get", &fake.url("a")]);
    let part = client.names().iter().any(|name| name.ends_with(".part"));
    assert!(code != 0 || !part, "an unfinished file is left behind");
    (code, client.read("a"), fake)
}

#[test]
fn forms_of_replies_that_are_understood() {
    for (what, table) in [
        ("empty inner lines", &[("", "220-\r\n\r\n220-\r\n220 \r\n"), ("PASS", "230-\r\n\r\n \r\n230\r\n")][..]),
        ("bare LF", &[("", "220-a\n b\n220 c\n"), ("USER", "331 x\n"), ("PASS", "230 x\n"), ("SIZE", "213 5\n")]),
        ("LF CR", &[("", "220-x\n\r y\n\r220 z\n\r"), ("USER", "331 x\n\r"), ("SIZE", "213 5\n\r")]),
        ("CR CR LF", &[("", "220 x\r\r\n"), ("SIZE", "213 5\r\r\n"), ("MDTM", "213 20240309170509\r\r\n")]),
        ("inner lines that look like ends", &[("", "220-a\r\n530 b\r\n221 c\r\n220-d\r\n220 e\r\n")]),
        ("code repeated before each feature", &[("FEAT", "211-Features\r\n211-EPSV\r\n211-SIZE\r\n211 End\r\n")]),
        ("features in one line", &[("FEAT", "211 EPSV SIZE MDTM\r\n")]),
        ("features that are an error", &[("FEAT", "530 log in\r\n")]),
        ("no features", &[("FEAT", "500 what\r\n")]),
        ("NUL and escapes", &[("", "220 a\0b\x1b[2J\r\n"), ("PASS", "230 \0\r\n")]),
        ("Latin-1 prose", &[("", "220 \u{e9}\u{e8}\r\n")]),
        ("kind but wrong codes", &[("TYPE", "226 fine\r\n"), ("USER", "331 x\r\n"), ("PASS", "202 fine\r\n")]),
        ("options refused", &[("OPTS", "501 what\r\n"), ("CLNT", "500 what\r\n"), ("TYPE", "200 x\r\n")]),
        ("tab after the code", &[("PASS", "230\tin\r\n")]),
        ("telnet options", &[("", "220 x\r\n"), ("USER", "331 \u{7f}\r\n")]),
        ("text before the number", &[("SIZE", "213 file: 5\r\n")]),
        ("extra replies", &[("TYPE", "200 a\r\n200 b\r\n"), ("SIZE", "213 5\r\n250 really\r\n")]),
        ("welcome late", &[("", "120 soon\r\n120 sooner\r\n220 now\r\n")]),
        ("welcome by 230", &[("", "220 x\r\n"), ("USER", "232 in\r\n")]),
    ] {
        let (code, file, _) = get(says(table));
        assert_eq!((code, file.as_deref()), (0, Some(b"hello".as_slice())), "{what}");
    }
}

#[test]
fn replies_in_pieces() {
    let (code, file, _) = get(|talk, verb, _| {
        verb == "PASS" && {
            for byte in "230-gr\u{fc}\u{df}\r\n230 in\r\n".as_bytes() {
                talk.raw(&[*byte]);
            }
            true
        }
    });
    assert_eq!((code, file), (0, Some(b"hello".to_vec())));
}

#[test]
fn telnet_negotiation_is_refused_and_otherwise_ignored() {
    let (code, file, _) = get(|talk, verb, _| {
        verb.is_empty() && {
            talk.raw(b"\xff\xfb\x01\xff\xfd\x18220 hel\xff\xfflo\r\n");
            true
        }
    });
    assert_eq!((code, file), (0, Some(b"hello".to_vec())));
}

#[test]
fn a_second_answer_is_not_taken_for_the_next_commands() {
    // Each of them is answered twice in one segment: counting replies would give every command its predecessor's.
    let twice = |talk: &mut Talk, verb: &str, argument: &str| {
        let text = match verb {
            "DELE" if argument == "b" => "550 no such file",
            "DELE" | "CWD" | "RMD" => "250 done",
            _ => return false,
        };
        talk.raw(format!("{text}\r\n{text}, as I said\r\n").as_bytes());
        true
    };
    let (fake, client) = (Fake::start(&[], twice), Client::new());
    let code = client.code(&["-t", "5", "rm", &fake.url("a"), &fake.url("b"), &fake.url("c")]);
    assert_eq!((code, fake.heard("DELE")), (10, 3));
}

#[test]
fn late_answers_do_not_shift_the_ones_behind() {
    // The second 250 arrives with the answer to the next command, in front of it.
    let late = |talk: &mut Talk, verb: &str, argument: &str| match (verb, argument) {
        ("CWD", _) => {
            talk.say("250 there");
            true
        }
        ("PWD", _) => {
            talk.raw(b"200 I said there\r\n257 \"/deep\"\r\n");
            true
        }
        ("SIZE", _) => {
            talk.raw(b"226 by the way\r\n213 77\r\n");
            true
        }
        _ => false,
    };
    let (fake, client) = (Fake::start(&[], late), Client::new());
    let output = client.run(&["-t", "5", "-e", "cd deep; pwd; size x", &fake.url("")]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("/deep") && text.contains("77"), "{text}");
}

#[test]
fn a_421_at_any_moment_leads_to_another_session() {
    for verb in ["USER", "PASS", "FEAT", "TYPE", "SIZE", "EPSV", "RETR"] {
        let once = move |talk: &mut Talk, heard: &str, _: &str| {
            heard == verb && talk.number == 1 && {
                talk.say("421 not now");
                talk.hang_up();
                true
            }
        };
        let (fake, client) = (Fake::start(&[("a", b"hello")], once), Client::new());
        assert_eq!(client.code(&["-t", "5", "--retries", "2", "get", &fake.url("a")]), 0, "{verb}");
        assert_eq!(client.read("a"), Some(b"hello".to_vec()), "{verb}");
    }
}

#[test]
fn silence_at_any_moment_is_bounded() {
    for (verb, code) in [("", 8), ("USER", 8), ("PASS", 8), ("FEAT", 8), ("SIZE", 8), ("RETR", 8), ("EPSV", 8)] {
        let (fake, client) = (Fake::start(&[("a", b"hello")], move |_, heard, _| heard == verb), Client::new());
        assert_eq!(client.code(&["-t", "1", "--retries", "0", "get", &fake.url("a")]), code, "{verb}");
        assert!(client.read("a").is_none());
    }
}

#[test]
fn a_host_whose_epsv_hangs_is_asked_for_pasv_the_next_time() {
    let hangs = |_: &mut Talk, verb: &str, _: &str| verb == "EPSV";
    let (fake, client) = (Fake::start(&[("a", b"hello")], hangs), Client::new());
    assert_eq!(client.code(&["-t", "3", "--retries", "1", "get", &fake.url("a")]), 0);
    assert_eq!((fake.heard("EPSV"), fake.heard("PASV")), (1, 1));
}

#[test]
fn c06_endless_lines_and_replies_cost_neither_time_nor_memory() {
    let rules: [(&str, &[u8]); 4] = [
        ("one line", &[b'x'; 4096]),
        ("one reply", b"211- and so on and so on\r\n"),
        ("empty lines", b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"),
        ("many replies", b"211 again\r\n"),
    ];
    for (what, piece) in rules {
        let endless = move |talk: &mut Talk, verb: &str, _: &str| {
            verb == "FEAT" && {
                talk.raw(b"211-");
                // Until the client hangs up, which it has to do however fast it reads.
                while talk.control.write_all(piece).is_ok() {}
                true
            }
        };
        let (fake, client) = (Fake::start(&[("a", b"hello")], endless), Client::new());
        let (code, memory) = client.code_and_memory(&["-t", "3", "--retries", "0", "get", &fake.url("a")]);
        // Or another session, which asks for no features, has fetched it: which of them depends on what was read when.
        let fetched = client.read("a").as_deref() == Some(b"hello");
        assert!(matches!(code, 2 | 6 | 8) && !fetched || code == 0 && fetched, "{what}: {code}");
        assert!(memory < 32 << 20, "{what}: {memory} bytes of memory");
    }
}

#[test]
fn c07_a_server_that_drips_is_left() {
    for verb in ["", "FEAT", "EPSV"] {
        let drips = move |talk: &mut Talk, heard: &str, _: &str| {
            heard == verb && {
                for _ in 0..200 {
                    if talk.control.write_all(b"2").is_err() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
                true
            }
        };
        let (fake, client) = (Fake::start(&[("a", b"hello")], drips), Client::new());
        assert_eq!(client.code(&["-t", "1", "--retries", "0", "get", &fake.url("a")]), 8, "{verb}");
    }
}

#[test]
fn c16_working_directories_and_numbers_that_are_none() {
    for text in ["257 \"/open", "257", "257 \"\"", "257 nothing here", "550 who knows"] {
        let answer: &'static str = text;
        let odd = move |talk: &mut Talk, verb: &str, argument: &str| match verb {
            "PWD" => {
                talk.say(answer);
                true
            }
            // Whoever goes away without knowing the way back lists the wrong directory from then on.
            "CWD" => panic!("CWD {argument}"),
            "MLSD" => {
                talk.send(b"");
                true
            }
            _ => false,
        };
        let (fake, client) = (Fake::start(&[], odd), Client::new());
        assert_eq!(client.code(&["-t", "3", "--retries", "0", "ls", &fake.url("dir")]), 0, "{text}");
    }
    for (size, time) in [("213 18446744073709551616", "213 x"), ("213 -1", "213 99999999999999"), ("213", "213")] {
        let table: [(&'static str, String); 2] = [("SIZE", format!("{size}\r\n")), ("MDTM", format!("{time}\r\n"))];
        let odd = move |talk: &mut Talk, verb: &str, _: &str| match table.iter().find(|(known, _)| *known == verb) {
            Some((_, text)) => {
                talk.raw(text.as_bytes());
                true
            }
            None => false,
        };
        let (code, file, _) = get(odd);
        assert_eq!((code, file), (0, Some(b"hello".to_vec())), "{size} {time}");
    }
}

/// A server that says this again and again instead of an answer, and how often it could.
fn repeats(at: &'static str, text: &'static [u8]) -> (i32, usize) {
    let said = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&said);
    let never_done = move |talk: &mut Talk, verb: &str, argument: &str| {
        verb == at && {
            if verb == "RETR" {
                let file = talk.file(argument).unwrap();
                talk.say("150 here it comes");
                talk.data().unwrap().write_all(&file).unwrap();
            }
            while talk.control.write_all(text).is_ok() && count.fetch_add(1, Ordering::Relaxed) < REPEATED {
                std::thread::sleep(Duration::from_millis(500));
            }
            true
        }
    };
    let (code, _, _) = get_within("1", never_done);
    (code, said.load(Ordering::Relaxed))
}

/// More than any wait of a second may be drawn out to by replies half a second apart.
const REPEATED: usize = 50;

#[test]
fn waits_are_not_drawn_out_for_ever() {
    let cases: [(&str, &[u8]); 7] = [
        ("RETR", b"150 wait\r\n"),
        ("RETR", b"150-wait\r\n150 wait\r\n"),
        ("RETR", b"211-"),
        ("", b"120 soon\r\n"),
        ("EPSV", b"150 soon\r\n"),
        ("SIZE", b"200 by the way\r\n"),
        ("USER", b"\xff\xfb\x01"),
    ];
    let runs = cases.map(|(at, text)| (at, text, std::thread::spawn(move || repeats(at, text))));
    for (at, text, run) in runs {
        let (code, said) = run.join().unwrap();
        let text = String::from_utf8_lossy(text);
        assert_eq!(code, 8, "{at}: {text}");
        assert!(said < REPEATED, "{at}: {text}: never left");
    }
}

#[test]
fn a_digest_may_take_its_time_while_it_is_said_so() {
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let slow = move |talk: &mut Talk, verb: &str, _: &str| match verb {
        "FEAT" => {
            talk.raw(b"211-Features:\r\n EPSV\r\n HASH SHA-256*\r\n211 End\r\n");
            true
        }
        "HASH" => {
            // Longer in all than a wait may be drawn out to by 1yz.
            for _ in 0..12 {
                talk.say("213-at it");
                std::thread::sleep(Duration::from_millis(500));
            }
            talk.say(&format!("213 SHA-256 0-4 {digest} a"));
            true
        }
        _ => false,
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], slow), Client::new());
    let output = client.run(&["-t", "1", "--retries", "0", "hash", &fake.url("a")]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains(digest));
}
