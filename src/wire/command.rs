//! Command lines to commands: RFC 959 5.3 and the grammars of its extensions.
//!
//! The work is cut where the order of checks cuts it (RFC 959 4.2 leaves the order open, this server
//! does not). [`split`] finds the verb's row, so that unknown words, login and sequence are judged on
//! the row alone; only what passed is handed to [`parse`], which judges the argument. A client that
//! is not logged in so learns nothing about syntax.
//!
//! ```text
//!   "RETR a b"  --split-->  (row of RETR, "a b")  --gate-->  --parse-->  Command::Retr("a b")
//!        |                                           |           |
//!        500, or no FTP at all                       502 530 503 501 504 522
//! ```

mod extension;
mod parameter;

#[cfg(test)]
mod tests;

pub use super::rules::{Argument, During, RULES, Rule, Status, Verb, When, find, rule};
pub use extension::{OptsCommand, SiteCommand};
pub use parameter::{EpsvWord, HostName, ModeCode, ProtLevel, TypeCode};

use std::net::SocketAddr;

/// A pathname as the client wrote it: octets, with all blanks but the first (RFC 2640 3.1).
///
/// May hold CR, LF or NUL. Such a path parses, since 553 belongs to the check of names, not to syntax.
pub type PathText = Box<[u8]>;

/// A command with its argument understood. Verbs that are off have a variant only where their argument
/// is settled already; [`parse`] answers 502 for the others.
///
/// `Pass` holds a secret and `Debug` shows it: log the verb, never the command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// USER with a name.
    User(PathText),
    /// PASS with everything after its one blank; empty without an argument.
    Pass(PathText),
    /// ACCT. Nobody asks for the account, so it is not kept.
    Acct,
    /// CWD; without a path, to the home directory.
    Cwd(Option<PathText>),
    /// CDUP.
    Cdup,
    /// QUIT.
    Quit,
    /// REIN.
    Rein,
    /// PORT. Whether that peer may be dialled is the session's to say ([`super::address::may_dial`]).
    Port(SocketAddr),
    /// EPRT, as [`Command::Port`].
    Eprt(SocketAddr),
    /// PASV.
    Pasv,
    /// EPSV.
    Epsv(EpsvWord),
    /// TYPE.
    Type(TypeCode),
    /// STRU F.
    Stru,
    /// MODE.
    Mode(ModeCode),
    /// RETR.
    Retr(PathText),
    /// STOR.
    Stor(PathText),
    /// STOU with a prefix for the name.
    Stou(Option<PathText>),
    /// APPE.
    Appe(PathText),
    /// ALLO in octets. The record size is read and dropped.
    Allo(u64),
    /// REST in octets.
    Rest(u64),
    /// RANG first, last (inclusive). `1 0` means no range.
    Rang(u64, u64),
    /// RNFR.
    Rnfr(PathText),
    /// RNTO.
    Rnto(PathText),
    /// DELE.
    Dele(PathText),
    /// RMD.
    Rmd(PathText),
    /// MKD.
    Mkd(PathText),
    /// PWD.
    Pwd,
    /// ABOR.
    Abor,
    /// LIST with options and path unparted: an existing name wins over the reading as options.
    List(Option<PathText>),
    /// NLST, as [`Command::List`].
    Nlst(Option<PathText>),
    /// MLST.
    Mlst(Option<PathText>),
    /// MLSD.
    Mlsd(Option<PathText>),
    /// SITE.
    Site(SiteCommand),
    /// SYST.
    Syst,
    /// STAT.
    Stat(Option<PathText>),
    /// HELP with a command word, as written.
    Help(Option<PathText>),
    /// NOOP.
    Noop,
    /// FEAT.
    Feat,
    /// OPTS.
    Opts(OptsCommand),
    /// LANG with a well-formed language tag (RFC 5646 in outline).
    Lang(Option<PathText>),
    /// CLNT with free text.
    Clnt(PathText),
    /// CSID with facts, unparsed; may be empty.
    Csid(PathText),
    /// HOST.
    Host(HostName),
    /// AUTH with a mechanism, as written.
    Auth(PathText),
    /// PBSZ.
    Pbsz(u32),
    /// PROT.
    Prot(ProtLevel),
    /// CCC.
    Ccc,
    /// MDTM with everything after it: a path, or a time and a path, which only a look-up can tell.
    Mdtm(PathText),
    /// SIZE.
    Size(PathText),
    /// MFMT.
    Mfmt {
        /// `YYYYMMDDHHMMSS`, perhaps with a fraction: digits are checked, the calendar is not.
        time: PathText,
        /// The file.
        path: PathText,
    },
    /// MFF.
    Mff {
        /// Names and values as written, at least one pair.
        facts: Vec<(PathText, PathText)>,
        /// The file.
        path: PathText,
    },
    /// AVBL.
    Avbl(Option<PathText>),
    /// PRET. The transfer it announces is checked and forgotten: nothing here needs to prepare.
    Pret,
    /// HASH.
    Hash(PathText),
    /// XCRC, XMD5, XSHA1, XSHA256 or XSHA512 with path and range unparted: an existing name wins.
    Digest(Verb, PathText),
}

/// A line that begins with no verb of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// No such command: 500.
    Word,
    /// HTTP, SSH or TLS. Whoever speaks it was sent here by somebody else: the session closes, since
    /// going on would let a browser's request smuggle FTP commands in its body.
    NotFtp,
}

/// An argument that no command can be made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// 500, 501, 502, 504 or 522.
    pub code: u16,
    /// The reply's text.
    pub text: &'static str,
}

pub(super) const MISSING: Malformed = Malformed { code: 501, text: "Missing argument." };
pub(super) const BAD_ARGUMENT: Malformed = Malformed { code: 501, text: "Bad argument." };
const NUL_INSIDE: Malformed = Malformed { code: 501, text: "NUL is not allowed here." };
const TURNED_OFF: Malformed = Malformed { code: 502, text: "Command not implemented." };

/// Request words of HTTP. Browsers can be made to send them to any port.
const HTTP_WORDS: [&[u8]; 7] = [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT"];

/// Parts a line (without its end) into the verb's row and the argument, which begins after exactly one
/// space and is empty when there is none.
///
/// # Errors
/// [`Unknown`] when no verb is spelled like the first word.
pub fn split(line: &[u8]) -> Result<(&'static Rule, &[u8]), Unknown> {
    // Some clients mangle the Telnet signals before ABOR (IP without its IAC, a lone DM): no verb begins so.
    let start = line.iter().position(u8::is_ascii).unwrap_or(line.len());
    let line = &line[start..];
    let (word, argument) = cut(line);
    match find(word) {
        Some(rule) => Ok((rule, argument)),
        None if is_foreign(line) => Err(Unknown::NotFtp),
        None => Err(Unknown::Word),
    }
}

/// Whether octets that begin a line are another protocol's: an HTTP request or its `Host:` header, an SSH
/// banner, a TLS record (RFC 8446 5.1: type 22, major version 3).
///
/// Serves on the first octets of a connection too: a TLS hello need not contain a line end.
pub fn is_foreign(start: &[u8]) -> bool {
    let (word, _) = cut(start);
    let begins = |with: &[u8]| start.get(..with.len()).is_some_and(|s| s.eq_ignore_ascii_case(with));
    HTTP_WORDS.iter().any(|http| word.eq_ignore_ascii_case(http))
        || begins(b"Host:")
        || begins(b"SSH-")
        || start.starts_with(&[0x16, 0x03])
}

/// Makes a command of a row and the argument that [`split`] found beside it.
///
/// # Errors
/// [`Malformed`] with the reply: 501 for bad syntax, 504 for what is well formed but not offered, 522 for
/// an address family unknown to RFC 2428, 502 for verbs that are off, 500 for unknown SITE words.
pub fn parse(rule: &'static Rule, argument: &[u8]) -> Result<Command, Malformed> {
    if rule.argument == Argument::Required && argument.is_empty() {
        return Err(MISSING);
    }
    let settled =
        bare(rule.verb).or_else(|| of_path(rule.verb, argument)).or_else(|| of_optional_path(rule.verb, argument));
    match settled {
        Some(command) => Ok(command),
        None => of_words(rule.verb, argument),
    }
}

/// Verbs that take nothing, whatever stands behind them.
fn bare(verb: Verb) -> Option<Command> {
    Some(match verb {
        Verb::Cdup => Command::Cdup,
        Verb::Quit => Command::Quit,
        Verb::Rein => Command::Rein,
        Verb::Pasv => Command::Pasv,
        Verb::Pwd => Command::Pwd,
        Verb::Abor => Command::Abor,
        Verb::Syst => Command::Syst,
        Verb::Noop => Command::Noop,
        Verb::Feat => Command::Feat,
        Verb::Ccc => Command::Ccc,
        _ => return None,
    })
}

/// Verbs whose whole argument is a path, or holds one at a place only the file system can tell.
fn of_path(verb: Verb, argument: &[u8]) -> Option<Command> {
    let path = || PathText::from(argument);
    Some(match verb {
        Verb::Retr => Command::Retr(path()),
        Verb::Stor => Command::Stor(path()),
        Verb::Appe => Command::Appe(path()),
        Verb::Rnfr => Command::Rnfr(path()),
        Verb::Rnto => Command::Rnto(path()),
        Verb::Dele => Command::Dele(path()),
        Verb::Rmd => Command::Rmd(path()),
        Verb::Mkd => Command::Mkd(path()),
        Verb::Mdtm => Command::Mdtm(path()),
        Verb::Size => Command::Size(path()),
        Verb::Hash => Command::Hash(path()),
        Verb::Xcrc | Verb::Xmd5 | Verb::Xsha1 | Verb::Xsha256 | Verb::Xsha512 => Command::Digest(verb, path()),
        _ => return None,
    })
}

/// Verbs that do without a path too. Embedded clients send `CWD ` with nothing behind the blank.
fn of_optional_path(verb: Verb, argument: &[u8]) -> Option<Command> {
    let path = || (!argument.is_empty()).then(|| PathText::from(argument));
    Some(match verb {
        Verb::Cwd => Command::Cwd(path()),
        Verb::Stou => Command::Stou(path()),
        Verb::List => Command::List(path()),
        Verb::Nlst => Command::Nlst(path()),
        Verb::Mlst => Command::Mlst(path()),
        Verb::Mlsd => Command::Mlsd(path()),
        Verb::Stat => Command::Stat(path()),
        Verb::Avbl => Command::Avbl(path()),
        _ => return None,
    })
}

/// Verbs with a grammar of their own.
fn of_words(verb: Verb, argument: &[u8]) -> Result<Command, Malformed> {
    Ok(match verb {
        Verb::User => Command::User(word(argument)?.into()),
        Verb::Pass => Command::Pass(without_nul(argument)?.into()),
        Verb::Acct => word(argument).map(|_| Command::Acct)?,
        Verb::Port => Command::Port(parameter::port(argument)?),
        Verb::Eprt => Command::Eprt(parameter::eprt(argument)?),
        Verb::Epsv => Command::Epsv(parameter::epsv(argument)?),
        Verb::Type => Command::Type(parameter::representation(argument)?),
        Verb::Stru => parameter::structure(argument).map(|()| Command::Stru)?,
        Verb::Mode => Command::Mode(parameter::mode(argument)?),
        Verb::Allo => Command::Allo(parameter::allocation(argument)?),
        Verb::Rest => Command::Rest(parameter::octet(word(argument)?)?),
        Verb::Rang => parameter::range(argument).map(|(first, last)| Command::Rang(first, last))?,
        Verb::Help => Command::Help(optional_word(argument)?.map(Into::into)),
        Verb::Lang => Command::Lang(parameter::language(argument)?),
        Verb::Host => Command::Host(parameter::host(argument)?),
        Verb::Auth => Command::Auth(word(argument)?.into()),
        Verb::Pbsz => Command::Pbsz(parameter::buffer_size(argument)?),
        Verb::Prot => Command::Prot(parameter::protection(argument)?),
        Verb::Site => Command::Site(extension::site(argument)?),
        Verb::Opts => Command::Opts(extension::opts(argument)?),
        Verb::Clnt => Command::Clnt(word(argument)?.into()),
        Verb::Csid => Command::Csid(without_nul(argument.trim_ascii())?.into()),
        Verb::Pret => extension::pret(argument).map(|()| Command::Pret)?,
        Verb::Mfmt => extension::mfmt(argument)?,
        Verb::Mff => extension::mff(argument)?,
        _ => return Err(TURNED_OFF),
    })
}

/// At the first space, which belongs to neither part.
fn cut(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| *byte == b' ') {
        Some(at) => {
            let (word, rest) = line.split_at(at);
            (word, rest.get(1..).unwrap_or_default())
        }
        None => (line, &[]),
    }
}

/// An argument that is no path: trimmed, and not empty after that.
fn word(argument: &[u8]) -> Result<&[u8], Malformed> {
    optional_word(argument)?.ok_or(MISSING)
}

/// As [`word`], for an argument that may be missing.
fn optional_word(argument: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let word = without_nul(argument.trim_ascii())?;
    Ok((!word.is_empty()).then_some(word))
}

/// NUL ends a string in too many libraries to let one in: what is checked here and what is used there
/// would differ.
fn without_nul(argument: &[u8]) -> Result<&[u8], Malformed> {
    if argument.contains(&0) { Err(NUL_INSIDE) } else { Ok(argument) }
}
