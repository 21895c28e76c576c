//! What resets what: restart marker, rename source, data channel, and what USER and REIN leave of a session.

mod common;

use common::{Peer, Server};

/// Where the marker stands, found out by using it up: the size that RETR announces.
fn marker(ftp: &mut Peer) -> u64 {
    let mut data = ftp.epsv();
    let text = ftp.say("RETR a.bin").expect(150).text();
    let left: u64 = text.rsplit('(').next().unwrap().strip_suffix(" bytes).").unwrap().parse().unwrap();
    std::io::Read::read_to_end(&mut data, &mut Vec::new()).unwrap();
    ftp.reply().expect(226);
    5 - left
}

#[test]
fn r09_the_restart_marker_lives_until_it_is_used() {
    let server = Server::furnished();
    let mut ftp = server.login();
    for line in
        ["TYPE I", "PASV", "EPSV", "PORT 127,0,0,1,200,10", "SIZE a.bin", "MDTM a.bin", "CWD .", "NOOP", "PRET RETR x"]
    {
        ftp.say("REST 3").expect(350);
        ftp.say(line);
        assert_eq!(marker(&mut ftp), 3, "after {line}");
        assert_eq!(marker(&mut ftp), 0, "used up");
    }
    for (line, code) in [
        ("REST 0", 350),
        ("RETR nowhere", 550),
        ("RETR", 501),
        ("LIST", 425),
        ("NLST nowhere", 550),
        ("MLSD", 425),
        ("STOR sub", 550),
    ] {
        ftp.say("REST 3").expect(350);
        ftp.say("ABOR");
        ftp.say(line).expect(code);
        assert_eq!(marker(&mut ftp), 0, "after {line}");
    }
    ftp.say("REST 3").expect(350);
    ftp.say("REST 2").expect(350);
    assert_eq!(marker(&mut ftp), 2);
    ftp.say("REST 3").expect(350);
    ftp.log_in();
    assert_eq!(marker(&mut ftp), 0, "after USER");
    ftp.say("REST 3").expect(350);
    ftp.say("REIN").expect(220);
    ftp.log_in();
    assert_eq!(marker(&mut ftp), 0, "after REIN");
    ftp.say("REST 1").expect(350);
    ftp.epsv();
    ftp.say("STOU").expect(554);
    assert_eq!(marker(&mut ftp), 0, "after STOU");
}

#[test]
fn the_rename_source_is_forgotten_by_other_commands() {
    let server = Server::furnished();
    let mut ftp = server.login();
    for line in ["NOOP", "STAT", "ABOR", "STAT a.bin"] {
        ftp.say("RNFR a.bin").expect(350);
        ftp.say(line);
        ftp.say("RNTO a.bin").expect(250);
    }
    for line in [
        "PWD",
        "FOO",
        "TYPE I",
        "CWD nowhere",
        "PASV",
        "SITE ZAP",
        "FEAT",
        "RNFR nowhere",
        "SMNT x",
        "LIST nowhere",
        "RNTO",
        "USER",
        "",
    ] {
        ftp.say("RNFR a.bin").expect(350);
        if line.is_empty() {
            ftp.log_in();
        } else {
            ftp.say(line);
        }
        let reply = ftp.say("RNTO b.bin");
        assert_eq!(reply.code, 503, "after {line:?}");
    }
    ftp.say("RNFR a.bin").expect(350);
    ftp.say("RNFR t.txt").expect(350);
    ftp.say("RNTO b.bin").expect(250);
    assert!(server.has("a.bin") && server.has("b.bin") && !server.has("t.txt"));
    // A failed RNTO uses it up as well.
    ftp.say("RNFR a.bin").expect(350);
    ftp.say("RNTO sub").expect(550);
    ftp.say("RNTO c.bin").expect(503);
}

#[test]
fn a_data_channel_serves_once_and_survives_refusals() {
    let server = Server::furnished();
    let mut ftp = server.login();
    let data = ftp.epsv();
    for (line, code) in
        [("RETR nowhere", 550), ("PORT 10,9,8,7,200,1", 504), ("PORT 1,2,3", 501), ("EPSV 2", 522), ("TYPE I", 200)]
    {
        ftp.say(line).expect(code);
    }
    ftp.say("RETR a.bin").expect(150);
    assert_eq!(common::read_all(data), b"hello");
    ftp.reply().expect(226);
    ftp.say("RETR a.bin").expect(425);
    ftp.say("STOR b.bin").expect(425);
    assert!(!server.has("b.bin"), "nothing is made without a channel");
    ftp.say("STOR a.bin").expect(425);
    assert_eq!(server.get("a.bin"), b"hello");
    // Old sockets are closed before the new ones are told.
    for (set, close) in [("EPSV", "PASV"), ("PASV", "PORT 127,0,0,1,200,10"), ("EPSV", "EPSV"), ("PASV", "ABOR")] {
        let mut old = if set == "PASV" { ftp.pasv() } else { ftp.epsv() };
        ftp.say(close);
        assert!(common::is_closed(&mut old), "{set}, {close}");
    }
    ftp.say("ABOR").expect(225);
    for way in ["USER anonymous", "REIN"] {
        let mut old = ftp.epsv();
        ftp.say(way);
        assert!(common::is_closed(&mut old), "{way}");
        ftp.log_in();
        ftp.say("RETR a.bin").expect(425);
    }
}

#[test]
fn user_and_rein_reset_what_they_should() {
    let server = Server::furnished();
    let mut ftp = server.login();
    let set = |ftp: &mut Peer| {
        for line in ["TYPE A", "CWD sub", "OPTS MLST type;", "SITE UMASK 077", "SITE IDLE 100", "EPSV ALL"] {
            ftp.say(line);
        }
    };
    set(&mut ftp);
    ftp.say("USER ftp").expect(331);
    ftp.say("PWD").expect(530);
    ftp.say("PASS x").expect(230);
    ftp.say("PWD").expect(257).says("\"/\"");
    ftp.say("SIZE t.txt").expect(213).says("6");
    ftp.say("MLST a.bin").expect(250).says(" type=file; /a.bin");
    ftp.say("SITE UMASK").expect(200).says("077");
    ftp.say("SITE IDLE").expect(200).says("100");
    ftp.say("PASV").expect(501);
    set(&mut ftp);
    ftp.say("REIN").expect(220);
    ftp.say("PWD").expect(530);
    ftp.log_in();
    ftp.say("PWD").expect(257).says("\"/\"");
    ftp.say("SIZE t.txt").expect(213).says("4");
    ftp.say("MLST a.bin").expect(250).says("size=5;");
    ftp.say("SITE UMASK").expect(200).says("022");
    ftp.say("SITE IDLE").expect(200).says("300");
    ftp.say("PASV").expect(227);
}

#[test]
fn d13_epsv_all_locks_the_other_ways_out() {
    let server = Server::furnished();
    let mut ftp = server.login();
    ftp.say("EPSV ALL").expect(200);
    let refused = |ftp: &mut Peer| {
        for line in ["PORT 127,0,0,1,200,10", "EPRT |1|127.0.0.1|51210|", "PASV"] {
            ftp.say(line).expect(501);
        }
        for line in ["LPRT 4,4,127,0,0,1,2,200,10", "LPSV"] {
            assert!(matches!(ftp.say(line).code, 501 | 502), "{line}");
        }
    };
    refused(&mut ftp);
    assert_eq!(ftp.fetch("RETR a.bin"), b"hello");
    let data = ftp.epsv();
    ftp.say("ABOR").expect(226);
    drop(data);
    refused(&mut ftp);
    ftp.log_in();
    refused(&mut ftp);
    ftp.say("EPSV 1").expect(229);
}
