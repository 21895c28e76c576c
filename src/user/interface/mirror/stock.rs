//! Whether what was sent is there: 226 says that the server has what it got, not that it got all of it.
//!
//! ```text
//!   files owed ──▶ the last one is sent or has failed ──▶ one listing of the directory ──▶ sizes compared
//! ```
//!
//! SIZE behind each file was rejected: it is a third command where two do, and directories have many files.

use std::collections::{HashMap, VecDeque};

use super::{Bench, Task};
use crate::user::crew::{Cause, Errand, List, Moved, Trouble, Yield};
use crate::user::text::join;
use crate::wire::directory::FoundKind;

/// A file on its way into a directory of the server.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) directory: Vec<u8>,
    pub(super) name: Vec<u8>,
}

/// What one directory has got.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) directory: Vec<u8>,
    /// How many bytes each file must have.
    sizes: HashMap<Vec<u8>, u64>,
}

/// The directories that files are sent to.
#[derive(Debug, Default)]
pub(super) struct Stock {
    open: HashMap<Vec<u8>, Open>,
    complete: VecDeque<Delivery>,
}

#[derive(Debug, Default)]
struct Open {
    owed: usize,
    sizes: HashMap<Vec<u8>, u64>,
}

impl Stock {
    /// One more file will go there.
    pub(super) fn owe(&mut self, directory: &[u8]) {
        self.open.entry(directory.to_vec()).or_default().owed += 1;
    }

    /// One of them is over. What has failed has been said.
    pub(super) fn sent(&mut self, parcel: Parcel, result: &Result<Moved, Trouble>) {
        let Parcel { directory, name } = parcel;
        let Some(open) = self.open.get_mut(&directory) else { return };
        open.owed -= 1;
        if let Ok(moved) = result {
            open.sizes.insert(name, moved.offset + moved.bytes);
        }
        if open.owed == 0 {
            let sizes = self.open.remove(&directory).map(|open| open.sizes).unwrap_or_default();
            self.complete.extend((!sizes.is_empty()).then_some(Delivery { directory, sizes }));
        }
    }

    pub(super) fn waiting(&self) -> bool {
        !self.complete.is_empty()
    }

    pub(super) fn next(&mut self) -> Option<(Errand, Task)> {
        let delivery = self.complete.pop_front()?;
        Some((Errand::List(Box::new(List::new(delivery.directory.clone()))), Task::Check(delivery)))
    }
}

/// The directory has been read again.
pub(super) fn checked(mut delivery: Delivery, result: Result<Yield, Trouble>, bench: &mut Bench<'_>) {
    let parsed = match result {
        Ok(Yield::Listing(parsed)) => parsed,
        // Where files may be put and not looked at, 226 is all there is.
        Err(trouble) if trouble.cause == Cause::Denied => return,
        Err(trouble) => return bench.trouble(&bench.remote.place.show(&delivery.directory), trouble),
        Ok(_) => return,
    };
    for found in parsed.entries {
        let length = found.size.filter(|_| found.kind == FoundKind::File);
        let (Some(sent), Some(there)) = (delivery.sizes.remove(&found.name), length) else { continue };
        if sent != there {
            let path = bench.remote.place.show(&join(&delivery.directory, &found.name));
            let text = format!("{sent} bytes were sent, the server has {there}");
            bench.screen.trouble(&path, &Trouble::new(Cause::Transfer, text.clone()));
            // It was counted when its 226 came.
            bench.summary.done = bench.summary.done.saturating_sub(1);
            bench.summary.failed.push(Trouble::new(Cause::Some, text));
        }
    }
    // Incoming directories take files away at once, and names with a dot are shown by few servers.
    let unseen = delivery.sizes.keys().filter(|name| !name.starts_with(b".")).count();
    if unseen > 0 {
        let directory = bench.remote.place.show(&delivery.directory);
        bench.screen.note(&format!("{directory}: files sent that are not listed there: {unseen}"));
    }
}
