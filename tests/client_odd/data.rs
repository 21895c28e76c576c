//! Data connections that come, come late, break, or never come; and lengths that are not what was said.

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::content;
use crate::fake::{Client, Fake, Talk, says};

type Odd = fn(&mut Talk, &str, &str) -> bool;

fn get(file: &[u8], options: &[&str], rule: impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static) -> Got {
    let (fake, client) = (Fake::start(&[("a", file)], rule), Client::new());
    let url = fake.url("a");
    let arguments: Vec<&str> = ["-t", "2", "get", &url].into_iter().chain(options.iter().copied()).collect();
    let code = client.code(&arguments);
    Got { code, file: client.read("a"), names: client.names() }
}

struct Got {
    code: i32,
    file: Option<Vec<u8>>,
    names: Vec<String>,
}

fn pasv(talk: &mut Talk, text: impl Fn(u16, u16) -> String) -> bool {
    let port = talk.listen();
    talk.say(&text(port >> 8, port & 255));
    true
}

#[test]
fn forms_of_227_and_229() {
    let rules: [(&str, Odd); 8] = [
        ("bare", |talk, verb, _| verb == "EPSV" && pasv(talk, |p, q| format!("227 10,0,0,1,{p},{q}"))),
        ("equals sign", |talk, verb, _| verb == "EPSV" && pasv(talk, |p, q| format!("227 Passive =127,0,0,1,{p},{q}"))),
        ("blanks", |talk, verb, _| verb == "EPSV" && pasv(talk, |p, q| format!("227 (127, 0, 0, 1, {p}, {q})"))),
        ("zeros", |talk, verb, _| verb == "EPSV" && pasv(talk, |p, q| format!("227 (0,0,0,0,{p:03},{q:03})."))),
        ("lines", |talk, verb, _| {
            verb == "EPSV" && pasv(talk, |p, q| format!("227-a\r\n 5,5\r\n227 Mode (127,0,0,1,{p},{q})"))
        }),
        ("exclamation marks", |talk, verb, _| {
            verb == "EPSV" && pasv(talk, |p, q| format!("229 Extended (!!!{}!)", p << 8 | q))
        }),
        ("filled in", |talk, verb, _| {
            verb == "EPSV" && pasv(talk, |p, q| format!("229 Extended (|1|10.1.2.3|{}|)", p << 8 | q))
        }),
        ("229 for PASV", |talk, verb, _| match verb {
            "EPSV" => pasv(talk, |_, _| "522 no".into()),
            "PASV" => pasv(talk, |p, q| format!("229 Extended (|||{}|)", p << 8 | q)),
            _ => false,
        }),
    ];
    for (what, rule) in rules {
        let got = get(b"hello", &["--retries", "0"], rule);
        assert_eq!((got.code, got.file), (0, Some(b"hello".to_vec())), "{what}");
    }
}

#[test]
fn c01_an_address_in_227_is_not_gone_to() {
    // A listener stands where the server points. Nobody may knock there.
    let trap = TcpListener::bind("127.0.0.2:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let port = trap.local_addr().unwrap().port();
    let points = move |talk: &mut Talk, verb: &str, _: &str| match verb {
        "EPSV" => {
            talk.say("500 what");
            true
        }
        "PASV" => {
            talk.say(&format!("227 Entering Passive Mode (127,0,0,2,{},{})", port >> 8, port & 255));
            true
        }
        "PORT" | "EPRT" => {
            talk.say("500 what");
            true
        }
        _ => false,
    };
    let got = get(b"hello", &["--retries", "0"], points);
    assert_eq!((got.code, got.file), (6, None));
    assert!(trap.accept().is_err(), "the client went where a 227 sent it");
}

#[test]
fn c02_malformed_227_and_229_are_clean_failures() {
    for (epsv, pasv) in [
        ("229 (|||0|)", "227 (1,2,3,4,0,0)"),
        ("229 (|||65536|)", "227 (1,2,3,4,256,1)"),
        ("229 (|||-5|)", "227 (1,2,3,4,5)"),
        ("229 (||5|)", "227 (1,2,3,4)"),
        ("229 |||", "227"),
        ("229", "227 no numbers"),
        ("200 fine", "200 fine"),
        ("229 (|||99999999999999999999|)", "227 (999,999,999,999,999,999)"),
        ("425 no", "425 no"),
    ] {
        let odd = move |talk: &mut Talk, verb: &str, _: &str| match verb {
            "EPSV" | "PASV" => {
                talk.say(if verb == "EPSV" { epsv } else { pasv });
                true
            }
            "PORT" | "EPRT" => {
                talk.say("502 no");
                true
            }
            _ => false,
        };
        let got = get(b"hello", &["--retries", "0"], odd);
        assert!(matches!(got.code, 6 | 8), "{epsv} {pasv}: {}", got.code);
        assert!(got.names.is_empty(), "{:?}", got.names);
    }
}

#[test]
fn ipv6_and_a_server_there_that_knows_pasv_only() {
    for epsv in [true, false] {
        let Ok(control) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return };
        let rule = move |talk: &mut Talk, verb: &str, _: &str| {
            if !matches!(verb, "EPSV" | "PASV") {
                return false;
            }
            let data = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
            let port = data.local_addr().unwrap().port();
            match (verb, epsv) {
                ("EPSV", true) => talk.say(&format!("229 Extended (|||{port}|)")),
                ("PASV", false) => talk.say(&format!("227 Passive (0,0,0,0,{},{})", port >> 8, port & 255)),
                _ => talk.say("500 what"),
            }
            talk.passive = Some(data);
            true
        };
        let (fake, client) = (Fake::on(control, &[("a", b"hello")], rule), Client::new());
        let url = format!("ftp://[::1]:{}/a", fake.address.port());
        assert_eq!(client.code(&["-t", "3", "--retries", "0", "get", &url]), 0, "EPSV: {epsv}");
        assert_eq!(client.read("a"), Some(b"hello".to_vec()));
    }
}

#[test]
fn data_connections_that_never_come_or_never_go() {
    let rules: [(&str, &[&str], Odd); 4] = [
        ("425 after 150", &[], |talk, verb, _| {
            verb == "RETR" && {
                talk.say("150 soon");
                talk.say("425 cannot open data connection");
                true
            }
        }),
        ("active, and the server does not come", &["--active"], |talk, verb, _| {
            verb == "RETR" && {
                talk.say("150 soon");
                true
            }
        }),
        ("accepted and silent", &[], |talk, verb, _| {
            verb == "RETR" && {
                talk.say("150 soon");
                let data = talk.data();
                std::thread::sleep(Duration::from_secs(8));
                drop(data);
                true
            }
        }),
        ("reset in the middle", &[], |talk, verb, _| {
            verb == "RETR" && {
                talk.say("150 soon");
                let mut data = talk.data().unwrap();
                data.write_all(b"he").unwrap();
                rustix::net::sockopt::set_socket_linger(&data, Some(Duration::ZERO)).unwrap();
                drop(data);
                talk.say("426 lost");
                true
            }
        }),
    ];
    for (what, options, rule) in rules {
        let options: Vec<&str> = ["--retries", "0"].iter().chain(options).copied().collect();
        let got = get(b"hello", &options, rule);
        assert!(matches!(got.code, 6 | 8), "{what}: {}", got.code);
        assert_eq!(got.file, None, "{what}");
    }
}

#[test]
fn c13_all_the_bytes_and_no_good_word_is_a_failure() {
    for word in ["426 lost", "451 disk", "550 changed my mind", "425 no", ""] {
        let odd = move |talk: &mut Talk, verb: &str, _: &str| {
            verb == "RETR" && {
                talk.say("150 go");
                let mut data = talk.data().unwrap();
                data.write_all(b"hello").unwrap();
                drop(data);
                if word.is_empty() {
                    talk.hang_up()
                } else {
                    talk.say(word)
                }
                true
            }
        };
        let got = get(b"hello", &["--retries", "0"], odd);
        assert_eq!((got.code, got.file), (6, None), "{word}");
        // What came is kept for the next run; bytes that came with the end of the whole session may be lost with it.
        assert!(word.is_empty() || got.names == ["a.part"], "{word}: {:?}", got.names);
    }
}

#[test]
fn c12_short_transfers_with_226_are_failures() {
    // SIZE tells; where there is no SIZE, the 150 does.
    let file = content(50_000);
    for size in [true, false] {
        let cut = move |talk: &mut Talk, verb: &str, argument: &str| match verb {
            "FEAT" | "SIZE" if !size => {
                talk.say("500 what");
                true
            }
            "RETR" => {
                let file = talk.file(argument).unwrap();
                talk.say("150 Opening BINARY mode data connection for a (50000 bytes).");
                talk.data().unwrap().write_all(&file[..30_000]).unwrap();
                talk.say("226 done");
                true
            }
            _ => false,
        };
        let got = get(&file, &["--retries", "0"], cut);
        assert_eq!((got.code, got.names), (6, vec!["a.part".to_owned()]), "SIZE: {size}");
    }
}

#[test]
fn lengths_beyond_what_was_said() {
    // SIZE says 0, which some servers say of everything.
    let zero = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "SIZE" && {
            talk.say("213 0");
            true
        }
    };
    let got = get(b"hello", &["--retries", "0"], zero);
    assert_eq!((got.code, got.file), (0, Some(b"hello".to_vec())));
    // SIZE insists on less than comes.
    let less = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "SIZE" && {
            talk.say("213 3");
            true
        }
    };
    let got = get(b"hello", &["--retries", "0"], less);
    assert_eq!((got.code, got.names.len()), (6, 0));
    // The file grows before, while and after it is sent: what came is what there was.
    let grows = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "SIZE" && {
            let size = 3 + 5 * (talk.times("SIZE") - 1);
            talk.say(&format!("213 {size}"));
            true
        }
    };
    let got = get(b"hello", &["--retries", "0"], grows);
    assert_eq!((got.code, got.file), (0, Some(b"hello".to_vec())));
}

#[test]
fn a_marker_that_a_server_keeps_is_taken_back() {
    // It applies REST to every transfer from then on.
    let keeps = |talk: &mut Talk, verb: &str, argument: &str| match verb {
        "RETR" => {
            let (from, file) = (talk.restart, talk.file(argument).unwrap());
            talk.send(&file[from..]);
            true
        }
        _ => false,
    };
    let (first, second) = (content(60_000), content(70_000));
    let (fake, client) = (Fake::start(&[("a", &first), ("b", &second)], keeps), Client::new());
    client.write("a.part", &first[..40_000]);
    assert_eq!(client.code(&["-c", "-P", "1", "--retries", "0", "get", &fake.url("a"), &fake.url("b")]), 0);
    assert_eq!((client.read("a"), client.read("b")), (Some(first), Some(second)));
    assert_eq!((fake.heard("REST 0"), *fake.shared.sessions.lock().unwrap()), (1, 1));
}

#[test]
fn c14_a_file_that_changed_is_not_spliced() {
    // Same length, other bytes, and the tail that is compared is the same: only the whole tells, which --verify does.
    let (old, new) = (vec![b'o'; 60_000], content(60_000));
    let (fake, client) = (Fake::start(&[("a", &new)], |_, _, _| false), Client::new());
    client.write("a.part", &old[..40_000]);
    assert_eq!(client.code(&["-c", "get", &fake.url("a")]), 0);
    assert_eq!(client.read("a"), Some(new.clone()));
    // 350 and the whole file; 350 and then 554; 350 and nothing.
    let rules: [Odd; 3] = [
        |talk, verb, _| {
            if verb == "RETR" {
                talk.restart = 0;
            }
            false
        },
        |talk, verb, _| {
            verb == "RETR" && talk.restart > 0 && {
                talk.restart = 0;
                talk.say("554 no restart");
                true
            }
        },
        |talk, verb, _| {
            verb == "RETR" && talk.restart > 0 && {
                talk.restart = 0;
                talk.send(b"");
                true
            }
        },
    ];
    for rule in rules {
        let (fake, client) = (Fake::start(&[("a", &new)], rule), Client::new());
        client.write("a.part", &new[..40_000]);
        let code = client.code(&["-c", "-t", "5", "get", &fake.url("a")]);
        assert_eq!(client.read("a").is_some(), code == 0);
        assert!(client.read("a").is_none_or(|file| file == new));
    }
}

#[test]
fn c17_active_mode_takes_nobody_but_the_server() {
    // A stranger on another address of this host is there first.
    let stranger = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "PORT" && {
            talk.obey(verb, &talk.heard_last());
            let to = talk.active.unwrap();
            let socket =
                rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
            rustix::net::bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 3], 0))).unwrap();
            rustix::net::connect(&socket, &to).unwrap();
            let mut early = std::net::TcpStream::from(socket);
            let _ = early.write_all(b"evil!");
            let _ = early.shutdown(Shutdown::Write);
            let _ = early.read_to_end(&mut Vec::new());
            true
        }
    };
    let got = get(b"hello", &["--active", "--retries", "0"], stranger);
    assert_eq!((got.code, got.file), (0, Some(b"hello".to_vec())));
}

#[test]
fn uploads_whatever_the_server_says_and_when() {
    let rules: [(&str, i32, Odd); 7] = [
        ("no 1yz", 0, |talk, verb, argument| {
            verb == "STOR" && {
                let bytes = talk.receive();
                talk.shared.files.lock().unwrap().insert(argument.to_owned(), bytes);
                talk.say("226 stored");
                true
            }
        }),
        ("125 and 250", 0, |talk, verb, argument| {
            verb == "STOR" && {
                talk.say("125 open");
                let bytes = talk.receive();
                talk.shared.files.lock().unwrap().insert(argument.to_owned(), bytes);
                talk.say("250 stored");
                true
            }
        }),
        ("426, then 226", 6, |talk, verb, _| {
            verb == "STOR" && {
                talk.say("150 go");
                talk.receive();
                talk.raw(b"426 lost\r\n226 done\r\n");
                true
            }
        }),
        ("a byte is lost", 6, |talk, verb, argument| {
            verb == "STOR" && {
                talk.say("150 go");
                let mut bytes = talk.receive();
                bytes.pop();
                talk.shared.files.lock().unwrap().insert(argument.to_owned(), bytes);
                talk.say("226 stored");
                true
            }
        }),
        ("refused at once", 5, |talk, verb, _| {
            verb == "STOR" && {
                talk.say("553 not here");
                true
            }
        }),
        ("full at once", 6, |talk, verb, _| {
            verb == "STOR" && {
                talk.say("452 full");
                true
            }
        }),
        ("control lost at the end", 6, |talk, verb, _| {
            verb == "STOR" && {
                talk.say("150 go");
                talk.receive();
                talk.hang_up();
                true
            }
        }),
    ];
    for (what, code, rule) in rules {
        for source in ["up", "-"] {
            let (fake, client) = (Fake::start(&[], rule), Client::new());
            client.write("up", b"hello");
            let url = fake.url("x");
            let mut command = client.command(&["-t", "12", "--retries", "0", "put", source, &url]);
            command.stdin(std::fs::File::open(client.path("up")).unwrap());
            assert_eq!(command.status().unwrap().code(), Some(code), "{what}, from {source}");
        }
    }
}

#[test]
fn an_upload_that_may_not_be_appended_to_is_sent_whole() {
    for answer in ["500 what\r\n", "550 no appending\r\n", "553 no\r\n"] {
        let file = content(40_000);
        let (fake, client) = (Fake::start(&[("x", &file[..15_000])], says(&[("APPE", answer)])), Client::new());
        client.write("up", &file);
        assert_eq!(client.code(&["-c", "-t", "5", "put", "up", &fake.url("x")]), 0, "{answer}");
        assert_eq!(fake.shared.files.lock().unwrap().get("x"), Some(&file));
        assert_eq!(fake.heard("REST"), 0);
    }
}

#[test]
fn one_way_that_works_is_kept_for_the_host() {
    let refuses = says(&[("EPSV", "500 what\r\n")]);
    let (fake, client) = (Fake::start(&[("a", b"1"), ("b", b"2"), ("c", b"3")], refuses), Client::new());
    let urls = [fake.url("a"), fake.url("b"), fake.url("c")];
    assert_eq!(client.code(&["-P", "1", "get", &urls[0], &urls[1], &urls[2]]), 0);
    assert_eq!((fake.heard("EPSV"), fake.heard("PASV")), (1, 3));
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_our_own_fault() {
    for leaves in [true, false] {
        let client = Client::new();
        let path = client.path("up");
        std::fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
        let shrinks = move |talk: &mut Talk, verb: &str, _: &str| {
            verb == "STOR" && {
                // More than the sockets hold is still to be read.
                std::fs::File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
                talk.say("150 go on");
                talk.receive();
                if leaves {
                    talk.hang_up()
                } else {
                    talk.say("426 you left")
                }
                true
            }
        };
        let fake = Fake::start(&[], shrinks);
        let output = client.run(&["-t", "5", "put", "up", &fake.url("x")]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(7), "{told}");
        assert!(told.contains("shorter"), "{told}");
        assert_eq!(fake.heard("STOR"), 1, "trying again does not help");
    }
}

#[test]
fn a_download_without_end_does_not_fill_the_disk() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let endless = move |talk: &mut Talk, verb: &str, _: &str| {
        verb == "RETR" && {
            talk.say("150 go");
            let mut data = talk.data().unwrap();
            let piece = vec![b'x'; 1 << 20];
            while counter.load(Ordering::Relaxed) < 1000 && data.write_all(&piece).is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            talk.say("426 you left");
            true
        }
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], endless), Client::new());
    assert_eq!(client.code(&["get", &fake.url("a")]), 6);
    assert_eq!(client.names().len(), 0);
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 200, "{sent} MiB were taken");
}

#[test]
fn an_upload_that_was_not_let_begin_is_none() {
    let at_once = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "STOR" && {
            talk.say("226 done");
            true
        }
    };
    let (fake, client) = (Fake::start(&[], at_once), Client::new());
    std::fs::create_dir(client.path("tree")).unwrap();
    for name in ["up", "tree/b", "tree/c"] {
        client.write(name, b"hello");
    }
    let options = ["-t", "3", "--retries", "0"];
    for arguments in [&["put", "up", &fake.url("x")][..], &["mirror", "tree", &fake.url("")]] {
        assert_eq!(client.code(&[&options[..], arguments].concat()), 6, "{arguments:?}");
    }
}
