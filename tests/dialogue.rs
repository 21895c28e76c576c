//! A line in, a reply out: every verb in the states it can meet, what resets what, and whole dialogues.

mod common;

use std::fs;
use std::io::Write;

use common::{Peer, Server, connect, rows, send_all};

/// A full server with a few things in it.
fn furnished() -> Server {
    let server = Server::full();
    server.put("a.bin", "hello");
    server.put("t.txt", "x\ny\n");
    server.put("sub/inner", "12");
    server.put("sub/deep/x", "");
    fs::create_dir(server.path("empty")).unwrap();
    server
}

/// Says each line and compares the codes; what differs is told all at once.
#[track_caller]
fn table(ftp: &mut Peer, rows: &[(&str, u16)]) {
    let mut wrong = Vec::new();
    for (line, code) in rows {
        let reply = ftp.say(line);
        if reply.code != *code {
            wrong.push(format!("{line}: {} {}, not {code}", reply.code, reply.text()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

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
fn every_verb_for_members_needs_a_login_and_has_no_effect_before() {
    let server = furnished();
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
fn known_verbs_that_are_off_say_so() {
    let server = Server::full();
    let mut ftp = server.login();
    for line in ["SMNT /x", "MFCT 20240101000000 x", "LPRT 4,4,1,1,1,1,2,1,1", "LPSV", "SSCN", "CPSV", "MD5 x", "MIC x"]
    {
        ftp.say(line).expect(502);
    }
    for verb in ["AUTH TLS", "PROT P", "HASH x", "RANG 0 1", "XCRC x", "XSHA256 x"] {
        let word = verb.split(' ').next().unwrap();
        if !rows().contains_key(word) {
            ftp.say(verb).expect(502);
        }
    }
    for line in ["FOO", "XFOO", "RETRIEVE x", "@", "A", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"] {
        ftp.say(line).expect(500);
    }
}

#[test]
fn arguments_are_judged() {
    let server = furnished();
    let mut ftp = server.login();
    let required = [
        "USER", "ACCT", "PORT", "TYPE", "STRU", "MODE", "RETR", "STOR", "APPE", "ALLO", "REST", "RNFR", "DELE", "RMD",
        "MKD", "SITE", "OPTS", "CLNT", "EPRT", "MDTM", "SIZE", "MFMT", "MFF", "PRET",
    ];
    for verb in required {
        ftp.say(verb).expect(501);
        ftp.say(format!("{verb} ")).expect(501);
    }
    let rows = [
        ("TYPE A", 200),
        ("TYPE a n", 200),
        ("TYPE A T", 200),
        ("TYPE A C", 504),
        ("TYPE E", 504),
        ("TYPE E N", 504),
        ("TYPE L 8", 200),
        ("TYPE L 7", 504),
        ("TYPE L", 501),
        ("TYPE Q", 501),
        ("TYPE A X", 501),
        ("TYPE BINARY", 501),
        ("TYPE I", 200),
        ("MODE S", 200),
        ("MODE s", 200),
        ("MODE B", 504),
        ("MODE C", 504),
        ("MODE Q", 501),
        ("STRU F", 200),
        ("STRU R", 504),
        ("STRU P", 504),
        ("STRU Q", 501),
        ("ALLO 100", 200),
        ("ALLO 100 R 10", 200),
        ("ALLO x", 501),
        ("ALLO 18446744073709551616", 501),
        ("REST 0", 350),
        ("REST 9223372036854775807", 350),
        ("REST 9223372036854775808", 501),
        ("REST 18446744073709551616", 501),
        ("REST -1", 501),
        ("REST 1e3", 501),
        ("REST +1", 501),
        ("REST 0", 350),
        ("PORT 1,2,3", 501),
        ("PORT 127,0,0,1,200", 501),
        ("PORT 127,0,0,1,200,10,1", 501),
        ("PORT 127,0,0,1,256,10", 501),
        ("PORT 127,0,0,1,-1,10", 501),
        ("PORT 127,0,0,1,+1,10", 501),
        ("PORT 127,0,0,1,0x10,10", 501),
        ("PORT 127,0,0,1,4294967296,10", 501),
        ("PORT 10,9,8,7,200,1", 504),
        ("PORT 127,0,0,1,3,255", 504),
        ("PORT 127, 0, 0, 1, 200, 10", 200),
        ("EPRT |1|127.0.0.1|51210|", 200),
        ("EPRT !1!127.0.0.1!51210!", 200),
        ("EPRT |1|10.9.8.7|51210|", 504),
        ("EPRT |1|127.0.0.1|1023|", 504),
        ("EPRT |1|127.0.0.1|70000|", 501),
        ("EPRT |1|127.0.0.1|0|", 501),
        ("EPRT |1|127.0.0.1|51210", 501),
        ("EPRT |2|::1|51210|", 522),
        ("EPRT |2|fe80::1%lo|51210|", 501),
        ("EPRT |7|x|1|", 522),
        ("EPRT |x|x|1|", 501),
        ("EPSV 1", 229),
        ("EPSV 2", 522),
        ("EPSV 9", 522),
        ("EPSV X", 501),
        ("PRET RETR a.bin", 200),
        ("PRET LIST", 200),
        ("PRET NOOP", 501),
        ("LANG en", 200),
        ("LANG EN-gb", 200),
        ("LANG fr", 504),
        ("LANG e n", 501),
        ("LANG", 200),
        ("OPTS UTF8", 200),
        ("OPTS utf-8 on", 200),
        ("OPTS UTF8 NLST", 200),
        ("OPTS UTF8 OFF", 501),
        ("OPTS X", 501),
        ("SITE ZAP", 500),
        ("SITE EXEC ls", 500),
        ("SITE CHMOD 999 a.bin", 501),
        ("SITE CHMOD u+x a.bin", 501),
        ("SITE CHMOD 644", 501),
        ("SITE UMASK 8", 501),
        ("SITE IDLE 0", 501),
        ("SITE IDLE 1000000", 501),
        ("SITE UTIME 209913010000 a.bin", 501),
        ("MFMT 20230229120000 a.bin", 501),
        ("MFMT 20231301120000 a.bin", 501),
        ("MFMT 2023 a.bin", 501),
        ("MFMT 00000101000000 a.bin", 501),
        ("MFMT 20240229120060 a.bin", 213),
        ("MFF create=20240101000000; a.bin", 504),
        ("MFF modify=2024; a.bin", 501),
        ("MFF UNIX.mode=9; a.bin", 501),
        ("HOST x", 503),
        ("ACCT x", 202),
        ("PASS x", 503),
    ];
    table(&mut ftp, &rows);
    ftp.say("EPRT |7|x|1|").expect(522).says("(1,2)");
    ftp.say("EPRT |2|::1|51210|").expect(522).says("(1)");
    ftp.say("EPSV 2").expect(522).says("(1)");
    ftp.say("EPSV 9").expect(522).says("(1)");
    ftp.is_well();
}

#[test]
fn names_and_attributes() {
    let server = furnished();
    let mut ftp = server.login();
    let rows = [
        ("PWD", 257),
        ("CWD nowhere", 550),
        ("CWD a.bin", 550),
        ("CWD sub", 250),
        ("XCWD deep", 250),
        ("CDUP", 250),
        ("XCUP", 250),
        ("CDUP", 250),
        ("CWD sub", 250),
        ("CWD", 250),
        ("CWD ~", 250),
        ("CWD ~/sub", 250),
        ("RMD .", 550),
        ("RMD /sub", 550),
        ("CWD /", 250),
        ("RMD /", 550),
        ("DELE /", 550),
        ("RNFR /", 550),
        ("DELE sub", 550),
        ("DELE nowhere", 550),
        ("RMD nowhere", 550),
        ("RMD a.bin", 550),
        ("RMD sub", 550),
        ("RMD empty", 250),
        ("MKD empty", 257),
        ("MKD empty", 550),
        ("MKD none/such", 553),
        ("XMKD empty/x", 257),
        ("XRMD empty/x", 250),
        ("SIZE a.bin", 213),
        ("SIZE sub", 550),
        ("SIZE nowhere", 550),
        ("MDTM a.bin", 213),
        ("MDTM sub", 550),
        ("MDTM nowhere", 550),
        ("MLST a.bin", 250),
        ("MLST", 250),
        ("MLST nowhere", 550),
        ("STAT a.bin", 213),
        ("STAT sub", 213),
        ("STAT nowhere", 550),
        ("AVBL", 213),
        ("AVBL nowhere", 550),
        ("RNFR nowhere", 550),
        ("RNFR a.bin", 350),
        ("RNTO sub", 550),
        ("RNFR a.bin", 350),
        ("RNTO none/such", 553),
        ("RNFR a.bin", 350),
        ("RNTO t.txt", 250),
        ("RNFR t.txt", 350),
        ("RNTO a.bin", 250),
        ("RNFR sub", 350),
        ("RNTO a.bin", 550),
        ("SITE WHO", 550),
        ("SITE IDLE", 200),
        ("SITE IDLE 60", 200),
        ("SITE UMASK", 200),
        ("SITE UMASK 027", 200),
        ("SITE CHMOD 640 nowhere", 550),
        ("SITE CHMOD 640 a.bin", 200),
        ("SITE SYMLINK a.bin link", 200),
        ("SITE SYMLINK /etc/passwd out", 550),
        ("SITE SYMLINK ../outside out", 550),
        ("DELE link", 250),
        ("DELE a.bin", 250),
    ];
    table(&mut ftp, &rows);
    ftp.say("SITE UMASK 022").expect(200).says("UMASK set to 022 (was 027)");
    ftp.say("SITE UMASK").expect(200).says("Current UMASK is 022");
    ftp.say("MKD q\"d").expect(257).says("\"/q\"\"d\" created");
    ftp.say("CWD q\"d").expect(250);
    ftp.say("PWD").expect(257).says("\"/q\"\"d\" is the current directory");
    ftp.say("SYST").expect(215).says("UNIX Type: L8");
}

#[test]
fn times_and_modes_are_set_and_told() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let server = furnished();
    let mut ftp = server.login();
    let time = |name: &str| fs::metadata(server.path(name)).unwrap().mtime();
    let mode = |name: &str| fs::metadata(server.path(name)).unwrap().permissions().mode() & 0o7777;
    ftp.say("MFMT 20240229120000 a.bin").expect(213).says("Modify=20240229120000; a.bin");
    assert_eq!(time("a.bin"), 1_709_208_000);
    ftp.say("MDTM a.bin").expect(213).says("20240229120000");
    ftp.say("MDTM 20200102030405 a.bin").expect(213).says("Modify=20200102030405; a.bin");
    assert_eq!(time("a.bin"), 1_577_934_245);
    ftp.say("MDTM 20200102030405.25 a.bin").expect(213);
    ftp.say("MDTM 20200103 a.bin").expect(213);
    assert_eq!(time("a.bin"), 1_578_009_600);
    server.put("20200102030405 a.bin", "");
    ftp.say("MFMT 20010101000000 20200102030405 a.bin").expect(213);
    ftp.say("MDTM 20200102030405 a.bin").expect(213).says("20010101000000");
    ftp.say("SITE UTIME 202101020304 a.bin").expect(200);
    assert_eq!(time("a.bin"), 1_609_556_640);
    ftp.say("SITE UTIME a.bin 20220101000001 20220101000002 20220101000003 UTC").expect(200);
    assert_eq!(time("a.bin"), 1_640_995_202);
    assert_eq!(fs::metadata(server.path("a.bin")).unwrap().atime(), 1_640_995_201);
    ftp.say("MFF Modify=20240229120000;UNIX.mode=0600; a.bin")
        .expect(213)
        .says("Modify=20240229120000;UNIX.mode=0600; a.bin");
    assert_eq!((time("a.bin"), mode("a.bin")), (1_709_208_000, 0o600));
    // All facts are judged before one is set.
    ftp.say("MFF Modify=20200101000000;UNIX.mode=9; a.bin").expect(501);
    ftp.say("MFF Modify=20200101000000;Create=20200101000000; a.bin").expect(504).says("Create");
    assert_eq!(time("a.bin"), 1_709_208_000);
    ftp.say("SITE CHMOD 6755 a.bin").expect(200);
    assert_eq!(mode("a.bin"), 0o755);
    ftp.say("SITE UMASK 077").expect(200);
    ftp.store("STOR private", b"").expect(226);
    ftp.say("MKD closed").expect(257);
    assert_eq!((mode("private"), mode("closed")), (0o600, 0o700));
}

#[test]
fn features_are_spelled_as_clients_compare_them() {
    const ALWAYS: [&str; 17] = [
        " AVBL",
        " CLNT",
        " CSID",
        " EPRT",
        " EPSV",
        " HOST",
        " LANG EN*",
        " MDTM",
        " MFF modify;UNIX.mode;",
        " MFMT",
        " MLST type*;size*;modify*;perm*;unique*;UNIX.mode*;UNIX.owner*;UNIX.group*;",
        " PASV",
        " REST STREAM",
        " SITE SYMLINK",
        " SIZE",
        " TVFS",
        " UTF8",
    ];
    const WITH_A_VERB: [(&str, &str); 11] = [
        ("AUTH", " AUTH TLS"),
        ("PBSZ", " PBSZ"),
        ("PROT", " PROT"),
        ("HASH", " HASH SHA-256*;SHA-512;SHA-1;MD5;CRC32"),
        ("RANG", " RANG STREAM"),
        ("XCRC", " XCRC"),
        ("XMD5", " XMD5"),
        ("XSHA1", " XSHA1"),
        ("XSHA256", " XSHA256"),
        ("XSHA512", " XSHA512"),
        ("MODE Z", " MODE Z"),
    ];
    let server = Server::full();
    let mut ftp = server.connect();
    let feat = ftp.say("FEAT").expect(211);
    let lines: Vec<String> = feat.body().iter().map(|line| String::from_utf8(line.clone()).unwrap()).collect();
    for label in ALWAYS {
        assert!(lines.iter().any(|line| line == label), "no \"{label}\" among {lines:#?}");
    }
    for line in &lines {
        let of_a_verb = WITH_A_VERB.iter().find(|(_, label)| label == line);
        assert!(ALWAYS.contains(&line.as_str()) || of_a_verb.is_some(), "\"{line}\" is no feature's label");
        // Protected transfers are listed only where a certificate makes them work, and then in the table too.
        if let Some((verb, _)) = of_a_verb.filter(|(verb, _)| *verb != "MODE Z") {
            assert!(rows().contains_key(*verb), "{verb} is listed but off");
        }
    }
    assert_eq!((feat.lines[0].as_slice(), feat.lines.last().unwrap().as_slice()), (&b"Features:"[..], &b"End"[..]));
}

#[test]
fn facts_are_chosen() {
    let server = furnished();
    let mut ftp = server.login();
    ftp.say("OPTS MLST size;type;colour;").expect(200).says("MLST OPTS type;size;");
    ftp.say("FEAT").expect(211).says(" MLST type*;size*;modify;perm;unique;UNIX.mode;UNIX.owner;UNIX.group;");
    assert_eq!(ftp.say("MLST a.bin").expect(250).body(), [b" type=file;size=5; /a.bin"]);
    ftp.say("OPTS MLST SIZE").expect(200).says("MLST OPTS size;");
    ftp.say("OPTS MLST type; size;").expect(501);
    assert_eq!(ftp.say("MLST a.bin").expect(250).body(), [b" size=5; /a.bin"]);
    ftp.say("OPTS MLST").expect(200).says("MLST OPTS");
    assert_eq!(ftp.say("MLST a.bin").expect(250).body(), [b"  /a.bin"]);
    ftp.say("OPTS MLSD type;").expect(501);
}

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
fn the_restart_marker_lives_until_it_is_used() {
    let server = furnished();
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
    let server = furnished();
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
    let server = furnished();
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
    let server = furnished();
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
fn epsv_all_locks_the_other_ways_out() {
    let server = furnished();
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

/// One account, no anonymous users. The hash is that of "secret", as cheap as the format allows.
fn with_ann() -> Server {
    let mut hash = std::process::Command::new(env!("CARGO_BIN_EXE_miniftpd"));
    hash.arg("--hash-password").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = hash.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    let hash = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let account = format!(
        "[[account]]\nname = \"ann\"\npassword = \"{}\"\nhome = \"root\"\npermissions = \"full\"\n",
        hash.trim()
    );
    Server::with_accounts("[limits]\nlogin_delay = \"0s\"\n", &account)
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
fn names_cannot_be_told_from_absent_ones() {
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
fn the_third_wrong_password_ends_the_session() {
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
    let server = furnished();
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
    let server = furnished();
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
    let server = furnished();
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
    let server = furnished();
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
    let server = furnished();
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
