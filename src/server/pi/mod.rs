//! The Server-PI: one control dialogue as a state machine. No socket and no clock in here.
//!
//! Lines and reports come in by [`Session::handle`], replies and orders go out through [`Stage::out`]; who moves the
//! bytes is not this module's business. The diagram stands in [`state`].

mod about;
mod access;
mod commands;
mod digest;
mod entries;
mod faults;
mod gate;
mod interface;
mod mode;
mod parameter;
mod quota;
mod security;
mod service;
mod site;
pub mod state;
#[cfg(test)]
mod tests;
mod transfer;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::codec::{Algorithm, Level};
use crate::server::world::World;
use crate::transfer::{Order, Protection};
use crate::wire::command::Verb;
use crate::wire::listing::FactSet;
use crate::wire::reply::Reply;

use state::{Member, State, Work};

pub use access::Verdict;
pub(super) use faults::words;
pub use interface::{Certificate, Finished, Input, Output, Patience};

/// TYPE as the session has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    /// None was given. Image by default: embedded clients never send TYPE and push pictures.
    Unset,
    /// A.
    Ascii,
    /// I, L 8.
    Image,
}

/// MODE as the session has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// S.
    Stream,
    /// Z.
    Deflate,
}

/// Where the next transfer begins, and perhaps ends: REST's marker or RANG's. It is there only until that transfer,
/// so sessions keep it apart from their own record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    first: u64,
    /// Included, as RANG counts.
    last: Option<u64>,
}

impl Mark {
    /// REST 0: it moves nothing, and clients that send it are told by it.
    const fn is_everything(&self) -> bool {
        self.first == 0 && self.last.is_none()
    }

    /// The byte after the last; no end is beyond every file.
    const fn end(&self) -> u64 {
        match self.last {
            Some(last) => last.saturating_add(1),
            None => u64::MAX,
        }
    }
}

/// Where the next transfer's data connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    /// Neither PASV nor PORT yet, or used up.
    None,
    /// A port is promised, perhaps connected already.
    Passive,
    /// The client listens there.
    Active(SocketAddr),
}

/// What protects the control connection, and what that makes of PBSZ and PROT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cover {
    /// Nothing: AUTH comes before PBSZ and PROT.
    Clear,
    /// TLS after AUTH: PBSZ comes before PROT.
    Private,
    /// TLS and PBSZ.
    Sized,
    /// TLS from the first octet on, PBSZ understood.
    Implicit,
    /// Nothing any more, after CCC: PROT stays what it is.
    Lifted,
}

impl Cover {
    const fn is_on(self) -> bool {
        matches!(self, Self::Private | Self::Sized | Self::Implicit)
    }
}

/// Whether an ABOR line is owed a 226 for the transfer that was stopped in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Abort {
    /// No: there is nothing to abort.
    Idle,
    /// Yes: the line still waits its turn.
    Owed,
}

/// How often a client that waits for a HASH hears that it is being computed. Clients give up after 15 s and more.
const SIGN_OF_LIFE: Duration = Duration::from_secs(6);

/// One control dialogue.
#[derive(Debug)]
pub struct Session {
    state: State,
    peer: SocketAddr,
    local: IpAddr,
    endpoint: Endpoint,
    cover: Cover,
    /// PROT.
    protection: Protection,
    /// What the client showed in the handshake.
    certificate: Option<Box<Certificate>>,
    /// Until the next transfer command (protocol order differs between clients, so it survives the rest).
    mark: Option<Box<Mark>>,
    type_: Type,
    mode: Mode,
    level: Level,
    hash: Algorithm,
    abort: Abort,
    failures: u8,
    unknown: u8,
    epsv_only: bool,
    umask: Option<u16>,
    idle: Option<u16>,
    facts: FactSet,
}

/// What a handler may use: the surroundings and the way out.
#[derive(Debug)]
pub struct Stage<'a> {
    /// Surroundings.
    pub world: &'a World,
    /// Wishes, in order.
    pub out: &'a mut Vec<Output>,
}

impl Stage<'_> {
    fn reply(&mut self, reply: Reply) {
        self.out.push(Output::Reply(reply));
    }

    fn say(&mut self, code: u16, text: &'static str) {
        self.reply(Reply::new(code, text));
    }

    fn order(&mut self, order: Order) {
        self.out.push(Output::Order(order));
    }
}

impl Session {
    /// A dialogue with somebody who just connected.
    pub fn new(peer: SocketAddr, local: IpAddr) -> Self {
        Self {
            state: State::Stranger,
            peer,
            local,
            endpoint: Endpoint::None,
            cover: Cover::Clear,
            protection: Protection::Clear,
            certificate: None,
            mark: None,
            type_: Type::Unset,
            mode: Mode::Stream,
            level: Level::DEFAULT,
            hash: Algorithm::Sha256,
            abort: Abort::Idle,
            failures: 0,
            unknown: 0,
            epsv_only: false,
            umask: None,
            idle: None,
            facts: FactSet::all(),
        }
    }

    fn greet(&mut self, stage: &mut Stage<'_>) {
        stage.reply(Reply::new(220, stage.world.settings.banner.clone()));
    }

    /// Everything that can happen to a session comes through here.
    pub fn handle(&mut self, input: Input, stage: &mut Stage<'_>) {
        match input {
            Input::Hello => self.greet(stage),
            Input::Line(line) => self.line(&line, stage),
            Input::NotFtp => self.foreign(stage),
            Input::TooLong => {
                self.forget_rename(Verb::Site);
                stage.say(500, "Line too long.");
            }
            Input::Endless => {
                stage.say(500, "Line too long.");
                self.leave(421, "Too many long lines, closing.", stage);
            }
            Input::Interrupt => self.interrupt(stage),
            Input::Inquire => stage.order(Order::Inquire),
            Input::Report(report) => self.report(report, stage),
            Input::Verdict(verdict) => self.verdict(verdict, stage),
            Input::Secured(certificate) => self.secured(certificate, stage),
            Input::Bared => self.bared(),
            Input::Expired => self.expired(stage),
            Input::Dripping => self.leave(421, "Command line takes too long, closing.", stage),
            Input::Banned => self.banned(stage),
            Input::Drain => self.drain(stage),
            Input::Stop => self.stop(stage),
        }
    }

    /// The state, for those who decide what to read next.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// How long the present state may last without anything happening.
    pub fn patience(&self, world: &World) -> Patience {
        let limits = &world.settings.limits;
        match &self.state {
            State::Switching | State::Stranger | State::Named { .. } => Patience::Login(limits.login),
            State::Penalised => Patience::Penalty(self.penalty(limits.login_delay)),
            State::Member(member) => match &member.work {
                Work::Idle | Work::Renaming { .. } => Patience::Idle(self.idle_limit(world)),
                Work::Computing(asked) if asked.wants_remarks() => Patience::Remark(SIGN_OF_LIFE),
                _ => Patience::Endless,
            },
            State::Checking { .. } | State::Leaving => Patience::Endless,
        }
    }

    /// The address of the peer.
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The server's address on this connection.
    pub const fn local(&self) -> IpAddr {
        self.local
    }

    /// Who is logged in, for log lines.
    pub fn user(&self) -> Option<&str> {
        match &self.state {
            State::Member(member) => Some(&member.realm().name),
            _ => None,
        }
    }

    /// The one place that changes the state; the log at level trace is the path through the diagram.
    fn enter(&mut self, next: State) {
        log::trace!("{}: {} -> {next}", self.peer, self.state);
        self.state = next;
    }

    /// Changes what a member is doing, whatever it was doing before; returns that.
    fn work(&mut self, next: Work) -> Option<Work> {
        let mut before = None;
        self.step(|work| {
            before = Some(work);
            next
        });
        before
    }

    /// The one place that changes what a member is doing. The arrow may depend on where it begins, and may be none.
    fn step(&mut self, arrow: impl FnOnce(Work) -> Work) {
        let State::Member(member) = &mut self.state else { return };
        let before = member.work.name();
        member.work = arrow(std::mem::replace(&mut member.work, Work::Idle));
        let after = member.work.name();
        if before != after {
            log::trace!("{}: {before} -> {after}", self.peer);
        }
    }

    fn expired(&mut self, stage: &mut Stage<'_>) {
        match &self.state {
            State::Penalised => self.penalty_over(stage),
            State::Stranger | State::Named { .. } => self.leave(421, "Login timeout, closing.", stage),
            State::Member(Member { work: Work::Computing(_), .. }) => self.remark(stage),
            State::Member(_) => self.leave(421, "Idle timeout, closing.", stage),
            State::Switching | State::Checking { .. } | State::Leaving => {}
        }
    }

    /// The last words: nothing is read after them.
    fn leave(&mut self, code: u16, text: &'static str, stage: &mut Stage<'_>) {
        // Within a reply that has begun a client takes 421 for text and waits on.
        if let Some(Member { work: Work::Computing(asked), .. }) = self.member()
            && asked.begun
        {
            stage.reply(asked.failed(Reply::new(code, text)));
        }
        stage.say(code, text);
        stage.order(Order::Forget);
        stage.out.push(Output::HangUp);
        self.enter(State::Leaving);
    }

    fn drain(&mut self, stage: &mut Stage<'_>) {
        match &self.state {
            State::Member(Member { work: Work::Transferring(_) | Work::Aborting(_), .. }) | State::Leaving => {}
            _ => self.leave(421, "Server is shutting down.", stage),
        }
    }

    fn stop(&mut self, stage: &mut Stage<'_>) {
        if self.state.transferring() {
            stage.say(426, "Server is shutting down; transfer aborted.");
        }
        if !matches!(self.state, State::Leaving) {
            self.leave(421, "Server is shutting down.", stage);
        }
    }

    fn member(&self) -> Option<&Member> {
        match &self.state {
            State::Member(member) => Some(member),
            _ => None,
        }
    }
}
