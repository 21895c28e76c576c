//! Source → link.

use std::os::fd::AsFd;

use rustix::io::Errno;

#[cfg(fuzzing)]
use super::Piece;
use super::disk::{self, Lanes, Visit, Wait};
use super::source::{Disk, Filled};
use super::{CHUNK, Fault, LARGE_CHUNK, Scratch, Share, Source, Step, TURN_BYTES};
use crate::filesystem::watch::watched;
use crate::reactor::{Link, Moment, Moved, Ready, Sockets};

/// Sends a source, whatever the socket takes a turn.
#[derive(Debug)]
pub struct Sender {
    source: Source,
    way: Way,
    handed: u64,
    /// What the source has next is, or was just, on its way from the disk.
    wait: Option<Box<Wait>>,
}

/// What of the next bytes is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sendable {
    /// So many of them.
    Whole(usize),
    /// Perhaps some: a read with NOWAIT tells.
    Partly,
    /// The disk has to be asked for them.
    Nothing,
}

/// What one piece came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// So many bytes left the source.
    Sent(usize),
    /// The socket takes no more now.
    Blocked,
    /// The disk has to be waited for.
    Cold,
    /// The source is empty.
    End,
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
        Self { source, way, handed: 0, wait: None }
    }

    /// Bytes that the kernel has taken, given what the link still holds.
    pub fn moved(&self, link: &Link) -> u64 {
        // TLS adds to what waits, so that for a moment more may wait than was handed over.
        self.handed.saturating_sub(link.unsent() as u64)
    }

    /// Bytes of a file that are still to be read.
    pub fn left(&self) -> Option<u64> {
        self.source.stretch().map(|stretch| stretch.end.saturating_sub(stretch.at))
    }

    /// As [`Sender::moved`], but of a compressed stream what went into it: bytes of the file, for the transfer's log.
    pub fn plain(&self, link: &Link) -> u64 {
        match &self.source {
            Source::Deflated(deflated) => deflated.plain(),
            _ => self.moved(link),
        }
    }

    /// Whether what is sent is a file's contents, and not a listing: rates are meant for those.
    pub const fn is_file(&self) -> bool {
        self.source.is_file()
    }

    /// What is sent, for a peer without a connection: a piece of it, and whether there may be more.
    ///
    /// # Errors
    /// What the file system says.
    #[cfg(fuzzing)]
    pub fn piece(&mut self, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let mut piece = Piece::default();
        let filled = self.source.fill(&mut piece, CHUNK, Disk::Ready)?;
        out.extend_from_slice(piece.bytes());
        Ok(filled != Filled::End)
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
        if self.way == Way::SendFile && !link.is_clear() {
            self.way = Way::Copy;
        }
        let most =
            if self.way == Way::SendFile { self.source.turn_bytes() } else { self.source.turn_bytes().min(TURN_BYTES) };
        let mut budget = share.bytes.min(most);
        while budget > 0 {
            if !link.flush(ready, sockets).map_err(|error| Fault::of_link(&error))? {
                return Ok(self.blocked(share.now));
            }
            let queued = self.wait.as_ref().is_some_and(|wait| wait.is_queued());
            let passed = match self.way {
                Way::Ending => return self.end(link, ready, sockets, share.now),
                _ if queued => Passed::Cold,
                Way::SendFile => match self.sendable(budget, &scratch.lanes, share.now) {
                    Sendable::Whole(count) => self.send_file(link, ready, sockets, count)?,
                    Sendable::Partly => self.copy(link, ready, sockets, scratch, budget, Disk::Ready)?,
                    Sendable::Nothing => Passed::Cold,
                },
                Way::Copy => self.copy(link, ready, sockets, scratch, budget, Disk::Ready)?,
            };
            match passed {
                Passed::Sent(count) => {
                    self.warmed(share.now);
                    if count == 0 && self.way != Way::Ending {
                        // Work that gave nothing yet: names read to be sorted, text skipped up to a restart marker.
                        return Ok(Step::More);
                    }
                    budget = budget.saturating_sub(count);
                }
                Passed::Blocked => return Ok(self.blocked(share.now)),
                Passed::End => self.way = Way::Ending,
                Passed::Cold => match self.visit(&scratch.lanes, share.now) {
                    Visit::Until(until) => return Ok(Step::Wait(until)),
                    Visit::Force => {
                        self.copy(link, ready, sockets, scratch, budget, Disk::Waited)?;
                        return Ok(Step::More);
                    }
                },
            }
        }
        Ok(Step::More)
    }

    /// The last byte is out: FIN, and before it what the transport has for an orderly end.
    fn end(&mut self, link: &mut Link, ready: &mut Ready, sockets: Sockets<'_>, now: Moment) -> Result<Step, Fault> {
        let finished = link.finish(ready, sockets).map_err(|error| Fault::of_link(&error))?;
        Ok(if finished { Step::Done } else { self.blocked(now) })
    }

    /// How much the kernel may send by itself without waiting for the disk.
    fn sendable(&mut self, budget: usize, lanes: &Lanes, now: Moment) -> Sendable {
        let Some(stretch) = self.source.stretch() else { return Sendable::Partly };
        let known = self.wait.as_ref().map_or(u64::MAX, |wait| wait.in_order(stretch.at));
        let count = usize::try_from(known.min(stretch.end - stretch.at)).unwrap_or(budget).min(budget);
        if count == 0 && stretch.at < stretch.end {
            return Sendable::Partly;
        }
        match disk::first_miss(stretch, count) {
            None => Sendable::Whole(count),
            Some(miss) => match &self.wait {
                Some(_) => Sendable::Partly,
                None => {
                    self.wait = Some(Box::new(lanes.enter(now, miss)));
                    Sendable::Nothing
                }
            },
        }
    }

    fn visit(&mut self, lanes: &Lanes, now: Moment) -> Visit {
        let Some(stretch) = self.source.stretch() else { return Visit::Force };
        self.wait.get_or_insert_with(|| Box::new(lanes.enter(now, stretch.at))).visit(stretch, now)
    }

    /// The disk has brought something: the lane is given back once all that was asked for is there.
    fn warmed(&mut self, now: Moment) {
        let Some(wait) = &mut self.wait else { return };
        if self.source.stretch().is_none_or(|stretch| wait.advanced(stretch, now)) {
            self.wait = None;
        }
    }

    /// The peer takes nothing now. As long as a lane is held, a timer looks after it.
    fn blocked(&mut self, now: Moment) -> Step {
        let again = self.wait.as_ref().zip(self.source.stretch()).and_then(|(wait, stretch)| wait.idle(stretch, now));
        match again {
            Some(again) => Step::Wait(again),
            None => {
                self.wait = None;
                Step::Blocked
            }
        }
    }

    fn copy(
        &mut self,
        link: &mut Link,
        ready: &mut Ready,
        sockets: Sockets<'_>,
        scratch: &mut Scratch,
        most: usize,
        disk: Disk,
    ) -> Result<Passed, Fault> {
        let filled = self.source.fill(&mut scratch.piece, most.min(LARGE_CHUNK), disk)?;
        if filled == Filled::Cold {
            return Ok(Passed::Cold);
        }
        let piece = scratch.piece.bytes();
        self.handed += piece.len() as u64;
        link.send(ready, sockets, piece).map_err(|error| Fault::of_link(&error))?;
        if filled == Filled::End {
            self.way = Way::Ending;
        }
        Ok(Passed::Sent(piece.len()))
    }

    fn send_file(
        &mut self,
        link: &mut Link,
        ready: &mut Ready,
        sockets: Sockets<'_>,
        count: usize,
    ) -> Result<Passed, Fault> {
        if count == 0 {
            return Ok(Passed::End);
        }
        let Source::Image { file, at, .. } = &mut self.source else { return Ok(self.copy_instead()) };
        match watched("sendfile", || link.send_file(ready, sockets, file.as_fd(), at, count)) {
            Ok(Moved::End | Moved::Cut) => Err(Fault::Truncated),
            Ok(Moved::Bytes(sent)) => {
                self.handed += sent as u64;
                Ok(Passed::Sent(sent))
            }
            Ok(Moved::Blocked) => Ok(Passed::Blocked),
            Err(error) => match Errno::from_io_error(&error) {
                // Some file systems cannot feed sendfile: their files are copied.
                Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::OVERFLOW) => Ok(self.copy_instead()),
                Some(errno @ (Errno::IO | Errno::NOMEM | Errno::ISDIR)) => Err(Fault::of_file(errno)),
                _ => Err(Fault::of_link(&error)),
            },
        }
    }

    const fn copy_instead(&mut self) -> Passed {
        self.way = Way::Copy;
        Passed::Sent(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::{Reactor, Weight};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_piece_that_gives_nothing_ends_the_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let _peer = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        let (socket, _) = listener.accept().expect("accepted");
        socket.set_nonblocking(true).expect("a mode");
        let mut link = Link::new(mio::net::TcpStream::from_std(socket));
        let mut reactor = Reactor::new().expect("a poller");
        let key = reactor.insert((), Weight::Heavy);
        let (_, sockets, now) = reactor.turn(key).expect("alive");

        let file = tempfile::tempfile().expect("a file");
        let size = 4 * CHUNK as u64;
        file.set_len(size).expect("a size");
        let mut sender = Sender::new(Source::text(file.into(), size, 2 * CHUNK as u64 + 1));
        let (mut ready, mut scratch) = (Ready::unknown(), Scratch::default());
        let mut turn = |sender: &mut Sender| {
            let share = Share { now, bytes: usize::MAX };
            let step = sender.turn(&mut link, &mut ready, sockets, &mut scratch, share).expect("no fault");
            (step, sender.source.stretch().map(|stretch| stretch.at), sender.handed)
        };
        assert_eq!(turn(&mut sender), (Step::More, Some(CHUNK as u64), 0));
        assert_eq!(turn(&mut sender), (Step::More, Some(2 * CHUNK as u64), 0));
        assert_eq!(turn(&mut sender), (Step::Done, Some(size), 2 * CHUNK as u64 - 1));
    }
}
