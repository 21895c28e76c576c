//! Data connections and what may go wrong with them: who may connect, who may not, and how transfers end early.

mod common;

use std::io::{Read, Write};
use std::time::Duration;

use common::{Peer, Server, accept, connect, connect_from, has_caller, is_closed, noise, read_all, read_some, reset};

/// A download that is under way and cannot finish: its client has read a little of much.
fn stuck_download(server: &Server) -> (Peer, std::net::TcpStream) {
    server.put("big", noise(30_000_000));
    let mut ftp = server.login();
    let mut data = ftp.epsv_narrow();
    ftp.say("RETR big").expect(150);
    read_some(&mut data, 1000);
    (ftp, data)
}

/// An upload of which the server has received something.
fn upload(server: &Server) -> (Peer, std::net::TcpStream) {
    let mut ftp = server.login();
    let mut data = ftp.epsv();
    ftp.say("STOR up").expect(150);
    data.write_all(b"some").unwrap();
    ftp.wait_for_progress(4);
    (ftp, data)
}

#[test]
fn t5_abor() {
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
fn abor_of_an_upload_keeps_what_came() {
    let server = Server::full();
    let (mut ftp, mut data) = upload(&server);
    ftp.say("ABOR").expect(426);
    ftp.reply().expect(226);
    assert!(is_closed(&mut data));
    assert_eq!(server.get("up"), b"some");
    ftp.is_well();
}

#[test]
fn abor_while_nobody_has_connected() {
    let server = Server::full();
    server.put("f", "x");
    let mut ftp = server.login();
    let address = ftp.epsv_address();
    for line in ["RETR f", "ABOR"] {
        ftp.order(line);
    }
    for code in [150, 426, 226] {
        ftp.reply().expect(code);
    }
    assert!(is_closed(&mut connect(address)), "the promise is gone");
    ftp.is_well();
}

/// The forms in which ABOR arrives, each while a download is stuck.
#[test]
fn abor_as_telnet_has_it() {
    let server = Server::full();
    type Send = fn(&mut Peer);
    let forms: [(&str, Send); 6] = [
        ("Interrupt Process and Synch as RFC 959 has it", |ftp| {
            ftp.send(b"\xff\xf4");
            ftp.send_urgent(b"\xff");
            ftp.send(b"\xf2ABOR\r\n");
        }),
        ("the mark on DM", |ftp| {
            ftp.send_urgent(b"\xff\xf4\xff\xf2");
            ftp.send(b"ABOR\r\n");
        }),
        ("all of it urgent, as ftplib does", |ftp| ftp.send_urgent(b"ABOR\r\n")),
        ("everything urgent", |ftp| ftp.send_urgent(b"\xff\xf4\xff\xf2ABOR\r\n")),
        ("lower case, bare LF", |ftp| ftp.send("abor\n")),
        ("byte by byte, each urgent", |ftp| b"ABOR\r\n".iter().for_each(|byte| ftp.send_urgent(&[*byte]))),
    ];
    for (name, send) in forms {
        let (mut ftp, data) = stuck_download(&server);
        println!("{name}");
        send(&mut ftp);
        assert_eq!(ftp.reply().code, 426, "{name}");
        assert_eq!(ftp.reply().code, 226, "{name}");
        drop(data);
        ftp.is_well();
    }
}

#[test]
fn abor_sent_urgently_with_nothing_to_abort() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.send_urgent(b"ABOR\r\n");
    ftp.reply().expect(225);
    ftp.send_urgent(b"\xff\xf4\xff\xf2");
    ftp.send("ABOR\r\n");
    ftp.reply().expect(225);
    ftp.is_well();
}

#[test]
fn abor_after_the_end_finds_nothing() {
    let server = Server::full();
    server.put("f", "hello");
    let mut ftp = server.login();
    let data = ftp.epsv();
    ftp.order("RETR f");
    ftp.reply().expect(150);
    assert_eq!(read_all(data), b"hello");
    ftp.reply().expect(226);
    ftp.say("ABOR").expect(225);
}

#[test]
fn two_abors_are_two_answers() {
    let server = Server::full();
    let (mut ftp, _data) = stuck_download(&server);
    ftp.send("ABOR\r\nABOR\r\n");
    ftp.due_is_unknown();
    ftp.reply().expect(426);
    ftp.reply().expect(226);
    ftp.reply().expect(225);
    ftp.is_well();
}

#[test]
fn commands_wait_their_turn_and_stat_does_not() {
    let server = Server::full();
    let (mut ftp, data) = stuck_download(&server);
    for line in ["NOOP", "PWD", "STAT /", "SIZE big", "MKD later"] {
        ftp.order(line);
    }
    assert!(ftp.wait_for_progress(1000).contains(" of 30000000"));
    assert!(!server.has("later"));
    read_all(data);
    for code in [226, 200, 257, 213, 213, 257] {
        ftp.reply().expect(code);
    }
    assert!(server.has("later"));
}

#[test]
fn quit_lets_the_transfer_finish() {
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
fn pipelined_transfers_are_answered_in_order() {
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
fn a_reset_upload_is_never_complete() {
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
fn a_download_nobody_reads_to_its_end() {
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
fn a_download_whose_client_sends() {
    let server = Server::full();
    server.put("f", noise(30_000_000));
    let mut ftp = server.login();
    let mut data = ftp.epsv();
    ftp.say("RETR f").expect(150);
    data.write_all(b"what is this?").unwrap();
    assert_eq!(read_all(data).len(), 30_000_000);
    ftp.reply().expect(226);
    let (mut ftp, mut data) = stuck_download(&server);
    // Too much of it is no accident.
    let _refused = data.write_all(&noise(2_000_000));
    let _lost = data.read_to_end(&mut Vec::new());
    ftp.reply().expect(426);
}

#[test]
fn stalled_transfers_end() {
    let server = Server::full_and("[limits]\nstall = \"1s\"\n");
    let (mut ftp, data) = stuck_download(&server);
    ftp.reply().expect(426);
    drop(data);
    let (mut ftp, _data) = upload(&server);
    ftp.reply().expect(426);
    ftp.is_well();
}

#[test]
fn channels_that_never_open() {
    let server = Server::full_and("[limits]\nconnect = \"1s\"\nunused_listener = \"1s\"\n");
    server.put("f", "x");
    let mut ftp = server.login();
    let address = ftp.epsv_address();
    ftp.say("RETR f").expect(150);
    ftp.reply().expect(425);
    assert!(is_closed(&mut connect(address)));
    // A port where nobody listens: bound and closed again.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    ftp.say(format!("EPRT |1|127.0.0.1|{}|", gone.port())).expect(200);
    ftp.say("RETR f").expect(150);
    ftp.reply().expect(425);
    // A connection that no verb comes for is closed; the session hears of it at the next transfer.
    let mut unused = ftp.epsv();
    assert!(is_closed(&mut unused));
    ftp.say("RETR f").expect(425);
    ftp.is_well();
}

#[test]
fn closing_the_control_connection_ends_everything() {
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
fn nobody_is_dialled_for_somebody_else() {
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
    for port in [1, 21, 80, 1023] {
        ftp.say(format!("EPRT |1|127.0.0.1|{port}|")).expect(504);
    }
    // The rules look at this connection's peer, not at some list of good addresses.
    let mut other = Peer::new(connect_from("127.0.0.2", server.address()));
    other.reply().expect(220);
    other.log_in();
    other.say("PORT 127,0,0,1,200,10").expect(504);
    assert!(!has_caller(&victim, Duration::ZERO));
}

#[test]
fn active_mode_can_be_off() {
    let server = Server::full_and("[active]\nenabled = false\n");
    let mut ftp = server.login();
    ftp.say("PORT 127,0,0,1,200,10").expect(502);
    ftp.say("EPRT |1|127.0.0.1|51210|").expect(502);
    ftp.fetch("LIST");
}

#[test]
fn a_stranger_at_the_passive_port_gets_nothing() {
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
fn a_promise_is_kept_once() {
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
fn promises_without_end_cost_no_descriptors() {
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

/// A few ports that nobody uses right now.
fn free_ports(count: u16) -> (u16, u16) {
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

#[test]
fn a_range_of_ports_runs_out_and_recovers() {
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
fn a_promise_that_runs_out_gives_its_port_back() {
    let (low, high) = free_ports(1);
    let limits = "[limits]\nunused_listener = \"500ms\"\nconnect = \"500ms\"\n";
    let server = Server::full_and(&format!("[passive]\nports = \"{low}-{high}\"\n{limits}"));
    server.put("f", "x");
    let mut waiting = server.login();
    // One promise nobody uses, one that a transfer waits for in vain.
    waiting.epsv_address();
    let mut late = server.login();
    let end = std::time::Instant::now() + common::PATIENCE;
    while late.say("EPSV").code != 229 {
        assert!(std::time::Instant::now() < end, "the port is lost");
    }
    late.say("RETR f").expect(150);
    late.reply().expect(425);
    assert_eq!(waiting.fetch("RETR f"), b"x");
}

#[test]
fn strangers_are_told_the_public_address() {
    let passive = "[passive]\naddress = \"203.0.113.7\"\n";
    let text = |server: &Server| server.login().say("PASV").expect(227).text();
    for (local, told) in
        [("[]", "(203,0,113,7,"), ("[\"10.0.0.0/8\"]", "(203,0,113,7,"), ("[\"127.0.0.0/8\"]", "(127,0,0,1,")]
    {
        let server = Server::full_and(&format!("{passive}local = {local}\n"));
        assert!(text(&server).contains(told), "{local}: {}", text(&server));
    }
    let server = Server::full_and(passive);
    server.login().say("EPSV").expect(229);
}

#[test]
fn ipv6_has_its_own_verbs() {
    let Ok(probe) = std::net::TcpListener::bind("[::1]:0") else {
        println!("skipped: no IPv6 here");
        return;
    };
    drop(probe);
    let server = Server::full_on("[::1]:0");
    server.put("f", "six");
    let mut ftp = server.login();
    assert_eq!(ftp.fetch("RETR f"), b"six");
    let listener = ftp.eprt();
    ftp.say("RETR f").expect(150);
    assert_eq!(read_all(accept(&listener)), b"six");
    ftp.reply().expect(226);
    ftp.say("PASV").expect(425);
    ftp.say("PORT 127,0,0,1,200,10").expect(501);
    ftp.say("EPRT |1|127.0.0.1|51210|").expect(522).says("(2)");
    ftp.say("EPRT |2|fe80::1|51210|").expect(504);
    ftp.say("EPRT |2|::ffff:127.0.0.1|51210|").expect(501);
    ftp.say("EPSV 1").expect(522).says("(2)");
    ftp.say("EPSV 2").expect(229);
    ftp.say("EPSV ALL").expect(200);
    assert_eq!(ftp.fetch("RETR f"), b"six");
}

#[test]
fn a_mapped_address_is_an_ipv4_address() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    let server = Server::full_on(":0");
    server.put("f", "four");
    let port = server.address().port();
    let mut four = Peer::new(connect(([127, 0, 0, 1], port).into()));
    four.reply().expect(220);
    four.log_in();
    assert_eq!(read_after(&mut four, Peer::pasv), b"four");
    assert_eq!(four.fetch("RETR f"), b"four");
    assert_eq!(four.fetch_active("RETR f"), b"four");
    four.say("EPSV 1").expect(229);
    four.say("EPSV 2").expect(522);
    four.say("EPRT |2|::ffff:127.0.0.1|51210|").expect(501);
    let mut six = Peer::new(connect(format!("[::1]:{port}").parse().unwrap()));
    six.reply().expect(220);
    six.log_in();
    assert_eq!(six.fetch("RETR f"), b"four");
    six.say("PASV").expect(425);
}

fn read_after(ftp: &mut Peer, open: fn(&mut Peer) -> std::net::TcpStream) -> Vec<u8> {
    let data = open(ftp);
    ftp.say("RETR f").expect(150);
    let bytes = read_all(data);
    ftp.reply().expect(226);
    bytes
}
