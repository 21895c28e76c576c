//! One port of the passive pool: accepts, and matches whoever comes with a promise.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};

use super::Pool;
use crate::reactor::{Hush, Key, Moment, Next, Ready, Sockets, reset};

/// Connections taken a turn, so that a flood at one port leaves the others their time.
const ACCEPTS_A_TURN: usize = 64;

/// A port that was not promised to anybody for this long may be closed.
const IDLE_PORT: Duration = Duration::from_secs(300);

/// When descriptors ran out, try again after this: no edge will tell that one is free.
const RETRY: Duration = Duration::from_millis(100);

/// A pooled listener.
#[derive(Debug)]
pub struct PoolPort {
    listener: TcpListener,
    address: SocketAddr,
    used: Moment,
    waiting_for_descriptors: bool,
}

impl PoolPort {
    /// A listener already bound to `address`.
    pub const fn new(listener: TcpListener, address: SocketAddr, now: Moment) -> Self {
        Self { listener, address, used: now, waiting_for_descriptors: false }
    }

    /// Has its edges told.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn register(&mut self, sockets: Sockets<'_>) -> io::Result<()> {
        sockets.register(&mut self.listener)
    }

    /// When to look again without an edge.
    pub fn deadline(&self, now: Moment) -> Option<Moment> {
        Some(if self.waiting_for_descriptors { now.after(RETRY) } else { self.used.after(IDLE_PORT) })
    }

    /// One bounded turn: whoever was promised this port is handed over, everybody else is reset.
    pub fn advance(
        &mut self,
        ready: &mut Ready,
        now: Moment,
        pool: &mut Pool,
        strangers: &mut Hush,
        mut arrived: impl FnMut(Key, TcpStream),
    ) -> Next {
        let expired = ready.take(Ready::EXPIRED);
        if expired && self.waiting_for_descriptors {
            ready.set(Ready::READ);
        } else if expired && now >= self.used.after(IDLE_PORT) && !ready.has(Ready::READ) {
            if pool.retire(self.address) {
                return Next::Close;
            }
            self.used = now;
        }
        self.waiting_for_descriptors = false;
        for _ in 0..ACCEPTS_A_TURN {
            if !ready.has(Ready::READ) {
                return Next::Sleep;
            }
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    self.used = now;
                    match pool.claim(peer.ip().to_canonical(), self.address) {
                        Some(key) => arrived(key, stream),
                        None => {
                            if let Some(others) = strangers.speak(now) {
                                log::warn!("{peer}: reset, unexpected at {}, {others} others before", self.address);
                            }
                            reset(&stream);
                        }
                    }
                }
                Err(error) => self.failed(&error, ready, now, strangers),
            }
        }
        Next::Yield
    }

    fn failed(&mut self, error: &io::Error, ready: &mut Ready, now: Moment, hush: &mut Hush) {
        match error.kind() {
            io::ErrorKind::WouldBlock => ready.clear(Ready::READ),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {}
            _ => {
                if hush.speak(now).is_some() {
                    log::warn!("cannot accept a data connection at {}: {error}", self.address);
                }
                self.waiting_for_descriptors = true;
                ready.clear(Ready::READ);
            }
        }
    }
}
