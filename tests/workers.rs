//! Several workers on one control port: who serves whom, what is divided, and what becomes of the others when one dies.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Instant;

use common::processes::{child, children, send};
use common::{PATIENCE, Peer, SECRET_HASH, Server, connect, noise, read_some};
use rustix::process::Signal;

const WORKERS: usize = 3;

/// Ports of each worker. One peer is promised each of them once, so more than any worker gets sessions here.
const EACH: u16 = 40;

/// Sessions among which none of the workers is left out but once in 10^20 runs.
const MANY: usize = 120;

/// A range of free ports, which belong to workers in equal parts.
fn range() -> (u16, u16) {
    static SEARCHES: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let turn = SEARCHES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let first = 28_000 + turn * 600 + (std::process::id() % 100) as u16;
    let count = EACH * WORKERS as u16;
    let free = |low: &u16| (*low..low + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    let low = (first..first + 480).step_by(usize::from(count)).find(free).expect("no free ports");
    (low, low + count - 1)
}

fn start(more: &str) -> Server {
    Server::launch("127.0.0.1:0", &format!("workers = {WORKERS}\n{more}"), &[], |command| command)
}

/// Everybody may do everything, and the passive ports tell who serves whom.
fn start_with_ports(more: &str) -> (Server, u16) {
    let (low, high) = range();
    let text = format!("[anonymous]\npermissions = \"full\"\n[passive]\nports = \"{low}-{high}\"\n{more}");
    (start(&text), low)
}

fn workers(server: &Server) -> BTreeSet<u32> {
    children(server.pid()).into_iter().filter(|(_, name)| name == "miniftpd: worker").map(|(pid, _)| pid).collect()
}

/// Sessions by the number of their worker, as the passive ports tell it.
fn sessions(server: &Server, low: u16) -> BTreeMap<u16, Vec<Peer>> {
    let mut all: BTreeMap<u16, Vec<Peer>> = BTreeMap::new();
    for _ in 0..MANY {
        let mut ftp = server.login();
        let worker = (ftp.epsv_address().port() - low) / EACH;
        all.entry(worker).or_default().push(ftp);
        if all.len() == WORKERS && all.values().all(|some| some.len() >= 2) {
            break;
        }
    }
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    all
}

#[test]
fn sessions_and_transfers_go_well_whoever_serves_them() {
    let (server, low) = start_with_ports("");
    assert_eq!(workers(&server).len(), WORKERS);
    let bytes = noise(300_000);
    server.put("down", &bytes);
    for (number, ftp) in sessions(&server, low).into_values().flatten().enumerate() {
        let mut ftp = ftp;
        assert_eq!(ftp.fetch("RETR down"), bytes);
        ftp.store(format!("STOR up{number}"), &bytes).expect(226);
        assert_eq!(server.get(format!("up{number}")), bytes);
        assert_eq!(ftp.fetch_active("RETR down"), bytes);
    }
}

#[test]
fn no_port_is_two_workers() {
    let (server, low) = start_with_ports("");
    let held = sessions(&server, low);
    let mut ports: BTreeMap<u32, BTreeSet<u16>> = BTreeMap::new();
    for worker in workers(&server) {
        let mine = listening(worker).into_iter().filter(|port| (low..low + 3 * EACH).contains(port)).collect();
        ports.insert(worker, mine);
    }
    let all: Vec<u16> = ports.values().flatten().copied().collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{ports:?}");
    for mine in ports.values() {
        let parts: BTreeSet<u16> = mine.iter().map(|port| (port - low) / EACH).collect();
        assert_eq!(parts.len(), 1, "{ports:?}");
    }
    drop(held);
}

/// The ports a process listens on, by the sockets it has.
fn listening(pid: u32) -> Vec<u16> {
    let inodes: BTreeSet<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let listens = words.get(3) == Some(&"0A") && inodes.contains(*words.get(9)?);
        listens.then(|| u16::from_str_radix(words[1].rsplit(':').next().unwrap(), 16).unwrap())
    };
    table.lines().filter_map(port).collect()
}

#[test]
fn one_that_dies_takes_its_sessions_only_and_comes_back() {
    let (server, low) = start_with_ports("");
    server.put("big", noise(8 << 20));
    let before = workers(&server);
    let mut all = sessions(&server, low);
    let mut transfers: Vec<(u16, TcpStream)> = Vec::new();
    for (worker, sessions) in &mut all {
        let transfer = sessions[0].epsv();
        sessions[0].say("RETR big").expect(150);
        transfers.push((*worker, transfer));
    }
    let victim = *before.iter().next().unwrap();
    let ports = listening(victim);
    let lost = (ports.iter().find(|port| (low..low + 3 * EACH).contains(port)).unwrap() - low) / EACH;
    send(victim, Signal::KILL);
    let told = server.wait_for("the worker crashed");
    assert!(told.contains(&format!("process {victim}, number {} of {WORKERS}", lost + 1)), "{told}");
    for (worker, mut transfer) in transfers.into_iter().filter(|(worker, _)| *worker != lost) {
        assert_eq!(read_some(&mut transfer, 8 << 20), server.get("big"), "{worker}");
        drop(transfer);
        let ftp = &mut all.get_mut(&worker).unwrap()[0];
        ftp.reply().expect(226);
        ftp.say("NOOP").expect(200);
    }
    let end = Instant::now() + PATIENCE;
    while workers(&server).len() < WORKERS {
        assert!(Instant::now() < end, "it does not come back");
        std::thread::yield_now();
    }
    assert_eq!(before.intersection(&workers(&server)).count(), WORKERS - 1);
    // All three serve again, on their own ports.
    sessions(&server, low);
    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn clients_are_counted_in_all() {
    let server = start("[anonymous]\nenabled = true\n[limits]\nclients = 7\n");
    let mut served = Vec::new();
    for _ in 0..MANY {
        let mut peer = server.knock();
        match peer.reply().code {
            220 => served.push(peer),
            code => assert_eq!(code, 421),
        }
    }
    // Every place is taken in the end, since everybody's share is; never one more.
    assert_eq!(served.len(), 7);
}

#[test]
fn two_workers_do_not_mix_in_one_file() {
    for (uploads, existing) in [("direct", false), ("direct", true), ("atomic", true)] {
        let (server, low) = start_with_ports(&format!("[files]\nuploads = \"{uploads}\"\n"));
        if existing {
            server.put("f", "old");
        }
        let mut all = sessions(&server, low);
        let mut first = all.remove(&0).unwrap().remove(0);
        let mut second = all.remove(&1).unwrap().remove(0);
        let verb = if existing { "APPE f" } else { "STOR f" };
        let mut upload = first.epsv();
        first.say(verb).expect(150);
        upload.write_all(b"first").unwrap();
        first.wait_for_progress(5);
        for line in ["STOR f", "APPE f"] {
            second.epsv_address();
            second.say(line).expect(450);
        }
        drop(upload);
        first.reply().expect(226);
        assert_eq!(server.get("f"), if existing { &b"oldfirst"[..] } else { b"first" });
        second.store("STOR f", b"second").expect(226);
        assert_eq!(server.get("f"), b"second", "{uploads}");
    }
}

#[test]
fn orders_reach_all_of_them() {
    let server = start("[anonymous]\nenabled = true\n");
    let peers: Vec<Peer> = (0..30).map(|_| server.login()).collect();
    server.signal(Signal::USR1);
    let counts: Vec<usize> = (0..WORKERS).map(|_| control_records(&server.wait_for("records: "))).collect();
    assert_eq!(counts.iter().sum::<usize>(), peers.len(), "{counts:?}");
    let text = fs::read_to_string(server.config()).unwrap();
    fs::write(server.config(), format!("banner = \"anew\"\n{text}")).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    // The others hear of it when the first has accepted it.
    let end = Instant::now() + PATIENCE;
    while !(0..MANY).all(|_| server.knock().reply().text().contains("anew")) {
        assert!(Instant::now() < end, "one is as it was");
    }
    server.signal(Signal::TERM);
    for mut peer in peers {
        peer.reply().expect(421);
    }
    assert_eq!(server.end(), Some(0));
}

fn control_records(line: &str) -> usize {
    line.split("records: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn one_verifier_serves_all() {
    let accounts = format!("[[account]]\nname = \"ann\"\npassword = \"{SECRET_HASH}\"\npermissions = \"full\"\n");
    let text = format!("workers = {WORKERS}\n[sandbox]\nmode = \"best-effort\"\n");
    let server = Server::with_accounts(&text, &accounts);
    assert_eq!(children(server.pid()).len(), WORKERS + 1);
    let all_can_log_in = || (0..30).for_each(|_| drop(server.login_as("ann", "secret")));
    all_can_log_in();
    // A worker that comes back finds it, and so do all when it comes back itself.
    let victim = *workers(&server).iter().next().unwrap();
    send(victim, Signal::KILL);
    server.wait_for("the worker crashed");
    let end = Instant::now() + PATIENCE;
    while workers(&server).len() < WORKERS {
        assert!(Instant::now() < end, "it does not come back");
        std::thread::yield_now();
    }
    all_can_log_in();
    send(child(server.pid(), "miniftpd: verifier"), Signal::KILL);
    server.wait_for("the verifier ended");
    let end = Instant::now() + PATIENCE;
    while !(0..30).all(|_| login_code(&server) == 230) {
        assert!(Instant::now() < end, "no verifier comes back");
    }
}

fn login_code(server: &Server) -> u16 {
    let mut peer = Peer::new(connect(server.address()));
    peer.reply().expect(220);
    peer.say("USER ann").expect(331);
    peer.say("PASS secret").code
}

#[test]
fn a_root_outside_their_walls_brings_fresh_ones() {
    let accounts = |home: &str| {
        format!(
            "[[account]]\nname = \"ann\"\npassword = \"{SECRET_HASH}\"\nhome = \"{home}\"\npermissions = \"full\"\n"
        )
    };
    let server = Server::with_accounts(&format!("workers = {WORKERS}\n"), &accounts("root"));
    let before = workers(&server);
    fs::write(server.outside().join("there"), "x").unwrap();
    fs::write(server.config().with_file_name("accounts.toml"), accounts("outside")).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    let finds = || {
        let mut ftp = Peer::new(connect(server.address()));
        // Whoever is served by one that retires just now hears 421.
        ftp.reply().code == 220
            && ftp.say("USER ann").code == 331
            && ftp.say("PASS secret").code == 230
            && ftp.say("SIZE there").code == 213
    };
    let end = Instant::now() + PATIENCE;
    while !(0..30).all(|_| finds()) || workers(&server).intersection(&before).count() > 0 {
        assert!(Instant::now() < end, "an old one is still there");
    }
    assert_eq!(workers(&server).len(), WORKERS);
}

#[test]
fn what_cannot_be_divided_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("m.toml");
    for (text, accounts, words) in [
        ("workers = 0", "", "must be 1 to 256"),
        ("workers = 3\n[limits]\nclients = 2", "", "limits.clients: 2 cannot be divided among 3"),
        ("workers = 3\n[passive]\nports = \"40000-40001\"", "", "passive.ports: 2 cannot be divided"),
        ("workers = 2", "[[account]]\nname = \"a\"\npassword = \"*\"\nquota = { files = 3 }", "the quota of \"a\""),
    ] {
        fs::write(&config, format!("listen = [\"127.0.0.1:0\"]\n{text}\n")).unwrap();
        fs::write(folder.path().join("accounts.toml"), accounts).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_miniftpd")).arg("-c").arg(&config).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(words), "{told}");
    }
}
