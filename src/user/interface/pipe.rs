//! Commands of this system beside a verb: `|COMMAND` reads what the verb writes, or writes what it reads; `!COMMAND` has
//! the terminal to itself for a while.
//!
//! They share the terminal, so Ctrl-C is told to them as well as to us. The loop goes on until they have ended: nothing
//! else would hear of it, and what is left in the background would stand still.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::signal::SIGINT;

use super::options::usage;
use super::ui::Ui;
use crate::user::crew::{Cause, Trouble};

/// Verbs whose data a command may read. The others show nothing, and a word of theirs that begins with `|` may be a
/// password.
const SPEAKING: [&str; 18] = [
    "cat", "ls", "dir", "nlist", "mls", "find", "du", "size", "modtime", "stat", "pwd", "lpwd", "jobs", "status",
    "bookmark", "help", "rhelp", "system",
];

/// Those of them whose last word may be such a command in quotes, as in BSD's ftp. The others have no names there.
const LISTING: [&str; 5] = ["cat", "ls", "dir", "nlist", "mls"];

/// Verbs where it stands for a local name.
const MOVING: [&str; 5] = ["get", "reget", "pget", "put", "append"];

/// What stands behind a verb: its arguments, and the command that reads its data.
///
/// # Errors
/// This verb has none.
pub fn split(verb: &str, words: &mut Vec<String>, typed: Option<String>) -> Result<Option<String>, Trouble> {
    match typed {
        Some(command) if command.is_empty() => Err(usage("which command is to read it?")),
        Some(command) if SPEAKING.contains(&verb) => Ok(Some(command)),
        Some(command) if MOVING.contains(&verb) => {
            words.push(format!("|{command}"));
            Ok(None)
        }
        Some(_) => Err(usage(&format!("{verb} writes nothing that a command could read; quotes make | a letter"))),
        None if LISTING.contains(&verb) => {
            Ok(words.pop_if(|word| word.starts_with('|')).map(|word| word[1..].to_owned()))
        }
        None => Ok(None),
    }
}

/// Does something whose data goes to a command instead of standard output.
///
/// # Errors
/// What it was, or the command's failure.
pub fn through(ui: &mut Ui, command: &str, act: impl FnOnce(&mut Ui) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let (neighbour, input) = Neighbour::reading(command)?;
    let before = ui.screen.divert(Some(File::from(input)));
    let outcome = undisturbed(ui, act);
    ui.screen.divert(before);
    neighbour.finish(ui, outcome)
}

/// A command may have the terminal, and nothing is drawn across it.
fn undisturbed<R>(ui: &mut Ui, act: impl FnOnce(&mut Ui) -> R) -> R {
    let shown = ui.screen.progress();
    ui.show_progress(false);
    let result = act(ui);
    ui.show_progress(shown);
    result
}

/// A command that runs.
#[derive(Debug)]
pub struct Neighbour {
    child: Child,
    command: String,
    role: Role,
    /// It was told to end, so that how it ends says nothing about it.
    stopped: bool,
}

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It reads what a verb writes.
    Reader,
    /// It writes what a verb reads.
    Writer,
    /// It has nothing to do with us.
    Guest,
}

impl Neighbour {
    /// One that reads what is written to the descriptor.
    ///
    /// # Errors
    /// The system's.
    pub fn reading(command: &str) -> Result<(Self, OwnedFd), Trouble> {
        let mut neighbour = Self::start(command, shell(command).stdin(Stdio::piped()), Role::Reader)?;
        let input = neighbour.child.stdin.take().ok_or_else(|| usage("no pipe"))?;
        Ok((neighbour, input.into()))
    }

    /// One that writes what can be read from the descriptor.
    ///
    /// # Errors
    /// The system's.
    pub fn writing(command: &str) -> Result<(Self, OwnedFd), Trouble> {
        let mut neighbour =
            Self::start(command, shell(command).stdin(Stdio::null()).stdout(Stdio::piped()), Role::Writer)?;
        let output = neighbour.child.stdout.take().ok_or_else(|| usage("no pipe"))?;
        Ok((neighbour, output.into()))
    }

    /// One that has the terminal.
    ///
    /// # Errors
    /// The system's.
    pub fn guest(command: &str, how: &mut Command) -> Result<Self, Trouble> {
        Self::start(command, how, Role::Guest)
    }

    fn start(command: &str, how: &mut Command, role: Role) -> Result<Self, Trouble> {
        let child = how.spawn().map_err(|error| Trouble::new(Cause::Local, format!("{command}: {error}")))?;
        Ok(Self { child, command: command.to_owned(), role, stopped: false })
    }

    /// Waits for its end, and judges: what became of the verb that it worked with, and of the command itself.
    ///
    /// # Errors
    /// The verb's, or the command's.
    pub fn finish(mut self, ui: &mut Ui, outcome: Result<(), Trouble>) -> Result<(), Trouble> {
        let heard = outcome.as_ref().is_err_and(|trouble| trouble.cause == Cause::Interrupted);
        if heard {
            self.signal(Signal::TERM);
        }
        let status = undisturbed(ui, |ui| self.wait(ui, heard))?;
        match outcome {
            // It has seen enough, like head(1). Its own word counts.
            Err(trouble) if trouble.cause == Cause::Local && self.role == Role::Reader => {}
            Err(trouble) => return Err(trouble),
            Ok(()) => {}
        }
        if self.stopped || was_interrupted(status) {
            return Err(Trouble::new(Cause::Interrupted, "interrupted"));
        }
        if status.success() { Ok(()) } else { Err(Trouble::new(Cause::Local, format!("{}: {status}", self.command))) }
    }

    /// Whether Ctrl-C has come to us already is known to whoever waited before.
    fn wait(&mut self, ui: &mut Ui, mut told: bool) -> Result<ExitStatus, Trouble> {
        loop {
            let status = self.child.try_wait();
            let status = status.map_err(|error| Trouble::new(Cause::Local, format!("{}: {error}", self.command)))?;
            let heard = ui.take_interrupt();
            if heard {
                ui.settle_interrupt();
                told = true;
            }
            if let Some(status) = status {
                // The terminal told both, and ours is still on its way.
                if was_interrupted(status) && !told {
                    ui.forgive_interrupt();
                }
                return Ok(status);
            }
            // Whoever sits at the terminal has told it already, and it may have better to do than to end by it.
            if heard && !ui.shell.interactive() {
                self.signal(Signal::TERM);
                self.stopped = true;
            }
            if let Err(trouble) = ui.pump() {
                self.signal(Signal::KILL);
                return Err(trouble);
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // It may have ended already, which is as well: nobody else has its number until it is waited for.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]);
    shell
}

/// By Ctrl-C. A shell between may turn the signal into a code.
fn was_interrupted(status: ExitStatus) -> bool {
    status.signal() == Some(SIGINT) || status.code() == Some(128 + SIGINT)
}
