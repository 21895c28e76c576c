//! Removing what uploads left behind that were under way when a process was killed.

use super::{Kind, Stat, WARY, is_temporary};
use crate::filesystem::kernel;
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags};
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Bytes asked of one getdents, some five hundred names: about 150 µs, and the most names a level waits with.
const READ_BYTES: usize = 16 * 1024;

/// How deep a tree is looked through; each level costs a descriptor while it is. What lies deeper than anybody's
/// folders is left alone.
const DEEPEST: usize = 64;

/// A walk through a whole tree, a slice at a time. Links are not followed.
///
/// Holds a descriptor and at most one read's names for each level of the tree.
#[derive(Debug)]
pub struct Sweep {
    levels: Vec<Level>,
    removed: u64,
}

#[derive(Debug)]
struct Level {
    directory: OwnedFd,
    /// Directories in it that were read and not gone into yet.
    below: Vec<CString>,
    /// There may be more to read.
    more: bool,
}

impl Sweep {
    /// A walk that begins at `directory`, itself perhaps a link.
    ///
    /// # Errors
    /// That of opening it.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let top = kernel::openat(CWD, directory, OFlags::RDONLY | OFlags::DIRECTORY | WARY, Mode::empty())?;
        Ok(Self { levels: vec![Level::new(top)], removed: 0 })
    }

    /// One step: a directory opened, or a piece of one read. False: the walk is over.
    pub fn step(&mut self) -> bool {
        let depth = self.levels.len();
        let Some(level) = self.levels.last_mut() else { return false };
        if let Some(name) = level.below.pop() {
            // What vanished or may not be read is no place where this process left something it could remove.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | WARY;
            if let Ok(next) = kernel::openat(&level.directory, &name, flags, Mode::empty()) {
                self.levels.push(Level::new(next));
            }
            return true;
        }
        match level.more {
            true => self.removed += level.read(depth < DEEPEST),
            false => drop(self.levels.pop()),
        }
        !self.levels.is_empty()
    }

    /// Leftovers removed so far.
    pub fn removed(&self) -> u64 {
        self.removed
    }
}

impl Level {
    fn new(directory: OwnedFd) -> Self {
        Self { directory, below: Vec::new(), more: true }
    }

    /// Reads a piece; answers how many leftovers it removed.
    fn read(&mut self, deeper: bool) -> u64 {
        let mut buffer = [MaybeUninit::uninit(); READ_BYTES];
        let mut entries = kernel::RawDir::new(&self.directory, &mut buffer);
        let mut removed = 0;
        while let Some(Ok(entry)) = entries.next() {
            let name = entry.file_name();
            match entry.file_type() {
                _ if matches!(name.to_bytes(), b"." | b"..") => {}
                FileType::RegularFile | FileType::Unknown if is_temporary(name.to_bytes()) => {
                    removed += u64::from(remove(&self.directory, name));
                }
                // Some file systems do not tell; opening will.
                FileType::Directory | FileType::Unknown if deeper => self.below.push(name.to_owned()),
                _ => {}
            }
            if entries.is_buffer_empty() {
                return removed;
            }
        }
        self.more = false;
        removed
    }
}

/// Removes a leftover, unless it is locked: then an upload is under way in another process.
fn remove(directory: &OwnedFd, name: &CStr) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | WARY;
    let Ok(file) = kernel::openat(directory, name, flags, Mode::empty()) else { return false };
    let ours = Stat::of(&file).is_ok_and(|stat| stat.kind == Kind::File)
        && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    ours && kernel::unlinkat(directory, name, AtFlags::empty()).is_ok()
}
