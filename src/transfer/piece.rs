//! What a source gives at once.

/// The next bytes of a source: made for the peer, or read from a file as they are.
///
/// Memory that files are read into keeps its length. Growing a `Vec` anew for each read clears it each time, in a build
/// for size a byte at a time: that was 38 % of the time of a download through TLS.
#[derive(Debug, Default)]
pub struct Piece {
    made: Vec<u8>,
    read: Vec<u8>,
    holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// All of `made`.
    Made,
    /// So many bytes of `read`.
    Read(usize),
}

impl Default for Holds {
    fn default() -> Self {
        Self::Read(0)
    }
}

impl Piece {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self.holds {
            Holds::Made => &self.made,
            Holds::Read(count) => self.read.get(..count).unwrap_or_default(),
        }
    }

    /// Drops what is there, for bytes to be appended.
    pub(super) fn make(&mut self) -> &mut Vec<u8> {
        self.made.clear();
        self.holds = Holds::Made;
        &mut self.made
    }

    /// Drops what is there, for up to `length` bytes to be read; [`Piece::hold`] says how many were.
    pub(super) fn room(&mut self, length: usize) -> &mut [u8] {
        self.holds = Holds::Read(0);
        if self.read.len() < length {
            self.read = vec![0; length];
        }
        &mut self.read[..length]
    }

    /// So many bytes were read into the room.
    pub(super) const fn hold(&mut self, count: usize) {
        self.holds = Holds::Read(count);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::source::{Disk, Filled};
    use super::super::{CHUNK, Source};
    use super::*;
    use crate::filesystem::cache::Backing;

    fn file(content: &[u8]) -> std::os::fd::OwnedFd {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(content).expect("written");
        file.into()
    }

    #[test]
    fn nothing_of_an_earlier_piece_comes_again() {
        let mut piece = Piece::default();
        let long = vec![7; CHUNK];
        let mut source = Source::image(file(&long), 0, long.len() as u64);
        assert_eq!(source.fill(&mut piece, CHUNK, Disk::Ready), Ok(Filled::End));
        assert_eq!(piece.bytes(), long);
        assert_eq!(source.fill(&mut piece, CHUNK, Disk::Ready), Ok(Filled::End));
        assert_eq!(piece.bytes(), b"", "at the end");
        let mut source = Source::text(file(b"a\nb"), 3, 1);
        assert_eq!(source.fill(&mut piece, CHUNK, Disk::Ready), Ok(Filled::End));
        assert_eq!(piece.bytes(), b"\r\nb", "made after read");
        let mut source = Source::Image { file: file(b"xyz"), at: 1, end: 3, backing: Backing::Memory };
        assert_eq!(source.fill(&mut piece, CHUNK, Disk::Ready), Ok(Filled::End));
        assert_eq!(piece.bytes(), b"yz", "read after made");
        assert_eq!(piece.room(9).len(), 9);
        assert_eq!(piece.bytes(), b"", "before a read");
    }
}
