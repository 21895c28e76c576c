//! The shell's own verbs, beside those it shares with the one-shot form.

mod files;
mod raw;
mod sites;
mod switches;

use super::options::usage;
use super::shell::{Answered, Here, Whereabouts, ask};
use super::typist::Asked;
use super::ui::{Remote, Ui};
use super::{verbs, words};
use crate::filesystem::Pattern;
use crate::filesystem::pattern::STEP_LIMIT;
use crate::user::crew::{Ask, Cause, Errand, Trouble, Yield};
use crate::user::text::Shown;
use crate::wire::directory::Found;
use crate::wire::reply::Reply;

pub use files::{append, get, mdelete, mget, mirror, mput, pget, put, reget, rename};
pub use raw::{chmod, modtime, quote, rhelp, site, size, system};
pub use sites::{bye, cd, cdup, close, dir, du, find, lcd, lpwd, mls, nlist, open, pwd, user};
pub use switches::{ascii, binary, bookmark, hash, help, jobs, passive, prompt, status, system_shell, verbose, wait};

fn replies(ui: &mut Ui, site: crate::user::crew::SiteId, lines: Vec<Vec<u8>>) -> Result<Vec<Reply>, Trouble> {
    match ui.run(site, Errand::Ask(Ask::new(lines)))? {
        Yield::Replies(replies) => Ok(replies),
        _ => Ok(Vec::new()),
    }
}

fn here(ui: &Ui) -> Result<Here, Trouble> {
    match &ui.shell.place {
        Whereabouts::Inside(here) => Ok(here.clone()),
        Whereabouts::AtTheDoor(_) => Err(usage("not logged in; user NAME [PASSWORD] first")),
        Whereabouts::Outside | Whereabouts::Nowhere => Err(usage("not connected; open HOST first")),
    }
}

/// Enough arguments, asked for one by one where somebody can answer.
fn wanted(ui: &mut Ui, mut arguments: Vec<String>, count: usize, names: &[&str]) -> Result<Vec<String>, Trouble> {
    while arguments.len() < count {
        let name = names.get(arguments.len()).copied().unwrap_or("argument");
        if !ui.shell.interactive() {
            return Err(missing(ui));
        }
        match ask(ui, &format!("({name}) "), Asked::Answer)? {
            Answered::Line(answer) if !answer.trim().is_empty() => arguments.push(answer.trim().to_owned()),
            Answered::Cancelled => return Err(Trouble::new(Cause::Interrupted, "interrupted")),
            _ => return Err(missing(ui)),
        }
    }
    Ok(arguments)
}

/// How the verb at work is meant to be used.
fn missing(ui: &Ui) -> Trouble {
    let verb = ui.screen.verb();
    let syntax = words::find(verb).map(|word| word.syntax).unwrap_or_default();
    usage(&format!("usage: {verb} {syntax}"))
}

/// How often a question is repeated whose answer is none.
const QUESTIONS: usize = 3;

/// Whether a file of many is to be moved or removed. `a` agrees to all, `p` switches questions off, `q` ends. Whatever is
/// none of the letters, Enter among it, agrees to nothing.
fn agreed(ui: &mut Ui, asking: &mut bool, verb: &str, name: &[u8]) -> Result<bool, Trouble> {
    if !*asking {
        return Ok(true);
    }
    let prompt = format!("{verb} {} [ynapq]? ", Shown(name));
    for _ in 0..QUESTIONS {
        let answer = match ask(ui, &prompt, Asked::Answer)? {
            Answered::Line(answer) => answer,
            Answered::Cancelled => return Err(Trouble::new(Cause::Interrupted, "interrupted")),
            Answered::Over => "q".into(),
        };
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            "q" | "quit" => return Err(Trouble::new(Cause::Interrupted, "stopped")),
            "a" | "all" => {
                *asking = false;
                return Ok(true);
            }
            "p" => {
                (*asking, ui.shell.asks) = (false, false);
                return Ok(true);
            }
            _ => ui.screen.note("y: yes, n: no, a: all of them, p: never ask again, q: stop"),
        }
    }
    Ok(false)
}

/// The entries that a pattern of the user's fits: its last component is held against names here, so that no server's
/// idea of patterns matters.
pub(super) fn matching(ui: &mut Ui, argument: &str) -> Result<(Remote, Vec<Found>), Trouble> {
    let (folder, last) = argument.rfind('/').map_or(("", argument), |slash| argument.split_at(slash + 1));
    let directory = ui.remote(folder.strip_suffix('/').filter(|folder| !folder.is_empty()).unwrap_or(folder))?;
    let pattern = Pattern::parse(last.as_bytes());
    let mut entries = verbs::list(ui, &directory)?;
    let hidden = pattern.wants_hidden();
    // As a shell has it: what fits nothing may be a name.
    let called_so = entries.iter().find(|found| found.name == last.as_bytes()).cloned();
    entries.retain(|found| (hidden || !found.name.starts_with(b".")) && fits(&pattern, &found.name));
    if entries.is_empty() {
        entries.extend(called_so);
    }
    Ok((directory, entries))
}

pub(super) fn none_fits(argument: &str) -> Trouble {
    Trouble::new(Cause::Denied, format!("{argument}: no such files"))
}

fn fits(pattern: &Pattern, name: &[u8]) -> bool {
    let mut steps = 0;
    pattern.matches(name, STEP_LIMIT, &mut steps)
}
