//! Whether a file here and a file there are the same: by the server's digest, else by reading it once more.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::rc::Rc;

use rustix::io::Errno;

use super::digest::Digest;
use super::errand::{Move, Moved, Scene, Yield};
use super::trouble::{Again, Cause, Trouble};
use crate::codec::{Algorithm, Hasher};
use crate::user::local::Folder;
use crate::user::mail::{Answer, Failure, Transfer, Wish};
use crate::user::pump::{Intake, Pump, Snag};
use crate::wire::command::Verb;

/// How much of the local file is read at once for its digest.
const PIECE: usize = 256 * 1024;

/// Compares one file.
#[derive(Debug)]
pub struct Verify {
    remote: Vec<u8>,
    folder: Rc<Folder>,
    name: OsString,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Digest(Digest),
    Reading { size: u64 },
}

impl Verify {
    /// The file of this name here, that path there.
    pub fn new(remote: Vec<u8>, folder: Rc<Folder>, name: OsString) -> Self {
        let stage = Stage::Digest(Digest::new(remote.clone()));
        Self { remote, folder, name, stage }
    }

    pub(super) fn begin(&mut self, scene: &mut Scene<'_>) -> Move {
        if !Digest::offered(scene.profile) {
            return self.read_again();
        }
        let mut digest = Digest::new(self.remote.clone());
        let next = digest.begin(scene);
        self.stage = Stage::Digest(digest);
        next
    }

    pub(super) fn heard(&mut self, answer: Answer) -> Move {
        match (&mut self.stage, answer) {
            (Stage::Digest(digest), answer) => match digest.heard(answer) {
                Move::Done(Ok(Yield::Digest(algorithm, there))) => self.judge(algorithm, &there),
                // It was offered and is refused now, for this file or this user: the file itself tells as well.
                Move::Done(_) => self.read_again(),
                wishes @ Move::Wishes(_) => wishes,
            },
            (Stage::Reading { size }, Answer::Moved(outcome)) => {
                let same = outcome.moved == *size;
                Move::Done(match outcome.result {
                    // The lengths were compared before, or the server has just taken so many bytes.
                    Ok(_) | Err(Failure::Unclosed(_)) if same => {
                        Ok(Yield::Moved(Moved { bytes: outcome.moved, ..Moved::default() }))
                    }
                    Ok(_) => Err(different("lengths differ")),
                    Err(Failure::Snag(Snag::Differs)) => Err(different("contents differ")),
                    Err(failure) => Err(Trouble::of_transfer(&failure, outcome.moved)),
                })
            }
            (Stage::Reading { .. }, _) => Move::Wishes(Vec::new()),
        }
    }

    fn judge(&self, algorithm: Algorithm, there: &str) -> Move {
        Move::Done(match self.digest_here(algorithm) {
            Ok(here) if here == there => Ok(Yield::Digest(algorithm, here)),
            Ok(here) => Err(different(&format!("{} is {here} here and {there} there", algorithm.name()))),
            Err(errno) => Err(self.local(errno)),
        })
    }

    fn digest_here(&self, algorithm: Algorithm) -> Result<String, Errno> {
        let (file, _) = self.folder.open(&self.name)?;
        let mut hasher = Hasher::new(algorithm);
        let mut piece = vec![0; PIECE];
        loop {
            let count = rustix::io::retry_on_intr(|| rustix::io::read(file.as_fd(), &mut piece[..]))?;
            if count == 0 {
                return Ok(format!("{:x}", hasher.finish()));
            }
            hasher.feed(piece.get(..count).unwrap_or_default());
        }
    }

    fn read_again(&mut self) -> Move {
        let (file, present) = match self.folder.open(&self.name) {
            Ok(opened) => opened,
            Err(errno) => return Move::Done(Err(self.local(errno))),
        };
        self.stage = Stage::Reading { size: present.size };
        Move::Wishes(vec![Wish::Transfer(Box::new(Transfer {
            verb: Verb::Retr,
            argument: self.remote.clone(),
            text: false,
            restart: 0,
            pump: Pump::In(Box::new(Intake::comparing(file, 0))),
            only: None,
        }))])
    }

    fn local(&self, errno: Errno) -> Trouble {
        Trouble::local(&self.folder.path().join(&self.name), errno)
    }
}

fn different(how: &str) -> Trouble {
    Trouble::new(Cause::Verify, how).again(Again::Never)
}
