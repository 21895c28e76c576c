//! A server in a folder of its own, and peers that talk to it line by line.
//!
//! A test reads like the dialogue it tests:
//!
//! ```ignore
//! let server = Server::full();
//! let mut ftp = server.login();
//! ftp.say("CWD /nowhere").expect(550);
//! ```
//!
//! Every reply is held to the reply grammar (RFC 959 4.2) and, when a verb is known to have caused it, to that verb's
//! row of `miniftpd --replies`: each test so tests the table too. Nothing sleeps; whatever is waited for has
//! [`PATIENCE`] to happen, after which the test fails instead of hanging.

#![allow(dead_code, unused_imports, reason = "every test file is a program of its own and uses a part of this")]

pub mod client;
pub mod mount;
mod peer;
pub mod processes;
mod scene;
mod server;
pub mod shim;
pub mod strace;
mod table;

pub use peer::{Peer, Reply};
pub use scene::{
    NOBODY, cpu_ticks, cpu_ticks_of, first_word, free_ports, is_root, leave_descriptors, limit_descriptors, resident,
    stuck_download, until_counted, upload,
};
pub use server::Server;
pub use table::{rows, states};

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketType, sockopt};

/// How long anything may take. Far more than it takes on a busy machine: only a hang gets here.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What an accounts file holds for the password "secret". SHA-256 crypt, since argon2 is dear on purpose.
pub const SECRET_HASH: &str = "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";

/// A connection that cannot hang a test.
pub fn connect(to: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(to).unwrap())
}

/// A connection from an address of one's choice: `127.0.0.2` plays the stranger.
pub fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    rustix::net::connect(&socket, &to).unwrap();
    patient(TcpStream::from(socket))
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The next connection.
pub fn accept(listener: &TcpListener) -> TcpStream {
    assert!(has_caller(listener, PATIENCE), "nobody connects");
    patient(listener.accept().unwrap().0)
}

/// Whether somebody connects within a time, which is nothing for "has connected already".
pub fn has_caller(listener: &TcpListener, within: Duration) -> bool {
    let time = Timespec::try_from(within).unwrap();
    rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&time))).unwrap() > 0
}

/// Everything up to the end of the stream, which must be an orderly one.
pub fn read_all(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// What a download brings; for an upload, nothing is sent and the stream ends.
pub fn read_all_or_close(stream: TcpStream, download: bool) -> Vec<u8> {
    if download { read_all(stream) } else { Vec::new() }
}

/// Exactly so many bytes.
pub fn read_some(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// One read. A process that was stopped and goes on finds it interrupted, since sockets with a limit of time are not
/// read again by the kernel.
pub fn read_once(stream: &mut impl Read, piece: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.read(piece) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Whether the stream ends, in order or by a reset, without a further byte.
pub fn is_closed(stream: &mut impl Read) -> bool {
    match read_once(stream, &mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Closes a connection by RST: what the peer has not read is lost, and it is told so.
pub fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

/// Sends all and the end of the stream.
pub fn send_all(mut stream: TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
}

/// Bytes that look like nothing in particular and differ at each place: line ends, NUL and FF among them.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
