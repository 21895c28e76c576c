//! RFC 959 4.1.3, the services that use a data connection: RETR STOR STOU APPE LIST NLST, and MLSD (RFC 3659 7).

use std::rc::Rc;

use rustix::io::Errno;

use super::faults::{ReplyTo, named};
use super::mode::inflating;
use super::state::{Member, State};
use super::{Mark, Session, Stage};
use crate::filesystem::{
    Allow, Fault, Incoming, Kind, Last, Listing, Request, Right, Start, Stat, VirtualPath, Written,
};
use crate::server::world::World;
use crate::transfer::{Farewell, Flow, Job, Pace, Receiver, Seal, Sink, Source, Tail};
use crate::wire::command::Verb;
use crate::wire::reply::Reply;

/// What files and directories are created with, before the umask.
pub(super) const FILE_MODE: u32 = 0o666;
pub(super) const DIRECTORY_MODE: u32 = 0o777;

impl Session {
    pub(super) fn retr(&mut self, given: &[u8], stage: &mut Stage<'_>) {
        let mark = self.mark.take();
        match self.outgoing(given, mark.as_deref(), stage.world) {
            Ok((path, job, opening)) => self.begin(Verb::Retr, path, job, opening, stage),
            Err(reply) => stage.reply(reply),
        }
    }

    /// Everything RETR checks, in order; the file is open when all is well.
    fn outgoing(&self, given: &[u8], mark: Option<&Mark>, world: &World) -> Result<(VirtualPath, Job, Reply), Reply> {
        let ascii = self.ascii(world);
        let member = self.logged_in()?;
        let path = member.resolve(given)?;
        member.require(Right::Read, &path, given)?;
        let (file, stat) = member.seat.root().read(&path).map_err(|fault| member.faulted(fault, &path, given))?;
        self.range_fits(mark, world)?;
        let (first, end) = mark.map_or((0, u64::MAX), |mark| (mark.first, mark.end()));
        let ranged = mark.is_some_and(|mark| mark.last.is_some());
        // Translated, a file is at most twice as long: how long exactly shows only when it is sent.
        let longest = if ascii { stat.size.saturating_mul(2) } else { stat.size };
        if first > longest && !ranged {
            return Err(beyond(first, stat.size));
        }
        if let Some(refusal) = self.no_endpoint() {
            return Err(refusal);
        }
        let place = self.compression(world)?;
        let source = if ascii {
            Source::text(file, stat.size, first)
        } else {
            Source::Image { file, at: first.min(stat.size), end: end.min(stat.size) }
        };
        // Only here what is in the file and what goes over the connection are the same.
        let total = match &source {
            Source::Image { at, end, .. } if place.is_none() => Some(end - at),
            _ => None,
        };
        let opening = opening(given, ascii, total);
        let farewell = if mark.is_some() { Farewell::AfterPeer } else { Farewell::AtOnce };
        let (flow, pace) = (Flow::Send(Box::new(self.sender(source, place))), member.seat.download_pace());
        let job = Job { flow, total, pace, farewell };
        Ok((path, job, opening))
    }

    pub(super) fn stor(&mut self, verb: Verb, given: &[u8], stage: &mut Stage<'_>) {
        let mark = self.mark.take();
        match self.incoming(verb, given, mark.as_deref(), stage.world) {
            Ok((path, job)) => self.begin(verb, path, job, Reply::new(150, "Ok to send data."), stage),
            Err(reply) => stage.reply(reply),
        }
    }

    fn incoming(
        &self,
        verb: Verb,
        given: &[u8],
        mark: Option<&Mark>,
        world: &World,
    ) -> Result<(VirtualPath, Job), Reply> {
        let start = upload_start(verb, mark);
        let member = self.logged_in()?;
        let path = member.resolve(given)?;
        let allow = member.upload_rights(&path)?;
        let root = member.seat.root();
        if let Err(refusal) = self.may_begin(member, &path, start, mark, world) {
            // Nothing may be touched when nothing will come, but a wrong name is told first.
            match root.probe_write(&path, &start, &allow) {
                Err(Fault::Os(Errno::NOENT)) if world.settings.files.make_parents => {}
                probed => probed.map_err(|fault| upload_fault(fault, given, &start))?,
            }
            return Err(refusal);
        }
        let place = self.compression(world)?;
        let mode = FILE_MODE & !self.umask_in_force(world);
        let open = || root.write(&path, start, allow, mode);
        let opened = match start {
            Start::At(1..) => open().map_err(|fault| Self::without_file(member, &path, world, fault)),
            _ => self.with_parents(&path, world, open),
        };
        let (file, written) = opened.map_err(|fault| upload_fault(fault, given, &start))?;
        let whole = start == Start::Truncate || written.size == 0;
        let sink = self.sink(member, file, &written, whole, world)?;
        let sink = sink.until(mark.map_or(u64::MAX, Mark::end)).inflating(inflating(place, world));
        Ok((path, incoming_job(sink, member, world)))
    }

    /// What keeps an upload from beginning, apart from its name and the rights there.
    fn may_begin(
        &self,
        member: &Member,
        path: &VirtualPath,
        start: Start,
        mark: Option<&Mark>,
        world: &World,
    ) -> Result<(), Reply> {
        if self.ascii(world) && matches!(start, Start::At(_)) {
            return Err(Reply::new(554, "No restart of uploads in TYPE A."));
        }
        self.range_fits(mark, world)?;
        self.no_endpoint().map_or(Ok(()), Err)?;
        member.admit_upload(path, start)
    }

    /// Where an upload goes; `whole`: it will be all of the file.
    fn sink(
        &self,
        member: &Member,
        file: Incoming,
        written: &Written,
        whole: bool,
        world: &World,
    ) -> Result<Sink, Reply> {
        let charge = member.charge(&file, written)?;
        let seal = seal(&file, whole, world);
        let sink = if self.ascii(world) { Sink::text(file, written.offset) } else { Sink::image(file, written.offset) };
        Ok(sink.charged(Some(charge)).sealed(seal))
    }

    pub(super) fn stou(&mut self, prefix: Option<&[u8]>, stage: &mut Stage<'_>) {
        let marked = self.mark.take().is_some_and(|mark| !mark.is_everything());
        match self.unique(prefix.unwrap_or_default(), marked, stage.world) {
            Ok((path, job)) => {
                let mut text = b"FILE: ".to_vec();
                text.extend_from_slice(path.name());
                self.begin(Verb::Stou, path, job, Reply::bytes(150, text), stage);
            }
            Err(reply) => stage.reply(reply),
        }
    }

    fn unique(&self, prefix: &[u8], marked: bool, world: &World) -> Result<(VirtualPath, Job), Reply> {
        let member = self.logged_in()?;
        // The prefix is checked as a name before the directory's right is asked for.
        let wanted = member.resolve_name(if prefix.is_empty() { b"x" } else { prefix })?;
        let directory = wanted.parent();
        member.require(Right::Create, &wanted, prefix)?;
        let marked = if marked { Err(Reply::new(554, "STOU cannot restart.")) } else { Ok(()) };
        let may_begin = marked.and_then(|()| self.no_endpoint().map_or(Ok(()), Err));
        if let Err(refusal) = may_begin.and_then(|()| member.admit_new_file()) {
            match member.seat.root().enter(&directory) {
                Err(Fault::Os(Errno::NOENT)) if world.settings.files.make_parents => {}
                probed => probed.map_err(|fault| fault.reply_new(prefix))?,
            }
            return Err(refusal);
        }
        let place = self.compression(world)?;
        let mode = FILE_MODE & !self.umask_in_force(world);
        let stem = if prefix.is_empty() { b"ftp".as_slice() } else { wanted.name() };
        let make = || member.seat.root().create_unique(&directory, stem, mode);
        let (file, name) = self.with_parents(&wanted, world, make).map_err(|fault| fault.reply_new(prefix))?;
        let written = Written { created: true, offset: 0, size: 0 };
        let sink = self.sink(member, file, &written, true, world)?.inflating(inflating(place, world));
        Ok((directory.join(&name), incoming_job(sink, member, world)))
    }

    pub(super) fn list(&mut self, verb: Verb, argument: Option<&[u8]>, stage: &mut Stage<'_>) {
        self.mark = None;
        match self.listed(verb, argument, stage.world) {
            Ok((path, listing)) => self.begin_listing(verb, path, listing, stage),
            Err(reply) => stage.reply(reply),
        }
    }

    fn listed(&self, verb: Verb, argument: Option<&[u8]>, world: &World) -> Result<(VirtualPath, Listing), Reply> {
        let member = self.logged_in()?;
        let request = member.list_request(verb, argument)?;
        let path = request.path.clone();
        let listing = member.open_listing(request, argument.unwrap_or_default(), world)?;
        self.no_endpoint().map_or(Ok((path, listing)), Err)
    }

    pub(super) fn mlsd(&mut self, given: Option<&[u8]>, stage: &mut Stage<'_>) {
        self.mark = None;
        match self.machine_listed(given.unwrap_or_default(), stage.world) {
            Ok((path, listing)) => self.begin_listing(Verb::Mlsd, path, listing, stage),
            Err(reply) => stage.reply(reply),
        }
    }

    fn machine_listed(&self, given: &[u8], world: &World) -> Result<(VirtualPath, Listing), Reply> {
        let member = self.logged_in()?;
        let path = member.resolve(given)?;
        member.require(Right::List, &path, given)?;
        let request = Request::facts(path.clone(), self.facts);
        let listing = member.open_listing(request, given, world).map_err(|reply| match reply.code {
            // RFC 3659 7.2.1 wants a code of its own for "exists, but is no directory".
            550 if member.seat.root().stat(&path).is_ok_and(|stat| stat.kind != Kind::Dir) => {
                Reply::new(501, "Not a directory.")
            }
            _ => reply,
        })?;
        self.no_endpoint().map_or(Ok((path, listing)), Err)
    }

    fn begin_listing(&mut self, verb: Verb, path: VirtualPath, listing: Listing, stage: &mut Stage<'_>) {
        let place = match self.compression(stage.world) {
            Ok(place) => place,
            Err(refusal) => return stage.reply(refusal),
        };
        let text = match verb {
            Verb::Nlst => "Opening data connection for NLST.",
            Verb::Mlsd => "Opening data connection for MLSD.",
            _ => "Opening data connection for LIST.",
        };
        let sender = self.sender(Source::Listing(Box::new(listing)), place);
        let (flow, pace) = (Flow::Send(Box::new(sender)), Pace::default());
        let job = Job { flow, total: None, pace, farewell: Farewell::AtOnce };
        self.begin(verb, path, job, Reply::new(150, text), stage);
    }

    /// The gate lets only members through to handlers; for those who ask anyway the answer is a reply, not a panic.
    pub(super) fn logged_in(&self) -> Result<&Member, Reply> {
        match &self.state {
            State::Member(member) => Ok(member),
            _ => Err(Reply::new(530, "Please log in with USER and PASS.")),
        }
    }
}

impl Member {
    /// What an upload to this path may do; refused at once when it may do nothing.
    fn upload_rights(&self, path: &VirtualPath) -> Result<Allow, Reply> {
        let allow = Allow {
            create: self.may(Right::Create, path),
            overwrite: self.may(Right::Overwrite, path),
            extend: self.may(Right::Append, path),
        };
        if allow.create || allow.overwrite || allow.extend {
            Ok(allow)
        } else {
            Err(Reply::new(550, "Permission denied."))
        }
    }

    /// The path and options of LIST, NLST and STAT.
    pub(super) fn list_request(&self, verb: Verb, argument: Option<&[u8]>) -> Result<Request, Reply> {
        let root = self.seat.root();
        let parse = if verb == Verb::Nlst { Request::parse_nlst } else { Request::parse_list };
        let mut request = parse(argument, &self.cwd, root).map_err(|_| Reply::new(553, "File name not allowed."))?;
        let given = argument.unwrap_or(b".");
        request.path = self.settle(request.path, Last::Keep, given)?;
        let real = match root.settle(request.path.clone(), Last::Follow) {
            // The link alone can be shown.
            Err(Fault::Os(Errno::LOOP | Errno::XDEV)) => request.path.clone(),
            other => other.map_err(|fault| fault.reply(given))?,
        };
        if given.ends_with(b"/") {
            root.stat(&real).map_err(|fault| fault.reply(given))?; // a slash asks for what is behind it
        }
        self.require(Right::List, &request.path, given)?;
        self.require(Right::List, &real, given)?;
        // A link to a directory is listed as that, unless it is asked for itself; one to a file is shown as a link.
        let directory = || !request.itself && root.stat(&real).is_ok_and(|stat| stat.kind == Kind::Dir);
        if real != request.path && (request.follow || directory()) {
            request.path = real;
        }
        Ok(request)
    }

    pub(super) fn open_listing(&self, request: Request, given: &[u8], world: &World) -> Result<Listing, Reply> {
        let given = if given.is_empty() { b"." } else { given };
        let pattern = request.pattern.is_some();
        let (root, rules) = (Rc::clone(self.seat.root()), Rc::clone(&self.realm().rules));
        match Listing::open(root, request, rules, Rc::clone(&world.owners), World::wall()) {
            Ok(listing) => Ok(listing),
            Err(Fault::Os(_)) if pattern => Err(named(550, given, "No files found.")),
            Err(fault) => Err(fault.reply(given)),
        }
    }
}

/// A marker makes STOR and APPE alike (RFC 3659 5.3): write from there, never truncate.
fn upload_start(verb: Verb, mark: Option<&Mark>) -> Start {
    match (verb, mark) {
        (_, Some(mark)) if !mark.is_everything() => Start::At(mark.first),
        (Verb::Appe, _) => Start::Append,
        _ => Start::Truncate,
    }
}

fn incoming_job(sink: Sink, member: &Member, world: &World) -> Job {
    let strict = world.settings.tls.as_ref().is_some_and(|tls| tls.strict_close);
    let tail = if strict { Tail::Strict } else { Tail::Lenient };
    let (flow, pace) = (Flow::Receive(Box::new(Receiver::new(sink).ending(tail))), member.seat.upload_pace());
    Job { flow, total: None, pace, farewell: Farewell::AtOnce }
}

/// A file that was just opened for writing: what was known of its contents is forgotten, and if all of them will come
/// now, their digest is made on the way.
fn seal(file: &Incoming, whole: bool, world: &World) -> Option<Seal> {
    if !world.digests.is_empty()
        && let Ok(stat) = Stat::of(file)
    {
        world.digests.forget(&stat);
    }
    let algorithm = world.settings.files.digest.filter(|_| whole)?;
    Some(Seal::new(algorithm, &world.digests))
}

/// .NET reads the size from the last "(n bytes)."; others show the name.
fn opening(given: &[u8], ascii: bool, total: Option<u64>) -> Reply {
    let mut text = Vec::with_capacity(given.len() + 80);
    let mode: &[u8] = if ascii { b"ASCII" } else { b"BINARY" };
    text.extend_from_slice(b"Opening ");
    text.extend_from_slice(mode);
    text.extend_from_slice(b" mode data connection for ");
    text.extend_from_slice(given);
    match total {
        Some(total) => text.extend_from_slice(format!(" ({total} bytes).").as_bytes()),
        None => text.push(b'.'),
    }
    Reply::bytes(150, text)
}

fn beyond(mark: u64, size: u64) -> Reply {
    Reply::new(554, format!("Restart position {mark} is beyond the file size {size}."))
}

fn upload_fault(fault: Fault, given: &[u8], start: &Start) -> Reply {
    match (fault, start) {
        (Fault::BeyondEnd { size }, Start::At(mark)) => beyond(*mark, size),
        (fault, _) => fault.reply_new(given),
    }
}
