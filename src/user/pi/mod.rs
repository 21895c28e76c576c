//! The User-PI: one control dialogue as a state machine, the mirror image of the Server-PI. No socket and no clock
//! in here.
//!
//! Replies, news and wishes come in by [`Session::handle`], commands, orders and answers go out through
//! [`Stage::out`]. The diagram stands in [`state`]. Wishes wait in an agenda until the dialogue is ready for them:
//! that is where commands are sent ahead of their replies, and where it is decided when they must not be.

mod doubt;
mod end;
mod login;
mod patience;
pub mod state;
#[cfg(test)]
mod tests;
mod transfer;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::mail::{Answer, Death, Failure, News, Order, Outcome, Protection, Ticket, Wish};
use super::profile::Profile;
use super::text::{Shown, sendable};
use crate::wire::address;
use crate::wire::reply::{Overlong, Reply};

use state::{Channel, Meant, Owed, Running, State, Word};

pub use login::Login;
pub use patience::Patience;
use patience::{PATIENCE_FOR_1YZ, PATIENCE_FOR_ABORT, PATIENCE_WITH_THE_CUT, PATIENCE_WITH_THE_EMPTY};

/// Commands that may be out without a reply. Servers hold a few dozen lines at least; more would only make their
/// buffers the judge.
const AHEAD: usize = 16;

/// Replies nobody asked for that a session survives.
const STRAYS: usize = 64;

/// An idle session says NOOP this often, so that neither server nor firewall forgets it.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// And so many times; then it may be forgotten.
const KEEPALIVES: usize = 60;

/// What happens to a session.
#[derive(Debug)]
pub enum Input {
    /// A complete reply.
    Reply(Reply),
    /// The server's reply passed a limit.
    Overlong(Overlong),
    /// The user wants something.
    Wish(Ticket, Wish),
    /// The user does not want it any more: stop the transfers.
    Abort,
    /// The control connection is in TLS.
    Secured,
    /// The DTP's news.
    News(Ticket, News),
    /// The time that [`Session::patience`] allowed is over.
    Expired,
    /// The connection is no more.
    Gone(Death),
}

/// What a session wants done, in order.
#[derive(Debug)]
pub enum Output {
    /// To the server: a line without its end.
    Command(Vec<u8>),
    /// To the server: ABOR with the Telnet signal that RFC 959 puts before it.
    Interrupt,
    /// Take the control connection over to TLS; [`Input::Secured`] answers.
    StartTls,
    /// The control connection is in TLS.
    Covered,
    /// The server has no TLS, and the session goes on without.
    InTheClear,
    /// To the DTP.
    Order(Ticket, Order),
    /// To whoever wished.
    Answer(Ticket, Answer),
    /// The connection is there (said by the control record): wishes may be told.
    Connected,
    /// It is gone again before a word was said, and another address is tried.
    Redialling,
    /// The login is through.
    Ready,
    /// A reply, for those who show the dialogue.
    Heard(Reply),
    /// Close the connection; what is said about it.
    HangUp(Death),
}

/// What a session sees of its surroundings while it handles something.
#[derive(Debug)]
pub struct Stage<'a> {
    /// What is known about the host.
    pub profile: &'a mut Profile,
    /// What is to be done.
    pub out: &'a mut Vec<Output>,
}

/// How the session is to behave.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// How long to wait for a reply.
    pub timeout: Duration,
    /// Data connections are made by the server if it can be helped.
    pub active: bool,
    /// TLS.
    pub protection: Protection,
    /// How it appears.
    pub guise: Guise,
}

/// How a session appears to the server: what only a load tester wants otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guise {
    /// The address that its connections come from; the system's choice otherwise.
    pub source: Option<IpAddr>,
    /// It logs in and says no more: no FEAT, no OPTS, and TYPE only when a transfer wants it.
    pub terse: bool,
}

/// One control dialogue.
#[derive(Debug)]
pub struct Session {
    state: State,
    login: Login,
    manners: Manners,
    peer: SocketAddr,
    local: IpAddr,
    owed: VecDeque<Owed>,
    /// How many of them, at the back, are owed for commands that have not left yet: nothing that comes can answer those.
    unsent: usize,
    agenda: VecDeque<(Ticket, Wish)>,
    transfers: VecDeque<Running>,
    /// TYPE as the server has it: `Some(true)` for A.
    text: Option<bool>,
    /// A restart marker was sent: some servers keep it for every transfer that follows, so it is taken back.
    marked: bool,
    /// What is said before the next transfer, since the user may have said otherwise.
    doubts: Vec<&'static [u8]>,
    strays: usize,
    /// Replies that took the dialogue further: those that were waited for.
    heeded: usize,
    /// A transfer has ended and nothing has been answered since: a further 226 is its echo.
    echoing: bool,
    keepalives: usize,
    /// The control connection is in TLS, so data connections have to be.
    secured: bool,
}

impl Session {
    /// A dialogue over a connection that was just made.
    pub const fn new(login: Login, manners: Manners, peer: SocketAddr, local: IpAddr) -> Self {
        Self {
            state: State::Greeting,
            login,
            manners,
            peer,
            local,
            owed: VecDeque::new(),
            unsent: 0,
            agenda: VecDeque::new(),
            transfers: VecDeque::new(),
            text: None,
            marked: false,
            doubts: Vec::new(),
            strays: 0,
            heeded: 0,
            echoing: false,
            keepalives: 0,
            secured: false,
        }
    }

    /// Everything that can happen to a session comes through here.
    pub fn handle(&mut self, input: Input, stage: &mut Stage<'_>) {
        match input {
            Input::Reply(reply) => self.reply(reply, stage),
            Input::Overlong(overlong) => self.die(Death::Garbage(overlong), stage),
            Input::Wish(ticket, wish) => self.wish(ticket, wish, stage),
            Input::Abort => self.abort(stage),
            Input::News(ticket, news) => self.news(ticket, news, stage),
            Input::Secured => self.secured(stage),
            Input::Expired => self.expired(stage),
            Input::Gone(death) => self.left(death, stage),
        }
        self.proceed(stage);
    }

    /// What was said has left.
    pub const fn flushed(&mut self) {
        self.unsent = 0;
    }

    /// Whether something was said that has not left yet.
    pub const fn speaks(&self) -> bool {
        self.unsent > 0
    }

    /// How many replies took the dialogue further. One that did not is no reason to wait any longer.
    pub const fn heeded(&self) -> usize {
        self.heeded
    }

    /// How long a reply may take.
    pub const fn timeout(&self) -> Duration {
        self.manners.timeout
    }

    /// The state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// What it was begun with, to begin anew at another address.
    pub fn terms(&self) -> (Login, Manners) {
        (self.login.clone(), self.manners)
    }

    /// How it appears.
    pub const fn guise(&self) -> Guise {
        self.manners.guise
    }

    /// The server's address.
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our own address on the control connection.
    pub const fn local(&self) -> IpAddr {
        self.local
    }

    /// Whether nothing is wished, owed or under way.
    pub fn idle(&self) -> bool {
        self.state == State::Member && self.owed.is_empty() && self.agenda.is_empty() && self.transfers.is_empty()
    }

    /// How long the present state may last, counted from the last command or reply that was waited for. `None`:
    /// something else keeps the time.
    pub fn patience(&self) -> Option<Patience> {
        match self.state {
            State::Dead | State::Deserted => None,
            State::Leaving => Some(self.brief(PATIENCE_WITH_THE_CUT)),
            State::Member if self.idle() => Some(Patience::short(KEEPALIVE)),
            State::Member => self.patience_at_work(),
            _ => Some(Patience::ordinary(self.manners.timeout)),
        }
    }

    /// While a data connection is being made or moves bytes, its own record keeps the time.
    fn patience_at_work(&self) -> Option<Patience> {
        let timeout = self.manners.timeout;
        let Some(front) = self.transfers.front() else {
            let reads = matches!(self.owed.front(), Some(Owed::Ask(_, Meant::Digest)));
            return Some(if reads { Patience::digest(timeout) } else { Patience::ordinary(timeout) });
        };
        if front.aborted {
            return Some(self.brief(PATIENCE_FOR_ABORT));
        }
        match (&front.channel, &front.word) {
            (Channel::Up, Word::Sent) if !front.incoming() => Some(self.brief(PATIENCE_FOR_1YZ)),
            (Channel::Up, Word::Unsent) => Some(Patience::ordinary(timeout)),
            (Channel::Up, _) if front.is_done_unbegun() => {
                Some(Patience::short(PATIENCE_WITH_THE_EMPTY.min(self.manners.timeout / 2)))
            }
            (Channel::Up | Channel::Coming(_), _) => None,
            _ if front.has_enough() || front.is_spoilt() => Some(self.brief(PATIENCE_WITH_THE_CUT)),
            _ => Some(Patience::ordinary(timeout)),
        }
    }

    fn brief(&self, span: Duration) -> Patience {
        Patience::short(self.manners.timeout.min(span))
    }

    /// The one place that changes the state.
    fn enter(&mut self, next: State) {
        log::trace!("{}: {:?} -> {next:?}", self.peer, self.state);
        self.state = next;
    }

    fn wish(&mut self, ticket: Ticket, wish: Wish, stage: &mut Stage<'_>) {
        if matches!(self.state, State::Dead | State::Leaving | State::Deserted) {
            return stage.out.push(Output::Answer(ticket, Answer::Dead(Death::Abandoned)));
        }
        let words: &[u8] = match &wish {
            Wish::Ask { line, .. } => line,
            Wish::Transfer(transfer) => &transfer.argument,
            Wish::Quit => &[],
        };
        if sendable(words) {
            self.agenda.push_back((ticket, wish));
            return;
        }
        let answer = match wish {
            Wish::Transfer(transfer) => Answer::Moved(Box::new(Outcome {
                pump: Some(transfer.pump),
                moved: 0,
                announced: None,
                elapsed: Duration::ZERO,
                result: Err(Failure::Unsendable),
            })),
            _ => Answer::Reply(Reply::new(553, "a line break in a name cannot be sent")),
        };
        stage.out.push(Output::Answer(ticket, answer));
    }

    /// Begins whatever of the agenda may begin now.
    fn proceed(&mut self, stage: &mut Stage<'_>) {
        if self.state == State::Deserted && !self.awaits_only_data() {
            return self.die(Death::Closed, stage);
        }
        while let Some((_, wish)) = self.agenda.front() {
            if !self.may_begin(wish, stage.profile) {
                return;
            }
            let Some((ticket, wish)) = self.agenda.pop_front() else { return };
            match wish {
                Wish::Ask { line, alone } => {
                    if alone {
                        self.doubt(&line);
                    }
                    let meant = Meant::of(&line);
                    self.command(line, Owed::Ask(ticket, meant), stage);
                }
                Wish::Transfer(transfer) => self.begin(ticket, *transfer, stage),
                Wish::Quit => {
                    self.command(b"QUIT".to_vec(), Owed::Quit, stage);
                    self.enter(State::Leaving);
                }
            }
        }
    }

    fn may_begin(&self, wish: &Wish, profile: &Profile) -> bool {
        if self.state != State::Member {
            return false;
        }
        let free = self.owed.is_empty() && self.transfers.is_empty();
        let ahead = profile.pipelines() && self.owed.len() < AHEAD;
        let behind = self.transfers.is_empty() || (profile.queues() && self.transfers.iter().all(Running::is_sent));
        match wish {
            Wish::Quit => free,
            Wish::Ask { alone: true, .. } => free,
            Wish::Ask { .. } => free || (ahead && behind),
            Wish::Transfer(transfer) => {
                let plain = self.text == Some(transfer.text) && transfer.restart == 0;
                let second = self.transfers.len() == 1 && plain && self.sends_together(transfer.only, profile);
                free || (ahead && (self.transfers.is_empty() || (behind && second)))
            }
        }
    }

    fn command(&mut self, line: Vec<u8>, owed: Owed, stage: &mut Stage<'_>) {
        self.owe(owed);
        stage.out.push(Output::Command(line));
    }

    fn owe(&mut self, owed: Owed) {
        self.owed.push_back(owed);
        self.unsent += 1;
    }

    fn reply(&mut self, reply: Reply, stage: &mut Stage<'_>) {
        stage.out.push(Output::Heard(reply.clone()));
        if self.state == State::Dead {
            return;
        }
        if reply.code == 421 {
            return self.dismissed(reply, stage);
        }
        if self.state == State::Greeting {
            return self.greeted(reply, stage);
        }
        if self.state == State::Securing {
            let text = "the server goes on in the clear after AUTH, or somebody in between does".into();
            return self.die(Death::Insecure(text), stage);
        }
        if self.owed.len() <= self.unsent {
            return self.stray(&reply, stage);
        }
        if reply.code < 200 {
            return self.preliminary(&reply, stage);
        }
        if self.is_out_of_step(&reply) {
            return self.die(Death::OutOfStep(reply), stage);
        }
        match self.owed.front().copied() {
            Some(owed) if self.fits(owed, &reply) => {
                self.owed.pop_front();
                self.heeded += 1;
                self.echoing = matches!(owed, Owed::Verb(_) | Owed::Abort);
                self.answered(owed, reply, stage);
            }
            _ => self.stray(&reply, stage),
        }
    }

    /// No transfer ends in "unknown command" or "bad sequence" after its 1yz: that is said by servers that throw away
    /// what comes behind a transfer. How many lines are gone is not known, so the dialogue cannot go on.
    fn is_out_of_step(&self, reply: &Reply) -> bool {
        let ahead = self.owed.len() > 1 && matches!(self.owed.front(), Some(Owed::Verb(_)));
        let opened = self.transfers.front().is_some_and(|front| front.preliminaries > 0 && !front.aborted);
        ahead && opened && matches!(reply.code, 500..=503)
    }

    fn answered(&mut self, owed: Owed, reply: Reply, stage: &mut Stage<'_>) {
        match owed {
            Owed::Login => self.login_step(reply, stage),
            Owed::Courtesy | Owed::Abort => {}
            Owed::Type(text, ticket) => self.typed(text, ticket, reply, stage),
            Owed::Ask(ticket, _) => stage.out.push(Output::Answer(ticket, Answer::Reply(reply))),
            Owed::Pret(ticket) => self.after_pret(ticket, stage),
            Owed::Doubt(ticket) => self.prepare(ticket, stage),
            Owed::Way(ticket, way) => self.way_answered(ticket, way, &reply, stage),
            Owed::Rest(ticket, restart) => self.rest_answered(ticket, restart, reply, stage),
            Owed::Verb(ticket) => self.verb_answered(ticket, reply, stage),
            Owed::Quit => self.die(Death::Left, stage),
        }
    }

    /// Whether a final reply can be the answer to what is owed. The first digit is what counts (RFC 959 4.2), so only
    /// replies are left out that certainly belong elsewhere, or do not hold what the answer must hold.
    fn fits(&self, owed: Owed, reply: &Reply) -> bool {
        let code = reply.code;
        match owed {
            Owed::Way(_, way) if way.passive() => code >= 300 || matches!(code, 227..=229) || port_in(reply).is_some(),
            // Nothing in a 2yz tells that REST was meant, unless it says so or this server never said more than it was
            // asked for.
            Owed::Rest(..) => code >= 300 || names_restart(reply) || (self.strays == 0 && !self.is_echo(reply)),
            // Who is terse asks one thing at a time, and judges by itself what the answer is worth.
            Owed::Ask(_, meant) => {
                !self.is_echo(reply) && (code >= 400 || self.manners.guise.terse || meant.fits(reply))
            }
            Owed::Way(..) | Owed::Pret(_) | Owed::Doubt(_) | Owed::Courtesy | Owed::Login => !self.is_echo(reply),
            Owed::Type(..) | Owed::Verb(_) | Owed::Abort | Owed::Quit => true,
        }
    }

    /// Whether a reply is the second one to a transfer rather than an odd one to a command.
    fn is_echo(&self, reply: &Reply) -> bool {
        reply.code == 426 || (ends_transfers(reply.code) && self.echoing && !names_deed(reply))
    }

    /// A reply that fits nothing we said: some servers send 226 twice, or an extra 200. Taking it for the answer to
    /// the next command would shift all that follow, so it is dropped.
    fn stray(&mut self, reply: &Reply, stage: &mut Stage<'_>) {
        log::debug!("{}: unasked {} {}", self.peer, reply.code, Shown(reply.text()));
        self.strays += 1;
        // Who says more than was asked for is not asked several things at once. A second 226 fits nothing but itself.
        if !ends_transfers(reply.code) {
            stage.profile.slow_down(false);
        }
        if self.strays > STRAYS {
            self.die(Death::Garbage(Overlong::Reply), stage);
        }
    }
}

const fn ends_transfers(code: u16) -> bool {
    matches!(code, 225 | 226 | 426)
}

/// Whether a positive reply speaks of what no transfer does.
fn names_deed(reply: &Reply) -> bool {
    holds_word(reply, &["delet", "remov", "renam", "chang", "creat"])
}

fn names_restart(reply: &Reply) -> bool {
    holds_word(reply, &["restart", "marker"])
}

fn holds_word(reply: &Reply, words: &[&str]) -> bool {
    let text = String::from_utf8_lossy(reply.text()).to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// The port in a 227 or 229, or in another 2yz that writes it as those do, on whichever line it stands. The address is
/// not looked at: the data connection goes to the host that we talk to, so that no server can send us elsewhere.
fn port_in(reply: &Reply) -> Option<u16> {
    let classic = |text: &[u8]| address::parse_pasv_text(text).map(|address| address.port());
    let texts = || reply.texts();
    let bracketed = || reply.texts().filter(|text| text.contains(&b'('));
    match reply.code {
        227 => texts().find_map(classic).or_else(|| texts().find_map(address::parse_epsv_text)),
        229 => texts().find_map(address::parse_epsv_text).or_else(|| texts().find_map(classic)),
        // LPSV's, which nobody asked for.
        228 => None,
        200..=299 => bracketed().find_map(address::parse_epsv_text).or_else(|| bracketed().find_map(classic)),
        _ => None,
    }
}
