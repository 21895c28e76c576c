//! `mirror URL URL`: a tree of one server made the same on another one, or elsewhere on the same.
//!
//! ```text
//!   directory ──▶ both listings ──▶ compare ──▶ so many files here ──▶ and from here there ──▶ next
//! ```
//!
//! Files stop over in a directory of their own here, so each half can be tried again, is checked and keeps its times as
//! any other transfer. Sending servers to each other (FXP) was rejected: hardly any server still allows it, since it is
//! the bounce attack by another name. Only [`STOP_OVER`] files are here at a time.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::rc::Rc;

use super::job::{Batch, Item, Job, Summary};
use super::mirror::{Bench, DEPTH_LIMIT, DIRECTORIES, Facts, Policy, Purge, Trail, endless};
use super::screen::Deed;
use super::ui::{Remote, Ui};
use crate::user::crew::{Ask, Cause, Errand, Fetch, Goal, List, Origin, Send, Trouble, Yield};
use crate::user::local::{Folder, errno_of, safe_name};
use crate::user::text::{Shown, join};
use crate::wire::directory::{End, Found, FoundKind, Parsed};

/// Files that are here at a time: enough for every session to have one, little enough for a small disk.
const STOP_OVER: usize = 64;

/// What a copy under way has at hand.
struct Across<'a> {
    ui: &'a mut Ui,
    source: Remote,
    target: Remote,
    policy: Policy,
    stop: Rc<Folder>,
    summary: Summary,
}

/// A file to be copied.
struct Freight {
    within: Vec<u8>,
    found: Found,
    fresh: bool,
}

/// Makes `target` what `source` is, as the options say.
///
/// # Errors
/// What the failures come to; all but the last words have been said.
pub fn across(ui: &mut Ui, source: Remote, target: Remote) -> Result<(), Trouble> {
    let policy = Policy::new(&ui.options);
    apart(&source, &target, policy.delete)?;
    let place = stop_over()?;
    let stop = Folder::named(place.clone());
    let mut across = Across { ui, source, target, policy, stop, summary: Summary::default() };
    let outcome = across.tree();
    let Across { ui, summary, .. } = across;
    if let Err(error) = std::fs::remove_dir_all(&place) {
        ui.screen.note(&format!("{}: {error}", place.display()));
    }
    outcome?;
    let summary = summary.verdict().map_err(|trouble| ui.screen.counted(trouble))?;
    ui.screen.note(&format!("{} files, {} bytes", summary.done, summary.bytes));
    Ok(())
}

/// A copy within its own source would be copied too, and again; and a source that is extra in its target be removed.
/// Under two logins the same path may mean two places, so only one login is judged.
fn apart(source: &Remote, target: &Remote, delete: bool) -> Result<(), Trouble> {
    let (from, to) = (steps(&source.path), steps(&target.path));
    // What is relative begins where the login leads, and only the server knows where that is.
    if source.site != target.site || source.path.starts_with(b"/") != target.path.starts_with(b"/") {
        return Ok(());
    }
    let relation = match (to.starts_with(&from), from.starts_with(&to)) {
        (true, true) => "is the source itself",
        (true, false) => "lies within the source",
        (false, true) if delete => "holds the source, which --delete would remove",
        _ => return Ok(()),
    };
    Err(Trouble::new(Cause::Usage, format!("{}: the target {relation}", target.show())))
}

/// The names of a path, without those that lead nowhere.
fn steps(path: &[u8]) -> Vec<&[u8]> {
    let mut steps = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if steps.last().is_some_and(|last| *last != b"..") => _ = steps.pop(),
            _ => steps.push(name),
        }
    }
    steps
}

/// A directory that only we can look into.
fn stop_over() -> Result<PathBuf, Trouble> {
    let mut dice = [0; 8];
    // Should there be no randomness, the process id is still ours alone, and an existing directory is not used.
    let _ = rustix::rand::getrandom(&mut dice, rustix::rand::GetRandomFlags::empty());
    let name = format!("miniftp-{}-{:016x}", std::process::id(), u64::from_ne_bytes(dice));
    let place = std::env::temp_dir().join(name);
    let made = DirBuilder::new().mode(0o700).create(&place);
    made.map(|()| place.clone()).map_err(|error| Trouble::local(&place, errno_of(&error)))
}

impl Across<'_> {
    fn tree(&mut self) -> Result<(), Trouble> {
        let mut waiting = vec![(Vec::new(), 0, Trail::default())];
        let mut seen = 0;
        while let Some((within, depth, mut trail)) = waiting.pop() {
            seen += 1;
            if depth > DEPTH_LIMIT || seen > DIRECTORIES {
                let about = self.source.at(below(&self.source.path, &within));
                self.failed(&about, endless())?;
                continue;
            }
            let directories = self.directory(&within, &mut trail)?;
            waiting.extend(directories.into_iter().map(|directory| (directory, depth + 1, trail.clone())));
        }
        Ok(())
    }

    /// One directory; those within it come back, and the trail leads to it.
    fn directory(&mut self, within: &[u8], trail: &mut Trail) -> Result<Vec<Vec<u8>>, Trouble> {
        let from = self.source.at(below(&self.source.path, within));
        let listed = self.list(&from).and_then(|parsed| {
            *trail = trail.longer(&parsed)?;
            Ok(parsed)
        });
        let parsed = match listed {
            Ok(parsed) => parsed,
            Err(trouble) => return self.failed(&from, trouble).map(|()| Vec::new()),
        };
        for line in parsed.doubts() {
            self.ui.screen.note(&format!("{}: not understood: {}", from.show(), Shown(line)));
        }
        if parsed.end == End::Unconfirmed {
            self.failed(&from, Trouble::unconfirmed())?;
        }
        if !parsed.odd.is_empty() {
            self.failed(&from, Trouble::skipped())?;
        }
        let certain = parsed.is_certain();
        let to = self.target.at(below(&self.target.path, within));
        let Some(mut there) = self.arrive(&to)? else { return Ok(Vec::new()) };
        let (mut directories, mut files) = (Vec::new(), Vec::new());
        for found in parsed.entries {
            let path = join(within, &found.name);
            let counterpart = there.remove(&found.name);
            if safe_name(&found.name).is_err() {
                let about = from.at(join(&from.path, &found.name));
                self.failed(&about, Trouble::new(Cause::Denied, "a name that is not used here"))?;
            } else if found.kind == FoundKind::Dir {
                directories.extend(self.policy.filter.enters(&path).then_some(path));
            } else if self.is_wanted(&path, &found, counterpart.as_ref()) {
                files.push(Freight { within: path, found, fresh: counterpart.is_none() });
            }
        }
        while !files.is_empty() {
            let load = files.drain(..files.len().min(STOP_OVER)).collect();
            self.carry(load)?;
        }
        // What is behind a line that is not understood may well be there.
        if self.policy.delete && certain {
            self.remove_extra(&to.path, within, there)?;
        }
        Ok(directories)
    }

    fn is_wanted(&self, path: &[u8], found: &Found, there: Option<&Found>) -> bool {
        if found.kind == FoundKind::Other || !self.policy.filter.takes(path) {
            return false;
        }
        let facts = |found: &Found| Facts { size: found.size, modify: found.modify, grain: found.grain };
        there.is_none_or(|there| self.policy.sends(facts(found), facts(there)))
    }

    fn list(&mut self, at: &Remote) -> Result<Parsed, Trouble> {
        match self.ui.run(at.site, Errand::List(Box::new(List::new(at.path.clone()))))? {
            Yield::Listing(parsed) => Ok(parsed),
            _ => Ok(Parsed::default()),
        }
    }

    /// What a directory of the target holds; it is made where it is not there. `None`: that failed, and was said.
    fn arrive(&mut self, to: &Remote) -> Result<Option<HashMap<Vec<u8>, Found>>, Trouble> {
        let named = |found: Found| (found.name.clone(), found);
        let trouble = match self.list(to) {
            Ok(parsed) => return Ok(Some(parsed.entries.into_iter().map(named).collect())),
            Err(trouble) => trouble,
        };
        if trouble.cause != Cause::Denied {
            return self.failed(to, trouble).map(|()| None);
        }
        if self.policy.dry_run {
            self.ui.screen.did(Deed::Make, &to.show(), false);
            return Ok(Some(HashMap::new()));
        }
        // What is above it may be missing too. Only the last answer matters: the others may be there already.
        let mut made = Ok(());
        let slashes = to.path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > 0).map(|(at, _)| at);
        for upto in slashes.chain([to.path.len()]) {
            let line = [b"MKD ", to.path.get(..upto).unwrap_or_default()].concat();
            made = self.command(to, line);
        }
        match made {
            Ok(()) => Ok(Some(HashMap::new())),
            Err(trouble) => self.failed(to, trouble).map(|()| None),
        }
    }

    /// So many files here, and what has arrived on to the target.
    fn carry(&mut self, load: Vec<Freight>) -> Result<(), Trouble> {
        if self.policy.dry_run {
            for freight in load {
                let to = self.target.at(below(&self.target.path, &freight.within));
                self.ui.screen.did(Deed::Put, &to.show(), false);
            }
            return Ok(());
        }
        let numbered =
            || load.iter().enumerate().map(|(number, freight)| (OsString::from(number.to_string()), freight));
        let fetches = numbered().map(|(name, freight)| self.fetching(name, freight)).collect();
        self.batch(Batch::new("mirror", fetches).saying_failures_only(), false)?;
        let arrived = |name: &OsString| self.stop.look(name).ok().flatten().is_some();
        let here = numbered().filter(|(name, _)| arrived(name));
        let sends: Vec<Item> = here.map(|(name, freight)| self.sending(name, freight)).collect();
        if !sends.is_empty() {
            self.batch(Batch::new("mirror", sends), true)?;
        }
        for (name, _) in numbered() {
            // What failed is not there; the directory itself goes in the end.
            let _ = self.stop.remove(&name);
        }
        Ok(())
    }

    fn fetching(&self, name: OsString, freight: &Freight) -> Item {
        let from = self.source.at(below(&self.source.path, &freight.within));
        let mut fetch = Fetch::new(from.path.clone(), Goal::file(Rc::clone(&self.stop), name));
        let link = freight.found.kind == FoundKind::Link;
        fetch.size = freight.found.size.filter(|_| !link && !self.policy.text);
        (fetch.modify, fetch.text) = (freight.found.modify, self.policy.text);
        let destination = self.target.at(below(&self.target.path, &freight.within)).show();
        let errand = Errand::Fetch(Box::new(fetch));
        Item { site: from.site, errand, source: from.show(), destination, inside: None }
    }

    fn sending(&self, name: OsString, freight: &Freight) -> Item {
        let to = self.target.at(below(&self.target.path, &freight.within));
        let mut send = Send::new(Origin::File(Rc::clone(&self.stop), name), to.path.clone());
        send.size = freight.found.size;
        send.fresh = freight.fresh;
        (send.text, send.verify) = (self.policy.text, self.policy.verify);
        let source = self.source.at(below(&self.source.path, &freight.within)).show();
        let errand = Errand::Send(Box::new(send));
        Item { site: to.site, errand, source, destination: to.show(), inside: None }
    }

    fn batch(&mut self, batch: Batch, counts: bool) -> Result<(), Trouble> {
        let id = self.ui.begin(Job::Batch(batch));
        match self.ui.wait(id) {
            Ok(summary) if counts => {
                self.summary.done += summary.done;
                self.summary.bytes += summary.bytes;
            }
            Ok(_) => {}
            Err(trouble) if trouble.cause == Cause::Interrupted => return Err(trouble),
            Err(trouble) => self.summary.failed.push(trouble),
        }
        Ok(())
    }

    fn remove_extra(&mut self, to: &[u8], within: &[u8], there: HashMap<Vec<u8>, Found>) -> Result<(), Trouble> {
        let mut purge = Purge::default();
        self.purging(|bench| purge.extras(to, within, there.into_values(), bench));
        while let Some((errand, step)) = purge.next() {
            let result = self.ui.run(self.target.site, errand);
            if let Err(trouble) = &result
                && trouble.cause == Cause::Interrupted
            {
                return Err(trouble.clone());
            }
            self.purging(|bench| purge.done(step, result, bench));
        }
        Ok(())
    }

    fn purging(&mut self, work: impl FnOnce(&mut Bench<'_>)) {
        let Self { ui, target, policy, summary, .. } = self;
        work(&mut Bench { remote: target, policy, screen: &mut ui.screen, summary, same: &mut 0 });
    }

    fn command(&mut self, at: &Remote, line: Vec<u8>) -> Result<(), Trouble> {
        self.ui.run(at.site, Errand::Ask(Ask::new(vec![line]))).map(drop)
    }

    /// Says what failed and goes on, unless the user wants it to end.
    fn failed(&mut self, about: &Remote, trouble: Trouble) -> Result<(), Trouble> {
        if trouble.cause == Cause::Interrupted {
            return Err(trouble);
        }
        self.ui.screen.trouble(&Shown(about.show().as_bytes()).to_string(), &trouble);
        self.summary.failed.push(trouble);
        Ok(())
    }
}

/// A path below the top of a tree.
fn below(top: &[u8], within: &[u8]) -> Vec<u8> {
    if within.is_empty() { top.to_vec() } else { join(top, within) }
}
