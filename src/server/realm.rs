//! What a login opens: a root, the rights in it, and the limits that go with the account.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::filesystem::quota::{Allotment, Quota};
use crate::filesystem::{Guard, Policy, Root, Rules};
use crate::process::sandbox::Walls;
use crate::server::settings::Network;
use crate::transfer::{Bucket, Pace};

/// The name that guests have in logs.
pub const GUEST: &str = "anonymous";

/// An account as the sessions see it: no password, no hash.
#[derive(Debug)]
pub struct Realm {
    /// The account's name; `anonymous` for guests.
    pub name: Box<str>,
    /// Who may do what where.
    pub rules: Rc<Rules>,
    /// How many sessions at once; 0 = any number.
    pub max_sessions: u32,
    /// From where a login is accepted; empty = from everywhere.
    pub allow_from: Vec<Network>,
    /// The longest path a client may name, bytes.
    pub path_limit: usize,
    /// When the account ends, in seconds since 1970.
    pub expires: Option<i64>,
    /// What its home holds and may hold.
    pub quota: Rc<Quota>,
    /// What it may hold once the realm is in force.
    pub allotment: Allotment,
    /// What its sessions may move together.
    pub rates: Rates,
    /// What the administrator rules for all trees.
    pub policy: Rc<Policy>,
    /// What this process can reach, once it is walled in.
    pub walls: Rc<OnceCell<Walls>>,
    home: PathBuf,
    root: RefCell<Option<Rc<Root>>>,
    sessions: Rc<Cell<u32>>,
}

/// Why a right password is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The address is not on the account's list.
    Address,
    /// The account's time is over.
    Expired,
    /// The account has all the sessions it may have.
    Sessions,
}

impl Refusal {
    /// For the log; the peer is told no more than of a wrong password.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Address => "not from this address",
            Self::Expired => "the account has expired",
            Self::Sessions => "the account has all its sessions",
        }
    }
}

impl Realm {
    /// A realm below `home`, opened at its first login: a home on a disk that is not mounted yet must not keep the
    /// server from starting.
    pub fn new(name: &str, home: PathBuf, rules: Rules) -> Self {
        Self {
            name: name.into(),
            rules: Rc::new(rules),
            max_sessions: 0,
            allow_from: Vec::new(),
            path_limit: usize::MAX,
            expires: None,
            quota: Rc::default(),
            allotment: Allotment::default(),
            rates: Rates::default(),
            policy: Rc::default(),
            walls: Rc::default(),
            home,
            root: RefCell::new(None),
            sessions: Rc::default(),
        }
    }

    /// Goes on with the sessions, the buckets and, if the home is the same, the quota of the realm that this one
    /// replaces after a reload.
    #[must_use]
    pub fn succeeding(mut self, old: Option<&Rc<Self>>) -> Self {
        if let Some(old) = old {
            self.sessions = Rc::clone(&old.sessions);
            self.rates = self.rates.succeeding(&old.rates);
            if Rc::ptr_eq(self.quota.tally(), old.quota.tally()) {
                self.quota = Rc::clone(&old.quota);
            }
        }
        self
    }

    /// The reload is accepted: sessions and transfers of before it too are held to what the realm allows now.
    pub fn take_effect(&self) {
        self.rates.take_effect();
        self.quota.allot(self.allotment);
    }

    /// The root directory, opened once for all sessions.
    ///
    /// # Errors
    /// What opening the home directory gives.
    pub fn root(&self) -> std::io::Result<Rc<Root>> {
        let mut slot = self.root.borrow_mut();
        if let Some(root) = slot.as_ref() {
            return Ok(Rc::clone(root));
        }
        // It could be opened all the same, and then nothing in it.
        if self.walls.get().is_some_and(|walls| !walls.reach(&self.home)) {
            return Err(std::io::Error::other("it was not there when the sandbox was closed; a reload opens it"));
        }
        // Where a file is decides what may be done with it: no link may make it look to be elsewhere.
        let guard = if self.rules.is_uniform() { Guard::Open } else { Guard::Settled };
        let root = Rc::new(Root::governed(&self.home, Rc::clone(&self.policy), guard)?);
        *slot = Some(Rc::clone(&root));
        Ok(root)
    }

    /// The directory that is the account's `/`.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Sessions of this account at the moment.
    pub fn sessions(&self) -> u32 {
        self.sessions.get()
    }

    /// Whether somebody from `peer` may come in now, at `wall` seconds since 1970.
    ///
    /// # Errors
    /// The reason why not.
    pub fn admit(&self, peer: IpAddr, wall: i64) -> Result<(), Refusal> {
        if !self.allow_from.is_empty() && !self.allow_from.iter().any(|network| network.contains(peer)) {
            return Err(Refusal::Address);
        }
        if self.expires.is_some_and(|end| wall >= end) {
            return Err(Refusal::Expired);
        }
        if self.max_sessions > 0 && self.sessions.get() >= self.max_sessions {
            return Err(Refusal::Sessions);
        }
        Ok(())
    }
}

/// Token buckets for both directions.
#[derive(Debug, Default)]
pub struct Rates {
    upload: Option<Rc<Bucket>>,
    download: Option<Rc<Bucket>>,
    /// Bytes a second up and down: what the buckets will get once the realm is in force.
    wanted: (u64, u64),
}

impl Rates {
    /// Full buckets of so many bytes a second; 0 is no limit.
    pub fn new(upload: u64, download: u64) -> Self {
        Self { upload: Bucket::new(upload), download: Bucket::new(download), wanted: (upload, download) }
    }

    /// Keeps the old buckets, so that transfers of before and after a reload share them.
    fn succeeding(self, old: &Self) -> Self {
        let keep = |new: Option<Rc<Bucket>>, old: &Option<Rc<Bucket>>| match (new, old) {
            (Some(_), Some(old)) => Some(Rc::clone(old)),
            (new, _) => new,
        };
        Self { upload: keep(self.upload, &old.upload), download: keep(self.download, &old.download), ..self }
    }

    /// The reload is accepted: kept buckets go on with the new rates.
    fn take_effect(&self) {
        let (upload, download) = self.wanted;
        self.upload.iter().for_each(|bucket| bucket.set_rate(upload));
        self.download.iter().for_each(|bucket| bucket.set_rate(download));
    }

    fn is_unlimited(&self) -> bool {
        self.upload.is_none() && self.download.is_none()
    }
}

/// One session's place in its account: counted while it lives, given back however the session ends.
#[derive(Debug)]
pub struct Seat {
    realm: Rc<Realm>,
    root: Rc<Root>,
    /// What this session alone may move; boxed, since few configurations have such limits.
    rates: Option<Box<Rates>>,
}

impl Seat {
    /// Takes a place, with the rates of one session.
    ///
    /// # Errors
    /// When the account's home cannot be opened.
    pub fn take(realm: &Rc<Realm>, rates: Rates) -> std::io::Result<Self> {
        let root = realm.root()?;
        realm.sessions.set(realm.sessions.get().saturating_add(1));
        let rates = (!rates.is_unlimited()).then(|| Box::new(rates));
        Ok(Self { realm: Rc::clone(realm), root, rates })
    }

    /// How fast the session may send a file to the server.
    pub fn upload_pace(&self) -> Pace {
        let own = self.rates.as_ref().and_then(|rates| rates.upload.clone());
        Pace::new(own, self.realm.rates.upload.clone())
    }

    /// How fast the session may fetch a file.
    pub fn download_pace(&self) -> Pace {
        let own = self.rates.as_ref().and_then(|rates| rates.download.clone());
        Pace::new(own, self.realm.rates.download.clone())
    }

    /// The account.
    pub const fn realm(&self) -> &Rc<Realm> {
        &self.realm
    }

    /// The directory tree this session sees as `/`.
    pub const fn root(&self) -> &Rc<Root> {
        &self.root
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.realm.sessions.set(self.realm.sessions.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_keeps_the_bucket_and_changes_its_rate_only_when_accepted() {
        let old = Rates::new(1000, 0);
        let new = Rates::new(5000, 7).succeeding(&old);
        let (Some(before), Some(after)) = (&old.upload, &new.upload) else { panic!("no bucket") };
        assert!(Rc::ptr_eq(before, after) && new.download.is_some());
        assert_eq!(before.rate(), 1000);
        new.take_effect();
        assert_eq!(before.rate(), 5000);
        assert!(Rates::new(0, 0).succeeding(&old).is_unlimited());
    }
}
