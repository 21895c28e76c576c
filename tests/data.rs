//! Data connections and what may go wrong with them: who may connect, who may not, and how transfers end early.

mod common;

use std::io::{Read, Write};

use common::{Peer, Server, accept, connect, is_closed, noise, read_all, stuck_download, upload};

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
fn active_mode_can_be_off() {
    let server = Server::full_and("[active]\nenabled = false\n");
    let mut ftp = server.login();
    ftp.say("PORT 127,0,0,1,200,10").expect(502);
    ftp.say("EPRT |1|127.0.0.1|51210|").expect(502);
    ftp.fetch("LIST");
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

/// curl's way to begin: it hears of its ports a moment later, and of nothing else.
#[test]
fn ports_that_are_announced_in_a_moment_serve_like_others() {
    let server = Server::full();
    server.put("f", "x");
    let mut ftp = server.login();
    ftp.say("PWD").expect(257);
    for _ in 0..3 {
        assert_eq!(ftp.fetch("RETR f"), b"x");
    }
    ftp.send("EPSV\r\nNOOP\r\nABOR\r\n");
    ftp.reply().expect(229);
    ftp.reply().expect(200);
    ftp.reply().expect(226);
    assert_eq!(ftp.store("STOR g", b"y").code, 226);
    ftp.send("EPSV\r\nQUIT\r\n");
    ftp.reply().expect(229);
    ftp.reply().expect(221);
    ftp.expect_close();
}
