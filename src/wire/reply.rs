//! Replies (RFC 959 4.2): codes and texts to octets, and for the User-PI back.
//!
//! [`Reply::encode`] is the one place where text becomes octets of the control connection, so it is the one
//! place that keeps a file's name from forging a line of its own:
//!
//! ```text
//!   one line                 several lines
//!   "ddd text CR LF"         "ddd-first CR LF"
//!                            " body CR LF" ...      a blank first: no line can look like the last
//!                            "ddd last CR LF"
//! ```

mod reader;

#[cfg(test)]
mod tests;

pub use reader::{Overlong, ReplyReader};

use std::borrow::Cow;

/// Octets of a line on the wire, CR LF included. Embedded clients read into buffers of 512.
pub const LINE_LIMIT: usize = 500;
/// What code, separator and CR LF take of it.
const FRAME: usize = 6;
/// Telnet's escape, doubled wherever it is text (RFC 854).
const IAC: u8 = 0xff;
/// Stands for octets that would steer a terminal or a parser.
const SUBSTITUTE: u8 = b'?';

/// One reply, complete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Three digits, the first of them 1 to 5 (RFC 959 4.2.1).
    pub code: u16,
    width: Width,
    text: Text,
    cause: Option<Cause>,
}

/// Why, for the administrator's log: the peer never hears of it. A number, so that replies stay small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The system's own (errno).
    System(u8),
    /// A name would have to go to another file system.
    Elsewhere,
    /// What a home holds is not known yet.
    Counting,
    /// An account has all that it may have.
    UsedUp,
}

/// What the first digit says (RFC 959 4.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// 1yz: begun, another reply follows.
    Preliminary,
    /// 2yz: done.
    Completion,
    /// 3yz: understood, another command is wanted.
    Intermediate,
    /// 4yz: not done, may be tried again.
    Transient,
    /// 5yz: not done, and trying again is of no use.
    Permanent,
}

/// How long a line of the reply may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Width {
    /// Cut at [`LINE_LIMIT`].
    Short,
    /// Never cut: a machine reads it, and half a path would be another path.
    Whole,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Text {
    Line(Cow<'static, [u8]>),
    /// A first line whose last is still to come.
    Opening(Cow<'static, [u8]>),
    /// A line after it that is not the last.
    Inner(Cow<'static, [u8]>),
    /// Boxed, since few replies have several lines and all are moved about.
    Lines(Box<Lines>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Lines {
    first: Cow<'static, [u8]>,
    body: Vec<Vec<u8>>,
    last: Cow<'static, [u8]>,
}

impl Reply {
    /// A reply of one line. A text known at compile time is not copied.
    pub fn new(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Reply { code, width: Width::Short, text: Text::Line(octets(text.into())), cause: None }
    }

    /// A reply of one line that echoes what is not known to be text, a path as a rule.
    pub fn bytes(code: u16, text: Vec<u8>) -> Self {
        Reply { code, width: Width::Short, text: Text::Line(Cow::Owned(text)), cause: None }
    }

    /// A reply of one line that is never cut, as a program reads a path or an address out of it: 257, 213,
    /// 227, 229. The caller bounds it by bounding its path.
    pub fn path_line(code: u16, text: Vec<u8>) -> Self {
        Reply { code, width: Width::Whole, text: Text::Line(Cow::Owned(text)), cause: None }
    }

    /// A reply of several lines (RFC 959 4.2). Each line of `body` gets a blank before it.
    pub fn lines<L: Into<Vec<u8>>>(
        code: u16,
        first: impl Into<Cow<'static, str>>,
        body: Vec<L>,
        last: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (first, last) = (octets(first.into()), octets(last.into()));
        let body = body.into_iter().map(Into::into).collect();
        Reply { code, width: Width::Short, text: Text::Lines(Box::new(Lines { first, body, last })), cause: None }
    }

    /// As [`Reply::lines`], never cut and with a first line that may hold a path: MLST's 250.
    pub fn path_lines<L: Into<Vec<u8>>>(
        code: u16,
        first: Vec<u8>,
        body: Vec<L>,
        last: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (first, last) = (Cow::Owned(first), octets(last.into()));
        let body = body.into_iter().map(Into::into).collect();
        Reply { code, width: Width::Whole, text: Text::Lines(Box::new(Lines { first, body, last })), cause: None }
    }

    /// The first line of a reply that is not known yet, for a client that waits for it: HASH's 213 takes as long as
    /// the file. [`Reply::inner`] lines may follow, and a reply of one line with the same code must.
    pub fn opening(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Reply { code, width: Width::Short, text: Text::Opening(octets(text.into())), cause: None }
    }

    /// Another line of a reply that was begun so.
    pub fn inner(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Reply { code, width: Width::Short, text: Text::Inner(octets(text.into())), cause: None }
    }

    /// The same with a reason for the log alone.
    #[must_use]
    pub fn because(self, cause: Cause) -> Self {
        Reply { cause: Some(cause), ..self }
    }

    /// The reason that the log is told.
    pub const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// What the first digit says. A code outside RFC 959 counts as [`Kind::Permanent`]: the safe reading.
    pub fn kind(&self) -> Kind {
        match self.code / 100 {
            1 => Kind::Preliminary,
            2 => Kind::Completion,
            3 => Kind::Intermediate,
            4 => Kind::Transient,
            _ => Kind::Permanent,
        }
    }

    /// The texts of all lines in order, without codes. Octets as they came, fit for no terminal.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let (first, body, last): (&[u8], &[Vec<u8>], _) = match &self.text {
            Text::Line(line) | Text::Opening(line) | Text::Inner(line) => (line, &[], None),
            Text::Lines(lines) => (&lines.first, &lines.body, Some(&*lines.last)),
        };
        std::iter::once(first).chain(body.iter().map(Vec::as_slice)).chain(last)
    }

    /// The text of the last line, which is the only one as a rule.
    pub fn text(&self) -> &[u8] {
        match &self.text {
            Text::Line(line) | Text::Opening(line) | Text::Inner(line) => line,
            Text::Lines(lines) => &lines.last,
        }
    }

    /// Appends the reply as the control connection carries it. Whatever the text holds, the outcome is one
    /// well-formed reply: control octets become `?`, FF is doubled, lines are cut where that is allowed.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match &self.text {
            Text::Line(line) => self.coded_line(b' ', line, out),
            Text::Opening(line) => self.coded_line(b'-', line, out),
            Text::Inner(line) => self.inner_line(line, out),
            Text::Lines(lines) => {
                self.coded_line(b'-', &lines.first, out);
                for line in &lines.body {
                    self.inner_line(line, out);
                }
                self.coded_line(b' ', &lines.last, out);
            }
        }
    }

    fn coded_line(&self, separator: u8, text: &[u8], out: &mut Vec<u8>) {
        // A code of four digits would shift the text into the code's place.
        let code = self.code.min(999);
        out.extend([code / 100, code / 10 % 10, code % 10].map(|digit| b'0' + digit as u8));
        out.push(separator);
        self.line(text, out);
    }

    fn inner_line(&self, text: &[u8], out: &mut Vec<u8>) {
        out.push(b' ');
        self.line(text, out);
    }

    fn line(&self, text: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        if text.iter().all(|octet| (b' '..0x7f).contains(octet)) {
            out.extend_from_slice(text);
        } else {
            text.iter().for_each(|octet| escape(*octet, out));
        }
        if self.width == Width::Short {
            cut(out, start);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The path in double quotes, quotes within it doubled: what 257 wants (RFC 959 appendix II).
pub fn quoted(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len() + 2);
    out.push(b'"');
    for part in path.split_inclusive(|octet| *octet == b'"') {
        out.extend_from_slice(part);
        if part.ends_with(b"\"") {
            out.push(b'"');
        }
    }
    out.push(b'"');
    out
}

/// The path in the text of a 257: from the first quote to the next lone one. `None` without both.
pub fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let open = text.iter().position(|octet| *octet == b'"')?;
    let mut rest = text.get(open + 1..)?;
    let mut path = Vec::new();
    loop {
        let close = rest.iter().position(|octet| *octet == b'"')?;
        path.extend_from_slice(rest.get(..close)?);
        rest = rest.get(close + 1..)?;
        match rest.strip_prefix(b"\"") {
            Some(behind) => {
                path.push(b'"');
                rest = behind;
            }
            None => return Some(path),
        }
    }
}

/// The working directory in the answer to PWD: quoted as RFC 959 has it, in single quotes (z/OS), or bare. `None`: it
/// does not say, or its quote has no end and nobody knows what it was to be.
pub fn directory_in(reply: &Reply) -> Option<Vec<u8>> {
    if let Some(path) = reply.texts().find_map(unquoted) {
        return Some(path).filter(|path| !path.is_empty());
    }
    let text = reply.texts().find(|text| !text.contains(&b'"'))?;
    let mut single = text.split(|octet| *octet == b'\'').skip(1);
    if let (Some(path), Some(_)) = (single.next(), single.next()) {
        return Some(path.to_vec()).filter(|path| !path.is_empty());
    }
    let rooted = |word: &&[u8]| matches!(word, [b'/', ..] | [b'A'..=b'Z' | b'a'..=b'z', b':', b'/' | b'\\', ..]);
    text.split(|octet| *octet == b' ').find(rooted).map(<[u8]>::to_vec)
}

fn octets(text: Cow<'static, str>) -> Cow<'static, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn escape(octet: u8, out: &mut Vec<u8>) {
    match octet {
        IAC => out.extend([IAC, IAC]),
        0..b' ' | 0x7f => out.push(SUBSTITUTE),
        _ => out.push(octet),
    }
}

/// Cuts what was appended since `start` to a line's length, between characters: neither half an escape nor
/// half of a UTF-8 sequence may stay.
fn cut(out: &mut Vec<u8>, start: usize) {
    let room = LINE_LIMIT - FRAME;
    let Some((kept, rest)) = out.get(start..).and_then(|text| text.split_at_checked(room)) else {
        return;
    };
    if rest.is_empty() {
        return;
    }
    let trailing = |wanted: fn(u8) -> bool| kept.iter().rev().take_while(|o| wanted(**o)).count();
    let escapes = trailing(|octet| octet == IAC);
    let continuations = trailing(|octet| octet & 0xc0 == 0x80);
    let back = match rest.first() {
        Some(&IAC) => escapes % 2,
        // At most three continuation octets follow a leading one; more is no UTF-8 and is cut anywhere.
        Some(next) if next & 0xc0 == 0x80 && continuations < 3 => continuations + 1,
        _ => 0,
    };
    out.truncate(start + room - back);
}
