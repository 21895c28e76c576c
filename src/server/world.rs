//! What every session may look at: who may log in, what is allowed, what time it is.

use std::collections::HashMap;
use std::hash::RandomState;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::filesystem::Owners;
use crate::server::realm::Realm;
use crate::server::settings::Settings;
#[cfg(feature = "tls")]
use crate::server::tls::Keyring;
#[cfg(feature = "tls")]
pub use crate::server::tls::SessionKeys;
use crate::transfer::{Digests, Places};

/// Without TLS there are none.
#[cfg(not(feature = "tls"))]
#[derive(Debug)]
pub enum SessionKeys {}

/// The surroundings of all sessions. Sessions read it; only the loop changes it, between turns.
#[derive(Debug)]
pub struct World {
    /// The configuration in force.
    pub settings: Rc<Settings>,
    /// Names of users and groups for listings.
    pub owners: Rc<Owners>,
    /// Guests, when they are let in.
    pub anonymous: Option<Rc<Realm>>,
    /// Accounts by name.
    pub accounts: HashMap<Box<str>, Rc<Realm>>,
    /// Digests of files as they were received.
    pub digests: Rc<Digests>,
    /// Who may send or receive compressed.
    pub compressors: Places,
    /// The ports this server listens on for control connections: never to be dialled.
    pub doors: Vec<u16>,
    /// The key under which wrong passwords are told apart without being kept.
    pub guesses: RandomState,
    /// The server's certificate and what goes with it, where TLS is configured.
    #[cfg(feature = "tls")]
    pub keyring: Option<Rc<Keyring>>,
    /// The server is about to end: sessions leave as soon as their transfer is over.
    pub draining: bool,
}

impl World {
    /// Surroundings with nobody in them, for a session without a server.
    pub fn empty(settings: Settings) -> Self {
        Self {
            settings: Rc::new(settings),
            owners: Rc::new(Owners::empty()),
            anonymous: None,
            accounts: HashMap::new(),
            digests: Rc::default(),
            compressors: Places::default(),
            doors: Vec::new(),
            guesses: RandomState::new(),
            #[cfg(feature = "tls")]
            keyring: None,
            draining: false,
        }
    }

    /// Keys for a session that is about to become private. None: the certificate cannot be put to use at the moment.
    #[cfg(feature = "tls")]
    pub fn keys(&self) -> Option<SessionKeys> {
        let keys = self.keyring.as_ref()?.begin();
        keys.inspect_err(|error| log::error!("cannot begin TLS: {error}")).ok()
    }

    /// There is no certificate.
    #[cfg(not(feature = "tls"))]
    pub const fn keys(&self) -> Option<SessionKeys> {
        None
    }

    /// Whether a client's certificate stands for this user's password.
    #[cfg(feature = "tls")]
    pub fn certifies(certificate: &[u8], user: &[u8]) -> bool {
        crate::server::tls::names(certificate, user)
    }

    /// Without TLS nobody shows one.
    #[cfg(not(feature = "tls"))]
    pub const fn certifies(_certificate: &[u8], _user: &[u8]) -> bool {
        false
    }

    /// Seconds since 1970, for time stamps shown to people; never for a timer.
    pub fn wall() -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}
