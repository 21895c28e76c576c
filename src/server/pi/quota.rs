//! Quotas as the session keeps them: what is refused beforehand, and what its verbs change.

use std::rc::Rc;

use super::faults::ReplyTo;
use super::state::Member;
use crate::filesystem::quota::{Charge, Quota, Refusal};
use crate::filesystem::{Fault, Incoming, Start, Stat, VirtualPath, Written};
use crate::wire::reply::{Cause, Reply};

impl Member {
    fn quota(&self) -> &Rc<Quota> {
        &self.realm().quota
    }

    /// Whether an upload may begin at all. The disk is asked only when the room is used up.
    pub(super) fn admit_upload(&self, path: &VirtualPath, start: Start) -> Result<(), Reply> {
        let replaced = || {
            let size = self.seat.root().stat(path).ok()?.size;
            Some(match start {
                Start::Truncate => size,
                Start::At(mark) => size.saturating_sub(mark),
                Start::Append => 0,
            })
        };
        self.quota().admit_upload(replaced).map_err(refused)
    }

    /// Whether a file of a new name may be made and filled.
    pub(super) fn admit_new_file(&self) -> Result<(), Reply> {
        self.quota().admit_upload(|| None).map_err(refused)
    }

    /// Whether a link may be made: a name without bytes.
    pub(super) fn admit_link(&self) -> Result<(), Reply> {
        self.quota().admit_file().map_err(refused)
    }

    /// Puts a file that was just opened to be written on the account.
    pub(super) fn charge(&self, file: &Incoming, written: &Written) -> Result<Charge, Reply> {
        let quota = Rc::clone(self.quota());
        let stat = Stat::of(file).map_err(|errno| Fault::Os(errno).reply(b"Upload"))?;
        Ok(match file.is_hidden() {
            true => Charge::hidden(quota, &stat, written),
            false => Charge::in_place(quota, &stat, written),
        })
    }

    /// A link was made.
    pub(super) fn count_link(&self) {
        self.quota().tally().created();
    }

    /// Removes a file and takes it off the account.
    pub(super) fn unlink(&self, path: &VirtualPath) -> Result<(), Fault> {
        let root = self.seat.root();
        let stat = root.lstat(path)?;
        root.unlink(path)?;
        self.quota().tally().removed(&stat);
        Ok(())
    }

    /// Renames, and takes what was replaced off the account.
    pub(super) fn rename(&self, from: &VirtualPath, to: &VirtualPath, replace: bool) -> Result<(), Fault> {
        let root = self.seat.root();
        let (moved, replaced) = (root.lstat(from), root.lstat(to));
        root.rename(from, to, replace)?;
        let Ok(moved) = moved else { return Ok(()) };
        self.quota().tally().moved(&moved);
        if let Ok(replaced) = replaced
            && (moved.dev, moved.ino) != (replaced.dev, replaced.ino)
        {
            self.quota().tally().removed(&replaced);
        }
        Ok(())
    }

    /// Bytes that may still come, as far as the quota goes.
    pub(super) fn quota_left(&self) -> Result<Option<u64>, Reply> {
        self.quota().bytes_left().map_err(refused)
    }
}

fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Counting => {
            Reply::new(450, "What you store is being counted, try again later.").because(Cause::Counting)
        }
        Refusal::Full => Reply::new(552, "Quota exceeded.").because(Cause::UsedUp),
    }
}
