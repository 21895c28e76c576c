//! What a reload asks of processes that are walled in, and what becomes of a verifier that dies.

use std::fs;
use std::time::Instant;

use rustix::process::Signal;

use crate::common::processes::{child, children, send};
use crate::common::{PATIENCE, Peer, Server, noise, read_some};
use crate::member;

#[test]
fn a_root_outside_the_walls_brings_a_fresh_worker() {
    let (text, accounts) = member("root", "");
    let server = Server::with_accounts(&text, &accounts);
    server.put("big", noise(4 << 20));
    fs::write(server.outside().join("there"), "x").unwrap();
    let mut old = server.login_as("ann", "secret");
    let before = children(server.pid());
    let mut transfer = old.epsv();
    old.say("RETR big").expect(150);
    let (text, accounts) = member("outside", "");
    rewrite(&server, &text, &accounts);
    server.signal(Signal::HUP);
    server.wait_for("a fresh worker takes over");
    server.wait_for("reloaded");
    // Until the old one has heard that it retires it may still accept.
    let end = Instant::now() + PATIENCE;
    let mut new = loop {
        let mut peer = server.connect();
        if peer.say("USER ann").code == 331 && peer.say("PASS secret").code == 230 && peer.say("SIZE there").code == 213
        {
            break peer;
        }
        assert!(Instant::now() < end, "the new root is nowhere");
    };
    // Who was at work finishes.
    assert_eq!(read_some(&mut transfer, 4 << 20), server.get("big"));
    drop(transfer);
    old.reply().expect(226);
    old.reply().expect(421);
    new.say("NOOP").expect(200);
    let after = children(server.pid());
    let (verifiers, workers): (Vec<_>, Vec<_>) = after.iter().partition(|(_, name)| name.ends_with("verifier"));
    assert!(before.contains(verifiers[0]) && workers.iter().any(|worker| !before.contains(worker)));
}

#[test]
fn a_home_that_comes_later_is_there_after_a_reload() {
    let (text, accounts) = member("later", "");
    let server = Server::with_accounts(&text, &accounts);
    let mut early = server.connect();
    early.say("USER ann").expect(331);
    early.say("PASS secret").expect(451);
    let home = server.config().with_file_name("later");
    fs::create_dir(&home).unwrap();
    let mut early = server.connect();
    early.say("USER ann").expect(331);
    early.say("PASS secret").expect(451);
    server.wait_for("a reload opens it");
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    let end = Instant::now() + PATIENCE;
    while login_code(&server) != 230 {
        assert!(Instant::now() < end, "it is not there");
    }
}

/// Puts new texts in place of a server's files.
fn rewrite(server: &Server, text: &str, accounts: &str) {
    let listen = server.address();
    fs::write(server.config(), format!("listen = [\"{listen}\"]\nroot = \"root\"\n{text}")).unwrap();
    fs::write(server.config().with_file_name("accounts.toml"), accounts).unwrap();
}

#[test]
fn a_root_outside_the_walls_waits_for_the_next_start_of_a_lone_server() {
    let server = Server::full();
    let text = "root = \"outside\"\n[anonymous]\npermissions = \"full\"\n";
    fs::write(server.config(), format!("listen = [\"{}\"]\n{text}", server.address())).unwrap();
    server.put("here", "x");
    server.signal(Signal::HUP);
    let line = server.wait_for("reload refused");
    assert!(line.contains("outside is outside") && line.contains("next start"), "{line}");
    server.login().say("SIZE here").expect(213);
}

/// A login whose password waits for a verifier that has stopped.
fn pending(server: &Server, verifier: u32) -> Peer {
    send(verifier, Signal::STOP);
    let mut peer = server.connect();
    peer.say("USER ann").expect(331);
    peer.order("PASS secret");
    peer
}

#[test]
fn s09_a_dead_verifier_costs_pending_logins_only() {
    let (text, accounts) = member("root", "");
    let server = Server::with_accounts(&text, &accounts);
    server.put("big", noise(8 << 20));
    let mut ftp = server.login_as("ann", "secret");
    let mut transfer = ftp.epsv();
    ftp.say("RETR big").expect(150);
    for _ in 0..2 {
        let verifier = child(server.pid(), "miniftpd: verifier");
        let mut login = pending(&server, verifier);
        send(verifier, Signal::KILL);
        login.reply().expect(451);
        server.wait_for("the verifier ended");
        // It comes back after a pause; until then a login is told to come back too.
        let end = Instant::now() + PATIENCE;
        while login_code(&server) != 230 {
            assert!(Instant::now() < end, "no verifier comes back");
            std::thread::yield_now();
        }
        assert_ne!(child(server.pid(), "miniftpd: verifier"), verifier);
    }
    assert_eq!(read_some(&mut transfer, 8 << 20), server.get("big"));
    drop(transfer);
    ftp.reply().expect(226);
}

/// Whoever is served by a worker that retires just now hears 421.
fn login_code(server: &Server) -> u16 {
    let mut peer = server.connect();
    match peer.say("USER ann").code {
        331 => peer.say("PASS secret").code,
        other => other,
    }
}
