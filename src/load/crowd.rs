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
//! The run itself has three parts: sessions gather; operations are measured; what is under way at the end is waited for, a
//! bounded while, since only then is it known whether a server owes a 226.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::judge::{self, Files, Verdict};
use super::observe;
use super::options::Options;
use super::plan::Plan;
use super::scenario::Act;
use super::tally::{self, Phase, Tally};
use super::track::Track;
use crate::reactor::{Key, Moment};
use crate::user::guard::{Creed, Guard, Trust};
use crate::user::mail::{Answer, Death, Protection, Ticket, Wish};
use crate::user::pi::{Guise, Login};
use crate::user::profile::Profile;
use crate::user::{Client, Event, Terms};

/// A session that failed comes again after this: at once would measure nothing but failures.
const BACK_OFF: Duration = Duration::from_millis(200);

/// How long what is under way at the end is waited for.
const GRACE: Duration = Duration::from_secs(5);

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

/// Which part of the run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Gathering,
    Measuring { until: Moment },
    Ending { until: Moment },
    Over,
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
            tally: Tally::new()?,
            files: Files::new(options),
            random: 0x9e37_79b9_7f4a_7c15 ^ (part as u64 + 1),
            settled: 0,
            busy: 0,
        })
    }

    /// Lets the sessions begin, until each of them stands or has failed.
    ///
    /// # Errors
    /// When the loop itself fails.
    pub fn gather(&mut self) -> Result<(), String> {
        if self.options.scenario.only_logins() {
            return Ok(());
        }
        self.line_up();
        while self.settled < self.users.len() {
            self.step()?;
            if self.stage == Stage::Over {
                return Err("interrupted before all sessions stood".into());
            }
        }
        Ok(())
    }

    /// Measures, waits for what is under way at the end, and gives the counts. `at_the_end` is called between the two,
    /// while the sessions still stand.
    ///
    /// # Errors
    /// When the loop itself fails.
    pub fn measure(mut self, at_the_end: impl FnOnce()) -> Result<Tally, String> {
        let began = self.clock();
        let cpu = observe::own_cpu();
        self.tally.forget_lag();
        self.tally.standing = self.users.iter().filter(|user| matches!(user.state, State::Standing)).count() as u64;
        let until = began.after(self.options.duration);
        self.plan = self.options.rate.map(|rate| Plan::new(began, rate / self.options.processes as f64, until));
        self.stage = Stage::Measuring { until };
        self.set_to_work();
        while matches!(self.stage, Stage::Measuring { .. }) {
            self.step()?;
        }
        self.tally.seconds = self.clock().since(began).as_secs_f64();
        self.tally.cpu = observe::own_cpu() - cpu;
        at_the_end();
        self.leave_what_flows();
        while self.stage != Stage::Over {
            self.step()?;
        }
        Ok(self.tally)
    }

    /// First operations: at once, or over the ramp where each is a session of its own.
    fn set_to_work(&mut self) {
        if self.options.scenario.only_logins() && self.plan.is_none() && !self.options.ramp.is_zero() {
            return self.line_up();
        }
        for index in 0..self.users.len() {
            if matches!(self.users.get(index), Some(User { state: State::Standing | State::Away, .. })) {
                self.available(index, Duration::ZERO);
            }
        }
    }

    fn line_up(&mut self) {
        let (now, all) = (self.clock(), self.users.len().max(1));
        for index in 0..self.users.len() {
            let after = self.options.ramp.mul_f64(index as f64 / all as f64);
            self.timers.push(Reverse((now.after(after), index)));
        }
    }

    fn clock(&self) -> Moment {
        self.client.clock().now()
    }

    fn step(&mut self) -> Result<(), String> {
        self.arm()?;
        let event = self.client.next_event().map_err(|error| error.to_string())?;
        let late = self.clock().since(self.client.now());
        self.tally.lagged(late);
        self.handle(event);
        while let Some(event) = self.client.pending_event() {
            self.handle(event);
        }
        self.turn_page();
        Ok(())
    }

    /// Has the loop woken for the next thing that is due.
    fn arm(&mut self) -> Result<(), String> {
        let timer = self.timers.peek().map(|Reverse((when, _))| *when);
        let end = match self.stage {
            Stage::Measuring { until } | Stage::Ending { until } => Some(until),
            Stage::Gathering | Stage::Over => None,
        };
        self.client.wake_at([timer, end].into_iter().flatten().min());
        let Some(plan) = &self.plan else { return Ok(()) };
        match plan.next() {
            Some(next) if !self.free.is_empty() => {
                let soon = self.client.now().after(PLAN_STEP);
                self.client.wake_precisely(next.max(soon)).map_err(|error| error.to_string())
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
            Event::Woken => self.due(),
            Event::InTheClear(_) | Event::Heard(..) | Event::Helped(_) => {}
            Event::Interrupted => self.cut_short(),
        }
    }

    /// Ctrl-C ends the measurement early, with its report; a second one does not wait for what is under way.
    fn cut_short(&mut self) {
        match self.stage {
            Stage::Gathering => self.stage = Stage::Over,
            Stage::Measuring { .. } => {
                if let Some(plan) = &mut self.plan {
                    plan.cut();
                }
                self.end(self.clock());
            }
            Stage::Ending { .. } => self.close(),
            Stage::Over => {}
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
                Some(State::Away | State::Standing) => self.begin(index, when),
                _ => {}
            }
        }
        self.follow_plan();
    }

    /// From one part of the run to the next.
    fn turn_page(&mut self) {
        self.follow_plan();
        let now = self.clock();
        match self.stage {
            Stage::Measuring { until } if now >= until => self.end(now),
            Stage::Ending { until } => {
                let over = self.busy == 0 && self.plan.as_ref().is_none_or(|plan| plan.left() == 0);
                if over || now >= until {
                    self.close();
                }
            }
            _ => {}
        }
    }

    /// The measurement is over; what is under way is waited for, except what [`leave_what_flows`](Self::leave_what_flows) leaves.
    fn end(&mut self, now: Moment) {
        self.stage = Stage::Ending { until: now.after(GRACE.min(self.options.timeout)) };
    }

    /// Data that flows has been measured as far as it came. Only after the look at the server: a process of its that ends
    /// takes its CPU time along.
    fn leave_what_flows(&mut self) {
        for index in 0..self.users.len() {
            let Some(user) = self.users.get(index) else { continue };
            let (Some(key), State::Working(track)) = (user.key, user.state) else { continue };
            if track.flows() {
                self.tally.bytes += self.client.progress(key).iter().map(|(_, bytes)| bytes).sum::<u64>();
                self.by_key.remove(&key);
                self.client.drop_session(key, &Death::Left);
                self.rest(index, State::Away);
                self.busy -= 1;
            }
        }
    }

    /// Nothing more is waited for: what has not come is missing.
    fn close(&mut self) {
        self.stage = Stage::Over;
        for user in &self.users {
            let (class, said) = match user.state {
                State::Working(track) if track.waits_for_226() => (tally::MISSING, "no reply after the data"),
                State::Working(_) => (tally::TIMED_OUT, "no reply before the end"),
                State::Arriving(track) if track.step.is_some() => (tally::TIMED_OUT, "no login before the end"),
                State::Leaving(Some(_)) => (tally::TIMED_OUT, "no reply to QUIT before the end"),
                _ => continue,
            };
            self.tally.failed(class, said.into());
        }
        for _ in 0..self.plan.as_ref().map_or(0, Plan::left) {
            self.tally.failed(tally::NOT_BEGUN, "no session was free".into());
        }
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
