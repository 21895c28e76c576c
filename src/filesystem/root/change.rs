//! Making, moving and removing names, and changing facts.

use super::{Fault, Kind, Parent, Root, Stat, WARY};
use crate::filesystem::kernel;
use crate::filesystem::path::VirtualPath;
use crate::filesystem::policy::Links;
use crate::filesystem::watch::watched;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// Most directories made on the way to one name. Cameras make one for a device, a year, a month, a day, an hour.
const MOST_PARENTS: usize = 16;

impl Root {
    /// Removes a file or a link, never what a link points to (DELE).
    pub fn unlink(&self, path: &VirtualPath) -> Result<(), Fault> {
        let (parent, name) = self.parent(path)?;
        Ok(watched("unlink", || kernel::unlinkat(parent, name, AtFlags::empty()))?)
    }

    /// Removes an empty directory (RMD).
    pub fn rmdir(&self, path: &VirtualPath) -> Result<(), Fault> {
        let (parent, name) = self.parent(path)?;
        watched("rmdir", || kernel::unlinkat(parent, name, AtFlags::REMOVEDIR)).map_err(|errno| match errno {
            Errno::NOTDIR => Fault::NotDirectory,
            // Some file systems say so of a directory that still has entries.
            Errno::EXIST => Fault::Os(Errno::NOTEMPTY),
            other => other.into(),
        })
    }

    /// Makes the directories above `path` that are missing, as long as `may` grants each of them.
    ///
    /// What was there already is not asked about. [`Fault::Os`] with NOENT when one is not granted,
    /// [`Fault::TooDeep`] when more than [`MOST_PARENTS`] are missing: nothing is made then.
    pub fn make_parents(&self, path: &VirtualPath, mode: u32, may: impl Fn(&VirtualPath) -> bool) -> Result<(), Fault> {
        self.missing_parents(path, may)?.iter().rev().try_for_each(|directory| match self.mkdir(directory, mode) {
            Err(Fault::Exists) => Ok(()), // another session is faster with the same tree
            other => other,
        })
    }

    /// The directories that [`Root::make_parents`] would make, the deepest first, or its fault.
    pub fn missing_parents(
        &self,
        path: &VirtualPath,
        may: impl Fn(&VirtualPath) -> bool,
    ) -> Result<Vec<VirtualPath>, Fault> {
        if self.policy.denies(path.relative()) {
            return Err(Fault::Denied);
        }
        let mut missing = Vec::new();
        let mut at = path.parent();
        while let Err(fault) = self.stat(&at) {
            if fault != Fault::Os(Errno::NOENT) || !may(&at) {
                return Err(fault);
            }
            if missing.len() == MOST_PARENTS {
                return Err(Fault::TooDeep);
            }
            let above = at.parent();
            missing.push(std::mem::replace(&mut at, above));
        }
        Ok(missing)
    }

    /// Makes one directory (MKD); parents are not made.
    pub fn mkdir(&self, path: &VirtualPath, mode: u32) -> Result<(), Fault> {
        let (parent, name) = self.parent(path)?;
        Ok(watched("mkdir", || kernel::mkdirat(parent, name, Mode::from_raw_mode(mode & 0o777)))?)
    }

    /// Gives `from` the name `to` (RNFR, RNTO). Links are moved themselves.
    ///
    /// With `replace` a file at `to` is replaced, else anything there is [`Fault::Exists`]. A directory at
    /// `to` is never replaced, not even an empty one by another: [`Fault::IsDirectory`].
    pub fn rename(&self, from: &VirtualPath, to: &VirtualPath, replace: bool) -> Result<(), Fault> {
        let (source, old) = self.parent(from)?;
        let (target, new) = self.parent(to)?;
        // Even when replacing, the first try does not: only a taken name costs the look at what it is.
        match rename_new(&source, old, &target, new) {
            Err(Errno::EXIST) => {}
            Err(Errno::XDEV) => return Err(Fault::Elsewhere),
            other => return Ok(other?),
        }
        if target.lstat(new)?.kind == Kind::Dir {
            return Err(Fault::IsDirectory);
        }
        if !replace || source.lstat(old)?.kind == Kind::Dir {
            return Err(Fault::Exists);
        }
        // Should either have changed meanwhile, the kernel still refuses a file over a directory and the
        // reverse; and whatever it replaces lies in the same two directories beneath the root.
        Ok(watched("rename", || kernel::renameat(source, old, target, new))?)
    }

    /// Sets permission bits (SITE CHMOD, MFF). Set-user-id and set-group-id cannot be given by FTP; a
    /// directory keeps those it has, since shared directories live by them.
    pub fn chmod(&self, path: &VirtualPath, mode: u32) -> Result<(), Fault> {
        let subject = self.subject(path)?;
        let kept = if subject.stat.kind == Kind::Dir { subject.stat.mode & 0o6000 } else { 0 };
        let mode = Mode::from_raw_mode(mode & 0o1777 | kept);
        let done = match &subject.hold {
            Hold::Opened(descriptor) => rustix::fs::fchmod(descriptor, mode),
            Hold::Named(named) => rustix::fs::chmodat(CWD, proc_name(named), mode, AtFlags::empty()),
        };
        Ok(done?)
    }

    /// Sets the modification time, in seconds since 1970 UTC; the access time stays unless given (MFMT, SITE
    /// UTIME).
    pub fn set_times(&self, path: &VirtualPath, mtime: i64, atime: Option<i64>) -> Result<(), Fault> {
        let times = Timestamps {
            last_access: match atime {
                Some(tv_sec) => Timespec { tv_sec, tv_nsec: 0 },
                None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            },
            last_modification: Timespec { tv_sec: mtime, tv_nsec: 0 },
        };
        let done = match &self.subject(path)?.hold {
            Hold::Opened(descriptor) => rustix::fs::futimens(descriptor, &times),
            Hold::Named(named) => rustix::fs::utimensat(CWD, proc_name(named), &times, AtFlags::empty()),
        };
        Ok(done?)
    }

    /// Makes a link whose target, read as text, stays inside the root; absolute targets do not (SITE
    /// SYMLINK), not even where they would be re-rooted: other programs on this host do not re-root them.
    /// What the kernel makes of it later is judged anew whenever it is followed. Where none is followed, none is
    /// made.
    pub fn symlink(&self, target: &[u8], link: &VirtualPath) -> Result<(), Fault> {
        if self.policy.links == Links::Never || !link.parent().keeps(target) {
            return Err(Fault::Forbidden);
        }
        let (parent, name) = self.parent(link)?;
        Ok(kernel::symlinkat(target, parent, name)?)
    }

    /// Gets hold of a file or directory whose facts are to change.
    ///
    /// Changing facts needs ownership, not the right to read or write; so what can be opened neither way is
    /// named through /proc, where that is mounted.
    fn subject(&self, path: &VirtualPath) -> Result<Subject, Fault> {
        let hold = match self.beneath(path.relative(), OFlags::RDONLY | WARY) {
            Ok(descriptor) => Hold::Opened(descriptor),
            Err(Errno::ACCESS) => match self.beneath(path.relative(), OFlags::WRONLY | WARY) {
                Ok(descriptor) => Hold::Opened(descriptor),
                Err(_) => Hold::Named(self.handle(path)?),
            },
            Err(errno) => return Err(errno.into()),
        };
        let (Hold::Opened(descriptor) | Hold::Named(descriptor)) = &hold;
        let stat = Stat::of(descriptor)?;
        match stat.kind {
            Kind::File | Kind::Dir => Ok(Subject { hold, stat }),
            _ => Err(Fault::NotRegular),
        }
    }
}

struct Subject {
    hold: Hold,
    stat: Stat,
}

enum Hold {
    Opened(OwnedFd),
    /// An O_PATH descriptor, on which the calls by descriptor answer EBADF.
    Named(OwnedFd),
}

/// The name under which the kernel lets a process reach what its own descriptor holds. It is no string that
/// could lead elsewhere: the descriptor was resolved beneath the root, and is no link.
pub(crate) fn proc_name(descriptor: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

/// Renames onto a free name only.
pub(super) fn rename_new(source: &Parent<'_>, old: &[u8], target: &Parent<'_>, new: &[u8]) -> Result<(), Errno> {
    match watched("rename", || kernel::renameat_with(source, old, target, new, RenameFlags::NOREPLACE)) {
        // NFS and old FUSE have no such rename. Between these two calls another client's new file could be
        // replaced; the file systems that matter for shared writing do not come here.
        Err(Errno::INVAL | Errno::NOSYS) => match target.lstat(new) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => kernel::renameat(source, old, target, new),
            Err(errno) => Err(errno),
        },
        other => other,
    }
}
