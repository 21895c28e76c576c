//! Where one operation stands, and what each of its phases took.

use crate::reactor::Moment;
use crate::user::Mark;

use super::tally::{Phase, Tally};

/// An operation under way.
#[derive(Debug, Clone, Copy)]
pub struct Track {
    /// The scenario's step; `None` is a session that only arrives.
    pub step: Option<usize>,
    /// When it was to begin.
    pub planned: Moment,
    /// Whether nothing has been timed yet: the first phase counts from the plan.
    fresh: bool,
    since: Moment,
    place: Place,
}

/// A verb's data.
#[derive(Debug, Clone, Copy)]
struct Moving {
    verb: Moment,
    dialled: Option<Moment>,
    /// 1yz was heard: the server owes a final reply whatever happens.
    opened: bool,
    began: Option<Moment>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// The control connection.
    Connecting,
    /// 220.
    Greeting,
    /// The handshake, since the greeting.
    Securing,
    /// 230.
    LoggingIn,
    /// The reply to a command; perhaps a data connection since then.
    Asking { dialled: Option<Moment> },
    /// What the verb brings.
    Moving(Moving),
    /// The final reply.
    Ending { over: Moment },
}

impl Track {
    /// A session that begins now.
    pub const fn arriving(step: Option<usize>, planned: Moment, now: Moment) -> Self {
        Self { step, planned, fresh: true, since: now, place: Place::Connecting }
    }

    /// An operation in a session that stands.
    pub const fn asking(step: usize, planned: Moment, now: Moment) -> Self {
        Self { step: Some(step), planned, fresh: true, since: now, place: Place::Asking { dialled: None } }
    }

    /// Whether the data has come to its end and only the final reply is missing.
    pub const fn waits_for_226(&self) -> bool {
        matches!(self.place, Place::Ending { .. })
    }

    /// Whether the server has accepted a transfer.
    pub const fn is_opened(&self) -> bool {
        matches!(self.place, Place::Moving(Moving { opened: true, .. }))
    }

    /// Whether data flows.
    pub const fn flows(&self) -> bool {
        matches!(self.place, Place::Moving(Moving { began: Some(_), .. }))
    }

    /// Whether the server has greeted.
    pub const fn is_greeted(&self) -> bool {
        !matches!(self.place, Place::Connecting | Place::Greeting)
    }

    /// Whether the connection stands.
    pub const fn is_connected(&self) -> bool {
        !matches!(self.place, Place::Connecting)
    }

    /// The session came by a mark.
    pub fn note(&mut self, mark: Mark, at: Moment, tally: &mut Tally) {
        match (self.place, mark) {
            (Place::Connecting, Mark::Connected) => self.pass(Phase::Connect, at, Place::Greeting, tally),
            (Place::Greeting, Mark::Heard(200..=299)) => self.pass(Phase::Greeting, at, Place::LoggingIn, tally),
            // TLS from the first byte comes before the greeting, AUTH after it.
            (Place::Greeting, Mark::Secured) => self.pass(Phase::Tls, at, Place::Greeting, tally),
            (Place::LoggingIn, Mark::Heard(234)) => self.place = Place::Securing,
            (Place::Securing, Mark::Secured) => self.pass(Phase::Tls, at, Place::LoggingIn, tally),
            (Place::LoggingIn, Mark::Heard(200..=299)) => {
                self.pass(Phase::Login, at, Place::Asking { dialled: None }, tally);
            }
            (Place::Asking { dialled }, mark) => self.note_asking(dialled, mark, at, tally),
            (Place::Moving(moving), mark) => self.note_moving(moving, mark, at, tally),
            (Place::Ending { over }, Mark::Heard(200..)) => tally.passed(Phase::FinalReply, at.since(over)),
            _ => {}
        }
    }

    fn note_asking(&mut self, dialled: Option<Moment>, mark: Mark, at: Moment, tally: &mut Tally) {
        match mark {
            Mark::Said { transfer: false } => self.since = at,
            Mark::Said { transfer: true } => {
                self.place = Place::Moving(Moving { verb: at, dialled, opened: false, began: None });
            }
            Mark::Heard(200..) => self.pass(Phase::Command, at, self.place, tally),
            Mark::Dialled => self.place = Place::Asking { dialled: Some(at) },
            Mark::Up => self.open(dialled, at, tally),
            _ => {}
        }
    }

    fn note_moving(&mut self, moving: Moving, mark: Mark, at: Moment, tally: &mut Tally) {
        match mark {
            Mark::Up => self.open(moving.dialled, at, tally),
            Mark::Heard(..=199) => self.place = Place::Moving(Moving { opened: true, ..moving }),
            Mark::Going => self.place = Place::Moving(Moving { began: Some(at), ..moving }),
            Mark::FirstByte if moving.began.is_none() => {
                tally.passed(Phase::FirstByte, at.since(moving.verb));
                self.place = Place::Moving(Moving { began: Some(at), ..moving });
            }
            Mark::DataOver(_) => {
                tally.passed(Phase::Transfer, at.since(moving.began.unwrap_or(moving.verb)));
                self.place = Place::Ending { over: at };
            }
            // The reply has overtaken the data.
            Mark::Heard(200..=399) => tally.passed(Phase::FinalReply, at.since(at)),
            _ => {}
        }
    }

    fn open(&mut self, dialled: Option<Moment>, at: Moment, tally: &mut Tally) {
        if let Some(dialled) = dialled {
            tally.passed(Phase::DataOpen, at.since(dialled));
        }
    }

    fn pass(&mut self, phase: Phase, at: Moment, next: Place, tally: &mut Tally) {
        let from = if self.fresh { self.planned.min(self.since) } else { self.since };
        self.fresh = false;
        tally.passed(phase, at.since(from));
        self.since = at;
        self.place = next;
    }
}
