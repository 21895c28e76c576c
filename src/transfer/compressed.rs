//! MODE Z at both ends of the pump: a source that comes out compressed, and what a sink needs to take one in.

use std::cell::Cell;
use std::rc::Rc;

use super::disk::Stretch;
use super::source::{Disk, Filled};
use super::{CHUNK, Fault, Piece, Source};
use crate::codec::{Deflate, Flow, Inflate, Level};

/// What is compressed a turn: 100 to 300 µs at the levels in use. The pump's usual turn would be milliseconds.
const SLICE: usize = 16 * 1024;

/// Places for compressed streams: each takes memory and time that a plain transfer does not.
#[derive(Debug, Clone, Default)]
pub struct Places(Rc<Cell<u32>>);

/// One of them, given back when the stream is gone however it ended.
#[derive(Debug)]
pub struct Place(Rc<Cell<u32>>);

impl Places {
    /// A place, if fewer than `most` are taken.
    pub fn take(&self, most: u32) -> Option<Place> {
        if self.0.get() >= most {
            return None;
        }
        self.0.set(self.0.get() + 1);
        Some(Place(Rc::clone(&self.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// A source on its way through the compressor.
#[derive(Debug)]
pub struct Deflated {
    source: Source,
    deflate: Deflate,
    /// What the source gave last, and how far the compressor is with it.
    raw: Piece,
    fed: usize,
    ended: bool,
    _place: Place,
}

impl Deflated {
    /// Compresses all of `source`.
    pub fn new(source: Source, level: Level, place: Place) -> Self {
        Self { source, deflate: Deflate::new(level), raw: Piece::default(), fed: 0, ended: false, _place: place }
    }

    /// Whether a file's contents are compressed, and no listing.
    pub const fn is_file(&self) -> bool {
        self.source.is_file()
    }

    /// Bytes of the source that went into the stream.
    pub fn plain(&self) -> u64 {
        self.deflate.total()
    }

    /// What of a file is still to be read.
    pub fn stretch(&self) -> Option<Stretch<'_>> {
        self.source.stretch()
    }

    /// Appends what of the stream is ready after one more piece.
    ///
    /// # Errors
    /// The source's.
    pub fn fill(&mut self, out: &mut Vec<u8>, disk: Disk) -> Result<Filled, Fault> {
        if self.fed == self.raw.bytes().len() && !self.ended {
            self.fed = 0;
            match self.source.fill(&mut self.raw, CHUNK, disk)? {
                Filled::Cold => return Ok(Filled::Cold),
                filled => self.ended = filled == Filled::End,
            }
        }
        let rest = self.raw.bytes().get(self.fed..).unwrap_or_default();
        let piece = rest.get(..SLICE).unwrap_or(rest);
        self.deflate.feed(piece, out);
        self.fed += piece.len();
        if !self.ended || self.fed < self.raw.bytes().len() {
            return Ok(Filled::More);
        }
        self.deflate.finish(out);
        Ok(Filled::End)
    }
}

/// A stream on its way to a sink.
#[derive(Debug)]
pub struct Inflating {
    inflate: Inflate,
    /// Bytes of the plain file beyond which the stream is refused: a megabyte can hold a gigabyte of zeros.
    most: u64,
    _place: Place,
}

impl Inflating {
    /// A stream that may swell to `most` bytes.
    pub fn new(most: u64, place: Place) -> Self {
        Self { inflate: Inflate::default(), most, _place: place }
    }

    /// Takes in what came, once nothing of the last is left.
    pub fn feed(&mut self, stream: &[u8]) {
        self.inflate.feed(stream);
    }

    /// Fills `plain` with the next piece. False: nothing is left of what was fed.
    ///
    /// # Errors
    /// [`Fault::Damaged`]; [`Fault::OverQuota`] beyond the bound.
    pub fn step(&mut self, plain: &mut Vec<u8>) -> Result<bool, Fault> {
        plain.clear();
        let flow = self.inflate.step(plain).map_err(|_| Fault::Damaged)?;
        if self.inflate.total() > self.most {
            return Err(Fault::OverQuota);
        }
        Ok(flow == Flow::Backlog)
    }

    /// Bytes that came out of the stream.
    pub fn plain(&self) -> u64 {
        self.inflate.total()
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// The stream has not.
    pub fn finish(&self) -> Result<(), Fault> {
        self.inflate.finish().map_err(|_| Fault::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_come_back() {
        let places = Places::default();
        let (one, two) = (places.take(2), places.take(2));
        assert!(one.is_some() && two.is_some() && places.take(2).is_none());
        drop(one);
        assert!(places.take(2).is_some());
        assert!(places.take(0).is_none(), "none at all");
    }
}
