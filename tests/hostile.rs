//! Peers that break off anywhere, and signals in the middle of things.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Server, connect, first_word, noise, read_some, reset, stuck_download};
use rustix::process::Signal;

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
fn a_transfer_suspends_the_idle_limit() {
    let server = Server::full();
    server.put("big", noise(30_000_000));
    let mut ftp = server.login();
    let mut witness = server.login();
    let mut data = ftp.epsv_narrow();
    // In one segment, and the last command before the transfer is over: no limit runs out between the two.
    ftp.send("SITE IDLE 1\r\nRETR big\r\n");
    ftp.reply().expect(200);
    ftp.reply().expect(150);
    ftp.send("NOOP\r\n");
    read_some(&mut data, 1000);
    // By now the transfer has lasted longer than its session may be idle.
    witness.say("SITE IDLE 2").expect(200);
    witness.reply().expect(421);
    assert_eq!(common::read_all(data).len(), 30_000_000 - 1000);
    ftp.reply().expect(226);
    ftp.reply().expect(200);
    // And afterwards it counts again.
    ftp.reply().expect(421);
}

#[test]
fn s01_sigterm_lets_transfers_finish() {
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
fn s01_a_second_sigterm_ends_at_once() {
    let server = Server::full_and("[limits]\ndrain = \"1h\"\n");
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
fn s01_draining_has_an_end() {
    let server = Server::full_and("[limits]\ndrain = \"1s\"\n");
    let (mut ftp, _data) = stuck_download(&server);
    server.signal(Signal::INT);
    ftp.reply().expect(426);
    ftp.reply().expect(421);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn s02_sighup_and_sigusr1_disturb_nobody() {
    let server = Server::full();
    let (mut ftp, data) = stuck_download(&server);
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
