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
//!
//! What changes while a tree is counted may or may not have been met by the count. Its result is a span then, as wide
//! as the changes, and figures that lie within it stay: they are exact unless another program was at work. Throwing
//! such a count away was rejected, since a home that is always busy would never be counted again.

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
    changes: Cell<Changes>,
    written: RefCell<HashMap<FileId, Open>>,
}

/// All that has ever changed in a tree, so that a count knows what did while it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Changes {
    came: Usage,
    went: Usage,
    /// Directories that were renamed: what is in one may be met twice, or not at all.
    moves: u64,
}

impl Changes {
    /// What has changed since.
    const fn since(self, before: Self) -> Self {
        Self {
            came: self.came.less(before.came),
            went: self.went.less(before.went),
            moves: self.moves.wrapping_sub(before.moves),
        }
    }
}

impl Usage {
    const fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), files: self.files.saturating_add(other.files) }
    }

    const fn less(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_sub(other.bytes), files: self.files.saturating_sub(other.files) }
    }
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
        self.change(Usage { bytes: 0, files: 1 }, Usage::default());
    }

    /// A name has become another one, elsewhere in the tree perhaps.
    pub fn moved(&self, stat: &Stat) {
        if stat.kind == Kind::Dir {
            let changes = self.changes.get();
            self.changes.set(Changes { moves: changes.moves.wrapping_add(1), ..changes });
        } else {
            let itself = Usage { bytes: bytes(stat), files: 1 };
            self.change(itself, itself);
        }
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
        self.change(Usage::default(), Usage { bytes, files: 1 });
    }

    /// A file was cut to nothing; `stat` is from before.
    fn truncated(&self, stat: &Stat, size: u64) {
        let mut written = self.written.borrow_mut();
        let before = written.get_mut(&id(stat)).map_or(size, |file| std::mem::take(&mut file.size));
        self.change(Usage::default(), Usage { bytes: before, files: 0 });
    }

    /// Takes the result of a count that began at `changes`. `None`: too much has changed since for it to be one, or
    /// anything has and there are no figures yet, unless they shall come out `roughly`, rather too high.
    fn counted(&self, usage: Usage, changes: Changes, roughly: bool) -> Option<Usage> {
        let changed = self.changes.get().since(changes);
        let quiet = changed == Changes::default();
        if changed.moves > 0 || !quiet && self.used.get().is_none() && !roughly {
            return None;
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
        let (least, most) = (usage.less(changed.went), usage.plus(changed.came));
        let used = self.used.get().unwrap_or(most);
        let used = Usage {
            bytes: used.bytes.clamp(least.bytes, most.bytes),
            files: used.files.clamp(least.files, most.files),
        };
        self.used.set(Some(used));
        Some(used)
    }

    fn change(&self, came: Usage, went: Usage) {
        let changes = self.changes.get();
        self.changes.set(Changes { came: changes.came.plus(came), went: changes.went.plus(went), ..changes });
        self.used.set(self.used.get().map(|used| used.plus(came).less(went)));
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

/// An account's quota: its allotment against its tree's tally. One for all sessions of the account, those of before a
/// reload among them.
#[derive(Debug, Default)]
pub struct Quota {
    tally: Rc<Tally>,
    allotment: Cell<Allotment>,
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
        Self { tally, allotment: Cell::new(allotment) }
    }

    /// From now on the account may have so much.
    pub fn allot(&self, allotment: Allotment) {
        self.allotment.set(allotment);
    }

    /// What the account may have.
    pub fn allotment(&self) -> Allotment {
        self.allotment.get()
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
        let Some(most) = self.allotment.get().bytes else { return Ok(None) };
        let used = self.tally.used().ok_or(Refusal::Counting)?;
        Ok(Some(most.saturating_sub(used.bytes)))
    }

    /// Whether one more name may come.
    ///
    /// # Errors
    /// The reason why not.
    pub fn admit_file(&self) -> Result<(), Refusal> {
        let Some(most) = self.allotment.get().files else { return Ok(()) };
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

    /// How many of `want` bytes may be written at `at`: what lies within the file costs nothing. An upload that was
    /// under way when its account got a quota goes on while the tree is counted, and is judged after that.
    pub fn room(&self, at: u64, want: usize) -> usize {
        let Ok(Some(left)) = self.quota.bytes_left() else { return want };
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
            tally.change(Usage { bytes: grown, files: 0 }, Usage::default());
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
        tally.change(Usage::default(), Usage { bytes: size, files });
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
