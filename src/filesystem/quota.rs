//! Quotas: what a tree holds, counted once and kept exact.
//!
//! ```text
//!   accounts with one home ── Quota (limits) ──┐
//!                          ── Quota (limits) ──┴─► Tally (bytes, files) ◄── Count, a slice at a time
//!                                                    ▲
//!   uploads ── Charge (one file being written) ──────┘   DELE, RNTO over a file, STOR over a file: told by the session
//! ```
//!
//! A tally is the only owner of its figures, and everything that changes them happens in the loop's one thread, so
//! there is nothing to race. Bytes count as `st_size` says, files are names that are not directories. What other
//! programs do in the tree shows at the next count.

mod count;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::root::{Kind, Stat, Written};

pub use count::{Count, Progress};

/// Device and inode: which file it is, whatever its name.
type FileId = (u64, u64);

/// What a tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes in files.
    pub bytes: u64,
    /// Names that are not directories.
    pub files: u64,
}

/// The figures of one tree.
#[derive(Debug, Default)]
pub struct Tally {
    /// `None`: not counted yet.
    used: Cell<Option<Usage>>,
    /// Grows with every change, so that a count knows whether it was disturbed.
    changes: Cell<u64>,
    written: RefCell<HashMap<FileId, Open>>,
}

/// A file that is being written.
#[derive(Debug, Clone, Copy)]
struct Open {
    writers: u32,
    /// Its size as counted.
    size: u64,
    standing: Standing,
}

/// What a file that is being written is to the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has its name.
    Named,
    /// Its name is gone, its bytes are not: they leave with the last writer.
    Orphan,
    /// It gets its name when it is complete, else it is removed. It counts as a file only if it is a new one and
    /// does not take another's place.
    Hidden { new: bool },
}

impl Tally {
    /// What is used, once that is known.
    pub fn used(&self) -> Option<Usage> {
        self.used.get()
    }

    /// A file or link has come, empty.
    pub fn created(&self) {
        self.change(|used| used.files += 1);
    }

    /// A name is gone. Directories do not count.
    pub fn removed(&self, stat: &Stat) {
        if stat.kind == Kind::Dir {
            return;
        }
        let mut written = self.written.borrow_mut();
        let bytes = match written.get_mut(&id(stat)) {
            Some(file) if stat.nlink <= 1 => {
                file.standing = Standing::Orphan;
                0
            }
            _ => bytes(stat),
        };
        self.change(|used| {
            used.files = used.files.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(bytes);
        });
    }

    /// A file was cut to nothing; `stat` is from before.
    fn truncated(&self, stat: &Stat, size: u64) {
        let mut written = self.written.borrow_mut();
        let before = written.get_mut(&id(stat)).map_or(size, |file| std::mem::take(&mut file.size));
        self.change(|used| used.bytes = used.bytes.saturating_sub(before));
    }

    /// Takes a count's result, unless something changed since it began (at `changes`).
    fn counted(&self, usage: Usage, changes: u64) -> bool {
        if self.changes.get() != changes {
            return false;
        }
        // What has lost its name, or has none yet, is not found in the tree.
        let mut usage = usage;
        for file in self.written.borrow().values() {
            match file.standing {
                Standing::Named => {}
                Standing::Orphan => usage.bytes = usage.bytes.saturating_add(file.size),
                Standing::Hidden { new } => {
                    usage.bytes = usage.bytes.saturating_add(file.size);
                    usage.files += u64::from(new);
                }
            }
        }
        self.used.set(Some(usage));
        true
    }

    fn change(&self, change: impl FnOnce(&mut Usage)) {
        self.changes.set(self.changes.get().wrapping_add(1));
        if let Some(mut used) = self.used.get() {
            change(&mut used);
            self.used.set(Some(used));
        }
    }
}

/// What an account may have in its tree. 0 counts: nothing may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allotment {
    /// Bytes; `None`: any number.
    pub bytes: Option<u64>,
    /// Files; `None`: any number.
    pub files: Option<u64>,
}

/// An account's quota: its allotment against its tree's tally.
#[derive(Debug)]
pub struct Quota {
    tally: Rc<Tally>,
    allotment: Allotment,
}

/// Why a quota refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The tree is being counted; nothing can be promised meanwhile.
    Counting,
    /// There is no room for a byte, or for a file.
    Full,
}

impl Quota {
    /// An allotment against a tally. Without limits it only keeps the tally exact for others with the same home.
    pub const fn new(tally: Rc<Tally>, allotment: Allotment) -> Self {
        Self { tally, allotment }
    }

    /// The tree's figures.
    pub const fn tally(&self) -> &Rc<Tally> {
        &self.tally
    }

    /// Bytes that may still come; `None`: any number.
    ///
    /// # Errors
    /// [`Refusal::Counting`].
    pub fn bytes_left(&self) -> Result<Option<u64>, Refusal> {
        let Some(most) = self.allotment.bytes else { return Ok(None) };
        let used = self.tally.used().ok_or(Refusal::Counting)?;
        Ok(Some(most.saturating_sub(used.bytes)))
    }

    /// Whether one more name may come.
    ///
    /// # Errors
    /// The reason why not.
    pub fn admit_file(&self) -> Result<(), Refusal> {
        let Some(most) = self.allotment.files else { return Ok(()) };
        let used = self.tally.used().ok_or(Refusal::Counting)?;
        if used.files < most { Ok(()) } else { Err(Refusal::Full) }
    }

    /// Whether an upload may begin. `existing` looks at the file and is asked only when the room is used up: the
    /// bytes that the upload replaces, `None` when there is no such file.
    ///
    /// # Errors
    /// The reason why not.
    pub fn admit_upload(&self, existing: impl FnOnce() -> Option<u64>) -> Result<(), Refusal> {
        let (room, name) = (self.bytes_left()? != Some(0), self.admit_file());
        match (room, name) {
            (true, Ok(())) => Ok(()),
            (_, Err(Refusal::Counting)) => Err(Refusal::Counting),
            (room, name) => match existing() {
                Some(replaced) if room || replaced > 0 => Ok(()),
                None if room && name.is_ok() => Ok(()),
                _ => Err(Refusal::Full),
            },
        }
    }
}

/// One file being written on an account's quota.
#[derive(Debug)]
pub struct Charge {
    quota: Rc<Quota>,
    file: FileId,
}

impl Charge {
    /// A file was opened to be written in place: `stat` describes it now, `opened` how that came about.
    pub fn in_place(quota: Rc<Quota>, stat: &Stat, opened: &Written) -> Self {
        if opened.created {
            quota.tally.created();
        }
        if opened.size > stat.size {
            quota.tally.truncated(stat, opened.size - stat.size);
        }
        Self::enter(quota, stat, Standing::Named)
    }

    /// A hidden file was made, to get its name when it is complete. Until then what it will replace counts as well:
    /// both are on the disk.
    pub fn hidden(quota: Rc<Quota>, stat: &Stat, opened: &Written) -> Self {
        if opened.created {
            quota.tally.created();
        }
        Self::enter(quota, stat, Standing::Hidden { new: opened.created })
    }

    fn enter(quota: Rc<Quota>, stat: &Stat, standing: Standing) -> Self {
        let file = id(stat);
        let mut written = quota.tally.written.borrow_mut();
        written.entry(file).or_insert(Open { writers: 0, size: stat.size, standing }).writers += 1;
        drop(written);
        Self { quota, file }
    }

    /// The hidden file has got its name, and has replaced what is described.
    pub fn settled(&self, replaced: Option<&Stat>) {
        let tally = &self.quota.tally;
        let mut written = tally.written.borrow_mut();
        let Some(file) = written.get_mut(&self.file) else { return };
        let before = std::mem::replace(&mut file.standing, Standing::Named);
        drop(written);
        if before == (Standing::Hidden { new: false }) {
            tally.created();
        }
        if let Some(replaced) = replaced {
            tally.removed(replaced);
        }
    }

    /// How many of `want` bytes may be written at `at`: what lies within the file costs nothing.
    pub fn room(&self, at: u64, want: usize) -> usize {
        let left = match self.quota.bytes_left() {
            Ok(None) => return want,
            Ok(Some(left)) => left,
            Err(_) => 0,
        };
        let end = self.size().saturating_add(left);
        usize::try_from(end.saturating_sub(at)).unwrap_or(want).min(want)
    }

    /// The file reaches up to `end` now at least.
    pub fn written(&self, end: u64) {
        let tally = &self.quota.tally;
        let mut written = tally.written.borrow_mut();
        let Some(file) = written.get_mut(&self.file) else { return };
        let grown = end.saturating_sub(file.size);
        if grown > 0 {
            file.size = end;
            tally.change(|used| used.bytes = used.bytes.saturating_add(grown));
        }
    }

    fn size(&self) -> u64 {
        self.quota.tally.written.borrow().get(&self.file).map_or(0, |file| file.size)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let tally = &self.quota.tally;
        let mut written = tally.written.borrow_mut();
        let Some(file) = written.get_mut(&self.file) else { return };
        file.writers = file.writers.saturating_sub(1);
        if file.writers > 0 {
            return;
        }
        let Open { size, standing, .. } = *file;
        written.remove(&self.file);
        let files = match standing {
            Standing::Named => return,
            Standing::Orphan => 0,
            Standing::Hidden { new } => u64::from(new),
        };
        tally.change(|used| {
            used.bytes = used.bytes.saturating_sub(size);
            used.files = used.files.saturating_sub(files);
        });
    }
}

const fn id(stat: &Stat) -> FileId {
    (stat.dev, stat.ino)
}

/// What a name is counted with: links have a size, but no bytes of their own that anybody could upload.
fn bytes(stat: &Stat) -> u64 {
    if stat.kind == Kind::File { stat.size } else { 0 }
}

#[cfg(test)]
mod tests;
