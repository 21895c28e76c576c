//! LIST -R: which directories come next, and what is written between them.

use crate::filesystem::path::VirtualPath;
use crate::wire::listing::sendable;

/// How far below the directory asked for.
const DEEPEST: usize = 16;

/// Most lines of entries in one such listing; it ends there.
const MOST_LINES: u64 = 100_000;

/// Most bytes of names of directories that wait to be listed; further ones are left out. It is what a directory's own
/// names may take while they are sorted.
const MOST_BYTES: usize = 1 << 20;

/// Directories found and not listed yet: names only, since the path to each follows from the order they come in.
#[derive(Debug)]
pub(super) struct Below {
    /// What the client called the directory it asked for, without a slash at the end.
    called: Vec<u8>,
    /// The directory asked for, and from there to the one being listed.
    base: VirtualPath,
    trail: Vec<Box<[u8]>>,
    /// The next one last; with each its depth, of which 1 is right below the one asked for.
    waiting: Vec<(usize, Box<[u8]>)>,
    /// Found in the directory being listed, in order.
    found: Vec<Box<[u8]>>,
    bytes: usize,
    /// Lines after which the listing ends.
    pub(super) most_lines: u64,
}

impl Below {
    pub(super) fn new(called: Vec<u8>, base: VirtualPath) -> Self {
        let (trail, waiting, found) = (Vec::new(), Vec::new(), Vec::new());
        Self { called, base, trail, waiting, found, bytes: 0, most_lines: MOST_LINES }
    }

    /// A directory of which a line was written.
    pub(super) fn add(&mut self, name: &[u8]) {
        let walkable = !matches!(name, b"." | b"..") && sendable(name) && self.trail.len() < DEEPEST;
        if walkable && self.bytes + name.len() <= MOST_BYTES {
            self.bytes += name.len();
            self.found.push(name.into());
        }
    }

    /// The next directory. Those found meanwhile come before those that waited already, as ls(1) has it.
    pub(super) fn next(&mut self) -> Option<VirtualPath> {
        let depth = self.trail.len() + 1;
        self.waiting.extend(self.found.drain(..).rev().map(|name| (depth, name)));
        let (depth, name) = self.waiting.pop()?;
        self.bytes -= name.len();
        self.trail.truncate(depth - 1);
        self.trail.push(name);
        Some(self.trail.iter().fold(self.base.clone(), |path, name| path.join(name)))
    }

    /// Whether [`Below::next`] has something to say.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.found.is_empty()
    }

    /// Nothing more is to come.
    pub(super) fn give_up(&mut self) {
        (self.waiting, self.found) = (Vec::new(), Vec::new());
    }

    /// The line that says whose entries follow.
    pub(super) fn append_header(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.called);
        for name in &self.trail {
            out.push(b'/');
            out.extend_from_slice(name);
        }
        out.extend_from_slice(b":\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_comes_before_what_waits() {
        let mut below = Below::new(b".".to_vec(), VirtualPath::root());
        let mut order = Vec::new();
        below.add(b"a");
        below.add(b"b");
        while let Some(path) = below.next() {
            if path.as_bytes() == b"/a" {
                below.add(b"x");
                below.add(b"y");
            }
            order.push(String::from_utf8_lossy(path.as_bytes()).into_owned());
        }
        assert_eq!(order, ["/a", "/a/x", "/a/y", "/b"]);
        assert_eq!(below.bytes, 0);
    }

    #[test]
    fn depth_and_memory_have_an_end() {
        let mut below = Below::new(Vec::new(), VirtualPath::root());
        below.add(b"d");
        let mut depth = 0;
        while below.next().is_some() {
            depth += 1;
            below.add(b"d");
        }
        assert_eq!(depth, DEEPEST);
        let mut below = Below::new(Vec::new(), VirtualPath::root());
        (0..10_000).for_each(|_| below.add(&[b'n'; 255]));
        assert_eq!(below.found.len(), MOST_BYTES / 255);
        for name in [&b"."[..], b"..", b"a\nb"] {
            below.give_up();
            below.add(name);
            assert!(below.is_empty());
        }
    }
}
