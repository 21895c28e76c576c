//! What a login opens: a root, the rights in it, and the limits that go with the account.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::filesystem::{Guard, Policy, Root, Rules};
use crate::server::settings::Network;

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
    /// What the administrator rules for all trees.
    pub policy: Rc<Policy>,
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
            policy: Rc::default(),
            home,
            root: RefCell::new(None),
            sessions: Rc::default(),
        }
    }

    /// Goes on with the session count of the realm that this one replaces after a reload.
    #[must_use]
    pub fn succeeding(mut self, old: Option<&Rc<Self>>) -> Self {
        if let Some(old) = old {
            self.sessions = Rc::clone(&old.sessions);
        }
        self
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

/// One session's place in its account: counted while it lives, given back however the session ends.
#[derive(Debug)]
pub struct Seat {
    realm: Rc<Realm>,
    root: Rc<Root>,
}

impl Seat {
    /// Takes a place.
    ///
    /// # Errors
    /// When the account's home cannot be opened.
    pub fn take(realm: &Rc<Realm>) -> std::io::Result<Self> {
        let root = realm.root()?;
        realm.sessions.set(realm.sessions.get().saturating_add(1));
        Ok(Self { realm: Rc::clone(realm), root })
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
