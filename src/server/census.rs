//! Who is connected, counted: in all and by address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Counts of control connections.
#[derive(Debug, Default)]
pub struct Census {
    total: usize,
    by_group: HashMap<IpAddr, u32>,
}

/// Why a newcomer is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowded {
    /// The server is full.
    Server,
    /// The address has its share.
    Address,
}

impl Census {
    /// Counts somebody in, if there is room. `None` is "no limit".
    ///
    /// # Errors
    /// Which limit is in the way.
    pub fn enter(&mut self, peer: IpAddr, total: Option<u32>, per_address: Option<u32>) -> Result<(), Crowded> {
        if total.is_some_and(|most| self.total >= most as usize) {
            return Err(Crowded::Server);
        }
        let count = self.by_group.entry(group(peer)).or_default();
        if per_address.is_some_and(|most| *count >= most) {
            return Err(Crowded::Address);
        }
        *count += 1;
        self.total += 1;
        Ok(())
    }

    /// Counts somebody out.
    pub fn leave(&mut self, peer: IpAddr) {
        let std::collections::hash_map::Entry::Occupied(mut entry) = self.by_group.entry(group(peer)) else { return };
        self.total -= 1;
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
        if self.by_group.capacity() > 256 && self.by_group.len() < self.by_group.capacity() / 8 {
            self.by_group.shrink_to_fit();
        }
    }

    /// Connections in all.
    pub const fn total(&self) -> usize {
        self.total
    }
}

/// An IPv6 customer has a whole /64: counting single addresses would count nothing.
pub fn group(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_places_come_back() {
        let mut census = Census::default();
        let (a, b): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        assert_eq!(census.enter(a, Some(2), Some(1)), Ok(()));
        assert_eq!(census.enter(a, Some(2), Some(1)), Err(Crowded::Address));
        assert_eq!(census.enter(b, Some(2), Some(1)), Ok(()));
        assert_eq!(census.enter(b, Some(2), Some(9)), Err(Crowded::Server));
        census.leave(a);
        assert_eq!(census.enter(a, Some(2), Some(1)), Ok(()));
    }

    #[test]
    fn x04_a_v6_network_counts_as_one() {
        let mut census = Census::default();
        let one = "2001:db8::1".parse().expect("an address");
        let other = "2001:db8::ffff:1".parse().expect("an address");
        assert_eq!(census.enter(one, None, Some(1)), Ok(()));
        assert_eq!(census.enter(other, None, Some(1)), Err(Crowded::Address));
    }
}
