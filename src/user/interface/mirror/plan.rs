//! What a mirror takes along, and when two files count as the same.

use crate::filesystem::Pattern;
use crate::filesystem::pattern::STEP_LIMIT;
use crate::user::interface::options::Options;
use crate::wire::directory::Grain;

/// A minute: what listings show of a time.
const MINUTE: i64 = 60;

/// A day: what they show of a time that is half a year ago.
const DAY: i64 = 86_400;

/// A date is that of the server's own zone, which is at most so far from UTC.
const FARTHEST_ZONE: i64 = 14 * 3600;

/// Names to take and names to leave.
#[derive(Debug)]
pub struct Filter {
    include: Vec<(Pattern, bool)>,
    exclude: Vec<(Pattern, bool)>,
}

impl Filter {
    fn new(include: &[String], exclude: &[String]) -> Self {
        // A pattern with a slash is held against the path from the top of the tree, any other against the name.
        let read = |texts: &[String]| {
            let pattern = |text: &String| {
                let bare = text.strip_suffix('/').unwrap_or(text);
                (Pattern::parse(bare.strip_prefix('/').unwrap_or(bare).as_bytes()), bare.contains('/'))
            };
            texts.iter().map(pattern).collect()
        };
        Self { include: read(include), exclude: read(exclude) }
    }

    /// Whether a file is taken along; `path` counts from the top of the tree.
    pub fn takes(&self, path: &[u8]) -> bool {
        !hits(&self.exclude, path) && (self.include.is_empty() || hits(&self.include, path))
    }

    /// Whether a directory is entered: what is included may be anywhere in it.
    pub fn enters(&self, path: &[u8]) -> bool {
        !hits(&self.exclude, path)
    }
}

fn hits(patterns: &[(Pattern, bool)], path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    patterns.iter().any(|(pattern, whole)| {
        let mut steps = 0;

        pattern.matches(if *whole { path } else { name }, STEP_LIMIT, &mut steps)
    })
}

/// How to mirror.
#[derive(Debug)]
pub struct Policy {
    /// Only what is newer than what is there.
    pub newer: bool,
    /// Remove what the source does not have.
    pub delete: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Go on with unfinished files.
    pub resume: bool,
    /// As text.
    pub text: bool,
    /// Compare afterwards.
    pub verify: bool,
    /// Say each file.
    pub chatty: bool,
    /// What is taken along.
    pub filter: Filter,
}

/// What is known about a file on one side.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Bytes.
    pub size: Option<u64>,
    /// Seconds since 1970.
    pub modify: Option<i64>,
    /// How much of `modify` is known.
    pub grain: Grain,
}

impl Policy {
    /// As the options say.
    pub fn new(options: &Options) -> Self {
        Self {
            newer: options.newer,
            delete: options.delete,
            dry_run: options.dry_run,
            resume: options.resume,
            text: options.text,
            verify: options.verify,
            chatty: options.verbose > 0,
            filter: Filter::new(&options.include, &options.exclude),
        }
    }

    /// Whether a file must be fetched although there is one here.
    pub fn fetches(&self, there: Facts, here: Facts) -> bool {
        if self.newer {
            return later(there, here);
        }
        there.size.is_some_and(|size| Some(size) != here.size) || differs(there, here)
    }

    /// Whether a file must be sent although there is one there. Servers stamp what they receive with the time of day
    /// unless they are told otherwise, so a later time there is no reason.
    pub fn sends(&self, here: Facts, there: Facts) -> bool {
        if self.newer {
            return later(here, there);
        }
        there.size.is_some_and(|size| Some(size) != here.size) || later(here, there)
    }
}

/// How far two times may be apart and still mean the same.
fn tolerance(there: Facts, here: Facts) -> i64 {
    match there.grain.max(here.grain) {
        Grain::Second => 0,
        Grain::Minute => MINUTE,
        Grain::Day => DAY + FARTHEST_ZONE,
    }
}

fn differs(there: Facts, here: Facts) -> bool {
    let (Some(one), Some(other)) = (there.modify, here.modify) else { return false };
    one.abs_diff(other) > tolerance(there, here).unsigned_abs()
}

fn later(source: Facts, target: Facts) -> bool {
    let (Some(source_time), Some(target_time)) = (source.modify, target.modify) else { return false };
    source_time - target_time > tolerance(source, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Filter::new(&owned(include), &owned(exclude))
    }

    #[test]
    fn names_and_paths() {
        let texts = filter(&["*.txt"], &["tmp", "/a/secret*"]);
        assert!(texts.takes(b"a/b.txt") && !texts.takes(b"a/b.bin") && !texts.takes(b"a/secret.txt"));
        assert!(texts.takes(b"b/secret.txt") && texts.enters(b"a") && !texts.enters(b"x/tmp"));
        assert!(filter(&[], &[]).takes(b"anything"));
    }

    #[test]
    fn when_files_are_the_same() {
        let policy = |newer| Policy {
            newer,
            delete: false,
            dry_run: false,
            resume: false,
            text: false,
            verify: false,
            chatty: false,
            filter: filter(&[], &[]),
        };
        let facts = |size, modify, grain| Facts { size: Some(size), modify: Some(modify), grain };
        let (second, minute, day) = (Grain::Second, Grain::Minute, Grain::Day);
        let here = facts(5, 1_710_000_030, second);
        assert!(!policy(false).fetches(here, here));
        assert!(policy(false).fetches(facts(6, 1_710_000_030, second), here));
        assert!(policy(false).fetches(facts(5, 1_710_000_031, second), here));
        assert!(!policy(false).fetches(facts(5, 1_710_000_000, minute), here));
        assert!(!policy(false).fetches(facts(5, 1_709_942_400, day), here)); // only the day is known
        assert!(!policy(true).fetches(facts(6, 1_709_000_000, second), here));
        assert!(policy(true).fetches(facts(5, 1_711_000_000, second), here));
        assert!(!policy(false).sends(here, facts(5, 1_711_000_000, second)));
        assert!(policy(false).sends(here, facts(4, 1_711_000_000, second)));
    }
}
