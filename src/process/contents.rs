//! What the configuration's files said last, as the keeper hands it to its children.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::wipe;
use super::{Handover, Secrets};
use crate::server::accounts::Accounts;
use crate::server::settings::{LogSettings, RunAs, SandboxMode, Settings};
use crate::server::transfer_log;

/// The rights that children are started with. They are those of the start: who can write the configuration, and make the
/// server read it again, must not make it root again.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    run_as: Option<RunAs>,
    sandbox: SandboxMode,
}

impl Standing {
    /// What the settings of the start say.
    pub fn of(settings: &Settings) -> Self {
        Standing { run_as: settings.run_as.clone(), sandbox: settings.sandbox }
    }

    /// Puts itself in place of what later settings say; whether that was something else.
    pub fn prevail(&self, settings: &mut Settings) -> bool {
        let differs = Standing::of(settings) != *self;
        settings.run_as.clone_from(&self.run_as);
        settings.sandbox = self.sandbox;
        differs
    }
}

/// Bytes and descriptors for the children.
pub struct Contents {
    /// One for each worker: the settings with its share of what is divided.
    pub handovers: Vec<Vec<u8>>,
    /// For the verifier; `None` where there are no accounts.
    pub secrets: Option<Vec<u8>>,
    /// What transfers get when a worker is to end.
    pub drain: Duration,
    /// The keeper's own log.
    pub log: LogSettings,
    /// The transfer log, opened with the keeper's rights, which the worker may have none of.
    pub transfers: Option<(PathBuf, File)>,
}

impl Contents {
    /// What these settings are for so many workers, with a transfer log that is still to be opened.
    ///
    /// # Errors
    /// What cannot be written down.
    pub fn new(settings: &Settings, accounts: Option<Accounts>, workers: usize) -> io::Result<Self> {
        let accounts = accounts.map(|all| (all.accounts, all.credentials));
        let (accounts, credentials) = accounts.unzip();
        let mut handover =
            Handover { settings: settings.clone(), accounts: accounts.unwrap_or_default(), announce: true };
        let mut handovers = Vec::with_capacity(workers);
        for number in 0..workers {
            handover.settings = settings.share(number, workers);
            handover.announce = number + 1 == workers; // who is started last
            handovers.push(postcard::to_allocvec(&handover).map_err(io::Error::other)?);
        }
        let secrets = credentials.map(|credentials| Secrets {
            log: settings.log.clone(),
            run_as: settings.run_as.clone(),
            sandbox: settings.sandbox,
            credentials,
        });
        Ok(Contents {
            handovers,
            secrets: secrets.as_ref().map(postcard::to_allocvec).transpose().map_err(io::Error::other)?,
            drain: settings.limits.drain,
            log: settings.log.clone(),
            transfers: None,
        })
    }

    /// Opens the transfer log under its name, as after a rotation.
    ///
    /// # Errors
    /// That of opening it.
    pub fn open_transfers(&mut self) -> io::Result<()> {
        let Some(path) = self.log.transfers.clone() else { return Ok(()) };
        let file = transfer_log::append(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        self.transfers = Some((path, file));
        Ok(())
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        wipe(self.secrets.as_deref_mut().unwrap_or_default());
    }
}
