//! A stretch of a file, fetched beside the others.

use std::cell::Cell;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;

use super::errand::{Move, Moved, Scene, Yield};
use super::trouble::{Again, Cause, Trouble};
use crate::user::mail::{Answer, Failure, Outcome, Transfer, Wish};
use crate::user::profile::Standing;
use crate::user::pump::{Intake, Pump};
use crate::wire::command::Verb;
use crate::wire::reply::Reply;

/// Fetches bytes `at` to `end` into an open file.
#[derive(Debug)]
pub struct Piece {
    remote: Vec<u8>,
    file: Rc<OwnedFd>,
    first: u64,
    at: u64,
    end: u64,
    /// The last piece is not cut short: the server must end it exactly at the file's end. One that ignores REST sends
    /// the whole file and is found out, whatever the file holds.
    last: bool,
    /// All before this byte is in the file, whatever becomes of the session that brings it.
    reached: Rc<Cell<u64>>,
}

impl Piece {
    /// These bytes; the last piece runs to the end of the file. `reached` follows what is written.
    pub const fn new(
        remote: Vec<u8>,
        file: Rc<OwnedFd>,
        stretch: Range<u64>,
        last: bool,
        reached: Rc<Cell<u64>>,
    ) -> Self {
        let Range { start, end } = stretch;
        Self { remote, file, first: start, at: start, end, last, reached }
    }

    /// How much of it earlier tries have brought.
    pub(super) const fn offset(&self) -> u64 {
        self.at.saturating_sub(self.first)
    }

    pub(super) const fn length(&self) -> u64 {
        self.end.saturating_sub(self.first)
    }

    pub(super) fn begin(&self) -> Move {
        let file = match rustix::io::dup(&*self.file) {
            Ok(file) => file,
            Err(errno) => return Move::Done(Err(local(errno))),
        };
        // One byte more than there should be is enough to be noticed, and is cut off with the file's end.
        let end = if self.last { self.end.saturating_add(1) } else { self.end };
        let pump = Pump::In(Box::new(Intake::file(file, self.at).until(end).marking(Rc::clone(&self.reached))));
        Move::Wishes(vec![Wish::Transfer(Box::new(Transfer {
            verb: Verb::Retr,
            argument: self.remote.clone(),
            text: false,
            restart: self.at,
            pump,
            only: None,
        }))])
    }

    pub(super) fn heard(&mut self, answer: Answer, scene: &mut Scene<'_>) -> Move {
        let Answer::Moved(outcome) = answer else { return Move::Wishes(Vec::new()) };
        let Outcome { pump, moved, elapsed, result, .. } = *outcome;
        let begun = self.at;
        if let Some(Pump::In(intake)) = &pump {
            self.at = intake.position();
        }
        match result {
            Err(failure @ Failure::NoRestart(_)) => {
                scene.profile.rest = Standing::Fails;
                Move::Done(Err(Trouble::of_transfer(&failure, moved)))
            }
            _ if self.at > self.end => {
                scene.profile.rest = Standing::Fails;
                Move::Done(Err(Trouble::new(Cause::Transfer, "the server does not honour REST, or the file has grown")))
            }
            // The file's size is known, and this is its end.
            Err(Failure::Unclosed(reply)) if self.at == self.end => self.whole(begun, elapsed, &reply),
            Err(failure) => Move::Done(Err(Trouble::of_transfer(&failure, moved))),
            Ok(_) if self.at < self.end => {
                let text = format!("cut after {} of {} bytes", self.at - begun, self.end - begun);
                Move::Done(Err(Trouble::new(Cause::Transfer, text).again(Again::Later)))
            }
            Ok(reply) => self.whole(begun, elapsed, &reply),
        }
    }

    fn whole(&self, begun: u64, elapsed: Duration, reply: &Reply) -> Move {
        let bytes = self.at - begun;
        Move::Done(Ok(Yield::Moved(Moved { bytes, offset: begun, elapsed, skipped: false, code: Some(reply.code) })))
    }
}

fn local(errno: Errno) -> Trouble {
    Trouble::new(Cause::Local, std::io::Error::from(errno).to_string())
}
