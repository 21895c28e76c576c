//! Where a fetched file goes, and what it is called there until it is whole.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustix::io::Errno;

use super::trouble::Trouble;
use crate::user::local::{Folder, PART, Present, set_time, unfinished};
use crate::user::pump::Intake;

/// Where a file goes.
#[derive(Debug)]
pub enum Goal {
    /// A file of this name in a folder, and what it is called until it is whole.
    File {
        /// The folder.
        folder: Rc<Folder>,
        /// The final name.
        name: OsString,
        /// The name while it is not whole.
        part: OsString,
    },
    /// Standard output or a pipe. Emptied once it is used.
    Stream(Option<OwnedFd>),
}

impl Goal {
    /// A file, unfinished as `NAME.part`.
    pub fn file(folder: Rc<Folder>, name: OsString) -> Self {
        let part = unfinished(&name, PART);
        Self::File { folder, name, part }
    }

    /// A shorter file under the final name is what is gone on with: it becomes the unfinished one.
    pub(super) fn take_back(&self, there: u64) -> Result<(), Trouble> {
        let Self::File { folder, name, part } = self else { return Ok(()) };
        let failed = |errno| Trouble::local(&folder.path().join(name), errno);
        let absent = folder.look(part).map_err(failed)?.is_none();
        let shorter = folder.look(name).map_err(failed)?.is_some_and(|now| now.sole && now.size < there);
        if absent && shorter { folder.rename(name, part).map_err(failed) } else { Ok(()) }
    }

    /// The file of the final name, if it has that size and there is nothing unfinished.
    pub(super) fn whole_here(&self, there: u64) -> Option<Present> {
        let Self::File { folder, name, part } = self else { return None };
        let whole = folder.look(name).ok().flatten().filter(|now| now.kind.is_file() && now.size == there);
        whole.filter(|_| folder.look(part).ok().flatten().is_none())
    }

    /// The last bytes of the unfinished file.
    pub(super) fn tail(&self, here: u64, length: u64) -> Result<Vec<u8>, Trouble> {
        let Self::File { folder, part, .. } = self else { return Ok(Vec::new()) };
        let failed = |errno| Trouble::local(&folder.path().join(part), errno);
        let (file, _) = folder.open(part).map_err(failed)?;
        let mut tail = vec![0; usize::try_from(length).unwrap_or(0)];
        let mut filled = 0;
        while let Some(rest) = tail.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = here - length + filled as u64;
            match rustix::io::pread(&file, rest, at).map_err(failed)? {
                0 => return Err(failed(Errno::IO)),
                count => filled += count,
            }
        }
        Ok(tail)
    }

    /// Removes the unfinished file, if it is there and `doomed`.
    pub(super) fn remove(&self, doomed: impl Fn(&Present) -> bool) {
        let Self::File { folder, part, .. } = self else { return };
        if folder.look(part).ok().flatten().is_some_and(|present| doomed(&present))
            && let Err(errno) = folder.remove(part)
        {
            log::debug!("cannot remove an unfinished file: {errno}");
        }
    }

    /// Gives the unfinished file its time and its name. A stream has neither.
    pub(super) fn place(&self, intake: Intake, modify: Option<i64>) -> Result<(), Trouble> {
        let Self::File { folder, name, part } = self else { return Ok(()) };
        let failed = |errno| Trouble::local(&folder.path().join(name), errno);
        let file = intake.into_file().ok_or(Errno::IO).map_err(failed)?;
        if let Some(modify) = modify
            && let Err(errno) = set_time(file.as_fd(), modify)
        {
            log::debug!("cannot keep the time of a file: {errno}");
        }
        folder.rename(part, name).map_err(failed)
    }
}

/// A name for an unfinished file that no other entry of the directory has.
pub fn part_name(name: &OsStr, taken: impl Fn(&OsStr) -> bool) -> OsString {
    let part = unfinished(name, PART);
    if taken(&part) { unfinished(name, ".unfinished") } else { part }
}

/// The last component of a server's path, as a local name.
pub fn local_name(remote: &[u8]) -> OsString {
    let trimmed = remote.strip_suffix(b"/").unwrap_or(remote);
    let name = trimmed.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    OsStr::from_bytes(name).to_owned()
}
