//! A file read through for the sake of a number: SIZE in TYPE A, HASH, the X-digests.

use std::ops::Range;
use std::os::fd::OwnedFd;

use super::source::read_piece;
use super::{Fault, Scratch};
use crate::codec::{Hasher, Sum};
use crate::wire::text::Count;

/// One reading of a file or a stretch of it, a chunk a turn: 30 to 100 µs, by algorithm.
#[derive(Debug)]
pub struct Scan {
    file: OwnedFd,
    at: u64,
    end: u64,
    tally: Tally,
}

/// What is made of the bytes.
#[derive(Debug)]
pub enum Tally {
    /// Their number on the wire in TYPE A.
    Lines(Count),
    /// Their digest.
    Digest(Box<Hasher>),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Bytes on the wire in TYPE A.
    Lines(u64),
    /// A digest.
    Digest(Sum),
}

impl Scan {
    /// Of the bytes in `stretch`, which lie within the file.
    pub const fn new(file: OwnedFd, stretch: Range<u64>, tally: Tally) -> Self {
        Self { file, at: stretch.start, end: stretch.end, tally }
    }

    /// One bounded turn. `None`: there is more to read.
    ///
    /// # Errors
    /// What the file system says; [`Fault::Truncated`] when the file has become shorter than the stretch.
    pub fn turn(&mut self, scratch: &mut Scratch) -> Result<Option<Found>, Fault> {
        let piece = &mut scratch.filled;
        piece.clear();
        let more = read_piece(&self.file, &mut self.at, self.end, piece)?;
        self.tally.feed(piece);
        Ok((!more).then(|| self.tally.found()))
    }
}

impl Tally {
    fn feed(&mut self, piece: &[u8]) {
        match self {
            Self::Lines(count) => count.feed(piece),
            Self::Digest(hasher) => hasher.feed(piece),
        }
    }

    fn found(&self) -> Found {
        match self {
            Self::Lines(count) => Found::Lines(count.total()),
            Self::Digest(hasher) => Found::Digest(Hasher::clone(hasher).finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Algorithm;

    fn scan(content: &[u8], stretch: Range<u64>, tally: Tally) -> (Result<Found, Fault>, usize) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        std::fs::write(&path, content).expect("a file");
        let mut scan = Scan::new(std::fs::File::open(path).expect("open").into(), stretch, tally);
        let mut scratch = Scratch::default();
        for turns in 1.. {
            match scan.turn(&mut scratch) {
                Ok(None) => {}
                Ok(Some(found)) => return (Ok(found), turns),
                Err(fault) => return (Err(fault), turns),
            }
        }
        unreachable!("a file ends")
    }

    #[test]
    fn a_stretch_is_read_a_chunk_a_turn() {
        let content: Vec<u8> = (0..3 * super::super::CHUNK).map(|at| at as u8).collect();
        let mut hasher = Hasher::new(Algorithm::Md5);
        hasher.feed(&content[5..]);
        let expected = Found::Digest(hasher.finish());
        let tally = Tally::Digest(Box::new(Hasher::new(Algorithm::Md5)));
        assert_eq!(scan(&content, 5..content.len() as u64, tally), (Ok(expected), 3));
    }

    #[test]
    fn lines_are_counted_and_nothing_is_a_number_too() {
        assert_eq!(scan(b"a\nb\r\n", 0..5, Tally::Lines(Count::new())).0, Ok(Found::Lines(6)));
        assert_eq!(scan(b"", 0..0, Tally::Lines(Count::new())).0, Ok(Found::Lines(0)));
    }

    #[test]
    fn a_file_that_shrank_has_no_number() {
        assert_eq!(scan(b"abc", 0..4, Tally::Lines(Count::new())).0, Err(Fault::Truncated));
    }
}
