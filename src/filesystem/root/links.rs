//! Following links by hand: from a path as a client names it to the same thing's path without a link in it.
//!
//! Needed where a path decides more than where to look: an account whose rights differ between directories, names that
//! are denied. There, what a session names is settled first, rights and names are judged on what came out, and that
//! very text is then resolved with every link refused. A directory that becomes a link in between makes the call fail;
//! it cannot make it lead elsewhere. (Asking /proc for the path of what was opened was the alternative: it says where
//! a file was found, not how, wants /proc in every sandbox, and comes too late for verbs that make or remove names.)
//!
//! Hosts without `openat2` follow links this way too.
//!
//! One difference to the kernel is kept on purpose: `..` inside a link's text is taken out by text, as everywhere in
//! [`VirtualPath`], also where it stands after a link.

use super::{Parent, Stat};
use crate::filesystem::kernel;
use crate::filesystem::path::{PathFault, VirtualPath};
use crate::filesystem::policy::Links;
use crate::filesystem::root::Kind;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// Most links on one path: the kernel's own number.
const MOST_LINKS: usize = 40;

/// Most components looked at, each some two microseconds: links that lead back and forth through a deep tree must not
/// hold the loop.
const MOST_STEPS: usize = 4096;

/// Whether the last component of a path is followed if it is a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// As verbs need it that open what is there.
    Follow,
    /// As verbs need it that make, move or remove a name.
    Keep,
}

/// The path without links; what does not exist stays as it is, and a link that leads to nothing is kept.
///
/// XDEV for a link that leads out, LOOP for too many or under [`Links::Never`].
pub(super) fn settle(root: BorrowedFd<'_>, path: VirtualPath, links: Links, last: Last) -> Result<VirtualPath, Errno> {
    let mut steps = MOST_STEPS;
    let mut path = path;
    // The path at its last component's first link: what it is again if that leads to nothing.
    let mut broken = None;
    for _ in 0..=MOST_LINKS {
        let link = match scan(root, &path, last, &mut steps)? {
            Found::Plain => return Ok(path),
            Found::Absent => return Ok(broken.unwrap_or(path)),
            Found::Link(link) => link,
        };
        let next = follow(&link, links)?;
        if link.rest.is_empty() && broken.is_none() {
            broken = Some(path);
        }
        path = next;
    }
    Err(Errno::LOOP)
}

enum Found {
    /// No link on the way.
    Plain,
    /// A component that is not there, or that this process may not see.
    Absent,
    Link(Link),
}

/// The first link of a path.
struct Link {
    directory: VirtualPath,
    target: Vec<u8>,
    /// What comes after it.
    rest: Vec<u8>,
}

fn scan(root: BorrowedFd<'_>, path: &VirtualPath, last: Last, steps: &mut usize) -> Result<Found, Errno> {
    let mut directory = Parent::Root(root);
    let mut walked = VirtualPath::root();
    let mut components = path.relative().split(|&byte| byte == b'/').peekable();
    while let Some(name) = components.next() {
        *steps = steps.checked_sub(1).ok_or(Errno::LOOP)?;
        if components.peek().is_none() && last == Last::Keep {
            break;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Whatever keeps it from being looked at will keep the verb from it too, and is told then.
        let Ok(opened) = kernel::openat(&directory, name, flags, Mode::empty()) else {
            return Ok(Found::Absent);
        };
        if Stat::of(&opened)?.kind == Kind::Link {
            let target = kernel::readlinkat(&opened, "", Vec::new())?.into_bytes();
            let rest = components.collect::<Vec<_>>().join(&b'/');
            return Ok(Found::Link(Link { directory: walked, target, rest }));
        }
        walked = walked.join(name);
        directory = Parent::Opened(opened);
    }
    Ok(Found::Plain)
}

fn follow(link: &Link, links: Links) -> Result<VirtualPath, Errno> {
    match links {
        Links::Never => return Err(Errno::LOOP),
        Links::Inside if !link.directory.keeps(&link.target) => return Err(Errno::XDEV),
        Links::Inside | Links::Rooted => {}
    }
    let target = link.directory.resolve(&link.target).map_err(errno)?;
    target.resolve(&link.rest).map_err(errno)
}

fn errno(fault: PathFault) -> Errno {
    match fault {
        PathFault::Unsendable => Errno::NOENT,
        PathFault::TooLong => Errno::NAMETOOLONG,
    }
}
