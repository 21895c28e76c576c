//! The User-DTP: one data connection from the first SYN to the last byte, as one state a record.
//!
//! ```text
//!   Order::Dial                         download: at once
//!   ──────────▶ Dialling ─── up ───▶ Ready ───────────────▶ Running ── FIN sent ──▶ Lingering ──▶ closed
//!                  │                   ▲    upload: Order::Go   │
//!   Order::Listen  │ refused, too long │                        │ end, lost, stalled, cut
//!   ──────────▶ Listening ── peer ─────┘                        ▼
//!                  │  nobody came                         News::Done, closed
//!                  ▼
//!             News::Never
//! ```
//!
//! Under PROT P there is Securing between up and Ready or Running: the handshake.
//!
//! It mirrors the Server-DTP. One difference: an upload that has sent everything reports at its FIN, and the record
//! stays until the server has closed too, so that a reset cannot swallow the tail of the file.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};

use crate::reactor::{Handshake, Key, Link, Moment, Moved, Next, Ready, Sockets};
use crate::transfer::{Bucket, Fault, Pace, Scratch, Share, Step};
use crate::user::guard::{Cloak, Worn};
use crate::user::mail::{Missed, News, Ticket};
use crate::user::pump::{Pump, Snag, keep_little_unsent};

/// Bytes thrown away while an upload's end waits for the server's close.
const DUST_LIMIT: usize = 64 * 1024;

/// How long the server may take to close after our FIN.
const LINGER: Duration = Duration::from_secs(5);

/// A listing may take so many times what the next byte may take. Each line on its own could come just in time for ever.
const LISTING_STALLS: u32 = 10;

/// Strangers turned away from a listening port before it is given up.
const STRANGERS: usize = 16;

/// How long a data connection may wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// To be made.
    pub connect: Duration,
    /// For the next byte.
    pub stall: Duration,
}

/// One data connection.
#[derive(Debug)]
pub struct Data {
    /// The session it works for.
    pub owner: Key,
    /// The wish it works for.
    pub ticket: Ticket,
    peer: IpAddr,
    dtp: Dtp,
    since: Moment,
    began: Moment,
    /// Paused until then, by the rate limit or for the local disk.
    parked: Option<Moment>,
    pace: Pace,
    dust: usize,
    /// TLS to be put on when the connection is there.
    cloak: Option<Cloak>,
    /// It is in TLS.
    secret: bool,
}

#[derive(Debug)]
enum Dtp {
    /// Our SYN is out.
    Dialling(Link, Pump),
    /// The server was told to connect here.
    Listening(TcpListener, Pump),
    /// The handshake is on. Nobody waits for it: many servers begin theirs when they have the verb.
    Securing(Box<Securing>),
    /// An upload whose connection is there before the server's 1yz.
    Ready(Link, Pump),
    /// Bytes flow.
    Running(Link, Pump),
    /// Everything is sent, our FIN too.
    Lingering(Link),
    /// Nothing is left but the record.
    Over,
}

#[derive(Debug)]
struct Securing {
    link: Link,
    pump: Pump,
    worn: Worn,
    /// The server has accepted the upload meanwhile.
    go: bool,
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
    /// The loop's buffer for what comes in.
    pub piece: &'a mut Vec<u8>,
    /// The loop's buffers for what goes out.
    pub scratch: &'a mut Scratch,
    /// How long to wait for what.
    pub waits: Waits,
}

/// What a turn came to.
#[derive(Debug)]
pub struct Outcome {
    /// What the reactor should do with the record.
    pub next: Next,
    /// What the session must know, in order.
    pub news: Vec<News>,
}

impl Outcome {
    const fn of(next: Next) -> Self {
        Self { next, news: Vec::new() }
    }

    fn last(news: News) -> Self {
        Self { next: Next::Close, news: vec![news] }
    }
}

impl Data {
    /// A record whose connection is being made.
    pub fn dialling(owner: Key, ticket: Ticket, stream: TcpStream, peer: IpAddr, pump: Pump, now: Moment) -> Self {
        Self::new(owner, ticket, peer, Dtp::Dialling(Link::new(stream), pump), now)
    }

    /// A record that waits for the server.
    pub fn listening(owner: Key, ticket: Ticket, listener: TcpListener, peer: IpAddr, pump: Pump, now: Moment) -> Self {
        Self::new(owner, ticket, peer, Dtp::Listening(listener, pump), now)
    }

    fn new(owner: Key, ticket: Ticket, peer: IpAddr, dtp: Dtp, now: Moment) -> Self {
        let (parked, pace, dust, cloak, secret) = (None, Pace::new(None, None), 0, None, false);
        Self { owner, ticket, peer, dtp, since: now, began: now, parked, pace, dust, cloak, secret }
    }

    /// The connection is to be in TLS.
    pub fn set_cloak(&mut self, cloak: Option<Cloak>) {
        self.cloak = cloak;
    }

    /// From now on no faster than this and all who share it.
    pub fn set_pace(&mut self, bucket: Option<Rc<Bucket>>) {
        self.pace = Pace::new(bucket, None);
    }

    /// Whether it still works for its session; a lingering one does not.
    pub const fn employed(&self) -> bool {
        !matches!(self.dtp, Dtp::Lingering(_) | Dtp::Over)
    }

    /// Has a listening socket's edges told.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn register(&mut self, sockets: Sockets<'_>) -> io::Result<()> {
        match &mut self.dtp {
            Dtp::Listening(listener, _) => sockets.register(listener),
            _ => Ok(()),
        }
    }

    /// Bytes moved so far, with those that are here and were not told of.
    pub fn moved(&self) -> u64 {
        match &self.dtp {
            Dtp::Running(link, Pump::In(intake)) => intake.moved() + intake.kept_back(link),
            Dtp::Running(link, pump) => pump.moved(link),
            _ => 0,
        }
    }

    /// The server has accepted the upload.
    pub fn go(&mut self, now: Moment) {
        self.dtp = match std::mem::replace(&mut self.dtp, Dtp::Over) {
            Dtp::Ready(link, pump) => Dtp::Running(link, pump),
            Dtp::Securing(securing) => Dtp::Securing(Box::new(Securing { go: true, ..*securing })),
            other => other,
        };
        self.since = now;
    }

    /// Closes now, so that the server cannot take it for an orderly end of an upload.
    pub fn cut(&mut self, now: Moment) -> Option<News> {
        match std::mem::replace(&mut self.dtp, Dtp::Over) {
            Dtp::Running(link, pump) | Dtp::Ready(link, pump) => {
                let moved = pump.moved(&link);
                link.reset();
                Some(self.done(pump, moved, now, Err(Fault::Aborted.into())))
            }
            Dtp::Securing(securing) => {
                let Securing { link, pump, .. } = *securing;
                link.reset();
                Some(self.done(pump, 0, now, Err(Fault::Aborted.into())))
            }
            Dtp::Dialling(_, pump) | Dtp::Listening(_, pump) => Some(News::Never(pump, Missed::Withdrawn)),
            Dtp::Lingering(_) | Dtp::Over => None,
        }
    }

    /// When to look again at the latest.
    pub fn deadline(&self, waits: &Waits) -> Option<Moment> {
        let span = match self.dtp {
            Dtp::Dialling(..) | Dtp::Listening(..) => waits.connect,
            Dtp::Running(..) | Dtp::Securing(_) => waits.stall,
            Dtp::Lingering(_) => LINGER,
            // The session keeps the time until the server answers.
            Dtp::Ready(..) | Dtp::Over => return self.parked,
        };
        Some(self.parked.unwrap_or_else(|| self.since.after(span)))
    }

    /// One bounded turn.
    pub fn advance(&mut self, turn: &mut Turn<'_>) -> Outcome {
        if turn.ready.take(Ready::EXPIRED) && self.is_overdue(turn) {
            if let Dtp::Running(link, Pump::In(intake)) = &mut self.dtp
                && intake.wake_again(link)
            {
                self.since = turn.now;
                return Outcome::of(Next::Sleep);
            }
            return self.expired(turn.now);
        }
        match std::mem::replace(&mut self.dtp, Dtp::Over) {
            Dtp::Running(link, pump) => self.run(link, pump, turn, Vec::new()),
            Dtp::Securing(securing) => self.secure(*securing, turn, Vec::new()),
            Dtp::Dialling(link, pump) => self.dial(link, pump, turn),
            Dtp::Listening(listener, pump) => self.accept(listener, pump, turn),
            Dtp::Lingering(link) => self.linger(link, turn),
            Dtp::Over => Outcome::of(Next::Close),
            waiting @ Dtp::Ready(..) => {
                self.dtp = waiting;
                Outcome::of(Next::Sleep)
            }
        }
    }

    fn is_overdue(&self, turn: &Turn<'_>) -> bool {
        self.parked.is_none() && self.deadline(&turn.waits).is_some_and(|when| when <= turn.now)
    }

    fn expired(&mut self, now: Moment) -> Outcome {
        match std::mem::replace(&mut self.dtp, Dtp::Over) {
            Dtp::Dialling(_, pump) => Outcome::last(News::Never(pump, Missed::Unanswered)),
            Dtp::Listening(_, pump) => Outcome::last(News::Never(pump, Missed::NobodyCame)),
            Dtp::Running(link, pump) | Dtp::Ready(link, pump) => {
                let moved = pump.moved(&link);
                link.reset();
                Outcome::last(self.done(pump, moved, now, Err(Fault::Stalled.into())))
            }
            Dtp::Securing(securing) => {
                let Securing { link, pump, .. } = *securing;
                link.reset();
                Outcome::last(self.done(pump, 0, now, Err(Fault::Stalled.into())))
            }
            Dtp::Lingering(_) | Dtp::Over => Outcome::of(Next::Close),
        }
    }

    /// A connection on loopback is often there before anybody asked the poller, so it is asked first.
    fn dial(&mut self, mut link: Link, pump: Pump, turn: &mut Turn<'_>) -> Outcome {
        let failed = match (link.socket().take_error(), link.socket().peer_addr()) {
            (Ok(None), Ok(_)) => return self.up(link, pump, turn),
            (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => None,
            (Ok(Some(error)) | Err(error), _) | (_, Err(error)) => Some(error),
        };
        if let Some(error) = failed.or_else(|| link.register(turn.sockets).err()) {
            log::debug!("data connection to {} failed: {error}", self.peer);
            return Outcome::last(News::Never(pump, Missed::Failed(error.kind())));
        }
        turn.ready.clear(Ready::WRITE);
        self.dtp = Dtp::Dialling(link, pump);
        Outcome::of(Next::Sleep)
    }

    /// Only the server's own host may connect (RFC 2577 4); others are closed and the wait goes on.
    fn accept(&mut self, mut listener: TcpListener, pump: Pump, turn: &mut Turn<'_>) -> Outcome {
        for _ in 0..STRANGERS {
            match listener.accept() {
                Ok((stream, from)) if from.ip().to_canonical() == self.peer.to_canonical() => {
                    // The record changes its socket: the old one must not wake it any more.
                    turn.sockets.deregister(&mut listener);
                    *turn.ready = Ready::unknown();
                    return self.up(Link::new(stream), pump, turn);
                }
                Ok((_, from)) => log::warn!("{from} connected to our data port and is not the server"),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.dtp = Dtp::Listening(listener, pump);
                    return Outcome::of(Next::Sleep);
                }
                Err(error) => {
                    log::debug!("cannot accept a data connection: {error}");
                    return Outcome::last(News::Never(pump, Missed::Failed(error.kind())));
                }
            }
        }
        Outcome::last(News::Never(pump, Missed::NobodyCame))
    }

    fn up(&mut self, mut link: Link, pump: Pump, turn: &mut Turn<'_>) -> Outcome {
        self.since = turn.now;
        self.began = turn.now;
        *turn.ready = Ready::unknown();
        match self.cloak.take() {
            Some(cloak) => {
                self.secret = true;
                let worn = cloak.put_on(&mut link);
                self.secure(Securing { link, pump, worn, go: false }, turn, vec![News::Up])
            }
            None => self.open(link, pump, turn, vec![News::Up]),
        }
    }

    fn open(&mut self, link: Link, pump: Pump, turn: &mut Turn<'_>, news: Vec<News>) -> Outcome {
        match pump {
            Pump::In(_) => self.run(link, pump, turn, news),
            Pump::Out(ref outlet) => {
                // Small files cost no call about it.
                if outlet.is_long() {
                    keep_little_unsent(link.socket());
                }
                self.dtp = Dtp::Ready(link, pump);
                Outcome { next: Next::Sleep, news }
            }
        }
    }

    fn secure(&mut self, mut securing: Securing, turn: &mut Turn<'_>, mut news: Vec<News>) -> Outcome {
        let snag = match securing.link.handshake(turn.ready, turn.sockets) {
            Ok(Handshake::Going) => {
                self.dtp = Dtp::Securing(Box::new(securing));
                return Outcome { next: if turn.ready.has(Ready::READ) { Next::Yield } else { Next::Sleep }, news };
            }
            Ok(Handshake::Done) if securing.worn.fits(&securing.link) => {
                let Securing { link, pump, go, .. } = securing;
                self.since = turn.now;
                return if go { self.run(link, pump, turn, news) } else { self.open(link, pump, turn, news) };
            }
            Ok(Handshake::Done) => Snag::Impostor,
            Err(error) => {
                log::debug!("data connection to {}: {error}", self.peer);
                Snag::Handshake
            }
        };
        securing.link.reset();
        news.push(self.done(securing.pump, 0, turn.now, Err(snag)));
        Outcome { next: Next::Close, news }
    }

    fn run(&mut self, mut link: Link, mut pump: Pump, turn: &mut Turn<'_>, mut news: Vec<News>) -> Outcome {
        let budget = match self.pace.allowance(turn.now) {
            Ok(bytes) => bytes,
            Err(later) => return self.park(link, pump, later, turn.now, news),
        };
        self.parked = None;
        let before = pump.moved(&link);
        let step = match &mut pump {
            Pump::In(intake) => {
                intake.turn(&mut link, turn.ready, turn.sockets, turn.piece, budget.min(intake.turn_bytes()))
            }
            Pump::Out(outlet) => {
                outlet.turn(&mut link, turn.ready, turn.sockets, turn.scratch, Share { now: turn.now, bytes: budget })
            }
        };
        let after = pump.moved(&link);
        if after > before {
            self.since = turn.now;
            self.pace.spend(turn.now, after - before);
        }
        let listing = matches!(&pump, Pump::In(intake) if intake.is_listing());
        let endless = listing && turn.now.since(self.began) > turn.waits.stall * LISTING_STALLS;
        let step = if endless && step != Ok(Step::Done) { Err(Fault::Stalled.into()) } else { step };
        match step {
            Ok(Step::Done) => self.complete(link, pump, turn, news),
            Ok(Step::Wait(until)) => self.park(link, pump, until, turn.now, news),
            Ok(step) => {
                self.dtp = Dtp::Running(link, pump);
                Outcome { next: if step == Step::More { Next::Yield } else { Next::Sleep }, news }
            }
            Err(snag) => {
                link.reset();
                news.push(self.done(pump, after, turn.now, Err(snag)));
                Outcome { next: Next::Close, news }
            }
        }
    }

    fn park(&mut self, link: Link, pump: Pump, until: Moment, now: Moment, news: Vec<News>) -> Outcome {
        self.parked = Some(until);
        self.since = now; // waiting for ourselves is no stall of the server's
        self.dtp = Dtp::Running(link, pump);
        Outcome { next: Next::Sleep, news }
    }

    fn complete(&mut self, mut link: Link, pump: Pump, turn: &mut Turn<'_>, mut news: Vec<News>) -> Outcome {
        let moved = pump.moved(&link);
        if matches!(pump, Pump::In(_)) {
            // Where there is a last word it is said: some servers wait for it with their 226.
            if self.secret
                && let Err(error) = link.finish(turn.ready, turn.sockets)
            {
                log::debug!("no farewell: {error}");
            }
            news.push(self.done(pump, moved, turn.now, Ok(())));
            return Outcome { next: Next::Close, news };
        }
        let finished = link.register(turn.sockets);
        let result = finished.as_ref().map_err(|error| Snag::Fault(Fault::of_link(error))).copied();
        let next = if result.is_ok() { Next::Sleep } else { Next::Close };
        news.push(self.done(pump, moved, turn.now, result));
        if next == Next::Sleep {
            turn.ready.clear(Ready::READ);
            self.since = turn.now;
            self.dtp = Dtp::Lingering(link);
        }
        Outcome { next, news }
    }

    fn linger(&mut self, mut link: Link, turn: &mut Turn<'_>) -> Outcome {
        let mut dust = [0; 4096];
        while turn.ready.has(Ready::READ) && self.dust <= DUST_LIMIT {
            match link.read(turn.ready, turn.sockets, &mut dust) {
                Ok(Moved::Bytes(count)) => self.dust += count,
                Ok(Moved::Blocked) => {}
                Ok(Moved::End | Moved::Cut) | Err(_) => return Outcome::of(Next::Close),
            }
        }
        if self.dust > DUST_LIMIT {
            return Outcome::of(Next::Close);
        }
        self.dtp = Dtp::Lingering(link);
        Outcome::of(Next::Sleep)
    }

    fn done(&self, pump: Pump, moved: u64, now: Moment, result: Result<(), Snag>) -> News {
        News::Done { pump, moved, elapsed: now.since(self.began), result }
    }
}
