//! File or stream → link: the sending pump of the client.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use mio::unix::SourceFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Snag;
use crate::reactor::{Link, Ready, Sockets};
use crate::transfer::{CHUNK, Fault, Scratch, Sender, Share, Source, Step, TURN_BYTES};
use crate::wire::text::ToWire;

/// What is sent, and how.
#[derive(Debug)]
pub struct Outlet(Kind);

#[derive(Debug)]
enum Kind {
    File(Sender),
    Stream(Stream),
    Pattern(Pattern),
}

/// Bytes out of nothing, the same ones every time.
#[derive(Debug)]
struct Pattern {
    /// Repeated as often as it takes.
    piece: Rc<[u8]>,
    size: u64,
    handed: u64,
}

/// Standard input or a pipe: its end is not known before it comes, and it may have nothing to give for a while.
#[derive(Debug)]
struct Stream {
    input: OwnedFd,
    watched: bool,
    ended: bool,
    handed: u64,
    lines: Option<ToWire>,
    piece: Vec<u8>,
}

impl Outlet {
    /// Bytes `at` up to `end` of a file, as they are.
    pub fn image(file: OwnedFd, at: u64, end: u64) -> Self {
        Self(Kind::File(Sender::new(Source::image(file, at, end))))
    }

    /// A file of `size` bytes with LF as CRLF (TYPE A).
    pub fn text(file: OwnedFd, size: u64) -> Self {
        Self(Kind::File(Sender::new(Source::text(file, size, 0))))
    }

    /// A stream up to its end.
    pub fn stream(input: OwnedFd, text: bool) -> Self {
        let lines = text.then(ToWire::new);
        Self(Kind::Stream(Stream { input, watched: false, ended: false, handed: 0, lines, piece: Vec::new() }))
    }

    /// A piece of memory again and again, up to `size` bytes.
    pub const fn pattern(piece: Rc<[u8]>, size: u64) -> Self {
        Self(Kind::Pattern(Pattern { piece, size, handed: 0 }))
    }

    /// Whether it is a file and no stream.
    pub const fn is_file(&self) -> bool {
        matches!(self.0, Kind::File(_))
    }

    /// Whether there is, or may be, far more than the kernel would hold at once.
    pub fn is_long(&self) -> bool {
        const LONG: u64 = 1024 * 1024;
        match &self.0 {
            Kind::File(sender) => sender.left().is_some_and(|left| left > LONG),
            Kind::Stream(_) => true,
            Kind::Pattern(pattern) => pattern.size > LONG,
        }
    }

    /// Bytes that the kernel has taken, given what the link still holds.
    pub fn moved(&self, link: &Link) -> u64 {
        match &self.0 {
            Kind::File(sender) => sender.moved(link),
            Kind::Stream(stream) => stream.handed.saturating_sub(link.unsent() as u64),
            Kind::Pattern(pattern) => pattern.handed.saturating_sub(link.unsent() as u64),
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
        scratch: &mut Scratch,
        share: Share,
    ) -> Result<Step, Snag> {
        match &mut self.0 {
            Kind::File(sender) => Ok(sender.turn(link, ready, sockets, scratch, share)?),
            Kind::Stream(stream) => stream.turn(link, ready, sockets, share.bytes.min(TURN_BYTES)),
            Kind::Pattern(pattern) => pattern.turn(link, ready, sockets, share.bytes.min(TURN_BYTES)),
        }
    }
}

/// What the link still holds goes first, and its end when all was handed over. `None`: it takes more.
fn clear(link: &mut Link, ready: &mut Ready, sockets: Sockets<'_>, over: bool) -> Result<Option<Step>, Snag> {
    let failed = |error: std::io::Error| Fault::of_link(&error);
    if !link.flush(ready, sockets).map_err(failed)? {
        return Ok(Some(Step::Blocked));
    }
    if !over {
        return Ok(None);
    }
    let finished = link.finish(ready, sockets).map_err(failed)?;
    Ok(Some(if finished { Step::Done } else { Step::Blocked }))
}

impl Pattern {
    fn turn(
        &mut self,
        link: &mut Link,
        ready: &mut Ready,
        sockets: Sockets<'_>,
        mut budget: usize,
    ) -> Result<Step, Snag> {
        loop {
            if let Some(step) = clear(link, ready, sockets, self.handed >= self.size)? {
                return Ok(step);
            }
            if budget == 0 {
                return Ok(Step::More);
            }
            let start = usize::try_from(self.handed % self.piece.len().max(1) as u64).unwrap_or_default();
            let rest = usize::try_from(self.size - self.handed).unwrap_or(usize::MAX);
            let piece = self.piece.get(start..).unwrap_or_default();
            let piece = piece.get(..rest.min(budget)).unwrap_or(piece);
            self.handed += piece.len() as u64;
            budget -= piece.len().min(budget);
            link.send(ready, sockets, piece).map_err(|error| Fault::of_link(&error))?;
        }
    }
}

impl Stream {
    fn turn(
        &mut self,
        link: &mut Link,
        ready: &mut Ready,
        sockets: Sockets<'_>,
        mut budget: usize,
    ) -> Result<Step, Snag> {
        self.watch(sockets);
        while budget > 0 {
            if let Some(step) = clear(link, ready, sockets, self.ended)? {
                return Ok(step);
            }
            if !self.has_input() {
                return Ok(Step::Blocked);
            }
            let count = self.read().map_err(Fault::of_file)?;
            budget = budget.saturating_sub(count.max(1));
            self.handed += self.piece.len() as u64;
            link.send(ready, sockets, &self.piece).map_err(|error| Fault::of_link(&error))?;
        }
        Ok(Step::More)
    }

    /// Has the stream's edges told under the transfer's key. A regular file cannot be watched and never needs to be.
    fn watch(&mut self, sockets: Sockets<'_>) {
        if !self.watched {
            self.watched = true;
            if let Err(error) = sockets.register(&mut SourceFd(&self.input.as_raw_fd())) {
                log::debug!("the input is not watched: {error}");
            }
        }
    }

    /// Asked before each read, so that the stream, which other processes may share, need not be made non-blocking.
    fn has_input(&self) -> bool {
        let mut asked = [PollFd::new(&self.input, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(poll(&mut asked, Some(&now)), Ok(0))
    }

    fn read(&mut self) -> Result<usize, Errno> {
        let mut raw = vec![0; CHUNK];
        let count = rustix::io::retry_on_intr(|| rustix::io::read(self.input.as_fd(), &mut raw[..]))?;
        raw.truncate(count);
        self.ended = count == 0;
        match &mut self.lines {
            None => self.piece = raw,
            Some(lines) => {
                self.piece.clear();
                lines.convert(&raw, &mut self.piece);
            }
        }
        Ok(count)
    }
}
