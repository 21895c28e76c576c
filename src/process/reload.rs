//! A reload under the keeper: nobody lives by new settings before one worker has said that it can.
//!
//! ```text
//!   SIGHUP ──> files are read ──> one worker is asked ──Reloaded──> adopted: the others and the verifier are told
//!                  │                  │    │ Outgrown: its sandbox is too small
//!                  │ a fault          │    └──> a relief is started with them ──ready──> adopted: the old one drains
//!                  └──────> refused <─┴─ Refused     └── ends ──> refused
//! ```
//!
//! Whoever of the others cannot follow is relieved too.

use std::process::ExitStatus;

use super::contents::Contents;
use super::crew::Post;
use super::keeper::{Keeper, hand_down};
use super::packet::ToWorker;
use crate::server::logging;

/// New contents, and whose answer decides about them.
pub struct Offer {
    contents: Contents,
    post: usize,
}

impl Offer {
    /// What was read, for whoever is to have the post whose worker was asked.
    pub fn to(&self, post: usize) -> Option<&Contents> {
        (self.post == post).then_some(&self.contents)
    }
}

impl Keeper {
    /// Reads the files again and offers their contents to a worker. Whatever is wrong with them changes nothing.
    pub(super) fn reload(&mut self) {
        if self.offer.is_some() {
            return log::error!("reload refused, nothing changed: the one before is still under way");
        }
        let Some(post) = self.posts.iter().position(Post::is_served) else {
            return log::error!("reload refused, nothing changed: no worker is ready");
        };
        match self.read_again() {
            Ok(contents) => {
                hand_down(&contents, post, ToWorker::Reload, self.posts[post].worker());
                self.offer = Some(Offer { contents, post });
            }
            Err(why) => log::error!("reload refused, nothing changed: {why}"),
        }
    }

    /// A worker lives by what it was offered.
    pub(super) fn accepted(&mut self, number: usize) {
        if self.offer.as_ref().is_some_and(|offer| offer.post == number) {
            self.adopt(number);
        }
    }

    /// A worker cannot, whoever asked.
    pub(super) fn refused(&mut self, number: usize, why: &str) {
        match self.offer.take_if(|offer| offer.post == number) {
            Some(_) => log::error!("reload refused, nothing changed: {why}"),
            // The others live by it already.
            None => self.relieve(number, why),
        }
    }

    /// A worker's sandbox is too small for what it was told.
    pub(super) fn outgrown(&mut self, number: usize, why: &str) {
        self.relieve(number, why);
    }

    fn relieve(&mut self, number: usize, why: &str) {
        log::info!("a fresh worker takes over, since of the old one's reach {why}");
        self.posts[number].relieve();
    }

    /// A relief is ready: whatever it was started with holds.
    pub(super) fn hand_over(&mut self, number: usize) {
        if let Some(old) = self.posts[number].hand_over() {
            self.retire(old);
        }
        self.accepted(number);
    }

    /// A relief has ended before it was ready.
    pub(super) fn relief_failed(&mut self, number: usize, status: ExitStatus) {
        let offered = self.offer.take_if(|offer| offer.post == number).is_some();
        if offered {
            log::error!("reload refused, nothing changed: a worker cannot be started with it ({status})");
            self.posts[number].keep_worker();
        } else {
            // It is tried again after a pause: the others live by the new settings.
            log::error!("a worker that was to take over ended ({status})");
        }
    }

    /// The worker that was asked has ended. Until now the old contents hold, which are known to work.
    pub(super) fn withdraw_offer(&mut self, number: usize) {
        if self.offer.take_if(|offer| offer.post == number).is_some() {
            log::error!("reload refused, nothing changed: the worker ended");
        }
    }

    fn adopt(&mut self, by: usize) {
        let Some(Offer { contents, .. }) = self.offer.take() else { return };
        self.contents = contents;
        logging::start(&self.contents.log);
        self.tell_secrets();
        for (number, post) in self.posts.iter_mut().enumerate().filter(|(number, _)| *number != by) {
            hand_down(&self.contents, number, ToWorker::Reload, post.worker());
        }
        log::info!("reloaded");
    }

    fn read_again(&mut self) -> Result<Contents, String> {
        let mut loaded = self.invocation.load(&self.password).map_err(|fault| fault.to_string())?;
        // Without its accounts the server would take anonymous for meant.
        if self.contents.secrets.is_some() && loaded.accounts.is_none() {
            return Err("the accounts file is gone".to_owned());
        }
        for warning in &loaded.warnings {
            log::warn!("{warning}");
        }
        if self.standing.prevail(&mut loaded.settings) {
            log::warn!("user and sandbox change only with a restart: those of the start stay in force");
        }
        let settings = &loaded.settings;
        let bound = self.listeners.sets.first().into_iter().flatten().map(|bound| (bound.door, &bound.label));
        if !self.listeners.given && !settings.doors().eq(bound) {
            log::warn!("listen: a change takes effect at the next start");
        }
        let workers = self.posts.len();
        if settings.workers.get() as usize != workers {
            log::warn!("workers: a change takes effect at the next start");
        }
        let mut contents = Contents::new(settings, loaded.accounts, workers).map_err(|e| e.to_string())?;
        if let Err(error) = contents.open_transfers() {
            log::error!("the old transfer log stays in use: {error}");
            contents.transfers = self
                .contents
                .transfers
                .as_ref()
                .and_then(|(path, file)| file.try_clone().ok().map(|file| (path.clone(), file)));
        }
        Ok(contents)
    }
}
