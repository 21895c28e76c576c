//! The Server-PI and the User-PI against each other, in memory, under a clock of the test's own.
//!
//! ```text
//!   User-PI ── Command ──▶ so long underway ──▶ Server-PI       data connections are three deliveries: the client
//!           ◀── Reply ──── so long underway ◀──                 is up, the server has it, the last byte is there
//! ```
//!
//! No socket, no thread, no sleep: what takes minutes on a long path takes none here, and comes out the same each time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use miniftp::filesystem::{Rights, Rules};
use miniftp::server::pi as server;
use miniftp::server::realm::{GUEST, Realm};
use miniftp::server::settings::Settings;
use miniftp::server::world::World;
use miniftp::transfer::{Fault, Flow, Report};
use miniftp::user::mail::{Answer, Death, News, Order, Protection, Ticket, Transfer, Wish};
use miniftp::user::pi::{self as user, Guise, Login, Manners};
use miniftp::user::profile::Profile;
use miniftp::user::pump::{Intake, Outlet, Pump, Snag};
use miniftp::wire::command::Verb;
use miniftp::wire::reply::ReplyReader;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// One way.
const UNDERWAY: Duration = Duration::from_millis(10);
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Deliveries of one test at most: two machines that answer each other without end are a failure, not a hang.
const DELIVERIES: usize = 100_000;

enum Parcel {
    ToServer(Vec<u8>),
    ToUser(Vec<u8>),
    /// The client's data connection is there.
    Up(Ticket),
    /// The server has it too.
    Arrived,
    /// The last byte has come.
    Received(Ticket),
    /// The last byte of an upload has come.
    Sent(u64),
    HungUp,
}

struct Pair {
    now: Duration,
    parcels: BTreeMap<(Duration, usize), Parcel>,
    count: usize,
    session: server::Session,
    world: World,
    /// Lines that wait for the end of a transfer.
    lines: VecDeque<Vec<u8>>,
    /// The server's job, and how many bytes it will send; `None` for an upload.
    job: Option<Option<u64>>,
    arrived: bool,
    uploaded: Option<u64>,
    user: user::Session,
    replies: ReplyReader,
    profile: Profile,
    pumps: HashMap<Ticket, (Pump, u64)>,
    answers: Vec<(Ticket, String)>,
    said: Vec<String>,
    home: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for number in 0..40 {
            std::fs::write(home.path().join(format!("f{number}")), vec![b'x'; 100 + number]).unwrap();
        }
        let rules = Rules::uniform(Rights::parse("full").unwrap());
        let world = World {
            anonymous: Some(Rc::new(Realm::new(GUEST, home.path().to_owned(), rules))),
            ..World::empty(Settings::default())
        };
        let manners = Manners {
            timeout: Duration::from_secs(60),
            active: false,
            protection: Protection::Off,
            guise: Guise::default(),
        };
        let mut pair = Self {
            now: Duration::ZERO,
            parcels: BTreeMap::new(),
            count: 0,
            session: server::Session::new(SocketAddr::new(HERE, 40_000), HERE),
            world,
            lines: VecDeque::new(),
            job: None,
            arrived: false,
            uploaded: None,
            user: user::Session::new(Login::anonymous(), manners, SocketAddr::new(HERE, 21), HERE),
            replies: ReplyReader::new(),
            profile: Profile::default(),
            pumps: HashMap::new(),
            answers: Vec::new(),
            said: Vec::new(),
            home,
        };
        pair.serve(server::Input::Hello);
        pair.run();
        assert!(pair.user.idle(), "logged in: {:?} {:?}", pair.said, pair.user.state());
        pair
    }

    fn send(&mut self, after: Duration, parcel: Parcel) {
        self.count += 1;
        self.parcels.insert((self.now + after, self.count), parcel);
    }

    /// Delivers until nothing is underway.
    fn run(&mut self) {
        while let Some(((when, _), parcel)) = self.parcels.pop_first() {
            assert!(self.count < DELIVERIES, "no end in sight: {:?}", self.said);
            self.now = when;
            self.deliver(parcel);
        }
    }

    fn deliver(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::ToServer(line) => {
                let interrupt = line == b"ABOR" && !self.session.state().takes_lines();
                self.lines.push_back(line);
                if interrupt {
                    self.serve(server::Input::Interrupt);
                }
                self.take_lines();
            }
            Parcel::ToUser(bytes) => {
                self.replies.feed(&bytes, &mut Vec::new());
                while let Some(reply) = self.replies.next() {
                    self.tell(user::Input::Reply(reply.unwrap()));
                }
            }
            Parcel::Up(ticket) if self.pumps.contains_key(&ticket) => {
                self.send(UNDERWAY, Parcel::Arrived);
                self.tell(user::Input::News(ticket, News::Up));
            }
            Parcel::Arrived => {
                self.arrived = true;
                self.pump();
            }
            Parcel::Received(ticket) => self.finish(ticket, Ok(())),
            Parcel::Sent(bytes) => {
                self.uploaded = Some(bytes);
                self.pump();
            }
            Parcel::HungUp => self.tell(user::Input::Gone(Death::Closed)),
            Parcel::Up(_) => {}
        }
    }

    fn take_lines(&mut self) {
        while self.session.state().takes_lines()
            && let Some(line) = self.lines.pop_front()
        {
            self.serve(server::Input::Line(line));
        }
    }

    /// The server's data connection does what it can.
    fn pump(&mut self) {
        let moved = match (self.job, self.arrived, self.uploaded) {
            (Some(Some(total)), true, _) => {
                let tickets: Vec<Ticket> = self.pumps.keys().copied().collect();
                let Some(first) = tickets.into_iter().min() else {
                    // Whom it was for has gone.
                    return self.over(Err(Fault::Lost(std::io::ErrorKind::BrokenPipe)), 0);
                };
                self.pumps.get_mut(&first).unwrap().1 = total;
                self.send(UNDERWAY, Parcel::Received(first));
                total
            }
            (Some(None), true, Some(bytes)) => bytes,
            _ => return,
        };
        self.over(Ok(()), moved);
    }

    fn over(&mut self, result: Result<(), Fault>, moved: u64) {
        (self.job, self.arrived, self.uploaded) = (None, false, None);
        self.serve(server::Input::Report(Report::Done { moved, elapsed: Duration::ZERO, result }));
        self.take_lines();
    }

    fn finish(&mut self, ticket: Ticket, result: Result<(), Snag>) {
        if let Some((pump, moved)) = self.pumps.remove(&ticket) {
            self.tell(user::Input::News(ticket, News::Done { pump, moved, elapsed: Duration::ZERO, result }));
        }
    }

    fn serve(&mut self, input: server::Input) {
        let mut out = Vec::new();
        self.session.handle(input, &mut server::Stage { world: &self.world, out: &mut out });
        for wish in out {
            match wish {
                server::Output::Reply(reply) => {
                    let mut bytes = Vec::new();
                    reply.encode(&mut bytes);
                    self.send(UNDERWAY, Parcel::ToUser(bytes));
                }
                server::Output::Order(miniftp::transfer::Order::Promise(_)) => {
                    self.serve(server::Input::Report(Report::Promised(SocketAddr::new(HERE, 50_000))));
                }
                server::Output::Order(miniftp::transfer::Order::Begin(job, None, _)) => {
                    self.job = Some(match job.flow {
                        Flow::Send(_) => Some(job.total.unwrap_or(0)),
                        Flow::Receive(_) => None,
                    });
                    self.pump();
                }
                server::Output::Order(miniftp::transfer::Order::Abort) => self.over(Err(Fault::Aborted), 0),
                server::Output::Order(_) => (self.arrived, self.uploaded) = (false, None),
                server::Output::HangUp => self.send(UNDERWAY, Parcel::HungUp),
                server::Output::Record(_) | server::Output::Guessed(_) => {}
                server::Output::Secure(_) | server::Output::Bare => panic!("this pair has no TLS"),
                server::Output::Check { .. } => panic!("guests have no password to be checked"),
            }
        }
    }

    fn tell(&mut self, input: user::Input) {
        let mut out = Vec::new();
        self.user.handle(input, &mut user::Stage { profile: &mut self.profile, out: &mut out });
        self.user.flushed();
        for wish in out {
            match wish {
                user::Output::Command(line) => {
                    self.said.push(String::from_utf8_lossy(&line).into_owned());
                    self.send(UNDERWAY, Parcel::ToServer(line));
                }
                user::Output::Interrupt => self.send(UNDERWAY, Parcel::ToServer(b"ABOR".to_vec())),
                user::Output::Order(ticket, Order::Dial(_, pump)) => {
                    self.pumps.insert(ticket, (pump, 0));
                    self.send(ROUND_TRIP, Parcel::Up(ticket));
                }
                user::Output::Order(ticket, Order::Go) => {
                    self.pumps.get_mut(&ticket).unwrap().1 = 77;
                    self.send(UNDERWAY, Parcel::Sent(77));
                    self.send(Duration::ZERO, Parcel::Received(ticket));
                }
                user::Output::Order(ticket, Order::Cut | Order::Drop) => {
                    self.finish(ticket, Err(Fault::Aborted.into()));
                }
                user::Output::Answer(ticket, answer) => {
                    let word = match answer {
                        Answer::Reply(reply) => format!("{}", reply.code),
                        Answer::Moved(outcome) => match outcome.result {
                            Ok(reply) => format!("{} after {} bytes", reply.code, outcome.moved),
                            Err(failure) => format!("failed: {failure}"),
                        },
                        Answer::Dead(death) => format!("dead: {death}"),
                    };
                    self.answers.push((ticket, word));
                }
                _ => {}
            }
        }
    }

    fn wish(&mut self, ticket: u64, wish: Wish) {
        self.tell(user::Input::Wish(Ticket(ticket), wish));
    }

    fn ask(&mut self, ticket: u64, line: &str) {
        self.wish(ticket, Wish::Ask { line: line.into(), alone: false });
    }

    fn transfer(&mut self, ticket: u64, verb: Verb, name: &str, restart: u64) {
        let file = || std::fs::File::open(self.home.path().join("f0")).unwrap().into();
        let pump = match verb {
            Verb::Stor => Pump::Out(Box::new(Outlet::image(file(), 0, 77))),
            _ => Pump::In(Box::new(Intake::memory(1 << 20))),
        };
        let argument = name.as_bytes().to_vec();
        self.wish(
            ticket,
            Wish::Transfer(Box::new(Transfer { verb, argument, text: false, restart, pump, only: None })),
        );
    }

    /// What was answered since the last time, in the order of the wishes.
    fn answered(&mut self) -> Vec<String> {
        self.run();
        let mut answers = std::mem::take(&mut self.answers);
        answers.sort_by_key(|(ticket, _)| *ticket);
        answers.into_iter().map(|(_, word)| word).collect()
    }
}

#[test]
fn files_come_and_go_and_refusals_are_refusals() {
    let mut pair = Pair::new();
    pair.transfer(1, Verb::Retr, "f7", 0);
    assert_eq!(pair.answered(), ["226 after 107 bytes"]);
    pair.transfer(2, Verb::Retr, "nowhere", 0);
    assert!(pair.answered()[0].starts_with("failed: 550"));
    pair.transfer(3, Verb::Stor, "new", 0);
    assert_eq!(pair.answered(), ["226 after 77 bytes"]);
    pair.transfer(4, Verb::Stor, "no/such/place", 0);
    let refused = pair.answered();
    assert!(refused[0].starts_with("failed: 55"), "{refused:?}");
    pair.transfer(5, Verb::Retr, "f9", 100);
    assert_eq!(pair.answered(), ["226 after 9 bytes"]);
    assert!(pair.user.idle());
}

#[test]
fn questions_and_transfers_that_are_wished_together_are_answered_each_for_itself() {
    let mut pair = Pair::new();
    pair.transfer(1, Verb::Retr, "f1", 0); // EPSV is proven from here on
    pair.answered();
    for round in 0..10 {
        let base = round * 10 + 10;
        pair.ask(base, "SIZE f3");
        pair.transfer(base + 1, Verb::Retr, "f3", 0);
        pair.transfer(base + 2, Verb::Retr, "nowhere", 0);
        pair.transfer(base + 3, Verb::Stor, "up", 0);
        pair.ask(base + 4, "SIZE nowhere");
        pair.transfer(base + 5, Verb::Retr, "f5", 3);
        let answers = pair.answered();
        let codes: Vec<&str> = answers.iter().map(|word| word.split(" No ").next().unwrap()).collect();
        assert_eq!(
            (codes[0], codes[1], codes[3], codes[5]),
            ("213", "226 after 103 bytes", "226 after 77 bytes", "226 after 102 bytes")
        );
        assert!(codes[2].starts_with("failed: 550") && codes[4] == "550", "{answers:?}");
    }
}

#[test]
fn a_small_file_costs_two_commands_and_two_round_trips() {
    let mut pair = Pair::new();
    pair.transfer(1, Verb::Retr, "f1", 0);
    pair.answered();
    let (begun, said) = (pair.now, pair.said.len());
    for number in 0..30 {
        pair.transfer(number + 2, Verb::Retr, &format!("f{number}"), 0);
    }
    assert_eq!(pair.answered().len(), 30);
    assert_eq!(pair.said.len() - said, 60, "EPSV and RETR, nothing else");
    // One for the port and one for the connection to it; what waits behind needs none of its own.
    let taken = pair.now - begun;
    assert!(taken <= ROUND_TRIP * (30 * 2 + 2), "{taken:?}");
    let begun = pair.now;
    for number in 0..30 {
        pair.transfer(number + 100, Verb::Stor, &format!("up{number}"), 0);
    }
    assert_eq!(pair.answered().len(), 30);
    let taken = pair.now - begun;
    assert!(taken <= ROUND_TRIP * (30 * 2 + 2), "{taken:?}");
}

#[test]
fn an_abort_ends_the_transfer_and_both_sides_go_on() {
    // Stopped after so many deliveries: before the port is known, while the connection is made, and too late.
    for deliveries in 0..8 {
        let mut pair = Pair::new();
        pair.transfer(1, Verb::Retr, "f2", 0);
        for _ in 0..deliveries {
            let Some(((when, _), parcel)) = pair.parcels.pop_first() else { break };
            pair.now = when;
            pair.deliver(parcel);
        }
        pair.tell(user::Input::Abort);
        assert_eq!(pair.answered().len(), 1, "after {deliveries}");
        pair.transfer(2, Verb::Retr, "f3", 0);
        assert_eq!(pair.answered(), ["226 after 103 bytes"], "after {deliveries}: {:?}", pair.said);
        assert!(pair.user.idle());
    }
}

#[test]
fn quit_ends_both() {
    let mut pair = Pair::new();
    pair.ask(1, "NOOP");
    pair.wish(2, Wish::Quit);
    assert_eq!(pair.answered(), ["200"]);
    assert_eq!(pair.said.last().map(String::as_str), Some("QUIT"));
    pair.ask(3, "NOOP");
    assert_eq!(pair.answered(), ["dead: the session was given up"]);
}
