//! Octets to replies, for the User-PI: all that servers send, strictly or not.

use std::borrow::Cow;

use super::{Lines, Reply, Text, Width};
use crate::wire::telnet::Telnet;

/// Octets of one line. No sane server sends a thousandth.
pub const LINE_LIMIT: usize = 64 * 1024;
/// Octets of one reply. FEAT and STAT of a directory are the long ones; a server that sends more than this
/// wants our memory.
pub const REPLY_LIMIT: usize = 1024 * 1024;

/// The server's reply passed a limit. The connection is of no use any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overlong {
    /// A line of more than 64 KiB.
    Line,
    /// A reply of more than 1 MiB.
    Reply,
}

/// The replies of one control connection that have arrived and not yet been taken.
///
/// Accepted beside RFC 959's form: LF for CR LF, a code with nothing behind it, text lines within a reply
/// that begin with any code (only the same code and a blank end it). Lines without a code between
/// replies are dropped.
#[derive(Debug, Default)]
pub struct ReplyReader {
    held: Vec<u8>,
    /// Octets of `held` that are taken. Dropped once a read: dropping them once a line would move the rest
    /// as often as it has lines.
    head: usize,
    /// Where the search for the next LF goes on.
    searched: usize,
    telnet: Telnet,
    open: Option<Open>,
    /// A reply that was ended by [`ReplyReader::end`] and waits to be taken.
    ended: Option<Reply>,
    failed: Option<Overlong>,
    /// A line was dropped.
    nonsense: bool,
}

/// A reply of several lines whose last has not come.
#[derive(Debug)]
struct Open {
    code: u16,
    first: Vec<u8>,
    body: Vec<Vec<u8>>,
    /// Octets in all lines so far.
    size: usize,
}

impl ReplyReader {
    /// A reader at the start of a connection.
    pub const fn new() -> Self {
        ReplyReader {
            held: Vec::new(),
            head: 0,
            searched: 0,
            telnet: Telnet::new(),
            open: None,
            ended: None,
            failed: None,
            nonsense: false,
        }
    }

    /// Takes in what was read from the socket; refusals of Telnet options are appended to `answers`.
    pub fn feed(&mut self, raw: &[u8], answers: &mut Vec<u8>) {
        if self.failed.is_none() {
            let held = &mut self.held;
            self.telnet.decode(raw, answers, |text| held.extend_from_slice(text));
        }
    }

    /// At the end of the connection: a last line without its end counts as a line.
    pub fn finish(&mut self) {
        if self.held.len() > self.head && !self.held.ends_with(b"\n") {
            self.held.push(b'\n');
        }
    }

    /// Whether a reply has begun and not ended.
    pub fn partial(&self) -> bool {
        self.open.is_some() || self.held.len() > self.head
    }

    /// Whether something has come that begins no reply.
    pub fn holds_nonsense(&self) -> bool {
        let begun = self.held.get(self.head).filter(|_| self.open.is_none());
        self.nonsense || begun.is_some_and(|first| !first.is_ascii_digit())
    }

    /// Whether what was read so far would be a whole reply if its last line's code were believed although it is not the
    /// code that the reply began with. Some servers mix them up, so after a silence [`ReplyReader::end`] may be called.
    pub fn could_end(&self) -> bool {
        let last = self.open.as_ref().and_then(|open| open.body.last());
        self.held.len() == self.head && last.is_some_and(|line| matches!(Start::of(line), Start::Last(_)))
    }

    /// Believes the last line's code: the reply is complete and has that code.
    pub fn end(&mut self) {
        if !self.could_end() {
            return;
        }
        let Some(mut open) = self.open.take() else { return };
        let Some(last) = open.body.pop() else { return };
        if let Start::Last(code) = Start::of(&last) {
            open.code = code;
        }
        self.ended = Some(open.close(text_of(&last)));
    }

    /// Forgets everything: what came in the clear before TLS must not be believed after it.
    pub fn clear(&mut self) {
        *self = ReplyReader::new();
    }

    /// The next line that has come to its end, without it.
    fn line(&mut self) -> Result<Option<Vec<u8>>, Overlong> {
        let unseen = self.held.get(self.searched..).unwrap_or_default();
        let Some(length) = unseen.iter().position(|octet| *octet == b'\n') else {
            self.searched = self.held.len();
            let too_long = self.searched - self.head > LINE_LIMIT;
            return if too_long { Err(Overlong::Line) } else { Ok(None) };
        };
        let end = self.searched + length;
        let line = self.held.get(self.head..end).unwrap_or_default();
        // One CR is the rule; servers behind careless line converters send two.
        let bare = line.iter().rposition(|octet| *octet != b'\r').map_or(0, |last| last + 1);
        // And some have the two the wrong way round.
        let begin = line.iter().position(|octet| *octet != b'\r').unwrap_or(0);
        let line = line.get(begin..bare).unwrap_or_default();
        // A copy of its own size: a line that kept a read's capacity would outgrow the limits unseen.
        let line = if line.len() > LINE_LIMIT { Err(Overlong::Line) } else { Ok(Some(line.to_vec())) };
        self.head = end + 1;
        self.searched = self.head;
        line
    }

    /// Gives the buffer back when all is taken: most of a session's life no reply is due.
    fn release(&mut self) {
        if self.held.len() == self.head {
            self.held = Vec::new();
            self.head = 0;
            self.searched = 0;
        }
    }

    /// One line more; a reply if it was the last of one.
    fn accept(&mut self, line: Vec<u8>) -> Result<Option<Reply>, Overlong> {
        let start = Start::of(&line);
        match self.open.take() {
            Some(open) if start == Start::Last(open.code) => Ok(Some(open.close(text_of(&line)))),
            Some(mut open) => {
                open.size += line.len();
                open.body.push(line);
                // Empty lines cost memory too.
                let size = open.size + open.body.len() * size_of::<Vec<u8>>();
                self.open = Some(open);
                if size > REPLY_LIMIT { Err(Overlong::Reply) } else { Ok(None) }
            }
            None => Ok(match start {
                Start::Last(code) => {
                    Some(Reply { code, width: Width::Whole, text: Text::Line(Cow::Owned(text_of(&line))), cause: None })
                }
                Start::First(code) => {
                    let first = text_of(&line);
                    self.open = Some(Open { code, size: first.len(), first, body: Vec::new() });
                    None
                }
                Start::Text => {
                    self.nonsense |= !line.is_empty();
                    None
                }
            }),
        }
    }
}

impl Open {
    fn close(self, last: Vec<u8>) -> Reply {
        let Open { code, first, body, .. } = self;
        let lines = Lines { first: Cow::Owned(first), body, last: Cow::Owned(last) };
        Reply { code, width: Width::Whole, text: Text::Lines(Box::new(lines)), cause: None }
    }
}

/// Never ends for good: after `None`, [`ReplyReader::feed`] may bring more.
impl Iterator for ReplyReader {
    type Item = Result<Reply, Overlong>;

    /// The next complete reply in order. After an error always that error.
    fn next(&mut self) -> Option<Result<Reply, Overlong>> {
        if let Some(failed) = self.failed {
            return Some(Err(failed));
        }
        if let Some(reply) = self.ended.take() {
            return Some(Ok(reply));
        }
        loop {
            let outcome = match self.line() {
                Ok(None) => {
                    self.release();
                    return None;
                }
                Ok(Some(line)) => self.accept(line),
                Err(overlong) => Err(overlong),
            };
            match outcome {
                Ok(None) => {}
                Ok(Some(reply)) => return Some(Ok(reply)),
                Err(overlong) => {
                    *self = ReplyReader { failed: Some(overlong), ..ReplyReader::new() };
                    return Some(Err(overlong));
                }
            }
        }
    }
}

/// What the first four octets of a line make it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// `ddd-`: opens a reply of several lines.
    First(u16),
    /// `ddd `, `ddd` alone: ends one, or is one.
    Last(u16),
    /// Anything else.
    Text,
}

impl Start {
    fn of(line: &[u8]) -> Start {
        let [hundreds @ b'1'..=b'6', tens @ b'0'..=b'9', units @ b'0'..=b'9', rest @ ..] = line else {
            return Start::Text;
        };
        let digit = |digit: &u8| u16::from(digit - b'0');
        let code = digit(hundreds) * 100 + digit(tens) * 10 + digit(units);
        match rest.first() {
            Some(b'-') => Start::First(code),
            None | Some(b' ' | b'\t') => Start::Last(code),
            Some(_) => Start::Text,
        }
    }
}

/// A coded line without code and separator.
fn text_of(line: &[u8]) -> Vec<u8> {
    line.get(4..).unwrap_or_default().to_vec()
}
