//! Write-out that keeps up with an upload, so that no dirty heap grows which the kernel would one day make us wait for.
//!
//! ```text
//!   0 ........... confirmed ........................ begun ............ at
//!     on the disk           │ at most 8 MiB under way  │ less than 1 MiB │
//! ```
//!
//! Each megabyte is handed to the disk as soon as it is whole. Whether it has arrived is asked of its last grain, the
//! canary: once that can be dropped from memory, it is written. The seven other grains stay in memory for whoever
//! reads the file next. A page of the cache can be as large as the call that filled it and is dropped as a whole or not
//! at all, so no call writes across a canary's edge ([`Writing::room`]). While the oldest of eight megabytes is still under
//! way, the socket is not read, and TCP makes the peer wait.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};

use crate::filesystem::cache::{self, GRAIN, Residence};
use crate::filesystem::descriptor_name;
use crate::reactor::Moment;

/// What is handed to the disk at once.
const STEP: u64 = 1024 * 1024;

/// What may be under way: below every threshold from which on kernels make writers wait, but for hosts so small that
/// theirs is lower still.
const UNDER_WAY: u64 = 8 * STEP;

/// The first pause before the disk is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A canary that cannot be dropped for this long may be held by somebody else (mapped, or being sent), or be part of a
/// larger page than it is itself (an old file overwritten in place), and says nothing. Longer than a slow disk takes
/// for all that is under way of a few uploads.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far the write-out of one upload is.
#[derive(Debug)]
pub struct Writing {
    confirmed: u64,
    begun: u64,
    meter: Meter,
    /// Since when the oldest step is waited for, and the next pause.
    waiting: Option<(Moment, Duration)>,
}

/// How it is known what is written.
#[derive(Debug)]
enum Meter {
    /// Not asked yet: most uploads end before.
    Unasked,
    /// Through a second descriptor, open for reading.
    Asks(OwnedFd),
    /// Not at all: write-out is begun, nothing waits for it.
    Blind,
}

impl Writing {
    /// For a file that is written from `at` on.
    pub const fn from(at: u64) -> Self {
        Self { confirmed: at, begun: at, meter: Meter::Unasked, waiting: None }
    }

    /// How many bytes one call may write from `at` on: up to the next edge of a canary, at least one.
    pub const fn room(at: u64) -> u64 {
        let (within, canary) = (at % STEP, STEP - GRAIN);
        if within < canary { canary - within } else { STEP - within }
    }

    /// The file is written up to `at`.
    pub fn advanced(&mut self, file: BorrowedFd<'_>, at: u64) {
        while at.saturating_sub(self.begun) >= STEP {
            cache::start_writing(file, self.begun, STEP);
            self.begun += STEP;
        }
    }

    /// When to look again, if too much is under way to take more now.
    pub fn hold(&mut self, file: BorrowedFd<'_>, now: Moment) -> Option<Moment> {
        while self.begun - self.confirmed >= UNDER_WAY {
            if !self.is_written(file) {
                return self.pause(now);
            }
            self.confirmed += STEP;
            self.waiting = None;
        }
        None
    }

    fn pause(&mut self, now: Moment) -> Option<Moment> {
        let (since, pause) = *self.waiting.get_or_insert((now, FIRST_PAUSE));
        if since.after(PATIENCE) <= now {
            log::debug!("an upload's write-out cannot be followed any more");
            self.meter = Meter::Blind;
            return None;
        }
        self.waiting = Some((since, (pause * 2).min(LONGEST_PAUSE)));
        Some(now.after(pause))
    }

    /// Whether the oldest step is on the disk, as far as can be told.
    fn is_written(&mut self, file: BorrowedFd<'_>) -> bool {
        if matches!(self.meter, Meter::Unasked) {
            self.meter = reader_of(file).map_or(Meter::Blind, Meter::Asks);
        }
        let Meter::Asks(reader) = &self.meter else { return true };
        let canary = (self.confirmed + STEP) / GRAIN * GRAIN - GRAIN;
        cache::evict(reader.as_fd(), canary, GRAIN);
        match cache::holds(reader.as_fd(), canary + GRAIN / 2) {
            Residence::Memory => false,
            Residence::Disk => true,
            Residence::Unknown => {
                self.meter = Meter::Blind;
                true
            }
        }
    }
}

/// The file once more, to be read: an upload's descriptor can only write.
fn reader_of(file: BorrowedFd<'_>) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    rustix::fs::openat(CWD, descriptor_name(&file), flags, Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Clock;
    use crate::transfer::RECEIVED;

    /// Writes one piece, as it is received, from `at` on and answers where it ends.
    fn put(owned: &OwnedFd, at: u64) -> u64 {
        let (mut from, end) = (at, at + RECEIVED as u64);
        while from < end {
            let piece = vec![1; (end - from).min(Writing::room(from)) as usize];
            from += rustix::io::pwrite(owned, &piece, from).expect("written") as u64;
        }
        end
    }

    #[test]
    fn no_call_writes_across_the_edge_of_a_canary() {
        for (at, room) in [
            (0, 7 * GRAIN),
            (1, 7 * GRAIN - 1),
            (7 * GRAIN - 1, 1),
            (7 * GRAIN, GRAIN),
            (STEP - 1, 1),
            (STEP, 7 * GRAIN),
        ] {
            assert_eq!(Writing::room(at), room, "{at}");
        }
    }

    /// On a file system with large pages and without [`Writing::room`], nothing that was written is ever found to be.
    #[test]
    fn what_is_on_the_disk_holds_nobody_and_no_more_than_the_bound_is_under_way() {
        // The second is not on the grid, as after REST.
        for start in [0, 1000] {
            let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder");
            let owned = OwnedFd::from(std::fs::File::create(folder.path().join("x")).expect("a file"));
            assert_eq!(written_from(&owned, start, 32 << 20), 32 << 20);
        }
    }

    /// How far an upload from `start` to `size` comes.
    fn written_from(owned: &OwnedFd, start: u64, size: u64) -> u64 {
        let now = Clock::start().now();
        let (mut writing, mut at) = (Writing::from(start), start);
        for _ in 0..1024 {
            assert!(writing.begun - writing.confirmed <= UNDER_WAY);
            if at >= size {
                return size;
            }
            // What is on the disk may still be in the kernel's hands for a moment; it is asked again after the next sync.
            if writing.hold(owned.as_fd(), now).is_some() {
                rustix::fs::fsync(owned).expect("on the disk");
                continue;
            }
            at = put(owned, at);
            writing.advanced(owned.as_fd(), at);
        }
        at
    }

    #[test]
    fn a_canary_that_never_leaves_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = std::fs::File::create(folder.path().join("x")).expect("a file");
        let owned = OwnedFd::from(file);
        let now = Clock::start().now();
        let mut writing = Writing::from(0);
        writing.begun = UNDER_WAY;
        let first = writing.pause(now);
        assert_eq!(first, Some(now.after(FIRST_PAUSE)));
        assert_eq!(writing.pause(now.after(PATIENCE)), None);
        assert!(writing.is_written(owned.as_fd()));
    }
}
