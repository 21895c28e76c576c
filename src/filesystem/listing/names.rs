//! Names read from a directory, packed: no allocation for each, and sorted by a number where that is enough.

use super::request::{Form, Request};
use super::{CStr, Errno, OwnedFd, Pattern};
use crate::filesystem::kernel::RawDir;
use crate::filesystem::policy::Policy;
use std::mem::MaybeUninit;

/// Bytes asked of one getdents: some 500 names, which is also what a listing in directory order holds.
const READ_BYTES: usize = 16 * 1024;

/// The same with a pattern. All that was read must be matched, and the worst pattern takes 255 steps for each
/// byte of it: this keeps a read within half a million.
const MATCHED_READ_BYTES: usize = 2 * 1024;

/// Steps of a pattern that cost as much as reading a name.
const STEPS_PER_NAME: usize = 100;

/// Capacity in bytes that [`Names::clear`] keeps: one read.
const KEPT_BYTES: usize = READ_BYTES;

/// Work left in one call, in names read.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new(names: usize) -> Self {
        Self(names)
    }

    pub(super) fn spend(&mut self, names: usize) {
        self.0 = self.0.saturating_sub(names);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

/// Names in one piece of memory, each with its final NUL, and a cursor that goes over them.
#[derive(Debug, Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    places: Vec<Place>,
    next: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// What is sorted by first: the name's first eight bytes, or a weight.
    key: u64,
    start: u32,
    /// With the NUL.
    length: u16,
}

impl Names {
    fn push(&mut self, name: &CStr) {
        let bytes = name.to_bytes_with_nul();
        // Both fit: a name has at most 255 bytes on Linux, and is_too_large() ends the gathering in time.
        let (Ok(start), Ok(length)) = (self.bytes.len().try_into(), bytes.len().try_into()) else {
            return;
        };
        self.bytes.extend_from_slice(bytes);
        self.places.push(Place { key: prefix(name.to_bytes()), start, length });
    }

    /// The next name in order.
    pub(super) fn next(&mut self) -> Option<&CStr> {
        self.next_weight().map(|(name, _)| name)
    }

    /// The next name, and what it is to be sorted by before its bytes.
    pub(super) fn next_weight(&mut self) -> Option<(&CStr, &mut u64)> {
        let place = self.places.get_mut(self.next)?;
        self.next += 1;
        let name = CStr::from_bytes_with_nul(slice(&self.bytes, *place)).unwrap_or_default();
        Some((name, &mut place.key))
    }

    /// Sorts by key, then by bytes, and puts the cursor at the beginning.
    pub(super) fn sort(&mut self, reverse: bool) {
        let bytes = &self.bytes;
        self.places.sort_unstable_by(|a, b| a.key.cmp(&b.key).then_with(|| slice(bytes, *a).cmp(slice(bytes, *b))));
        if reverse {
            self.places.reverse();
        }
        self.next = 0;
    }

    /// Forgets all names, and the memory of more than one read.
    pub(super) fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES {
            *self = Self::default();
        }
        self.bytes.clear();
        self.places.clear();
        self.next = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are too many to be sorted.
    pub(super) fn is_too_large(&self, policy: &Policy) -> bool {
        self.places.len() > policy.sort_names || self.bytes.len() > policy.sort_bytes
    }
}

fn slice(bytes: &[u8], place: Place) -> &[u8] {
    let start = place.start as usize;
    bytes.get(start..start + usize::from(place.length)).unwrap_or_default()
}

/// The first eight bytes as a number that sorts as they do.
fn prefix(name: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(first)
}

/// What a read of the directory ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    More,
    End,
}

/// Which names count.
#[derive(Debug)]
pub(super) struct Sieve {
    hidden: bool,
    dots: bool,
    pub(super) pattern: Option<Pattern>,
    /// Not even a pattern that begins with a dot shows hidden files.
    shy: bool,
}

impl Sieve {
    pub(super) fn new(request: Request, policy: &Policy) -> Self {
        let facts = matches!(request.form, Form::Facts(_));
        Self {
            hidden: (request.hidden || facts) && !policy.hide_dotfiles,
            // Names and facts feed programs that go down into what they are told.
            dots: request.dots && matches!(request.form, Form::Long),
            pattern: request.pattern,
            shy: policy.hide_dotfiles,
        }
    }

    /// One getdents: appends the names that count. [`Read::End`] when there was nothing to read, also when
    /// the directory was removed meanwhile.
    pub(super) fn read(
        &self,
        directory: &OwnedFd,
        names: &mut Names,
        policy: &Policy,
        budget: &mut Budget,
    ) -> Result<Read, Errno> {
        let mut buffer = [MaybeUninit::uninit(); READ_BYTES];
        let matched = self.pattern.is_some() || !policy.deny.is_empty();
        let length = if matched { MATCHED_READ_BYTES } else { READ_BYTES };
        let mut entries = RawDir::new(directory, buffer.split_at_mut(length).0);
        let mut steps = 0;
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) if self.passes(entry.file_name().to_bytes(), policy, &mut steps) => {
                    names.push(entry.file_name());
                }
                Ok(_) => {}
                Err(Errno::NOENT) => return Ok(Read::End),
                Err(errno) => return Err(errno),
            }
            budget.spend(1);
            if entries.is_buffer_empty() {
                budget.spend(steps / STEPS_PER_NAME);
                return Ok(Read::More);
            }
        }
        Ok(Read::End)
    }

    fn passes(&self, name: &[u8], policy: &Policy, steps: &mut usize) -> bool {
        let dot = name.starts_with(b".");
        match (&self.pattern, name) {
            (pattern, b"." | b"..") => self.dots && pattern.is_none(),
            _ if policy.denies_name(name, steps) => false,
            (None, _) => self.hidden || !dot,
            (Some(pattern), name) => {
                (self.hidden || !dot || (pattern.wants_hidden() && !self.shy))
                    && pattern.matches(name, policy.pattern_steps, steps)
            }
        }
    }
}
