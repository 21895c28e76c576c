//! The loop's time: one monotonic clock, read once a pass.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// A point in monotonic time, in microseconds since the clock was made.
///
/// `Instant` takes 16 bytes and an optional one as much; here it is 8 either way, and every record has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(NonZeroU64);

impl Moment {
    const fn from_micros(micros: u64) -> Self {
        match NonZeroU64::new(micros) {
            Some(micros) => Self(micros),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// The moment `span` later; saturates.
    pub fn after(self, span: Duration) -> Self {
        let span = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self::from_micros(self.0.get().saturating_add(span))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }
}

/// Where [`Moment`]s come from. Tests make them from a clock they turn themselves.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts counting now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Reads the clock. Wall-clock jumps do not show here: timers must survive them.
    pub fn now(&self) -> Moment {
        let micros = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        Moment::from_micros(micros.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_moment_costs_nothing() {
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }

    #[test]
    fn after_and_since_are_inverse() {
        let start = Clock::start().now();
        let later = start.after(Duration::from_millis(1500));
        assert_eq!(later.since(start), Duration::from_millis(1500));
        assert_eq!(start.since(later), Duration::ZERO);
    }
}
