//! How long a control connection may stay as it is: the times that run while it waits for its peer.
//!
//! | runs | from | until | moved by |
//! |---|---|---|---|
//! | login | the connection, or the end of a membership | a login | the time that the password check takes |
//! | idle | the last command | the next one | each whole command |
//! | line | the first octet of a line | its end | nothing: octets one by one gain no time |
//! | penalty | a wrong password | its reply | nothing |
//! | stuck | replies that the peer does not take | all of them taken | nothing |
//!
//! One field for all of them was tried and rejected: whoever changed what was waited for began the login time anew, and
//! so could stay a stranger for ever.

use std::time::Duration;

use crate::reactor::Moment;
use crate::server::pi::Patience;
use crate::server::settings::Limits;

/// For a command line, from its first octet to its end. The longest one leaves a modem in ten seconds.
pub const LINE: Duration = Duration::from_secs(60);

/// Since when what is waited for.
#[derive(Debug)]
pub struct Vigil {
    /// The last command, or the last change of what is waited for.
    since: Moment,
    /// The stranger's time.
    login: Moment,
    /// The first octet of the line still coming.
    line: Option<Moment>,
    /// The first reply that the peer did not take at once.
    stuck: Option<Moment>,
}

/// Which time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Replies wait for a peer that does not read.
    Stuck,
    /// A line has begun and does not end.
    Line,
    /// What [`Patience`] said.
    Patience,
}

impl Vigil {
    /// Somebody has just connected.
    pub const fn new(now: Moment) -> Self {
        Self { since: now, login: now, line: None, stuck: None }
    }

    /// Since when the present state counts.
    pub const fn since(&self) -> Moment {
        self.since
    }

    /// A command has come, or another wait begins.
    pub const fn restart(&mut self, now: Moment) {
        self.since = now;
    }

    /// The session may wait for something else than before.
    pub fn turned(&mut self, before: Patience, after: Patience, now: Moment) {
        if std::mem::discriminant(&before) == std::mem::discriminant(&after) {
            return;
        }
        match (before, after) {
            // While the password is checked it is not the peer who takes time.
            (Patience::Endless, Patience::Login(_) | Patience::Penalty(_)) => {
                self.login = self.login.after(now.since(self.since));
            }
            (Patience::Idle(_), Patience::Login(_) | Patience::Endless) => self.login = now,
            _ => {}
        }
        self.since = now;
    }

    /// Octets were read: whether a line has begun and not ended, and whether one that had begun before has ended.
    pub fn read(&mut self, partial: bool, ended: bool, now: Moment) {
        self.line = match self.line.filter(|_| !ended) {
            Some(since) if partial => Some(since),
            _ => partial.then_some(now),
        };
    }

    /// The peer did not take all that was sent to it.
    pub fn blocked(&mut self, now: Moment) {
        self.stuck.get_or_insert(now);
    }

    /// It has now. True: it had not before.
    pub const fn unblocked(&mut self) -> bool {
        self.stuck.take().is_some()
    }

    /// When replies have been waiting too long.
    pub fn stuck_until(&self, limits: &Limits) -> Option<Moment> {
        self.stuck.map(|since| since.after(limits.output_stall))
    }

    /// When the first of the times is over.
    pub fn deadline(&self, patience: Patience, limits: &Limits) -> Option<Moment> {
        let own = self.patient_until(patience);
        [own, self.line_until(patience), self.stuck_until(limits)].into_iter().flatten().min()
    }

    /// Which time is over now, if any.
    pub fn over(&self, patience: Patience, limits: &Limits, now: Moment) -> Option<Over> {
        let passed = |when: Option<Moment>| when.is_some_and(|when| when <= now);
        if passed(self.stuck_until(limits)) {
            Some(Over::Stuck)
        } else if passed(self.patient_until(patience)) {
            Some(Over::Patience)
        } else {
            passed(self.line_until(patience)).then_some(Over::Line)
        }
    }

    fn patient_until(&self, patience: Patience) -> Option<Moment> {
        match patience {
            Patience::Login(span) => Some(self.login.after(span)),
            Patience::Idle(span) | Patience::Penalty(span) | Patience::Remark(span) => Some(self.since.after(span)),
            Patience::Endless => None,
        }
    }

    /// A line that waits behind a transfer or a password check has all its time when that is over.
    fn line_until(&self, patience: Patience) -> Option<Moment> {
        let line = self.line.filter(|_| matches!(patience, Patience::Login(_) | Patience::Idle(_)))?;
        Some(line.max(self.since).after(LINE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Clock;

    const LOGIN: Patience = Patience::Login(Duration::from_secs(60));
    const IDLE: Patience = Patience::Idle(Duration::from_secs(300));
    const PENALTY: Patience = Patience::Penalty(Duration::from_secs(2));

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// A vigil, and its moments by the second.
    fn begun() -> (Vigil, impl Fn(u64) -> Moment) {
        let start = Clock::start().now();
        (Vigil::new(start), move |second| start.after(seconds(second)))
    }

    #[test]
    fn x07_wrong_passwords_and_commands_gain_a_stranger_no_time() {
        let (mut vigil, at) = begun();
        let limits = Limits::default();
        // Ten seconds of checking are not the peer's; two of penalty are.
        vigil.turned(LOGIN, Patience::Endless, at(20));
        vigil.turned(Patience::Endless, PENALTY, at(30));
        assert_eq!(vigil.deadline(PENALTY, &limits), Some(at(32)));
        vigil.turned(PENALTY, LOGIN, at(32));
        assert_eq!(vigil.deadline(LOGIN, &limits), Some(at(70)));
        assert_eq!(vigil.over(LOGIN, &limits, at(69)), None);
        assert_eq!(vigil.over(LOGIN, &limits, at(70)), Some(Over::Patience));
    }

    #[test]
    fn a_member_who_logs_out_is_a_newcomer() {
        let (mut vigil, at) = begun();
        let limits = Limits::default();
        vigil.turned(LOGIN, IDLE, at(10));
        vigil.restart(at(200));
        vigil.turned(IDLE, LOGIN, at(200));
        assert_eq!(vigil.deadline(LOGIN, &limits), Some(at(260)));
    }

    #[test]
    fn x06_octets_one_by_one_gain_a_line_no_time() {
        let (mut vigil, at) = begun();
        let limits = Limits::default();
        vigil.turned(LOGIN, IDLE, at(0));
        for second in (100..160).step_by(10) {
            vigil.read(true, false, at(second));
            assert_eq!(vigil.over(IDLE, &limits, at(second)), None);
        }
        assert_eq!(vigil.deadline(IDLE, &limits), Some(at(160)));
        assert_eq!(vigil.over(IDLE, &limits, at(160)), Some(Over::Line));
    }

    #[test]
    fn each_line_has_its_own_time_and_one_behind_a_transfer_all_of_it() {
        let (mut vigil, at) = begun();
        let limits = Limits::default();
        vigil.turned(LOGIN, IDLE, at(0));
        vigil.read(true, false, at(10));
        vigil.read(true, true, at(50));
        assert_eq!(vigil.deadline(IDLE, &limits), Some(at(110)));
        vigil.turned(IDLE, Patience::Endless, at(60));
        assert_eq!(vigil.deadline(Patience::Endless, &limits), None);
        vigil.turned(Patience::Endless, IDLE, at(500));
        assert_eq!(vigil.deadline(IDLE, &limits), Some(at(560)));
        vigil.read(false, true, at(510));
        assert_eq!(vigil.deadline(IDLE, &limits), Some(at(800)));
    }

    #[test]
    fn replies_that_nobody_takes_count_from_the_first() {
        let (mut vigil, at) = begun();
        let limits = Limits::default();
        vigil.blocked(at(5));
        vigil.blocked(at(50));
        assert_eq!(vigil.over(Patience::Endless, &limits, at(64)), None);
        assert_eq!(vigil.over(Patience::Endless, &limits, at(65)), Some(Over::Stuck));
        assert!(vigil.unblocked() && !vigil.unblocked());
        assert_eq!(vigil.deadline(Patience::Endless, &limits), None);
    }
}
