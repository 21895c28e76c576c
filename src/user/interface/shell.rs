//! The shell.

use std::path::PathBuf;

use super::ui::Remote;
use crate::user::crew::Trouble;

/// Where the shell is.
#[derive(Debug, Default)]
pub struct Shell {
    /// The open site and the directory on it.
    pub here: Option<Here>,
    /// The local directory; none: the process's own.
    local: Option<PathBuf>,
}

/// A directory on a server.
#[derive(Debug, Clone)]
pub struct Here {
    /// Site and directory.
    pub at: Remote,
}

impl Here {
    /// A path of the user's in this directory.
    ///
    /// # Errors
    /// None so far; a URL may be malformed.
    pub fn resolve(&self, path: &[u8]) -> Result<Remote, Trouble> {
        Ok(self.at.at(path.to_vec()))
    }
}

impl Shell {
    /// The local directory.
    pub fn local_directory(&self) -> PathBuf {
        self.local.clone().unwrap_or_default()
    }
}
