//! The passive pool: listening sockets that outlive transfers, and the promises made on them.
//!
//! A session does not own a port; it is *promised* one. The connection that arrives is matched by its peer address and
//! the port it came to. Thousands of sessions share a handful of ports that way, PASV costs no system call, and a
//! connection that nobody was promised is reset without a byte.
//!
//! Each local address has a shelf of ports, the longest unused in front. A promise takes one at random from the front
//! half: random, so that a port cannot be guessed from the last one (RFC 2577 8); from the front, so that a connection
//! meant for an old promise finds the new one on another port.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

use crate::reactor::Key;

/// Ports opened by the first promise on an address, and kept; from there the shelf doubles.
const FIRST_PORTS: usize = 4;

/// The same where the configuration names a range. Its ports are meant for this, and the more of them are open, the
/// less one tells of the next to somebody who shares the client's address.
const FIRST_OF_RANGE: usize = 64;

/// The most ports of one address. Each is a descriptor, and no peer needs more promises open at once.
const MOST_PORTS: usize = 4096;

/// What is known about promises, without the sockets themselves.
#[derive(Debug, Default)]
pub struct Pool {
    shelves: HashMap<IpAddr, Shelf>,
    /// Who waits for whom where: (peer, local address, port) → data record.
    promises: HashMap<(IpAddr, SocketAddr), Key>,
    /// How many of them there are at each address; none is no entry.
    awaited: HashMap<SocketAddr, usize>,
    random: RandomState,
    draws: u64,
    /// What a shelf begins with and never falls below.
    least: Least,
}

#[derive(Debug, Clone, Copy)]
struct Least(usize);

impl Default for Least {
    fn default() -> Self {
        Self(FIRST_PORTS)
    }
}

#[derive(Debug, Default)]
struct Shelf {
    /// Longest unused first.
    ports: VecDeque<u16>,
}

/// What a shelf says to a wish for a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Promised.
    Port(SocketAddr),
    /// Every port is promised to that peer already: open so many more and ask again.
    Grow(usize),
    /// The shelf is as large as it may get.
    Exhausted,
}

impl Pool {
    /// How many ports may be used on each address; `None` is as many as the kernel gives.
    pub fn suit(&mut self, range: Option<usize>) {
        self.least = Least(range.map_or(FIRST_PORTS, |count| count.min(FIRST_OF_RANGE)));
    }

    /// Promises a port of `local` to `peer`, for the data record `to`.
    pub fn promise(&mut self, local: IpAddr, peer: IpAddr, to: Key) -> Offer {
        let draw = self.draw();
        let shelf = self.shelves.entry(local).or_default();
        let count = shelf.ports.len();
        let start = if count < 2 { 0 } else { draw % count.div_ceil(2) };
        for index in (start..count).chain(0..start) {
            let address = SocketAddr::new(local, shelf.ports[index]);
            if let std::collections::hash_map::Entry::Vacant(place) = self.promises.entry((peer, address)) {
                place.insert(to);
                *self.awaited.entry(address).or_default() += 1;
                let port = shelf.ports.remove(index);
                shelf.ports.extend(port);
                return Offer::Port(address);
            }
        }
        match count {
            0 => Offer::Grow(self.least.0),
            MOST_PORTS.. => Offer::Exhausted,
            _ => Offer::Grow(count.min(MOST_PORTS - count)),
        }
    }

    /// The record that waits for a connection from `peer` to `address`. The promise is kept by that.
    pub fn claim(&mut self, peer: IpAddr, address: SocketAddr) -> Option<Key> {
        let kept = self.promises.remove(&(peer, address))?;
        self.ended(address);
        Some(kept)
    }

    /// Whether anybody is promised a connection to `address`.
    pub fn awaits(&self, address: SocketAddr) -> bool {
        self.awaited.contains_key(&address)
    }

    /// Takes a promise back, if it is still this record's.
    pub fn withdraw(&mut self, peer: IpAddr, address: SocketAddr, from: Key) {
        if self.promises.get(&(peer, address)) == Some(&from) {
            self.promises.remove(&(peer, address));
            self.ended(address);
        }
    }

    /// Puts a newly opened port on its shelf.
    pub fn opened(&mut self, address: SocketAddr) {
        self.shelves.entry(address.ip()).or_default().ports.push_front(address.port());
    }

    /// Takes a port off its shelf unless somebody is promised it or the shelf is at its smallest.
    pub fn retire(&mut self, address: SocketAddr) -> bool {
        if self.awaits(address) {
            return false;
        }
        let Some(shelf) = self.shelves.get_mut(&address.ip()) else { return true };
        if shelf.ports.len() <= self.least.0 {
            return false;
        }
        shelf.ports.retain(|port| *port != address.port());
        true
    }

    /// Ports open on an address.
    pub fn ports(&self, local: IpAddr) -> impl Iterator<Item = u16> {
        self.shelves.get(&local).into_iter().flat_map(|shelf| shelf.ports.iter().copied())
    }

    /// Promises not yet kept.
    pub fn promised(&self) -> usize {
        self.promises.len()
    }

    /// A number that cannot be foretold: keyed hashing of a counter, seeded by the system once.
    pub fn draw(&mut self) -> usize {
        self.draws = self.draws.wrapping_add(1);
        usize::try_from(self.random.hash_one(self.draws) >> 1).unwrap_or(0)
    }

    /// A promise at `address` is gone.
    fn ended(&mut self, address: SocketAddr) {
        if let Some(count) = self.awaited.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.awaited.remove(&address);
            }
        }
        if self.promises.capacity() > 256 && self.promises.len() < self.promises.capacity() / 8 {
            self.promises.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn pool(ports: std::ops::Range<u16>) -> Pool {
        let mut pool = Pool::default();
        for port in ports {
            pool.opened(SocketAddr::new(HERE, port));
        }
        pool
    }

    fn port(offer: Offer) -> SocketAddr {
        match offer {
            Offer::Port(address) => address,
            other => panic!("no port but {other:?}"),
        }
    }

    #[test]
    fn one_peer_gets_each_port_once_and_another_peer_gets_them_too() {
        let mut pool = pool(50_000..50_004);
        let mut seen: Vec<u16> = (0..4).map(|n| port(pool.promise(HERE, peer(1), Key::from_u64(n))).port()).collect();
        seen.sort_unstable();
        assert_eq!(seen, [50_000, 50_001, 50_002, 50_003]);
        assert_eq!(pool.promise(HERE, peer(1), Key::from_u64(9)), Offer::Grow(4));
        port(pool.promise(HERE, peer(2), Key::from_u64(9)));
    }

    #[test]
    fn a_promise_is_kept_once_and_only_to_its_peer() {
        let mut pool = pool(50_000..50_001);
        let address = port(pool.promise(HERE, peer(1), Key::from_u64(7)));
        assert_eq!(pool.claim(peer(2), address), None);
        assert_eq!(pool.claim(peer(1), address), Some(Key::from_u64(7)));
        assert_eq!(pool.claim(peer(1), address), None);
    }

    #[test]
    fn a_withdrawn_promise_leaves_its_successor_alone() {
        let mut pool = pool(50_000..50_001);
        let address = port(pool.promise(HERE, peer(1), Key::from_u64(7)));
        pool.withdraw(peer(1), address, Key::from_u64(7));
        port(pool.promise(HERE, peer(1), Key::from_u64(8)));
        pool.withdraw(peer(1), address, Key::from_u64(7));
        assert_eq!(pool.claim(peer(1), address), Some(Key::from_u64(8)));
    }

    #[test]
    fn a_port_that_was_just_used_is_not_the_next() {
        let mut pool = pool(50_000..50_008);
        for _ in 0..100 {
            let first = port(pool.promise(HERE, peer(1), Key::from_u64(1)));
            pool.claim(peer(1), first);
            let second = port(pool.promise(HERE, peer(1), Key::from_u64(1)));
            pool.claim(peer(1), second);
            assert_ne!(first, second);
        }
    }

    #[test]
    fn a_promised_port_is_not_retired() {
        let mut pool = pool(50_000..50_006);
        let address = port(pool.promise(HERE, peer(1), Key::from_u64(1)));
        assert!(!pool.retire(address));
        pool.claim(peer(1), address);
        assert!(pool.retire(address));
        assert_eq!(pool.ports(HERE).count(), 5);
    }
}
