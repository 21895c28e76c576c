//! Whether the loop is there when it should be: a beat at fixed times, and how late each is noticed.
//!
//! How long an event waits within a pass says nothing of a loop that had no core, or was stopped, while the event waited
//! outside. A beat is due whatever happens, so that lateness of every origin is seen, and in proportion to its length:
//! beats that were missed meanwhile count too. What is due by a plan or after a pause hangs on the same loop.

use std::time::Duration;

use crate::reactor::Moment;

/// Between beats. What holds the loop up for less is no matter at the times that reports have, and a hundred wakings a second
/// are few beside those of any load worth the name.
const BEAT: Duration = Duration::from_millis(10);

/// The next beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pulse {
    due: Moment,
}

impl Pulse {
    pub(super) fn new(began: Moment) -> Self {
        Self { due: began.after(BEAT) }
    }

    pub(super) const fn due(&self) -> Moment {
        self.due
    }

    /// The next of the beats that have come by now: how late it is.
    pub(super) fn take(&mut self, now: Moment) -> Option<Duration> {
        let due = self.due;
        (due <= now).then(|| {
            self.due = due.after(BEAT);
            now.since(due)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Clock;

    #[test]
    fn what_was_missed_counts_as_often_as_it_was() {
        let began = Clock::start().now();
        let mut pulse = Pulse::new(began);
        assert_eq!(pulse.take(began), None);
        let late = began.after(Duration::from_millis(45));
        let all: Vec<u128> = std::iter::from_fn(|| pulse.take(late)).map(|late| late.as_millis()).collect();
        assert_eq!((all, pulse.due()), (vec![35, 25, 15, 5], began.after(Duration::from_millis(50))));
    }
}
