//! A download that nobody keeps: counted, partly looked at, otherwise dropped in the kernel.
//!
//! Downloads of one file are held against each other: whoever is the first to look at a block says what is in it
//! ([`Print`]), the next one compares. Every block of the first MiB is looked at, and of the rest one in
//! [`Audit::sampling`]'s number, another one in every second download, so that two downloads always look at the same
//! ones and a series of them at all. Looking costs a copy; the blocks between cost nothing but the system call, which is
//! how one core can take more than another can send.

use std::cell::RefCell;
use std::rc::Rc;

use zlib_rs::crc32::crc32;

/// What is looked at or left out as a whole.
pub const BLOCK: u64 = 64 * 1024;

/// Of a file's beginning every block is looked at: small files are checked whole.
const HEAD: u64 = 16;

/// Blocks that are remembered, 64 GiB of them. Of a longer file the rest is only counted.
const BLOCKS: u64 = 1 << 20;

/// What a file holds, as far as anybody has looked.
#[derive(Debug, Default)]
pub struct Print {
    blocks: Vec<Option<u32>>,
    begun: u32,
}

/// One download's share of the looking.
#[derive(Debug)]
pub struct Audit {
    print: Rc<RefCell<Print>>,
    /// One block in so many; 0: none, 1: all.
    every: u32,
    turn: u32,
    at: u64,
    looked: u64,
    crc: u32,
}

/// What to do with what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appetite {
    /// Read at most so much.
    Look(usize),
    /// Drop at most so much.
    Drop(usize),
}

impl Audit {
    /// A download of the file behind `print` that looks at one block in `every`: 1 is all of them, 0 none.
    pub fn sampling(print: Rc<RefCell<Print>>, every: u32) -> Self {
        let begun = {
            let mut print = print.borrow_mut();
            print.begun = print.begun.wrapping_add(1);
            print.begun
        };
        // Two in a row look at the same blocks.
        Self { print, every, turn: begun / 2, at: 0, looked: 0, crc: 0 }
    }

    /// Bytes that were looked at.
    pub const fn looked(&self) -> u64 {
        self.looked
    }

    /// What comes next is to be looked at or dropped.
    pub fn appetite(&self, limit: usize) -> Appetite {
        let block = self.at / BLOCK;
        let mut end = block + 1;
        let look = self.looks(block);
        while self.looks(end) == look && (end * BLOCK - self.at) < limit as u64 && !look {
            end += 1;
        }
        let span = usize::try_from(end * BLOCK - self.at).unwrap_or(limit).min(limit);
        if look { Appetite::Look(span) } else { Appetite::Drop(span) }
    }

    fn looks(&self, block: u64) -> bool {
        match self.every {
            0 => false,
            _ if block >= BLOCKS => false,
            every => block < HEAD || (block + u64::from(self.turn)).is_multiple_of(u64::from(every)),
        }
    }

    /// Bytes that were dropped.
    pub const fn dropped(&mut self, count: usize) {
        self.at += count as u64;
    }

    /// Bytes of one block. False: others have been seen in their place.
    pub fn look(&mut self, bytes: &[u8]) -> bool {
        let block = self.at / BLOCK;
        self.crc = crc32(self.crc, bytes);
        self.at += bytes.len() as u64;
        self.looked += bytes.len() as u64;
        !self.at.is_multiple_of(BLOCK) || self.agrees(block)
    }

    /// The file has ended, and whole: the last block counts too. False: others have been seen in its place.
    pub fn ends(&mut self) -> bool {
        let block = self.at / BLOCK;
        self.at.is_multiple_of(BLOCK) || !self.looks(block) || self.agrees(block)
    }

    fn agrees(&mut self, block: u64) -> bool {
        let seen = std::mem::take(&mut self.crc);
        let Ok(index) = usize::try_from(block) else { return true };
        let mut print = self.print.borrow_mut();
        if print.blocks.len() <= index {
            print.blocks.resize(index + 1, None);
        }
        print.blocks.get_mut(index).is_none_or(|known| *known.get_or_insert(seen) == seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a download of `bytes` in pieces; false when it is found to differ.
    fn passes(print: &Rc<RefCell<Print>>, every: u32, bytes: &[u8]) -> (bool, u64) {
        let mut audit = Audit::sampling(Rc::clone(print), every);
        let mut at = 0;
        while at < bytes.len() {
            let left = bytes.len() - at;
            match audit.appetite(100_000.min(left)) {
                Appetite::Look(span) => {
                    assert!(span > 0 && span <= left);
                    if !audit.look(&bytes[at..at + span]) {
                        return (false, audit.looked());
                    }
                    at += span;
                }
                Appetite::Drop(span) => {
                    audit.dropped(span);
                    at += span;
                }
            }
        }
        (audit.ends(), audit.looked())
    }

    #[test]
    fn every_byte_of_a_small_file_is_compared() {
        let print = Rc::default();
        let mut bytes = vec![7; 100_001];
        assert_eq!(passes(&print, 16, &bytes), (true, 100_001));
        for wrong in [0, 65_536, 100_000] {
            bytes[wrong] ^= 1;
            assert!(!passes(&print, 16, &bytes).0, "{wrong}");
            bytes[wrong] ^= 1;
        }
        assert!(passes(&print, 16, &bytes).0);
        assert!(!passes(&print, 16, &bytes[..100_000]).0);
    }

    #[test]
    fn of_a_large_one_a_part_and_in_the_end_all() {
        let print = Rc::default();
        let good = vec![7; 100 * BLOCK as usize + 5];
        let mut found = 0;
        for _ in 0..8 {
            let (fine, looked) = passes(&print, 4, &good);
            assert!(fine && looked < good.len() as u64 / 2, "{looked}");
        }
        let mut bad = good;
        bad[50 * BLOCK as usize] ^= 1;
        for _ in 0..8 {
            found += usize::from(!passes(&print, 4, &bad).0);
        }
        assert_eq!(found, 2, "one download in four looks at a block");
        assert!(!passes(&print, 1, &bad).0);
        assert!(passes(&print, 0, &bad).0);
    }
}
