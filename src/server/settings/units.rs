//! The small values of a configuration: spans of time, sizes, networks, port ranges, addresses to listen on.
//!
//! Each reads itself from one word (`FromStr`) and complains in words that can stand behind a key's name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A year: longer spans are typing errors, and adding one to a clock must never overflow.
const LONGEST_SPAN: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A span of time as written: `"500ms"`, `"2s"`, `"10m"`, `"1h"`; a bare number counts seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (number, unit) = split_number(word);
        let per_unit: u64 = match unit {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(no_span(word)),
        };
        let count: u64 = number.parse().map_err(|_| no_span(word))?;
        let span = count.checked_mul(per_unit).map(Duration::from_millis);
        match span {
            Some(span) if span <= LONGEST_SPAN => Ok(Span(span)),
            _ => Err(format!("\"{word}\" is more than a year")),
        }
    }
}

fn no_span(word: &str) -> String {
    format!("\"{word}\" is no span of time (\"500ms\", \"2s\", \"10m\", \"1h\")")
}

/// A number of bytes as written: `4096`, `"8KiB"`, `"10MiB"`, `"10GiB"`, `"1TiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (number, unit) = split_number(word);
        let shift = match unit {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(no_size(word)),
        };
        let count: u64 = number.parse().map_err(|_| no_size(word))?;
        // TOML integers end at 2^63-1, and a size means the same in quotes.
        let bytes = count.checked_mul(1 << shift).filter(|&bytes| i64::try_from(bytes).is_ok());
        bytes.map(Size).ok_or_else(|| format!("\"{word}\" is too large"))
    }
}

fn no_size(word: &str) -> String {
    format!("\"{word}\" is no size (4096, \"8KiB\", \"10MiB\", \"10GiB\")")
}

fn split_number(word: &str) -> (&str, &str) {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = word.split_at(digits);
    (number, unit.trim_start_matches(' '))
}

/// A network, `10.0.0.0/8` or `2001:db8::/32`; an address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `address` lies in this network. IPv4 addresses mapped into IPv6, as a dual-stack listener
    /// reports them, count as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(one)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                net.to_bits() & mask == one.to_bits() & mask
            }
            (IpAddr::V6(net), IpAddr::V6(one)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                net.to_bits() & mask == one.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || format!("\"{word}\" is no network (\"10.0.0.0/8\", \"2001:db8::/32\")");
        let (address, prefix) = match word.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (word, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(text) => text.parse().map_err(|_| wrong())?,
            None => longest,
        };
        if prefix > longest {
            return Err(wrong());
        }
        Ok(Network { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A range of ports, both ends included: `50000-50099`, or one port alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// First port, never 0.
    pub low: u16,
    /// Last port, at least `low`.
    pub high: u16,
}

impl PortRange {
    /// How many ports the range has: 1 to 65535.
    pub fn count(&self) -> usize {
        usize::from(self.high.saturating_sub(self.low)) + 1
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (low, high) = word.split_once('-').unwrap_or((word, word));
        match (low.trim().parse(), high.trim().parse()) {
            (Ok(low), Ok(high)) if low > 0 && low <= high => Ok(PortRange { low, high }),
            _ => Err(format!("\"{word}\" is no range of ports (\"50000-50099\")")),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.low, self.high)
    }
}

/// Where to listen, as written: `HOST:PORT`, `[V6]:PORT`, or `:PORT` for every address of both families.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListenAddr {
    host: String,
    port: u16,
}

impl ListenAddr {
    /// Every address of both families, the meaning of `:PORT`.
    pub fn any(port: u16) -> Self {
        let host = String::new();
        ListenAddr { host, port }
    }

    /// The port asked for; 0 leaves the choice to the kernel.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether this is `:PORT`, to be served by one dual-stack socket where there is IPv6.
    pub fn is_any(&self) -> bool {
        self.host.is_empty()
    }

    /// The addresses to try, in order; the first that can be bound is the one. A host name is looked up now.
    pub fn candidates(&self) -> std::io::Result<Vec<SocketAddr>> {
        if self.is_any() {
            let both = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), self.port);
            let old = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port);
            return Ok(vec![both, old]);
        }
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }
}

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || format!("\"{word}\" is no address (\"HOST:PORT\", \"[V6]:PORT\", \":PORT\")");
        let (host, port) = word.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|inner| inner.parse::<Ipv6Addr>().is_ok()).ok_or_else(wrong)?,
            // A bare IPv6 address would leave open which colon separates the port.
            None if host.contains(':') || host.contains(char::is_whitespace) => {
                return Err(wrong());
            }
            None => host,
        };
        let host = host.to_owned();
        Ok(ListenAddr { host, port })
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// serde's `try_from`/`into` pair for the types that travel as the text they were written in.
macro_rules! travels_as_text {
    ($($type:ty),*) => {$(
        impl TryFrom<String> for $type {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    )*};
}
travels_as_text!(Network, ListenAddr);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_read() {
        let table = [("500ms", 500), ("2s", 2_000), ("10m", 600_000), ("1h", 3_600_000), ("300", 300_000), ("0", 0)];
        for (word, ms) in table {
            assert_eq!(word.parse(), Ok(Span(Duration::from_millis(ms))), "{word}");
        }
        for word in ["", "s", "-1s", "1.5s", "2 weeks", "1d", "99999999999999999999s", "400000m0"] {
            assert!(word.parse::<Span>().is_err(), "{word}");
        }
        assert!("9000h".parse::<Span>().is_err());
    }

    #[test]
    fn sizes_are_read() {
        let table = [("4096", 4096), ("8KiB", 8192), ("10MiB", 10 << 20), ("10GiB", 10 << 30), ("0", 0)];
        for (word, bytes) in table {
            assert_eq!(word.parse(), Ok(Size(bytes)), "{word}");
        }
        for word in ["", "8kb", "8K", "-1", "9223372036854775808", "99999999TiB", "KiB"] {
            assert!(word.parse::<Size>().is_err(), "{word}");
        }
    }

    #[test]
    fn networks_contain_what_they_should() {
        let table = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.6", false),
            ("2001:db8::/32", "2001:db8:1::5", true),
            ("2001:db8::/32", "2001:db9::5", false),
            ("::/0", "2001:db9::5", true),
        ];
        for (network, address, inside) in table {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
        for word in ["10.0.0.0/33", "::/129", "10.0.0/8", "host", "10.0.0.0/", "/8"] {
            assert!(word.parse::<Network>().is_err(), "{word}");
        }
    }

    #[test]
    fn port_ranges_are_read() {
        assert_eq!("50000-50099".parse::<PortRange>().map(|r| r.count()), Ok(100));
        assert_eq!("2000".parse::<PortRange>().map(|r| r.count()), Ok(1));
        assert_eq!("1-65535".parse::<PortRange>().map(|r| r.count()), Ok(65535));
        for word in ["", "0-5", "9-5", "1-65536", "a-b", "-"] {
            assert!(word.parse::<PortRange>().is_err(), "{word}");
        }
    }

    #[test]
    fn listen_addresses_are_read_and_printed() {
        for word in [":21", "127.0.0.1:2121", "[::1]:2121", "localhost:0", "[::]:21"] {
            assert_eq!(word.parse::<ListenAddr>().unwrap().to_string(), word);
        }
        for word in ["21", "", ":", ":70000", "::1:21", "[::1]", "[x]:21", "[::1:21", "a b:21"] {
            assert!(word.parse::<ListenAddr>().is_err(), "{word}");
        }
        assert!(":21".parse::<ListenAddr>().unwrap().is_any());
    }

    proptest! {
        #[test]
        fn no_word_panics(word in "\\PC{0,24}") {
            let _ = word.parse::<Span>();
            let _ = word.parse::<Size>();
            let _ = word.parse::<Network>();
            let _ = word.parse::<PortRange>();
            let _ = word.parse::<ListenAddr>();
        }

        #[test]
        fn a_network_contains_its_own_address(bits: u32, prefix in 0u8..=32) {
            let address = Ipv4Addr::from_bits(bits);
            let network: Network = format!("{address}/{prefix}").parse().unwrap();
            prop_assert!(network.contains(address.into()));
        }
    }
}
