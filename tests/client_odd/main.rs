//! The client against servers that are odd, broken or hostile.

mod ahead;
mod data;
mod fake;
mod hostile;
mod replies;

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
fn an_upload_goes_on_behind_what_is_there() {
    let file = content(40_000);
    let (fake, client) = (Fake::start(&[("x", &file[..15_000])], plain), Client::new());
    client.write("up", &file);
    assert_eq!(client.code(&["-c", "put", "up", &fake.url("x")]), 0);
    assert_eq!(fake.shared.files.lock().unwrap().get("x"), Some(&file));
    assert_eq!((fake.heard("APPE"), fake.heard("STOR")), (1, 0));
}

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
        let empty = move |talk: &mut Talk, verb: &str, _: &str| match verb {
            "FEAT" | "MLSD" | "MLST" => {
                talk.say("500 what");
                true
            }
            "LIST" | "NLST" => {
                talk.say(answer);
                true
            }
            _ => false,
        };
        let (fake, client) = (Fake::start(&[], empty), Client::new());
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
