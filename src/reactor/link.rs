//! A connection as records see it: a transport, readiness, and output that did not fit yet.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use mio::net::TcpStream;

use super::transport::{Call, Proof, Transport};
use super::{Handshake, Ready, Sockets, Undressing};

/// What a call on a link achieved. Errors of the connection come as `io::Error` beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes went through. None at all: what came was the transport's own; the ready bits tell whether to go on.
    Bytes(usize),
    /// Nothing now; an edge will come.
    Blocked,
    /// The peer will send no more (or, for `send_file`, the file ended early).
    End,
    /// The peer's bytes stopped without the end that its transport has for them (TLS: FIN without close_notify). Somebody
    /// on the way may have cut them off.
    Cut,
}

/// One connection: reading, writing with at most one unsent remainder, and the ready bits kept honest.
#[derive(Debug)]
pub struct Link {
    socket: TcpStream,
    transport: Transport,
    registered: bool,
    /// Bytes accepted by `send` that the transport did not take yet; empty and without heap most of the time.
    unsent: Vec<u8>,
    /// How much of `unsent` is out already.
    gone: usize,
}

impl Link {
    /// A link in the clear over a socket that the poller does not know yet.
    ///
    /// It is registered at the first `WouldBlock`, not before: many data connections never get there.
    pub const fn new(socket: TcpStream) -> Self {
        Self { socket, transport: Transport::Plain, registered: false, unsent: Vec::new(), gone: 0 }
    }

    /// Goes on in TLS from here. The bytes read and sent so far must be out of the way: nothing waits in either direction.
    #[cfg(feature = "tls")]
    pub fn dress(&mut self, tls: super::Tls) {
        self.transport = Transport::Tls(Box::new(tls));
    }

    /// What TLS knows about the peer, where there is TLS.
    #[cfg(feature = "tls")]
    pub const fn tls(&self) -> Option<&super::Tls> {
        match &self.transport {
            Transport::Tls(tls) => Some(tls),
            Transport::Plain => None,
        }
    }

    /// Goes on with the handshake, as far as it gets now. In the clear there is none, and it is done.
    ///
    /// # Errors
    /// The connection's, and `InvalidData` for a peer that cannot or must not go on; it has been sent an alert then.
    pub fn handshake(&mut self, ready: &mut Ready, sockets: Sockets<'_>) -> io::Result<Handshake> {
        let (progress, read, written) = self.transport.handshake(&mut self.socket, sockets)?;
        self.note(ready, Ready::WRITE, sockets, written)?;
        self.note(ready, Ready::READ, sockets, read)?;
        if progress == Handshake::Done {
            // Whoever wanted to read or write meanwhile was told to wait, and no edge will end that.
            ready.set(Ready::unknown());
        }
        Ok(progress)
    }

    /// Goes back to the clear after everything sent so far: close_notify in both directions, then plain bytes.
    ///
    /// # Errors
    /// The connection's; `UnexpectedEof` when the peer closes instead.
    pub fn undress(&mut self, ready: &mut Ready, sockets: Sockets<'_>) -> io::Result<Undressing> {
        if !self.flush(ready, sockets)? {
            return Ok(Undressing::Going);
        }
        let (progress, proof) = self.transport.undress(&mut self.socket, sockets)?;
        self.note(ready, Ready::READ, sockets, proof)?;
        if progress != Undressing::Going {
            self.transport = Transport::Plain;
        }
        Ok(progress)
    }

    /// Registers now, for connections that must be heard before they are used.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn register(&mut self, sockets: Sockets<'_>) -> io::Result<()> {
        if !self.registered {
            sockets.register(&mut self.socket)?;
            self.registered = true;
        }
        Ok(())
    }

    /// Waits for input on a link in the clear that will never send: its edge tells, also of what has come already. Asking
    /// first would mostly be asking too early. Under TLS both directions are needed, and input may have been read already.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn listen(&mut self, ready: &mut Ready, sockets: Sockets<'_>) -> io::Result<()> {
        if !self.registered && self.is_clear() {
            sockets.register_inward(&mut self.socket)?;
            self.registered = true;
            ready.clear(Ready::READ);
        }
        Ok(())
    }

    /// Reads once.
    ///
    /// # Errors
    /// The connection's: reset, timed out, and `InvalidData` for what is no TLS.
    pub fn read(&mut self, ready: &mut Ready, sockets: Sockets<'_>, buffer: &mut [u8]) -> io::Result<Moved> {
        let call = self.transport.read(&mut self.socket, sockets, buffer)?;
        self.judge(ready, Ready::READ, sockets, call)
    }

    /// Reads once and forgets what it read, at most a buffer's length; the buffer may hold anything afterwards.
    ///
    /// # Errors
    /// The connection's.
    pub fn discard(&mut self, ready: &mut Ready, sockets: Sockets<'_>, buffer: &mut [u8]) -> io::Result<Moved> {
        let call = self.transport.discard(&mut self.socket, sockets, buffer)?;
        self.judge(ready, Ready::READ, sockets, call)
    }

    /// Takes all of `bytes`: what the socket does not take now is kept and sent by [`Link::flush`].
    /// The caller bounds how much it hands over by looking at [`Link::unsent`].
    ///
    /// # Errors
    /// The connection's.
    pub fn send(&mut self, ready: &mut Ready, sockets: Sockets<'_>, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while self.unsent.is_empty() && !rest.is_empty() && ready.has(Ready::WRITE) {
            let call = self.transport.write(&mut self.socket, sockets, rest)?;
            if let Moved::Bytes(count) = self.judge(ready, Ready::WRITE, sockets, call)? {
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
            let call = self.transport.write(&mut self.socket, sockets, &self.unsent[self.gone..])?;
            if let Moved::Bytes(count) = self.judge(ready, Ready::WRITE, sockets, call)? {
                self.gone += count;
            }
        }
        if self.gone == self.unsent.len() {
            self.gone = 0;
            self.unsent = Vec::new();
        }
        while self.unsent.is_empty() && self.transport.pending() > 0 && ready.has(Ready::WRITE) {
            let proof = self.transport.flush(&mut self.socket)?;
            self.note(ready, Ready::WRITE, sockets, proof)?;
        }
        Ok(self.unsent() == 0)
    }

    /// Whether bytes travel as they are.
    pub const fn is_clear(&self) -> bool {
        matches!(self.transport, Transport::Plain)
    }

    /// Whether the poller knows the socket, so that its edges are told.
    pub const fn registered(&self) -> bool {
        self.registered
    }

    /// Bytes that wait to be sent, as many as they are by now: TLS adds to them.
    pub fn unsent(&self) -> usize {
        self.unsent.len() - self.gone + self.transport.pending()
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
        let call = self.transport.send_file(&self.socket, file, offset, count)?;
        self.judge(ready, Ready::WRITE, sockets, call)
    }

    /// Tells the peer that no more will come, after everything sent so far: FIN, and close_notify before it. False: it did
    /// not all fit into the socket; to be called again when that is writable.
    ///
    /// # Errors
    /// `ENOTCONN` when the peer is gone already.
    pub fn finish(&mut self, ready: &mut Ready, sockets: Sockets<'_>) -> io::Result<bool> {
        let proof = self.transport.finish(&mut self.socket)?;
        self.note(ready, Ready::WRITE, sockets, proof)?;
        Ok(self.transport.pending() == 0)
    }

    /// What the transport has to say before a close that follows at once; nothing in the clear. A socket that takes no more
    /// does without it.
    ///
    /// # Errors
    /// When the peer is gone already.
    pub fn sign_off(&mut self, ready: &mut Ready, sockets: Sockets<'_>) -> io::Result<()> {
        if self.is_clear() {
            return Ok(());
        }
        self.finish(ready, sockets).map(drop)
    }

    /// Closes so that the peer cannot take it for an orderly end (RST), and so that the kernel keeps nothing.
    pub fn reset(self) {
        reset(&self.socket);
    }

    /// The socket, for addresses and errors.
    pub const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn judge(&mut self, ready: &mut Ready, direction: Ready, sockets: Sockets<'_>, call: Call) -> io::Result<Moved> {
        self.note(ready, direction, sockets, call.proof)?;
        Ok(call.moved)
    }

    /// Keeps the ready bits honest: `WouldBlock` clears one, and so does a call that moved less than it was offered,
    /// unless the peer has hung up and the end itself is still to be met.
    fn note(&mut self, ready: &mut Ready, direction: Ready, sockets: Sockets<'_>, proof: Proof) -> io::Result<()> {
        match proof {
            Proof::None => {}
            Proof::Short => {
                if self.registered && !ready.has(Ready::HANGUP) && !ready.has(Ready::URGENT) {
                    ready.clear(direction);
                }
            }
            Proof::Blocked => {
                ready.clear(direction);
                if direction == Ready::READ {
                    ready.clear(Ready::URGENT);
                }
                self.register(sockets)?;
            }
        }
        Ok(())
    }
}

/// Makes the coming close of a socket a reset. Failure only means that the close will be an ordinary one.
pub fn reset(stream: &TcpStream) {
    if let Err(error) = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)) {
        log::debug!("cannot reset a connection: {error}");
    }
}
