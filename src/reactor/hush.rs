//! Log lines that strangers can cause at will are written now and then, with a count of those left out.

use std::fmt;
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
    pub fn speak(&mut self, now: Moment) -> Option<Others> {
        if self.last.is_some_and(|last| now.since(last) < EVERY) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(Others(std::mem::take(&mut self.left_out)))
    }
}

/// How many lines were left out. At the end of a line it says so, where there were any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Others(u64);

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            1 => f.write_str(", 1 other before"),
            count => write!(f, ", {count} others before"),
        }
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
        let words = |others: Option<Others>| others.map(|others| others.to_string());
        assert_eq!(words(hush.speak(start)).as_deref(), Some(""));
        assert_eq!(hush.speak(start.after(EVERY / 2)), None);
        assert_eq!(hush.speak(start.after(EVERY / 2)), None);
        assert_eq!(words(hush.speak(start.after(EVERY))).as_deref(), Some(", 2 others before"));
    }
}
