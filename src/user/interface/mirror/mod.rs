//! Mirrors: a tree there made the same here, or the other way round.
//!
//! ```text
//!   directory ──▶ listing ──▶ compare ──┬──▶ files waiting ──▶ errands, so many at once
//!       ▲                               ├──▶ extra entries removed (--delete)
//!       └──────── directories waiting ◀─┘
//! ```
//!
//! What waits is kept as names and numbers; errands are made for a few dozen of them at a time, so a directory of a
//! million files costs its listing and no more. Directories are read ahead only while few files wait.

mod clear;
mod down;
mod plan;
mod purge;
mod stock;
mod trail;
mod up;

use std::collections::HashMap;
use std::rc::Rc;

use super::job::{Summary, moved};
use super::options::Options;
use super::screen::Screen;
use super::ui::Remote;
use crate::user::crew::{Cause, Crew, Errand, ErrandId, Trouble, Yield};
use crate::user::local::Folder;

pub use plan::{Facts, Policy};
pub use purge::Purge;
pub use trail::{DIRECTORIES, Trail, endless};

use down::Down;
use up::Up;

/// Files under way beyond what the sessions are busy with, so that none of them waits for the interface.
const AHEAD: usize = 16;

/// Files that wait while directories are still read.
const FILES_WAITING: usize = 1024;

/// Directories within directories. A server that has more is probably showing the same one again and again.
pub(super) const DEPTH_LIMIT: usize = 200;

/// A mirror under way.
#[derive(Debug)]
pub struct Mirror {
    title: String,
    remote: Remote,
    policy: Policy,
    side: Side,
    /// Errands out, and what they are for.
    open: HashMap<ErrandId, Task>,
    files_out: usize,
    lists_out: usize,
    begun: bool,
    cancelled: bool,
    summary: Summary,
    same: usize,
}

#[derive(Debug)]
enum Side {
    Down(Down),
    Up(Up),
}

/// What an errand of a mirror is for.
#[derive(Debug)]
enum Task {
    /// Reading a directory of the server.
    Look(down::Node),
    /// As above, to compare with a directory here.
    Compare(up::Node),
    /// A file; as shown. With what to do if it turns out to be a directory after all, and what it must come to there.
    File { source: String, destination: String, guess: Option<down::Node>, link: bool, parcel: Option<stock::Parcel> },
    /// Reading a directory again, to see whether all has arrived.
    Check(stock::Delivery),
    /// Making a directory on the server.
    Make(up::Node, up::Making),
    /// Removing something on the server.
    Purge(purge::Step),
}

/// What the turn of a mirror has at hand.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The server's side.
    pub remote: &'a Remote,
    /// How to mirror.
    pub policy: &'a Policy,
    /// What is said.
    pub screen: &'a mut Screen,
    /// What it comes to.
    pub summary: &'a mut Summary,
    /// Files that were the same already.
    pub same: &'a mut usize,
}

impl Bench<'_> {
    fn trouble(&mut self, about: &str, trouble: Trouble) {
        self.screen.trouble(about, &trouble);
        self.summary.failed.push(trouble);
    }
}

impl Mirror {
    /// From the server to a directory here.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn down(remote: Remote, folder: Rc<Folder>, options: &Options) -> Self {
        let side = Side::Down(Down::new(remote.path.clone(), folder));
        Self::new(remote, side, options)
    }

    /// From a directory here to the server.
    pub fn up(folder: Rc<Folder>, remote: Remote, options: &Options) -> Self {
        let side = Side::Up(Up::new(folder, remote.path.clone()));
        Self::new(remote, side, options)
    }

    fn new(remote: Remote, side: Side, options: &Options) -> Self {
        Self {
            title: format!("mirror {}", remote.show()),
            remote,
            policy: Policy::new(options),
            side,
            open: HashMap::new(),
            files_out: 0,
            lists_out: 0,
            begun: false,
            cancelled: false,
            summary: Summary::default(),
            same: 0,
        }
    }

    pub(super) fn begin(&mut self, crew: &mut Crew, screen: &mut Screen) -> Vec<ErrandId> {
        self.begun = true;
        self.feed(crew, screen)
    }

    pub(super) const fn cancel(&mut self) {
        self.cancelled = true;
    }

    pub(super) fn finished(&self) -> bool {
        let waiting = match &self.side {
            Side::Down(down) => down.waiting(),
            Side::Up(up) => up.waiting(),
        };
        self.begun && self.open.is_empty() && (self.cancelled || !waiting)
    }

    pub(super) const fn done_bytes(&self) -> u64 {
        self.summary.bytes
    }

    pub(super) fn waiting_bytes(&self) -> Option<u64> {
        match &self.side {
            Side::Down(down) => down.waiting_bytes(),
            Side::Up(up) => Some(up.waiting_bytes()),
        }
    }

    pub(super) fn into_summary(self) -> Summary {
        self.summary
    }

    /// Files that were the same on both sides already.
    pub const fn same(&self) -> usize {
        self.same
    }

    pub(super) fn title(&self) -> String {
        self.title.clone()
    }

    pub(super) fn about(&self, id: ErrandId) -> String {
        match self.open.get(&id) {
            Some(Task::File { source, .. }) => source.clone(),
            Some(Task::Look(node)) => self.remote.place.show(&node.path),
            Some(Task::Compare(node) | Task::Make(node, _)) => self.remote.place.show(&node.path),
            Some(Task::Check(delivery)) => self.remote.place.show(&delivery.directory),
            Some(Task::Purge(step)) => self.remote.place.show(step.path()),
            None => self.title.clone(),
        }
    }

    pub(super) fn done(
        &mut self,
        id: ErrandId,
        result: Result<Yield, Trouble>,
        crew: &mut Crew,
        screen: &mut Screen,
    ) -> Vec<ErrandId> {
        let Some(task) = self.open.remove(&id) else { return Vec::new() };
        let mut bench = Bench {
            remote: &self.remote,
            policy: &self.policy,
            screen,
            summary: &mut self.summary,
            same: &mut self.same,
        };
        match (task, &mut self.side) {
            (Task::File { source, destination, guess, link, parcel }, side) => {
                self.files_out -= 1;
                let result = moved(result);
                if let (Some(parcel), Side::Up(up)) = (parcel, &mut *side) {
                    up.stock.sent(parcel, &result);
                }
                let denied = matches!(&result, Err(trouble) if trouble.cause == Cause::Denied);
                match (denied, guess, side) {
                    (true, Some(node), Side::Down(down)) => down.visit(node),
                    (true, _, _) if link => bench.screen.note(&format!("{source}: a link that leads to no file")),
                    _ => {
                        if bench.screen.json() || result.is_err() || bench.policy.chatty {
                            bench.screen.transferred(&source, &destination, &result);
                        }
                        bench.summary.count(&result);
                    }
                }
            }
            (Task::Look(node), Side::Down(down)) => {
                self.lists_out -= 1;
                down.looked(node, result, &mut bench);
            }
            (Task::Compare(node), Side::Up(up)) => {
                self.lists_out -= 1;
                up.compared(node, result, &mut bench);
            }
            (Task::Make(node, making), Side::Up(up)) => {
                self.lists_out -= 1;
                up.made(node, making, result, &mut bench);
            }
            (Task::Check(delivery), Side::Up(_)) => {
                self.lists_out -= 1;
                stock::checked(delivery, result, &mut bench);
            }
            (Task::Purge(step), Side::Up(up)) => {
                self.lists_out -= 1;
                up.purge.done(step, result, &mut bench);
            }
            (task, _) => log::error!("a task of the other direction: {task:?}"),
        }
        self.feed(crew, screen)
    }

    /// Hands out as many errands as are worth handing out.
    fn feed(&mut self, crew: &mut Crew, screen: &mut Screen) -> Vec<ErrandId> {
        let mut ids = Vec::new();
        let most = crew.rules().parallel * 2 + AHEAD;
        while !self.cancelled && self.open.len() < most {
            let mut bench = Bench {
                remote: &self.remote,
                policy: &self.policy,
                screen,
                summary: &mut self.summary,
                same: &mut self.same,
            };
            let look_first = self.lists_out == 0;
            let next: Option<(Errand, Task)> = match &mut self.side {
                Side::Down(down) => down.next(look_first, &mut bench),
                Side::Up(up) => up.next(look_first, &mut bench),
            };
            let Some((errand, task)) = next else { break };
            match task {
                Task::File { .. } => self.files_out += 1,
                _ => self.lists_out += 1,
            }
            let id = crew.add(self.remote.site, errand);
            self.open.insert(id, task);
            ids.push(id);
        }
        ids
    }
}
