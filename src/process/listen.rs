//! Control listeners, bound before anything else: a port that is taken ends the start, not the first connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use super::keeper::Listeners;
use crate::server::settings::{ListenAddr, Settings};
use crate::server::{Bound, Door};

/// Connections the kernel holds until they are accepted. A burst beyond it costs its clients a second of
/// retransmission; the kernel caps the number by its own (net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// Binds every configured address, a set of sockets for each worker, or takes what a service manager hands over
/// (`LISTEN_FDS`). An error's text is complete: it names the address, and for a port that wants a privilege the way
/// around it.
pub fn bind_all(settings: &Settings) -> io::Result<Listeners> {
    let workers = settings.workers.get() as usize;
    let given = handed_over(settings)?;
    let sets = match given.is_empty() {
        // All workers accept from the same sockets: only who binds can bind several.
        false => (0..workers).map(|_| given.iter().map(again).collect()).collect::<io::Result<_>>()?,
        true => {
            let mut sets: Vec<Vec<Bound>> = (0..workers).map(|_| Vec::new()).collect();
            for (door, label) in settings.doors() {
                let sockets = bind_each(label, workers).map_err(|e| explain(label, &e, settings))?;
                for (set, listener) in sets.iter_mut().zip(sockets) {
                    set.push(Bound { door, label: label.clone(), listener });
                }
            }
            sets
        }
    };
    Ok(Listeners { sets, given: !given.is_empty() })
}

/// Binds one address: the first of its candidates that can be.
pub fn bind_one(label: &ListenAddr) -> io::Result<TcpListener> {
    let mut sockets = bind_each(label, 1)?;
    sockets.pop().ok_or_else(|| io::Error::from(Errno::ADDRNOTAVAIL))
}

/// The sockets that were handed over, named by their own addresses. One on a port of `tls.implicit` is for that.
fn handed_over(settings: &Settings) -> io::Result<Vec<Bound>> {
    let mut given = ListenFd::from_env();
    let mut bound = Vec::new();
    for index in 0..given.len() {
        let socket = given.take_tcp_listener(index).map_err(|e| io::Error::other(format!("LISTEN_FDS: {e}")))?;
        let Some(listener) = socket else { continue };
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let label = address.to_string().parse().map_err(io::Error::other)?;
        let implicit = settings.tls.iter().flat_map(|tls| &tls.implicit).any(|label| label.port() == address.port());
        let door = if implicit { Door::Implicit } else { Door::Explicit };
        bound.push(Bound { door, label, listener });
    }
    Ok(bound)
}

fn again(bound: &Bound) -> io::Result<Bound> {
    Ok(Bound { door: bound.door, label: bound.label.clone(), listener: bound.listener.try_clone()? })
}

fn bind_each(label: &ListenAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let mut last = io::Error::from(Errno::ADDRNOTAVAIL);
    for candidate in label.candidates()? {
        match bind_to(candidate, label.is_any(), count) {
            Ok(listeners) => return Ok(listeners),
            // `:PORT` falls back to IPv4 for want of IPv6 only: a busy port must not come out half served.
            Err(e) if label.is_any() && !lacks_family(&e) => return Err(e),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// So many sockets on one address, among which the kernel divides who comes (SO_REUSEPORT).
///
/// The option is set only after the first has the address: with it from the beginning, a second server on the same address
/// would not be refused but get its share of the clients.
fn bind_to(address: SocketAddr, dual: bool, count: usize) -> io::Result<Vec<TcpListener>> {
    let first = stream(address, dual)?;
    bind(&first, &address)?;
    let address = match SocketAddr::try_from(rustix::net::getsockname(&first)?) {
        Ok(bound) => bound, // port 0 has become one
        Err(_) => address,
    };
    let mut sockets = vec![first];
    for _ in 1..count {
        let next = stream(address, dual)?;
        for socket in sockets.iter().chain([&next]) {
            sockopt::set_socket_reuseport(socket, true)?;
        }
        bind(&next, &address)?;
        sockets.push(next);
    }
    for socket in &sockets {
        listen(socket, BACKLOG)?;
    }
    Ok(sockets.into_iter().map(TcpListener::from).collect())
}

fn stream(address: SocketAddr, dual: bool) -> io::Result<OwnedFd> {
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
    Ok(socket)
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

    fn first(listen: &str) -> Bound {
        bind_all(&settings(listen)).unwrap().sets.remove(0).remove(0)
    }

    #[test]
    fn workers_share_a_port_and_nobody_else_does() {
        for listen in ["127.0.0.1:0", ":0"] {
            let settings = Settings { workers: 3.try_into().unwrap(), ..settings(listen) };
            let bound = bind_all(&settings).unwrap();
            let address = |set: &Vec<Bound>| set[0].listener.local_addr().unwrap();
            let addresses: Vec<SocketAddr> = bound.sets.iter().map(address).collect();
            assert_eq!(addresses, [addresses[0]; 3]);
            let port = addresses[0].port();
            let again =
                Settings { listen: vec![listen.replace(":0", &format!(":{port}")).parse().unwrap()], ..settings };
            let error = bind_all(&again).map(drop).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{listen}");
        }
    }

    #[test]
    fn port_zero_gets_a_port() {
        let bound = first("127.0.0.1:0");
        let address = bound.listener.local_addr().unwrap();
        assert_ne!(address.port(), 0);
    }

    #[test]
    fn every_address_takes_both_families() {
        let bound = first(":0");
        let port = bound.listener.local_addr().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    }

    #[test]
    fn a_taken_port_is_explained() {
        let first = first("127.0.0.1:0");
        let taken = first.listener.local_addr().unwrap();
        let error = bind_all(&settings(&taken.to_string())).map(drop).unwrap_err();
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
