//! The table of verbs. One table serves the one-shot form and the shell, so that nothing has to be learnt twice.

use super::ui::Ui;
use super::{probe, shell_words as own, verbs};
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

/// All verbs.
pub static WORDS: &[Word] = &[
    word("get", Where::Once, "", "URL... [-o FILE|-] [-d DIR]", "fetch files", verbs::get),
    word("put", Where::Once, "", "FILE|-... URL", "send files", verbs::put),
    word("cat", Where::Both, "", "URL...", "show files", verbs::cat),
    word("ls", Where::Both, "l1", "[-l|-1|--json] URL", "list a directory", verbs::ls),
    word("mirror", Where::Once, "", "[OPTIONS] SRC DST", "make a tree the same elsewhere", verbs::mirror),
    word("rm", Where::Both, "", "URL...", "remove files", verbs::rm),
    word("mkdir", Where::Both, "", "URL...", "make directories", verbs::mkdir),
    word("rmdir", Where::Both, "", "URL...", "remove empty directories", verbs::rmdir),
    word("mv", Where::Both, "", "URL URL|NEWPATH", "rename a file or directory", verbs::mv),
    word("stat", Where::Both, "", "URL...", "what is known about a path", verbs::stat),
    word("check", Where::Both, "", "FILE URL", "compare a local file with a remote one", verbs::check),
    word("hash", Where::Once, "", "URL...", "the server's digest of a file", verbs::hash),
    word("probe", Where::Once, "", "URL", "what a server can do, and what is wrong on the way", probe::probe),
    // The shell's own, by what they are for: sites and directories.
    shell("open", "", "HOST[:PORT] | HOST PORT | URL | BOOKMARK", "connect and log in", own::open),
    shell("user", "", "NAME [PASSWORD]", "log in as somebody else", own::user),
    shell("close", "", "", "leave the server", own::close),
    shell("bye", "", "", "leave the server and the program", own::bye),
    shell("cd", "", "DIR | -", "go to a directory", own::cd),
    shell("cdup", "", "", "go to the directory above", own::cdup),
    shell("pwd", "", "", "which directory this is", own::pwd),
    shell("lcd", "", "[DIR]", "go to a local directory", own::lcd),
    shell("lpwd", "", "", "which local directory this is", own::lpwd),
    shell("dir", "", "[DIR]", "list a directory with everything known", own::dir),
    shell("nlist", "", "[DIR]", "list the names in a directory", own::nlist),
    shell("mls", "", "PATTERN...", "list the names that fit", own::mls),
    shell("find", "", "[DIR]", "every path below a directory", own::find),
    shell("du", "", "[DIR]", "bytes below a directory", own::du),
    // Files.
    shell(
        "get",
        "co:O:P:n:",
        "[-c] REMOTE [LOCAL|-||COMMAND] | REMOTE... [-o LOCAL] [-O DIR]",
        "fetch a file",
        own::get,
    ),
    shell("reget", "", "REMOTE [LOCAL]", "go on fetching a file", own::reget),
    shell(
        "pget",
        "co:O:P:n:",
        "[-n N] REMOTE [LOCAL] | REMOTE... [-o LOCAL] [-O DIR]",
        "fetch a file in pieces at once",
        own::pget,
    ),
    shell("mget", "cO:P:", "PATTERN...", "fetch the files that fit", own::mget),
    shell("put", "co:P:", "[-c] LOCAL [REMOTE] | -||COMMAND REMOTE", "send a file", own::put),
    shell("mput", "cP:", "PATTERN...", "send the files that fit", own::mput),
    shell("append", "", "LOCAL [REMOTE] | -||COMMAND REMOTE", "send a file to the end of another", own::append),
    shell(
        "mirror",
        "RenP:x:X:i:I:cv",
        "[-R] [-e] [-n] [-P N] [-x GLOB] SRC [DST]",
        "make a tree the same",
        own::mirror,
    ),
    shell("delete", "", "FILE...", "remove files", verbs::rm),
    shell("mdelete", "", "PATTERN...", "remove the files that fit", own::mdelete),
    shell("rename", "", "FROM TO", "rename a file or directory", own::rename),
    shell("size", "", "FILE...", "how long files are", own::size),
    shell("modtime", "", "FILE...", "when files were changed", own::modtime),
    shell("chmod", "", "MODE FILE...", "change permissions", own::chmod),
    // Words to the server as they are.
    shell("quote", "", "COMMAND...", "send a command as it is", own::quote),
    shell("site", "", "COMMAND...", "send a SITE command", own::site),
    shell("system", "", "", "what system the server says it is", own::system),
    shell("rhelp", "", "[WORD]", "the server's help", own::rhelp),
    // Switches.
    shell("ascii", "", "", "transfer text from now on", own::ascii),
    shell("binary", "", "", "transfer files as they are from now on", own::binary),
    shell("passive", "", "[on|off]", "who makes data connections", own::passive),
    shell("prompt", "", "[on|off]", "questions of mget, mput and mdelete", own::prompt),
    shell("hash", "", "[on|off]", "show progress", own::hash),
    shell("verbose", "", "[on|off]", "show the server's replies", own::verbose),
    shell("status", "", "", "what is switched on", own::status),
    // Jobs and the rest.
    shell("jobs", "", "", "what runs in the background", own::jobs),
    shell("wait", "", "[NUMBER|all]", "wait for what runs in the background", own::wait),
    shell("bookmark", "", "[add NAME [URL] | delete NAME | list]", "names for addresses", own::bookmark),
    shell("help", "", "[WORD]", "this", own::help),
];

/// Other names that hands know.
static ALIASES: &[(&str, &str)] = &[
    ("quit", "bye"),
    ("exit", "bye"),
    ("disconnect", "close"),
    ("ftp", "open"),
    ("recv", "get"),
    ("send", "put"),
    ("mdir", "mls"),
    ("image", "binary"),
    ("?", "help"),
];

const fn shell(name: &'static str, flags: &'static str, syntax: &'static str, help: &'static str, run: Run) -> Word {
    word(name, Where::Shell, flags, syntax, help, run)
}

/// The verb of the one-shot form with exactly this name.
pub fn once(name: &str) -> Option<&'static Word> {
    all_once().find(|word| word.name == name)
}

/// The verbs of the one-shot form.
pub fn all_once() -> impl Iterator<Item = &'static Word> {
    WORDS.iter().filter(|word| word.place != Where::Shell)
}

/// The verbs of the shell.
pub fn all_shell() -> impl Iterator<Item = &'static Word> {
    WORDS.iter().filter(|word| word.place != Where::Once)
}

/// The shell's verb of this name, or the only one that begins so.
///
/// # Errors
/// None does, or several do.
pub fn find(typed: &str) -> Result<&'static Word, String> {
    let by_name = |name: &str| all_shell().find(|word| word.name == name);
    let exact = ALIASES.iter().find(|(alias, _)| *alias == typed).map_or(typed, |(_, name)| name);
    if let Some(word) = by_name(exact) {
        return Ok(word);
    }
    let names = all_shell().map(|word| (word.name, word.name)).chain(ALIASES.iter().copied());
    let mut fitting: Vec<(&str, &str)> =
        names.filter(|(name, _)| !typed.is_empty() && name.starts_with(typed)).collect();
    fitting.sort_unstable();
    let unknown = || format!("{typed}: no such verb; try help");
    match &fitting[..] {
        [] => Err(unknown()),
        // Two names of one verb are no doubt.
        [(_, one), rest @ ..] if rest.iter().all(|(_, other)| other == one) => by_name(one).ok_or_else(unknown),
        [firsts @ .., (last, _)] => {
            let firsts: Vec<&str> = firsts.iter().map(|(name, _)| *name).collect();
            Err(format!("{typed} may be {} or {last}", firsts.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_unique_beginnings() {
        for (typed, name) in [
            ("get", "get"),
            ("bin", "binary"),
            ("q", "?"),
            ("quit", "bye"),
            ("exi", "bye"),
            ("?", "help"),
            ("mk", "mkdir"),
            ("rmd", "rmdir"),
        ] {
            match find(typed) {
                Ok(word) => assert_eq!(word.name, name, "{typed}"),
                Err(why) => assert!(name == "?" && why == "q may be quit or quote", "{typed}: {why}"),
            }
        }
        assert!(find("zzz").is_err() && find("").is_err());
        assert_eq!(find("di").expect_err("several"), "di may be dir or disconnect");
    }

    #[test]
    fn no_verb_is_there_twice() {
        for all in [all_once().collect::<Vec<_>>(), all_shell().collect()] {
            let mut names: Vec<&str> = all.iter().map(|word| word.name).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}
