//! Link → sink.

use super::{Fault, Scratch, Share, Sink, Step};
use crate::reactor::{Link, Moved, Ready, Sockets};

/// How much is read at once. Measured against 64 KiB and 1 MiB: larger pieces save system calls until they fall out
/// of the second-level cache.
const PIECE: usize = 128 * 1024;

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
        piece.resize(PIECE, 0);
        let mut budget = share.bytes;
        while budget > 0 {
            if !ready.has(Ready::READ) {
                return Ok(Step::Blocked);
            }
            let room = budget.min(PIECE);
            match link.read(ready, sockets, &mut piece[..room]).map_err(|error| Fault::of_link(&error))? {
                Moved::Bytes(count) => {
                    self.sink.write(&piece[..count])?;
                    self.moved += count as u64;
                    budget = budget.saturating_sub(count);
                }
                Moved::Blocked => return Ok(Step::Blocked),
                Moved::End => {
                    self.sink.finish()?;
                    return Ok(Step::Done);
                }
            }
        }
        Ok(Step::More)
    }
}
