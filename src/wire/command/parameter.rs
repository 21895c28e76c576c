//! Arguments of the transfer parameter commands (RFC 959 4.1.2) and of others that are words and numbers.

use std::net::{Ipv6Addr, SocketAddr};

use super::{BAD_ARGUMENT, MISSING, Malformed, PathText, optional_word, word};
use crate::wire::address::{self, Unusable};

/// What EPSV was given (RFC 2428 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EpsvWord {
    /// Nothing: the family of the control connection.
    Default,
    /// 1 (IPv4) or 2 (IPv6), as RFC 2428 2 numbers them.
    Family(u8),
    /// ALL: no other way to open data connections will be used (RFC 2428 4).
    All,
}

/// TYPE, reduced to the two kinds that a host with 8-bit octets and no records can tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TypeCode {
    /// A, A N, A T.
    Ascii,
    /// I, L 8.
    Image,
}

/// MODE, as far as it is offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModeCode {
    /// S: the octets as they are (RFC 959 3.4.1).
    Stream,
    /// Z: one zlib stream (draft-preston-ftpext-deflate). Whether it is offered, the session decides.
    Zlib,
}

/// PROT (RFC 2228 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtLevel {
    /// C: no protection.
    Clear,
    /// S: integrity only. No TLS suite has it.
    Safe,
    /// E: secrecy without integrity. No TLS suite has it.
    Confidential,
    /// P: TLS.
    Private,
}

/// A host name, IPv4 literal or bracketed IPv6 literal, well-formed (RFC 7151 3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostName(pub PathText);

/// RFC 1035 2.3.4 with RFC 1123 2.1: a name on the wire has 255 octets, 253 as text.
const NAME_LIMIT: usize = 253;
/// RFC 1035 2.3.4.
const LABEL_LIMIT: usize = 63;
/// RFC 5646 2.1 knows no longer subtag.
const SUBTAG_LIMIT: usize = 8;
/// File offsets are signed 64-bit numbers in every system call that takes them.
const OFFSET_LIMIT: u64 = i64::MAX as u64;
/// As many as [`OFFSET_LIMIT`] has. More could only be leading zeros, which no client sends in earnest.
const OFFSET_DIGITS: usize = 19;

const NO_SUCH_FAMILY: Malformed = Malformed { code: 522, text: "Network protocol not supported, use (1,2)" };
const NOT_OFFERED: Malformed = Malformed { code: 504, text: "Not implemented for that parameter." };

pub(super) fn port(argument: &[u8]) -> Result<SocketAddr, Malformed> {
    address::parse_port(word(argument)?).map(SocketAddr::V4).ok_or(BAD_ARGUMENT)
}

pub(super) fn eprt(argument: &[u8]) -> Result<SocketAddr, Malformed> {
    address::parse_eprt(word(argument)?).map_err(|unusable| match unusable {
        Unusable::Malformed => BAD_ARGUMENT,
        Unusable::Family => NO_SUCH_FAMILY,
    })
}

pub(super) fn epsv(argument: &[u8]) -> Result<EpsvWord, Malformed> {
    Ok(match optional_word(argument)? {
        None => EpsvWord::Default,
        Some(b"1") => EpsvWord::Family(1),
        Some(b"2") => EpsvWord::Family(2),
        Some(all) if all.eq_ignore_ascii_case(b"ALL") => EpsvWord::All,
        Some(family) if family.iter().all(u8::is_ascii_digit) => return Err(NO_SUCH_FAMILY),
        Some(_) => return Err(BAD_ARGUMENT),
    })
}

/// TYPE. Telnet format controls change nothing on a host without printers, so `A T` is `A N`;
/// carriage control (`A C`) would, and is refused.
pub(super) fn representation(argument: &[u8]) -> Result<TypeCode, Malformed> {
    let upper = word(argument)?.to_ascii_uppercase();
    let mut words = upper.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (Some(b"A"), None | Some(b"N" | b"T"), None) => Ok(TypeCode::Ascii),
        (Some(b"I"), None, None) => Ok(TypeCode::Image),
        (Some(b"L"), Some(b"8"), None) => Ok(TypeCode::Image),
        (Some(b"L"), Some(size), None) if size.iter().all(u8::is_ascii_digit) => Err(NOT_OFFERED),
        (Some(b"A"), Some(b"C"), None) => Err(NOT_OFFERED),
        (Some(b"E"), None | Some(b"N" | b"T" | b"C"), None) => Err(NOT_OFFERED),
        _ => Err(BAD_ARGUMENT),
    }
}

pub(super) fn structure(argument: &[u8]) -> Result<(), Malformed> {
    match word(argument)? {
        b"F" | b"f" => Ok(()),
        b"R" | b"r" | b"P" | b"p" => Err(NOT_OFFERED),
        _ => Err(BAD_ARGUMENT),
    }
}

pub(super) fn mode(argument: &[u8]) -> Result<ModeCode, Malformed> {
    match word(argument)? {
        b"S" | b"s" => Ok(ModeCode::Stream),
        b"Z" | b"z" => Ok(ModeCode::Zlib),
        b"B" | b"b" | b"C" | b"c" => Err(NOT_OFFERED),
        _ => Err(BAD_ARGUMENT),
    }
}

pub(super) fn protection(argument: &[u8]) -> Result<ProtLevel, Malformed> {
    match word(argument)? {
        b"C" | b"c" => Ok(ProtLevel::Clear),
        b"S" | b"s" => Ok(ProtLevel::Safe),
        b"E" | b"e" => Ok(ProtLevel::Confidential),
        b"P" | b"p" => Ok(ProtLevel::Private),
        _ => Err(NOT_OFFERED),
    }
}

/// `n` or `n R m`; only n matters.
pub(super) fn allocation(argument: &[u8]) -> Result<u64, Malformed> {
    let mut words = word(argument)?.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let octets = octet(words.next().ok_or(MISSING)?)?;
    match (words.next(), words.next(), words.next()) {
        (None, _, _) => Ok(octets),
        (Some(b"R" | b"r"), Some(record), None) => octet(record).map(|_| octets),
        _ => Err(BAD_ARGUMENT),
    }
}

/// `first last`. The end is inclusive, so an empty range cannot be written: `1 0` stands for no range.
pub(super) fn range(argument: &[u8]) -> Result<(u64, u64), Malformed> {
    let mut words = word(argument)?.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (Some(first), Some(last), None) = (words.next(), words.next(), words.next()) else {
        return Err(BAD_ARGUMENT);
    };
    let (first, last) = (octet(first)?, octet(last)?);
    if first <= last || (first, last) == (1, 0) { Ok((first, last)) } else { Err(BAD_ARGUMENT) }
}

/// A count or offset of octets, 0 to 2^63 - 1.
pub(super) fn octet(digits: &[u8]) -> Result<u64, Malformed> {
    if digits.len() > OFFSET_DIGITS {
        return Err(BAD_ARGUMENT);
    }
    address::number(digits, OFFSET_LIMIT).ok_or(BAD_ARGUMENT)
}

pub(super) fn buffer_size(argument: &[u8]) -> Result<u32, Malformed> {
    let size = address::number(word(argument)?, u64::from(u32::MAX)).ok_or(BAD_ARGUMENT)?;
    u32::try_from(size).map_err(|_| BAD_ARGUMENT)
}

/// A tag in the outline of RFC 5646: letters, then subtags of letters and digits.
pub(super) fn language(argument: &[u8]) -> Result<Option<PathText>, Malformed> {
    let Some(tag) = optional_word(argument)? else {
        return Ok(None);
    };
    let well_formed =
        |subtag: &[u8]| (1..=SUBTAG_LIMIT).contains(&subtag.len()) && subtag.iter().all(u8::is_ascii_alphanumeric);
    let starts_with_letter = tag.first().is_some_and(u8::is_ascii_alphabetic);
    if starts_with_letter && tag.split(|byte| *byte == b'-').all(well_formed) {
        Ok(Some(tag.into()))
    } else {
        Err(BAD_ARGUMENT)
    }
}

/// A colon outside brackets would be a port, which RFC 7151 3.1 forbids; no label has one.
pub(super) fn host(argument: &[u8]) -> Result<HostName, Malformed> {
    let name = word(argument)?;
    let literal = name.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let good = match literal {
        Some(inner) => str::from_utf8(inner).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()),
        None => name.len() <= NAME_LIMIT && name.split(|byte| *byte == b'.').all(is_label),
    };
    if good { Ok(HostName(name.into())) } else { Err(BAD_ARGUMENT) }
}

/// Letters, digits and inner hyphens (RFC 1123 2.1).
fn is_label(label: &[u8]) -> bool {
    (1..=LABEL_LIMIT).contains(&label.len())
        && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && !label.starts_with(b"-")
        && !label.ends_with(b"-")
}
