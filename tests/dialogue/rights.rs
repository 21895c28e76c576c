//! Who may say what: strangers, guests with few rights, and a drop box.

use std::fs;

use crate::common::Server;
use crate::table;

#[test]
fn strangers_get_information_and_nothing_else() {
    let server = Server::full();
    let mut ftp = server.connect();
    let open = [
        ("ACCT x", 503),
        ("PASS x", 503),
        ("RNTO x", 530),
        ("SYST", 215),
        ("STAT", 211),
        ("STAT /", 530),
        ("HELP", 214),
        ("HELP RETR", 214),
        ("HELP SITE", 214),
        ("HELP NONSENSE", 502),
        ("SITE HELP", 214),
        ("SITE UMASK", 530),
        ("SITE ZAP", 530),
        ("NOOP", 200),
        ("ABOR", 225),
        ("FEAT", 211),
        ("OPTS UTF8 ON", 200),
        ("OPTS MLST type;", 200),
        ("LANG", 200),
        ("CLNT probe 1.0", 200),
        ("CSID Name=probe;", 200),
        ("HOST [127.0.0.1]", 501),
        ("HOST a b", 501),
        ("HOST [::1]", 504),
        ("HOST 127.0.0.1", 220),
        ("HOST nowhere.example", 504),
        ("REIN", 220),
        ("FOO", 500),
    ];
    table(&mut ftp, &open);
    ftp.say("USER anonymous").expect(331);
    ftp.say("NOOP").expect(200);
    ftp.say("CWD /").expect(530);
    ftp.say("PASS").expect(230);
}

#[test]
fn a12_every_verb_for_members_needs_a_login_and_has_no_effect_before() {
    let server = Server::furnished();
    let mut ftp = server.connect();
    let lines = [
        "CWD sub",
        "XCWD sub",
        "CDUP",
        "XCUP",
        "PORT 127,0,0,1,200,10",
        "PASV",
        "EPRT |1|127.0.0.1|51210|",
        "EPSV",
        "EPSV ALL",
        "TYPE A",
        "STRU F",
        "MODE S",
        "RETR a.bin",
        "STOR new",
        "STOU",
        "APPE a.bin",
        "ALLO 1",
        "REST 1",
        "RNFR a.bin",
        "RNTO b.bin",
        "DELE a.bin",
        "RMD empty",
        "XRMD empty",
        "MKD new",
        "XMKD new",
        "PWD",
        "XPWD",
        "LIST",
        "NLST",
        "MLSD",
        "MLST",
        "SIZE a.bin",
        "MDTM a.bin",
        "MDTM 20240101000000 a.bin",
        "MFMT 20240101000000 a.bin",
        "MFF modify=20240101000000; a.bin",
        "AVBL",
        "PRET RETR a.bin",
        "STAT a.bin",
        "SITE CHMOD 600 a.bin",
        "SITE UTIME 202401010000 a.bin",
        "SITE SYMLINK a.bin link",
        "SITE IDLE 1",
        "SITE WHO",
        // Arguments are judged only of those who are in.
        "RETR",
        "TYPE Q",
        "REST x",
        "PORT 1,2,3",
    ];
    for line in lines {
        ftp.say(line).expect(530);
    }
    let mut names: Vec<_> = fs::read_dir(server.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.bin", "empty", "sub", "t.txt"]);
    assert_eq!(server.get("a.bin"), b"hello");
}

#[test]
fn rights_are_kept_to_for_each_verb() {
    let server = Server::read_only();
    server.put("a.bin", "hello");
    server.put("d/x", "");
    let mut ftp = server.login();
    let writes = [
        "STOR new",
        "STOR a.bin",
        "APPE a.bin",
        "STOU",
        "MKD new",
        "RMD d",
        "DELE a.bin",
        "RNFR a.bin",
        "SITE CHMOD 600 a.bin",
        "SITE UTIME 202401010000 a.bin",
        "SITE SYMLINK a.bin l",
        "MFMT 20240101000000 a.bin",
        "MDTM 20240101000000 a.bin",
        "MFF modify=20240101000000; a.bin",
        "MFF UNIX.mode=0600; a.bin",
    ];
    for line in writes {
        ftp.epsv();
        let reply = ftp.say(line);
        assert_eq!(reply.code, 550, "{line}: {}", reply.text());
    }
    assert_eq!(ftp.fetch("RETR a.bin"), b"hello");
    ftp.say("MLST a.bin").expect(250).says("perm=r;");
    ftp.say("MLST d").expect(250).says("perm=el;");
}

#[test]
fn a_drop_box_takes_and_gives_nothing() {
    let server = Server::configured("[anonymous]\npermissions = \"drop\"\n");
    server.put("theirs", "secret");
    let mut ftp = server.login();
    ftp.store("STOR mine", b"1").expect(226);
    assert_eq!(server.get("mine"), b"1");
    for line in [
        "RETR theirs",
        "LIST",
        "NLST",
        "MLSD",
        "STAT /",
        "STOR theirs",
        "STOR mine",
        "APPE theirs",
        "DELE theirs",
        "RNFR theirs",
    ] {
        ftp.epsv();
        let reply = ftp.say(line);
        assert!(matches!(reply.code, 550 | 553), "{line}: {} {}", reply.code, reply.text());
    }
    ftp.say("REST 1").expect(350);
    ftp.epsv();
    ftp.say("STOR theirs").expect(550);
    assert_eq!(server.get("theirs"), b"secret");
}
