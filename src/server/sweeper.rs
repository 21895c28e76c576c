//! Removes what uploads left behind that were under way when the server was killed, beside its other work.

use crate::filesystem::Sweep;
use crate::reactor::Next;
use std::path::{Path, PathBuf};

/// Directories opened or pieces of one read a turn: on a warm disk some 100 µs, which is what other sessions wait
/// longer while a tree is looked through.
const STEPS_A_TURN: usize = 2;

/// The trees that are still to be looked through.
#[derive(Debug)]
pub struct Sweeper {
    trees: Vec<PathBuf>,
    current: Option<Sweep>,
    removed: u64,
}

impl Sweeper {
    /// Takes the trees below `homes`, each once, and those that lie below another not at all.
    pub fn new<'a>(homes: impl Iterator<Item = &'a Path>) -> Self {
        let mut trees: Vec<PathBuf> = homes.map(Path::to_owned).collect();
        trees.sort_unstable();
        // Sorted, whatever is below a folder follows it.
        trees.dedup_by(|later, earlier| later.starts_with(earlier));
        Self { trees, current: None, removed: 0 }
    }

    /// One bounded turn.
    pub fn advance(&mut self) -> Next {
        for _ in 0..STEPS_A_TURN {
            let Some(sweep) = &mut self.current else {
                let Some(home) = self.trees.pop() else { return self.end() };
                // A home that is not there yet is no fault at the start either.
                self.current = Sweep::open(&home).ok();
                continue;
            };
            if !sweep.step() {
                self.removed += sweep.removed();
                self.current = None;
            }
        }
        Next::Yield
    }

    fn end(&self) -> Next {
        match self.removed {
            0 => log::debug!("no unfinished upload of an earlier run"),
            removed => log::info!("{removed} unfinished uploads of an earlier run removed"),
        }
        Next::Close
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_within_trees_are_walked_once() {
        let homes = ["/srv/ab", "/srv/a/x", "/srv/a", "/srv/a", "/other"];
        let sweeper = Sweeper::new(homes.iter().map(Path::new));
        assert_eq!(sweeper.trees, ["/other", "/srv/a", "/srv/ab"].map(PathBuf::from));
    }

    #[test]
    fn homes_that_are_not_there_end_the_walk_too() {
        let mut sweeper = Sweeper::new(["/no/such/home"].iter().map(Path::new));
        let turns = (0..10).take_while(|_| sweeper.advance() != Next::Close).count();
        assert!(turns < 10);
    }
}
