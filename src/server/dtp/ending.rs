//! The end of a transfer that went well: FIN, the good news, the wait for the peer's close.
//!
//! ```text
//!            upload: close_notify                     FIN
//!   Running ────────────────────▶ 226, closed   Running ─┬─▶ 226, Lingering ──────────────▶ closed
//!                                                        └─▶ Settling ── 10 ms ─▶ 226, Lingering
//!                                                              └─ the peer closed ─▶ 226, closed
//! ```

use super::{Data, Dtp, NOISE_LIMIT, Outcome, Turn, plain};
use crate::reactor::{Link, Moved, Next, Ready};
use crate::transfer::{Farewell, Flow, Job};

impl Data {
    /// All bytes are where they belong: FIN, the good news, and for a download the wait for the peer's close.
    pub(super) fn complete(&mut self, mut link: Link, job: &Job, turn: &mut Turn<'_>) -> Outcome {
        let moved = plain(&link, job);
        let report = Some(self.done(moved, turn.now, Ok(())));
        if let Flow::Receive(receiver) = &job.flow {
            if receiver.is_cut() {
                log::info!("{}: an upload ends without close_notify; what was sent may be longer", self.who);
            }
            self.sign_off(&mut link, turn);
            return Outcome { next: Next::Close, report };
        }
        // An edge or a timer tells when to look whether the peer has closed; now would mostly be too early.
        turn.ready.clear(Ready::READ);
        self.since = turn.now;
        match job.farewell {
            Farewell::AtOnce => {
                self.dtp = Dtp::Lingering(link);
                Outcome { next: Next::Sleep, report }
            }
            Farewell::AfterPeer => {
                if let Err(error) = link.register(turn.sockets) {
                    log::warn!("cannot watch a data connection: {error}");
                    return Outcome { next: Next::Close, report };
                }
                self.dtp = Dtp::Settling(link, moved);
                Outcome::of(Next::Sleep)
            }
        }
    }

    pub(super) fn sign_off(&self, link: &mut Link, turn: &mut Turn<'_>) {
        if let Err(error) = link.sign_off(turn.ready, turn.sockets) {
            log::debug!("{}: went before the close_notify of its data connection: {error}", self.who);
        }
    }

    pub(super) fn settle(&mut self, link: Link, moved: u64, turn: &mut Turn<'_>) -> Outcome {
        let mut outcome = self.linger(link, turn);
        if outcome.next == Next::Close {
            outcome.report = Some(self.done(moved, turn.now, Ok(())));
        } else if let Dtp::Lingering(link) = std::mem::replace(&mut self.dtp, Dtp::Over) {
            self.dtp = Dtp::Settling(link, moved);
        }
        outcome
    }

    pub(super) fn linger(&mut self, mut link: Link, turn: &mut Turn<'_>) -> Outcome {
        let mut dust = [0; 4096];
        while turn.ready.has(Ready::READ) && self.noise <= NOISE_LIMIT {
            match link.read(turn.ready, turn.sockets, &mut dust) {
                Ok(Moved::Bytes(count)) => self.noise += count,
                Ok(Moved::Blocked) => {}
                Ok(Moved::End | Moved::Cut) | Err(_) => return Outcome::of(Next::Close),
            }
        }
        if self.noise > NOISE_LIMIT {
            return Outcome::of(Next::Close);
        }
        self.dtp = Dtp::Lingering(link);
        Outcome::of(Next::Sleep)
    }
}
