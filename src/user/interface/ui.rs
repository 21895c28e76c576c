//! The user interface's state: the crew, the jobs it is on, and the screen.
//!
//! Whatever moves files is a [`Job`]: it owns errands and hears of their ends. Verbs begin jobs and wait for them, or
//! leave them in the background; either way [`Ui::pump`] is the only place where the loop runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::bars::{Extent, Progress, Whole};
use super::credentials;
use super::job::{Job, JobId, Summary};
use super::options::{Options, Tls, usage};
use super::screen::Screen;
use super::shell::{Shell, Whereabouts};
use super::voice;
use crate::user::crew::{Cause, Crew, Errand, ErrandId, List, Rules, SiteId, Target, Told, Trouble, Yield};
use crate::user::guard::{Protection, Trust};
use crate::user::mail::Spoken;
use crate::user::url::{Place, Scheme, without_password};
use crate::user::{Client, Terms};

/// A path on a server.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The host and login.
    pub site: SiteId,
    /// As it goes over the wire.
    pub path: Vec<u8>,
    /// `;type=`, if it was said.
    pub text: Option<bool>,
    /// The address it came from.
    pub place: Place,
}

impl Remote {
    /// As it is shown.
    pub fn show(&self) -> String {
        self.place.show(&self.path)
    }

    /// Another path on the same server.
    #[must_use]
    pub fn at(&self, path: Vec<u8>) -> Self {
        Self { path, ..self.clone() }
    }
}

/// What came from the pump that is nobody's errand.
#[derive(Debug)]
pub enum Heard {
    /// Nothing to act on.
    Nothing,
    /// A line was typed, or the end of input.
    Line(Option<String>),
    /// Ctrl-C at the prompt.
    Cancelled,
}

/// What has become of Ctrl-C, or SIGTERM. The second one ends the program whatever the first one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interrupt {
    Unheard,
    /// Nobody has acted on it.
    Heard,
    /// Somebody has, and his command is not over.
    Acted,
    /// The second one: nothing is waited for any more.
    Leaving,
}

/// The user interface.
#[derive(Debug)]
pub struct Ui {
    /// Sessions and errands.
    pub crew: Crew,
    /// What the command line said; a verb of the shell may have its own for as long as it runs.
    pub options: Options,
    /// What the user sees.
    pub screen: Screen,
    /// The shell's own state, also there for one-shot verbs, which use its working directories only.
    pub shell: Shell,
    jobs: HashMap<JobId, Job>,
    owners: HashMap<ErrandId, JobId>,
    /// Results of errands that somebody waits for by name.
    kept: HashMap<ErrandId, Option<Result<Yield, Trouble>>>,
    next_job: u64,
    /// Listings for the completion of names, and of which directory as it was typed.
    peeks: HashMap<ErrandId, String>,
    interrupt: Interrupt,
    /// A signal that the loop has not heard yet; with it the next one ends the program by itself.
    unheard: Arc<AtomicBool>,
    /// The next interrupt was meant for a command that has ended by it; over with the next line.
    forgiving: bool,
}

impl Ui {
    /// A user interface with nothing to do.
    ///
    /// # Errors
    /// When the system has no poller or signals to give.
    pub fn new(options: Options) -> Result<Self, Trouble> {
        let terms = Terms { timeout: options.timeout, active: options.active, rate: options.rate, tell_replies: true };
        let failed = |error: std::io::Error| Trouble::new(Cause::Local, format!("cannot start: {error}"));
        let mut client = Client::new(terms).map_err(failed)?;
        client.watch_signals().map_err(failed)?;
        let rules = Rules {
            parallel: options.parallel(),
            retries: options.retries(),
            insist: options.retries.is_some(),
            family: options.family,
        };
        let mut ui = Self {
            crew: Crew::new(client, rules),
            screen: Screen::new(&options),
            options,
            shell: Shell::default(),
            jobs: HashMap::new(),
            owners: HashMap::new(),
            kept: HashMap::new(),
            next_job: 0,
            peeks: HashMap::new(),
            interrupt: Interrupt::Unheard,
            unheard: Arc::default(),
            forgiving: false,
        };
        let trust = Trust::new(ui.options.creed.clone());
        // Before anybody is dialled, since it has nothing to do with them.
        trust.check().map_err(|why| Trouble::new(Cause::Local, why))?;
        ui.crew.set_trust(trust);
        // The dialogue shows how far things are, and would be written across the bars.
        ui.show_progress(ui.options.verbose == 0);
        Ok(ui)
    }

    /// Reads what the user wrote for a path on a server: a URL, `HOST:PATH`, or in the shell a path of the open site.
    ///
    /// # Errors
    /// It is neither, or no login can be made up for it.
    pub fn remote(&mut self, text: &str) -> Result<Remote, Trouble> {
        self.find(text).map_err(|trouble| {
            if !self.screen.json() || text.is_empty() || trouble.cause == Cause::Interrupted {
                return trouble;
            }
            // Whoever reads objects wants to know which of the arguments it was.
            self.screen.trouble(&without_password(text), &trouble);
            Trouble { text: String::new(), ..trouble }
        })
    }

    fn find(&mut self, text: &str) -> Result<Remote, Trouble> {
        let malformed = |why| Trouble::new(Cause::Usage, format!("{}: {why}", without_password(text)));
        if let Some(place) = Place::url(text).map_err(malformed)? {
            return self.visit(place);
        }
        if let Some(here) = self.shell.here() {
            return here.resolve(text.as_bytes());
        }
        match &self.shell.place {
            Whereabouts::AtTheDoor(_) => Err(usage("not logged in; user NAME [PASSWORD] first")),
            _ if Place::looks_short(text) => self.visit(Place::short(text).map_err(malformed)?),
            Whereabouts::Outside if text.is_empty() => Err(usage("where? A URL or HOST:PATH is missing")),
            Whereabouts::Outside => Err(usage(&format!("{text}: neither a URL nor HOST:PATH"))),
            Whereabouts::Nowhere | Whereabouts::Inside(_) => Err(usage("not connected; open HOST first")),
        }
    }

    /// The site of a place, with the login that belongs to it.
    ///
    /// # Errors
    /// As [`Ui::remote`], and TLS where it is required and not in this build.
    pub fn visit(&mut self, place: Place) -> Result<Remote, Trouble> {
        let protection = self.protection(&place)?;
        let login = credentials::login(&place, &self.options)?;
        let site = self.crew.site(Target { host: place.host.clone(), port: place.port, login, protection });
        Ok(Remote { site, path: place.path.clone(), text: place.text, place })
    }

    /// How sessions with a place are protected.
    ///
    /// # Errors
    /// What contradicts itself, and TLS where it is required and not in this build.
    pub fn protection(&self, place: &Place) -> Result<Protection, Trouble> {
        let protection = match (place.scheme, self.options.tls) {
            (Scheme::Ftp, Tls::Off) => Protection::Off,
            (Scheme::Ftp, Tls::Auto) => Protection::Auto,
            (Scheme::Ftps | Scheme::Ftpes, Tls::Off) => {
                let text = format!("{}: --tls off contradicts the address", place.host);
                return Err(Trouble::new(Cause::Usage, text));
            }
            (Scheme::Ftp, Tls::Required) | (Scheme::Ftpes, _) => Protection::Explicit,
            (Scheme::Ftps, _) => Protection::Implicit,
        };
        match protection {
            Protection::Auto if !cfg!(feature = "tls") => Ok(Protection::Off),
            Protection::Explicit | Protection::Implicit if !cfg!(feature = "tls") => {
                let text = format!("{}: TLS is not in this build; nothing is sent in the clear instead", place.host);
                Err(Trouble::new(Cause::Tls, text))
            }
            protection => Ok(protection),
        }
    }

    /// Sends an errand and waits for its end. Everything else goes on meanwhile.
    ///
    /// # Errors
    /// The errand's.
    pub fn run(&mut self, site: SiteId, errand: Errand) -> Result<Yield, Trouble> {
        let id = self.crew.add(site, errand);
        self.kept.insert(id, None);
        loop {
            if let Some(Some(_)) = self.kept.get(&id) {
                let result = self.kept.remove(&id).flatten();
                self.settle_interrupt();
                return result.unwrap_or_else(|| Err(Trouble::new(Cause::Local, "lost")));
            }
            if self.take_interrupt() {
                self.crew.cancel(id);
            }
            self.pump()?;
        }
    }

    /// Begins a job; it runs whenever the pump does.
    pub fn begin(&mut self, mut job: Job) -> JobId {
        self.next_job += 1;
        let id = JobId(self.next_job);
        let errands = job.begin(&mut self.crew, &mut self.screen);
        self.employ(id, errands);
        self.jobs.insert(id, job);
        id
    }

    /// Waits for a job; Ctrl-C ends the job, not the program.
    ///
    /// # Errors
    /// What the job's failures come to.
    pub fn wait(&mut self, id: JobId) -> Result<Summary, Trouble> {
        let mut cancelled = false;
        loop {
            match self.jobs.get(&id) {
                None => return Ok(Summary::default()),
                Some(job) if job.finished() => break,
                Some(_) => {}
            }
            if self.take_interrupt() {
                cancelled = true;
                self.cancel(id);
            }
            self.pump()?;
        }
        let summary = self.jobs.remove(&id).map(|job| job.summary()).unwrap_or_default();
        self.settle_interrupt();
        self.tick();
        if cancelled {
            return Err(Trouble::new(Cause::Interrupted, "interrupted"));
        }
        summary.verdict().map_err(|trouble| self.screen.counted(trouble))
    }

    /// Begins a job and waits for it, unless the user wants it in the background.
    ///
    /// # Errors
    /// As [`Ui::wait`].
    pub fn launch(&mut self, job: Job) -> Result<(), Trouble> {
        let id = self.begin(job);
        if self.shell.background {
            self.screen.note(&format!("[{}] begun", id.0));
            return Ok(());
        }
        let tree = matches!(self.jobs.get(&id), Some(Job::Mirror(_)));
        let summary = self.wait(id)?;
        if tree {
            self.screen.note(&format!("{} files, {} bytes", summary.done, summary.bytes));
        }
        Ok(())
    }

    /// Says which background jobs have ended, and forgets them.
    pub fn report_finished(&mut self) {
        let over: Vec<JobId> = self.jobs.iter().filter(|(_, job)| job.finished()).map(|(id, _)| *id).collect();
        for id in over {
            let Some(job) = self.jobs.remove(&id) else { continue };
            let title = job.title();
            match job.summary().verdict() {
                Ok(summary) => self.screen.note(&format!("[{}] {title}: {} bytes", id.0, summary.bytes)),
                Err(trouble) => self.screen.note(&format!("[{}] {title}: failed {}", id.0, trouble.text)),
            }
        }
    }

    /// Shows progress of running transfers, or stops doing so.
    pub fn show_progress(&mut self, on: bool) {
        let span = self.screen.show_progress(on);
        self.crew.tick_every(span);
    }

    /// Jobs that are not over, oldest first.
    pub fn jobs(&self) -> Vec<(JobId, String)> {
        let open = self.jobs.iter().filter(|(_, job)| !job.finished());
        let mut all: Vec<_> = open.map(|(id, job)| (*id, job.title())).collect();
        all.sort_by_key(|(id, _)| id.0);
        all
    }

    /// Ends a job.
    pub fn cancel(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.cancel();
        }
        let errands: Vec<ErrandId> =
            self.owners.iter().filter(|(_, owner)| **owner == id).map(|(errand, _)| *errand).collect();
        errands.into_iter().for_each(|errand| self.crew.cancel(errand));
    }

    /// Runs the loop until something happened, and sees to it.
    ///
    /// # Errors
    /// When the loop itself fails, or at the second Ctrl-C.
    pub fn pump(&mut self) -> Result<Heard, Trouble> {
        if self.leaving() {
            return Err(Trouble::new(Cause::Interrupted, "interrupted"));
        }
        let told = self.crew.hear();
        match told.map_err(|error| Trouble::new(Cause::Local, format!("the loop failed: {error}")))? {
            Told::Done(id, result) => self.done(id, result),
            Told::Retrying(id, trouble, pause) => {
                let job = self.owners.get(&id).and_then(|owner| self.jobs.get(owner));
                let about = job.map(|job| job.about(id)).unwrap_or_default();
                self.screen.retrying(&about, &trouble, pause);
            }
            Told::InTheClear(host) => {
                self.screen.note(&format!("{host} has no TLS: names, passwords and files travel in the clear"));
            }
            Told::Typed(line) => {
                self.forgiving = false;
                return Ok(Heard::Line(line));
            }
            Told::Cancelled => return Ok(Heard::Cancelled),
            Told::Interrupted if self.forgiving => self.forgiving = false,
            Told::Interrupted => return self.interrupted(),
            Told::Heard(_, reply) => {
                if self.shell.verbose {
                    self.screen.note(&Spoken(&reply).to_string());
                }
            }
            Told::Wanted(directory) => self.peek(directory),
            Told::Tick => self.tick(),
            // Whoever waits for it looks for himself.
            Told::ChildEnded => {}
        }
        Ok(Heard::Nothing)
    }

    /// From now on a second signal ends the program even while the loop stands still, as it does when nobody reads what is
    /// written to a pipe. Not for the shell: the programs that it starts have signals of their own.
    ///
    /// # Errors
    /// When handlers cannot be installed.
    pub fn end_at_second_signal(&self) -> Result<(), Trouble> {
        for signal in [SIGINT, SIGTERM] {
            let armed =
                flag::register_conditional_shutdown(signal, Cause::Interrupted as i32, Arc::clone(&self.unheard))
                    .and_then(|_| flag::register(signal, Arc::clone(&self.unheard)));
            armed.map_err(|error| Trouble::new(Cause::Local, format!("cannot start: {error}")))?;
        }
        Ok(())
    }

    fn interrupted(&mut self) -> Result<Heard, Trouble> {
        self.unheard.store(false, Ordering::Relaxed);
        self.interrupt = match self.interrupt {
            Interrupt::Unheard => Interrupt::Heard,
            Interrupt::Heard | Interrupt::Acted | Interrupt::Leaving => Interrupt::Leaving,
        };
        if !self.leaving() {
            return Ok(Heard::Nothing);
        }
        self.jobs.values_mut().for_each(Job::leave);
        Err(Trouble::new(Cause::Interrupted, "interrupted"))
    }

    /// Whether the program ends at once.
    pub const fn leaving(&self) -> bool {
        matches!(self.interrupt, Interrupt::Leaving)
    }

    fn tick(&mut self) {
        if !self.screen.progress() {
            return;
        }
        let running = self.crew.progress();
        let ids: Vec<ErrandId> = running.iter().map(|(id, ..)| *id).collect();
        let waiting = self.jobs.values().map(Job::waiting_bytes).chain([self.crew.waiting_bytes(&ids)]).sum();
        let done = self.jobs.values().map(Job::done_bytes).sum();
        let trees = self.jobs.values().any(|job| matches!(job, Job::Mirror(_)) && !job.finished());
        let extent = match self.crew.files_open() {
            0 if !trees => Extent::Nothing,
            1 if !trees => Extent::One,
            _ => Extent::Several,
        };
        let named = running.into_iter().map(|(id, moved, total)| Progress { id, name: self.name(id), moved, total });
        self.screen.tick(&named.collect::<Vec<_>>(), Whole { done, waiting, extent });
    }

    /// Somebody is about to type a name of this directory.
    fn peek(&mut self, directory: String) {
        match self.shell.here().and_then(|here| here.resolve(directory.trim_end_matches('/').as_bytes()).ok()) {
            Some(remote) => {
                let id = self.crew.add(remote.site, Errand::List(Box::new(List::new(remote.path))));
                self.peeks.insert(id, directory);
                voice::keep_waiting(true);
            }
            None => self.shell.learn(&directory, &[]),
        }
    }

    /// What a bar says an errand is about: the last component of a path.
    fn name(&self, id: ErrandId) -> String {
        let job = self.owners.get(&id).and_then(|owner| self.jobs.get(owner));
        let about = job.map(|job| job.about(id)).unwrap_or_default();
        about.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// The next interrupt was meant for somebody else.
    pub const fn forgive_interrupt(&mut self) {
        self.forgiving = true;
    }

    /// Whether Ctrl-C was pressed since the last time somebody asked.
    pub fn take_interrupt(&mut self) -> bool {
        let heard = self.interrupt == Interrupt::Heard;
        if heard {
            self.interrupt = Interrupt::Acted;
        }
        heard
    }

    /// The command that was interrupted is over; the next Ctrl-C is another one's first.
    pub fn settle_interrupt(&mut self) {
        if self.interrupt == Interrupt::Acted {
            self.interrupt = Interrupt::Unheard;
        }
    }

    fn done(&mut self, id: ErrandId, result: Result<Yield, Trouble>) {
        if let Some(place) = self.kept.get_mut(&id) {
            *place = Some(result);
            return;
        }
        if let Some(directory) = self.peeks.remove(&id) {
            let entries = if let Ok(Yield::Listing(parsed)) = result { parsed.entries } else { Vec::new() };
            self.shell.learn(&directory, &entries);
            return voice::keep_waiting(false);
        }
        let Some(owner) = self.owners.remove(&id) else { return };
        let Some(job) = self.jobs.get_mut(&owner) else { return };
        let more = job.done(id, result, &mut self.crew, &mut self.screen);
        self.employ(owner, more);
    }

    fn employ(&mut self, owner: JobId, errands: Vec<ErrandId>) {
        self.owners.extend(errands.into_iter().map(|errand| (errand, owner)));
    }
}
