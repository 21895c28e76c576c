//! The time zone of this host, for the dates of LIST. Everything else FTP tells is UTC (RFC 3659 section 2.3).
//!
//! Read once: the C library's way of looking at the file again and again is what a sandbox would refuse.

use std::fmt;
use std::io;

use tz::{TimeZone, timezone::TimeZoneSettings};

/// Most bytes of a time zone file. The largest of the tz database has some four thousand.
const LARGEST_FILE: u64 = 64 * 1024;

/// How far local time is from UTC, at any moment.
#[derive(Debug, Clone, Default)]
pub struct Zone(Option<Box<TimeZone>>); // None is UTC

impl Zone {
    /// No difference.
    pub const fn utc() -> Self {
        Self(None)
    }

    /// What TZ says, in the forms of POSIX and of the tz database; without it `/etc/localtime`.
    ///
    /// # Errors
    /// Why neither could be read, one line.
    pub fn local() -> Result<Self, String> {
        match std::env::var("TZ") {
            Ok(name) => Self::named(&name),
            Err(_) => Self::named("localtime"),
        }
    }

    /// A name of the tz database (`Europe/Berlin`), a file's path after a colon, a rule as POSIX has them
    /// (`CET-1CEST,M3.5.0,M10.5.0/3`), or `localtime`. An empty name is UTC.
    ///
    /// # Errors
    /// Why it could not be read, one line.
    pub fn named(name: &str) -> Result<Self, String> {
        if name.is_empty() {
            return Ok(Self::utc());
        }
        let settings = TimeZoneSettings::new(TimeZoneSettings::DEFAULT_DIRECTORIES, |path| Ok(bounded(path)?));
        match settings.parse_posix_tz(name) {
            Ok(zone) => Ok(Self(Some(Box::new(zone)))),
            Err(error) => Err(format!("time zone {name:?}: {error}")),
        }
    }

    /// Seconds to add to `seconds` since 1970 UTC, so that a calendar in UTC shows local time.
    pub fn offset(&self, seconds: i64) -> i64 {
        let Some(zone) = &self.0 else { return 0 };
        zone.find_local_time_type(seconds).map_or(0, |local| i64::from(local.ut_offset()))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "local time" } else { "UTC" })
    }
}

fn bounded(path: &str) -> io::Result<Vec<u8>> {
    super::plain::read(std::path::Path::new(path), LARGEST_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JANUARY: i64 = 1_768_500_000; // 2026-01-15
    const JULY: i64 = 1_784_100_000; // 2026-07-15

    #[test]
    fn a_rule_has_its_summer() {
        let zone = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule");
        assert_eq!((zone.offset(JANUARY), zone.offset(JULY)), (3600, 7200));
        assert_eq!(Zone::named("<-03>3").expect("a rule").offset(JULY), -10_800);
    }

    #[test]
    fn utc_is_no_difference_and_nonsense_is_told() {
        assert_eq!(Zone::utc().offset(JULY), 0);
        assert_eq!(Zone::named("").expect("empty").offset(JULY), 0);
        assert!(Zone::named("No/Such Place").is_err());
    }

    #[test]
    fn a_file_is_read_and_an_endless_one_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let endless = folder.path().join("endless");
        let file = std::fs::File::create(&endless).expect("a file");
        file.set_len(1 << 40).expect("a hole");
        assert!(bounded(endless.to_str().expect("text")).is_err());
        assert!(Zone::named(":/dev/zero").is_err());
    }

    #[test]
    fn any_moment_has_an_offset() {
        let zone = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule");
        for moment in [i64::MIN, -1, 0, i64::MAX] {
            assert!(zone.offset(moment).abs() <= 7200);
        }
    }
}
