//! MODE Z: one zlib stream a transfer, both ways.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Peer, SECRET_HASH, Server, noise, read_all, read_some, until_counted};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use rustix::process::Signal;

const OFFERED: &str = "[limits]\ncompressed = 2\n";

fn furnished() -> Server {
    let server = Server::full_and(OFFERED);
    server.put("hello", "hello\nhello\n");
    server.put("text", "one line and another\n".repeat(40_000));
    server.put("noise", noise(700_000));
    server.put("empty", "");
    server.put("sub/x", "x");
    server
}

fn in_z(server: &Server) -> Peer {
    let mut ftp = server.login();
    ftp.say("MODE Z").expect(200);
    ftp
}

fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Exactly one stream, and nothing behind it.
#[track_caller]
fn inflated(stream: &[u8]) -> Vec<u8> {
    let mut decoder = ZlibDecoder::new(stream);
    let mut plain = Vec::new();
    decoder.read_to_end(&mut plain).unwrap();
    assert_eq!(decoder.total_in(), stream.len() as u64, "bytes behind the stream");
    plain
}

#[track_caller]
fn fetch(ftp: &mut Peer, line: &str) -> Vec<u8> {
    inflated(&ftp.fetch(line))
}

#[test]
fn it_is_hidden_unless_it_is_asked_for() {
    let server = Server::full();
    let mut ftp = server.login();
    let feat = ftp.say("FEAT").expect(211).text();
    assert!(!feat.contains("MODE Z"));
    ftp.say("MODE Z").expect(504);
    ftp.say("OPTS MODE Z LEVEL 3").expect(501);
    for (line, code) in [("MODE S", 200), ("MODE B", 504), ("MODE C", 504), ("MODE X", 501), ("MODE", 501)] {
        ftp.say(line).expect(code);
    }
    furnished().connect().say("FEAT").expect(211).says("\n MODE Z\n");
}

#[test]
fn files_go_out_compressed() {
    let server = furnished();
    let mut ftp = in_z(&server);
    for name in ["hello", "text", "noise", "empty"] {
        assert_eq!(fetch(&mut ftp, &format!("RETR {name}")), server.get(name), "{name}");
    }
    assert!(ftp.fetch("RETR text").len() < 10_000);
    ftp.say("MODE S").expect(200);
    assert_eq!(ftp.fetch("RETR hello"), server.get("hello"));
}

#[test]
fn listings_go_out_compressed() {
    let server = furnished();
    let (mut plain, mut ftp) = (server.login(), in_z(&server));
    for line in ["LIST", "NLST", "MLSD", "LIST sub", "MLSD /sub"] {
        assert_eq!(fetch(&mut ftp, line), plain.fetch(line), "{line}");
    }
    server.put("sub/none/x", "");
    std::fs::remove_file(server.path("sub/none/x")).unwrap();
    assert_eq!(fetch(&mut ftp, "LIST sub/none"), b"", "an empty directory is a stream too");
}

#[test]
fn files_come_in_compressed() {
    let server = furnished();
    let mut ftp = in_z(&server);
    let text = server.get("text");
    for (line, name, plain, content) in [
        ("STOR up", "up", &text[..], &text[..]),
        ("STOR up", "up", b"hello", b"hello"),
        ("APPE up", "up", b", world", b"hello, world"),
        ("STOR nothing", "nothing", b"", b""),
        ("STOR up", "up", &noise(500_000), &noise(500_000)),
    ] {
        ftp.store(line, &deflated(plain)).expect(226);
        assert!(server.get(name) == content, "{line}");
    }
    let mut data = ftp.epsv();
    let told = ftp.say("STOU pre").expect(150).text();
    data.write_all(&deflated(b"unique")).unwrap();
    drop(data);
    ftp.reply().expect(226);
    assert_eq!(server.get(told.strip_prefix("FILE: ").unwrap()), b"unique");
    // In as many segments as it has bytes.
    let mut data = ftp.epsv();
    ftp.say("STOR slow").expect(150);
    deflated(b"byte by byte").iter().for_each(|byte| data.write_all(&[*byte]).unwrap());
    drop(data);
    ftp.reply().expect(226);
    assert_eq!(server.get("slow"), b"byte by byte");
}

/// Whoever adds up the log's bytes wants those of the files, not those of the wire.
#[test]
fn the_transfer_log_counts_bytes_of_the_file() {
    let server = Server::full_and(&format!("{OFFERED}[log]\ntransfers = \"xferlog\"\n"));
    let mut ftp = in_z(&server);
    let plain = vec![b'a'; 300_000];
    ftp.store("STOR up", &deflated(&plain)).expect(226);
    fetch(&mut ftp, "RETR up");
    ftp.say("REST 299000").expect(350);
    fetch(&mut ftp, "RETR up");
    ftp.say("MODE S").expect(200);
    ftp.fetch("RETR up");
    server.signal(Signal::TERM);
    server.drain_log(&mut String::new());
    let log = std::fs::read_to_string(server.config().with_file_name("xferlog")).unwrap();
    let bytes: Vec<&str> = log.lines().filter_map(|line| line.split_whitespace().nth(7)).collect();
    assert_eq!(bytes, ["300000", "300000", "1000", "300000"], "{log}");
}

#[test]
fn positions_and_sizes_are_those_of_the_file() {
    let server = furnished();
    let mut ftp = in_z(&server);
    let data = ftp.epsv();
    let opening = ftp.say("RETR hello").expect(150).text();
    assert_eq!(opening, "Opening BINARY mode data connection for hello.");
    assert_eq!(inflated(&read_all(data)), b"hello\nhello\n");
    ftp.reply().expect(226);
    ftp.say("SIZE hello").expect(213).says("12");
    ftp.say("REST 8").expect(350);
    assert_eq!(fetch(&mut ftp, "RETR hello"), b"llo\n");
    ftp.say("REST 6").expect(350);
    ftp.store("STOR hello", &deflated(b"HELLO")).expect(226);
    assert_eq!(server.get("hello"), b"hello\nHELLO\n");
    ftp.say("RANG 1 2").expect(551);
    ftp.say("MODE S").expect(200);
    ftp.say("RANG 1 2").expect(350);
    ftp.say("MODE Z").expect(200);
    let _data = ftp.epsv();
    ftp.say("RETR hello").expect(554);
}

#[test]
fn line_ends_are_translated_inside_the_stream() {
    let server = furnished();
    let mut ftp = in_z(&server);
    ftp.say("TYPE A").expect(200);
    assert_eq!(fetch(&mut ftp, "RETR hello"), b"hello\r\nhello\r\n");
    ftp.say("REST 5").expect(350);
    assert_eq!(fetch(&mut ftp, "RETR hello"), b"\r\nhello\r\n");
    ftp.store("STOR up", &deflated(b"a\r\nb\r\n")).expect(226);
    assert_eq!(server.get("up"), b"a\nb\n");
}

#[test]
fn streams_beyond_the_bound_are_refused_before_anything_happens() {
    let server = furnished();
    server.put("huge", noise(16 << 20));
    let mut running: Vec<(Peer, TcpStream)> = (0..2)
        .map(|_| {
            let mut ftp = in_z(&server);
            let mut data = ftp.epsv();
            ftp.say("RETR huge").expect(150);
            read_some(&mut data, 1);
            (ftp, data)
        })
        .collect();
    let mut ftp = in_z(&server);
    let data = ftp.epsv();
    for line in ["RETR hello", "STOR hello", "APPE hello", "STOU", "LIST", "NLST", "MLSD"] {
        ftp.say(line).expect(450);
    }
    assert_eq!(server.get("hello"), b"hello\nhello\n", "it was not opened");
    ftp.say("MODE S").expect(200);
    ftp.say("RETR hello").expect(150);
    assert_eq!(read_all(data), b"hello\nhello\n", "the data connection was not used up");
    ftp.reply().expect(226);
    // Places come back by an ABOR, and whenever a transfer fails.
    ftp.say("MODE Z").expect(200);
    let (mut first, _data) = running.remove(0);
    first.order("ABOR");
    first.reply().expect(426);
    first.reply().expect(226);
    assert_eq!(fetch(&mut ftp, "RETR hello"), b"hello\nhello\n");
    ftp.store("STOR up", b"no stream").expect(426);
    assert_eq!(fetch(&mut ftp, "RETR hello"), b"hello\nhello\n", "a place of a failed upload");
}

#[test]
fn a_bomb_is_stopped_and_nobody_waits_for_it() {
    let server = Server::full_and("[limits]\ncompressed = 2\ninflated = \"1MiB\"\n");
    let mut ftp = in_z(&server);
    let bomb = deflated(&vec![0; 64 << 20]);
    assert!(bomb.len() < 100_000);
    let mut data = ftp.epsv();
    ftp.say("STOR bomb").expect(150);
    // The server may hang up while this is being sent.
    let _reset = data.write_all(&bomb);
    drop(data);
    ftp.reply().expect(552);
    assert!(server.get("bomb").len() <= 1 << 20);
    server.login().is_well();
    ftp.store("STOR just", &deflated(&vec![0; 1 << 20])).expect(226);
    assert_eq!(server.get("just").len(), 1 << 20);
    ftp.store("STOR just", &deflated(&vec![0; (1 << 20) + 1])).expect(552);
}

#[test]
fn a_bomb_is_stopped_by_the_quota() {
    let account = format!(
        "[[account]]\nname = \"ann\"\npassword = \"{SECRET_HASH}\"\npermissions = \"full\"\nquota = {{ bytes = \"1MiB\" }}\n"
    );
    let server = Server::with_accounts(OFFERED, &account);
    let mut ann = server.login_as("ann", "secret");
    until_counted(&mut ann);
    ann.say("MODE Z").expect(200);
    let mut data = ann.epsv();
    ann.say("STOR bomb").expect(150);
    let _reset = data.write_all(&deflated(&vec![0; 64 << 20]));
    drop(data);
    ann.reply().expect(552);
    assert!(server.get("bomb").len() <= 1 << 20);
}

#[test]
fn a_stream_that_is_cut_or_has_a_tail_is_no_file() {
    let server = furnished();
    let mut ftp = in_z(&server);
    let sound = deflated(&server.get("noise"));
    for damaged in [
        &sound[..sound.len() - 1],
        &sound[..sound.len() / 2],
        &[&sound[..], b"x"].concat(),
        &[&sound[..], &sound[..]].concat(),
        b"hello, this is no stream",
        b"",
    ] {
        let mut data = ftp.epsv();
        ftp.say("STOR up").expect(150);
        let _reset = data.write_all(damaged);
        drop(data);
        ftp.reply().expect(426);
        ftp.is_well();
    }
    // Raw deflate, as some clients send it, is no zlib stream.
    ftp.store("STOR up", &sound[2..sound.len() - 4]).expect(426);
}

#[test]
fn levels_are_chosen_and_forgotten() {
    let server = furnished();
    let mut ftp = in_z(&server);
    let size = |ftp: &mut Peer, line: &str| {
        ftp.say(line).expect(200);
        ftp.fetch("RETR text").len()
    };
    let (none, best) = (size(&mut ftp, "OPTS MODE Z LEVEL 0"), size(&mut ftp, "OPTS MODE Z LEVEL 9"));
    let usual = size(&mut ftp, "OPTS MODE Z");
    assert!(none > 800_000 && best < usual && usual < 20_000, "{none} {usual} {best}");
    for line in ["OPTS MODE Z LEVEL 10", "OPTS MODE Z LEVEL", "OPTS MODE Z BLOCKSIZE 5", "OPTS MODE B"] {
        ftp.say(line).expect(501);
    }
    ftp.say("STAT").expect(211).says("MODE: Z");
    ftp.log_in();
    ftp.say("STAT").expect(211).says("MODE: Z");
    ftp.say("REIN").expect(220);
    ftp.log_in();
    ftp.say("STAT").expect(211).says("MODE: S");
}

#[test]
fn digests_on_the_way_are_of_the_plain_file() {
    let server = Server::full_and(&format!("{OFFERED}[files]\ndigest = \"md5\"\n"));
    let mut ftp = in_z(&server);
    ftp.say("OPTS HASH MD5").expect(200);
    ftp.store("STOR h", &deflated(b"hello")).expect(226);
    ftp.say("HASH h").expect(213).says("MD5 0-4 5d41402abc4b2a76b9719d911017c592 h");
}
