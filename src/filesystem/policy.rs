//! What the administrator rules for whole trees, beside the rights of an account.

use super::listing::{SORT_BYTES, SORT_LIMIT};
use super::pattern::{Pattern, STEP_LIMIT};
use super::root::{Writers, is_temporary};
use super::zone::Zone;
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::str::FromStr;

/// How trees are shown and changed. One for all roots of a server, until a reload makes another.
#[derive(Debug)]
pub struct Policy {
    /// What becomes of links.
    pub links: Links,
    /// Names that do not exist for any verb, as components of a path.
    pub deny: Box<[Pattern]>,
    /// Names that begin with a dot are in no listing, whatever its options. Named by a client they are there.
    pub hide_dotfiles: bool,
    /// How uploads come to be the file they are named after.
    pub uploads: Uploads,
    /// LIST and NLST understand `-R`.
    pub recursive: bool,
    /// Most names of a directory that are sorted.
    pub sort_names: usize,
    /// Most bytes of names that are held for sorting.
    pub sort_bytes: usize,
    /// Steps after which a client's pattern does not match.
    pub pattern_steps: usize,
    /// In which dates of LIST are shown.
    pub zone: Zone,
    /// The files being written in place: one table for all roots, since roots may overlap.
    pub writers: Rc<Writers>,
}

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Links {
    /// Followed as long as they stay beneath the root; an absolute one never does.
    #[default]
    Inside,
    /// Followed as if the root were `/`, as in a chroot: absolute ones begin at it, `..` stops at it.
    Rooted,
    /// Not followed.
    Never,
}

/// How an upload becomes the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uploads {
    /// Written under its own name from the first byte on: what is there can be resumed.
    #[default]
    Direct,
    /// Written under a hidden name and renamed when complete: nobody ever reads half a file.
    Atomic,
}

impl Policy {
    /// Whether a path, of which only whole components count, goes through a name that does not exist for clients.
    pub fn denies(&self, relative: &[u8]) -> bool {
        if self.deny.is_empty() && self.uploads == Uploads::Direct {
            return false;
        }
        relative.split(|&byte| byte == b'/').any(|name| self.denies_name(name, &mut 0))
    }

    /// Whether a name is one of an unfinished upload. In direct mode a leftover of an atomic one is a file like others,
    /// so that somebody can remove it, and counts as such.
    pub fn hides(&self, name: &[u8]) -> bool {
        self.uploads == Uploads::Atomic && is_temporary(name)
    }

    /// [`Policy::denies`] for one name; the steps its patterns took are added to `steps`.
    pub(super) fn denies_name(&self, name: &[u8], steps: &mut usize) -> bool {
        self.hides(name) || self.deny.iter().any(|pattern| pattern.matches(name, STEP_LIMIT, steps))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            links: Links::default(),
            deny: Box::default(),
            hide_dotfiles: false,
            uploads: Uploads::default(),
            recursive: false,
            sort_names: SORT_LIMIT,
            sort_bytes: SORT_BYTES,
            pattern_steps: STEP_LIMIT,
            zone: Zone::utc(),
            writers: Rc::default(),
        }
    }
}

impl FromStr for Links {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "inside" => Ok(Self::Inside),
            "rooted" => Ok(Self::Rooted),
            "never" => Ok(Self::Never),
            _ => Err(format!("\"{word}\" is none of inside, rooted, never")),
        }
    }
}

impl FromStr for Uploads {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "direct" => Ok(Self::Direct),
            "atomic" => Ok(Self::Atomic),
            _ => Err(format!("\"{word}\" is none of direct, atomic")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(deny: &[&str], uploads: Uploads) -> Policy {
        let deny = deny.iter().map(|pattern| Pattern::parse(pattern.as_bytes())).collect();
        Policy { deny, uploads, ..Policy::default() }
    }

    #[test]
    fn a_pattern_is_held_against_every_component() {
        let policy = policy(&["*.lnk", "private"], Uploads::Direct);
        for (path, denied) in [
            (".", false),
            ("a.lnk", true),
            ("a.lnk/b", true),
            ("x/private/y", true),
            ("privates", false),
            ("lnk", false),
        ] {
            assert_eq!(policy.denies(path.as_bytes()), denied, "{path}");
        }
    }

    #[test]
    fn unfinished_uploads_exist_only_where_they_are_ours() {
        let name = b"d/.miniftpd-abcdefghijklmnop";
        assert!(policy(&[], Uploads::Atomic).denies(name));
        assert!(!policy(&[], Uploads::Direct).denies(name));
        assert!(!policy(&[], Uploads::Atomic).denies(b"d/.miniftpd-notes"));
    }
}
