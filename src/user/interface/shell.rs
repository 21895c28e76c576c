//! The shell: a prompt or a script, one command after the other, jobs in the background.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use super::line::{self, Typed};
use super::options::{Options, usage};
use super::pipe;
use super::typist::{Asked, Lines, Names};
use super::ui::{Heard, Remote, Ui};
use super::voice;
use super::words::{self, Where, Word};
use crate::user::crew::{Cause, Trouble};
use crate::user::text::{Shown, join};
use crate::user::url::Place;
use crate::wire::directory::{Found, FoundKind};

/// Where the shell is, and what was switched on and off.
#[derive(Debug, Default)]
pub struct Shell {
    /// Which server, and which directory there.
    pub place: Whereabouts,
    /// Where `cd -` leads.
    pub before: Option<Vec<u8>>,
    /// mget and mput ask before each file.
    pub asks: bool,
    /// Replies are shown.
    pub verbose: bool,
    /// `quit` was said.
    pub leaving: bool,
    /// The next job stays in the background.
    pub background: bool,
    lines: Option<Lines>,
    /// Somebody sits at a terminal.
    interactive: bool,
}

/// Where the shell is.
#[derive(Debug, Clone, Default)]
pub enum Whereabouts {
    /// There is no shell: every path brings its own address.
    #[default]
    Outside,
    /// With nobody.
    Nowhere,
    /// A server is chosen, and nobody has logged in (`-N`).
    AtTheDoor(Place),
    /// In a directory of a server.
    Inside(Here),
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
    /// It cannot be sent.
    pub fn resolve(&self, path: &[u8]) -> Result<Remote, Trouble> {
        if !crate::user::text::sendable(path) {
            return Err(usage("a line break in a name cannot be sent"));
        }
        let directory = &self.at.path;
        if path.starts_with(b"/") {
            return Ok(self.at.at(path.to_vec()));
        }
        // `./` keeps a name from being taken for an option or a command; a server need not know it.
        let mut relative = path;
        while let [b'.', b'/', behind @ ..] = relative {
            let slashes = behind.iter().take_while(|byte| **byte == b'/').count();
            relative = behind.get(slashes..).unwrap_or_default();
        }
        Ok(self.at.at(match relative {
            b"" | b"." => directory.clone(),
            name => join(directory, name),
        }))
    }
}

impl Shell {
    /// The local directory: the process's own, which `lcd` changes.
    pub fn local_directory(&self) -> PathBuf {
        PathBuf::new()
    }

    /// Whether somebody sits at a terminal and can be asked.
    pub const fn interactive(&self) -> bool {
        self.interactive
    }

    /// The directory on a server, if there is one.
    pub const fn here(&self) -> Option<&Here> {
        match &self.place {
            Whereabouts::Inside(here) => Some(here),
            Whereabouts::Outside | Whereabouts::Nowhere | Whereabouts::AtTheDoor(_) => None,
        }
    }

    /// Goes elsewhere. Names that were known are those of another directory.
    pub fn go(&mut self, place: Whereabouts) -> Whereabouts {
        if let Some(lines) = &self.lines {
            lines.names.forget();
        }
        std::mem::replace(&mut self.place, place)
    }

    /// Names that a listing of a directory brought, for completion; the directory as it is typed, with its slash.
    pub fn learn(&self, directory: &str, entries: &[Found]) {
        let Some(lines) = &self.lines else { return };
        let name = |found: &Found| {
            let slash = if found.kind == FoundKind::Dir { "/" } else { "" };
            String::from_utf8(found.name.clone()).ok().map(|name| format!("{name}{slash}"))
        };
        // A name with a slash in it leads out of this directory.
        let within = entries.iter().filter(|found| !found.name.contains(&b'/'));
        lines.names.learn(directory, within.filter_map(name).collect());
    }
}

/// The shell on a terminal or a pipe.
///
/// # Errors
/// On a pipe, the first failure; on a terminal only what ends the program.
pub fn interact(ui: &mut Ui, start: &[String]) -> Result<(), Trouble> {
    let interactive = io::stdin().is_terminal();
    ui.shell.interactive = interactive;
    ui.shell.asks = interactive && !ui.options.no_questions;
    let typist = ui.crew.client().helper().typist();
    let lines = if interactive { Lines::edited(typist, Names::new()) } else { Lines::piped(typist) };
    let mut lines = lines.map_err(|error| Trouble::new(Cause::Local, format!("no thread for the prompt: {error}")))?;
    voice::speak_through(lines.above.take());
    ui.shell.lines = Some(lines);
    ui.shell.go(Whereabouts::Nowhere);
    let mut failed = None;
    if !start.is_empty() {
        let outcome = open(ui, start);
        judge(ui, outcome, &mut failed)?;
    }
    while !ui.shell.leaving {
        let prompt = prompt(ui);
        let line = match ask(ui, &prompt, Asked::Command)? {
            Answered::Line(line) => line,
            Answered::Cancelled => continue,
            Answered::Over => break,
        };
        let outcome = obey(ui, &line);
        judge(ui, outcome, &mut failed)?;
    }
    finish(ui, failed)
}

/// A script: all its lines at once.
///
/// # Errors
/// The first failure, or with `--keep-going` the first of all when the script is over.
pub fn script(ui: &mut Ui, text: &str, start: &[String]) -> Result<(), Trouble> {
    ui.shell.go(Whereabouts::Nowhere);
    let mut failed = None;
    if !start.is_empty() {
        open(ui, start)?;
    }
    for line in text.lines() {
        if ui.shell.leaving {
            break;
        }
        let outcome = obey(ui, line);
        judge(ui, outcome, &mut failed)?;
    }
    finish(ui, failed)
}

fn open(ui: &mut Ui, start: &[String]) -> Result<(), Trouble> {
    super::shell_words::open(ui, start.to_vec())
}

/// Jobs in the background are waited for: nobody is left to hear of them afterwards.
fn finish(ui: &mut Ui, failed: Option<Trouble>) -> Result<(), Trouble> {
    let mut failed = failed;
    for (id, _) in ui.jobs() {
        if let Err(trouble) = ui.wait(id) {
            failed.get_or_insert(trouble);
        }
    }
    match failed {
        // Said already; only the exit code is left to tell.
        Some(trouble) if !ui.shell.interactive => Err(Trouble { text: String::new(), ..trouble }),
        _ => Ok(()),
    }
}

/// What a failure means for the lines that follow.
fn judge(ui: &mut Ui, outcome: Result<(), Trouble>, failed: &mut Option<Trouble>) -> Result<(), Trouble> {
    let Err(trouble) = outcome else { return Ok(()) };
    if ui.leaving() {
        return Err(trouble);
    }
    if ui.shell.interactive || ui.options.keep_going {
        if !trouble.text.is_empty() {
            ui.screen.trouble("", &trouble);
        }
        failed.get_or_insert(trouble);
        return Ok(());
    }
    Err(trouble)
}

/// Everything on one line, up to the first failure.
fn obey(ui: &mut Ui, line: &str) -> Result<(), Trouble> {
    let commands = line::read(line).map_err(|_| usage("a quote is not closed"))?;
    for command in commands {
        one(ui, command)?;
    }
    Ok(())
}

fn one(ui: &mut Ui, command: Typed) -> Result<(), Trouble> {
    if let Some(escape) = command.escape {
        return super::shell_words::system_shell(ui, &escape);
    }
    let mut words = command.words.into_iter();
    let Some(verb) = words.next() else { return Ok(()) };
    let word = words::find(&verb).map_err(|why| usage(&why))?;
    let mut words = words.collect();
    let reader = pipe::split(word.name, &mut words, command.pipe)?;
    let (options, arguments) = word_options(word, words, &ui.options)?;
    ui.shell.background = command.background;
    ui.screen.about(word.name);
    let before = std::mem::replace(&mut ui.options, options);
    let outcome = match reader {
        Some(reader) => pipe::through(ui, &reader, |ui| (word.run)(ui, arguments)),
        None => (word.run)(ui, arguments),
    };
    // Verbs that switch something for good say so in `lasting`; the rest was for this command only.
    let lasting = (ui.options.text, ui.options.active);
    ui.options = before;
    if word.place == Where::Shell {
        (ui.options.text, ui.options.active) = lasting;
    }
    ui.shell.background = false;
    outcome
}

/// The options of one verb, on top of those of the command line.
fn word_options(word: &Word, arguments: Vec<String>, base: &Options) -> Result<(Options, Vec<String>), Trouble> {
    let mut options = base.clone();
    if word.flags.is_empty() {
        return Ok((options, arguments));
    }
    let mut table = getopts::Options::new();
    let mut letters = word.flags.chars().peekable();
    while let Some(letter) = letters.next() {
        let short = letter.to_string();
        if letters.next_if_eq(&':').is_some() {
            table.optmulti(&short, "", "", "")
        } else {
            table.optflag(&short, "", "")
        };
    }
    table.optflag("", "delete", "").optflag("", "dry-run", "").optflag("", "newer", "");
    table.optmulti("", "include", "", "").optmulti("", "exclude", "", "");
    let matches = table
        .parse(arguments)
        .map_err(|fail| usage(&format!("{}: {fail} (a name that begins with a dash goes behind --)", word.name)))?;
    let has = |name: &str| word.flags.contains(name) && matches.opt_present(name);
    let value = |name: &str| if word.flags.contains(name) { matches.opt_str(name) } else { None };
    let count = |name: &str| match value(name) {
        Some(text) => {
            text.parse().ok().filter(|count| (1..=64).contains(count)).map(Some).ok_or_else(|| usage("1 to 64"))
        }
        None => Ok(None),
    };
    let mirror = word.name == "mirror";
    options.resume |= has("c");
    options.long = if word.name == "ls" { !has("1") } else { options.long };
    options.output = value("o");
    options.directory = value("d").or_else(|| value("O")).map(PathBuf::from);
    options.parallel = count("P")?.or(options.parallel);
    if mirror {
        options.newer |= has("n") || matches.opt_present("newer");
        options.delete |= has("e") || matches.opt_present("delete");
        options.dry_run |= matches.opt_present("dry-run");
        options.reverse = has("R");
        options.verbose += usize::from(has("v"));
        options.include.extend(matches.opt_strs("i").into_iter().chain(matches.opt_strs("I")));
        options.include.extend(matches.opt_strs("include"));
        options.exclude.extend(matches.opt_strs("x").into_iter().chain(matches.opt_strs("X")));
        options.exclude.extend(matches.opt_strs("exclude"));
    } else {
        options.segments = count("n")?.unwrap_or(options.segments);
    }
    Ok((options, matches.free))
}

fn prompt(ui: &Ui) -> String {
    match &ui.shell.place {
        Whereabouts::Inside(here) => format!("{}:{}> ", here.at.place.host, Shown(&here.at.path)),
        Whereabouts::AtTheDoor(place) => format!("{} (not logged in)> ", place.host),
        Whereabouts::Outside | Whereabouts::Nowhere => "miniftp> ".to_owned(),
    }
}

/// What came of asking for a line.
#[derive(Debug)]
pub enum Answered {
    /// This.
    Line(String),
    /// Ctrl-C.
    Cancelled,
    /// There will be no more.
    Over,
}

/// Asks for a line; the loop goes on until it comes.
///
/// # Errors
/// When the loop fails.
pub fn ask(ui: &mut Ui, prompt: &str, what: Asked) -> Result<Answered, Trouble> {
    let asked = ui.shell.lines.as_ref().is_some_and(|lines| lines.ask(prompt, what));
    if !asked {
        return Ok(Answered::Over);
    }
    ui.screen.pause(ui.shell.interactive);
    let line = wait_for_line(ui);
    ui.screen.pause(false);
    line
}

fn wait_for_line(ui: &mut Ui) -> Result<Answered, Trouble> {
    loop {
        ui.report_finished();
        match ui.pump()? {
            Heard::Line(line) => return Ok(line.map_or(Answered::Over, Answered::Line)),
            Heard::Cancelled => return Ok(Answered::Cancelled),
            Heard::Nothing if ui.take_interrupt() => return Ok(Answered::Over),
            Heard::Nothing => {}
        }
    }
}
