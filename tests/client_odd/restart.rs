//! Files that are gone on with: by REST, by segments, behind a failure.

use crate::fake::{Client, Fake, Talk};
use crate::{content, plain};

type Odd = fn(&mut Talk, &str, &str) -> bool;

#[test]
fn a_file_cut_short_is_no_file() {
    let file = content(50_000);
    let cut = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "RETR" && talk.restart == 0 && {
            let file = talk.file(argument).unwrap();
            talk.send(&file[..20_000]);
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", &file)], cut), Client::new());
    assert_eq!(client.code(&["--retries", "0", "get", &fake.url("a")]), 6);
    assert_eq!(client.names(), ["a.part"]);
    assert_eq!(client.read("a.part").unwrap(), file[..20_000]);
    // And the next run goes on with it.
    assert_eq!(client.code(&["-c", "get", &fake.url("a")]), 0);
    assert_eq!((client.names(), client.read("a")), (vec!["a".to_owned()], Some(file)));
}

#[test]
fn a_failure_is_tried_again_and_continued() {
    let file = content(50_000);
    let once = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "RETR" && talk.number == 1 && {
            let file = talk.file(argument).unwrap();
            talk.say("150 go");
            let mut data = talk.data().unwrap();
            std::io::Write::write_all(&mut data, &file[..30_000]).unwrap();
            // Only when the client has read it all does the connection break.
            data.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = std::io::Read::read_to_end(&mut data, &mut Vec::new());
            talk.hang_up();
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", &file)], once), Client::new());
    assert_eq!(client.code(&["get", &fake.url("a")]), 0);
    assert_eq!(client.read("a"), Some(file));
    assert_eq!(fake.heard("REST"), 1);
}

#[test]
fn rest_that_is_ignored_never_corrupts() {
    // Both when the content tells and when it cannot: every byte is the same.
    for file in [content(60_000), vec![0; 60_000]] {
        let ignores = |talk: &mut Talk, verb: &str, _: &str| {
            verb == "REST" && {
                talk.say("350 yes, yes");
                true
            }
        };
        let (fake, client) = (Fake::start(&[("a", &file)], ignores), Client::new());
        client.write("a.part", &file[..40_000]);
        assert_eq!(client.code(&["-c", "get", &fake.url("a")]), 0);
        assert_eq!((client.read("a"), client.names()), (Some(file.clone()), vec!["a".to_owned()]));
        assert_eq!(client.code(&["-n", "3", "get", &fake.url("a"), "-o", "b"]), 0);
        assert_eq!(client.read("b"), Some(file));
    }
    let refuses = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "REST" && {
            talk.say("502 no");
            true
        }
    };
    let file = content(60_000);
    let (fake, client) = (Fake::start(&[("a", &file)], refuses), Client::new());
    client.write("a.part", &file[..40_000]);
    assert_eq!(client.code(&["-c", "get", &fake.url("a")]), 0);
    assert_eq!(client.read("a"), Some(file));
}

#[test]
fn a_file_that_has_changed_is_not_continued() {
    let file = content(60_000);
    let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
    client.write("a.part", &vec![b'x'; 40_000]);
    assert_eq!(client.code(&["-c", "get", &fake.url("a")]), 0);
    assert_eq!(client.read("a"), Some(file));
}

#[test]
fn segments_that_rest_serves_and_segments_that_it_does_not() {
    let file = content(5 << 20);
    let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
    assert_eq!(client.code(&["-n", "4", "get", &fake.url("a")]), 0);
    assert!(client.read("a") == Some(file.clone()) && client.names() == ["a"]);
    assert_eq!(fake.heard("RETR"), 4);
    let zeros = vec![0; 5 << 20];
    let ignores = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "REST" && {
            talk.say("350 yes");
            true
        }
    };
    for file in [file, zeros] {
        let (fake, client) = (Fake::start(&[("a", &file)], ignores), Client::new());
        assert_eq!(client.code(&["-n", "4", "get", &fake.url("a")]), 0);
        assert!(client.read("a") == Some(file) && client.names() == ["a"]);
    }
}

#[test]
fn a_server_that_is_cut_short_may_say_anything_or_nothing() {
    /// Not said: the server closes the session instead.
    const LEAVE: &str = "leave";
    // More than fits between the two, so that the server notices.
    let file = content(24 << 20);
    for word in ["150 0.036 seconds", "426 you left", "226 done", "451 what", "", LEAVE] {
        let odd = move |talk: &mut Talk, verb: &str, argument: &str| {
            verb == "RETR" && {
                let from = std::mem::take(&mut talk.restart);
                let file = talk.file(argument).unwrap();
                talk.say("150 go");
                let mut data = talk.data().unwrap();
                let sent = std::io::Write::write_all(&mut data, &file[from..]);
                drop(data);
                // Only the last piece is taken whole.
                if from > 2 << 20 || sent.is_ok() && from > 0 {
                    talk.say("226 done");
                } else if word == LEAVE && sent.is_err() {
                    talk.control.shutdown(std::net::Shutdown::Both).unwrap();
                } else if !word.is_empty() {
                    talk.say(word);
                }
                true
            }
        };
        let (fake, client) = (Fake::start(&[("a", &file)], odd), Client::new());
        assert_eq!(client.code(&["-t", "3", "-n", "2", "get", &fake.url("a")]), 0, "{word}");
        assert!(client.read("a") == Some(file.clone()) && client.names() == ["a"], "{word}");
    }
}

#[test]
fn segments_are_verified_before_they_have_a_name() {
    let file = content(5 << 20);
    let wrong = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "RETR" && {
            let from = std::mem::take(&mut talk.restart);
            let mut file = talk.file(argument).unwrap();
            // Only those who begin at the first byte hear the truth everywhere.
            if from > 0 {
                file[from + 5] ^= 1;
            }
            talk.send(&file[from..]);
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", &file)], wrong), Client::new());
    client.write("a", b"an older one that was good");
    assert_eq!(client.code(&["-n", "4", "--verify", "get", &fake.url("a")]), 9);
    assert_eq!(
        (client.read("a"), client.names()),
        (Some(b"an older one that was good".to_vec()), vec!["a".to_owned()])
    );
    let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
    assert_eq!(client.code(&["-n", "4", "--verify", "get", &fake.url("a")]), 0);
    assert!(client.read("a") == Some(file) && client.names() == ["a"]);
    assert_eq!(fake.heard("RETR"), 5, "four pieces, and the whole to compare");
}

#[test]
fn segments_go_on_with_a_proven_beginning_only() {
    let file = content(6 << 20);
    let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
    client.write("a.part", &file[..2 << 20]);
    assert_eq!(client.code(&["-c", "-n", "4", "get", &fake.url("a")]), 0);
    assert!(client.read("a") == Some(file.clone()) && client.names() == ["a"]);
    let restarts = fake.shared.heard.lock().unwrap().iter().filter(|line| line.starts_with("REST")).cloned().collect();
    let expected: Vec<String> = [2, 3, 4, 5].iter().map(|megabyte| format!("REST {}", megabyte << 20)).collect();
    let mut restarts: Vec<String> = restarts;
    assert_eq!(restarts.remove(0), format!("REST {}", (2 << 20) - (16 << 10)), "the proof");
    restarts.sort();
    assert_eq!(restarts, expected);

    let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
    client.write("a.part", &vec![b'x'; 2 << 20]);
    assert_eq!(client.code(&["-c", "-n", "4", "get", &fake.url("a")]), 0);
    assert!(client.read("a") == Some(file.clone()) && client.names() == ["a"]);
    // What is left is too little to be divided, or all of it is here.
    for here in [file.len() - 1000, file.len()] {
        let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
        client.write("a.part", &file[..here]);
        assert_eq!(client.code(&["-c", "-n", "4", "get", &fake.url("a")]), 0);
        assert!(client.read("a") == Some(file.clone()) && client.names() == ["a"]);
    }
}

#[test]
fn text_has_no_segments() {
    let file = b"one\r\ntwo\r\n".repeat(300_000);
    for arguments in [&["--ascii", "-n", "4", "get"][..], &["-n", "4", "get"]] {
        let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
        let url = if arguments.len() == 3 { fake.url("a;type=a") } else { fake.url("a") };
        assert_eq!(client.code(&[arguments, &[&url, "-o", "a"]].concat()), 0);
        assert!(client.read("a") == Some(b"one\ntwo\n".repeat(300_000)), "{arguments:?}");
        assert_eq!((fake.heard("TYPE A"), fake.heard("RETR")), (1, 1));
    }
}

#[test]
fn a_report_of_segments_counts_the_files_bytes() {
    let file = content(5 << 20);
    let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
    let output = client.run(&["--json", "-n", "4", "get", &fake.url("a")]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains(&format!("\"bytes\":{}", file.len())), "{told}");
}

#[test]
fn what_has_changed_since_is_not_there_already() {
    let (fake, client) = (Fake::start(&[("a", b"new bytes")], plain), Client::new());
    client.write("a", b"old bytes");
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    std::fs::File::options().write(true).open(client.path("a")).unwrap().set_modified(old).unwrap();
    assert_eq!(client.code(&["-c", "get", &fake.url("a")]), 0);
    assert_eq!(client.read("a"), Some(b"new bytes".to_vec()));
    // And with the time it has there it is.
    assert_eq!(client.code(&["-c", "get", &fake.url("a")]), 0);
    assert_eq!(fake.heard("RETR"), 1);
}

#[test]
fn an_upload_goes_on_behind_what_is_there() {
    for here in [15_000, 40_000] {
        let file = content(40_000);
        let (fake, client) = (Fake::start(&[("x", &file[..here])], plain), Client::new());
        client.write("up", &file);
        assert_eq!(client.code(&["-c", "put", "up", &fake.url("x")]), 0);
        assert_eq!(fake.shared.files.lock().unwrap().get("x"), Some(&file));
        assert_eq!((fake.heard("APPE"), fake.heard("STOR")), (usize::from(here < file.len()), 0));
    }
}

#[test]
fn an_upload_does_not_go_on_behind_another_file() {
    let file = content(40_000);
    let unreadable = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "RETR" && {
            talk.say("550 not yours to read");
            true
        }
    };
    let ignores = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "REST" && {
            talk.say("350 yes, yes");
            true
        }
    };
    let refuses = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "REST" && {
            talk.say("502 no");
            true
        }
    };
    let rules: [(&[u8], Odd); 6] = [
        (b"older", plain),
        (&[b'x'; 30_000], plain),
        (&[b'x'; 40_000], plain),
        (&file[..15_000], unreadable),
        (&file[..30_000], ignores),
        (&file[..30_000], refuses),
    ];
    for (number, (there, rule)) in rules.into_iter().enumerate() {
        let (fake, client) = (Fake::start(&[("x", there)], rule), Client::new());
        client.write("up", &file);
        assert_eq!(client.code(&["-c", "put", "up", &fake.url("x")]), 0, "{number}");
        assert_eq!(fake.shared.files.lock().unwrap().get("x"), Some(&file), "{number}");
        assert_eq!((fake.heard("APPE"), fake.heard("STOR")), (0, 1), "{number}");
    }
}
