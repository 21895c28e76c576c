//! What the directories above one looked like: a link that leads upwards shows the same again and again.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use crate::user::crew::{Cause, Trouble};
use crate::wire::directory::Parsed;

/// How often a directory may look like one above it before it is taken for a loop. Real trees repeat themselves too.
const ECHOES: usize = 3;

/// Directories of one tree: a server can make up more than anybody could wait for.
pub const DIRECTORIES: usize = 1_000_000;

/// The listings from the top of a tree down to a directory.
#[derive(Debug, Clone, Default)]
pub struct Trail(Option<Rc<Print>>);

#[derive(Debug)]
struct Print {
    looks: u64,
    above: Trail,
}

impl Trail {
    /// With one more directory at its end.
    ///
    /// # Errors
    /// When it looked so too often above.
    pub fn longer(&self, parsed: &Parsed) -> Result<Self, Trouble> {
        let looks = looks(parsed);
        let prints = std::iter::successors(self.0.as_deref(), |print| print.above.0.as_deref());
        let echoes = prints.filter(|print| print.looks == looks).count();
        // A single entry is a chain of directories more often than a loop; the depth ends that one too.
        if parsed.entries.len() > 1 && echoes >= ECHOES {
            return Err(endless());
        }
        Ok(Self(Some(Rc::new(Print { looks, above: self.clone() }))))
    }
}

/// A tree that leads into itself, or has more directories than there are.
pub fn endless() -> Trouble {
    Trouble::new(Cause::Denied, "the same directories again and again")
}

/// All that a listing says, in one number.
fn looks(parsed: &Parsed) -> u64 {
    let mut hasher = DefaultHasher::new();
    for found in &parsed.entries {
        (&found.name, found.kind, found.size, found.modify).hash(&mut hasher);
    }
    hasher.finish()
}
