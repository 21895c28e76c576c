//! One file in several pieces at once.
//!
//! ```text
//!   Asking (MLST) ──▶ [Proving] ──▶ Pieces ──▶ Confirming (MLST) ──▶ [Verifying] ──▶ Over: it gets its name
//!      │   │  ▲           │                        │ another file by now     │ other bytes: it does not
//!      │   │  └───────────┼── from the first byte ─┘
//!      │   └── from the first byte on ◀┘ a beginning of another file
//!      └──▶ Whole: small, of unknown length, as text, or a server that does not restart
//! ```
//!
//! While pieces are under way the file has holes, so it is not called `NAME.part`, which means "a good beginning":
//! it is `NAME.part.seg` until all pieces are there. Stopped in an orderly way, it is cut to what is there without a
//! hole and becomes `NAME.part`; after a crash it means nothing, and the next run takes it over or removes it.
//!
//! Pieces are begun at different times, so they are pieces of one file only if that was the same all along: size and time
//! are asked for once more behind the last of them.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::io::Errno;

use super::job::{Summary, moved};
use super::screen::Screen;
use super::ui::Remote;
use crate::user::crew::{
    Behind, Cause, Crew, Errand, ErrandId, Fetch, Goal, Moved, Piece, Proof, Stat, Trouble, Verify, Yield,
};
use crate::user::local::{Folder, PART, set_time, unfinished};
use crate::user::profile::Standing;

/// Pieces smaller than this are not worth a session.
const SMALLEST: u64 = 1024 * 1024;

/// How often a file that was replaced meanwhile is begun anew: one that is written to all the time is never still.
const ROUNDS: u32 = 3;

/// What is appended to the name while there are holes.
const HOLES: &str = ".part.seg";

/// How a file is fetched.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Pieces at most.
    pub wanted: usize,
    /// Go on with what an earlier run left.
    pub resume: bool,
    /// As text (TYPE A), which has no places to begin at.
    pub text: bool,
    /// Compare digests, or the file itself once more, before it gets its name.
    pub verify: bool,
}

/// A file that is fetched in pieces.
#[derive(Debug)]
pub struct Segments {
    remote: Remote,
    folder: Rc<Folder>,
    name: OsString,
    how: How,
    shown: (String, String),
    stage: Stage,
    size: u64,
    modify: Option<i64>,
    file: Option<Rc<OwnedFd>>,
    /// Bytes that were here before.
    from: u64,
    /// Pieces under way: number and end; and those that are there.
    open: HashMap<ErrandId, usize>,
    pieces: Vec<Stretch>,
    /// Times that it was begun.
    rounds: u32,
    first_failure: Option<Trouble>,
    total: Moved,
    summary: Summary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asking,
    /// So many bytes are here; whether they are the beginning of the file there.
    Proving(u64),
    Pieces,
    /// All of it is here; whether it is still the same file there.
    Confirming,
    /// In one piece after all.
    Whole,
    /// All of it is here, by length.
    Verifying,
    Over,
}

#[derive(Debug, Clone)]
struct Stretch {
    end: u64,
    /// All before this byte is in the file.
    reached: Rc<Cell<u64>>,
}

impl Segments {
    /// A file to be fetched in pieces.
    pub fn new(remote: Remote, folder: Rc<Folder>, name: OsString, how: How, shown: (String, String)) -> Self {
        Self {
            remote,
            folder,
            name,
            how,
            shown,
            stage: Stage::Asking,
            size: 0,
            modify: None,
            file: None,
            from: 0,
            open: HashMap::new(),
            pieces: Vec::new(),
            rounds: 0,
            first_failure: None,
            total: Moved::default(),
            summary: Summary::default(),
        }
    }

    pub(super) fn begin(&mut self, crew: &mut Crew, screen: &Screen) -> Vec<ErrandId> {
        if self.how.text {
            screen.note(&format!("{}: in one piece, since text has no places to begin at", self.shown.0));
            return self.whole(crew);
        }
        self.ask(Stage::Asking, crew)
    }

    /// What the file there is like.
    fn ask(&mut self, stage: Stage, crew: &mut Crew) -> Vec<ErrandId> {
        self.stage = stage;
        vec![crew.add(self.remote.site, Errand::Stat(Box::new(Stat::new(self.remote.path.clone()))))]
    }

    /// The program ends without waiting for anybody.
    pub(super) fn leave(&mut self) {
        if self.stage != Stage::Over {
            self.keep_beginning();
        }
    }

    pub(super) fn cancel(&mut self) {
        self.how.wanted = 0;
    }

    pub(super) fn finished(&self) -> bool {
        self.stage == Stage::Over
    }

    pub(super) const fn done_bytes(&self) -> u64 {
        self.total.bytes
    }

    pub(super) fn title(&self) -> String {
        self.shown.0.clone()
    }

    pub(super) fn into_summary(self) -> Summary {
        self.summary
    }

    pub(super) fn done(
        &mut self,
        id: ErrandId,
        result: Result<Yield, Trouble>,
        crew: &mut Crew,
        screen: &mut Screen,
    ) -> Vec<ErrandId> {
        match self.stage {
            Stage::Asking => match result {
                Ok(Yield::Entry(found)) => {
                    self.modify = found.modify;
                    self.size = found.size.unwrap_or(0);
                    self.look(crew, screen)
                }
                Ok(_) => self.whole(crew),
                Err(trouble) => self.finish(Err(trouble), screen),
            },
            Stage::Proving(here) => self.proven(here, result, crew, screen),
            Stage::Pieces => self.piece_done(id, result, crew, screen),
            Stage::Confirming => self.confirmed(result, crew, screen),
            Stage::Whole => self.finish(moved(result), screen),
            Stage::Verifying => self.verified(result, screen),
            Stage::Over => Vec::new(),
        }
    }

    /// In one piece: the file is small, or nobody knows how long it is, or the server cannot restart.
    fn whole(&mut self, crew: &mut Crew) -> Vec<ErrandId> {
        self.stage = Stage::Whole;
        clear_crashed(&self.folder, &self.name);
        let goal = Goal::file(Rc::clone(&self.folder), self.name.clone());
        let mut fetch = Fetch::new(self.remote.path.clone(), goal);
        fetch.modify = self.modify;
        (fetch.resume, fetch.text, fetch.verify) = (self.how.resume, self.how.text, self.how.verify);
        vec![crew.add(self.remote.site, Errand::Fetch(Box::new(fetch)))]
    }

    /// What an earlier run left is gone on with once it is proven.
    fn look(&mut self, crew: &mut Crew, screen: &mut Screen) -> Vec<ErrandId> {
        if !self.how.resume {
            return self.divide(0, crew, screen);
        }
        match self.folder.look(&self.part()) {
            Ok(Some(part)) if part.may_go_on(self.modify) && self.pieces_from(part.size) > 1 => {
                self.stage = Stage::Proving(part.size);
                let (path, folder) = (self.remote.path.clone(), Rc::clone(&self.folder));
                let proof = Proof::new(path, folder, self.part(), part.size, Behind::More);
                vec![crew.add(self.remote.site, Errand::Proof(Box::new(proof)))]
            }
            // A shorter file of the final name, one that is all there, and what is left of it in one piece.
            Ok(_) => self.whole(crew),
            Err(errno) => self.finish(Err(Trouble::local(&self.folder.path().join(self.part()), errno)), screen),
        }
    }

    fn proven(
        &mut self,
        here: u64,
        result: Result<Yield, Trouble>,
        crew: &mut Crew,
        screen: &mut Screen,
    ) -> Vec<ErrandId> {
        match result {
            Ok(_) => match self.folder.rename(&self.part(), &self.holed()) {
                Ok(()) => self.divide(here, crew, screen),
                Err(errno) => self.finish(Err(Trouble::local(&self.folder.path().join(self.part()), errno)), screen),
            },
            Err(trouble) if trouble.cause == Cause::Verify && self.how.wanted > 0 => {
                screen.note(&format!("{}: from the beginning: {}", self.shown.0, trouble.text));
                self.how.resume = false;
                if let Err(errno) = self.folder.remove(&self.part()) {
                    log::debug!("cannot remove an unfinished file: {errno}");
                }
                self.divide(0, crew, screen)
            }
            Err(trouble) => self.finish(Err(trouble), screen),
        }
    }

    /// Pieces worth having of what is behind byte `from`.
    fn pieces_from(&self, from: u64) -> u64 {
        (self.how.wanted as u64).min(self.size.saturating_sub(from) / SMALLEST)
    }

    fn divide(&mut self, from: u64, crew: &mut Crew, screen: &mut Screen) -> Vec<ErrandId> {
        let count = self.pieces_from(from);
        if count < 2 {
            return self.whole(crew);
        }
        let file = match self.folder.make_for_use().and_then(|()| self.folder.create(&self.holed(), from == 0)) {
            Ok(file) => Rc::new(file),
            Err(errno) => return self.finish(Err(Trouble::local(&self.folder.path(), errno)), screen),
        };
        (self.stage, self.from) = (Stage::Pieces, from);
        self.total.offset = from;
        let each = (self.size - from) / count;
        self.rounds += 1;
        let mut ids = Vec::new();
        for number in 0..count {
            let (at, last) = (from + number * each, number + 1 == count);
            let end = if last { self.size } else { at + each };
            let reached = Rc::new(Cell::new(at));
            let piece = Piece::new(self.remote.path.clone(), Rc::clone(&file), at..end, last, Rc::clone(&reached));
            let id = crew.add(self.remote.site, Errand::Piece(Box::new(piece)));
            self.open.insert(id, self.pieces.len());
            self.pieces.push(Stretch { end, reached });
            ids.push(id);
        }
        self.file = Some(file);
        ids
    }

    fn piece_done(
        &mut self,
        id: ErrandId,
        result: Result<Yield, Trouble>,
        crew: &mut Crew,
        screen: &mut Screen,
    ) -> Vec<ErrandId> {
        self.open.remove(&id);
        match moved(result) {
            Ok(one) => {
                self.total.bytes += one.bytes;
                self.total.elapsed = self.total.elapsed.max(one.elapsed);
                self.total.code = one.code;
            }
            Err(trouble) => {
                // One piece short is a file short: the others are not waited for.
                if self.first_failure.is_none() {
                    self.open.keys().copied().collect::<Vec<_>>().into_iter().for_each(|id| crew.cancel(id));
                    self.first_failure = Some(trouble);
                }
            }
        }
        if !self.open.is_empty() {
            return Vec::new();
        }
        let Some(trouble) = self.first_failure.take() else { return self.ask(Stage::Confirming, crew) };
        let restarts = crew.with_profile(self.remote.site, |profile| profile.rest);
        if restarts == Some(Standing::Fails) && self.how.wanted > 0 {
            screen.note(&format!("{}: in one piece then: {trouble}", self.shown.0));
            self.discard();
            return self.whole(crew);
        }
        self.keep_beginning();
        self.finish(Err(trouble), screen)
    }

    /// What the file there is like now. What is not known cannot have changed.
    fn confirmed(&mut self, result: Result<Yield, Trouble>, crew: &mut Crew, screen: &mut Screen) -> Vec<ErrandId> {
        let found = match result {
            Ok(Yield::Entry(found)) => found,
            Ok(_) => return self.all_there(crew, screen),
            Err(trouble) => {
                self.keep_beginning();
                return self.finish(Err(trouble), screen);
            }
        };
        let longer = found.size.is_some_and(|size| size != self.size);
        let newer = found.modify.is_some() && self.modify.is_some() && found.modify != self.modify;
        if !longer && !newer {
            return self.all_there(crew, screen);
        }
        self.discard();
        const WHY: &str = "the file has changed on the server while its pieces were fetched";
        if self.rounds >= ROUNDS || self.how.wanted == 0 {
            return self.finish(Err(Trouble::new(Cause::Transfer, WHY)), screen);
        }
        screen.note(&format!("{}: from the beginning: {WHY}", self.shown.0));
        self.pieces.clear();
        (self.total, self.how.resume) = (Moved::default(), false);
        self.ask(Stage::Asking, crew)
    }

    fn all_there(&mut self, crew: &mut Crew, screen: &mut Screen) -> Vec<ErrandId> {
        if !self.how.verify {
            return self.place(screen);
        }
        self.stage = Stage::Verifying;
        let verify = Verify::new(self.remote.path.clone(), Rc::clone(&self.folder), self.holed());
        vec![crew.add(self.remote.site, Errand::Verify(Box::new(verify)))]
    }

    fn verified(&mut self, result: Result<Yield, Trouble>, screen: &mut Screen) -> Vec<ErrandId> {
        match result {
            Ok(_) => self.place(screen),
            Err(trouble) => {
                // Wrong bytes are of no use; those that could not be compared may be right.
                if trouble.cause == Cause::Verify {
                    self.discard()
                } else {
                    self.keep_beginning()
                }
                self.finish(Err(trouble), screen)
            }
        }
    }

    fn holed(&self) -> OsString {
        holed(&self.name)
    }

    fn part(&self) -> OsString {
        part(&self.name)
    }

    fn place(&mut self, screen: &mut Screen) -> Vec<ErrandId> {
        let placed = self.name_it().map_err(|errno| Trouble::local(&self.folder.path().join(&self.name), errno));
        self.finish(placed.map(|()| self.total.clone()), screen)
    }

    /// The file stays open, and so locked, until it has its name.
    fn name_it(&mut self) -> Result<(), Errno> {
        let file = self.file.take();
        if let (Some(file), Some(modify)) = (&file, self.modify)
            && let Err(errno) = set_time(&**file, modify)
        {
            log::debug!("cannot keep the time of a file: {errno}");
        }
        self.folder.rename(&self.holed(), &self.name)
    }

    /// What is there from the first byte on without a hole is what another run can go on with. It gets the time of the file
    /// there: a later run sees by it that there is a newer one, though the last bytes of both may be the same.
    fn keep_beginning(&mut self) {
        let there = self.beginning();
        let Some(file) = self.file.take() else { return };
        if there == 0 || there > self.size {
            return self.discard();
        }
        let kept = rustix::fs::ftruncate(&*file, there)
            .and_then(|()| self.modify.map_or(Ok(()), |modify| set_time(&*file, modify)))
            .and_then(|()| self.folder.rename(&self.holed(), &self.part()));
        if let Err(errno) = kept {
            log::debug!("cannot keep what is there: {errno}");
        }
    }

    /// How much is there without a hole.
    fn beginning(&self) -> u64 {
        let mut there = self.from;
        for piece in &self.pieces {
            there = piece.reached.get().min(piece.end);
            if there < piece.end {
                break;
            }
        }
        there
    }

    fn discard(&mut self) {
        self.file = None;
        if let Err(errno) = self.folder.remove(&self.holed()) {
            log::debug!("cannot remove pieces: {errno}");
        }
    }

    fn finish(&mut self, result: Result<Moved, Trouble>, screen: &mut Screen) -> Vec<ErrandId> {
        self.stage = Stage::Over;
        screen.transferred(&self.shown.0, &self.shown.1, &result);
        self.summary.count(&result);
        Vec::new()
    }
}

fn part(name: &OsStr) -> OsString {
    unfinished(name, PART)
}

fn holed(name: &OsStr) -> OsString {
    unfinished(name, HOLES)
}

/// Removes what a run that crashed has left of a file; one that is still at it holds the lock.
pub fn clear_crashed(folder: &Folder, name: &OsStr) {
    let holed = holed(name);
    if folder.look(&holed).is_ok_and(|found| found.is_some_and(|found| found.sole)) {
        let gone = folder.create(&holed, false).and_then(|_held| folder.remove(&holed));
        if let Err(errno) = gone {
            log::debug!("cannot remove the pieces of an earlier run: {errno}");
        }
    }
}
