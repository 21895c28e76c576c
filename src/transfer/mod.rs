//! The arrow "Data Connection": the pump that both DTPs run.
//!
//! A [`Job`] goes down from a PI to its DTP once; a [`Report`] comes up once. In between the pump moves bytes from a
//! [`Source`] to a link or from a link to a [`Sink`], a bounded piece a turn, and never waits: not for a socket, not
//! for a [`disk`], and not for its turn under a rate ([`Pace`]).

mod compressed;
mod digests;
pub mod disk;
mod job;
mod pace;
mod piece;
mod receiver;
mod scan;
mod sender;
mod sink;
mod source;
mod writing;

pub use compressed::{Deflated, Inflating, Place, Places};
pub use digests::Digests;
pub use job::{Farewell, Fault, Flow, Job, Notice, Order, Protection, Report};
pub use pace::{Bucket, Pace};
pub use piece::Piece;
pub use receiver::{Receiver, Tail};
pub use scan::{Found, Scan, Sight, Tally};
pub use sender::Sender;
pub use sink::{Seal, Sink};
pub use source::Source;

use crate::reactor::Moment;

/// What a pump moves through user space before other records get their turn: about 100 µs of one core's time.
pub const TURN_BYTES: usize = 256 * 1024;

/// What `sendfile` moves a turn: about 150 µs. Measured against 256 KiB, which took 1.7 times the CPU time a byte (each
/// call pushes its last segment out and wakes the peer for it), and against 4 MiB, which gained nothing more.
pub const SEND_FILE_BYTES: usize = 1024 * 1024;

/// The piece that is sent through user space at once.
pub const CHUNK: usize = 64 * 1024;

/// The same of an image that goes through TLS: one of its pieces, and so the most that a link may hold unsent for a transfer.
pub const LARGE_CHUNK: usize = 128 * 1024;

/// What a read costs, however little it brings: a system call, and perhaps a record of TLS.
pub const LEAST_COST: usize = 1024;

/// The piece that is received and written at once, and so the one buffer of all uploads: about 400 µs. A GiB takes a bare
/// loop of `recv` and `write` less CPU time the larger its pieces are. The least of several runs, in pieces of 256 KiB,
/// 512 KiB, one and two MiB: 0.59, 0.49, 0.45, 0.39 s on tmpfs from one client, 0.64, 0.61, 0.55, 0.52 s from 64, and
/// 0.40, 0.30, 0.26, 0.25 s on ext4, which takes pages in larger lots then. Two MiB would hold everybody else up for
/// twice as long. `splice` through a pipe was rejected: it took as long as pieces of the same size that are copied (0.49
/// against 0.48 s of a megabyte each on tmpfs, 0.23 both on ext4), since what costs is a file's fresh pages.
pub const RECEIVED: usize = 1024 * 1024;

/// The loop's own: it serves every transfer, since only one has its turn at a time.
#[derive(Debug, Default)]
pub struct Scratch {
    /// What a source is asked to fill, and what a socket reads into.
    piece: Piece,
    /// Who may have the disk fetch something.
    lanes: disk::Lanes,
}

/// One turn's share of a transfer.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// The pass's time.
    pub now: Moment,
    /// Bytes that its rate allows, at least one.
    pub bytes: usize,
}

/// What a listing produces a turn: some 200 entries with a system call each, about 300 µs. Four times as much held a
/// command up for 20 ms beside 20 large listings.
pub const LISTING_BYTES: usize = 16 * 1024;

/// What one turn of a pump came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Budget spent, still going.
    More,
    /// The socket is not ready; an edge will come.
    Blocked,
    /// The disk is not ready, and no edge will tell: come back then.
    Wait(Moment),
    /// All bytes and the FIN are with the kernel (sending), or all bytes are in the file (receiving).
    Done,
}
