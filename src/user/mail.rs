//! What the parts of the client say to each other: wishes and answers, orders and news.
//!
//! ```text
//!   crew ── Wish ──▶ User-PI ── Order ──▶ User-DTP
//!        ◀─ Answer ─         ◀── News ───
//! ```
//!
//! A [`Ticket`] names one wish of one session from the first order to the last answer, so that two transfers of one
//! session, of which the second is only being prepared, are never mixed up.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::profile::Way;
use super::pump::{Pump, Snag};
use crate::wire::command::Verb;
use crate::wire::reply::{Overlong, Reply};

/// Names a wish among those of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// How a session is to be protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protection {
    /// Not at all.
    #[default]
    Off,
    /// AUTH TLS; in the clear only if the server refuses that.
    Auto,
    /// AUTH TLS or nothing.
    Explicit,
    /// TLS from the first byte.
    Implicit,
}

/// What whoever uses a session wants of it.
#[derive(Debug)]
pub enum Wish {
    /// One command and its final reply. The line must hold neither CR nor LF nor NUL; it is refused otherwise.
    Ask {
        /// The command as it goes over the wire, without its end and before FF is doubled.
        line: Vec<u8>,
        /// Whether it is the user's own, which may change anything: it leaves when no reply to an earlier one is owed.
        alone: bool,
    },
    /// One command with a data connection.
    Transfer(Box<Transfer>),
    /// QUIT, after everything that was wished before.
    Quit,
}

/// A command that moves data, with all that prepares it.
#[derive(Debug)]
pub struct Transfer {
    /// RETR, STOR, APPE, STOU, LIST, NLST or MLSD.
    pub verb: Verb,
    /// Its argument; empty for none.
    pub argument: Vec<u8>,
    /// TYPE A instead of TYPE I.
    pub text: bool,
    /// Restart marker; 0 sends no REST.
    pub restart: u64,
    /// Where the bytes come from or go to.
    pub pump: Pump,
    /// The one way to the data connection that will do; otherwise the best that works.
    pub only: Option<Way>,
}

/// What became of a wish.
#[derive(Debug)]
pub enum Answer {
    /// The final reply to an [`Wish::Ask`], whatever its code.
    Reply(Reply),
    /// A [`Wish::Transfer`] is over.
    Moved(Box<Outcome>),
    /// The session ended before the wish was done.
    Dead(Death),
}

/// How a transfer ended.
#[derive(Debug)]
pub struct Outcome {
    /// The pump, with what it holds; absent when it went down with a data connection that had to be dropped.
    pub pump: Option<Pump>,
    /// Bytes moved on the data connection.
    pub moved: u64,
    /// Bytes that the server's 1yz said there would be.
    pub announced: Option<u64>,
    /// Since the data connection was there.
    pub elapsed: Duration,
    /// The final reply, or what went wrong.
    pub result: Result<Reply, Failure>,
}

/// Why a transfer did not succeed although the session lives.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The server's 4yz or 5yz to the verb, before or after data flowed.
    Refused(Reply),
    /// It does not take the restart marker.
    NoRestart(Reply),
    /// It does not take the TYPE.
    NoType(Reply),
    /// No way to open a data connection is left; with the code of the last refusal, if it was one.
    NoChannel(String, Option<u16>),
    /// The data connection or the local side failed.
    Snag(Snag),
    /// The server says that it went well, but TLS does not confirm that these were all the bytes. Whoever knows how many
    /// there should be may believe it.
    Unclosed(Reply),
    /// A listing that went well, says the server, of which nothing came and which no data connection ended: perhaps there is
    /// nothing to list.
    Bare(Reply),
    /// The wish was withdrawn.
    Aborted,
    /// It could not be put into a line: a control character in a path.
    Unsendable,
}

/// Why a session ended.
#[derive(Debug, Clone)]
pub enum Death {
    /// No connection could be made.
    Connect(String),
    /// The server waits for a data connection that cannot be had.
    NoChannel(String),
    /// Nothing came in time.
    TimedOut(&'static str),
    /// The server closed without a word.
    Closed,
    /// The connection broke.
    Lost(io::ErrorKind),
    /// 421, or a greeting that is no welcome.
    Dismissed(Reply),
    /// The login was refused.
    Login(Reply),
    /// The server has lost lines that were sent ahead.
    OutOfStep(Reply),
    /// The server sends what no memory should hold.
    Garbage(Overlong),
    /// Something was said, and no greeting of an FTP server.
    NoFtp,
    /// The server wants data connections to resume the session and does not accept how; in an older TLS it may.
    Unresumed(Reply),
    /// The server has no TLS 1.2, in which its data connections could have resumed the session.
    NotOld,
    /// TLS was wished and cannot be had.
    Insecure(String),
    /// It was over before the wish came to it, or was given up for the sake of another wish.
    Abandoned,
    /// We left, by QUIT or because nobody needed the session any more.
    Left,
}

/// Down: from a User-PI to its User-DTP.
#[derive(Debug)]
pub enum Order {
    /// Connect to the server. A download begins as soon as the connection is there, an upload at [`Order::Go`].
    Dial(SocketAddr, Pump),
    /// Wait for the server's connection on a port of our own (PORT, EPRT); [`News::Listening`] answers.
    Listen(Pump),
    /// The server has accepted the upload.
    Go,
    /// Nothing more is expected of this transfer; nothing answers.
    Drop,
    /// Close the data connection now; a [`News::Done`] answers.
    Cut,
    /// The same if nothing has come over it; nothing answers if something has.
    CutIfBare,
}

/// Up: from a User-DTP to its User-PI.
#[derive(Debug)]
pub enum News {
    /// The server may connect here.
    Listening(SocketAddr),
    /// The data connection is there.
    Up,
    /// No data connection came about; the pump is as it was.
    Never(Pump, Missed),
    /// The data connection is done with.
    Done {
        /// The pump.
        pump: Pump,
        /// Bytes moved.
        moved: u64,
        /// Since the connection was there.
        elapsed: Duration,
        /// How it ended.
        result: Result<(), Snag>,
    },
}

/// Why no data connection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The network, or the kernel here, said no.
    Failed(io::ErrorKind),
    /// Our SYN was never answered.
    Unanswered,
    /// Nobody has come to the port we listened on, or only strangers.
    NobodyCame,
    /// It could not be put into TLS.
    Uncovered,
    /// It was not wanted any more.
    Withdrawn,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(kind) => write!(f, "{kind}"),
            Self::Unanswered => f.write_str("timed out (a firewall in between?)"),
            Self::NobodyCame => f.write_str("the server did not connect (a firewall or a gateway in between?)"),
            Self::Uncovered => f.write_str("TLS could not be made ready"),
            Self::Withdrawn => f.write_str("given up"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reply) => write!(f, "{}", Spoken(reply)),
            Self::NoRestart(reply) => write!(f, "the server cannot restart: {}", Spoken(reply)),
            Self::NoType(reply) => write!(f, "the server refuses the transfer type: {}", Spoken(reply)),
            Self::NoChannel(why, _) => write!(f, "no data connection: {why}"),
            Self::Snag(snag) => write!(f, "{snag}"),
            Self::Unclosed(_) => write!(f, "{}", Snag::Unclosed),
            Self::Bare(_) => f.write_str("nothing came"),
            Self::Aborted => f.write_str("aborted"),
            Self::Unsendable => f.write_str("a name with a line break or NUL in it cannot be sent"),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(why) | Self::Insecure(why) => f.write_str(why),
            Self::NoChannel(why) => write!(f, "no data connection: {why}"),
            Self::TimedOut(what) => write!(f, "timed out {what}"),
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Lost(kind) => write!(f, "the connection broke: {kind}"),
            Self::Dismissed(reply) => write!(f, "{}", Spoken(reply)),
            Self::Login(reply) => write!(f, "login refused: {}", Spoken(reply)),
            Self::Unresumed(reply) => write!(f, "{}", Spoken(reply)),
            Self::NotOld => f.write_str("the server does not speak TLS 1.2"),
            Self::OutOfStep(reply) => write!(f, "commands were lost behind a transfer: {}", Spoken(reply)),
            Self::Garbage(_) => f.write_str("the server's reply has no end"),
            Self::NoFtp => f.write_str("what the server says is no FTP greeting"),
            Self::Abandoned => f.write_str("the session was given up"),
            Self::Left => f.write_str("the session was closed"),
        }
    }
}

/// A reply's last line as a person may read it: code and text, control characters escaped.
#[derive(Debug)]
pub struct Spoken<'a>(pub &'a Reply);

impl fmt::Display for Spoken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.code, super::text::Shown(self.0.text()))
    }
}
