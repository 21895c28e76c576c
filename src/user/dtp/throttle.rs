//! A limit on the rate of all transfers together.

use std::time::Duration;

use crate::reactor::Moment;

/// What may flow at once after a pause, as a share of a second: short enough to look even, long enough that timers
/// do not dominate.
const BURST: Duration = Duration::from_millis(50);

/// A token bucket in bytes. Transfers may overdraw it by a turn's budget and then wait until the debt is paid, so the
/// average is exact.
#[derive(Debug, Clone, Copy)]
pub struct Throttle {
    /// Bytes a second.
    rate: u64,
    /// Bytes that may flow; negative: owed.
    level: i64,
    at: Moment,
}

impl Throttle {
    /// At most `rate` bytes a second; at least one.
    pub fn new(rate: u64, now: Moment) -> Self {
        Self { rate: rate.max(1), level: 0, at: now }
    }

    /// Bytes that may flow now; none: when to ask again.
    pub fn allowance(&mut self, now: Moment) -> Result<usize, Moment> {
        let burst = self.bytes_in(BURST).max(1);
        let gained = self.bytes_in(now.since(self.at));
        if gained > 0 {
            self.level = self.level.saturating_add(gained).min(burst);
            self.at = now;
        }
        match usize::try_from(self.level) {
            Ok(0) | Err(_) => Err(now.after(self.time_for(burst.saturating_sub(self.level)))),
            Ok(level) => Ok(level),
        }
    }

    /// So many bytes have flown.
    pub fn spend(&mut self, bytes: u64) {
        self.level = self.level.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn bytes_in(&self, span: Duration) -> i64 {
        let bytes = u128::from(self.rate) * span.as_micros() / 1_000_000;
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    fn time_for(&self, bytes: i64) -> Duration {
        let micros = u128::from(bytes.unsigned_abs()) * 1_000_000 / u128::from(self.rate);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX).max(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Clock;

    #[test]
    fn the_average_is_the_rate() {
        let start = Clock::start().now();
        let mut throttle = Throttle::new(1000, start);
        let (mut now, mut flown) = (start, 0);
        while now.since(start) < Duration::from_secs(10) {
            match throttle.allowance(now) {
                Ok(_) => {
                    flown += 300; // more than allowed: a turn's budget is coarse
                    throttle.spend(300);
                }
                Err(later) => now = later,
            }
        }
        assert!((9_000..=11_000).contains(&flown), "{flown}");
    }
}
