use proptest::prelude::*;

use super::*;

fn wire(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    reply.encode(&mut out);
    out
}

fn read(segments: &[&[u8]]) -> Vec<Result<Reply, Overlong>> {
    let mut reader = ReplyReader::new();
    let mut replies = Vec::new();
    for segment in segments {
        reader.feed(segment, &mut Vec::new());
        // One more than can be complete, as a failed reader repeats its error for ever.
        replies.extend(reader.by_ref().take(segment.len() + 1).take_while(Result::is_ok));
    }
    replies.extend(reader.next().filter(Result::is_err));
    replies
}

#[test]
fn what_begins_no_reply_is_nonsense() {
    let holds = |segments: &[&[u8]]| {
        let mut reader = ReplyReader::new();
        for segment in segments {
            reader.feed(segment, &mut Vec::new());
            assert!(reader.next().is_none());
        }
        reader.holds_nonsense()
    };
    for slow in
        [&[&b""[..]][..], &[b"22"], &[b"\xff\xfb\x01\r\n"], &[b"220-Welcome\r\n", b" to a long\r\ngreeting\r\nx"]]
    {
        assert!(!holds(slow), "{slow:?}");
    }
    for wrong in [&[&b"SSH-2.0-x\r\n"[..]][..], &[b"\x16\x03"], &[b"\r\n", b"hello\n", b"220-a\r\n"]] {
        assert!(holds(wrong), "{wrong:?}");
    }
}

#[test]
fn one_line() {
    assert_eq!(wire(&Reply::new(200, "NOOP ok.")), b"200 NOOP ok.\r\n");
    assert_eq!(wire(&Reply::new(200, "")), b"200 \r\n");
    assert_eq!(wire(&Reply::new(200, format!("PBSZ={}", 0))), b"200 PBSZ=0\r\n");
    assert_eq!(wire(&Reply::new(7, "x")), b"007 x\r\n");
}

#[test]
fn names_cannot_forge_lines() {
    let forged = b"a\r\n226 done\r\n\x1b[2J\x7f\xff".to_vec();
    assert_eq!(wire(&Reply::bytes(550, forged)), b"550 a??226 done???[2J?\xff\xff\r\n");
}

#[test]
fn several_lines() {
    let reply = Reply::lines(211, "Features:", vec!["UTF8", "226 trap"], "End");
    assert_eq!(wire(&reply), b"211-Features:\r\n UTF8\r\n 226 trap\r\n211 End\r\n");
    let facts = vec![b"type=file; /a".to_vec()];
    let reply = Reply::path_lines(250, b"Listing /a".to_vec(), facts, "End");
    assert_eq!(wire(&reply), b"250-Listing /a\r\n type=file; /a\r\n250 End\r\n");
    assert_eq!(reply.texts().count(), 3);
    assert_eq!(reply.text(), b"End");
}

#[test]
fn long_lines_are_cut_between_characters() {
    let cut = |text: &str| wire(&Reply::new(550, text.to_owned())).len();
    let room = LINE_LIMIT - FRAME;
    assert_eq!(cut(&"x".repeat(room)), LINE_LIMIT);
    assert_eq!(cut(&"x".repeat(room + 1)), LINE_LIMIT);
    for lead in 0..4 {
        let reply = Reply::new(550, "x".repeat(lead) + &"\u{1f600}".repeat(200));
        let line = wire(&reply);
        assert!(line.len() > LINE_LIMIT - 4 && line.len() <= LINE_LIMIT);
        assert!(str::from_utf8(&line).is_ok());
        let escaped = wire(&Reply::bytes(550, [vec![b'x'; lead], vec![0xff; 400]].concat()));
        assert_eq!(escaped.iter().filter(|octet| **octet == 0xff).count() % 2, 0);
    }
    let path = wire(&Reply::path_line(257, quoted(&[b'x'; 4095])));
    assert_eq!(path.len(), 4095 + 2 + FRAME);
}

#[test]
fn quotes_double_and_back() {
    assert_eq!(quoted(b"/q\"d"), b"\"/q\"\"d\"");
    assert_eq!(quoted(b"\""), b"\"\"\"\"");
    for (text, path) in [
        ("\"/a b\" is it", Some("/a b")),
        ("\"/a\"\"b\"", Some("/a\"b")),
        ("'USER.DATA.' is working directory", Some("USER.DATA.")),
        ("/bare is current directory", Some("/bare")),
        ("C:/bare", Some("C:/bare")),
        ("\"/open", None),
        ("\"\" is nothing", None),
        ("who knows", None),
    ] {
        let reply = Reply::new(257, text);
        assert_eq!(directory_in(&reply), path.map(|path| path.as_bytes().to_vec()), "{text}");
    }
    assert_eq!(unquoted(b"\"/q\"\"d\" created"), Some(b"/q\"d".to_vec()));
    assert_eq!(unquoted(b"is \"/\""), Some(b"/".to_vec()));
    assert_eq!(unquoted(b"\"/open"), None);
    assert_eq!(unquoted(b"/"), None);
}

#[test]
fn kinds_follow_the_first_digit() {
    let kind = |code| Reply::new(code, "").kind();
    assert_eq!(kind(150), Kind::Preliminary);
    assert_eq!(kind(226), Kind::Completion);
    assert_eq!(kind(331), Kind::Intermediate);
    assert_eq!(kind(421), Kind::Transient);
    assert_eq!(kind(550), Kind::Permanent);
    assert_eq!(kind(632), Kind::Permanent);
}

#[test]
fn the_reader_takes_what_servers_send() {
    let raw = b"\r\nnoise\r\n220-hello\r\n221 other code\r\n220-again\n 220 blank\r\n220\r\n331 name?\n";
    let replies = read(&[raw]);
    let [Ok(greeting), Ok(name)] = replies.as_slice() else {
        panic!("{replies:?}");
    };
    let texts: Vec<_> = greeting.texts().collect();
    let want: [&[u8]; 5] = [b"hello", b"221 other code", b"220-again", b" 220 blank", b""];
    assert_eq!((greeting.code, texts), (220, want.to_vec()));
    assert_eq!((name.code, name.text()), (331, b"name?".as_slice()));
}

#[test]
fn the_last_line_may_lack_its_end() {
    let mut reader = ReplyReader::new();
    reader.feed(b"221 bye", &mut Vec::new());
    assert!(reader.next().is_none() && reader.partial());
    reader.finish();
    assert_eq!(reader.next().and_then(Result::ok).map(|reply| reply.code), Some(221));
    assert!(!reader.partial());
}

#[test]
fn endless_replies_are_given_up() {
    let line = vec![b'x'; reader::LINE_LIMIT + 1];
    assert_eq!(read(&[b"220-\r\n", &line]), [Err(Overlong::Line)]);
    assert_eq!(read(&[&[line.as_slice(), b"\n"].concat()]), [Err(Overlong::Line)]);
    let reply = [b"220-\n".as_slice(), &b"\n".repeat(reader::REPLY_LIMIT)].concat();
    assert_eq!(read(&[&reply]), [Err(Overlong::Reply)]);
}

proptest! {
    #[test]
    fn what_is_encoded_is_one_reply(
        code in 100u16..600,
        first in proptest::collection::vec(any::<u8>(), 0..80),
        body in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..700), 0..4),
        short in any::<bool>(),
    ) {
        let count = body.len() + 2;
        let reply = if short {
            Reply::lines(code, "first", body, "last")
        } else {
            Reply::path_lines(code, first, body, "last")
        };
        let octets = wire(&reply);
        prop_assert!(octets.ends_with(b"\r\n"));
        let lines: Vec<_> = octets.split(|octet| *octet == b'\n').collect();
        prop_assert_eq!(lines.len(), count + 1);
        prop_assert!(!short || lines.iter().all(|line| line.len() < LINE_LIMIT));
        let controls = octets.iter().filter(|octet| octet.is_ascii_control()).count();
        prop_assert_eq!(controls, 2 * count);
        let back = read(&[&octets]);
        prop_assert_eq!(back.len(), 1);
        prop_assert!(back.iter().flatten().all(|back| back.code == code && back.texts().count() == count));
    }

    #[test]
    fn segments_do_not_matter(raw in "(2[0-9]{2}[ -]?|[a-z \r\n]|\r\n){0,30}", at in 0usize..60) {
        let raw = raw.as_bytes();
        let (head, tail) = raw.split_at(at.min(raw.len()));
        prop_assert_eq!(read(&[head, tail]), read(&[raw]));
    }

    #[test]
    fn quoting_is_undone(path in proptest::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(unquoted(&quoted(&path)), Some(path));
    }
}
