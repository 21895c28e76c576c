//! The word on one connection and the bytes on the other, out of step with each other.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use crate::content;
use crate::fake::{Client, Fake, Talk, says};

type Odd = fn(&mut Talk, &str, &str) -> bool;

#[test]
fn every_code_that_refuses_epsv_leads_to_pasv() {
    for code in ["500", "501", "502", "504", "522", "530", "425"] {
        let answer: &'static str = Box::leak(format!("{code} no\r\n").into_boxed_str());
        let (fake, client) = (Fake::start(&[("a", b"hello")], says(&[("EPSV", answer)])), Client::new());
        assert_eq!(client.code(&["-t", "5", "--retries", "0", "get", &fake.url("a")]), 0, "{code}");
        assert_eq!((client.read("a"), fake.heard("PASV")), (Some(b"hello".to_vec()), 1), "{code}");
    }
}

#[test]
fn a_229_without_brackets() {
    let bare = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "EPSV" && {
            let port = talk.listen();
            talk.say(&format!("229 Extended Passive Mode OK |||{port}|"));
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], bare), Client::new());
    assert_eq!(client.code(&["-t", "5", "--retries", "0", "get", &fake.url("a")]), 0);
    assert_eq!((client.read("a"), fake.heard("PASV")), (Some(b"hello".to_vec()), 0));
}

/// What a server may do about a RETR, and the exit code that it leads to.
const DOWNLOADS: [(&str, i32, Odd); 9] = [
    ("125 and 250", 0, |talk, _, _| {
        talk.say("125 already open");
        talk.data().unwrap().write_all(b"hello").unwrap();
        talk.say("250 fine");
        true
    }),
    ("two 150s", 0, |talk, _, _| {
        talk.raw(b"150 soon\r\n150 now\r\n");
        talk.data().unwrap().write_all(b"hello").unwrap();
        talk.say("226 fine");
        true
    }),
    ("200 at the end", 0, |talk, _, _| {
        talk.say("150 now");
        talk.data().unwrap().write_all(b"hello").unwrap();
        talk.say("200 fine");
        true
    }),
    ("everything in one piece, before the data", 0, |talk, _, _| {
        talk.raw(b"150 now\r\n226 done\r\n226 as I said\r\n");
        talk.data().unwrap().write_all(b"hello").unwrap();
        true
    }),
    ("accepted late", 0, |talk, _, _| {
        talk.say("150 soon");
        std::thread::sleep(Duration::from_millis(1500));
        talk.data().unwrap().write_all(b"hello").unwrap();
        talk.say("226 done");
        true
    }),
    ("dripping, but in time", 0, |talk, _, _| {
        talk.say("150 now");
        let mut data = talk.data().unwrap();
        for byte in b"hello" {
            std::thread::sleep(Duration::from_millis(500));
            data.write_all(&[*byte]).unwrap();
        }
        drop(data);
        talk.say("226 done");
        true
    }),
    ("the control connection goes with the 226", 0, |talk, _, _| {
        talk.say("150 now");
        talk.data().unwrap().write_all(b"hello").unwrap();
        talk.say("226 done");
        talk.hang_up();
        true
    }),
    ("421 in the middle", 6, |talk, _, _| {
        talk.say("150 now");
        let mut data = talk.data().unwrap();
        data.write_all(b"he").unwrap();
        talk.say("421 time out");
        talk.hang_up();
        true
    }),
    ("451 in the middle", 6, |talk, _, _| {
        talk.say("150 now");
        let mut data = talk.data().unwrap();
        data.write_all(b"he").unwrap();
        talk.say("451 disk");
        true
    }),
];

#[test]
fn downloads_whatever_the_server_says_and_when() {
    for (what, code, rule) in DOWNLOADS {
        let odd = move |talk: &mut Talk, verb: &str, argument: &str| verb == "RETR" && rule(talk, verb, argument);
        let (fake, client) = (Fake::start(&[("a", b"hello")], odd), Client::new());
        let output = client.run(&["-q", "-t", "4", "--retries", "0", "--tls", "off", "get", &fake.url("a")]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{what}: {said}");
        assert_eq!(client.read("a"), (code == 0).then(|| b"hello".to_vec()), "{what}");
        assert_eq!(said.lines().count(), usize::from(code != 0), "{what}: {said}");
    }
}

#[test]
fn a_server_that_leaves_between_transfers_is_called_again() {
    // Without a word, and in the middle of a row.
    let leaves = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "RETR" && talk.number < 4 && {
            talk.obey(verb, argument);
            talk.hang_up();
            true
        }
    };
    let files: Vec<(String, Vec<u8>)> = (0..8).map(|at| (format!("f{at}"), content(at * 50))).collect();
    let borrowed: Vec<(&str, &[u8])> = files.iter().map(|(name, file)| (name.as_str(), &file[..])).collect();
    let (fake, client) = (Fake::start(&borrowed, leaves), Client::new());
    let urls: Vec<String> = files.iter().map(|(name, _)| fake.url(name)).collect();
    let arguments: Vec<&str> =
        ["-t", "5", "-P", "1", "get"].into_iter().chain(urls.iter().map(String::as_str)).collect();
    assert_eq!(client.code(&arguments), 0);
    for (name, file) in &files {
        assert_eq!(client.read(name).as_ref(), Some(file), "{name}");
    }
    assert_eq!(*fake.shared.sessions.lock().unwrap(), 4);
}

#[test]
fn uploads_that_the_server_stops_or_stops_reading() {
    let rules: [(&str, i32, Odd); 3] = [
        // It goes on reading, and says early that this is of no use.
        ("452 while it still reads", 6, |talk, _, _| {
            talk.say("150 go");
            let mut data = talk.data().unwrap();
            let _ = data.read(&mut [0; 4096]);
            talk.say("452 disk full");
            let _ = data.read_to_end(&mut Vec::new());
            true
        }),
        ("552, and closed", 6, |talk, _, _| {
            talk.say("150 go");
            let mut data = talk.data().unwrap();
            let _ = data.read(&mut [0; 4096]);
            drop(data);
            talk.say("552 quota");
            true
        }),
        ("it stops reading", 8, |talk, _, _| {
            talk.say("150 go");
            let data = talk.data().unwrap();
            std::thread::sleep(Duration::from_secs(6));
            drop(data);
            true
        }),
    ];
    let file = content(16 << 20);
    for (what, code, rule) in rules {
        let odd = move |talk: &mut Talk, verb: &str, argument: &str| verb == "STOR" && rule(talk, verb, argument);
        let (fake, client) = (Fake::start(&[], odd), Client::new());
        client.write("up", &file);
        let output = client.run(&["-q", "-t", "2", "--retries", "0", "--tls", "off", "put", "up", &fake.url("x")]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.lines().count()), (Some(code), 1), "{what}: {said}");
    }
}

#[test]
fn replies_to_questions_sent_together_come_as_they_like() {
    // One by one in single bytes; and all held back until the last question is there.
    let bytes = |talk: &mut Talk, verb: &str, _: &str| {
        let text: &[u8] = match verb {
            "SIZE" => b"213 5\r\n",
            "MDTM" => b"213 20240309170509.25\r\n",
            _ => return false,
        };
        text.iter().for_each(|byte| talk.raw(&[*byte]));
        true
    };
    let together = |talk: &mut Talk, verb: &str, _: &str| match verb {
        "SIZE" => true,
        "MDTM" => {
            talk.raw(b"213 5\r\n213 20240309170509\r\n");
            true
        }
        _ => false,
    };
    let rules: [(&str, Odd); 2] = [("bytes", bytes), ("together", together)];
    for (what, rule) in rules {
        let (fake, client) = (Fake::start(&[("a", b"hello")], rule), Client::new());
        assert_eq!(client.code(&["-t", "5", "--retries", "0", "get", &fake.url("a")]), 0, "{what}");
        let when = std::fs::metadata(client.path("a")).unwrap().modified().unwrap();
        assert_eq!(when.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1_710_003_909, "{what}");
    }
}
