//! Which files are being written in place: one writer each, so that two uploads never mix in one file.
//!
//! Within a process the table tells. Between processes, which are several workers or an old and a new one, the file itself
//! does: it is locked (flock) as long as its writer has it open, and the kernel takes the lock back from whoever is
//! killed. On a file system without locks only the table is left.

use super::Stat;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::HashSet;
use std::os::fd::AsFd;
use std::rc::Rc;

/// The one table of files being written in place, by device and inode: two names of one file are one file.
#[derive(Debug, Default)]
pub struct Writers {
    files: RefCell<HashSet<(u64, u64)>>,
    goals: RefCell<Vec<Goal>>,
}

/// A name that a hidden upload will get: its directory's device and inode, and itself.
type Place = (u64, u64, Box<[u8]>);

#[derive(Debug)]
struct Goal {
    place: Rc<Place>,
    extends: Extends,
}

/// Whether an upload adds to what its name holds. Two that replace it are no harm to each other: the later one is what
/// was wanted last. One that adds would lose what the other brings, or have its own lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extends {
    Yes,
    No,
}

/// A name promised to a hidden upload, given back when dropped.
#[derive(Debug)]
pub(super) struct Promise {
    table: Rc<Writers>,
    place: Rc<Place>,
}

/// The right to write a file, given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    table: Rc<Writers>,
    file: (u64, u64),
}

impl Writers {
    /// Takes the right to write an open file; `None` while somebody else has it. It lasts as long as both claim and
    /// descriptor do.
    pub(super) fn claim(self: &Rc<Self>, file: impl AsFd, stat: &Stat) -> Option<Claim> {
        let id = (stat.dev, stat.ino);
        let claim = self.files.borrow_mut().insert(id).then(|| Claim { table: Rc::clone(self), file: id })?;
        is_free(file, FlockOperation::NonBlockingLockExclusive).then_some(claim)
    }

    /// Whether somebody is writing the open file, a descriptor of which is to be closed after this.
    pub(super) fn has(&self, file: impl AsFd, stat: &Stat) -> bool {
        // Shared, so that those who only ask are not in each other's way.
        self.files.borrow().contains(&(stat.dev, stat.ino)) || !is_free(file, FlockOperation::NonBlockingLockShared)
    }

    /// Whether an upload to this name in the directory would have to wait for a hidden one. Only this process's are
    /// known; those of others give an appended file its name only where it is still free.
    pub(super) fn awaits(&self, directory: impl AsFd, name: &[u8], extends: Extends) -> Result<bool, Errno> {
        if self.goals.borrow().is_empty() {
            return Ok(false);
        }
        let directory = Stat::of(directory)?;
        Ok(self.goals.borrow().iter().any(|goal| {
            let (dev, ino, taken) = &*goal.place;
            (*dev, *ino, &**taken) == (directory.dev, directory.ino, name)
                && (goal.extends == Extends::Yes || extends == Extends::Yes)
        }))
    }

    /// Promises a name to a hidden upload.
    pub(super) fn promise(
        self: &Rc<Self>,
        directory: impl AsFd,
        name: &[u8],
        extends: Extends,
    ) -> Result<Promise, Errno> {
        let directory = Stat::of(directory)?;
        let place = Rc::new((directory.dev, directory.ino, name.into()));
        self.goals.borrow_mut().push(Goal { place: Rc::clone(&place), extends });
        Ok(Promise { table: Rc::clone(self), place })
    }

    /// Files being written now.
    pub fn count(&self) -> usize {
        self.files.borrow().len()
    }
}

/// Locks a file unless another process has it.
fn is_free(file: impl AsFd, how: FlockOperation) -> bool {
    !matches!(flock(file, how), Err(Errno::AGAIN))
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut files = self.table.files.borrow_mut();
        files.remove(&self.file);
        if files.is_empty() {
            // A burst of uploads must not leave its table behind.
            files.shrink_to_fit();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut goals = self.table.goals.borrow_mut();
        goals.retain(|goal| !Rc::ptr_eq(&goal.place, &self.place));
        if goals.is_empty() {
            goals.shrink_to_fit();
        }
    }
}
