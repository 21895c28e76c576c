//! Where lines come from: an editor on a terminal, a pipe, or a script.
//!
//! Editing blocks, so it happens on a helper thread, which reads a line only when it is asked to. Between two
//! questions the terminal is the loop's, for progress and words.

use std::borrow::Cow;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor};

use crate::user::{Message, Typist};

/// Lines of history that are kept.
const HISTORY: usize = 1000;

/// What names can be completed to; the loop keeps it up to date, the editor reads it.
#[derive(Debug, Default)]
pub struct Names {
    /// Verbs.
    pub words: Vec<String>,
    /// Names in the remote directory as it was last listed; directories end in a slash.
    pub remote: Vec<String>,
    /// Verbs whose arguments are local names.
    pub local: Vec<String>,
}

/// The loop's end of the editor.
#[derive(Debug)]
pub struct Lines {
    questions: Sender<String>,
    /// Shared with the completer.
    pub names: Arc<Mutex<Names>>,
}

impl Lines {
    /// Starts the editor on a terminal.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn edited(typist: Typist) -> io::Result<Self> {
        let (questions, asked) = mpsc::channel();
        let names = Arc::new(Mutex::new(Names::default()));
        let helper = Helper(Arc::clone(&names));
        thread::Builder::new().name("editor".into()).spawn(move || edit(&typist, &asked, helper))?;
        Ok(Self { questions, names })
    }

    /// Starts a reader of standard input that is no terminal.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn piped(typist: Typist) -> io::Result<Self> {
        let (questions, asked) = mpsc::channel();
        thread::Builder::new().name("reader".into()).spawn(move || pipe(&typist, &asked))?;
        Ok(Self { questions, names: Arc::default() })
    }

    /// Asks for a line; it comes as [`Message::Typed`]. False: the editor is gone.
    pub fn ask(&self, prompt: &str) -> bool {
        self.questions.send(prompt.to_owned()).is_ok()
    }
}

fn pipe(typist: &Typist, asked: &Receiver<String>) {
    let mut lines = io::stdin().lock().lines();
    while asked.recv().is_ok() {
        let line = lines.next().and_then(Result::ok);
        let end = line.is_none();
        if !typist.say(Message::Typed(line)) || end {
            return;
        }
    }
}

fn edit(typist: &Typist, asked: &Receiver<String>, helper: Helper) {
    let config = Config::builder().completion_type(CompletionType::List).max_history_size(HISTORY);
    let config = config.map_or_else(|_| Config::default(), |builder| builder.auto_add_history(false).build());
    let Ok(mut editor) = Editor::<Helper, FileHistory>::with_config(config) else {
        typist.say(Message::Typed(None));
        return;
    };
    editor.set_helper(Some(helper));
    let history = history_file();
    if let Some(file) = &history {
        // The first time there is none.
        let _ = editor.load_history(file);
    }
    while let Ok(prompt) = asked.recv() {
        let message = match editor.readline(&prompt) {
            Ok(line) => {
                remember(&mut editor, &line, history.as_ref());
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

/// A line goes into the history unless it holds a password.
fn remember(editor: &mut Editor<Helper, FileHistory>, line: &str, file: Option<&PathBuf>) {
    let secret = line.trim_start().starts_with("user ") || line.contains("://") && line.contains('@');
    if line.trim().is_empty() || secret {
        return;
    }
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
struct Helper(Arc<Mutex<Names>>);

impl Completer for Helper {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..at).unwrap_or(line);
        let start = typed.rfind([' ', ';']).map_or(0, |blank| blank + 1);
        let begun = typed.get(start..).unwrap_or_default();
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let command = typed.get(..start).unwrap_or_default().rsplit(';').next().unwrap_or_default().trim_start();
        let verb = command.split(' ').next().unwrap_or_default();
        let found: Vec<String> = if verb.is_empty() {
            begin(&names.words, begun)
        } else if names.local.iter().any(|word| word == verb) {
            local_names(begun)
        } else {
            begin(&names.remote, begun)
        };
        let pair = |name: String| Pair { display: name.clone(), replacement: name.replace(' ', "\\ ") };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

fn begin(names: &[String], begun: &str) -> Vec<String> {
    let begun = begun.replace("\\ ", " ");
    names.iter().filter(|name| name.starts_with(&begun)).cloned().collect()
}

fn local_names(begun: &str) -> Vec<String> {
    let begun = begun.replace("\\ ", " ");
    let (folder, head) = begun.rfind('/').map_or(("", begun.as_str()), |slash| begun.split_at(slash + 1));
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
