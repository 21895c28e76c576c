//! Removing trees on a server, leaves first: there is no command for it.
//!
//! ```text
//!   directories among what is extra ──▶ Links (LIST of the one above) ─┬─ link ──────────────────▶ File (DELE)
//!                                                                       └▶ Unlink (DELE) ─┬─ done: it was a link
//!        Directory (RMD) ◀── nothing left in it ◀── its entries ◀── Look ◀── refused ─────┘
//! ```
//!
//! MLSD tells what is behind a link (RFC 3659 7.5.1.5), and what is behind one is no part of the tree. So nothing is
//! entered unless LIST shows a directory and DELE has been refused, since that removes links and no directories.
//! Servers whose DELE does take a directory take one that is empty, and that goes anyway.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Bench, DEPTH_LIMIT};
use crate::user::crew::{Ask, Cause, Errand, List, Trouble, Yield};
use crate::user::interface::screen::Deed;
use crate::user::local::safe_name;
use crate::user::text::join;
use crate::wire::directory::{Found, FoundKind, Parsed};
use crate::wire::reply::Kind;

/// One command of a removal.
#[derive(Debug)]
pub enum Step {
    /// DELE; the directory that waits for it.
    File(Vec<u8>, Option<usize>),
    /// LIST of a directory: which of these names in it are links?
    Links(Above, Vec<Vec<u8>>),
    /// DELE of what is said to be a directory.
    Unlink(usize, Vec<u8>, Nature),
    /// Reading a directory.
    Look(usize, Vec<u8>),
    /// RMD of a directory that is empty now.
    Directory(usize, Vec<u8>),
}

/// The directory that entries are in.
#[derive(Debug)]
pub struct Above {
    path: Vec<u8>,
    /// From the top of the tree.
    within: Vec<u8>,
    depth: usize,
    /// Its own number, if it is being emptied.
    number: Option<usize>,
}

/// What LIST shows of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// A directory.
    Directory,
    /// Nothing, or something else: it may be a link.
    Doubtful,
}

/// A directory that is being emptied.
#[derive(Debug)]
struct Emptying {
    path: Vec<u8>,
    within: Vec<u8>,
    parent: Option<usize>,
    left: usize,
    depth: usize,
    /// Something in it could not be removed, or is left alone.
    stays: bool,
}

/// Everything that is to be removed.
#[derive(Debug, Default)]
pub struct Purge {
    next: usize,
    emptying: HashMap<usize, Emptying>,
    steps: VecDeque<Step>,
}

impl Step {
    /// What it is about.
    pub fn path(&self) -> &[u8] {
        match self {
            Self::Links(above, _) => &above.path,
            Self::File(path, _) | Self::Unlink(_, path, _) | Self::Look(_, path) | Self::Directory(_, path) => path,
        }
    }
}

impl Purge {
    /// What of a directory is extra; `within` is that directory from the top of the tree.
    pub fn extras(
        &mut self,
        path: &[u8],
        within: &[u8],
        entries: impl IntoIterator<Item = Found>,
        bench: &mut Bench<'_>,
    ) {
        let above = Above { path: path.to_vec(), within: within.to_vec(), depth: 0, number: None };
        self.sort_out(above, entries, bench);
    }

    /// Whether there is more to be done.
    pub fn waiting(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The next command.
    pub fn next(&mut self) -> Option<(Errand, Step)> {
        let step = self.steps.pop_front()?;
        let errand = match &step {
            Step::File(path, _) => Errand::Ask(Ask::new(vec![[b"DELE ", &path[..]].concat()])),
            // A refusal is the answer that is expected, even one that invites to try again.
            Step::Unlink(_, path, _) => Errand::Ask(Ask::raw([b"DELE ", &path[..]].concat())),
            Step::Directory(_, path) => Errand::Ask(Ask::new(vec![[b"RMD ", &path[..]].concat()])),
            Step::Look(_, path) => Errand::List(Box::new(List::new(path.clone()))),
            Step::Links(above, _) => Errand::List(Box::new(List::new(above.path.clone()).showing_links())),
        };
        Some((errand, step))
    }

    /// A command is over.
    pub fn done(&mut self, step: Step, result: Result<Yield, Trouble>, bench: &mut Bench<'_>) {
        let result = result.map_err(|trouble| bench.trouble(&bench.remote.place.show(step.path()), trouble));
        match (step, result) {
            (Step::File(path, parent), result) => {
                if result.is_ok() {
                    removed(&path, bench);
                }
                self.one_less(parent, result.is_err(), bench);
            }
            (Step::Directory(number, path), Ok(_)) => {
                removed(&path, bench);
                self.over(number, false, bench);
            }
            (Step::Links(above, names), Ok(Yield::Listing(parsed))) => self.tell_apart(&above, names, &parsed, bench),
            (Step::Links(above, names), _) => names.iter().for_each(|_| self.one_less(above.number, true, bench)),
            (Step::Unlink(number, path, nature), Ok(Yield::Replies(replies))) => {
                let gone = replies.last().is_some_and(|reply| reply.kind() == Kind::Completion);
                self.unlinked(number, path, nature, gone, bench);
            }
            (Step::Look(number, path), Ok(Yield::Listing(parsed))) => {
                let Some(emptying) = self.emptying.get(&number) else { return };
                let (within, depth) = (emptying.within.clone(), emptying.depth + 1);
                self.sort_out(Above { path, within, depth, number: Some(number) }, parsed.entries, bench);
                self.check(number, bench);
            }
            (Step::Unlink(number, ..) | Step::Look(number, _) | Step::Directory(number, _), _) => {
                self.over(number, true, bench);
            }
        }
    }

    /// Entries of one directory: files go, and what may be a directory is looked at first.
    fn sort_out(&mut self, above: Above, entries: impl IntoIterator<Item = Found>, bench: &mut Bench<'_>) {
        let mut suspects = Vec::new();
        // A name with a slash in it would reach beyond the directory.
        for found in entries.into_iter().filter(|found| safe_name(&found.name).is_ok()) {
            let within = join(&above.within, &found.name);
            let directory = found.kind == FoundKind::Dir;
            let filter = &bench.policy.filter;
            let ours = if directory { filter.enters(&within) } else { filter.takes(&within) };
            let emptying = above.number.and_then(|number| self.emptying.get_mut(&number));
            if let Some(emptying) = emptying {
                emptying.left += usize::from(ours);
                emptying.stays |= !ours;
            }
            match (ours, directory) {
                (true, true) => suspects.push(found.name),
                (true, false) => self.file(join(&above.path, &found.name), above.number, bench),
                (false, _) => {}
            }
        }
        if !suspects.is_empty() {
            self.steps.push_back(Step::Links(above, suspects));
        }
    }

    fn file(&mut self, path: Vec<u8>, parent: Option<usize>, bench: &mut Bench<'_>) {
        if bench.policy.dry_run {
            bench.screen.did(Deed::Remove, &bench.remote.place.show(&path), false);
            // Counted, but never the last: whoever counted it checks what is left.
            if let Some(emptying) = parent.and_then(|number| self.emptying.get_mut(&number)) {
                emptying.left -= 1;
            }
            return;
        }
        self.steps.push_back(Step::File(path, parent));
    }

    /// LIST has shown which of them are links.
    fn tell_apart(&mut self, above: &Above, names: Vec<Vec<u8>>, parsed: &Parsed, bench: &mut Bench<'_>) {
        let shown = |kind| parsed.entries.iter().filter(move |found| found.kind == kind).map(|found| &found.name[..]);
        let links: HashSet<&[u8]> = shown(FoundKind::Link).collect();
        let directories: HashSet<&[u8]> = shown(FoundKind::Dir).collect();
        for name in names {
            let (path, within) = (join(&above.path, &name), join(&above.within, &name));
            if links.contains(&name[..]) {
                if bench.policy.filter.takes(&within) {
                    self.file(path, above.number, bench);
                } else {
                    self.one_less(above.number, true, bench);
                }
                continue;
            }
            let known = directories.contains(&name[..]) && above.depth <= DEPTH_LIMIT;
            let nature = if known { Nature::Directory } else { Nature::Doubtful };
            self.empty(path, within, above, nature, bench);
        }
        if let Some(number) = above.number {
            self.check(number, bench);
        }
    }

    fn empty(&mut self, path: Vec<u8>, within: Vec<u8>, above: &Above, nature: Nature, bench: &mut Bench<'_>) {
        if bench.policy.dry_run && nature == Nature::Doubtful {
            return self.file(path, above.number, bench);
        }
        self.next += 1;
        // Nothing is tried in a dry run, DELE least of all.
        self.steps.push_back(match bench.policy.dry_run {
            true => Step::Look(self.next, path.clone()),
            false => Step::Unlink(self.next, path.clone(), nature),
        });
        let (parent, depth) = (above.number, above.depth);
        self.emptying.insert(self.next, Emptying { path, within, parent, left: 0, depth, stays: false });
    }

    fn unlinked(&mut self, number: usize, path: Vec<u8>, nature: Nature, gone: bool, bench: &mut Bench<'_>) {
        match (gone, nature) {
            (true, _) => {
                removed(&path, bench);
                self.over(number, false, bench);
            }
            (false, Nature::Directory) => self.steps.push_back(Step::Look(number, path)),
            (false, Nature::Doubtful) => {
                let trouble = Trouble::new(Cause::Denied, "it may be a link, so what is in it is not removed");
                bench.trouble(&bench.remote.place.show(&path), trouble);
                self.over(number, true, bench);
            }
        }
    }

    /// A directory is done with.
    fn over(&mut self, number: usize, stays: bool, bench: &mut Bench<'_>) {
        let parent = self.emptying.remove(&number).and_then(|emptying| emptying.parent);
        self.one_less(parent, stays, bench);
    }

    fn one_less(&mut self, number: Option<usize>, stays: bool, bench: &mut Bench<'_>) {
        let Some(number) = number else { return };
        if let Some(emptying) = self.emptying.get_mut(&number) {
            emptying.left -= 1;
            emptying.stays |= stays;
            self.check(number, bench);
        }
    }

    /// A directory with nothing left in it goes too; one in which something stays, stays.
    fn check(&mut self, number: usize, bench: &mut Bench<'_>) {
        let Some(emptying) = self.emptying.get(&number).filter(|emptying| emptying.left == 0) else { return };
        if emptying.stays {
            return self.over(number, true, bench);
        }
        let path = emptying.path.clone();
        if bench.policy.dry_run {
            bench.screen.did(Deed::Remove, &bench.remote.place.show(&path), false);
            return self.over(number, false, bench);
        }
        self.steps.push_back(Step::Directory(number, path));
    }
}

fn removed(path: &[u8], bench: &mut Bench<'_>) {
    bench.screen.did(Deed::Remove, &bench.remote.place.show(path), true);
}
