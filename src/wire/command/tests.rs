use proptest::prelude::*;

use super::*;

/// Line in, command out; 500 and 421 stand for the two kinds of unknown words.
fn read(line: &[u8]) -> Result<Command, u16> {
    let (rule, argument) = match split(line) {
        Ok(parts) => parts,
        Err(Unknown::Word) => return Err(500),
        Err(Unknown::NotFtp) => return Err(421),
    };
    parse(rule, argument).map_err(|malformed| malformed.code)
}

fn text(text: &str) -> PathText {
    text.as_bytes().into()
}

#[test]
fn paths_begin_after_one_space() {
    assert_eq!(read(b"RETR a b"), Ok(Command::Retr(text("a b"))));
    assert_eq!(read(b"retr  a "), Ok(Command::Retr(text(" a "))));
    assert_eq!(read(b"ReTr \0\r"), Ok(Command::Retr(text("\0\r"))));
    assert_eq!(read(b"CWD \xff"), Ok(Command::Cwd(Some([0xff].as_slice().into()))));
    assert_eq!(read(b"XCWD x"), Ok(Command::Cwd(Some(text("x")))));
    assert_eq!(read(b"CWD "), Ok(Command::Cwd(None)));
    assert_eq!(read(b"CWD"), Ok(Command::Cwd(None)));
    assert_eq!(read(b"list -la"), Ok(Command::List(Some(text("-la")))));
    assert_eq!(read(b"STOR"), Err(501));
    assert_eq!(read(b"STOR "), Err(501));
}

#[test]
fn words_are_trimmed_and_hold_no_nul() {
    assert_eq!(read(b"USER  ann "), Ok(Command::User(text("ann"))));
    assert_eq!(read(b"USER a\0n"), Err(501));
    assert_eq!(read(b"USER  "), Err(501));
    assert_eq!(read(b"PASS  a b "), Ok(Command::Pass(text(" a b "))));
    assert_eq!(read(b"PASS"), Ok(Command::Pass(text(""))));
    assert_eq!(read(b"PASS a\0"), Err(501));
    assert_eq!(read(b"SYST "), Ok(Command::Syst));
    assert_eq!(read(b"NOOP stray"), Ok(Command::Noop));
    assert_eq!(read(b"HELP  SITE "), Ok(Command::Help(Some(text("SITE")))));
}

#[test]
fn unknown_words_and_other_protocols() {
    for line in ["FOO", " USER x", "USER\tx", "USERx", "P@SW", "\u{0}", "\u{ff}\u{fe}", "-"] {
        assert_eq!(read(line.as_bytes()), Err(500), "{line:?}");
    }
    for line in ["GET / HTTP/1.1", "post /", "Host: x", "host:x", "SSH-2.0-x", "\x16\x03\x01"] {
        assert_eq!(read(line.as_bytes()), Err(421), "{line:?}");
    }
    assert!(!is_foreign(b"\x16"));
    assert!(!is_foreign(b""));
    assert_eq!(read(b"SMNT /x"), Err(502));
    assert_eq!(read(b"AUTH TLS").is_ok(), rule(Verb::Auth).verb == Verb::Auth);
}

#[test]
fn type_mode_stru() {
    for (line, want) in [
        ("A", Ok(TypeCode::Ascii)),
        ("a n", Ok(TypeCode::Ascii)),
        ("A  T", Ok(TypeCode::Ascii)),
        ("I", Ok(TypeCode::Image)),
        ("L 8", Ok(TypeCode::Image)),
        ("l 8", Ok(TypeCode::Image)),
        ("A C", Err(504)),
        ("E", Err(504)),
        ("E N", Err(504)),
        ("L 7", Err(504)),
        ("L", Err(501)),
        ("L x", Err(501)),
        ("Q", Err(501)),
        ("A X", Err(501)),
        ("I N", Err(501)),
        ("BINARY", Err(501)),
    ] {
        let got = read(format!("TYPE {line}").as_bytes());
        assert_eq!(got, want.map(Command::Type), "{line}");
    }
    assert_eq!(read(b"MODE S"), Ok(Command::Mode(ModeCode::Stream)));
    assert_eq!(read(b"MODE z"), Ok(Command::Mode(ModeCode::Zlib)));
    assert_eq!(read(b"MODE B"), Err(504));
    assert_eq!(read(b"MODE X"), Err(501));
    assert_eq!(read(b"STRU F"), Ok(Command::Stru));
    assert_eq!(read(b"STRU R"), Err(504));
    assert_eq!(read(b"STRU X"), Err(501));
}

#[test]
fn data_addresses() {
    let here = |port| Command::Port(SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(read(b"PORT 127,0,0,1,200,10"), Ok(here(51210)));
    assert_eq!(read(b"PORT 10,9,8,7,0,0"), Err(501));
    assert_eq!(read(b"PORT 1,2,3"), Err(501));
    assert_eq!(read(b"EPRT |7|x|1|"), Err(522));
    assert_eq!(read(b"EPRT |1|127.0.0.1|70000|"), Err(501));
    assert_eq!(read(b"EPSV"), Ok(Command::Epsv(EpsvWord::Default)));
    assert_eq!(read(b"EPSV 2"), Ok(Command::Epsv(EpsvWord::Family(2))));
    assert_eq!(read(b"epsv all"), Ok(Command::Epsv(EpsvWord::All)));
    assert_eq!(read(b"EPSV 9"), Err(522));
    assert_eq!(read(b"EPSV one"), Err(501));
}

#[test]
fn numbers_are_bounded() {
    assert_eq!(read(b"REST 0"), Ok(Command::Rest(0)));
    assert_eq!(read(b"REST 9223372036854775807"), Ok(Command::Rest(i64::MAX as u64)));
    for bad in ["-1", "+1", "9223372036854775808", "18446744073709551616", "1e3", "", "0x1", "1 2"] {
        assert_eq!(read(format!("REST {bad}").as_bytes()), Err(501), "{bad}");
    }
    assert_eq!(read(b"REST 00000000000000000001"), Err(501));
    assert_eq!(read(b"ALLO 10 R 5"), Ok(Command::Allo(10)));
    assert_eq!(read(b"ALLO 10"), Ok(Command::Allo(10)));
    assert_eq!(read(b"ALLO R 5"), Err(501));
    assert_eq!(read(b"ALLO 10 R"), Err(501));
    assert_eq!(read(b"PBSZ 4294967295"), Ok(Command::Pbsz(u32::MAX)));
    assert_eq!(read(b"PBSZ 4294967296"), Err(501));
    assert_eq!(read(b"RANG 1 0"), Ok(Command::Rang(1, 0)));
    assert_eq!(read(b"RANG 3 7"), Ok(Command::Rang(3, 7)));
    assert_eq!(read(b"RANG 3 2"), Err(501));
}

#[test]
fn site_words() {
    let site = |line: &str| read(format!("SITE {line}").as_bytes());
    let chmod = SiteCommand::Chmod { mode: 0o644, path: text(" a b") };
    assert_eq!(site("chmod 644  a b"), Ok(Command::Site(chmod)));
    for bad in ["CHMOD u+x a", "CHMOD 888 a", "CHMOD 07777 a", "CHMOD 644", "CHMOD", "CHMOD 644 "] {
        assert_eq!(site(bad), Err(501), "{bad}");
    }
    assert_eq!(site("UMASK"), Ok(Command::Site(SiteCommand::Umask(None))));
    assert_eq!(site("UMASK 027"), Ok(Command::Site(SiteCommand::Umask(Some(0o27)))));
    assert_eq!(site("UMASK 1000"), Err(501));
    assert_eq!(site("IDLE 60"), Ok(Command::Site(SiteCommand::Idle(Some(60)))));
    assert_eq!(site("IDLE x"), Err(501));
    assert_eq!(site("HELP"), Ok(Command::Site(SiteCommand::Help(None))));
    assert_eq!(site("WHO"), Ok(Command::Site(SiteCommand::Who)));
    assert_eq!(site("UTIME 2024 x"), Ok(Command::Site(SiteCommand::Utime(text("2024 x")))));
    assert_eq!(site("EXEC id"), Err(500));
    assert_eq!(read(b"SITE"), Err(501));
}

#[test]
fn symlink_arguments_part_at_a_space_or_at_quotes() {
    let link = |line: &str| match read(format!("SITE SYMLINK {line}").as_bytes()) {
        Ok(Command::Site(SiteCommand::Symlink { target, link })) => Ok((target, link)),
        Ok(other) => panic!("{other:?}"),
        Err(code) => Err(code),
    };
    assert_eq!(link("a b c"), Ok((text("a"), text("b c"))));
    assert_eq!(link("\"a b\" c"), Ok((text("a b"), text("c"))));
    assert_eq!(link("\"a b\" \"c d\""), Ok((text("a b"), text("c d"))));
    for bad in ["a", "a ", "\"a b", "\"a\"b", "\"\" x", "a \"\""] {
        assert_eq!(link(bad), Err(501), "{bad}");
    }
}

#[test]
fn options() {
    let opts = |line: &str| read(format!("OPTS {line}").as_bytes());
    for on in ["UTF8 ON", "utf8 on", "UTF-8", "UTF8 NLST"] {
        assert_eq!(opts(on), Ok(Command::Opts(OptsCommand::Utf8(true))), "{on}");
    }
    assert_eq!(opts("UTF8 OFF"), Ok(Command::Opts(OptsCommand::Utf8(false))));
    let facts = OptsCommand::Mlst(Some(text("size;type;")));
    assert_eq!(opts("MLST size;type;"), Ok(Command::Opts(facts)));
    assert_eq!(opts("mlst"), Ok(Command::Opts(OptsCommand::Mlst(None))));
    let level = OptsCommand::ModeZ(text("LEVEL 6"));
    assert_eq!(opts("MODE Z LEVEL 6"), Ok(Command::Opts(level)));
    for bad in ["X", "MLSD", "UTF8 MAYBE", "MODE B", "MODE"] {
        assert_eq!(opts(bad), Err(501), "{bad}");
    }
}

#[test]
fn names_times_and_facts() {
    for good in ["a", "ftp.example.org", "[::1]", "127.0.0.1", "a-b"] {
        let line = format!("HOST {good}");
        assert_eq!(read(line.as_bytes()), Ok(Command::Host(HostName(text(good)))), "{good}");
    }
    for bad in ["a:21", "::1", "[::1]:21", "[x]", "a..b", "-a", "a-", "a_b", "a b", &"a".repeat(64)] {
        assert_eq!(read(format!("HOST {bad}").as_bytes()), Err(501), "{bad}");
    }
    assert_eq!(read(b"LANG en-US"), Ok(Command::Lang(Some(text("en-US")))));
    assert_eq!(read(b"LANG"), Ok(Command::Lang(None)));
    assert_eq!(read(b"LANG en_US"), Err(501));
    let mfmt = Command::Mfmt { time: text("20240229120000"), path: text("a b") };
    assert_eq!(read(b"MFMT 20240229120000 a b"), Ok(mfmt));
    for bad in ["2024 a", "20240229120000", "202402291200000 a", "20240229120000. a", "2024022912000x a"] {
        assert_eq!(read(format!("MFMT {bad}").as_bytes()), Err(501), "{bad}");
    }
    let facts = vec![(text("modify"), text("1")), (text("UNIX.mode"), text("0644"))];
    let mff = Command::Mff { facts, path: text("a b") };
    assert_eq!(read(b"MFF modify=1;UNIX.mode=0644; a b"), Ok(mff));
    for bad in ["modify=1 a", "modify; a", "=1; a", "; a", " a", "modify=1;", "modify=1;; a"] {
        assert_eq!(read(format!("MFF {bad}").as_bytes()), Err(501), "{bad}");
    }
    assert_eq!(read(b"PRET RETR x"), Ok(Command::Pret));
    assert_eq!(read(b"PRET list"), Ok(Command::Pret));
    assert_eq!(read(b"PRET NOOP"), Err(501));
}

#[test]
fn what_is_on_has_a_command() {
    for rule in RULES.iter().filter(|rule| rule.status == Status::On) {
        let answer = parse(rule, b"1").map_err(|malformed| malformed.code);
        assert_ne!(answer, Err(502), "{}", rule.name);
    }
}

proptest! {
    #[test]
    fn no_octets_break_the_parser(line in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&line);
    }

    #[test]
    fn no_argument_breaks_any_verb(row in 0..RULES.len(), argument in "[ -~\\x00\\r]{0,60}") {
        if let Err(malformed) = parse(&RULES[row], argument.as_bytes()) {
            prop_assert!([500, 501, 502, 504, 522].contains(&malformed.code));
        }
    }

    #[test]
    fn paths_pass_unchanged(path in proptest::collection::vec(any::<u8>(), 1..100)) {
        let line = [b"DELE ".as_slice(), &path].concat();
        prop_assert_eq!(read(&line), Ok(Command::Dele(path.into())));
    }
}
