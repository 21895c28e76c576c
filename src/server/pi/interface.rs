//! What goes into a session and what comes out of it.

use std::time::Duration;

use super::Verdict;
use crate::filesystem::VirtualPath;
use crate::server::world::SessionKeys;
use crate::transfer::{Order, Report};
use crate::wire::command::{PathText, Verb};
use crate::wire::reply::Reply;

/// What happens to a session.
#[derive(Debug)]
pub enum Input {
    /// The connection is there; the first word is ours.
    Hello,
    /// A complete line, without its end.
    Line(Vec<u8>),
    /// The first octets are another protocol's.
    NotFtp,
    /// A line over the limit, skipped.
    TooLong,
    /// Lines over the limit once too often: a peer that speaks something else.
    Endless,
    /// An ABOR stands among the lines that wait for the transfer's end.
    Interrupt,
    /// A bare STAT stood among them and was taken out.
    Inquire,
    /// The DTP's answer.
    Report(Report),
    /// The verifier's answer.
    Verdict(Verdict),
    /// The connection is in TLS now; the client's certificate, where certificates may stand for passwords.
    Secured(Option<Box<Certificate>>),
    /// The connection is in the clear again.
    Bared,
    /// The time that [`Session::patience`](super::Session::patience) allowed is over.
    Expired,
    /// A line has begun and does not end.
    Dripping,
    /// The peer's address is shut out.
    Banned,
    /// The server is about to end.
    Drain,
    /// The server ends now.
    Stop,
}

/// What a session wants done, in order.
#[derive(Debug)]
pub enum Output {
    /// To the peer.
    Reply(Reply),
    /// To the DTP.
    Order(Order),
    /// To the verifier.
    Check {
        /// The name given with USER.
        user: PathText,
        /// What came with PASS.
        password: PathText,
    },
    /// A login failed; its guess, as a keyed digest.
    Guessed(u64),
    /// Go on in TLS with these keys, after the replies so far.
    Secure(SessionKeys),
    /// Go on in the clear, after the replies so far.
    Bare,
    /// A transfer is over: for the transfer log.
    Record(Box<Finished>),
    /// Send what is queued and close.
    HangUp,
}

/// A finished transfer, for the logs.
#[derive(Debug)]
pub struct Finished {
    /// The verb.
    pub verb: Verb,
    /// The account.
    pub user: Box<str>,
    /// The file.
    pub path: VirtualPath,
    /// Sent or received as text.
    pub ascii: bool,
    /// Bytes on the data connection; in MODE Z those of the file, which is what xferlog's readers add up.
    pub moved: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// None: complete.
    pub fault: Option<crate::transfer::Fault>,
}

/// How long a session may stay as it is; the control record keeps the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Counted from when the dialogue began to be a stranger's.
    Login(Duration),
    /// Counted from the last command.
    Idle(Duration),
    /// Counted from now: the penalty for a wrong password.
    Penalty(Duration),
    /// Counted from the last sign of life: the client is told that its answer is still being computed.
    Remark(Duration),
    /// Something else keeps the time: the verifier, the DTP, the flush of the last words.
    Endless,
}

/// A client's certificate, DER, which was verified.
#[derive(Debug)]
pub struct Certificate(pub Vec<u8>);
