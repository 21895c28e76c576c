//! The dialogue in memory: replies in, commands and orders out.

mod doubt;
mod odd;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::*;
use crate::user::mail::{Failure, Missed, Transfer};
use crate::user::profile::{Profile, Standing, Way};
use crate::user::pump::{Intake, Outlet, Pump};
use crate::wire::command::Verb;
use crate::wire::reply::ReplyReader;

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 21);

/// A session, and everything it said since it was last looked at.
struct Desk {
    session: Session,
    profile: Profile,
    said: Vec<String>,
    answers: Vec<(Ticket, Answer)>,
    pumps: Vec<(Ticket, Pump)>,
}

impl Desk {
    fn new() -> Self {
        Self::with(false)
    }

    fn with(active: bool) -> Self {
        let (guise, protection) = (Guise::default(), Protection::Off);
        let manners = Manners { timeout: Duration::from_secs(60), active, guise, protection };
        let login = Login { user: b"ann".to_vec(), password: b"secret".to_vec(), account: None };
        let session = Session::new(login, manners, PEER, IpAddr::V4(Ipv4Addr::LOCALHOST));
        Self { session, profile: Profile::default(), said: Vec::new(), answers: Vec::new(), pumps: Vec::new() }
    }

    /// Logged in with a server of this greeting, whose EPSV is known to work.
    fn member(greeting: &str) -> Self {
        Self::logged_in(greeting, false)
    }

    fn logged_in(greeting: &str, active: bool) -> Self {
        let mut desk = Self::with(active);
        desk.hear(&format!("220 {greeting}\r\n331 password\r\n230 in\r\n"));
        desk.hear("211-Features:\r\n EPSV\r\n SIZE\r\n REST STREAM\r\n211 End\r\n200 type\r\n");
        desk.profile.note_way(Way::Epsv, Standing::Works);
        desk.said.clear();
        desk
    }

    fn handle(&mut self, input: Input) {
        let mut out = Vec::new();
        self.session.handle(input, &mut Stage { profile: &mut self.profile, out: &mut out });
        for wish in out {
            let word = match wish {
                Output::Command(line) => format!("> {}", String::from_utf8_lossy(&line)),
                Output::Interrupt => "> ABOR".into(),
                Output::Covered => continue, // a moment to be measured, nothing that is said
                Output::Order(ticket, Order::Dial(to, pump)) => {
                    self.pumps.push((ticket, pump));
                    format!("dial {} {to}", ticket.0)
                }
                Output::Order(ticket, Order::Listen(pump)) => {
                    self.pumps.push((ticket, pump));
                    format!("listen {}", ticket.0)
                }
                Output::Order(ticket, Order::Go) => format!("go {}", ticket.0),
                Output::Order(ticket, Order::Drop) => format!("drop {}", ticket.0),
                Output::Order(ticket, Order::Cut) => format!("cut {}", ticket.0),
                Output::Order(ticket, Order::CutIfBare) => format!("cut if bare {}", ticket.0),
                Output::Answer(ticket, answer) => {
                    let word = match &answer {
                        Answer::Reply(reply) => format!("reply {}", reply.code),
                        Answer::Moved(outcome) => match &outcome.result {
                            Ok(reply) => format!("moved {}", reply.code),
                            Err(failure) => format!("failed: {failure}"),
                        },
                        Answer::Dead(_) => "dead".into(),
                    };
                    self.answers.push((ticket, answer));
                    format!("{word} for {}", ticket.0)
                }
                Output::Ready => "ready".into(),
                Output::StartTls => "start TLS".into(),
                Output::InTheClear => "in the clear".into(),
                Output::HangUp(_) => "hang up".into(),
                Output::Heard(_) | Output::Connected | Output::Redialling => continue,
            };
            self.said.push(word);
        }
        self.session.flushed();
    }

    fn hear(&mut self, text: &str) {
        let mut reader = ReplyReader::new();
        reader.feed(text.as_bytes(), &mut Vec::new());
        for reply in reader {
            self.handle(Input::Reply(reply.expect("within limits")));
        }
    }

    fn ask(&mut self, ticket: u64, line: &str) {
        self.handle(Input::Wish(Ticket(ticket), Wish::Ask { line: line.into(), alone: false }));
    }

    fn transfer(&mut self, ticket: u64, verb: Verb, argument: &str, restart: u64) {
        let pump = Pump::In(Box::new(Intake::memory(1000)));
        let transfer = Transfer { verb, argument: argument.into(), text: false, restart, pump, only: None };
        self.handle(Input::Wish(Ticket(ticket), Wish::Transfer(Box::new(transfer))));
    }

    fn upload(&mut self, outlet: Outlet) {
        let pump = Pump::Out(Box::new(outlet));
        let transfer =
            Transfer { verb: Verb::Stor, argument: b"a".to_vec(), text: false, restart: 0, pump, only: None };
        self.handle(Input::Wish(Ticket(1), Wish::Transfer(Box::new(transfer))));
    }

    fn up(&mut self, ticket: u64) {
        self.handle(Input::News(Ticket(ticket), News::Up));
    }

    fn done(&mut self, ticket: u64) {
        let at = self.pumps.iter().position(|(other, _)| *other == Ticket(ticket)).expect("a pump");
        let (_, pump) = self.pumps.remove(at);
        let news = News::Done { pump, moved: 5, elapsed: Duration::ZERO, result: Ok(()) };
        self.handle(Input::News(Ticket(ticket), news));
    }

    fn never(&mut self, ticket: u64) {
        self.never_since(ticket, Missed::Unanswered);
    }

    fn never_since(&mut self, ticket: u64, missed: Missed) {
        let at = self.pumps.iter().position(|(other, _)| *other == Ticket(ticket)).expect("a pump");
        let (_, pump) = self.pumps.remove(at);
        self.handle(Input::News(Ticket(ticket), News::Never(pump, missed)));
    }

    #[track_caller]
    fn says(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.said), expected);
    }
}

#[test]
fn a_login_step_by_step() {
    let mut desk = Desk::new();
    desk.says(&[]);
    desk.hear("120 wait\r\n");
    desk.says(&[]);
    desk.hear("220-many\r\n220 lines\r\n");
    desk.says(&["> USER ann"]);
    desk.hear("331 password\r\n");
    desk.says(&["> PASS secret"]);
    desk.hear("230 in\r\n");
    desk.says(&["> FEAT"]);
    desk.hear("211-Features:\r\n CLNT\r\n UTF8\r\n211 End\r\n");
    desk.says(&["> CLNT miniftp", "> OPTS UTF8 ON", "ready", "> TYPE I"]);
    assert!(!desk.session.idle());
    desk.hear("200 a\r\n200 b\r\n200 c\r\n");
    assert!(desk.session.idle());
}

#[test]
fn logins_that_are_shorter_or_refused() {
    let mut desk = Desk::new();
    desk.hear("220 hello\r\n230 no password wanted\r\n");
    desk.says(&["> USER ann", "> FEAT"]);
    for (replies, last) in [
        ("220 x\r\n530 no\r\n", "hang up"),
        ("220 x\r\n331 x\r\n530 no\r\n", "hang up"),
        ("220 x\r\n331 x\r\n332 account\r\n", "hang up"),
        ("554 go away\r\n", "hang up"),
        ("421 full\r\n", "hang up"),
    ] {
        let mut desk = Desk::new();
        desk.hear(replies);
        assert_eq!(desk.said.last().map(String::as_str), Some(last), "{replies}");
    }
}

#[test]
fn a_first_transfer_finds_its_way_before_the_verb() {
    let mut desk = Desk::member("x");
    desk.profile.note_way(Way::Epsv, Standing::Untried);
    desk.transfer(1, Verb::Retr, "a", 0);
    desk.says(&["> EPSV"]);
    desk.hear("229 Extended (|||4000|)\r\n");
    desk.says(&["dial 1 192.0.2.7:4000"]);
    desk.up(1);
    desk.says(&["> RETR a"]);
    desk.hear("150 go\r\n226 done\r\n");
    desk.says(&[]);
    desk.done(1);
    desk.says(&["moved 226 for 1"]);
}

#[test]
fn a_known_way_and_the_verb_leave_together() {
    let mut desk = Desk::member("x");
    desk.ask(1, "SIZE a");
    desk.transfer(2, Verb::Retr, "a", 0);
    desk.transfer(3, Verb::Retr, "b", 0);
    desk.says(&["> SIZE a", "> EPSV", "> RETR a"]);
    desk.hear("213 5\r\n229 (|||4000|)\r\n150 go\r\n");
    desk.says(&["reply 213 for 1", "dial 2 192.0.2.7:4000"]);
    desk.up(2);
    desk.done(2);
    desk.says(&[]);
    desk.hear("226 done\r\n");
    desk.says(&["moved 226 for 2", "> EPSV", "> RETR b"]);
}

#[test]
fn only_behind_known_servers_commands_wait_for_a_transfer() {
    let mut desk = Desk::member("miniftpd ready");
    desk.transfer(1, Verb::Retr, "a", 0);
    desk.transfer(2, Verb::Retr, "b", 0);
    desk.transfer(3, Verb::Retr, "c", 0);
    desk.says(&["> EPSV", "> RETR a", "> EPSV", "> RETR b"]);
    desk.hear("229 (|||4000|)\r\n150 a\r\n226 a\r\n229 (|||4001|)\r\n150 b\r\n");
    desk.says(&["dial 1 192.0.2.7:4000", "dial 2 192.0.2.7:4001"]);
    // The second ends first, as it may with small files.
    desk.up(2);
    desk.done(2);
    desk.up(1);
    desk.done(1);
    desk.says(&["moved 226 for 1", "> EPSV", "> RETR c"]);
    desk.hear("226 b\r\n");
    desk.says(&["moved 226 for 2"]);
}

#[test]
fn a_refused_way_leads_to_the_next_and_is_remembered() {
    let mut desk = Desk::member("x");
    desk.transfer(1, Verb::Retr, "a", 0);
    desk.says(&["> EPSV", "> RETR a"]);
    desk.hear("500 what\r\n");
    desk.says(&[]); // the verb's own reply comes first
    desk.hear("425 no connection\r\n");
    desk.says(&["> PASV"]);
    desk.hear("227 Passive (10,0,0,1,16,0)\r\n");
    desk.says(&["dial 1 192.0.2.7:4096"]);
    desk.never(1);
    desk.says(&["listen 1"]);
    desk.handle(Input::News(Ticket(1), News::Listening("127.0.0.1:4097".parse().expect("an address"))));
    desk.says(&["> PORT 127,0,0,1,16,1"]);
    desk.hear("200 ok\r\n");
    desk.says(&["> RETR a"]);
    assert_eq!((desk.profile.way(Way::Epsv), desk.profile.way(Way::Pasv)), (Standing::Fails, Standing::Fails));
}

/// An active member that has announced its port, where the server has connected before it answered.
fn connected_before_the_answer() -> Desk {
    let mut desk = Desk::logged_in("x", true);
    desk.transfer(1, Verb::Retr, "a", 0);
    desk.says(&["listen 1"]);
    desk.handle(Input::News(Ticket(1), News::Listening(PEER)));
    desk.says(&["> PORT 192,0,2,7,0,21"]);
    desk.up(1);
    desk
}

#[test]
fn the_verb_waits_for_the_answer_to_port_even_when_the_connection_is_there() {
    let mut desk = connected_before_the_answer();
    desk.says(&[]);
    desk.hear("200 connected\r\n");
    desk.says(&["> RETR a"]);
    desk.hear("150 here\r\n226 done\r\n");
    desk.done(1);
    desk.says(&["moved 226 for 1"]);
}

#[test]
fn a_port_that_is_refused_after_the_connection_ends_the_transfer_and_not_the_session() {
    let mut desk = connected_before_the_answer();
    desk.hear("500 no\r\n");
    desk.says(&["drop 1", "failed: no data connection: PORT: refused by the server: 500 no for 1"]);
    assert_eq!(desk.profile.way(Way::Port), Standing::Fails);
    assert!(desk.session.idle());
}

#[test]
fn without_any_way_the_transfer_fails_and_the_session_lives() {
    let mut desk = Desk::member("x");
    desk.profile.slow_down(false);
    desk.transfer(1, Verb::List, "", 0);
    desk.hear("502 no\r\n502 no\r\n");
    for port in [1, 2] {
        let at = format!("127.0.0.1:{port}").parse().expect("an address");
        desk.handle(Input::News(Ticket(1), News::Listening(at)));
        desk.hear("502 no\r\n");
        desk.never(1);
    }
    assert!(
        matches!(&desk.answers[..], [(_, Answer::Moved(outcome))] if matches!(outcome.result, Err(Failure::NoChannel(..))))
    );
    assert!(desk.session.idle());
}

#[test]
fn rest_goes_right_before_the_verb_and_its_refusal_stops_it() {
    let mut desk = Desk::member("x");
    desk.transfer(1, Verb::Retr, "a", 7);
    desk.says(&["> EPSV"]);
    desk.hear("229 (|||4000|)\r\n");
    desk.says(&["dial 1 192.0.2.7:4000", "> REST 7"]);
    desk.up(1);
    desk.hear("350 ok\r\n");
    desk.says(&["> RETR a"]);
    let mut desk = Desk::member("x");
    desk.transfer(1, Verb::Retr, "a", 7);
    desk.hear("229 (|||4000|)\r\n502 no\r\n");
    assert!(
        matches!(&desk.answers[..], [(_, Answer::Moved(outcome))] if matches!(outcome.result, Err(Failure::NoRestart(_))))
    );
}

#[test]
fn replies_nobody_asked_for_shift_nothing() {
    let mut desk = Desk::member("x");
    desk.hear("226 and again\r\n");
    desk.transfer(1, Verb::Retr, "a", 0);
    desk.hear("226 and again\r\n200 what\r\n229 (|||4000|)\r\n150 go\r\n");
    desk.says(&["> EPSV", "> RETR a", "dial 1 192.0.2.7:4000"]);
    desk.up(1);
    desk.done(1);
    desk.hear("226 done\r\n");
    desk.says(&["moved 226 for 1"]);
    desk.ask(2, "SIZE a");
    desk.hear("226 again\r\n213 5\r\n");
    desk.says(&["> SIZE a", "reply 213 for 2"]);
    for _ in 0..=STRAYS {
        desk.hear("200 babble\r\n");
    }
    assert_eq!(desk.session.state(), State::Dead);
}

#[test]
fn a_server_that_leaves_with_its_226_is_not_asked_for_the_data_again() {
    for gone in ["", "421 bye\r\n"] {
        let leave = |desk: &mut Desk| match gone {
            "" => desk.handle(Input::Gone(Death::Closed)),
            said => desk.hear(said),
        };
        let mut desk = Desk::member("x");
        desk.transfer(1, Verb::Retr, "a", 0);
        desk.hear("229 (|||4000|)\r\n150 go\r\n");
        desk.up(1);
        desk.hear("226 done\r\n");
        desk.said.clear();
        leave(&mut desk);
        desk.says(&[]);
        assert_eq!((desk.session.state(), desk.session.patience()), (State::Deserted, None));
        // Nobody is there to be asked.
        desk.ask(2, "SIZE a");
        assert!(matches!(&desk.answers[..], [(Ticket(2), Answer::Dead(_))]), "{:?}", desk.answers);
        desk.said.clear();
        desk.done(1);
        desk.says(&["moved 226 for 1", "hang up"]);
        assert_eq!(desk.session.state(), State::Dead);
        // Without the 226 there is nothing to wait for.
        let mut desk = Desk::member("x");
        desk.transfer(1, Verb::Retr, "a", 0);
        desk.hear("229 (|||4000|)\r\n150 go\r\n");
        desk.up(1);
        leave(&mut desk);
        assert_eq!(desk.session.state(), State::Dead);
    }
}

#[test]
fn an_upload_begins_at_1yz_or_after_a_while() {
    let stream = || std::fs::File::open("/dev/null").expect("a file").into();
    for late in [false, true] {
        let mut desk = Desk::member("x");
        desk.upload(Outlet::stream(stream(), false));
        desk.hear("229 (|||4000|)\r\n");
        desk.up(1);
        desk.says(&["> EPSV", "> STOR a", "dial 1 192.0.2.7:4000"]);
        assert_eq!(desk.session.patience(), Some(Patience::short(PATIENCE_FOR_1YZ)));
        if late {
            desk.handle(Input::Expired)
        } else {
            desk.hear("125 go on\r\n")
        }
        desk.says(&["go 1"]);
    }
}

#[test]
fn a_file_need_not_wait_for_1yz_where_commands_are_sent_ahead() {
    for (ahead, begins) in [(true, Standing::Works), (true, Standing::Untried), (false, Standing::Works)] {
        let mut desk = Desk::member("x");
        desk.profile.begins = begins;
        if !ahead {
            desk.profile.slow_down(false);
        }
        let file = std::fs::File::open("/dev/null").expect("a file").into();
        desk.upload(Outlet::image(file, 0, 0));
        desk.hear("229 (|||4000|)\r\n");
        desk.up(1);
        assert_eq!(desk.said.contains(&"go 1".to_owned()), ahead && begins == Standing::Works);
        desk.hear("150 go on\r\n");
        assert_eq!(desk.said.iter().filter(|word| *word == "go 1").count(), 1);
        assert_eq!(desk.profile.begins, Standing::Works);
    }
}

#[test]
fn dismissal_and_silence_answer_everything_that_was_wished() {
    for end in [Input::Reply(Reply::new(421, "bye")), Input::Expired, Input::Gone(Death::Closed)] {
        let mut desk = Desk::member("x");
        desk.ask(1, "SIZE a");
        desk.transfer(2, Verb::Retr, "a", 0);
        desk.ask(3, "NOOP");
        desk.handle(end);
        let mut tickets: Vec<u64> = desk.answers.iter().map(|(ticket, _)| ticket.0).collect();
        tickets.sort_unstable();
        assert_eq!(tickets, [1, 2, 3]);
        assert!(desk.said.contains(&"hang up".to_owned()) && desk.session.state() == State::Dead);
    }
}

#[test]
fn an_abort_ends_the_transfer_and_not_the_session() {
    for replies in ["426 cut\r\n226 abor\r\n", "226 done\r\n225 nothing\r\n", "426 cut\r\n225 nothing\r\n"] {
        let mut desk = Desk::member("x");
        desk.transfer(1, Verb::Retr, "a", 0);
        desk.hear("229 (|||4000|)\r\n150 go\r\n");
        desk.up(1);
        desk.said.clear();
        desk.handle(Input::Abort);
        desk.says(&["cut 1", "> ABOR"]);
        desk.done(1);
        desk.hear(replies);
        desk.says(&["failed: aborted for 1"]);
        assert!(desk.session.idle(), "{replies}");
    }
}

#[test]
fn what_cannot_be_sent_is_not_sent() {
    let mut desk = Desk::member("x");
    desk.ask(1, "DELE a\r\nDELE b");
    desk.transfer(2, Verb::Retr, "a\nb", 0);
    desk.says(&["reply 553 for 1", "failed: a name with a line break or NUL in it cannot be sent for 2"]);
}

#[test]
fn an_empty_directory_may_need_no_connection() {
    let mut desk = Desk::member("x");
    desk.transfer(1, Verb::List, "", 0);
    desk.hear("229 (|||4000|)\r\n226 nothing to list\r\n");
    desk.never(1);
    assert_eq!(desk.said.last().map(String::as_str), Some("failed: nothing came for 1"));
}

#[test]
fn a_connection_thrown_away_may_be_an_empty_directory_and_never_a_file() {
    let reset = || Missed::Failed(std::io::ErrorKind::ConnectionReset);
    for (verb, said) in [(Verb::Mlsd, "failed: nothing came for 1"), (Verb::Retr, "hang up")] {
        let mut desk = Desk::member("x");
        desk.transfer(1, verb, "a", 0);
        desk.hear("229 (|||4000|)\r\n");
        desk.never_since(1, reset());
        if verb == Verb::Mlsd {
            desk.hear("150 here\r\n226 done\r\n");
        }
        assert_eq!(desk.said.last().map(String::as_str), Some(said));
    }
}

#[test]
fn an_upload_that_was_ended_before_its_connection_is_there_is_cut() {
    for ended in ["226 done\r\n", "150 go\r\n226 done\r\n"] {
        let mut desk = Desk::member("x");
        desk.profile.note_way(Way::Epsv, Standing::Works);
        let file = std::fs::File::open("/dev/null").expect("a file").into();
        desk.upload(Outlet::image(file, 0, 0));
        desk.hear("229 (|||4000|)\r\n");
        desk.hear(ended);
        desk.up(1);
        assert_eq!(desk.said.last().map(String::as_str), Some("cut 1"), "{ended}");
    }
}
