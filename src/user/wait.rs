//! One wait for a server's final reply.
//!
//! ```text
//!   begun ── 1yz, a line of a digest's reply ──▶ drawn out ──▶ … ──▶ final reply: the next wait begins
//!     │                                              │
//!     └── longest silence, counted from the last of them, or longest of all, counted from the beginning ──▶ timed out
//! ```

use super::pi::Patience;
use crate::reactor::Moment;

/// One wait.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    begun: Moment,
    heard: Moment,
}

impl Wait {
    /// From now on.
    pub const fn from(now: Moment) -> Self {
        Self { begun: now, heard: now }
    }

    /// There was a sign of life.
    pub const fn draw_out(&mut self, now: Moment) {
        self.heard = now;
    }

    /// When it is over.
    pub fn end(&self, patience: Patience) -> Moment {
        self.heard.after(patience.silence).min(self.begun.after(patience.longest))
    }
}
