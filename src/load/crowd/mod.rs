//! The sessions of one process, on one loop.
//!
//! ```text
//!            timer, plan            Ready                  operation
//!   Away ───────────────▶ Arriving ───────▶ Standing ◀────────────────▶ Working
//!    ▲                       │                 │ a step that logs in anew
//!    └── Gone, any state ────┘                 ▼
//!    ▲                                      Leaving ──▶ (Gone) ──▶ Arriving or Away
//! ```
//!
//! What the run itself goes through stands in [`stage`].

mod pulse;
mod stage;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use stage::Stage;

use super::judge::{self, Files, Verdict};
use super::options::Options;
use super::plan::Plan;
use super::scenario::Act;
use super::tally::{Phase, Tally};
use super::track::Track;
use crate::reactor::{Key, Moment};
use crate::user::guard::{Creed, Guard, Trust};
use crate::user::mail::{Answer, Death, Protection, Ticket, Wish};
use crate::user::pi::{Guise, Login};
use crate::user::profile::Profile;
use crate::user::{Client, Event, Terms};

/// A session that failed comes again after this: at once would measure nothing but failures.
const BACK_OFF: Duration = Duration::from_millis(200);

/// The finest step of the plan: more wakings a second would be work for nothing.
const PLAN_STEP: Duration = Duration::from_micros(50);

/// Sessions begun in one go before the loop looks at its sockets again.
const BEGUN_AT_ONCE: usize = 1024;

/// The wish that an operation is; what else is asked has other tickets.
pub const OPERATION: Ticket = Ticket(1);

/// One client.
#[derive(Debug)]
struct User {
    key: Option<Key>,
    state: State,
    /// Whether it has stood or failed once.
    settled: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// No session.
    Away,
    /// Connecting and logging in.
    Arriving(Track),
    /// Logged in, with nothing to do.
    Standing,
    /// An operation is under way.
    Working(Track),
    /// QUIT is out; a login follows for the operation, if there is one.
    Leaving(Option<(usize, Moment)>),
}

/// All of them.
pub struct Crowd<'a> {
    options: &'a Options,
    first: usize,
    client: Client,
    addresses: Vec<SocketAddr>,
    login: Login,
    profile: Rc<RefCell<Profile>>,
    guard: Guard,
    users: Vec<User>,
    by_key: HashMap<Key, usize>,
    /// Who waits for the plan, the longest waiting first.
    free: VecDeque<usize>,
    timers: BinaryHeap<Reverse<(Moment, usize)>>,
    stage: Stage,
    plan: Option<Plan>,
    /// What the precise timer is set to.
    armed: Option<Moment>,
    tally: Tally,
    files: Files,
    random: u64,
    settled: usize,
    /// Operations under way.
    busy: usize,
}

impl<'a> Crowd<'a> {
    /// The sessions of a part; none has begun.
    ///
    /// # Errors
    /// For a person.
    pub fn new(options: &'a Options, addresses: Vec<SocketAddr>, part: usize) -> Result<Self, String> {
        let terms = Terms { timeout: options.timeout, active: false, rate: None, tell_replies: false };
        let mut client = Client::new(terms).map_err(|error| error.to_string())?;
        client.tell_marks();
        client.watch_signals().map_err(|error| error.to_string())?;
        let (first, count) = options.share(part);
        let login = match &options.target.user {
            Some(user) => Login {
                user: user.clone(),
                password: options.target.password.clone().unwrap_or_default(),
                account: None,
            },
            None => Login::anonymous(),
        };
        Ok(Self {
            options,
            first,
            client,
            addresses,
            login,
            profile: Rc::default(),
            guard: guard(options),
            users: (0..count).map(|_| User { key: None, state: State::Away, settled: false }).collect(),
            by_key: HashMap::new(),
            free: VecDeque::new(),
            timers: BinaryHeap::new(),
            stage: Stage::Gathering,
            plan: None,
            armed: None,
            tally: Tally::new()?,
            files: Files::new(options),
            random: 0x9e37_79b9_7f4a_7c15 ^ (part as u64 + 1),
            settled: 0,
            busy: 0,
        })
    }

    fn clock(&self) -> Moment {
        self.client.clock().now()
    }

    fn step(&mut self) -> Result<(), String> {
        self.arm()?;
        let event = self.client.next_event().map_err(|error| error.to_string())?;
        self.feel_pulse();
        self.handle(event);
        while let Some(event) = self.client.pending_event() {
            self.handle(event);
        }
        self.turn_page();
        Ok(())
    }

    fn feel_pulse(&mut self) {
        let now = self.clock();
        if let Stage::Measuring { pulse, .. } = &mut self.stage {
            std::iter::from_fn(|| pulse.take(now)).for_each(|late| self.tally.lagged(late));
        }
    }

    /// Has the loop woken for the next thing that is due.
    fn arm(&mut self) -> Result<(), String> {
        let timer = self.timers.peek().map(|Reverse((when, _))| *when);
        let end = match self.stage {
            Stage::Measuring { until, .. } | Stage::Ending { until } => Some(until),
            Stage::Gathering | Stage::Over => None,
        };
        self.client.wake_at([timer, end].into_iter().flatten().min());
        let beat = match self.stage {
            Stage::Measuring { pulse, .. } => Some(pulse.due()),
            _ => None,
        };
        let planned = self.plan.as_ref().filter(|_| !self.free.is_empty()).and_then(Plan::next);
        let planned = planned.map(|next| next.max(self.client.now().after(PLAN_STEP)));
        let next = [beat, planned].into_iter().flatten().min();
        match next {
            Some(when) if next != self.armed => {
                self.armed = next;
                self.client.wake_precisely(when).map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Passed(key, mark, at) => {
                if let Some(user) = self.by_key.get(&key).and_then(|index| self.users.get_mut(*index))
                    && let State::Arriving(track) | State::Working(track) = &mut user.state
                {
                    track.note(mark, at, &mut self.tally);
                }
            }
            Event::Ready(key) => self.arrived(key),
            Event::Answered(key, ticket, answer) => self.answered(key, ticket, answer),
            Event::Gone(key, death) => self.gone(key, &death),
            Event::Woken => {
                self.armed = None;
                self.due();
            }
            Event::InTheClear(_) | Event::Heard(..) | Event::Helped(_) | Event::ChildEnded => {}
            Event::Interrupted => self.cut_short(),
        }
    }

    /// Timers that have come, and operations of the plan.
    fn due(&mut self) {
        let now = self.client.now();
        for _ in 0..BEGUN_AT_ONCE {
            match self.timers.peek() {
                Some(Reverse((when, _))) if *when <= now => {}
                _ => break,
            }
            let Some(Reverse((when, index))) = self.timers.pop() else { break };
            match self.users.get(index).map(|user| user.state) {
                Some(State::Away) if !self.options.scenario.only_logins() => self.connect(index, None, when),
                // A pause is no plan: what the poller's milliseconds add to it is nobody's latency.
                Some(State::Away | State::Standing) => self.begin(index, self.clock()),
                _ => {}
            }
        }
        self.follow_plan();
    }

    /// A user may take up an operation, closed loop after a pause, open loop when the plan has one.
    fn available(&mut self, index: usize, pause: Duration) {
        match self.stage {
            Stage::Measuring { .. } | Stage::Ending { .. } if self.options.scenario.stays() => {}
            Stage::Measuring { .. } | Stage::Ending { .. } if self.plan.is_some() => self.free.push_back(index),
            Stage::Measuring { .. } if pause.is_zero() => self.begin(index, self.clock()),
            Stage::Measuring { .. } => self.timers.push(Reverse((self.clock().after(pause), index))),
            Stage::Gathering | Stage::Ending { .. } | Stage::Over => {}
        }
    }

    fn follow_plan(&mut self) {
        let now = self.clock();
        while let Some(plan) = &mut self.plan {
            if self.free.is_empty() || plan.next().is_none_or(|next| next > now) {
                return;
            }
            if let (Some(planned), Some(index)) = (plan.take(), self.free.pop_front()) {
                self.begin(index, planned);
            }
        }
    }

    fn begin(&mut self, index: usize, planned: Moment) {
        if !matches!(self.stage, Stage::Measuring { .. }) && self.plan.is_none() {
            return;
        }
        let step = self.options.scenario.pick(self.random());
        let Some(act) = self.options.scenario.step(step).map(|step| &step.act) else { return };
        let Some(user) = self.users.get_mut(index) else { return };
        self.busy += 1;
        match (act, user.key) {
            (Act::Login, None) => self.connect(index, Some(step), planned),
            (Act::Login, Some(key)) => {
                user.state = State::Leaving(Some((step, planned)));
                self.client.wish(key, OPERATION, Wish::Quit);
            }
            (_, None) => self.busy -= 1,
            (act, Some(key)) => {
                user.state = State::Working(Track::asking(step, planned, self.client.clock().now()));
                for (ticket, wish) in self.files.wishes(act, self.first + index) {
                    self.client.wish(key, ticket, wish);
                }
            }
        }
    }

    fn connect(&mut self, index: usize, step: Option<usize>, planned: Moment) {
        let source = self.options.sources.map(|sources| sources.of(self.first + index));
        let guise = Guise { source, terse: true };
        let track = Track::arriving(step, planned, self.clock());
        let to = (self.addresses.clone(), self.login.clone(), Rc::clone(&self.profile));
        let key = self.client.connect_guarded(to, guise, self.guard.clone());
        self.by_key.insert(key, index);
        if let Some(user) = self.users.get_mut(index) {
            user.key = Some(key);
            user.state = State::Arriving(track);
        }
    }

    fn arrived(&mut self, key: Key) {
        let Some(index) = self.by_key.get(&key).copied() else { return };
        let Some(State::Arriving(track)) = self.users.get(index).map(|user| user.state) else { return };
        if track.step.is_some() {
            self.busy -= 1;
        }
        if track.step.is_some() || self.options.scenario.stays() {
            self.succeed(track, 0, 0);
        }
        if self.options.scenario.only_logins() {
            self.rest(index, State::Leaving(None));
            return self.client.wish(key, OPERATION, Wish::Quit);
        }
        self.rest(index, State::Standing);
        self.available(index, self.pause(track.step));
    }

    fn answered(&mut self, key: Key, ticket: Ticket, answer: Answer) {
        let Some(index) = self.by_key.get(&key).copied() else { return };
        let Some(State::Working(track)) = self.users.get(index).map(|user| user.state) else { return };
        let act = track.step.and_then(|step| self.options.scenario.step(step)).map(|step| &step.act);
        let Some(act) = act else { return };
        if ticket != OPERATION {
            return self.files.learn(act, &answer);
        }
        match self.files.judge(act, answer) {
            Verdict::Good { bytes, looked } => self.succeed(track, bytes, looked),
            Verdict::Bad { class, said } => self.tally.failed(class, said),
            Verdict::Dead => return, // the session's end says why
        }
        self.busy -= 1;
        self.rest(index, State::Standing);
        self.available(index, self.pause(track.step));
    }

    fn gone(&mut self, key: Key, death: &Death) {
        let Some(index) = self.by_key.remove(&key) else { return };
        let Some(state) = self.users.get(index).map(|user| user.state) else { return };
        let working = match state {
            State::Leaving(Some((step, planned))) => return self.connect(index, Some(step), planned),
            State::Leaving(None) => {
                self.rest(index, State::Away);
                return self.available(index, self.pause(Some(0)));
            }
            State::Arriving(track) => track.step.is_some(),
            State::Working(_) => true,
            State::Standing | State::Away => false,
        };
        self.busy -= usize::from(working);
        let (class, said) = match state {
            State::Arriving(track) => judge::arrival(&track, death),
            State::Working(track) => judge::death(Some(&track), death),
            _ => judge::death(None, death),
        };
        self.tally.failed(class, said);
        self.rest(index, State::Away);
        self.come_back(index);
    }

    /// After a failure.
    fn come_back(&mut self, index: usize) {
        if self.plan.is_some() && self.options.scenario.only_logins() {
            self.free.push_back(index);
        } else if matches!(self.stage, Stage::Gathering | Stage::Measuring { .. }) {
            self.timers.push(Reverse((self.clock().after(BACK_OFF), index)));
        }
    }

    /// A state in which nothing is under way.
    fn rest(&mut self, index: usize, state: State) {
        let Some(user) = self.users.get_mut(index) else { return };
        user.state = state;
        if matches!(state, State::Away) {
            user.key = None;
        }
        if !user.settled {
            user.settled = true;
            self.settled += 1;
        }
    }

    fn succeed(&mut self, track: Track, bytes: u64, looked: u64) {
        // What a closed loop ends after the measurement was not done within it; what was planned within it counts.
        if matches!(self.stage, Stage::Ending { .. }) && self.plan.is_none() {
            return;
        }
        self.tally.operations += 1;
        self.tally.bytes += bytes;
        self.tally.looked += looked;
        self.tally.passed(Phase::Operation, self.clock().since(track.planned));
    }

    fn pause(&self, step: Option<usize>) -> Duration {
        let own = step.and_then(|step| self.options.scenario.step(step)).and_then(|step| step.think);
        own.unwrap_or(self.options.think)
    }

    /// xorshift64: the same steps in every run.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 1
    }
}

/// A load test is no place to find out who somebody is: any certificate will do.
fn guard(options: &Options) -> Guard {
    let creed = Creed { anything: true, ..Creed::default() };
    let trust = (options.protection != Protection::Off).then(|| Rc::new(Trust::new(creed)));
    Guard { protection: options.protection, host: options.target.host.clone(), trust }
}
