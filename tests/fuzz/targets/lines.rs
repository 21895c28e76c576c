//! Octets of a control connection to command lines, Telnet taken out on the way.
//!
//! However the octets are cut into segments, the lines are the same; what is held stays bounded by what a session lets
//! in; nothing is answered that is no refusal.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use miniftp::wire::line::{ENDLESS_LIMIT, LINE_LIMIT, Line, LineReader};

/// Eighty of them make a line that is given up.
const STEP: usize = ENDLESS_LIMIT / 80;

#[derive(Arbitrary, Debug)]
struct Connection {
    segments: Vec<Segment>,
}

#[derive(Arbitrary, Debug)]
enum Segment {
    Octets(Vec<u8>),
    /// So many times the same octet, in steps that reach what the limits are about.
    Run(u8, u8),
    /// So many lines are taken before more comes.
    Take(u8),
    /// The look ahead during a transfer.
    TakeFirst(u8),
}

fn shown(line: Line) -> Vec<u8> {
    match line {
        Line::Text(text) => {
            assert!(!text.is_empty() && text.len() <= LINE_LIMIT);
            assert!(!text.contains(&b'\n'));
            text
        }
        Line::TooLong => b"\n500".to_vec(),
        Line::Endless => b"\n421".to_vec(),
    }
}

fuzz_target!(|connection: Connection| {
    let mut reader = LineReader::new();
    let (mut stream, mut lines) = (Vec::new(), Vec::new());
    let mut in_order = true;
    for segment in connection.segments {
        match segment {
            Segment::Octets(octets) => feed(&mut reader, &octets, &mut stream),
            Segment::Run(octet, steps) => feed(&mut reader, &vec![octet; usize::from(steps) * STEP], &mut stream),
            Segment::Take(times) => lines.extend(reader.by_ref().take(times.into()).map(shown)),
            Segment::TakeFirst(initial) => {
                let waiting = reader.waiting();
                let taken = reader.take_first(|line| line.first() == Some(&initial));
                assert_eq!(reader.waiting() + usize::from(taken.is_some()), waiting);
                in_order &= taken.is_none();
            }
        }
    }
    let waiting = reader.waiting();
    let rest: Vec<_> = reader.by_ref().map(shown).collect();
    assert_eq!(rest.len(), waiting);
    assert!(reader.bytes() <= LINE_LIMIT + 1);
    lines.extend(rest);
    if in_order && stream.len() < 2 * LINE_LIMIT {
        let mut octet_by_octet = LineReader::new();
        stream.chunks(1).for_each(|octet| octet_by_octet.feed(octet, &mut Vec::new()));
        assert_eq!(octet_by_octet.map(shown).collect::<Vec<_>>(), lines);
    }
});

fn feed(reader: &mut LineReader, octets: &[u8], stream: &mut Vec<u8>) {
    let (before, mut answers) = (reader.bytes(), Vec::new());
    reader.feed(octets, &mut answers);
    assert!(reader.bytes() <= before + octets.len() + 1);
    for refusal in answers.chunks(3) {
        assert!(matches!(refusal, [0xff, 0xfc | 0xfe, _]), "{answers:?}");
    }
    stream.extend_from_slice(octets);
}
