//! Where outgoing bytes come from.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::disk::{FORCED_PIECE, Stretch};
use super::{CHUNK, Deflated, Fault, LISTING_BYTES, Piece, SEND_FILE_BYTES, TURN_BYTES};
use crate::filesystem::cache::{self, Backing, Cached};
use crate::filesystem::watch::watched;
use crate::filesystem::{Fill, Listing};
use crate::wire::text::ToWire;

/// Something that can be sent.
#[derive(Debug)]
pub enum Source {
    /// A stretch of a file as it is (TYPE I). The end is fixed when the transfer begins: a file that grows is sent as
    /// long as 150 said, one that shrinks is a [`Fault::Truncated`].
    Image {
        /// The file.
        file: OwnedFd,
        /// The next byte to send.
        at: u64,
        /// The byte after the last.
        end: u64,
        /// What it lies on.
        backing: Backing,
    },
    /// A text file, its line ends translated (TYPE A).
    Text(Text),
    /// A directory (LIST, NLST, MLSD).
    Listing(Box<Listing>),
    /// Any of these, compressed (MODE Z).
    Deflated(Box<Deflated>),
}

/// A text file on its way to the wire.
#[derive(Debug)]
pub struct Text {
    file: OwnedFd,
    at: u64,
    end: u64,
    lines: ToWire,
    /// Bytes of the *translated* stream still to be left out: a restart marker counts those.
    skip: u64,
    raw: Piece,
}

/// What asking a source for its next piece came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// A piece is there, and more will come.
    More,
    /// That was all.
    End,
    /// Nothing: the disk would have to be waited for.
    Cold,
}

/// Whether a source may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// Only what is in memory.
    Ready,
    /// A small piece, however long it takes.
    Waited,
}

impl Source {
    /// Bytes `at` up to `end` of a file that may have to be waited for.
    pub const fn image(file: OwnedFd, at: u64, end: u64) -> Self {
        Self::Image { file, at, end, backing: Backing::Disk }
    }

    /// A file sent line by line, from the `skip`th byte of its translated form on.
    pub fn text(file: OwnedFd, size: u64, skip: u64) -> Self {
        Self::Text(Text { file, at: 0, end: size, lines: ToWire::new(), skip, raw: Piece::default() })
    }

    /// How many bytes make a turn of this source: what costs more a byte gets fewer of them.
    pub const fn turn_bytes(&self) -> usize {
        match self {
            Self::Image { .. } => SEND_FILE_BYTES,
            Self::Text(_) => TURN_BYTES,
            Self::Listing(_) => LISTING_BYTES,
            // A piece, however little of it comes out.
            Self::Deflated(_) => 1,
        }
    }

    /// Fills `piece` with what comes next: of a file as it is no more than `most` bytes, else about a [`CHUNK`].
    ///
    /// # Errors
    /// What the file system says.
    pub fn fill(&mut self, piece: &mut Piece, most: usize, disk: Disk) -> Result<Filled, Fault> {
        match self {
            Self::Image { file, at, end, backing: Backing::Memory } => read_memory(file, at, *end, piece, most),
            Self::Image { file, at, end, backing: Backing::Disk } => read_piece(file, at, *end, piece, most, disk),
            Self::Text(text) => text.fill(piece.make(), disk),
            Self::Listing(listing) => match watched("readdir and stat", || listing.fill(piece.make(), LISTING_BYTES)) {
                Ok(Fill::More) => Ok(Filled::More),
                Ok(Fill::End) => Ok(Filled::End),
                Err(crate::filesystem::Fault::Os(errno)) => Err(Fault::of_file(errno)),
                Err(_) => Err(Fault::Local(Errno::IO)),
            },
            Self::Deflated(deflated) => deflated.fill(piece.make(), disk),
        }
    }

    /// Whether it is a file's contents, compressed or not.
    pub const fn is_file(&self) -> bool {
        match self {
            Self::Image { .. } | Self::Text(_) => true,
            Self::Listing(_) => false,
            Self::Deflated(deflated) => deflated.is_file(),
        }
    }

    /// What of a file is still to be read; none for what is no file.
    pub fn stretch(&self) -> Option<Stretch<'_>> {
        match self {
            Self::Image { file, at, end, backing } => {
                Some(Stretch { file: file.as_fd(), at: *at, end: *end, backing: *backing })
            }
            Self::Text(text) => {
                Some(Stretch { file: text.file.as_fd(), at: text.at, end: text.end, backing: Backing::Disk })
            }
            Self::Listing(_) => None,
            Self::Deflated(deflated) => deflated.stretch(),
        }
    }
}

impl Text {
    fn fill(&mut self, out: &mut Vec<u8>, disk: Disk) -> Result<Filled, Fault> {
        let filled = read_piece(&self.file, &mut self.at, self.end, &mut self.raw, CHUNK, disk)?;
        self.lines.convert(self.raw.bytes(), out);
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(out.len());
        if skipped > 0 {
            out.drain(..skipped);
            self.skip -= skipped as u64;
        }
        Ok(filled)
    }
}

/// Reads up to `most` bytes of the file: such as memory holds, or a small piece that is waited for.
pub(super) fn read_piece(
    file: &OwnedFd,
    at: &mut u64,
    end: u64,
    piece: &mut Piece,
    most: usize,
    disk: Disk,
) -> Result<Filled, Fault> {
    let most = if disk == Disk::Ready { most } else { most.min(FORCED_PIECE) };
    read(at, end, piece, most, |place, at| match disk {
        Disk::Ready => cache::read(file.as_fd(), place, at),
        Disk::Waited => cache::read_blocking(file.as_fd(), place, at).map(Cached::Bytes),
    })
}

/// The same of a file that lies in memory.
fn read_memory(file: &OwnedFd, at: &mut u64, end: u64, piece: &mut Piece, most: usize) -> Result<Filled, Fault> {
    read(at, end, piece, most, |place, at| cache::read_blocking(file.as_fd(), place, at).map(Cached::Bytes))
}

fn read(
    at: &mut u64,
    end: u64,
    piece: &mut Piece,
    most: usize,
    from: impl FnOnce(&mut [u8], u64) -> Result<Cached, Errno>,
) -> Result<Filled, Fault> {
    let want = usize::try_from(end - *at).unwrap_or(most).min(most);
    let place = piece.room(want);
    if want == 0 {
        return Ok(Filled::End);
    }
    let read = match from(place, *at).map_err(Fault::of_file)? {
        Cached::Bytes(0) => return Err(Fault::Truncated),
        Cached::Bytes(read) => read,
        Cached::Cold => 0,
    };
    piece.hold(read);
    *at += read as u64;
    Ok(match read {
        0 => Filled::Cold,
        _ if *at < end => Filled::More,
        _ => Filled::End,
    })
}
