//! Counting what homes with a quota hold: at the start, and again from time to time, since other programs write there
//! too. A slice a turn, beside everything else; named after quotacheck(8), which does the same for a file system.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::accounts::{Account, QuotaLimits};
use super::realm::Realm;
use super::{Conn, Server};
use crate::filesystem::Root;
use crate::filesystem::quota::{Allotment, Count, Progress, Quota, Tally};
use crate::reactor::{Moment, Next, Weight};

/// Between two counts of everything. A million files take some two seconds of work; an hour makes that nothing.
const RECOUNT: Duration = Duration::from_secs(3600);

/// A home that cannot be read may be on a disk that is not mounted yet; without its count nobody can upload there.
const RETRY: Duration = Duration::from_secs(10);

/// The tallies of all homes that have a quota, by the home's real path.
#[derive(Debug, Default)]
pub struct Tallies(HashMap<PathBuf, Rc<Tally>>);

impl Tallies {
    /// The quota of an account with this home. Accounts without limits get one as well where somebody else's limits
    /// depend on what they do there.
    pub fn quota(&self, home: &Path, limits: QuotaLimits) -> Option<Rc<Quota>> {
        let tally = self.0.get(&real(home))?;
        let limit = |number: u64| (number > 0).then_some(number);
        let allotment = Allotment { bytes: limit(limits.bytes), files: limit(limits.files) };
        Some(Rc::new(Quota::new(Rc::clone(tally), allotment)))
    }
}

/// The counts that are to be made, one at a time.
#[derive(Debug, Default)]
pub struct QuotaCheck {
    /// Whose home, and its tally.
    todo: VecDeque<Rc<Realm>>,
    count: Option<(Rc<Realm>, Count)>,
    homes: Vec<Rc<Realm>>,
    again: Option<Moment>,
}

impl QuotaCheck {
    /// Counts these homes from now on: those at once that have no figures yet, the others with the next round.
    fn watch(&mut self, homes: Vec<Rc<Realm>>) {
        self.count = None;
        self.todo = homes.iter().filter(|realm| !is_counted(realm)).map(Rc::clone).collect();
        self.homes = homes;
    }

    /// One slice of the count under way.
    pub fn advance(&mut self, now: Moment) -> Next {
        if self.again.is_some_and(|again| again <= now) {
            self.again = None;
            self.todo.extend(self.homes.iter().map(Rc::clone));
        }
        let Some((realm, mut count)) = self.count.take().or_else(|| self.next(now)) else {
            if !self.todo.is_empty() {
                return Next::Yield;
            }
            self.again.get_or_insert(now.after(RECOUNT));
            return Next::Sleep;
        };
        match count.slice() {
            Progress::More => self.count = Some((realm, count)),
            Progress::Done(usage) => {
                log::info!("{} holds {} bytes in {} files", realm.home().display(), usage.bytes, usage.files);
            }
            // Whoever keeps changing a home that has its figures keeps them exact as well.
            Progress::Disturbed if is_counted(&realm) => {}
            Progress::Disturbed => self.todo.push_back(realm),
            Progress::Failed(errno) => self.put_off(realm, &errno.to_string(), now),
        }
        Next::Yield
    }

    /// When to begin the next round.
    pub const fn deadline(&self) -> Option<Moment> {
        self.again
    }

    fn next(&mut self, now: Moment) -> Option<(Rc<Realm>, Count)> {
        let realm = self.todo.pop_front()?;
        let tally = Rc::clone(realm.quota.as_ref()?.tally());
        // A root of its own: what clients are not shown is on the disk all the same.
        match Root::open(realm.home()) {
            Ok(root) => Some((realm, Count::begin(Rc::new(root), tally))),
            Err(error) => {
                self.put_off(realm, &error.to_string(), now);
                None
            }
        }
    }

    fn put_off(&mut self, realm: Rc<Realm>, why: &str, now: Moment) {
        log::error!("cannot count what {} holds: {why}", realm.home().display());
        if !is_counted(&realm) {
            self.again = Some(now.after(RETRY));
        }
    }
}

impl Server {
    /// The tallies for these accounts, those in use among them, so that a reload counts nothing anew.
    pub(super) fn tallies(&self, accounts: &[Account]) -> Tallies {
        let old: HashMap<PathBuf, Rc<Tally>> = self
            .world
            .accounts
            .values()
            .filter_map(|realm| Some((real(realm.home()), Rc::clone(realm.quota.as_ref()?.tally()))))
            .collect();
        let homes = accounts.iter().filter(|account| account.quota != QuotaLimits::default());
        let homes = homes.map(|account| real(&account.home));
        Tallies(
            homes
                .map(|home| {
                    let tally = old.get(&home).map_or_else(Rc::default, Rc::clone);
                    (home, tally)
                })
                .collect(),
        )
    }

    /// Sees to it that every tally is counted.
    pub(super) fn check_quotas(&mut self) {
        let mut seen = HashSet::new();
        let first =
            |realm: &&Rc<Realm>| realm.quota.as_ref().is_some_and(|quota| seen.insert(Rc::as_ptr(quota.tally())));
        let homes: Vec<Rc<Realm>> = self.world.accounts.values().filter(first).map(Rc::clone).collect();
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

fn is_counted(realm: &Realm) -> bool {
    realm.quota.as_ref().is_none_or(|quota| quota.tally().used().is_some())
}

/// The home's path without links and dots, where it exists.
fn real(home: &Path) -> PathBuf {
    std::fs::canonicalize(home).unwrap_or_else(|_| home.to_owned())
}
