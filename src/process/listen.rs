//! Control listeners, bound before anything else: a port that is taken ends the start, not the first connection.

use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use crate::server::settings::{ListenAddr, Settings};
use crate::server::{Bound, Door};

/// Connections the kernel holds until they are accepted. A burst beyond it costs its clients a second of
/// retransmission; the kernel caps the number by its own (net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// Binds every configured address. The error's text is complete: it names the address, and for a port that wants a
/// privilege the way around it.
pub fn bind_all(settings: &Settings) -> io::Result<Vec<Bound>> {
    let one = |(door, label): (Door, &ListenAddr)| {
        let listener = bind_one(label).map_err(|e| explain(label, &e, settings))?;
        let label = label.clone();
        Ok(Bound { door, label, listener })
    };
    settings.doors().map(one).collect()
}

/// Binds one address: the first of its candidates that can be.
pub fn bind_one(label: &ListenAddr) -> io::Result<TcpListener> {
    let mut last = io::Error::from(Errno::ADDRNOTAVAIL);
    for candidate in label.candidates()? {
        match bind_to(candidate, label.is_any()) {
            Ok(listener) => return Ok(listener),
            // `:PORT` falls back to IPv4 for want of IPv6 only: a busy port must not come out half served.
            Err(e) if label.is_any() && !lacks_family(&e) => return Err(e),
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn bind_to(address: SocketAddr, dual: bool) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    // A restart must not wait for the connections of the run before to leave TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // An address spelt out means itself: "[::]:21" and "0.0.0.0:21" can stand side by side.
        sockopt::set_ipv6_v6only(&socket, !dual)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

fn lacks_family(error: &io::Error) -> bool {
    let code = Errno::from_io_error(error);
    matches!(code, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

fn explain(label: &ListenAddr, error: &io::Error, settings: &Settings) -> io::Error {
    let text = match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "cannot listen on {label}: port {} wants a privilege this process does not have; without one: \
             miniftpd --port 2121 {}",
            label.port(),
            settings.root.display()
        ),
        io::ErrorKind::AddrInUse => {
            format!("cannot listen on {label}: another server has this address")
        }
        _ => format!("cannot listen on {label}: {error}"),
    };
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(listen: &str) -> Settings {
        Settings { listen: vec![listen.parse().unwrap()], ..Settings::default() }
    }

    #[test]
    fn port_zero_gets_a_port() {
        let bound = bind_all(&settings("127.0.0.1:0")).unwrap();
        let address = bound.first().unwrap().listener.local_addr().unwrap();
        assert_ne!(address.port(), 0);
    }

    #[test]
    fn every_address_takes_both_families() {
        let bound = bind_all(&settings(":0")).unwrap();
        let listener = &bound.first().unwrap().listener;
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn a_taken_port_is_explained() {
        let first = bind_all(&settings("127.0.0.1:0")).unwrap();
        let taken = first.first().unwrap().listener.local_addr().unwrap();
        let error = bind_all(&settings(&taken.to_string())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("another server"), "{error}");
    }

    #[test]
    fn a_refused_port_shows_the_way() {
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = explain(&":21".parse().unwrap(), &error, &settings(":21"));
        let text = error.to_string();
        assert!(text.contains("privilege") && text.contains("miniftpd --port 2121 ."), "{text}");
    }
}
