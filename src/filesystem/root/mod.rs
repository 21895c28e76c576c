//! One directory tree, and every way to touch it.
//!
//! A [`Root`] is one descriptor. Verbs that open what exists hand the whole path to one `openat2` which the
//! kernel resolves beneath that descriptor; verbs that make, move or remove a *name* open its parent so and
//! use the `*at` call on the last component. What becomes of links is the [`Policy`]'s; magic links
//! (`/proc/self/root`) are never followed.
//!
//! ```text
//!   path ──openat2(root, …)──► descriptor ──fstat──► is it what the verb wants?
//!              │    │ inside: BENEATH    rooted: IN_ROOT    never, guarded: NO_SYMLINKS
//!              │ ENOSYS, EPERM
//!              └──► walk: one openat(NOFOLLOW) a component, links followed by hand
//! ```
//!
//! A root is *guarded* where names decide more than where to look: rights that differ between directories, names
//! that are denied. It follows no link itself; [`Root::settle`] tells what a path with links in it means, and
//! that is what is judged and then used.
//!
//! The rejected alternative is realpath and a prefix check: between the check and the use a link can be put
//! in place of a directory.

mod change;
mod fault;
mod identity;
mod incoming;
mod links;
mod stat;
mod sweep;
#[cfg(test)]
mod tests;
mod upload;
mod walk;
mod writers;

pub(crate) use change::proc_name;
pub use fault::Fault;
pub use identity::{Access, Identity};
pub use incoming::{Incoming, is_temporary};
pub use links::Last;
pub use stat::{Kind, Stat};
pub use sweep::Sweep;
pub use upload::{Allow, Start, Written};
pub use writers::Writers;

use super::cache::Backing;
use super::path::VirtualPath;
use super::policy::{Links, Policy};
use super::watch::watched;
use crate::filesystem::kernel;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

/// How often a resolution is tried again when the kernel saw a rename pass by (EAGAIN). A client that keeps
/// renaming must not hold the loop; sixteen misses in a row do not happen by accident.
const RESOLVE_TRIES: usize = 16;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);
const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);
const NO_LINKS: ResolveFlags = BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// Flags of every open that may meet something else than a file: a FIFO must not block, a terminal must
/// not become ours.
const WARY: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A directory tree that nothing leads out of.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    resolver: Resolver,
    identity: Identity,
    policy: Rc<Policy>,
    guard: Guard,
    /// What its own device is, with that device's number: others may be mounted below.
    backing: (u64, Backing),
}

/// Who keeps a path inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolver {
    /// `openat2`, Linux 5.6 and later, with these flags.
    Kernel(ResolveFlags),
    /// [`walk`], where that call is missing or a filter refuses it.
    Walk,
}

/// Whether a path decides more than where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// No: the kernel may follow links.
    Open,
    /// Yes: links are followed only by [`Root::settle`], before anything is judged.
    Settled,
}

impl Root {
    /// Opens `directory` as the root of a tree under the default [`Policy`].
    ///
    /// # Errors
    /// That of opening it.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Self::governed(directory, Rc::default(), Guard::Open)
    }

    /// Opens `directory` as the root of a tree, and finds out how paths can be confined here. `guard` tells whether
    /// rights depend on paths; denied names guard a root by themselves.
    ///
    /// Links in `directory` itself are the administrator's and are followed. An error is that of opening it.
    pub fn governed(directory: &Path, policy: Rc<Policy>, guard: Guard) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = kernel::openat(CWD, directory, flags, Mode::empty())?;
        let guard = if policy.deny.is_empty() { guard } else { Guard::Settled };
        let resolve = match (policy.links, guard) {
            (Links::Never, _) | (_, Guard::Settled) => NO_LINKS,
            (Links::Inside, Guard::Open) => BENEATH,
            (Links::Rooted, Guard::Open) => IN_ROOT,
        };
        let resolver = match kernel::openat2(&directory, ".", flags, Mode::empty(), resolve) {
            Err(Errno::NOSYS | Errno::PERM) => Resolver::Walk,
            _ => Resolver::Kernel(resolve),
        };
        let backing = (Stat::of(&directory)?.dev, Backing::of(&directory));
        Ok(Self { directory, resolver, identity: Identity::current(), policy, guard, backing })
    }

    /// What a file of this tree lies on.
    pub const fn backing(&self, file: &Stat) -> Backing {
        let (device, backing) = self.backing;
        if file.dev == device { backing } else { Backing::Disk }
    }

    /// Whether the kernel keeps paths inside, in one call each.
    pub fn is_kernel_resolved(&self) -> bool {
        matches!(self.resolver, Resolver::Kernel(_))
    }

    /// What the administrator rules for this tree.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The path that `path` really means: where the root is guarded, the same without a link in it. Elsewhere it is
    /// `path` itself, at no cost.
    ///
    /// What does not exist stays as it is. `Os(XDEV)` for a link that leads out, `Os(LOOP)` for links that may not be
    /// followed.
    pub fn settle(&self, path: VirtualPath, last: Last) -> Result<VirtualPath, Fault> {
        if self.guard == Guard::Open || self.policy.denies(path.relative()) {
            return Ok(path); // what is denied will be refused by whatever is done with it
        }
        if let Resolver::Kernel(resolve) = self.resolver {
            let keep = if last == Last::Keep { OFlags::NOFOLLOW } else { OFlags::empty() };
            let flags = OFlags::PATH | OFlags::CLOEXEC | keep;
            match kernel::openat2(&self.directory, path.relative(), flags, Mode::empty(), resolve) {
                Err(Errno::LOOP) => {}
                _ => return Ok(path),
            }
        }
        Ok(links::settle(self.directory.as_fd(), path, self.policy.links, last)?)
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
        Ok(kernel::readlinkat(link, "", Vec::new())?.into_bytes())
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

    /// Opens a directory to be read that a listing has met: a link at its place is not followed.
    pub fn dir_itself(&self, path: &VirtualPath) -> Result<OwnedFd, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | WARY;
        Ok(self.beneath(path.relative(), flags)?)
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
        if self.policy.denies(path.relative()) {
            return Err(Fault::Denied);
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
        if self.policy.denies(relative) {
            return Err(Errno::NOENT);
        }
        for _ in 0..RESOLVE_TRIES {
            let open = || match self.resolver {
                Resolver::Kernel(resolve) => kernel::openat2(&self.directory, relative, flags, Mode::empty(), resolve),
                Resolver::Walk => self.walk(relative, flags),
            };
            match watched("open", open) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }

    /// The same without the kernel's help. Where links may be followed, the way around them is looked for once.
    fn walk(&self, relative: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let root = self.directory.as_fd();
        let opened = walk::open(root, relative, flags);
        // A link in the middle is "not a directory".
        let met_link = matches!(opened, Err(Errno::LOOP | Errno::NOTDIR));
        if !met_link || self.guard == Guard::Settled || self.policy.links == Links::Never {
            return opened;
        }
        let last = if flags.contains(OFlags::NOFOLLOW) { Last::Keep } else { Last::Follow };
        let path = VirtualPath::root().resolve(relative).map_err(|_| Errno::NOENT)?;
        let settled = links::settle(root, path.clone(), self.policy.links, last)?;
        if settled == path { opened } else { walk::open(root, settled.relative(), flags) }
    }

    /// A root on which `openat2` counts as missing.
    #[cfg(test)]
    fn open_walking(directory: &Path) -> io::Result<Self> {
        Self::walking(directory, Rc::default(), Guard::Open)
    }

    #[cfg(test)]
    fn walking(directory: &Path, policy: Rc<Policy>, guard: Guard) -> io::Result<Self> {
        Ok(Self { resolver: Resolver::Walk, ..Self::governed(directory, policy, guard)? })
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
        let stat = kernel::statat(self, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Stat::from_system(&stat))
    }
}
