//! Connections: from an address of one's choice, and tuned for a dialogue.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use nix::sys::socket::{setsockopt, sockopt};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Begins to connect. With a source address the port is left to `connect`, which needs it to be free only towards this
/// one peer; `bind` would want one that is free towards everybody, and of those an address has not 30,000.
///
/// # Errors
/// What the kernel says: `EADDRNOTAVAIL` for an address that is not ours or ports that are all taken.
pub fn connect(source: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(to) };
    let family = if source.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    if let Err(errno) = setsockopt(&socket, sockopt::IpBindAddressNoPort, &true) {
        log::debug!("the port is chosen early: {errno}");
    }
    rustix::net::bind(&socket, &SocketAddr::new(source, 0))?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from_std(socket.into())),
        Err(errno) => Err(errno.into()),
    }
}

/// A vanished server is asked for after this.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Failure of these options costs speed, not correctness.
pub(super) fn tune(stream: &TcpStream) {
    let set = stream
        .set_nodelay(true)
        .and_then(|()| Ok(rustix::net::sockopt::set_socket_keepalive(stream, true)?))
        .and_then(|()| Ok(rustix::net::sockopt::set_tcp_keepidle(stream, KEEPALIVE)?))
        .and_then(|()| Ok(rustix::net::sockopt::set_socket_oobinline(stream, true)?));
    if let Err(error) = set {
        log::debug!("socket options: {error}");
    }
}
