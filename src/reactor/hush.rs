//! Log lines that strangers can cause at will are written now and then, with a count of those left out.

use std::time::Duration;

use super::Moment;

/// One line of a kind in this time. A flood shows as numbers, not as a full disk.
const EVERY: Duration = Duration::from_secs(10);

/// Keeps one kind of line rare.
#[derive(Debug, Default)]
pub struct Hush {
    last: Option<Moment>,
    left_out: u64,
}

impl Hush {
    /// Whether to write this one; if so, how many were left out since the last.
    pub fn speak(&mut self, now: Moment) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < EVERY) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Clock;

    #[test]
    fn x16_a_flood_is_one_line_and_a_number() {
        let mut hush = Hush::default();
        let start = Clock::start().now();
        assert_eq!(hush.speak(start), Some(0));
        assert_eq!(hush.speak(start.after(EVERY / 2)), None);
        assert_eq!(hush.speak(start.after(EVERY / 2)), None);
        assert_eq!(hush.speak(start.after(EVERY)), Some(2));
    }
}
