//! The `dir` of DOS and Windows, and OS/2's with the size first.

use super::dates::{clock, iso_day, moment, number};
use super::{Found, FoundKind, size_of, words};

pub(super) fn parse(line: &[u8]) -> Option<Found> {
    let words = words(line);
    windows(line, &words).or_else(|| os2(line, &words))
}

/// `03-09-24  05:05PM       <DIR>          name`, `03-09-2024  17:05  1,234 name`, `03/09/2024  05:05 PM  1,234 name`
fn windows(line: &[u8], words: &[(usize, &[u8])]) -> Option<Found> {
    let [(_, date), (_, time), rest @ ..] = words else { return None };
    let half = rest
        .first()
        .map(|(_, half)| *half)
        .filter(|half| half.eq_ignore_ascii_case(b"AM") || half.eq_ignore_ascii_case(b"PM"));
    let (at, what) = rest.get(usize::from(half.is_some()))?;
    let when = day_at(date, &[time, half.unwrap_or_default()].concat())?;
    let rest = line.get(at + what.len()..)?;
    let (kind, size, name) = match (*what, size_of(what)) {
        (b"<DIR>" | b"<dir>", _) => (FoundKind::Dir, None, rest.trim_ascii_start()),
        (b"<JUNCTION>" | b"<SYMLINKD>" | b"<SYMLINK>", _) => (FoundKind::Link, None, rest.trim_ascii_start()),
        (_, Some(size)) => (FoundKind::File, Some(size), rest.strip_prefix(b" ")?),
        _ => return None,
    };
    finish(name, kind, size, when)
}

/// `  1234      A   05-12-97   16:44  name`, `  0   DIR  04-11-103  16:26  name`
fn os2(line: &[u8], words: &[(usize, &[u8])]) -> Option<Found> {
    let size = words.first().and_then(|(_, word)| size_of(word))?;
    let at = (1..words.len().min(5)).find(|at| words.get(*at).is_some_and(|(_, word)| day(word).is_some()))?;
    let (_, date) = words.get(at)?;
    let (start, time) = words.get(at + 1)?;
    let when = day_at(date, time)?;
    let dir = words.get(1..at)?.iter().any(|(_, word)| *word == b"DIR");
    let name = line.get(start + time.len()..)?.trim_ascii_start();
    let (kind, size) = if dir { (FoundKind::Dir, None) } else { (FoundKind::File, Some(size)) };
    finish(name, kind, size, when)
}

fn finish(name: &[u8], kind: FoundKind, size: Option<u64>, when: i64) -> Option<Found> {
    if name.is_empty() {
        return None;
    }
    Some(Found { size, modify: Some(when), ..Found::new(name, kind) })
}

fn day_at(date: &[u8], time: &[u8]) -> Option<i64> {
    let (year, month, day) = iso_day(date).or_else(|| day(date))?;
    moment(year, month, day, clock(time)?)
}

/// `MM-DD-YY`, `DD-MM-YY` where only that is possible, years of two, three (since 1900) or four digits.
fn day(word: &[u8]) -> Option<(u16, u8, u8)> {
    let mut fields = word.split(|byte| matches!(byte, b'-' | b'/' | b'.'));
    let (first, second, year) = (number(fields.next()?)?, number(fields.next()?)?, fields.next()?);
    if fields.next().is_some() || !year.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value: u16 = std::str::from_utf8(year).ok()?.parse().ok()?;
    let year = match year.len() {
        // Two digits: the turn is where Windows has it.
        2 if value < 50 => 2000 + value,
        2 | 3 => 1900 + value,
        4 => value,
        _ => return None,
    };
    let (month, day) = if first > 12 { (second, first) } else { (first, second) };
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some((year, month, day))
}
