//! Arguments of SITE, OPTS, PRET, MFMT and MFF: words followed by paths.

use super::{BAD_ARGUMENT, Command, MISSING, Malformed, PathText, Status, Verb, cut, find, optional_word, rule, word};
use crate::wire::address;

/// SITE's words (RFC 1123 4.1.2.8 sends private functions here). There is no EXEC and never will be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SiteCommand {
    /// CHMOD mode path.
    Chmod {
        /// Permission bits, at most 0o7777; which of them are granted, the session decides.
        mode: u32,
        /// The file.
        path: PathText,
    },
    /// UTIME with everything behind it: two forms are in use and only the file system tells them apart.
    Utime(PathText),
    /// SYMLINK target link.
    Symlink {
        /// What the link says.
        target: PathText,
        /// Where it is made.
        link: PathText,
    },
    /// UMASK; with bits (at most 0o777), sets it.
    Umask(Option<u32>),
    /// IDLE; with seconds, sets the idle limit of this session.
    Idle(Option<u32>),
    /// WHO.
    Who,
    /// HELP with a SITE word, as written.
    Help(Option<PathText>),
}

/// OPTS by the command whose option it sets (RFC 2389 4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OptsCommand {
    /// UTF8 ON (true), also in draft-ietf-ftpext-utf-8-option's words; OFF (false).
    Utf8(bool),
    /// MLST with a list of facts, unparsed; `None` selects none.
    Mlst(Option<PathText>),
    /// HASH with an algorithm; `None` asks for the current one.
    Hash(Option<PathText>),
    /// MODE Z with its settings, unparsed; empty restores the defaults.
    ModeZ(PathText),
}

const NO_SUCH_SITE: Malformed = Malformed { code: 500, text: "Unknown SITE command." };
const NO_SUCH_OPTION: Malformed = Malformed { code: 501, text: "Option not understood." };
const BAD_TIME: Malformed = Malformed { code: 501, text: "Bad time." };
/// YYYYMMDDHHMMSS.
const STAMP_DIGITS: usize = 14;
/// Longer than any clock's resolution: beyond it the time is noise and refused.
const FRACTION_DIGITS: usize = 9;
/// Mode bits with set-id and sticky bits: four octal digits.
const MODE_DIGITS: usize = 4;
/// Highest umask: permission bits only.
const UMASK_LIMIT: u32 = 0o777;

pub(super) fn site(argument: &[u8]) -> Result<SiteCommand, Malformed> {
    let (name, rest) = cut(argument.trim_ascii_start());
    Ok(match name.to_ascii_uppercase().as_slice() {
        b"CHMOD" => {
            let (mode, path) = cut(rest);
            SiteCommand::Chmod { mode: octal(mode)?, path: path_of(path)? }
        }
        b"UTIME" => SiteCommand::Utime(path_of(rest)?),
        b"SYMLINK" => {
            let (target, link) = symlink(rest)?;
            SiteCommand::Symlink { target: path_of(target)?, link: path_of(link)? }
        }
        b"UMASK" => SiteCommand::Umask(optional_word(rest)?.map(umask).transpose()?),
        b"IDLE" => SiteCommand::Idle(optional_word(rest)?.map(seconds).transpose()?),
        b"WHO" => SiteCommand::Who,
        b"HELP" => SiteCommand::Help(optional_word(rest)?.map(Into::into)),
        _ => return Err(NO_SUCH_SITE),
    })
}

pub(super) fn opts(argument: &[u8]) -> Result<OptsCommand, Malformed> {
    let (name, rest) = cut(word(argument)?);
    let setting = optional_word(rest)?;
    match name.to_ascii_uppercase().as_slice() {
        b"UTF8" | b"UTF-8" => utf8(setting),
        b"MLST" => Ok(OptsCommand::Mlst(setting.map(Into::into))),
        // A command that is off has no options.
        b"HASH" if rule(Verb::Hash).status == Status::On => Ok(OptsCommand::Hash(setting.map(Into::into))),
        b"MODE" => match cut(setting.unwrap_or_default()) {
            (b"Z" | b"z", settings) => Ok(OptsCommand::ModeZ(settings.trim_ascii().into())),
            _ => Err(NO_SUCH_OPTION),
        },
        _ => Err(NO_SUCH_OPTION),
    }
}

fn utf8(setting: Option<&[u8]>) -> Result<OptsCommand, Malformed> {
    match setting.map(<[u8]>::to_ascii_uppercase).as_deref() {
        None | Some(b"ON" | b"NLST") => Ok(OptsCommand::Utf8(true)),
        Some(b"OFF") => Ok(OptsCommand::Utf8(false)),
        Some(_) => Err(NO_SUCH_OPTION),
    }
}

/// PRET names the transfer command to come. Without a path it is accepted: LIST needs none.
pub(super) fn pret(argument: &[u8]) -> Result<(), Malformed> {
    let (name, _) = cut(word(argument)?);
    match find(name).map(|rule| rule.verb) {
        Some(Verb::Retr | Verb::Stor | Verb::Appe | Verb::Stou | Verb::List | Verb::Nlst | Verb::Mlsd) => Ok(()),
        _ => Err(BAD_ARGUMENT),
    }
}

pub(super) fn mfmt(argument: &[u8]) -> Result<Command, Malformed> {
    let (time, path) = cut(argument);
    if !is_stamp(time) {
        return Err(BAD_TIME);
    }
    Ok(Command::Mfmt { time: time.into(), path: path_of(path)? })
}

pub(super) fn mff(argument: &[u8]) -> Result<Command, Malformed> {
    let (list, path) = cut(argument);
    let list = list.strip_suffix(b";").ok_or(BAD_ARGUMENT)?;
    let facts = list.split(|byte| *byte == b';').map(fact).collect::<Result<_, _>>()?;
    Ok(Command::Mff { facts, path: path_of(path)? })
}

fn fact(text: &[u8]) -> Result<(PathText, PathText), Malformed> {
    let at = text.iter().position(|byte| *byte == b'=').ok_or(BAD_ARGUMENT)?;
    let (name, value) = text.split_at(at);
    if name.is_empty() || text.contains(&0) {
        return Err(BAD_ARGUMENT);
    }
    Ok((name.into(), value.get(1..).unwrap_or_default().into()))
}

fn is_stamp(time: &[u8]) -> bool {
    let Some((seconds, fraction)) = time.split_at_checked(STAMP_DIGITS) else {
        return false;
    };
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    let fraction_is_good = match fraction.strip_prefix(b".") {
        Some(fraction) => (1..=FRACTION_DIGITS).contains(&fraction.len()) && digits(fraction),
        None => fraction.is_empty(),
    };
    digits(seconds) && fraction_is_good
}

fn path_of(path: &[u8]) -> Result<PathText, Malformed> {
    if path.is_empty() { Err(MISSING) } else { Ok(path.into()) }
}

/// Symbolic modes (`u+x`) are refused: clients compute bits, and two dialects of them exist.
fn octal(digits: &[u8]) -> Result<u32, Malformed> {
    let good = (1..=MODE_DIGITS).contains(&digits.len()) && digits.iter().all(|byte| (b'0'..=b'7').contains(byte));
    if !good {
        return Err(BAD_ARGUMENT);
    }
    Ok(digits.iter().fold(0, |bits, byte| bits * 8 + u32::from(byte - b'0')))
}

fn umask(digits: &[u8]) -> Result<u32, Malformed> {
    octal(digits).and_then(|bits| if bits <= UMASK_LIMIT { Ok(bits) } else { Err(BAD_ARGUMENT) })
}

fn seconds(digits: &[u8]) -> Result<u32, Malformed> {
    let seconds = address::number(digits, u64::from(u32::MAX)).ok_or(BAD_ARGUMENT)?;
    u32::try_from(seconds).map_err(|_| BAD_ARGUMENT)
}

/// Target and link part at the first space; a target with spaces stands in double quotes, and so may the
/// link.
fn symlink(rest: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (target, link) = match rest.strip_prefix(b"\"") {
        Some(open) => {
            let end = open.iter().position(|byte| *byte == b'"').ok_or(BAD_ARGUMENT)?;
            let (target, behind) = open.split_at(end);
            (target, behind.strip_prefix(b"\" ").ok_or(BAD_ARGUMENT)?)
        }
        None => cut(rest),
    };
    let unquoted = link.strip_prefix(b"\"").and_then(|link| link.strip_suffix(b"\""));
    Ok((target, unquoted.unwrap_or(link)))
}
