//! Link → sink.

use super::{Fault, LEAST_COST, RECEIVED, Scratch, Share, Sink, Step, TURN_BYTES};
use crate::reactor::{Link, Moved, Ready, Sockets};

/// Receives into a sink until the peer ends the connection.
#[derive(Debug)]
pub struct Receiver {
    sink: Sink,
    moved: u64,
}

impl Receiver {
    /// A receiver that has nothing yet.
    pub const fn new(sink: Sink) -> Self {
        Self { sink, moved: 0 }
    }

    /// Bytes received.
    pub const fn moved(&self) -> u64 {
        self.moved
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
        let piece = &mut scratch.piece;
        piece.resize(RECEIVED, 0);
        let mut budget = share.bytes.min(TURN_BYTES);
        while budget > 0 {
            let cost = self.sink.work_off()?;
            if cost > 0 {
                budget = budget.saturating_sub(cost);
                continue;
            }
            if !ready.has(Ready::READ) {
                return Ok(Step::Blocked);
            }
            let room = budget.min(RECEIVED);
            match link.read(ready, sockets, &mut piece[..room]).map_err(|error| Fault::of_link(&error))? {
                Moved::Bytes(count) => {
                    self.sink.write(&piece[..count])?;
                    self.moved += count as u64;
                    budget = budget.saturating_sub(count.max(LEAST_COST));
                }
                Moved::Blocked => return Ok(Step::Blocked),
                Moved::End | Moved::Cut => {
                    self.sink.finish()?;
                    return Ok(Step::Done);
                }
            }
        }
        Ok(Step::More)
    }
}
