//! Replies to octets and back: whatever a text holds, one reply goes out and is read as that one; whatever octets come,
//! the reader keeps within its limits.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use miniftp::wire::features::Features;
use miniftp::wire::reply::{LINE_LIMIT, Reply, ReplyReader, quoted, unquoted};

#[derive(Arbitrary, Debug)]
enum Input {
    Encoded { code: u16, form: Form, cuts: Vec<u8> },
    Read { raw: Vec<u8>, cuts: Vec<u8>, end: bool },
    Quoted(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Form {
    Line(String),
    Bytes(Vec<u8>),
    PathLine(Vec<u8>),
    Lines(String, Vec<Vec<u8>>, String),
    PathLines(Vec<u8>, Vec<Vec<u8>>, String),
    InPieces(String, Vec<String>, String),
}

fuzz_target!(|input: Input| {
    match input {
        Input::Encoded { code, form, cuts } => encoded(100 + code % 500, form, &cuts),
        Input::Read { raw, cuts, end } => read(&raw, &cuts, end),
        Input::Quoted(path) => assert_eq!(unquoted(&quoted(&path)), Some(path)),
    }
});

fn encoded(code: u16, form: Form, cuts: &[u8]) {
    let mut wire = Vec::new();
    let mut whole = false;
    let lines = match form {
        Form::Line(text) => encode(&mut wire, &Reply::new(code, text)),
        Form::Bytes(text) => encode(&mut wire, &Reply::bytes(code, text)),
        Form::PathLine(text) => {
            whole = true;
            encode(&mut wire, &Reply::path_line(code, text))
        }
        Form::Lines(first, body, last) => {
            let count = body.len() + 2;
            Reply::lines(code, first, body, last).encode(&mut wire);
            count
        }
        Form::PathLines(first, body, last) => {
            whole = true;
            let count = body.len() + 2;
            Reply::path_lines(code, first, body, last).encode(&mut wire);
            count
        }
        Form::InPieces(first, body, last) => {
            let count = body.len() + 2;
            Reply::opening(code, first).encode(&mut wire);
            body.into_iter().for_each(|line| Reply::inner(code, line).encode(&mut wire));
            Reply::new(code, last).encode(&mut wire);
            count
        }
    };
    well_formed(&wire, lines, whole);
    let replies = replies(&wire, cuts);
    assert_eq!(replies.len(), 1, "{}", wire.escape_ascii());
    assert_eq!(replies[0].code, code);
    assert_eq!(replies[0].texts().count(), lines);
}

fn encode(wire: &mut Vec<u8>, reply: &Reply) -> usize {
    reply.encode(wire);
    1
}

fn well_formed(wire: &[u8], lines: usize, whole: bool) {
    let text = wire.strip_suffix(b"\r\n").expect("an end");
    let found: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    assert_eq!(found.len(), lines);
    for line in found {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(whole || line.len() + 2 <= LINE_LIMIT);
        assert!(!line.iter().any(|byte| *byte < b' ' || *byte == 0x7f));
    }
}

fn replies(wire: &[u8], cuts: &[u8]) -> Vec<Reply> {
    let (mut reader, mut replies, mut rest) = (ReplyReader::new(), Vec::new(), wire);
    for cut in cuts {
        let (segment, behind) = rest.split_at(usize::from(*cut).min(rest.len()));
        reader.feed(segment, &mut Vec::new());
        replies.extend(reader.by_ref().map_while(Result::ok));
        rest = behind;
    }
    reader.feed(rest, &mut Vec::new());
    replies.extend(reader.by_ref().map_while(Result::ok));
    assert!(!reader.partial());
    replies
}

fn read(raw: &[u8], cuts: &[u8], end: bool) {
    let (mut reader, mut rest) = (ReplyReader::new(), raw);
    for cut in cuts.iter().chain([&u8::MAX]) {
        let (segment, behind) = rest.split_at(usize::from(*cut).min(rest.len()));
        reader.feed(segment, &mut Vec::new());
        rest = behind;
        if end {
            reader.end();
        }
        take(&mut reader);
    }
    reader.finish();
    take(&mut reader);
}

fn take(reader: &mut ReplyReader) {
    for reply in reader.by_ref() {
        let Ok(reply) = reply else { return };
        Features::parse(&reply).has("UTF8");
        reply.kind();
        reply.encode(&mut Vec::new());
        unquoted(reply.text());
    }
}
