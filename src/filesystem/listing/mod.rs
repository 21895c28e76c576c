//! A directory as lines, a slice at a time and in bounded memory.
//!
//! ```text
//!                       ┌──────── more names than are sorted ────────────┐
//!                       │                                               ▼
//!   open ──► Gathering ─┴─ by name ──────────── sort ──────────────► Emitting ──► Done
//!     │          └──────── by time, size ──► Weighing ── sort ─────►  ▲  └ next batch of names,
//!     ├────────────────────────── unsorted ───────────────────────────┘    where there are more
//!     └──► Line (one file) ─────────────────────────────────────────────────────► Done
//! ```
//!
//! With `-R`, where a directory is done and another was found, it goes on with Gathering or Emitting of that one.
//!
//! [`Listing::fill`] never does more than a fixed amount of work, so the loop stays free however large the
//! directory is. Only names are kept between calls, never facts: an entry that vanishes meanwhile is left
//! out, and what is told about one is what was true when its line was written.

mod author;
mod below;
mod names;
mod request;
#[cfg(test)]
mod tests;

pub use author::append_facts_of;
pub use request::{Form, Order, Request};

use super::owners::Owners;
use super::path::VirtualPath;
use super::pattern::Pattern;
use super::rights::Rules;
use super::root::{Fault, Kind, Root, Stat};
use author::{Author, Line};
use below::Below;
use names::{Budget, Names, Read, Sieve};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Most names that are sorted, unless the configuration says otherwise. Ten thousand take about a millisecond to
/// sort, in one piece, and under half a megabyte to hold; above, nobody reads the listing by eye, and programs sort
/// for themselves.
pub const SORT_LIMIT: usize = 10_000;

/// Most bytes of names that are held for sorting, however many are allowed: what a client may make the server hold
/// for one listing, so that long names do not make it many times the half megabyte.
pub const SORT_BYTES: usize = 1 << 20;

/// Most names looked at before 150 for one that matches a pattern: about three milliseconds.
const FIND_NAMES: usize = 10_000;

/// What opening a directory costs beside reading a name.
const OPEN_COST: usize = 16;

/// What one call may do, in names read: some 0.3 µs each, so that a call stays within about a millisecond.
const WORK_PER_CALL: usize = 1024;

/// What a line with facts costs beside a bare name: a stat, some three times reading the name.
const STAT_COST: usize = 3;

/// A listing being written.
///
/// May be dropped at any point. Between calls it holds names only: all of them while sorting, at most some
/// hundred of a directory too large for that.
#[derive(Debug)]
pub struct Listing {
    author: Author,
    sieve: Sieve,
    order: Order,
    reverse: bool,
    stage: Stage,
    below: Option<Box<Below>>,
    listed: u64,
}

/// What a call to [`Listing::fill`] ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Call again; this call may have added nothing, having only read or sorted names.
    More,
    /// Nothing more will come.
    End,
}

#[derive(Debug)]
enum Stage {
    /// One file or the directory itself: its line.
    Line(Vec<u8>),
    /// Names come in to be sorted, as long as there are not too many.
    Gathering {
        directory: OwnedFd,
        names: Names,
    },
    /// All names are there; each gets what it is sorted by.
    Weighing {
        directory: OwnedFd,
        names: Names,
    },
    /// Lines go out. `more`: the directory has not been read to its end.
    Emitting {
        directory: OwnedFd,
        names: Names,
        more: bool,
    },
    Done,
}

impl Listing {
    /// Opens what `request` asks for.
    ///
    /// `now`, in seconds since 1970 UTC, is the moment LIST dates are relative to. The faults are those that
    /// are answered before 150: nothing there, a pattern without a match (as far as ten thousand names tell),
    /// a path that leads out, and for facts [`Fault::NotDirectory`].
    pub fn open(
        root: Rc<Root>,
        request: Request,
        rules: Rc<Rules>,
        owners: Rc<Owners>,
        now: i64,
    ) -> Result<Self, Fault> {
        if request.itself {
            return Self::single(root, request, rules, owners, now);
        }
        match root.dir(&request.path) {
            Ok(directory) => Self::directory(root, request, rules, owners, now, directory),
            Err(Fault::NotDirectory) if request.lists_files() => Self::single(root, request, rules, owners, now),
            // A link that leads nowhere, in circles or out is listed in its directory, and so by itself.
            Err(Fault::Os(Errno::NOENT | Errno::LOOP | Errno::XDEV))
                if request.lists_files() && !request.follow && Self::is_link(&root, &request.path) =>
            {
                Self::single(root, request, rules, owners, now)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Appends whole lines to `out` until some `room` bytes are added or this call has worked enough. The
    /// last line may go beyond `room`.
    ///
    /// A fault means that the directory can no longer be read; entries that cannot are left out.
    pub fn fill(&mut self, out: &mut Vec<u8>, room: usize) -> Result<Fill, Fault> {
        let end = out.len().saturating_add(room);
        let mut budget = Budget::new(WORK_PER_CALL);
        loop {
            self.stage = match mem::replace(&mut self.stage, Stage::Done) {
                Stage::Done if !self.goes_on() => return Ok(Fill::End),
                Stage::Done => self.descend(out, &mut budget),
                Stage::Line(line) => {
                    out.extend_from_slice(&line);
                    self.listed += 1;
                    Stage::Done
                }
                Stage::Gathering { directory, names } => self.gather(directory, names, &mut budget)?,
                Stage::Weighing { directory, names } => self.weigh(directory, names, &mut budget),
                Stage::Emitting { directory, names, more } => {
                    self.emit(directory, names, more, out, end, &mut budget)?
                }
            };
            let over = matches!(self.stage, Stage::Done) && !self.goes_on();
            if !over && (budget.is_spent() || out.len() >= end) {
                return Ok(Fill::More);
            }
        }
    }

    fn is_link(root: &Root, path: &VirtualPath) -> bool {
        root.lstat(path).is_ok_and(|stat| stat.kind == Kind::Link)
    }

    /// Lines written so far.
    pub fn listed(&self) -> u64 {
        self.listed
    }

    /// The line of one file, or of a directory itself.
    fn single(root: Rc<Root>, request: Request, rules: Rc<Rules>, owners: Rc<Owners>, now: i64) -> Result<Self, Fault> {
        let path = &request.path;
        let stat = if request.follow { root.stat(path)? } else { root.lstat(path)? };
        let mut line = Vec::new();
        let author = Author::new(root, &request, path.parent(), rules, owners, now);
        author.append_single(&request, &stat, &mut line);
        Ok(Self::new(author, request, Stage::Line(line)))
    }

    fn directory(
        root: Rc<Root>,
        request: Request,
        rules: Rc<Rules>,
        owners: Rc<Owners>,
        now: i64,
        directory: OwnedFd,
    ) -> Result<Self, Fault> {
        let mut author = Author::new(root, &request, request.path.clone(), rules, owners, now);
        author.enter(&directory, request.pattern.is_some())?;
        let mut listing = Self::new(author, request, Stage::Done);
        let mut names = Names::default();
        if listing.sieve.pattern.is_some() {
            listing.find_one(&directory, &mut names)?;
        }
        listing.stage = listing.begin(directory, names);
        Ok(listing)
    }

    /// The first stage of a directory, of which some names may have been read.
    fn begin(&self, directory: OwnedFd, names: Names) -> Stage {
        match self.order {
            Order::None => Stage::Emitting { directory, names, more: true },
            _ => Stage::Gathering { directory, names },
        }
    }

    fn new(author: Author, request: Request, stage: Stage) -> Self {
        let Request { order, reverse, .. } = request;
        let called = if matches!(stage, Stage::Done) { request.below.clone() } else { None };
        let below = called.map(|called| Box::new(Below::new(called, request.path.clone())));
        let sieve = Sieve::new(request, author.root().policy());
        Self { author, sieve, order, reverse, stage, below, listed: 0 }
    }

    /// Whether there are directories below that are still to be listed.
    fn goes_on(&self) -> bool {
        self.below.as_ref().is_some_and(|below| !below.is_empty())
    }

    /// Turns to the next directory below that can be listed. Done: there was none, or none yet.
    fn descend(&mut self, out: &mut Vec<u8>, budget: &mut Budget) -> Stage {
        let Some(mut below) = self.below.take() else { return Stage::Done };
        let mut stage = Stage::Done;
        while let (Stage::Done, false) = (&stage, budget.is_spent()) {
            let Some(path) = below.next() else { break };
            budget.spend(OPEN_COST);
            if let (true, Ok(directory)) = (self.author.may_list(&path), self.author.root().dir_itself(&path)) {
                below.append_header(out);
                self.author.move_to(path);
                stage = self.begin(directory, Names::default());
            }
        }
        self.below = Some(below);
        stage
    }

    /// Reads until something matches the pattern, so that a pattern without a match is answered by 550 and
    /// not by an empty success. In a directory so large that this would take long, it may be the latter.
    fn find_one(&self, directory: &OwnedFd, names: &mut Names) -> Result<(), Fault> {
        let mut budget = Budget::new(FIND_NAMES);
        while names.is_empty() && !budget.is_spent() {
            if self.read(directory, names, &mut budget)? == Read::End {
                return Err(Fault::Os(Errno::NOENT));
            }
        }
        Ok(())
    }

    fn read(&self, directory: &OwnedFd, names: &mut Names, budget: &mut Budget) -> Result<Read, Errno> {
        self.sieve.read(directory, names, self.author.root().policy(), budget)
    }

    fn gather(&self, directory: OwnedFd, mut names: Names, budget: &mut Budget) -> Result<Stage, Fault> {
        match self.read(&directory, &mut names, budget)? {
            // What was gathered goes out as it came, and the rest after it.
            Read::More if names.is_too_large(self.author.root().policy()) => {
                Ok(Stage::Emitting { directory, names, more: true })
            }
            Read::More => Ok(Stage::Gathering { directory, names }),
            Read::End if matches!(self.order, Order::Time | Order::Size) => Ok(Stage::Weighing { directory, names }),
            Read::End => Ok(self.sorted(directory, names, budget)),
        }
    }

    fn weigh(&self, directory: OwnedFd, mut names: Names, budget: &mut Budget) -> Stage {
        while let Some((name, weight)) = names.next_weight() {
            budget.spend(STAT_COST);
            // One that vanished goes to the end; it will be left out there.
            *weight = self.author.stat(&directory, name).map_or(u64::MAX, |stat| self.weight(&stat));
            if budget.is_spent() {
                return Stage::Weighing { directory, names };
            }
        }
        self.sorted(directory, names, budget)
    }

    /// What sorts first has the smaller weight: the newest, the largest.
    fn weight(&self, stat: &Stat) -> u64 {
        match self.order {
            Order::Size => !stat.size,
            // Flipping the sign bit keeps the order of signed numbers among unsigned ones.
            _ => !(stat.mtime.cast_unsigned() ^ 1 << 63),
        }
    }

    fn sorted(&self, directory: OwnedFd, mut names: Names, budget: &mut Budget) -> Stage {
        budget.spend(names.len());
        names.sort(self.reverse);
        Stage::Emitting { directory, names, more: false }
    }

    fn emit(
        &mut self,
        directory: OwnedFd,
        mut names: Names,
        more: bool,
        out: &mut Vec<u8>,
        end: usize,
        budget: &mut Budget,
    ) -> Result<Stage, Fault> {
        let cost = if self.author.needs_stat() { STAT_COST } else { 1 };
        while let Some(name) = names.next() {
            budget.spend(cost);
            let line = self.author.append(&directory, name, out);
            self.listed += u64::from(line != Line::None);
            if let Some(below) = &mut self.below {
                if line == Line::Directory {
                    below.add(name.to_bytes());
                }
                if self.listed >= below.most_lines {
                    below.give_up();
                    return Ok(Stage::Done);
                }
            }
            if budget.is_spent() || out.len() >= end {
                return Ok(Stage::Emitting { directory, names, more });
            }
        }
        names.clear();
        if more && self.read(&directory, &mut names, budget)? == Read::More {
            return Ok(Stage::Emitting { directory, names, more });
        }
        Ok(Stage::Done)
    }
}
