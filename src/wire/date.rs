//! Civil time in UTC: the stamps of RFC 3659 section 2.3 and the dates of a LIST line.
//!
//! Proleptic Gregorian calendar, no leap seconds, as everywhere in Unix. Days are counted from 0000-03-01 so
//! that the leap day is the last of its year and the lengths of the months follow one line.

/// 0001-01-01 00:00:00 and 9999-12-31 23:59:59: what fits into a stamp's four digits. Times outside, which a
/// disk may hold, are shown as the nearer of the two.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

/// Seconds a day.
const DAY: i64 = 86_400;
/// Days in 400 years: the calendar's period.
const ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// How long a LIST line shows the time of day: half a year, as ls(1) does, so that month and day say which
/// year is meant.
pub const RECENT: i64 = 182 * DAY;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// A point in time as a calendar and a clock in UTC show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

impl Civil {
    /// What the calendar shows at `seconds` since 1970 UTC; years before 1 and after 9999 are cut off.
    pub fn from_epoch(seconds: i64) -> Self {
        let seconds = seconds.clamp(FIRST, LAST);
        // In 32 bits from here on, where a listing spends its divisions: the clamp makes both fit, and the days positive.
        let (days, clock) = ((seconds.div_euclid(DAY) + EPOCH) as u32, seconds.rem_euclid(DAY) as u32);
        let (era, day_of_era) = (days / ERA as u32, days % ERA as u32);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + u32::from(month <= 2);
        // Every value below is within its field by the arithmetic above; the clamp sees to the year.
        Self {
            year: year as u16,
            month: month as u8,
            day: (day_of_year - (153 * from_march + 2) / 5 + 1) as u8,
            hour: (clock / 3600) as u8,
            minute: (clock / 60 % 60) as u8,
            second: (clock % 60) as u8,
        }
    }

    /// Seconds since 1970 UTC.
    pub fn to_epoch(self) -> i64 {
        let month = i64::from(self.month);
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * from_march + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let clock = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        (era * ERA + day_of_era - EPOCH) * DAY + clock
    }

    fn is_possible(self) -> bool {
        let leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let days = match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return false,
        };
        self.year > 0 && (1..=days).contains(&self.day) && self.hour < 24 && self.minute < 60 && self.second < 60
    }
}

/// `Jan` to `Dec`; a number that is no month has no name.
pub fn month_name(month: u8) -> &'static str {
    let name = MONTHS.get(usize::from(month).wrapping_sub(1));
    name.and_then(|name| std::str::from_utf8(*name).ok()).unwrap_or("???")
}

/// Appends `YYYYMMDDHHMMSS` for `seconds` since 1970 UTC (RFC 3659 section 2.3, without fraction).
pub fn append_stamp(seconds: i64, out: &mut Vec<u8>) {
    let civil = Civil::from_epoch(seconds);
    let [century, year] = [civil.year / 100, civil.year % 100].map(|part| part as u8);
    for part in [century, year, civil.month, civil.day, civil.hour, civil.minute, civil.second] {
        out.extend_from_slice(&two_digits(part, b'0'));
    }
}

/// Reads a time given by a client, as seconds since 1970 UTC; `None` when it names no moment.
///
/// Forms: `YYYYMMDDHHMMSS` with an optional fraction, which is dropped (RFC 3659 section 2.3);
/// `YYYYMMDDHHMM` (SITE UTIME); `YYYYMMDD` (MDTM that sets). Second 60 is a leap second and read as 59.
pub fn parse_stamp(text: &[u8]) -> Option<i64> {
    let (digits, fraction) = match text.iter().position(|&byte| byte == b'.') {
        Some(point) => text.split_at(point),
        None => (text, &b".0"[..]),
    };
    let fraction = fraction.get(1..)?;
    let whole = !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit);
    if !whole || !matches!(digits.len(), 8 | 12 | 14) || (digits.len() < 14 && text != digits) {
        return None;
    }
    let field = |from: usize, length: usize| match digits.get(from..from + length) {
        Some(field) => field
            .iter()
            .try_fold(0u16, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0'))),
        None => Some(0), // a shorter form: midnight, or the full minute
    };
    let civil = Civil {
        year: field(0, 4)?,
        month: field(4, 2)? as u8,
        day: field(6, 2)? as u8,
        hour: field(8, 2)? as u8,
        minute: field(10, 2)? as u8,
        second: match field(12, 2)? as u8 {
            60 => 59,
            second => second,
        },
    };
    civil.is_possible().then(|| civil.to_epoch())
}

/// `Mon DD HH:MM` for the last half year before `now`, else `Mon DD  YYYY`: always twelve columns, between two blanks.
///
/// A time in the future shows its year: a client would take the bare time of day for last year's.
pub fn list_date(seconds: i64, now: i64) -> [u8; 14] {
    let civil = Civil::from_epoch(seconds);
    let [m, o, n] = *MONTHS.get(usize::from(civil.month) - 1).copied().unwrap_or(b"Jan");
    let [d, ay] = two_digits(civil.day, b' ');
    let recent = (0..RECENT).contains(&now.saturating_sub(seconds));
    let (one, two) = match recent {
        true => (civil.hour, civil.minute),
        false => ((civil.year / 100) as u8, (civil.year % 100) as u8),
    };
    let ([a, b], [c, e]) = (two_digits(one, b'0'), two_digits(two, b'0'));
    let [t, i, me, s, x] = if recent { [a, b, b':', c, e] } else { [b' ', a, b, c, e] };
    [b' ', m, o, n, b' ', d, ay, b' ', t, i, me, s, x, b' ']
}

/// A number below 100, its leading zero shown as `pad`.
fn two_digits(number: u8, pad: u8) -> [u8; 2] {
    let tens = if number < 10 { pad } else { b'0' + number / 10 % 10 };
    [tens, b'0' + number % 10]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(seconds: i64) -> String {
        let mut out = Vec::new();
        append_stamp(seconds, &mut out);
        String::from_utf8(out).expect("ascii")
    }

    fn list_date(seconds: i64, now: i64) -> String {
        let text = String::from_utf8(super::list_date(seconds, now).to_vec()).expect("ascii");
        text.strip_prefix(' ').and_then(|text| text.strip_suffix(' ')).expect("between blanks").to_owned()
    }

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "19700101000000"),
            (-1, "19691231235959"),
            (951_782_400, "20000229000000"),
            (1_709_208_000, "20240229120000"),
            (4_107_542_399, "21000228235959"),
            (4_107_542_400, "21000301000000"),
            (FIRST, "00010101000000"),
            (LAST, "99991231235959"),
            (i64::MIN, "00010101000000"),
            (i64::MAX, "99991231235959"),
        ] {
            assert_eq!(stamp(seconds), text);
        }
    }

    #[test]
    fn impossible_stamps_are_refused() {
        for text in [
            "",
            "2024",
            "20241301000000",
            "20240230000000",
            "20230229120000",
            "20240001000000",
            "20240100000000",
            "20240101240000",
            "20240101006000",
            "20240101000061",
            "00000101000000",
            "2024010100000",
            "202401010000000",
            "2024010100000a",
            "20240101000000.",
            "20240101000000.x",
            "20240101.5",
            "-2024010100000",
            "111111111111111111111111111111",
            "+2024010",
            "2024 101",
        ] {
            assert_eq!(parse_stamp(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn short_forms_and_fractions() {
        let noon = parse_stamp(b"20240229120000");
        assert_eq!(noon, Some(1_709_208_000));
        assert_eq!(parse_stamp(b"20240229120000.999"), noon);
        assert_eq!(parse_stamp(b"202402291200"), noon);
        assert_eq!(parse_stamp(b"20240229"), Some(1_709_164_800));
        assert_eq!(parse_stamp(b"20161231235960"), parse_stamp(b"20161231235959"));
    }

    #[test]
    fn a_list_date_has_twelve_columns_and_no_ambiguity() {
        let now = 1_773_000_000; // 2026-03-08 20:00
        assert_eq!(list_date(now, now), "Mar  8 20:00");
        assert_eq!(list_date(now - RECENT + 1, now), "Sep  7 20:00");
        assert_eq!(list_date(now - RECENT, now), "Sep  7  2025");
        assert_eq!(list_date(now + 1, now), "Mar  8  2026");
        assert_eq!(list_date(i64::MIN, now), "Jan  1  0001");
    }

    proptest! {
        #[test]
        fn there_and_back(seconds in FIRST..=LAST) {
            prop_assert_eq!(Civil::from_epoch(seconds).to_epoch(), seconds);
            prop_assert_eq!(parse_stamp(stamp(seconds).as_bytes()), Some(seconds));
        }

        #[test]
        fn arbitrary_text_is_no_danger(text: Vec<u8>, digits in "[0-9]{8,14}") {
            let _ = parse_stamp(&text);
            if let Some(seconds) = parse_stamp(digits.as_bytes()) {
                prop_assert_eq!(&stamp(seconds)[..8], &digits[..8]);
            }
        }
    }
}
