//! Rates: token buckets that tell when, and never wait themselves.
//!
//! ```text
//!   job ──reserve(quantum)──► bucket of the session ─┐
//!                        └──► bucket of the account ─┴─► the later of the two moments: until then the job is parked
//! ```
//!
//! A reservation takes its tokens at once, even into debt, and says when the debt will be paid. So those who share a
//! bucket are served in the order in which they asked, a quantum each, and together they get its rate, however many
//! they are. Polling for tokens was rejected: whoever is asked first by the timers would get them all.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::TURN_BYTES;
use crate::reactor::Moment;

/// Tokens are millionths of a byte: microseconds times bytes a second, so that nothing is lost by rounding.
const TOKENS_A_BYTE: i128 = 1_000_000;

/// What a bucket holds when it is full, in parts of a second: enough to be on time again after a late timer, too
/// little for a burst that anybody would notice.
const FULL: i128 = 20;

/// What a job asks for at once, in parts of a second of the rate: as many sessions can share it before one of them
/// is silent for a second.
const QUANTUM: u64 = 50;

/// Smaller pieces than this are not worth their system call.
const SMALLEST: u64 = 512;

/// A rate and what is left of it at the moment.
#[derive(Debug)]
pub struct Bucket {
    /// Bytes a second; never 0.
    rate: Cell<u64>,
    /// Below zero: promised already.
    tokens: Cell<i128>,
    /// When `tokens` was true. `None`: the bucket is full.
    at: Cell<Option<Moment>>,
}

impl Bucket {
    /// A full bucket. `rate` counts bytes a second; none for 0, which means "no limit".
    pub fn new(rate: u64) -> Option<Rc<Self>> {
        let bucket = Self { rate: Cell::new(rate), tokens: Cell::new(0), at: Cell::new(None) };
        (rate > 0).then(|| Rc::new(bucket))
    }

    /// Bytes a second.
    pub fn rate(&self) -> u64 {
        self.rate.get()
    }

    /// Goes on with another rate, more than 0; debts stay.
    pub fn set_rate(&self, rate: u64) {
        self.rate.set(rate.max(1));
    }

    fn quantum(&self) -> usize {
        let share = (self.rate.get() / QUANTUM).max(SMALLEST);
        usize::try_from(share).unwrap_or(TURN_BYTES).min(TURN_BYTES)
    }

    /// Takes tokens for so many bytes and tells from when on they may be used.
    fn reserve(&self, now: Moment, bytes: usize) -> Moment {
        let rate = i128::from(self.rate.get());
        let full = rate * TOKENS_A_BYTE / FULL;
        let gained = self.at.get().map_or(full, |at| rate * micros(now.since(at)));
        let left = (self.tokens.get() + gained).min(full) - TOKENS_A_BYTE * bytes as i128;
        self.tokens.set(left);
        self.at.set(Some(now));
        if left >= 0 {
            return now;
        }
        let wait = u64::try_from((-left + rate - 1) / rate).unwrap_or(u64::MAX);
        now.after(Duration::from_micros(wait))
    }

    /// Gives back what was reserved and not used.
    fn refund(&self, bytes: usize) {
        self.tokens.set(self.tokens.get() + TOKENS_A_BYTE * bytes as i128);
    }
}

fn micros(span: Duration) -> i128 {
    i128::try_from(span.as_micros()).unwrap_or(i128::MAX >> 64)
}

/// What one job may move when: its session's bucket and its account's.
#[derive(Debug, Default)]
pub struct Pace {
    buckets: [Option<Rc<Bucket>>; 2],
    /// Bytes reserved and not moved yet.
    granted: usize,
    /// From when on they may be moved.
    from: Option<Moment>,
}

impl Pace {
    /// A pace within both buckets; none of them: as fast as it goes.
    pub const fn new(session: Option<Rc<Bucket>>, account: Option<Rc<Bucket>>) -> Self {
        Self { buckets: [session, account], granted: 0, from: None }
    }

    /// How many bytes may be moved now, at least one; without a limit as many as the pump likes.
    ///
    /// # Errors
    /// None may: the moment from which on some may.
    pub fn allowance(&mut self, now: Moment) -> Result<usize, Moment> {
        let Some(quantum) = self.buckets.iter().flatten().map(|bucket| bucket.quantum()).min() else {
            return Ok(usize::MAX);
        };
        if self.granted == 0 {
            self.granted = quantum;
            self.from = self.buckets.iter().flatten().map(|bucket| bucket.reserve(now, quantum)).max();
        }
        match self.from {
            Some(from) if from > now => Err(from),
            _ => Ok(self.granted),
        }
    }

    /// So many bytes were moved. More than allowed (text grows on its way) is paid for later.
    pub fn spend(&mut self, now: Moment, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let beyond = bytes.saturating_sub(self.granted);
        self.granted = self.granted.saturating_sub(bytes);
        if beyond > 0 {
            self.buckets.iter().flatten().for_each(|bucket| {
                bucket.reserve(now, beyond);
            });
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.buckets.iter().flatten().for_each(|bucket| bucket.refund(self.granted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Clock;
    use proptest::prelude::*;

    /// Moves as much as allowed until `span` is over; every job whenever its time has come.
    fn moved(paces: &mut [Pace], span: Duration) -> Vec<u64> {
        let start = Clock::start().now();
        let mut totals = vec![0_u64; paces.len()];
        let mut due: Vec<Moment> = vec![start; paces.len()];
        for _ in 0..1_000_000 {
            let Some((index, now)) = due.iter().copied().enumerate().min_by_key(|(_, when)| *when) else { break };
            if now.since(start) >= span {
                return totals;
            }
            match paces[index].allowance(now) {
                Ok(bytes) => {
                    paces[index].spend(now, bytes as u64);
                    totals[index] += bytes as u64;
                }
                Err(later) => due[index] = later,
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn without_a_limit_there_is_no_waiting() {
        let now = Clock::start().now();
        let mut pace = Pace::default();
        for _ in 0..10 {
            assert_eq!(pace.allowance(now), Ok(usize::MAX));
            pace.spend(now, TURN_BYTES as u64);
        }
    }

    #[test]
    fn what_was_not_used_is_given_back() {
        let now = Clock::start().now();
        let bucket = Bucket::new(1 << 20).expect("a limit");
        let mut first = Pace::new(Some(Rc::clone(&bucket)), None);
        first.allowance(now).expect("a full bucket");
        let before = bucket.tokens.get();
        drop(first);
        assert!(bucket.tokens.get() > before);
    }

    proptest! {
        #[test]
        fn together_they_get_the_rate_and_each_its_share(rate in 10_000_u64..100_000_000, many in 1_usize..20) {
            let account = Bucket::new(rate);
            let mut paces: Vec<Pace> = (0..many).map(|_| Pace::new(None, account.clone())).collect();
            let totals = moved(&mut paces, Duration::from_secs(20));
            let sum: u64 = totals.iter().sum();
            let exact = rate * 20;
            // A full bucket at the beginning, a quantum each at the end.
            let slack = rate / 20 + (rate / QUANTUM).max(SMALLEST) * (many as u64 + 1);
            prop_assert!(sum <= exact + slack, "{sum} of {exact}");
            prop_assert!(sum + slack >= exact, "{sum} of {exact}");
            let (least, most) = (totals.iter().min().copied(), totals.iter().max().copied());
            prop_assert!(most.unwrap_or(0) - least.unwrap_or(0) <= rate / 20 + 2 * (rate / QUANTUM).max(SMALLEST));
        }

        #[test]
        fn the_narrower_of_two_buckets_decides(rate in 10_000_u64..1_000_000) {
            let mut paces = [Pace::new(Bucket::new(rate), Bucket::new(rate * 10))];
            let total = moved(&mut paces, Duration::from_secs(10))[0];
            prop_assert!(total <= rate * 10 + rate / 10 + SMALLEST && total + rate / 10 + SMALLEST >= rate * 10);
        }
    }
}
