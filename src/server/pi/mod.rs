//! The Server-PI: one control dialogue as a state machine. No socket and no clock in here.
//!
//! Lines and reports come in by [`Session::handle`], replies and orders go out through [`Stage::out`]; who moves the
//! bytes is not this module's business. The diagram stands in [`state`].

mod about;
mod access;
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

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::codec::{Algorithm, Level};
use crate::server::world::World;
use crate::transfer::{Order, Protection};
use crate::wire::command::{self, Command, Malformed, Rule, Unknown, Verb};
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

/// Unknown verbs that a session may try: what a page in somebody's browser can say to this port, and what the oddest
/// client asks for before it settles.
const UNKNOWN_OF_STRANGERS: u8 = 20;
const UNKNOWN_OF_MEMBERS: u8 = 100;

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

    fn line(&mut self, line: &[u8], stage: &mut Stage<'_>) {
        match command::split(line) {
            Err(Unknown::Word) => self.unknown(stage),
            Err(Unknown::NotFtp) => self.foreign(stage),
            Ok((rule, argument)) => {
                let before = stage.out.len();
                self.ruled(rule, argument, stage);
                stage.out.iter().skip(before).for_each(|wish| self.tell_refusal(rule, argument, wish));
            }
        }
    }

    /// A refusal's line in the log: `info` when the system or a quota is the cause, which an administrator can mend;
    /// `debug` for names that are not there or not granted, with which a client could fill the log.
    fn tell_refusal(&self, rule: &Rule, argument: &[u8], wish: &Output) {
        let Output::Reply(reply) = wish else { return };
        if !matches!(reply.code, 450 | 452 | 550 | 552 | 553) {
            return;
        }
        let level = if reply.cause().is_some() { log::Level::Info } else { log::Level::Debug };
        let cause = reply
            .cause()
            .map(|cause| Cow::Borrowed(faults::words(cause)))
            .unwrap_or_else(|| String::from_utf8_lossy(reply.text()));
        let (who, peer) = (self.user().unwrap_or("-"), self.peer);
        log::log!(
            level,
            "{who}@{peer}: {} \"{}\" refused, {}: {cause}",
            rule.name,
            argument.escape_ascii(),
            reply.code
        );
    }

    /// The order of checks: known, login, sequence, syntax, and only then the command itself.
    fn ruled(&mut self, rule: &'static Rule, argument: &[u8], stage: &mut Stage<'_>) {
        if let State::Member(member) = &mut self.state {
            member.opening.hear(rule.verb);
        }
        if let Some(refusal) = self.gate(rule, argument, stage.world) {
            self.forget_rename(rule.verb);
            return match rule.verb {
                Verb::User => self.refuse_login(refusal, stage),
                _ => stage.reply(refusal),
            };
        }
        self.forget_rename(rule.verb);
        match command::parse(rule, argument) {
            Ok(command) => match self.unprotected(rule.verb, stage.world) {
                Some(refusal) => {
                    self.mark = None;
                    stage.reply(refusal);
                }
                None => self.run(command, argument, stage),
            },
            Err(malformed) => self.malformed(rule, malformed, stage),
        }
    }

    /// What a command uses up it uses up even when it is not understood.
    fn malformed(&mut self, rule: &Rule, malformed: Malformed, stage: &mut Stage<'_>) {
        if Self::uses_marker(rule.verb) || rule.verb == Verb::Rang {
            self.mark = None;
        }
        if rule.verb == Verb::Rnto {
            self.work(Work::Idle);
        }
        match (rule.verb, malformed.code) {
            (Verb::Epsv, 522) => stage.reply(self.wrong_family()),
            _ => stage.say(malformed.code, malformed.text),
        }
    }

    /// A browser was talked into speaking to this port: not one more line of it is looked at.
    fn foreign(&mut self, stage: &mut Stage<'_>) {
        log::warn!("{}: does not speak FTP, closed", self.peer);
        self.leave(421, "This is an FTP server.", stage);
    }

    /// Clients ask for a few verbs that are not there; who goes on speaks another protocol, or looks for holes.
    fn unknown(&mut self, stage: &mut Stage<'_>) {
        self.forget_rename(Verb::Site);
        let most = if self.member().is_some() { UNKNOWN_OF_MEMBERS } else { UNKNOWN_OF_STRANGERS };
        self.unknown = self.unknown.saturating_add(1);
        if self.unknown > most {
            log::warn!("{}: too many unknown commands, closed", self.peer);
            return self.leave(421, "Too many unknown commands, closing.", stage);
        }
        stage.say(500, "Unknown command.");
    }

    /// Any command but these forgets a half-done rename; RNTO itself uses it up.
    fn forget_rename(&mut self, verb: Verb) {
        if matches!(verb, Verb::Rnto | Verb::Noop | Verb::Stat | Verb::Abor) {
            return;
        }
        if matches!(self.state, State::Member(Member { work: Work::Renaming { .. }, .. })) {
            self.work(Work::Idle);
        }
    }

    fn run(&mut self, command: Command, argument: &[u8], stage: &mut Stage<'_>) {
        match command {
            Command::User(name) => self.user_named(name, stage),
            Command::Pass(password) => self.pass(password, stage),
            Command::Acct => self.acct(stage),
            Command::Cwd(path) => self.cwd(path, stage),
            Command::Cdup => self.cdup(stage),
            Command::Rein => self.rein(stage),
            Command::Quit => self.leave(221, "Goodbye.", stage),
            Command::Host(name) => self.host(&name.0, stage),
            Command::Type(code) => self.type_code(code, stage),
            Command::Stru => stage.say(200, "Structure set to F."),
            Command::Mode(code) => self.mode(code, stage),
            Command::Port(address) => self.active(Verb::Port, address, stage),
            Command::Eprt(address) => self.active(Verb::Eprt, address, stage),
            Command::Pasv => self.pasv(stage),
            Command::Epsv(word) => self.epsv(word, stage),
            Command::Pret => stage.say(200, "OK."),
            Command::Rest(offset) => self.rest(offset, stage),
            Command::Rang(first, last) => self.rang(first, last, stage),
            Command::Opts(word) => self.opts(word, stage),
            Command::Allo(bytes) => self.allo(bytes, stage),
            Command::Retr(path) => self.retr(&path, stage),
            Command::Stor(path) => self.stor(Verb::Stor, &path, stage),
            Command::Appe(path) => self.stor(Verb::Appe, &path, stage),
            Command::Stou(prefix) => self.stou(prefix.as_deref(), stage),
            Command::List(argument) => self.list(Verb::List, argument.as_deref(), stage),
            Command::Nlst(argument) => self.list(Verb::Nlst, argument.as_deref(), stage),
            Command::Mlsd(path) => self.mlsd(path.as_deref(), stage),
            Command::Abor => self.abor(stage),
            other => self.run_rest(other, argument, stage),
        }
    }

    fn run_rest(&mut self, command: Command, argument: &[u8], stage: &mut Stage<'_>) {
        match command {
            Command::Mlst(path) => self.mlst(path.as_deref(), stage),
            Command::Hash(path) => self.hash(&path, stage),
            Command::Digest(verb, argument) => self.x_digest(verb, &argument, stage),
            Command::Size(path) => self.size(&path, stage),
            Command::Mdtm(argument) => self.mdtm(&argument, stage),
            Command::Mfmt { time, path } => self.mfmt(&time, &path, stage),
            Command::Mff { facts, path } => self.mff(&facts, &path, stage),
            Command::Avbl(path) => self.avbl(path.as_deref(), stage),
            Command::Rnfr(path) => self.rnfr(&path, stage),
            Command::Rnto(path) => self.rnto(&path, stage),
            Command::Dele(path) => self.dele(&path, stage),
            Command::Rmd(path) => self.rmd(&path, stage),
            Command::Mkd(path) => self.mkd(&path, stage),
            Command::Pwd => self.pwd(stage),
            Command::Site(word) => self.site(word, stage),
            Command::Syst => stage.say(215, "UNIX Type: L8"),
            Command::Stat(argument) => self.stat(argument.as_deref(), stage),
            Command::Help(word) => Self::help(word.as_deref(), stage),
            Command::Noop => stage.say(200, "NOOP ok."),
            Command::Feat => self.feat(stage),
            Command::Lang(tag) => Self::lang(tag.as_deref(), stage),
            Command::Auth(mechanism) => self.auth(&mechanism, stage),
            Command::Pbsz(_) => self.pbsz(stage),
            Command::Prot(level) => self.prot(level, stage),
            Command::Ccc => self.ccc(stage),
            Command::Clnt(text) => self.clnt(&text, stage),
            Command::Csid(_) => Self::csid(stage),
            other => {
                log::error!("{}: {other:?} passed the gate but nobody runs it ({argument:?})", self.peer);
                stage.say(502, "Command not implemented.");
            }
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
