//! One deadline a record, in a lazy heap.
//!
//! Activity moves deadlines all the time and almost none of them is ever reached. So a record only writes its new
//! deadline into its slot; the heap keeps the old entry, and when that comes up the slot is asked again. A wheel was
//! rejected: more code, and nothing to win while entries are touched once per idle period.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::key::Key;
use super::time::Moment;

/// Entries are (when to look, whom to ask); `Key` has no order, so its number stands in.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Moment, u64)>>,
}

impl Deadlines {
    pub(super) fn push(&mut self, when: Moment, key: Key) {
        self.heap.push(Reverse((when, key.to_u64())));
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Keeps the entries that still mean something.
    pub(super) fn retain(&mut self, mut alive: impl FnMut(Moment, Key) -> bool) {
        self.heap.retain(|Reverse((when, number))| alive(*when, Key::from_u64(*number)));
        self.give_back();
    }

    /// When to wake up at the latest.
    pub(super) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((when, _))| *when)
    }

    /// The next entry that has come up.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<(Moment, Key)> {
        if self.next()? > now {
            return None;
        }
        let Reverse((when, number)) = self.heap.pop()?;
        self.give_back();
        Some((when, Key::from_u64(number)))
    }

    /// A crowd that left should not be remembered by its timers' memory.
    fn give_back(&mut self) {
        if self.heap.capacity() > 64 && self.heap.len() < self.heap.capacity() / 4 {
            self.heap.shrink_to(self.heap.len() * 2);
        }
    }
}
