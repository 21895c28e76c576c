//! Opening files to be written: STOR, APPE, STOU.

use super::incoming::Goal;
use super::links::{self, Last};
use super::writers::Extends;
use super::{Fault, Incoming, Kind, Parent, Root, Stat, WARY};
use crate::filesystem::kernel;
use crate::filesystem::path::{NAME_LIMIT, VirtualPath};
use crate::filesystem::policy::Uploads;
use crate::filesystem::watch::watched;
use rustix::fs::{Access as Test, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::os::fd::{AsFd, OwnedFd};

/// How often "absent, but create says it exists" is looked at again. Another session that makes and removes
/// the name meanwhile costs one round; a dangling link costs all of them and is then refused.
const CREATE_TRIES: usize = 4;

/// How many names STOU tries. Each is one of 2^40, so a second collision already means something is wrong.
const UNIQUE_TRIES: usize = 16;

/// Random letters in a STOU name, five bits each.
const UNIQUE_LETTERS: usize = 8;

/// Where writing begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// STOR: the old contents go.
    Truncate,
    /// STOR after REST: from this byte on, nothing is cut off (RFC 3659 section 5).
    At(u64),
    /// APPE: at the end.
    Append,
}

/// What the account's rights grant at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allow {
    /// Make a file that is not there.
    pub create: bool,
    /// [`Start::Truncate`] on a file that is.
    pub overwrite: bool,
    /// [`Start::At`] and [`Start::Append`] on a file that is.
    pub extend: bool,
}

/// How a file was opened for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// It did not exist.
    pub created: bool,
    /// Byte at which writing begins; the descriptor's own position stays at 0.
    pub offset: u64,
    /// Bytes the file had when it was opened, before any truncation.
    pub size: u64,
}

impl Root {
    /// Opens a regular file for writing, making it with `mode` where it is absent.
    ///
    /// Faults leave the disk as it was: rights and position are judged on the open descriptor, and only then
    /// is the file cut. `mode` is exact as long as the process umask is 0. The descriptor is not opened with
    /// APPEND, since `splice` refuses such descriptors; whoever writes uses `offset`.
    ///
    /// Under [`Uploads::Atomic`] a file that is new or replaced is a hidden one until [`Incoming::commit`], and
    /// replacing it keeps the old one's permission bits; REST and APPE touch the file itself. A file that
    /// somebody else is writing in place is `Os(BUSY)`.
    pub fn write(
        &self,
        path: &VirtualPath,
        start: Start,
        allow: Allow,
        mode: u32,
    ) -> Result<(Incoming, Written), Fault> {
        for _ in 0..CREATE_TRIES {
            match self.beneath(path.relative(), OFlags::WRONLY | WARY) {
                Ok(file) => return self.write_existing(file, path, start, allow),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
            let (parent, name) = self.parent_of_new(path, start, allow)?;
            // What was begun as an addition never takes another's place.
            let replace = allow.overwrite && start != Start::Append;
            match self.make(&parent, Goal { name: name.into(), mode, replace }, extends(start)) {
                Ok(file) => {
                    return Ok((file, Written { created: true, offset: 0, size: 0 }));
                }
                Err(Fault::Exists) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Forbidden)
    }

    /// The verdict [`Root::write`] would give, without any effect on the disk.
    pub fn probe_write(&self, path: &VirtualPath, start: &Start, allow: &Allow) -> Result<(), Fault> {
        match self.beneath(path.relative(), OFlags::WRONLY | WARY) {
            Ok(file) => {
                let stat = Stat::of(&file)?;
                stat.require_file()?;
                allow.existing(*start, stat.size)?;
                return if self.policy.writers.has(&file, &stat) { Err(Fault::Os(Errno::BUSY)) } else { Ok(()) };
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let (parent, name) = self.parent_of_new(path, *start, *allow)?;
        match parent.lstat(name) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
            Ok(stat) if stat.kind == Kind::Link => return Err(Fault::Forbidden), // dangling
            Ok(_) => return Ok(()), // made this instant by somebody else; write() will look again
        }
        let test = Test::WRITE_OK | Test::EXEC_OK;
        Ok(kernel::accessat(&parent, ".", test, AtFlags::EACCESS)?)
    }

    /// Where a file would be made: rights, then names, then positions.
    fn parent_of_new<'a>(
        &'a self,
        path: &'a VirtualPath,
        start: Start,
        allow: Allow,
    ) -> Result<(Parent<'a>, &'a [u8]), Fault> {
        if !allow.create {
            return Err(Fault::Forbidden);
        }
        let parent = self.parent(path)?;
        match start {
            Start::At(offset) if offset > 0 => Err(Fault::BeyondEnd { size: 0 }),
            _ => Ok(parent),
        }
    }

    /// Makes a new file in `directory` under a name nobody has: `prefix`, a dot and random letters.
    ///
    /// Of `prefix` only the last component counts, and no more than leaves room for the letters. Answers the
    /// descriptor and the name. [`Fault::Exists`] when every try met a taken name.
    pub fn create_unique(
        &self,
        directory: &VirtualPath,
        prefix: &[u8],
        mode: u32,
    ) -> Result<(Incoming, Vec<u8>), Fault> {
        let stem = prefix.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let room = NAME_LIMIT - UNIQUE_LETTERS - 1;
        let stem = stem.get(..room).unwrap_or(stem);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = Parent::Opened(self.beneath(directory.relative(), flags)?);
        for _ in 0..UNIQUE_TRIES {
            let name = [stem, b".", &random_letters::<UNIQUE_LETTERS>()?].concat();
            if self.policy.denies(&name) {
                return Err(Fault::Denied);
            }
            let goal = Goal { name: name.as_slice().into(), mode, replace: false };
            match self.make(&parent, goal, Extends::No) {
                Ok(file) => return Ok((file, name)),
                Err(Fault::Exists) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Exists)
    }

    /// Makes a file that is not there: at once, or when it is complete.
    fn make(&self, parent: &Parent<'_>, goal: Goal, extends: Extends) -> Result<Incoming, Fault> {
        match self.policy.uploads {
            Uploads::Direct => self.claimed(create(parent, &goal.name, goal.mode)?),
            Uploads::Atomic => match parent.lstat(&goal.name) {
                Err(Errno::NOENT) => self.hidden(parent, goal, extends),
                Err(errno) => Err(errno.into()),
                Ok(_) => Err(Fault::Exists),
            },
        }
    }

    fn hidden(&self, parent: &Parent<'_>, goal: Goal, extends: Extends) -> Result<Incoming, Fault> {
        if self.policy.writers.awaits(parent, &goal.name, extends)? {
            return Err(Fault::Os(Errno::BUSY));
        }
        let promise = self.policy.writers.promise(parent, &goal.name, extends)?;
        Incoming::hidden(parent, goal, promise)
    }

    /// Judges an open file and prepares it, or another in its place, for writing.
    fn write_existing(
        &self,
        file: OwnedFd,
        path: &VirtualPath,
        start: Start,
        allow: Allow,
    ) -> Result<(Incoming, Written), Fault> {
        let stat = Stat::of(&file)?;
        stat.require_file()?;
        allow.existing(start, stat.size)?;
        let size = stat.size;
        let offset = match start {
            Start::Truncate => 0,
            Start::At(offset) => offset,
            Start::Append => size,
        };
        let written = Written { created: false, offset, size };
        if start == Start::Truncate && self.policy.uploads == Uploads::Atomic {
            return Ok((self.replacement(path, &file, &stat)?, written));
        }
        if self.policy.uploads == Uploads::Atomic {
            // What is added now would be gone when the hidden file takes its place.
            self.where_it_is(path, &stat, |parent, name| {
                let busy = self.policy.writers.awaits(parent, name, Extends::Yes)?;
                if busy { Err(Fault::Os(Errno::BUSY)) } else { Ok(()) }
            })?;
        }
        let claim = self.policy.writers.claim(&file, &stat).ok_or(Fault::Os(Errno::BUSY))?;
        if start == Start::Truncate && size > 0 {
            watched("truncate", || rustix::fs::ftruncate(&file, 0))?;
        }
        Ok((Incoming::in_place(file, claim), written))
    }

    /// A hidden file that will take the place of `old`, which is open at `path`. One that is being appended to is not
    /// replaced: what its writer is told to be stored would be gone.
    fn replacement(&self, path: &VirtualPath, file: &OwnedFd, old: &Stat) -> Result<Incoming, Fault> {
        if self.policy.writers.has(file, old) {
            return Err(Fault::Os(Errno::BUSY));
        }
        self.where_it_is(path, old, |parent, name| {
            self.hidden(parent, Goal { name: name.into(), mode: old.mode, replace: true }, Extends::No)
        })
    }

    /// Does something in the directory where `old`, which is open at `path`, has its name: a link is followed there.
    fn where_it_is<T>(
        &self,
        path: &VirtualPath,
        old: &Stat,
        act: impl FnOnce(&Parent<'_>, &[u8]) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let is_old = |stat: Stat| (stat.dev, stat.ino) == (old.dev, old.ino);
        let (parent, name) = self.parent(path)?;
        if is_old(parent.lstat(name)?) {
            return act(&parent, name);
        }
        // A link: what it leads to is replaced, not the link.
        let real = links::settle(self.directory.as_fd(), path.clone(), self.policy.links, Last::Follow)?;
        let (parent, name) = self.parent(&real)?;
        match parent.lstat(name) {
            Ok(stat) if is_old(stat) => act(&parent, name),
            _ => Err(Fault::Os(Errno::AGAIN)), // renamed under our feet
        }
    }

    fn claimed(&self, file: OwnedFd) -> Result<Incoming, Fault> {
        let claim = self.policy.writers.claim(&file, &Stat::of(&file)?).ok_or(Fault::Os(Errno::BUSY))?;
        Ok(Incoming::in_place(file, claim))
    }
}

impl Allow {
    /// Judges a file that is there and has `size` bytes. Rights come before positions, so that a session
    /// without rights learns no size.
    fn existing(self, start: Start, size: u64) -> Result<(), Fault> {
        match start {
            Start::Truncate if !self.overwrite => Err(Fault::Forbidden),
            Start::At(_) | Start::Append if !self.extend => Err(Fault::Forbidden),
            Start::At(offset) if offset > size => Err(Fault::BeyondEnd { size }),
            _ => Ok(()),
        }
    }
}

const fn extends(start: Start) -> Extends {
    match start {
        Start::Truncate => Extends::No,
        Start::At(_) | Start::Append => Extends::Yes,
    }
}

/// Makes the file, or EEXIST for anything of that name, links included.
pub(super) fn create(parent: &Parent<'_>, name: &[u8], mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | WARY;
    watched("create", || kernel::openat(parent, name, flags, Mode::from_raw_mode(mode & 0o777)))
}

/// Letters that nobody can foretell, five bits each.
pub(super) fn random_letters<const COUNT: usize>() -> Result<[u8; COUNT], Errno> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut letters = [0; COUNT];
    getrandom(&mut letters, GetRandomFlags::empty())?;
    Ok(letters.map(|byte| ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'a')))
}
