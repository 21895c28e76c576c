//! The two logs as the loop keeps them: lines wait for each other, and not for long.
//!
//! A line that tells of nothing wrong is written with those that follow it within [`COMPANY`]: at twenty thousand
//! transfers a second some forty lines share a write, and on a quiet server a line is late by a blink. Not written at
//! the end of each pass, since a busy server with few clients has a pass for each of their commands.

use crate::reactor::Moment;
use crate::server::logging::{self, COMPANY};
use crate::server::transfer_log::TransferLog;

/// Writes what the logs hold. Dropping it writes the rest.
#[derive(Debug)]
pub struct Scribe {
    /// The transfer log, where there is one.
    pub transfers: Option<TransferLog>,
    /// Since when lines wait.
    since: Option<Moment>,
}

impl Scribe {
    /// Takes over the logs of this process.
    pub fn new(transfers: Option<TransferLog>) -> Self {
        logging::gather();
        Self { transfers, since: None }
    }

    /// Until when to be called again at the latest.
    pub fn due(&self) -> Option<Moment> {
        self.since.map(|since| since.after(COMPANY))
    }

    /// Called after each pass: writes what has waited long enough.
    pub fn advance(&mut self, now: Moment) {
        if !self.holds_lines() {
            self.since = None;
            return;
        }
        let since = *self.since.get_or_insert(now);
        if since.after(COMPANY) <= now {
            self.flush();
        }
    }

    fn holds_lines(&self) -> bool {
        logging::holds_lines() || self.transfers.as_ref().is_some_and(TransferLog::holds_lines)
    }

    fn flush(&mut self) {
        self.since = None;
        log::logger().flush();
        if let Some(transfers) = &mut self.transfers {
            transfers.flush();
        }
    }
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.flush();
    }
}
