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
pub struct Writers(RefCell<HashSet<(u64, u64)>>);

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
        let claim = self.0.borrow_mut().insert(id).then(|| Claim { table: Rc::clone(self), file: id })?;
        is_free(file, FlockOperation::NonBlockingLockExclusive).then_some(claim)
    }

    /// Whether somebody is writing the open file, a descriptor of which is to be closed after this.
    pub(super) fn has(&self, file: impl AsFd, stat: &Stat) -> bool {
        // Shared, so that those who only ask are not in each other's way.
        self.0.borrow().contains(&(stat.dev, stat.ino)) || !is_free(file, FlockOperation::NonBlockingLockShared)
    }

    /// Files being written now.
    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }
}

/// Locks a file unless another process has it.
fn is_free(file: impl AsFd, how: FlockOperation) -> bool {
    !matches!(flock(file, how), Err(Errno::AGAIN))
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut files = self.table.0.borrow_mut();
        files.remove(&self.file);
        if files.is_empty() {
            // A burst of uploads must not leave its table behind.
            files.shrink_to_fit();
        }
    }
}
