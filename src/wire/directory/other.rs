//! Listings of systems that few people meet any more, and the one that was made for programs before MLSD was.

use super::dates::{clock, moment, month, number};
use super::{Found, FoundKind, Grain, size_of, unix, words};
use crate::wire::address;

/// EPLF: `+fact,fact,<TAB>name`, where `/` is a directory, `r` a file, `s` the size, `m` the time since 1970.
pub(super) fn eplf(line: &[u8]) -> Option<Found> {
    let facts = line.strip_prefix(b"+")?;
    let tab = facts.iter().position(|byte| *byte == b'\t')?;
    let (facts, name) = facts.split_at(tab);
    let name = name.get(1..).filter(|name| !name.is_empty())?;
    let mut found = Found::new(name, FoundKind::Unknown);
    for fact in facts.split(|byte| *byte == b',') {
        match fact.split_first() {
            Some((b'/', _)) => found.kind = FoundKind::Dir,
            Some((b'r', _)) => found.kind = FoundKind::File,
            Some((b's', size)) => found.size = address::number(size, u64::MAX),
            Some((b'm', time)) => {
                found.modify = address::number(time, i64::MAX as u64).and_then(|time| i64::try_from(time).ok());
                found.grain = Grain::Second;
            }
            _ => {}
        }
    }
    Some(found)
}

/// NetWare: `d [RWCEAFMS] owner 512 Jan 16 18:53 name`. Its brackets are made nine letters, and Unix reads the rest.
pub(super) fn netware(line: &[u8], now: i64) -> Option<Found> {
    let (kind, rest) = line.split_first().filter(|(kind, _)| matches!(kind, b'-' | b'd'))?;
    let rest = rest.trim_ascii_start().strip_prefix(b"[")?;
    let close = rest.iter().position(|byte| *byte == b']')?;
    let rest = rest.get(close + 1..)?;
    let rights = [&[*kind], b"--------- 1".as_slice(), rest].concat();
    let mut found = unix::parse(&rights, now)?;
    found.mode = None;
    Some(found)
}

/// A line that is nothing but `NAME.EXT;VERSION`: its facts follow on the next.
pub(super) fn is_vms_name(line: &[u8]) -> bool {
    let words = words(line);
    matches!(&words[..], [(0, word)] if version_at(word).is_some())
}

fn version_at(word: &[u8]) -> Option<usize> {
    let semicolon = word.iter().rposition(|byte| *byte == b';')?;
    let version = word.get(semicolon + 1..)?;
    (semicolon > 0 && !version.is_empty() && version.iter().all(u8::is_ascii_digit)).then_some(semicolon)
}

/// VMS: `NAME.EXT;1   5/8   9-MAR-2024 17:05:09  [OWNER] (RWED,RE,,)`. Sizes are in blocks and of no use.
pub(super) fn vms(line: &[u8]) -> Option<Found> {
    let words = words(line);
    let (_, first) = words.first()?;
    let name = first.get(..version_at(first)?)?;
    let at = words.iter().position(|(_, word)| vms_day(word).is_some())?;
    let (year, month, day) = vms_day(words.get(at)?.1)?;
    let time = words.get(at + 1).and_then(|(_, word)| clock(word)).unwrap_or((0, 0, 0));
    let (name, kind) = match name.to_ascii_uppercase().strip_suffix(b".DIR") {
        Some(stem) => (name.get(..stem.len())?, FoundKind::Dir),
        None => (name, FoundKind::File),
    };
    let mut found = Found::new(name, kind);
    found.modify = moment(year, month, day, time);
    let owner = words.iter().map(|(_, word)| *word).find(|word| word.starts_with(b"["));
    found.owner = owner.map(|word| word.iter().copied().filter(|byte| !b"[]".contains(byte)).collect());
    Some(found)
}

fn vms_day(word: &[u8]) -> Option<(u16, u8, u8)> {
    let mut fields = word.split(|byte| *byte == b'-');
    let (day, name, year) = (number(fields.next()?)?, fields.next()?, fields.next()?);
    let year = super::dates::year(year)?;
    Some((year, month(name)?, day)).filter(|_| fields.next().is_none())
}

/// OS/400: `OWNER  77824 02/23/24 15:09:55 *DIR  name/`.
pub(super) fn os400(line: &[u8]) -> Option<Found> {
    let words = words(line);
    let (start, what) = words.iter().find(|(_, word)| word.starts_with(b"*") && word.len() > 1)?;
    let name = line.get(start + what.len()..)?.trim_ascii();
    let bare = name.strip_suffix(b"/").unwrap_or(name);
    if bare.is_empty() || words.first().is_some_and(|(at, _)| at == start) {
        return None;
    }
    let dir = bare.len() < name.len() || matches!(*what, b"*DIR" | b"*LIB" | b"*FLR");
    let mut found = Found::new(bare, if dir { FoundKind::Dir } else { FoundKind::File });
    found.owner = words.first().map(|(_, owner)| owner.to_vec());
    found.size = words.get(1).and_then(|(_, word)| size_of(word)).filter(|_| !dir);
    Some(found)
}
