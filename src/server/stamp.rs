//! Seconds since 1970 as the logs write them. UTC throughout: local time needs tables that change under a running
//! process, and logs from two hosts compare.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::wire::date::{self, Civil};

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
        let Civil { year, month, day, hour, minute, second } = Civil::from_epoch(self.seconds);
        let weekday = WEEKDAYS.get(self.weekday()).unwrap_or(&"???");
        let month = date::month_name(month);
        format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year}")
    }

    /// 0 is Sunday; 1970 began on a Thursday.
    fn weekday(self) -> usize {
        usize::try_from((self.seconds.div_euclid(86_400) + 4).rem_euclid(7)).unwrap_or(0)
    }
}

impl fmt::Display for Stamp {
    /// RFC 3339: `2026-11-23T21:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second } = Civil::from_epoch(self.seconds);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(Stamp::at(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Stamp::at(951_827_696).to_string(), "2000-02-29T12:34:56Z");
        assert_eq!(Stamp::at(0).ctime(), "Thu Jan  1 00:00:00 1970");
        let late = Stamp::at(1_795_467_600);
        assert_eq!(late.ctime(), "Mon Nov 23 21:00:00 2026");
    }
}
