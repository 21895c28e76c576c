//! The client's own files, in the places that the XDG base directory specification gives them.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Where history is kept.
pub fn state_folder() -> Option<PathBuf> {
    folder("XDG_STATE_HOME", ".local/state")
}

/// Where bookmarks are kept.
pub fn config_folder() -> Option<PathBuf> {
    folder("XDG_CONFIG_HOME", ".config")
}

fn folder(variable: &str, otherwise: &str) -> Option<PathBuf> {
    let base = match std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(base) => base,
        None => PathBuf::from(std::env::var_os("HOME")?).join(otherwise),
    };
    Some(base.join("miniftp"))
}

/// Names for addresses: a line each, the name, a blank, the address.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Bookmarks(Vec<(String, String)>);

impl Bookmarks {
    /// As kept; none if there is no file.
    pub fn load() -> Self {
        let file = config_folder().map(|folder| folder.join("bookmarks"));
        let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let entries = text.lines().filter_map(|line| line.split_once(' '));
        Self(entries.map(|(name, url)| (name.to_owned(), url.trim().to_owned())).collect())
    }

    /// Keeps them. Addresses may hold a user's name, so the file is the user's own.
    ///
    /// # Errors
    /// The system's.
    pub fn save(&self) -> io::Result<()> {
        let folder = config_folder().ok_or_else(|| io::Error::other("no home directory"))?;
        fs::create_dir_all(&folder)?;
        let new = folder.join("bookmarks.new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        for (name, url) in &self.0 {
            writeln!(file, "{name} {url}")?;
        }
        fs::rename(new, folder.join("bookmarks"))
    }

    /// The address behind a name.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, url)| url.as_str())
    }

    /// Sets or replaces a name.
    pub fn set(&mut self, name: &str, url: &str) {
        self.remove(name);
        self.0.push((name.to_owned(), url.to_owned()));
    }

    /// Removes a name. False: there was none.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| known != name);
        self.0.len() < before
    }

    /// All of them.
    pub fn all(&self) -> &[(String, String)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookmarks_are_set_and_removed() {
        let mut marks = Bookmarks::parse("work ftp://h/a\nbroken\n");
        marks.set("home", "ftp://x/");
        marks.set("work", "ftp://h/b");
        assert_eq!((marks.find("work"), marks.all().len()), (Some("ftp://h/b"), 2));
        assert!(marks.remove("home") && !marks.remove("home"));
    }
}
