//! The User-PI against a server that says whatever it likes, whenever it likes.
//!
//! Every wish is answered once, no command holds a line end, and what the session keeps for a server stays bounded.

#![no_main]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use miniftp::transfer::Fault;
use miniftp::user::mail::{Answer, Death, Missed, News, Order, Protection, Ticket, Transfer, Wish};
use miniftp::user::pi::{Guise, Input, Login, Manners, Output, Session, Stage};
use miniftp::user::profile::Profile;
use miniftp::user::pump::{Intake, Pump, Snag};
use miniftp::wire::command::Verb;
use miniftp::wire::reply::{Reply, ReplyReader};

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 21);

#[derive(Arbitrary, Debug)]
struct Play {
    active: bool,
    events: Vec<Event>,
}

#[derive(Arbitrary, Debug)]
enum Event {
    /// Octets of the server.
    Raw(Vec<u8>),
    /// One of the replies that matter.
    Reply(u8),
    Ask(Vec<u8>, bool),
    Move {
        verb: u8,
        argument: Vec<u8>,
        text: bool,
        restart: u16,
    },
    Quit,
    Abort,
    Up(u8),
    Never(u8),
    Done(u8, bool),
    Listening(u8, u16),
    Expired,
}

/// What servers say, good and bad, at the places where it counts.
const REPLIES: [&str; 32] = [
    "220 ready",
    "230 in",
    "331 password",
    "332 account",
    "530 no",
    "202 superfluous",
    "211-Features\r\n EPSV\r\n\
     REST STREAM\r\n211 End",
    "200 ok",
    "150 opening",
    "125 go on",
    "226 done",
    "225 aborted",
    "426 cut",
    "425 never",
    "227 Entering (192,0,2,7,200,1)",
    "227 nonsense",
    "229 Entering (|||5000|)",
    "229 (|||0|)",
    "350 go",
    "500 what",
    "502 no",
    "550 no such file",
    "421 bye",
    "450 busy",
    "120 wait",
    "257 \"/\"",
    "213 5",
    "100 odd",
    "552 full",
    "110 MARK 1 = 1",
    "232 in",
    "221 bye",
];

struct Desk {
    session: Session,
    profile: Profile,
    reader: ReplyReader,
    pumps: HashMap<u64, Pump>,
    open: HashMap<u64, ()>,
    next: u64,
}

fuzz_target!(|play: Play| {
    let (timeout, active) = (Duration::from_secs(60), play.active);
    let manners = Manners { timeout, active, protection: Protection::Off, guise: Guise::default() };
    let login = Login { user: b"ann".to_vec(), password: b"secret".to_vec(), account: Some(b"acct".to_vec()) };
    let mut desk = Desk {
        session: Session::new(login, manners, PEER, IpAddr::V4(Ipv4Addr::LOCALHOST)),
        profile: Profile::default(),
        reader: ReplyReader::new(),
        pumps: HashMap::new(),
        open: HashMap::new(),
        next: 0,
    };
    for event in play.events {
        desk.happen(event);
        desk.session.patience();
    }
    desk.handle(Input::Gone(Death::Closed));
    assert!(desk.open.is_empty(), "unanswered: {:?}", desk.open.keys());
});

impl Desk {
    fn happen(&mut self, event: Event) {
        match event {
            Event::Raw(octets) => self.hear(&octets),
            Event::Reply(which) => {
                let text = format!("{}\r\n", REPLIES[usize::from(which) % REPLIES.len()]);
                self.hear(text.as_bytes());
            }
            Event::Ask(line, alone) => self.wish(Wish::Ask { line, alone }),
            Event::Move { verb, argument, text, restart } => {
                let verbs = [Verb::Retr, Verb::Stor, Verb::Appe, Verb::Stou, Verb::List, Verb::Nlst, Verb::Mlsd];
                let verb = verbs[usize::from(verb) % verbs.len()];
                let pump = Pump::In(Box::new(Intake::memory(1000)));
                let restart = restart.into();
                self.wish(Wish::Transfer(Box::new(Transfer { verb, argument, text, restart, pump, only: None })));
            }
            Event::Quit => self.wish(Wish::Quit),
            Event::Abort => self.handle(Input::Abort),
            Event::Up(ticket) => self.news(ticket, |_| Some(News::Up)),
            Event::Never(ticket) => self.news(ticket, |pump| pump.map(|pump| News::Never(pump, Missed::Unanswered))),
            Event::Done(ticket, good) => self.news(ticket, |pump| {
                let result = if good { Ok(()) } else { Err(Snag::Fault(Fault::Stalled)) };
                pump.map(|pump| News::Done { pump, moved: 5, elapsed: Duration::ZERO, result })
            }),
            Event::Listening(ticket, port) => {
                self.news(ticket, |_| Some(News::Listening(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))));
            }
            Event::Expired => self.handle(Input::Expired),
        }
    }

    fn wish(&mut self, wish: Wish) {
        self.next += 1;
        // Whoever quits does not wait for a word about it.
        if !matches!(wish, Wish::Quit) {
            self.open.insert(self.next, ());
        }
        self.handle(Input::Wish(Ticket(self.next), wish));
    }

    /// News come of transfers that a DTP was given.
    fn news(&mut self, ticket: u8, news: impl FnOnce(Option<Pump>) -> Option<News>) {
        let mut tickets: Vec<_> = self.pumps.keys().copied().collect();
        tickets.sort_unstable();
        let Some(ticket) = tickets.get(usize::from(ticket) % tickets.len().max(1)).copied() else { return };
        let pump = self.pumps.remove(&ticket);
        let Some(news) = news(pump) else { return };
        if matches!(news, News::Up | News::Listening(_)) {
            self.pumps.insert(ticket, Pump::In(Box::new(Intake::memory(1000))));
        }
        self.handle(Input::News(Ticket(ticket), news));
    }

    fn hear(&mut self, octets: &[u8]) {
        self.reader.feed(octets, &mut Vec::new());
        let replies: Vec<Result<Reply, _>> = self.reader.by_ref().collect();
        for reply in replies {
            self.handle(reply.map_or_else(Input::Overlong, Input::Reply));
        }
    }

    fn handle(&mut self, input: Input) {
        let mut out = Vec::new();
        self.session.handle(input, &mut Stage { profile: &mut self.profile, out: &mut out });
        for wish in out {
            match wish {
                Output::Command(line) => {
                    assert!(!line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{}", line.escape_ascii());
                }
                Output::Order(ticket, Order::Dial(to, pump)) => {
                    assert_eq!(to.ip(), PEER.ip(), "dialled another host");
                    self.pumps.insert(ticket.0, pump);
                }
                Output::Order(ticket, Order::Listen(pump)) => {
                    self.pumps.insert(ticket.0, pump);
                }
                Output::Order(ticket, Order::Drop) => {
                    self.pumps.remove(&ticket.0);
                }
                Output::Answer(ticket, answer) => {
                    let quit = matches!(answer, Answer::Dead(_)) && !self.open.contains_key(&ticket.0);
                    assert!(quit || self.open.remove(&ticket.0).is_some(), "{ticket:?} answered twice");
                }
                _ => {}
            }
        }
    }
}
