//! RFC 959 4.1.3, the services on names that need no data connection: RNFR RNTO DELE RMD MKD PWD, and the attributes
//! of RFC 3659 and its neighbours: SIZE MDTM MLST MFMT MFF AVBL.

use rustix::io::Errno;

use super::digest::Answer;
use super::faults::{ReplyTo, named};
use super::service::DIRECTORY_MODE;
use super::state::{Member, Work};
use super::{Session, Stage};
use crate::filesystem::listing::append_facts_of;
use crate::filesystem::{Fault, Kind, Last, Right, VirtualPath};
use crate::server::world::World;
use crate::wire::command::PathText;
use crate::wire::date;
use crate::wire::reply::{Reply, quoted};

/// Any of these lets one file's size, time and facts be seen.
const SEES_ONE: [Right; 3] = [Right::List, Right::Read, Right::Create];

type Outcome = Result<Reply, Reply>;

/// What is above a name that is to be made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    AsItIs,
    Made,
}

fn either(answer: Outcome) -> Reply {
    answer.unwrap_or_else(|refusal| refusal)
}

impl Session {
    pub(super) fn rnfr(&mut self, given: &[u8], stage: &mut Stage<'_>) {
        match self.rename_source(given) {
            Ok(from) => {
                self.work(Work::Renaming { from });
                stage.say(350, "Ready for RNTO.");
            }
            Err(reply) => stage.reply(reply),
        }
    }

    fn rename_source(&self, given: &[u8]) -> Result<VirtualPath, Reply> {
        let member = self.logged_in()?;
        let path = member.resolve_name(given)?;
        member.require(Right::Rename, &path, given)?;
        // A directory that leads to one with a rule of its own keeps its name: elsewhere the rule would not hold.
        if path.is_root() || member.realm().rules.bind(&path) {
            return Err(Reply::new(550, "Permission denied."));
        }
        member.seat.root().lstat(&path).map_err(|fault| member.faulted(fault, &path, given))?;
        Ok(path)
    }

    pub(super) fn rnto(&mut self, given: &[u8], stage: &mut Stage<'_>) {
        let Some(Work::Renaming { from }) = self.work(Work::Idle) else {
            return stage.say(503, "RNFR required first.");
        };
        stage.reply(either(self.rename(&from, given, stage.world)));
    }

    /// The target's own rule decides: renaming within it, and over a file only where overwriting is allowed.
    fn rename(&self, from: &VirtualPath, given: &[u8], world: &World) -> Outcome {
        let member = self.logged_in()?;
        let to = member.resolve_name(given)?;
        member.require(Right::Rename, &to, given)?;
        let replace = member.may(Right::Overwrite, &to);
        member.keeping_digest(world, (from, &to), || {
            let make = || member.rename(from, &to, replace);
            self.with_parents(&to, world, make).map_err(|fault| fault.reply_new(given))
        })?;
        log::info!("{}@{}: Renamed. {from:?} to {to:?}", member.realm().name, self.peer);
        Ok(Reply::new(250, "Rename successful."))
    }

    pub(super) fn dele(&self, given: &[u8], stage: &mut Stage<'_>) {
        stage.reply(either(self.remove(given, "File deleted.", |member, path| {
            member.unlink(path).map_err(|fault| member.faulted(fault, path, given))
        })));
    }

    pub(super) fn rmd(&self, given: &[u8], stage: &mut Stage<'_>) {
        stage.reply(either(self.remove(given, "Directory removed.", |member, path| {
            if *path == member.whereabouts()? {
                return Err(named(550, given, "Is the current directory."));
            }
            member.seat.root().rmdir(path).map_err(|fault| member.faulted(fault, path, given))
        })));
    }

    fn remove(
        &self,
        given: &[u8],
        done: &'static str,
        effect: impl FnOnce(&Member, &VirtualPath) -> Result<(), Reply>,
    ) -> Outcome {
        let member = self.logged_in()?;
        let path = member.resolve_name(given)?;
        member.require(Right::Delete, &path, given)?;
        effect(member, &path)?;
        self.note(member, done, &path);
        Ok(Reply::new(250, done))
    }

    /// What was changed, and by whom.
    pub(super) fn note(&self, member: &Member, done: &str, path: &VirtualPath) {
        log::info!("{}@{}: {done} {path:?}", member.realm().name, self.peer);
    }

    pub(super) fn mkd(&self, given: &[u8], stage: &mut Stage<'_>) {
        stage.reply(either(self.make_directory(given, stage.world)));
    }

    fn make_directory(&self, given: &[u8], world: &World) -> Outcome {
        let member = self.logged_in()?;
        let path = member.resolve_name(given)?;
        member.require(Right::MakeDir, &path, given)?;
        let mode = DIRECTORY_MODE & !self.umask_in_force(world);
        let make = || member.seat.root().mkdir(&path, mode);
        self.with_parents(&path, world, make).map_err(|fault| fault.reply_new(given))?;
        self.note(member, "Directory made.", &path);
        Ok(directory_reply(&path, b" created"))
    }

    /// Makes a name; where only the directories above it are missing and the configuration wants them made, once more
    /// with them.
    pub(super) fn with_parents<T>(
        &self,
        path: &VirtualPath,
        world: &World,
        make: impl Fn() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut way = Way::AsItIs;
        loop {
            match make() {
                Err(fault) if way == Way::AsItIs => self.make_way(path, world, fault)?,
                outcome => return outcome,
            }
            way = Way::Made;
        }
    }

    /// Makes the directories above a name where it is their lack that `fault` tells of.
    fn make_way(&self, path: &VirtualPath, world: &World, fault: Fault) -> Result<(), Fault> {
        match self.member() {
            Some(member) if fault == Fault::Os(Errno::NOENT) && world.settings.files.make_parents => {
                let mode = DIRECTORY_MODE & !self.umask_in_force(world);
                member.seat.root().make_parents(path, mode, |directory| member.may(Right::MakeDir, directory))
            }
            _ => Err(fault),
        }
    }

    /// What `fault` comes to for an upload that goes on in the middle of a file: where only directories are missing that
    /// would be made for a new one, there is no such file, and nothing is made for it.
    pub(super) fn without_file(member: &Member, path: &VirtualPath, world: &World, fault: Fault) -> Fault {
        if fault != Fault::Os(Errno::NOENT) || !world.settings.files.make_parents {
            return fault;
        }
        let missing = member.seat.root().missing_parents(path, |directory| member.may(Right::MakeDir, directory));
        missing.map_or_else(|fault| fault, |_| Fault::BeyondEnd { size: 0 })
    }

    pub(super) fn pwd(&self, stage: &mut Stage<'_>) {
        let Some(member) = self.member() else { return };
        let given = member.cwd.as_bytes();
        let there =
            member.whereabouts().and_then(|cwd| member.seat.root().enter(&cwd).map_err(|fault| fault.reply(given)));
        stage.reply(match there {
            Ok(()) => directory_reply(&member.cwd, b" is the current directory"),
            Err(refusal) => refusal,
        });
    }

    pub(super) fn size(&mut self, given: &[u8], stage: &mut Stage<'_>) {
        let answer = self.sized(given, stage.world);
        self.answer(answer, stage);
    }

    fn sized(&self, given: &[u8], world: &World) -> Result<Answer, Reply> {
        let member = self.logged_in()?;
        let path = member.resolve(given)?;
        member.require_any(&SEES_ONE, &path, given)?;
        let root = member.seat.root();
        let stat = root.stat(&path).map_err(|fault| member.faulted(fault, &path, given))?;
        if stat.kind != Kind::File {
            return Err(named(550, given, "Not a plain file."));
        }
        if !self.ascii(world) {
            return Ok(Answer::Known(Reply::new(213, stat.size.to_string())));
        }
        if stat.size > world.settings.limits.ascii_size {
            return Err(Reply::new(550, "SIZE not available in ASCII mode."));
        }
        let (file, stat) = root.read(&path).map_err(|fault| member.faulted(fault, &path, given))?;
        Ok(Self::count_lines(file, stat.size, given))
    }

    pub(super) fn mdtm(&self, argument: &[u8], stage: &mut Stage<'_>) {
        let told = self.modified(argument);
        let reply = match (told, stamp_and_path(argument)) {
            // Only when no file has the whole argument as its name is it a time to be set.
            (Err(refusal), Some((time, path))) => match self.set_modified(time, path, stage.world) {
                Ok(reply) => reply,
                Err(set_refusal) => {
                    log::debug!("{}: MDTM: neither told ({}) nor set", self.peer, refusal.code);
                    set_refusal
                }
            },
            (told, _) => either(told),
        };
        stage.reply(reply);
    }

    fn modified(&self, given: &[u8]) -> Outcome {
        let member = self.logged_in()?;
        let path = member.resolve(given)?;
        member.require_any(&SEES_ONE, &path, given)?;
        let stat = member.seat.root().stat(&path).map_err(|fault| member.faulted(fault, &path, given))?;
        if stat.kind != Kind::File {
            return Err(named(550, given, "Not a plain file."));
        }
        Ok(Reply::bytes(213, stamp(stat.mtime)))
    }

    pub(super) fn mfmt(&self, time: &[u8], given: &[u8], stage: &mut Stage<'_>) {
        let reply = match date::parse_stamp(time) {
            Some(time) => either(self.set_modified(time, given, stage.world)),
            None => Reply::new(501, "Bad time."),
        };
        stage.reply(reply);
    }

    fn set_modified(&self, time: i64, given: &[u8], world: &World) -> Outcome {
        let member = self.logged_in()?;
        let path = member.resolve(given)?;
        member.require(Right::Time, &path, given)?;
        let root = member.seat.root();
        member.keeping_digest(world, (&path, &path), || {
            root.set_times(&path, time, None).map_err(|fault| member.faulted(fault, &path, given))
        })?;
        let stored = root.stat(&path).map_err(|fault| member.faulted(fault, &path, given))?.mtime;
        let mut facts = b"Modify=".to_vec();
        date::append_stamp(stored, &mut facts);
        facts.push(b';');
        Ok(fact_reply(facts, given))
    }

    pub(super) fn mff(&self, facts: &[(PathText, PathText)], given: &[u8], stage: &mut Stage<'_>) {
        stage.reply(either(self.set_facts(facts, given, stage.world)));
    }

    /// All facts are checked before any is changed.
    fn set_facts(&self, facts: &[(PathText, PathText)], given: &[u8], world: &World) -> Outcome {
        let member = self.logged_in()?;
        let path = member.resolve(given)?;
        let wanted: Vec<Wanted> = facts.iter().map(|(name, value)| wanted(name, value)).collect::<Result<_, _>>()?;
        let root = member.seat.root();
        for fact in &wanted {
            member.require(if matches!(fact, Wanted::Modify(_)) { Right::Time } else { Right::Mode }, &path, given)?;
        }
        root.stat(&path).map_err(|fault| member.faulted(fault, &path, given))?;
        let mut told = Vec::new();
        let set = |fact: &Wanted| match fact {
            Wanted::Modify(time) => root.set_times(&path, *time, None),
            Wanted::Mode(mode) => root.chmod(&path, *mode),
        };
        member.keeping_digest(world, (&path, &path), || {
            wanted.iter().try_for_each(set).map_err(|fault| member.faulted(fault, &path, given))
        })?;
        for (name, value) in facts {
            told.extend_from_slice(name);
            told.push(b'=');
            told.extend_from_slice(value);
            told.push(b';');
        }
        Ok(fact_reply(told, given))
    }

    pub(super) fn avbl(&self, given: Option<&[u8]>, stage: &mut Stage<'_>) {
        let given = given.unwrap_or_default();
        let answer = self.logged_in().and_then(|member| {
            let path = member.resolve(given)?;
            member.require(Right::List, &path, given)?;
            let free = member.seat.root().available(&path).map_err(|fault| member.faulted(fault, &path, given))?;
            let left = member.quota_left()?;
            Ok(Reply::new(213, left.map_or(free, |left| left.min(free)).to_string()))
        });
        stage.reply(either(answer));
    }

    pub(super) fn mlst(&self, given: Option<&[u8]>, stage: &mut Stage<'_>) {
        stage.reply(either(self.facts_of(given.unwrap_or_default(), stage.world)));
    }

    fn facts_of(&self, given: &[u8], world: &World) -> Outcome {
        let member = self.logged_in()?;
        // A link that leads nowhere this account may go is there by itself.
        let path = member.resolve(given).or_else(|refusal| member.resolve_name(given).map_err(|_| refusal))?;
        member.require_any(&SEES_ONE, &path, given)?;
        let mut line = Vec::new();
        let root = member.seat.root();
        append_facts_of(root, &path, &member.realm().rules, &world.owners, self.facts, &mut line)
            .map_err(|fault| member.faulted(fault, &path, given))?;
        let mut first = b"Listing ".to_vec();
        first.extend_from_slice(path.as_bytes());
        Ok(Reply::path_lines(250, first, vec![line], "End"))
    }
}

impl Member {
    /// Where the working directory really is.
    pub(super) fn whereabouts(&self) -> Result<VirtualPath, Reply> {
        self.settle(self.cwd.clone(), Last::Follow, self.cwd.as_bytes())
    }

    /// Does something to a file that leaves its contents as they are: what is known of them stays known.
    pub(super) fn keeping_digest(
        &self,
        world: &World,
        (before, after): (&VirtualPath, &VirtualPath),
        change: impl FnOnce() -> Result<(), Reply>,
    ) -> Result<(), Reply> {
        if world.digests.is_empty() {
            return change();
        }
        let root = self.seat.root();
        let old = root.lstat(before);
        change()?;
        if let (Ok(old), Ok(new)) = (old, root.lstat(after)) {
            world.digests.carry(&old, &new);
        }
        Ok(())
    }
}

/// 14 digits.
fn stamp(seconds: i64) -> Vec<u8> {
    let mut text = Vec::with_capacity(14);
    date::append_stamp(seconds, &mut text);
    text
}

/// A fact that MFF can set.
enum Wanted {
    Modify(i64),
    Mode(u32),
}

fn wanted(name: &[u8], value: &[u8]) -> Result<Wanted, Reply> {
    if name.eq_ignore_ascii_case(b"modify") {
        return date::parse_stamp(value).map(Wanted::Modify).ok_or_else(|| Reply::new(501, "Bad time."));
    }
    if name.eq_ignore_ascii_case(b"unix.mode") {
        let mode = std::str::from_utf8(value).ok().and_then(|text| u32::from_str_radix(text, 8).ok());
        return match mode {
            Some(mode) if mode <= 0o7777 => Ok(Wanted::Mode(mode & 0o1777)),
            _ => Err(Reply::new(501, "Bad mode.")),
        };
    }
    let mut text = b"Cannot set ".to_vec();
    text.extend_from_slice(name);
    Err(Reply::bytes(504, text))
}

/// `Fact=value; path`, the form that MFMT, MFF and a setting MDTM share.
fn fact_reply(facts: Vec<u8>, given: &[u8]) -> Reply {
    let mut text = facts;
    text.push(b' ');
    text.extend_from_slice(given);
    Reply::path_line(213, text)
}

/// `"/path"tail`, quotes inside the path doubled.
fn directory_reply(path: &VirtualPath, tail: &[u8]) -> Reply {
    let mut text = quoted(path.as_bytes());
    text.extend_from_slice(tail);
    Reply::path_line(257, text)
}

/// `YYYYMMDD[HHMMSS[.fff]] path`, the setting form of MDTM.
fn stamp_and_path(argument: &[u8]) -> Option<(i64, &[u8])> {
    let blank = argument.iter().position(|byte| *byte == b' ')?;
    let (stamp, path) = (&argument[..blank], &argument[blank + 1..]);
    let whole = stamp.split(|byte| *byte == b'.').next().unwrap_or_default();
    let mut digits = whole.to_vec();
    if digits.len() == 8 {
        digits.extend_from_slice(b"000000");
    }
    if digits.len() != 14 || path.is_empty() {
        return None;
    }
    Some((date::parse_stamp(&digits)?, path))
}
