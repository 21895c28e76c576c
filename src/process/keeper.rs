//! The keeper: the process that was started. It binds, starts the others, answers signals, and reads no network.
//!
//! ```text
//!   Starting ──all are ready──> Serving ──SIGTERM──> Draining ──SIGTERM──> Stopping
//!       │                          │ a worker or the verifier dies: started again
//!       └── a worker ends ──> exit <── the last worker ends ──────────────────┘
//! ```
//!
//! A worker that crashes is started again; before all have been ready, only so many times. The keeper's own death closes
//! the sockets, and that ends its children. [`super::crew`] draws what becomes of one worker's post.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::contents::{Contents, Standing};
use super::crew::{Post, Retired, Who};
use super::packet::{Chunk, FromWorker, Instruction, LARGEST_PACKET, Received, ToWorker, recv};
use super::place::Place;
use super::reload::Offer;
use super::sandbox::privilege;
use super::signals::{Order, Signals};
use super::{FAILURE, VERIFIER};
use crate::server::Bound;
use crate::server::settings::{Invocation, PasswordSource};

/// What a worker gets beyond its own drain time before it is killed.
const DRAIN_SLACK: Duration = Duration::from_secs(10);
/// What a worker gets to end at once.
const STOP_SLACK: Duration = Duration::from_secs(2);
/// Exit codes up to here are a worker's own decision; higher ones (a panic's 101) are a crash, like death by a signal.
const LAST_OWN_CODE: i32 = 2;
/// Crashes in a row before all workers have been ready that fail the start: one may be bad luck, three are the
/// configuration's or the machine's doing, and whoever started the server is better told.
const STARTS: u32 = 3;

/// The keeper and its children.
pub struct Keeper {
    pub(super) invocation: Box<Invocation>,
    pub(super) password: PasswordSource,
    pub(super) listeners: Listeners,
    pub(super) contents: Contents,
    /// What no reload changes.
    pub(super) standing: Standing,
    /// Read again and offered to a worker, who has not said yet whether it can live with them.
    pub(super) offer: Option<Offer>,
    pub(super) phase: Phase,
    pub(super) posts: Vec<Post>,
    pub(super) retired: Vec<Retired>,
    pub(super) verifier: Place,
    /// The highest exit code of those who ended while all were told to.
    code: u8,
    signals: Signals,
}

/// The control listeners, a set for each post.
pub struct Listeners {
    /// By post: each worker's own sockets, or the same ones for all.
    pub sets: Vec<Vec<Bound>>,
    /// A service manager has bound them: what the configuration says of addresses does not count.
    pub given: bool,
}

/// Where the tree's life stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not all workers have been ready yet: one that ends now ends the start.
    Starting,
    Serving,
    /// The workers have been told to drain.
    Draining {
        until: Instant,
    },
    /// The workers have been told to stop.
    Stopping {
        until: Instant,
    },
    /// The workers are gone for good; whoever is left ends.
    Closing,
}

impl Keeper {
    /// A keeper with everything it needs and no child yet.
    pub fn new(
        invocation: Box<Invocation>,
        password: PasswordSource,
        contents: Contents,
        standing: Standing,
        listeners: Listeners,
    ) -> io::Result<Self> {
        privilege::harden()?;
        Ok(Keeper {
            invocation,
            password,
            posts: listeners.sets.iter().map(|_| Post::new()).collect(),
            listeners,
            contents,
            standing,
            offer: None,
            phase: Phase::Starting,
            retired: Vec::new(),
            verifier: Place::new(VERIFIER),
            code: 0,
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
        for number in 0..self.posts.len() {
            if self.posts[number].worker().is_due(now) {
                self.start(Who::Worker(number), now)?;
            }
            if self.posts[number].relief().is_some_and(|relief| relief.is_due(now)) {
                self.start(Who::Relief(number), now)?;
            }
        }
        if self.contents.secrets.is_some() && self.verifier.is_due(now) {
            self.start_verifier(now);
        }
        Ok(())
    }

    /// Starts a worker or a relief, and hands down what it needs.
    fn start(&mut self, who: Who, now: Instant) -> io::Result<()> {
        // First of all, so that the worker's first client finds it.
        if self.contents.secrets.is_some() && self.verifier.is_due(now) {
            self.start_verifier(now);
        }
        let (number, place, contents) = match who {
            Who::Worker(number) => (number, Some(self.posts[number].worker()), &self.contents),
            Who::Relief(number) => {
                let offered = self.offer.as_ref().and_then(|offer| offer.to(number));
                (number, self.posts[number].relief(), offered.unwrap_or(&self.contents))
            }
            Who::Retired(_) | Who::Verifier => return Ok(()),
        };
        let Some(place) = place else { return Ok(()) };
        if let Err(e) = place.start(now) {
            if self.phase == Phase::Starting {
                return Err(e);
            }
            log::error!("cannot start a worker: {e}");
            return Ok(());
        }
        for Bound { door, label, listener } in &self.listeners.sets[number] {
            place.tell(&ToWorker::Listener(*door, label.clone()), Some(listener.as_fd()));
        }
        // Before the settings, whose end lets the worker begin.
        pair(&mut self.verifier, place);
        hand_down(contents, number, ToWorker::Settings, place);
        Ok(())
    }

    /// Starts a verifier and joins it to everybody who serves. A socket between two processes lives no longer than the
    /// younger of them, so no answer can reach a worker that did not ask.
    fn start_verifier(&mut self, now: Instant) {
        if let Err(e) = self.verifier.start(now) {
            return log::error!("cannot start a verifier: {e}");
        }
        self.tell_secrets();
        for place in self.posts.iter_mut().flat_map(Post::both) {
            pair(&mut self.verifier, place);
        }
    }

    pub(super) fn tell_secrets(&mut self) {
        let secrets = self.contents.secrets.iter().flat_map(|body| Chunk::cut(body));
        secrets.for_each(|chunk| self.verifier.tell(&Instruction::Secrets(chunk), None));
    }

    /// Sleeps until a signal, a child or a deadline, and hears one message of each child.
    fn wait(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        let sockets: Vec<(Who, BorrowedFd<'_>)> = self.sockets().collect();
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        fds.extend(sockets.iter().map(|(_, socket)| PollFd::from_borrowed_fd(*socket, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready = fds.iter().skip(1).map(|fd| !fd.revents().is_empty());
        let heard: Vec<Who> = sockets.iter().zip(ready).filter(|(_, ready)| *ready).map(|((who, _), _)| *who).collect();
        drop(fds);
        // Nobody moves between places before the last is heard, but for a relief that takes over: it is heard last.
        let (reliefs, others): (Vec<Who>, Vec<Who>) = heard.into_iter().partition(|who| matches!(who, Who::Relief(_)));
        others.into_iter().chain(reliefs).for_each(|who| self.hear(who));
        Ok(())
    }

    fn sockets(&self) -> impl Iterator<Item = (Who, BorrowedFd<'_>)> {
        let posts = self.posts.iter().enumerate().flat_map(|(number, post)| post.sockets(number));
        let retired = self.retired.iter().enumerate();
        let retired = retired.filter_map(|(number, old)| Some((Who::Retired(number), old.place.socket()?)));
        let verifier = self.verifier.socket().map(|socket| (Who::Verifier, socket));
        posts.chain(retired).chain(verifier)
    }

    fn timeout(&mut self) -> Option<Timespec> {
        let (starts, ends) = match self.phase {
            Phase::Starting | Phase::Serving => (true, None),
            Phase::Draining { until } | Phase::Stopping { until } => (false, Some(until)),
            Phase::Closing => (false, None),
        };
        let verified = starts && self.contents.secrets.is_some();
        let verifier = [self.verifier.due().filter(|_| verified), self.verifier.deadline()];
        let retired = self.retired.iter().flat_map(|old| [Some(old.until), old.place.deadline()]);
        let places = self.posts.iter_mut().flat_map(Post::both);
        let places = places.flat_map(|place| [place.due().filter(|_| starts), place.deadline()]);
        let all = places.chain(retired).chain(verifier).chain([ends]);
        let left = all.flatten().min()?.saturating_duration_since(Instant::now());
        // A millisecond more, so that a wake is never just before its time.
        Timespec::try_from(left + Duration::from_millis(1)).ok()
    }

    fn place(&mut self, who: Who) -> Option<&mut Place> {
        match who {
            Who::Worker(number) => self.posts.get_mut(number).map(Post::worker),
            Who::Relief(number) => self.posts.get_mut(number).and_then(Post::relief),
            Who::Retired(number) => self.retired.get_mut(number).map(|old| &mut old.place),
            Who::Verifier => Some(&mut self.verifier),
        }
    }

    /// Hears one message, or that there will be none.
    fn hear(&mut self, who: Who) {
        let mut buffer = vec![0; LARGEST_PACKET];
        let Some(place) = self.place(who) else { return };
        let Some(socket) = place.socket() else { return };
        if who == Who::Verifier {
            // It has nothing to say to the keeper; whatever comes is decoded as something it would never send.
            return match recv::<Instruction>(socket, &mut buffer) {
                Ok(Received::Closed) => place.let_go(Instant::now()),
                Ok(Received::Message(..)) => place.distrust("speaks unasked"),
                Err(e) => place.distrust(&e.to_string()),
            };
        }
        match recv(socket, &mut buffer) {
            Ok(Received::Message(message, _)) => self.told(who, message),
            Ok(Received::Closed) => place.let_go(Instant::now()),
            Err(e) => place.distrust(&e.to_string()),
        }
    }

    fn told(&mut self, who: Who, message: FromWorker) {
        match (message, who) {
            (FromWorker::Ready, Who::Worker(number)) => {
                self.posts[number].is_ready();
                self.accepted(number); // it may have been a relief whose worker ended meanwhile
                if self.phase == Phase::Starting && self.posts.iter().all(Post::is_served) {
                    self.phase = Phase::Serving;
                }
            }
            (FromWorker::Ready, Who::Relief(number)) => self.hand_over(number),
            (FromWorker::Reloaded, Who::Worker(number)) => self.accepted(number),
            (FromWorker::Refused(why), Who::Worker(number)) => self.refused(number, &why),
            (FromWorker::Outgrown(why), Who::Worker(number)) => self.outgrown(number, &why),
            // A new one has new sockets for everybody.
            (FromWorker::Forlorn, _) if self.verifier.is_running() => {
                self.verifier.distrust("a worker has given it up")
            }
            // Whoever leaves may still answer what it was asked before.
            (_, Who::Relief(_) | Who::Retired(_) | Who::Verifier) | (FromWorker::Forlorn, _) => {}
        }
    }

    fn obey(&mut self, order: Order) {
        match (order, self.phase) {
            (Order::Summary, _) => self.tell_all(&ToWorker::Summary),
            (Order::Reload, Phase::Starting | Phase::Serving) => self.reload(),
            (Order::Reload, _) | (Order::End, Phase::Closing) => {}
            (Order::End, Phase::Starting | Phase::Serving) => {
                log::info!("draining");
                let until = Instant::now() + self.contents.drain + DRAIN_SLACK;
                self.phase = Phase::Draining { until };
                self.tell_all(&ToWorker::Drain);
                // The workers close their own: only then are newcomers refused, not left waiting in a backlog.
                self.listeners.sets.iter_mut().for_each(Vec::clear);
            }
            (Order::End, Phase::Draining { .. }) => {
                log::info!("stopping at once");
                let until = Instant::now() + STOP_SLACK;
                self.phase = Phase::Stopping { until };
                self.tell_all(&ToWorker::Stop);
            }
            (Order::End, Phase::Stopping { .. }) => {
                self.places().filter(|place| place.is_running()).for_each(|place| place.distrust("does not stop"));
            }
        }
    }

    fn tell_all(&mut self, message: &ToWorker) {
        self.places().for_each(|place| place.tell(message, None));
    }

    /// Every worker there is.
    fn places(&mut self) -> impl Iterator<Item = &mut Place> {
        self.posts.iter_mut().flat_map(Post::both).chain(self.retired.iter_mut().map(|old| &mut old.place))
    }

    /// Tells a worker that has no post any more to drain.
    pub(super) fn retire(&mut self, mut place: Place) {
        place.tell(&ToWorker::Drain, None);
        let until = Instant::now() + self.contents.drain + DRAIN_SLACK;
        self.retired.push(Retired { place, until });
    }

    fn kill_late(&mut self) {
        let now = Instant::now();
        if let Phase::Draining { until } | Phase::Stopping { until } = self.phase
            && until <= now
        {
            self.places().filter(|place| place.is_running()).for_each(|place| place.distrust("does not end in time"));
        }
        let late = self.retired.iter_mut().filter(|old| old.until <= now && old.place.is_running());
        late.for_each(|old| old.place.distrust("does not end in time"));
        self.places().for_each(|place| place.kill_late(now));
        self.verifier.kill_late(now);
    }

    /// Looks after children that ended; the exit code, when this ends the tree.
    fn reap(&mut self) -> Option<u8> {
        let now = Instant::now();
        if let Some(status) = self.verifier.reap(now)
            && self.phase == Phase::Serving
            && !status.success()
        {
            log::error!("the verifier ended: {status}");
        }
        self.retired.retain_mut(|old| old.place.reap(now).is_none() && !old.place.is_absent());
        for number in 0..self.posts.len() {
            self.reap_relief(number, now);
            if let Some(code) = self.reap_worker(number, now) {
                return Some(code);
            }
        }
        let ending = matches!(self.phase, Phase::Draining { .. } | Phase::Stopping { .. });
        let gone = ending && self.retired.is_empty() && self.posts.iter_mut().all(Post::is_absent);
        gone.then_some(self.code)
    }

    fn reap_worker(&mut self, number: usize, now: Instant) -> Option<u8> {
        if self.posts[number].worker().has_ended() {
            // Its last words first: whether it had been ready decides what its end means. They end with its socket.
            while self.posts[number].worker().is_running() {
                self.hear(Who::Worker(number));
            }
        }
        let process = self.posts[number].worker().process();
        let status = self.posts[number].worker().reap(now)?;
        let failures = self.posts[number].worker().failures();
        if !self.posts[number].vacate() {
            self.withdraw_offer(number);
        }
        match (own_code(status), self.phase) {
            (code, Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Closing) => {
                self.code = self.code.max(code.unwrap_or(FAILURE));
                None
            }
            (Some(code), Phase::Starting) => Some(code),
            // With one worker its end is the server's; of several, the others go on.
            (Some(code), Phase::Serving) if self.posts.len() == 1 => Some(code),
            (None, Phase::Starting) if failures >= STARTS => Some(FAILURE),
            _ => {
                let (process, of) = (process.unwrap_or_default(), self.posts.len());
                log::error!(
                    "the worker crashed ({status}; process {process}, number {} of {of}); starting another",
                    number + 1
                );
                None
            }
        }
    }

    fn reap_relief(&mut self, number: usize, now: Instant) {
        if let Some(relief) = self.posts[number].relief()
            && let Some(status) = relief.reap(now)
        {
            self.relief_failed(number, status);
        }
    }

    /// Waits for whoever is left, and kills them past their time.
    fn close(mut self) -> io::Result<()> {
        self.phase = Phase::Closing;
        let now = Instant::now();
        self.places().for_each(|place| place.let_go(now));
        self.verifier.let_go(now);
        loop {
            let now = Instant::now();
            self.kill_late();
            self.verifier.reap(now);
            for place in self.places() {
                let _last = place.reap(now);
            }
            if self.verifier.is_absent() && self.places().all(|place| place.is_absent()) {
                return Ok(());
            }
            self.wait()?;
            self.signals.take();
        }
    }
}

/// Sends a worker everything but its sockets: the transfer log and its settings, which `wrap` tells the use of.
pub(super) fn hand_down(contents: &Contents, number: usize, wrap: fn(Chunk) -> ToWorker, place: &mut Place) {
    if let Some((_, file)) = &contents.transfers {
        place.tell(&ToWorker::TransferLog, Some(file.as_fd()));
    }
    let body = contents.handovers.get(number).map_or(&[][..], Vec::as_slice);
    Chunk::cut(body).for_each(|chunk| place.tell(&wrap(chunk), None));
}

/// Joins a worker to the verifier, if both are there.
fn pair(verifier: &mut Place, worker: &mut Place) {
    if !verifier.is_running() || !worker.is_running() {
        return;
    }
    match join() {
        Ok((verifiers, workers)) => {
            verifier.tell(&Instruction::Worker, Some(verifiers.as_fd()));
            worker.tell(&ToWorker::Verifier, Some(workers.as_fd()));
        }
        Err(e) => log::error!("a worker is without a verifier: {e}"),
    }
}

/// The exit code of a worker that ended by itself; `None` for a crash.
fn own_code(status: ExitStatus) -> Option<u8> {
    let code = status.code().filter(|code| *code <= LAST_OWN_CODE)?;
    u8::try_from(code).ok()
}

/// The socket between a worker and the verifier: the verifier's end, the worker's end.
fn join() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    pair.map_err(io::Error::from)
}
