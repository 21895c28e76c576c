//! A connection as records see it: a transport, readiness, and output that did not fit yet.

use std::io;
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use mio::net::TcpStream;

use super::{Ready, Sockets, Transport};

/// What a call on a link achieved. Errors of the connection come as `io::Error` beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes went through.
    Bytes(usize),
    /// Nothing now; an edge will come.
    Blocked,
    /// The peer will send no more (or, for `send_file`, the file ended early).
    End,
}

/// One connection: reading, writing with at most one unsent remainder, and the ready bits kept honest.
#[derive(Debug)]
pub struct Link {
    transport: Transport,
    registered: bool,
    /// Bytes accepted by `send` that the socket did not take yet; empty and without heap most of the time.
    unsent: Vec<u8>,
    /// How much of `unsent` is out already.
    gone: usize,
}

impl Link {
    /// A link over a plain socket that the poller does not know yet.
    ///
    /// It is registered at the first `WouldBlock`, not before: many data connections never get there.
    pub const fn new(stream: TcpStream) -> Self {
        Self { transport: Transport::Plain(stream), registered: false, unsent: Vec::new(), gone: 0 }
    }

    /// Registers now, for connections that must be heard before they are used.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn register(&mut self, sockets: Sockets<'_>) -> io::Result<()> {
        if !self.registered {
            sockets.register(self.transport.socket_mut())?;
            self.registered = true;
        }
        Ok(())
    }

    /// Waits for input on a link that will never send: its edge tells, also of what has come already. Asking first would
    /// mostly be asking too early.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn listen(&mut self, ready: &mut Ready, sockets: Sockets<'_>) -> io::Result<()> {
        if !self.registered {
            sockets.register_inward(self.transport.socket_mut())?;
            self.registered = true;
            ready.clear(Ready::READ);
        }
        Ok(())
    }

    /// Reads once.
    ///
    /// # Errors
    /// The connection's: reset, timed out.
    pub fn read(&mut self, ready: &mut Ready, sockets: Sockets<'_>, buffer: &mut [u8]) -> io::Result<Moved> {
        let offered = buffer.len();
        let result = retry(|| self.transport.read(buffer));
        let moved = self.judge(ready, Ready::READ, offered, sockets, result)?;
        Ok(if moved == Moved::Bytes(0) { Moved::End } else { moved })
    }

    /// Takes all of `bytes`: what the socket does not take now is kept and sent by [`Link::flush`].
    /// The caller bounds how much it hands over by looking at [`Link::unsent`].
    ///
    /// # Errors
    /// The connection's.
    pub fn send(&mut self, ready: &mut Ready, sockets: Sockets<'_>, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while self.unsent.is_empty() && !rest.is_empty() && ready.has(Ready::WRITE) {
            let result = retry(|| self.transport.write(rest));
            if let Moved::Bytes(count) = self.judge(ready, Ready::WRITE, rest.len(), sockets, result)? {
                rest = &rest[count..];
            }
        }
        self.unsent.extend_from_slice(rest);
        Ok(())
    }

    /// Adds to the output without trying the socket: replies of one turn leave in one write.
    pub fn queue(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    /// Sends what waits. True when nothing is left.
    ///
    /// # Errors
    /// The connection's.
    pub fn flush(&mut self, ready: &mut Ready, sockets: Sockets<'_>) -> io::Result<bool> {
        while self.gone < self.unsent.len() && ready.has(Ready::WRITE) {
            let offered = self.unsent.len() - self.gone;
            let result = retry(|| self.transport.write(&self.unsent[self.gone..]));
            if let Moved::Bytes(count) = self.judge(ready, Ready::WRITE, offered, sockets, result)? {
                self.gone += count;
            }
        }
        if self.gone < self.unsent.len() {
            return Ok(false);
        }
        self.gone = 0;
        self.unsent = Vec::new();
        Ok(true)
    }

    /// Whether the poller knows the socket, so that its edges are told.
    pub const fn registered(&self) -> bool {
        self.registered
    }

    /// Bytes that wait to be sent.
    pub const fn unsent(&self) -> usize {
        self.unsent.len() - self.gone
    }

    /// Sends up to `count` bytes of a file from `offset` on, without their passing through this process.
    ///
    /// # Errors
    /// The connection's or the file's (`EIO`).
    pub fn send_file(
        &mut self,
        ready: &mut Ready,
        sockets: Sockets<'_>,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> io::Result<Moved> {
        let result = retry(|| self.transport.send_file(file, offset, count));
        match result {
            Ok(0) => Ok(Moved::End),
            // A short count may be the file's doing as well as the socket's: only WouldBlock proves a full socket.
            Ok(sent) => Ok(Moved::Bytes(sent)),
            blocked_or_error => self.judge(ready, Ready::WRITE, count, sockets, blocked_or_error),
        }
    }

    /// Tells the peer that no more will come (FIN), after everything sent so far.
    ///
    /// # Errors
    /// `ENOTCONN` when the peer is gone already.
    pub fn finish(&mut self) -> io::Result<()> {
        self.transport.socket().shutdown(Shutdown::Write)
    }

    /// Closes so that the peer cannot take it for an orderly end (RST), and so that the kernel keeps nothing.
    pub fn reset(self) {
        reset(self.transport.socket());
    }

    /// The socket, for addresses and errors.
    pub const fn socket(&self) -> &TcpStream {
        self.transport.socket()
    }

    /// Keeps the ready bits honest: `WouldBlock` clears one, and so does a call that moved less than it was offered,
    /// unless the peer has hung up and the end itself is still to be met.
    fn judge(
        &mut self,
        ready: &mut Ready,
        direction: Ready,
        offered: usize,
        sockets: Sockets<'_>,
        result: io::Result<usize>,
    ) -> io::Result<Moved> {
        match result {
            Ok(count) => {
                let proof = self.registered && !ready.has(Ready::HANGUP) && !ready.has(Ready::URGENT);
                if count < offered && proof {
                    ready.clear(direction);
                }
                Ok(Moved::Bytes(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready.clear(direction);
                if direction == Ready::READ {
                    ready.clear(Ready::URGENT);
                }
                self.register(sockets)?;
                Ok(Moved::Blocked)
            }
            Err(error) => Err(error),
        }
    }
}

/// Makes the coming close of a socket a reset. Failure only means that the close will be an ordinary one.
pub fn reset(stream: &TcpStream) {
    if let Err(error) = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)) {
        log::debug!("cannot reset a connection: {error}");
    }
}

/// A call that a signal interrupted did nothing: do it again, a bounded number of times.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    const TRIES: usize = 8;
    for _ in 1..TRIES {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
    call()
}
