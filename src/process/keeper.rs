//! The keeper: the process that was started. It binds, starts the others, answers signals, and reads no network.
//!
//! ```text
//!   Starting ──worker is ready──> Serving ──SIGTERM──> Draining ──SIGTERM──> Stopping
//!       │                           │ worker or verifier dies: started again   │
//!       └── worker ends ──> exit    └── worker ends by itself ──> exit <───────┘
//! ```
//!
//! A worker that crashes is started again; before one has been ready, only so many times. The keeper's own death closes
//! the sockets, and that ends its children.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::packet::{Chunk, FromWorker, Instruction, LARGEST_PACKET, Received, ToWorker, recv};
use super::place::Place;
use super::secret::wipe;
use super::signals::{Order, Signals};
use super::{FAILURE, Handover, Secrets, VERIFIER, WORKER};
use crate::server::accounts::Accounts;
use crate::server::settings::{Invocation, LogSettings, PasswordSource, Settings};
use crate::server::{Bound, logging};

/// What a worker gets beyond its own drain time before it is killed.
const DRAIN_SLACK: Duration = Duration::from_secs(10);
/// What a worker gets to end at once.
const STOP_SLACK: Duration = Duration::from_secs(2);
/// Exit codes up to here are a worker's own decision; higher ones (a panic's 101) are a crash, like death by a signal.
const LAST_OWN_CODE: i32 = 2;
/// Crashes in a row before any worker has been ready that fail the start: one may be bad luck, three are the configuration's
/// or the machine's doing, and whoever started the server is better told.
const STARTS: u32 = 3;

/// The keeper and its children.
pub struct Keeper {
    invocation: Invocation,
    password: PasswordSource,
    listeners: Vec<Bound>,
    contents: Contents,
    /// Read again and handed to the worker, who has not said yet whether it can live with them.
    offered: Option<Contents>,
    phase: Phase,
    worker: Place,
    verifier: Place,
    signals: Signals,
}

/// Where the tree's life stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No worker has been ready yet: one that ends now ends the start.
    Starting,
    Serving,
    /// The worker has been told to drain.
    Draining {
        until: Instant,
    },
    /// The worker has been told to stop.
    Stopping {
        until: Instant,
    },
    /// The worker is gone for good; the verifier ends.
    Closing,
}

/// What the files said last, as the children get it.
struct Contents {
    handover: Vec<u8>,
    secrets: Vec<u8>,
    drain: Duration,
    log: LogSettings,
}

impl Contents {
    fn new(settings: Settings, accounts: Accounts) -> io::Result<Self> {
        let drain = settings.limits.drain;
        let log = settings.log.clone();
        let secrets = Secrets { log: settings.log.clone(), credentials: accounts.credentials };
        let handover = Handover { settings, accounts: accounts.accounts };
        Ok(Contents {
            handover: postcard::to_allocvec(&handover).map_err(io::Error::other)?,
            secrets: postcard::to_allocvec(&secrets).map_err(io::Error::other)?,
            drain,
            log,
        })
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        wipe(&mut self.secrets);
    }
}

impl Keeper {
    /// A keeper with everything it needs and no child yet.
    pub fn new(
        invocation: Invocation,
        password: PasswordSource,
        settings: Settings,
        accounts: Accounts,
        listeners: Vec<Bound>,
    ) -> io::Result<Self> {
        Ok(Keeper {
            invocation,
            password,
            listeners,
            contents: Contents::new(settings, accounts)?,
            offered: None,
            phase: Phase::Starting,
            worker: Place::new(WORKER),
            verifier: Place::new(VERIFIER),
            signals: Signals::new()?,
        })
    }

    /// Keeps the tree until it ends; returns the exit code of the whole.
    pub fn run(mut self) -> io::Result<u8> {
        let code = loop {
            self.start_due()?;
            self.wait()?;
            for order in self.signals.take() {
                self.obey(order);
            }
            self.kill_late();
            if let Some(code) = self.reap() {
                break code;
            }
        };
        self.close()?;
        Ok(code)
    }

    fn start_due(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if !matches!(self.phase, Phase::Starting | Phase::Serving) {
            return Ok(());
        }
        if self.worker.is_due(now) {
            return self.start_worker(now);
        }
        if self.worker.is_running() && self.verifier.is_due(now) {
            self.start_verifier(now);
        }
        Ok(())
    }

    fn start_worker(&mut self, now: Instant) -> io::Result<()> {
        self.offered = None; // whoever was asked is gone
        if let Err(e) = self.worker.start(now) {
            if self.phase == Phase::Starting {
                return Err(e);
            }
            log::error!("cannot start a worker: {e}");
            return Ok(());
        }
        for Bound { door, label, listener } in &self.listeners {
            let message = ToWorker::Listener(*door, label.clone());
            self.worker.tell(&message, Some(listener.as_fd()));
        }
        // Before the settings, whose end lets the worker begin: so its first client finds a verifier.
        if self.verifier.is_due(now) {
            self.start_verifier(now);
        }
        for chunk in Chunk::cut(&self.contents.handover) {
            self.worker.tell(&ToWorker::Settings(chunk), None);
        }
        Ok(())
    }

    /// Starts a verifier and joins it to the worker. The two live together: when either drops the socket between them,
    /// the verifier ends, and a new one comes with a new socket. So no answer can reach a worker that did not ask.
    fn start_verifier(&mut self, now: Instant) {
        let joined = self.verifier.start(now).and_then(|()| join());
        let (verifiers, workers) = match joined {
            Ok(pair) => pair,
            Err(e) => {
                log::error!("cannot start a verifier: {e}");
                self.verifier.let_go(now);
                return;
            }
        };
        self.tell_secrets();
        let end = Some(verifiers.as_fd());
        self.verifier.tell(&Instruction::Worker, end);
        let end = Some(workers.as_fd());
        self.worker.tell(&ToWorker::Verifier, end);
    }

    fn tell_secrets(&mut self) {
        for chunk in Chunk::cut(&self.contents.secrets) {
            self.verifier.tell(&Instruction::Secrets(chunk), None);
        }
    }

    /// Sleeps until a signal, a child or a deadline, and hears one message of each child.
    fn wait(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        let places = [self.worker.socket(), self.verifier.socket()];
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        for socket in places.into_iter().flatten() {
            fds.push(PollFd::from_borrowed_fd(socket, PollFlags::IN));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let mut heard = fds.iter().skip(1).map(|fd| !fd.revents().is_empty());
        // The order of `places`, of which the absent ones are not in `fds`.
        let [worker, verifier] = places.map(|socket| socket.is_some() && heard.next().unwrap_or(false));
        drop(fds);
        if worker {
            self.hear_worker();
        }
        if verifier {
            self.hear_verifier();
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Timespec> {
        let (starts, ends) = match self.phase {
            Phase::Starting | Phase::Serving => (true, None),
            Phase::Draining { until } | Phase::Stopping { until } => (false, Some(until)),
            Phase::Closing => (false, None),
        };
        let worker = self.worker.due().filter(|_| starts);
        // An absent verifier waits for its worker as well as for its own time.
        let joins = starts && self.worker.is_running();
        let verifier = self.verifier.due().filter(|_| joins);
        let kills = [self.worker.deadline(), self.verifier.deadline()];
        let all = [ends, worker, verifier].into_iter().chain(kills);
        let left = all.flatten().min()?.saturating_duration_since(Instant::now());
        // A millisecond more, so that a wake is never just before its time.
        Timespec::try_from(left + Duration::from_millis(1)).ok()
    }

    fn hear_worker(&mut self) {
        let Some(socket) = self.worker.socket() else {
            return;
        };
        match recv(socket, &mut vec![0; LARGEST_PACKET]) {
            Ok(Received::Message(FromWorker::Ready, _)) => {
                if self.phase == Phase::Starting {
                    self.phase = Phase::Serving;
                }
            }
            Ok(Received::Message(FromWorker::Reloaded, _)) => self.adopt(),
            Ok(Received::Message(FromWorker::Refused(why), _)) => {
                self.offered = None;
                log::error!("reload refused, nothing changed: {why}");
            }
            Ok(Received::Closed) => self.worker.let_go(Instant::now()),
            Err(e) => self.worker.distrust(&e.to_string()),
        }
    }

    fn hear_verifier(&mut self) {
        let Some(socket) = self.verifier.socket() else {
            return;
        };
        // It has nothing to say to the keeper; whatever comes is decoded as something it would never send.
        match recv::<Instruction>(socket, &mut vec![0; LARGEST_PACKET]) {
            Ok(Received::Closed) => self.verifier.let_go(Instant::now()),
            Ok(Received::Message(..)) => self.verifier.distrust("speaks unasked"),
            Err(e) => self.verifier.distrust(&e.to_string()),
        }
    }

    fn obey(&mut self, order: Order) {
        match (order, self.phase) {
            (Order::Summary, _) => self.worker.tell(&ToWorker::Summary, None),
            (Order::Reload, Phase::Starting | Phase::Serving) => self.reload(),
            (Order::Reload, _) | (Order::End, Phase::Closing) => {}
            (Order::End, Phase::Starting | Phase::Serving) => {
                log::info!("draining");
                let until = Instant::now() + self.contents.drain + DRAIN_SLACK;
                self.phase = Phase::Draining { until };
                self.worker.tell(&ToWorker::Drain, None);
                // The worker closes its own: only then are newcomers refused, not left waiting in a backlog.
                self.listeners.clear();
            }
            (Order::End, Phase::Draining { .. }) => {
                log::info!("stopping at once");
                let until = Instant::now() + STOP_SLACK;
                self.phase = Phase::Stopping { until };
                self.worker.tell(&ToWorker::Stop, None);
            }
            (Order::End, Phase::Stopping { .. }) => self.worker.distrust("does not stop"),
        }
    }

    /// Reads the files again and offers their contents to the worker. Whatever is wrong with them changes nothing.
    fn reload(&mut self) {
        match self.read_again() {
            Ok(contents) => {
                for chunk in Chunk::cut(&contents.handover) {
                    self.worker.tell(&ToWorker::Reload(chunk), None);
                }
                self.offered = Some(contents);
            }
            Err(why) => log::error!("reload refused, nothing changed: {why}"),
        }
    }

    /// The worker lives by what it was offered: so do the verifier and whoever is started next. Until now a crash would
    /// have brought the old contents back, which are known to work.
    fn adopt(&mut self) {
        let Some(contents) = self.offered.take() else { return };
        self.contents = contents;
        logging::start(&self.contents.log);
        self.tell_secrets();
        log::info!("reloaded");
    }

    fn read_again(&self) -> Result<Contents, String> {
        let loaded = self.invocation.load(&self.password);
        let loaded = loaded.map_err(|fault| fault.to_string())?;
        // Without its accounts the server would take anonymous for meant.
        let accounts = loaded.accounts.ok_or("the accounts file is gone")?;
        for warning in &loaded.warnings {
            log::warn!("{warning}");
        }
        if !loaded.settings.doors().eq(self.listeners.iter().map(|bound| (bound.door, &bound.label))) {
            log::warn!("listen: a change takes effect at the next start");
        }
        Contents::new(loaded.settings, accounts).map_err(|e| e.to_string())
    }

    fn kill_late(&mut self) {
        let now = Instant::now();
        if let Phase::Draining { until } | Phase::Stopping { until } = self.phase
            && until <= now
            && self.worker.is_running()
        {
            self.worker.distrust("does not end in time");
        }
        self.worker.kill_late(now);
        self.verifier.kill_late(now);
    }

    /// Looks after children that ended; the exit code, when this ends the tree.
    fn reap(&mut self) -> Option<u8> {
        let now = Instant::now();
        if self.worker.has_ended() {
            // Its last words first: whether it had been ready decides what its end means. They end with its socket.
            while self.worker.is_running() {
                self.hear_worker();
            }
        }
        if let Some(status) = self.verifier.reap(now)
            && self.phase == Phase::Serving
            && !status.success()
        {
            log::error!("the verifier ended: {status}");
        }
        let ending = matches!(self.phase, Phase::Draining { .. } | Phase::Stopping { .. });
        let Some(status) = self.worker.reap(now) else {
            // A signal may come in the pause before a restart.
            return (ending && self.worker.is_absent()).then_some(0);
        };
        self.verifier.let_go(now);
        match own_code(status) {
            Some(code) => Some(code),
            None if self.outlives_a_crash() => {
                log::error!("the worker crashed ({status}); starting another");
                None
            }
            None => Some(FAILURE),
        }
    }

    fn outlives_a_crash(&self) -> bool {
        match self.phase {
            Phase::Starting => self.worker.failures() < STARTS,
            Phase::Serving => true,
            Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Closing => false,
        }
    }

    /// Waits for the verifier, whose sockets are all closed by now, and kills it past its time.
    fn close(mut self) -> io::Result<()> {
        self.phase = Phase::Closing;
        self.verifier.let_go(Instant::now());
        loop {
            let now = Instant::now();
            self.verifier.kill_late(now);
            self.verifier.reap(now);
            if self.verifier.is_absent() {
                return Ok(());
            }
            self.wait()?;
            self.signals.take();
        }
    }
}

/// The exit code of a worker that ended by itself; `None` for a crash.
fn own_code(status: ExitStatus) -> Option<u8> {
    let code = status.code().filter(|code| *code <= LAST_OWN_CODE)?;
    u8::try_from(code).ok()
}

/// The socket between a worker and its verifier: the verifier's end, the worker's end.
fn join() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    pair.map_err(io::Error::from)
}
