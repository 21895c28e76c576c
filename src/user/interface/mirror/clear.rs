//! Removing trees here, but for what the filter leaves alone: a directory that holds such a thing stays.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::{Bench, DEPTH_LIMIT};
use crate::user::crew::Trouble;
use crate::user::interface::screen::Deed;
use crate::user::local::Folder;
use crate::user::text::{Shown, join};

/// An entry of a directory that is to go.
pub(super) struct Extra<'a> {
    pub(super) folder: &'a Rc<Folder>,
    pub(super) name: &'a OsStr,
    /// Of the entry itself: what a link leads to is none of ours.
    pub(super) kind: FileType,
    /// From the top of the tree.
    pub(super) within: Vec<u8>,
}

/// Removes it, or says that it would, with everything in it. Whether nothing of it is left.
pub(super) fn clear(extra: &Extra<'_>, depth: usize, bench: &mut Bench<'_>) -> bool {
    let directory = extra.kind == FileType::Directory;
    let filter = &bench.policy.filter;
    if !(if directory { filter.enters(&extra.within) } else { filter.takes(&extra.within) }) {
        return false;
    }
    if directory && !empty(extra, depth, bench) {
        return false;
    }
    let path = extra.folder.path().join(extra.name);
    let shown = Shown(path.as_os_str().as_bytes()).to_string();
    if bench.policy.dry_run {
        bench.screen.did(Deed::Remove, &shown, false);
        return true;
    }
    let removed = if directory { extra.folder.remove_directory(extra.name) } else { extra.folder.remove(extra.name) };
    match removed {
        Ok(()) => bench.screen.did(Deed::Remove, &shown, true),
        Err(errno) => failed(&path, errno, bench),
    }
    removed.is_ok()
}

fn empty(extra: &Extra<'_>, depth: usize, bench: &mut Bench<'_>) -> bool {
    let folder = extra.folder.inner(extra.name);
    let entries = if depth < DEPTH_LIMIT { folder.entries() } else { Err(Errno::NAMETOOLONG) };
    let entries = match entries {
        Ok(entries) => entries,
        Err(errno) => {
            failed(&folder.path(), errno, bench);
            return false;
        }
    };
    let mut emptied = true;
    for (name, present) in entries {
        let within = join(&extra.within, name.as_bytes());
        let inner = Extra { folder: &folder, name: &name, kind: present.kind, within };
        emptied &= clear(&inner, depth + 1, bench);
    }
    emptied
}

fn failed(path: &Path, errno: Errno, bench: &mut Bench<'_>) {
    bench.trouble("", Trouble::local(path, errno));
}
