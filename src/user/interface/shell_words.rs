//! The shell's own verbs: sites and directories, the classic ones, jobs, switches.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::files::Bookmarks;
use super::job::{Batch, Item, Job, JobId};
use super::mirror::Mirror;
use super::options::usage;
use super::screen::Columns;
use super::shell::{Here, ask};
use super::ui::{Remote, Ui};
use super::url::Place;
use super::verbs;
use super::words;
use crate::filesystem::Pattern;
use crate::filesystem::pattern::STEP_LIMIT;
use crate::user::crew::{Ask, Cause, Errand, Fetch, Goal, Origin, Send, Trouble, Yield};
use crate::user::local::{Folder, errno_of, safe_name};
use crate::user::text::Shown;
use crate::wire::directory::{Found, FoundKind};
use crate::wire::reply::{Kind, Reply, unquoted};

/// Directories that `find` and `du` go down.
const DEPTH_LIMIT: usize = 100;

/// `open HOST [PORT]`, `open URL`, `open BOOKMARK`
pub fn open(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 1, &["to"])?;
    let Some(first) = arguments.first() else { return Err(usage("open HOST [PORT]")) };
    let marks = Bookmarks::load();
    let text = marks.find(first).unwrap_or(first).to_owned();
    let malformed = |why: super::url::Malformed| usage(&format!("{text}: {why}"));
    let mut place = match Place::url(&text).map_err(malformed)? {
        Some(place) => place,
        None => Place::short(&text).map_err(malformed)?,
    };
    if let Some(port) = arguments.get(1) {
        place.port = port.parse().map_err(|_| usage("the port is no number"))?;
    }
    close(ui, Vec::new())?;
    if ui.options.no_login {
        let at = Remote { site: ui.crew.site(target(&place)), path: Vec::new(), text: None, place };
        ui.shell.here = Some(Here { at });
        return Ok(());
    }
    let remote = ui.visit(place)?;
    enter(ui, remote)
}

fn target(place: &Place) -> crate::user::crew::Target {
    let login = crate::user::pi::Login::anonymous();
    crate::user::crew::Target { host: place.host.clone(), port: place.port, login }
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
    let path = replies.last().and_then(|reply| unquoted(reply.text())).filter(|path| path.starts_with(b"/"));
    let path = path.unwrap_or_else(|| remote.path.clone());
    ui.shell.before = None;
    ui.shell.here = Some(Here { at: remote.at(path) });
    Ok(())
}

fn replies(ui: &mut Ui, site: crate::user::crew::SiteId, lines: Vec<Vec<u8>>) -> Result<Vec<Reply>, Trouble> {
    match ui.run(site, Errand::Ask(Ask::new(lines)))? {
        Yield::Replies(replies) => Ok(replies),
        _ => Ok(Vec::new()),
    }
}

/// `user NAME [PASSWORD]`
pub fn user(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 1, &["username"])?;
    let here = here(ui)?;
    let mut place = here.at.place.clone();
    place.user = arguments.first().map(|name| name.as_bytes().to_vec());
    place.password = arguments.get(1).map(|password| password.as_bytes().to_vec());
    place.path = Vec::new();
    let remote = ui.visit(place)?;
    enter(ui, remote)
}

/// `close`
pub fn close(ui: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    if let Some(here) = ui.shell.here.take() {
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
        ui.screen.entries(&found, Columns::Names)?;
    }
    Ok(())
}

/// `get REMOTE [LOCAL]`, or several with options as in the one-shot form
pub fn get(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let mut arguments = wanted(ui, arguments, 1, &["remote-file"])?;
    let lftp_style = ui.options.output.is_some() || ui.options.directory.is_some() || arguments.len() != 2;
    if lftp_style {
        return verbs::get(ui, arguments);
    }
    let local = arguments.pop().unwrap_or_default();
    if let Some(command) = local.strip_prefix('|') {
        return pipe_to(ui, &arguments, command);
    }
    ui.options.output = Some(local);
    verbs::get(ui, arguments)
}

/// `reget REMOTE [LOCAL]`
pub fn reget(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    ui.options.resume = true;
    get(ui, arguments)
}

/// `pget [-n N] REMOTE`
pub fn pget(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    /// What is usual for this verb.
    const PIECES: usize = 4;
    ui.options.segments = ui.options.segments.max(PIECES);
    verbs::get(ui, arguments)
}

fn pipe_to(ui: &mut Ui, arguments: &[String], command: &str) -> Result<(), Trouble> {
    let failed = |error: std::io::Error| Trouble::new(Cause::Local, format!("{command}: {error}"));
    let remote = ui.remote(arguments.first().map(String::as_str).unwrap_or_default())?;
    let mut child = std::process::Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let Some(input) = child.stdin.take() else { return Err(usage("no pipe")) };
    let mut fetch = Fetch::new(remote.path.clone(), Goal::Stream(Some(input.into())));
    fetch.text = ui.options.text;
    let result = ui.run(remote.site, Errand::Fetch(Box::new(fetch)));
    child.wait().map_err(failed)?;
    result.map(drop)
}

/// `mget PATTERN...`
pub fn mget(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let mut items = Vec::new();
    let mut asking = ui.shell.asks;
    for argument in wanted(ui, arguments, 1, &["remote-files"])? {
        let (directory, found) = matching(ui, &argument)?;
        for entry in found.into_iter().filter(|entry| entry.kind != FoundKind::Dir) {
            if safe_name(&entry.name).is_err() || !agreed(ui, &mut asking, "mget", &entry.name)? {
                continue;
            }
            let remote = directory.at(joined(&directory.path, &entry.name));
            let folder = ui.options.directory.clone().unwrap_or_default();
            let name = std::ffi::OsStr::from_bytes(&entry.name).to_owned();
            let destination = Shown(folder.join(&name).as_os_str().as_bytes()).to_string();
            let mut fetch = Fetch::new(remote.path.clone(), Goal::file(Folder::named(folder), name));
            (fetch.size, fetch.resume, fetch.text) = (None, ui.options.resume, ui.options.text);
            let errand = Errand::Fetch(Box::new(fetch));
            items.push(Item { site: remote.site, errand, source: remote.show(), destination });
        }
    }
    start(ui, "mget", items)
}

/// `mput PATTERN...`
pub fn mput(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let here = here(ui)?;
    let mut items = Vec::new();
    let mut asking = ui.shell.asks;
    for argument in wanted(ui, arguments, 1, &["local-files"])? {
        let path = Path::new(&argument);
        let folder = Folder::named(path.parent().unwrap_or(Path::new("")));
        let pattern = path.file_name().map(|name| Pattern::parse(name.as_bytes())).ok_or_else(|| usage("no name"))?;
        let entries = folder.entries().map_err(|errno| Trouble::local(&folder.path(), errno))?;
        for (name, present) in entries {
            if !present.kind.is_file() || !fits(&pattern, name.as_bytes()) {
                continue;
            }
            if !agreed(ui, &mut asking, "mput", name.as_bytes())? {
                continue;
            }
            let remote = here.at.at(joined(&here.at.path, name.as_bytes()));
            let source = Shown(folder.path().join(&name).as_os_str().as_bytes()).to_string();
            let mut send = Send::new(Origin::File(folder.clone(), name), remote.path.clone());
            (send.resume, send.text) = (ui.options.resume, ui.options.text);
            let errand = Errand::Send(Box::new(send));
            items.push(Item { site: remote.site, errand, source, destination: remote.show() });
        }
    }
    start(ui, "mput", items)
}

/// `mdelete PATTERN...`
pub fn mdelete(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let mut asking = ui.shell.asks;
    for argument in wanted(ui, arguments, 1, &["remote-files"])? {
        let (directory, found) = matching(ui, &argument)?;
        for entry in found.into_iter().filter(|entry| entry.kind != FoundKind::Dir) {
            if safe_name(&entry.name).is_ok() && agreed(ui, &mut asking, "mdelete", &entry.name)? {
                let line = [b"DELE ", &joined(&directory.path, &entry.name)[..]].concat();
                replies(ui, directory.site, vec![line])?;
            }
        }
    }
    Ok(())
}

fn start(ui: &mut Ui, title: &str, items: Vec<Item>) -> Result<(), Trouble> {
    if items.is_empty() {
        return Err(Trouble::new(Cause::Denied, "no such files"));
    }
    ui.launch(Job::Batch(Batch::new(title, items)))
}

/// `put LOCAL [REMOTE]`
pub fn put(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 1, &["local-file"])?;
    let here = here(ui)?;
    let plain = ui.options.output.is_none() && arguments.len() <= 2;
    let target = match (ui.options.output.clone(), arguments.get(1).filter(|_| plain)) {
        (Some(name), _) => Some(name),
        (None, Some(name)) => Some(name.clone()),
        (None, None) => None,
    };
    let sources = if plain { arguments.get(..1) } else { arguments.get(..) }.unwrap_or_default().to_vec();
    verbs::send(ui, &here.at, sources, target.as_deref(), false)
}

/// `append LOCAL [REMOTE]`
pub fn append(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 1, &["local-file"])?;
    let here = here(ui)?;
    let sources = arguments.get(..1).unwrap_or_default().to_vec();
    verbs::send(ui, &here.at, sources, arguments.get(1).map(String::as_str), true)
}

/// `rename FROM TO`
pub fn rename(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 2, &["from-name", "to-name"])?;
    verbs::mv(ui, arguments)
}

/// `size FILE`
pub fn size(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    on_path(ui, arguments, "SIZE")
}

/// `modtime FILE`
pub fn modtime(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    on_path(ui, arguments, "MDTM")
}

fn on_path(ui: &mut Ui, arguments: Vec<String>, verb: &str) -> Result<(), Trouble> {
    for argument in wanted(ui, arguments, 1, &["filename"])? {
        let remote = ui.remote(&argument)?;
        raw(ui, &remote, [verb.as_bytes(), b" ", &remote.path[..]].concat())?;
    }
    Ok(())
}

/// `chmod MODE FILE`
pub fn chmod(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 2, &["mode", "filename"])?;
    let [mode, files @ ..] = &arguments[..] else { return Err(usage("chmod MODE FILE")) };
    for file in files {
        let remote = ui.remote(file)?;
        let line = [b"SITE CHMOD ", mode.as_bytes(), b" ", &remote.path[..]].concat();
        replies(ui, remote.site, vec![line])?;
    }
    Ok(())
}

/// `quote COMMAND...`
pub fn quote(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 1, &["command line to send"])?;
    spoken(ui, arguments.join(" "))
}

/// `site COMMAND...`
pub fn site(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 1, &["arguments to SITE command"])?;
    spoken(ui, format!("SITE {}", arguments.join(" ")))
}

/// `system`
pub fn system(ui: &mut Ui, _: Vec<String>) -> Result<(), Trouble> {
    spoken(ui, "SYST".into())
}

/// `rhelp [WORD]`
pub fn rhelp(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    spoken(ui, format!("HELP {}", arguments.join(" ")).trim_end().to_owned())
}

fn spoken(ui: &mut Ui, line: String) -> Result<(), Trouble> {
    let at = here(ui)?.at;
    raw(ui, &at, line.into_bytes())
}

/// Sends a line as it is and shows the whole reply; a refusal is a failure too.
fn raw(ui: &mut Ui, remote: &Remote, line: Vec<u8>) -> Result<(), Trouble> {
    let Yield::Replies(replies) = ui.run(remote.site, Errand::Ask(Ask::raw(line)))? else { return Ok(()) };
    for reply in &replies {
        let texts: Vec<&[u8]> = reply.texts().collect();
        let last = texts.len().saturating_sub(1);
        for (at, text) in texts.into_iter().enumerate() {
            let mark = if at < last { "-" } else { " " };
            ui.screen.data(format!("{}{mark}{}\n", reply.code, Shown(text)).as_bytes())?;
        }
        if matches!(reply.kind(), Kind::Transient | Kind::Permanent) {
            return Err(Trouble { text: String::new(), ..Trouble::refused(reply) });
        }
    }
    Ok(())
}

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
    if let Some(here) = &ui.shell.here {
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
    let place = match &ui.shell.here {
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
            let id = JobId(number.parse().map_err(|_| usage("wait [NUMBER]"))?);
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
        ["add", name] if !name.contains(' ') => marks.set(name, &here(ui)?.at.show()),
        ["add", name, url] if !name.contains(' ') => marks.set(name, url),
        ["delete" | "del", name] => {
            if !marks.remove(name) {
                return Err(usage("no such bookmark"));
            }
        }
        _ => return Err(usage("bookmark [add NAME [URL] | delete NAME | list]")),
    }
    marks.save().map_err(|error| Trouble::new(Cause::Local, format!("bookmarks: {error}")))
}

/// `mirror [OPTIONS] [SRC [DST]]`, `-R` for the other direction
pub fn mirror(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    if arguments.iter().any(|argument| argument.contains("://")) {
        return verbs::mirror(ui, arguments);
    }
    let here = here(ui)?;
    let first = arguments.first().map(String::as_str).unwrap_or(".");
    let name = |text: &str| text.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let second = arguments.get(1).cloned().unwrap_or_else(|| if first == "." { ".".into() } else { name(first) });
    let job = if ui.options.reverse {
        if !Path::new(first).is_dir() {
            return Err(Trouble::local(Path::new(first), rustix::io::Errno::NOTDIR));
        }
        Mirror::up(Folder::named(first), here.resolve(second.as_bytes())?, &ui.options)
    } else {
        Mirror::down(here.resolve(first.as_bytes())?, Folder::named(second), &ui.options)
    };
    ui.launch(Job::Mirror(Box::new(job)))
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
            let path = joined(&directory.path, &found.name);
            if found.kind == FoundKind::Dir && depth < DEPTH_LIMIT {
                open.push((directory.at(path), depth + 1));
            }
        }
        for found in entries.iter().filter(|found| safe_name(&found.name).is_ok()) {
            visit(ui, &joined(&directory.path, &found.name), found)?;
        }
    }
    Ok(())
}

/// `help [WORD]`
pub fn help(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let Some(name) = arguments.first() else {
        let names: Vec<&str> = words::all_shell().map(|word| word.name).collect();
        return ui.screen.data(format!("{}\n", names.join(" ")).as_bytes());
    };
    let word = words::find(name).map_err(|why| usage(&why))?;
    let syntax = word.syntax.replace("URL", "PATH");
    ui.screen.data(format!("{} {syntax}\n    {}\n", word.name, word.help).as_bytes())
}

/// `!COMMAND`
pub fn system_shell(command: &str) -> Result<(), Trouble> {
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let mut child = std::process::Command::new(shell);
    if !command.is_empty() {
        child.args(["-c", command]);
    }
    let status = child.status().map_err(|error| Trouble::new(Cause::Local, format!("{command}: {error}")))?;
    if status.success() { Ok(()) } else { Err(Trouble::new(Cause::Local, format!("{command}: {status}"))) }
}

fn here(ui: &Ui) -> Result<Here, Trouble> {
    ui.shell.here.clone().ok_or_else(|| usage("not connected; open HOST first"))
}

/// Enough arguments, asked for one by one where somebody can answer.
fn wanted(ui: &mut Ui, mut arguments: Vec<String>, count: usize, names: &[&str]) -> Result<Vec<String>, Trouble> {
    while arguments.len() < count {
        let name = names.get(arguments.len()).copied().unwrap_or("argument");
        if !ui.shell.interactive() {
            return Err(usage(&format!("({name}) is missing")));
        }
        match ask(ui, &format!("({name}) "))? {
            Some(answer) if !answer.trim().is_empty() => arguments.push(answer.trim().to_owned()),
            _ => return Err(usage(&format!("({name}) is missing"))),
        }
    }
    Ok(arguments)
}

/// Whether a file of many is to be moved. `a` agrees to all, `p` switches questions off, `q` ends.
fn agreed(ui: &mut Ui, asking: &mut bool, verb: &str, name: &[u8]) -> Result<bool, Trouble> {
    if !*asking {
        return Ok(true);
    }
    let answer = ask(ui, &format!("{verb} {} [ynapq]? ", Shown(name)))?.unwrap_or_else(|| "q".into());
    match answer.trim().chars().next() {
        Some('n') => Ok(false),
        Some('q') => Err(Trouble::new(Cause::Interrupted, "stopped")),
        Some('a') => {
            *asking = false;
            Ok(true)
        }
        Some('p') => {
            *asking = false;
            ui.shell.asks = false;
            Ok(true)
        }
        _ => Ok(true),
    }
}

/// The entries that a pattern of the user's fits: its last component is held against names here, so that no server's
/// idea of patterns matters.
fn matching(ui: &mut Ui, argument: &str) -> Result<(Remote, Vec<Found>), Trouble> {
    let (folder, last) = argument.rfind('/').map_or(("", argument), |slash| argument.split_at(slash + 1));
    let directory = ui.remote(folder.strip_suffix('/').filter(|folder| !folder.is_empty()).unwrap_or(folder))?;
    let pattern = Pattern::parse(last.as_bytes());
    let mut entries = verbs::list(ui, &directory)?;
    let hidden = pattern.wants_hidden();
    entries.retain(|found| (hidden || !found.name.starts_with(b".")) && fits(&pattern, &found.name));
    Ok((directory, entries))
}

fn fits(pattern: &Pattern, name: &[u8]) -> bool {
    let mut steps = 0;
    pattern.matches(name, STEP_LIMIT, &mut steps)
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() || directory.ends_with(b"/") {
        [directory, name].concat()
    } else {
        [directory, b"/", name].concat()
    }
}
