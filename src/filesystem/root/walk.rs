//! Confinement by hand, where `openat2` is missing or refused.
//!
//! Every component is opened by itself with NOFOLLOW, and the next one relative to what came out. No link is
//! followed here; where links are to be followed, [`links`](super::links) finds the way around them, and this
//! goes it. A rename of a directory under our feet moves the walk with it, never out of the tree, since `..`
//! is not among the components.

use super::{Parent, Stat};
use crate::filesystem::kernel;
use crate::filesystem::root::Kind;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Opens `relative` beneath `root` with `flags` on its last component. A link anywhere gives ELOOP (in the
/// middle also ENOTDIR), save as last component of an open with PATH and NOFOLLOW.
pub(super) fn open(root: BorrowedFd<'_>, relative: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut components = relative.split(|&byte| byte == b'/');
    let last = components.next_back().unwrap_or(b".");
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut directory = Parent::Root(root);
    for component in components {
        directory = Parent::Opened(kernel::openat(&directory, component, step, Mode::empty())?);
    }
    let opened = kernel::openat(&directory, last, flags | OFlags::NOFOLLOW, Mode::empty())?;
    // PATH with NOFOLLOW hands out the link itself instead of failing.
    let wants_link = flags.contains(OFlags::NOFOLLOW) || !flags.contains(OFlags::PATH);
    if !wants_link && Stat::of(&opened)?.kind == Kind::Link {
        return Err(Errno::LOOP);
    }
    Ok(opened)
}
