//! The machine that the boxes of Figure 1 run on. It knows sockets and time, not FTP.
//!
//! ```text
//!        wait() ── sockets, deadlines ──▶ run queue ── next_runnable() ──▶ one bounded turn of one record
//!          ▲                                  ▲                                   │
//!          └──────── queue empty ─────────────┴──────── run_again(): budget spent ┘
//! ```
//!
//! There are two run queues: a pass serves every *light* record that was ready when it began, but *heavy* ones, those that
//! move bulk data, only as long as it has time: one of them always. So a command waits for one or two bulk turns at the
//! worst, however many transfers there are, and transfers always get their share.
//!
//! Edges are told once (epoll's edge triggering), so readiness is remembered here in [`Ready`] until a call on the
//! socket disproves it. A record whose budget ran out while it was still ready goes to the back of the run queue; a
//! budget without a run queue would be a hang. The reactor is generic over the record type and never looks inside.

mod deadlines;
mod hush;
mod key;
mod link;
mod ready;
mod slots;
mod time;
#[cfg(feature = "tls")]
mod tls;
mod transport;

#[cfg(feature = "tls")]
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use mio::event::Source;
use mio::{Events, Interest, Poll, Registry, Waker};

use deadlines::Deadlines;
use slots::Slots;

pub use hush::{Hush, Others};
pub use key::Key;
pub use link::{Link, Moved, reset};
pub use ready::Ready;
pub use slots::{Slot, Weight};
pub use time::{Clock, Moment};
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use transport::{Handshake, Undressing};

/// Events taken from the kernel at once. More would only delay the first of them.
const EVENTS_A_PASS: usize = 512;

/// How long a pass takes up further bulk work, before the poller is asked again for light records: one or two turns of
/// large transfers, or some twenty small ones. Asking costs a microsecond. A number of turns was tried instead: four took
/// 0.8 ms with listings, and were asking four times as often as needed with small files.
const PASS: Duration = Duration::from_micros(250);

/// Entries of dead records that are not worth the tidying: 16 KiB of them.
const ENTRIES_TOLERATED: usize = 1024;

/// Every socket is registered once, for both directions, and for urgent data where the poller can tell it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BOTH_WAYS: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
/// As above, for pollers that do not tell urgent data apart.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOTH_WAYS: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// As above, for sockets that only ever receive: one that can be written to would be told so at once, for nothing.
const INWARD: Interest = Interest::READABLE;

/// What a record wants after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Still ready, budget spent: to the back of the queue.
    Yield,
    /// An edge, a deadline or a letter will queue it again.
    Sleep,
    /// Done for. It is freed when the pass is over.
    Close,
}

/// The readiness loop's state: poller, records, run queue, deadlines.
#[derive(Debug)]
pub struct Reactor<C> {
    poll: Poll,
    events: Events,
    slots: Slots<C>,
    runnable: Runnable,
    deadlines: Deadlines,
    clock: Clock,
    now: Moment,
    #[cfg(feature = "tls")]
    wire: RefCell<tls::Wire>,
}

impl<C> Reactor<C> {
    /// An empty reactor.
    ///
    /// # Errors
    /// When the kernel has no poller to give.
    pub fn new() -> io::Result<Self> {
        let clock = Clock::start();
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_A_PASS),
            slots: Slots::new(),
            runnable: Runnable::default(),
            deadlines: Deadlines::default(),
            now: clock.now(),
            clock,
            #[cfg(feature = "tls")]
            wire: RefCell::default(),
        })
    }

    /// The time of this pass: read once, when `wait` returned.
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// Where the passes' times come from, for those who must know the time within a pass.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Takes a record in and names it.
    pub fn insert(&mut self, conn: C, weight: Weight) -> Key {
        self.slots.insert(conn, weight)
    }

    /// Frees a record. Called in one place of a program: after the pass, when nobody borrows it.
    pub fn remove(&mut self, key: Key) -> Option<C> {
        self.slots.remove(key)
    }

    /// The record behind a key, while it lives.
    pub fn slot_mut(&mut self, key: Key) -> Option<&mut Slot<C>> {
        self.slots.get_mut(key)
    }

    /// The record behind a key, together with what it needs for a turn.
    pub fn turn(&mut self, key: Key) -> Option<(&mut Slot<C>, Sockets<'_>, Moment)> {
        let slot = self.slots.get_mut(key)?;
        let sockets = Sockets {
            registry: self.poll.registry(),
            key,
            #[cfg(feature = "tls")]
            wire: &self.wire,
        };
        Some((slot, sockets, self.now))
    }

    /// Every record, in no order: for summaries and for shutting down.
    pub fn records(&self) -> impl Iterator<Item = (Key, &C)> {
        self.slots.iter().map(|(key, slot)| (key, &slot.conn))
    }

    /// Registers a source for both directions under a key; edges of either will queue that record.
    ///
    /// # Errors
    /// What the kernel says, `ENOMEM` and `ENOSPC` (epoll's watch limit) among it.
    pub fn register(&self, key: Key, source: &mut impl Source) -> io::Result<()> {
        self.poll.registry().register(source, key.token(), BOTH_WAYS)
    }

    /// What another thread may hold to wake the loop: it queues the record behind `key`. A poller has room for one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn waker(&self, key: Key) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), key.token())
    }

    /// Sleeps until something happened: an edge, the nearest deadline, or at once when records wait to run.
    ///
    /// # Errors
    /// Only what makes the poller itself unusable; an interrupted sleep is no error.
    pub fn wait(&mut self) -> io::Result<()> {
        self.wait_until(None)
    }

    /// As [`Reactor::wait`], until `latest` at the most.
    ///
    /// # Errors
    /// Only what makes the poller itself unusable; an interrupted sleep is no error.
    pub fn wait_until(&mut self, latest: Option<Moment>) -> io::Result<()> {
        let patience = self.patience(latest);
        match self.poll.poll(&mut self.events, patience) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Err(_) => self.events.clear(),
            Ok(()) => {}
        }
        self.now = self.clock.now();
        self.note_events();
        self.note_deadlines();
        self.runnable.open_pass();
        Ok(())
    }

    /// Whether this pass may take up more bulk work. What is not taken up is queued for the next one.
    pub fn has_time(&self) -> bool {
        self.clock.now() < self.now.after(PASS)
    }

    /// The next record of this pass. Records queued meanwhile wait for the next one, so that no group of them can
    /// keep the loop from its sockets.
    pub fn next_runnable(&mut self) -> Option<Key> {
        let (clock, end) = (self.clock, self.now.after(PASS));
        while let Some(key) = self.runnable.pop(|| clock.now() < end) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.queued = false;
                return Some(key);
            }
        }
        None
    }

    /// Queues a record for the next pass.
    pub fn run_again(&mut self, key: Key) {
        enqueue(&mut self.slots, &mut self.runnable, key, Ready::none());
    }

    /// Makes the heap know of the deadline that a record has set. Called after each turn; almost always free.
    pub fn arm(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let Some(deadline) = slot.deadline else { return };
        if slot.armed.is_none_or(|armed| deadline < armed) {
            slot.armed = Some(deadline);
            self.deadlines.push(deadline, key);
            self.forget_the_dead();
        }
    }

    /// Records that came and went leave their entries behind until those come up, minutes later. A client that makes and
    /// drops records all the time must not fill the memory with them: past twice the living they are thrown out.
    fn forget_the_dead(&mut self) {
        if self.deadlines.len() <= 2 * self.slots.len() + ENTRIES_TOLERATED {
            return;
        }
        let slots = &self.slots;
        self.deadlines.retain(|when, key| slots.get(key).is_some_and(|slot| slot.armed == Some(when)));
    }

    fn patience(&self, latest: Option<Moment>) -> Option<Duration> {
        if !self.runnable.is_empty() {
            return Some(Duration::ZERO);
        }
        // One microsecond more than asked: the poller rounds, and waking early would be a turn for nothing.
        let next = self.deadlines.next().into_iter().chain(latest).min()?;
        Some(next.since(self.clock.now()) + Duration::from_micros(1))
    }

    fn note_events(&mut self) {
        for event in &self.events {
            let key = Key::from_token(event.token());
            enqueue(&mut self.slots, &mut self.runnable, key, Ready::of(event));
        }
    }

    fn note_deadlines(&mut self) {
        while let Some((when, key)) = self.deadlines.pop_due(self.now) {
            let Some(slot) = self.slots.get_mut(key) else { continue };
            if slot.armed != Some(when) {
                continue; // superseded by an earlier entry that has come up already
            }
            slot.armed = None;
            match slot.deadline {
                Some(deadline) if deadline <= self.now => {
                    slot.deadline = None;
                    enqueue(&mut self.slots, &mut self.runnable, key, Ready::EXPIRED);
                }
                Some(_) => self.arm(key),
                None => {}
            }
        }
    }
}

/// The right to register sockets under one key, and the loop's buffers for records of TLS: what a record gets of the
/// reactor during its turn.
#[derive(Debug, Clone, Copy)]
pub struct Sockets<'a> {
    registry: &'a Registry,
    key: Key,
    #[cfg(feature = "tls")]
    wire: &'a RefCell<tls::Wire>,
}

impl<'a> Sockets<'a> {
    #[cfg(feature = "tls")]
    const fn wire(self) -> &'a RefCell<tls::Wire> {
        self.wire
    }

    /// Registers once, for both directions.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn register(&self, source: &mut impl Source) -> io::Result<()> {
        self.registry.register(source, self.key.token(), BOTH_WAYS)
    }

    /// Registers once, for what comes in.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn register_inward(&self, source: &mut impl Source) -> io::Result<()> {
        self.registry.register(source, self.key.token(), INWARD)
    }

    /// Ends a registration, for a record that goes on with another socket. Failure means that there was none.
    pub fn deregister(&self, source: &mut impl Source) {
        if let Err(error) = self.registry.deregister(source) {
            log::debug!("cannot deregister a socket: {error}");
        }
    }
}

/// The records that wait to run.
#[derive(Debug, Default)]
struct Runnable {
    light: VecDeque<Key>,
    heavy: VecDeque<Key>,
    pass: Pass,
}

/// What belongs to the pass that `wait` opened.
#[derive(Debug, Default)]
struct Pass {
    light: usize,
    heavy: usize,
    /// Heavy ones that had their turn.
    served: usize,
}

impl Runnable {
    fn open_pass(&mut self) {
        self.pass = Pass { light: self.light.len(), heavy: self.heavy.len(), served: 0 };
    }

    fn push(&mut self, key: Key, weight: Weight) {
        match weight {
            Weight::Light => self.light.push_back(key),
            Weight::Heavy => self.heavy.push_back(key),
        }
    }

    fn pop(&mut self, has_time: impl FnOnce() -> bool) -> Option<Key> {
        let pass = &mut self.pass;
        if pass.light > 0 {
            pass.light -= 1;
            return self.light.pop_front();
        }
        if pass.served > 0 && !has_time() {
            return None;
        }
        pass.heavy = pass.heavy.checked_sub(1)?;
        pass.served += 1;
        self.heavy.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.light.is_empty() && self.heavy.is_empty()
    }
}

fn enqueue<C>(slots: &mut Slots<C>, runnable: &mut Runnable, key: Key, ready: Ready) {
    let Some(slot) = slots.get_mut(key) else { return };
    slot.ready.set(ready);
    if !slot.queued {
        slot.queued = true;
        runnable.push(key, slot.weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reactor() -> Reactor<&'static str> {
        Reactor::new().expect("a poller")
    }

    #[test]
    fn what_runs_again_waits_for_the_next_pass() {
        let mut reactor = reactor();
        let key = reactor.insert("busy", Weight::Light);
        reactor.run_again(key);
        for _ in 0..3 {
            reactor.wait().expect("no sleep");
            assert_eq!(reactor.next_runnable(), Some(key));
            reactor.run_again(key);
            assert_eq!(reactor.next_runnable(), None);
        }
    }

    #[test]
    fn x12_a_crowd_of_heavy_records_does_not_hold_up_a_light_one() {
        let mut reactor = reactor();
        let crowd: Vec<Key> = (0..100).map(|_| reactor.insert("bulk", Weight::Heavy)).collect();
        crowd.iter().for_each(|key| reactor.run_again(*key));
        let light = reactor.insert("command", Weight::Light);
        for _ in 0..10 {
            reactor.run_again(light);
            reactor.wait().expect("no sleep");
            assert_eq!(reactor.next_runnable(), Some(light), "first in every pass");
            let bulk = reactor.next_runnable().expect("one of them always");
            reactor.run_again(bulk);
            while reactor.has_time() {} // as long as its turn takes
            assert_eq!(reactor.next_runnable(), None);
        }
    }

    #[test]
    fn everybody_of_a_crowd_has_a_turn() {
        let mut reactor = reactor();
        let crowd: Vec<Key> = (0..100).map(|_| reactor.insert("bulk", Weight::Heavy)).collect();
        crowd.iter().for_each(|key| reactor.run_again(*key));
        let mut served = Vec::new();
        while served.len() < crowd.len() {
            reactor.wait().expect("no sleep");
            let before = served.len();
            while let Some(key) = reactor.next_runnable() {
                served.push(key);
                reactor.run_again(key);
            }
            assert!(served.len() > before && served.len() <= before + crowd.len());
        }
        assert_eq!(served[..crowd.len()], crowd);
    }

    #[test]
    fn a_moved_deadline_is_asked_again_and_an_earlier_one_is_kept() {
        let mut reactor = reactor();
        let key = reactor.insert("timer", Weight::Light);
        let start = reactor.now();
        let set = |reactor: &mut Reactor<_>, millis| {
            let when = start.after(Duration::from_millis(millis));
            reactor.slot_mut(key).expect("alive").deadline = Some(when);
            reactor.arm(key);
            when
        };
        set(&mut reactor, 3_600_000);
        set(&mut reactor, 1);
        let when = set(&mut reactor, 20);
        while reactor.next_runnable().is_none() {
            reactor.wait().expect("poll");
        }
        assert!(reactor.now() >= when);
        assert!(reactor.slot_mut(key).expect("alive").ready.has(Ready::EXPIRED));
    }

    #[test]
    fn x16_the_dead_leave_no_timers_behind() {
        let mut reactor = reactor();
        let later = reactor.now().after(Duration::from_secs(3600));
        let living = reactor.insert("timer", Weight::Light);
        reactor.slot_mut(living).expect("alive").deadline = Some(later);
        reactor.arm(living);
        for _ in 0..100_000 {
            let key = reactor.insert("gone", Weight::Light);
            reactor.slot_mut(key).expect("alive").deadline = Some(later);
            reactor.arm(key);
            reactor.remove(key);
        }
        assert!(reactor.deadlines.len() <= 2 + ENTRIES_TOLERATED + 1, "{}", reactor.deadlines.len());
        assert_eq!(reactor.slot_mut(living).expect("alive").armed, Some(later));
    }

    #[test]
    fn the_dead_are_not_run() {
        let mut reactor = reactor();
        let key = reactor.insert("gone", Weight::Light);
        reactor.run_again(key);
        reactor.remove(key);
        reactor.wait().expect("poll");
        assert_eq!(reactor.next_runnable(), None);
    }
}
