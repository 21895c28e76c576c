//! Errands: what one session is sent to do, each a small state machine over wishes and answers.
//!
//! An errand holds no session. The crew gives its wishes to one, hands the answers back in order, and begins it anew
//! on another session when the first one dies.

use std::time::Duration;

use super::ask::Ask;
use super::digest::Digest;
use super::fetch::Fetch;
use super::list::List;
use super::piece::Piece;
use super::proof::Proof;
use super::send::Send;
use super::stat::Stat;
use super::trouble::Trouble;
use super::verify::Verify;
use crate::codec::Algorithm;
use crate::user::mail::{Answer, Wish};
use crate::user::profile::Profile;
use crate::wire::directory::{Found, Parsed};
use crate::wire::reply::Reply;

/// The kinds of errand.
#[derive(Debug)]
pub enum Errand {
    /// A file from there to here.
    Fetch(Box<Fetch>),
    /// A file from here to there.
    Send(Box<Send>),
    /// What is in a directory.
    List(Box<List>),
    /// What is known about one path.
    Stat(Box<Stat>),
    /// The server's digest of a file.
    Digest(Digest),
    /// Whether two files are the same.
    Verify(Box<Verify>),
    /// A stretch of a file.
    Piece(Box<Piece>),
    /// Whether two files begin alike.
    Proof(Box<Proof>),
    /// Plain commands, one after the other.
    Ask(Ask),
}

/// What an errand sees while it decides.
#[derive(Debug)]
pub struct Scene<'a> {
    /// What is known about the host.
    pub profile: &'a mut Profile,
    /// Seconds since 1970, for listings that leave the year out.
    pub wall: i64,
}

/// What an errand wants next.
#[derive(Debug)]
pub enum Move {
    /// These, in order. Empty: the answers that are still owed.
    Wishes(Vec<Wish>),
    /// It is over. No answer is owed any more.
    Done(Result<Yield, Trouble>),
}

/// What an errand brought back.
#[derive(Debug)]
pub enum Yield {
    /// A file was moved.
    Moved(Moved),
    /// A directory was read.
    Listing(Parsed),
    /// One entry.
    Entry(Found),
    /// A digest, in hexadecimal digits of lower case.
    Digest(Algorithm, String),
    /// The replies to commands, all of them positive.
    Replies(Vec<Reply>),
}

/// A transfer that succeeded.
#[derive(Debug, Clone, Default)]
pub struct Moved {
    /// Bytes over the data connection.
    pub bytes: u64,
    /// Where the transfer began in the file.
    pub offset: u64,
    /// Data time.
    pub elapsed: Duration,
    /// Nothing had to be moved.
    pub skipped: bool,
    /// Code of the final reply.
    pub code: Option<u16>,
}

impl Errand {
    /// Begins, or begins anew after a session has died.
    pub fn begin(&mut self, scene: &mut Scene<'_>) -> Move {
        match self {
            Self::Fetch(fetch) => fetch.begin(scene),
            Self::Send(send) => send.begin(scene),
            Self::List(list) => list.begin(scene),
            Self::Stat(stat) => stat.begin(scene),
            Self::Digest(digest) => digest.begin(scene),
            Self::Verify(verify) => verify.begin(scene),
            Self::Piece(piece) => piece.begin(),
            Self::Proof(proof) => proof.begin(scene),
            Self::Ask(ask) => ask.begin(),
        }
    }

    /// The answer to the earliest wish without one. Never [`Answer::Dead`]: then the errand is begun anew or dropped.
    pub fn heard(&mut self, answer: Answer, scene: &mut Scene<'_>) -> Move {
        match self {
            Self::Fetch(fetch) => fetch.heard(answer, scene),
            Self::Send(send) => send.heard(answer, scene),
            Self::List(list) => list.heard(answer, scene),
            Self::Stat(stat) => stat.heard(answer, scene),
            Self::Digest(digest) => digest.heard(answer),
            Self::Verify(verify) => verify.heard(answer),
            Self::Piece(piece) => piece.heard(answer, scene),
            Self::Proof(proof) => proof.heard(answer, scene),
            Self::Ask(ask) => ask.heard(answer),
        }
    }

    /// It has failed for good: nothing meaningless may stay behind.
    pub fn abandon(&mut self) {
        if let Self::Fetch(fetch) = self {
            fetch.tidy();
        }
    }

    /// Whether a further try is possible at all: a stream that was read or written from cannot be rewound.
    pub fn repeatable(&self) -> bool {
        match self {
            Self::Fetch(fetch) => fetch.repeatable(),
            Self::Send(send) => send.repeatable(),
            _ => true,
        }
    }

    /// Whether it is over so soon, and its commands may stand so far apart, that another may wait right behind it on
    /// the same session.
    pub fn is_light(&self, profile: &Profile) -> bool {
        /// A turn or two of the loop.
        const LIGHT: u64 = 256 * 1024;
        match self {
            Self::Fetch(fetch) => fetch.size_known().is_some_and(|size| size <= LIGHT),
            Self::Send(send) => send.size_known().is_some_and(|size| size <= LIGHT),
            Self::List(list) => list.is_light(profile),
            Self::Ask(ask) => ask.is_single(),
            Self::Stat(_) | Self::Digest(_) | Self::Verify(_) | Self::Piece(_) | Self::Proof(_) => false,
        }
    }

    /// Whether all that is left is a question or two about what was moved: the next transfer need not wait for those.
    pub fn is_trailing(&self) -> bool {
        matches!(self, Self::Send(send) if send.is_trailing())
    }

    /// Whether it brings a file, or a part of one, from one side to the other.
    pub const fn moves_a_file(&self) -> bool {
        matches!(self, Self::Fetch(_) | Self::Send(_) | Self::Piece(_))
    }

    /// Bytes it will move, where that is known.
    pub fn total(&self) -> Option<u64> {
        match self {
            Self::Fetch(fetch) => fetch.size_known(),
            Self::Send(send) => send.size_known(),
            Self::Piece(piece) => Some(piece.length()),
            _ => None,
        }
    }

    /// Where in the file, or in its stretch of one, the running transfer began.
    pub fn offset(&self) -> u64 {
        match self {
            Self::Fetch(fetch) => fetch.offset(),
            Self::Send(send) => send.offset(),
            Self::Piece(piece) => piece.offset(),
            _ => 0,
        }
    }
}

/// A command line as a wish.
pub fn ask(verb: &str, argument: &[u8]) -> Wish {
    let line = if argument.is_empty() { verb.as_bytes().to_vec() } else { [verb.as_bytes(), b" ", argument].concat() };
    Wish::Ask { line, alone: false }
}
