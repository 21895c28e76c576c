//! HASH, the X-digests and RANG: what is computed from a file's bytes, and parts of files.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, CWD, FileType, Mode, fadvise, mknodat};
use rustix::net::sockopt;

use common::{PATIENCE, Peer, Server, noise, read_all};

/// Digests of "hello".
const OF_HELLO: [(&str, &str, &str); 5] = [
    ("CRC32", "XCRC", "3610a686"),
    ("MD5", "XMD5", "5d41402abc4b2a76b9719d911017c592"),
    ("SHA-1", "XSHA1", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
    ("SHA-256", "XSHA256", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
    (
        "SHA-512",
        "XSHA512",
        "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7\
         2323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
    ),
];

fn furnished() -> Server {
    let server = Server::full();
    server.put("b.bin", "hello");
    server.put("b 1 2", "a name with numbers behind it");
    server.put("empty", "");
    server.put("sub/x", "x");
    server
}

/// A reply and all of its text.
#[track_caller]
fn exact(ftp: &mut Peer, line: &str, code: u16, text: &str) {
    assert_eq!(ftp.say(line).expect(code).text(), text, "{line}");
}

/// A file that takes minutes to digest and no room on the disk.
fn endless(server: &Server, name: &str) {
    File::create(server.path(name)).unwrap().set_len(1 << 40).unwrap();
}

#[test]
fn the_dialogue_of_the_draft() {
    let server = furnished();
    let mut ftp = server.login();
    exact(&mut ftp, "OPTS HASH", 200, "SHA-256");
    exact(&mut ftp, "OPTS HASH CRC-37", 501, "Unknown algorithm, current selection not changed.");
    exact(&mut ftp, "OPTS HASH MD5", 200, "MD5");
    exact(&mut ftp, "HASH b.bin", 213, "MD5 0-4 5d41402abc4b2a76b9719d911017c592 b.bin");
    ftp.say("RANG 0 0").expect(350);
    exact(&mut ftp, "HASH b.bin", 213, "MD5 0-0 2510c39011c5be704182423e3a695e91 b.bin");
    exact(&mut ftp, "XMD5 b.bin", 250, "5D41402ABC4B2A76B9719D911017C592");
    exact(&mut ftp, "MFMT 20240229120000 b.bin", 213, "Modify=20240229120000; b.bin");
    exact(&mut ftp, "MFMT 20230229120000 b.bin", 501, "Bad time.");
}

#[test]
fn every_algorithm_is_right_and_listed() {
    let server = furnished();
    let mut ftp = server.connect();
    ftp.say("FEAT").expect(211).says("\n HASH SHA-256*;SHA-512;SHA-1;MD5;CRC32\n").says("\n RANG STREAM\n");
    ftp.say("OPTS HASH sha-1").expect(200).says("SHA-1");
    ftp.log_in();
    ftp.say("FEAT").expect(211).says("\n HASH SHA-256;SHA-512;SHA-1*;MD5;CRC32\n");
    for (name, verb, digest) in OF_HELLO {
        exact(&mut ftp, &format!("OPTS HASH {name}"), 200, name);
        exact(&mut ftp, "HASH b.bin", 213, &format!("{name} 0-4 {digest} b.bin"));
        exact(&mut ftp, &format!("{verb} b.bin"), 250, &digest.to_uppercase());
        ftp.say("FEAT").expect(211).says(&format!("\n {verb}\n"));
    }
    exact(&mut ftp, "XSHA b.bin", 250, &OF_HELLO[2].2.to_uppercase());
    ftp.say("REIN").expect(220);
    exact(&mut ftp, "OPTS HASH", 200, "SHA-256");
}

#[test]
fn ranges_are_inclusive_and_serve_once() {
    let server = furnished();
    let mut ftp = server.login();
    ftp.say("OPTS HASH CRC32").expect(200);
    for (line, text) in [
        ("REST 4", "CRC32 4-4 0f0f9344 b.bin"),
        ("RANG 1 3", "CRC32 1-3 3c11d901 b.bin"),
        ("RANG 4 99", "CRC32 4-4 0f0f9344 b.bin"),
        ("REST 0", "CRC32 0-4 3610a686 b.bin"),
    ] {
        ftp.say(line).expect(350);
        exact(&mut ftp, "HASH b.bin", 213, text);
        exact(&mut ftp, "HASH b.bin", 213, "CRC32 0-4 3610a686 b.bin");
    }
    exact(&mut ftp, "HASH empty", 213, "CRC32 0-0 00000000 empty");
    ftp.say("REST 5").expect(350);
    ftp.say("HASH b.bin").expect(554);
    exact(&mut ftp, "HASH b.bin", 213, "CRC32 0-4 3610a686 b.bin");
}

#[test]
fn what_cannot_be_digested_says_why() {
    let server = furnished();
    let mut ftp = server.login();
    let fifo = server.path("fifo");
    mknodat(CWD, fifo, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    for (line, code) in [
        ("HASH", 501),
        ("HASH none", 550),
        ("HASH sub", 553),
        ("HASH fifo", 550),
        ("HASH ../../etc/passwd", 550),
        ("XCRC none", 550),
        ("XMD5 sub", 550),
        ("XMD5", 501),
        ("OPTS HASH SHA-256 MD5", 501),
    ] {
        ftp.say(line).expect(code);
    }
    let dropbox = Server::configured("[anonymous]\npermissions = \"drop\"\n");
    dropbox.put("b.bin", "hello");
    let mut ftp = dropbox.login();
    ftp.say("HASH b.bin").expect(552);
    let (there, absent) = (ftp.say("XSHA256 b.bin").expect(550), ftp.say("XSHA256 b.bon").expect(550));
    assert_eq!(there.text().replace("bin", "bon"), absent.text(), "whether it exists is nobody's business");
    let reader = Server::read_only();
    reader.put("b.bin", "hello");
    reader.login().say("HASH b.bin").expect(213);
}

#[test]
fn the_x_digests_of_the_field_have_many_forms() {
    let server = furnished();
    server.put("a \"b\" c", "hello");
    let mut ftp = server.login();
    for (argument, hex) in [
        ("b.bin", "3610A686"),
        ("\"b.bin\"", "3610A686"),
        ("b.bin 4", "0F0F9344"),
        ("b.bin 1 4", "3C11D901"),
        ("\"b.bin\" 1 4", "3C11D901"),
        ("b.bin;1;4", "3C11D901"),
        ("b.bin;4", "0F0F9344"),
        ("b.bin 0 5", "3610A686"),
        ("b.bin 3 3", "00000000"),
        ("/sub/../b.bin 0 5", "3610A686"),
        ("a \"b\" c", "3610A686"),
    ] {
        exact(&mut ftp, &format!("XCRC {argument}"), 250, hex);
    }
    // An existing name is a name, whatever it looks like.
    let whole = ftp.say("XCRC \"b 1 2\"").expect(250).text();
    exact(&mut ftp, "XCRC b 1 2", 250, &whole);
    for argument in ["b.bin 4 3", "b.bin 6", "b.bin 0 6", "b.bin;7;9"] {
        ftp.say(format!("XCRC {argument}")).expect(501);
    }
}

#[test]
fn a_long_digest_stands_beside_other_sessions_and_can_be_aborted() {
    let server = Server::full();
    endless(&server, "big");
    server.put("b.bin", "hello");
    let (mut busy, mut other) = (server.login(), server.login());
    busy.say("OPTS HASH SHA-512").expect(200);
    busy.order("HASH big");
    for _ in 0..100 {
        other.is_well();
    }
    exact(&mut other, "XCRC b.bin", 250, "3610A686");
    assert_eq!(other.fetch("RETR b.bin"), b"hello");
    busy.order("NOOP");
    busy.order("ABOR");
    busy.reply().expect(451);
    busy.reply().expect(200);
    busy.reply().expect(226);
    busy.is_well();
    until_closed(&mut other, &server, "big");
}

#[test]
fn an_abor_in_the_same_segment_is_heard() {
    let server = Server::full();
    endless(&server, "big");
    let mut ftp = server.login();
    ftp.send("XSHA512 big\r\nHASH big\r\nABOR\r\nNOOP\r\n");
    // The one ABOR stops what it finds running; the HASH behind that is stopped in its turn.
    for code in [451, 451, 226, 200] {
        ftp.reply().expect(code);
    }
}

#[test]
fn who_leaves_takes_the_digest_along() {
    let server = Server::full();
    endless(&server, "big");
    let mut other = server.login();
    for _ in 0..3 {
        let mut busy = server.login();
        busy.order("HASH big");
        busy.order("NOOP");
        sockopt::set_socket_linger(busy.stream(), Some(Duration::ZERO)).unwrap();
    }
    until_closed(&mut other, &server, "big");
}

/// Until the server has that file open no longer.
#[track_caller]
fn until_closed(ftp: &mut Peer, server: &Server, name: &str) {
    let end = Instant::now() + PATIENCE;
    let folder = format!("/proc/{}/fd", server.pid());
    let is_open = || {
        let mut all = fs::read_dir(&folder).unwrap().map(|entry| fs::read_link(entry.unwrap().path()));
        all.any(|target| target.is_ok_and(|target| target == server.path(name)))
    };
    while is_open() {
        assert!(Instant::now() < end, "{name} is still open");
        ftp.is_well();
    }
}

#[test]
fn a_digest_made_on_the_way_is_that_of_the_file() {
    for uploads in ["direct", "atomic"] {
        let server = Server::full_and(&format!("[files]\ndigest = \"sha256\"\nuploads = \"{uploads}\"\n"));
        let mut ftp = server.login();
        let big = noise(300_000);
        ftp.store("STOR big", &big).expect(226);
        let of_big = ftp.say("HASH big").expect(213).text();
        server.put("same", &big);
        assert_eq!(ftp.say("HASH same").expect(213).text().replace("same", "big"), of_big);

        ftp.say("TYPE A").expect(200);
        ftp.store("STOR t", b"x\r\nhello\r\n").expect(226);
        ftp.say("TYPE I").expect(200);
        server.put("t2", "x\nhello\n");
        let of_text = ftp.say("HASH t2").expect(213).text();
        assert_eq!(ftp.say("HASH t").expect(213).text().replace(" t", " t2"), of_text);

        ftp.store("STOR h", b"hello").expect(226);
        exact(&mut ftp, "HASH h", 213, &format!("SHA-256 0-4 {} h", OF_HELLO[3].2));
        ftp.say("MFMT 20240229120000 h").expect(213);
        exact(&mut ftp, "HASH h", 213, &format!("SHA-256 0-4 {} h", OF_HELLO[3].2));
        ftp.say("REST 5").expect(350);
        ftp.say("HASH h").expect(554).says("Position 5 is the end of the file, whose size is 5.");
        ftp.say("REST 6").expect(350);
        ftp.say("HASH h").expect(554).says("Position 6 is beyond the file size 5.");
    }
}

#[test]
fn what_another_program_writes_into_an_upload_is_not_passed_off_as_received() {
    let server = Server::full_and("[files]\ndigest = \"sha256\"\n");
    let mut ftp = server.login();
    let mut data = ftp.epsv();
    ftp.say("STOR h").expect(150);
    data.write_all(&[b'x'; 5000]).unwrap();
    ftp.wait_for_progress(5000);
    let before = fs::metadata(server.path("h")).unwrap();
    while fs::metadata(server.path("h")).unwrap().ctime_nsec() == before.ctime_nsec() {
        File::options().write(true).open(server.path("h")).unwrap().write_all(b"foreign").unwrap();
    }
    data.write_all(b"end").unwrap();
    drop(data);
    ftp.reply().expect(226);
    server.put("copy", server.get("h"));
    let told = ftp.say("HASH h").expect(213).text();
    assert_eq!(ftp.say("HASH copy").expect(213).text().replace("copy", "h"), told);
}

#[test]
fn a_digest_made_on_the_way_is_not_computed_again() {
    for uploads in ["direct", "atomic"] {
        let server = Server::full_and(&format!(
            "[files]\ndigest = \"sha256\"\nuploads = \"{uploads}\"\n[log]\nlevel = \"trace\"\n"
        ));
        let mut ftp = server.login();
        ftp.store("STOR h", b"hello").expect(226);
        server.wait_for("Member/Transferring -> Member/Idle");
        ftp.say("HASH h").expect(213);
        ftp.say("XSHA256 h").expect(250);
        // A time or a mode is no change of what is in it.
        ftp.say("MFF modify=20240229120000;UNIX.mode=0600; h").expect(213);
        ftp.say("SITE UTIME 20240229120001 h").expect(200);
        ftp.say("SITE CHMOD 644 h").expect(200);
        ftp.say("HASH h").expect(213);
        // The log tells what a session does: had it read the file, that would stand before this.
        ftp.say("RNFR h").expect(350);
        assert!(server.wait_for("Member/Idle -> ").ends_with("Member/Renaming"), "{uploads}");
        ftp.say("XMD5 h").expect(250);
        assert!(server.wait_for("Member/Idle -> ").ends_with("Member/Computing"), "{uploads}");
    }
}

#[test]
fn files_that_are_not_in_memory_are_digested_too() {
    let server = Server::full();
    let mut ftp = server.login();
    for size in [1, 65_536, 300_000, 3_000_001] {
        let content = noise(size);
        server.put("warm", &content);
        server.put("cold", &content);
        let file = File::open(server.path("cold")).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let told = ftp.say("HASH cold").expect(213).text();
        assert_eq!(ftp.say("HASH warm").expect(213).text().replace("warm", "cold"), told, "{size} bytes");
    }
}

#[test]
fn a_digest_made_on_the_way_dies_with_what_it_was_made_of() {
    let server = Server::full_and("[files]\ndigest = \"sha256\"\n");
    let mut ftp = server.login();
    let fresh = |ftp: &mut Peer, server: &Server| {
        let told = ftp.say("HASH h").expect(213).text();
        server.put("copy", server.get("h"));
        assert_eq!(ftp.say("HASH copy").expect(213).text().replace("copy", "h"), told);
    };
    ftp.store("STOR h", b"hello").expect(226);
    ftp.say("REST 1").expect(350);
    ftp.store("STOR h", b"E").expect(226);
    fresh(&mut ftp, &server);
    ftp.store("STOR h", b"hello").expect(226);
    ftp.store("APPE h", b"x").expect(226);
    fresh(&mut ftp, &server);
    ftp.store("STOR h", b"hello").expect(226);
    ftp.say("RANG 0 0").expect(350);
    ftp.store("STOR h", b"J").expect(226);
    assert_eq!(server.get("h"), b"Jello");
    fresh(&mut ftp, &server);
    // Somebody on the host writes as much, and sets the old time.
    ftp.store("STOR h", b"hello").expect(226);
    let before = fs::metadata(server.path("h")).unwrap();
    while fs::metadata(server.path("h")).unwrap().ctime_nsec() == before.ctime_nsec() {
        let mut file = File::options().write(true).open(server.path("h")).unwrap();
        file.write_all(b"HELLO").unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
    }
    assert_eq!(fs::metadata(server.path("h")).unwrap().mtime_nsec(), before.mtime_nsec());
    fresh(&mut ftp, &server);
    // An upload that breaks off.
    ftp.store("STOR h", b"hello").expect(226);
    let data = ftp.epsv();
    ftp.say("STOR h").expect(150);
    common::reset(data);
    ftp.reply().expect(426);
    fresh(&mut ftp, &server);
}

#[test]
fn a_range_is_fetched_and_no_byte_more() {
    let server = furnished();
    let mut ftp = server.login();
    for (range, content) in [("0 0", "h"), ("1 3", "ell"), ("4 9", "o"), ("5 9", ""), ("99 100", ""), ("0 4", "hello")]
    {
        ftp.say(format!("RANG {range}")).expect(350);
        let data = ftp.epsv();
        ftp.say("RETR b.bin").expect(150).says(&format!("({} bytes)", content.len()));
        assert_eq!(read_all(data), content.as_bytes(), "{range}");
        ftp.reply().expect(226);
        assert_eq!(ftp.fetch("RETR b.bin"), b"hello", "a range serves once");
    }
}

#[test]
fn a_range_is_stored_and_nothing_beside_it_touched() {
    let server = furnished();
    let mut ftp = server.login();
    ftp.say("RANG 1 2").expect(350);
    ftp.store("STOR b.bin", b"EL").expect(226);
    assert_eq!(server.get("b.bin"), b"hELlo");
    ftp.say("RANG 3 9").expect(350);
    ftp.store("STOR b.bin", b"L").expect(226);
    assert_eq!(server.get("b.bin"), b"hELLo", "fewer bytes than announced");
    ftp.say("RANG 1 2").expect(350);
    ftp.store("STOR b.bin", b"elXX").expect(552);
    assert_eq!(server.get("b.bin"), b"helLo", "more bytes than announced");
    ftp.say("RANG 5 6").expect(350);
    ftp.store("APPE b.bin", b"!!").expect(226);
    assert_eq!(server.get("b.bin"), b"helLo!!");
    let _data = ftp.epsv();
    ftp.say("RANG 8 9").expect(350);
    ftp.say("STOR b.bin").expect(554);
    ftp.say("RANG 0 9").expect(350);
    ftp.say("STOU").expect(554);
}

#[test]
fn ranges_are_judged_where_they_are_set_and_where_they_are_used() {
    let server = furnished();
    let mut ftp = server.login();
    for (line, code) in [
        ("RANG", 501),
        ("RANG 1", 501),
        ("RANG 5 4", 501),
        ("RANG a b", 501),
        ("RANG 1 0", 350),
        ("RANG 1 2", 350),
        ("TYPE A", 200),
        ("RANG 1 2", 551),
    ] {
        ftp.say(line).expect(code);
    }
    let _data = ftp.epsv();
    ftp.say("RETR b.bin").expect(554);
    ftp.say("TYPE I").expect(200);
    // Each takes away what was set before.
    for undo in ["RANG 1 0", "RANG 3 2", "REST 0"] {
        ftp.say("RANG 1 2").expect(350);
        ftp.say("STAT").expect(211).says("Range: 1 to 2");
        ftp.say(undo);
        assert_eq!(ftp.fetch("RETR b.bin"), b"hello", "{undo}");
    }
    ftp.say("REST 1").expect(350);
    ftp.say("RANG 2 3").expect(350);
    assert_eq!(ftp.fetch("RETR b.bin"), b"ll");
    ftp.say("RANG 2 3").expect(350);
    ftp.say("REST 4").expect(350);
    assert_eq!(ftp.fetch("RETR b.bin"), b"o");
    ftp.say("RANG 2 3").expect(350);
    ftp.lines("LIST");
    assert_eq!(ftp.fetch("RETR b.bin"), b"hello", "a listing drops it");
}
