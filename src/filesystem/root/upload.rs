//! Opening files to be written: STOR, APPE, STOU.

use super::{Fault, Kind, Parent, Root, Stat, WARY};
use crate::filesystem::path::{NAME_LIMIT, VirtualPath};
use crate::filesystem::watch::watched;
use rustix::fs::{Access as Test, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::os::fd::OwnedFd;

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
    pub fn write(
        &self,
        path: &VirtualPath,
        start: Start,
        allow: Allow,
        mode: u32,
    ) -> Result<(OwnedFd, Written), Fault> {
        for _ in 0..CREATE_TRIES {
            match self.beneath(path.relative(), OFlags::WRONLY | WARY) {
                Ok(file) => return overwrite(file, start, allow),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
            allow.absent(start)?;
            let (parent, name) = self.parent(path)?;
            match create(&parent, name, mode) {
                Ok(file) => {
                    return Ok((file, Written { created: true, offset: 0, size: 0 }));
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
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
                return allow.existing(*start, stat.size);
            }
            Err(Errno::NOENT) => allow.absent(*start)?,
            Err(errno) => return Err(errno.into()),
        }
        let (parent, name) = self.parent(path)?;
        match parent.lstat(name) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
            Ok(stat) if stat.kind == Kind::Link => return Err(Fault::Forbidden), // dangling
            Ok(_) => return Ok(()), // made this instant by somebody else; write() will look again
        }
        let test = Test::WRITE_OK | Test::EXEC_OK;
        Ok(rustix::fs::accessat(&parent, ".", test, AtFlags::EACCESS)?)
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
    ) -> Result<(OwnedFd, Vec<u8>), Fault> {
        let stem = prefix.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let room = NAME_LIMIT - UNIQUE_LETTERS - 1;
        let stem = stem.get(..room).unwrap_or(stem);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = Parent::Opened(self.beneath(directory.relative(), flags)?);
        for _ in 0..UNIQUE_TRIES {
            let name = [stem, b".", &random_letters()?].concat();
            match create(&parent, &name, mode) {
                Ok(file) => return Ok((file, name)),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Fault::Exists)
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

    fn absent(self, start: Start) -> Result<(), Fault> {
        match start {
            _ if !self.create => Err(Fault::Forbidden),
            Start::At(offset) if offset > 0 => Err(Fault::BeyondEnd { size: 0 }),
            _ => Ok(()),
        }
    }
}

/// Judges an open file and prepares it for writing.
fn overwrite(file: OwnedFd, start: Start, allow: Allow) -> Result<(OwnedFd, Written), Fault> {
    let stat = Stat::of(&file)?;
    stat.require_file()?;
    allow.existing(start, stat.size)?;
    let size = stat.size;
    let offset = match start {
        Start::Truncate => 0,
        Start::At(offset) => offset,
        Start::Append => size,
    };
    if start == Start::Truncate && size > 0 {
        watched("truncate", || rustix::fs::ftruncate(&file, 0))?;
    }
    Ok((file, Written { created: false, offset, size }))
}

/// Makes the file, or EEXIST for anything of that name, links included.
fn create(parent: &Parent<'_>, name: &[u8], mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | WARY;
    watched("create", || rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(mode & 0o777)))
}

fn random_letters() -> Result<[u8; UNIQUE_LETTERS], Errno> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut letters = [0; UNIQUE_LETTERS];
    getrandom(&mut letters, GetRandomFlags::empty())?;
    Ok(letters.map(|byte| ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'a')))
}
