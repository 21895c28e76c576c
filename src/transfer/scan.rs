//! A file read through for the sake of a number: SIZE in TYPE A, HASH, the X-digests.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use super::disk::{Stretch, Visit, Wait};
use super::source::{Disk, Filled, read_piece};
use super::{CHUNK, Fault, Scratch};
use crate::codec::{Hasher, Sum};
use crate::filesystem::cache::Backing;
use crate::reactor::Moment;
use crate::wire::text::Count;

/// One reading of a file or a stretch of it, a chunk a turn: 30 to 100 µs, by algorithm.
#[derive(Debug)]
pub struct Scan {
    file: OwnedFd,
    at: u64,
    end: u64,
    tally: Tally,
    /// What comes next is, or was just, on its way from the disk.
    wait: Option<Wait>,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// There is more to read.
    More,
    /// The disk is not ready: come back then.
    Wait(Moment),
    /// All is read.
    Found(Found),
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
        Self { file, at: stretch.start, end: stretch.end, tally, wait: None }
    }

    /// One bounded turn.
    ///
    /// # Errors
    /// What the file system says; [`Fault::Truncated`] when the file has become shorter than the stretch.
    pub fn turn(&mut self, scratch: &mut Scratch, now: Moment) -> Result<Sight, Fault> {
        // Even a read that does not wait has the disk fetch something: not before there is a lane.
        let queued = self.wait.as_ref().is_some_and(Wait::is_queued);
        let mut filled = if queued { Filled::Cold } else { self.read(scratch, Disk::Ready)? };
        if filled == Filled::Cold {
            let stretch = Stretch { file: self.file.as_fd(), at: self.at, end: self.end, backing: Backing::Disk };
            match self.wait.get_or_insert_with(|| scratch.lanes.enter(now, self.at)).visit(stretch, now) {
                Visit::Until(until) => return Ok(Sight::Wait(until)),
                Visit::Force => filled = self.read(scratch, Disk::Waited)?,
            }
        } else {
            self.warmed(now);
        }
        Ok(if filled == Filled::End { Sight::Found(self.tally.found()) } else { Sight::More })
    }

    fn read(&mut self, scratch: &mut Scratch, disk: Disk) -> Result<Filled, Fault> {
        let filled = read_piece(&self.file, &mut self.at, self.end, &mut scratch.piece, CHUNK, disk)?;
        self.tally.feed(scratch.piece.bytes());
        Ok(filled)
    }

    /// The disk has brought something: its lane is given back once all that was asked for is there.
    fn warmed(&mut self, now: Moment) {
        let Some(wait) = &mut self.wait else { return };
        if wait.advanced(Stretch { file: self.file.as_fd(), at: self.at, end: self.end, backing: Backing::Disk }, now) {
            self.wait = None;
        }
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
    use crate::reactor::Clock;

    fn scan(content: &[u8], stretch: Range<u64>, tally: Tally) -> (Result<Found, Fault>, usize) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        std::fs::write(&path, content).expect("a file");
        let mut scan = Scan::new(std::fs::File::open(path).expect("open").into(), stretch, tally);
        let mut scratch = Scratch::default();
        let now = Clock::start().now();
        for turns in 1..100 {
            match scan.turn(&mut scratch, now) {
                Ok(Sight::More | Sight::Wait(_)) => {}
                Ok(Sight::Found(found)) => return (Ok(found), turns),
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
