//! The server's own life: how it begins, what signals and reloads do to it, how it ends.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use mio::net::TcpListener;
use rustix::net::sockopt;
use signal_hook::consts::signal::SIGXFSZ;

use super::accounts::{Account, LONGEST_NAME};
use super::bans::BanList;
use super::census::Census;
use super::clerk::Clerk;
use super::dtp::Pool;
use super::listener::Listener;
use super::liveness::watch_control;
use super::master::{Command, MasterLink};
use super::pi::{Input, Verdict};
use super::quota_check::{Tallies, allotment};
use super::realm::{GUEST, Rates, Realm};
use super::scribe::Scribe;
use super::settings::{ListingTime, Settings};
use super::sweeper::Sweeper;
use super::transfer_log::TransferLog;
use super::world::World;
use super::{Bound, Conn, Course, Door, Inheritance, Master, Server, confine};
use crate::filesystem::listing::SORT_BYTES;
use crate::filesystem::{Owners, Pattern, Policy, Rules, Uploads, Writers, Zone};
use crate::process::packet::FromWorker;
use crate::process::sandbox::{self, Needs};
use crate::process::secret::LONGEST_PASSWORD;
use crate::reactor::{Hush, Key, Reactor, Weight};
use crate::transfer::Scratch;

impl Server {
    /// Everything that must work before the first client comes.
    pub(super) fn new(inheritance: Inheritance) -> io::Result<Self> {
        let Inheritance { settings, accounts, listeners, master, verifier, transfers, rights, announce } = inheritance;
        let (master, invocation) = match master {
            Master::Alone { invocation } => (MasterLink::signals()?, Some(invocation)),
            Master::Keeper(socket) => (MasterLink::keeper(socket)?, None),
        };
        // A file over the size limit of the process is an error of that upload, not the end of the server.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let transfers = transfer_log(&settings, transfers);
        let world = World { owners: Rc::new(Owners::load()), ..World::empty(settings) };
        let mut server = Self { invocation, ..Self::vacant(master, Scribe::new(transfers), world)? };
        server.forge()?;
        server.people(&accounts)?;
        server.sweep();
        server.watch_master()?;
        if let Some(socket) = verifier {
            server.hire(socket)?;
        }
        let addresses = server.listen(listeners)?;
        let settings = &server.world.settings;
        let needs = confine::needs(settings, &accounts, server.invocation.as_deref());
        let walls = sandbox::enter(sandbox::Kind::Worker, settings.sandbox, &rights, &needs)?;
        server.walls.get_or_init(|| walls);
        server.tell_master(&FromWorker::Ready);
        if announce {
            addresses.iter().for_each(|address| super::logging::announce(address));
        }
        Ok(server)
    }

    /// A server that nobody can reach yet.
    pub(super) fn vacant(master: MasterLink, scribe: Scribe, world: World) -> io::Result<Self> {
        let mut reactor = Reactor::new()?;
        let master = reactor.insert(Conn::Master(Box::new(master)), Weight::Light);
        Ok(Self {
            reactor,
            world,
            pool: Pool::default(),
            census: Census::default(),
            bans: BanList::default(),
            scratch: Scratch::default(),
            scribe,
            invocation: None,
            walls: Rc::default(),
            course: Course::Running,
            master,
            clerk: None,
            scans: HashMap::new(),
            quota_check: None,
            tallies: Tallies::default(),
            crowds: Hush::default(),
            strangers: Hush::default(),
            mail: VecDeque::new(),
            wishes: Vec::new(),
            touched: Vec::new(),
            closing: Vec::new(),
            writers: Rc::default(),
        })
    }

    /// Begins to look for what an earlier run left half-uploaded; the loop does it between its other work.
    fn sweep(&mut self) {
        let (files, world) = (&self.world.settings.files, &self.world);
        if files.uploads == Uploads::Atomic {
            let realms = world.accounts.values().chain(&world.anonymous);
            let sweeper = Sweeper::new(realms.map(|realm| realm.home()));
            let key = self.reactor.insert(Conn::Sweeper(Box::new(sweeper)), Weight::Heavy);
            self.reactor.run_again(key);
        }
    }

    fn watch_master(&mut self) -> io::Result<()> {
        let Some((slot, sockets, _)) = self.reactor.turn(self.master) else { return Ok(()) };
        match &mut slot.conn {
            Conn::Master(master) => master.register(sockets),
            _ => Ok(()),
        }
    }

    /// Options that accepted sockets inherit are set here once, not for each of them.
    fn listen(&mut self, listeners: Vec<Bound>) -> io::Result<Vec<String>> {
        let mut addresses = Vec::with_capacity(listeners.len());
        for Bound { door, label, listener } in listeners {
            listener.set_nonblocking(true)?;
            sockopt::set_tcp_nodelay(&listener, true)?;
            sockopt::set_socket_oobinline(&listener, true)?;
            watch_control(&listener, &self.world.settings.limits)?;
            let address = listener.local_addr()?;
            let socket = TcpListener::from_std(listener);
            let key = self.reactor.insert(Conn::Listener(Box::new(Listener::new(socket, door))), Weight::Light);
            let Some((slot, sockets, _)) = self.reactor.turn(key) else { continue };
            if let Conn::Listener(listener) = &mut slot.conn {
                listener.register(sockets)?;
            }
            log::debug!("{label} is {address}");
            self.world.doors.push(address.port());
            let implicit = if door == Door::Implicit { " (implicit TLS)" } else { "" };
            addresses.push(format!("{address}{implicit}"));
        }
        Ok(addresses)
    }

    /// Makes the realms that logins open; sessions already in keep the ones they have.
    fn people(&mut self, accounts: &[Account]) -> io::Result<()> {
        let settings = Rc::clone(&self.world.settings);
        let policy = Rc::new(policy(&settings, &self.writers));
        let mut realms = HashMap::with_capacity(accounts.len());
        for account in accounts {
            let name: Box<str> = account.name.as_str().into();
            let old = self.world.accounts.get(&name);
            let mut realm = Realm::new(&name, account.home.clone(), rules(account)?);
            realm.rates = Rates::new(account.upload, account.download);
            realm.quota = self.tallies.quota(&account.home);
            realm.allotment = allotment(account.quota);
            let mut realm = realm.succeeding(old);
            realm.max_sessions = account.sessions.or(settings.limits.per_user).map_or(0, Into::into);
            realm.allow_from.clone_from(&account.allow_from);
            realm.expires = account.expires;
            realm.path_limit = settings.limits.path as usize;
            realm.policy = Rc::clone(&policy);
            realm.walls = Rc::clone(&self.walls);
            realms.insert(name, Rc::new(realm));
        }
        let anonymous = match &settings.anonymous {
            Some(guests) => {
                let rights = guests.permissions.rights();
                let mut realm = Realm::new(GUEST, guests.root.clone(), Rules::uniform(rights));
                realm.path_limit = settings.limits.path as usize;
                realm.quota = self.tallies.quota(&guests.root);
                realm.policy = policy;
                realm.walls = Rc::clone(&self.walls);
                let realm = realm.succeeding(self.world.anonymous.as_ref());
                realm.root().map_err(|error| naming(&guests.root.display(), &error))?;
                Some(Rc::new(realm))
            }
            None => None,
        };
        self.world.accounts = realms;
        self.world.accounts.values().for_each(|realm| realm.take_effect());
        self.world.anonymous = anonymous;
        self.tallies.tidy();
        self.check_quotas();
        confine::warn_of_closed(&self.world.settings, accounts);
        Ok(())
    }

    /// Takes up the way to a verifier; the old one's unanswered questions are told to try again.
    fn hire(&mut self, socket: std::os::fd::OwnedFd) -> io::Result<()> {
        let clerk = Clerk::new(socket)?;
        let key = self.reactor.insert(Conn::Clerk(Box::new(clerk)), Weight::Light);
        let Some((slot, sockets, _)) = self.reactor.turn(key) else { return Ok(()) };
        if let Conn::Clerk(clerk) = &mut slot.conn {
            clerk.register(sockets)?;
        }
        if let Some(old) = self.clerk.replace(key) {
            self.dismiss(old);
            self.closing.push(old);
        }
        Ok(())
    }

    /// Who waited for an answer of a verifier that is gone hears so.
    pub(super) fn dismiss(&mut self, key: Key) {
        let Some(slot) = self.reactor.slot_mut(key) else { return };
        let Conn::Clerk(clerk) = &mut slot.conn else { return };
        for orphan in clerk.orphans() {
            self.mail.push_back(super::Letter::Judged(orphan, Verdict::Lost));
        }
    }

    pub(super) fn check_password(&mut self, by: Key, user: &[u8], password: &[u8]) {
        // What no account can have is wrong without anybody's being asked.
        if user.len() > LONGEST_NAME || password.len() > LONGEST_PASSWORD {
            return self.mail.push_back(super::Letter::Judged(by, Verdict::Wrong));
        }
        let asked = self.clerk.and_then(|key| self.reactor.slot_mut(key)).map(|slot| match &mut slot.conn {
            Conn::Clerk(clerk) => clerk.ask(by, user, password),
            _ => Ok(false),
        });
        let verdict = match asked {
            Some(Ok(true)) => return,
            Some(Ok(false)) => Verdict::Crowded,
            Some(Err(error)) => {
                log::error!("cannot ask the verifier, it is given up: {error}");
                return self.closing.extend(self.clerk);
            }
            None => Verdict::Lost,
        };
        self.mail.push_back(super::Letter::Judged(by, verdict));
    }

    /// Whoever has gone must not keep others waiting for a password check.
    pub(super) fn forget_question(&mut self, by: Key) {
        let clerk = self.clerk.and_then(|key| self.reactor.slot_mut(key));
        if let Some(Conn::Clerk(clerk)) = clerk.map(|slot| &mut slot.conn) {
            clerk.forget(by);
        }
    }

    pub(super) fn commanded(&mut self, command: Command) {
        match command {
            Command::Drain => match self.course {
                Course::Running => self.drain(),
                _ => self.stop(),
            },
            Command::Stop => self.stop(),
            Command::Reload => self.reload(),
            Command::Handed(body, transfers) => self.handed(&body, transfers.map(File::from)),
            Command::Verifier(socket) => {
                if let Err(error) = self.hire(socket) {
                    log::error!("cannot take up the new verifier: {error}");
                }
            }
            Command::Summary => self.summary(),
        }
    }

    /// No newcomers; idle sessions hear 421, transfers may finish within the time allowed.
    fn drain(&mut self) {
        log::info!("draining: {} sessions", self.census.total());
        self.world.draining = true;
        let end = self.reactor.now().after(self.world.settings.limits.drain);
        self.course = Course::Draining;
        if let Some(slot) = self.reactor.slot_mut(self.master) {
            slot.deadline = Some(end);
        }
        self.reactor.arm(self.master);
        self.closing.extend(self.keys_of(|conn| matches!(conn, Conn::Listener(_))));
        for key in self.keys_of(|conn| matches!(conn, Conn::Control(_))) {
            self.notify(key, Input::Drain);
        }
    }

    /// Everything ends now; what the peers' buffers take of the last words they get.
    fn stop(&mut self) {
        for key in self.keys_of(|conn| matches!(conn, Conn::Control(_))) {
            self.notify(key, Input::Stop);
        }
        self.flush();
        self.course = Course::Over;
    }

    /// A draining server ends when nobody is left.
    pub(super) fn check_drained(&mut self) {
        if self.course == Course::Draining && self.census.total() == 0 {
            log::info!("drained");
            self.course = Course::Over;
        }
    }

    /// Reads the files again; with a fault in them nothing changes.
    fn reload(&mut self) {
        let Some(invocation) = &self.invocation else { return };
        let renewed = match invocation.load_alone() {
            Ok((settings, warnings)) => {
                warnings.iter().for_each(|warning| log::warn!("{warning}"));
                // Under a keeper it is the keeper who says so.
                if !self.world.settings.doors().eq(settings.doors()) {
                    log::warn!("listen: a change takes effect at the next start");
                }
                let needs = confine::needs(&settings, &[], Some(invocation));
                match self.holds(&needs) {
                    Ok(()) => self.renew(settings, &[]).map_err(|error| error.to_string()),
                    Err(why) => Err(format!("of this process's reach {why}; it takes effect at the next start")),
                }
            }
            Err(fault) => Err(fault.to_string()),
        };
        match renewed {
            Ok(()) => {
                self.reopen_log();
                log::info!("reloaded"); // under a keeper it is the keeper who says so
            }
            Err(error) => log::error!("reload refused, nothing changes: {error}"),
        }
    }

    fn handed(&mut self, body: &[u8], transfers: Option<File>) {
        let answer = match crate::process::Handover::read(body) {
            Err(error) => FromWorker::Refused(error.to_string()),
            Ok(handover) => match self.holds(&confine::needs(&handover.settings, &handover.accounts, None)) {
                Err(why) => FromWorker::Outgrown(why),
                Ok(()) => match self.renew(handover.settings, &handover.accounts) {
                    Ok(()) => {
                        self.scribe.transfers = transfer_log(&self.world.settings, transfers);
                        FromWorker::Reloaded
                    }
                    Err(error) => FromWorker::Refused(error.to_string()),
                },
            },
        };
        self.tell_master(&answer);
    }

    fn holds(&self, needs: &Needs) -> Result<(), String> {
        self.walls.get().map_or(Ok(()), |walls| walls.hold(needs))
    }

    /// The transfer log under its name, as after a rotation; where that fails, the one in use.
    fn reopen_log(&mut self) {
        let path = self.world.settings.log.transfers.as_ref();
        match path.map(|path| TransferLog::open(path).map_err(|error| (path, error))).transpose() {
            Ok(log) => self.scribe.transfers = log,
            Err((path, error)) => log::error!("the old transfer log stays in use: {}: {error}", path.display()),
        }
    }

    fn renew(&mut self, settings: Settings, accounts: &[Account]) -> io::Result<()> {
        let old = std::mem::replace(&mut self.world.settings, Rc::new(settings));
        if let Err(error) = self.people(accounts).and_then(|()| self.forge()) {
            self.world.settings = old;
            return Err(error);
        }
        if (old.sandbox, &old.run_as) != (self.world.settings.sandbox, &self.world.settings.run_as) {
            log::warn!("user and sandbox change only with a restart");
        }
        if self.world.settings.limits.bans.is_none() {
            self.bans.clear();
        }
        log::set_max_level(self.world.settings.log.level.filter());
        Ok(())
    }

    fn summary(&self) {
        let mut counts = [0_usize; 5];
        let mut states: HashMap<String, usize> = HashMap::new();
        for (_, conn) in self.reactor.records() {
            match conn {
                Conn::Control(control) => {
                    *states.entry(control.session().state().to_string()).or_default() += 1;
                    counts[0] += 1;
                }
                Conn::Data(_) => counts[1] += 1,
                Conn::PoolPort(_) => counts[2] += 1,
                Conn::Scan(_) => counts[3] += 1,
                Conn::Listener(_) | Conn::Master(_) | Conn::Clerk(_) | Conn::QuotaCheck(_) | Conn::Sweeper(_) => {
                    counts[4] += 1;
                }
            }
        }
        let [control, data, ports, scans, other] = counts;
        log::info!(
            "records: {control} control, {data} data, {ports} passive ports, {scans} scans, {other} others; \
             {} promises; {} files written in place; {} addresses banned; sessions by state: {states:?}; process {}",
            self.pool.promised(),
            self.writers.count(),
            self.bans.count(self.reactor.now()),
            std::process::id(),
        );
    }

    pub(super) fn tell_master(&mut self, message: &FromWorker) {
        if let Some(slot) = self.reactor.slot_mut(self.master)
            && let Conn::Master(master) = &slot.conn
        {
            master.tell(message);
        }
    }

    pub(super) fn keys_of(&self, wanted: impl Fn(&Conn) -> bool) -> Vec<Key> {
        self.reactor.records().filter(|(_, conn)| wanted(conn)).map(|(key, _)| key).collect()
    }
}

fn rules(account: &Account) -> io::Result<Rules> {
    let rules = account.rules.iter().map(|rule| (rule.path.as_str(), rule.permissions.rights()));
    Rules::new(account.permissions.rights(), rules).map_err(io::Error::other)
}

/// What the configuration rules for all trees.
fn policy(settings: &Settings, writers: &Rc<Writers>) -> Policy {
    let (files, limits) = (&settings.files, &settings.limits);
    let zone = match files.listing_time {
        ListingTime::Utc => Zone::utc(),
        ListingTime::Local => Zone::local().unwrap_or_else(|why| {
            log::warn!("files.listing_time: {why}; listings show UTC");
            Zone::utc()
        }),
    };
    Policy {
        links: files.symlinks,
        deny: files.deny.iter().map(|glob| Pattern::parse(glob.as_bytes())).collect(),
        hide_dotfiles: files.hide_dotfiles,
        uploads: files.uploads,
        recursive: files.list_recursive,
        sort_names: limits.listing_sort as usize,
        sort_bytes: SORT_BYTES,
        pattern_steps: limits.pattern_steps as usize,
        zone,
        writers: Rc::clone(writers),
    }
}

fn transfer_log(settings: &Settings, file: Option<File>) -> Option<TransferLog> {
    Some(TransferLog::adopt(settings.log.transfers.as_ref()?, file?))
}

/// An error that says what it is about.
fn naming(what: &dyn std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
