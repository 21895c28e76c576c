//! Files that are gone on with: by REST, by segments, behind a failure.

use crate::fake::{Client, Fake, Talk};
use crate::{content, plain};

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
fn an_upload_goes_on_behind_what_is_there() {
    let file = content(40_000);
    let (fake, client) = (Fake::start(&[("x", &file[..15_000])], plain), Client::new());
    client.write("up", &file);
    assert_eq!(client.code(&["-c", "put", "up", &fake.url("x")]), 0);
    assert_eq!(fake.shared.files.lock().unwrap().get("x"), Some(&file));
    assert_eq!((fake.heard("APPE"), fake.heard("STOR")), (1, 0));
}
