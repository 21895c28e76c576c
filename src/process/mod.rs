//! The process tree around the loop.
//!
//! ```text
//!   miniftpd ─┬─ no accounts: the loop, in this very process
//!             │
//!             └─ accounts: the keeper ─┬─ miniftpd: worker     the loop; faces the network, knows no hash
//!                                      └─ miniftpd: verifier   knows the hashes; faces nobody
//! ```
//!
//! Children are this binary started anew, told apart by their argv[0], with a socket to the keeper for standard input.
//! [`packet`] has what they say to each other. A process given up by its peer is killed and started again; who loses the
//! keeper ends.

pub mod packet;
pub mod secret;

use serde::{Deserialize, Serialize};

use crate::server::accounts::Account;
use crate::server::settings::Settings;

/// What a worker gets as text, at its start and at each reload. No secret is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// The settings, complete.
    pub settings: Settings,
    /// The accounts without their hashes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
}

impl Handover {
    /// Reads what the keeper has written.
    ///
    /// # Errors
    /// `InvalidData` for what is none.
    pub fn read(text: &str) -> std::io::Result<Self> {
        toml::from_str(text).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}
