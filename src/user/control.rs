//! The control connection of a session: addresses to try, a link, the replies that came over it, and the dialogue.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::guard::{Cloak, Guard, Protection, Secrets};
use super::mail::Death;
use super::pi::state::State;
use super::pi::{Input, Login, Manners, Output, Patience, Session, Stage};
use super::profile::{Profile, Resuming};
use super::text::Shown;
use super::wait::Wait;
use crate::reactor::{Handshake, Key, Link, Moment, Moved, Next, Ready, Sockets};
use crate::wire::reply::ReplyReader;

/// What one read may bring.
const READ_SIZE: usize = 16 * 1024;

/// Reads a turn; a server that talks more waits for the next pass.
const READS_A_TURN: usize = 4;

/// Replies handled a turn.
const REPLIES_A_TURN: usize = 256;

/// How long after the last byte a reply that ended with another code than it began counts as ended.
const QUIET: Duration = Duration::from_secs(3);

/// A control connection, from the first SYN on.
#[derive(Debug)]
pub struct Control {
    phase: Phase,
    /// What is known about the host; shared by its sessions.
    pub profile: Rc<RefCell<Profile>>,
    /// Data records that work for this session.
    pub data: Vec<Key>,
    wait: Wait,
    heard: Moment,
}

#[derive(Debug)]
enum Phase {
    /// No connection yet.
    Dialling(Box<Dialling>),
    /// The dialogue, or the handshake within or before it.
    Open(Box<Open>),
    /// Over; the record goes with this pass.
    Over,
}

#[derive(Debug)]
struct Dialling {
    link: Option<Link>,
    left: Vec<SocketAddr>,
    login: Login,
    manners: Manners,
    guard: Guard,
    why: String,
}

/// What the control connection's bytes travel in, and will.
#[derive(Debug)]
enum Cover {
    /// In the clear.
    Clear,
    /// The handshake is on: nothing is said until it is done.
    Handshaking(Box<Secrets>),
    /// In TLS.
    Secret(Box<Secrets>),
}

#[derive(Debug)]
struct Open {
    link: Link,
    cover: Cover,
    guard: Guard,
    replies: ReplyReader,
    session: Session,
    /// Addresses left, should the server close without a word.
    left: Vec<SocketAddr>,
    greeted: bool,
    ended: bool,
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
    /// What the session wishes.
    pub out: &'a mut Vec<Output>,
}

impl Control {
    /// A connection to the first of `addresses` that takes one.
    pub fn new(
        addresses: Vec<SocketAddr>,
        login: Login,
        manners: Manners,
        guard: Guard,
        profile: Rc<RefCell<Profile>>,
        now: Moment,
    ) -> Self {
        let left = addresses.into_iter().rev().collect();
        let dialling = Dialling { link: None, left, login, manners, guard, why: "no address to connect to".into() };
        Self {
            phase: Phase::Dialling(Box::new(dialling)),
            profile,
            data: Vec::new(),
            wait: Wait::from(now),
            heard: now,
        }
    }

    /// The dialogue, once there is a connection.
    pub fn session(&self) -> Option<&Session> {
        match &self.phase {
            Phase::Open(open) => Some(&open.session),
            _ => None,
        }
    }

    /// One bounded turn.
    pub fn advance(&mut self, turn: &mut Turn<'_>) -> Next {
        if turn.ready.take(Ready::EXPIRED) {
            self.expired(turn);
        }
        match &mut self.phase {
            Phase::Dialling(_) => self.dial(turn),
            Phase::Open(open) if matches!(open.cover, Cover::Handshaking(_)) => self.shake_hands(turn),
            Phase::Open(_) => self.converse(turn),
            Phase::Over => Next::Close,
        }
    }

    /// Takes the connection over to TLS. What has come behind the 234 is somebody else's voice (CVE-2021-22947).
    pub fn start_tls(&mut self, turn: &mut Turn<'_>) {
        let Phase::Open(open) = &mut self.phase else { return };
        let old = self.profile.borrow().resuming == Resuming::Old;
        let ready = match &open.guard.trust {
            _ if open.replies.partial() => Err("the server goes on in the clear after AUTH".to_owned()),
            None => Err("nobody is trusted".into()),
            Some(trust) => trust.secrets(&open.guard.host, open.session.peer().ip(), old),
        };
        let dressed = ready.and_then(|secrets| secrets.dress(&mut open.link).map(|()| secrets));
        match dressed {
            Ok(secrets) => {
                open.cover = Cover::Handshaking(Box::new(secrets));
                self.wait = Wait::from(turn.now);
            }
            Err(why) => self.feed(Input::Gone(Death::Insecure(why)), turn),
        }
    }

    fn shake_hands(&mut self, turn: &mut Turn<'_>) -> Next {
        let Phase::Open(open) = &mut self.phase else { return Next::Close };
        let Cover::Handshaking(mut secrets) = std::mem::replace(&mut open.cover, Cover::Clear) else {
            return Next::Yield;
        };
        match open.link.handshake(turn.ready, turn.sockets) {
            Ok(Handshake::Going) => {
                open.cover = Cover::Handshaking(secrets);
                if turn.ready.has(Ready::READ) { Next::Yield } else { Next::Sleep }
            }
            Ok(Handshake::Done) => {
                let came_to = secrets.met(&open.link);
                log::debug!("{}: {came_to}", open.session.peer());
                open.cover = Cover::Secret(secrets);
                self.wait = Wait::from(turn.now);
                self.profile.borrow_mut().tls = Some(came_to);
                self.feed(Input::Secured, turn);
                Next::Yield
            }
            Err(error) => {
                let death = if secrets.refused_as_old(&error) {
                    self.profile.borrow_mut().resuming = Resuming::Renewed;
                    Death::NotOld
                } else {
                    Death::Insecure(secrets.why(&error))
                };
                self.feed(Input::Gone(death), turn);
                Next::Sleep
            }
        }
    }

    /// What a data connection has to put on. `None`: it is in the clear, as the control connection is.
    ///
    /// # Errors
    /// What rustls says.
    pub fn cloak(&self) -> Result<Option<Cloak>, String> {
        match &self.phase {
            Phase::Open(open) => match &open.cover {
                Cover::Secret(secrets) => secrets.cloak().map(Some),
                Cover::Clear | Cover::Handshaking(_) => Ok(None),
            },
            Phase::Dialling(_) | Phase::Over => Ok(None),
        }
    }

    /// Whether a data connection would have nothing left to resume the session with.
    pub fn is_dry(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if matches!(&open.cover, Cover::Secret(secrets) if secrets.is_dry()))
    }

    /// Tells the session something. Before there is a connection nobody hears it: wishes are kept until the login.
    pub fn tell(&mut self, input: Input, turn: &mut Turn<'_>) {
        self.feed(input, turn);
    }

    /// Queues a line; it leaves with the others of this pass. FF is doubled (RFC 854).
    pub fn queue_line(&mut self, line: &[u8]) {
        let Phase::Open(open) = &mut self.phase else { return };
        let shown: &[u8] = if line.starts_with(b"PASS ") { b"PASS ****" } else { line };
        log::debug!("---> {}", Shown(shown));
        let queue = open.link.queue();
        for byte in line {
            queue.push(*byte);
            if *byte == 0xff {
                queue.push(0xff);
            }
        }
        queue.extend_from_slice(b"\r\n");
    }

    /// Queues ABOR with Interrupt Process and the data mark before it (RFC 959 4.1.3).
    pub fn queue_interrupt(&mut self) {
        if let Phase::Open(open) = &mut self.phase {
            log::debug!("---> ABOR");
            // Within TLS there is nothing to jump the queue with.
            let line: &[u8] = match open.cover {
                Cover::Clear => b"\xff\xf4\xff\xf2ABOR\r\n",
                Cover::Handshaking(_) | Cover::Secret(_) => b"ABOR\r\n",
            };
            open.link.queue().extend_from_slice(line);
        }
    }

    /// Sends what is queued.
    pub fn flush(&mut self, turn: &mut Turn<'_>) -> Next {
        let Phase::Open(open) = &mut self.phase else { return Next::Sleep };
        let silent = matches!(open.cover, Cover::Handshaking(_)) || open.session.state() == State::Deserted;
        if open.link.unsent() == 0 || silent {
            return Next::Sleep;
        }
        // Refusals of Telnet options are no command that a new wait begins with.
        if open.session.speaks() {
            self.wait = Wait::from(turn.now);
        }
        match open.link.flush(turn.ready, turn.sockets) {
            Ok(_) => {
                open.session.flushed();
                Next::Sleep
            }
            Err(_) if turn.ready.has(Ready::READ) => Next::Yield, // what it said before it closed is the better reason
            Err(error) => {
                self.feed(Input::Gone(Death::Lost(error.kind())), turn);
                Next::Yield
            }
        }
    }

    /// Closes without further words, but for TLS's own.
    pub fn hang_up(&mut self, turn: &mut Turn<'_>) {
        if let Phase::Open(open) = &mut self.phase
            && matches!(open.cover, Cover::Secret(_))
            && let Err(error) = open.link.finish(turn.ready, turn.sockets)
        {
            log::debug!("no farewell: {error}");
        }
        self.phase = Phase::Over;
    }

    /// When to look again at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Dialling(dialling) => Some(self.wait.end(Patience::short(dialling.manners.timeout))),
            Phase::Open(open) => {
                let own = open.session.patience().map(|patience| self.wait.end(patience));
                let quiet = open.replies.could_end().then(|| self.heard.after(quiet(&open.session)));
                [own, quiet].into_iter().flatten().min()
            }
            Phase::Over => None,
        }
    }

    fn expired(&mut self, turn: &mut Turn<'_>) {
        if self.deadline().is_none_or(|when| when > turn.now) {
            return;
        }
        match &mut self.phase {
            Phase::Dialling(dialling) => {
                dialling.why = "timed out connecting".into();
                dialling.link = None;
                self.wait = Wait::from(turn.now);
            }
            Phase::Open(open) => {
                if open.replies.could_end() && self.heard.after(quiet(&open.session)) <= turn.now {
                    open.replies.end();
                    return;
                }
                self.wait = Wait::from(turn.now);
                let input = if open.talks_nonsense() { Input::Gone(Death::NoFtp) } else { Input::Expired };
                self.feed(input, turn);
            }
            Phase::Over => {}
        }
    }

    /// Tries one address after the other, each for as long as a reply may take.
    fn dial(&mut self, turn: &mut Turn<'_>) -> Next {
        let Phase::Dialling(dialling) = &mut self.phase else { return Next::Close };
        loop {
            let Some(link) = &mut dialling.link else {
                let Some(address) = dialling.left.pop() else {
                    let why = std::mem::take(&mut dialling.why);
                    turn.out.push(Output::HangUp(Death::Connect(why)));
                    return Next::Sleep;
                };
                self.wait = Wait::from(turn.now);
                match super::dial::connect(dialling.manners.guise.source, address) {
                    Ok(stream) => {
                        *turn.ready = Ready::none();
                        dialling.link = Some(Link::new(stream));
                    }
                    Err(error) => dialling.why = format!("cannot connect to {address}: {error}"),
                }
                continue;
            };
            let failed = match (link.socket().take_error(), link.socket().peer_addr()) {
                (Ok(None), Ok(peer)) => return self.connected(peer, turn),
                (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => None,
                (Ok(Some(error)) | Err(error), _) | (_, Err(error)) => Some(error),
            };
            match failed.or_else(|| link.register(turn.sockets).err()) {
                None => return Next::Sleep,
                Some(error) => {
                    dialling.why = format!("cannot connect: {error}");
                    dialling.link = None;
                }
            }
        }
    }

    fn connected(&mut self, peer: SocketAddr, turn: &mut Turn<'_>) -> Next {
        let Phase::Dialling(dialling) = std::mem::replace(&mut self.phase, Phase::Over) else { return Next::Close };
        let Dialling { link, left, login, manners, guard, .. } = *dialling;
        let Some(mut link) = link else { return Next::Close };
        super::dial::tune(link.socket());
        let local = link.socket().local_addr().map_or(peer.ip(), |address| address.ip()).to_canonical();
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if let Err(error) = link.register(turn.sockets) {
            turn.out.push(Output::HangUp(Death::Lost(error.kind())));
            return Next::Sleep;
        }
        log::debug!("connected to {peer}");
        let session = Session::new(login, manners, peer, local);
        let replies = ReplyReader::new();
        self.wait = Wait::from(turn.now);
        turn.ready.set(Ready::unknown());
        turn.out.push(Output::Connected);
        let implicit = guard.protection == Protection::Implicit;
        let (cover, greeted, ended) = (Cover::Clear, false, false);
        self.phase = Phase::Open(Box::new(Open { link, cover, guard, replies, session, left, greeted, ended }));
        if implicit {
            self.start_tls(turn);
        }
        Next::Yield
    }

    fn converse(&mut self, turn: &mut Turn<'_>) -> Next {
        if let Err(death) = self.read(turn) {
            self.replies(turn);
            self.gone(death, turn);
            return Next::Sleep;
        }
        self.replies(turn);
        let Phase::Open(open) = &mut self.phase else { return Next::Sleep };
        if open.ended {
            self.gone(Death::Closed, turn);
            return Next::Sleep;
        }
        if turn.ready.has(Ready::READ) { Next::Yield } else { Next::Sleep }
    }

    fn read(&mut self, turn: &mut Turn<'_>) -> Result<(), Death> {
        let Phase::Open(open) = &mut self.phase else { return Ok(()) };
        let mut buffer = [0; READ_SIZE];
        for _ in 0..READS_A_TURN {
            if !turn.ready.has(Ready::READ) || open.ended {
                break;
            }
            match open.link.read(turn.ready, turn.sockets, &mut buffer) {
                Ok(Moved::Bytes(count)) => {
                    self.heard = turn.now;
                    if open.session.patience().is_some_and(|patience| patience.by_lines) {
                        self.wait.draw_out(turn.now);
                    }
                    open.replies.feed(buffer.get(..count).unwrap_or_default(), open.link.queue());
                }
                Ok(Moved::Blocked) => {}
                Ok(Moved::End | Moved::Cut) => {
                    open.replies.finish();
                    open.ended = true;
                }
                Err(error) => return Err(Death::Lost(error.kind())),
            }
        }
        Ok(())
    }

    fn replies(&mut self, turn: &mut Turn<'_>) {
        for _ in 0..REPLIES_A_TURN {
            let Phase::Open(open) = &mut self.phase else { return };
            match open.replies.next() {
                Some(Ok(reply)) => {
                    open.greeted = true;
                    log::debug!("<--- {} {}", reply.code, Shown(reply.text()));
                    let (preliminary, heeded) = (reply.code < 200, open.session.heeded());
                    self.feed(Input::Reply(reply), turn);
                    let Phase::Open(open) = &self.phase else { return };
                    if open.session.heeded() != heeded {
                        self.wait = Wait::from(turn.now);
                    } else if preliminary {
                        self.wait.draw_out(turn.now);
                    }
                    if open.session.state() == State::Securing {
                        return; // whatever has come behind it is looked at when TLS begins, and not as replies
                    }
                }
                Some(Err(overlong)) => {
                    self.feed(Input::Overlong(overlong), turn);
                    return;
                }
                None => return,
            }
        }
        turn.ready.set(Ready::READ); // more is held: look again, even if the socket has nothing
    }

    /// The connection has ended. Without a greeting the host's next address is tried, as if it had not answered.
    fn gone(&mut self, death: Death, turn: &mut Turn<'_>) {
        let Phase::Open(open) = &mut self.phase else { return };
        if open.greeted || open.left.is_empty() {
            let death = if open.talks_nonsense() { Death::NoFtp } else { death };
            return self.feed(Input::Gone(death), turn);
        }
        log::debug!("{}: closed without a greeting", open.session.peer());
        let left = std::mem::take(&mut open.left);
        let (login, manners) = open.session.terms();
        let guard = open.guard.clone();
        let why = "the server closed the connection without a greeting".into();
        self.phase = Phase::Dialling(Box::new(Dialling { link: None, left, login, manners, guard, why }));
        turn.out.push(Output::Redialling);
    }

    fn feed(&mut self, input: Input, turn: &mut Turn<'_>) {
        let Phase::Open(open) = &mut self.phase else { return };
        let mut profile = self.profile.borrow_mut();
        let before = open.session.patience().is_none();
        open.session.handle(input, &mut Stage { profile: &mut profile, out: turn.out });
        // Time that a data connection took is no time the server kept us waiting.
        if before {
            self.wait = Wait::from(turn.now);
        }
    }
}

impl Open {
    /// Whether it has said something where the greeting should be, and that was none.
    fn talks_nonsense(&self) -> bool {
        self.session.state() == State::Greeting && self.replies.holds_nonsense()
    }
}

/// Well before the session's own patience ends.
fn quiet(session: &Session) -> Duration {
    QUIET.min(session.timeout() / 2)
}
