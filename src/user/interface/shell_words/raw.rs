//! Commands that go to the server as they are, and their replies shown.

use crate::user::crew::{Ask, Errand, Trouble, Yield};
use crate::user::interface::options::usage;
use crate::user::interface::ui::{Remote, Ui};
use crate::user::text::Shown;
use crate::wire::reply::Kind;

use super::{here, replies, wanted};

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
