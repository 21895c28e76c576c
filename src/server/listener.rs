//! A control listener: accepts in batches, and does not lose its voice when descriptors run out.
//!
//! With edge triggering a failed `accept` is the last that is heard of those who wait: no further edge comes until
//! somebody *new* connects. So one descriptor is held in reserve; when there is none left it is given up for a moment
//! to tell the newcomer 421, and when even that fails a timer asks again.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::Door;
use mio::net::{TcpListener, TcpStream};
use rustix::io::Errno;

use crate::reactor::{Hush, Moment, Next, Ready, Sockets};

/// Connections taken a turn, before those already in get their time.
const ACCEPTS_A_TURN: usize = 64;

/// After running out of descriptors entirely, ask again after this.
const RETRY: Duration = Duration::from_millis(100);

/// What is told to those who cannot be served at all.
const FULL: &[u8] = b"421 Too many connections, try again later.\r\n";

/// A listening control socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    door: Door,
    reserve: Option<File>,
    /// Somebody waits whom no edge will announce again.
    accept_pending: bool,
    hush: Hush,
}

impl Listener {
    /// Takes over a bound, listening socket.
    pub fn new(socket: TcpListener, door: Door) -> Self {
        Self { socket, door, reserve: spare(), accept_pending: false, hush: Hush::default() }
    }

    /// What its connections begin with.
    pub const fn door(&self) -> Door {
        self.door
    }

    /// Has its edges told.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn register(&mut self, sockets: Sockets<'_>) -> io::Result<()> {
        sockets.register(&mut self.socket)
    }

    /// When to look again without an edge.
    pub fn deadline(&self, now: Moment) -> Option<Moment> {
        self.accept_pending.then(|| now.after(RETRY))
    }

    /// One bounded turn; whoever was accepted goes to `arrived`.
    pub fn advance(&mut self, ready: &mut Ready, now: Moment, mut arrived: impl FnMut(TcpStream, SocketAddr)) -> Next {
        if ready.take(Ready::EXPIRED) && self.accept_pending {
            ready.set(Ready::READ);
        }
        self.accept_pending = false;
        for _ in 0..ACCEPTS_A_TURN {
            if !ready.has(Ready::READ) {
                return Next::Sleep;
            }
            match self.socket.accept() {
                Ok((stream, peer)) => arrived(stream, peer),
                Err(error) => self.failed(&error, ready, now),
            }
        }
        Next::Yield
    }

    fn failed(&mut self, error: &io::Error, ready: &mut Ready, now: Moment) {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN) => ready.clear(Ready::READ),
            Some(Errno::MFILE | Errno::NFILE) => {
                self.report(now, error);
                if !self.refuse_with_reserve() {
                    self.accept_pending = true;
                    ready.clear(Ready::READ);
                }
            }
            Some(Errno::NOBUFS | Errno::NOMEM) => {
                self.report(now, error);
                self.accept_pending = true;
                ready.clear(Ready::READ);
            }
            // What goes wrong with one newcomer before it is accepted (reset, unreachable …) is no reason to stop.
            _ => log::debug!("a connection went before it was accepted: {error}"),
        }
    }

    /// Spends the reserve on telling one newcomer. False: nobody could be told.
    fn refuse_with_reserve(&mut self) -> bool {
        if self.reserve.take().is_none() {
            self.reserve = spare();
            return false;
        }
        let told = self.socket.accept().map(|(stream, _)| refuse(self.door, stream, FULL)).is_ok();
        self.reserve = spare();
        told
    }

    fn report(&mut self, now: Moment, error: &io::Error) {
        if self.hush.speak(now).is_some() {
            log::error!("cannot take more connections: {error}");
        }
    }
}

/// Says one line to somebody who will not be served, without ever waiting for it. Whoever expects TLS could not read it.
pub fn refuse(door: Door, mut stream: TcpStream, line: &[u8]) {
    if door == Door::Implicit {
        return;
    }
    // A fresh connection's buffer is empty: the line fits, or the peer is gone.
    if let Err(error) = stream.write(line) {
        log::debug!("could not even refuse: {error}");
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}
