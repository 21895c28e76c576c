//! The table of verbs. One table serves the one-shot form and the shell, so that nothing has to be learnt twice.

use super::ui::Ui;
use super::{shell_words, verbs};
use crate::user::crew::Trouble;

/// Where a verb can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// `miniftp VERB` and the shell.
    Both,
    /// The shell only.
    Shell,
    /// `miniftp VERB` only; the shell has its own of the same name.
    Once,
}

/// What a verb does with its arguments.
pub type Run = fn(&mut Ui, Vec<String>) -> Result<(), Trouble>;

/// A verb.
#[derive(Debug)]
pub struct Word {
    /// Its name.
    pub name: &'static str,
    /// Where it can be used.
    pub place: Where,
    /// Options of its own in the shell; a letter with `:` behind it takes a value.
    pub flags: &'static str,
    /// What stands behind it.
    pub syntax: &'static str,
    /// What it does.
    pub help: &'static str,
    /// And how.
    pub run: Run,
}

const fn word(
    name: &'static str,
    place: Where,
    flags: &'static str,
    syntax: &'static str,
    help: &'static str,
    run: Run,
) -> Word {
    Word { name, place, flags, syntax, help, run }
}

/// All verbs. An earlier one wins where an abbreviation fits several and is one of the classic ones (`ls`, `get`).
pub static WORDS: &[Word] = &[
    word("get", Where::Both, "co:d:O:P:n:", "URL... [-o FILE|-] [-d DIR]", "fetch files", verbs::get),
    word("put", Where::Both, "co:O:P:", "FILE|-... URL", "send files", verbs::put),
    word("cat", Where::Both, "", "URL...", "show files", verbs::cat),
    word("ls", Where::Both, "l1a", "[-l|-1|--json] URL", "list a directory", verbs::ls),
    word("mirror", Where::Both, "RenP:x:X:i:I:cv", "[OPTIONS] SRC DST", "make a tree the same elsewhere", verbs::mirror),
    word("rm", Where::Both, "", "URL...", "remove files", verbs::rm),
    word("mkdir", Where::Both, "", "URL...", "make directories", verbs::mkdir),
    word("rmdir", Where::Both, "", "URL...", "remove empty directories", verbs::rmdir),
    word("mv", Where::Both, "", "URL URL|NEWPATH", "rename a file or directory", verbs::mv),
    word("stat", Where::Both, "", "URL...", "what is known about a path", verbs::stat),
    word("quit", Where::Shell, "", "", "leave", shell_words::bye),
];

/// The verb of the one-shot form with exactly this name.
pub fn once(name: &str) -> Option<&'static Word> {
    all_once().find(|word| word.name == name)
}

/// The verbs of the one-shot form.
pub fn all_once() -> impl Iterator<Item = &'static Word> {
    WORDS.iter().filter(|word| word.place != Where::Shell)
}
