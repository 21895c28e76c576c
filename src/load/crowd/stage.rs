//! The parts of a run.
//!
//! ```text
//!   Gathering ──────▶ Measuring ─────────────────▶ Ending ─────────────────────────▶ Over
//!     each session      until the time is up,        until nothing is under way,
//!     stands or has     or Ctrl-C                    a bounded while, or Ctrl-C
//!     failed once
//!       └── Ctrl-C: what there is so far is reported ─────────────────────────────────▲
//! ```
//!
//! What is under way at the end is waited for, since only then is it known whether a server owes a 226.

use std::cmp::Reverse;
use std::time::Duration;

use super::pulse::Pulse;
use super::{Crowd, State, User};
use crate::load::observe;
use crate::load::plan::Plan;
use crate::load::tally::{self, Tally};
use crate::reactor::Moment;
use crate::user::mail::Death;

/// How long what is under way at the end is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// Which part of the run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Gathering,
    Measuring { until: Moment, pulse: Pulse },
    Ending { until: Moment },
    Over,
}

impl Crowd<'_> {
    /// Lets the sessions begin, until each of them stands or has failed, or Ctrl-C.
    ///
    /// # Errors
    /// When the loop itself fails.
    pub fn gather(&mut self) -> Result<(), String> {
        if self.options.scenario.only_logins() {
            return Ok(());
        }
        self.line_up();
        while self.settled < self.users.len() && self.stage == Stage::Gathering {
            self.step()?;
        }
        Ok(())
    }

    /// Measures, waits for what is under way at the end, and gives the counts. `at_the_end` is called between the two,
    /// while the sessions still stand. After an interrupt there is nothing more to do than to give them.
    ///
    /// # Errors
    /// When the loop itself fails.
    pub fn measure(mut self, at_the_end: impl FnOnce()) -> Result<Tally, String> {
        self.tally.standing = self.users.iter().filter(|user| matches!(user.state, State::Standing)).count() as u64;
        if self.stage == Stage::Over {
            at_the_end();
            return Ok(self.tally);
        }
        let began = self.clock();
        let (cpu, waited) = (observe::own_cpu(), observe::own_wait());
        let until = began.after(self.options.duration);
        self.plan = self.options.rate.map(|rate| Plan::new(began, rate / self.options.processes as f64, until));
        self.stage = Stage::Measuring { until, pulse: Pulse::new(began) };
        self.set_to_work();
        while matches!(self.stage, Stage::Measuring { .. }) {
            self.step()?;
        }
        self.tally.seconds = self.clock().since(began).as_secs_f64();
        self.tally.cpu = observe::own_cpu() - cpu;
        self.tally.waited = observe::own_wait() - waited;
        at_the_end();
        self.leave_what_flows();
        // Perhaps nothing is under way, and then nothing would wake the loop before its time is up.
        self.turn_page();
        while self.stage != Stage::Over {
            self.step()?;
        }
        Ok(self.tally)
    }

    /// First operations: at once, or over the ramp where each is a session of its own.
    fn set_to_work(&mut self) {
        if self.options.scenario.only_logins() && self.plan.is_none() && !self.options.ramp.is_zero() {
            return self.line_up();
        }
        for index in 0..self.users.len() {
            if matches!(self.users.get(index), Some(User { state: State::Standing | State::Away, .. })) {
                self.available(index, Duration::ZERO);
            }
        }
    }

    fn line_up(&mut self) {
        let (now, all) = (self.clock(), self.users.len().max(1));
        for index in 0..self.users.len() {
            let after = self.options.ramp.mul_f64(index as f64 / all as f64);
            self.timers.push(Reverse((now.after(after), index)));
        }
    }

    /// Ctrl-C ends the measurement early, with its report; a second one does not wait for what is under way.
    pub(super) fn cut_short(&mut self) {
        match self.stage {
            Stage::Gathering => self.stage = Stage::Over,
            Stage::Measuring { .. } => {
                if let Some(plan) = &mut self.plan {
                    plan.cut();
                }
                self.end(self.clock());
            }
            Stage::Ending { .. } => self.close(),
            Stage::Over => {}
        }
    }

    /// From one part of the run to the next.
    pub(super) fn turn_page(&mut self) {
        self.follow_plan();
        let now = self.clock();
        match self.stage {
            Stage::Measuring { until, .. } if now >= until => self.end(now),
            Stage::Ending { until } => {
                let over = self.busy == 0 && self.plan.as_ref().is_none_or(|plan| plan.left() == 0);
                if over || now >= until {
                    self.close();
                }
            }
            _ => {}
        }
    }

    /// The measurement is over; what is under way is waited for, except what [`leave_what_flows`](Self::leave_what_flows) leaves.
    fn end(&mut self, now: Moment) {
        self.stage = Stage::Ending { until: now.after(GRACE.min(self.options.timeout)) };
    }

    /// Data that flows has been measured as far as it came. Only after the look at the server: a process of its that ends
    /// takes its CPU time along.
    fn leave_what_flows(&mut self) {
        for index in 0..self.users.len() {
            let Some(user) = self.users.get(index) else { continue };
            let (Some(key), State::Working(track)) = (user.key, user.state) else { continue };
            if track.flows() {
                let bytes: u64 = self.client.progress(key).iter().map(|(_, bytes)| bytes).sum();
                let act = track.step.and_then(|step| self.options.scenario.step(step)).map(|step| &step.act);
                match act.and_then(|act| self.files.excess(act, bytes)) {
                    Some(said) => self.tally.failed(tally::WRONG, said),
                    None => self.tally.bytes += bytes,
                }
                self.by_key.remove(&key);
                self.client.drop_session(key, &Death::Left);
                self.rest(index, State::Away);
                self.busy -= 1;
            }
        }
    }

    /// Nothing more is waited for: what has not come is missing.
    fn close(&mut self) {
        self.stage = Stage::Over;
        for user in &self.users {
            let (class, said) = match user.state {
                State::Working(track) if track.waits_for_226() => (tally::MISSING, "no reply after the data"),
                State::Working(_) => (tally::TIMED_OUT, "no reply before the end"),
                State::Arriving(track) if track.step.is_some() => (tally::TIMED_OUT, "no login before the end"),
                State::Leaving(Some(_)) => (tally::TIMED_OUT, "no reply to QUIT before the end"),
                _ => continue,
            };
            self.tally.failed(class, said.into());
        }
        for _ in 0..self.plan.as_ref().map_or(0, Plan::left) {
            self.tally.failed(tally::NOT_BEGUN, "no session was free".into());
        }
    }
}
