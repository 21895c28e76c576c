//! Races against the server, and paths that nobody has written.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::common::{Server, noise, read_all, read_all_or_close, send_all};
use crate::{ONE_WALL, SECRET, baited, outside};

/// Tells the other thread to stop when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Swaps a directory and a link out, over and over, until told to stop, and counts.
fn swap(a: &Path, b: &Path, swaps: &AtomicUsize, stop: &AtomicBool) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    while !stop.load(Ordering::Relaxed) {
        renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
        swaps.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn p09_a_race_between_a_directory_and_a_link_is_always_lost() {
    const ROUNDS: usize = 400;
    const SWAPS: usize = 100_000;
    let server = Server::full_and(ONE_WALL);
    for name in ["f", "g"] {
        fs::write(server.outside().join(name), SECRET).unwrap();
    }
    server.put("a/f", "inside");
    symlink("../outside", server.path("b")).unwrap();
    let before = outside(&server);
    let (stop, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (a, b) = (server.path("a"), server.path("b"));
    std::thread::scope(|scope| {
        scope.spawn(|| swap(&a, &b, &swaps, &stop));
        // Also when a round fails: else the scope would wait for the other thread for ever.
        let _end = Stop(&stop);
        let mut ftp = server.login();
        for round in 0.. {
            if round >= ROUNDS && swaps.load(Ordering::Relaxed) >= SWAPS {
                break;
            }
            let data = ftp.epsv();
            let code = ftp.say("RETR a/f").code;
            if code == 150 {
                assert_eq!(read_all(data), b"inside");
                ftp.reply().expect(226);
            } else {
                assert!(matches!(code, 450 | 550), "RETR {code}");
            }
            for line in [
                "SIZE a/f",
                "MFMT 20200101000000 a/f",
                "SITE CHMOD 600 a/f",
                "DELE a/g",
                "MKD a/m",
                "RMD a/m",
                "RNFR a/f",
                "RNTO a/f",
            ] {
                let reply = ftp.say(line);
                assert!(!reply.text().contains("28"), "round {round}: {line}: {}", reply.text());
            }
            let data = ftp.epsv();
            if ftp.say("STOR a/g").code == 150 {
                send_all(data, b"mine");
                ftp.reply().expect(226);
            }
        }
    });
    assert_eq!(outside(&server), before);
}

#[test]
fn p03_whatever_a_path_is_made_of() {
    let server = baited();
    let before = outside(&server);
    let mut ftp = server.login();
    let parts =
        ["..", ".", "", "inside", "file", "out-dir", "secret", "up", "magic", "outside", "dir", "new", "~", "*"];
    let dice = noise(6 * 400);
    for throw in dice.chunks_exact(6) {
        let path: Vec<&str> = throw[1..].iter().map(|die| parts[usize::from(*die) % parts.len()]).collect();
        let verb =
            ["SIZE", "MDTM", "MKD", "RMD", "DELE", "CWD", "MLST", "STAT", "STOR", "RETR"][usize::from(throw[0]) % 10];
        let line = format!("{verb} {}", path.join("/"));
        let data = ftp.epsv();
        let reply = ftp.say(&line);
        assert!(!reply.text().contains("size=28;") && reply.text() != "28", "{line}: {}", reply.text());
        if reply.code == 150 {
            let bytes = read_all_or_close(data, verb == "RETR");
            assert!(bytes != SECRET && !bytes.starts_with(b"root:"), "{line}");
            ftp.reply().expect(226);
        }
        ftp.say("CWD /").expect(250);
    }
    assert_eq!(outside(&server), before);
    let _still_there = File::open(server.root()).unwrap();
}
