//! Waiting for a disk without standing still: what a download does while its next bytes are not in memory.
//!
//! ```text
//!                cold            a lane is free                    its last page is in memory
//!   (nothing) ─────────▶ Queued ────────────────▶ Fetching ──────────────────────────────────▶ (nothing)
//!                          │ 1–20 ms                 │  │ 1–20 ms: asked again
//!                          └── parked by a timer ────┘  │ nothing came for 500 ms
//!                                                       └──▶ one piece is read and waited for: it comes, or its error
//! ```
//!
//! A disk has no readiness event, hence the timer. Few windows are in flight at once: more would not make a disk
//! faster, only each of them later.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use crate::filesystem::cache::{self, Backing, Residence};
use crate::reactor::Moment;

/// What is asked of the disk at once for one transfer. Sixteen of the kernel's read-ahead windows: a spinning disk
/// reads that in the time of two or three seeks.
pub const WINDOW: u64 = 2 * 1024 * 1024;

/// Windows in flight in the whole server.
const LANES: usize = 16;

/// The first pause before the disk is asked again: a flash disk is done by then.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest: a slow disk's 128 KiB, and no more than a person would notice in a stream.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// After a longer pause than this the disk is asked once more for the same.
const PROMPT: Duration = Duration::from_millis(4);

/// When nothing came for this long, one piece is read and waited for: read errors show in no other way.
const PATIENCE: Duration = Duration::from_millis(500);

/// The same while the disk does bring something to other transfers: it is not broken but busy, and a read that is
/// waited for would only stand in the same queue. All lanes at 8 MB/s need 4 s for a round.
const PATIENCE_WHEN_BUSY: Duration = Duration::from_secs(5);

/// What that one read asks for.
pub const FORCED_PIECE: usize = 16 * 1024;

/// How far a page speaks for those before it: what the kernel reads ahead and drops at a time. A hole within would
/// have to be waited for, so a piece is asked for at its first page and at the last of each such stretch; asking for
/// every page would cost more than sending it.
const STRIDE: u64 = 128 * 1024;

/// The lanes of the server; every transfer has a handle to the same.
#[derive(Debug, Clone, Default)]
pub struct Lanes(Rc<RefCell<Traffic>>);

#[derive(Debug, Default)]
struct Traffic {
    /// Windows in flight.
    fetching: usize,
    /// Transfers that wait for a lane, in order.
    queue: VecDeque<u64>,
    tickets: u64,
    /// When the disk last brought anything.
    arrived: Option<Moment>,
}

/// One transfer's wait for its window. Dropping it gives its place or its lane back.
#[derive(Debug)]
pub struct Wait {
    lanes: Lanes,
    place: Place,
    /// Since when nothing came.
    since: Moment,
    pause: Duration,
    /// Up to here pages have come out of order.
    suspect: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// No lane yet.
    Queued { ticket: u64 },
    /// The disk was asked for what lies before `end`.
    Fetching { end: u64 },
}

/// What a visit to cold data came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// Come back then.
    Until(Moment),
    /// Read a piece and wait for it.
    Force,
}

/// A file that is being read: where, and up to where.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// The file.
    pub file: BorrowedFd<'a>,
    /// The next byte wanted.
    pub at: u64,
    /// The byte after the last.
    pub end: u64,
    /// What it lies on.
    pub backing: Backing,
}

impl Lanes {
    /// Takes a place in the queue. What lies before `miss` may have come with holes in it ([`first_miss`]).
    pub fn enter(&self, now: Moment, miss: u64) -> Wait {
        let mut traffic = self.0.borrow_mut();
        let ticket = traffic.tickets;
        traffic.tickets += 1;
        traffic.queue.push_back(ticket);
        Wait { lanes: self.clone(), place: Place::Queued { ticket }, since: now, pause: FIRST_PAUSE, suspect: miss }
    }
}

impl Wait {
    /// The data at `stretch.at` is not in memory: has it fetched, or waits for a lane.
    pub fn visit(&mut self, stretch: Stretch<'_>, now: Moment) -> Visit {
        if !self.find_lane(stretch, now) {
            return Visit::Until(now.after(LONGEST_PAUSE));
        }
        let impatient = self.since.after(self.patience(now)) <= now;
        if let Place::Fetching { end } = &mut self.place {
            if impatient {
                self.since = now;
                // A page whose read has failed stays in memory, empty, and nothing fetches it again until it has left.
                cache::evict(stretch.file, stretch.at, end.saturating_sub(stretch.at).max(1));
                return Visit::Force;
            }
            let asked = *end;
            *end = stretch.end.min(stretch.at + WINDOW).max(asked);
            // Asked again when nothing comes: what memory was short of at first, or took away meanwhile, comes after all.
            let from = if self.pause > PROMPT { stretch.at } else { asked };
            cache::fetch(stretch.file, from, *end);
        }
        let until = now.after(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Visit::Until(until)
    }

    /// How many bytes from `at` on were asked for in order, so that a page of them speaks for those before it.
    pub const fn in_order(&self, at: u64) -> u64 {
        match self.place {
            Place::Fetching { end } if at >= self.suspect => end.saturating_sub(at),
            _ => 0,
        }
    }

    /// Whether it has no lane yet. Even a read with NOWAIT has the disk fetch something: not before there is a lane.
    pub const fn is_queued(&self) -> bool {
        matches!(self.place, Place::Queued { .. })
    }

    /// Something came. True: all that was asked for has come, the wait is over.
    pub fn advanced(&mut self, stretch: Stretch<'_>, now: Moment) -> bool {
        self.since = now;
        self.pause = FIRST_PAUSE;
        self.lanes.0.borrow_mut().arrived = Some(now);
        match self.place {
            Place::Queued { .. } => true, // somebody else had it fetched
            Place::Fetching { end } => stretch.at >= end,
        }
    }

    /// The peer takes nothing at the moment: a lane is kept only until the window is there, and not for long.
    /// The moment to look again, or none when the wait is over.
    pub fn idle(&self, stretch: Stretch<'_>, now: Moment) -> Option<Moment> {
        let waits = match self.place {
            Place::Queued { .. } => false,
            Place::Fetching { end } => cache::holds(stretch.file, end.saturating_sub(1)) == Residence::Disk,
        };
        (waits && self.since.after(PATIENCE) > now).then(|| now.after(LONGEST_PAUSE))
    }

    fn patience(&self, now: Moment) -> Duration {
        let busy = self.lanes.0.borrow().arrived.is_some_and(|arrived| now.since(arrived) < PATIENCE);
        if busy { PATIENCE_WHEN_BUSY } else { PATIENCE }
    }

    /// The first in the queue takes a free lane. A wait for a lane is no wait for the disk.
    fn find_lane(&mut self, stretch: Stretch<'_>, now: Moment) -> bool {
        let Place::Queued { ticket } = self.place else { return true };
        let mut traffic = self.lanes.0.borrow_mut();
        if traffic.fetching >= LANES || traffic.queue.front() != Some(&ticket) {
            return false;
        }
        traffic.queue.pop_front();
        traffic.fetching += 1;
        self.place = Place::Fetching { end: stretch.at };
        self.since = now;
        true
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut traffic = self.lanes.0.borrow_mut();
        match self.place {
            Place::Queued { ticket } => traffic.queue.retain(|other| *other != ticket),
            Place::Fetching { .. } => traffic.fetching -= 1,
        }
    }
}

/// Where the next `count` bytes of the stretch are found not to be in memory; none: the kernel may send them by itself.
///
/// A page that is not there is on its way as soon as it was asked for, and then speaks no more for those before it. So
/// what lies before such a place is to be read with NOWAIT, and not to be probed again.
pub fn first_miss(stretch: Stretch<'_>, count: usize) -> Option<u64> {
    if stretch.backing == Backing::Memory {
        return None;
    }
    let end = stretch.end.min(stretch.at + count as u64);
    let mut at = stretch.at;
    match cache::holds(stretch.file, at) {
        Residence::Unknown => return None,
        Residence::Disk => return Some(at),
        Residence::Memory => {}
    }
    while at < end {
        at = end.min(at + STRIDE);
        if cache::holds(stretch.file, at - 1) == Residence::Disk {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Clock;
    use std::os::fd::AsFd;

    fn stretch(file: &std::fs::File) -> Stretch<'_> {
        Stretch { file: file.as_fd(), at: 0, end: 1 << 20, backing: Backing::Disk }
    }

    #[test]
    fn lanes_are_bounded_and_given_in_order() {
        let file = tempfile::tempfile().expect("a file");
        let now = Clock::start().now();
        let lanes = Lanes::default();
        let mut waits: Vec<Wait> = (0..LANES + 2).map(|_| lanes.enter(now, 0)).collect();
        let fetching =
            |waits: &[Wait]| waits.iter().filter(|wait| matches!(wait.place, Place::Fetching { .. })).count();
        for wait in &mut waits {
            wait.visit(stretch(&file), now);
        }
        assert_eq!(fetching(&waits), LANES);
        waits.remove(0);
        let last = waits.len() - 1;
        waits[last].visit(stretch(&file), now);
        assert_eq!(fetching(&waits), LANES - 1);
        waits[last - 1].visit(stretch(&file), now);
        waits[last].visit(stretch(&file), now);
        assert_eq!(fetching(&waits), LANES);
        drop(waits);
        assert_eq!(lanes.0.borrow().fetching, 0);
        assert!(lanes.0.borrow().queue.is_empty());
    }

    #[test]
    fn a_read_is_forced_only_after_patience_and_later_when_the_disk_is_busy() {
        let file = tempfile::tempfile().expect("a file");
        let start = Clock::start().now();
        let lanes = Lanes::default();
        let mut wait = lanes.enter(start, 0);
        let mut other = lanes.enter(start, 0);
        assert_eq!(wait.visit(stretch(&file), start), Visit::Until(start.after(FIRST_PAUSE)));
        let late = start.after(PATIENCE);
        other.visit(stretch(&file), start);
        other.advanced(stretch(&file), late);
        assert!(matches!(wait.visit(stretch(&file), late), Visit::Until(_)));
        let later = late.after(PATIENCE);
        assert_eq!(wait.visit(stretch(&file), later), Visit::Force);
        assert!(matches!(wait.visit(stretch(&file), later), Visit::Until(_)));
    }

    #[test]
    fn a_wait_for_a_lane_forces_nothing() {
        let file = tempfile::tempfile().expect("a file");
        let start = Clock::start().now();
        let lanes = Lanes::default();
        let _first = lanes.enter(start, 0);
        let mut second = lanes.enter(start, 0);
        assert!(matches!(second.visit(stretch(&file), start.after(PATIENCE * 100)), Visit::Until(_)));
    }

    #[test]
    fn a_peer_that_takes_nothing_does_not_keep_a_lane() {
        let file = tempfile::tempfile().expect("a file");
        let now = Clock::start().now();
        let mut wait = Lanes::default().enter(now, 0);
        wait.visit(stretch(&file), now);
        // The empty file has no page to bring: as good as a disk that never answers.
        let asked = wait.idle(stretch(&file), now.after(PATIENCE));
        assert_eq!(asked, None);
    }

    #[test]
    fn pauses_grow_until_something_comes() {
        let file = tempfile::tempfile().expect("a file");
        let now = Clock::start().now();
        let mut wait = Lanes::default().enter(now, 0);
        let pause = |wait: &mut Wait| match wait.visit(stretch(&file), now) {
            Visit::Until(until) => until.since(now).as_millis(),
            Visit::Force => 0,
        };
        let seen: Vec<u128> = (0..7).map(|_| pause(&mut wait)).collect();
        assert_eq!(seen, [1, 2, 4, 8, 16, 20, 20]);
        wait.advanced(stretch(&file), now);
        assert_eq!(pause(&mut wait), 1);
    }

    #[test]
    fn memory_counts_as_resident_to_the_last_byte() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(300_000).expect("a size");
        std::io::Write::write_all(&mut &file, &vec![1; 300_000]).expect("written");
        let at = |at| Stretch { file: file.as_fd(), at, end: 300_000, backing: Backing::Disk };
        assert_eq!(first_miss(at(0), 262_144), None);
        assert_eq!(first_miss(at(262_144), 262_144), None);
        assert_eq!(first_miss(at(299_999), 262_144), None);
    }
}
