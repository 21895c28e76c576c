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
        b"1" => text?
            .parse()
            .map(IpAddr::V4)
            .map_err(|_| Unusable::Malformed),
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
            rest = rest
                .trim_ascii_start()
                .strip_prefix(b",")?
                .trim_ascii_start();
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
    let (family, _address, port, _end) = (
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
    );
    if matches!(family, b"" | b"1" | b"2") {
        port_number(port)
    } else {
        None
    }
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
    u16::try_from(number(digits, u64::from(u16::MAX))?)
        .ok()
        .filter(|port| *port != 0)
}

fn from_octets([h1, h2, h3, h4, p1, p2]: [u8; 6]) -> Option<SocketAddrV4> {
    let port = u16::from_be_bytes([p1, p2]);
    (port != 0).then(|| SocketAddrV4::new(Ipv4Addr::new(h1, h2, h3, h4), port))
}
