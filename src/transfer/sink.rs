//! Where incoming bytes go.
//!
//! ```text
//!   link ──▶ inflated? ──▶ line ends translated? ──▶ digested? ──▶ file
//! ```

use std::os::fd::AsFd;
use std::rc::Rc;

use rustix::io::Errno;

use super::digests::Shape;
use super::writing::Writing;
use super::{Digests, Fault, Inflating, RECEIVED, TURN_BYTES};
use crate::codec::{Algorithm, Hasher};
use crate::filesystem::quota::Charge;
use crate::filesystem::watch::watched;
use crate::filesystem::{Incoming, Stat};
use crate::reactor::Moment;
use crate::wire::text::FromWire;

/// What a byte out of a compressed stream is charged for, in plain ones: about as much longer it takes.
const INFLATED_COST: usize = 4;

/// A file being written, as it comes (TYPE I) or with its line ends translated (TYPE A), and from a compressed stream
/// too (MODE Z).
#[derive(Debug)]
pub struct Sink {
    file: Incoming,
    at: u64,
    /// Nothing is written from here on: the end of a RANG.
    end: u64,
    lines: Option<Lines>,
    inflating: Option<Box<Expansion>>,
    seal: Option<Box<Seal>>,
    writing: Writing,
    /// What the account may still add to the disk; none without a quota.
    charge: Option<Charge>,
}

#[derive(Debug)]
struct Lines {
    converter: FromWire,
    piece: Vec<u8>,
}

#[derive(Debug)]
struct Expansion {
    stream: Inflating,
    piece: Vec<u8>,
}

/// A digest of a file that is written from its beginning, for those who ask for it later.
#[derive(Debug)]
pub struct Seal {
    hasher: Hasher,
    fed: u64,
    table: Rc<Digests>,
    /// The file after our last write.
    shape: Option<Shape>,
}

impl Seal {
    /// A digest that goes into `table` when the file is complete.
    pub fn new(algorithm: Algorithm, table: &Rc<Digests>) -> Self {
        Self { hasher: Hasher::new(algorithm), fed: 0, table: Rc::clone(table), shape: None }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.hasher.feed(bytes);
        self.fed += bytes.len() as u64;
    }

    /// Whether nobody else has written since our last write.
    fn holds(&self, file: &Incoming) -> bool {
        self.shape.is_none_or(|shape| Stat::of(file).is_ok_and(|stat| Shape::of(&stat) == shape))
    }

    fn note(&mut self, file: &Incoming) {
        self.shape = Stat::of(file).ok().map(|stat| Shape::of(&stat));
    }

    /// Only if the file is what was fed: somebody else may have made it longer.
    fn set(self, file: &Incoming) {
        if let Ok(stat) = Stat::of(file)
            && stat.size == self.fed
        {
            self.table.remember(&stat, self.hasher.finish());
        }
    }
}

impl Sink {
    /// A file written from `at` on, byte by byte as received.
    pub fn image(file: impl Into<Incoming>, at: u64) -> Self {
        Self {
            file: file.into(),
            at,
            end: u64::MAX,
            lines: None,
            inflating: None,
            seal: None,
            writing: Writing::from(at),
            charge: None,
        }
    }

    /// A file written from `at` on with CRLF turned into LF.
    pub fn text(file: impl Into<Incoming>, at: u64) -> Self {
        let lines = Some(Lines { converter: FromWire::new(), piece: Vec::new() });
        Self { lines, ..Self::image(file, at) }
    }

    /// The same on an account's quota.
    #[must_use]
    pub fn charged(self, charge: Option<Charge>) -> Self {
        Self { charge, ..self }
    }

    /// Where the next byte goes.
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// Bytes that came out of a compressed stream; none where there is no such stream.
    pub fn unfolded(&self) -> Option<u64> {
        self.inflating.as_ref().map(|expansion| expansion.stream.plain())
    }

    /// How many bytes make a turn of this sink: fewer where each of them is looked at.
    pub const fn turn_bytes(&self) -> usize {
        match (&self.lines, &self.inflating, &self.seal) {
            (None, None, None) => RECEIVED,
            _ => TURN_BYTES,
        }
    }

    /// When to come back, if the disk has to catch up before more is taken from the peer.
    pub fn hold(&mut self, now: Moment) -> Option<Moment> {
        self.writing.hold(self.file.as_fd(), now)
    }

    /// The same with no byte written at `end` or behind it: [`Fault::OverQuota`] for whoever sends more.
    #[must_use]
    pub fn until(self, end: u64) -> Self {
        Self { end, ..self }
    }

    /// The same out of a compressed stream.
    #[must_use]
    pub fn inflating(self, stream: Option<Inflating>) -> Self {
        Self { inflating: stream.map(|stream| Box::new(Expansion { stream, piece: Vec::new() })), ..self }
    }

    /// The same with the digest of what is written.
    #[must_use]
    pub fn sealed(self, seal: Option<Seal>) -> Self {
        Self { seal: seal.map(Box::new), ..self }
    }

    /// Takes what was received: writes all of it, but for a compressed stream, of which [`Sink::work_off`] writes a
    /// piece at a time.
    ///
    /// # Errors
    /// What the file system says; a part may have been written then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.inflating {
            Some(expansion) => {
                expansion.stream.feed(bytes);
                Ok(())
            }
            None => self.convert(bytes),
        }
    }

    /// Writes the next piece of what was taken and is not written yet; answers what that was worth of a turn's budget.
    /// 0: there is nothing, and more can be taken.
    ///
    /// # Errors
    /// As [`Sink::write`], and the stream's own.
    pub fn work_off(&mut self) -> Result<usize, Fault> {
        let Some(mut expansion) = self.inflating.take() else { return Ok(0) };
        let backlog = expansion.stream.step(&mut expansion.piece)?;
        let result = self.convert(&expansion.piece);
        let cost = (expansion.piece.len() * INFLATED_COST).max(usize::from(backlog));
        self.inflating = Some(expansion);
        result.map(|()| cost)
    }

    /// The data has ended: writes what a translation held back, and gives the file its name.
    ///
    /// # Errors
    /// As [`Sink::write`], and [`Fault::Damaged`] for a compressed stream that was cut.
    pub fn finish(&mut self) -> Result<(), Fault> {
        if let Some(expansion) = &self.inflating {
            expansion.stream.finish()?;
        }
        if let Some(mut lines) = self.lines.take() {
            lines.piece.clear();
            lines.converter.finish(&mut lines.piece);
            self.put(&lines.piece)?;
        }
        self.check_seal();
        self.settle().map_err(Fault::of_file)?;
        // Only now: a name that is given to a file counts as a change of it.
        if let Some(seal) = self.seal.take() {
            seal.set(&self.file);
        }
        Ok(())
    }

    fn convert(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Some(mut lines) = self.lines.take() else {
            return self.put(bytes);
        };
        lines.piece.clear();
        lines.converter.convert(bytes, &mut lines.piece);
        let result = self.put(&lines.piece);
        self.lines = Some(lines);
        result
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let room = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let within = bytes.get(..room).unwrap_or(bytes);
        self.check_seal();
        if let Some(seal) = &mut self.seal {
            seal.feed(within);
        }
        self.put_all(within)?;
        if let Some(seal) = &mut self.seal {
            seal.note(&self.file);
        }
        if within.len() < bytes.len() { Err(Fault::OverQuota) } else { Ok(()) }
    }

    /// A file that somebody else writes as well has no digest of ours.
    fn check_seal(&mut self) {
        if self.seal.take_if(|seal| !seal.holds(&self.file)).is_some() {
            log::debug!("another program writes into an upload; its digest is not kept");
        }
    }

    /// Gives a hidden file its name. What it replaces is looked at only where somebody counts it.
    fn settle(&mut self) -> Result<(), Errno> {
        let Some(charge) = self.charge.as_ref().filter(|_| self.file.is_hidden()) else {
            return watched("rename", || self.file.commit());
        };
        let replaced = self.file.replaces();
        watched("rename", || self.file.commit())?;
        charge.settled(replaced.as_ref());
        Ok(())
    }

    fn put_all(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = self.charge.as_ref().map_or(rest.len(), |charge| charge.room(self.at, rest.len()));
            let edge = usize::try_from(Writing::room(self.at)).unwrap_or(usize::MAX);
            let piece = rest.get(..room.min(edge)).unwrap_or(rest);
            if piece.is_empty() {
                return Err(Fault::OverQuota);
            }
            let write = || rustix::io::retry_on_intr(|| rustix::io::pwrite(self.file.as_fd(), piece, self.at));
            let count = watched("write", write).map_err(Fault::of_file)?;
            if count == 0 {
                return Err(Fault::DiskFull);
            }
            self.at += count as u64;
            if let Some(charge) = &self.charge {
                charge.written(self.at);
            }
            rest = rest.get(count..).unwrap_or_default();
        }
        self.writing.advanced(self.file.as_fd(), self.at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    #[test]
    fn bytes_that_are_looked_at_come_in_smaller_turns() {
        let file = || OwnedFd::from(tempfile::tempfile().expect("a file"));
        assert_eq!(Sink::image(file(), 0).turn_bytes(), RECEIVED);
        assert_eq!(Sink::text(file(), 0).turn_bytes(), TURN_BYTES);
        let seal = Seal::new(Algorithm::Sha256, &Rc::default());
        assert_eq!(Sink::image(file(), 0).sealed(Some(seal)).turn_bytes(), TURN_BYTES);
    }
}
