//! Removing what uploads left behind that were under way when a process was killed.

use super::{Kind, Stat, WARY, is_temporary};
use crate::filesystem::kernel;
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Bytes asked of one getdents, some five hundred names: about 150 µs, and the most names a level waits with.
const READ_BYTES: usize = 16 * 1024;

/// How many levels of a tree are held open. Those above the latest are closed, and found again from below.
const MOST_OPEN: usize = 64;

/// How deep a tree is looked through: a path of one letter a level does not go deeper, and more than a few have been
/// made on purpose.
const DEEPEST: usize = 4096;

/// A walk through a whole tree, a slice at a time. Links are not followed.
///
/// Holds at most one read's names for each level of the tree, and descriptors for [`MOST_OPEN`] of them.
#[derive(Debug)]
pub struct Sweep {
    levels: Vec<Level>,
    removed: u64,
}

#[derive(Debug)]
struct Level {
    /// `None` while more than [`MOST_OPEN`] levels below it are being walked.
    directory: Option<OwnedFd>,
    /// How far it had been read when it was closed.
    position: u64,
    /// Which directory it is.
    identity: (u64, u64),
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
        Ok(Self { levels: vec![Level::new(top)?], removed: 0 })
    }

    /// One step: a directory opened, or a piece of one read. False: the walk is over.
    pub fn step(&mut self) -> bool {
        let depth = self.levels.len();
        let Some(level) = self.levels.last_mut() else { return false };
        let Some(directory) = &level.directory else { return self.give_up() };
        if let Some(name) = level.below.pop() {
            // What vanished or may not be read is no place where this process left something it could remove.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | WARY;
            let next = kernel::openat(directory, &name, flags, Mode::empty());
            if let Ok(next) = next.and_then(Level::new) {
                self.levels.push(next);
                self.levels.iter_mut().rev().nth(MOST_OPEN).into_iter().for_each(Level::close);
            }
            return true;
        }
        match level.more {
            true => self.removed += level.read(depth < DEEPEST),
            false => self.leave(),
        }
        !self.levels.is_empty()
    }

    /// Back to the level above, whose descriptor may have been closed. It is looked for where it was; a directory that
    /// was moved meanwhile leads elsewhere.
    fn leave(&mut self) {
        let Some(done) = self.levels.pop() else { return };
        let Some(above) = self.levels.last_mut().filter(|above| above.directory.is_none()) else { return };
        let Some(directory) = &done.directory else { return };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | WARY;
        let found = kernel::openat(directory, "..", flags, Mode::empty()).and_then(Level::new);
        let found = found.ok().filter(|found| found.identity == above.identity).and_then(|found| found.directory);
        above.directory = found.filter(|found| rustix::fs::seek(found, SeekFrom::Start(above.position)).is_ok());
    }

    fn give_up(&mut self) -> bool {
        log::warn!(
            "a deep tree was moved while it was looked through; unfinished uploads in it stay until the next start"
        );
        self.levels.clear();
        false
    }

    /// Leftovers removed so far.
    pub fn removed(&self) -> u64 {
        self.removed
    }
}

impl Level {
    fn new(directory: OwnedFd) -> Result<Self, Errno> {
        let stat = Stat::of(&directory)?;
        let identity = (stat.dev, stat.ino);
        Ok(Self { directory: Some(directory), position: 0, identity, below: Vec::new(), more: true })
    }

    fn close(&mut self) {
        self.position = self.directory.take().and_then(|open| rustix::fs::tell(open).ok()).unwrap_or_default();
    }

    /// Reads a piece; answers how many leftovers it removed. Never inlined: its buffer would become part of the loop's
    /// frame, four pages that stay resident for good.
    #[inline(never)]
    fn read(&mut self, deeper: bool) -> u64 {
        let mut buffer = [MaybeUninit::uninit(); READ_BYTES];
        let mut removed = 0;
        let Some(directory) = &self.directory else { return removed };
        let mut entries = kernel::RawDir::new(directory, &mut buffer);
        while let Some(Ok(entry)) = entries.next() {
            let name = entry.file_name();
            match entry.file_type() {
                _ if matches!(name.to_bytes(), b"." | b"..") => {}
                FileType::RegularFile | FileType::Unknown if is_temporary(name.to_bytes()) => {
                    removed += u64::from(remove(directory, name));
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
