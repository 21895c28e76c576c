//! Where the clock stands that a server's LIST tells times by.
//!
//! ```text
//!   Unknown ── MDTM of a file that is listed ──▶ Ahead(seconds)
//!      │ refused, or no difference that a time zone could have, a few times
//!      └──▶ stays so: the times are taken for UTC
//! ```
//!
//! The difference is that of the newest file at hand, so it is the one of this season: half a year ago a server with
//! summer time was an hour off. To know better its rules would have to be known, and no command asks for those.

use crate::user::text::sendable;
use crate::wire::directory::{Found, FoundKind, Grain, Parsed};

/// Zones are whole quarters of an hour apart.
const QUARTER: i64 = 15 * 60;

/// No zone is farther from UTC.
const FARTHEST: i64 = 14 * 3600;

/// Files that are asked about; a server that has told nothing by then tells nothing.
const EXAMPLES: u8 = 3;

/// What is known about a host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// Nothing, after so many questions.
    Unknown(u8),
    /// Its listings are so many seconds ahead of UTC.
    Ahead(i64),
}

impl Default for Zone {
    fn default() -> Self {
        Self::Unknown(0)
    }
}

impl Zone {
    /// A file worth asking about, and the time that the listing has of it. `None`: no need, or no use.
    pub fn example(&self, parsed: &Parsed) -> Option<(Vec<u8>, i64)> {
        if !matches!(self, Self::Unknown(asked) if *asked < EXAMPLES) {
            return None;
        }
        let fit = |found: &&Found| {
            let told = found.kind == FoundKind::File && found.grain == Grain::Minute;
            told && sendable(&found.name) && !found.name.contains(&b'/')
        };
        let timed = parsed.entries.iter().filter(fit).filter_map(|found| Some((found, found.modify?)));
        timed.max_by_key(|(_, when)| *when).map(|(found, when)| (found.name.clone(), when))
    }

    /// What came of the question: the listing's time of a file, and the true one.
    pub fn learn(&mut self, shown: i64, truly: Option<i64>) {
        let Self::Unknown(asked) = *self else { return };
        let ahead = truly.and_then(|truly| {
            // The listing leaves the seconds out, which makes it fall behind by up to a minute.
            let apart = shown - truly;
            let ahead = (apart + 60).div_euclid(QUARTER) * QUARTER;
            ((apart..apart + 60).contains(&ahead) && ahead.abs() <= FARTHEST).then_some(ahead)
        });
        *self = ahead.map_or(Self::Unknown(asked.saturating_add(1)), Self::Ahead);
        log::debug!("times of LIST: {self:?}");
    }

    /// The listing in UTC. Dates without a time of day stay as they are: a day is what they are good for.
    pub fn applied(&self, mut parsed: Parsed) -> Parsed {
        let Self::Ahead(ahead) = *self else { return parsed };
        for found in parsed.entries.iter_mut().filter(|found| found.grain == Grain::Minute) {
            found.modify = found.modify.map(|when| when - ahead);
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_difference_says() {
        let learnt = |shown, truly| {
            let mut zone = Zone::default();
            zone.learn(shown, truly);
            zone
        };
        let noon = 1_710_000_000;
        assert_eq!(learnt(noon, Some(noon)), Zone::Ahead(0));
        assert_eq!(learnt(noon, Some(noon + 59)), Zone::Ahead(0));
        assert_eq!(learnt(noon + 7200, Some(noon + 30)), Zone::Ahead(7200));
        assert_eq!(learnt(noon - 5 * 3600, Some(noon)), Zone::Ahead(-5 * 3600));
        assert_eq!(learnt(noon + 20_700, Some(noon + 59)), Zone::Ahead(20_700)); // Kathmandu
        // No zone makes such a difference: the file has changed in between, or one of the two is made up.
        for truly in [None, Some(noon + 61), Some(noon - 1), Some(noon + 3 * 86_400), Some(noon + 400)] {
            assert_eq!(learnt(noon, truly), Zone::Unknown(1), "{truly:?}");
        }
        let mut zone = Zone::Ahead(3600);
        zone.learn(noon, Some(noon));
        assert_eq!(zone, Zone::Ahead(3600));
    }
}
