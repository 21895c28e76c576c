//! Counting what homes with a quota hold: at the start, and again from time to time, since other programs write there
//! too. A slice a turn, beside everything else; named after quotacheck(8), which does the same for a file system.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::accounts::QuotaLimits;
use super::realm::Realm;
use super::{Conn, Server};
use crate::filesystem::quota::{Allotment, Count, Progress, Quota, Tally};
use crate::filesystem::{Guard, Policy, Root};
use crate::reactor::{Moment, Next, Weight};

/// Between two counts of everything. A million files take some two seconds of work; an hour makes that nothing.
const RECOUNT: Duration = Duration::from_secs(3600);

/// How often a home that changes under a count is counted again at once. Figures may be rough then, and the rest of it
/// has to wait for the next round.
const TRIES: u32 = 3;

/// A home that cannot be read may be on a disk that is not mounted yet; without its count nobody can upload there.
const RETRY: Duration = Duration::from_secs(10);

/// The tallies of all homes that somebody serves, by the home's real path. Also those without a quota have one: a
/// reload may give them one while sessions are in.
#[derive(Debug, Default)]
pub struct Tallies(HashMap<PathBuf, Weak<Tally>>);

impl Tallies {
    /// The quota of an account with this home, that may have anything until it is told otherwise.
    pub fn quota(&mut self, home: &Path) -> Rc<Quota> {
        let place = self.0.entry(real(home)).or_default();
        let tally = place.upgrade().unwrap_or_default();
        *place = Rc::downgrade(&tally);
        Rc::new(Quota::new(tally, Allotment::default()))
    }

    /// Forgets the homes that nobody serves any more.
    pub fn tidy(&mut self) {
        self.0.retain(|_, tally| tally.strong_count() > 0);
    }
}

/// As the accounts file has it, where 0 is no limit.
pub fn allotment(limits: QuotaLimits) -> Allotment {
    let limit = |number: u64| (number > 0).then_some(number);
    Allotment { bytes: limit(limits.bytes), files: limit(limits.files) }
}

/// The counts that are to be made, one at a time.
#[derive(Debug, Default)]
pub struct QuotaCheck {
    /// Whose home, and its tally.
    todo: VecDeque<Task>,
    count: Option<(Task, Count)>,
    homes: Vec<Rc<Realm>>,
    again: Option<Moment>,
}

/// A home to be counted, and how often that came to nothing.
#[derive(Debug)]
struct Task {
    realm: Rc<Realm>,
    tries: u32,
}

impl QuotaCheck {
    /// Counts these homes from now on, beginning at once with those that have no figures yet. A count under way goes
    /// on as long as its home is one of them.
    fn watch(&mut self, homes: Vec<Rc<Realm>>) {
        self.homes = homes;
        self.homes.sort_by_key(|realm| is_counted(realm));
        self.todo.clear();
        self.todo.extend(tasks(&self.homes));
        let homes = &self.homes;
        self.count.take_if(|(_, count)| !homes.iter().any(|realm| Rc::ptr_eq(realm.quota.tally(), count.tally())));
    }

    /// One slice of the count under way.
    pub fn advance(&mut self, now: Moment) -> Next {
        if self.again.is_some_and(|again| again <= now) {
            self.again = None;
            self.todo.extend(tasks(&self.homes));
        }
        let Some((mut task, mut count)) = self.count.take().or_else(|| self.next(now)) else {
            if !self.todo.is_empty() {
                return Next::Yield;
            }
            self.again.get_or_insert(now.after(RECOUNT));
            return Next::Sleep;
        };
        task.tries += 1;
        match count.slice(task.tries >= TRIES) {
            Progress::More => {
                task.tries -= 1;
                self.count = Some((task, count));
            }
            Progress::Done(usage) => {
                log::info!("{} holds {} bytes in {} files", task.home(), usage.bytes, usage.files);
            }
            // Without figures nobody can upload there.
            Progress::Disturbed if task.tries < TRIES || !is_counted(&task.realm) => self.todo.push_back(task),
            Progress::Disturbed => log::info!("{} changes too much to be counted now", task.home()),
            Progress::Failed(errno) => self.put_off(&task.realm, &errno.to_string(), now),
        }
        Next::Yield
    }

    /// When to begin the next round.
    pub const fn deadline(&self) -> Option<Moment> {
        self.again
    }

    fn next(&mut self, now: Moment) -> Option<(Task, Count)> {
        let task = self.todo.pop_front()?;
        let tally = Rc::clone(task.realm.quota.tally());
        // A root of its own: what clients are not shown is on the disk all the same, but for uploads under way.
        let policy = Policy { uploads: task.realm.policy.uploads, ..Policy::default() };
        match Root::governed(task.realm.home(), Rc::new(policy), Guard::Open) {
            Ok(root) => Some((task, Count::begin(Rc::new(root), tally))),
            Err(error) => {
                self.put_off(&task.realm, &error.to_string(), now);
                None
            }
        }
    }

    fn put_off(&mut self, realm: &Rc<Realm>, why: &str, now: Moment) {
        log::error!("cannot count what {} holds: {why}", realm.home().display());
        if !is_counted(realm) {
            self.again = Some(now.after(RETRY));
        }
    }
}

impl Server {
    /// Sees to it that every tally is counted.
    pub(super) fn check_quotas(&mut self) {
        let mut seen = HashSet::new();
        let limited = |realm: &&Rc<Realm>| realm.quota.allotment() != Allotment::default();
        let first = |realm: &&Rc<Realm>| seen.insert(Rc::as_ptr(realm.quota.tally()));
        let homes: Vec<Rc<Realm>> = self.world.accounts.values().filter(limited).filter(first).map(Rc::clone).collect();
        if homes.is_empty() && self.quota_check.is_none() {
            return;
        }
        let living = self.quota_check.filter(|key| self.reactor.slot_mut(*key).is_some());
        let key = match living {
            Some(key) => key,
            None => self.reactor.insert(Conn::QuotaCheck(Box::default()), Weight::Heavy),
        };
        self.quota_check = Some(key);
        if let Some(slot) = self.reactor.slot_mut(key)
            && let Conn::QuotaCheck(check) = &mut slot.conn
        {
            check.watch(homes);
        }
        self.reactor.run_again(key);
    }
}

impl Task {
    fn home(&self) -> std::path::Display<'_> {
        self.realm.home().display()
    }
}

fn tasks(homes: &[Rc<Realm>]) -> impl Iterator<Item = Task> {
    homes.iter().map(|realm| Task { realm: Rc::clone(realm), tries: 0 })
}

fn is_counted(realm: &Realm) -> bool {
    realm.quota.tally().used().is_some()
}

/// The home's path without links and dots, where it exists.
fn real(home: &Path) -> PathBuf {
    std::fs::canonicalize(home).unwrap_or_else(|_| home.to_owned())
}
