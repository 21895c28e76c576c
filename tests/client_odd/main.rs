//! The client against servers that are odd, broken or hostile.

#[path = "../common/mod.rs"]
mod common;

mod ahead;
mod changing;
mod channel;
mod data;
mod fake;
mod hostile;
mod interface;
mod listing;
mod login;
mod pipes;
mod probe;
mod replies;
mod restart;
mod safety;
mod shell;
mod terminal;

use fake::{Client, Fake, Talk};

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// Nothing odd.
fn plain(_: &mut Talk, _: &str, _: &str) -> bool {
    false
}

#[test]
fn a_well_behaved_server() {
    let file = content(100_000);
    let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
    assert_eq!(client.code(&["get", &fake.url("a")]), 0);
    assert_eq!(client.read("a"), Some(file.clone()));
    assert_eq!(client.names(), ["a"]);
    client.write("up", &file);
    assert_eq!(client.code(&["put", "up", &fake.url("there")]), 0);
    assert_eq!(fake.shared.files.lock().unwrap().get("there"), Some(&file));
    assert_eq!(client.run(&["cat", &fake.url("a")]).stdout, file);
    assert_eq!(client.code(&["get", &fake.url("nothing")]), 5);
}

#[test]
fn ways_to_a_data_connection_that_fail_lead_to_the_next() {
    type Odd = fn(&mut Talk, &str, &str) -> bool;
    let rules: [(&str, Odd); 8] = [
        ("EPSV unknown", |talk, verb, _| {
            verb == "EPSV" && {
                talk.say("500 what");
                true
            }
        }),
        ("EPSV 502", |talk, verb, _| {
            verb == "EPSV" && {
                talk.say("502 no");
                true
            }
        }),
        ("EPSV leads nowhere", |talk, verb, _| {
            verb == "EPSV" && {
                talk.say("229 Extended (|||1|)");
                true
            }
        }),
        ("EPSV without a port", |talk, verb, _| {
            verb == "EPSV" && {
                talk.say("229 Extended");
                true
            }
        }),
        ("EPSV port 0", |talk, verb, _| {
            verb == "EPSV" && {
                talk.say("229 Extended (|||0|)");
                true
            }
        }),
        ("EPSV answered as PASV", |talk, verb, _| {
            verb == "EPSV" && {
                let port = talk.listen();
                talk.say(&format!("227 Passive 10,1,2,3,{},{}", port >> 8, port & 255));
                true
            }
        }),
        ("nothing passive", |talk, verb, _| {
            matches!(verb, "EPSV" | "PASV") && {
                talk.say("502 no");
                true
            }
        }),
        ("PASV elsewhere, no brackets, on two lines", |talk, verb, _| match verb {
            "EPSV" => {
                talk.say("500 what");
                true
            }
            "PASV" => {
                let port = talk.listen();
                talk.say(&format!("227-Entering\r\n227 Passive mode 192,0,2,1,{},{}", port >> 8, port & 255));
                true
            }
            _ => false,
        }),
    ];
    for (what, rule) in rules {
        let (fake, client) = (Fake::start(&[("a", b"hello"), ("b", b"world")], rule), Client::new());
        assert_eq!(client.code(&["-P", "1", "get", &fake.url("a"), &fake.url("b")]), 0, "{what}");
        assert_eq!((client.read("a"), client.read("b")), (Some(b"hello".to_vec()), Some(b"world".to_vec())), "{what}");
    }
}

#[test]
fn active_mode_takes_data_from_the_server() {
    let (fake, client) = (Fake::start(&[("a", b"hello")], plain), Client::new());
    assert_eq!(client.code(&["--active", "get", &fake.url("a")]), 0);
    assert_eq!((client.read("a"), fake.heard("PORT"), fake.heard("EPSV")), (Some(b"hello".to_vec()), 1, 0));
}

#[test]
fn final_replies_come_early_late_twice_or_not_at_all() {
    let before = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "RETR" && {
            talk.say("150 go");
            talk.say("226 done already");
            let mut data = talk.data().unwrap();
            std::io::Write::write_all(&mut data, b"hello").unwrap();
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], before), Client::new());
    assert_eq!(client.code(&["get", &fake.url("a")]), 0);
    assert_eq!(client.read("a"), Some(b"hello".to_vec()));

    let twice = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "RETR" && {
            talk.obey(verb, argument);
            talk.say("226 done, as I said");
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello"), ("b", b"world"), ("c", b"!")], twice), Client::new());
    assert_eq!(client.code(&["-P", "1", "get", &fake.url("a"), &fake.url("b"), &fake.url("c")]), 0);
    assert_eq!((client.read("b"), client.read("c")), (Some(b"world".to_vec()), Some(b"!".to_vec())));

    let no_1yz = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "RETR" && {
            let file = talk.file(argument).unwrap();
            let mut data = talk.data().unwrap();
            std::io::Write::write_all(&mut data, &file).unwrap();
            drop(data);
            talk.say("250 sent");
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], no_1yz), Client::new());
    assert_eq!(client.code(&["get", &fake.url("a")]), 0);

    let never = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "RETR" && {
            talk.say("150 go");
            let mut data = talk.data().unwrap();
            std::io::Write::write_all(&mut data, b"hello").unwrap();
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], never), Client::new());
    assert_eq!(client.code(&["-t", "1", "--retries", "0", "get", &fake.url("a")]), 8);
    assert_eq!(client.names(), ["a.part"]);
}

#[test]
fn sizes_that_are_not_so() {
    // SIZE says too much, and again when asked again: the file is not whole.
    let more = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "SIZE" && {
            talk.say("213 999");
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], more), Client::new());
    assert_eq!(client.code(&["--retries", "0", "get", &fake.url("a")]), 6);
    assert_eq!(client.names(), ["a.part"]);
    // The file has grown meanwhile: SIZE says so when asked again.
    let grows = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "SIZE" && talk.times("SIZE") == 1 && {
            talk.say("213 3");
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], grows), Client::new());
    assert_eq!(client.code(&["get", &fake.url("a")]), 0);
    assert_eq!(client.read("a"), Some(b"hello".to_vec()));
    // No SIZE, nonsense, negative, too large: 226 is all there is.
    for answer in ["500 what", "550 no", "213 -5", "213 99999999999999999999", "213 size unknown"] {
        let odd = move |talk: &mut Talk, verb: &str, _: &str| {
            verb == "SIZE" && {
                talk.say(answer);
                true
            }
        };
        let (fake, client) = (Fake::start(&[("a", b"hello")], odd), Client::new());
        assert_eq!(client.code(&["get", &fake.url("a")]), 0, "{answer}");
        assert_eq!(client.read("a"), Some(b"hello".to_vec()));
    }
}

#[test]
fn uploads_that_are_refused_or_lost_are_failures() {
    for (reply, code) in [("552 quota", 6), ("426 lost", 6), ("451 disk", 6), ("553 name", 5)] {
        let odd = move |talk: &mut Talk, verb: &str, _: &str| {
            verb == "STOR" && {
                talk.say("150 go");
                talk.receive();
                talk.say(reply);
                true
            }
        };
        let (fake, client) = (Fake::start(&[], odd), Client::new());
        client.write("up", b"hello");
        let code_seen = client.code(&["--retries", "0", "put", "up", &fake.url("x")]);
        assert!(code_seen == 6 || code_seen == code, "{reply}: {code_seen}");
    }
    let loses = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "STOR" && {
            talk.obey(verb, argument);
            talk.shared.files.lock().unwrap().get_mut(argument).unwrap().truncate(2);
            true
        }
    };
    let (fake, client) = (Fake::start(&[], loses), Client::new());
    client.write("up", b"hello");
    assert_eq!(client.code(&["--retries", "0", "put", "up", &fake.url("x")]), 6);
}

#[test]
fn replies_without_end_are_given_up() {
    let long_line = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "PWD" && {
            for _ in 0..200 {
                talk.raw(&[b'x'; 10_000]);
            }
            true
        }
    };
    let (fake, client) = (Fake::start(&[], long_line), Client::new());
    assert_ne!(client.code(&["-t", "5", "-e", "pwd", &fake.url("")]), 0);
    let many_lines = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "PWD" && {
            talk.say("257-begin");
            for _ in 0..100_000 {
                talk.raw(b" and so on and on and on\r\n");
            }
            true
        }
    };
    let (fake, client) = (Fake::start(&[], many_lines), Client::new());
    assert_ne!(client.code(&["-t", "5", "-e", "pwd", &fake.url("")]), 0);
    let preliminaries = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "RETR" && {
            for _ in 0..1000 {
                talk.say("150 soon");
            }
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"")], preliminaries), Client::new());
    assert_eq!(client.code(&["-t", "5", "--retries", "0", "get", &fake.url("a")]), 8);
}

#[test]
fn a_reply_that_ends_with_another_code_ends_after_a_silence() {
    let mixed = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "PWD" && {
            talk.raw(b"257-here it is\r\n250 \"/deep\" is it\r\n");
            true
        }
    };
    let (fake, client) = (Fake::start(&[], mixed), Client::new());
    let output = client.run(&["-t", "8", "--retries", "0", "-e", "pwd", &fake.url("")]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), b"/deep\n".as_slice()));
}

#[test]
fn a_server_that_cannot_be_talked_to_ahead_is_talked_to_step_by_step() {
    // It forgets whatever comes while it answers.
    let deaf = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "SIZE" && talk.number == 1 && {
            let mut dust = [0; 4096];
            talk.control.set_nonblocking(true).unwrap();
            let _ = std::io::Read::read(&mut talk.control, &mut dust);
            talk.control.set_nonblocking(false).unwrap();
            talk.raw(b"213-size follows\r\n200 5\r\n");
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], deaf), Client::new());
    assert_eq!(client.code(&["-t", "4", "get", &fake.url("a")]), 0);
    assert_eq!(client.read("a"), Some(b"hello".to_vec()));
}

#[test]
fn a_host_that_takes_few_sessions_is_served_by_few() {
    let files: Vec<(String, Vec<u8>)> = (0..40).map(|at| (format!("f{at}"), content(at * 100))).collect();
    let few = |talk: &mut Talk, verb: &str, _: &str| {
        verb.is_empty() && talk.number > 2 && {
            talk.say("421 too many connections");
            talk.hang_up();
            true
        }
    };
    let borrowed: Vec<(&str, &[u8])> = files.iter().map(|(name, file)| (name.as_str(), &file[..])).collect();
    let (fake, client) = (Fake::start(&borrowed, few), Client::new());
    assert_eq!(client.code(&["-P", "8", "mirror", &fake.url(""), "t"]), 0);
    for (name, file) in &files {
        assert_eq!(client.read(&format!("t/{name}")).as_ref(), Some(file));
    }
}
