//! How octets become command lines: blanks, line ends, Telnet, segments, lengths, other protocols.

mod common;

use std::fs;

use common::{Peer, Server};

#[test]
fn verbs_in_any_case_and_stray_blanks() {
    let server = Server::full();
    server.put("a", "12345");
    let mut ftp = server.connect();
    for (line, code) in [
        ("user Anonymous", 331),
        ("pAsS x", 230),
        ("noop", 200),
        ("NOOP stray words", 200),
        ("SYST ", 215),
        ("pwd ", 257),
        ("QUITX", 500),
        (" NOOP", 500),
        ("type i ", 200),
        ("TYPE  I", 200),
        ("mode  s", 200),
        ("size a", 213),
        ("opts mlst Size;TYPE;", 200),
        ("site help", 214),
        ("site umask 022 ", 200),
        ("epsv all ", 200),
    ] {
        let reply = ftp.say(line);
        assert_eq!(reply.code, code, "{line:?}: {}", reply.text());
    }
}

#[test]
fn one_blank_parts_and_the_others_belong_to_the_path() {
    let server = Server::full();
    for name in
        [" a", "a ", " ", "a  b", "-a", "a;b", "*", "\"q\"", "'", "%2e%2e", "~", "\\x", "$(id)", "x\u{fc}", "日本"]
    {
        let mut ftp = server.login();
        ftp.store(format!("STOR {name}"), name.as_bytes()).expect(226);
        assert_eq!(server.get(name), name.as_bytes(), "{name:?}");
        ftp.say(format!("SIZE {name}")).expect(213).says(&name.len().to_string());
        assert_eq!(ftp.fetch(format!("RETR {name}")), name.as_bytes());
        ftp.say(format!("MLST {name}")).expect(250).says(&format!("; /{name}"));
        ftp.say(format!("RNFR {name}")).expect(350);
        ftp.say(format!("RNTO {name} ")).expect(250);
        ftp.say(format!("DELE {name} ")).expect(250);
        ftp.say(format!("MKD {name}")).expect(257);
        ftp.say(format!("CWD {name}")).expect(250);
        ftp.say("CDUP").expect(250);
        ftp.say(format!("RMD {name}")).expect(250);
    }
    assert_eq!(fs::read_dir(server.root()).unwrap().count(), 0);
}

#[test]
fn octets_that_are_no_utf_8_stay_as_they_are() {
    let server = Server::full();
    let mut ftp = server.login();
    // FF is doubled on the wire by a correct client.
    for (wire, name) in
        [(&b"na\xefve"[..], &b"na\xefve"[..]), (b"\xff\xff\xff\xffx", b"\xff\xffx"), (b"na\xff ve", b"na\xff ve")]
    {
        ftp.store([b"STOR ", wire].concat(), b"1").expect(226);
        assert!(server.has(name));
        ftp.say([b"DELE ", wire].concat()).expect(250);
    }
    ftp.say(b"MKD \xff\xff").expect(257).says("created");
    assert_eq!(ftp.fetch("NLST"), b"\xff\r\n", "data connections are no Telnet");
}

#[test]
fn empty_lines_are_nothing() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.send("\r\n\n\r\n\n\n");
    ftp.is_well();
    ftp.send("\n");
    ftp.is_well();
}

#[test]
fn bare_line_feeds_end_lines_and_bare_returns_do_not() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.send("NOOP\nPWD\nSYST\r\n");
    for code in [200, 257, 215] {
        ftp.reply().expect(code);
    }
    ftp.send("MKD a\rb\r\n");
    ftp.reply().expect(553);
    ftp.send("MKD a\r\0b\r\n");
    ftp.reply().expect(553);
    ftp.send("MKD a\0b\r\n");
    ftp.reply().expect(553);
    ftp.send("MKD a\r\r\n");
    ftp.reply().expect(553);
    for line in [
        "RETR a\0b",
        "CWD a\0b",
        "SIZE a\0b",
        "LIST a\0b",
        "NLST a\0b",
        "MLST a\0b",
        "MDTM a\0b",
        "RNFR a\0",
        "STAT \0",
    ] {
        ftp.epsv();
        let reply = ftp.say(line);
        assert!(matches!(reply.code, 501 | 553), "{line:?}: {} {}", reply.code, reply.text());
    }
    assert_eq!(fs::read_dir(server.root()).unwrap().count(), 0);
    for line in ["TYPE I\0", "USER a\0b", "SITE UMASK\0", "SITE CHMOD 644\0 x", "\0NOOP", "NO\0OP"] {
        let reply = ftp.say(line);
        assert!(matches!(reply.code, 500 | 501), "{line:?}: {} {}", reply.code, reply.text());
    }
    ftp.is_well();
}

#[test]
fn replies_show_no_control_octets() {
    let server = Server::full();
    let mut ftp = server.login();
    server.put("e\x1b[31m\x7f\r\n226 forged", "");
    for line in ["CWD e\x1b[31m\x07", "RETR e\x1b", "MKD e\x1b/none", "DELE \x7f\x01"] {
        let reply = ftp.say(line);
        assert!(reply.text().bytes().all(|byte| !byte.is_ascii_control()), "{reply:?}");
    }
    ftp.say("CWD \x1bx").expect(550).says("?x");
    ftp.say("STAT /").expect(213).says("e?[31m???226 forged");
}

#[test]
fn telnet_commands_vanish() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.send(b"NO\xff\xf1OP\r\n");
    ftp.reply().expect(200);
    ftp.send(b"\xff\xf4\xff\xf2NOOP\r\n");
    ftp.reply().expect(200);
    ftp.send(b"\xff\xfa\x18\x00vt100\xff\xf0NOOP\r\n");
    ftp.reply().expect(200);
    ftp.send(b"\xff\xfd\x03");
    assert_eq!(ftp.raw(3), b"\xff\xfc\x03");
    ftp.send(b"\xff\xfb\x01");
    assert_eq!(ftp.raw(3), b"\xff\xfe\x01");
    ftp.send(b"\xff\xfc\x03\xff\xfe\x01");
    ftp.is_well();
    // A flood of nothing but IAC is no line and no load.
    ftp.send([0xff; 64 * 1024]);
    ftp.send("\r\n");
    ftp.reply().expect(500);
    ftp.is_well();
}

#[test]
fn telnet_commands_may_be_cut_anywhere() {
    let server = Server::full();
    let mut ftp = server.login();
    for byte in b"\xff\xf4\xff\xf2\xff\xfa\x18\x00\xff\xf0\xff\xfcxNOOP\r\n" {
        ftp.send([*byte]);
    }
    ftp.reply().expect(200);
    ftp.is_well();
}

#[test]
fn lines_byte_by_byte() {
    let server = Server::full();
    let mut ftp = server.connect();
    for byte in b"USER anonymous\r\nPASS x\r\nMKD some where\r\nCWD some where\r\nPWD\r\nQUIT\r\n" {
        ftp.send([*byte]);
    }
    for code in [331, 230, 257, 250, 257, 221] {
        ftp.reply().expect(code);
    }
    ftp.expect_close();
}

#[test]
fn many_lines_in_one_segment() {
    let server = Server::full();
    let mut ftp = server.connect();
    ftp.send(
        "USER ftp\r\nPASS x\r\n".to_owned() + &"NOOP\r\nPWD\r\nSYST\r\nFOO\r\n".repeat(5) + "MKD a\r\nCWD a\r\nPWD\r\n",
    );
    ftp.reply().expect(331);
    ftp.reply().expect(230);
    for _ in 0..5 {
        for code in [200, 257, 215, 500] {
            ftp.reply().expect(code);
        }
    }
    ftp.reply().expect(257);
    ftp.reply().expect(250);
    ftp.reply().expect(257).says("\"/a\"");
}

#[test]
fn long_lines_are_skipped_and_their_tails_never_run() {
    let server = Server::full();
    let mut ftp = server.login();
    let tail = " MKD smuggled\r\n";
    for length in [8 * 1024 + 1, 60 * 1024] {
        ftp.send(format!("RETR {}{tail}NOOP\r\n", "x".repeat(length)));
        ftp.reply().expect(500);
        ftp.reply().expect(200);
    }
    ftp.send(format!("RETR {}{tail}", "x".repeat(9000)));
    ftp.reply().expect(500);
    ftp.reply().expect(421);
    ftp.expect_close();
    assert!(!server.has("smuggled"));
}

#[test]
fn the_longest_line_still_counts() {
    let server = Server::full();
    let mut ftp = server.login();
    let longest = |verb: &str, length: usize| format!("{verb} {}", "x".repeat(length - verb.len() - 1));
    ftp.say(longest("NOOP", 8 * 1024)).expect(200);
    ftp.say(longest("NOOP", 8 * 1024 + 1)).expect(500);
    // Too long for a path, and not too long for a line.
    ftp.say(longest("CWD", 8 * 1024)).expect(553);
    ftp.is_well();
}

#[test]
fn a_line_without_end_ends_the_session() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.send("x".repeat(64 * 1024 + 4096));
    ftp.reply().expect(500);
    ftp.reply().expect(421);
    drop(ftp);
    server.login().is_well();
}

#[test]
fn other_protocols_are_shown_the_door() {
    let server = Server::full();
    for words in [
        &b"GET / HTTP/1.1\r\nHost: x\r\nUSER ftp\r\n\r\n"[..],
        b"POST / HTTP/1.1\r\n\r\nUSER ftp\r\nPASS x\r\nMKD hacked\r\n",
        b"HEAD / HTTP/1.0\r\n\r\n",
        b"PUT /x HTTP/1.1\r\n",
        b"DELETE /x HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"CONNECT x:21 HTTP/1.1\r\n",
        b"Host: localhost\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut ftp = server.connect();
        ftp.send(words);
        ftp.reply().expect(421);
        ftp.expect_close();
    }
    assert!(!server.has("hacked"));
    // After login too, whatever page made the browser send it.
    let mut ftp = server.login();
    ftp.send("POST / HTTP/1.1\r\nMKD hacked\r\n");
    ftp.reply().expect(421);
    ftp.expect_close();
    assert!(!server.has("hacked"));
}

/// The replies to one conversation, however it is cut.
fn codes(ftp: &mut Peer, count: usize) -> Vec<u16> {
    (0..count).map(|_| ftp.reply().code).collect()
}

#[test]
fn segments_do_not_matter() {
    let server = Server::full();
    let talk = b"USER ftp\r\nPASS x\r\n\r\nTYPE\xff\xf1 A\nFOO\r\nMLST /\r\nRNFR nowhere\r\nRNTO x\r\nNOOP\r\nQUIT\r\n";
    for at in 1..talk.len() {
        let mut ftp = server.connect();
        ftp.send(&talk[..at]);
        ftp.send(&talk[at..]);
        assert_eq!(codes(&mut ftp, 9), [331, 230, 200, 500, 250, 550, 503, 200, 221], "cut at {at}");
        ftp.expect_close();
    }
}
