//! A relay that makes loopback as long as a distance: bytes, ends and connections arrive a delay later, in each direction.
//!
//! ```text
//!   client ──▶ near │ Flow: (when, bytes)… │ far ──▶ server      control connection: ports in 227 and 229 are
//!          ◀──      │ Flow: (when, bytes)… │     ◀──             replaced by ports of the relay, data follows
//! ```
//!
//! This machine's kernel answers a connection at once, which no distance does. The server therefore sees it three
//! delays later (SYN, its answer, ours); a client that waits for its connection before it speaks is still flattered.
//! Active mode is not relayed. Encrypted control connections, whose addresses cannot be replaced, are where the relay has an
//! address of its own and the server's passive ports on it ([`Relay::beside`]).

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};

/// Bytes on their way in one direction of one connection: a long fat path's worth, not a machine's.
const UNDERWAY: usize = 16 << 20;

/// Readiness is looked at anew at least this often.
const BEAT: Duration = Duration::from_secs(1);

const BELL: Token = Token(0);

/// A running relay. Ends when dropped.
pub struct Relay {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    bell: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Relays an FTP server on IPv4; a round trip takes twice the delay.
    pub fn start(server: SocketAddr, delay: Duration) -> Self {
        Self::listen(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0), server, delay).unwrap()
    }

    /// As [`Relay::start`], on an address of one's choice.
    pub fn listen(at: SocketAddr, server: SocketAddr, delay: Duration) -> io::Result<Self> {
        Self::beside(at, server, delay, 0..0)
    }

    /// On an address that is not the server's, with the same passive ports: nothing needs to be replaced in a 229.
    pub fn beside(at: SocketAddr, server: SocketAddr, delay: Duration, passive: Range<u16>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let bell = Arc::new(Waker::new(poll.registry(), BELL)?);
        let mut path = Path { poll, server, delay, doors: HashMap::new(), lines: HashMap::new(), names: 1 };
        let control = if passive.is_empty() { Use::Control } else { Use::Data };
        let address = path.open(Door { at, leads_to: server, used: control })?;
        for port in passive {
            let (at, leads_to) = (SocketAddr::new(at.ip(), port), SocketAddr::new(server.ip(), port));
            path.open(Door { at, leads_to, used: Use::Data })?;
        }
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || path.run(&stop).unwrap());
        Ok(Self { address, over, bell, thread: Some(thread) })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stays until the process is ended.
    pub fn stay(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let _ = self.bell.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where connections come in, and where they go.
struct Door {
    at: SocketAddr,
    leads_to: SocketAddr,
    used: Use,
}

/// What a door is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Control connections, whose replies name ports to be replaced.
    Control,
    /// One data connection; it is shut behind it.
    Once,
    /// Whatever comes, as it is.
    Data,
}

/// The relay's loop.
struct Path {
    poll: Poll,
    server: SocketAddr,
    delay: Duration,
    doors: HashMap<Token, (TcpListener, Door)>,
    lines: HashMap<usize, Line>,
    names: usize,
}

/// One relayed connection.
struct Line {
    near: TcpStream,
    far: Option<TcpStream>,
    leads_to: SocketAddr,
    /// When the server's side is connected.
    due: Instant,
    out: Flow,
    back: Flow,
    /// The server's half line, where addresses are replaced.
    control: Option<Vec<u8>>,
    broken: bool,
}

/// One direction of a connection.
struct Flow {
    underway: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// When the end arrives, once it is known.
    end: Option<Instant>,
    closed: bool,
}

impl Flow {
    fn new() -> Self {
        Self { underway: VecDeque::new(), bytes: 0, end: None, closed: false }
    }

    fn put(&mut self, when: Instant, piece: Vec<u8>) {
        self.bytes += piece.len();
        self.underway.push_back((when, piece));
    }

    fn next(&self) -> Option<Instant> {
        self.underway.front().map(|(when, _)| *when).or(self.end.filter(|_| !self.closed))
    }

    /// Reads what is there; `false` when the connection broke.
    fn take(&mut self, from: &mut TcpStream, when: Instant) -> Result<Vec<u8>, ()> {
        let mut piece = vec![0; 256 * 1024];
        let mut all = Vec::new();
        while self.end.is_none() && self.bytes + all.len() < UNDERWAY {
            match from.read(&mut piece) {
                Ok(0) => self.end = Some(when),
                Ok(count) => all.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(()),
            }
        }
        Ok(all)
    }

    /// Hands on what has arrived.
    fn give(&mut self, to: &mut TcpStream, now: Instant) -> Result<(), ()> {
        while let Some((when, piece)) = self.underway.front_mut() {
            if *when > now {
                return Ok(());
            }
            match to.write(piece) {
                Ok(count) => {
                    self.bytes -= count;
                    piece.drain(..count);
                    if piece.is_empty() {
                        self.underway.pop_front();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(()),
            }
        }
        if self.end.is_some_and(|when| when <= now) && !self.closed {
            self.closed = true;
            let _ = to.shutdown(Shutdown::Write);
        }
        Ok(())
    }
}

impl Path {
    fn run(&mut self, over: &AtomicBool) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        while !over.load(Ordering::Acquire) {
            let now = Instant::now();
            let next = self.lines.values().filter_map(|line| line.next(now)).min();
            let wait = next.map_or(BEAT, |when| when.saturating_duration_since(now).min(BEAT));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let callers: Vec<Token> =
                events.iter().map(|event| event.token()).filter(|token| self.doors.contains_key(token)).collect();
            for token in callers {
                self.admit(token)?;
            }
            self.carry()?;
        }
        Ok(())
    }

    fn open(&mut self, door: Door) -> io::Result<SocketAddr> {
        let mut listener = TcpListener::bind(door.at)?;
        let address = listener.local_addr()?;
        let token = self.name();
        self.poll.registry().register(&mut listener, Token(token), Interest::READABLE)?;
        self.doors.insert(Token(token), (listener, door));
        Ok(address)
    }

    fn name(&mut self) -> usize {
        self.names += 1;
        self.names
    }

    fn admit(&mut self, token: Token) -> io::Result<()> {
        while let Some((listener, door)) = self.doors.get(&token) {
            let mut near = match listener.accept() {
                Ok((near, _)) => near,
                Err(_) => return Ok(()),
            };
            let (leads_to, used) = (door.leads_to, door.used);
            near.set_nodelay(true)?;
            let name = self.name();
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut near, Token(name), both)?;
            let due = Instant::now() + 3 * self.delay;
            let control = (used == Use::Control).then(Vec::new);
            let (out, back) = (Flow::new(), Flow::new());
            self.lines.insert(name, Line { near, far: None, leads_to, due, out, back, control, broken: false });
            if used == Use::Once {
                self.doors.remove(&token);
            }
        }
        Ok(())
    }

    /// Moves everything that can be moved. The lines are few, so all of them are looked at.
    fn carry(&mut self) -> io::Result<()> {
        let names: Vec<usize> = self.lines.keys().copied().collect();
        for name in names {
            let Some(mut line) = self.lines.remove(&name) else { continue };
            let replies = line.carry(Instant::now(), self.delay, Token(name), self.poll.registry());
            let replies = self.redirected(&replies)?;
            if !replies.is_empty() {
                line.back.put(Instant::now() + self.delay, replies);
            }
            if !line.over() {
                self.lines.insert(name, line);
            }
        }
        Ok(())
    }

    /// Whole lines of the server with its data ports replaced.
    fn redirected(&mut self, lines: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            match port_told(&text) {
                Some(port) => {
                    let leads_to = SocketAddr::new(self.server.ip(), port);
                    let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
                    let door = self.open(Door { at, leads_to, used: Use::Once })?.port();
                    out.extend_from_slice(told(&text, door).as_bytes());
                }
                None => out.extend_from_slice(line),
            }
        }
        Ok(out)
    }
}

impl Line {
    /// When there is something to do next without an event. What is overdue waits for room, of which an event tells.
    fn next(&self, now: Instant) -> Option<Instant> {
        let due = self.far.is_none().then_some(self.due);
        let flows = [self.out.next(), self.back.next()].into_iter().flatten().filter(|when| *when > now);
        flows.chain(due).min()
    }

    fn over(&self) -> bool {
        self.broken || (self.out.closed && self.back.closed)
    }

    /// Reads and writes both sides; returns whole lines of a control connection's server, to be redirected.
    fn carry(&mut self, now: Instant, delay: Duration, token: Token, registry: &Registry) -> Vec<u8> {
        if self.far.is_none() && self.due <= now {
            self.far = TcpStream::connect(self.leads_to).ok();
            if let Some(far) = &mut self.far {
                let _ = far.set_nodelay(true);
                self.broken |= registry.register(far, token, Interest::READABLE | Interest::WRITABLE).is_err();
            }
            self.broken |= self.far.is_none();
        }
        // What a client says before a distant connection would be there is said when it is there.
        let heard = now.max(self.due - delay) + delay;
        let mut replies = Vec::new();
        match self.out.take(&mut self.near, heard) {
            Ok(piece) if piece.is_empty() => {}
            Ok(piece) => self.out.put(heard, piece),
            Err(()) => self.broken = true,
        }
        if let Some(far) = &mut self.far
            && far.peer_addr().is_ok()
        {
            self.broken |= self.out.give(far, now).is_err();
            match self.back.take(far, now + delay) {
                Ok(piece) => match &mut self.control {
                    Some(half) => {
                        half.extend_from_slice(&piece);
                        let whole = half.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                        let whole = if self.back.end.is_some() { half.len() } else { whole };
                        replies.extend(half.drain(..whole));
                    }
                    None if piece.is_empty() => {}
                    None => self.back.put(now + delay, piece),
                },
                Err(()) => self.broken = true,
            }
        } else if self.far.as_ref().is_some_and(|far| far.take_error().ok().flatten().is_some()) {
            self.broken = true;
        }
        self.broken |= self.back.give(&mut self.near, now).is_err();
        replies
    }
}

/// The data port in a line of the server.
fn port_told(line: &str) -> Option<u16> {
    let inside = line.split_once('(')?.1.split_once(')')?.0;
    if line.starts_with("229 ") {
        return inside.trim_matches('|').parse().ok();
    }
    let numbers: Vec<u16> = inside.split(',').filter_map(|number| number.parse().ok()).collect();
    match numbers[..] {
        [_, _, _, _, high, low] if line.starts_with("227 ") => Some(high << 8 | low),
        _ => None,
    }
}

fn told(line: &str, port: u16) -> String {
    let (before, rest) = line.split_once('(').unwrap();
    let (_, after) = rest.split_once(')').unwrap();
    if line.starts_with("229 ") {
        format!("{before}(|||{port}|){after}")
    } else {
        format!("{before}(127,0,0,1,{},{}){after}", port >> 8, port & 255)
    }
}
