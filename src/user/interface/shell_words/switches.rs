//! Switches, jobs, bookmarks, help.

use crate::user::crew::{Cause, Trouble};
use crate::user::interface::files::Bookmarks;
use crate::user::interface::job::JobId;
use crate::user::interface::options::usage;
use crate::user::interface::pipe::Neighbour;
use crate::user::interface::ui::Ui;
use crate::user::interface::words;
use crate::user::text::Shown;
use crate::user::url::Place;

use super::here;

/// `ascii`
pub fn ascii(ui: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    ui.options.text = true;
    Ok(())
}

/// `binary`
pub fn binary(ui: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    ui.options.text = false;
    Ok(())
}

/// `passive [on|off]`
pub fn passive(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let on = switched(&arguments, !ui.options.active)?;
    ui.options.active = !on;
    ui.crew.client().set_active(!on);
    // Sessions keep the manners they began with.
    if let Some(here) = ui.shell.here() {
        ui.crew.close_site(here.at.site);
    }
    ui.screen.note(if on { "passive mode on" } else { "passive mode off" });
    Ok(())
}

/// `prompt [on|off]`
pub fn prompt(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    ui.shell.asks = switched(&arguments, ui.shell.asks)?;
    ui.screen.note(if ui.shell.asks { "questions on" } else { "questions off" });
    Ok(())
}

/// `verbose [on|off]`
pub fn verbose(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    ui.shell.verbose = switched(&arguments, ui.shell.verbose)?;
    ui.screen.note(if ui.shell.verbose { "replies are shown" } else { "replies are not shown" });
    Ok(())
}

/// `hash [on|off]`: progress.
pub fn hash(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let on = switched(&arguments, ui.screen.progress())?;
    ui.show_progress(on);
    ui.screen.note(if on { "progress is shown" } else { "progress is not shown" });
    Ok(())
}

fn switched(arguments: &[String], now: bool) -> Result<bool, Trouble> {
    match arguments.first().map(String::as_str) {
        None => Ok(!now),
        Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(_) => Err(usage("on or off")),
    }
}

/// `status`
pub fn status(ui: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    let on = |is: bool| if is { "on" } else { "off" };
    let place = match ui.shell.here() {
        Some(here) => {
            format!("connected to {}:{}, in {}", here.at.place.host, here.at.place.port, Shown(&here.at.path))
        }
        None => "not connected".to_owned(),
    };
    let text = format!(
        "{place}\ntype {}; passive {}; questions {}; verbose {}; progress {}; sessions {}; jobs {}\n",
        if ui.options.text { "ascii" } else { "binary" },
        on(!ui.options.active),
        on(ui.shell.asks),
        on(ui.shell.verbose),
        on(ui.screen.progress()),
        ui.options.parallel(),
        ui.jobs().len(),
    );
    ui.screen.data(text.as_bytes())
}

/// `jobs`
pub fn jobs(ui: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    for (JobId(number), title) in ui.jobs() {
        ui.screen.data(format!("[{number}] {title}\n").as_bytes())?;
    }
    Ok(())
}

/// `wait [NUMBER]`
pub fn wait(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    match arguments.first().map(String::as_str) {
        None | Some("all") => {
            for (id, _) in ui.jobs() {
                ui.wait(id)?;
            }
            Ok(())
        }
        Some(number) => {
            let id = JobId(number.parse().map_err(|_| usage("wait [NUMBER|all]"))?);
            if !ui.jobs().iter().any(|(job, _)| *job == id) {
                return Err(usage(&format!("{number}: no such job")));
            }
            ui.wait(id).map(drop)
        }
    }
}

/// `bookmark [add NAME [URL] | delete NAME | list]`
pub fn bookmark(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let mut marks = Bookmarks::load();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &words[..] {
        [] | ["list"] => {
            for (name, url) in marks.all() {
                ui.screen.data(format!("{name}\t{url}\n").as_bytes())?;
            }
            return Ok(());
        }
        ["add", name] if !name.contains(' ') => {
            let at = here(ui)?.at;
            let user = at.place.user.clone().or_else(|| ui.crew.user(at.site));
            marks.set(name, &Place { user, ..at.place }.show(&at.path));
        }
        ["add", name, url] if !name.contains(' ') => marks.set(name, &address(url)?),
        ["delete" | "del", name] => {
            if !marks.remove(name) {
                return Err(usage("no such bookmark"));
            }
        }
        _ => return Err(usage("bookmark [add NAME [URL] | delete NAME | list]")),
    }
    marks.save().map_err(|error| Trouble::new(Cause::Local, format!("bookmarks: {error}")))
}

/// An address fit to be kept: without the password, which belongs into `~/.netrc`.
fn address(text: &str) -> Result<String, Trouble> {
    let malformed = |why| usage(&format!("no address: {why}"));
    let place = match Place::url(text).map_err(malformed)? {
        Some(place) => place,
        None => Place::door(text).map_err(malformed)?,
    };
    Ok(place.show(&place.path))
}

/// Words that stand beside each other: six of them are no wider than the narrowest terminal.
const COLUMNS: usize = 6;

fn row(names: &[&str]) -> String {
    let cells: String = names.iter().map(|name| format!("{name:<12}")).collect();
    format!("{}\n", cells.trim_end())
}

/// `help [WORD]`
pub fn help(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let Some(name) = arguments.first() else {
        let mut names: Vec<&str> = words::all_shell().map(|word| word.name).collect();
        names.sort_unstable();
        let rows: String = names.chunks(COLUMNS).map(row).collect();
        return ui.screen.data(
            format!("{rows}help WORD tells more; !COMMAND runs one here, VERB |COMMAND gives it what the verb shows\n")
                .as_bytes(),
        );
    };
    let word = words::find(name).map_err(|why| usage(&why))?;
    let syntax = word.syntax.replace("URL", "PATH");
    ui.screen.data(format!("{} {syntax}\n    {}\n", word.name, word.help).as_bytes())
}

/// `!COMMAND`
pub fn system_shell(ui: &mut Ui, command: &str) -> Result<(), Trouble> {
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let mut child = std::process::Command::new(shell);
    if !command.is_empty() {
        child.args(["-c", command]);
    }
    Neighbour::guest(command, &mut child)?.finish(ui, Ok(()))
}
