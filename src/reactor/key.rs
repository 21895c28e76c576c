//! Names of records: an index into the slab and the generation that guards it.

use mio::Token;

/// Half of a token each for index and generation, whatever the pointer width.
const HALF: u32 = usize::BITS / 2;
const LOW: usize = (1 << HALF) - 1;

/// Names one record for as long as it lives, and nothing afterwards.
///
/// The slab hands a freed place to the next newcomer. Events, timers and letters for the old tenant may still be
/// under way then; the generation tells the two apart, and a miss is an ordinary answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    pub(super) const fn new(index: usize, generation: u32) -> Self {
        Self { index: (index & LOW) as u32, generation: (generation as usize & LOW) as u32 }
    }

    pub(super) const fn index(self) -> usize {
        self.index as usize
    }

    /// The generation as a token can carry it: all 32 bits on a 64-bit host, 16 on a 32-bit one.
    pub(super) const fn generation(self) -> u32 {
        self.generation
    }

    /// A number unique among the living records, for log lines and for messages to helper processes.
    pub const fn to_u64(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The inverse of [`Key::to_u64`]. Any number is accepted: one that names nobody is simply a miss.
    pub const fn from_u64(number: u64) -> Self {
        Self { index: number as u32, generation: (number >> 32) as u32 }
    }

    pub(super) const fn token(self) -> Token {
        Token((self.generation as usize) << HALF | self.index as usize)
    }

    pub(super) const fn from_token(token: Token) -> Self {
        Self { index: (token.0 & LOW) as u32, generation: (token.0 >> HALF) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_way_through_a_token_and_a_message() {
        for key in [Key::new(0, 0), Key::new(7, 1), Key::new(65_535, 65_535)] {
            assert_eq!(Key::from_token(key.token()), key);
            assert_eq!(Key::from_u64(key.to_u64()), key);
        }
    }
}
