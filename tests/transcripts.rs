//! Whole dialogues, as a client of the field has them: login, transfers, resume, listings, renaming, mistakes.
//!
//! Transfers that are aborted are in `data`.

mod common;

use std::io::Write;

use common::{SECRET_HASH, Server, connect, send_all};

/// One account, no anonymous users.
fn with_ann() -> Server {
    let account = "[[account]]\nname = \"ann\"\nhome = \"root\"\npermissions = \"full\"\npassword = ";
    Server::with_accounts("[limits]\nlogin_delay = \"0s\"\n", &format!("{account}\"{SECRET_HASH}\"\n"))
}

#[test]
fn t1_login() {
    let server = with_ann();
    let mut ftp = server.connect();
    ftp.say("FEAT").expect(211).says(" UTF8");
    ftp.say("OPTS UTF8 ON").expect(200).says("Always in UTF8 mode.");
    ftp.say("PWD").expect(530).says("Please log in with USER and PASS.");
    ftp.say("PASS x").expect(503).says("Send USER first.");
    ftp.say("USER ann").expect(331).says("Password required.");
    ftp.say("PASS bad").expect(530).says("Login incorrect.");
    ftp.say("PASS secret").expect(503);
    ftp.say("USER ann").expect(331);
    ftp.say("PASS secret").expect(230).says("Login successful.");
    ftp.say("SYST").expect(215).says("UNIX Type: L8");
    ftp.say("PWD").expect(257).says("\"/\" is the current directory");
    ftp.say("QUIT").expect(221).says("Goodbye.");
    ftp.expect_close();
}

#[test]
fn a01_names_cannot_be_told_from_absent_ones() {
    let server = with_ann();
    let answers = ["ann", "nobody", "anonymous", "a b \u{202e}", "%n%s{}"].map(|name| {
        let mut ftp = server.connect();
        let user = ftp.say(format!("USER {name}"));
        let pass = ftp.say("PASS wrong");
        (user.code, user.text(), pass.code, pass.text())
    });
    assert_eq!(answers[0].0, 331);
    assert_eq!(answers[0].2, 530);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
}

#[test]
fn a05_names_and_ways_share_the_count_of_wrong_passwords() {
    let server = with_ann();
    let mut ftp = server.connect();
    for (name, way) in [("ann", "NOOP"), ("nobody", "REIN")] {
        ftp.say(format!("USER {name}")).expect(331);
        ftp.say("PASS wrong").expect(530);
        ftp.say(way);
    }
    ftp.say("USER ann").expect(331);
    ftp.say("PASS ").expect(421);
    ftp.expect_close();
    server.login_as("ann", "secret").is_well();
}

#[test]
fn passwords_with_blanks_and_lines_that_wait_for_the_verdict() {
    let server = with_ann();
    let mut ftp = server.connect();
    ftp.say("USER ann").expect(331);
    ftp.say("PASS secret ").expect(530);
    for line in ["USER ann", "PASS secret", "PWD", "NOOP"] {
        ftp.order(line);
    }
    for code in [331, 230, 257, 200] {
        ftp.reply().expect(code);
    }
}

#[test]
fn t2_passive_retr() {
    let server = Server::furnished();
    let mut ftp = server.login();
    ftp.say("TYPE I").expect(200).says("Type set to I.");
    let data = ftp.pasv();
    ftp.say("RETR a.bin").expect(150).says("Opening BINARY mode data connection for a.bin (5 bytes).");
    assert_eq!(common::read_all(data), b"hello");
    ftp.reply().expect(226).says("Transfer complete.");
    let address = ftp.epsv_address();
    ftp.say("RETR none").expect(550).says("none: No such file or directory.");
    ftp.say("RETR a.bin").expect(150);
    assert_eq!(common::read_all(connect(address)), b"hello");
    ftp.reply().expect(226);
    ftp.say("RETR a.bin").expect(425).says("Use PORT or PASV first.");
}

#[test]
fn t3_active_stor_in_ascii() {
    let server = Server::furnished();
    let mut ftp = server.login();
    ftp.say("TYPE A").expect(200).says("Type set to A.");
    let listener = ftp.port();
    ftp.say("STOR t.txt").expect(150).says("Ok to send data.");
    let mut data = common::accept(&listener);
    data.write_all(b"x\r").unwrap();
    ftp.wait_for_progress(2);
    send_all(data, b"\ny\r\n");
    ftp.reply().expect(226);
    assert_eq!(server.get("t.txt"), b"x\ny\n");
    ftp.say("SIZE t.txt").expect(213).says("6");
    ftp.say("TYPE I").expect(200);
    ftp.say("SIZE t.txt").expect(213).says("4");
}

#[test]
fn t4_resume() {
    let server = Server::furnished();
    server.put("up.bin", "ab");
    let mut ftp = server.login();
    ftp.say("REST 3").expect(350).says("Restarting at 3. Send STOR or RETR.");
    let data = ftp.pasv();
    ftp.say("RETR a.bin").expect(150).says("(2 bytes).");
    assert_eq!(common::read_all(data), b"lo");
    ftp.reply().expect(226);
    ftp.say("PASV").expect(227);
    ftp.say("REST 99").expect(350);
    ftp.say("RETR a.bin").expect(554).says("Restart position 99 is beyond the file size 5.");
    ftp.say("SIZE up.bin").expect(213).says("2");
    ftp.say("REST 2").expect(350);
    ftp.store("STOR up.bin", b"cde").expect(226);
    assert_eq!(server.get("up.bin"), b"abcde");
    ftp.say("REST 1").expect(350);
    ftp.store("STOR up.bin", b"X").expect(226);
    assert_eq!(server.get("up.bin"), b"aXcde", "never truncated");
    ftp.say("REST 6").expect(350);
    ftp.epsv();
    ftp.say("STOR up.bin").expect(554);
    ftp.say("REST 5").expect(350);
    assert_eq!(ftp.fetch("RETR a.bin"), b"", "at the end is not beyond it");
    ftp.store("APPE up.bin", b"!").expect(226);
    ftp.say("REST 0").expect(350);
    ftp.store("APPE up.bin", b"!").expect(226);
    ftp.say("REST 2").expect(350);
    ftp.store("APPE up.bin", b"Y").expect(226);
    assert_eq!(server.get("up.bin"), b"aXYde!!");
    ftp.store("APPE fresh", b"new").expect(226);
    assert_eq!(server.get("fresh"), b"new");
}

#[test]
fn t6_mlsd() {
    let server = Server::full();
    server.put("pub/sub/x", "");
    server.put("pub/a b.bin", "hello");
    let mut ftp = server.login();
    ftp.say("OPTS MLST size;type;colour;").expect(200);
    let data = ftp.epsv();
    ftp.say("MLSD /pub").expect(150).says("Opening data connection for MLSD.");
    let mut lines: Vec<_> = String::from_utf8(common::read_all(data)).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["type=dir; sub", "type=file;size=5; a b.bin"]);
    ftp.reply().expect(226);
    let reply = ftp.say("MLST /pub/a b.bin").expect(250);
    assert_eq!(reply.text(), "Listing /pub/a b.bin\n type=file;size=5; /pub/a b.bin\nEnd");
    ftp.say("MLSD /pub/a b.bin").expect(501).says("Not a directory.");
    ftp.say("MLSD /nope").expect(550).says("/nope: No such file or directory.");
    ftp.say("MLSD /pub/*").expect(550);
}

#[test]
fn t8_rename() {
    let server = Server::furnished();
    let mut ftp = server.login();
    ftp.say("RNFR a.bin").expect(350).says("Ready for RNTO.");
    ftp.say("RNTO b.bin").expect(250).says("Rename successful.");
    ftp.say("RNTO c.bin").expect(503).says("RNFR required first.");
    ftp.say("RNFR gone").expect(550);
    ftp.say("RNTO x").expect(503);
    ftp.say("RNFR b.bin").expect(350);
    ftp.say("PWD").expect(257);
    ftp.say("RNTO c.bin").expect(503);
    ftp.send("RNFR b.bin\r\nRNTO sub/c.bin\r\n");
    ftp.reply().expect(350);
    ftp.reply().expect(250);
    assert_eq!(server.get("sub/c.bin"), b"hello");
}

#[test]
fn t10_errors() {
    let server = Server::furnished();
    let mut ftp = server.login();
    ftp.say("FOO").expect(500).says("Unknown command.");
    ftp.say("SMNT /x").expect(502).says("SMNT not implemented.");
    ftp.say("STAT").expect(211);
    ftp.say("RETR sub").expect(550);
    ftp.say("STOR sub").expect(550);
    ftp.say("STOR none/such").expect(553);
    ftp.say("LIST nope").expect(550);
    ftp.say("NLST nope*").expect(550);
    assert!(ftp.lines("LIST empty").is_empty(), "150, nothing, 226");
    ftp.is_well();
}
