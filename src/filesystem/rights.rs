//! What a session may do, and where: permission letters, presets and rules per directory.
//!
//! The letters are those pyftpdlib's users know, with `o` split off from `w`, so that a drop box which must
//! not overwrite can be written down:
//!
//! | letter | allows |
//! |---|---|
//! | `e` | CWD, CDUP |
//! | `l` | LIST, NLST, MLSD, MLST, STAT of a path, SIZE, MDTM |
//! | `r` | RETR |
//! | `w` | STOR, STOU, APPE of a new name, SITE SYMLINK |
//! | `o` | STOR over an existing file, RNTO onto a file |
//! | `a` | APPE, and STOR after REST, on an existing file |
//! | `d` | DELE, RMD |
//! | `f` | RNFR, and RNTO by the rule at the target |
//! | `m` | MKD |
//! | `M` | SITE CHMOD, MFF of UNIX.mode |
//! | `T` | MFMT, MDTM that sets, SITE UTIME, MFF of modify |

use super::path::VirtualPath;
use std::fmt;

/// One thing that can be allowed. The variants stand in the order their letters are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// `e`: make a directory the working directory.
    Enter,
    /// `l`: see names and facts.
    List,
    /// `r`: download.
    Read,
    /// `w`: upload under a new name.
    Create,
    /// `o`: replace a file.
    Overwrite,
    /// `a`: add to a file that exists.
    Append,
    /// `d`: remove files and directories.
    Delete,
    /// `f`: give another name.
    Rename,
    /// `m`: make directories.
    MakeDir,
    /// `M`: change permission bits.
    Mode,
    /// `T`: change modification times.
    Time,
}

impl Right {
    /// Every right, in the order of the letters.
    pub const ALL: [Self; 11] = [
        Self::Enter,
        Self::List,
        Self::Read,
        Self::Create,
        Self::Overwrite,
        Self::Append,
        Self::Delete,
        Self::Rename,
        Self::MakeDir,
        Self::Mode,
        Self::Time,
    ];
}

const LETTERS: [(char, Right); 11] = [
    ('e', Right::Enter),
    ('l', Right::List),
    ('r', Right::Read),
    ('w', Right::Create),
    ('o', Right::Overwrite),
    ('a', Right::Append),
    ('d', Right::Delete),
    ('f', Right::Rename),
    ('m', Right::MakeDir),
    ('M', Right::Mode),
    ('T', Right::Time),
];

/// The presets. They are looked up before letters: "read" is also a string of four letters.
const PRESETS: [(&str, &str); 5] =
    [("none", ""), ("read", "elr"), ("drop", "ew"), ("write", "elrawom"), ("full", "elrwoadfmMT")];

/// A set of [`Right`]s. The default is the empty set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(u16);

impl Rights {
    /// Nothing is allowed.
    pub const NONE: Self = Self(0);
    /// The preset `read`.
    pub const READ: Self = Self::NONE.with(Right::Enter).with(Right::List).with(Right::Read);
    /// The preset `full`: everything.
    pub const FULL: Self = Self((1 << LETTERS.len()) - 1);

    /// Reads a preset (`none`, `read`, `drop`, `write`, `full`) or a string of letters.
    ///
    /// The error names the letter that means nothing; it is text for whoever wrote the configuration.
    pub fn parse(text: &str) -> Result<Self, String> {
        let letters = PRESETS.iter().find(|(name, _)| *name == text).map_or(text, |(_, letters)| letters);
        letters.chars().try_fold(Self::NONE, |rights, letter| {
            match LETTERS.iter().find(|(known, _)| *known == letter) {
                Some((_, right)) => Ok(rights.with(*right)),
                None => Err(format!(
                    "\"{}\" in \"{}\" is none of elrwoadfmMT, nor is that a preset (none, read, drop, write, full)",
                    letter.escape_debug(),
                    text.escape_debug()
                )),
            }
        })
    }

    /// Whether `right` is in the set.
    pub const fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u16) != 0
    }

    /// The set with `right` added.
    #[must_use]
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | 1 << right as u16)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        LETTERS.iter().filter(|(_, right)| self.has(*right)).try_for_each(|(letter, _)| write!(formatter, "{letter}"))
    }
}

/// The rights of one account everywhere: a base, and rules that replace it below certain directories.
///
/// The longest rule that is a prefix by whole components wins; rules do not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    base: Rights,
    /// Longest path first, so that the first match is the right one.
    rules: Vec<(VirtualPath, Rights)>,
}

impl Rules {
    /// One set of rights for the whole tree.
    pub fn uniform(base: Rights) -> Self {
        Self { base, rules: Vec::new() }
    }

    /// A base and rules for paths in any spelling; each is made canonical as a session's own paths are.
    ///
    /// Refuses a path that cannot be named by a session, and two rules for the same directory: which one
    /// was meant is not ours to guess.
    pub fn new<'a>(base: Rights, rules: impl IntoIterator<Item = (&'a str, Rights)>) -> Result<Self, String> {
        let mut canonical: Vec<(VirtualPath, Rights)> = Vec::new();
        for (path, rights) in rules {
            let at =
                VirtualPath::root().resolve(path.as_bytes()).map_err(|fault| format!("rule path {path:?}: {fault}"))?;
            if canonical.iter().any(|(other, _)| *other == at) {
                return Err(format!("rule path {path:?}: there is another rule for {at:?}"));
            }
            // The longest first: in its place at once, where a sort would be 5 KB of program for a few rules.
            let longer = canonical.partition_point(|(other, _)| other.as_bytes().len() >= at.as_bytes().len());
            canonical.insert(longer, (at, rights));
        }
        Ok(Self { base, rules: canonical })
    }

    /// Whether it does not matter where a file is.
    pub fn is_uniform(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule is at `path` or below it: then its name is part of the rule.
    pub fn bind(&self, path: &VirtualPath) -> bool {
        self.rules.iter().any(|(ruled, _)| ruled.starts_with(path))
    }

    /// What may be done with the thing at `path`.
    pub fn at(&self, path: &VirtualPath) -> Rights {
        self.rules.iter().find(|(prefix, _)| path.starts_with(prefix)).map_or(self.base, |(_, rights)| *rights)
    }

    /// The rules that begin right at an entry of `directory`: `(name, rights)`. A listing asks once and
    /// then compares names, instead of building a path for each of a million entries.
    pub(crate) fn inside(&self, directory: &VirtualPath) -> Vec<(Box<[u8]>, Rights)> {
        let children = self.rules.iter().filter(|(path, _)| !path.is_root() && path.parent() == *directory);
        children.map(|(path, rights)| (path.name().into(), *rights)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> VirtualPath {
        VirtualPath::root().resolve(text.as_bytes()).expect("path")
    }

    #[test]
    fn presets_win_over_letters() {
        for (text, printed) in [
            ("none", ""),
            ("", ""),
            ("read", "elr"),
            ("drop", "ew"),
            ("write", "elrwoam"),
            ("full", "elrwoadfmMT"),
            ("Tle", "elT"),
        ] {
            assert_eq!(Rights::parse(text).expect(text).to_string(), printed);
        }
        assert!(Rights::parse("elx").expect_err("x").contains("\"x\""));
        assert!(Rights::parse("READ").is_err());
    }

    #[test]
    fn a_letter_is_one_right() {
        let drop = Rights::parse("drop").expect("drop");
        assert!(drop.has(Right::Enter) && drop.has(Right::Create));
        assert!(!drop.has(Right::Overwrite) && !drop.has(Right::List) && !drop.has(Right::Read));
        assert_eq!(Rights::parse("m").expect("m"), Rights::NONE.with(Right::MakeDir));
        assert_eq!(Rights::parse("M").expect("M"), Rights::NONE.with(Right::Mode));
    }

    #[test]
    fn the_longest_rule_wins_in_any_spelling() {
        let (read, full, drop) = (Rights::parse("read"), Rights::parse("full"), Rights::parse("drop"));
        let (read, full, drop) = (read.expect("read"), full.expect("full"), drop.expect("drop"));
        let rules = Rules::new(read, [("//in/", drop), ("/in/x/../mine/.", full)]).expect("rules");
        assert_eq!(rules.at(&path("/")), read);
        assert_eq!(rules.at(&path("/in")), drop);
        assert_eq!(rules.at(&path("/in/a/b")), drop);
        assert_eq!(rules.at(&path("/inner")), read);
        assert_eq!(rules.at(&path("/in/mine")), full);
        assert_eq!(rules.at(&path("/in/mine/x")), full);
        assert_eq!(rules.inside(&path("/in")), [(Box::from(&b"mine"[..]), full)]);
        assert_eq!(rules.inside(&path("/")), [(Box::from(&b"in"[..]), drop)]);
    }

    #[test]
    fn a_rule_binds_the_names_on_the_way_to_it() {
        let rules = Rules::new(Rights::NONE, [("/a/b", Rights::NONE)]).expect("rules");
        for (at, bound) in [("/", true), ("/a", true), ("/a/b", true), ("/a/b/c", false), ("/ab", false)] {
            assert_eq!(rules.bind(&path(at)), bound, "{at}");
        }
        assert!(!rules.is_uniform() && Rules::uniform(Rights::NONE).is_uniform());
    }

    #[test]
    fn a_rule_at_the_root_replaces_the_base() {
        let rules = Rules::new(Rights::NONE, [("/", Rights::NONE.with(Right::List))]).expect("rules");
        assert!(rules.at(&path("/")).has(Right::List) && rules.at(&path("/a")).has(Right::List));
        assert!(rules.inside(&path("/")).is_empty());
    }

    #[test]
    fn two_rules_for_one_directory_are_refused() {
        let twice = Rules::new(Rights::NONE, [("/a", Rights::NONE), ("/b/../a", Rights::NONE)]);
        assert!(twice.expect_err("twice").contains("/a"));
    }
}
