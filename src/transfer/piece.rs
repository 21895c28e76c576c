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
