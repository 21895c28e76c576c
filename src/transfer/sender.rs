//! Source → link.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::{CHUNK, Fault, Scratch, Source, Step};
use crate::reactor::{Link, Moved, Ready, Sockets};

/// Sends a source, whatever the socket takes a turn.
#[derive(Debug)]
pub struct Sender {
    source: Source,
    way: Way,
    handed: u64,
}

/// How the next bytes leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the page cache by the kernel itself.
    SendFile,
    /// Through the loop's scratch buffer.
    Copy,
    /// The source is empty; what the link still holds is the last of it.
    Ending,
}

impl Sender {
    /// A sender at the beginning of its source.
    ///
    /// Files up to a chunk are copied: one read and one write beat the set-up of `sendfile`, and the file can be
    /// closed while its bytes wait for the peer.
    pub fn new(source: Source) -> Self {
        let way = match &source {
            Source::Image { at, end, .. } if end - at > CHUNK as u64 => Way::SendFile,
            _ => Way::Copy,
        };
        Self { source, way, handed: 0 }
    }

    /// Bytes that the kernel has taken, given what the link still holds.
    pub const fn moved(&self, link: &Link) -> u64 {
        self.handed - link.unsent() as u64
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
    ) -> Result<Step, Fault> {
        let mut budget = self.source.turn_bytes();
        while budget > 0 {
            if !link.flush(ready, sockets).map_err(|error| Fault::of_link(&error))? {
                return Ok(Step::Blocked);
            }
            let moved = match self.way {
                Way::Ending => return Ok(Step::Done),
                Way::SendFile => self.send_file(link, ready, sockets, budget)?,
                Way::Copy => self.copy(link, ready, sockets, scratch)?,
            };
            match moved {
                Moved::Bytes(count) => budget = budget.saturating_sub(count.max(1)),
                Moved::Blocked => return Ok(Step::Blocked),
                Moved::End => self.way = Way::Ending,
            }
        }
        Ok(Step::More)
    }

    fn copy(
        &mut self,
        link: &mut Link,
        ready: &mut Ready,
        sockets: Sockets<'_>,
        scratch: &mut Scratch,
    ) -> Result<Moved, Fault> {
        let filled = &mut scratch.filled;
        filled.clear();
        let more = self.source.fill(filled)?;
        self.handed += filled.len() as u64;
        link.send(ready, sockets, filled).map_err(|error| Fault::of_link(&error))?;
        if !more {
            self.way = Way::Ending;
        }
        Ok(Moved::Bytes(filled.len()))
    }

    fn send_file(
        &mut self,
        link: &mut Link,
        ready: &mut Ready,
        sockets: Sockets<'_>,
        budget: usize,
    ) -> Result<Moved, Fault> {
        let Source::Image { file, at, end } = &mut self.source else {
            self.way = Way::Copy;
            return Ok(Moved::Bytes(0));
        };
        let count = usize::try_from(*end - *at).unwrap_or(budget).min(budget);
        if count == 0 {
            return Ok(Moved::End);
        }
        match link.send_file(ready, sockets, file.as_fd(), at, count) {
            Ok(Moved::End) => Err(Fault::Truncated),
            Ok(Moved::Bytes(sent)) => {
                self.handed += sent as u64;
                Ok(Moved::Bytes(sent))
            }
            Ok(Moved::Blocked) => Ok(Moved::Blocked),
            Err(error) => match Errno::from_io_error(&error) {
                // Some file systems cannot feed sendfile: their files are copied.
                Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::OVERFLOW) => {
                    self.way = Way::Copy;
                    Ok(Moved::Bytes(0))
                }
                Some(errno @ (Errno::IO | Errno::NOMEM | Errno::ISDIR)) => Err(Fault::of_file(errno)),
                _ => Err(Fault::of_link(&error)),
            },
        }
    }
}
