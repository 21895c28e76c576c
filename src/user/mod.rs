//! The client: User Interface, User-PI and User-DTP of Figure 1 on one readiness loop.
//!
//! ```text
//!   interface ── what the user typed, what the user sees
//!       │ tasks            ▲ results
//!       ▼                  │
//!     crew ──── sessions of a host, errands, retries, budgets
//!       │ Wish             ▲ Event
//!       ▼                  │
//!    Client ── the loop:  control ── pi (dialogue)      dtp (data connections)
//! ```
//!
//! Start with the data: [`Conn`] lists the kinds of record, [`Client`] holds the one table of them.
//! [`Client::next_event`] is the loop: it runs records until something is worth telling. Any number of sessions run in
//! it; they know nothing of each other. The load tester uses it as it stands, the programs' verbs through [`crew`].

mod control;
pub mod crew;
mod desk;
mod dial;
pub mod dtp;
pub mod guard;
mod helper;
pub mod interface;
pub mod local;
pub mod mail;
mod pass;
pub mod pi;
pub mod profile;
pub mod pump;
pub mod text;
mod timer;
pub mod url;
mod wait;
pub mod zone;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use signal_hook::consts::signal::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::reactor::{Clock, Key, Moment, Reactor, Weight};
use crate::transfer::{Bucket, Scratch};
use crate::wire::reply::Reply;

use control::Control;
use dtp::Data;
use guard::Guard;
use helper::{Bell, Helper};
use mail::{Answer, Death, News, Ticket, Wish};
use pi::{Guise, Input, Login, Manners, Output};
use profile::Profile;
use timer::Timer;

pub use helper::{Message, Typist};

/// How long a data connection may take to be made before another way is tried.
const DATA_CONNECT: Duration = Duration::from_secs(15);

/// What the loop has to tell.
#[derive(Debug)]
pub enum Event {
    /// A session is logged in.
    Ready(Key),
    /// A session goes on in the clear: its server refuses TLS.
    InTheClear(Key),
    /// What became of a wish.
    Answered(Key, Ticket, Answer),
    /// A session has ended; nothing more comes from it.
    Gone(Key, Death),
    /// The server said something; told only where [`Terms::tell_replies`] asks for it.
    Heard(Key, Reply),
    /// A helper thread said something.
    Helped(Message),
    /// The moment given to [`Client::wake_at`] has come.
    Woken,
    /// A session has come by a mark, told only after [`Client::tell_marks`]. The time is that of the telling, within the
    /// pass: what this loop adds to a wait is in it.
    Passed(Key, Mark, Moment),
    /// The user or the system wants the program to stop.
    Interrupted,
    /// A program that this one has started has ended, or one of several has.
    ChildEnded,
}

/// What is worth a look at the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The control connection is there.
    Connected,
    /// The control connection is in TLS.
    Secured,
    /// A command is on its way; whether it is one with a data connection.
    Said {
        /// RETR, STOR and their like.
        transfer: bool,
    },
    /// A reply's code.
    Heard(u16),
    /// A data connection is being made.
    Dialled,
    /// It is there.
    Up,
    /// An upload may begin.
    Going,
    /// The first byte has come, or gone.
    FirstByte,
    /// The last one has, and so many in all.
    DataOver(u64),
}

/// What holds for all sessions of a client.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long to wait for a reply, a connection, the next byte.
    pub timeout: Duration,
    /// Let servers connect to us.
    pub active: bool,
    /// Bytes a second, all transfers together.
    pub rate: Option<u64>,
    /// Whether replies are told as [`Event::Heard`].
    pub tell_replies: bool,
}

/// Whom a session is with: addresses to be tried in order, who logs in, and what is known about the host.
pub type To = (Vec<SocketAddr>, Login, Rc<RefCell<Profile>>);

/// The kinds of record in the table.
enum Conn {
    /// A control connection and its dialogue.
    Control(Box<Control>),
    /// A data connection.
    Data(Box<Data>),
    /// What wakes the loop: helper threads, and the time of [`Client::wake_at`].
    Bell(Bell),
    /// SIGINT, SIGTERM and SIGCHLD.
    Signals(Box<Signals>),
    /// The time of [`Client::wake_precisely`].
    Timer(Timer),
}

impl fmt::Debug for Conn {
    /// The signal crate's type has none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control(_) => "Control",
            Self::Data(_) => "Data",
            Self::Bell(_) => "Bell",
            Self::Signals(_) => "Signals",
            Self::Timer(_) => "Timer",
        })
    }
}

/// The loop's state.
#[derive(Debug)]
pub struct Client {
    reactor: Reactor<Conn>,
    terms: Terms,
    /// The rate limit of all transfers together.
    bucket: Option<Rc<Bucket>>,
    scratch: Scratch,
    piece: Vec<u8>,
    marks: bool,
    timer: Option<Key>,
    bell: Key,
    helper: Helper,
    events: VecDeque<Event>,
    /// News on their way from data records to their sessions.
    mail: VecDeque<(Key, Ticket, News)>,
    /// What the session that just ran wishes; empty between turns.
    out: Vec<Output>,
    /// Wishes for sessions that are not logged in yet.
    held: HashMap<Key, Vec<(Ticket, Wish)>>,
    /// Control records that may have output: flushed once, before the loop sleeps.
    touched: Vec<Key>,
    /// Records that are done for.
    closing: Vec<Key>,
}

impl Client {
    /// A client without sessions.
    ///
    /// # Errors
    /// When the kernel has no poller to give.
    pub fn new(terms: Terms) -> io::Result<Self> {
        let mut reactor = Reactor::new()?;
        let (bell, sender) = Bell::new();
        let bell = reactor.insert(Conn::Bell(bell), Weight::Light);
        let helper = Helper::new(reactor.waker(bell)?, sender);
        let bucket = terms.rate.and_then(Bucket::new);
        Ok(Self {
            reactor,
            terms,
            bucket,
            scratch: Scratch::default(),
            piece: Vec::new(),
            marks: false,
            timer: None,
            bell,
            helper,
            events: VecDeque::new(),
            mail: VecDeque::new(),
            out: Vec::new(),
            held: HashMap::new(),
            touched: Vec::new(),
            closing: Vec::new(),
        })
    }

    /// The time of the present pass.
    pub const fn now(&self) -> Moment {
        self.reactor.now()
    }

    /// The clock of [`Client::now`], for those who must know the time within a pass.
    pub const fn clock(&self) -> Clock {
        self.reactor.clock()
    }

    /// From now on [`Event::Passed`] is told.
    pub const fn tell_marks(&mut self) {
        self.marks = true;
    }

    /// What holds for all sessions.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Who makes the data connections of sessions that begin from now on.
    pub const fn set_active(&mut self, active: bool) {
        self.terms.active = active;
    }

    /// Turns SIGINT and SIGTERM into [`Event::Interrupted`], SIGCHLD into [`Event::ChildEnded`].
    ///
    /// # Errors
    /// When handlers cannot be installed.
    pub fn watch_signals(&mut self) -> io::Result<()> {
        let signals = Signals::new([SIGINT, SIGTERM, SIGCHLD])?;
        let key = self.reactor.insert(Conn::Signals(Box::new(signals)), Weight::Light);
        match self.reactor.turn(key) {
            Some((slot, sockets, _)) => match &mut slot.conn {
                Conn::Signals(signals) => sockets.register(signals.as_mut()),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Begins a session with the host behind `addresses`, which are tried in order.
    pub fn connect(&mut self, addresses: Vec<SocketAddr>, login: Login, profile: Rc<RefCell<Profile>>) -> Key {
        self.connect_guarded((addresses, login, profile), Guise::default(), Guard::default())
    }

    /// As [`Client::connect`], in a guise and protected as the guard says.
    pub fn connect_guarded(&mut self, to: To, guise: Guise, guard: Guard) -> Key {
        let (addresses, login, profile) = to;
        let (timeout, active, protection) = (self.terms.timeout, self.terms.active, guard.protection);
        let manners = Manners { timeout, active, guise, protection };
        let control = Control::new(addresses, login, manners, guard, profile, self.reactor.now());
        let key = self.reactor.insert(Conn::Control(Box::new(control)), Weight::Light);
        self.held.insert(key, Vec::new());
        self.advance_control(key);
        self.settle();
        key
    }

    /// Wants something of a session; an [`Event::Answered`] comes, whatever happens.
    pub fn wish(&mut self, session: Key, ticket: Ticket, wish: Wish) {
        if let Some(held) = self.held.get_mut(&session) {
            return held.push((ticket, wish));
        }
        if self.tell(session, Input::Wish(ticket, wish)).is_none() {
            self.events.push_back(Event::Answered(session, ticket, Answer::Dead(Death::Abandoned)));
        }
        self.settle();
    }

    /// Stops the transfers of a session (ABOR). Whether there were any.
    pub fn abort(&mut self, session: Key) -> bool {
        let moving = self.control(session).and_then(|control| control.session()).is_some_and(pi::Session::moves);
        self.tell(session, Input::Abort);
        self.settle();
        moving
    }

    /// Ends a session at once, with whatever it is doing; what is said about it to those who wished something.
    pub fn drop_session(&mut self, session: Key, death: &Death) {
        if self.tell(session, Input::Gone(death.clone())).is_some() {
            self.hang_up(session, death.clone());
        }
        self.settle();
        // At once: what is wished of it from now on must find nobody, and be answered so.
        self.reap();
    }

    /// Whether a session has used up all it could resume on data connections: the next one would be a stranger.
    pub fn is_dry(&mut self, session: Key) -> bool {
        self.control(session).is_some_and(|control| control.is_dry())
    }

    /// Bytes that a session's transfers have moved so far: one entry a transfer under way.
    pub fn progress(&mut self, session: Key) -> Vec<(Ticket, u64)> {
        let keys = self.control(session).map(|control| control.data.clone()).unwrap_or_default();
        keys.into_iter()
            .filter_map(|key| match &self.reactor.slot_mut(key)?.conn {
                Conn::Data(data) if data.employed() => Some((data.ticket, data.moved())),
                _ => None,
            })
            .collect()
    }

    /// Asks for an [`Event::Woken`] at `when`; a later call replaces an earlier one.
    pub fn wake_at(&mut self, when: Option<Moment>) {
        if let Some(slot) = self.reactor.slot_mut(self.bell) {
            slot.deadline = when;
        }
        self.reactor.arm(self.bell);
    }

    /// As [`Client::wake_at`], beside it and to the microsecond instead of the poller's millisecond.
    ///
    /// # Errors
    /// When the kernel has no timer to give.
    pub fn wake_precisely(&mut self, when: Moment) -> io::Result<()> {
        let now = self.reactor.clock().now();
        let known = self.timer;
        let key = match known {
            Some(key) => key,
            None => *self.timer.insert(self.reactor.insert(Conn::Timer(Timer::new()?), Weight::Light)),
        };
        let Some((slot, sockets, _)) = self.reactor.turn(key) else { return Ok(()) };
        let Conn::Timer(timer) = &slot.conn else { return Ok(()) };
        if known.is_none() {
            timer.register(sockets)?;
        }
        timer.set(when.since(now))
    }

    /// The helper threads.
    pub const fn helper(&mut self) -> &mut Helper {
        &mut self.helper
    }

    /// The server's address of a session.
    pub fn peer(&mut self, session: Key) -> Option<SocketAddr> {
        Some(self.control(session)?.session()?.peer())
    }

    /// Runs the loop until there is something to tell.
    ///
    /// # Errors
    /// When the poller itself fails.
    pub fn next_event(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.flush();
            self.reap();
            if !self.events.is_empty() {
                continue;
            }
            self.reactor.wait()?;
            while let Some(key) = self.reactor.next_runnable() {
                self.advance(key);
                self.settle();
            }
            self.reap();
        }
    }

    /// What has happened already, without waiting. The loop is not run.
    pub fn pending_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
