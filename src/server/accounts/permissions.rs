//! Permissions as the accounts file writes them: a preset's name, or letters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::filesystem::Rights;

/// Rights in the files' words. The default is the preset `read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Permissions(Rights);

impl Permissions {
    /// The preset `full`.
    pub const fn full() -> Self {
        Self(Rights::FULL)
    }

    /// What they grant.
    pub const fn rights(self) -> Rights {
        self.0
    }
}

impl Default for Permissions {
    fn default() -> Self {
        Self(Rights::READ)
    }
}

impl FromStr for Permissions {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Rights::parse(word).map(Self)
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
        permissions.to_string()
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
