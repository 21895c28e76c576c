//! The workers' posts: who serves where, who is coming, who is leaving.
//!
//! ```text
//!            ready            it cannot live with a reload       relief is ready: the old one retires, and drains
//!   Coming ─────────> Serving ────────────────────────────> Relieved ──────────────────────────────> Serving
//!     ▲ ended, started again after a pause │                    │ the old one ends: the relief has the post
//!     └────────────────────────────────────┴───────────────────>┘ (Coming)
//! ```
//!
//! A post keeps its listeners and its share of the ports and limits whoever holds it.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use super::WORKER;
use super::place::Place;

/// One worker's post.
pub struct Post {
    worker: Place,
    stage: Stage,
}

enum Stage {
    /// The worker has not said that it is ready, or is not there.
    Coming,
    /// It accepts connections.
    Serving,
    /// It does, until this one is ready, which can do what it cannot.
    Relieved(Place),
}

/// A worker that leaves its post: it has been told to drain, and is killed past this.
pub struct Retired {
    pub place: Place,
    pub until: Instant,
}

/// Which of the keeper's children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Who has the post of this number.
    Worker(usize),
    /// Who is to have it.
    Relief(usize),
    /// Who had one.
    Retired(usize),
    /// The verifier.
    Verifier,
}

impl Post {
    /// An empty post.
    pub fn new() -> Self {
        Post { worker: Place::new(WORKER), stage: Stage::Coming }
    }

    /// Who has the post.
    pub fn worker(&mut self) -> &mut Place {
        &mut self.worker
    }

    /// Who is to have it.
    pub fn relief(&mut self) -> Option<&mut Place> {
        match &mut self.stage {
            Stage::Relieved(relief) => Some(relief),
            Stage::Coming | Stage::Serving => None,
        }
    }

    /// Worker and relief, whichever there are.
    pub fn both(&mut self) -> impl Iterator<Item = &mut Place> {
        let relief = match &mut self.stage {
            Stage::Relieved(relief) => Some(relief),
            Stage::Coming | Stage::Serving => None,
        };
        std::iter::once(&mut self.worker).chain(relief)
    }

    /// Their sockets.
    pub fn sockets(&self, number: usize) -> impl Iterator<Item = (Who, BorrowedFd<'_>)> {
        let relief = match &self.stage {
            Stage::Relieved(relief) => relief.socket(),
            Stage::Coming | Stage::Serving => None,
        };
        let worker = self.worker.socket().map(|socket| (Who::Worker(number), socket));
        worker.into_iter().chain(relief.map(|socket| (Who::Relief(number), socket)))
    }

    /// Whether somebody serves here.
    pub fn is_served(&self) -> bool {
        !matches!(self.stage, Stage::Coming)
    }

    /// The worker accepts connections.
    pub fn is_ready(&mut self) {
        if let Stage::Coming = self.stage {
            self.stage = Stage::Serving;
        }
    }

    /// Opens a place for a relief; there may be one already.
    pub fn relieve(&mut self) {
        if let Stage::Serving = self.stage {
            self.stage = Stage::Relieved(Place::new(WORKER));
        }
    }

    /// The relief is ready and has the post; the worker that had it comes back, to be told to drain.
    pub fn hand_over(&mut self) -> Option<Place> {
        match std::mem::replace(&mut self.stage, Stage::Serving) {
            Stage::Relieved(relief) => Some(std::mem::replace(&mut self.worker, relief)),
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// The relief is not wanted any more; it comes back, to be let go.
    pub fn keep_worker(&mut self) -> Option<Place> {
        match std::mem::replace(&mut self.stage, Stage::Serving) {
            Stage::Relieved(relief) => Some(relief),
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// The worker has ended: its relief has the post, or nobody. Returns whether there was one.
    pub fn vacate(&mut self) -> bool {
        match std::mem::replace(&mut self.stage, Stage::Coming) {
            Stage::Relieved(relief) => {
                self.worker = relief;
                true
            }
            Stage::Coming | Stage::Serving => false,
        }
    }

    /// Whether no process is left here.
    pub fn is_absent(&mut self) -> bool {
        self.both().all(|place| place.is_absent())
    }
}
