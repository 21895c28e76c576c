//! The open loop's plan: operations at a constant rate, whether or not the server keeps up.

use std::time::Duration;

use crate::reactor::Moment;

/// When operations are to begin.
#[derive(Debug)]
pub struct Plan {
    began: Moment,
    rate: f64,
    taken: u64,
    all: u64,
}

impl Plan {
    /// `rate` operations a second from `began` on, up to `until`.
    pub fn new(began: Moment, rate: f64, until: Moment) -> Self {
        let all = (until.since(began).as_secs_f64() * rate).ceil().max(1.0);
        Self { began, rate, taken: 0, all: all as u64 }
    }

    /// When the next one is to begin.
    pub fn next(&self) -> Option<Moment> {
        let after = Duration::from_secs_f64(self.taken as f64 / self.rate);
        (self.taken < self.all).then(|| self.began.after(after))
    }

    /// Begins it.
    pub fn take(&mut self) -> Option<Moment> {
        let next = self.next()?;
        self.taken += 1;
        Some(next)
    }

    /// Ends here: what has not begun is not owed.
    pub const fn cut(&mut self) {
        self.all = self.taken;
    }

    /// How many have not begun.
    pub const fn left(&self) -> u64 {
        self.all - self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Clock;

    #[test]
    fn a_plan_does_not_wait() {
        let began = Clock::start().now();
        let mut plan = Plan::new(began, 4.0, began.after(Duration::from_secs(1)));
        let starts: Vec<u128> = std::iter::from_fn(|| plan.take()).map(|at| at.since(began).as_millis()).collect();
        assert_eq!(starts, [0, 250, 500, 750]);
        assert_eq!((plan.left(), plan.next()), (0, None));
    }

    #[test]
    fn a_plan_cut_short_owes_nothing() {
        let began = Clock::start().now();
        let mut plan = Plan::new(began, 4.0, began.after(Duration::from_secs(1)));
        plan.take();
        plan.cut();
        assert_eq!((plan.left(), plan.next()), (0, None));
    }
}
