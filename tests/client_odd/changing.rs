//! Files that change meanwhile, runs that are stopped, and names that are not the client's alone.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::fake::{Client, Fake, Talk, says};
use crate::{content, plain};

/// How long what a test waits for may take at most.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn wait_for(child: &mut Child, what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert_eq!(child.try_wait().unwrap(), None, "it has ended");
        assert!(begun.elapsed() < PATIENCE, "it did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// A server whose file is another one from the second question about it on, `times` times.
fn replaced(times: usize, other: Vec<u8>) -> impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static {
    let (asked, first) = (AtomicUsize::new(0), AtomicBool::new(true));
    move |talk, verb, argument| match verb {
        "MLST" => {
            let second = asked.fetch_add(1, Ordering::Relaxed).min(times);
            let length = other.len();
            talk.say(&format!("250-x\r\n type=file;size={length};modify=2024030917050{second}; {argument}\r\n250 end"));
            true
        }
        // The first piece is still of the old file.
        "RETR" if talk.restart > 0 || !first.swap(false, Ordering::Relaxed) => {
            let from = std::mem::take(&mut talk.restart);
            talk.send(&other[from..]);
            true
        }
        _ => false,
    }
}

#[test]
fn pieces_of_two_files_are_no_file() {
    let (old, new) = (content(4 << 20), vec![b'n'; 4 << 20]);
    let (fake, client) = (Fake::start(&[("a", &old)], replaced(1, new.clone())), Client::new());
    assert_eq!(client.code(&["-n", "4", "get", &fake.url("a")]), 0);
    assert!(client.read("a") == Some(new.clone()) && client.names() == ["a"]);
    // One that is never still is given up.
    let (fake, client) = (Fake::start(&[("a", &old)], replaced(9, new)), Client::new());
    assert_eq!(client.code(&["-n", "4", "get", &fake.url("a")]), 6);
    assert_eq!(client.names(), Vec::<String>::new());
}

#[test]
fn a_second_try_does_not_go_on_with_another_file() {
    // The last bytes of what is here are the same in both.
    let (old, mut new) = (content(100_000), content(100_000));
    new[..1000].fill(b'n');
    let changed = AtomicBool::new(false);
    let rule = move |talk: &mut Talk, verb: &str, argument: &str| match verb {
        "MDTM" if changed.load(Ordering::Relaxed) => {
            talk.say("213 20250101000000");
            true
        }
        "RETR" if !changed.swap(true, Ordering::Relaxed) => {
            talk.say("150 go");
            let file = talk.file(argument).unwrap();
            std::io::Write::write_all(&mut talk.data().unwrap(), &file[..50_000]).unwrap();
            talk.shared.files.lock().unwrap().insert("a".to_owned(), new.clone());
            talk.say("426 cut");
            true
        }
        _ => false,
    };
    let (fake, client) = (Fake::start(&[("a", &old)], rule), Client::new());
    assert_eq!(client.code(&["get", &fake.url("a")]), 0);
    assert!(client.read("a") == fake.shared.files.lock().unwrap().get("a").cloned());
}

#[test]
fn an_unfinished_file_older_than_the_one_there_is_not_gone_on_with() {
    let mut file = content(4 << 20);
    for pieces in ["1", "2"] {
        let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
        client.write("a.part", &content(1 << 20));
        file[..1000].fill(b'n');
        fake.shared.files.lock().unwrap().insert("a".to_owned(), file.clone());
        let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        std::fs::File::options().write(true).open(client.path("a.part")).unwrap().set_modified(old).unwrap();
        assert_eq!(client.code(&["-c", "-n", pieces, "get", &fake.url("a")]), 0);
        assert!(client.read("a") == Some(file.clone()), "{pieces}");
    }
}

#[test]
fn pieces_that_are_interrupted_leave_a_beginning() {
    let file = content(4 << 20);
    for stop in [Signal::INT, Signal::TERM] {
        let held = AtomicBool::new(true);
        let rule = move |talk: &mut Talk, verb: &str, argument: &str| {
            verb == "RETR" && held.load(Ordering::Relaxed) && {
                let from = std::mem::take(&mut talk.restart);
                let file = talk.file(argument).unwrap();
                talk.say("150 go");
                let mut data = talk.data().unwrap();
                let some = if from == 0 { &file[..300_000] } else { &[] };
                std::io::Write::write_all(&mut data, some).unwrap();
                // Until the client hangs up.
                let _ = std::io::Read::read_to_end(&mut data, &mut Vec::new());
                held.store(false, Ordering::Relaxed);
                talk.raw(b"426 aborted\r\n226 aborted\r\n");
                true
            }
        };
        let (fake, client) = (Fake::start(&[("a", &file)], rule), Client::new());
        let mut child = client.command(&["-n", "4", "get", &fake.url("a")]).spawn().unwrap();
        wait_for(&mut child, || {
            fake.heard("RETR") == 4 && client.read("a.part.seg").is_some_and(|held| held.len() == 300_000)
        });
        signal(&child, stop);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(client.read("a.part").is_some_and(|part| part == file[..300_000]), "{:?}", client.names());
        assert_eq!(client.names(), ["a.part"]);
        assert_eq!(client.code(&["-c", "-n", "4", "get", &fake.url("a")]), 0);
        assert!(client.read("a") == Some(file.clone()) && client.names() == ["a"]);
        assert!(fake.heard(&format!("REST {}", 300_000 - (16 << 10))) > 0, "{stop:?}: it was gone on with");
    }
}

#[test]
fn what_a_crash_left_of_pieces_goes_away() {
    let file = content(4 << 20);
    for options in [&["-c"][..], &["-c", "-n", "4"], &["-n", "4"], &[]] {
        let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
        client.write("a.part.seg", &[0; 5000]);
        assert_eq!(client.code(&[options, &["get", &fake.url("a")]].concat()), 0);
        assert!(client.read("a") == Some(file.clone()) && client.names() == ["a"], "{options:?}");
    }
}

#[test]
fn one_signal_ends_what_only_waits_for_an_answer() {
    for (verb, silent) in [("stat", "MLST"), ("get", "SIZE"), ("ls", "EPSV"), ("rm", "DELE"), ("ls", "PASS")] {
        for stop in [Signal::INT, Signal::TERM] {
            let rule = move |_: &mut Talk, verb: &str, _: &str| verb == silent;
            let (fake, client) = (Fake::start(&[("a", b"x")], rule), Client::new());
            let mut child = client.command(&["-t", "3600", verb, &fake.url("a")]).spawn().unwrap();
            wait_for(&mut child, || fake.heard(silent) > 0);
            signal(&child, stop);
            let begun = Instant::now();
            let status = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                if begun.elapsed() > PATIENCE {
                    child.kill().unwrap();
                }
                std::thread::sleep(Duration::from_millis(10));
            };
            assert_eq!(status.code(), Some(130), "{verb} {silent} {stop:?}");
        }
    }
}

#[test]
fn a_second_signal_ends_the_program() {
    // Nobody reads.
    for stop in [Signal::INT, Signal::TERM] {
        let (fake, client) = (Fake::start(&[("a", &content(16 << 20))], plain), Client::new());
        let mut command = client.command(&["-t", "3600", "--retries", "0", "cat", &fake.url("a")]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        let pipe = child.stdout.take().unwrap();
        let full = rustix::pipe::fcntl_getpipe_size(&pipe).unwrap() as u64;
        wait_for(&mut child, || rustix::io::ioctl_fionread(&pipe).is_ok_and(|held| held == full));
        // Two that come at once are one, so it is said until it is heard.
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
            }
            signal(&child, stop);
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(status.code(), Some(130), "{stop:?}");
    }
}

#[test]
fn an_unfinished_file_with_another_name_is_left_alone() {
    let file = content(60_000);
    for options in [&[][..], &["-c"], &["-n", "2"]] {
        for hard in [true, false] {
            let (fake, client) = (Fake::start(&[("a", &file)], plain), Client::new());
            client.write("other", &file[..40_000]);
            let (other, part) = (client.path("other"), client.path("a.part"));
            if hard { std::fs::hard_link(other, part) } else { std::os::unix::fs::symlink(other, part) }.unwrap();
            assert_eq!(client.code(&[options, &["get", &fake.url("a")]].concat()), 0);
            assert!(client.read("a") == Some(file.clone()), "{options:?}");
            assert!(client.read("other").unwrap() == file[..40_000], "{options:?} {hard}");
            assert_eq!(client.names(), ["a", "other"]);
        }
    }
}

#[test]
fn files_without_a_length_are_sent_to_their_end() {
    let (fake, client) = (Fake::start(&[], plain), Client::new());
    let made_up = std::fs::read("/proc/version").unwrap();
    assert_eq!(client.code(&["put", "/proc/version", &fake.url("x")]), 0);
    assert_eq!(fake.shared.files.lock().unwrap().get("x"), Some(&made_up));
    client.write("empty", b"");
    assert_eq!(client.code(&["put", "empty", &fake.url("y")]), 0);
    assert_eq!(fake.shared.files.lock().unwrap().get("y"), Some(&Vec::new()));
    rustix::fs::mknodat(rustix::fs::CWD, client.path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let output = client.run(&["put", "pipe", &fake.url("z")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(7) && said.contains("not a regular file"), "{said}");
}

#[test]
fn a_longer_file_is_not_replaced_without_a_word() {
    let (fake, client) = (Fake::start(&[("x", &[b'l'; 5000])], plain), Client::new());
    client.write("up", b"shorter");
    let output = client.run(&["-c", "put", "up", &fake.url("x")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("what the server has is replaced"), "{said}");
    assert_eq!(fake.shared.files.lock().unwrap().get("x"), Some(&b"shorter".to_vec()));
}

#[test]
fn cat_goes_on_with_the_others() {
    let (fake, client) = (Fake::start(&[("a", b"1"), ("b", b"2")], plain), Client::new());
    let output = client.run(&["cat", &fake.url("a"), &fake.url("missing"), &fake.url("b")]);
    assert_eq!((output.status.code(), output.stdout), (Some(10), b"12".to_vec()));
    assert_eq!(client.code(&["cat", &fake.url("missing")]), 5);
}

#[test]
fn objects_of_failures_name_the_path() {
    let (fake, client) = (Fake::start(&[], plain), Client::new());
    client.write("here", b"1");
    let missing = fake.url("missing");
    for arguments in [&["cat", &missing][..], &["stat", &missing], &["check", "here", &missing]] {
        let output = client.run(&[&["--json"], arguments].concat());
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains(&format!("\"path\":\"{missing}\"")), "{told}");
        let failures = told.matches("\"result\":\"failed\"").count();
        assert_eq!(failures, 1, "{told}");
    }
}

#[test]
fn silence_may_be_a_server_that_waits_for_tls() {
    let (fake, client) = (Fake::start(&[], says(&[("", "")])), Client::new());
    let output = client.run(&["-t", "1", "--retries", "0", "ls", &fake.url("")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(8) && said.contains("ftps://"), "{said}");
}
