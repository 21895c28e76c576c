//! Attacks on data connections: bouncing, stealing, guessing and exhausting ports, and transfers that break off.
//!
//! A test's name begins with the case of the catalogue that it proves.

mod common;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use common::{
    Peer, Server, connect, connect_from, free_ports, has_caller, is_closed, noise, read_all, reset, stuck_download,
    upload,
};
use rustix::net::{self, SocketFlags};

#[test]
fn d01_nobody_is_dialled_for_somebody_else() {
    let server = Server::full();
    server.put("f", "x");
    let mut ftp = server.login();
    let victim = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let port = victim.local_addr().unwrap().port();
    let [high, low] = port.to_be_bytes();
    ftp.say(format!("PORT 127,0,0,2,{high},{low}")).expect(504);
    ftp.say(format!("EPRT |1|127.0.0.2|{port}|")).expect(504);
    ftp.say("RETR f").expect(425);
    for ip in ["0,0,0,0", "224,0,0,1", "255,255,255,255"] {
        ftp.say(format!("PORT {ip},200,10")).expect(504);
    }
    // The rules look at this connection's peer, not at some list of good addresses.
    let mut other = Peer::new(connect_from("127.0.0.2", server.address()));
    other.reply().expect(220);
    other.log_in();
    other.say("PORT 127,0,0,1,200,10").expect(504);
    assert!(!has_caller(&victim, Duration::ZERO));
}

#[test]
fn d02_services_are_not_dialled_not_even_the_peers_own() {
    let server = Server::full();
    server.put("f", "x");
    let mut ftp = server.login();
    for port in [1_u16, 21, 80, 1023] {
        let [high, low] = port.to_be_bytes();
        ftp.say(format!("PORT 127,0,0,1,{high},{low}")).expect(504);
        ftp.say(format!("EPRT |1|127.0.0.1|{port}|")).expect(504);
    }
    // Nor this very server: a peer on its host is not to be dialled through it.
    let own = server.address().port();
    ftp.say(format!("EPRT |1|127.0.0.1|{own}|")).expect(504);
    ftp.say("RETR f").expect(425);
    ftp.is_well();
}

#[test]
fn d03_addresses_are_read_to_the_letter() {
    let server = Server::full();
    server.put("f", "hello");
    let mut ftp = server.login();
    let data = ftp.epsv();
    for argument in [
        "127,0,0,256,200,10",
        "127,0,0,1,256,10",
        "127,0,0,1,200,-1",
        "127,0,0,1,4294967296,10",
        "127,0,0,1,4294967496,10",
        "127,0,0,1,+200,10",
        "127,0,0,1,0xc8,10",
        "127,0,0,1,2 0,10",
        "127,0,0,1,200",
        "127,0,0,1,200,10,1",
        "127,0,0,1,,10",
        "127,0,0,1,200,10,",
        ",127,0,0,1,200,10",
        "127.0.0.1.200.10",
        "127,0,0,1,1e2,10",
        "127,0,0,1,0,0",
        "",
    ] {
        let reply = ftp.say(format!("PORT {argument}"));
        assert_eq!(reply.code, 501, "PORT {argument}: {}", reply.text());
    }
    // What was refused changes nothing: the channel of before still serves.
    ftp.say("RETR f").expect(150);
    assert_eq!(read_all(data), b"hello");
    ftp.reply().expect(226);
}

#[test]
fn d04_extended_addresses_are_read_to_the_letter() {
    let server = Server::full();
    server.put("f", "hello");
    let mut ftp = server.login();
    let data = ftp.epsv();
    for argument in [
        "|1|127.0.0.1|70000|",
        "|1|127.0.0.1|65536|",
        "|1|127.0.0.1|0|",
        "|1|127.0.0.1|-1|",
        "|1|127.0.0.1|51210",
        "1|127.0.0.1|51210|",
        "|1|127.0.0.1|51210||",
        "|1|127.0.0.1:51210|",
        "|1|127.0.0.256|51210|",
        "|1|localhost|51210|",
        "|2|::ffff:127.0.0.1|51210|",
        "|2|fe80::1%lo|51210|",
        "||127.0.0.1|51210|",
        "|1|127.0.0.1|0x100|",
        "",
    ] {
        let reply = ftp.say(format!("EPRT {argument}"));
        assert_eq!(reply.code, 501, "EPRT {argument}: {}", reply.text());
    }
    ftp.say("EPRT |3|127.0.0.1|51210|").expect(522).says("(1,2)");
    ftp.say("RETR f").expect(150);
    assert_eq!(read_all(data), b"hello");
    ftp.reply().expect(226);
}

#[test]
fn d05_a_stranger_at_the_passive_port_gets_nothing() {
    let server = Server::full();
    server.put("f", "secret");
    let mut ftp = server.login();
    for way in [Peer::pasv_address, Peer::epsv_address] {
        let address = way(&mut ftp);
        let mut thief = connect_from("127.0.0.2", address);
        assert!(is_closed(&mut thief));
        ftp.say("RETR f").expect(150);
        let mut thief = connect_from("127.0.0.3", address);
        assert!(is_closed(&mut thief));
        assert_eq!(read_all(connect(address)), b"secret");
        ftp.reply().expect(226);
    }
}

#[test]
fn d07_a_promise_is_kept_once() {
    let server = Server::full();
    server.put("f", "hello");
    let mut ftp = server.login();
    let address = ftp.epsv_address();
    let data = connect(address);
    let mut second = connect(address);
    assert!(is_closed(&mut second));
    ftp.say("RETR f").expect(150);
    assert_eq!(read_all(data), b"hello");
    ftp.reply().expect(226);
    assert!(is_closed(&mut connect(address)), "used up");
    // What one session was promised is not another one's.
    let (mut one, mut two) = (server.login(), server.login());
    let (first, second) = (one.epsv_address(), two.epsv_address());
    assert_ne!(first, second);
    let data = [connect(second), connect(first)];
    one.say("RETR f").expect(150);
    two.say("STOR g").expect(150);
    let [two_data, one_data] = data;
    common::send_all(two_data, b"of two");
    assert_eq!(read_all(one_data), b"hello");
    one.reply().expect(226);
    two.reply().expect(226);
    assert_eq!(server.get("g"), b"of two");
}

#[test]
fn d10_promises_without_end_cost_no_descriptors() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.epsv_address();
    let before = server.descriptors();
    let ports: Vec<u16> = (0..500).map(|_| ftp.epsv_address().port()).collect();
    assert!(server.descriptors() <= before + 8, "{} became {}", before, server.descriptors());
    let steps = ports.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
    assert!(steps < 250, "each port follows from the last");
    assert!(ports.windows(2).all(|pair| pair[0] != pair[1]), "a port just replaced is not the next");
}

#[test]
fn d08_ports_do_not_follow_from_each_other() {
    const ROUNDS: usize = 1000;
    const PORTS: u16 = 50;
    let (low, high) = free_ports(PORTS);
    let server = Server::full_and(&format!("[passive]\nports = \"{low}-{high}\"\n"));
    let mut ftp = server.login();
    let ports: Vec<u16> = (0..ROUNDS).map(|_| ftp.pasv_address().port()).collect();
    // Drawn at random, one step in twenty-five is to a neighbour. In a row, up or down, all are.
    let steps = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
    assert!(steps < ROUNDS / 8, "{steps} of {ROUNDS} ports are the last one's neighbour");
    assert!(ports.windows(2).all(|pair| pair[0] != pair[1]), "a port just replaced is not the next");
    // Nor does one port always bring the same next one: in whatever order they lie, they are not dealt out in turn.
    let mut next = std::collections::HashMap::new();
    let again = ports.windows(2).filter(|pair| next.insert(pair[0], pair[1]) == Some(pair[1])).count();
    assert!(again < ROUNDS / 8, "{again} of {ROUNDS} ports follow from the last");
    let expected = ROUNDS as f64 / f64::from(PORTS);
    let count = |port: u16| ports.iter().filter(|one| **one == port).count() as f64;
    let chi_square: f64 = (low..=high).map(|port| (count(port) - expected).powi(2) / expected).sum();
    // 49 degrees of freedom: chance exceeds this less than once in a million runs.
    assert!(chi_square < 110.0, "not spread evenly: {chi_square}");
}

#[test]
fn d09_a_range_of_ports_runs_out_and_recovers() {
    let (low, high) = free_ports(3);
    let server = Server::full_and(&format!("[passive]\nports = \"{low}-{high}\"\n"));
    server.put("f", "x");
    let mut holders: Vec<Peer> = (0..3).map(|_| server.login()).collect();
    let mut ports: Vec<u16> = holders.iter_mut().map(|ftp| ftp.epsv_address().port()).collect();
    ports.sort_unstable();
    assert_eq!(ports, [low, low + 1, high]);
    let mut late = server.login();
    late.say("PASV").expect(425);
    late.say("EPSV").expect(425);
    // For another peer the same ports are free: connections are told apart by who makes them.
    let mut elsewhere = Peer::new(connect_from("127.0.0.2", server.address()));
    elsewhere.reply().expect(220);
    elsewhere.log_in();
    assert!((low..=high).contains(&elsewhere.epsv_address().port()));
    holders[0].say("ABOR").expect(226);
    assert_eq!(late.fetch("RETR f"), b"x");
    drop(holders.pop());
    // The server hears of that at its own pace.
    let end = std::time::Instant::now() + common::PATIENCE;
    while late.say("EPSV").code != 229 {
        assert!(std::time::Instant::now() < end);
    }
}

#[test]
fn d09_a_promise_that_runs_out_gives_its_port_back() {
    let (low, high) = free_ports(1);
    let limits = "[limits]\nunused_listener = \"500ms\"\nconnect = \"500ms\"\n";
    let server = Server::full_and(&format!("[passive]\nports = \"{low}-{high}\"\n{limits}"));
    server.put("f", "x");
    let mut waiting = server.login();
    // One promise nobody uses, one that a transfer waits for in vain.
    waiting.epsv_address();
    let mut late = server.login();
    promised_transfer(&mut late);
    late.reply().expect(425);
    let end = std::time::Instant::now() + common::PATIENCE;
    loop {
        let address = promised_transfer(&mut waiting);
        let mut bytes = Vec::new();
        let _reset = connect(address).read_to_end(&mut bytes);
        // Whoever is too slow for half a second does it again.
        if waiting.reply().code == 226 {
            break assert_eq!(bytes, b"x");
        }
        assert!(std::time::Instant::now() < end, "the port is lost");
    }
}

/// A transfer that waits for its data connection, as soon as there is a port for one. Both commands go in one segment,
/// so that no limit runs out between the two.
#[track_caller]
fn promised_transfer(ftp: &mut Peer) -> SocketAddr {
    let end = std::time::Instant::now() + common::PATIENCE;
    loop {
        ftp.send("EPSV\r\nRETR f\r\n");
        let promise = ftp.reply();
        let opening = ftp.reply();
        if promise.code == 229 {
            opening.expect(150);
            let port = promise.text().rsplit('|').nth(1).unwrap().parse().unwrap();
            return SocketAddr::new(ftp.stream().peer_addr().unwrap().ip(), port);
        }
        opening.expect(425);
        assert!(std::time::Instant::now() < end, "the port is lost");
    }
}

#[test]
fn d11_channels_that_never_open() {
    let server = Server::full_and("[limits]\nconnect = \"1s\"\nunused_listener = \"1s\"\n");
    server.put("f", "x");
    let mut ftp = server.login();
    let address = promised_transfer(&mut ftp);
    ftp.reply().expect(425);
    assert!(is_closed(&mut connect(address)));
    // A port where nobody listens: bound, so that it is nobody else's.
    let (_bound, gone) = bound(SocketFlags::CLOEXEC);
    ftp.say(format!("EPRT |1|127.0.0.1|{}|", gone.port())).expect(200);
    ftp.say("RETR f").expect(150);
    ftp.reply().expect(425);
    // A connection that no verb comes for is closed; the session hears of it at the next transfer.
    let mut unused = ftp.epsv();
    assert!(is_closed(&mut unused));
    ftp.say("RETR f").expect(425);
    ftp.is_well();
}

/// A socket with a port of its own.
fn bound(flags: SocketFlags) -> (OwnedFd, SocketAddr) {
    let socket = net::socket_with(net::AddressFamily::INET, net::SocketType::STREAM, flags, None).unwrap();
    net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = net::getsockname(&socket).unwrap().try_into().unwrap();
    (socket, address)
}

#[test]
fn d15_a_reset_upload_is_never_complete() {
    let server = Server::full();
    for line in ["TYPE I", "TYPE A"] {
        let (mut ftp, data) = upload(&server);
        ftp.say("ABOR").expect(426);
        ftp.reply().expect(226);
        drop(data);
        ftp.say(line).expect(200);
        let mut data = ftp.epsv();
        ftp.say("STOR up").expect(150);
        data.write_all(&noise(500_000)).unwrap();
        ftp.wait_for_progress(500_000);
        reset(data);
        ftp.reply().expect(426);
        ftp.is_well();
    }
}

#[test]
fn d16_a_download_nobody_reads_to_its_end() {
    let server = Server::full();
    let (mut ftp, data) = stuck_download(&server);
    reset(data);
    ftp.reply().expect(426);
    let (mut other, data) = stuck_download(&server);
    drop(data);
    other.reply().expect(426);
    for ftp in [&mut ftp, &mut other] {
        ftp.is_well();
    }
}

#[test]
fn d16_stalled_transfers_end() {
    let server = Server::full_and("[limits]\nstall = \"1s\"\n");
    let (mut ftp, data) = stuck_download(&server);
    ftp.reply().expect(426).says("stalled");
    drop((ftp, data));
    let mut ftp = server.login();
    let mut data = ftp.epsv();
    ftp.say("STOR up").expect(150);
    let _too_late = data.write_all(b"some");
    ftp.reply().expect(426).says("stalled");
    ftp.is_well();
}

#[test]
fn d17_closing_the_control_connection_ends_everything() {
    let server = Server::full();
    for hard in [false, true] {
        for (ftp, mut data) in [upload(&server), stuck_download(&server)] {
            if hard {
                let stream = ftp.stream().try_clone().unwrap();
                drop(ftp);
                reset(stream);
            } else {
                drop(ftp);
            }
            let mut rest = Vec::new();
            let _reset = data.read_to_end(&mut rest);
            assert!(rest.len() < 30_000_000 - 1000);
        }
    }
    assert_eq!(server.get("up"), b"some");
    server.settled(&server.login());
}

#[test]
fn d18_t5_abor() {
    let server = Server::full();
    let (mut ftp, mut data) = stuck_download(&server);
    let text = ftp.wait_for_progress(1000);
    assert!(text.starts_with("Status: ") && text.ends_with(" of 30000000 bytes transferred"), "{text}");
    ftp.order("NOOP");
    ftp.order("ABOR");
    ftp.reply().expect(426).says("Transfer aborted; data connection closed.");
    ftp.reply().expect(200);
    ftp.reply().expect(226).says("ABOR successful.");
    let mut rest = Vec::new();
    assert!(data.read_to_end(&mut rest).is_err(), "an aborted download must not end in order");
    ftp.say("ABOR").expect(225).says("No transfer to abort.");
    let mut idle = ftp.pasv();
    ftp.say("ABOR").expect(226).says("Data connection closed.");
    assert!(is_closed(&mut idle));
    ftp.say("RETR big").expect(425);
    ftp.is_well();
}

#[test]
fn d19_quit_lets_the_transfer_finish() {
    let server = Server::full();
    for half_close in [false, true] {
        let (mut ftp, mut data) = stuck_download(&server);
        ftp.order("QUIT");
        ftp.order("NOOP");
        if half_close {
            ftp.finish();
        }
        let mut rest = Vec::new();
        data.read_to_end(&mut rest).unwrap();
        assert_eq!(rest.len(), 30_000_000 - 1000);
        ftp.reply().expect(226);
        ftp.reply().expect(221);
        ftp.expect_close();
    }
}

#[test]
fn d20_pipelined_transfers_are_answered_in_order() {
    let server = Server::full();
    server.put("f", "hello");
    let mut ftp = server.login();
    let data = ftp.epsv();
    for line in ["RETR f", "RETR f", "NOOP"] {
        ftp.order(line);
    }
    ftp.reply().expect(150);
    assert_eq!(read_all(data), b"hello");
    for code in [226, 425, 200] {
        ftp.reply().expect(code);
    }
    // Two promises in one segment: the second replaces the first.
    ftp.send("EPSV\r\nEPSV\r\n");
    let port = |text: String| text.rsplit('|').nth(1).unwrap().parse::<u16>().unwrap();
    let first = port(ftp.reply().expect(229).text());
    let second = port(ftp.reply().expect(229).text());
    assert_ne!(first, second);
    assert!(is_closed(&mut connect(([127, 0, 0, 1], first).into())), "the first is void");
    let data = connect(([127, 0, 0, 1], second).into());
    ftp.say("RETR f").expect(150);
    assert_eq!(read_all(data), b"hello");
    ftp.reply().expect(226);
}

#[test]
fn d12_a_port_that_drops_everything_delays_nobody_else() {
    let server = Server::full_and("[limits]\nconnect = \"1s\"\n");
    server.put("f", "hello");
    let (mut ftp, mut other) = (server.login(), server.login());
    // A queue of one, filled: the kernel ignores whoever knocks further.
    let (deaf, address) = bound(SocketFlags::CLOEXEC);
    net::listen(&deaf, 0).unwrap();
    let queue: Vec<OwnedFd> = (0..8).map(|_| bound(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).0).collect();
    // In the queue, or still knocking; which of them is of no interest.
    queue.iter().map(|one| net::connect(one, &address)).for_each(|_| {});
    ftp.say(format!("EPRT |1|127.0.0.1|{}|", address.port())).expect(200);
    ftp.say("RETR f").expect(150);
    other.is_well();
    assert_eq!(other.fetch("RETR f"), b"hello");
    ftp.reply().expect(425);
    ftp.is_well();
}

#[test]
fn d14_families_that_are_not_the_connections_own_are_named() {
    let server = Server::full();
    let mut ftp = server.login();
    for word in ["2", "9", "0"] {
        ftp.say(format!("EPSV {word}")).expect(522).says("use (1)");
    }
    ftp.say("EPSV 1").expect(229);
}
