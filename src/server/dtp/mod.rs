//! The Server-DTP: everything between a promised port and the last byte of a transfer, as one state a record.
//!
//! ```text
//!  PASV, EPSV                 RETR … (150)
//!  ──────────▶ Promised ───────────────────────▶ Expecting ──── 30 s ───▶ 425
//!  (for curl: Announcing before it, 1 ms)
//!                 │ connected                        │ connected
//!                 ▼           RETR … (150)           ▼       FIN sent, 226
//!              Arrived ─────────────────────────▶ Running ─────────────────▶ Lingering ──▶ closed
//!                 │ 60 s unused                      ▲  │ └──▶ Settling ────────▲ 226 (for aria2)
//!                 ▼                                  │  │ lost, stalled, ABOR: reset
//!               closed            PORT, RETR … ──▶ Dialling ── 30 s, refused ───▶ 425
//! ```
//!
//! With PROT P, `Securing` stands before `Running` on each of the three ways there: the handshake follows the 150. When it
//! fails, takes 30 s or does not resume what it must, the answer is 522.
//!
//! The record belongs to the session that asked for it until the final report; from then on (Lingering) it belongs to
//! nobody and only waits for the peer to close, so that a reset cannot swallow the end of the file.

mod cloak;
mod ending;
mod pool;
mod port;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;

use crate::reactor::{Handshake, Key, Link, Moment, Moved, Next, Ready, Sockets, reset};
use crate::server::settings::Reuse;
use crate::transfer::{Fault, Flow, Job, Notice, Report, Scratch, Share, Step};

#[cfg(feature = "tls")]
pub use cloak::Voucher;
pub use cloak::{Cloak, Errand, Terms};
pub use pool::{Offer, Pool};
pub use port::PoolPort;

/// Input that a peer may send on a download before it counts as noise: some clients send a byte or two.
const NOISE_LIMIT: usize = 64 * 1024;

/// How long the good news waits for the peer's close at the most, where it waits at all: enough for two replies not to
/// be read as one.
const SETTLE: Duration = Duration::from_millis(10);

/// How long a client that shall not hear of its port at once waits for that. curl (7.8 to 8.x) sleeps for a whole second
/// when the answer to the EPSV of a second transfer is there before it has looked for the first time, which is some
/// 100 µs after asking; servers far away never noticed.
const ANNOUNCE: Duration = Duration::from_millis(1);

/// When to look whether a peer has closed after our FIN: by then it nearly always has, and the poller need not be told
/// of the socket. That would be a system call and a spurious event for each small file.
const GLANCE: Duration = Duration::from_millis(10);

/// What a DTP may wait for, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// A promise without a verb.
    pub unused: Duration,
    /// A connection that was begun for a verb.
    pub connect: Duration,
    /// A handshake of TLS.
    pub handshake: Duration,
    /// A transfer without progress.
    pub stall: Duration,
    /// The peer's close after ours.
    pub linger: Duration,
}

/// One data connection, from promise to close.
#[derive(Debug)]
pub struct Data {
    /// The session it works for.
    pub owner: Key,
    peer: IpAddr,
    /// The session, as the log names it, once TLS is up: it alone has anything to tell.
    who: Box<str>,
    dtp: Dtp,
    /// Since when the present state, or the last progress, counts.
    since: Moment,
    /// When the job began to run.
    began: Moment,
    /// Until when the job is parked: for its disk, or for its rate.
    wake: Option<Moment>,
    noise: usize,
}

#[derive(Debug)]
enum Dtp {
    /// The port is found; the peer will be told in a moment ([`Notice::InAMoment`]).
    Announcing(SocketAddr),
    /// The peer was told to connect to this address of ours.
    Promised(SocketAddr),
    /// It did; no verb yet.
    Arrived(Link),
    /// 150 is out; nobody has connected yet.
    Expecting(SocketAddr, Box<Errand>),
    /// 150 is out; we connect.
    Dialling(Link, Box<Errand>),
    /// The connection is there; TLS comes before the bytes (RFC 4217: the handshake follows the 150).
    Securing(Link, Box<Job>, Terms),
    /// Bytes flow.
    Running(Link, Box<Job>),
    /// Our FIN is out; the session is told when the peer's is in or a moment has passed ([`crate::transfer::Farewell::AfterPeer`]).
    Settling(Link, u64),
    /// Our FIN is out, the session knows the result.
    Lingering(Link),
    /// Nothing is left but the record.
    Over,
}

/// What a turn of a DTP needs from outside.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Readiness of the record.
    pub ready: &'a mut Ready,
    /// Registration under the record's key.
    pub sockets: Sockets<'a>,
    /// The pass's time.
    pub now: Moment,
    /// The loop's buffers.
    pub scratch: &'a mut Scratch,
    /// How long to wait for what.
    pub waits: Waits,
}

/// What a turn came to.
#[derive(Debug)]
pub struct Outcome {
    /// What the reactor should do with the record.
    pub next: Next,
    /// What the session must know.
    pub report: Option<Report>,
}

impl Outcome {
    const fn of(next: Next) -> Self {
        Self { next, report: None }
    }
}

impl Data {
    /// A record for a peer that is about to be promised a port.
    pub fn new(owner: Key, peer: IpAddr, now: Moment) -> Self {
        Self { owner, peer, who: Box::default(), dtp: Dtp::Over, since: now, began: now, wake: None, noise: 0 }
    }

    /// The peer is told to connect to this address, now or in a moment.
    pub fn promise_at(&mut self, address: SocketAddr, notice: Notice) {
        self.dtp = match notice {
            Notice::AtOnce => Dtp::Promised(address),
            Notice::InAMoment => Dtp::Announcing(address),
        };
    }

    /// A record that connects to the peer, with a job to do once it is there.
    pub fn dialling(owner: Key, stream: TcpStream, peer: IpAddr, errand: Errand, now: Moment) -> Self {
        let dtp = Dtp::Dialling(Link::new(stream), Box::new(errand));
        Self { owner, peer, who: Box::default(), dtp, since: now, began: now, wake: None, noise: 0 }
    }

    /// Whose connection is awaited where; the pool is told when the record goes.
    pub const fn promise(&self) -> Option<(IpAddr, SocketAddr)> {
        match self.dtp {
            Dtp::Announcing(address) | Dtp::Promised(address) | Dtp::Expecting(address, _) => {
                Some((self.peer, address))
            }
            _ => None,
        }
    }

    /// The connection that was promised has come.
    pub fn connected(&mut self, stream: TcpStream, now: Moment) {
        self.since = now;
        self.began = now;
        self.dtp = match std::mem::replace(&mut self.dtp, Dtp::Over) {
            Dtp::Promised(_) => Dtp::Arrived(Link::new(stream)),
            Dtp::Expecting(_, errand) => Dtp::on(Link::new(stream), *errand),
            other => {
                reset(&stream);
                other
            }
        };
    }

    /// The session's verb has come.
    pub fn begin(&mut self, errand: Errand, now: Moment) {
        self.since = now;
        self.began = now;
        self.dtp = match std::mem::replace(&mut self.dtp, Dtp::Over) {
            Dtp::Promised(address) => Dtp::Expecting(address, Box::new(errand)),
            Dtp::Arrived(link) => Dtp::on(link, errand),
            other => other,
        };
    }

    /// How far the job is: bytes moved and bytes there will be.
    pub fn progress(&self) -> (u64, Option<u64>) {
        match &self.dtp {
            Dtp::Running(link, job) => (moved(link, job), job.total),
            Dtp::Securing(_, job, _) => (0, job.total),
            Dtp::Expecting(_, errand) | Dtp::Dialling(_, errand) => (0, errand.job.total),
            _ => (0, None),
        }
    }

    /// Ends whatever it is doing, so that the peer cannot take it for an orderly end.
    pub fn abort(&mut self, now: Moment) -> Option<Report> {
        match std::mem::replace(&mut self.dtp, Dtp::Over) {
            Dtp::Running(link, job) => {
                let report = self.done(plain(&link, &job), now, Err(Fault::Aborted));
                link.reset();
                Some(report)
            }
            Dtp::Expecting(..) | Dtp::Dialling(..) | Dtp::Securing(..) => Some(self.done(0, now, Err(Fault::Aborted))),
            Dtp::Settling(_, moved) => Some(self.done(moved, now, Ok(()))),
            Dtp::Arrived(link) => {
                link.reset();
                None
            }
            _ => None,
        }
    }

    /// When to look again at the latest.
    pub fn deadline(&self, waits: &Waits) -> Option<Moment> {
        let span = match &self.dtp {
            Dtp::Announcing(_) => ANNOUNCE,
            Dtp::Promised(_) | Dtp::Arrived(_) => waits.unused,
            Dtp::Expecting(..) | Dtp::Dialling(..) => waits.connect,
            Dtp::Securing(..) => waits.handshake,
            Dtp::Running(..) => waits.stall,
            Dtp::Settling(..) => SETTLE,
            // Until the first look finds the peer still there.
            Dtp::Lingering(link) if !link.registered() => GLANCE.min(waits.linger),
            Dtp::Lingering(_) => waits.linger,
            Dtp::Over => return None,
        };
        let last = self.since.after(span);
        Some(self.wake.map_or(last, |wake| wake.min(last)))
    }

    /// One bounded turn.
    pub fn advance(&mut self, turn: &mut Turn<'_>) -> Outcome {
        // Woken or not: who runs is no longer parked, and parks again if need be.
        let parked = self.wake.take().is_some();
        let expired = turn.ready.take(Ready::EXPIRED) && !parked;
        if expired && self.deadline(&turn.waits).is_some_and(|when| when <= turn.now) {
            return self.expired(turn);
        }
        match std::mem::replace(&mut self.dtp, Dtp::Over) {
            Dtp::Running(link, job) => self.run(link, job, turn),
            Dtp::Dialling(link, errand) => self.dial(link, errand, turn),
            Dtp::Securing(link, job, terms) => self.secure(link, job, terms, turn),
            Dtp::Lingering(link) => self.linger(link, turn),
            Dtp::Settling(link, moved) => self.settle(link, moved, turn),
            Dtp::Over => Outcome::of(Next::Close),
            waiting => {
                self.dtp = waiting;
                Outcome::of(Next::Sleep)
            }
        }
    }

    fn expired(&mut self, turn: &mut Turn<'_>) -> Outcome {
        let now = turn.now;
        let report = match std::mem::replace(&mut self.dtp, Dtp::Over) {
            Dtp::Announcing(address) => {
                self.since = now;
                self.dtp = Dtp::Promised(address);
                return Outcome { next: Next::Sleep, report: Some(Report::Promised(address)) };
            }
            Dtp::Promised(_) | Dtp::Arrived(_) => Some(Report::Lapsed),
            Dtp::Expecting(..) | Dtp::Dialling(..) => Some(self.done(0, now, Err(Fault::NeverConnected))),
            Dtp::Securing(link, _, terms) => {
                log::warn!("{}: no TLS on the data connection of {} in time", terms.who, self.caller(&link));
                Some(self.done(0, now, Err(Fault::Insecure)))
            }
            Dtp::Running(link, job) => {
                let report = self.done(plain(&link, &job), now, Err(Fault::Stalled));
                link.reset();
                Some(report)
            }
            Dtp::Settling(link, moved) => {
                self.since = now;
                self.dtp = Dtp::Lingering(link);
                return Outcome { next: Next::Sleep, report: Some(self.done(moved, now, Ok(()))) };
            }
            Dtp::Lingering(link) if !link.registered() => {
                turn.ready.set(Ready::READ);
                return self.linger(link, turn);
            }
            Dtp::Lingering(_) | Dtp::Over => None,
        };
        Outcome { next: Next::Close, report }
    }

    /// The connection is there.
    fn go(&mut self, link: Link, errand: Errand, turn: &mut Turn<'_>) -> Outcome {
        match Dtp::on(link, errand) {
            Dtp::Securing(link, job, terms) => self.secure(link, job, terms, turn),
            Dtp::Running(link, job) => self.run(link, job, turn),
            other => {
                self.dtp = other;
                Outcome::of(Next::Sleep)
            }
        }
    }

    fn secure(&mut self, mut link: Link, job: Box<Job>, terms: Terms, turn: &mut Turn<'_>) -> Outcome {
        match link.handshake(turn.ready, turn.sockets) {
            Ok(Handshake::Going) => {
                self.dtp = Dtp::Securing(link, job, terms);
                Outcome::of(if turn.ready.has(Ready::READ) { Next::Yield } else { Next::Sleep })
            }
            Ok(Handshake::Done) => {
                let proven = terms.judge(&link);
                self.who = terms.who;
                if terms.reuse == Reuse::Require && !proven {
                    let caller = self.caller(&link);
                    log::warn!("{}: the TLS of {caller} is not the control connection's", self.who);
                    self.sign_off(&mut link, turn);
                    return Outcome { next: Next::Close, report: Some(self.done(0, turn.now, Err(Fault::Unproven))) };
                }
                if terms.reuse == Reuse::Log && !proven {
                    let level = terms.voucher.notice();
                    log::log!(
                        level,
                        "{}: a data connection that does not resume the control connection's TLS",
                        self.who
                    );
                }
                self.since = turn.now;
                self.began = turn.now;
                self.run(link, job, turn)
            }
            Err(error) => {
                log::warn!("{}: no TLS on the data connection of {}: {error}", terms.who, self.caller(&link));
                Outcome { next: Next::Close, report: Some(self.done(0, turn.now, Err(Fault::Insecure))) }
            }
        }
    }

    fn dial(&mut self, mut link: Link, errand: Box<Errand>, turn: &mut Turn<'_>) -> Outcome {
        if let Err(error) = link.register(turn.sockets) {
            log::warn!("cannot watch a data connection: {error}");
            return self.never(turn.now);
        }
        if !turn.ready.has(Ready::WRITE) {
            self.dtp = Dtp::Dialling(link, errand);
            return Outcome::of(Next::Sleep);
        }
        match link.socket().take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => {
                log::debug!("data connection to {} failed: {error}", self.peer);
                return self.never(turn.now);
            }
        }
        match link.socket().peer_addr() {
            Ok(_) => {
                self.since = turn.now;
                self.began = turn.now;
                turn.ready.set(Ready::READ);
                self.go(link, *errand, turn)
            }
            // Not there yet: the first event of a socket may come before its connection.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                turn.ready.clear(Ready::WRITE);
                self.dtp = Dtp::Dialling(link, errand);
                Outcome::of(Next::Sleep)
            }
            Err(_) => self.never(turn.now),
        }
    }

    fn never(&self, now: Moment) -> Outcome {
        Outcome { next: Next::Close, report: Some(self.done(0, now, Err(Fault::NeverConnected))) }
    }

    fn run(&mut self, mut link: Link, mut job: Box<Job>, turn: &mut Turn<'_>) -> Outcome {
        let before = moved(&link, &job);
        let step = self.pump(&mut link, &mut job, turn);
        let now_moved = moved(&link, &job);
        if now_moved > before {
            self.since = turn.now;
            job.pace.spend(turn.now, now_moved - before);
        }
        match step {
            Ok(Step::Done) => self.complete(link, &job, turn),
            Ok(step) => {
                self.dtp = Dtp::Running(link, job);
                Outcome::of(self.after(step, turn.now))
            }
            Err(fault) => {
                let report = Some(self.done(plain(&link, &job), turn.now, Err(fault)));
                link.reset();
                Outcome { next: Next::Close, report }
            }
        }
    }

    fn after(&mut self, step: Step, now: Moment) -> Next {
        match step {
            Step::More => Next::Yield,
            Step::Blocked | Step::Done => Next::Sleep,
            Step::Wait(until) => {
                // The peer does not stall while it is we who make it wait.
                self.since = now;
                self.wake = Some(until);
                Next::Sleep
            }
        }
    }

    /// As much of the job as its rate and its share of the pass allow.
    fn pump(&mut self, link: &mut Link, job: &mut Job, turn: &mut Turn<'_>) -> Result<Step, Fault> {
        if matches!(job.flow, Flow::Send(_)) {
            self.hush(link, turn)?;
        }
        let bytes = match job.pace.allowance(turn.now) {
            Ok(bytes) => bytes,
            Err(until) => return Ok(Step::Wait(until)),
        };
        let share = Share { now: turn.now, bytes };
        match &mut job.flow {
            Flow::Send(sender) => sender.turn(link, turn.ready, turn.sockets, turn.scratch, share),
            Flow::Receive(receiver) => {
                link.listen(turn.ready, turn.sockets).map_err(|error| Fault::of_link(&error))?;
                receiver.turn(link, turn.ready, turn.sockets, turn.scratch, share)
            }
        }
    }

    /// On a download, what the peer says is thrown away, within limits.
    fn hush(&mut self, link: &mut Link, turn: &mut Turn<'_>) -> Result<(), Fault> {
        if !link.registered() || !turn.ready.has(Ready::READ) {
            return Ok(());
        }
        let mut dust = [0; 4096];
        match link.read(turn.ready, turn.sockets, &mut dust).map_err(|error| Fault::of_link(&error))? {
            Moved::Bytes(count) => {
                self.noise += count;
                if self.noise > NOISE_LIMIT { Err(Fault::Noise) } else { Ok(()) }
            }
            // A peer that closes its direction may still read ours.
            Moved::End | Moved::Cut | Moved::Blocked => {
                turn.ready.clear(Ready::READ);
                Ok(())
            }
        }
    }

    /// Who made the data connection, as exactly as can be told: at a passive port it may be somebody else on the same host.
    fn caller(&self, link: &Link) -> String {
        link.socket().peer_addr().map_or_else(|_| self.peer.to_string(), |address| address.to_string())
    }

    fn done(&self, moved: u64, now: Moment, result: Result<(), Fault>) -> Report {
        Report::Done { moved, elapsed: now.since(self.began), result }
    }
}

impl Dtp {
    /// A connection that is there, and what it is for.
    fn on(mut link: Link, errand: Errand) -> Self {
        match errand.begin(&mut link) {
            cloak::Beginning::Job(job) => Self::Running(link, job),
            cloak::Beginning::Handshake(job, terms) => Self::Securing(link, job, terms),
        }
    }
}

fn moved(link: &Link, job: &Job) -> u64 {
    match &job.flow {
        Flow::Send(sender) => sender.moved(link),
        Flow::Receive(receiver) => receiver.moved(),
    }
}

fn plain(link: &Link, job: &Job) -> u64 {
    match &job.flow {
        Flow::Send(sender) => sender.plain(link),
        Flow::Receive(receiver) => receiver.plain(),
    }
}
