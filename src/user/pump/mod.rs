//! What moves a transfer's bytes on the client's side: the pumps that a User-PI hands to its User-DTP and gets back.
//!
//! They are the counterpart of the crate's `transfer`, which they use for files that go out. What differs is where bytes
//! go: into memory (listings), beside an existing file to be compared, from and to streams.

pub mod audit;
mod intake;
mod low_water;
mod outlet;

use std::fmt;

use mio::net::TcpStream;

use crate::reactor::Link;
use crate::transfer::Fault;

pub use intake::Intake;
pub use low_water::keep_little_unsent;
pub use outlet::Outlet;

/// Which way bytes flow, and from or to what.
#[derive(Debug)]
pub enum Pump {
    /// The server's bytes come in.
    In(Box<Intake>),
    /// Local bytes go out.
    Out(Box<Outlet>),
}

/// What ended a data connection before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snag {
    /// The connection or the local file failed.
    Fault(Fault),
    /// The bytes that were to prove a restart are others: REST was ignored or the file has changed.
    Differs,
    /// The data connection's TLS did not come about.
    Handshake,
    /// It came about with a certificate that is not the control connection's.
    Impostor,
    /// More came than memory is meant to hold.
    Overlong,
    /// Much more came than the server's SIZE said.
    Endless,
    /// It ended without TLS's own end (FIN, and no close_notify before it): somebody on the way may have cut off the rest.
    Unclosed,
}

impl Snag {
    /// Whether the connection broke.
    pub const fn is_loss(self) -> bool {
        matches!(self, Self::Fault(Fault::Lost(_)))
    }

    /// Whether the session had the connection closed.
    pub const fn is_cut(self) -> bool {
        matches!(self, Self::Fault(Fault::Aborted))
    }

    /// Whether it arose on this side: the file here, or what is compared here. The server's complaint about the
    /// connection that is closed for it is then only an echo.
    pub const fn is_ours(self) -> bool {
        match self {
            Self::Differs | Self::Overlong | Self::Endless | Self::Impostor => true,
            Self::Handshake | Self::Unclosed => false,
            Self::Fault(fault) => {
                matches!(fault, Fault::Local(_) | Fault::DiskFull | Fault::OverQuota | Fault::Truncated)
            }
        }
    }
}

impl From<Fault> for Snag {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for Snag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => write!(f, "{fault}"),
            Self::Differs => f.write_str("the restarted data does not continue what is here"),
            Self::Handshake => f.write_str("the TLS handshake of the data connection failed"),
            Self::Impostor => f.write_str("the data connection shows another certificate than the control connection"),
            Self::Overlong => f.write_str("the server sends more than a listing may hold"),
            Self::Endless => f.write_str("the server sends far more than it says there is"),
            Self::Unclosed => f.write_str("the data connection's TLS ended without its farewell (cut off on the way?)"),
        }
    }
}

impl Pump {
    /// What was found out about a download that nobody keeps.
    pub fn audit(&mut self) -> Option<&mut audit::Audit> {
        match self {
            Self::In(intake) => intake.audit(),
            Self::Out(_) => None,
        }
    }

    /// The connection has been begun and nothing moves yet.
    pub fn prepare(&self, socket: &TcpStream) {
        if let Self::In(intake) = self {
            intake.widen(socket);
        }
    }

    /// Whether it sends what can be read a second time, should the server not take it.
    pub const fn is_rewindable(&self) -> bool {
        matches!(self, Self::Out(outlet) if outlet.is_file())
    }

    /// Bytes moved, given what the link still holds.
    pub fn moved(&self, link: &Link) -> u64 {
        match self {
            Self::In(intake) => intake.moved(),
            Self::Out(outlet) => outlet.moved(link),
        }
    }
}
