//! Attacks on the line reader and the parser: endless, smuggled, forged and nonsensical lines.
//!
//! A test's name begins with the case of the catalogue that it proves.

mod common;

use std::fs;
use std::io::Write;

use common::{Peer, Server, is_closed, noise, resident, stuck_download};

#[test]
fn r01_sixteen_megabytes_without_a_line_end() {
    let server = Server::full();
    let before = resident(&server);
    let mut ftp = server.connect();
    let piece = vec![b'x'; 1 << 20];
    let sent = (0..16).take_while(|_| ftp.try_send(&piece).is_ok()).count();
    assert!(sent < 16, "all of it was taken");
    assert!(resident(&server) < before + (1 << 20), "{before} became {}", resident(&server));
    server.login().is_well();
}

#[test]
fn r01_a_line_without_end_ends_the_session() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.send("x".repeat(64 * 1024 + 4096));
    ftp.reply().expect(500);
    ftp.reply().expect(421);
    drop(ftp);
    server.login().is_well();
}

#[test]
fn r02_long_lines_are_skipped_and_their_tails_never_run() {
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
fn r02_the_longest_line_still_counts() {
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
fn r03_nul_is_refused_wherever_it_stands() {
    let server = Server::full();
    server.put("a", "x");
    let mut ftp = server.login();
    // In a path: a name that is not allowed. Never the name before it.
    let verbs = [
        "RETR",
        "STOR",
        "APPE",
        "CWD",
        "SIZE",
        "LIST",
        "NLST",
        "MLSD",
        "MLST",
        "MDTM",
        "RNFR",
        "DELE",
        "RMD",
        "MKD",
        "STAT",
        "HASH",
        "XMD5",
        "MFMT 20240101000000",
    ];
    for verb in verbs {
        for path in ["a\0", "a\0b", "\0a", "\0", "a\0/../a"] {
            ftp.epsv();
            let reply = ftp.say(format!("{verb} {path}"));
            assert_eq!(reply.code, 553, "{verb} {path:?}: {}", reply.text());
        }
    }
    ftp.say("RNFR a").expect(350);
    ftp.say("RNTO b\0").expect(553);
    assert_eq!(fs::read_dir(server.root()).unwrap().count(), 1);
    assert_eq!(server.get("a"), b"x");
    for line in
        ["TYPE I\0", "USER a\0b", "SITE UMASK\0", "SITE CHMOD 644\0 x", "\0NOOP", "NO\0OP", "REST 1\0", "MODE S\0"]
    {
        let reply = ftp.say(line);
        assert!(matches!(reply.code, 500 | 501), "{line:?}: {} {}", reply.code, reply.text());
    }
    ftp.is_well();
}

#[test]
fn r04_one_rule_for_the_ends_of_lines() {
    let server = Server::full();
    let mut ftp = server.login();
    ftp.send("NOOP\nPWD\nSYST\r\n");
    for code in [200, 257, 215] {
        ftp.reply().expect(code);
    }
    // CR before anything but LF is part of the line, and no name has one.
    for line in ["MKD a\rb\r\n", "MKD a\r\0b\r\n", "MKD a\0b\r\n", "MKD a\r\r\n", "MKD a\rNOOP\r\n"] {
        ftp.send(line);
        ftp.reply().expect(553);
    }
    ftp.send_apart("NOOP\r");
    ftp.send_apart("\nPWD\r");
    ftp.send("\n");
    for code in [200, 257] {
        ftp.reply().expect(code);
    }
    assert_eq!(fs::read_dir(server.root()).unwrap().count(), 0);
    ftp.is_well();
}

#[test]
fn r05_telnet_commands_vanish() {
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
fn r05_telnet_commands_may_be_cut_anywhere() {
    let server = Server::full();
    let mut ftp = server.login();
    for byte in b"\xff\xf4\xff\xf2\xff\xfa\x18\x00\xff\xf0\xff\xfcxNOOP\r\n" {
        ftp.send_apart([*byte]);
    }
    ftp.reply().expect(200);
    ftp.is_well();
}

#[test]
fn r06_lines_that_begin_oddly() {
    let server = Server::full();
    let mut ftp = server.login();
    for line in [&b" NOOP"[..], b"\xe9", b"\x80\x81\x82", b"NO\xd6P", b"\tNOOP", b"\x00", b"\x7f", b"N", b"-", b"."] {
        let reply = ftp.say(line);
        assert_eq!(reply.code, 500, "{}: {}", line.escape_ascii(), reply.text());
    }
    for blank in ["\n", "\r\n", "\n\n\r\n"] {
        ftp.send(blank);
        ftp.is_well();
    }
}

#[test]
fn r07_what_other_programs_would_read_is_just_a_name() {
    let server = Server::full();
    let mut ftp = server.login();
    for name in ["%n%s%x%n", "{}{0}", "\"'`", ";id", "|id", "&id", "$(id)", "`id`", "a>b", "\\n\\r", "${HOME}"] {
        ftp.store(format!("STOR {name}"), b"1").expect(226);
        assert!(server.has(name));
        ftp.say(format!("CWD {name}")).expect(550).says(name);
        let reply = ftp.say(format!("SITE {name}"));
        assert_eq!(reply.code, 500, "{}", reply.text());
        ftp.say(format!("DELE {name}")).expect(250);
    }
}

#[test]
fn r08_numbers_out_of_range_move_nothing() {
    let server = Server::full();
    server.put("f", "hello");
    let mut ftp = server.login();
    ftp.say("TYPE I").expect(200);
    for number in [
        "-1",
        "+1",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "100000000000000000000",
        "1e3",
        "0x10",
        "1.5",
        "1 2",
        "",
        " ",
        "१",
    ] {
        ftp.say("REST 3").expect(350);
        ftp.say(format!("REST {number}")).expect(501);
        assert_eq!(ftp.fetch("RETR f"), b"lo", "after REST {number}");
    }
    for number in ["18446744073709551616", "-1", "x", ""] {
        ftp.say(format!("ALLO {number}")).expect(501);
    }
}

#[test]
fn r09_a_position_beyond_the_end_is_refused_and_forgotten() {
    let server = Server::full();
    server.put("f", "hello");
    let mut ftp = server.login();
    ftp.say("TYPE I").expect(200);
    for line in ["RETR f", "STOR f", "APPE f"] {
        for position in ["6", "9223372036854775807"] {
            let data = ftp.epsv();
            ftp.say(format!("REST {position}")).expect(350);
            ftp.say(line).expect(554);
            drop(data);
            assert_eq!(ftp.fetch("RETR f"), b"hello", "{line} left something of REST {position}");
        }
    }
    assert_eq!(server.get("f"), b"hello");
}

#[test]
fn r10_times_that_no_calendar_has() {
    let server = Server::full();
    server.put("f", "hello");
    let mut ftp = server.login();
    let before = ftp.say("MDTM f").expect(213).text();
    for time in [
        "20241301000000",
        "20240230000000",
        "20230229000000",
        "20240100000000",
        "20240101240000",
        "20240101006000",
        "00000101000000",
        "123456789012345678901234567890",
        "2024",
        "2024010100000x",
        "-2024010100000",
    ] {
        ftp.say(format!("MFMT {time} f")).expect(501);
        let reply = ftp.say(format!("MDTM {time} f"));
        assert!(matches!(reply.code, 501 | 550), "MDTM {time}: {}", reply.text());
    }
    assert_eq!(ftp.say("MDTM f").expect(213).text(), before);
}

#[test]
fn r11_parameters_that_are_not_offered() {
    let server = Server::full();
    let mut ftp = server.login();
    for (code, lines) in [
        (504, &["TYPE E", "TYPE E N", "TYPE A C", "TYPE L 7", "MODE Z", "MODE B", "MODE C", "STRU R", "STRU P"][..]),
        (
            501,
            &[
                "TYPE X",
                "TYPE A X",
                "TYPE A N N",
                "TYPE I I",
                "TYPE L",
                "TYPE L 8 8",
                "TYPE",
                "MODE",
                "MODE X",
                "MODE S S",
            ],
        ),
        (
            501,
            &[
                "STRU", "STRU X", "STRU F F", "PORT", "EPRT", "REST", "RNFR", "SITE", "OPTS", "RETR", "STOR", "DELE",
                "MKD",
            ],
        ),
    ] {
        for line in lines {
            let reply = ftp.say(line);
            assert_eq!(reply.code, code, "{line}: {}", reply.text());
        }
    }
    ftp.store("STOR f", b"\n\r\n").expect(226);
    assert_eq!(server.get("f"), b"\n\r\n", "none of it has changed anything");
}

/// Says nonsense without end; how often it was answered before the last word.
fn nonsense(mut ftp: Peer) -> usize {
    ftp.send("XYZZY\r\n".repeat(10_000));
    for answered in 0.. {
        let reply = ftp.reply();
        if reply.code == 421 {
            assert!(is_closed(&mut ftp.stream()), "still open");
            return answered;
        }
        reply.expect(500);
    }
    unreachable!()
}

#[test]
fn r12_unknown_commands_have_an_end() {
    let server = Server::full();
    assert_eq!((nonsense(server.connect()), nonsense(server.login())), (20, 100));
    // Between commands that are known they count as well.
    let mut ftp = server.connect();
    for _ in 0..20 {
        ftp.say("XYZZY").expect(500);
        ftp.say("NOOP").expect(200);
    }
    ftp.say("XYZZY").expect(421);
    server.login().is_well();
}

#[test]
fn r13_a_thousand_commands_in_one_segment() {
    let server = Server::full();
    let mut ftp = server.login();
    let lines: String = (0..1000).map(|number| format!("MKD d{number}\r\n")).collect();
    ftp.send(&lines);
    for number in 0..1000 {
        ftp.reply().expect(257).says(&format!("\"/d{number}\""));
    }
    let (noop, rest) = ("NOOP\r\n".repeat(500), "FOO\r\n".repeat(50));
    ftp.send(noop + &rest);
    for _ in 0..500 {
        ftp.reply().expect(200);
    }
    for _ in 0..50 {
        ftp.reply().expect(500);
    }
    ftp.is_well();
}

#[test]
fn r13_who_does_not_read_replies_is_not_read_either() {
    // HELP is the longest answer for the shortest question: these are more than all buffers between the two can hold.
    const QUESTIONS: usize = 20_000;
    let server = Server::full();
    let (mut deaf, mut other) = (server.login(), server.login());
    let mut stream = deaf.stream().try_clone().unwrap();
    let before = resident(&server);
    let writer = std::thread::spawn(move || stream.write_all("HELP\r\n".repeat(QUESTIONS).as_bytes()).unwrap());
    // Each pass of the loop gives either session a turn, so by now the answers are stuck.
    for _ in 0..2000 {
        other.is_well();
    }
    assert!(resident(&server) < before + (4 << 20), "{before} became {}", resident(&server));
    // Once they are read they are all there.
    for _ in 0..QUESTIONS {
        deaf.reply().expect(214);
    }
    writer.join().unwrap();
    deaf.is_well();
}

#[test]
fn r13_commands_held_during_a_transfer_are_bounded_and_not_lost() {
    let server = Server::full();
    let (mut ftp, data) = stuck_download(&server);
    ftp.send("NOOP\r\n".repeat(200));
    ftp.send("PWD\r\n");
    assert_eq!(common::read_all(data).len(), 30_000_000 - 1000);
    ftp.reply().expect(226);
    for _ in 0..200 {
        ftp.reply().expect(200);
    }
    ftp.reply().expect(257);
}

/// The replies to one conversation, however it is cut.
fn codes(ftp: &mut Peer, count: usize) -> Vec<u16> {
    (0..count).map(|_| ftp.reply().code).collect()
}

#[test]
fn r14_segments_do_not_matter() {
    let server = Server::full();
    let talk = b"USER ftp\r\nPASS x\r\n\r\nTYPE\xff\xf1 A\nFOO\r\nMLST /\r\nRNFR nowhere\r\nRNTO x\r\nNOOP\r\nQUIT\r\n";
    for at in 1..talk.len() {
        let mut ftp = server.connect();
        ftp.send_apart(&talk[..at]);
        ftp.send(&talk[at..]);
        assert_eq!(codes(&mut ftp, 9), [331, 230, 200, 500, 250, 550, 503, 200, 221], "cut at {at}");
        ftp.expect_close();
    }
}

#[test]
fn r14_random_segments_do_not_matter() {
    let talk = "USER ftp\r\nPASS x\r\nTYPE I\r\nMKD d\r\nCWD d\r\nPWD\r\nREST 1e3\r\nXYZZY\r\nSIZE x\r\nSYST\r\nCDUP\r\nRMD d\r\n\
                RNFR no\r\nABOR\r\nREIN\r\nPWD\r\nUSER ftp\r\nPASS\r\nEPSV ALL\r\nPASV\r\nALLO 5\r\nMODE S\r\nQUIT\r\n";
    let server = Server::full();
    let answers = |cuts: &mut dyn Iterator<Item = usize>| {
        let mut ftp = server.connect();
        let mut rest = talk.as_bytes();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(cuts.next().unwrap_or(rest.len()).clamp(1, rest.len()));
            ftp.send(piece);
            rest = behind;
        }
        let replies: Vec<(u16, String)> =
            (0..23).map(|_| ftp.reply()).map(|reply| (reply.code, reply.text())).collect();
        ftp.expect_close();
        replies
    };
    let whole = answers(&mut std::iter::empty());
    let random = noise(64 * talk.len());
    for lengths in random.chunks(talk.len()) {
        // Mostly short pieces, a few long ones.
        let cuts: Vec<usize> = lengths.iter().map(|byte| usize::from(*byte % 16).pow(2) / 8 + 1).collect();
        assert_eq!(answers(&mut cuts.iter().copied()), whole, "cut to {cuts:?}");
    }
}
