//! What a link's bytes travel in.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};

use mio::net::TcpStream;
use rustix::net::RecvFlags;

use super::Sockets;
use super::link::Moved;
#[cfg(feature = "tls")]
use super::tls::Tls;

/// The ways bytes can travel over a socket. Sessions and transfers never ask which one it is.
///
/// The socket itself is the link's: AUTH, CCC and REIN change the transport of a connection, and that is an assignment.
#[derive(Debug)]
pub enum Transport {
    /// TCP in the clear.
    Plain,
    /// TLS over TCP, on either side of it.
    #[cfg(feature = "tls")]
    Tls(Box<Tls>),
}

/// How far a handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// The peer's turn, or the socket's. Ready bits that are still set mean that there is more to do at once.
    Going,
    /// Both sides know each other.
    Done,
}

/// How far the way back to the clear is.
#[derive(Debug, PartialEq, Eq)]
pub enum Undressing {
    /// The peer's close_notify is still to come, or ours did not fit into the socket.
    Going,
    /// From here on the connection is plain; these bytes came after the peer's close_notify.
    Done(Vec<u8>),
}

/// What a call on a transport came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// For the caller.
    pub moved: Moved,
    /// About the socket.
    pub proof: Proof,
}

/// What a call has shown about the socket. The two differ: a transport may hold bytes while its socket is idle, and may
/// have taken bytes that its socket did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It may be good for more.
    None,
    /// It moved less than it was offered.
    Short,
    /// It said `WouldBlock`.
    Blocked,
}

#[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "in the clear the socket is all there is"))]
impl Transport {
    pub(super) fn read(&mut self, socket: &mut TcpStream, sockets: Sockets<'_>, buffer: &mut [u8]) -> io::Result<Call> {
        match self {
            Self::Plain => match plainly(buffer.len(), retry(|| socket.read(buffer)))? {
                Call { moved: Moved::Bytes(0), proof } => Ok(Call { moved: Moved::End, proof }),
                call => Ok(call),
            },
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.read(socket, sockets.wire(), buffer),
        }
    }

    /// Takes bytes off the stream that nobody wants to see. In the clear the kernel drops them without a copy.
    pub(super) fn discard(
        &mut self,
        socket: &mut TcpStream,
        sockets: Sockets<'_>,
        buffer: &mut [u8],
    ) -> io::Result<Call> {
        match self {
            Self::Plain => {
                let offered = buffer.len();
                // The second number is the true one: nothing was put into the buffer.
                let drop =
                    || socket.try_io(|| Ok(rustix::net::recv(socket.as_fd(), &mut *buffer, RecvFlags::TRUNC)?.1));
                match plainly(offered, retry(drop))? {
                    Call { moved: Moved::Bytes(0), proof } => Ok(Call { moved: Moved::End, proof }),
                    call => Ok(call),
                }
            }
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.read(socket, sockets.wire(), buffer),
        }
    }

    pub(super) fn write(&mut self, socket: &mut TcpStream, sockets: Sockets<'_>, bytes: &[u8]) -> io::Result<Call> {
        match self {
            Self::Plain => plainly(bytes.len(), retry(|| socket.write(bytes))),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.write(socket, sockets.wire(), bytes),
        }
    }

    /// Sends what the transport itself holds back.
    pub(super) fn flush(&mut self, socket: &mut TcpStream) -> io::Result<Proof> {
        match self {
            Self::Plain => Ok(Proof::None),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.flush(socket),
        }
    }

    /// Bytes that the transport holds back since the socket did not take them.
    pub(super) fn pending(&self) -> usize {
        match self {
            Self::Plain => 0,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.pending(),
        }
    }

    /// The kernel's own copy from a file to the socket, where the transport leaves bytes as they are; `EOPNOTSUPP` where
    /// it does not.
    pub(super) fn send_file(
        &self,
        socket: &TcpStream,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> io::Result<Call> {
        let sent = match self {
            Self::Plain => {
                retry(|| socket.try_io(|| Ok(rustix::fs::sendfile(socket.as_fd(), file, Some(&mut *offset), count)?)))
            }
            #[cfg(feature = "tls")]
            Self::Tls(_) => Err(rustix::io::Errno::OPNOTSUPP.into()),
        };
        match sent {
            Ok(0) => Ok(Call { moved: Moved::End, proof: Proof::None }),
            // A short count may be the file's doing as well as the socket's: only WouldBlock proves a full socket.
            Ok(sent) => Ok(Call { moved: Moved::Bytes(sent), proof: Proof::None }),
            error => plainly(count, error),
        }
    }

    /// Goes on with a handshake. The proofs are about reading and about writing.
    pub(super) fn handshake(
        &mut self,
        socket: &mut TcpStream,
        sockets: Sockets<'_>,
    ) -> io::Result<(Handshake, Proof, Proof)> {
        match self {
            Self::Plain => Ok((Handshake::Done, Proof::None, Proof::None)),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.handshake(socket, sockets.wire()),
        }
    }

    /// Goes on towards a connection in the clear.
    pub(super) fn undress(&mut self, socket: &mut TcpStream, sockets: Sockets<'_>) -> io::Result<(Undressing, Proof)> {
        match self {
            Self::Plain => Ok((Undressing::Done(Vec::new()), Proof::None)),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.undress(socket, sockets.wire()),
        }
    }

    /// Says that no more will come: close_notify where there is one, then FIN, which waits for it.
    pub(super) fn finish(&mut self, socket: &mut TcpStream) -> io::Result<Proof> {
        let proof = match self {
            Self::Plain => Proof::None,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.close(socket)?,
        };
        if self.pending() == 0 {
            socket.shutdown(Shutdown::Write)?;
        }
        Ok(proof)
    }
}

/// A call on the bare socket: `WouldBlock` is an answer and no error.
pub(super) fn plainly(offered: usize, result: io::Result<usize>) -> io::Result<Call> {
    match result {
        Ok(count) => {
            let proof = if count < offered { Proof::Short } else { Proof::None };
            Ok(Call { moved: Moved::Bytes(count), proof })
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Ok(Call { moved: Moved::Blocked, proof: Proof::Blocked })
        }
        Err(error) => Err(error),
    }
}

/// A call that a signal interrupted did nothing: do it again, a bounded number of times.
pub(super) fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    const TRIES: usize = 8;
    for _ in 1..TRIES {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
    call()
}
