//! Plain commands: DELE, MKD, RMD, RNFR and RNTO, SITE and whatever the user types.

use super::errand::{Move, Yield};
use super::trouble::Trouble;
use crate::user::mail::{Answer, Wish};
use crate::wire::reply::{Kind, Reply};

/// Commands sent one after the other; the first refusal ends them.
#[derive(Debug)]
pub struct Ask {
    lines: Vec<Vec<u8>>,
    /// A refusal that is an answer like any other: the user typed the command and wants to see the reply.
    raw: bool,
    replies: Vec<Reply>,
}

impl Ask {
    /// Commands that must succeed.
    pub const fn new(lines: Vec<Vec<u8>>) -> Self {
        Self { lines, raw: false, replies: Vec::new() }
    }

    /// One command whose reply is what is wanted.
    pub fn raw(line: Vec<u8>) -> Self {
        Self { lines: vec![line], raw: true, replies: Vec::new() }
    }

    /// Whether it is one command whose place among others does not matter.
    pub(super) const fn is_single(&self) -> bool {
        self.lines.len() == 1 && !self.raw
    }

    pub(super) fn begin(&mut self) -> Move {
        self.replies.clear();
        self.next()
    }

    fn next(&mut self) -> Move {
        match self.lines.get(self.replies.len()) {
            Some(line) => Move::Wishes(vec![Wish::Ask { line: line.clone(), alone: self.raw }]),
            None => Move::Done(Ok(Yield::Replies(std::mem::take(&mut self.replies)))),
        }
    }

    pub(super) fn heard(&mut self, answer: Answer) -> Move {
        let Answer::Reply(reply) = answer else { return Move::Wishes(Vec::new()) };
        // 350 leads to the next command; behind the last one it says that something is missing, and nothing is done.
        let last = self.replies.len() + 1 == self.lines.len();
        let well = reply.kind() == Kind::Completion || (reply.kind() == Kind::Intermediate && !last);
        if !well && !self.raw {
            return Move::Done(Err(Trouble::refused(&reply)));
        }
        self.replies.push(reply);
        self.next()
    }
}
