//! Servers that mean harm: security's list of what a client must not be made to do.

use crate::fake::{Client, Fake, Talk};
use crate::{content, plain};

/// The only name that may be asked for.
fn sends_good(talk: &mut Talk, name: &str) -> bool {
    assert!(name.ends_with("good"), "asked for {name}");
    talk.send(b"hello");
    true
}

#[test]
fn c03_hostile_names_are_written_nowhere() {
    let lines = "type=file;size=5; ../../escape\r\ntype=file;size=5; /tmp/escape-abs\r\ntype=file;size=5; a/b\r\n\
                 type=file;size=5; ..\r\ntype=dir; ..\r\ntype=dir; ../up\r\ntype=cdir; .\r\ntype=file;size=5; a\\b\r\n\
                 type=file;size=5; good\r\ngarbage line\r\n";
    let hostile = move |talk: &mut Talk, verb: &str, argument: &str| match verb {
        "MLSD" => {
            talk.send(lines.as_bytes());
            true
        }
        "RETR" => sends_good(talk, argument),
        _ => false,
    };
    let (fake, client) = (Fake::start(&[], hostile), Client::new());
    std::fs::create_dir_all(client.path("in/target")).unwrap();
    assert_eq!(client.code(&["mirror", &fake.url(""), "in/target"]), 10);
    let names: Vec<_> = std::fs::read_dir(client.path("in/target")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["good"]);
    assert_eq!((std::fs::read_dir(client.path("in")).unwrap().count(), client.names().len()), (1, 1));
}

#[test]
fn c04_a_link_in_the_target_is_not_followed() {
    let listing = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "MLSD" && {
            let lines: &[u8] =
                if argument.contains("link") { b"type=file;size=5; x\r\n" } else { b"type=dir; link\r\n" };
            talk.send(lines);
            true
        }
    };
    let (fake, client) = (Fake::start(&[("link/x", b"hello")], listing), Client::new());
    std::fs::create_dir_all(client.path("outside")).unwrap();
    std::fs::create_dir_all(client.path("target")).unwrap();
    std::os::unix::fs::symlink(client.path("outside"), client.path("target/link")).unwrap();
    assert_ne!(client.code(&["mirror", &fake.url(""), "target"]), 0);
    assert_eq!(std::fs::read_dir(client.path("outside")).unwrap().count(), 0);
}

#[test]
fn a_part_that_is_also_a_name_there() {
    let (fake, client) = (Fake::start(&[("a", b"first"), ("a.part", b"second")], plain), Client::new());
    assert_eq!(client.code(&["mirror", &fake.url(""), "t"]), 0);
    assert_eq!(client.read("t/a"), Some(b"first".to_vec()));
    assert_eq!(client.read("t/a.part"), Some(b"second".to_vec()));
}

#[test]
fn c11_nothing_with_a_line_break_is_sent() {
    let (fake, client) = (Fake::start(&[("a", b"x")], plain), Client::new());
    for url in ["a%0d%0aDELE%20b", "a%0ab", "a%00b"] {
        assert_eq!(client.code(&["get", &fake.url(url), "-o", "x"]), 1);
    }
    assert_ne!(client.code(&["-e", "cd 'a\rDELE b'", &fake.url("")]), 0);
    assert_eq!(fake.heard("DELE"), 0);
}

#[test]
fn c05_escapes_do_not_reach_json_or_terminals_raw() {
    let nasty = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "RETR" && {
            talk.say("550 \x1b[2Jgone\x07");
            true
        }
    };
    let (fake, client) = (Fake::start(&[], nasty), Client::new());
    let output = client.run(&["get", &fake.url("a")]);
    assert!(!output.stderr.contains(&0x1b) && !output.stderr.contains(&7));
}

#[test]
fn c03_names_in_list_and_nlst_are_no_better() {
    let list = "-rw-r--r-- 1 a b 5 Mar  9  2024 ../../escape\r\n-rw-r--r-- 1 a b 5 Mar  9  2024 /tmp/escape-abs\r\n\
                -rw-r--r-- 1 a b 5 Mar  9  2024 a/b\r\n-rw-r--r-- 1 a b 5 Mar  9  2024 nul\0byte\r\n\
                -rw-r--r-- 1 a b 5 Mar  9  2024 cr\rinside\r\n-rw-r--r-- 1 a b 5 Mar  9  2024 good\r\n\
                drwxr-xr-x 1 a b 5 Mar  9  2024 ..\r\ndrwxr-xr-x 1 a b 5 Mar  9  2024 ../up\r\n\
                03-09-24  05:05PM  5 ..\\windows\r\n+r,s5,\t../eplf\r\n";
    for verb in ["LIST", "NLST"] {
        let hostile = move |talk: &mut Talk, heard: &str, argument: &str| match heard {
            "FEAT" | "MLSD" | "MLST" | "MDTM" => {
                talk.say("500 what");
                true
            }
            "LIST" if verb == "NLST" => {
                talk.say("502 no");
                true
            }
            "LIST" => {
                talk.send(list.as_bytes());
                true
            }
            "NLST" => {
                talk.send(b"../escape/..\r\n..\r\n.\r\n/tmp/..\r\ngood\r\n");
                true
            }
            "RETR" => sends_good(talk, argument),
            _ => false,
        };
        let (fake, client) = (Fake::start(&[("good", b"hello")], hostile), Client::new());
        std::fs::create_dir_all(client.path("in/target")).unwrap();
        let code = client.code(&["-t", "5", "--retries", "0", "mirror", &fake.url(""), "in/target"]);
        assert_eq!(code, if verb == "LIST" { 10 } else { 0 }, "{verb}");
        let entries = std::fs::read_dir(client.path("in/target")).unwrap();
        assert_eq!(entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>(), ["good"], "{verb}");
        assert_eq!((std::fs::read_dir(client.path("in")).unwrap().count(), client.names().len()), (1, 1));
    }
}

#[test]
fn c04_a_link_and_then_a_directory_of_its_name() {
    // CVE-2014-4877: the link is to be made first, and then written through. No links are made here at all.
    let twice = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "MLSD" && {
            let lines: &[u8] = match argument {
                "" | "/" => b"type=OS.unix=slink:/tmp; x\r\ntype=dir; x\r\n",
                _ => b"type=file;size=5; owned\r\n",
            };
            talk.send(lines);
            true
        }
    };
    let (fake, client) = (Fake::start(&[("x/owned", b"hello")], twice), Client::new());
    client.code(&["-t", "5", "--retries", "0", "mirror", &fake.url(""), "t"]);
    assert!(!std::path::Path::new("/tmp/owned").exists());
    assert!(!std::fs::symlink_metadata(client.path("t/x")).is_ok_and(|meta| meta.is_symlink()));
}

#[test]
fn c05_names_replies_and_banners_are_escaped() {
    let nasty = |talk: &mut Talk, verb: &str, _: &str| match verb {
        "" => {
            talk.raw(b"220 \x1b]0;owned\x07\r\n");
            true
        }
        "MLSD" => {
            talk.send(b"type=file;size=5; a\x1b[2Jb\x07\r\n");
            true
        }
        "CWD" => {
            talk.raw(b"250 \x1b[2J\r\n");
            true
        }
        _ => false,
    };
    let (fake, client) = (Fake::start(&[], nasty), Client::new());
    for arguments in [&["-v", "ls", "--json", &fake.url("")][..], &["probe", &fake.url("")], &["-e", "cd x; status"]] {
        let mut all = vec!["-t", "5"];
        all.extend(arguments);
        let url = fake.url("");
        if arguments.len() == 2 && arguments[0] == "-e" {
            all.push(&url);
        }
        let output = client.run(&all);
        for stream in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(stream);
            assert!(!stream.contains(&0x1b) && !stream.contains(&7), "{arguments:?}: {text}");
        }
    }
}

#[test]
fn c11_what_cannot_be_sent_is_refused_before_anybody_is_called() {
    let (fake, client) = (Fake::start(&[("a", b"x")], plain), Client::new());
    client.write("up", b"hello");
    let address = fake.address.to_string();
    let user = format!("ftp://ann%0d%0aDELE%20b:x@{address}/a");
    let password = format!("ftp://ann:x%0aDELE%20b@{address}/a");
    for arguments in [
        &["get", &user][..],
        &["get", &password],
        &["-u", "ann\r\nDELE b:x", "get", &fake.url("a")],
        &["-u", "ann:x\nDELE b", "get", &fake.url("a")],
        &["put", "up", &fake.url("a%0d%0aDELE%20b")],
        &["rm", &fake.url("a%0aDELE%20b")],
        &["mkdir", &fake.url("a%00b")],
        &["mv", &fake.url("a"), "b\r\nDELE b"],
    ] {
        assert_ne!(client.code(arguments), 0, "{arguments:?}");
    }
    assert_eq!(fake.heard("DELE"), 0);
}

#[test]
fn c15_a_full_disk_or_a_target_that_cannot_be_written() {
    // No directory where the file should go; a directory under its name; a file system that is full at once.
    let (fake, client) = (Fake::start(&[("a", &content(100_000))], plain), Client::new());
    assert_eq!(client.code(&["get", &fake.url("a"), "-o", "no/such/place"]), 7);
    std::fs::create_dir(client.path("a")).unwrap();
    assert_eq!(client.code(&["get", &fake.url("a")]), 7);
    assert!(client.path("a").is_dir());
    assert_eq!(client.code(&["put", "nothing", &fake.url("b")]), 7);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = client.command(&["cat", &fake.url("a")]);
    assert_eq!(command.stdout(full).status().unwrap().code(), Some(7));
}

#[test]
fn c15_an_interrupt_leaves_the_final_name_alone() {
    let slow = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "RETR" && {
            let file = talk.file(argument).unwrap();
            talk.say("150 go");
            let mut data = talk.data().unwrap();
            std::io::Write::write_all(&mut data, &file[..30_000]).unwrap();
            // Until the client hangs up.
            let _ = std::io::Read::read_to_end(&mut data, &mut Vec::new());
            talk.say("426 aborted");
            talk.say("226 aborted");
            true
        }
    };
    let file = content(50_000);
    let (fake, client) = (Fake::start(&[("a", &file)], slow), Client::new());
    client.write("a", b"old");
    let child = client.command(&["get", &fake.url("a")]).spawn().unwrap();
    let begun = std::time::Instant::now();
    while client.read("a.part").is_none_or(|part| part.len() < 30_000) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "nothing came");
        std::thread::yield_now();
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let status = child.wait_with_output().unwrap().status;
    assert_eq!((status.code(), client.read("a").as_deref()), (Some(130), Some(b"old".as_slice())));
    assert_eq!(client.read("a.part").unwrap(), file[..30_000]);
}

#[test]
fn c18_secrets_are_in_no_log_and_sessions_belong_to_one_login() {
    let (fake, client) = (Fake::start(&[("a", b"1"), ("b", b"2")], plain), Client::new());
    client.write("secret", b"from-file\n");
    let ann = format!("ftp://ann@{}/a", fake.address);
    let output = client.run(&["-v", "-v", "--password-file", "secret", "get", &ann]);
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("from-file"));
    assert_eq!(fake.heard("PASS from-file"), 1);
    let mut command = client.command(&["-v", "-v", "get", &ann]);
    let output = command.env("MINIFTP_PASSWORD", "from-variable").output().unwrap();
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("from-variable"));
    assert_eq!(fake.heard("PASS from-variable"), 1);
    client.write(".netrc", format!("machine {} login ann password from-netrc\n", fake.address.ip()).as_bytes());
    let mode = |bits| std::os::unix::fs::PermissionsExt::from_mode(bits);
    std::fs::set_permissions(client.path(".netrc"), mode(0o644)).unwrap();
    // Others can read it, so it is not used; and nobody is there to be asked.
    assert_eq!((client.code(&["get", &ann]), fake.heard("PASS from-netrc")), (4, 0));
    std::fs::set_permissions(client.path(".netrc"), mode(0o600)).unwrap();
    let output = client.run(&["-v", "-v", "get", &ann]);
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("from-netrc"));
    assert_eq!(fake.heard("PASS from-netrc"), 1);
    // Two logins on one host never share a session.
    let sessions = *fake.shared.sessions.lock().unwrap();
    let (one, two) = (format!("ftp://x:1@{}/a", fake.address), format!("ftp://y:2@{}/b", fake.address));
    assert_eq!(client.code(&["get", &one, &two]), 0);
    assert_eq!(
        (*fake.shared.sessions.lock().unwrap(), fake.heard("USER x"), fake.heard("USER y")),
        (sessions + 2, 1, 1)
    );
}

#[test]
fn a_tree_of_more_directories_than_descriptors() {
    // Each with a file and one below it with another: neither what waits nor what is under way may hold them all open.
    let wide = |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "MLSD" && {
            let lines = match argument.matches('/').count() {
                _ if argument.is_empty() => (0..600).map(|at| format!("type=dir; d{at}\r\n")).collect(),
                0 => "type=dir; sub\r\ntype=file;size=1; f\r\n".to_owned(),
                _ => "type=file;size=1; g\r\n".to_owned(),
            };
            talk.send(lines.as_bytes());
            true
        } || verb == "RETR" && {
            talk.send(b"x");
            true
        }
    };
    let (fake, client) = (Fake::start(&[], wide), Client::new());
    let url = fake.url("");
    let mut few = std::process::Command::new("sh");
    few.args(["-c", "ulimit -n 256; exec \"$0\" -q -t 20 mirror \"$1\" t", env!("CARGO_BIN_EXE_miniftp"), &url]);
    let status = few.current_dir(client.directory.path()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(client.read("t/d599/sub/g"), Some(b"x".to_vec()));
}

#[test]
fn a_tree_without_end_is_left() {
    // Every directory shows two more, and itself again.
    let endless = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "MLSD" && {
            talk.send(b"type=dir;modify=20240309170509; a\r\ntype=dir;modify=20240309170509; b\r\n");
            true
        }
    };
    let (fake, client) = (Fake::start(&[], endless), Client::new());
    assert_ne!(client.code(&["-t", "5", "--retries", "0", "mirror", &fake.url(""), "t"]), 0);
    assert!(fake.heard("MLSD") < 100);
}

#[test]
fn a_listing_without_end_is_left() {
    for (what, piece) in [("lines", "type=file;size=1; name\r\n"), ("one line", "type=file;size=1; name")] {
        let endless = move |talk: &mut Talk, verb: &str, _: &str| {
            verb == "MLSD" && {
                talk.say("150 soon");
                if let Some(mut data) = talk.data() {
                    let block = piece.repeat(4096);
                    while std::io::Write::write_all(&mut data, block.as_bytes()).is_ok() {}
                }
                true
            }
        };
        let (fake, client) = (Fake::start(&[], endless), Client::new());
        let (code, memory) = client.code_and_memory(&["-t", "3", "--retries", "0", "ls", &fake.url("")]);
        assert_eq!(code, 6, "{what}");
        assert!(memory < if what == "lines" { 56 << 20 } else { 32 << 20 }, "{what}: {memory} bytes of memory");
    }
    let drips = |talk: &mut Talk, verb: &str, _: &str| {
        verb == "MLSD" && {
            talk.say("150 soon");
            if let Some(mut data) = talk.data() {
                while std::io::Write::write_all(&mut data, b"type=file;size=1; name\r\n").is_ok() {
                    std::thread::sleep(std::time::Duration::from_millis(300));
                }
            }
            true
        }
    };
    let (fake, client) = (Fake::start(&[], drips), Client::new());
    assert_eq!(client.code(&["-t", "1", "--retries", "0", "ls", &fake.url("")]), 8);
}

#[test]
fn names_as_long_as_they_may_be() {
    let (long, alike) = ("n".repeat(255), "n".repeat(254) + "m");
    let file = content(3 << 20);
    let (fake, client) = (Fake::start(&[(&long, &file), (&alike, b"1")], plain), Client::new());
    assert_eq!(client.code(&["get", &fake.url(&long)]), 0);
    assert_eq!((client.names(), client.read(&long)), (vec![long.clone()], Some(file.clone())));
    std::fs::remove_file(client.path(&long)).unwrap();
    assert_eq!(client.code(&["-n", "3", "get", &fake.url(&long)]), 0);
    assert_eq!((client.names(), client.read(&long)), (vec![long.clone()], Some(file.clone())));
    assert_eq!(client.code(&["mirror", &fake.url(""), "tree"]), 0);
    assert_eq!(client.read(&format!("tree/{long}")), Some(file.clone()));
    assert_eq!(client.read(&format!("tree/{alike}")), Some(b"1".to_vec()));
    let target = Fake::start(&[], plain);
    assert_eq!(client.code(&["mirror", "tree", &target.url("")]), 0);
    assert_eq!(target.shared.files.lock().unwrap().get(&long), Some(&file));
}
