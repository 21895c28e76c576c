//! Scenes that several test files begin with, and what can be seen of a server from outside.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, prlimit};

use super::processes::Number;
use super::{PATIENCE, Peer, Server, noise, read_some};

/// A user without a name on any machine.
pub const NOBODY: u32 = 61_234;

/// Whether this is root, who alone can start a server that drops its rights; for everybody else it is printed.
pub fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        println!("skipped: only root can start a server that drops its rights");
    }
    root
}

/// A download that is under way and cannot finish: its client has read a little of much.
pub fn stuck_download(server: &Server) -> (Peer, TcpStream) {
    server.put("big", noise(30_000_000));
    let mut ftp = server.login();
    let mut data = ftp.epsv_narrow();
    ftp.say("RETR big").expect(150);
    read_some(&mut data, 1000);
    (ftp, data)
}

/// An upload of which the server has received something.
pub fn upload(server: &Server) -> (Peer, TcpStream) {
    let mut ftp = server.login();
    let mut data = ftp.epsv();
    ftp.say("STOR up").expect(150);
    data.write_all(b"some").unwrap();
    ftp.wait_for_progress(4);
    (ftp, data)
}

/// Asks until the home is counted: before that nothing may be stored under a quota.
pub fn until_counted(ftp: &mut Peer) {
    let end = std::time::Instant::now() + PATIENCE;
    while ftp.say("AVBL").code != 213 {
        assert!(std::time::Instant::now() < end, "never counted");
    }
}

/// A few ports that nobody uses right now.
pub fn free_ports(count: u16) -> (u16, u16) {
    // Tests run side by side: each search begins where no other one looks.
    static SEARCHES: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let turn = SEARCHES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let first = 20_000 + turn * 2000 + std::process::id() as u16 % 1000;
    'search: for low in (first..first + 900).step_by(usize::from(count)) {
        for port in low..low + count {
            if std::net::TcpListener::bind(("127.0.0.1", port)).is_err() {
                continue 'search;
            }
        }
        return (low, low + count - 1);
    }
    panic!("no free ports");
}

/// Takes all descriptors but so many away from a running server.
pub fn leave_descriptors(server: &Server, count: usize) {
    // The limit bounds numbers, and there may be gaps in what is open.
    let open: std::collections::BTreeSet<usize> = server.open_descriptors().collect();
    let last_free = (0..).filter(|number| !open.contains(number)).nth(count).unwrap();
    limit_descriptors(server, last_free);
}

/// Lets a running server open no descriptor of this number or above.
pub fn limit_descriptors(server: &Server, first: usize) {
    // The hard limit stays as it is, so that the other can be raised again.
    let limit = Rlimit { current: Some(first as u64), ..getrlimit(Resource::Nofile) };
    prlimit(Some(server.pid()), Resource::Nofile, limit).unwrap();
}

/// What a newcomer hears first: 220, 421, or nothing within a while.
pub fn first_word(stream: &mut TcpStream) -> Option<u16> {
    let mut word = [0; 4];
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let heard = stream.read_exact(&mut word);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    heard.ok().map(|()| std::str::from_utf8(&word[..3]).unwrap().parse().unwrap())
}

/// CPU time of the server so far, in hundredths of a second.
pub fn cpu_ticks(server: &Server) -> u64 {
    cpu_ticks_of(server.pid())
}

/// The same of one of its processes.
pub fn cpu_ticks_of(process: impl Number) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.number())).unwrap();
    let words: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap()
}

/// Resident memory in bytes.
pub fn resident(server: &Server) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", server.pid().as_raw_nonzero())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
