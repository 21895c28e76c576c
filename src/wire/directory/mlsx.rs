//! MLSD and MLST (RFC 3659 section 7), as they are sent and not only as they were written.

use super::{Found, FoundKind, Grain, Parsed, lines};
use crate::wire::address::number;
use crate::wire::date::parse_stamp;

/// Reads the text of MLSD. A line that is no fact line is kept apart and spoils nothing.
pub fn parse_mlsd(text: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    for line in lines(text) {
        match read(line) {
            Some((_, Role::Itself)) => parsed.itself = true,
            Some((found, Role::Entry)) => parsed.add(found),
            None => parsed.add_odd(line),
        }
    }
    parsed
}

/// Reads one fact line, of MLST for instance; `None` if it is none. The blank that MLST puts first may be there or not.
pub fn parse_fact_line(line: &[u8]) -> Option<Found> {
    let bare = line.strip_prefix(b" ").filter(|rest| rest.contains(&b'=')).unwrap_or(line);
    read(bare).map(|(found, _)| found)
}

enum Role {
    Entry,
    /// The directory that is listed, or its parent, under whatever name.
    Itself,
}

fn read(line: &[u8]) -> Option<(Found, Role)> {
    let blank = line.iter().position(|byte| *byte == b' ')?;
    let (facts, rest) = line.split_at(blank);
    let name = rest.get(1..).filter(|name| !name.is_empty())?;
    if !facts.is_empty() && !facts.contains(&b'=') {
        return None;
    }
    let mut found = Found::new(name, FoundKind::Unknown);
    let mut role = Role::Entry;
    for fact in facts.split(|byte| *byte == b';').filter(|fact| !fact.is_empty()) {
        // A word without a value among the facts says nothing, and spoils nothing.
        let Some(equals) = fact.iter().position(|byte| *byte == b'=') else { continue };
        let (label, value) = fact.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        match label.to_ascii_lowercase().as_slice() {
            b"type" => role = read_type(&mut found, value),
            b"size" | b"sizd" => found.size = number(value, u64::MAX),
            b"modify" => {
                found.modify = stamp(value);
                found.grain = Grain::Second;
            }
            b"unix.mode" => found.mode = octal(value),
            b"unix.owner" | b"unix.ownername" => found.owner = Some(value.to_vec()),
            b"unix.group" | b"unix.groupname" => found.group = Some(value.to_vec()),
            _ => {}
        }
    }
    Some((found, role))
}

fn read_type(found: &mut Found, value: &[u8]) -> Role {
    let lower = value.to_ascii_lowercase();
    found.kind = match lower.as_slice() {
        b"file" => FoundKind::File,
        b"dir" => FoundKind::Dir,
        b"cdir" | b"pdir" => {
            found.kind = FoundKind::Dir;
            return Role::Itself;
        }
        link if link.starts_with(b"os.unix=slink") || link.starts_with(b"os.unix=symlink") => {
            let target = value.iter().position(|byte| *byte == b':').and_then(|colon| value.get(colon + 1..));
            found.target = target.filter(|target| !target.is_empty()).map(<[u8]>::to_vec);
            FoundKind::Link
        }
        _ => FoundKind::Other,
    };
    Role::Entry
}

/// A time of RFC 3659, or of a server that wrote 1900 + 100 for the year 2000 and so has one digit too many.
pub(crate) fn stamp(value: &[u8]) -> Option<i64> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match value.strip_prefix(b"19") {
        Some(rest) if digits == 15 => {
            let (years, rest) = rest.split_at_checked(3)?;
            let year = 1900 + number(years, 999)?;
            parse_stamp(&[format!("{year:04}").as_bytes(), rest].concat())
        }
        // A zero year means "unknown" on servers that must say something.
        _ => parse_stamp(value).filter(|when| *when > -2_208_988_800),
    }
}

fn octal(value: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(value).ok()?;
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}
