//! Which files are being written in place: one writer each, so that two uploads never mix in one file.

use super::Stat;
use std::cell::RefCell;
use std::collections::HashSet;
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
    /// Takes the right to write a file; `None` while somebody else has it.
    pub(super) fn claim(self: &Rc<Self>, stat: &Stat) -> Option<Claim> {
        let file = (stat.dev, stat.ino);
        self.0.borrow_mut().insert(file).then(|| Claim { table: Rc::clone(self), file })
    }

    /// Whether somebody is writing the file.
    pub(super) fn has(&self, stat: &Stat) -> bool {
        self.0.borrow().contains(&(stat.dev, stat.ino))
    }

    /// Files being written now.
    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }
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
