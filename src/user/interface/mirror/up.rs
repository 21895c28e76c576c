//! The tree here made the same on the server.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustix::fs::FileType;

use super::plan::Facts;
use super::purge::Purge;
use super::stock::{Parcel, Stock};
use super::{Bench, FILES_WAITING, Task};
use crate::user::crew::{Ask, Cause, Errand, List, Origin, Send, Trouble, Yield};
use crate::user::interface::screen::Deed;
use crate::user::local::{Folder, Present, safe_name};
use crate::user::text::{Shown, join};
use crate::wire::directory::{Found, FoundKind, Grain};

/// A directory on both sides.
#[derive(Debug)]
pub(super) struct Node {
    /// On the server.
    pub(super) path: Vec<u8>,
    within: Vec<u8>,
    folder: Rc<Folder>,
    /// The server does not have it: nothing to compare with.
    fresh: bool,
}

/// How far the making of a directory is: the top may need what is above it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Making {
    /// Bytes of the path that are being made.
    upto: usize,
}

#[derive(Debug)]
struct Waiting {
    folder: Rc<Folder>,
    name: OsString,
    path: Vec<u8>,
    size: u64,
    fresh: bool,
    parcel: Option<Parcel>,
}

/// The upward side of a mirror.
#[derive(Debug)]
pub(super) struct Up {
    directories: VecDeque<Node>,
    makings: VecDeque<(Node, Making)>,
    files: VecDeque<Waiting>,
    pub(super) purge: Purge,
    pub(super) stock: Stock,
}

impl Up {
    pub(super) fn new(folder: Rc<Folder>, path: Vec<u8>) -> Self {
        let path = if path.len() > 1 { path.strip_suffix(b"/").unwrap_or(&path).to_vec() } else { path };
        let top = Node { path, within: Vec::new(), folder, fresh: false };
        Self {
            directories: VecDeque::from([top]),
            makings: VecDeque::new(),
            files: VecDeque::new(),
            purge: Purge::default(),
            stock: Stock::default(),
        }
    }

    pub(super) fn waiting(&self) -> bool {
        let directories = !self.directories.is_empty() || !self.makings.is_empty();
        directories || !self.files.is_empty() || self.purge.waiting() || self.stock.waiting()
    }

    pub(super) fn waiting_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    pub(super) fn next(&mut self, look_first: bool, bench: &mut Bench<'_>) -> Option<(Errand, Task)> {
        if look_first || self.files.len() < FILES_WAITING {
            if let Some((node, making)) = self.makings.pop_front() {
                let path = node.path.get(..making.upto).unwrap_or_default();
                let errand = Errand::Ask(Ask::new(vec![[b"MKD ", path].concat()]));
                return Some((errand, Task::Make(node, making)));
            }
            while let Some(node) = self.directories.pop_front() {
                if !node.fresh {
                    return Some((Errand::List(Box::new(List::new(node.path.clone()))), Task::Compare(node)));
                }
                if !bench.policy.dry_run {
                    let upto = node.path.len();
                    self.makings.push_back((node, Making { upto }));
                    return self.next(true, bench);
                }
                bench.screen.did(Deed::Make, &bench.remote.place.show(&node.path), false);
                self.sort_out(&node, HashMap::new(), bench);
            }
        }
        if let Some((errand, step)) = self.purge.next() {
            return Some((errand, Task::Purge(step)));
        }
        if let Some(next) = self.stock.next() {
            return Some(next);
        }
        let Waiting { folder, name, path, size, fresh, parcel } = self.files.pop_front()?;
        let source = Shown(folder.path().join(&name).as_os_str().as_bytes()).to_string();
        let destination = bench.remote.place.show(&path);
        let mut send = Send::new(Origin::File(folder, name), path);
        send.size = Some(size);
        // One listing for the whole directory tells as much: see `stock`.
        send.check_size = false;
        send.fresh = fresh;
        (send.resume, send.text, send.verify) = (bench.policy.resume, bench.policy.text, bench.policy.verify);
        let task = Task::File { source, destination, guess: None, link: false, parcel };
        Some((Errand::Send(Box::new(send)), task))
    }

    /// The server's side of a directory is known, or it is not there.
    pub(super) fn compared(&mut self, mut node: Node, result: Result<Yield, Trouble>, bench: &mut Bench<'_>) {
        match result {
            Ok(Yield::Listing(parsed)) => {
                let there = parsed.entries.into_iter().map(|found| (found.name.clone(), found)).collect();
                self.sort_out(&node, there, bench);
            }
            Err(trouble) if trouble.cause == Cause::Denied => {
                node.fresh = true;
                self.directories.push_front(node);
            }
            Err(trouble) => bench.trouble(&bench.remote.place.show(&node.path), trouble),
            Ok(_) => {}
        }
    }

    /// A directory was made, or not. If what is above it was missing too, that is made first: from the end of the
    /// path backwards until one works, and then forwards again.
    pub(super) fn made(&mut self, node: Node, making: Making, result: Result<Yield, Trouble>, bench: &mut Bench<'_>) {
        let whole = making.upto == node.path.len();
        match result {
            Ok(_) if whole => self.sort_out(&node, HashMap::new(), bench),
            Ok(_) => {
                let rest = node.path.get(making.upto + 1..).unwrap_or_default();
                let next = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
                let upto = making.upto + 1 + next;
                self.makings.push_front((node, Making { upto }));
            }
            Err(trouble) => {
                let above = node.path.get(..making.upto).unwrap_or_default().iter().rposition(|byte| *byte == b'/');
                match above.filter(|upto| *upto > 0 && trouble.cause == Cause::Denied && node.within.is_empty()) {
                    Some(upto) => self.makings.push_front((node, Making { upto })),
                    None => bench.trouble(&bench.remote.place.show(&node.path), trouble),
                }
            }
        }
    }

    fn sort_out(&mut self, node: &Node, mut there: HashMap<Vec<u8>, Found>, bench: &mut Bench<'_>) {
        let entries = match node.folder.entries() {
            Ok(entries) => entries,
            Err(errno) => return bench.trouble("", Trouble::local(&node.folder.path(), errno)),
        };
        let fresh = there.is_empty();
        for (name, present) in entries {
            let bytes = name.as_bytes();
            let found = there.remove(bytes);
            let within = join(&node.within, bytes);
            if let Err(why) = safe_name(bytes) {
                let shown = Shown(node.folder.path().join(&name).as_os_str().as_bytes()).to_string();
                bench.trouble(&shown, Trouble::new(Cause::Local, format!("a name that cannot be sent ({why:?})")));
                continue;
            }
            match present.kind {
                FileType::Directory if bench.policy.filter.enters(&within) => {
                    self.descend(node, within, bytes, fresh, found.as_ref(), bench);
                }
                FileType::RegularFile if bench.policy.filter.takes(&within) => {
                    self.consider(node, name, present, found.as_ref(), bench);
                }
                FileType::Directory | FileType::RegularFile => {}
                _ => bench.screen.note(&format!("{}: no file", Shown(bytes))),
            }
        }
        if bench.policy.delete {
            self.remove_extra(node, there, bench);
        }
    }

    fn descend(
        &mut self,
        node: &Node,
        within: Vec<u8>,
        name: &[u8],
        fresh: bool,
        found: Option<&Found>,
        bench: &mut Bench<'_>,
    ) {
        let Ok(folder) = node.folder.within(name) else { return };
        let path = join(&node.path, name);
        match found.map(|found| found.kind) {
            Some(FoundKind::File) => {
                bench.trouble(&bench.remote.place.show(&path), Trouble::new(Cause::Denied, "a file is in the way"))
            }
            other => {
                // A link or an unknown entry may be a directory: reading it tells.
                let fresh = fresh || other.is_none();
                self.directories.push_back(Node { path, within, folder, fresh });
            }
        }
    }

    fn consider(
        &mut self,
        node: &Node,
        name: OsString,
        present: Present,
        found: Option<&Found>,
        bench: &mut Bench<'_>,
    ) {
        let path = join(&node.path, name.as_bytes());
        if let Some(found) = found {
            if found.kind == FoundKind::Dir {
                return bench.trouble(&bench.remote.place.show(&path), in_the_way());
            }
            let here = Facts { size: Some(present.size), modify: Some(present.modify), grain: Grain::Second };
            let size = found.size.filter(|_| !bench.policy.text);
            let there = Facts { size, modify: found.modify, grain: found.grain };
            if !bench.policy.sends(here, there) {
                *bench.same += 1;
                return;
            }
        }
        if bench.policy.dry_run {
            return bench.screen.did(Deed::Put, &bench.remote.place.show(&path), false);
        }
        // A text has another size there, and what is compared afterwards need not be counted.
        let counts = !bench.policy.text && !bench.policy.verify;
        let parcel = counts.then(|| Parcel { directory: node.path.clone(), name: name.as_bytes().to_vec() });
        if counts {
            self.stock.owe(&node.path);
        }
        let (folder, fresh) = (Rc::clone(&node.folder), found.is_none());
        self.files.push_back(Waiting { folder, name, path, size: present.size, fresh, parcel });
    }

    fn remove_extra(&mut self, node: &Node, there: HashMap<Vec<u8>, Found>, bench: &mut Bench<'_>) {
        self.purge.extras(&node.path, &node.within, there.into_values(), bench);
    }
}

/// A directory there where a file should go.
fn in_the_way() -> Trouble {
    Trouble::new(Cause::Denied, "a directory is in the way")
}
