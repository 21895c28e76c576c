//! PORT, PASV, EPRT and EPSV: socket addresses as FTP writes them, both directions.
//!
//! Writing is strict, reading the commands is strict, reading another server's replies is not: RFC 959
//! left the form of 227 so open that RFC 1123 4.1.2.6 tells clients to scan it for digits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

/// Why an EPRT argument names no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unusable {
    /// Not in the form of RFC 2428 2, or no such address or port: 501.
    Malformed,
    /// Neither family 1 nor 2: 522.
    Family,
}

/// Ports below are other services' ports, which FTP must not be made to talk to (RFC 2577 3).
pub const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// The address of `h1,h2,h3,h4,p1,p2` (RFC 959 4.1.2), blanks around the numbers allowed.
/// `None` when malformed: a sign, a number past 255, another count of numbers, port 0.
pub fn parse_port(argument: &[u8]) -> Option<SocketAddrV4> {
    let mut octets = [0; 6];
    let mut fields = argument.split(|byte| *byte == b',');
    for octet in &mut octets {
        *octet = small_number(fields.next()?.trim_ascii())?;
    }
    match fields.next() {
        None => from_octets(octets),
        Some(_) => None,
    }
}

/// The address of `|family|address|port|` with any printable delimiter (RFC 2428 2).
///
/// # Errors
/// [`Unusable`]. The family is judged first: an unknown one says nothing about the form of its addresses.
pub fn parse_eprt(argument: &[u8]) -> Result<SocketAddr, Unusable> {
    let (delimiter, fields) = argument.split_first().ok_or(Unusable::Malformed)?;
    if !delimiter.is_ascii_graphic() {
        return Err(Unusable::Malformed);
    }
    let mut fields = fields.split(|byte| byte == delimiter);
    let mut field = || fields.next().ok_or(Unusable::Malformed);
    let (family, address, port, rest) = (field()?, field()?, field()?, field()?);
    let address = eprt_address(family, address)?;
    let port = port_number(port).ok_or(Unusable::Malformed)?;
    if rest.is_empty() && fields.next().is_none() {
        Ok(SocketAddr::new(address, port))
    } else {
        Err(Unusable::Malformed)
    }
}

/// Scope ids do not parse, and IPv4 in IPv6 clothes is refused: it would slip past comparisons.
fn eprt_address(family: &[u8], address: &[u8]) -> Result<IpAddr, Unusable> {
    let text = str::from_utf8(address).map_err(|_| Unusable::Malformed);
    match family {
        b"1" => text?.parse().map(IpAddr::V4).map_err(|_| Unusable::Malformed),
        b"2" => match text?.parse::<Ipv6Addr>() {
            Ok(address) if address.to_ipv4_mapped().is_none() => Ok(IpAddr::V6(address)),
            _ => Err(Unusable::Malformed),
        },
        _ if !family.is_empty() && family.iter().all(u8::is_ascii_digit) => Err(Unusable::Family),
        _ => Err(Unusable::Malformed),
    }
}

/// Whether a server may open a data connection to `target` for a client at `peer`: the same host, and no
/// privileged port (RFC 2577 3, the bounce attack). IPv4-mapped addresses count as IPv4.
pub fn may_dial(target: SocketAddr, peer: IpAddr) -> bool {
    let host = target.ip().to_canonical();
    host == peer.to_canonical()
        && !host.is_multicast()
        && !host.is_unspecified()
        && target.port() >= FIRST_UNPRIVILEGED_PORT
}

/// PORT's argument for `address`.
pub fn port_argument(address: SocketAddrV4) -> String {
    let [h1, h2, h3, h4] = address.ip().octets();
    let [p1, p2] = address.port().to_be_bytes();
    format!("{h1},{h2},{h3},{h4},{p1},{p2}")
}

/// EPRT's argument for `address`. IPv4-mapped addresses are written as IPv4, scope ids not at all.
pub fn eprt_argument(address: SocketAddr) -> String {
    let port = address.port();
    match address.ip().to_canonical() {
        IpAddr::V4(host) => format!("|1|{host}|{port}|"),
        IpAddr::V6(host) => format!("|2|{host}|{port}|"),
    }
}

/// The text of 227 (RFC 959 4.1.2). No digit stands before the address, brackets hold nothing else, and
/// only a full stop follows: clients in the field look for each of the three.
pub fn pasv_text(address: SocketAddrV4) -> String {
    format!("Entering Passive Mode ({}).", port_argument(address))
}

/// The text of 229 (RFC 2428 3).
pub fn epsv_text(port: u16) -> String {
    format!("Entering Extended Passive Mode (|||{port}|)")
}

/// The address in the text of a 227: the first six numbers with commas between, wherever they stand.
/// `None` without such, or with port 0.
pub fn parse_pasv_text(text: &[u8]) -> Option<SocketAddrV4> {
    let mut rest = text;
    while let Some(at) = rest.iter().position(u8::is_ascii_digit) {
        rest = rest.get(at..)?;
        if let Some(octets) = six_numbers(rest) {
            return from_octets(octets);
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest = rest.get(digits..)?;
    }
    None
}

/// Six numbers at the start of `text`; whatever follows the last is not looked at.
fn six_numbers(text: &[u8]) -> Option<[u8; 6]> {
    let mut octets = [0; 6];
    let mut rest = text;
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            rest = rest.trim_ascii_start().strip_prefix(b",")?.trim_ascii_start();
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, behind) = rest.split_at_checked(digits)?;
        *octet = small_number(number)?;
        rest = behind;
    }
    Some(octets)
}

/// The port in the text of a 229: behind three equal delimiters and before a fourth (RFC 2428 3), in
/// brackets or not. Servers that fill in family and address are understood too; those two are ignored, as
/// the data connection goes to the control connection's peer in any case.
pub fn parse_epsv_text(text: &[u8]) -> Option<u16> {
    let starts = (0..text.len()).filter_map(|at| text.get(at..));
    starts.filter_map(epsv_at).next()
}

fn epsv_at(text: &[u8]) -> Option<u16> {
    let (delimiter, fields) = text.split_first()?;
    // A letter, digit or blank would make a delimiter of the prose before the bracket.
    if !delimiter.is_ascii_punctuation() {
        return None;
    }
    let mut fields = fields.split(|byte| byte == delimiter);
    let (family, _address, port, _end) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    if matches!(family, b"" | b"1" | b"2") { port_number(port) } else { None }
}

/// Decimal digits as a number of at most `limit`; a sign, a blank, nothing, or one digit more than a
/// `u64` has room for is `None`. Leading zeros are allowed.
pub(crate) fn number(digits: &[u8], limit: u64) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    });
    value.filter(|value| *value <= limit)
}

/// 0 to 255 in at most three digits: `007` is in use, `0000000007` is not.
fn small_number(digits: &[u8]) -> Option<u8> {
    if digits.len() > 3 {
        return None;
    }
    u8::try_from(number(digits, u64::from(u8::MAX))?).ok()
}

/// 1 to 65535 in at most five digits.
fn port_number(digits: &[u8]) -> Option<u16> {
    if digits.len() > 5 {
        return None;
    }
    u16::try_from(number(digits, u64::from(u16::MAX))?).ok().filter(|port| *port != 0)
}

fn from_octets([h1, h2, h3, h4, p1, p2]: [u8; 6]) -> Option<SocketAddrV4> {
    let port = u16::from_be_bytes([p1, p2]);
    (port != 0).then(|| SocketAddrV4::new(Ipv4Addr::new(h1, h2, h3, h4), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v4(text: &str) -> Option<SocketAddrV4> {
        text.parse().ok()
    }

    #[test]
    fn port_arguments() {
        for (argument, address) in [
            ("127,0,0,1,200,10", v4("127.0.0.1:51210")),
            ("127, 0, 0, 1, 200, 10", v4("127.0.0.1:51210")),
            ("127,000,000,001,4,01", v4("127.0.0.1:1025")),
            ("256,0,0,1,4,1", None),
            ("-1,0,0,1,4,1", None),
            ("+1,0,0,1,4,1", None),
            ("4294967296,0,0,1,4,1", None),
            ("0x1,0,0,1,4,1", None),
            ("1,2,3,4,5", None),
            ("1,2,3,4,5,6,7", None),
            ("1,2,3,4,5,6,", None),
            ("1,2,,4,5,6", None),
            ("1,2,3,4,0,0", None),
            ("", None),
        ] {
            assert_eq!(parse_port(argument.as_bytes()), address, "{argument}");
        }
    }

    #[test]
    fn eprt_arguments() {
        let good = |text: &str| text.parse::<SocketAddr>().map_err(|_| Unusable::Malformed);
        for (argument, outcome) in [
            ("|1|127.0.0.1|1025|", good("127.0.0.1:1025")),
            ("|2|::1|1025|", good("[::1]:1025")),
            ("!1!10.0.0.1!21!", good("10.0.0.1:21")),
            ("|3|x|1|", Err(Unusable::Family)),
            ("|7|x|1|", Err(Unusable::Family)),
            ("||127.0.0.1|1025|", Err(Unusable::Malformed)),
            ("|x|127.0.0.1|1025|", Err(Unusable::Malformed)),
            ("|1|::1|1025|", Err(Unusable::Malformed)),
            ("|2|127.0.0.1|1025|", Err(Unusable::Malformed)),
            ("|2|::ffff:127.0.0.1|1025|", Err(Unusable::Malformed)),
            ("|2|fe80::1%1|1025|", Err(Unusable::Malformed)),
            ("|1|127.0.0.1|70000|", Err(Unusable::Malformed)),
            ("|1|127.0.0.1|0|", Err(Unusable::Malformed)),
            ("|1|127.0.0.1|+25|", Err(Unusable::Malformed)),
            ("|1|127.0.0.1|1025", Err(Unusable::Malformed)),
            ("|1|127.0.0.1|1025|x", Err(Unusable::Malformed)),
            ("|1|127.0.0.1|1025||", Err(Unusable::Malformed)),
            (" 1 127.0.0.1 1025 ", Err(Unusable::Malformed)),
            ("", Err(Unusable::Malformed)),
            ("|", Err(Unusable::Malformed)),
        ] {
            assert_eq!(parse_eprt(argument.as_bytes()), outcome, "{argument}");
        }
    }

    #[test]
    fn bounces_are_refused() {
        let dial = |target: &str, peer: &str| match (target.parse(), peer.parse()) {
            (Ok(target), Ok(peer)) => may_dial(target, peer),
            _ => panic!("{target} {peer}"),
        };
        assert!(dial("127.0.0.1:1024", "127.0.0.1"));
        assert!(dial("127.0.0.1:1024", "::ffff:127.0.0.1"));
        assert!(dial("[::1]:1024", "::1"));
        assert!(!dial("127.0.0.1:1023", "127.0.0.1"));
        assert!(!dial("127.0.0.2:1024", "127.0.0.1"));
        assert!(!dial("0.0.0.0:1024", "0.0.0.0"));
    }

    #[test]
    fn pasv_texts_from_the_field() {
        let address = v4("192.0.2.7:50000");
        for text in [
            "Entering Passive Mode (192,0,2,7,195,80).",
            "Entering Passive Mode. 192,0,2,7,195,80",
            "Passive mode 2 on =192,0,2,7,195,80",
            "(192, 0, 2, 7, 195, 80)",
            "1,2,3 no, but 192,0,2,7,195,80 is it",
        ] {
            assert_eq!(parse_pasv_text(text.as_bytes()), address, "{text}");
        }
        for text in ["", "(1,2,3,4,0,0)", "(1,2,3,4,5)", "(256,2,3,4,5,6)", "(1;2;3;4;5;6)"] {
            assert_eq!(parse_pasv_text(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn epsv_texts_from_the_field() {
        for text in [
            "Entering Extended Passive Mode (|||50007|)",
            "Entering Extended Passive Mode |||50007|.",
            "EPSV ok. (!!!50007!)",
            "Mode (|1|192.0.2.7|50007|)",
        ] {
            assert_eq!(parse_epsv_text(text.as_bytes()), Some(50007), "{text}");
        }
        for text in ["", "(|||0|)", "(|||70000|)", "(|||50007)", "(||50007|)", "no port here"] {
            assert_eq!(parse_epsv_text(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn writing_and_reading_agree(host in any::<[u8; 4]>(), port in 1u16..) {
            let address = SocketAddrV4::new(host.into(), port);
            prop_assert_eq!(parse_port(port_argument(address).as_bytes()), Some(address));
            prop_assert_eq!(parse_pasv_text(pasv_text(address).as_bytes()), Some(address));
            prop_assert_eq!(parse_eprt(eprt_argument(address.into()).as_bytes()), Ok(address.into()));
            prop_assert_eq!(parse_epsv_text(epsv_text(port).as_bytes()), Some(port));
        }

        #[test]
        fn long_addresses_too(host in any::<[u16; 8]>(), port in 1u16..) {
            let address = SocketAddr::new(IpAddr::V6(host.into()), port);
            prop_assert_eq!(parse_eprt(eprt_argument(address).as_bytes()), Ok(address));
        }

        #[test]
        fn no_octets_break_the_parsers(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (parse_port(&text), parse_eprt(&text), parse_pasv_text(&text), parse_epsv_text(&text));
        }
    }
}
