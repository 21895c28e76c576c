//! Commands sent ahead of their replies, and sessions side by side: what servers allow, and what they do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::content;
use super::fake::{Client, Fake, Talk};

/// Small files and where they are.
fn files(count: usize) -> Vec<(String, Vec<u8>)> {
    (0..count).map(|at| (format!("f{at}"), content(at * 100))).collect()
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, file)| (name.as_str(), &file[..])).collect()
}

/// A server of the kind that gets commands behind a transfer, and throws them away with a single 500, as servers do
/// that look for ABOR meanwhile and know nothing else.
fn forgetful(times: &Arc<AtomicUsize>) -> impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static {
    let times = Arc::clone(times);
    move |talk, verb, argument| match verb {
        "" => {
            talk.say("220 (vsFTPd 9.9.9)");
            true
        }
        "RETR" | "STOR" => {
            talk.say("150 now");
            let known = talk.file(argument).unwrap_or_default();
            if let Some(mut data) = talk.data() {
                if verb == "RETR" {
                    std::io::Write::write_all(&mut data, &known).unwrap();
                } else {
                    let mut bytes = Vec::new();
                    std::io::Read::read_to_end(&mut data, &mut bytes).unwrap();
                    talk.shared.files.lock().unwrap().insert(argument.trim_start_matches('/').to_owned(), bytes);
                }
            }
            if talk.forget_lines() {
                times.fetch_add(1, Ordering::Relaxed);
                talk.say("500 Unknown command.");
            }
            talk.say("226 done");
            true
        }
        _ => false,
    }
}

#[test]
fn commands_thrown_away_behind_a_transfer_are_said_again_and_no_longer_there() {
    let (files, times) = (files(8), Arc::new(AtomicUsize::new(0)));
    let (fake, client) = (Fake::start(&borrowed(&files), forgetful(&times)), Client::new());
    assert_eq!(client.code(&["-P", "1", "mirror", &fake.url(""), "t"]), 0);
    for (name, file) in &files {
        assert_eq!(client.read(&format!("t/{name}")).as_ref(), Some(file), "{name}");
    }
    assert_eq!(times.load(Ordering::Relaxed), 1, "once is enough to learn it");
}

#[test]
fn uploads_whose_followers_are_thrown_away_arrive_all_the_same() {
    let (files, times) = (files(8), Arc::new(AtomicUsize::new(0)));
    let (fake, client) = (Fake::start(&[], forgetful(&times)), Client::new());
    std::fs::create_dir(client.path("t")).unwrap();
    for (name, file) in &files {
        client.write(&format!("t/{name}"), file);
    }
    assert_eq!(client.code(&["-P", "1", "mirror", "t", &fake.url("")]), 0);
    for (name, file) in &files {
        assert_eq!(fake.shared.files.lock().unwrap().get(name), Some(file), "{name}");
    }
    assert_eq!(times.load(Ordering::Relaxed), 1, "once is enough to learn it");
}

#[test]
fn a_small_file_of_a_mirror_costs_two_commands() {
    let files = files(30);
    let known = |talk: &mut Talk, verb: &str, _: &str| {
        let greeting = verb.is_empty();
        if greeting {
            talk.say("220 miniftpd ready");
        }
        greeting
    };
    let (fake, client) = (Fake::start(&borrowed(&files), known), Client::new());
    assert_eq!(client.code(&["-P", "2", "mirror", &fake.url(""), "t"]), 0);
    let count = |verb: &str| fake.heard(verb);
    assert_eq!((count("EPSV"), count("RETR"), count("MLSD")), (31, 30, 1));
    assert_eq!((count("SIZE"), count("MDTM"), count("CWD")), (0, 0, 0));
}

#[test]
fn an_upload_that_is_refused_after_it_has_begun_is_refused() {
    let refusing = |talk: &mut Talk, verb: &str, argument: &str| match (verb, argument) {
        ("", _) => {
            talk.say("220 (vsFTPd 9.9.9)");
            true
        }
        ("STOR", "f3" | "/f3") => {
            talk.passive = None;
            talk.say("553 not that name");
            true
        }
        _ => false,
    };
    let (fake, client) = (Fake::start(&[], refusing), Client::new());
    std::fs::create_dir(client.path("t")).unwrap();
    for (name, file) in &files(6) {
        client.write(&format!("t/{name}"), file);
    }
    assert_eq!(client.code(&["-P", "1", "mirror", "t", &fake.url("")]), 10);
    let kept: Vec<String> = fake.shared.files.lock().unwrap().keys().cloned().collect();
    assert_eq!(kept, ["f0", "f1", "f2", "f4", "f5"]);
}

#[test]
fn a_host_without_data_ports_left_is_served_by_fewer_sessions() {
    let files = files(40);
    let few = |talk: &mut Talk, verb: &str, _: &str| {
        let without = talk.number > 2 && matches!(verb, "EPSV" | "PASV");
        if without {
            talk.say("425 no port left");
        }
        without
    };
    let (fake, client) = (Fake::start(&borrowed(&files), few), Client::new());
    assert_eq!(client.code(&["-P", "8", "mirror", &fake.url(""), "t"]), 0);
    for (name, file) in &files {
        assert_eq!(client.read(&format!("t/{name}")).as_ref(), Some(file), "{name}");
    }
    assert!(*fake.shared.sessions.lock().unwrap() <= 8, "sessions that were given up are not opened again");
}
