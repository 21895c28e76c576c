//! The sockets behind data connections: opening ports for the passive pool, dialling for PORT.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use mio::net::{TcpListener, TcpStream};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::dtp::{Data, Offer, PoolPort};
use super::liveness::watch_data;
use super::settings::Limits;
use super::{Conn, Server};
use crate::reactor::{Key, Weight};
use crate::transfer::{Notice, Report};

/// Connections that may wait at one pooled port. Many sessions share it, so more than the one or two of old.
const PORT_BACKLOG: i32 = 128;

/// RFC 959's source port for active data connections.
const FTP_DATA: u16 = 20;

impl Server {
    /// Promises a passive port to a session's peer. A promise it had before is dropped only when there is a new one.
    pub(super) fn promise(&mut self, by: Key, notice: Notice) {
        let Some((peer, local)) = self.ends_of(by) else { return };
        let now = self.reactor.now();
        let waits = self.waits();
        let data = self.reactor.insert(Conn::Data(Box::new(Data::new(by, peer.ip(), now))), Weight::Heavy);
        let Some(address) = self.find_port(local, peer.ip(), data) else {
            self.closing.push(data);
            log::warn!("{peer}: no passive port left");
            return self.report(by, by, Report::NoPort);
        };
        self.forget_data(by);
        self.adjust(by, |control| control.data = Some(data));
        if let Some(slot) = self.reactor.slot_mut(data)
            && let Conn::Data(record) = &mut slot.conn
        {
            record.promise_at(address, notice);
            slot.deadline = record.deadline(&waits);
        }
        self.reactor.arm(data);
        match notice {
            Notice::AtOnce => self.report(by, data, Report::Promised(address)),
            Notice::InAMoment => {} // the record says it itself
        }
    }

    /// A port that is free for this peer, opening more when all are taken.
    fn find_port(&mut self, local: IpAddr, peer: IpAddr, data: Key) -> Option<SocketAddr> {
        self.pool.suit(self.world.settings.passive.ports.map(|range| range.count()));
        for _ in 0..2 {
            match self.pool.promise(local, peer, data) {
                Offer::Port(address) => return Some(address),
                Offer::Exhausted => return None,
                Offer::Grow(count) if self.open_ports(local, count) == 0 => return None,
                Offer::Grow(_) => {}
            }
        }
        None
    }

    /// Opens up to `count` more ports on an address; returns how many it could.
    fn open_ports(&mut self, local: IpAddr, count: usize) -> usize {
        let candidates: Vec<u16> = match self.world.settings.passive.ports {
            None => vec![0; count],
            Some(range) => self.unopened(local, range.low, range.high),
        };
        let mut opened = 0;
        for port in candidates {
            if opened == count {
                break;
            }
            match self.open_port(SocketAddr::new(local, port)) {
                Ok(()) => opened += 1,
                // Somebody else has that port of the range: there may be others.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    log::error!("cannot open a passive port on {local}: {error}");
                    break;
                }
            }
        }
        opened
    }

    /// The ports of the range that are not open yet, in an order nobody can foretell.
    fn unopened(&mut self, local: IpAddr, low: u16, high: u16) -> Vec<u16> {
        let open: std::collections::HashSet<u16> = self.pool.ports(local).collect();
        let mut ports: Vec<u16> = (low..=high).filter(|port| !open.contains(port)).collect();
        for index in (1..ports.len()).rev() {
            let other = self.pool.draw() % (index + 1);
            ports.swap(index, other);
        }
        ports
    }

    fn open_port(&mut self, wanted: SocketAddr) -> io::Result<()> {
        let socket = socket(wanted)?;
        // The port may have connections of an earlier run in TIME_WAIT; two listeners still exclude each other.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        watch_data(&socket, &self.world.settings.limits)?;
        size_buffers(&socket, self.world.settings.limits.socket_buffer)?;
        rustix::net::bind(&socket, &wanted)?;
        rustix::net::listen(&socket, PORT_BACKLOG)?;
        let listener = TcpListener::from_std(std::net::TcpListener::from(socket));
        let address = SocketAddr::new(wanted.ip(), listener.local_addr()?.port());
        let now = self.reactor.now();
        let key = self.reactor.insert(Conn::PoolPort(Box::new(PoolPort::new(listener, address, now))), Weight::Light);
        let Some((slot, sockets, _)) = self.reactor.turn(key) else { return Ok(()) };
        let Conn::PoolPort(port) = &mut slot.conn else { return Ok(()) };
        slot.deadline = port.deadline(now);
        if let Err(error) = port.register(sockets) {
            self.closing.push(key);
            return Err(error);
        }
        self.reactor.arm(key);
        self.pool.opened(address);
        Ok(())
    }
}

/// Begins to connect from the control connection's own address, so that the peer sees one host.
///
/// # Errors
/// What socket, bind or connect give at once; later failure shows when the socket becomes ready.
pub fn dial(local: IpAddr, to: SocketAddr, from_port_20: bool, limits: &Limits) -> io::Result<TcpStream> {
    if from_port_20 {
        match dial_from(SocketAddr::new(local, FTP_DATA), to, limits) {
            Ok(stream) => return Ok(stream),
            // No privilege, or the same pair of addresses is still in use: any port will do.
            Err(error) => log::debug!("not from port 20: {error}"),
        }
    }
    dial_from(SocketAddr::new(local, 0), to, limits)
}

fn dial_from(from: SocketAddr, to: SocketAddr, limits: &Limits) -> io::Result<TcpStream> {
    let socket = socket(to)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    watch_data(&socket, limits)?;
    size_buffers(&socket, limits.socket_buffer)?;
    if from.port() != 0 {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &from)?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(TcpStream::from_std(std::net::TcpStream::from(socket)))
}

/// Fixes both buffers of a data socket; 0 leaves them to the kernel, which grows them as the path needs. On a listener
/// it holds for whoever is accepted, and before the handshake it also bounds the window that is offered.
fn size_buffers(socket: &OwnedFd, bytes: u64) -> io::Result<()> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if bytes > 0 {
        sockopt::set_socket_send_buffer_size(socket, bytes)?;
        sockopt::set_socket_recv_buffer_size(socket, bytes)?;
    }
    Ok(())
}

fn socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
}
