//! Peers that mean no good, or break: floods, vanishing, silence, too few descriptors; and signals in the middle.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Instant;

use common::{PATIENCE, Peer, Server, connect, connect_from, is_closed, noise, read_some, reset};
use rustix::net::sockopt;
use rustix::process::{Resource, Rlimit, Signal, prlimit};

/// Takes all descriptors but so many away from a running server.
fn leave_descriptors(server: &Server, count: usize) {
    let limit = Some((server.descriptors() + count) as u64);
    let limit = Rlimit { current: limit, maximum: limit };
    prlimit(Some(server.pid()), Resource::Nofile, limit).unwrap();
}

/// What a newcomer hears first: 220, 421, or nothing within a while.
fn first_word(stream: &mut TcpStream) -> Option<u16> {
    let mut word = [0; 4];
    stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    let heard = stream.read_exact(&mut word);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    heard.ok().map(|()| std::str::from_utf8(&word[..3]).unwrap().parse().unwrap())
}

#[test]
fn descriptors_run_out_and_come_back() {
    let server = Server::full_and("[limits]\nidle = \"2s\"\n");
    server.put("f", "hello");
    let mut old = server.login();
    let address = old.epsv_address();
    leave_descriptors(&server, 10);
    let mut crowd = Vec::new();
    let mut refused = 0;
    for _ in 0..40 {
        old.is_well();
        let mut stream = connect(server.address());
        match first_word(&mut stream) {
            Some(220) => crowd.push(stream),
            Some(421) | None => refused += 1,
            Some(other) => panic!("greeted with {other}"),
        }
    }
    assert!(refused >= 20 && crowd.len() >= 5, "{refused} refused, {} in", crowd.len());
    // Who is in goes on, and hears of the shortage where it concerns him.
    old.is_well();
    let data = connect(address);
    for (line, codes) in [("RETR f", [425, 451]), ("LIST", [425, 451]), ("STOR g", [425, 451])] {
        let reply = old.say(line);
        assert!(codes.contains(&reply.code), "{line}: {} {}", reply.code, reply.text());
    }
    drop(data);
    old.is_well();
    // It does not spin meanwhile: the idle limit tells when two seconds are over.
    let before = cpu_ticks(&server);
    old.reply().expect(421);
    assert!(cpu_ticks(&server) - before < 50, "it spins");
    drop(crowd);
    let end = Instant::now() + PATIENCE;
    loop {
        let mut stream = connect(server.address());
        if first_word(&mut stream) == Some(220) {
            break;
        }
        assert!(Instant::now() < end, "nobody gets in any more");
    }
    assert_eq!(server.login().fetch("RETR f"), b"hello");
}

/// CPU time of the server so far, in hundredths of a second.
fn cpu_ticks(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid().as_raw_nonzero())).unwrap();
    let words: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap()
}

#[test]
fn a_flood_of_newcomers_that_are_gone_at_once() {
    let server = Server::full();
    let mut old = server.login();
    for _ in 0..10_000 {
        reset(TcpStream::connect(server.address()).unwrap());
    }
    old.is_well();
    server.login().is_well();
    server.settled(&old);
}

#[test]
fn too_many_clients_are_told_before_the_greeting() {
    let server = Server::full_and("[limits]\nclients = 3\n");
    let mut inside: Vec<Peer> = (0..3).map(|_| server.login()).collect();
    for _ in 0..5 {
        let mut late = server.knock();
        late.reply().expect(421);
        late.expect_close();
    }
    drop(inside.pop());
    let end = Instant::now() + PATIENCE;
    while server.knock().reply().code != 220 {
        assert!(Instant::now() < end);
    }
    inside[1].is_well();
}

#[test]
fn one_address_cannot_take_all_places() {
    let server = Server::full_and("[limits]\nper_ip = 2\n");
    let _inside = [server.login(), server.login()];
    server.knock().reply().expect(421);
    let mut other = Peer::new(connect_from("127.0.0.2", server.address()));
    other.reply().expect(220);
    drop(_inside);
    let end = Instant::now() + PATIENCE;
    while server.knock().reply().code != 220 {
        assert!(Instant::now() < end, "places are not given back");
    }
}

#[test]
fn a_refused_peer_that_does_not_read_blocks_nobody() {
    let server = Server::full_and("[limits]\nclients = 1\n");
    let mut inside = server.login();
    let crowd: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    inside.is_well();
    drop(crowd);
    inside.is_well();
}

/// A dialogue with everything in it, one octet of which is the last.
const DIALOGUE: &[u8] =
    b"USER ftp\r\nPASS x\r\nTYPE I\r\nPASV\r\nSTOR f\r\nABOR\r\nEPSV\r\nLIST\r\nSTAT\r\nREIN\r\nQUIT\r\n";

#[test]
fn peers_may_vanish_at_any_octet() {
    // Whoever has said QUIT behind LIST and connects nowhere is waited for so long.
    let server = Server::full_and("[limits]\nconnect = \"1s\"\n");
    let mut old = server.login();
    for at in 0..=DIALOGUE.len() {
        for end in [Ending::Fin, Ending::Reset, Ending::HalfClose] {
            let mut stream = connect(server.address());
            stream.write_all(&DIALOGUE[..at]).unwrap();
            match end {
                Ending::Fin => drop(stream),
                Ending::Reset => reset(stream),
                Ending::HalfClose => {
                    stream.shutdown(std::net::Shutdown::Write).unwrap();
                    // What was said is answered before the server closes as well.
                    let mut replies = Vec::new();
                    let orderly = stream.read_to_end(&mut replies);
                    assert!(orderly.is_ok() && replies.starts_with(b"220 "), "cut at {at}");
                }
            }
        }
    }
    old.is_well();
    server.login().is_well();
    server.settled(&old);
}

#[derive(Clone, Copy)]
enum Ending {
    Fin,
    Reset,
    HalfClose,
}

/// Ends a connection, if there is still one, in order or not.
fn vanish(data: Option<TcpStream>, hard: bool) {
    match data {
        Some(data) if hard => reset(data),
        orderly => drop(orderly),
    }
}

#[test]
fn data_peers_may_vanish_too() {
    let server = Server::full();
    server.put("f", noise(30_000_000));
    let mut old = server.login();
    for verb in ["RETR f", "STOR g", "LIST", "APPE g"] {
        for hard in [false, true] {
            for before in [false, true] {
                let mut ftp = server.login();
                let data = ftp.epsv();
                let mut data = Some(data);
                if before {
                    vanish(data.take(), hard);
                }
                ftp.order(verb);
                ftp.reply().expect(150);
                vanish(data.take(), hard);
                let code = ftp.reply().code;
                assert!(matches!(code, 226 | 425 | 426), "{verb}: {code}");
                if hard && verb != "LIST" {
                    assert_ne!(code, 226, "{verb}: a reset is no end of file");
                }
                ftp.is_well();
            }
        }
    }
    old.is_well();
    server.settled(&old);
}

#[test]
fn a_partial_line_does_not_keep_a_session() {
    let server = Server::full_and("[limits]\nlogin = \"1s\"\nidle = \"2s\"\n");
    let mut silent = server.connect();
    let mut talker = server.connect();
    let mut dripping = server.connect();
    let mut idle = server.login();
    let mut half = server.login();
    half.send("NOO");
    // A NOOP now and then is no login, and a byte now and then is no command.
    let end = Instant::now() + PATIENCE;
    loop {
        talker.send("NOOP\r\n");
        let code = talker.reply().code;
        if dripping.try_send("x").is_err() || code == 421 {
            break;
        }
        assert_eq!(code, 200);
        assert!(Instant::now() < end, "a stranger may stay for ever");
        std::thread::yield_now();
    }
    silent.reply().expect(421);
    silent.expect_close();
    idle.reply().expect(421);
    idle.expect_close();
    half.reply().expect(421);
}

#[test]
fn a_transfer_suspends_the_idle_limit() {
    let server = Server::full_and("[limits]\nidle = \"1s\"\n");
    server.put("big", noise(30_000_000));
    let mut ftp = server.login();
    let mut witness = server.login();
    let mut data = ftp.epsv_narrow();
    ftp.say("RETR big").expect(150);
    read_some(&mut data, 1000);
    // By now the transfer has lasted longer than any session may be idle.
    witness.reply().expect(421);
    assert_eq!(common::read_all(data).len(), 30_000_000 - 1000);
    ftp.reply().expect(226);
    ftp.is_well();
}

#[test]
fn who_does_not_read_replies_is_not_read_either() {
    // HELP is the longest answer for the shortest question: these are more than all buffers between the two can hold.
    const QUESTIONS: usize = 20_000;
    let server = Server::full();
    let (mut deaf, mut other) = (server.login(), server.login());
    let mut stream = deaf.stream().try_clone().unwrap();
    let before = resident(&server);
    let writer = std::thread::spawn(move || stream.write_all("HELP\r\n".repeat(QUESTIONS).as_bytes()).unwrap());
    // Each pass of the loop gives either session a turn, so by now the answers are stuck.
    for _ in 0..2000 {
        other.is_well();
    }
    assert!(resident(&server) < before + (4 << 20), "{before} became {}", resident(&server));
    // Once they are read they are all there.
    for _ in 0..QUESTIONS {
        deaf.reply().expect(214);
    }
    writer.join().unwrap();
    deaf.is_well();
}

/// Resident memory in bytes.
fn resident(server: &Server) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", server.pid().as_raw_nonzero())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn replies_nobody_takes_end_the_session() {
    let server = Server::full_and("[limits]\noutput = \"4KiB\"\noutput_stall = \"1s\"\n");
    let deaf = server.login();
    let mut stream = deaf.stream().try_clone().unwrap();
    sockopt::set_socket_recv_buffer_size(stream.as_fd(), 4096).unwrap();
    let lines = "HELP\r\n".repeat(1000);
    // Sooner or later the write fails, as the server has dropped the connection.
    let end = Instant::now() + PATIENCE;
    while stream.write_all(lines.as_bytes()).is_ok() {
        assert!(Instant::now() < end, "still open");
    }
    server.login().is_well();
}

#[test]
fn sixteen_megabytes_without_a_line_end() {
    let server = Server::full();
    let before = resident(&server);
    let mut ftp = server.connect();
    let piece = vec![b'x'; 1 << 20];
    let sent = (0..16).take_while(|_| ftp.try_send(&piece).is_ok()).count();
    assert!(sent < 16, "all of it was taken");
    assert!(resident(&server) < before + (1 << 20), "{before} became {}", resident(&server));
    server.login().is_well();
}

#[test]
fn a_thousand_commands_in_one_segment() {
    let server = Server::full();
    let mut ftp = server.login();
    let lines: String = (0..1000).map(|number| format!("MKD d{number}\r\n")).collect();
    ftp.send(&lines);
    for number in 0..1000 {
        ftp.reply().expect(257).says(&format!("\"/d{number}\""));
    }
    let (noop, rest) = ("NOOP\r\n".repeat(500), "FOO\r\n".repeat(50));
    ftp.send(noop + &rest);
    for _ in 0..500 {
        ftp.reply().expect(200);
    }
    for _ in 0..50 {
        ftp.reply().expect(500);
    }
    ftp.is_well();
}

#[test]
fn commands_held_during_a_transfer_are_bounded_and_not_lost() {
    let server = Server::full();
    server.put("big", noise(30_000_000));
    let mut ftp = server.login();
    let mut data = ftp.epsv_narrow();
    ftp.say("RETR big").expect(150);
    read_some(&mut data, 1000);
    ftp.send("NOOP\r\n".repeat(200));
    ftp.send("PWD\r\n");
    assert_eq!(common::read_all(data).len(), 30_000_000 - 1000);
    ftp.reply().expect(226);
    for _ in 0..200 {
        ftp.reply().expect(200);
    }
    ftp.reply().expect(257);
}

/// Says nonsense without end; how often it was answered before the last word.
fn nonsense(mut ftp: Peer) -> usize {
    ftp.send("XYZZY\r\n".repeat(10_000));
    for answered in 0.. {
        let reply = ftp.reply();
        if reply.code == 421 {
            assert!(is_closed(&mut ftp.stream()), "still open");
            return answered;
        }
        reply.expect(500);
    }
    unreachable!()
}

#[test]
fn r12_unknown_commands_have_an_end() {
    let server = Server::full();
    assert_eq!((nonsense(server.connect()), nonsense(server.login())), (20, 100));
    // Between commands that are known they count as well.
    let mut ftp = server.connect();
    for _ in 0..20 {
        ftp.say("XYZZY").expect(500);
        ftp.say("NOOP").expect(200);
    }
    ftp.say("XYZZY").expect(421);
    server.login().is_well();
}

#[test]
fn sessions_come_and_go_without_a_trace() {
    let server = Server::full();
    server.put("f", noise(1024));
    let mut old = server.login();
    let round = |kill: usize| {
        let mut ftp = server.login();
        let data = ftp.epsv();
        ftp.order("RETR f");
        if kill.is_multiple_of(2) {
            ftp.reply().expect(150);
            common::read_all(data);
            ftp.reply().expect(226);
        }
        if kill.is_multiple_of(3) {
            ftp.say("QUIT");
        }
    };
    (0..100).for_each(round);
    server.settled(&old);
    let before = resident(&server);
    (0..500).for_each(round);
    server.settled(&old);
    assert!(resident(&server) < before + (1 << 20), "{before} became {}", resident(&server));
    old.is_well();
}

#[test]
fn sigterm_lets_transfers_finish() {
    let server = Server::full();
    server.put("big", noise(30_000_000));
    let (mut ftp, mut idle, mut stranger) = (server.login(), server.login(), server.connect());
    let mut data = ftp.epsv_narrow();
    ftp.say("RETR big").expect(150);
    read_some(&mut data, 1000);
    server.signal(Signal::TERM);
    idle.reply().expect(421);
    idle.expect_close();
    stranger.reply().expect(421);
    drop((idle, stranger));
    assert!(TcpStream::connect(server.address()).is_err() || is_refused(&server), "newcomers are let in");
    assert_eq!(common::read_all(data).len(), 30_000_000 - 1000);
    ftp.reply().expect(226);
    ftp.reply().expect(421);
    ftp.expect_close();
    assert_eq!(server.end(), Some(0));
}

/// Whether a newcomer is told 421, or nothing at all.
fn is_refused(server: &Server) -> bool {
    let Ok(mut stream) = TcpStream::connect(server.address()) else { return true };
    first_word(&mut stream).is_none_or(|code| code == 421)
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let server = Server::full();
    server.put("big", noise(30_000_000));
    let (mut ftp, mut idle) = (server.login(), server.login());
    let mut data = ftp.epsv_narrow();
    ftp.say("RETR big").expect(150);
    read_some(&mut data, 1000);
    server.signal(Signal::TERM);
    idle.reply().expect(421);
    server.signal(Signal::TERM);
    ftp.reply().expect(426);
    ftp.reply().expect(421);
    let mut rest = Vec::new();
    assert!(data.read_to_end(&mut rest).is_err(), "a download cut off must not end in order");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn draining_has_an_end() {
    let server = Server::full_and("[limits]\ndrain = \"1s\"\n");
    server.put("big", noise(30_000_000));
    let mut ftp = server.login();
    let mut data = ftp.epsv_narrow();
    ftp.say("RETR big").expect(150);
    read_some(&mut data, 1000);
    server.signal(Signal::INT);
    ftp.reply().expect(426);
    ftp.reply().expect(421);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn sighup_and_sigusr1_disturb_nobody() {
    let server = Server::full();
    server.put("big", noise(30_000_000));
    let mut ftp = server.login();
    let mut data = ftp.epsv_narrow();
    ftp.say("RETR big").expect(150);
    read_some(&mut data, 1000);
    let config = std::fs::read_to_string(server.config()).unwrap();
    let replaced = |text: &str| std::fs::write(server.config(), text).unwrap();
    replaced(&format!("banner = \"other words\"\n{config}"));
    server.signal(Signal::HUP);
    server.wait_for("reload");
    let mut new = server.knock();
    new.reply().expect(220).says("other words");
    replaced("nonsense = [\n");
    server.signal(Signal::HUP);
    server.wait_for("reload refused");
    server.knock().reply().expect(220).says("other words");
    server.signal(Signal::USR1);
    server.wait_for("control");
    assert_eq!(common::read_all(data).len(), 30_000_000 - 1000);
    ftp.reply().expect(226);
    ftp.is_well();
}

#[test]
fn passwords_and_control_octets_never_reach_the_log() {
    let text = "[anonymous]\npermissions = \"full\"\n[log]\nlevel = \"trace\"\n\
                [limits]\nlogin_delay = \"0s\"\n";
    let server = Server::configured(text);
    let mut ftp = server.connect();
    ftp.say("USER someone\x1b[31m\u{202e}").expect(331);
    ftp.say("PASS h\u{fc}nter2-sesame").expect(530);
    ftp.say("PASSh\u{fc}nter2-sesame");
    ftp.say("pass  hünter2-sesame");
    ftp.log_in();
    ftp.say("CWD a\x07b\x1b[2Jc").expect(550);
    ftp.store("STOR e\x1b[31m", b"").expect(226);
    drop(ftp);
    let mut seen = String::new();
    server.signal(Signal::TERM);
    server.drain_log(&mut seen);
    // A password typed where the name belongs must not be there either: unknown names are not written down.
    assert!(seen.contains("an unknown name") && !seen.contains("someone"), "{seen}");
    assert!(!seen.contains("sesame"), "a password in the log");
    assert!(seen.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{}", seen.escape_debug());
}

#[test]
fn the_transfer_log_tells_how_transfers_ended() {
    let server = Server::full_and("[log]\ntransfers = \"xferlog\"\n");
    server.put("a b", noise(30_000_000));
    let mut ftp = server.login();
    ftp.store("STOR up", b"12345").expect(226);
    let mut data = ftp.epsv();
    ftp.say("RETR a b").expect(150);
    read_some(&mut data, 1000);
    ftp.say("ABOR").expect(426);
    ftp.reply().expect(226);
    ftp.lines("LIST");
    // Lines wait for each other; the end of the server is their end.
    server.signal(Signal::TERM);
    server.drain_log(&mut String::new());
    let log = std::fs::read_to_string(server.config().with_file_name("xferlog")).unwrap();
    let lines: Vec<Vec<&str>> = log.lines().map(|line| line.split_whitespace().collect()).collect();
    let [up, down] = &lines[..] else { panic!("{log}") };
    // Five words of date, seconds, host, bytes, path, type, flag, direction, access, user, service, method, id, status.
    assert_eq!((up.len(), down.len()), (18, 18), "{log}");
    assert_eq!([up[6], up[7], up[8], up[9], up[11], up[12], up[17]], ["127.0.0.1", "5", "/up", "b", "i", "a", "c"]);
    assert_eq!([down[8], down[11], down[17]], ["/a_b", "o", "i"]);
}
