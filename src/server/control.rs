//! The control connection: a link, the lines that came over it, and the dialogue they belong to.

mod private;

use std::io;
use std::time::Duration;

use mio::net::TcpStream;

use crate::reactor::{Key, Link, Moment, Moved, Next, Ready, Sockets};
use crate::server::pi::state::State;
use crate::server::pi::{Finished, Input, Output, Patience, Session, Stage, words};
use crate::server::settings::Limits;
#[cfg(feature = "tls")]
use crate::server::tls::SessionKeys;
use crate::server::vigil::{Over, Vigil};
use crate::server::world::World;
use crate::transfer::Report;
use crate::wire::command::{self, Verb};
use crate::wire::line::{Line, LineReader};

/// Commands carried out a turn; a pipelining client gets the rest of its lines in the next pass.
const COMMANDS_A_TURN: usize = 16;

/// What one read may bring: more than any command line of the field.
const READ_SIZE: usize = 4096;

/// How long the last words of a server that ends may take to be read.
const LAST_LINGER: Duration = Duration::from_millis(500);

/// The code that says the fault is ours: whoever looks after the server wants to know.
const LOCAL_ERROR: u16 = 451;

/// A line's end.
const LF: u8 = b'\n';

/// Bytes thrown away while a closed connection waits for the peer's close.
const DRAIN_LIMIT: usize = 64 * 1024;

/// A control connection.
#[derive(Debug)]
pub struct Control {
    link: Link,
    lines: LineReader,
    session: Session,
    /// The data record that works for this session.
    pub data: Option<Key>,
    phase: Phase,
    vigil: Vigil,
    /// The keys of this session's TLS; its data connections use them too, also after CCC.
    #[cfg(feature = "tls")]
    pub keys: Option<SessionKeys>,
    /// The beginning of a handshake that nobody has asked for yet.
    early: Vec<u8>,
}

/// What the connection itself is good for.
///
/// ```text
///                AUTH             234 is out             done
///          Open ──────▶ Answering ──────────▶ Securing ────────▶ Open
///           │ CCC, REIN in TLS                    ▲ implicit TLS
///           └─────────▶ Baring ── close_notify both ways ──▶ Open
/// ```
#[derive(Debug)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "in the clear no handshake comes first"))]
enum Phase {
    /// Both directions.
    Open,
    /// 234 is queued. Nothing is read before it is out.
    #[cfg(feature = "tls")]
    Answering(Box<crate::reactor::Tls>),
    /// The peer's bytes belong to the handshake.
    Securing,
    /// The last reply in TLS is queued; what comes until the peer's close_notify is thrown away.
    Baring,
    /// The peer will send no more; what it sent is still carried out.
    HalfClosed,
    /// The last reply is queued.
    Closing {
        /// The peer has closed its direction already: no close of its own to wait for.
        ended: bool,
    },
    /// It is out, and so is our FIN; the peer's close is awaited.
    Closed {
        /// Bytes thrown away meanwhile.
        dust: usize,
    },
}

/// What a turn needs from outside.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Readiness of the record.
    pub ready: &'a mut Ready,
    /// Registration under the record's key.
    pub sockets: Sockets<'a>,
    /// The pass's time.
    pub now: Moment,
    /// What sessions may look at.
    pub world: &'a World,
    /// What sessions wish.
    pub out: &'a mut Vec<Output>,
}

impl Control {
    /// A connection that was just accepted.
    pub fn new(stream: TcpStream, session: Session, now: Moment) -> Self {
        let lines = LineReader::new();
        Self {
            link: Link::new(stream),
            lines,
            session,
            data: None,
            phase: Phase::Open,
            vigil: Vigil::new(now),
            #[cfg(feature = "tls")]
            keys: None,
            early: Vec::new(),
        }
    }

    /// Has the connection watched.
    ///
    /// # Errors
    /// When the poller does not take the socket.
    pub fn register(&mut self, turn: &mut Turn<'_>) -> io::Result<()> {
        turn.ready.set(Ready::WRITE);
        self.link.register(turn.sockets)
    }

    /// Says hello.
    pub fn open(&mut self, turn: &mut Turn<'_>) {
        self.feed(Input::Hello, turn);
    }

    /// The dialogue.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// One bounded turn: time, input, commands. Output waits for [`Control::flush`].
    pub fn advance(&mut self, turn: &mut Turn<'_>) -> Next {
        if turn.ready.take(Ready::EXPIRED) && self.is_overdue(turn) {
            return Next::Close;
        }
        match self.phase {
            Phase::Open | Phase::HalfClosed => self.converse(turn),
            Phase::Securing => self.shake_hands(turn),
            Phase::Baring => self.take_off(turn),
            Phase::Closing { .. } => Next::Sleep,
            #[cfg(feature = "tls")]
            Phase::Answering(_) => Next::Sleep,
            Phase::Closed { dust } => self.drain(dust, turn),
        }
    }

    /// Something happened elsewhere that this dialogue waits for.
    pub fn notify(&mut self, input: Input, turn: &mut Turn<'_>) -> Next {
        match self.phase {
            Phase::Open | Phase::HalfClosed => {}
            // Between the clear and TLS nothing can be said: a server that ends goes without a word.
            _ if matches!(input, Input::Drain | Input::Stop | Input::Banned) && !self.is_closing() => {
                return Next::Close;
            }
            _ => return Next::Sleep,
        }
        self.feed(input, turn);
        self.go_on(turn)
    }

    /// The connection is gone in mid-transfer: what to write down about that.
    pub fn bury(&mut self, report: Report, world: &World) -> Option<Finished> {
        let mut out = Vec::new();
        self.session.handle(Input::Report(report), &mut Stage { world, out: &mut out });
        out.into_iter().find_map(|wish| match wish {
            Output::Record(finished) => Some(*finished),
            _ => None,
        })
    }

    /// Queues a reply: it leaves with the others of this turn.
    pub fn queue(&mut self, reply: &crate::wire::reply::Reply) {
        if reply.code == LOCAL_ERROR {
            let (who, peer) = (self.session.user().unwrap_or("-"), self.session.peer());
            let cause = reply.cause().map_or("no further cause is known", words);
            log::error!("{who}@{peer}: {} ({cause})", String::from_utf8_lossy(reply.text()));
        }
        reply.encode(self.link.queue());
    }

    /// After the last reply nothing is read.
    pub fn hang_up(&mut self) {
        self.phase = Phase::Closing { ended: matches!(self.phase, Phase::HalfClosed) };
    }

    const fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing { .. } | Phase::Closed { .. })
    }

    /// Sends what waits; a connection whose last reply is out is closed in our direction.
    pub fn flush(&mut self, turn: &mut Turn<'_>) -> Next {
        let resumed = match self.link.flush(turn.ready, turn.sockets) {
            // Lines and input that waited for this moment are told by nobody else.
            Ok(true) if self.vigil.unblocked() => Next::Yield,
            Ok(true) => Next::Sleep,
            Ok(false) => {
                self.vigil.blocked(turn.now);
                return Next::Sleep;
            }
            Err(error) => {
                // Whoever hangs up while it is talked to is nothing special; one that the kernel gave up is.
                let lost = error.kind() == io::ErrorKind::TimedOut;
                log::log!(if lost { log::Level::Info } else { log::Level::Debug }, "{}: {error}", self.session.peer());
                return Next::Close;
            }
        };
        #[cfg(feature = "tls")]
        if matches!(self.phase, Phase::Answering(_)) {
            return self.dress(turn);
        }
        let Phase::Closing { ended } = self.phase else { return resumed };
        match self.link.finish(turn.ready, turn.sockets) {
            Ok(true) if !ended => {}
            Ok(false) => return Next::Sleep,
            Ok(true) | Err(_) => return Next::Close,
        }
        self.vigil.restart(turn.now);
        self.phase = Phase::Closed { dust: 0 };
        Next::Yield
    }

    /// When to look again at the latest.
    pub fn deadline(&self, world: &World) -> Option<Moment> {
        let limits = &world.settings.limits;
        let (since, stuck) = (self.vigil.since(), self.vigil.stuck_until(limits));
        let last = match self.phase {
            Phase::Open | Phase::HalfClosed => return self.vigil.deadline(self.session.patience(world), limits),
            Phase::Securing => since.after(limits.tls_handshake),
            Phase::Baring => since.after(limits.linger),
            #[cfg(feature = "tls")]
            Phase::Answering(_) => since.after(limits.output_stall),
            Phase::Closing { .. } => since.after(limits.output_stall),
            // A server that is about to end does not wait for people at their prompts.
            Phase::Closed { .. } if world.draining => since.after(limits.linger.min(LAST_LINGER)),
            Phase::Closed { .. } => since.after(limits.linger),
        };
        Some(stuck.map_or(last, |stuck| stuck.min(last)))
    }

    /// Deals with a deadline that has passed. True: the connection is beyond talking.
    fn is_overdue(&mut self, turn: &mut Turn<'_>) -> bool {
        if !matches!(self.phase, Phase::Open | Phase::HalfClosed) {
            let over = self.deadline(turn.world).is_some_and(|when| when <= turn.now);
            if over && !self.is_closing() {
                log::info!("{}: takes too long over TLS, dropped", self.session.peer());
            }
            return over;
        }
        let patience = self.session.patience(turn.world);
        let input = match self.vigil.over(patience, &turn.world.settings.limits, turn.now) {
            None => return false,
            Some(Over::Stuck) => {
                log::info!("{}: does not read its replies, dropped", self.session.peer());
                return true;
            }
            Some(Over::Line) => Input::Dripping,
            Some(Over::Patience) => Input::Expired,
        };
        self.vigil.restart(turn.now);
        self.feed(input, turn);
        false
    }

    fn converse(&mut self, turn: &mut Turn<'_>) -> Next {
        match self.read(turn) {
            Ok(()) => {}
            Err(error) => {
                log::info!("{}: {error}", self.session.peer());
                return Next::Close;
            }
        }
        self.look_ahead(turn);
        let next = self.go_on(turn);
        if next == Next::Sleep && self.can_read(&turn.world.settings.limits) && turn.ready.has(Ready::READ) {
            return Next::Yield;
        }
        next
    }

    /// One read, when there is room for what may come.
    fn read(&mut self, turn: &mut Turn<'_>) -> io::Result<()> {
        if !matches!(self.phase, Phase::Open)
            || !turn.ready.has(Ready::READ)
            || !self.can_read(&turn.world.settings.limits)
        {
            return Ok(());
        }
        let mut buffer = [0; READ_SIZE];
        match self.link.read(turn.ready, turn.sockets, &mut buffer)? {
            Moved::Bytes(count) => self.take_in(&buffer[..count], turn),
            Moved::End | Moved::Cut => self.phase = Phase::HalfClosed,
            Moved::Blocked => {}
        }
        Ok(())
    }

    /// Another protocol's first words may have no line end to wait for.
    fn take_in(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        let begins = self.lines.bytes() == 0;
        if begins && matches!(self.session.state(), State::Stranger) && command::is_foreign(bytes) {
            return self.feed(Input::NotFtp, turn);
        }
        let lines = self.part_early(bytes);
        self.take_lines(lines, turn);
    }

    fn take_lines(&mut self, bytes: &[u8], turn: &Turn<'_>) {
        let before = self.lines.waiting();
        self.lines.feed(bytes, self.link.queue());
        self.vigil.read(self.lines.partial(), self.lines.waiting() > before, turn.now);
    }

    /// Back-pressure both ways: neither lines nor replies pile up.
    fn can_read(&self, limits: &Limits) -> bool {
        self.lines.waiting() < limits.held_lines as usize
            && self.lines.bytes() < limits.held_bytes as usize
            && self.link.unsent() < limits.output as usize
    }

    /// Carries lines out, and looks at those behind a transfer command: what came together with it is not announced
    /// again. An ABOR that ended a computation leaves a session that takes lines at once.
    fn go_on(&mut self, turn: &mut Turn<'_>) -> Next {
        let next = self.run_lines(turn);
        self.rejoin_early(turn);
        let interrupted = self.look_ahead(turn);
        if interrupted && self.session.state().takes_lines() { Next::Yield } else { next }
    }

    /// During a transfer ABOR and STAT act at once; ABOR keeps its place in the queue for its own reply. True: there
    /// was one.
    fn look_ahead(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.lines.waiting() == 0 {
            return false;
        }
        while self.session.state().transferring()
            && self.lines.take_first(|line| verb_of(line) == Some((Verb::Stat, true))).is_some()
        {
            self.feed(Input::Inquire, turn);
        }
        let aborts =
            self.session.interruptible() && self.lines.any(|line| matches!(verb_of(line), Some((Verb::Abor, _))));
        if aborts {
            self.feed(Input::Interrupt, turn);
        }
        aborts
    }

    /// Carries lines out until the session has to wait for something, or its share of the pass is used up.
    fn run_lines(&mut self, turn: &mut Turn<'_>) -> Next {
        let mut budget = COMMANDS_A_TURN;
        while self.session.state().takes_lines() {
            if self.link.unsent() >= turn.world.settings.limits.output as usize {
                return Next::Sleep;
            }
            if budget == 0 {
                return Next::Yield;
            }
            let Some(line) = self.lines.next() else { break };
            budget -= 1;
            if matches!(self.session.patience(turn.world), Patience::Idle(_)) {
                self.vigil.restart(turn.now);
            }
            self.feed(
                match line {
                    Line::Text(text) if text.len() > turn.world.settings.limits.line as usize => Input::TooLong,
                    Line::Text(text) => Input::Line(text),
                    Line::TooLong => Input::TooLong,
                    Line::Endless => Input::Endless,
                },
                turn,
            );
        }
        self.end_of_input()
    }

    /// The peer has closed its direction: what it had sent is done first, a transfer only if QUIT follows it.
    fn end_of_input(&mut self) -> Next {
        if !matches!(self.phase, Phase::HalfClosed) {
            return Next::Sleep;
        }
        let state = self.session.state();
        if state.takes_lines() && self.lines.waiting() == 0 {
            self.hang_up();
            return Next::Sleep;
        }
        let quits = self.lines.any(|line| matches!(verb_of(line), Some((Verb::Quit, _))));
        if state.transferring() && !quits { Next::Close } else { Next::Sleep }
    }

    fn drain(&mut self, mut dust: usize, turn: &mut Turn<'_>) -> Next {
        let mut buffer = [0; READ_SIZE];
        while turn.ready.has(Ready::READ) && dust <= DRAIN_LIMIT {
            match self.link.read(turn.ready, turn.sockets, &mut buffer) {
                Ok(Moved::Bytes(count)) => dust += count,
                Ok(Moved::Blocked) => {}
                Ok(Moved::End | Moved::Cut) | Err(_) => return Next::Close,
            }
        }
        self.phase = Phase::Closed { dust };
        if dust > DRAIN_LIMIT { Next::Close } else { Next::Sleep }
    }

    /// The session's clock starts anew whenever it begins to wait for something else.
    fn feed(&mut self, input: Input, turn: &mut Turn<'_>) {
        let before = self.session.patience(turn.world);
        self.session.handle(input, &mut Stage { world: turn.world, out: turn.out });
        self.vigil.turned(before, self.session.patience(turn.world), turn.now);
    }
}

/// The verb of a waiting line, and whether it stands alone.
fn verb_of(line: &[u8]) -> Option<(Verb, bool)> {
    let (rule, argument) = command::split(line).ok()?;
    Some((rule.verb, argument.iter().all(|byte| *byte == b' ')))
}
