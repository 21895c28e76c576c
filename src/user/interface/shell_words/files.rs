//! Files: the classic words for them.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::filesystem::Pattern;
use crate::user::crew::{Cause, Errand, Fetch, Goal, Origin, Send, Trouble};
use crate::user::interface::job::{Batch, Item, Job};
use crate::user::interface::mirror::Mirror;
use crate::user::interface::options::usage;
use crate::user::interface::pipe::{self, Neighbour};
use crate::user::interface::ui::Ui;
use crate::user::interface::verbs;
use crate::user::local::{Folder, safe_name};
use crate::user::text::{Shown, join};
use crate::wire::directory::FoundKind;

use super::{agreed, fits, here, matching, none_fits, replies, wanted};

/// `get REMOTE [LOCAL]`, or several with options as in the one-shot form
pub fn get(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let mut arguments = wanted(ui, arguments, 1, &["remote-file"])?;
    let lftp_style = ui.options.output.is_some() || ui.options.directory.is_some() || arguments.len() != 2;
    if lftp_style {
        return verbs::get(ui, arguments);
    }
    let local = arguments.pop().unwrap_or_default();
    if let Some(command) = local.strip_prefix('|') {
        return pipe::through(ui, command, |ui| verbs::cat(ui, arguments));
    }
    ui.options.output = Some(local);
    verbs::get(ui, arguments)
}

/// `reget REMOTE [LOCAL]`
pub fn reget(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    ui.options.resume = true;
    get(ui, arguments)
}

/// `pget [-n N] REMOTE [LOCAL]`, otherwise as `get`
pub fn pget(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    /// What is usual for this verb.
    const PIECES: usize = 4;
    ui.options.segments = ui.options.segments.max(PIECES);
    get(ui, arguments)
}

/// `put "|COMMAND" REMOTE`: what the command writes. Nobody can take back what has been sent when it fails.
fn send_from(ui: &mut Ui, command: &str, name: Option<&String>, append: bool) -> Result<(), Trouble> {
    let Some(name) = name else {
        return Err(usage("what a command writes needs a name on the server; more than one word of it needs quotes"));
    };
    let remote = ui.remote(name)?;
    let (neighbour, output) = Neighbour::writing(command)?;
    let mut send = Send::new(Origin::Stream(Some(output)), remote.path.clone());
    (send.append, send.text) = (append, ui.options.text);
    let (errand, source) = (Errand::Send(Box::new(send)), format!("|{command}"));
    let item = Item { site: remote.site, errand, source, destination: remote.show(), inside: None };
    let job = ui.begin(Job::Batch(Batch::new("put", vec![item])));
    let outcome = ui.wait(job).map(drop);
    neighbour.finish(ui, outcome)
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
            let remote = directory.at(join(&directory.path, &entry.name));
            let folder = ui.options.directory.clone().unwrap_or_default();
            let name = std::ffi::OsStr::from_bytes(&entry.name).to_owned();
            let destination = Shown(folder.join(&name).as_os_str().as_bytes()).to_string();
            let mut fetch = Fetch::new(remote.path.clone(), Goal::file(Folder::named(folder), name));
            (fetch.size, fetch.resume, fetch.text) = (None, ui.options.resume, ui.options.text);
            let errand = Errand::Fetch(Box::new(fetch));
            items.push(Item { site: remote.site, errand, source: remote.show(), destination, inside: None });
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
            let remote = here.at.at(join(&here.at.path, name.as_bytes()));
            let source = Shown(folder.path().join(&name).as_os_str().as_bytes()).to_string();
            let mut send = Send::new(Origin::File(folder.clone(), name), remote.path.clone());
            (send.resume, send.text) = (ui.options.resume, ui.options.text);
            let errand = Errand::Send(Box::new(send));
            items.push(Item { site: remote.site, errand, source, destination: remote.show(), inside: None });
        }
    }
    start(ui, "mput", items)
}

/// `mdelete PATTERN...`
pub fn mdelete(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let mut asking = ui.shell.asks;
    for argument in wanted(ui, arguments, 1, &["remote-files"])? {
        let (directory, mut found) = matching(ui, &argument)?;
        found.retain(|entry| entry.kind != FoundKind::Dir);
        if found.is_empty() {
            return Err(none_fits(&argument));
        }
        for entry in found {
            if safe_name(&entry.name).is_ok() && agreed(ui, &mut asking, "mdelete", &entry.name)? {
                let line = [b"DELE ", &join(&directory.path, &entry.name)[..]].concat();
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
    if let Some(command) = arguments.first().and_then(|first| first.strip_prefix('|')) {
        return send_from(ui, command, arguments.get(1), false);
    }
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
    if let Some(command) = arguments.first().and_then(|first| first.strip_prefix('|')) {
        return send_from(ui, command, arguments.get(1), true);
    }
    let sources = arguments.get(..1).unwrap_or_default().to_vec();
    verbs::send(ui, &here.at, sources, arguments.get(1).map(String::as_str), true)
}

/// `rename FROM TO`
pub fn rename(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let arguments = wanted(ui, arguments, 2, &["from-name", "to-name"])?;
    verbs::mv(ui, arguments)
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
