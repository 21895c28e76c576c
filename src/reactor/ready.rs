//! What is known about a record's readiness, kept by ourselves because edges are told only once.

use mio::event::Event;

/// A set of reasons to run a record.
///
/// `READ` and `WRITE` stay until a call on the socket disproves them: by `WouldBlock`, or by moving less than it was
/// offered. A short read proves nothing once the peer has hung up (the end is still to be read), hence `HANGUP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready(u8);

impl Ready {
    /// A read may yield something.
    pub const READ: Self = Self(1);
    /// A write may be taken.
    pub const WRITE: Self = Self(2);
    /// The peer closed a direction, or the socket has an error.
    pub const HANGUP: Self = Self(4);
    /// The record's deadline has passed.
    pub const EXPIRED: Self = Self(8);
    /// Urgent data is in the stream: a read stops short of it, which proves nothing (TCP's mark, RFC 6093).
    pub const URGENT: Self = Self(16);

    /// Nothing is known.
    pub const fn none() -> Self {
        Self(0)
    }

    /// What to assume of a socket nobody asked yet: try both, the first `WouldBlock` tells.
    pub const fn unknown() -> Self {
        Self(Self::READ.0 | Self::WRITE.0)
    }

    /// Whether every reason of `other` is in the set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds reasons.
    pub const fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Takes reasons away.
    pub const fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Takes a reason away and tells whether it was there.
    pub const fn take(&mut self, other: Self) -> bool {
        let had = self.has(other);
        self.clear(other);
        had
    }

    /// An event's meaning. An error or a hang-up sets both directions, so that the next call meets it.
    pub(super) fn of(event: &Event) -> Self {
        let mut ready = Self::none();
        if event.is_readable() {
            ready.set(Self::READ);
        }
        if event.is_writable() {
            ready.set(Self::WRITE);
        }
        if event.is_priority() {
            ready.set(Self(Self::READ.0 | Self::URGENT.0));
        }
        if event.is_error() || event.is_read_closed() || event.is_write_closed() {
            ready.set(Self(Self::READ.0 | Self::WRITE.0 | Self::HANGUP.0));
        }
        ready
    }
}
