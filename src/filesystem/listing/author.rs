//! Who writes the lines: from a name to what this session may know about it.

use super::request::{Form, Request};
use crate::filesystem::kernel;
use crate::filesystem::owners::Owners;
use crate::filesystem::path::VirtualPath;
use crate::filesystem::policy::Links;
use crate::filesystem::rights::{Right, Rights, Rules};
use crate::filesystem::root::{Fault, Kind, Last, Root, Stat};
use crate::wire::listing::{Entry, FactSet, Perm, sendable};
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Appends the facts of `path`, one space and the path, without line end: the middle line of MLST's reply.
///
/// A link is described by what it leads to; one that leads nowhere, in circles or out as the link that it is, which its
/// directory's listing shows as well.
pub fn append_facts_of(
    root: &Rc<Root>,
    path: &VirtualPath,
    rules: &Rc<Rules>,
    owners: &Rc<Owners>,
    facts: FactSet,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let stat = match root.stat(path) {
        Err(Fault::Os(Errno::NOENT | Errno::LOOP | Errno::XDEV)) => root.lstat(path)?,
        other => other?,
    };
    let request = Request::facts(path.clone(), facts);
    let (root, owners) = (Rc::clone(root), Rc::clone(owners));
    let mut author = Author::new(root, &request, path.parent(), Rc::clone(rules), owners, 0);
    if facts.wants_perm() && !path.is_root() {
        author.parent = author.root.stat(&path.parent()).ok();
    }
    if path.is_root() {
        author.rights = rules.at(path);
    }
    author.append_facts(path.name(), path.as_bytes(), &stat, facts, out);
    Ok(())
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// It vanished, or cannot be told.
    None,
    /// Its line is written.
    Written,
    /// So is that of a directory, as far as the form looks at what things are.
    Directory,
}

/// Writes lines about the entries of one directory.
#[derive(Debug)]
pub(super) struct Author {
    root: Rc<Root>,
    owners: Rc<Owners>,
    form: Form,
    follow: bool,
    /// Directories are to be told from others, whatever the form.
    recursive: bool,
    now: i64,
    rules: Rc<Rules>,
    /// The directory whose entries are written about.
    path: VirtualPath,
    /// What may be done in it, and the entries with rules of their own.
    rights: Rights,
    exceptions: Vec<(Box<[u8]>, Rights)>,
    /// Its facts, where the `perm` of entries is wanted.
    parent: Option<Stat>,
}

impl Author {
    pub(super) fn new(
        root: Rc<Root>,
        request: &Request,
        path: VirtualPath,
        rules: Rc<Rules>,
        owners: Rc<Owners>,
        now: i64,
    ) -> Self {
        let (rights, exceptions) = match request.form {
            Form::Facts(facts) if facts.wants_perm() => (rules.at(&path), rules.inside(&path)),
            _ => (Rights::NONE, Vec::new()), // only `perm` asks for rights
        };
        let (form, follow, recursive) = (request.form.clone(), request.follow, request.below.is_some());
        Self { root, owners, form, follow, recursive, now, rules, path, rights, exceptions, parent: None }
    }

    /// Turns to the entries of another directory, in the forms that know no `perm`.
    pub(super) fn move_to(&mut self, path: VirtualPath) {
        self.path = path;
    }

    /// Whether the account may list the directory at `path`.
    pub(super) fn may_list(&self, path: &VirtualPath) -> bool {
        self.rules.at(path).has(Right::List)
    }

    /// The tree it writes about.
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// Turns to the entries of the open `directory`, all of them or those that match a pattern.
    pub(super) fn enter(&mut self, directory: &OwnedFd, matched: bool) -> Result<(), Errno> {
        match &mut self.form {
            Form::Facts(facts) if facts.wants_perm() => self.parent = Some(Stat::of(directory)?),
            // Asked for a directory, the client knows which; asked for a pattern, it wants to send the
            // names back.
            Form::Names { prefix } if !matched => *prefix = Vec::new(),
            _ => {}
        }
        Ok(())
    }

    /// Whether a line costs a look at the entry.
    pub(super) fn needs_stat(&self) -> bool {
        self.recursive || !matches!(self.form, Form::Names { .. })
    }

    /// Appends the line of `name` in `directory`, if there is one to write.
    pub(super) fn append(&self, directory: &OwnedFd, name: &CStr, out: &mut Vec<u8>) -> Line {
        let bytes = name.to_bytes();
        if !matches!(self.form, Form::Long) && !sendable(bytes) {
            return Line::None;
        }
        if let Form::Names { .. } = &self.form {
            self.append_name(bytes, out);
            let below = self.recursive && self.stat(directory, name).is_some_and(|stat| stat.kind == Kind::Dir);
            return if below { Line::Directory } else { Line::Written };
        }
        let Some(stat) = self.stat(directory, name) else { return Line::None };
        match &self.form {
            Form::Facts(facts) => {
                self.append_facts(bytes, bytes, &stat, *facts, out);
                out.extend_from_slice(b"\r\n");
            }
            Form::Names { .. } | Form::Long => self.append_long(bytes, bytes, &stat, out),
        }
        if stat.kind == Kind::Dir { Line::Directory } else { Line::Written }
    }

    /// Appends the line of what was asked for itself, which is in the author's directory.
    pub(super) fn append_single(&self, request: &Request, stat: &Stat, out: &mut Vec<u8>) {
        let path = &request.path;
        let name = if path.is_root() || request.unnamed { b"." } else { path.name() };
        match &self.form {
            Form::Names { .. } => self.append_name(name, out),
            Form::Facts(facts) => self.append_facts(path.name(), name, stat, *facts, out),
            Form::Long => self.append_long(path.name(), name, stat, out),
        }
    }

    /// What `name` in `directory` is; a link is described itself. `None` when it vanished or cannot be seen.
    pub(super) fn stat(&self, directory: &OwnedFd, name: &CStr) -> Option<Stat> {
        // The kernel's `..` of the root is outside; and a directory may be moved while it is listed.
        if name.to_bytes() == b".." {
            return self.root.stat(&self.path.parent()).ok();
        }
        let stat = kernel::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(Stat::from_system(&stat))
    }

    fn append_name(&self, name: &[u8], out: &mut Vec<u8>) {
        if let Form::Names { prefix } = &self.form {
            out.extend_from_slice(prefix);
        }
        out.extend_from_slice(name);
        out.extend_from_slice(b"\r\n");
    }

    fn append_long(&self, name: &[u8], shown: &[u8], own: &Stat, out: &mut Vec<u8>) {
        let referent = if self.follow { self.referent(name, own) } else { None };
        let target = if referent.is_none() { self.target(name, own) } else { None };
        let stat = referent.as_ref().unwrap_or(own);
        // Moving both by the zone's difference keeps the age, and a calendar in UTC then shows local time.
        let zone = self.root.policy().zone.offset(stat.mtime);
        let mut entry = self.entry(shown, stat, target.as_deref(), Perm::NONE);
        entry.mtime = entry.mtime.saturating_add(zone);
        entry.append_list(self.now.saturating_add(zone), out);
    }

    fn append_facts(&self, name: &[u8], shown: &[u8], own: &Stat, facts: FactSet, out: &mut Vec<u8>) {
        let referent = self.referent(name, own);
        let target = if referent.is_none() { self.target(name, own) } else { None };
        let stat = referent.as_ref().unwrap_or(own);
        let perm = if facts.wants_perm() { self.perm(name, own, stat) } else { Perm::NONE };
        self.entry(shown, stat, target.as_deref(), perm).append_facts(facts, out);
    }

    fn entry<'a>(&'a self, name: &'a [u8], stat: &Stat, target: Option<&'a [u8]>, perm: Perm) -> Entry<'a> {
        // The size of a link is the length of its target: what hides the one hides the other.
        let hides = stat.kind == Kind::Link && target.is_none();
        Entry {
            name,
            kind: stat.kind,
            mode: stat.mode,
            links: stat.nlink,
            owner: self.owners.user(stat.uid),
            group: self.owners.group(stat.gid),
            size: if hides { 0 } else { stat.size },
            mtime: stat.mtime,
            target,
            identity: (stat.dev, stat.ino),
            perm,
        }
    }

    /// What a link leads to, if it is one and leads to something inside that this session may know about.
    fn referent(&self, name: &[u8], own: &Stat) -> Option<Stat> {
        if own.kind != Kind::Link {
            return None;
        }
        let real = self.real(name).ok()?;
        let rights = self.rules.at(&real);
        let told = rights.has(Right::List) || rights.has(Right::Read);
        self.root.stat(&real).ok().filter(|_| told)
    }

    /// Where an entry really is.
    fn real(&self, name: &[u8]) -> Result<VirtualPath, Fault> {
        self.root.settle(self.path.join(name), Last::Follow)
    }

    /// The text of a link, unless it leads out or to a name that is denied: then not even the text is told.
    fn target(&self, name: &[u8], own: &Stat) -> Option<Vec<u8>> {
        if own.kind != Kind::Link {
            return None;
        }
        let policy = self.root.policy();
        let (leads, denied) = match self.real(name) {
            Ok(real) => (self.root.stat(&real).map(drop), policy.denies(real.relative())),
            Err(fault) => (Err(fault), false),
        };
        if denied || leads == Err(Fault::Os(Errno::XDEV)) {
            return None;
        }
        // Re-rooted, a text that leads out of the host's directory leads somewhere here; if not, it is a path of the
        // host that is nobody's business.
        let rooted = policy.links == Links::Rooted && leads.is_ok();
        self.root.read_link(&self.path.join(name)).ok().filter(|target| rooted || self.path.keeps(target))
    }

    /// What this session may do with an entry: its rights, and the mode bits for this process. `own` is the
    /// entry in its directory, `stat` what it leads to.
    fn perm(&self, name: &[u8], own: &Stat, stat: &Stat) -> Perm {
        let exception = self.exceptions.iter().find(|(own, _)| **own == *name);
        let here = exception.map_or(self.rights, |(_, rights)| *rights);
        // A link is removed where it is, and read where it leads.
        let rights = match own.kind {
            Kind::Link => self.real(name).map_or(Rights::NONE, |real| self.rules.at(&real)),
            _ => here,
        };
        let access = self.root.access(stat);
        let identity = self.root.identity();
        let loose = self.parent.is_some_and(|parent| identity.may_unlink(&parent, own));
        let both = Perm::NONE
            .with(Perm::DELETE, loose && here.has(Right::Delete))
            .with(Perm::RENAME, loose && here.has(Right::Rename));
        let open = access.write && access.search;
        match stat.kind {
            Kind::File => both
                .with(Perm::READ, access.read && rights.has(Right::Read))
                .with(Perm::WRITE, access.write && rights.has(Right::Overwrite))
                .with(Perm::APPEND, access.write && rights.has(Right::Append)),
            Kind::Dir => both
                .with(Perm::ENTER, access.search && rights.has(Right::Enter))
                .with(Perm::LIST, access.read && rights.has(Right::List))
                .with(Perm::CREATE, open && rights.has(Right::Create))
                .with(Perm::MAKE, open && rights.has(Right::MakeDir))
                .with(Perm::PURGE, open && rights.has(Right::Delete)),
            _ => both,
        }
    }
}
