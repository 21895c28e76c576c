//! How octets become command lines: blanks, line ends, Telnet, segments, lengths, other protocols.

mod common;

use std::fs;

use common::Server;

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
fn r15_octets_that_are_no_utf_8_stay_as_they_are() {
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
fn r16_replies_show_no_control_octets() {
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
