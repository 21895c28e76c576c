//! What a link's bytes travel on.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use mio::net::TcpStream;
use rustix::net::RecvFlags;

/// The ways bytes can travel. Sessions and transfers never ask which one it is.
#[derive(Debug)]
pub enum Transport {
    /// TCP in the clear.
    Plain(TcpStream),
}

impl Transport {
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
        }
    }

    /// Takes bytes off the stream that nobody wants to see. Over TCP the kernel drops them without a copy.
    pub(super) fn discard(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            // The second number is the true one: nothing was put into the buffer.
            Self::Plain(stream) => {
                stream.try_io(|| Ok(rustix::net::recv(stream.as_fd(), buffer, RecvFlags::TRUNC)?.1))
            }
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
        }
    }

    /// The kernel's own copy from a file to the socket, where the transport leaves bytes as they are.
    pub(super) fn send_file(&mut self, file: BorrowedFd<'_>, offset: &mut u64, count: usize) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => {
                stream.try_io(|| Ok(rustix::fs::sendfile(stream.as_fd(), file, Some(offset), count)?))
            }
        }
    }

    /// The socket beneath.
    pub const fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
        }
    }

    pub(super) const fn socket_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
        }
    }
}
