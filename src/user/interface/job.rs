//! What the user set going: errands that belong together, and what they came to.

use std::collections::HashMap;

use super::mirror::Mirror;
use super::screen::Screen;
use super::segments::Segments;
use crate::user::crew::{Cause, Crew, Errand, ErrandId, Moved, SiteId, Stat, Trouble, Yield};
use crate::wire::directory::FoundKind;

/// Names a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId(pub u64);

/// The kinds of job.
#[derive(Debug)]
pub enum Job {
    /// Files, one errand each.
    Batch(Batch),
    /// A tree.
    Mirror(Box<Mirror>),
    /// One file in pieces.
    Segments(Box<Segments>),
}

/// What a job came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Files moved.
    pub done: usize,
    /// Bytes moved.
    pub bytes: u64,
    /// What failed; already reported.
    pub failed: Vec<Trouble>,
}

impl Summary {
    /// Success, the one failure, or "some of many".
    ///
    /// # Errors
    /// What the failures come to. All have been reported.
    pub fn verdict(self) -> Result<Self, Trouble> {
        let Some(first) = self.failed.first() else { return Ok(self) };
        let all = self.done + self.failed.len();
        if all == 1 {
            // Reported already, so the words are left out.
            return Err(Trouble { text: String::new(), ..first.clone() });
        }
        let alike = self.done == 0 && self.failed.iter().all(|trouble| trouble.cause == first.cause);
        let cause = if alike { first.cause } else { Cause::Some };
        Err(Trouble::new(cause, format!("{} of {all} failed", self.failed.len())))
    }

    /// Counts one result.
    pub fn count(&mut self, result: &Result<Moved, Trouble>) {
        match result {
            Ok(moved) => {
                self.done += 1;
                self.bytes += moved.bytes;
            }
            Err(trouble) => self.failed.push(trouble.clone()),
        }
    }
}

impl Job {
    /// Sets the first errands going.
    pub(super) fn begin(&mut self, crew: &mut Crew, screen: &mut Screen) -> Vec<ErrandId> {
        match self {
            Self::Batch(batch) => batch.begin(crew),
            Self::Mirror(mirror) => mirror.begin(crew, screen),
            Self::Segments(segments) => segments.begin(crew, screen),
        }
    }

    /// An errand has ended; what follows from it.
    pub(super) fn done(
        &mut self,
        id: ErrandId,
        result: Result<Yield, Trouble>,
        crew: &mut Crew,
        screen: &mut Screen,
    ) -> Vec<ErrandId> {
        match self {
            Self::Batch(batch) => batch.done(id, result, crew, screen),
            Self::Mirror(mirror) => mirror.done(id, result, crew, screen),
            Self::Segments(segments) => segments.done(id, result, crew, screen),
        }
    }

    /// No new errands, please.
    pub(super) fn cancel(&mut self) {
        match self {
            Self::Batch(_) => {}
            Self::Mirror(mirror) => mirror.cancel(),
            Self::Segments(segments) => segments.cancel(),
        }
    }

    /// The program ends at once: what can be gone on with is kept.
    pub(super) fn leave(&mut self) {
        match self {
            Self::Batch(_) | Self::Mirror(_) => {}
            Self::Segments(segments) => segments.leave(),
        }
    }

    /// Bytes of files that are there.
    pub fn done_bytes(&self) -> u64 {
        match self {
            Self::Batch(batch) => batch.summary.bytes,
            Self::Mirror(mirror) => mirror.done_bytes(),
            Self::Segments(segments) => segments.done_bytes(),
        }
    }

    /// Bytes of files for which there is no errand yet, as far as directories have been read; none where a size is not known.
    pub fn waiting_bytes(&self) -> Option<u64> {
        match self {
            Self::Mirror(mirror) => mirror.waiting_bytes(),
            Self::Batch(_) | Self::Segments(_) => Some(0),
        }
    }

    /// Whether nothing is left to be done.
    pub fn finished(&self) -> bool {
        match self {
            Self::Batch(batch) => batch.open.is_empty() && batch.begun,
            Self::Mirror(mirror) => mirror.finished(),
            Self::Segments(segments) => segments.finished(),
        }
    }

    /// What it came to.
    pub fn summary(self) -> Summary {
        match self {
            Self::Batch(batch) => batch.summary,
            Self::Mirror(mirror) => mirror.into_summary(),
            Self::Segments(segments) => segments.into_summary(),
        }
    }

    /// In a few words.
    pub fn title(&self) -> String {
        match self {
            Self::Batch(batch) => batch.title.clone(),
            Self::Mirror(mirror) => mirror.title(),
            Self::Segments(segments) => segments.title(),
        }
    }

    /// What an errand of it is about.
    pub fn about(&self, id: ErrandId) -> String {
        match self {
            Self::Batch(batch) => batch.open.get(&id).map(|open| open.source.clone()).unwrap_or_default(),
            Self::Mirror(mirror) => mirror.about(id),
            Self::Segments(segments) => segments.title(),
        }
    }
}

/// Files that are moved, each by an errand of its own.
#[derive(Debug)]
pub struct Batch {
    title: String,
    waiting: Vec<Item>,
    open: HashMap<ErrandId, Open>,
    begun: bool,
    /// Failures are said, successes are somebody else's to tell.
    terse: bool,
    summary: Summary,
}

/// One file of a batch.
#[derive(Debug)]
pub struct Item {
    /// Where.
    pub site: SiteId,
    /// The errand.
    pub errand: Errand,
    /// As shown.
    pub source: String,
    /// As shown.
    pub destination: String,
    /// What else the destination may mean.
    pub inside: Option<Inside>,
}

/// The same file in a directory: what is meant if the destination turns out to be one.
#[derive(Debug)]
pub struct Inside {
    /// The destination as a path.
    pub directory: Vec<u8>,
    /// The errand.
    pub errand: Errand,
    /// As shown.
    pub destination: String,
}

/// An errand of a batch that is not over.
#[derive(Debug)]
struct Open {
    site: SiteId,
    source: String,
    destination: String,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The file is on its way; what is tried when it is refused.
    Moving(Option<Inside>),
    /// It was refused in these words, and its destination is looked at.
    Looking(Inside, Trouble),
}

impl Batch {
    /// Files to be moved.
    pub fn new(title: impl Into<String>, items: Vec<Item>) -> Self {
        let (open, summary) = (HashMap::new(), Summary::default());
        Self { title: title.into(), waiting: items, open, begun: false, terse: false, summary }
    }

    /// What succeeds is only half of something.
    #[must_use]
    pub fn saying_failures_only(mut self) -> Self {
        self.terse = true;
        self
    }

    fn begin(&mut self, crew: &mut Crew) -> Vec<ErrandId> {
        self.begun = true;
        let mut ids = Vec::with_capacity(self.waiting.len());
        for Item { site, errand, source, destination, inside } in self.waiting.drain(..) {
            let id = crew.add(site, errand);
            self.open.insert(id, Open { site, source, destination, stage: Stage::Moving(inside) });
            ids.push(id);
        }
        ids
    }

    fn done(
        &mut self,
        id: ErrandId,
        result: Result<Yield, Trouble>,
        crew: &mut Crew,
        screen: &mut Screen,
    ) -> Vec<ErrandId> {
        let Some(Open { site, source, destination, stage }) = self.open.remove(&id) else { return Vec::new() };
        let result = match (stage, result) {
            (Stage::Moving(Some(inside)), Err(trouble)) if is_refusal(&trouble) => {
                let look = Errand::Stat(Box::new(Stat::new(inside.directory.clone())));
                return self.go_on(
                    Open { site, source, destination, stage: Stage::Looking(inside, trouble) },
                    look,
                    crew,
                );
            }
            (Stage::Looking(Inside { errand, destination, .. }, _), Ok(Yield::Entry(found)))
                if found.kind == FoundKind::Dir =>
            {
                return self.go_on(Open { site, source, destination, stage: Stage::Moving(None) }, errand, crew);
            }
            (Stage::Looking(_, trouble), _) => Err(trouble),
            (Stage::Moving(_), result) => moved(result),
        };
        if !self.terse || result.is_err() {
            screen.transferred(&source, &destination, &result);
        }
        self.summary.count(&result);
        Vec::new()
    }

    fn go_on(&mut self, open: Open, errand: Errand, crew: &mut Crew) -> Vec<ErrandId> {
        let id = crew.add(open.site, errand);
        self.open.insert(id, open);
        vec![id]
    }
}

/// A transfer's result as such.
pub fn moved(result: Result<Yield, Trouble>) -> Result<Moved, Trouble> {
    match result {
        Ok(Yield::Moved(moved)) => Ok(moved),
        Ok(_) => Ok(Moved::default()),
        Err(trouble) => Err(trouble),
    }
}

/// Whether the server would not have a file; when that was said some of it may have been under way already.
const fn is_refusal(trouble: &Trouble) -> bool {
    trouble.code.is_some() && matches!(trouble.cause, Cause::Denied | Cause::Transfer)
}
