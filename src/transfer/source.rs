//! Where outgoing bytes come from.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::{CHUNK, Deflated, Fault, LISTING_BYTES, SEND_FILE_BYTES, TURN_BYTES};
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
    raw: Vec<u8>,
}

impl Source {
    /// A file sent line by line, from the `skip`th byte of its translated form on.
    pub fn text(file: OwnedFd, size: u64, skip: u64) -> Self {
        Self::Text(Text { file, at: 0, end: size, lines: ToWire::new(), skip, raw: Vec::new() })
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

    /// Appends the next piece to `out`, a [`CHUNK`] at the most. False: that was all.
    ///
    /// # Errors
    /// What the file system says.
    pub fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, Fault> {
        match self {
            Self::Image { file, at, end } => read_piece(file, at, *end, out),
            Self::Text(text) => text.fill(out),
            Self::Listing(listing) => match listing.fill(out, LISTING_BYTES) {
                Ok(Fill::More) => Ok(true),
                Ok(Fill::End) => Ok(false),
                Err(crate::filesystem::Fault::Os(errno)) => Err(Fault::of_file(errno)),
                Err(_) => Err(Fault::Local(Errno::IO)),
            },
            Self::Deflated(deflated) => deflated.fill(out),
        }
    }
}

impl Text {
    fn fill(&mut self, out: &mut Vec<u8>) -> Result<bool, Fault> {
        self.raw.clear();
        let more = read_piece(&self.file, &mut self.at, self.end, &mut self.raw)?;
        let begin = out.len();
        self.lines.convert(&self.raw, out);
        let added = out.len() - begin;
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(added);
        if skipped > 0 {
            out.drain(begin..begin + skipped);
            self.skip -= skipped as u64;
        }
        Ok(more)
    }
}

/// Appends up to a chunk of the file. False: its end is reached.
pub(super) fn read_piece(file: &OwnedFd, at: &mut u64, end: u64, out: &mut Vec<u8>) -> Result<bool, Fault> {
    let want = usize::try_from(end - *at).unwrap_or(CHUNK).min(CHUNK);
    if want == 0 {
        return Ok(false);
    }
    let begin = out.len();
    out.resize(begin + want, 0);
    let read = rustix::io::pread(file.as_fd(), &mut out[begin..], *at).map_err(Fault::of_file)?;
    out.truncate(begin + read);
    if read == 0 {
        return Err(Fault::Truncated);
    }
    *at += read as u64;
    Ok(*at < end)
}
