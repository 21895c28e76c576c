//! Where one control dialogue stands, seen from the user's side.
//!
//! ```text
//!             220              234              handshake
//!  Greeting ──────▶ Authorising ────▶ Securing ───────────▶ Naming
//!     │                  └── refused, and that is all right ──▶ …
//!     │ 220, no TLS wished, or TLS from the first byte
//!     ▼       331              230              211, 5yz          200
//!  Naming ────────▶ Proving ────────▶ Asking ───────────▶ Protecting ───▶ Member
//!     │ 230             │ 332             (FEAT; left out     (PBSZ, PROT; │  ▲ │
//!     └───────▶ …       ▼ ACCT             when known)         under TLS)  │  │ │ QUIT
//!                    Accounting ─── 230 ──▶ …                              ▼  │ ▼
//!                                              Presenting ──▶ Encoding ───────┘ Leaving
//!                                               (CLNT, OPTS, where nothing may be sent ahead)
//!   any state ── 421, end, silence, refusal ──▶ Dead
//!   Member ── 226, then 421 or end, before the end of the data ──▶ Deserted ── data over ──▶ Dead
//! ```
//!
//! A member's replies are owed in the order in which commands went out ([`Owed`]). A transfer has two sides that
//! move on their own, the word on the control connection and the channel beside it; it is over when both are:
//!
//! ```text
//!   word:     Unsent ──▶ Sent ── 1yz ──▶ Opened ── final ──▶ Answered
//!   channel:  Closed ──▶ Asked ──▶ Coming ──▶ Up ──▶ Over
//! ```

use std::fmt;
use std::time::Duration;

use crate::user::mail::{Failure, Outcome, Ticket, Transfer};
use crate::user::profile::Way;
use crate::user::pump::{Pump, Snag};
use crate::wire::command::Verb;
use crate::wire::reply::Reply;

/// The dialogue's state. [`super::Session::enter`] is its only writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The connection is there; the server speaks first.
    Greeting,
    /// AUTH is out.
    Authorising,
    /// 234 is in: the connection goes over to TLS, and nothing that is said meanwhile is believed.
    Securing,
    /// USER is out.
    Naming,
    /// PASS is out.
    Proving,
    /// ACCT is out.
    Accounting,
    /// FEAT is out.
    Asking,
    /// PBSZ is out.
    Buffering,
    /// PROT is out.
    Protecting,
    /// CLNT is out.
    Presenting,
    /// OPTS is out.
    Encoding,
    /// Logged in: wishes are taken.
    Member,
    /// QUIT is out.
    Leaving,
    /// The server has left behind its last word, and the data that it was about is still coming.
    Deserted,
    /// Nothing more will be said.
    Dead,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "waiting for the greeting",
            Self::Authorising | Self::Securing => "asking for TLS",
            Self::Buffering | Self::Protecting => "asking for protected data connections",
            Self::Naming | Self::Proving | Self::Accounting => "logging in",
            Self::Asking => "asking for features",
            Self::Presenting | Self::Encoding => "agreeing on names",
            Self::Member => "logged in",
            Self::Leaving => "leaving",
            Self::Deserted => "left by the server",
            Self::Dead => "over",
        })
    }
}

/// A reply that the server owes, and to whom it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owed {
    /// To the login; the state says to which command.
    Login,
    /// To a command that only sets the scene (CLNT, OPTS, NOOP): whatever it is, it changes nothing.
    Courtesy,
    /// To TYPE: text or not.
    Type(bool, Option<Ticket>),
    /// To a command somebody asked for.
    Ask(Ticket, Meant),
    /// To PRET, EPSV, PASV, PORT or EPRT for a transfer.
    Pret(Ticket),
    /// To what is said because a user's own command may have changed it.
    Doubt(Ticket),
    /// As above.
    Way(Ticket, Way),
    /// To REST, with the offset.
    Rest(Ticket, u64),
    /// To the transfer's verb.
    Verb(Ticket),
    /// To ABOR.
    Abort,
    /// To QUIT.
    Quit,
}

/// What a positive reply to a command must hold. A server that answers twice is found out by it: the second reply to
/// one command would else be the first to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// Whatever it likes.
    Anything,
    /// A number: SIZE, MDTM.
    Number,
    /// A path: PWD.
    Path,
    /// Facts: MLST.
    Facts,
    /// A digest, which takes the server as long as reading the file: HASH and the X-commands.
    Digest,
}

impl Meant {
    /// By a command line.
    pub fn of(line: &[u8]) -> Self {
        let verb = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        match verb.to_ascii_uppercase().as_slice() {
            b"SIZE" | b"MDTM" => Self::Number,
            b"PWD" => Self::Path,
            b"MLST" => Self::Facts,
            b"HASH" | b"XCRC" | b"XMD5" | b"XSHA" | b"XSHA1" | b"XSHA256" | b"XSHA512" => Self::Digest,
            _ => Self::Anything,
        }
    }

    /// Whether a positive reply can be meant.
    pub fn fits(self, reply: &Reply) -> bool {
        let holds = |wanted: &[u8]| reply.texts().any(|text| text.iter().any(|byte| wanted.contains(byte)));
        match self {
            Self::Anything | Self::Digest => true,
            Self::Number => reply.code == 213 || holds(b"0123456789"),
            Self::Path => reply.code == 257 || holds(b"/\\\"'"),
            Self::Facts => reply.code == 250 || holds(b"="),
        }
    }
}

/// What the control connection has seen of a transfer.
#[derive(Debug)]
pub enum Word {
    /// The verb is not out.
    Unsent,
    /// It is out.
    Sent,
    /// 1yz came, or was not waited for.
    Opened,
    /// The final reply came.
    Answered(Reply),
}

/// What the data side has seen of a transfer.
#[derive(Debug)]
pub enum Channel {
    /// Nothing; the pump waits here.
    Closed(Option<Pump>),
    /// The server was asked for a port; the pump waits here.
    Asked(Option<Pump>),
    /// The DTP dials or listens.
    Coming(Way),
    /// The connection is there.
    Up,
    /// It is over.
    Over(Over),
}

/// What the DTP reported at the end.
#[derive(Debug)]
pub struct Over {
    /// With what it holds.
    pub pump: Pump,
    /// Bytes.
    pub moved: u64,
    /// Since the connection was there.
    pub elapsed: Duration,
    /// How it ended.
    pub result: Result<(), Snag>,
}

/// A transfer under way.
#[derive(Debug)]
pub struct Running {
    /// Its name.
    pub ticket: Ticket,
    /// The verb.
    pub verb: Verb,
    /// The verb's argument.
    pub argument: Vec<u8>,
    /// TYPE A.
    pub text: bool,
    /// REST's offset, while it is still to be sent.
    pub restart: u64,
    /// An upload that loses nothing when the server refuses it after it has begun.
    pub eager: bool,
    /// The control side.
    pub word: Word,
    /// The data side.
    pub channel: Channel,
    /// The one way that will do.
    pub only: Option<Way>,
    /// Ways that did not lead to a connection, with the last reason.
    pub tried: Vec<Way>,
    /// Why the last of them failed.
    pub why: String,
    /// With which code, if the server refused it.
    pub refusal: Option<u16>,
    /// A way failed after the verb was sent ahead: its final reply only clears the table for the next try.
    pub again: bool,
    /// The user does not want it any more.
    pub aborted: bool,
    /// Bytes that 1yz said there would be.
    pub announced: Option<u64>,
    /// 1yz replies so far.
    pub preliminaries: usize,
}

impl Running {
    /// A transfer that has not begun.
    pub fn new(ticket: Ticket, transfer: Transfer) -> Self {
        let Transfer { verb, argument, text, restart, pump, only } = transfer;
        let eager = pump.is_rewindable();
        Self {
            ticket,
            verb,
            argument,
            text,
            restart,
            eager,
            word: Word::Unsent,
            channel: Channel::Closed(Some(pump)),
            only,
            tried: Vec::new(),
            why: String::new(),
            refusal: None,
            again: false,
            aborted: false,
            announced: None,
            preliminaries: 0,
        }
    }

    /// Whether the server sends the data.
    pub const fn incoming(&self) -> bool {
        !matches!(self.verb, Verb::Stor | Verb::Stou | Verb::Appe)
    }

    /// What it came to if the session ends now and the server's word does not matter any more: it has all that it wanted
    /// (a segment cuts the server short, and some servers, proftpd in TLS, take that so ill that they leave), or it was
    /// given up on this side, which is what made the server leave.
    pub fn content(self) -> Option<Outcome> {
        let Channel::Over(Over { pump, moved, elapsed, result }) = self.channel else { return None };
        let result = match (&pump, result) {
            _ if self.aborted => return None,
            (Pump::In(intake), Ok(())) if intake.satisfied() => {
                Ok(Reply::new(426, "the server left when it was cut short"))
            }
            (_, Err(snag)) if snag.is_ours() => Err(Failure::Snag(snag)),
            _ => return None,
        };
        Some(Outcome { pump: Some(pump), moved, announced: self.announced, elapsed, result })
    }

    /// Whether it is a listing: those may end without a data connection when there is nothing to list.
    pub const fn listing(&self) -> bool {
        matches!(self.verb, Verb::List | Verb::Nlst | Verb::Mlsd)
    }
}
