//! Listings for people: dialects, directories that are empty or not there, and clocks that are not in UTC.

use std::fs::File;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use miniftp::wire::date::{append_stamp, list_date};

use crate::fake::{Client, Fake, Talk, says};
use crate::safety::without_lists;

#[test]
fn listings_without_mlsd_and_empty_directories() {
    let old = |talk: &mut Talk, verb: &str, _: &str| {
        matches!(verb, "FEAT" | "MLSD" | "MLST") && {
            talk.say("500 what");
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], old), Client::new());
    let output = client.run(&["ls", "--json", &fake.url("")]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with(r#"{"name":"a","type":"file","size":5,"modify":"2024-03-09T00:00:00Z","mode":"0644""#),
        "{text}"
    );
    for answer in ["450 no files found", "550 no files found"] {
        let (fake, client) = (Fake::start(&[], without_lists(answer)), Client::new());
        assert_eq!(client.code(&["ls", &fake.url("dir")]), 0, "{answer}");
    }
    let missing = |talk: &mut Talk, verb: &str, _: &str| match verb {
        "FEAT" | "MLSD" | "MLST" => {
            talk.say("500 what");
            true
        }
        "LIST" => {
            talk.send(b"");
            true
        }
        "CWD" | "SIZE" | "MDTM" => {
            talk.say("550 no such directory");
            true
        }
        _ => false,
    };
    let (fake, client) = (Fake::start(&[], missing), Client::new());
    assert_eq!(client.code(&["ls", &fake.url("dir")]), 5);
}

/// An hour.
const HOUR: i64 = 3600;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn stamp(when: i64) -> String {
    let mut out = Vec::new();
    append_stamp(when, &mut out);
    String::from_utf8(out).unwrap()
}

/// A server without MLSD whose clock is so far from UTC. Its one file, of five bytes, is from `when`.
fn elsewhere(when: i64, ahead: i64) -> impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static {
    move |talk, verb, _| {
        match verb {
            "FEAT" | "MLSD" | "MLST" | "MFMT" => talk.say("500 what"),
            "MDTM" => talk.say(&format!("213 {}", stamp(when))),
            "LIST" => {
                let mut line = b"-rw-r--r-- 1 a b 5".to_vec();
                line.extend_from_slice(&list_date(when + ahead, now() + ahead));
                line.extend_from_slice(b"a\r\n");
                talk.send(&line);
            }
            _ => return false,
        }
        true
    }
}

/// The client with a tree that has the server's file, changed at `when`.
fn with_tree(when: i64) -> Client {
    let client = Client::new();
    std::fs::create_dir(client.path("t")).unwrap();
    client.write("t/a", b"other");
    set_time(&client, when);
    client
}

fn set_time(client: &Client, when: i64) {
    let file = File::options().write(true).open(client.path("t/a")).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(when as u64)).unwrap();
}

#[test]
fn times_of_a_server_in_another_zone_are_told_in_utc() {
    for ahead in [0, -5 * HOUR, 9 * HOUR, 5 * HOUR + HOUR / 2] {
        let when = (now() - 30 * HOUR) / 60 * 60 + 7;
        let (fake, client) = (Fake::start(&[("a", b"hello")], elsewhere(when, ahead)), Client::new());
        let output = client.run(&["ls", "--json", &fake.url(""), &fake.url("")]);
        let text = String::from_utf8(output.stdout).unwrap();
        let shown = stamp(when - 7);
        let (day, clock) = (
            format!("{}-{}-{}", &shown[..4], &shown[4..6], &shown[6..8]),
            format!("{}:{}:00Z", &shown[8..10], &shown[10..12]),
        );
        assert!(text.contains(&format!("\"modify\":\"{day}T{clock}\"")), "{ahead}: {text}");
        assert_eq!(fake.heard("MDTM"), 1, "{ahead}: once a host is enough");
    }
}

#[test]
fn a_mirror_to_another_zone_sends_what_has_changed_and_nothing_else() {
    let when = (now() - 3 * HOUR) / 60 * 60;
    for ahead in [-5 * HOUR, 0, 9 * HOUR] {
        // Sent a minute after it was last changed: it is the same.
        let (fake, client) = (Fake::start(&[("a", b"hello")], elsewhere(when, ahead)), with_tree(when - 60));
        assert_eq!(client.code(&["mirror", "t", &fake.url("")]), 0);
        assert_eq!(fake.heard("STOR"), 0, "{ahead} s ahead: the same file is sent again");
        // Changed half an hour later, at the same length.
        set_time(&client, when + HOUR / 2);
        assert_eq!(client.code(&["mirror", "t", &fake.url("")]), 0);
        assert_eq!(fake.heard("STOR"), 1, "{ahead} s ahead: a change is missed");
    }
}

#[test]
fn a_mirror_from_another_zone_fetches_what_has_changed_and_nothing_else() {
    for ahead in [-5 * HOUR, 0, 9 * HOUR] {
        let when = Arc::new(AtomicI64::new((now() - 30 * HOUR) / 60 * 60 + 30));
        let known = Arc::clone(&when);
        let changing = move |talk: &mut Talk, verb: &str, argument: &str| {
            elsewhere(known.load(Ordering::Relaxed), ahead)(talk, verb, argument)
        };
        let (fake, client) = (Fake::start(&[("a", b"hello")], changing), Client::new());
        for fetched in [1, 1] {
            assert_eq!(client.code(&["mirror", &fake.url(""), "t"]), 0);
            assert_eq!(fake.heard("RETR"), fetched, "{ahead}");
        }
        // Whoever got the file elsewhere, with its true time, has the same.
        set_time(&client, when.load(Ordering::Relaxed));
        assert_eq!(client.code(&["mirror", &fake.url(""), "t"]), 0);
        assert_eq!(fake.heard("RETR"), 1, "{ahead}");
        when.fetch_add(HOUR, Ordering::Relaxed);
        assert_eq!(client.code(&["mirror", &fake.url(""), "t"]), 0);
        assert_eq!(fake.heard("RETR"), 2, "{ahead}");
    }
}

#[test]
fn a_clock_that_cannot_be_known_is_taken_for_utc() {
    let when = (now() - 30 * HOUR) / 60 * 60;
    for (answer, times) in [("500 what", 1), ("550 no", 3), ("213 20010101000000", 3), ("213 x", 3)] {
        let odd = move |talk: &mut Talk, verb: &str, argument: &str| {
            if verb == "MDTM" {
                talk.say(answer);
                return true;
            }
            elsewhere(when, 0)(talk, verb, argument)
        };
        let (fake, client) = (Fake::start(&[("a", b"hello")], odd), Client::new());
        let url = fake.url("");
        let output = client.run(&["ls", "--json", &url, &url, &url, &url, &url]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!((output.status.code(), text.lines().count()), (Some(0), 5), "{answer}: {text}");
        let shown = stamp(when);
        assert!(text.contains(&format!("T{}:{}:00Z", &shown[8..10], &shown[10..12])), "{answer}: {text}");
        assert_eq!(fake.heard("MDTM"), times, "{answer}");
    }
}

#[test]
fn every_dialect_leads_to_the_file() {
    for (what, line) in [
        ("Unix", "-rw-r--r--   1 alice    users           5 Mar  9  2024 a"),
        ("no group", "-rw-r--r--   1 alice    5 Mar  9  2024 a"),
        ("numbers and an ACL", "-rw-r--r--+  1 1000 1000 5 Mar  9 17:05 a"),
        ("DOS", "03-09-24  05:05PM                    5 a"),
        ("EPLF", "+i8388621.44468,m839956783,r,s5,\ta"),
        ("NetWare", "- [R----F--] rhesus 5 Jan 20 15:27 a"),
        ("OS/400", "BOB   5 02/23/24 15:09:55 *STMF      a"),
        ("among prose", "total 1\r\n\r\nwhat is this\r\n-rw-r--r-- 1 a b 5 Mar  9  2024 a"),
    ] {
        let lists = move |talk: &mut Talk, verb: &str, _: &str| match verb {
            "FEAT" | "MLSD" | "MLST" => {
                talk.say("500 what");
                true
            }
            "LIST" => {
                talk.send(format!("{line}\r\n").as_bytes());
                true
            }
            _ => false,
        };
        let (fake, client) = (Fake::start(&[("a", b"hello")], lists), Client::new());
        // Behind a line that is not understood there may be a file that the copy lacks.
        let code = if what == "among prose" { 10 } else { 0 };
        assert_eq!(client.code(&["-t", "5", "mirror", &fake.url(""), "t"]), code, "{what}");
        assert_eq!(client.read("t/a"), Some(b"hello".to_vec()), "{what}");
    }
}

#[test]
fn mlsd_with_odd_lines_among_good_ones() {
    let lines = "Type=cdir;; /\r\nTYPE=pdir; ..\r\ntype=FILE;SIZE=5;; a\r\n\r\nwhat is this\r\ntype=file;size=5;modify=x; b\r\n\
                 size=5 c\r\n d\r\ntype=dir; ../up\r\ntype=file; /etc/abs\r\ntype=file;size=5;modify=20240309170509; two words\r\n";
    let rule = move |talk: &mut Talk, verb: &str, argument: &str| match (verb, argument.trim_start_matches('/')) {
        ("MLSD", "") => {
            talk.send(lines.as_bytes());
            true
        }
        ("RETR", _) => {
            talk.send(b"hello");
            true
        }
        ("SIZE", _) => {
            talk.say("213 5");
            true
        }
        _ => false,
    };
    let (fake, client) = (Fake::start(&[], rule), Client::new());
    let before = client.names();
    assert_eq!(client.code(&["-t", "5", "mirror", &fake.url(""), "t"]), 10, "two names are not used");
    let mut got: Vec<String> = std::fs::read_dir(client.path("t"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    got.sort();
    assert_eq!(got, ["a", "b", "c", "d", "two words"]);
    assert_eq!((before.len() + 1, client.names()), (1, vec!["t".to_owned()]));
}

#[test]
fn names_are_bytes_and_options_for_them_may_be_refused() {
    let sent = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&sent);
    let refuses = says(&[("OPTS", "501 no\r\n"), ("FEAT", "211-\r\n utf8\r\n\tMLST\tType*;Size*;\r\n211 end\r\n")]);
    let rule = move |talk: &mut Talk, verb: &str, argument: &str| {
        if verb == "MLSD" {
            *counted.lock().unwrap() += 1;
            talk.send(b"type=file;size=5; caf\xe9\r\ntype=file;size=5; caf\xc3\xa9\r\n");
            return true;
        }
        if verb == "RETR" {
            talk.send(b"hello");
            return true;
        }
        refuses(talk, verb, argument)
    };
    let (fake, client) = (Fake::start(&[], rule), Client::new());
    assert_eq!(client.code(&["-t", "5", "-P", "1", "mirror", &fake.url(""), "t"]), 0);
    use std::os::unix::ffi::OsStringExt as _;
    let mut got: Vec<Vec<u8>> =
        std::fs::read_dir(client.path("t")).unwrap().map(|entry| entry.unwrap().file_name().into_vec()).collect();
    got.sort();
    assert_eq!(got, [b"caf\xc3\xa9".to_vec(), b"caf\xe9".to_vec()]);
    assert_eq!((*sent.lock().unwrap(), fake.heard("OPTS UTF8 ON")), (1, 1), "tabs and small letters are features too");
}
