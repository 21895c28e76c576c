//! What must not be lost: files that a doubtful listing does not show, and files that two transfers meet at.

use std::time::Duration;

use crate::fake::{Client, Fake, Talk, says};

/// A server without MLSD that answers LIST of every directory, which is there, in these words.
pub fn without_lists(answer: &'static str) -> impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static {
    move |talk, verb, _| match verb {
        "FEAT" | "MLSD" | "MLST" => {
            talk.say("500 what");
            true
        }
        "LIST" | "NLST" => {
            talk.say(answer);
            true
        }
        _ => false,
    }
}

#[test]
fn nothing_is_deleted_because_a_listing_was_refused() {
    for (answer, code) in [("550 Permission denied", 5), ("450 try later", 0), ("550 no", 0)] {
        for path in ["", "sub/"] {
            let (fake, client) = (Fake::start(&[], without_lists(answer)), Client::new());
            client.write("mine", b"hello");
            assert_eq!(client.code(&["--delete", "--retries", "0", "mirror", &fake.url(path), "."]), code, "{answer}");
            assert_eq!(client.read("mine"), Some(b"hello".to_vec()), "{answer} of /{path}");
        }
    }
    let (fake, client) = (Fake::start(&[], without_lists("550 No files found")), Client::new());
    client.write("extra", b"hello");
    assert_eq!(client.code(&["--delete", "mirror", &fake.url(""), "."]), 0);
    assert_eq!(client.read("extra"), None, "an empty directory is one");
}

#[test]
fn nothing_is_deleted_where_a_line_is_not_understood() {
    let odd = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "MLSD" && {
            talk.send(b"type=file;size=1; a\r\nsize=5;type=fi\r\n");
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"1")], odd), Client::new());
    client.write("mine", b"hello");
    // What was not understood may have been a file, and it is not in the copy.
    assert_eq!(client.code(&["--delete", "mirror", &fake.url(""), "."]), 10);
    assert_eq!((client.read("a"), client.read("mine")), (Some(b"1".to_vec()), Some(b"hello".to_vec())));
}

/// What everybody knows to be no entry is none that is missing.
#[test]
fn a_mirror_lacks_nothing_where_only_decoration_is_skipped() {
    let listings: [&[u8]; 4] = [
        b"total 12\r\ndrwxr-xr-x 2 a b 1 Mar  9  2024 .\r\ndrwxr-xr-x 2 a b 1 Mar  9  2024 ..\r\n-rw-r--r-- 1 a b 1 Mar  9  2024 a\r\n\r\n",
        b"insgesamt 4\r\n-rw-r--r-- 1 a b 1 Mar  9  2024 a\r\n",
        b"/pub:\r\ntotal 4\r\n-rw-r--r-- 1 a b 1 Mar  9  2024 a\r\n",
        b"Directory DISK$USER:[ANN]\r\n\r\nA.;1 1 9-MAR-2024 17:05 [ANN] (RWED,RE,,)\r\n\r\nTotal of 1 file, 1 block.\r\n",
    ];
    for listing in listings {
        let rule = move |talk: &mut Talk, verb: &str, _: &str| match verb {
            "FEAT" => {
                talk.say("500 what");
                true
            }
            "LIST" => {
                talk.send(listing);
                true
            }
            _ => false,
        };
        let (fake, client) = (Fake::start(&[("a", b"1"), ("A.", b"1")], rule), Client::new());
        let shown = String::from_utf8_lossy(listing);
        assert_eq!(client.code(&["-t", "5", "mirror", &fake.url(""), "t"]), 0, "{shown}");
        assert!(client.read("t/a").or(client.read("t/A.")).is_some(), "{shown}");
    }
}

/// As vsftpd lists a directory that may not be read.
#[test]
fn nothing_is_deleted_where_a_directory_shows_only_itself() {
    let itself = |talk: &mut Talk, verb: &str, _: &str| match verb {
        "FEAT" | "MLSD" | "MLST" => {
            talk.say("500 what");
            true
        }
        "LIST" => {
            talk.send(b"drwx--x--x    2 0  0  4096 Nov 25 01:00 sub\r\n");
            true
        }
        _ => false,
    };
    let (fake, client) = (Fake::start(&[], itself), Client::new());
    client.write("mine", b"hello");
    client.run(&["--delete", "-t", "5", "mirror", &fake.url("sub"), "."]);
    assert_eq!(client.read("mine"), Some(b"hello".to_vec()));
}

#[test]
fn a_second_try_does_not_go_on_behind_an_older_file() {
    for (verb, answer) in [("STOR", "451 try again\r\n"), ("STOR", "425 no\r\n"), ("STOR", "450 busy\r\n")] {
        let once = std::sync::atomic::AtomicBool::new(true);
        let rule = move |talk: &mut Talk, heard: &str, _: &str| {
            heard == verb && once.swap(false, std::sync::atomic::Ordering::Relaxed) && {
                talk.raw(answer.as_bytes());
                true
            }
        };
        let (fake, client) = (Fake::start(&[("x", b"old")], rule), Client::new());
        client.write("up", b"a longer new file");
        assert_eq!(client.code(&["-t", "5", "--retries", "2", "put", "up", &fake.url("x")]), 0, "{answer}");
        let there = fake.shared.files.lock().unwrap().get("x").cloned();
        assert_eq!(there, Some(b"a longer new file".to_vec()), "{answer}");
    }
}

#[test]
fn two_transfers_do_not_write_one_file() {
    let slow = says(&[]);
    let files: [(&str, &[u8]); 2] = [("p/a", &[1; 300_000]), ("q/a", &[2; 300_000])];
    let (fake, client) = (Fake::start(&files, slow), Client::new());
    client.code(&["-t", "5", "--retries", "0", "get", &fake.url("p/a"), &fake.url("q/a")]);
    let whole = client.read("a").unwrap();
    assert!(whole == vec![1; 300_000] || whole == vec![2; 300_000], "a mixture of {} bytes", whole.len());
}

#[test]
fn nothing_is_deleted_on_another_server_where_a_line_is_not_understood() {
    let odd = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "MLSD" && {
            talk.send(b"type=file;size=1; a\r\nsize=5;type=fi\r\n");
            true
        }
    };
    let deletes = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "DELE" && {
            talk.shared.files.lock().unwrap().remove(argument.trim_start_matches('/'));
            talk.say("250 gone");
            true
        }
    };
    for (odd_source, left) in [(true, true), (false, false)] {
        let source = if odd_source { Fake::start(&[("a", b"1")], odd) } else { Fake::start(&[("a", b"1")], says(&[])) };
        let (target, client) = (Fake::start(&[("theirs", b"hello")], deletes), Client::new());
        let partial = if odd_source { 10 } else { 0 };
        assert_eq!(client.code(&["--delete", "mirror", &source.url(""), &target.url("")]), partial);
        let there = target.shared.files.lock().unwrap().clone();
        assert_eq!((there.get("a"), there.contains_key("theirs")), (Some(&b"1".to_vec()), left), "{odd_source}");
    }
}

/// A directory that MLSD shows may be a link: LIST tells, and so does DELE unless it is refused for another reason.
#[test]
fn nothing_is_deleted_behind_what_may_be_a_link() {
    const DENIED: &str = "550 Permission denied";
    let listings: [(&[u8], &str, usize); 5] = [
        (b"lrwxrwxrwx 1 a b 4 Mar  9  2024 lnk -> /else/where\r\n", DENIED, 0),
        (b"-rw-r--r-- 1 a b 4 Mar  9  2024 other\r\n", DENIED, 0),
        (b"what is this\r\n", DENIED, 0),
        (b"drwxr-xr-x 1 a b 4 Mar  9  2024 lnk\r\n", DENIED, 1),
        // Servers that show in LIST too what is behind a link.
        (b"drwxr-xr-x 1 a b 4 Mar  9  2024 lnk\r\n", "250 it was one", 0),
    ];
    for (listing, answer, entered) in listings {
        let rule = move |talk: &mut Talk, verb: &str, argument: &str| match verb {
            "MLSD" if argument.ends_with("lnk") => {
                talk.send(b"type=file;size=1; gold\r\n");
                true
            }
            "MLSD" => {
                talk.send(b"type=dir; lnk\r\n");
                true
            }
            "LIST" => {
                talk.send(listing);
                true
            }
            "NLST" => {
                talk.send(b"lnk\r\n");
                true
            }
            "DELE" => {
                talk.say(answer);
                true
            }
            _ => false,
        };
        for across in [false, true] {
            let (fake, source, client) =
                (Fake::start(&[], rule), Fake::start(&[("a", b"1")], says(&[])), Client::new());
            std::fs::create_dir(client.path("tree")).unwrap();
            client.write("tree/a", b"1");
            let from = if across { source.url("") } else { "tree".to_owned() };
            let what = String::from_utf8_lossy(listing);
            let code = client.code(&["-t", "5", "--retries", "0", "--delete", "mirror", &from, &fake.url("top")]);
            assert_eq!(code != 0, answer == DENIED, "{what}");
            assert_eq!((fake.heard("MLSD top/lnk"), fake.heard("DELE top/lnk/gold")), (entered, entered), "{what}");
        }
    }
}

/// A server that loses what is beyond the first thousand bytes of one file, and says 226 all the same.
fn loses(talk: &mut Talk, verb: &str, argument: &str) -> bool {
    verb == "STOR" && argument.ends_with("short") && {
        talk.say("150 go on");
        let mut bytes = talk.receive();
        bytes.truncate(1000);
        talk.shared.files.lock().unwrap().insert(argument.trim_start_matches('/').to_owned(), bytes);
        talk.say("226 stored");
        true
    }
}

#[test]
fn a_mirror_that_was_stored_in_part_is_no_success() {
    for (options, code) in [(&[][..], 10), (&["--ascii"], 0)] {
        let (fake, client) = (Fake::start(&[], loses), Client::new());
        std::fs::create_dir(client.path("tree")).unwrap();
        for (name, length) in [("tree/short", 300_000), ("tree/whole", 300_000), ("tree/small", 10)] {
            client.write(name, &vec![b'a'; length]);
        }
        let url = fake.url("");
        let output = client.run(&[&["-t", "5", "--retries", "0"], options, &["mirror", "tree", &url]].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{options:?}: {text}");
        let told = text.contains("/short: 300000 bytes were sent, the server has 1000");
        assert_eq!((told, text.contains("whole"), text.contains("small")), (code != 0, false, false), "{text}");
        // One listing before and one after, and no question a file.
        let listings = 1 + usize::from(code != 0);
        assert_eq!((fake.heard("MLSD"), fake.heard("SIZE")), (listings, 0), "{options:?}");
        let (source, target) = (Fake::start(&[("short", &[b'a'; 5000])], says(&[])), Fake::start(&[], loses));
        let (from, to) = (source.url(""), target.url(""));
        let across = client.code(&[&["-t", "5", "--retries", "0"], options, &["mirror", &from, &to]].concat());
        assert_eq!(across != 0, code != 0, "{options:?}");
    }
}

/// An incoming directory that empties itself, or a server that keeps nothing: nobody can tell which.
#[test]
fn what_is_sent_and_not_listed_is_told() {
    let keeps_nothing = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "STOR" && {
            talk.say("150 go on");
            talk.receive();
            talk.say("226 stored");
            true
        }
    };
    let (fake, client) = (Fake::start(&[("other", b"x")], keeps_nothing), Client::new());
    std::fs::create_dir(client.path("tree")).unwrap();
    client.write("tree/a", b"hello");
    client.write("tree/.hidden", b"hello");
    let output = client.run(&["-t", "5", "mirror", "tree", &fake.url("")]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("files sent that are not listed there: 1"), "{text}");
}

/// No data connection ended these listings: whether there is nothing to list is not known.
#[test]
fn nothing_is_deleted_because_nothing_came() {
    let never: fn(&mut Talk, &str, &str) -> bool = |talk, verb, _| {
        matches!(verb, "MLSD" | "LIST" | "NLST") && {
            talk.say("226 done");
            true
        }
    };
    let thrown_away: fn(&mut Talk, &str, &str) -> bool = |talk, verb, _| {
        matches!(verb, "MLSD" | "LIST" | "NLST") && {
            talk.say("150 here it comes");
            let data = talk.data().unwrap();
            rustix::net::sockopt::set_socket_linger(&data, Some(Duration::ZERO)).unwrap();
            drop(data);
            talk.say("226 done");
            true
        }
    };
    for (what, rule) in [("never", never), ("thrown away", thrown_away)] {
        for path in ["", "dir"] {
            let (fake, client) = (Fake::start(&[], rule), Client::new());
            client.write("mine", b"hello");
            client.run(&["-t", "3", "--retries", "0", "--delete", "mirror", &fake.url(path), "."]);
            assert_eq!(client.read("mine"), Some(b"hello".to_vec()), "{what}, in {path:?}");
        }
    }
}
