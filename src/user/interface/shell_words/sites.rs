//! Sites and directories.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::user::crew::{Cause, Trouble};
use crate::user::interface::files::Bookmarks;
use crate::user::interface::options::usage;
use crate::user::interface::screen::Columns;
use crate::user::interface::shell::{Here, Whereabouts};
use crate::user::interface::ui::{Remote, Ui};
use crate::user::interface::verbs;
use crate::user::local::{errno_of, safe_name};
use crate::user::text::{Shown, join};
use crate::user::url::Place;
use crate::wire::directory::{Found, FoundKind};
use crate::wire::reply::directory_in;

use super::{here, matching, none_fits, replies, wanted};

/// Directories that `find` and `du` go down.
const DEPTH_LIMIT: usize = 100;

/// `open HOST [PORT]`, `open URL`, `open BOOKMARK`
pub fn open(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 1, &["to"])?;
    let Some(first) = arguments.first() else { return Err(usage("open HOST [PORT]")) };
    let marks = Bookmarks::load();
    let text = marks.find(first).unwrap_or(first).to_owned();
    let malformed = |why: crate::user::url::Malformed| usage(&format!("{text}: {why}"));
    let mut place = match Place::url(&text).map_err(malformed)? {
        Some(place) => place,
        None => Place::door(&text).map_err(malformed)?,
    };
    if let Some(port) = arguments.get(1) {
        place.port = port.parse().map_err(|_| usage("the port is no number"))?;
    }
    close(ui, Vec::new())?;
    if ui.options.no_login {
        ui.shell.go(Whereabouts::AtTheDoor(place));
        return Ok(());
    }
    knock(ui, place)
}

/// Logs in at a place. Who is refused stays at its door, where another name may be let in.
fn knock(ui: &mut Ui, place: Place) -> Result<(), Trouble> {
    let entered = ui.visit(place.clone()).and_then(|remote| enter(ui, remote));
    if entered.as_ref().is_err_and(|trouble| trouble.cause == Cause::Login) {
        close(ui, Vec::new())?;
        ui.shell.go(Whereabouts::AtTheDoor(place));
    }
    entered
}

/// Goes to a place for the first time: logs in, and finds out where that is.
fn enter(ui: &mut Ui, remote: Remote) -> Result<(), Trouble> {
    let mut lines = Vec::new();
    if !remote.path.is_empty() {
        lines.push([b"CWD ", &remote.path[..]].concat());
    }
    lines.push(b"PWD".to_vec());
    let replies = replies(ui, remote.site, lines)?;
    // A server that cannot say where it is gets names as they are typed.
    let path = replies.last().and_then(directory_in).filter(|path| path.starts_with(b"/"));
    let path = path.unwrap_or_else(|| remote.path.clone());
    ui.shell.before = None;
    ui.shell.go(Whereabouts::Inside(Here { at: remote.at(path) }));
    Ok(())
}

/// `user NAME [PASSWORD]`
pub fn user(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 1, &["username"])?;
    let mut place = match &ui.shell.place {
        Whereabouts::Inside(here) => Place { path: Vec::new(), ..here.at.place.clone() },
        Whereabouts::AtTheDoor(place) => place.clone(),
        Whereabouts::Outside | Whereabouts::Nowhere => return Err(usage("not connected; open HOST first")),
    };
    place.user = arguments.first().map(|name| name.as_bytes().to_vec());
    place.password = arguments.get(1).map(|password| password.as_bytes().to_vec());
    knock(ui, place)
}

/// `close`
pub fn close(ui: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    if let Whereabouts::Inside(here) = ui.shell.go(Whereabouts::Nowhere) {
        ui.crew.close_site(here.at.site);
    }
    Ok(())
}

/// `bye`
pub fn bye(ui: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    ui.shell.leaving = true;
    Ok(())
}

/// `cd DIR`, `cd -`
pub fn cd(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 1, &["remote-directory"])?;
    let here = here(ui)?;
    let back = ui.shell.before.clone();
    let remote = match arguments.first().map(String::as_str) {
        Some("-") => here.at.at(back.ok_or_else(|| usage("no directory to go back to"))?),
        Some(path) => ui.remote(path)?,
        None => return Err(usage("cd where?")),
    };
    enter(ui, remote)?;
    ui.shell.before = Some(here.at.path);
    Ok(())
}

/// `cdup`
pub fn cdup(ui: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    cd(ui, vec!["..".into()])
}

/// `pwd`
pub fn pwd(ui: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    let here = here(ui)?;
    ui.screen.line(&here.at.path)
}

/// `lcd [DIR]`
pub fn lcd(_: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let home = std::env::var("HOME").unwrap_or_else(|_| "/".into());
    let path = arguments.first().cloned().unwrap_or(home);
    std::env::set_current_dir(&path).map_err(|error| Trouble::local(Path::new(&path), errno_of(&error)))
}

/// `lpwd`
pub fn lpwd(ui: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    let path = std::env::current_dir().map_err(|error| Trouble::local(Path::new("."), errno_of(&error)))?;
    ui.screen.line(path.as_os_str().as_bytes())
}

/// `nlist [DIR]`: names only.
pub fn nlist(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    ui.options.long = false;
    verbs::ls(ui, arguments)
}

/// `dir [DIR]`
pub fn dir(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    ui.options.long = true;
    verbs::ls(ui, arguments)
}

/// `mls PATTERN...`
pub fn mls(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    for argument in wanted(ui, arguments, 1, &["remote-files"])? {
        let (_, found) = matching(ui, &argument)?;
        if found.is_empty() {
            return Err(none_fits(&argument));
        }
        ui.screen.entries(&found, Columns::Names)?;
    }
    Ok(())
}

/// `du [DIR]`: bytes in a directory and all below it.
pub fn du(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let top = ui.remote(arguments.first().map(String::as_str).unwrap_or_default())?;
    let mut total = 0_u64;
    walk(ui, &top, &mut |_, _, found| {
        total = total.saturating_add(found.size.unwrap_or(0));
        Ok(())
    })?;
    ui.screen.data(format!("{total}\t{}\n", Shown(&top.path)).as_bytes())
}

/// `find [DIR]`: every path in a directory and all below it.
pub fn find(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let top = ui.remote(arguments.first().map(String::as_str).unwrap_or_default())?;
    walk(ui, &top, &mut |ui, path, found| {
        let slash: &[u8] = if found.kind == FoundKind::Dir { b"/" } else { b"" };
        ui.screen.line(&[path, slash].concat())
    })
}

type Visit<'a> = &'a mut dyn FnMut(&mut Ui, &[u8], &Found) -> Result<(), Trouble>;

/// Every entry below a directory, each directory before what is in it. Links are not followed.
fn walk(ui: &mut Ui, top: &Remote, visit: Visit<'_>) -> Result<(), Trouble> {
    let mut open = vec![(top.clone(), 0)];
    while let Some((directory, depth)) = open.pop() {
        let entries = verbs::list(ui, &directory)?;
        for found in entries.iter().rev() {
            if safe_name(&found.name).is_err() {
                continue;
            }
            let path = join(&directory.path, &found.name);
            if found.kind == FoundKind::Dir && depth < DEPTH_LIMIT {
                open.push((directory.at(path), depth + 1));
            }
        }
        for found in entries.iter().filter(|found| safe_name(&found.name).is_ok()) {
            visit(ui, &join(&directory.path, &found.name), found)?;
        }
    }
    Ok(())
}
