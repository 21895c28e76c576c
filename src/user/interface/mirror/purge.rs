//! Removing trees on a server, leaves first: there is no command for it.

use std::collections::HashMap;
use std::collections::VecDeque;

use super::{Bench, DEPTH_LIMIT, Task};
use crate::user::crew::{Ask, Cause, Errand, List, Trouble, Yield};
use crate::user::interface::screen::Deed;
use crate::user::local::safe_name;
use crate::user::text::join;
use crate::wire::directory::FoundKind;

/// One command of a removal.
#[derive(Debug)]
pub(super) enum Step {
    /// DELE; the directory that waits for it.
    File(Vec<u8>, Option<usize>),
    /// Reading a directory.
    Look(usize, Vec<u8>),
    /// RMD of a directory that is empty now.
    Directory(usize, Vec<u8>),
}

impl Step {
    pub(super) fn path(&self) -> &[u8] {
        match self {
            Self::File(path, _) | Self::Look(_, path) | Self::Directory(_, path) => path,
        }
    }
}

/// A directory that is being emptied.
#[derive(Debug)]
struct Emptying {
    path: Vec<u8>,
    parent: Option<usize>,
    left: usize,
    depth: usize,
    failed: bool,
}

/// Everything that is to be removed.
#[derive(Debug, Default)]
pub(super) struct Purge {
    next: usize,
    emptying: HashMap<usize, Emptying>,
    steps: VecDeque<Step>,
}

impl Purge {
    /// A file.
    pub(super) fn file(&mut self, path: Vec<u8>) {
        self.steps.push_back(Step::File(path, None));
    }

    /// A directory with everything in it.
    pub(super) fn directory(&mut self, path: Vec<u8>) {
        self.empty(path, None, 0);
    }

    fn empty(&mut self, path: Vec<u8>, parent: Option<usize>, depth: usize) {
        self.next += 1;
        self.steps.push_back(Step::Look(self.next, path.clone()));
        self.emptying.insert(self.next, Emptying { path, parent, left: 0, depth, failed: false });
    }

    pub(super) fn waiting(&self) -> bool {
        !self.steps.is_empty()
    }

    pub(super) fn next(&mut self) -> Option<(Errand, Task)> {
        let step = self.steps.pop_front()?;
        let errand = match &step {
            Step::File(path, _) => Errand::Ask(Ask::new(vec![[b"DELE ", &path[..]].concat()])),
            Step::Directory(_, path) => Errand::Ask(Ask::new(vec![[b"RMD ", &path[..]].concat()])),
            Step::Look(_, path) => Errand::List(Box::new(List::new(path.clone()))),
        };
        Some((errand, Task::Purge(step)))
    }

    pub(super) fn done(&mut self, step: Step, result: Result<Yield, Trouble>, bench: &mut Bench<'_>) {
        let failed = result.is_err();
        if let Err(trouble) = &result {
            bench.trouble(&bench.remote.place.show(step.path()), trouble.clone());
        } else if !matches!(step, Step::Look(..)) {
            bench.screen.did(Deed::Remove, &bench.remote.place.show(step.path()), true);
        }
        match step {
            Step::File(_, parent) => self.one_less(parent, failed),
            Step::Directory(number, _) => {
                let parent = self.emptying.remove(&number).and_then(|emptying| emptying.parent);
                self.one_less(parent, failed);
            }
            Step::Look(number, path) => match result {
                Ok(Yield::Listing(parsed)) => {
                    for found in parsed.entries {
                        // A name with a slash in it would reach beyond the directory.
                        if safe_name(&found.name).is_ok() {
                            self.entry(number, join(&path, &found.name), found.kind);
                        }
                    }
                    self.check(number);
                }
                _ => {
                    let parent = self.emptying.remove(&number).and_then(|emptying| emptying.parent);
                    self.one_less(parent, true);
                }
            },
        }
    }

    fn entry(&mut self, parent: usize, path: Vec<u8>, kind: FoundKind) {
        let Some(emptying) = self.emptying.get_mut(&parent) else { return };
        emptying.left += 1;
        let depth = emptying.depth + 1;
        if kind == FoundKind::Dir && depth <= DEPTH_LIMIT {
            self.empty(path, Some(parent), depth);
        } else {
            self.steps.push_back(Step::File(path, Some(parent)));
        }
    }

    fn one_less(&mut self, number: Option<usize>, failed: bool) {
        let Some(number) = number else { return };
        if let Some(emptying) = self.emptying.get_mut(&number) {
            emptying.left -= 1;
            emptying.failed |= failed;
            self.check(number);
        }
    }

    /// A directory with nothing left in it goes too; one in which something stayed, stays.
    fn check(&mut self, number: usize) {
        let Some(emptying) = self.emptying.get(&number).filter(|emptying| emptying.left == 0) else { return };
        if emptying.failed {
            let parent = emptying.parent;
            self.emptying.remove(&number);
            return self.one_less(parent, true);
        }
        self.steps.push_back(Step::Directory(number, emptying.path.clone()));
    }
}

/// Says that nothing was removed because something else comes first; for messages.
pub(super) fn in_the_way() -> Trouble {
    Trouble::new(Cause::Denied, "a directory is in the way")
}
