//! A file on its way in, and what makes it the file that was asked for.
//!
//! ```text
//!   direct, REST, APPE ──► InPlace ─────────────────────────────────────────► dropped: what came stays
//!   atomic ──► Hidden (".miniftpd-…" beside it) ──commit: fchmod, rename──► Settled
//!                 └──────────────── dropped before that: removed
//! ```
//!
//! Unnamed files (O_TMPFILE) were the alternative to hidden names: they leave no leftovers, but can be linked only
//! to a name that is free, and on older kernels only with a privilege.

use super::change::rename_new;
use super::upload::{create, random_letters};
use super::writers::{Claim, Promise};
use super::{Fault, Parent, Stat};
use crate::filesystem::kernel;
use rustix::fs::{AtFlags, FlockOperation, Mode};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the names of unfinished uploads begin with.
const PREFIX: &[u8] = b".miniftpd-";

/// Random letters after it, five bits each: not to be guessed by a client that would like to write another's upload.
const LETTERS: usize = 16;

/// How many names are tried. One of 2^80 is never taken twice by chance.
const TRIES: usize = 4;

/// Where uploaded bytes go. Dropped before [`Incoming::commit`], a hidden file is removed.
#[derive(Debug)]
pub struct Incoming {
    file: OwnedFd,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    /// The bytes are where they belong as they come. The claim keeps a second writer out.
    InPlace { _claim: Option<Claim> },
    /// They are under a hidden name until all have come.
    Hidden(Hidden),
    /// They have got their name.
    Settled,
}

/// A hidden name; removed when dropped.
#[derive(Debug)]
struct Hidden {
    directory: OwnedFd,
    name: Vec<u8>,
    goal: Goal,
    _promise: Promise,
}

/// What a hidden file shall be.
#[derive(Debug)]
pub(super) struct Goal {
    /// Its name in the same directory.
    pub name: Box<[u8]>,
    /// Its permission bits.
    pub mode: u32,
    /// Whether a file of that name is replaced. If not, the name must still be free in the end.
    pub replace: bool,
}

impl Incoming {
    pub(super) fn in_place(file: OwnedFd, claim: Claim) -> Self {
        Self { file, fate: Fate::InPlace { _claim: Some(claim) } }
    }

    /// Makes a hidden file beside the name it is to get.
    ///
    /// It is locked as long as it is open: whoever sweeps a tree tells leftovers by the lock that is missing.
    pub(super) fn hidden(parent: &Parent<'_>, goal: Goal, promise: Promise) -> Result<Self, Fault> {
        let directory = parent.as_fd().try_clone_to_owned().map_err(|error| errno_of(&error))?;
        for _ in 0..TRIES {
            let name = [PREFIX, &random_letters::<LETTERS>()?].concat();
            // Nobody else may read what is not complete.
            let file = match create(parent, &name, 0o600) {
                Err(Errno::EXIST) => continue,
                other => other?,
            };
            // Another process, sweeping, was faster and is about to remove it. Any other failure is a file system without
            // locks: there is one process then, or there are leftovers to be removed by hand.
            if let Err(Errno::AGAIN) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                continue;
            }
            if Stat::of(&file)?.nlink == 0 {
                continue; // or has removed it already
            }
            return Ok(Self { file, fate: Fate::Hidden(Hidden { directory, name, goal, _promise: promise }) });
        }
        Err(Fault::Os(Errno::AGAIN))
    }

    /// Whether it has another name than it will get.
    pub fn is_hidden(&self) -> bool {
        matches!(self.fate, Fate::Hidden(_))
    }

    /// What [`Incoming::commit`] would replace.
    pub fn replaces(&self) -> Option<Stat> {
        let Fate::Hidden(hidden) = &self.fate else { return None };
        Parent::Root(hidden.directory.as_fd()).lstat(&hidden.goal.name).ok()
    }

    /// All bytes have come: the file gets its mode and its name. Called again it does nothing.
    ///
    /// # Errors
    /// What the system says, also what it said only at a close; EXIST when the name was taken meanwhile and may not be replaced. The upload is lost then.
    pub fn commit(&mut self) -> Result<(), Errno> {
        if !matches!(self.fate, Fate::Settled) {
            self.confess()?;
        }
        let Fate::Hidden(hidden) = &self.fate else { return Ok(()) };
        let goal = &hidden.goal;
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(goal.mode & 0o777))?;
        let directory = Parent::Root(hidden.directory.as_fd());
        if goal.replace {
            kernel::renameat(&directory, &hidden.name[..], &directory, &goal.name[..])?;
        } else {
            rename_new(&directory, &hidden.name, &directory, &goal.name)?;
        }
        if let Fate::Hidden(hidden) = std::mem::replace(&mut self.fate, Fate::Settled) {
            hidden.forget();
        }
        Ok(())
    }

    /// Makes the file system say what it keeps to itself until a close, as network file systems do of a full disk.
    ///
    /// A duplicate is closed: every close makes them tell, and the file itself is still needed. Where there is no
    /// descriptor for it nobody asks, since a complete upload must not fail for that.
    fn confess(&self) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| match self.file.try_clone() {
            Ok(twin) => nix::unistd::close(twin).map_err(|errno| Errno::from_raw_os_error(errno as i32)),
            Err(error) => {
                log::debug!("not asked at close: {error}");
                Ok(())
            }
        })
    }
}

impl From<OwnedFd> for Incoming {
    /// A file that nobody else can be writing.
    fn from(file: OwnedFd) -> Self {
        Self { file, fate: Fate::InPlace { _claim: None } }
    }
}

impl AsFd for Incoming {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Hidden {
    /// Its name is gone: there is nothing to remove.
    fn forget(mut self) {
        self.name.clear();
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if !self.name.is_empty()
            && let Err(errno) = kernel::unlinkat(&self.directory, &self.name[..], AtFlags::empty())
        {
            log::warn!("{}: an unfinished upload stays behind: {errno}", self.name.escape_ascii());
        }
    }
}

/// Whether a name is one of an unfinished upload.
pub fn is_temporary(name: &[u8]) -> bool {
    let letter = |byte: &u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == LETTERS && rest.iter().all(letter))
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
