//! How much patience a session has with the server.
//!
//! Only what a server may legally say before its answer draws a wait out. Bytes as such do not, nor do replies that
//! nobody asked for or Telnet's questions: a server could keep us with any of them for ever.

use std::time::Duration;

/// How long an upload waits for 1yz before it begins without: some servers never send one.
pub(super) const PATIENCE_FOR_1YZ: Duration = Duration::from_secs(5);

/// How long a server that was cut short may take to say so: when there was enough, or too much.
pub(super) const PATIENCE_WITH_THE_CUT: Duration = Duration::from_secs(5);

/// How long an aborted transfer's replies are waited for.
pub(super) const PATIENCE_FOR_ABORT: Duration = Duration::from_secs(10);

/// How long a listing that is done before it has begun may take to show something; half the time-out at most, so that the
/// data connection does not run into it first.
pub(super) const PATIENCE_WITH_THE_EMPTY: Duration = Duration::from_secs(5);

/// How many silences a wait may be drawn out to by 1yz. RFC 959 lets a server say as many as it likes; none in use says more
/// than two, and who repeats `150 wait` instead of an end would never be left.
const DRAWN_OUT: u32 = 4;

/// How long a digest may take a server that says every few seconds that it is at work: a terabyte at 300 MB/s.
const DIGEST: Duration = Duration::from_secs(3600);

/// What a session allows the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Nothing may be heard for so long.
    pub silence: Duration,
    /// And so long it may take in all.
    pub longest: Duration,
    /// Whether a part of a reply is a sign of life.
    pub by_lines: bool,
}

impl Patience {
    /// With one reply, which may not be drawn out.
    pub const fn short(silence: Duration) -> Self {
        Self { silence, longest: silence, by_lines: false }
    }

    /// With a reply that 1yz may come before.
    pub const fn ordinary(silence: Duration) -> Self {
        Self { silence, longest: silence.saturating_mul(DRAWN_OUT), by_lines: false }
    }

    /// With a server that reads a whole file to answer, and sends a line of its reply now and then meanwhile.
    pub fn digest(silence: Duration) -> Self {
        Self { silence, longest: DIGEST.max(silence), by_lines: true }
    }
}
