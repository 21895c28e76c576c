//! The server's tree made the same here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::clear::{Extra, clear};
use super::plan::Facts;
use super::trail::{DIRECTORIES, Trail, endless};
use super::{Bench, DEPTH_LIMIT, FILES_WAITING, Task};
use crate::user::crew::{Cause, Errand, Fetch, Goal, List, Trouble, Yield, part_name};
use crate::user::interface::screen::Deed;
use crate::user::local::{Folder, PART, Present, safe_name, unfinished};
use crate::user::text::{Shown, join};
use crate::wire::directory::{End, Found, FoundKind, Grain, Parsed};

/// A directory on both sides.
#[derive(Debug)]
pub(super) struct Node {
    /// On the server.
    pub(super) path: Vec<u8>,
    /// From the top of the tree.
    within: Vec<u8>,
    folder: Rc<Folder>,
    depth: usize,
    above: Trail,
}

/// A file that waits: what the listing said, and where it goes.
#[derive(Debug)]
struct Waiting {
    directory: Rc<Node>,
    name: Box<[u8]>,
    part: Option<OsString>,
    size: Option<u64>,
    modify: Option<i64>,
    guess: bool,
    link: bool,
}

/// Directories whose files wait. Each has a descriptor open, of which a process has a thousand or so.
const FOLDERS_WAITING: usize = 128;

/// The downward side of a mirror.
#[derive(Debug)]
pub(super) struct Down {
    /// Those within the last one read come first: so only the way down to it is kept open.
    directories: VecDeque<Node>,
    files: VecDeque<Waiting>,
    /// Directories that `files` are in.
    folders: usize,
    seen: usize,
}

impl Down {
    pub(super) fn new(path: Vec<u8>, folder: Rc<Folder>) -> Self {
        let top = Node { path, within: Vec::new(), folder, depth: 0, above: Trail::default() };
        Self { directories: VecDeque::from([top]), files: VecDeque::new(), folders: 0, seen: 0 }
    }

    pub(super) fn waiting(&self) -> bool {
        !self.directories.is_empty() || !self.files.is_empty()
    }

    /// A directory's worth of additions each time bars move, which is nothing beside drawing them.
    pub(super) fn waiting_bytes(&self) -> Option<u64> {
        self.files.iter().map(|file| file.size).sum()
    }

    pub(super) fn visit(&mut self, node: Node) {
        self.directories.push_front(node);
    }

    /// The next thing to do: a directory while few files wait, then files.
    pub(super) fn next(&mut self, look_first: bool, bench: &mut Bench<'_>) -> Option<(Errand, Task)> {
        let few = self.files.len() < FILES_WAITING && self.folders < FOLDERS_WAITING;
        if (look_first || few)
            && let Some(node) = self.directories.pop_front()
        {
            return Some((Errand::List(Box::new(List::new(node.path.clone()))), Task::Look(node)));
        }
        let Waiting { directory, name, part, size, modify, guess, link } = self.files.pop_front()?;
        if !self.files.front().is_some_and(|next| Rc::ptr_eq(&next.directory, &directory)) {
            self.folders = self.folders.saturating_sub(1);
        }
        let path = join(&directory.path, &name);
        let source = bench.remote.place.show(&path);
        let local = OsStr::from_bytes(&name).to_owned();
        let destination = Shown(directory.folder.path().join(&local).as_os_str().as_bytes()).to_string();
        let goal = match part {
            Some(part) => Goal::File { folder: Rc::clone(&directory.folder), name: local, part },
            None => Goal::file(Rc::clone(&directory.folder), local),
        };
        let guess = if guess { child(&directory, &name).ok() } else { None };
        let mut fetch = Fetch::new(path, goal);
        (fetch.size, fetch.modify) = (size, modify);
        (fetch.resume, fetch.text, fetch.verify) = (bench.policy.resume, bench.policy.text, bench.policy.verify);
        Some((Errand::Fetch(Box::new(fetch)), Task::File { source, destination, guess, link, parcel: None }))
    }

    /// A directory has been read.
    pub(super) fn looked(&mut self, node: Node, result: Result<Yield, Trouble>, bench: &mut Bench<'_>) {
        let shown = bench.remote.place.show(&node.path);
        let parsed = match result {
            Ok(Yield::Listing(parsed)) => parsed,
            Ok(_) => return,
            Err(trouble) => return bench.trouble(&shown, trouble),
        };
        for line in parsed.doubts() {
            bench.screen.note(&format!("{shown}: not understood: {}", Shown(line)));
        }
        if parsed.end == End::Unconfirmed {
            bench.trouble(&shown, Trouble::unconfirmed());
        }
        if !parsed.odd.is_empty() {
            bench.trouble(&shown, Trouble::skipped());
        }
        let here = match prepare(&node, bench.policy.dry_run) {
            Ok(here) => here,
            Err(errno) => return bench.trouble("", Trouble::local(&node.folder.path(), errno)),
        };
        self.seen += 1;
        let trail = if self.seen > DIRECTORIES { Err(endless()) } else { node.above.longer(&parsed) };
        let above = match trail {
            Ok(above) => above,
            Err(trouble) => return bench.trouble(&shown, trouble),
        };
        let node = Rc::new(Node { above, ..node });
        let names: HashSet<&[u8]> = parsed.entries.iter().map(|found| &found.name[..]).collect();
        // What is behind a line that is not understood may well be one of ours.
        if bench.policy.delete && parsed.is_certain() {
            remove_extra(&node, &here, &names, bench);
        }
        drop(names);
        self.sort_out(&node, parsed, &here, bench);
    }

    fn sort_out(&mut self, node: &Rc<Node>, parsed: Parsed, here: &HashMap<OsString, Present>, bench: &mut Bench<'_>) {
        let taken: HashSet<Vec<u8>> = parsed.entries.iter().map(|found| found.name.clone()).collect();
        let mut seen = HashSet::new();
        let before = self.files.len();
        let mut below = Vec::new();
        for found in parsed.entries {
            if let Err(why) = safe_name(&found.name) {
                let shown = format!("{}: {}", bench.remote.place.show(&node.path), Shown(&found.name));
                bench.trouble(&shown, Trouble::new(Cause::Denied, format!("a name that is not used here: {why}")));
                continue;
            }
            if !seen.insert(found.name.clone()) {
                continue;
            }
            let within = join(&node.within, &found.name);
            match found.kind {
                FoundKind::Dir if bench.policy.filter.enters(&within) => below.extend(descend(node, &found, bench)),
                FoundKind::Dir => {}
                FoundKind::Other => bench.screen.note(&format!("{}: no file", Shown(&found.name))),
                _ if !bench.policy.filter.takes(&within) => {}
                _ => self.consider(node, found, &taken, here, bench),
            }
        }
        self.folders += usize::from(self.files.len() > before);
        below.into_iter().rev().for_each(|child| self.directories.push_front(child));
    }

    fn consider(
        &mut self,
        node: &Rc<Node>,
        found: Found,
        taken: &HashSet<Vec<u8>>,
        here: &HashMap<OsString, Present>,
        bench: &mut Bench<'_>,
    ) {
        let link = found.kind == FoundKind::Link;
        let size = found.size.filter(|_| !link && !bench.policy.text);
        let there = Facts { size, modify: found.modify, grain: found.grain };
        let present = here.get(OsStr::from_bytes(&found.name)).filter(|present| present.kind == FileType::RegularFile);
        if let Some(present) = present {
            let local = Facts { size: Some(present.size), modify: Some(present.modify), grain: Grain::Second };
            if !bench.policy.fetches(there, local) {
                *bench.same += 1;
                return;
            }
        }
        if bench.policy.dry_run {
            bench.screen.did(Deed::Get, &bench.remote.place.show(&join(&node.path, &found.name)), false);
            return;
        }
        let name = OsStr::from_bytes(&found.name);
        let part = part_name(name, |name| taken.contains(name.as_bytes()));
        let usual = part == unfinished(name, PART);
        self.files.push_back(Waiting {
            directory: Rc::clone(node),
            name: found.name.into(),
            part: (!usual).then_some(part),
            size,
            modify: found.modify,
            guess: found.kind == FoundKind::Unknown,
            link,
        });
    }
}

fn descend(node: &Rc<Node>, found: &Found, bench: &mut Bench<'_>) -> Option<Node> {
    match child(node, &found.name) {
        Ok(child) if child.depth <= DEPTH_LIMIT => Some(child),
        _ => {
            let shown = bench.remote.place.show(&join(&node.path, &found.name));
            bench.trouble(&shown, Trouble::new(Cause::Denied, "too deep"));
            None
        }
    }
}

fn child(node: &Node, name: &[u8]) -> Result<Node, crate::user::local::Unsafe> {
    Ok(Node {
        path: join(&node.path, name),
        within: join(&node.within, name),
        folder: node.folder.within(name)?,
        depth: node.depth + 1,
        above: node.above.clone(),
    })
}

/// Makes the directory here and reads what is in it already.
fn prepare(node: &Node, dry_run: bool) -> Result<HashMap<OsString, Present>, Errno> {
    if !dry_run {
        node.folder.make()?;
    }
    match node.folder.entries() {
        Ok(entries) => Ok(entries.into_iter().collect()),
        Err(Errno::NOENT) if dry_run => Ok(HashMap::new()),
        Err(errno) => Err(errno),
    }
}

/// Removes what the server does not have. What the filter leaves alone, and unfinished files of this client, stay.
fn remove_extra(node: &Node, here: &HashMap<OsString, Present>, there: &HashSet<&[u8]>, bench: &mut Bench<'_>) {
    for (name, present) in here {
        let bytes = name.as_bytes();
        let begun = bytes.strip_suffix(PART.as_bytes()).is_some_and(|whole| there.contains(whole));
        if !there.contains(bytes) && !begun {
            let within = join(&node.within, bytes);
            // What stays has been said, or is none of ours.
            clear(&Extra { folder: &node.folder, name, kind: present.kind, within }, 0, bench);
        }
    }
}
