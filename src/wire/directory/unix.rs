//! `ls -l` and its imitators.
//!
//! Columns are missing, doubled or run together in the field, but two things hold: the line begins with the kind and
//! nine permission letters, and a size is followed by a date, which is followed by one blank and the name. So the
//! date is what is looked for.

use super::dates::{clock, day, iso_day, moment, month, recent, year};
use super::{Found, FoundKind, size_of, words};

/// Words before the date that are looked at: permissions, links, owner, group (each perhaps with a blank), size.
const COLUMNS: usize = 10;

pub(super) fn parse(line: &[u8], now: i64) -> Option<Found> {
    let (kind, mode) = permissions(line)?;
    let words = words(line);
    let date = (1..words.len().min(COLUMNS)).find_map(|at| Date::at(&words, at, now).map(|date| (at, date)));
    let (at, date) = date?;
    let name = line.get(date.end + 1..).filter(|name| !name.is_empty())?;
    let mut found = Found::new(name, kind);
    found.mode = mode;
    found.modify = Some(date.when);
    let before = words.get(1..at)?;
    let size = before.last().and_then(|(_, word)| size_of(word));
    if let Some(size) = size {
        found.size = (kind == FoundKind::File || kind == FoundKind::Dir).then_some(size);
    }
    let people = if size.is_some() { before.get(..before.len().saturating_sub(1))? } else { before };
    name_people(&mut found, people);
    if kind == FoundKind::Link {
        split_target(&mut found);
    }
    Some(found)
}

/// The kind and the mode of the first word. Letters after the ten (`+`, `.`, `@`) tell of more rights and are ignored.
fn permissions(line: &[u8]) -> Option<(FoundKind, Option<u32>)> {
    let (first, rest) = line.split_first()?;
    let kind = match first {
        b'-' | b'f' | b'F' => FoundKind::File,
        b'd' | b'D' => FoundKind::Dir,
        b'l' | b'L' => FoundKind::Link,
        b'b' | b'c' | b'p' | b's' | b'C' | b'M' | b'?' => FoundKind::Other,
        _ => return None,
    };
    let letters = rest.get(..9)?;
    let plausible = letters.iter().all(|letter| b"rwxsStTlL-".contains(letter));
    let bit = |at: usize, wanted: &[u8]| letters.get(at).is_some_and(|letter| wanted.contains(letter));
    let mut mode = 0;
    for (at, value) in [(0, 0o400), (1, 0o200), (3, 0o040), (4, 0o020), (6, 0o004), (7, 0o002)] {
        mode |= if bit(at, b"rw") { value } else { 0 };
    }
    for (at, run, special) in [(2, 0o100, 0o4000), (5, 0o010, 0o2000), (8, 0o001, 0o1000)] {
        mode |= if bit(at, b"xst") { run } else { 0 };
        mode |= if bit(at, b"sStT") { special } else { 0 };
    }
    plausible.then_some((kind, Some(mode)))
}

/// Links come first where they come at all; what is left is owner and group.
fn name_people(found: &mut Found, words: &[(usize, &[u8])]) {
    let people: Vec<&[u8]> = words.iter().map(|(_, word)| *word).filter(|word| !word.ends_with(b",")).collect();
    let numbered = people.first().is_some_and(|word| word.iter().all(u8::is_ascii_digit));
    let people = if numbered && people.len() > 1 { people.get(1..) } else { people.get(..) };
    let mut people = people.unwrap_or_default().iter();
    found.owner = people.next().map(|name| name.to_vec());
    found.group = people.next().map(|name| name.to_vec());
}

fn split_target(found: &mut Found) {
    const ARROW: &[u8] = b" -> ";
    let at = found.name.windows(ARROW.len()).position(|window| window == ARROW);
    if let Some(at) = at.filter(|at| *at > 0) {
        found.target = Some(found.name.split_off(at + ARROW.len()));
        found.name.truncate(at);
    }
}

struct Date {
    when: i64,
    /// The byte after its last word.
    end: usize,
}

impl Date {
    /// A date whose first word is number `at`.
    fn at(words: &[(usize, &[u8])], at: usize, now: i64) -> Option<Self> {
        let word = |offset: usize| words.get(at + offset).map(|(_, word)| *word);
        let end = |offset: usize| words.get(at + offset).map(|(start, word)| start + word.len());
        let first = word(0)?;
        if let Some((year, month, day)) = iso_day(first) {
            let Some(time) = word(1).and_then(clock) else {
                return Some(Self { when: moment(year, month, day, (0, 0, 0))?, end: end(0)? });
            };
            let zone = word(2).is_some_and(|zone| zone.len() == 5 && matches!(zone.first(), Some(b'+' | b'-')));
            return Some(Self { when: moment(year, month, day, time)?, end: end(if zone { 2 } else { 1 })? });
        }
        let second = word(1)?;
        let (month, day) = match (month(first).zip(day(second)), day(first).zip(month(second))) {
            (Some(pair), _) => pair,
            (None, Some((day, month))) => (month, day),
            (None, None) => return None,
        };
        let third = word(2)?;
        let when = match (clock(third), year(third)) {
            (Some(time), _) => recent(month, day, time, now)?,
            (None, Some(year)) => moment(year, month, day, (0, 0, 0))?,
            (None, None) => return None,
        };
        Some(Self { when, end: end(2)? })
    }
}
