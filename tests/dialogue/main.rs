//! A line in, a reply out: every verb in the states it can meet.

#[path = "../common/mod.rs"]
mod common;

mod rights;

use std::fs;

use common::{Peer, Server, rows};

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

/// What becomes of arguments, good and bad.
const ARGUMENTS: [(&str, u16); 93] = [
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

#[test]
fn arguments_are_judged() {
    let server = Server::furnished();
    let mut ftp = server.login();
    let required = [
        "USER", "ACCT", "PORT", "TYPE", "STRU", "MODE", "RETR", "STOR", "APPE", "ALLO", "REST", "RNFR", "DELE", "RMD",
        "MKD", "SITE", "OPTS", "CLNT", "EPRT", "MDTM", "SIZE", "MFMT", "MFF", "PRET",
    ];
    for verb in required {
        ftp.say(verb).expect(501);
        ftp.say(format!("{verb} ")).expect(501);
    }
    table(&mut ftp, &ARGUMENTS);
    ftp.say("EPRT |7|x|1|").expect(522).says("(1,2)");
    ftp.say("EPRT |2|::1|51210|").expect(522).says("(1)");
    ftp.say("EPSV 2").expect(522).says("(1)");
    ftp.say("EPSV 9").expect(522).says("(1)");
    ftp.is_well();
}

/// What becomes of names, one after the other.
const NAMES: [(&str, u16); 66] = [
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

#[test]
fn names_and_attributes() {
    let server = Server::furnished();
    let mut ftp = server.login();
    table(&mut ftp, &NAMES);
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
    let server = Server::furnished();
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
    let server = Server::furnished();
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
