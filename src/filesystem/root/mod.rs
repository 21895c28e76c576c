//! One directory tree, and every way to touch it.
//!
//! A [`Root`] is one descriptor. Verbs that open what exists hand the whole path to one `openat2` which the
//! kernel resolves beneath that descriptor; verbs that make, move or remove a *name* open its parent so and
//! use the `*at` call on the last component. Links are followed as long as they stay inside; magic links
//! (`/proc/self/root`) never are.
//!
//! ```text
//!   path ──openat2(root, BENEATH | NO_MAGICLINKS)──► descriptor ──fstat──► is it what the verb wants?
//!                       │ ENOSYS, EPERM
//!                       └──► walk: one openat(NOFOLLOW) a component, every link refused
//! ```
//!
//! The rejected alternative is realpath and a prefix check: between the check and the use a link can be put
//! in place of a directory.

mod change;
mod fault;
mod identity;
mod stat;
#[cfg(test)]
mod tests;
mod upload;
mod walk;

pub(crate) use change::proc_name;
pub use fault::Fault;
pub use identity::{Access, Identity};
pub use stat::{Kind, Stat};
pub use upload::{Allow, Start, Written};

use super::path::VirtualPath;
use super::watch::watched;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// How often a resolution is tried again when the kernel saw a rename pass by (EAGAIN). A client that keeps
/// renaming must not hold the loop; sixteen misses in a row do not happen by accident.
const RESOLVE_TRIES: usize = 16;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// Flags of every open that may meet something else than a file: a FIFO must not block, a terminal must
/// not become ours.
const WARY: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A directory tree that nothing leads out of.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    resolver: Resolver,
    identity: Identity,
}

/// Who keeps a path inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolver {
    /// `openat2`, Linux 5.6 and later.
    Kernel,
    /// [`walk`], where that call is missing or a filter refuses it.
    Walk,
}

impl Root {
    /// Opens `directory` as the root of a tree, and finds out how paths can be confined here.
    ///
    /// Links in `directory` itself are the administrator's and are followed. An error is that of opening it.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, directory, flags, Mode::empty())?;
        let resolver = match rustix::fs::openat2(&directory, ".", flags, Mode::empty(), BENEATH) {
            Err(Errno::NOSYS | Errno::PERM) => Resolver::Walk,
            _ => Resolver::Kernel,
        };
        Ok(Self { directory, resolver, identity: Identity::current() })
    }

    /// Opens a file for RETR: one open, one fstat.
    ///
    /// Regular files only. A FIFO or a device is told by its kind and never waited for.
    pub fn read(&self, path: &VirtualPath) -> Result<(OwnedFd, Stat), Fault> {
        let file = self.beneath(path.relative(), OFlags::RDONLY | WARY)?;
        let stat = Stat::of(&file)?;
        stat.require_file()?;
        Ok((file, stat))
    }

    /// What is at `path`; links that stay inside are followed.
    pub fn stat(&self, path: &VirtualPath) -> Result<Stat, Fault> {
        Ok(Stat::of(self.handle(path)?)?)
    }

    /// What is at `path`; a link there is described itself.
    pub fn lstat(&self, path: &VirtualPath) -> Result<Stat, Fault> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Stat::of(self.beneath(path.relative(), flags)?)?)
    }

    /// The text of the link at `path`; `Os(EINVAL)` or `Os(ENOENT)` when it is none.
    pub fn read_link(&self, path: &VirtualPath) -> Result<Vec<u8>, Fault> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let link = self.beneath(path.relative(), flags)?;
        Ok(rustix::fs::readlinkat(link, "", Vec::new())?.into_bytes())
    }

    /// Opens a directory to be read.
    ///
    /// [`Fault::NotDirectory`] says that `path` exists and is something else; where a component before the
    /// last is a file, the path does not exist.
    pub fn dir(&self, path: &VirtualPath) -> Result<OwnedFd, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | WARY;
        self.beneath(path.relative(), flags).map_err(|errno| match errno {
            Errno::NOTDIR => self.stat(path).err().unwrap_or(Fault::NotDirectory),
            other => Fault::from(other),
        })
    }

    /// Whether CWD may lead to `path`: it is a directory and this process may search it.
    pub fn enter(&self, path: &VirtualPath) -> Result<(), Fault> {
        // The dot makes the kernel check the right to search, which opening the directory alone does not.
        let dot = [path.relative(), b"/."].concat();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match self.beneath(&dot, flags) {
            Ok(_) => Ok(()),
            Err(Errno::NOTDIR) => Err(self.stat(path).err().unwrap_or(Fault::NotDirectory)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Bytes that this process can still write where `path` is (AVBL).
    pub fn available(&self, path: &VirtualPath) -> Result<u64, Fault> {
        let handle = self.handle(path)?;
        let room = watched("statvfs", || rustix::fs::fstatvfs(handle))?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }

    /// What the mode bits of `stat` let this process do: a hint for the `perm` fact, no verdict.
    pub fn access(&self, stat: &Stat) -> Access {
        self.identity.access(stat)
    }

    /// As whom this process works in the tree.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A descriptor that names `path` without opening it, so that no permission on it is needed.
    fn handle(&self, path: &VirtualPath) -> Result<OwnedFd, Errno> {
        self.beneath(path.relative(), OFlags::PATH | OFlags::CLOEXEC)
    }

    /// The directory that holds the last component of `path`, and that component.
    fn parent<'a>(&'a self, path: &'a VirtualPath) -> Result<(Parent<'a>, &'a [u8]), Fault> {
        if path.is_root() {
            return Err(Fault::Forbidden); // the root has no name that could be changed
        }
        let name = path.name();
        let directory = path.parent();
        if directory.is_root() {
            return Ok((Parent::Root(self.directory.as_fd()), name));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok((Parent::Opened(self.beneath(directory.relative(), flags)?), name))
    }

    /// The one place where a path of more than one component meets the kernel.
    fn beneath(&self, relative: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        for _ in 0..RESOLVE_TRIES {
            let open = || match self.resolver {
                Resolver::Kernel => rustix::fs::openat2(&self.directory, relative, flags, Mode::empty(), BENEATH),
                Resolver::Walk => walk::open(self.directory.as_fd(), relative, flags),
            };
            match watched("open", open) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }

    /// A root on which `openat2` counts as missing.
    #[cfg(test)]
    fn open_walking(directory: &Path) -> io::Result<Self> {
        Ok(Self { resolver: Resolver::Walk, ..Self::open(directory)? })
    }
}

/// A directory descriptor beneath the root, or the root's own: files right in it cost no extra open.
enum Parent<'a> {
    Root(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(directory) => *directory,
            Self::Opened(directory) => directory.as_fd(),
        }
    }
}

impl Parent<'_> {
    /// What `name` is in this directory; a link is described itself.
    fn lstat(&self, name: &[u8]) -> Result<Stat, Errno> {
        let stat = rustix::fs::statat(self, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Stat::from_system(&stat))
    }
}
