//! Link → sink.

use std::io;

use super::{Fault, LEAST_COST, Scratch, Share, Sink, Step, TURN_BYTES};
use crate::reactor::{Link, Moved, Ready, Sockets};

/// Receives into a sink until the peer ends the connection.
#[derive(Debug)]
pub struct Receiver {
    sink: Sink,
    moved: u64,
    tail: Tail,
    cut: bool,
}

/// What becomes of an upload whose transport ended without saying so (TLS: FIN without close_notify).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tail {
    /// It counts as whole, and the log says how it ended: clients of the field do so.
    #[default]
    Lenient,
    /// Somebody may have cut it off: it failed.
    Strict,
}

impl Receiver {
    /// A receiver that has nothing yet.
    pub const fn new(sink: Sink) -> Self {
        Self { sink, moved: 0, tail: Tail::Lenient, cut: false }
    }

    /// What to make of an end that is none.
    #[must_use]
    pub fn ending(mut self, tail: Tail) -> Self {
        self.tail = tail;
        self
    }

    /// Bytes received.
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// As [`Receiver::moved`], but of a compressed stream what came out of it: bytes of the file, for the transfer's log.
    pub fn plain(&self) -> u64 {
        self.sink.unfolded().unwrap_or(self.moved)
    }

    /// Whether the transport ended without saying so: what the peer has sent may be longer.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// Where the bytes go, for a peer without a connection.
    #[cfg(fuzzing)]
    pub const fn sink(&mut self) -> &mut Sink {
        &mut self.sink
    }

    /// One bounded turn. `scratch` is the loop's; nothing of it is needed afterwards.
    ///
    /// # Errors
    /// The file's or the connection's fault that ends the transfer.
    pub fn turn(
        &mut self,
        link: &mut Link,
        ready: &mut Ready,
        sockets: Sockets<'_>,
        scratch: &mut Scratch,
        share: Share,
    ) -> Result<Step, Fault> {
        if let Some(until) = self.sink.hold(share.now) {
            return Ok(Step::Wait(until));
        }
        let most = if link.is_clear() { self.sink.turn_bytes() } else { TURN_BYTES };
        let mut budget = share.bytes.min(most);
        let piece = scratch.piece.room(budget);
        while budget > 0 {
            let cost = self.sink.work_off()?;
            if cost > 0 {
                budget = budget.saturating_sub(cost);
                continue;
            }
            if !ready.has(Ready::READ) {
                return Ok(Step::Blocked);
            }
            match link.read(ready, sockets, &mut piece[..budget]).map_err(|error| Fault::of_link(&error))? {
                Moved::Bytes(count) => {
                    let before = self.sink.at();
                    let written = self.sink.write(&piece[..count]);
                    // Of a piece that found no room a part was stored.
                    let stored = self.sink.at() - before;
                    self.moved += if written.is_ok() { count as u64 } else { stored.min(count as u64) };
                    written?;
                    budget = budget.saturating_sub(count.max(LEAST_COST));
                }
                Moved::Blocked => return Ok(Step::Blocked),
                Moved::Cut if self.tail == Tail::Strict => return Err(Fault::Lost(io::ErrorKind::UnexpectedEof)),
                end @ (Moved::End | Moved::Cut) => {
                    self.cut = end == Moved::Cut;
                    self.sink.finish()?;
                    return Ok(Step::Done);
                }
            }
        }
        Ok(Step::More)
    }
}
