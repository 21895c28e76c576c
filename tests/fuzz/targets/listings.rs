//! Listings as servers send them, all dialects, and our own ones read back.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use miniftp::wire::directory::{Parsed, parse_fact_line, parse_list, parse_mlsd, parse_nlst};
use miniftp::wire::listing::{Entry, FactSet, Kind, Name, Perm, sendable};

/// In 2027.
const NOW: i64 = 1_800_000_000;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// From who knows what server.
    Text { text: &'a [u8], now: i64 },
    /// From ours.
    Entry { name: &'a [u8], kind: u8, mode: u32, links: u32, owner: u32, size: u64, mtime: i64, target: Option<&'a [u8]> },
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::Text { text, now } => {
            for parsed in [parse_list(text, now), parse_mlsd(text), parse_nlst(text)] {
                sound(&parsed, text.len());
            }
            if let Some(found) = parse_fact_line(text) {
                assert!(!found.name.is_empty());
            }
        }
        Input::Entry { name, kind, mode, links, owner, size, mtime, target } => {
            let entry = Entry {
                name,
                kind: [Kind::File, Kind::Dir, Kind::Link, Kind::Fifo, Kind::Socket, Kind::Char, Kind::Block]
                    [usize::from(kind % 7)],
                mode: mode & 0o7777,
                links,
                owner: Name::Number(owner),
                group: Name::Known("users"),
                size,
                mtime,
                target,
                identity: (1, size),
                perm: Perm::NONE.with(Perm::READ, true),
            };
            ours(&entry);
        }
    }
});

/// Never more out of a listing than was in it.
fn sound(parsed: &Parsed, length: usize) {
    assert!(parsed.entries.len() + parsed.odd.len() <= length);
    for found in &parsed.entries {
        assert!(!found.name.is_empty() && !matches!(&found.name[..], b"." | b".."));
        assert!(!found.name.contains(&b'\n'));
        assert!(found.mode.is_none_or(|mode| mode <= 0o7777));
    }
}

fn ours(entry: &Entry<'_>) {
    let mut line = Vec::new();
    entry.append_list(NOW, &mut line);
    // One line, whatever the name holds.
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
    sound(&parse_list(&line, NOW), line.len());
    if !sendable(entry.name) || entry.name.is_empty() {
        return;
    }
    let mut facts = Vec::new();
    entry.append_facts(FactSet::all(), &mut facts);
    let found = parse_fact_line(&facts).expect("our own facts");
    assert_eq!(found.name, entry.name);
    if entry.kind == Kind::File {
        assert_eq!(found.size, Some(entry.size));
    }
    // A year before 1900 is a server's "unknown", one past 9999 has no stamp of 14 digits.
    if (-2_208_988_799..253_402_300_800).contains(&entry.mtime) {
        assert_eq!(found.modify, Some(entry.mtime));
    }
}
