//! Counting a tree, a slice at a time.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use super::{Changes, Tally, Usage, bytes};
use crate::filesystem::path::VirtualPath;
use crate::filesystem::root::{Fault, Kind, Root, Stat};
use crate::filesystem::watch::watched;

/// Names looked at in one slice: about a third of a millisecond.
const NAMES_A_SLICE: usize = 256;

/// Directories that may wait to be read. Found and counted depth first, there are few, unless a tree was made to
/// fill memory.
const MOST_PENDING: usize = 1_000_000;

/// A count under way.
#[derive(Debug)]
pub struct Count {
    root: Rc<Root>,
    tally: Rc<Tally>,
    /// The tally's changes when the count began.
    changes: Changes,
    pending: Vec<VirtualPath>,
    reading: Option<(VirtualPath, OwnedFd, Dir)>,
    usage: Usage,
}

/// What a slice came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is more to look at.
    More,
    /// Counted; the tally has the result.
    Done(Usage),
    /// The tree changed too much meanwhile: the result is worth nothing.
    Disturbed,
    /// The tree cannot be read.
    Failed(Errno),
}

impl Count {
    /// Begins to count what lies beneath `root`.
    pub fn begin(root: Rc<Root>, tally: Rc<Tally>) -> Self {
        let changes = tally.changes.get();
        Self { root, tally, changes, pending: vec![VirtualPath::root()], reading: None, usage: Usage::default() }
    }

    /// The tally counted into.
    pub const fn tally(&self) -> &Rc<Tally> {
        &self.tally
    }

    /// A bounded piece of the work. `roughly`: first figures may come out too high rather than not at all.
    pub fn slice(&mut self, roughly: bool) -> Progress {
        for _ in 0..NAMES_A_SLICE {
            match self.step() {
                Ok(true) => {}
                Ok(false) => {
                    let counted = self.tally.counted(self.usage, self.changes, roughly);
                    return counted.map_or(Progress::Disturbed, Progress::Done);
                }
                Err(errno) => return Progress::Failed(errno),
            }
        }
        Progress::More
    }

    /// One name, or one directory opened. False: nothing is left.
    fn step(&mut self) -> Result<bool, Errno> {
        let Some((path, descriptor, names)) = &mut self.reading else {
            return self.open_next();
        };
        let Some(entry) = watched("readdir", || names.next()) else {
            self.reading = None;
            return Ok(true);
        };
        let entry = entry?;
        let name = entry.file_name();
        // What has no name of its own yet is on the tally by itself.
        if matches!(name.to_bytes(), b"." | b"..") || self.root.policy().hides(name.to_bytes()) {
            return Ok(true);
        }
        if entry.file_type() == FileType::Directory {
            self.pending.push(path.join(name.to_bytes()));
            return if self.pending.len() > MOST_PENDING { Err(Errno::OVERFLOW) } else { Ok(true) };
        }
        let stat = match watched("stat", || rustix::fs::statat(descriptor, name, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(stat) => Stat::from_system(&stat),
            Err(Errno::NOENT) => return Ok(true),
            Err(errno) => return Err(errno),
        };
        if stat.kind == Kind::Dir {
            self.pending.push(path.join(name.to_bytes()));
        } else {
            self.usage.files += 1;
            self.usage.bytes = self.usage.bytes.saturating_add(bytes(&stat));
        }
        Ok(true)
    }

    fn open_next(&mut self) -> Result<bool, Errno> {
        let Some(path) = self.pending.pop() else { return Ok(false) };
        let descriptor = match self.root.dir(&path) {
            Ok(descriptor) => descriptor,
            // Gone, or closed to this server: then nobody uploads there through it either.
            Err(fault) if !path.is_root() => {
                log::debug!("not counted: {path:?}: {fault}");
                return Ok(true);
            }
            Err(Fault::Os(errno)) => return Err(errno),
            Err(_) => return Err(Errno::NOTDIR),
        };
        let names = Dir::read_from(&descriptor)?;
        self.reading = Some((path, descriptor, names));
        Ok(true)
    }
}
