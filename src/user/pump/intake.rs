//! Link → file, memory or stream: the receiving pump of the client.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use mio::net::TcpStream;
use rustix::io::Errno;

use super::Snag;
use super::audit::{Appetite, Audit};
use super::low_water::set_low_water;
use crate::reactor::{Link, Moved, Ready, Sockets};
use crate::transfer::{Fault, LEAST_COST, RECEIVED, SEND_FILE_BYTES, Step, TURN_BYTES};
use crate::wire::text::FromWire;

/// How much is read at once of what is looked at here. What goes to a file as it is comes in pieces of [`RECEIVED`]: a GiB
/// took curl 0.90 CPU seconds, and this client 0.81 in pieces of 128 KiB, 0.75, 0.60, 0.53 in pieces of 256, 512, 1,024
/// (medians of eleven runs in turn).
const PIECE: usize = 128 * 1024;

/// What has to be there before the kernel wakes us, once so much has come: a fraction of what its buffer grows to.
const RARE_BYTES: u32 = 1024 * 1024;

/// Bytes of one line of a listing. Names have 255; what has no line end at all is no listing.
const LINE_LIMIT: usize = 64 * 1024;

/// What is received, and where it goes.
#[derive(Debug)]
pub struct Intake {
    place: Place,
    /// Bytes that the stream must begin with: the tail of what an earlier transfer left. They are compared, not
    /// written, and prove both that the server went where REST sent it and that the file is still the same.
    proof: Vec<u8>,
    proven: usize,
    /// Where the next byte of the wire belongs in the remote file.
    at: u64,
    /// The wire's byte at which enough is there: the end of a segment.
    end: Option<u64>,
    /// The wire's byte at which there is far too much. It is learnt while bytes come already.
    ceiling: Option<Rc<Cell<u64>>>,
    /// Follows what is written.
    reached: Option<Rc<Cell<u64>>>,
    lines: Option<Box<Lines>>,
    moved: u64,
    /// Bytes since the last line end, where they are held in memory.
    unended: usize,
    waking: Waking,
}

/// When the kernel wakes us for what goes nowhere. A receiver on loopback is told of every piece otherwise, and half of its
/// time is waking up for a tenth of a socket buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waking {
    /// For every piece: the first byte is timed.
    Each,
    /// For [`RARE_BYTES`] or the end.
    Rare,
    /// For every piece again: the stream was slower than the time-out.
    Settled,
}

#[derive(Debug)]
enum Place {
    /// A file written at its own position, so that segments can share it.
    File(OwnedFd, u64),
    /// Memory, up to so many bytes: listings.
    Memory(Vec<u8>, usize),
    /// A file that should hold the same already: read beside the stream, compared, not written.
    Same(OwnedFd, u64),
    /// Standard output or a pipe.
    Stream(OwnedFd),
    /// Nowhere: looked at in part, otherwise only counted.
    Nowhere(Box<Audit>),
}

#[derive(Debug, Default)]
struct Lines {
    converter: FromWire,
    piece: Vec<u8>,
}

impl Intake {
    const fn new(place: Place, at: u64) -> Self {
        Self {
            place,
            proof: Vec::new(),
            proven: 0,
            at,
            end: None,
            ceiling: None,
            reached: None,
            lines: None,
            moved: 0,
            unended: 0,
            waking: Waking::Each,
        }
    }

    /// Into a file, from byte `at` of the remote file and of the local one on.
    pub const fn file(file: OwnedFd, at: u64) -> Self {
        Self::new(Place::File(file, at), at)
    }

    /// Nowhere: compared with a file that should be the same, from byte `at` of both on.
    pub const fn comparing(file: OwnedFd, at: u64) -> Self {
        Self::new(Place::Same(file, at), at)
    }

    /// Nowhere.
    pub fn nowhere(audit: Audit) -> Self {
        Self::new(Place::Nowhere(Box::new(audit)), 0)
    }

    /// What was found out on the way to nowhere.
    pub fn audit(&mut self) -> Option<&mut Audit> {
        match &mut self.place {
            Place::Nowhere(audit) => Some(audit),
            _ => None,
        }
    }

    /// Into memory, at most `limit` bytes.
    pub const fn memory(limit: usize) -> Self {
        Self::new(Place::Memory(Vec::new(), limit), 0)
    }

    /// Into a stream. Writing may block: whoever reads the stream sets the pace.
    pub const fn stream(stream: OwnedFd, at: u64) -> Self {
        Self::new(Place::Stream(stream), at)
    }

    /// CRLF becomes LF on the way (TYPE A).
    #[must_use]
    pub fn as_text(mut self, text: bool) -> Self {
        self.lines = text.then(Box::default);
        self
    }

    /// The first bytes received must be these and are not written again.
    #[must_use]
    pub fn proving(mut self, proof: Vec<u8>) -> Self {
        if let Place::File(_, offset) = &mut self.place {
            *offset += proof.len() as u64;
        }
        self.proof = proof;
        self
    }

    /// Stops when the byte before `end` is there.
    #[must_use]
    pub const fn until(mut self, end: u64) -> Self {
        self.end = Some(end);
        self
    }

    /// Says where in the remote file it is, each time that all before that place is written.
    #[must_use]
    pub fn marking(mut self, reached: Rc<Cell<u64>>) -> Self {
        self.reached = Some(reached);
        self
    }

    /// Gives up when byte `ceiling` is there.
    #[must_use]
    pub fn below(mut self, ceiling: Rc<Cell<u64>>) -> Self {
        self.ceiling = Some(ceiling);
        self
    }

    /// Whether it is held in memory: a listing, which has an end.
    pub const fn is_listing(&self) -> bool {
        matches!(self.place, Place::Memory(..))
    }

    /// Bytes received.
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// Where in the remote file the next byte would belong.
    pub const fn position(&self) -> u64 {
        self.at
    }

    /// Whether it had all it wanted before the server ended the connection.
    pub const fn satisfied(&self) -> bool {
        matches!(self.end, Some(end) if self.at >= end)
    }

    /// The file back, to be finished and named.
    pub fn into_file(self) -> Option<OwnedFd> {
        match self.place {
            Place::File(file, _) => Some(file),
            Place::Memory(..) | Place::Same(..) | Place::Stream(_) | Place::Nowhere(_) => None,
        }
    }

    /// What memory was filled with.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.place {
            Place::Memory(bytes, _) => bytes,
            Place::File(..) | Place::Same(..) | Place::Stream(_) | Place::Nowhere(_) => Vec::new(),
        }
    }

    /// What a turn may move. What the kernel drops costs a fraction of what is copied, and the fewer calls the better.
    pub const fn turn_bytes(&self) -> usize {
        match self.place {
            Place::Nowhere(_) => SEND_FILE_BYTES,
            Place::File(..) if self.lines.is_none() => RECEIVED,
            _ => TURN_BYTES,
        }
    }

    const fn piece(&self) -> usize {
        match self.place {
            Place::File(..) if self.lines.is_none() => RECEIVED,
            _ => PIECE,
        }
    }

    /// One bounded turn.
    ///
    /// # Errors
    /// What ends the transfer.
    pub fn turn(
        &mut self,
        link: &mut Link,
        ready: &mut Ready,
        sockets: Sockets<'_>,
        scratch: &mut Vec<u8>,
        budget: usize,
    ) -> Result<Step, Snag> {
        let room = budget.max(self.piece());
        if scratch.len() < room {
            scratch.resize(room, 0);
        }
        let mut left = budget;
        while left > 0 {
            if !ready.has(Ready::READ) {
                self.wake_rarely(link);
                return Ok(Step::Blocked);
            }
            let appetite = match &self.place {
                Place::Nowhere(audit) => audit.appetite(left),
                _ => Appetite::Look(left.min(self.piece())),
            };
            let (piece, moved) = match appetite {
                Appetite::Look(span) => {
                    let piece = scratch.get_mut(..span).unwrap_or_default();
                    let moved = link.read(ready, sockets, piece);
                    (&*piece, moved)
                }
                Appetite::Drop(span) => {
                    let buffer = scratch.get_mut(..span).unwrap_or_default();
                    (&[][..], link.discard(ready, sockets, buffer))
                }
            };
            match moved.map_err(|error| Fault::of_link(&error))? {
                Moved::Bytes(count) => {
                    left = left.saturating_sub(count.max(LEAST_COST));
                    match piece.get(..count) {
                        Some(bytes) => self.take(bytes)?,
                        None => self.forget(count)?,
                    }
                    if self.satisfied() {
                        return Ok(Step::Done);
                    }
                }
                Moved::Blocked => return Ok(Step::Blocked),
                Moved::End => {
                    self.finish()?;
                    return Ok(Step::Done);
                }
                Moved::Cut => return Err(Snag::Unclosed),
            }
        }
        Ok(Step::More)
    }

    /// Before the first byte of what goes nowhere: the kernel makes room for what it shall wait for, and keeps the room.
    ///
    /// A connection begins with a narrow receive window. On loopback a sender fills it at once, the rest waits in its socket and leaves
    /// it in the softirq of the receiver's acknowledgements: the receiver does the sender's work, falls behind for it, and so it stays.
    /// With 64 clients at once it used ten times the CPU time of one that has a wide window from the start.
    pub fn widen(&self, socket: &TcpStream) {
        if matches!(self.place, Place::Nowhere(_)) && set_low_water(socket, RARE_BYTES) && !set_low_water(socket, 1) {
            log::debug!("a data connection tells of its bytes late");
        }
    }

    /// A large stream in the clear: one in TLS ends with a record, and who waits for more than that waits for ever.
    fn wake_rarely(&mut self, link: &Link) {
        let fits = matches!(self.place, Place::Nowhere(_)) && self.moved >= u64::from(RARE_BYTES) && is_plain(link);
        if fits && self.waking == Waking::Each && set_low_water(link.socket(), RARE_BYTES) {
            self.waking = Waking::Rare;
        }
    }

    /// Bytes that have arrived and of which the kernel does not tell yet.
    pub fn kept_back(&self, link: &Link) -> u64 {
        let rare = self.waking == Waking::Rare;
        if rare { rustix::io::ioctl_fionread(link.socket()).unwrap_or(0) } else { 0 }
    }

    /// Nothing was told for a time-out's length. Whether there may be something that was kept back; the kernel tells of it now.
    pub fn wake_again(&mut self, link: &Link) -> bool {
        let rare = self.waking == Waking::Rare;
        if rare {
            self.waking = Waking::Settled;
        }
        rare && set_low_water(link.socket(), 1)
    }

    fn forget(&mut self, count: usize) -> Result<(), Snag> {
        if let Place::Nowhere(audit) = &mut self.place {
            audit.dropped(count);
        }
        self.advance(count)
    }

    fn advance(&mut self, count: usize) -> Result<(), Snag> {
        self.moved += count as u64;
        self.at += count as u64;
        let too_far = self.ceiling.as_ref().is_some_and(|ceiling| self.at > ceiling.get());
        if too_far { Err(Snag::Endless) } else { Ok(()) }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Snag> {
        let mut bytes = bytes;
        if let Some(end) = self.end {
            let wanted = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX);
            bytes = bytes.get(..wanted.min(bytes.len())).unwrap_or_default();
        }
        self.advance(bytes.len())?;
        let bytes = self.prove(bytes)?;
        self.store(bytes)?;
        if let Some(reached) = &self.reached {
            reached.set(self.at);
        }
        Ok(())
    }

    fn store(&mut self, bytes: &[u8]) -> Result<(), Snag> {
        match self.lines.take() {
            None => self.put(bytes),
            Some(mut lines) => {
                lines.piece.clear();
                lines.converter.convert(bytes, &mut lines.piece);
                let result = self.put(&lines.piece);
                self.lines = Some(lines);
                result
            }
        }
    }

    /// Takes off what is only there to be compared.
    fn prove<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Snag> {
        let expected = self.proof.get(self.proven..).unwrap_or_default();
        let count = expected.len().min(bytes.len());
        let (head, rest) = bytes.split_at(count);
        if Some(head) != expected.get(..count) {
            return Err(Snag::Differs);
        }
        self.proven += count;
        Ok(rest)
    }

    fn finish(&mut self) -> Result<(), Snag> {
        let Some(mut lines) = self.lines.take() else { return Ok(()) };
        lines.piece.clear();
        lines.converter.finish(&mut lines.piece);
        self.put(&lines.piece)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Snag> {
        match &mut self.place {
            Place::Memory(held, limit) => {
                self.unended = match bytes.iter().rposition(|byte| *byte == b'\n') {
                    Some(last) => bytes.len() - last - 1,
                    None => self.unended + bytes.len(),
                };
                if held.len() + bytes.len() > *limit || self.unended > LINE_LIMIT {
                    return Err(Snag::Overlong);
                }
                held.extend_from_slice(bytes);
                Ok(())
            }
            Place::File(file, offset) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let wrote = rustix::io::retry_on_intr(|| rustix::io::pwrite(file.as_fd(), rest, *offset));
                    let count = settled(wrote)?;
                    *offset += count as u64;
                    rest = rest.get(count..).unwrap_or_default();
                }
                Ok(())
            }
            Place::Nowhere(audit) => audit.look(bytes).then_some(()).ok_or(Snag::Differs),
            Place::Same(file, offset) => compare(file, offset, bytes),
            Place::Stream(stream) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let count = settled(rustix::io::retry_on_intr(|| rustix::io::write(stream.as_fd(), rest)))?;
                    rest = rest.get(count..).unwrap_or_default();
                }
                Ok(())
            }
        }
    }
}

#[cfg(feature = "tls")]
const fn is_plain(link: &Link) -> bool {
    link.tls().is_none()
}

#[cfg(not(feature = "tls"))]
const fn is_plain(_: &Link) -> bool {
    true
}

/// Whether a file goes on with these bytes.
fn compare(file: &OwnedFd, offset: &mut u64, bytes: &[u8]) -> Result<(), Snag> {
    let mut rest = bytes;
    let mut here = vec![0; bytes.len().min(PIECE)];
    while !rest.is_empty() {
        let wanted = here.get_mut(..rest.len().min(PIECE)).unwrap_or_default();
        let count = rustix::io::retry_on_intr(|| rustix::io::pread(file.as_fd(), &mut *wanted, *offset));
        let count = count.map_err(Fault::of_file)?;
        let (head, tail) = rest.split_at(count.min(rest.len()));
        if count == 0 || here.get(..count) != Some(head) {
            return Err(Snag::Differs);
        }
        *offset += count as u64;
        rest = tail;
    }
    Ok(())
}

/// A write that takes nothing, and says no more, found no room.
fn settled(wrote: Result<usize, Errno>) -> Result<usize, Snag> {
    match wrote {
        Ok(0) => Err(Snag::Fault(Fault::DiskFull)),
        Ok(count) => Ok(count),
        Err(errno) => Err(Snag::Fault(Fault::of_file(errno))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_goes_nowhere_has_a_wide_window() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let room = || rustix::net::sockopt::socket_recv_buffer_size(&stream).expect("a size");
        let before = room();
        Intake::memory(1).widen(&stream);
        assert_eq!(room(), before);
        Intake::nowhere(Audit::sampling(Rc::default(), 0)).widen(&stream);
        assert!(room() >= RARE_BYTES as usize, "{}", room());
    }
}
