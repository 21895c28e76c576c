//! Seconds since 1970 as the logs write them. UTC throughout: local time needs tables that change under a running
//! process, and logs from two hosts compare.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time, broken into its calendar fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    seconds: i64,
}

impl Stamp {
    /// The present.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = since.map_or(0, |span| i64::try_from(span.as_secs()).unwrap_or(0));
        Stamp { seconds }
    }

    /// `seconds` after the beginning of 1970.
    pub fn at(seconds: i64) -> Self {
        Stamp { seconds }
    }

    /// Seconds since the beginning of 1970.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// In the form of `ctime(3)`, which transfer logs use: `Mon Nov 23 21:00:00 2026`.
    pub fn ctime(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time();
        let weekday = WEEKDAYS.get(self.weekday()).unwrap_or(&"???");
        let month = usize::from(month).wrapping_sub(1);
        let month = MONTHS.get(month).unwrap_or(&"???");
        format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}")
    }

    /// Year, month 1 to 12, day 1 to 31.
    fn date(self) -> (i64, u8, u8) {
        // The calendar repeats every 400 years of 146,097 days; a year that begins in March has its odd day last.
        let shifted = self.seconds.div_euclid(86_400) + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        (year, small(month), small(day))
    }

    fn time(self) -> (u8, u8, u8) {
        let second = self.seconds.rem_euclid(86_400);
        (small(second / 3600), small(second / 60 % 60), small(second % 60))
    }

    /// 0 is Sunday; 1970 began on a Thursday.
    fn weekday(self) -> usize {
        usize::from(small((self.seconds.div_euclid(86_400) + 4).rem_euclid(7)))
    }
}

impl fmt::Display for Stamp {
    /// RFC 3339: `2026-11-23T21:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Days from the beginning of 1970 to a date of the Gregorian calendar.
pub fn days(year: i64, month: u8, day: u8) -> i64 {
    let year = year - i64::from(month <= 2);
    let month = i64::from(month) + if month <= 2 { 9 } else { -3 };
    let of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year * 365 + year / 4 - year / 100 + of_year - 719_468
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Calendar fields fit a byte by construction.
fn small(number: i64) -> u8 {
    u8::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments() {
        assert_eq!(Stamp::at(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Stamp::at(951_827_696).to_string(), "2000-02-29T12:34:56Z");
        assert_eq!(Stamp::at(0).ctime(), "Thu Jan  1 00:00:00 1970");
        let late = Stamp::at(1_795_467_600);
        assert_eq!(late.ctime(), "Mon Nov 23 21:00:00 2026");
    }

    proptest! {
        #[test]
        fn days_undo_dates(day in -1_000_000i64..3_000_000) {
            let (year, month, date) = Stamp::at(day * 86_400).date();
            prop_assert_eq!(days(year, month, date), day);
        }
    }
}
