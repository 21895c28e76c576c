//! What the user sees: data on standard output, words for people on standard error, JSON where that is wished.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::bars::{BEAT, Bars, Progress, Whole};
use super::json::Object;
use super::options::Options;
use super::voice;
use crate::user::crew::{Cause, Moved, Trouble};
use crate::user::text::Shown;
use crate::wire::date::Civil;
use crate::wire::directory::{Found, FoundKind};

/// What was over sooner has no rate: the kernel took it all, or had it all, before anybody looked at the clock again.
const SHORTEST: Duration = Duration::from_millis(1);

/// The screen.
#[derive(Debug)]
pub struct Screen {
    json: bool,
    quiet: bool,
    /// Standard output is a terminal: nothing raw goes there.
    terminal: bool,
    /// A command that reads what would go to standard output.
    diverted: Option<File>,
    /// The verb that is at work, for objects about its failures.
    verb: &'static str,
    /// What standard output last refused: whoever misses objects must not hear that all went well.
    refused: Option<Trouble>,
    /// Progress, where it is shown.
    bars: Option<Bars>,
    /// The terminal belongs to the prompt for now.
    paused: bool,
}

/// How a listing is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// Names only.
    Names,
    /// Kind, size, time and name.
    Long,
}

/// What a mirror does to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A file comes here.
    Get,
    /// A file goes there.
    Put,
    /// A directory is made.
    Make,
    /// A file or directory is removed.
    Remove,
}

impl Deed {
    const fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Make => "make",
            Self::Remove => "remove",
        }
    }
}

impl Screen {
    /// As the options want it.
    pub fn new(options: &Options) -> Self {
        let terminal = io::stdout().is_terminal();
        let (json, quiet) = (options.json, options.quiet);
        Self { json, quiet, terminal, diverted: None, verb: "miniftp", refused: None, bars: None, paused: false }
    }

    /// What follows is said about this verb.
    pub const fn about(&mut self, verb: &'static str) {
        self.verb = verb;
    }

    /// The verb at work.
    pub const fn verb(&self) -> &'static str {
        self.verb
    }

    /// Whether all that was meant for standard output went there.
    ///
    /// # Errors
    /// It did not.
    pub fn verdict(&mut self) -> Result<(), Trouble> {
        self.refused.take().map_or(Ok(()), Err)
    }

    /// Whether progress is shown.
    pub const fn progress(&self) -> bool {
        self.bars.is_some()
    }

    /// Shows progress from now on, or stops; answers how often [`Screen::tick`] wants to be called.
    pub fn show_progress(&mut self, on: bool) -> Option<Duration> {
        let fit = on && !self.json && !self.quiet && io::stderr().is_terminal();
        if let Some(mut bars) = self.bars.take() {
            bars.clear();
        }
        self.bars = fit.then(Bars::new);
        fit.then_some(BEAT)
    }

    /// Where the transfers stand.
    pub fn tick(&mut self, running: &[Progress], whole: Whole) {
        if let Some(bars) = self.bars.as_mut().filter(|_| !self.paused) {
            bars.show(running, whole);
        }
    }

    /// While the user types, nothing moves.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
        voice::type_on(paused);
        if let Some(bars) = self.bars.as_mut().filter(|_| paused) {
            bars.clear();
        }
    }

    /// Whether objects are written instead of text.
    pub const fn json(&self) -> bool {
        self.json
    }

    /// Sends data elsewhere from now on; answers where it went before. `None` is standard output.
    pub const fn divert(&mut self, elsewhere: Option<File>) -> Option<File> {
        std::mem::replace(&mut self.diverted, elsewhere)
    }

    /// Whether a command reads the data.
    pub const fn is_diverted(&self) -> bool {
        self.diverted.is_some()
    }

    /// Where data goes, for those who write much of it.
    ///
    /// # Errors
    /// No descriptor is left for it.
    pub fn output(&self) -> io::Result<OwnedFd> {
        match &self.diverted {
            Some(pipe) => pipe.as_fd().try_clone_to_owned(),
            None => io::stdout().as_fd().try_clone_to_owned(),
        }
    }

    /// Data, as it is.
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        if let Some(pipe) = &mut self.diverted {
            return pipe.write_all(bytes).map_err(|error| Trouble::new(Cause::Local, format!("the pipe: {error}")));
        }
        Self::publish(bytes)
    }

    fn publish(bytes: &[u8]) -> Result<(), Trouble> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|error| Trouble::new(Cause::Local, format!("standard output: {error}")))
    }

    /// An object, where those are wished. After the first that cannot be written there are no more: whoever stopped
    /// reading has seen enough.
    fn object(&mut self, line: &str) {
        if self.json && self.refused.is_none() {
            self.refused = Self::publish(line.as_bytes()).err();
        }
    }

    /// A line of data that holds a server's words: raw into a pipe, escaped on a terminal.
    pub fn line(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        if self.escapes() {
            return self.data(format!("{}\n", Shown(bytes)).as_bytes());
        }
        self.data(&[bytes, b"\n"].concat())
    }

    /// Words for a person, on standard error, unless there should be none.
    pub fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            self.say(text);
        }
    }

    fn say(&self, text: &str) {
        match &self.bars {
            Some(bars) if !self.paused => bars.aside(|| complain(text)),
            _ => complain(text),
        }
    }

    /// Something went wrong; said whatever the options.
    pub fn trouble(&mut self, about: &str, trouble: &Trouble) {
        self.failed(about, trouble);
        let named = about.is_empty() || trouble.text.starts_with(&format!("{about}: "));
        if named { self.say(&trouble.text) } else { self.say(&format!("{about}: {}", trouble.text)) }
    }

    /// The object of a failure that is put into words elsewhere.
    pub fn failed(&mut self, about: &str, trouble: &Trouble) {
        let path = Some(about.as_bytes()).filter(|about| !about.is_empty());
        let object = Object::new().text("event", self.verb.as_bytes()).optional("path", path);
        let object = object.text("result", b"failed").number("code", trouble.code.map(u64::from));
        let object = object.number("exit", Some(trouble.cause as u64)).text("error", trouble.text.as_bytes());
        self.object(&object.finish());
    }

    /// How many of many failed. Each of them has its object already.
    pub fn counted(&self, trouble: Trouble) -> Trouble {
        let text = if self.json { String::new() } else { trouble.text };
        Trouble { text, ..trouble }
    }

    /// What was found out about two files.
    pub fn same(&mut self, source: &str, destination: &str, by: &str) {
        let object = Object::new().text("event", self.verb.as_bytes()).text("src", source.as_bytes());
        let object = object.text("dst", destination.as_bytes()).text("result", b"same").text("by", by.as_bytes());
        self.object(&object.finish());
        self.note(&format!("{destination}: the same, by {by}"));
    }

    /// What a mirror did to a path beside moving files, or would do.
    pub fn did(&mut self, deed: Deed, path: &str, truly: bool) {
        let result: &[u8] = if truly { b"ok" } else { b"planned" };
        let object = Object::new().text("event", deed.word().as_bytes()).text("path", path.as_bytes());
        self.object(&object.text("result", result).finish());
        if !truly {
            self.note(&format!("would {} {path}", deed.word()));
        }
    }

    /// Entries of a directory.
    pub fn entries(&mut self, entries: &[Found], columns: Columns) -> Result<(), Trouble> {
        let mut out = Vec::new();
        for entry in entries {
            if self.json {
                out.extend_from_slice(json_entry(entry).as_bytes());
                continue;
            }
            if columns == Columns::Long {
                out.extend_from_slice(long_head(entry).as_bytes());
            }
            self.append_name(entry, columns, &mut out);
            out.push(b'\n');
        }
        self.data(&out)
    }

    /// Whether data goes to a terminal, which must be given no orders.
    const fn escapes(&self) -> bool {
        self.terminal && self.diverted.is_none()
    }

    fn append_name(&self, entry: &Found, columns: Columns, out: &mut Vec<u8>) {
        let mut name = entry.name.clone();
        if let (Columns::Long, Some(target)) = (columns, &entry.target) {
            name.extend_from_slice(b" -> ");
            name.extend_from_slice(target);
        }
        if self.escapes() { out.extend_from_slice(Shown(&name).to_string().as_bytes()) } else { out.append(&mut name) }
    }

    /// A transfer is over.
    pub fn transferred(&mut self, source: &str, destination: &str, result: &Result<Moved, Trouble>) {
        if self.json {
            return self.object(&json_transfer(source, destination, result));
        }
        match result {
            Ok(moved) if moved.skipped => self.note(&format!("{destination}: is there already")),
            Ok(moved) => {
                let told = moved.elapsed >= SHORTEST;
                let rate = if told { format!(", {}", rate(moved.bytes, moved.elapsed)) } else { String::new() };
                self.note(&format!("{source} -> {destination}: {} bytes{rate}", moved.bytes));
            }
            Err(trouble) => self.trouble(source, trouble),
        }
    }

    /// Another try is coming.
    pub fn retrying(&self, about: &str, trouble: &Trouble, pause: Duration) {
        let about = if about.is_empty() { String::new() } else { format!("{about}: ") };
        let when = if pause.is_zero() { String::new() } else { format!(" in {:.1} s", pause.as_secs_f64()) };
        self.note(&format!("{about}{}; trying again{when}", trouble.text));
    }
}

/// A line on standard error.
pub fn complain(text: &str) {
    voice::say(text);
}

/// Bytes a second as people say it.
pub fn rate(bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-6);
    let (mut value, mut unit) = (bytes as f64 / seconds, "B/s");
    for bigger in ["kB/s", "MB/s", "GB/s"] {
        if value >= 1000.0 {
            value /= 1000.0;
            unit = bigger;
        }
    }
    format!("{value:.1} {unit}")
}

fn kind_name(kind: FoundKind) -> &'static [u8] {
    match kind {
        FoundKind::File => b"file",
        FoundKind::Dir => b"dir",
        FoundKind::Link => b"link",
        FoundKind::Other => b"other",
        FoundKind::Unknown => b"unknown",
    }
}

/// The object of one entry: name, type, size, modify, mode, owner, group, target.
pub fn json_entry(entry: &Found) -> String {
    let modify = entry.modify.map(iso);
    let mode = entry.mode.map(|mode| format!("{mode:04o}"));
    Object::new()
        .text("name", &entry.name)
        .text("type", kind_name(entry.kind))
        .number("size", entry.size)
        .optional("modify", modify.as_ref().map(String::as_bytes))
        .optional("mode", mode.as_ref().map(String::as_bytes))
        .optional("owner", entry.owner.as_deref())
        .optional("group", entry.group.as_deref())
        .optional("target", entry.target.as_deref())
        .finish()
}

fn json_transfer(source: &str, destination: &str, result: &Result<Moved, Trouble>) -> String {
    let (bytes, elapsed, code, word, error) = match result {
        Ok(moved) => {
            let word: &[u8] = if moved.skipped { b"skipped" } else { b"ok" };
            (moved.bytes, moved.elapsed, moved.code, word, None)
        }
        Err(trouble) => (0, Duration::ZERO, trouble.code, b"failed".as_slice(), Some(trouble.text.as_bytes())),
    };
    let object = Object::new()
        .text("event", b"transfer")
        .text("src", source.as_bytes())
        .text("dst", destination.as_bytes())
        .number("bytes", Some(bytes))
        .seconds("seconds", elapsed.as_secs_f64())
        .text("result", word)
        .number("code", code.map(u64::from));
    match error {
        Some(error) => object.text("error", error).finish(),
        None => object.finish(),
    }
}

/// `2024-03-09T17:05:09Z`
pub fn iso(when: i64) -> String {
    let Civil { year, month, day, hour, minute, second } = Civil::from_epoch(when);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The columns before the name, as `ls -l` would have them.
fn long_head(entry: &Found) -> String {
    let kind = match entry.kind {
        FoundKind::File | FoundKind::Unknown => '-',
        FoundKind::Dir => 'd',
        FoundKind::Link => 'l',
        FoundKind::Other => '?',
    };
    let letters: String = match entry.mode {
        None => "?????????".into(),
        Some(mode) => (0..9).map(|at| if mode >> (8 - at) & 1 == 1 { b"rwx"[at % 3] as char } else { '-' }).collect(),
    };
    let owner = entry.owner.as_deref().map_or_else(|| "-".into(), |name| Shown(name).to_string());
    let group = entry.group.as_deref().map_or_else(|| "-".into(), |name| Shown(name).to_string());
    let size = entry.size.map_or_else(|| "-".into(), |size| size.to_string());
    let when =
        entry.modify.map_or_else(|| " ".repeat(16), |when| iso(when).replace('T', " ").chars().take(16).collect());
    format!("{kind}{letters} {owner:<8} {group:<8} {size:>12} {when} ")
}
