//! One file in several pieces at once.
//!
//! While pieces are under way the file has holes, so it is not called `NAME.part`, which means "a good beginning":
//! it is `NAME.part.seg` until all pieces are there. Stopped in an orderly way, it is cut to what is there without a
//! hole and becomes `NAME.part`; after a crash it means nothing and is begun anew.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::io::Errno;

use super::job::{Summary, moved};
use super::screen::Screen;
use super::ui::Remote;
use crate::user::crew::{Crew, Errand, ErrandId, Fetch, Goal, Moved, Piece, Stat, Trouble, Yield};
use crate::user::local::{Folder, set_time};

/// Pieces smaller than this are not worth a session.
const SMALLEST: u64 = 1024 * 1024;

/// What is appended to the name while there are holes.
const HOLES: &str = ".seg";

/// A file that is fetched in pieces.
#[derive(Debug)]
pub struct Segments {
    remote: Remote,
    folder: Rc<Folder>,
    name: OsString,
    wanted: usize,
    shown: (String, String),
    stage: Stage,
    size: u64,
    modify: Option<i64>,
    file: Option<Rc<OwnedFd>>,
    /// Pieces under way: number and end; and those that are there.
    open: HashMap<ErrandId, usize>,
    pieces: Vec<Stretch>,
    first_failure: Option<Trouble>,
    total: Moved,
    summary: Summary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asking,
    Pieces,
    /// In one piece after all.
    Whole,
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    end: u64,
    there: bool,
}

impl Segments {
    /// A file to be fetched in up to `wanted` pieces.
    pub fn new(remote: Remote, folder: Rc<Folder>, name: OsString, wanted: usize, shown: (String, String)) -> Self {
        Self {
            remote,
            folder,
            name,
            wanted,
            shown,
            stage: Stage::Asking,
            size: 0,
            modify: None,
            file: None,
            open: HashMap::new(),
            pieces: Vec::new(),
            first_failure: None,
            total: Moved::default(),
            summary: Summary::default(),
        }
    }

    pub(super) fn begin(&mut self, crew: &mut Crew) -> Vec<ErrandId> {
        vec![crew.add(self.remote.site, Errand::Stat(Box::new(Stat::new(self.remote.path.clone()))))]
    }

    pub(super) fn cancel(&mut self) {
        self.wanted = 0;
    }

    pub(super) fn finished(&self) -> bool {
        self.stage == Stage::Over
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
                    self.divide(found.size, crew, screen)
                }
                Ok(_) => self.whole(crew),
                Err(trouble) => self.finish(Err(trouble), screen),
            },
            Stage::Pieces => self.piece_done(id, result, crew, screen),
            Stage::Whole => self.finish(moved(result), screen),
            Stage::Over => Vec::new(),
        }
    }

    /// In one piece: the file is small, or nobody knows how long it is, or the server cannot restart.
    fn whole(&mut self, crew: &mut Crew) -> Vec<ErrandId> {
        self.stage = Stage::Whole;
        let goal = Goal::file(Rc::clone(&self.folder), self.name.clone());
        let mut fetch = Fetch::new(self.remote.path.clone(), goal);
        fetch.modify = self.modify;
        vec![crew.add(self.remote.site, Errand::Fetch(Box::new(fetch)))]
    }

    fn divide(&mut self, size: Option<u64>, crew: &mut Crew, screen: &mut Screen) -> Vec<ErrandId> {
        let size = size.unwrap_or(0);
        let count = (self.wanted as u64).min(size / SMALLEST);
        if count < 2 {
            return self.whole(crew);
        }
        let file = match self.folder.create(&self.holed(), true) {
            Ok(file) => Rc::new(file),
            Err(errno) => return self.finish(Err(Trouble::local(&self.folder.path(), errno)), screen),
        };
        self.stage = Stage::Pieces;
        self.size = size;
        let each = size / count;
        let mut ids = Vec::new();
        for number in 0..count {
            let (at, last) = (number * each, number + 1 == count);
            let end = if last { size } else { at + each };
            let piece = Piece::new(self.remote.path.clone(), Rc::clone(&file), at, end, last);
            let id = crew.add(self.remote.site, Errand::Piece(Box::new(piece)));
            self.open.insert(id, self.pieces.len());
            self.pieces.push(Stretch { end, there: false });
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
        let number = self.open.remove(&id);
        match moved(result) {
            Ok(one) => {
                if let Some(piece) = number.and_then(|number| self.pieces.get_mut(number)) {
                    piece.there = true;
                }
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
        let Some(trouble) = self.first_failure.take() else {
            let placed = self.place().map_err(|errno| Trouble::local(&self.folder.path().join(&self.name), errno));
            return self.finish(placed.map(|()| self.total.clone()), screen);
        };
        let restarts = crew.with_profile(self.remote.site, |profile| profile.rest);
        if restarts == Some(crate::user::profile::Standing::Fails) && self.wanted > 0 {
            screen.note(&format!("{}: in one piece then: {trouble}", self.shown.0));
            self.discard();
            return self.whole(crew);
        }
        self.keep_beginning();
        self.finish(Err(trouble), screen)
    }

    fn holed(&self) -> OsString {
        let mut name = self.part();
        name.push(HOLES);
        name
    }

    fn part(&self) -> OsString {
        let mut name = self.name.clone();
        name.push(crate::user::local::PART);
        name
    }

    fn place(&mut self) -> Result<(), Errno> {
        if let Some(file) = self.file.take()
            && let Some(modify) = self.modify
            && let Err(errno) = set_time(&*file, modify)
        {
            log::debug!("cannot keep the time of a file: {errno}");
        }
        self.folder.rename(&self.holed(), &self.name)
    }

    /// What is there from the first byte on without a hole is what another run can go on with.
    fn keep_beginning(&mut self) {
        let there = self.pieces.iter().take_while(|piece| piece.there).last().map_or(0, |piece| piece.end);
        let Some(file) = self.file.take() else { return };
        if there == 0 || there > self.size {
            return self.discard();
        }
        let kept = rustix::fs::ftruncate(&*file, there).and_then(|()| self.folder.rename(&self.holed(), &self.part()));
        if let Err(errno) = kept {
            log::debug!("cannot keep what is there: {errno}");
        }
    }

    fn discard(&mut self) {
        self.file = None;
        let holed = self.holed();
        let name: &OsStr = &holed;
        if let Err(errno) = self.folder.remove(name) {
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
