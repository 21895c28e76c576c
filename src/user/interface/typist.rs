//! Where lines come from: an editor on a terminal, a pipe, or a script.
//!
//! Editing blocks, so it happens on a helper thread, which reads a line only when it is asked to. Between two
//! questions the terminal is the loop's, for progress and words.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::line_buffer::LineBuffer;
use rustyline::validate::Validator;
use rustyline::{Changeset, CompletionType, Config, Context, Editor, ExternalPrinter};

use super::line::{self, Unfinished};
use super::words;
use crate::user::text::Shown;
use crate::user::{Message, Typist};

/// Lines of history that are kept.
const HISTORY: usize = 1000;

/// How long a key waits for a listing: as long as a person does before taking it for broken.
const PATIENCE: Duration = Duration::from_secs(3);

/// Verbs whose arguments are local names.
const LOCAL: [&str; 5] = ["put", "mput", "lcd", "append", "check"];

/// Verbs whose arguments are patterns.
const PATTERNS: [&str; 7] = ["mget", "mput", "mdelete", "mls", "ls", "dir", "nlist"];

/// What names can be completed to: the loop brings those of the server, the editor reads them.
#[derive(Debug, Default)]
pub struct Names {
    /// Names in the server's directories, which are called as they are typed, with their slash; directories in them end in
    /// a slash too.
    remote: Mutex<HashMap<String, Vec<String>>>,
    came: Condvar,
}

impl Names {
    /// None yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Vec<String>>> {
        self.remote.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in a directory.
    pub fn learn(&self, directory: &str, names: Vec<String>) {
        self.held().insert(directory.to_owned(), names);
        self.came.notify_all();
    }

    /// Directories are called otherwise from now on.
    pub fn forget(&self) {
        self.held().clear();
    }

    /// Names of a directory that begin so, with it before them. Asks for them if they are not known.
    fn complete(&self, begun: &str, typist: &Typist) -> Vec<String> {
        let (directory, head) = begun.rfind('/').map_or(("", begun), |slash| begun.split_at(slash + 1));
        let mut held = self.held();
        if !held.contains_key(directory) {
            if !typist.say(Message::Wanted(directory.to_owned())) {
                return Vec::new();
            }
            let waited = self.came.wait_timeout_while(held, PATIENCE, |held| !held.contains_key(directory));
            held = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let names = held.get(directory).map(Vec::as_slice).unwrap_or_default();
        names.iter().filter(|name| name.starts_with(head)).map(|name| format!("{directory}{name}")).collect()
    }
}

/// Writes above the line that is being edited.
pub struct Above(Box<dyn ExternalPrinter + Send>);

impl Above {
    /// A text with its line end.
    pub fn say(&mut self, text: &str) {
        // It fails when the editor is gone, and the program with it. Not logged: the log itself may come through here.
        let _ = self.0.print(text.to_owned());
    }
}

impl fmt::Debug for Above {
    /// rustyline's type has none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Above")
    }
}

/// What a line is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A command: it is remembered, unless it holds a password.
    Command,
    /// What a command wants to know: of no use another time, and perhaps nobody else's affair.
    Answer,
}

/// The loop's end of the editor.
#[derive(Debug)]
pub struct Lines {
    questions: Sender<(String, Asked)>,
    /// Shared with the completer.
    pub names: Arc<Names>,
    /// The way past the editor, until somebody takes it.
    pub above: Option<Above>,
}

impl Lines {
    /// Starts the editor on a terminal.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn edited(typist: Typist, names: Arc<Names>) -> io::Result<Self> {
        let (questions, asked) = mpsc::channel();
        let (printers, printer) = mpsc::channel();
        let helper = Helper { names: Arc::clone(&names), typist };
        thread::Builder::new().name("editor".into()).spawn(move || edit(helper, &asked, &printers))?;
        // The editor has it at once, or never.
        let above = printer.recv().ok().flatten();
        Ok(Self { questions, names, above })
    }

    /// Starts a reader of standard input that is no terminal.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn piped(typist: Typist) -> io::Result<Self> {
        let (questions, asked) = mpsc::channel();
        thread::Builder::new().name("reader".into()).spawn(move || pipe(&typist, &asked))?;
        Ok(Self { questions, names: Names::new(), above: None })
    }

    /// Asks for a line; it comes as [`Message::Typed`]. False: the editor is gone.
    pub fn ask(&self, prompt: &str, what: Asked) -> bool {
        self.questions.send((prompt.to_owned(), what)).is_ok()
    }
}

fn pipe(typist: &Typist, asked: &Receiver<(String, Asked)>) {
    let mut lines = io::stdin().lock().lines();
    while asked.recv().is_ok() {
        let line = lines.next().and_then(Result::ok);
        let end = line.is_none();
        if !typist.say(Message::Typed(line)) || end {
            return;
        }
    }
}

fn edit(helper: Helper, asked: &Receiver<(String, Asked)>, printers: &Sender<Option<Above>>) {
    let typist = helper.typist.clone();
    let config = Config::builder().completion_type(CompletionType::List).max_history_size(HISTORY);
    let config = config.map_or_else(|_| Config::default(), |builder| builder.auto_add_history(false).build());
    let Ok(mut editor) = Editor::<Helper, FileHistory>::with_config(config) else {
        typist.say(Message::Typed(None));
        return;
    };
    editor.set_helper(Some(helper));
    let above = editor.create_external_printer().map(|printer| Above(Box::new(printer)));
    drop(printers.send(above.ok()));
    let history = history_file();
    if let Some(file) = &history {
        // The first time there is none.
        let _ = editor.load_history(file);
    }
    while let Ok((prompt, what)) = asked.recv() {
        let message = match editor.readline(&prompt) {
            Ok(line) => {
                if what == Asked::Command && !line.trim().is_empty() && !is_secret(&line) {
                    remember(&mut editor, &line, history.as_ref());
                }
                Message::Typed(Some(line))
            }
            Err(ReadlineError::Interrupted) => Message::Cancelled,
            Err(_) => Message::Typed(None),
        };
        if !typist.say(message) {
            return;
        }
    }
}

/// Whether a line may hold a password: as `user` and every beginning of it, in an address, in words sent as they are.
fn is_secret(line: &str) -> bool {
    /// What passwords stand behind: PASS, ACCT, SITE PSWD and the like.
    const WORDS: [&str; 4] = ["pass", "acct", "psw", "pwd "];
    let lower = line.to_ascii_lowercase();
    if lower.contains("://") && lower.contains('@') {
        return true;
    }
    let Ok(commands) = line::read(&lower) else { return true };
    let secret = |words: &[String]| match words.first().map(|verb| words::find(verb)) {
        Some(Ok(word)) if word.name == "user" => true,
        Some(Ok(word)) if matches!(word.name, "quote" | "site") => WORDS.iter().any(|word| lower.contains(word)),
        _ => false,
    };
    commands.iter().any(|command| secret(&command.words))
}

fn remember(editor: &mut Editor<Helper, FileHistory>, line: &str, file: Option<&PathBuf>) {
    // History is a convenience: a full disk must not end a session.
    let _ = editor.add_history_entry(line);
    if let Some(file) = file {
        let _ = editor.append_history(file);
    }
}

fn history_file() -> Option<PathBuf> {
    let folder = super::files::state_folder()?;
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

/// Completes verbs, then remote names, or local ones where the verb takes those.
#[derive(Debug)]
struct Helper {
    names: Arc<Names>,
    typist: Typist,
}

impl Completer for Helper {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Some(Unfinished { words, start, begun, quoted }) = line.get(..at).and_then(line::unfinished) else {
            return Ok((at, Vec::new()));
        };
        // What stands behind the cursor would begin in other quotes than it was typed in.
        if quoted && at < line.len() {
            return Ok((at, Vec::new()));
        }
        let Some(verb) = words.first() else {
            let names = words::all_shell().map(|word| word.name).filter(|name| name.starts_with(&begun));
            return Ok((start, names.filter_map(|name| pair(name, Use::Name)).collect()));
        };
        let verb = words::find(verb).map_or("", |word| word.name);
        let to_be = if PATTERNS.contains(&verb) { Use::Pattern } else { Use::Name };
        let begun = if to_be == Use::Pattern { name_of(&begun) } else { begun };
        let found = if LOCAL.contains(&verb) { local_names(&begun) } else { self.names.complete(&begun, &self.typist) };
        Ok((start, found.iter().filter_map(|name| pair(name, to_be)).collect()))
    }

    /// What several names have in common may end between a backslash and what it keeps.
    fn update(&self, line: &mut LineBuffer, start: usize, elected: &str, changes: &mut Changeset) {
        let end = line.pos();
        line.replace(start..end, whole(elected), changes);
    }
}

/// What a completed word is to its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Name,
    /// Its last component is held against names.
    Pattern,
}

/// A name as it is shown and as it is put into the line. It is a server's choice, or that of whoever may write there:
/// it must be one word that means this file and nothing else. `None`: no line can hold it.
fn pair(name: &str, to_be: Use) -> Option<Pair> {
    let word = if to_be == Use::Pattern { pattern_of(name) } else { name.to_owned() };
    // A dash would begin an option or mean standard input, `|` a command to be run here.
    let word = if word.starts_with(['-', '|']) { format!("./{word}") } else { word };
    Some(Pair { display: Shown(name.as_bytes()).to_string(), replacement: line::escaped(&word)? })
}

/// Without a backslash at the end that keeps nothing.
fn whole(typed: &str) -> &str {
    let backslashes = typed.len() - typed.trim_end_matches('\\').len();
    typed.get(..typed.len() - backslashes % 2).unwrap_or(typed)
}

/// The pattern that fits this name only.
fn pattern_of(name: &str) -> String {
    let (folder, last) = name.rfind('/').map_or(("", name), |slash| name.split_at(slash + 1));
    let mut pattern = folder.to_owned();
    for letter in last.chars() {
        match letter {
            '*' | '?' | '[' => pattern.extend(['[', letter, ']']),
            other => pattern.push(other),
        }
    }
    pattern
}

/// The name, or the beginning of it, that [`pattern_of`] made a pattern of.
fn name_of(pattern: &str) -> String {
    pattern.replace("[*]", "*").replace("[?]", "?").replace("[[]", "[")
}

fn local_names(begun: &str) -> Vec<String> {
    let (folder, head) = begun.rfind('/').map_or(("", begun), |slash| begun.split_at(slash + 1));
    let shown = if folder.is_empty() { "." } else { folder };
    let entries = std::fs::read_dir(shown).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let slash = if entry.file_type().is_ok_and(|kind| kind.is_dir()) { "/" } else { "" };
            name.starts_with(head).then(|| format!("{folder}{name}{slash}"))
        })
        .collect();
    names.sort();
    names
}

impl Hinter for Helper {
    type Hint = String;
}

impl Highlighter for Helper {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}

impl Validator for Helper {}

impl rustyline::Helper for Helper {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filesystem::Pattern;
    use crate::filesystem::pattern::STEP_LIMIT;
    use proptest::prelude::*;

    #[test]
    fn passwords_are_no_history() {
        for line in [
            "user ann secret",
            "us ann secret",
            "USER ann secret",
            "ls; user ann secret",
            "  user ann",
            "quote PASS secret",
            "quo acct secret",
            "site pswd old new",
            "open ftp://u:secret@h/",
            "mirror ftp://u:p@h/ x",
            "bookmark add x ftp://u:p@h",
            "user ann \"not closed",
        ] {
            assert!(is_secret(line), "{line}");
        }
        for line in ["ls", "get users", "open h", "quote NOOP", "site help"] {
            assert!(!is_secret(line), "{line}");
        }
    }

    proptest! {
        /// What TAB puts into a line is the name and nothing else, also where the verb takes a pattern.
        #[test]
        fn a_completed_name_is_that_name(name in r#"[-|;&!"'\\*?\[\] #a~]{1,8}"#) {
            for (to_be, verb) in [(Use::Name, "get"), (Use::Pattern, "mget")] {
                let pair = pair(&name, to_be).expect("nothing that steers a terminal");
                let typed = line::read(&format!("{verb} {}", pair.replacement)).expect("closed");
                prop_assert_eq!((typed.len(), typed[0].words.len(), typed[0].background), (1, 2, false));
                let word = &typed[0].words[1];
                prop_assert!(!word.starts_with(['-', '|']), "{}", word);
                let word = word.strip_prefix("./").unwrap_or(word);
                if to_be == Use::Pattern {
                    let pattern = Pattern::parse(word.as_bytes());
                    prop_assert!(pattern.matches(name.as_bytes(), STEP_LIMIT, &mut 0));
                    let other = name.replace(['*', '?', '['], "b");
                    prop_assert_eq!(pattern.matches(other.as_bytes(), STEP_LIMIT, &mut 0), other == name);
                    prop_assert_eq!(&name_of(word), &name);
                } else {
                    prop_assert_eq!(word, &name);
                }
            }
        }
    }

    #[test]
    fn what_steers_a_terminal_is_not_offered() {
        for name in ["a\u{1b}[31m", "a\nb", "a\u{202e}b"] {
            assert!(pair(name, Use::Name).is_none(), "{name:?}");
        }
        assert_eq!((whole(r"a\"), whole(r"a\\"), whole("a")), ("a", r"a\\", "a"));
    }
}
