//! What a PI and its DTP say to each other. Neither side names a socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;

use super::{Found, Pace, Receiver, Scan, Sender};

/// One transfer: which way, and from or to what.
#[derive(Debug)]
pub struct Job {
    /// Direction and the pump that does it.
    pub flow: Flow,
    /// How many bytes it will be, where that is known before.
    pub total: Option<u64>,
    /// How fast it may go.
    pub pace: Pace,
    /// When the good news of a finished download is told.
    pub farewell: Farewell,
}

/// When a download that is out counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// With our FIN: the final reply may share a segment with the preliminary one.
    AtOnce,
    /// When the peer has closed too, or a moment has passed. For aria2, which reads both replies at once, looks at the
    /// first and then waits for the second until its own time-out. It gives itself away by its `REST 0`.
    AfterPeer,
}

/// The two directions, seen from the side that holds the job.
#[derive(Debug)]
pub enum Flow {
    /// Local data goes out.
    Send(Box<Sender>),
    /// The peer's data comes in.
    Receive(Box<Receiver>),
}

/// What a data connection is protected by (PROT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Nothing (C).
    Clear,
    /// TLS (P).
    Private,
}

/// When a peer hears of the port that is promised to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// As soon as there is one.
    AtOnce,
    /// A moment later, for clients that are not ready for answers as quick as that.
    InAMoment,
}

/// Down: from the PI to its DTP.
#[derive(Debug)]
pub enum Order {
    /// Have a passive port promised to this session's peer (PASV, EPSV).
    Promise(Notice),
    /// Do the job on the promised connection, or on one dialled to the given address (PORT, EPRT).
    Begin(Job, Option<SocketAddr>, Protection),
    /// Read a file through; a `Scanned` answers.
    Scan(Box<Scan>),
    /// Stop the job; a `Done` with [`Fault::Aborted`] answers. A scan ends unanswered.
    Abort,
    /// Drop promise, waiting connection or scan; nothing answers.
    Forget,
    /// Say how far the job is; a `Progress` answers.
    Inquire,
}

/// Up: from the DTP to its PI.
#[derive(Debug)]
pub enum Report {
    /// The peer may connect here.
    Promised(SocketAddr),
    /// No passive port is free for this peer.
    NoPort,
    /// The promise, or the connection that came for it, is gone unused.
    Lapsed,
    /// The job so far.
    Progress {
        /// Bytes moved on the data connection.
        moved: u64,
        /// Bytes there will be, where known.
        total: Option<u64>,
    },
    /// A file was read through.
    Scanned(Result<Found, Fault>),
    /// The job is over and the session may go on.
    Done {
        /// Bytes moved on the data connection; of a compressed transfer, those of the file.
        moved: u64,
        /// Since the data connection was there.
        elapsed: Duration,
        /// How it ended.
        result: Result<(), Fault>,
    },
}

/// Why a transfer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody connected in time, or the connection could not be made.
    NeverConnected,
    /// The handshake of TLS failed, or took too long.
    Insecure,
    /// The data connection's TLS does not go on with the control connection's, and it has to.
    Unproven,
    /// The data connection broke.
    Lost(io::ErrorKind),
    /// No byte moved for too long.
    Stalled,
    /// ABOR, or the end of the session.
    Aborted,
    /// The peer sends on a connection that only receives.
    Noise,
    /// The file became shorter while it was sent.
    Truncated,
    /// The file system failed.
    Local(Errno),
    /// No space left on the device.
    DiskFull,
    /// A quota or a size limit.
    OverQuota,
    /// A compressed stream that is none, was cut, or has a tail.
    Damaged,
}

impl Fault {
    /// What an error of the file system means for a transfer.
    pub const fn of_file(errno: Errno) -> Self {
        match errno {
            Errno::NOSPC => Self::DiskFull,
            Errno::DQUOT | Errno::FBIG => Self::OverQuota,
            other => Self::Local(other),
        }
    }

    /// What an error of the data connection means.
    pub fn of_link(error: &io::Error) -> Self {
        Self::Lost(error.kind())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverConnected => f.write_str("never connected"),
            Self::Insecure => f.write_str("no TLS on the data connection"),
            Self::Unproven => f.write_str("the data connection's TLS session is not the control connection's"),
            Self::Lost(kind) => write!(f, "data connection lost: {kind}"),
            Self::Stalled => f.write_str("stalled"),
            Self::Aborted => f.write_str("aborted"),
            Self::Noise => f.write_str("unexpected input on the data connection"),
            Self::Truncated => f.write_str("file became shorter while it was sent"),
            Self::Local(errno) => write!(f, "local error: {}", io::Error::from(*errno)),
            Self::DiskFull => f.write_str("disk full"),
            Self::OverQuota => f.write_str("quota or size limit"),
            Self::Damaged => f.write_str("damaged or incomplete compressed stream"),
        }
    }
}
