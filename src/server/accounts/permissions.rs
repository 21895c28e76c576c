//! Permissions as the accounts file writes them: a preset's name, or letters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Every letter, in the order they are kept and printed.
const LETTERS: &str = "elrwoadfmMT";

/// The presets, looked up before letters: `read` is also a word of letters.
const PRESETS: [(&str, &str); 5] =
    [("none", ""), ("read", "elr"), ("drop", "ew"), ("write", "elrwoam"), ("full", LETTERS)];

/// A set of permission letters, checked and in canonical order. The default is the preset `read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Permissions {
    letters: String,
}

impl Permissions {
    /// The preset `full`.
    pub fn full() -> Self {
        let letters = LETTERS.to_owned();
        Permissions { letters }
    }

    /// The letters, some of `elrwoadfmMT`, each once.
    pub fn letters(&self) -> &str {
        &self.letters
    }
}

impl Default for Permissions {
    fn default() -> Self {
        let letters = "elr".to_owned();
        Permissions { letters }
    }
}

impl FromStr for Permissions {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let preset = PRESETS.iter().find(|(name, _)| *name == word);
        let given = preset.map_or(word, |(_, letters)| letters);
        if let Some(odd) = given.chars().find(|&letter| !LETTERS.contains(letter)) {
            return Err(format!(
                "\"{}\" in \"{}\" is none of {LETTERS}, nor is that a preset (none, read, drop, write, full)",
                odd.escape_debug(),
                word.escape_debug()
            ));
        }
        let kept = LETTERS.chars().filter(|&letter| given.contains(letter));
        let letters = kept.collect();
        Ok(Permissions { letters })
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.letters)
    }
}

impl TryFrom<String> for Permissions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Permissions> for String {
    fn from(permissions: Permissions) -> String {
        permissions.letters
    }
}

/// Permissions of a directory and all below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The directory, below the account's `/`.
    pub path: RulePath,
    /// What holds there instead of the account's own permissions.
    pub permissions: Permissions,
}

/// A rule's path, canonical: absolute below the account's home, no `.`, `..`, `//`, no slash at the end.
/// Rules compare by this form, so that no spelling of a path escapes its rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RulePath(String);

impl RulePath {
    /// The path's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RulePath {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word.is_empty() || word.chars().any(char::is_control) {
            return Err(format!("\"{}\" is no path", word.escape_debug()));
        }
        let mut kept = Vec::new();
        for component in word.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    kept.pop();
                }
                name => kept.push(name),
            }
        }
        Ok(RulePath(format!("/{}", kept.join("/"))))
    }
}

impl fmt::Display for RulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RulePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RulePath> for String {
    fn from(path: RulePath) -> String {
        path.0
    }
}
