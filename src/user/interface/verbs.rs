//! What the verbs do.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::across::across;
use super::job::{Batch, Inside, Item, Job, Summary};
use super::json::Object;
use super::mirror::Mirror;
use super::options::usage;
use super::screen::Columns;
use super::segments::{How, Segments, clear_crashed};
use super::shell_words::{matching, none_fits};
use super::ui::{Remote, Ui};
use crate::filesystem::Pattern;
use crate::user::crew::{
    Ask, Cause, Digest, Errand, Fetch, Goal, List, Moved, Origin, Send, Stat, Trouble, Verify, Yield, local_name,
};
use crate::user::local::{Folder, errno_of, safe_name};
use crate::user::text::{Shown, join};
use crate::user::url::Place;
use crate::wire::directory::{Found, FoundKind};

/// `get URL... [-o FILE|-] [-d DIR]`
pub fn get(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    if arguments.is_empty() {
        return Err(usage("get what?"));
    }
    if ui.options.output.is_some() && arguments.len() > 1 {
        return Err(usage("-o names one file, so only one can be fetched"));
    }
    if ui.options.output.as_deref() == Some("-") {
        return cat(ui, arguments);
    }
    if let (Some(stream), [argument]) = (special(ui)?, &arguments[..]) {
        return pour(ui, argument, stream, false);
    }
    let mut items = Vec::with_capacity(arguments.len());
    for argument in &arguments {
        let remote = ui.remote(argument)?;
        let (folder, name) = local_goal(ui, &remote)?;
        let destination = shown(&folder.path().join(&name));
        if ui.options.segments > 1 {
            let shown = (remote.show(), destination);
            let text = remote.text.unwrap_or(ui.options.text);
            let (wanted, resume, verify) = (ui.options.segments, ui.options.resume, ui.options.verify);
            ui.crew.rules().parallel = ui.options.parallel.unwrap_or(wanted);
            let how = How { wanted, resume, text, verify };
            ui.launch(Job::Segments(Box::new(Segments::new(remote, folder, name, how, shown))))?;
            continue;
        }
        clear_crashed(&folder, &name);
        let errand = fetch(ui, &remote, Goal::file(folder, name));
        items.push(Item { site: remote.site, errand, source: remote.show(), destination, inside: None });
    }
    if items.is_empty() {
        return Ok(());
    }
    ui.launch(Job::Batch(Batch::new("get", items)))
}

/// What `-o` names when it is a device or a pipe: written to, never renamed over.
fn special(ui: &Ui) -> Result<Option<OwnedFd>, Trouble> {
    let Some(output) = &ui.options.output else { return Ok(None) };
    let path = ui.shell.local_directory().join(output);
    if !fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return Ok(None);
    }
    let stream = File::options().write(true).open(&path);
    stream.map(|stream| Some(stream.into())).map_err(|error| Trouble::local(&path, errno_of(&error)))
}

fn pour(ui: &mut Ui, argument: &str, stream: OwnedFd, piped: bool) -> Result<(), Trouble> {
    let remote = ui.remote(argument)?;
    let errand = fetch(ui, &remote, Goal::Stream(Some(stream)));
    ui.run(remote.site, errand).map(drop).map_err(|trouble| match trouble.cause {
        // Whoever reads it has left. What that means is judged by its own end.
        Cause::Local if piped => trouble,
        _ => about(ui, &remote, trouble),
    })
}

fn fetch(ui: &Ui, remote: &Remote, goal: Goal) -> Errand {
    let mut fetch = Fetch::new(remote.path.clone(), goal);
    (fetch.resume, fetch.verify) = (ui.options.resume, ui.options.verify);
    fetch.text = remote.text.unwrap_or(ui.options.text);
    Errand::Fetch(Box::new(fetch))
}

/// Where a fetched file goes: `-o`, `-d`, or the name it has there in the local directory.
fn local_goal(ui: &Ui, remote: &Remote) -> Result<(Rc<Folder>, OsString), Trouble> {
    let base = ui.shell.local_directory();
    if let Some(output) = &ui.options.output {
        let path = base.join(output);
        let directory = path.is_dir() || output.ends_with('/');
        if !directory {
            let name = path.file_name().ok_or_else(|| usage("-o needs the name of a file"))?.to_owned();
            return Ok((Folder::named(path.parent().unwrap_or(Path::new("."))), name));
        }
        return Ok((Folder::named(path), remote_name(remote)?));
    }
    let folder = match &ui.options.directory {
        Some(directory) => base.join(directory),
        None => base,
    };
    Ok((Folder::named(folder), remote_name(remote)?))
}

fn remote_name(remote: &Remote) -> Result<OsString, Trouble> {
    let name = local_name(&remote.path);
    match safe_name(name.as_bytes()) {
        Ok(()) => Ok(name),
        Err(_) => {
            Err(usage(&format!("{}: no name to store it under; use -o, or mirror for a directory", remote.show())))
        }
    }
}

/// `cat URL...`
pub fn cat(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    if arguments.is_empty() {
        return Err(usage("cat what?"));
    }
    let mut summary = Summary::default();
    let piped = ui.screen.is_diverted();
    for argument in &arguments {
        let out = ui.screen.output();
        let out = out.map_err(|error| Trouble::local(Path::new("standard output"), errno_of(&error)))?;
        match pour(ui, argument, out, piped) {
            // Where there is no room for one there is none for the next.
            Err(trouble) if matches!(trouble.cause, Cause::Interrupted | Cause::Local | Cause::Usage) => {
                return Err(trouble);
            }
            poured => summary.count(&poured.map(|()| Moved::default())),
        }
    }
    summary.verdict().map(drop).map_err(|trouble| ui.screen.counted(trouble))
}

/// `put FILE|-... URL`
pub fn put(ui: &mut Ui, mut arguments: Vec<String>) -> Result<(), Trouble> {
    let Some(target) = (if arguments.len() > 1 { arguments.pop() } else { None }) else {
        return Err(usage("put FILE|-... URL"));
    };
    let remote = ui.remote(&target)?;
    send_all(ui, &remote, arguments, false)
}

/// Sends files to a directory, or one file under a name in it.
///
/// # Errors
/// As the job's.
pub fn send(ui: &mut Ui, at: &Remote, sources: Vec<String>, name: Option<&str>, append: bool) -> Result<(), Trouble> {
    let path = match name {
        Some(name) if name.starts_with('/') => name.as_bytes().to_vec(),
        Some(name) => join(&at.path, name.as_bytes()),
        None => join(&at.path, b""),
    };
    send_all(ui, &at.at(path), sources, append)
}

fn send_all(ui: &mut Ui, remote: &Remote, sources: Vec<String>, append: bool) -> Result<(), Trouble> {
    let directory = sources.len() > 1 || remote.path.is_empty() || remote.path.ends_with(b"/");
    let mut items = Vec::with_capacity(sources.len());
    for source in sources {
        let mut item = sending(ui, remote, directory, &source, append)?;
        // A slash at the end says that it is a directory, and is not needed to say so.
        if !directory && source != "-" && !append {
            let Item { errand, destination, .. } = sending(ui, remote, true, &source, append)?;
            item.inside = Some(Inside { directory: remote.path.clone(), errand, destination });
        }
        items.push(item);
    }
    ui.launch(Job::Batch(Batch::new("put", items)))
}

fn sending(ui: &Ui, remote: &Remote, directory: bool, argument: &str, append: bool) -> Result<Item, Trouble> {
    let (origin, source, name, size) = if argument == "-" {
        let input = std::io::stdin().as_fd().try_clone_to_owned();
        let input = input.map_err(|error| Trouble::local(Path::new("standard input"), errno_of(&error)))?;
        if directory {
            return Err(usage("standard input needs a name on the server"));
        }
        (Origin::Stream(Some(input)), "-".to_owned(), OsString::new(), None)
    } else {
        let path = ui.shell.local_directory().join(argument);
        let name = path.file_name().ok_or_else(|| usage(&format!("{argument}: no file")))?.to_owned();
        let folder = Folder::named(path.parent().unwrap_or(Path::new(".")));
        let size = fs::metadata(&path).ok().map(|found| found.len());
        (Origin::File(folder, name.clone()), shown(&path), name, size)
    };
    let path = if directory { join(&remote.path, name.as_bytes()) } else { remote.path.clone() };
    let there = remote.at(path);
    let mut send = Send::new(origin, there.path.clone());
    send.size = size;
    (send.resume, send.append, send.verify) = (ui.options.resume, append, ui.options.verify);
    send.text = remote.text.unwrap_or(ui.options.text);
    let errand = Errand::Send(Box::new(send));
    Ok(Item { site: remote.site, errand, source, destination: there.show(), inside: None })
}

/// `ls [-l|-1|--json] URL`
pub fn ls(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = if arguments.is_empty() { vec![String::new()] } else { arguments };
    let columns = if ui.options.long { Columns::Long } else { Columns::Names };
    for argument in &arguments {
        if let Some(entries) = fitting(ui, argument)? {
            ui.screen.entries(&entries, columns)?;
            continue;
        }
        let remote = ui.remote(argument)?;
        let entries = list(ui, &remote).map_err(|trouble| about(ui, &remote, trouble))?;
        let directory = argument.trim_end_matches('/');
        let directory = if matches!(directory, "" | ".") { String::new() } else { format!("{directory}/") };
        ui.shell.learn(&directory, &entries);
        ui.screen.entries(&entries, columns)?;
    }
    Ok(())
}

/// What a pattern of the shell's user fits; servers have their own idea of patterns, or none. `None`: it is no pattern, or
/// something is called just so.
fn fitting(ui: &mut Ui, argument: &str) -> Result<Option<Vec<Found>>, Trouble> {
    let last = argument.rsplit('/').next().unwrap_or_default();
    if ui.shell.here().is_none() || !Pattern::is_special(last.as_bytes()) || argument.contains("://") {
        return Ok(None);
    }
    let (_, found) = matching(ui, argument).map_err(|trouble| named(ui, argument, trouble))?;
    if found.iter().any(|entry| entry.name == last.as_bytes() && entry.kind == FoundKind::Dir) {
        return Ok(None);
    }
    if found.is_empty() {
        return Err(named(ui, argument, none_fits(argument)));
    }
    Ok(Some(found))
}

/// The entries of a directory in the order of their names; a path that is a file is listed as itself.
pub fn list(ui: &mut Ui, remote: &Remote) -> Result<Vec<Found>, Trouble> {
    let path = trimmed(&remote.path);
    match ui.run(remote.site, Errand::List(Box::new(List::new(path.clone())))) {
        Ok(Yield::Listing(parsed)) => {
            for line in parsed.doubts() {
                ui.screen.note(&format!("not understood: {}", Shown(line)));
            }
            let mut entries = parsed.entries;
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        }
        Ok(_) => Ok(Vec::new()),
        Err(trouble) if trouble.cause == Cause::Denied && !path.is_empty() => {
            let name = local_name(&path).into_vec();
            match ui.run(remote.site, Errand::Stat(Box::new(Stat::new(path)))) {
                Ok(Yield::Entry(found)) if found.kind != FoundKind::Dir => Ok(vec![Found { name, ..found }]),
                _ => Err(trouble),
            }
        }
        Err(trouble) => Err(trouble),
    }
}

/// `stat URL...`
pub fn stat(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    if arguments.is_empty() {
        return Err(usage("stat what?"));
    }
    for argument in &arguments {
        let remote = ui.remote(argument)?;
        let path = if remote.path.is_empty() { b".".to_vec() } else { trimmed(&remote.path) };
        match ui.run(remote.site, Errand::Stat(Box::new(Stat::new(path)))) {
            Ok(Yield::Entry(found)) => ui.screen.entries(&[found], Columns::Long)?,
            Ok(_) => {}
            Err(trouble) => return Err(about(ui, &remote, trouble)),
        }
    }
    Ok(())
}

/// `rm URL...`
pub fn rm(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    each(ui, &arguments, "DELE")
}

/// `mkdir URL...`
pub fn mkdir(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    each(ui, &arguments, "MKD")
}

/// `rmdir URL...`
pub fn rmdir(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    each(ui, &arguments, "RMD")
}

/// One command a path; the others are tried although one fails.
fn each(ui: &mut Ui, arguments: &[String], verb: &str) -> Result<(), Trouble> {
    if arguments.is_empty() {
        return Err(usage("a path is missing"));
    }
    let mut failed: Vec<Trouble> = Vec::new();
    for argument in arguments {
        let remote = ui.remote(argument)?;
        let line = [verb.as_bytes(), b" ", &trimmed(&remote.path)[..]].concat();
        if let Err(trouble) = ui.run(remote.site, Errand::Ask(Ask::new(vec![line]))) {
            ui.screen.trouble(&remote.show(), &trouble);
            failed.push(trouble);
        }
    }
    let summary = Summary { done: arguments.len() - failed.len(), bytes: 0, failed };
    summary.verdict().map(drop).map_err(|trouble| ui.screen.counted(trouble))
}

/// `mv URL URL|NEWPATH`
pub fn mv(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let [from, to] = &arguments[..] else { return Err(usage("mv FROM TO")) };
    let source = ui.remote(from)?;
    let url = Place::url(to).map_err(|why| usage(&format!("{to}: {why}")))?.is_some();
    let target = if url || ui.shell.here().is_some() { ui.remote(to)? } else { source.at(to.clone().into_bytes()) };
    if source.site != target.site {
        return Err(usage("a file is renamed on one server; use get and put for two"));
    }
    let lines = vec![[b"RNFR ", &trimmed(&source.path)[..]].concat(), [b"RNTO ", &trimmed(&target.path)[..]].concat()];
    ui.run(source.site, Errand::Ask(Ask::new(lines))).map(drop).map_err(|trouble| about(ui, &source, trouble))
}

/// `hash URL...`: as `sha256sum` writes it, so that its `-c` can read it.
pub fn hash(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    if arguments.is_empty() {
        return Err(usage("hash what?"));
    }
    for argument in &arguments {
        let remote = ui.remote(argument)?;
        let digest = ui.run(remote.site, Errand::Digest(Digest::new(remote.path.clone())));
        let Yield::Digest(algorithm, digits) = digest.map_err(|trouble| about(ui, &remote, trouble))? else { continue };
        if ui.screen.json() {
            let object = Object::new().text("name", &remote.path).text("algorithm", algorithm.name().as_bytes());
            ui.screen.data(object.text("digest", digits.as_bytes()).finish().as_bytes())?;
        } else {
            let name = local_name(&remote.path);
            ui.screen.line(&[digits.as_bytes(), b"  ", name.as_bytes()].concat())?;
        }
    }
    Ok(())
}

/// `check FILE URL`: by size, then by digest or contents.
pub fn check(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let [file, argument] = &arguments[..] else { return Err(usage("check FILE URL")) };
    let remote = ui.remote(argument)?;
    let path = PathBuf::from(file);
    let name = path.file_name().ok_or_else(|| usage(&format!("{file}: no file")))?.to_owned();
    let folder = Folder::named(path.parent().unwrap_or(Path::new(".")));
    let opened = folder.open(&name).map_err(|errno| Trouble::local(&path, errno));
    let (_, here) = opened.map_err(|trouble| named(ui, file, trouble))?;
    let found = ui.run(remote.site, Errand::Stat(Box::new(Stat::new(remote.path.clone()))));
    if let Yield::Entry(Found { size: Some(there), .. }) = found.map_err(|trouble| about(ui, &remote, trouble))?
        && there != here.size
    {
        let text = format!("{} bytes here, {there} there", here.size);
        return Err(about(ui, &remote, Trouble::new(Cause::Verify, text)));
    }
    let verify = Verify::new(remote.path.clone(), folder, name);
    let same = ui.run(remote.site, Errand::Verify(Box::new(verify))).map_err(|trouble| about(ui, &remote, trouble))?;
    let how = match same {
        Yield::Digest(algorithm, _) => algorithm.name(),
        _ => "every byte",
    };
    ui.screen.same(file, &remote.show(), how);
    Ok(())
}

/// `mirror SRC DST`: whichever of the two is a URL is the server's; both may be.
pub fn mirror(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let (source, target) = match &arguments[..] {
        [source, target] => (source.clone(), target.clone()),
        [source] => (source.clone(), String::new()),
        _ => return Err(usage("mirror SRC DST")),
    };
    let remote_first = is_remote(ui, &source);
    let remote_second = !target.is_empty() && is_remote(ui, &target);
    let job = match (remote_first, remote_second) {
        (true, true) => {
            let (source, target) = (directory(ui, &source)?, directory(ui, &target)?);
            return across(ui, source, target);
        }
        (false, false) => return Err(usage("one of the two must be a URL or HOST:PATH")),
        (true, false) => {
            let remote = directory(ui, &source)?;
            let base = ui.shell.local_directory();
            let folder = if target.is_empty() { base.join(remote_name(&remote)?) } else { base.join(target) };
            Mirror::down(remote, Folder::named(folder), &ui.options)
        }
        (false, true) => {
            let remote = directory(ui, &target)?;
            let path = ui.shell.local_directory().join(&source);
            if !path.is_dir() {
                return Err(Trouble::local(&path, rustix::io::Errno::NOTDIR));
            }
            Mirror::up(Folder::named(path), remote, &ui.options)
        }
    };
    ui.launch(Job::Mirror(Box::new(job)))
}

fn is_remote(ui: &Ui, text: &str) -> bool {
    if text.contains("://") {
        return true;
    }
    let local = ui.shell.local_directory().join(text).exists() || text.starts_with(['.', '/']);
    Place::looks_short(text) && !local
}

fn directory(ui: &mut Ui, text: &str) -> Result<Remote, Trouble> {
    let remote = ui.remote(text)?;
    let path = trimmed(&remote.path);
    Ok(remote.at(path))
}

/// Without slashes at the end, but for the root itself.
fn trimmed(path: &[u8]) -> Vec<u8> {
    let length = path.iter().rposition(|byte| *byte != b'/').map_or(path.len().min(1), |at| at + 1);
    path.get(..length).unwrap_or_default().to_vec()
}

/// Says what it is that has failed; only the exit code is left to tell.
fn about(ui: &mut Ui, remote: &Remote, trouble: Trouble) -> Trouble {
    if trouble.cause == Cause::Interrupted {
        return trouble;
    }
    named(ui, &remote.show(), trouble)
}

fn named(ui: &mut Ui, what: &str, trouble: Trouble) -> Trouble {
    ui.screen.trouble(what, &trouble);
    Trouble { text: String::new(), ..trouble }
}

fn shown(path: &Path) -> String {
    Shown(path.as_os_str().as_bytes()).to_string()
}
