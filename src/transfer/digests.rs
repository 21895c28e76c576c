//! Digests of files that were computed while they were received, so that HASH after an upload answers at once.
//!
//! A digest is that of what was received. Between its writes an upload sees by the file's times whether another program
//! wrote there too, and then no digest is remembered. What that cannot show: a write of another program in the same
//! tick of the file system's clock as one of ours (some milliseconds before Linux 6.13).

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use crate::codec::{Algorithm, Sum};
use crate::filesystem::Stat;

/// Files remembered: a burst of uploads whose client comes back to check them. 200 KiB when full.
const MOST: usize = 1024;

/// What a file was when its digest was right: which one, how long, and both times.
///
/// The change time is what makes this safe: nobody can set it back. It moves at every write, though in the kernel's
/// tick of some milliseconds, so what this server writes itself is also forgotten by name ([`Digests::forget`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl Shape {
    pub const fn of(stat: &Stat) -> Self {
        Self { size: stat.size, modified: (stat.mtime, stat.mtime_nsec), changed: (stat.ctime, stat.ctime_nsec) }
    }
}

/// Device and inode.
type Place = (u64, u64);

const fn place(stat: &Stat) -> Place {
    (stat.dev, stat.ino)
}

/// The table, shared by the sessions that ask and the uploads that fill it. The oldest goes first.
#[derive(Debug, Default)]
pub struct Digests {
    table: RefCell<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Place, Entry>,
    /// In the order they came; what was replaced or forgotten meanwhile differs in its number.
    order: VecDeque<(Place, u64)>,
    births: u64,
}

#[derive(Debug)]
struct Entry {
    shape: Shape,
    sum: Sum,
    birth: u64,
}

impl Digests {
    /// The file that `stat` describes has this digest.
    pub fn remember(&self, stat: &Stat, sum: Sum) {
        let table = &mut *self.table.borrow_mut();
        while table.order.len() >= MOST {
            let Some((oldest, birth)) = table.order.pop_front() else { break };
            if table.entries.get(&oldest).is_some_and(|entry| entry.birth == birth) {
                table.entries.remove(&oldest);
            }
        }
        table.births += 1;
        let birth = table.births;
        table.order.push_back((place(stat), birth));
        table.entries.insert(place(stat), Entry { shape: Shape::of(stat), sum, birth });
    }

    /// The digest of the file as it is now, if it is known.
    pub fn recall(&self, stat: &Stat, algorithm: Algorithm) -> Option<Sum> {
        let table = self.table.borrow();
        let entry = table.entries.get(&place(stat))?;
        (entry.shape == Shape::of(stat) && entry.sum.algorithm() == algorithm).then_some(entry.sum)
    }

    /// The file is about to be written.
    pub fn forget(&self, stat: &Stat) {
        self.table.borrow_mut().entries.remove(&place(stat));
    }

    /// The file got another time or another name, by us, and kept its contents.
    pub fn carry(&self, before: &Stat, after: &Stat) {
        let table = &mut *self.table.borrow_mut();
        let Some(entry) = table.entries.get_mut(&place(before)) else { return };
        if entry.shape == Shape::of(before) && place(before) == place(after) && before.size == after.size {
            entry.shape = Shape::of(after);
        }
    }

    /// Whether nothing is remembered: then nobody need ask the kernel what a file is.
    pub fn is_empty(&self) -> bool {
        self.table.borrow().entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Hasher;

    fn sum(of: &[u8]) -> Sum {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.feed(of);
        hasher.finish()
    }

    fn stat() -> Stat {
        Stat::of(tempfile::tempfile().expect("a file")).expect("its facts")
    }

    #[test]
    fn a_file_is_known_as_long_as_it_is_the_same() {
        let (digests, stat) = (Digests::default(), stat());
        digests.remember(&stat, sum(b"x"));
        assert_eq!(digests.recall(&stat, Algorithm::Sha256), Some(sum(b"x")));
        assert_eq!(digests.recall(&stat, Algorithm::Md5), None);
        for other in [
            Stat { ino: stat.ino + 1, ..stat },
            Stat { dev: stat.dev + 1, ..stat },
            Stat { size: stat.size + 1, ..stat },
            Stat { mtime: stat.mtime + 1, ..stat },
            Stat { mtime_nsec: stat.mtime_nsec ^ 1, ..stat },
            Stat { ctime: stat.ctime + 1, ..stat },
            Stat { ctime_nsec: stat.ctime_nsec ^ 1, ..stat },
        ] {
            assert_eq!(digests.recall(&other, Algorithm::Sha256), None, "{other:?}");
        }
        digests.forget(&stat);
        assert_eq!(digests.recall(&stat, Algorithm::Sha256), None);
    }

    #[test]
    fn what_we_changed_ourselves_is_carried_along() {
        let (digests, stat) = (Digests::default(), stat());
        digests.remember(&stat, sum(b"x"));
        let later = Stat { mtime: 1, ctime: stat.ctime + 1, ..stat };
        digests.carry(&stat, &later);
        assert_eq!(digests.recall(&later, Algorithm::Sha256), Some(sum(b"x")));
        let unseen = Stat { ctime: stat.ctime + 9, ..stat };
        digests.carry(&unseen, &Stat { mtime: 2, ..unseen });
        assert_eq!(digests.recall(&Stat { mtime: 2, ..unseen }, Algorithm::Sha256), None, "changed by somebody else");
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_goes_first() {
        let (digests, stat) = (Digests::default(), stat());
        let file = |ino: usize| Stat { ino: ino as u64, ..stat };
        for round in 0..3 {
            for ino in 0..MOST + 10 {
                digests.remember(&file(ino), sum(b"x"));
                assert!(digests.table.borrow().entries.len() <= MOST, "round {round}");
                assert!(digests.table.borrow().order.len() <= MOST);
            }
        }
        assert!(digests.recall(&file(MOST + 9), Algorithm::Sha256).is_some());
        assert!(digests.recall(&file(9), Algorithm::Sha256).is_none());
        for _ in 0..2 * MOST {
            digests.remember(&file(1), sum(b"y"));
        }
        assert_eq!(digests.recall(&file(1), Algorithm::Sha256), Some(sum(b"y")));
    }
}
