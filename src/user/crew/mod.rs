//! The crew: sessions with hosts, and the errands they are sent on.
//!
//! ```text
//!   add(site, errand) ──▶ queue ──▶ a free session ──▶ wishes, answers ──▶ Told::Done
//!                           ▲                               │ session died, 4yz, stall
//!                           └────── back-off, tries left ───┘
//! ```
//!
//! An errand needs one session and never holds one while it waits for another errand, so a small number of sessions
//! can slow the crew down but not stop it. How many sessions a host takes is learnt: a 421 or a "too many" lowers the
//! site's limit to what is in use.

mod after;
mod ask;
mod digest;
mod errand;
mod fetch;
mod goal;
mod list;
mod piece;
mod proof;
mod roster;
mod send;
mod site;
mod stat;
mod trouble;
mod verify;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::guard::Trust;
use super::mail::{Answer, Death, Ticket, Wish};
use super::profile::Profile;
use super::{Client, Event, Message};
use crate::reactor::{Key, Moment};
use crate::wire::reply::Reply;

use site::{Lane, Site};

pub use ask::Ask;
pub use digest::Digest;
pub use errand::{Errand, Move, Moved, Yield};
pub use fetch::Fetch;
pub use goal::{Goal, local_name, part_name};
pub use list::List;
pub use piece::Piece;
pub use proof::{Behind, Proof};
pub use send::{Origin, Send};
pub use site::Target;
pub use stat::Stat;
pub use trouble::{Again, Cause, Trouble};
pub use verify::Verify;

/// Names a site among those of a crew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SiteId(usize);

/// Names an errand for as long as the crew lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ErrandId(u64);

/// How the crew works.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Sessions with one host at most.
    pub parallel: usize,
    /// Tries after the first.
    pub retries: u32,
    /// Whether a host that never answered is tried again.
    pub insist: bool,
    /// Which addresses of a host are used.
    pub family: Family,
}

/// Which addresses are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// All.
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What the crew has to tell.
#[derive(Debug)]
pub enum Told {
    /// An errand is over.
    Done(ErrandId, Result<Yield, Trouble>),
    /// An errand failed and will be tried again.
    Retrying(ErrandId, Trouble, Duration),
    /// A server said something, where that was asked for.
    Heard(SiteId, Reply),
    /// A host refuses TLS, and its sessions go on in the clear.
    InTheClear(String),
    /// A line was typed, or the end of input.
    Typed(Option<String>),
    /// Ctrl-C at the prompt.
    Cancelled,
    /// Names of this directory are wanted for completion.
    Wanted(String),
    /// SIGINT or SIGTERM.
    Interrupted,
    /// A program that this one has started has ended.
    ChildEnded,
    /// The time asked for with [`Crew::tick_every`] has passed.
    Tick,
}

/// An errand in the crew's book.
#[derive(Debug)]
struct Duty {
    errand: Errand,
    site: SiteId,
    lane: Lane,
    tries: u32,
    otherwise: u32,
    /// The session that is on it.
    at: Option<Key>,
    /// Answers owed.
    owed: usize,
    /// Withdrawn: its answers are awaited and forgotten.
    cancelled: bool,
}

/// Sessions and errands.
#[derive(Debug)]
pub struct Crew {
    client: Client,
    rules: Rules,
    sites: Vec<Site>,
    duties: HashMap<ErrandId, Duty>,
    tickets: HashMap<Ticket, ErrandId>,
    /// Errands that wait for their next try.
    pauses: Vec<(Moment, ErrandId)>,
    told: VecDeque<Told>,
    numbers: u64,
    tick: Option<Duration>,
    next_tick: Option<Moment>,
    trust: Option<Rc<Trust>>,
}

impl Crew {
    /// A crew without sites.
    pub fn new(client: Client, rules: Rules) -> Self {
        Self {
            client,
            rules,
            sites: Vec::new(),
            duties: HashMap::new(),
            tickets: HashMap::new(),
            pauses: Vec::new(),
            told: VecDeque::new(),
            numbers: 0,
            tick: None,
            next_tick: None,
            trust: None,
        }
    }

    /// Whom sessions in TLS trust; without it there are none.
    pub fn set_trust(&mut self, trust: Trust) {
        self.trust = Some(Rc::new(trust));
    }

    /// The loop beneath.
    pub const fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// How it works; changes count from the next session on.
    pub const fn rules(&mut self) -> &mut Rules {
        &mut self.rules
    }

    /// The site of a host and a login. Two logins never share a session.
    pub fn site(&mut self, target: Target) -> SiteId {
        if let Some(at) = self.sites.iter().position(|site| site.target == target) {
            return SiteId(at);
        }
        self.sites.push(Site::new(target, self.rules.parallel));
        SiteId(self.sites.len() - 1)
    }

    /// Sends somebody. Directories are read before files are moved, as long as there are files enough to move.
    pub fn add(&mut self, site: SiteId, errand: Errand) -> ErrandId {
        self.numbers += 1;
        let id = ErrandId(self.numbers);
        let lane = if matches!(errand, Errand::List(_)) { Lane::Looking } else { Lane::Moving };
        let duty = Duty { errand, site, lane, tries: 0, otherwise: 0, at: None, owed: 0, cancelled: false };
        self.duties.insert(id, duty);
        if let Some(place) = self.sites.get_mut(site.0) {
            place.enqueue(lane, id);
        }
        self.assign(site);
        id
    }

    /// Withdraws an errand: one that waits is gone, a running transfer is aborted. It is told as done all the same.
    pub fn cancel(&mut self, id: ErrandId) {
        let Some(duty) = self.duties.get_mut(&id) else { return };
        duty.cancelled = true;
        match duty.at {
            Some(session) if self.client.abort(session) => {}
            // It waits for an answer, and that may take as long as the server likes.
            Some(session) => self.client.drop_session(session, &Death::Abandoned),
            None => {
                let site = duty.site;
                if let Some(site) = self.sites.get_mut(site.0) {
                    site.dequeue(id);
                }
                self.pauses.retain(|(_, other)| *other != id);
                self.close(id, Err(Trouble::new(Cause::Interrupted, "interrupted")));
            }
        }
    }

    /// Withdraws everything.
    pub fn cancel_all(&mut self) {
        let ids: Vec<ErrandId> = self.duties.keys().copied().collect();
        ids.into_iter().for_each(|id| self.cancel(id));
    }

    /// Errands that are not over.
    pub fn open(&self) -> usize {
        self.duties.len()
    }

    /// What is known about a site's host.
    pub fn with_profile<R>(&self, site: SiteId, look: impl FnOnce(&Profile) -> R) -> Option<R> {
        self.sites.get(site.0).map(|site| look(&site.profile.borrow()))
    }

    /// The server's address, while a session with it is open.
    pub fn peer(&mut self, site: SiteId) -> Option<std::net::SocketAddr> {
        let session = self.sites.get(site.0)?.keys().next()?;
        self.client.peer(session)
    }

    /// Running errands: bytes their transfers have moved, bytes there will be, and where the transfer began.
    pub fn progress(&mut self) -> Vec<(ErrandId, u64, Option<u64>)> {
        let mut all = Vec::new();
        let sessions: Vec<Key> = self.sites.iter().flat_map(Site::keys).collect();
        for session in sessions {
            for (ticket, moved) in self.client.progress(session) {
                let Some(id) = self.tickets.get(&ticket) else { continue };
                let Some(duty) = self.duties.get(id) else { continue };
                all.push((*id, duty.errand.offset() + moved, duty.errand.total()));
            }
        }
        all
    }

    /// Errands that move files and are not over.
    pub fn files_open(&self) -> usize {
        self.duties.values().filter(|duty| duty.errand.moves_a_file()).count()
    }

    /// Bytes that errands will move which are not among `running`; none where one does not know.
    pub fn waiting_bytes(&self, running: &[ErrandId]) -> Option<u64> {
        let waiting = self.duties.iter().filter(|(id, duty)| duty.errand.moves_a_file() && !running.contains(id));
        waiting.map(|(_, duty)| duty.errand.total()).sum()
    }

    /// Asks for [`Told::Tick`] again and again.
    pub fn tick_every(&mut self, span: Option<Duration>) {
        self.tick = span;
        self.next_tick = span.map(|span| self.client.now().after(span));
        self.set_alarm();
    }

    /// Says QUIT to everybody and closes. Nothing is waited for: all answers that matter have come.
    pub fn dismiss(&mut self) {
        for session in self.sites.iter().flat_map(Site::keys).collect::<Vec<_>>() {
            self.client.wish(session, Ticket(0), Wish::Quit);
            self.client.drop_session(session, &Death::Left);
        }
        self.sites.clear();
    }

    /// Closes a site's sessions. They are forgotten at once: what is sent next needs new ones, and must not be given to one
    /// whose end is only about to be told.
    pub fn close_site(&mut self, id: SiteId) {
        let Some(site) = self.sites.get(id.0) else { return };
        for session in site.keys().collect::<Vec<_>>() {
            self.client.wish(session, Ticket(0), Wish::Quit);
            self.client.drop_session(session, &Death::Left);
            if let Some(site) = self.sites.get_mut(id.0) {
                site.closed(session);
            }
        }
    }

    /// Runs until there is something to tell.
    ///
    /// # Errors
    /// When the poller itself fails.
    pub fn hear(&mut self) -> io::Result<Told> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Ok(told);
            }
            let event = self.client.next_event()?;
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Ready(session) => self.ready(session),
            Event::Answered(session, ticket, answer) => self.answered(session, ticket, answer),
            Event::InTheClear(session) => {
                let Some(id) = self.site_of(session) else { return };
                let site = self.sites.get_mut(id.0).filter(|site| !site.told_clear);
                if let Some(site) = site {
                    site.told_clear = true;
                    self.told.push_back(Told::InTheClear(site.target.host.clone()));
                }
            }
            Event::Gone(session, death) => self.gone(session, &death),
            Event::Heard(session, reply) => {
                if let Some(site) = self.site_of(session) {
                    self.told.push_back(Told::Heard(site, reply));
                }
            }
            Event::Helped(Message::Resolved { host, port, addresses }) => self.resolved(&host, port, addresses),
            Event::Helped(Message::Typed(line)) => self.told.push_back(Told::Typed(line)),
            Event::Helped(Message::Wanted(directory)) => self.told.push_back(Told::Wanted(directory)),
            Event::Helped(Message::Cancelled) => self.told.push_back(Told::Cancelled),
            Event::Woken => self.woken(),
            Event::Passed(..) => {}
            Event::Interrupted => self.told.push_back(Told::Interrupted),
            Event::ChildEnded => self.told.push_back(Told::ChildEnded),
        }
    }

    fn site_of(&self, session: Key) -> Option<SiteId> {
        self.sites.iter().position(|site| site.keys().any(|key| key == session)).map(SiteId)
    }

    fn start(&mut self, session: Key, id: ErrandId) {
        let Some(duty) = self.duties.get_mut(&id) else { return };
        duty.at = Some(session);
        self.consult(id, |errand, scene| errand.begin(scene));
    }

    /// Lets an errand decide, and does what it decided.
    fn consult(&mut self, id: ErrandId, decide: impl FnOnce(&mut Errand, &mut errand::Scene<'_>) -> Move) {
        let Some(duty) = self.duties.get_mut(&id) else { return };
        let Some(site) = self.sites.get(duty.site.0) else { return };
        let next = {
            let mut profile = site.profile.borrow_mut();
            decide(&mut duty.errand, &mut errand::Scene { profile: &mut profile, wall: wall() })
        };
        match next {
            Move::Wishes(wishes) => {
                let Some(session) = duty.at else { return };
                duty.owed += wishes.len();
                for wish in wishes {
                    self.numbers += 1;
                    let ticket = Ticket(self.numbers);
                    self.tickets.insert(ticket, id);
                    self.client.wish(session, ticket, wish);
                }
            }
            Move::Done(result) => self.finished(id, result),
        }
    }

    fn answered(&mut self, session: Key, ticket: Ticket, answer: Answer) {
        let Some(id) = self.tickets.remove(&ticket) else { return };
        let Some(duty) = self.duties.get_mut(&id) else { return };
        if duty.at != Some(session) {
            return;
        }
        duty.owed = duty.owed.saturating_sub(1);
        match answer {
            Answer::Dead(death) => {
                if let Some(site) = self.sites.get_mut(duty.site.0) {
                    site.dying(session);
                }
                self.forget_tickets(id);
                self.finished(id, Err(Trouble::of_death(&death)));
            }
            answer => self.consult(id, |errand, scene| errand.heard(answer, scene)),
        }
        if let Some(duty) = self.duties.get(&id).filter(|duty| duty.errand.is_trailing()) {
            self.assign(duty.site);
        }
    }
}

/// Seconds since 1970, for dates without a year; never for a timer.
fn wall() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
