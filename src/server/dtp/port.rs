//! One port of the passive pool: accepts, and matches whoever comes with a promise.
//!
//! Once everybody has come who was promised the port, the queue behind them is not asked whether it is empty: it nearly
//! always is, and asking would be one system call in fourteen of a small download. A stranger who did wait there is
//! reset a moment later, by a timer or together with the next who comes.

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

/// How long a stranger may wait for the reset behind somebody who was expected.
const GLANCE: Duration = Duration::from_millis(20);

/// A pooled listener.
#[derive(Debug)]
pub struct PoolPort {
    listener: TcpListener,
    address: SocketAddr,
    used: Moment,
    vigil: Vigil,
}

/// What tells that somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vigil {
    /// An edge; the queue was seen empty.
    Edges,
    /// A timer, beside the edges: who was expected has come, strangers may wait behind.
    Glance,
    /// A timer: descriptors ran out.
    Descriptors,
}

impl PoolPort {
    /// A listener already bound to `address`.
    pub const fn new(listener: TcpListener, address: SocketAddr, now: Moment) -> Self {
        Self { listener, address, used: now, vigil: Vigil::Edges }
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
        Some(match self.vigil {
            Vigil::Edges => self.used.after(IDLE_PORT),
            Vigil::Glance => now.after(GLANCE),
            Vigil::Descriptors => now.after(RETRY),
        })
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
        if expired && self.vigil != Vigil::Edges {
            ready.set(Ready::READ);
        } else if expired && now >= self.used.after(IDLE_PORT) && !ready.has(Ready::READ) {
            if pool.retire(self.address) {
                return Next::Close;
            }
            self.used = now;
        }
        let looks = self.vigil == Vigil::Glance && expired;
        self.vigil = Vigil::Edges;
        for _ in 0..ACCEPTS_A_TURN {
            if !ready.has(Ready::READ) {
                return Next::Sleep;
            }
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    self.used = now;
                    match pool.claim(peer.ip().to_canonical(), self.address) {
                        Some(key) => {
                            arrived(key, stream);
                            if !looks && !pool.awaits(self.address) {
                                self.vigil = Vigil::Glance;
                                ready.clear(Ready::READ);
                            }
                        }
                        None => {
                            if let Some(others) = strangers.speak(now) {
                                log::warn!("{peer}: reset, unexpected at {}{others}", self.address);
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
                self.vigil = Vigil::Descriptors;
                ready.clear(Ready::READ);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Clock;
    use crate::server::dtp::Offer;
    use std::io::Read;

    #[test]
    fn a_stranger_behind_somebody_expected_is_reset_a_moment_later() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        listener.set_nonblocking(true).expect("a flag");
        let address = listener.local_addr().expect("an address");
        let connect = || std::net::TcpStream::connect(address).expect("a connection");
        let (_expected, mut stranger) = (connect(), connect());
        let now = Clock::start().now();
        let mut port = PoolPort::new(TcpListener::from_std(listener), address, now);
        let (mut pool, mut strangers) = (Pool::default(), Hush::default());
        pool.opened(address);
        let key = Key::from_u64(7);
        assert_eq!(pool.promise(address.ip(), address.ip(), key), Offer::Port(address));
        let mut ready = Ready::unknown();
        let mut came = Vec::new();
        let mut turn = |ready: &mut Ready, now| {
            port.advance(ready, now, &mut pool, &mut strangers, |key, stream| came.push((key, stream)));
            port.deadline(now)
        };
        let look = turn(&mut ready, now).expect("a moment to look again");
        assert_eq!(look, now.after(GLANCE));
        ready.set(Ready::EXPIRED);
        assert_eq!(turn(&mut ready, look), Some(look.after(IDLE_PORT)), "nobody is left to look for");
        assert_eq!(came.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key]);
        assert_eq!(stranger.read(&mut [0]).map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
    }
}
