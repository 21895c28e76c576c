//! The facts of one file, in types that are the same on every machine.

use super::Fault;
use crate::filesystem::kernel;
pub use crate::wire::listing::Kind;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::AsFd;

/// What `fstat` knows, as far as FTP cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Size in bytes as the system gives it, for directories too.
    pub size: u64,
    /// Permission bits, at most 07777, without the kind.
    pub mode: u32,
    /// Modification time in seconds since 1970 UTC.
    pub mtime: i64,
    /// Nanoseconds that belong to `mtime`.
    pub mtime_nsec: u32,
    /// Time of the last change of any of these facts or of the contents, which nobody can set.
    pub ctime: i64,
    /// Nanoseconds that belong to `ctime`.
    pub ctime_nsec: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Hard links.
    pub nlink: u32,
    /// Device the file is on.
    pub dev: u64,
    /// Inode; with `dev` the identity of the file.
    pub ino: u64,
}

impl Stat {
    /// The facts of an open descriptor.
    pub fn of(descriptor: impl AsFd) -> Result<Self, Errno> {
        Ok(Self::from_system(&kernel::fstat(descriptor)?))
    }

    /// The system's record, whose field types differ between architectures.
    pub(crate) fn from_system(stat: &rustix::fs::Stat) -> Self {
        Self {
            kind: kind(FileType::from_raw_mode(stat.st_mode)),
            size: number(stat.st_size),
            mode: stat.st_mode & 0o7777,
            mtime: number(stat.st_mtime),
            mtime_nsec: number(stat.st_mtime_nsec),
            ctime: number(stat.st_ctime),
            ctime_nsec: number(stat.st_ctime_nsec),
            uid: stat.st_uid,
            gid: stat.st_gid,
            nlink: number(stat.st_nlink),
            dev: number(stat.st_dev),
            ino: number(stat.st_ino),
        }
    }

    /// Ok for a regular file, else the fault that says what it is instead.
    pub(super) fn require_file(&self) -> Result<(), Fault> {
        match self.kind {
            Kind::File => Ok(()),
            Kind::Dir => Err(Fault::IsDirectory),
            _ => Err(Fault::NotRegular),
        }
    }
}

fn kind(file_type: FileType) -> Kind {
    match file_type {
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Link,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::Char,
        FileType::BlockDevice => Kind::Block,
        _ => Kind::File,
    }
}

/// A number the system gives in a type that depends on the machine; what does not fit is no real value.
fn number<From: TryInto<To>, To: Default>(value: From) -> To {
    value.try_into().unwrap_or_default()
}
