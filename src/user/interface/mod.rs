//! The User Interface of Figure 1: what the user types and what the user sees.
//!
//! [`run`] is the program. [`words`] is the table of verbs, [`ui`] the state they work on, [`job`] what they set
//! going.

mod across;
mod bars;
mod credentials;
mod files;
pub mod job;
pub mod json;
mod line;
mod mirror;
pub mod options;
mod pipe;
mod probe;
pub mod screen;
mod segments;
pub mod shell;
mod shell_words;
mod typist;
pub mod ui;
mod verbs;
mod voice;
pub mod words;

use std::ffi::OsString;
use std::io::{self, Write};

use log::LevelFilter;

use crate::user::crew::{Cause, Trouble};
use options::{Command, Options, Script};
use ui::Ui;

/// The program: from the arguments, without its own name, to the exit code.
pub fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let outcome = options::parse(arguments).and_then(|(command, options)| {
        start_log(&options);
        obey(command, options)
    });
    match outcome {
        Ok(()) => 0,
        Err(trouble) => {
            if !trouble.text.is_empty() {
                screen::complain(&trouble.text);
            }
            trouble.cause as u8
        }
    }
}

fn obey(command: Command, options: Options) -> Result<(), Trouble> {
    match command {
        Command::Help => print(&options::help()),
        Command::Version => print(concat!("miniftp ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Once(word, arguments) => {
            let mut ui = Ui::new(options)?;
            ui.end_at_second_signal()?;
            ui.screen.about(word.name);
            let outcome = (word.run)(&mut ui, arguments);
            close(ui, outcome)
        }
        Command::Shell(start) => {
            let mut ui = Ui::new(options)?;
            let outcome = shell::interact(&mut ui, &start);
            close(ui, outcome)
        }
        Command::Script(script, start) => {
            let text = match script {
                Script::Text(text) => text,
                Script::File(file) => std::fs::read_to_string(&file)
                    .map_err(|error| Trouble::local(&file, crate::user::local::errno_of(&error)))?,
            };
            let mut ui = Ui::new(options)?;
            let outcome = shell::script(&mut ui, &text, &start);
            close(ui, outcome)
        }
    }
}

/// The end: what was not yet said is told to who reads objects, and objects that could not be written are a failure.
fn close(mut ui: Ui, outcome: Result<(), Trouble>) -> Result<(), Trouble> {
    ui.crew.dismiss();
    if let Err(trouble) = &outcome
        && !trouble.text.is_empty()
    {
        ui.screen.failed("", trouble);
    }
    outcome.and_then(|()| ui.screen.verdict())
}

fn print(text: &str) -> Result<(), Trouble> {
    let mut out = io::stdout();
    let wrote = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    wrote.map_err(|error| Trouble::new(Cause::Local, format!("standard output: {error}")))
}

/// `-v` shows the dialogue, `-vv` the states too. A logger that is set already stays.
fn start_log(options: &Options) {
    let level = match options.verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    if options.verbose > 0 && !voice::keep_journal(level) {
        screen::complain("the log is kept by somebody else");
    }
}
