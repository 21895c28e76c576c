//! Whether a file there and one here have the same bytes up to a place: the last of them are read back and compared.
//!
//! It is asked before anything is put behind what is there already. A digest of the whole beginning (RANG, HASH) would
//! prove more, but hardly any server has it; reading back costs one transfer of a few kilobytes everywhere.

use std::ffi::OsString;
use std::rc::Rc;

use super::errand::{Move, Moved, Scene, Yield};
use super::trouble::{Cause, Trouble};
use crate::user::local::Folder;
use crate::user::mail::{Answer, Failure, Outcome, Transfer, Wish};
use crate::user::profile::Standing;
use crate::user::pump::{Intake, Pump, Snag};
use crate::wire::command::Verb;

/// How much of what is there is compared before a transfer goes on behind it.
pub(super) const PROOF: u64 = 16 * 1024;

/// What the server's file is like behind the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// It ends there. More than that is another file, or a server that ignores REST.
    Nothing,
    /// It goes on.
    More,
}

/// Compares the bytes before `end`.
#[derive(Debug)]
pub struct Proof {
    remote: Vec<u8>,
    folder: Rc<Folder>,
    name: OsString,
    end: u64,
    behind: Behind,
}

impl Proof {
    /// That path there, the file of this name here, and the bytes before `end`, which both have.
    pub const fn new(remote: Vec<u8>, folder: Rc<Folder>, name: OsString, end: u64, behind: Behind) -> Self {
        Self { remote, folder, name, end, behind }
    }

    pub(super) fn begin(&self, scene: &Scene<'_>) -> Move {
        if scene.profile.rest == Standing::Fails {
            return unproven("the server cannot restart");
        }
        let file = match self.folder.open(&self.name) {
            Ok((file, _)) => file,
            Err(errno) => {
                return Move::Done(Err(Trouble::local(&self.folder.path().join(&self.name), errno)));
            }
        };
        let at = self.end - self.end.min(PROOF);
        let until = if self.behind == Behind::Nothing { self.end.saturating_add(1) } else { self.end };
        Move::Wishes(vec![Wish::Transfer(Box::new(Transfer {
            verb: Verb::Retr,
            argument: self.remote.clone(),
            text: false,
            restart: at,
            pump: Pump::In(Box::new(Intake::comparing(file, at).until(until))),
            only: None,
        }))])
    }

    pub(super) fn heard(&self, answer: Answer, scene: &mut Scene<'_>) -> Move {
        let Answer::Moved(outcome) = answer else { return Move::Wishes(Vec::new()) };
        let Outcome { pump, moved, result, .. } = *outcome;
        let exact = matches!(&pump, Some(Pump::In(intake)) if intake.position() == self.end);
        match result {
            Ok(_) | Err(Failure::Unclosed(_)) if exact => Move::Done(Ok(Yield::Moved(Moved::default()))),
            Ok(_) | Err(Failure::Unclosed(_) | Failure::Snag(Snag::Differs)) => unproven("it has other bytes"),
            Err(failure @ Failure::NoRestart(_)) => {
                scene.profile.rest = Standing::Fails;
                unproven(&failure.to_string())
            }
            Err(failure) => Move::Done(Err(Trouble::of_transfer(&failure, moved))),
        }
    }
}

fn unproven(why: &str) -> Move {
    Move::Done(Err(Trouble::new(Cause::Verify, format!("not known to be the beginning of the same file: {why}"))))
}
