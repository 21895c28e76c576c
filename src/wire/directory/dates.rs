//! Dates in listings: words of many languages, years that are left out.

use crate::wire::date::{Civil, parse_stamp};

/// Listings show the server's clock, which may be ahead of ours; a date further ahead than a day was last year's.
const AHEAD: i64 = 86_400;

/// How months begin in listings, lower case; the first that fits counts, so that English wins where tongues differ.
const MONTHS: [&[&str]; 12] = [
    &["jan", "ene", "gen", "sty", "tam", "янв"],
    &["feb", "f\u{e9}v", "fev", "lut", "hel", "фев"],
    &["mar", "mrz", "m\u{e4}r", "maa", "mrt", "m\u{e1}r", "мар"],
    &["apr", "avr", "abr", "\u{e1}pr", "kwi", "huh", "апр"],
    &["may", "mai", "mag", "maj", "mei", "m\u{e1}j", "tou", "май"],
    &["jun", "juin", "giu", "j\u{fa}n", "cze", "kes", "июн"],
    &["jul", "juil", "lug", "j\u{fa}l", "lip", "hei", "июл"],
    &["aug", "ago", "ao\u{fb}", "aou", "sie", "elo", "авг"],
    &["sep", "set", "sze", "wrz", "syy", "сен"],
    &["oct", "okt", "ott", "out", "pa\u{17a}", "lok", "окт"],
    &["nov", "lis", "ноя"],
    &["dec", "dez", "dic", "d\u{e9}c", "des", "gru", "jou", "дек"],
];

/// The number of a month's name or of the beginning of one, 1 to 12.
pub(super) fn month(word: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(word).ok()?.to_lowercase();
    if let Some(number) = text.strip_suffix('\u{6708}') {
        return number.parse().ok().filter(|month| (1..=12).contains(month)); // "3月"
    }
    let long_enough = text.chars().count() >= 3 && text.chars().next().is_some_and(char::is_alphabetic);
    let found = MONTHS.iter().position(|names| names.iter().any(|name| text.starts_with(name)));
    u8::try_from(found.filter(|_| long_enough)? + 1).ok()
}

/// One or two digits, a full stop or a sign for "day" perhaps after them.
pub(super) fn day(word: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(word).ok()?;
    let bare = text.trim_end_matches(['.', ',', '\u{65e5}']);
    if bare.len() > 2 || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    bare.parse().ok().filter(|day| (1..=31).contains(day))
}

/// `17:05`, `17:05:09`, `5:05PM`, `17.05`, `24:00`: hours, minutes, seconds.
pub(super) fn clock(word: &[u8]) -> Option<(u8, u8, u8)> {
    let text = std::str::from_utf8(word).ok()?.to_ascii_lowercase();
    let (bare, add) = match text.strip_suffix("pm").or_else(|| text.strip_suffix('p')) {
        Some(bare) => (bare, Some(12)),
        None => match text.strip_suffix("am").or_else(|| text.strip_suffix('a')) {
            Some(bare) => (bare, Some(0)),
            None => (text.as_str(), None),
        },
    };
    let mut fields = bare.split(':');
    let hour: u8 = field(fields.next()?)?;
    let minute: u8 = field(fields.next()?)?;
    let second = match fields.next() {
        Some(text) => field(text.split('.').next()?)?,
        None => 0,
    };
    let hour = match add {
        Some(add) if (1..=12).contains(&hour) => hour % 12 + add,
        Some(_) => return None,
        None => hour,
    };
    let fits = hour <= 24 && minute < 60 && second < 61;
    fits.then_some((hour % 24, minute, second.min(59)))
}

fn field(text: &str) -> Option<u8> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Four digits from 1900 to 2999.
pub(super) fn year(word: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(word).ok()?;
    let digits = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    let year = if digits { text.parse().ok()? } else { return None };
    (1900..3000).contains(&year).then_some(year)
}

/// A moment from its parts, or `None` when the calendar has no such day.
pub(super) fn moment(year: u16, month: u8, day: u8, (hour, minute, second): (u8, u8, u8)) -> Option<i64> {
    parse_stamp(format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}").as_bytes())
}

/// A day whose year is not said: this year's, or last year's when that lies ahead.
pub(super) fn recent(month: u8, day: u8, clock: (u8, u8, u8), now: i64) -> Option<i64> {
    let year = Civil::from_epoch(now).year;
    match moment(year, month, day, clock) {
        Some(when) if when <= now + AHEAD => Some(when),
        _ => moment(year.saturating_sub(1), month, day, clock),
    }
}

/// `YYYY-MM-DD` with `-`, `/` or `.` between.
pub(super) fn iso_day(word: &[u8]) -> Option<(u16, u8, u8)> {
    let mut fields = word.split(|byte| matches!(byte, b'-' | b'/' | b'.'));
    let found = (year(fields.next()?)?, number(fields.next()?)?, number(fields.next()?)?);
    fields.next().is_none().then_some(found)
}

/// Digits up to 255.
pub(super) fn number(word: &[u8]) -> Option<u8> {
    let digits = (1..=3).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(word).ok()?.parse().ok() } else { None }
}
