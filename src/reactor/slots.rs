//! The one table of records.

use slab::Slab;

use super::key::Key;
use super::ready::Ready;
use super::time::Moment;

/// How long a record's turn may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Some microseconds: a few commands, an accept.
    Light,
    /// Tens of microseconds: it moves bulk data.
    Heavy,
}

/// A record's place: what the reactor knows about it, and the record itself.
#[derive(Debug)]
pub struct Slot<C> {
    generation: u32,
    /// In which of the two queues it waits.
    pub(super) weight: Weight,
    /// On the run queue; a record stands there at most once.
    pub(super) queued: bool,
    /// Why the record may run. Records clear bits, the reactor sets them.
    pub ready: Ready,
    /// When to wake the record at the latest. Moved freely by the record.
    pub deadline: Option<Moment>,
    /// The earliest heap entry that still counts for this slot.
    pub(super) armed: Option<Moment>,
    /// The record.
    pub conn: C,
}

/// A slab whose places can be named safely.
#[derive(Debug)]
pub(super) struct Slots<C> {
    slab: Slab<Slot<C>>,
    births: u32,
}

impl<C> Slots<C> {
    pub(super) const fn new() -> Self {
        Self { slab: Slab::new(), births: 0 }
    }

    pub(super) fn insert(&mut self, conn: C, weight: Weight) -> Key {
        self.births = self.births.wrapping_add(1);
        let entry = self.slab.vacant_entry();
        let key = Key::new(entry.key(), self.births);
        entry.insert(Slot {
            generation: key.generation(),
            weight,
            queued: false,
            ready: Ready::none(),
            deadline: None,
            armed: None,
            conn,
        });
        key
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Slot<C>> {
        self.slab.get_mut(key.index()).filter(|slot| slot.generation == key.generation())
    }

    pub(super) fn get(&self, key: Key) -> Option<&Slot<C>> {
        self.slab.get(key.index()).filter(|slot| slot.generation == key.generation())
    }

    /// Frees a place; gives the table's memory back after a crowd has left.
    pub(super) fn remove(&mut self, key: Key) -> Option<C> {
        self.get(key)?;
        let conn = self.slab.try_remove(key.index())?.conn;
        if self.slab.capacity() > 256 && self.slab.len() < self.slab.capacity() / 8 {
            self.slab.shrink_to_fit();
        }
        Some(conn)
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Slot<C>)> {
        self.slab.iter().map(|(index, slot)| (Key::new(index, slot.generation), slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_place_does_not_answer_to_its_old_key() {
        let mut slots = Slots::new();
        let old = slots.insert('a', Weight::Light);
        assert_eq!(slots.remove(old), Some('a'));
        let new = slots.insert('b', Weight::Light);
        assert_eq!(new.index(), old.index());
        assert!(slots.get(old).is_none());
        assert!(slots.remove(old).is_none());
        assert_eq!(slots.get(new).map(|slot| slot.conn), Some('b'));
    }
}
