//! The whole Server-PI: a peer in memory on one side, a recorder in place of the file system on the other.
//!
//! No panic; no name that leads out of the root (the recorder sees to that); one final reply a command, in order, and
//! 150 before it where there is a transfer; nothing after the last word; nobody logs in and nothing is transferred in the
//! clear where that is forbidden; memory stays flat.
//!
//! The input is a dialogue as a person would write it down: each line goes to the control connection, but for those that
//! begin with `!`, which are what happens elsewhere (see `Play::event`). So real dialogues are seeds.

#![no_main]

#[path = "../keys.rs"]
mod keys;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use miniftp::filesystem::kernel::{self, ROOT};
use miniftp::filesystem::{Links, Policy, Rights, Rules, Uploads};
use miniftp::reactor::Clock;
use miniftp::server::pi::state::State;
use miniftp::server::pi::{Certificate, Input, Output, Patience, Session, Stage, Verdict};
use miniftp::server::realm::{GUEST, Realm};
use miniftp::server::settings::{Identity, Require, Settings, TlsSettings};
use miniftp::server::tls::{Keyring, self_signed};
use miniftp::server::world::World;
use miniftp::transfer::{Fault, Flow, Job, Order, Protection, Report, Scan, Scratch, Sight};
use miniftp::wire::address::may_dial;
use miniftp::wire::command::{Verb, split};
use miniftp::wire::line::{Line, LineReader};
use miniftp::wire::reply::ReplyReader;
use rustix::io::Errno;

/// As the control record has them.
const HELD_LINES: usize = 32;
const HELD_BYTES: usize = 16 * 1024;

/// Pieces of a transfer that are moved at most: the recorder's files are small.
const PIECES: usize = 64;

fuzz_target!(|script: &[u8]| {
    kernel::reset();
    let mut play = Play::new(script.first().copied().unwrap_or_default());
    match script.strip_prefix(b"!i") {
        Some([choice, ..]) => play.begin_covered(*choice),
        _ => play.handle(Input::Hello, 1),
    }
    for line in script.split_inclusive(|octet| *octet == b'\n') {
        match line {
            [b'!', event, rest @ ..] => play.event(*event, rest.strip_suffix(b"\n").unwrap_or(rest)),
            _ => play.hear(line),
        }
        play.go_on();
    }
    play.rest();
});

struct Play {
    session: Session,
    world: World,
    lines: LineReader,
    replies: ReplyReader,
    /// Final replies that are due.
    owed: u32,
    /// Preliminary ones since the last command.
    opened: u32,
    over: bool,
    no_port: bool,
    checking: bool,
    job: Option<Job>,
    scan: Option<Box<Scan>>,
    wire: Wire,
    /// Whether the way into TLS and out of it takes time: `!h` and `!f` tell how it ends.
    slow: bool,
    gone: bool,
    /// There was TLS once, so that there are keys for data connections.
    keyed: bool,
}

fn keyring() -> Rc<Keyring> {
    thread_local! {
        static RING: Rc<Keyring> = {
            let settings = keys::settings(self_signed().expect("a certificate"));
            Rc::new(Keyring::new(&settings).expect("a keyring"))
        };
    }
    RING.with(Rc::clone)
}

/// What the octets of the control connection are in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Clear,
    Securing,
    Private,
    Baring,
}

impl Play {
    fn new(choice: u8) -> Self {
        let bit = |number: u8| choice >> number & 1 == 1;
        let policy = Rc::new(Policy {
            uploads: if bit(0) { Uploads::Atomic } else { Uploads::Direct },
            links: [Links::Inside, Links::Rooted, Links::Never, Links::Inside][usize::from(choice >> 1 & 3)],
            recursive: bit(3),
            ..Policy::default()
        });
        let realm = |name: &str, rules: Rules| {
            let mut realm = Realm::new(name, PathBuf::from(ROOT), rules);
            realm.policy = Rc::clone(&policy);
            Rc::new(realm)
        };
        let guarded = Rules::new(Rights::FULL, [("/d", Rights::READ)]).expect("rules");
        let world = World {
            anonymous: Some(realm(GUEST, Rules::uniform(Rights::FULL))),
            accounts: HashMap::from([("ann".into(), realm("ann", guarded))]),
            doors: vec![2121],
            ..World::empty(Settings::default())
        };
        let host = if bit(4) { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        Self {
            session: Session::new(SocketAddr::new(host, 40_000), host),
            world,
            lines: LineReader::new(),
            replies: ReplyReader::new(),
            owed: 0,
            opened: 0,
            over: false,
            no_port: false,
            checking: false,
            job: None,
            scan: None,
            wire: Wire::Clear,
            slow: false,
            gone: false,
            keyed: false,
        }
    }

    /// TLS comes before the greeting.
    fn begin_covered(&mut self, choice: u8) {
        self.configure_tls(choice | 1);
        let session = Session::new(self.session.peer(), self.session.local());
        self.session = session.covered();
        self.owed = 1;
        self.wire = Wire::Securing;
        self.changed(true, None);
    }

    /// What a reload may do at any time: with TLS or without, and with which rules.
    fn configure_tls(&mut self, choice: u8) {
        let bit = |number: u8| choice >> number & 1 == 1;
        let tls = TlsSettings {
            require: [Require::None, Require::Login, Require::Data, Require::None][usize::from(choice >> 1 & 3)],
            client_login: bit(3),
            ccc: bit(4),
            strict_close: bit(5),
            // Sessions do not look at it; the handshake, which does, is `tls.rs`'s.
            ..keys::settings(Identity { chain: Vec::new(), key: Vec::new() })
        };
        let mut settings = Settings::clone(&self.world.settings);
        settings.tls = bit(0).then_some(tls);
        self.world.settings = Rc::new(settings);
        // Without one AUTH is answered 431.
        self.world.keyring = (bit(0) && !bit(7)).then(keyring);
    }

    fn required(&self) -> Require {
        self.world.settings.tls.as_ref().map_or(Require::None, |tls| tls.require)
    }

    /// The way into TLS or out of it has come to its end, as far as the session hears of it.
    fn changed(&mut self, well: bool, certificate: Option<&[u8]>) {
        let input = match self.wire {
            Wire::Clear | Wire::Private => return,
            // Nothing can be said between the clear and TLS.
            _ if !well => return self.vanish(),
            Wire::Securing => {
                (self.wire, self.keyed) = (Wire::Private, true);
                Input::Secured(certificate.map(|der| Box::new(Certificate(der.to_vec()))))
            }
            Wire::Baring => {
                self.wire = Wire::Clear;
                Input::Bared
            }
        };
        self.handle(input, 0);
    }

    /// The record is closed without a word: nothing reaches the session any more.
    const fn vanish(&mut self) {
        (self.over, self.gone) = (true, true);
    }

    const fn is_changing(&self) -> bool {
        matches!(self.wire, Wire::Securing | Wire::Baring)
    }

    /// Octets of the control connection, as long as there is room.
    fn hear(&mut self, octets: &[u8]) {
        // Meanwhile they are the handshake's, or noise before the peer's close_notify.
        if !self.is_changing() && self.lines.waiting() < HELD_LINES && self.lines.bytes() < HELD_BYTES {
            self.lines.feed(octets, &mut Vec::new());
        }
    }

    /// What happens elsewhere.
    fn event(&mut self, event: u8, rest: &[u8]) {
        match event {
            _ if self.gone => {}
            b'k' => self.configure_tls(rest.first().copied().unwrap_or_default()),
            b'g' => self.slow ^= true,
            b'h' => self.changed(true, (!rest.is_empty()).then_some(rest)),
            b'f' => self.changed(false, None),
            // As the control record has it: it closes without a word, or is deaf.
            b'b' | b'D' | b'S' | b'x' if self.is_changing() => self.vanish(),
            _ if self.is_changing() => {}
            b'd' => self.transferred(rest),
            b'e' => self.failed(rest.first().copied().unwrap_or_default()),
            b's' => self.scanned(),
            b'r' => self.verdict(Verdict::Right),
            b'w' => self.verdict(Verdict::Wrong),
            b'l' => self.verdict(Verdict::Lost),
            b'c' => self.verdict(Verdict::Crowded),
            b'n' => self.no_port ^= true,
            b'p' if self.job.is_none() => self.handle(Input::Report(Report::Lapsed), 0),
            b'x' => self.expired(),
            b't' if self.session.state().takes_lines() => self.handle(Input::Dripping, 1),
            b'b' => {
                let stays = self.over || matches!(self.session.state(), State::Member(_));
                self.handle(Input::Banned, u32::from(!stays));
            }
            b'D' => {
                self.world.draining = true;
                let busy = self.session.state().transferring() || self.over;
                self.handle(Input::Drain, u32::from(!busy));
            }
            b'S' => self.handle(Input::Stop, u32::from(!self.over)),
            _ => {}
        }
    }

    /// Lines are taken as the control record takes them.
    fn go_on(&mut self) {
        loop {
            self.look_ahead();
            if self.over || !self.session.state().takes_lines() {
                return;
            }
            self.rest();
            let Some(line) = self.lines.next() else { return };
            self.opened = 0;
            let (input, owes) = match line {
                Line::Text(text) => (Input::Line(text), 1),
                Line::TooLong => (Input::TooLong, 1),
                Line::Endless => (Input::Endless, 2),
            };
            self.handle(input, owes);
            let transferring = self.session.state().transferring();
            assert_eq!(self.opened, u32::from(transferring), "150 and transfer");
        }
    }

    fn look_ahead(&mut self) {
        let verb = |line: &[u8]| split(line).ok().map(|(rule, argument)| (rule.verb, argument.trim_ascii().is_empty()));
        while self.session.state().transferring()
            && self.lines.take_first(|line| verb(line) == Some((Verb::Stat, true))).is_some()
        {
            self.handle(Input::Inquire, 1);
        }
        if self.session.interruptible() && self.lines.any(|line| matches!(verb(line), Some((Verb::Abor, _)))) {
            self.handle(Input::Interrupt, 0);
        }
    }

    /// Between commands nothing is owed, and no reply is half said.
    fn rest(&self) {
        if !self.over && self.session.state().takes_lines() {
            assert_eq!(self.owed, 0, "unanswered, in {}", self.session.state());
            assert!(!self.replies.partial(), "half a reply");
        }
    }

    /// Everything that happens to the session comes through here. `owes`: final replies that are due for it.
    fn handle(&mut self, input: Input, owes: u32) {
        self.owed += owes;
        let mut out = Vec::new();
        let (spoken, outside) = (matches!(input, Input::Line(_)), self.session.user().is_none());
        self.session.handle(input, &mut Stage { world: &self.world, out: &mut out });
        self.session.patience(&self.world);
        let exposed = self.wire == Wire::Clear && self.required() != Require::None;
        assert!(!(spoken && outside && exposed && self.session.user().is_some()), "a login in the clear");
        let mut orders = Vec::new();
        for wish in out {
            assert!(!self.over, "a word after the last: {wish:?}");
            match wish {
                Output::Reply(reply) => {
                    let mut octets = Vec::new();
                    reply.encode(&mut octets);
                    self.said(&octets);
                }
                Output::Order(order) => orders.push(order),
                Output::Check { .. } => {
                    assert!(!exposed, "a password in the clear");
                    self.checking = true;
                }
                Output::Record(_) | Output::Guessed(_) => {}
                Output::Secure(_) => {
                    assert!(self.wire == Wire::Clear, "TLS in TLS");
                    self.wire = Wire::Securing;
                    self.lines.clear();
                }
                Output::Bare => {
                    assert!(self.wire == Wire::Private, "out of nothing");
                    self.wire = Wire::Baring;
                    self.lines.clear();
                }
                Output::HangUp => {
                    self.over = true;
                    assert!(!self.replies.partial(), "left with half a reply");
                }
            }
        }
        orders.into_iter().for_each(|order| self.order(order));
        if !self.slow {
            self.changed(true, None);
        }
    }

    /// What a client makes of the octets.
    fn said(&mut self, octets: &[u8]) {
        self.replies.feed(octets, &mut Vec::new());
        let replies: Vec<_> = self.replies.by_ref().collect();
        for reply in replies {
            let reply = reply.expect("a reply within a client's limits");
            match reply.code {
                100..200 => self.opened += 1,
                200..600 => self.owed = self.owed.checked_sub(1).unwrap_or_else(|| panic!("unasked: {reply:?}")),
                code => panic!("{code} is no code"),
            }
        }
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Promise(_) => {
                let port = SocketAddr::new(self.session.local(), 50_000);
                let report = if self.no_port { Report::NoPort } else { Report::Promised(port) };
                self.handle(Input::Report(report), 0);
            }
            Order::Begin(job, address, protection) => {
                let private = protection == Protection::Private;
                assert!(private || self.required() != Require::Data, "a transfer in the clear");
                assert!(!private || self.keyed, "protected without keys");
                let peer = self.session.peer().ip();
                assert!(address.is_none_or(|address| may_dial(address, peer)), "dials {address:?}");
                assert!(self.job.is_none(), "two jobs");
                self.job = Some(job);
            }
            Order::Scan(scan) => self.scan = Some(scan),
            Order::Abort => {
                self.scan = None;
                if self.job.take().is_some() {
                    self.done(0, Err(Fault::Aborted));
                }
            }
            Order::Forget => (self.job, self.scan) = (None, None),
            Order::Inquire => self.handle(Input::Report(Report::Progress { moved: 1, total: None }), 0),
        }
    }

    fn done(&mut self, moved: u64, result: Result<(), Fault>) {
        // Its own final reply is owed to the command; a server that ends says good-bye behind it.
        let leaves = self.world.draining && self.session.state().transferring();
        let elapsed = Duration::from_millis(1);
        self.handle(Input::Report(Report::Done { moved, elapsed, result }), u32::from(leaves));
    }

    /// The job is done for real, with `data` for an upload.
    fn transferred(&mut self, data: &[u8]) {
        let Some(job) = self.job.take() else { return };
        let result = match job.flow {
            Flow::Send(mut sender) => {
                let mut sent = Vec::new();
                let mut more = |sent: &mut Vec<u8>| sender.piece(sent);
                std::iter::repeat_n((), PIECES).map(|()| more(&mut sent)).find(|more| *more != Ok(true))
            }
            Flow::Receive(mut receiver) => {
                let sink = receiver.sink();
                let mut result = sink.write(data).map(|()| true);
                for _ in 0..PIECES {
                    result = result.and_then(|_| sink.work_off().map(|cost| cost > 0));
                    if result != Ok(true) {
                        break;
                    }
                }
                Some(result.and_then(|_| sink.finish()).map(|()| false))
            }
        };
        let result = result.unwrap_or(Ok(false)).map(|_| ());
        self.done(data.len() as u64, result);
    }

    fn failed(&mut self, which: u8) {
        let faults = [
            Fault::NeverConnected,
            Fault::Lost(std::io::ErrorKind::ConnectionReset),
            Fault::Stalled,
            Fault::Noise,
            Fault::Truncated,
            Fault::Local(Errno::IO),
            Fault::DiskFull,
            Fault::OverQuota,
            Fault::Damaged,
        ];
        if self.job.take().is_some() {
            self.done(0, Err(faults[usize::from(which) % faults.len()]));
        }
    }

    fn scanned(&mut self) {
        let Some(mut scan) = self.scan.take() else { return };
        let (mut scratch, now) = (Scratch::default(), Clock::start().now());
        let found = loop {
            match scan.turn(&mut scratch, now) {
                Ok(Sight::More | Sight::Wait(_)) => {}
                Ok(Sight::Found(found)) => break Ok(found),
                Err(fault) => break Err(fault),
            }
        };
        self.handle(Input::Report(Report::Scanned(found)), 0);
    }

    fn verdict(&mut self, verdict: Verdict) {
        if std::mem::take(&mut self.checking) {
            self.handle(Input::Verdict(verdict), 0);
        }
    }

    /// A deadline passes, if there is one.
    fn expired(&mut self) {
        if matches!(self.session.patience(&self.world), Patience::Endless) {
            return;
        }
        let leaves = self.session.state().takes_lines();
        let penalised = matches!(self.session.state(), State::Penalised);
        self.handle(Input::Expired, u32::from(leaves && !penalised));
    }
}
