//! Source addresses that sessions are spread over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network whose addresses are this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sources {
    base: IpAddr,
    /// Usable addresses, at least one.
    count: u128,
}

impl Sources {
    /// Reads `ADDRESS/LENGTH` or a single address.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("--source: {text} is no network such as 127.0.0.0/24");
        let (address, length) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length: u32 = if length.is_empty() { width } else { length.parse().map_err(|_| wrong())? };
        if length > width {
            return Err(wrong());
        }
        let host = width - length;
        let all = 1_u128.checked_shl(host).unwrap_or(u128::MAX);
        let base = number(address) / all.max(1) * all.max(1);
        // The network's own number and its broadcast address are no hosts.
        let (first, count) = if host >= 2 { (base + 1, all - 2) } else { (base, all) };
        Ok(Self { base: like(address, first), count })
    }

    /// How many there are.
    pub const fn count(&self) -> u128 {
        self.count
    }

    /// The address of the session with a number.
    pub fn of(&self, session: usize) -> IpAddr {
        like(self.base, number(self.base) + session as u128 % self.count)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u128::from(u32::from(four)),
        IpAddr::V6(six) => u128::from(six),
    }
}

fn like(family: IpAddr, number: u128) -> IpAddr {
    match family {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(number as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(text: &str) -> (String, String, u128) {
        let sources = Sources::parse(text).expect("a network");
        let last = usize::try_from(sources.count() - 1).unwrap_or(usize::MAX);
        (sources.of(0).to_string(), sources.of(last).to_string(), sources.count())
    }

    #[test]
    fn a_network_has_hosts() {
        assert_eq!(spread("127.0.0.0/24"), ("127.0.0.1".into(), "127.0.0.254".into(), 254));
        assert_eq!(spread("127.0.0.77/24").0, "127.0.0.1");
        assert_eq!(spread("127.0.0.9"), ("127.0.0.9".into(), "127.0.0.9".into(), 1));
        assert_eq!(spread("::1"), ("::1".into(), "::1".into(), 1));
        assert_eq!(Sources::parse("127.0.0.0/30").expect("a network").of(3).to_string(), "127.0.0.2");
        assert_eq!(Sources::parse("0.0.0.0/0").expect("a network").count(), (1 << 32) - 2);
        for text in ["127.0.0.0/33", "x", "127.0.0.0/x", ""] {
            assert!(Sources::parse(text).is_err(), "{text}");
        }
        assert!(Sources::parse("::/0").expect("a network").count() > 1 << 100);
    }
}
