//! A transfer from the wish to the answer: TYPE, a way to a data connection, REST, the verb, and both ends of it.

use std::io::ErrorKind;
use std::time::Duration;

use super::state::{Channel, Over, Owed, Running, Word};
use super::{Output, Session, Stage, port_in};
use crate::transfer::Fault;
use crate::user::mail::{Answer, Death, Failure, Missed, News, Order, Outcome, Spoken, Ticket, Transfer};
use crate::user::profile::{Profile, Standing, Way};
use crate::user::pump::{Pump, Snag};
use crate::wire::address;
use crate::wire::command::rule;
use crate::wire::reply::{Kind, Reply};

/// 1yz replies to one verb. RFC 959's restart markers (110) are not used in stream mode, so more is a flood.
const PRELIMINARIES: usize = 64;

impl Running {
    /// Remembers why there is no data connection. Who allows one way only knows which it was.
    fn blame(&mut self, way: Way, why: &str) {
        self.why = if self.only.is_some() { why.to_owned() } else { format!("{}: {why}", way.word()) };
    }

    /// Whether it got all it wanted and closed the data connection before the server did.
    pub(super) fn has_enough(&self) -> bool {
        matches!(&self.channel, Channel::Over(Over { pump: Pump::In(intake), result: Ok(()), .. }) if intake.satisfied())
    }

    /// Whether it was given up on this side, so that the server's word no longer matters.
    pub(super) const fn is_spoilt(&self) -> bool {
        matches!(&self.channel, Channel::Over(Over { result: Err(snag), .. }) if snag.is_ours())
    }

    /// Whether its verb has left, so that more commands may be put behind it.
    pub(super) const fn is_sent(&self) -> bool {
        !matches!(self.word, Word::Unsent) && !self.again && !self.aborted
    }
}

impl Session {
    pub(super) fn begin(&mut self, ticket: Ticket, transfer: Transfer, stage: &mut Stage<'_>) {
        self.transfers.push_back(Running::new(ticket, transfer));
        self.prepare(ticket, stage);
    }

    /// Sets the scene for a transfer, and again when a part of it is set.
    pub(super) fn prepare(&mut self, ticket: Ticket, stage: &mut Stage<'_>) {
        let Some(running) = self.index(ticket).and_then(|at| self.transfers.get(at)) else { return };
        let (text, verb) = (running.text, running.verb);
        // A listing comes as lines whatever the TYPE is, and switching would cost two commands a directory.
        let switch = self.text != Some(text) && !(running.listing() && self.text.is_some());
        let pret = stage.profile.has("PRET").then(|| with_argument("PRET", rule(verb).name.as_bytes()));
        let pret = pret
            .map(|line| if running.argument.is_empty() { line } else { [&line[..], b" ", &running.argument].concat() });
        if self.dispel(ticket, stage) {
            return;
        }
        if switch {
            let line: &[u8] = if text { b"TYPE A" } else { b"TYPE I" };
            self.command(line.to_vec(), Owed::Type(text, Some(ticket)), stage);
        } else if let Some(line) = pret {
            self.command(line, Owed::Pret(ticket), stage);
        } else {
            self.open(ticket, stage);
        }
    }

    pub(super) fn after_type(&mut self, ticket: Ticket, accepted: Result<(), Reply>, stage: &mut Stage<'_>) {
        match accepted {
            Ok(()) => self.open(ticket, stage),
            Err(reply) => self.fail(ticket, Failure::NoType(reply), stage),
        }
    }

    pub(super) fn after_pret(&mut self, ticket: Ticket, stage: &mut Stage<'_>) {
        self.open(ticket, stage);
    }

    /// Whether EPSV and the verb leave together: only where EPSV has worked before, so that nothing has to be undone.
    pub(super) fn sends_together(&self, only: Option<Way>, profile: &Profile) -> bool {
        let way = only.or_else(|| self.first_way(profile, &[]));
        let proven = way.is_some_and(|way| way.passive() && profile.way(way) == Standing::Works);
        profile.pipelines() && proven && !profile.has("PRET")
    }

    /// Asks for a data connection in the best way that is left.
    fn open(&mut self, ticket: Ticket, stage: &mut Stage<'_>) {
        let Some(at) = self.index(ticket) else { return };
        let Some(running) = self.transfers.get_mut(at) else { return };
        let (tried, restart, only) = (running.tried.clone(), running.restart, running.only);
        let together = self.sends_together(only, stage.profile);
        let first_try = tried.is_empty();
        let best = || self.first_way(stage.profile, &tried);
        let Some(way) = only.map_or_else(best, |way| first_try.then_some(way)) else {
            let why = self.transfers.get(at).map(|running| (running.why.clone(), running.refusal));
            let (why, refusal) = why.unwrap_or_default();
            return self.fail(ticket, Failure::NoChannel(why, refusal), stage);
        };
        if !way.passive() {
            return self.listen(ticket, way, stage);
        }
        if let Some(running) = self.transfers.get_mut(at)
            && let Channel::Closed(pump) = &mut running.channel
        {
            running.channel = Channel::Asked(pump.take());
        }
        self.command(way.word().as_bytes().to_vec(), Owed::Way(ticket, way), stage);
        if together && first_try && restart == 0 && !self.marked {
            self.send_verb(ticket, stage);
        }
    }

    fn listen(&mut self, ticket: Ticket, way: Way, stage: &mut Stage<'_>) {
        let Some(running) = self.running(ticket) else { return };
        let Channel::Closed(pump) = &mut running.channel else { return };
        let Some(pump) = pump.take() else { return };
        running.channel = Channel::Coming(way);
        stage.out.push(Output::Order(ticket, Order::Listen(pump)));
    }

    /// The first way that has not been tried for this transfer; those known to fail come last.
    fn first_way(&self, profile: &Profile, tried: &[Way]) -> Option<Way> {
        let four = self.peer.is_ipv4();
        // Of PASV's answer only the port is used, so it serves IPv6 as well where a server gives it.
        let passive: &[Way] = &[Way::Epsv, Way::Pasv];
        let active: &[Way] = if four { &[Way::Port, Way::Eprt] } else { &[Way::Eprt] };
        let order = if self.manners.active { [active, passive] } else { [passive, active] }.concat();
        let left = || order.iter().copied().filter(|way| !tried.contains(way));
        left().find(|way| profile.way(*way) != Standing::Fails).or_else(|| left().next())
    }

    pub(super) fn way_answered(&mut self, ticket: Ticket, way: Way, reply: &Reply, stage: &mut Stage<'_>) {
        let Some(running) = self.running(ticket) else { return };
        if !way.passive() {
            return self.port_answered(ticket, way, reply, stage);
        }
        let Some(port) = port_in(reply) else {
            running.blame(way, &refused(reply));
            running.refusal = Some(reply.code);
            // 4yz may be another matter next time; anything else is what this server does.
            if reply.kind() != Kind::Transient {
                stage.profile.note_way(way, Standing::Fails);
            }
            return self.way_failed(ticket, way, stage);
        };
        let mut to = self.peer;
        to.set_port(port);
        let proven = stage.profile.way(way) == Standing::Works;
        let Some(running) = self.running(ticket) else { return };
        let Channel::Asked(pump) = &mut running.channel else { return };
        let Some(pump) = pump.take() else { return };
        running.channel = Channel::Coming(way);
        stage.out.push(Output::Order(ticket, Order::Dial(to, pump)));
        if proven {
            self.send_rest_or_verb(ticket, stage);
        }
    }

    fn port_answered(&mut self, ticket: Ticket, way: Way, reply: &Reply, stage: &mut Stage<'_>) {
        if reply.kind() == Kind::Completion {
            return self.send_rest_or_verb(ticket, stage);
        }
        let Some(running) = self.running(ticket) else { return };
        running.blame(way, &refused(reply));
        running.refusal = Some(reply.code);
        let (why, coming) = (running.why.clone(), matches!(running.channel, Channel::Coming(_)));
        stage.profile.note_way(way, Standing::Fails);
        if coming {
            // The DTP gives the pump back as "never connected", which leads to the next way.
            return stage.out.push(Output::Order(ticket, Order::Cut));
        }
        // It connected and then refused to: whoever that was, it is not the channel of this transfer.
        self.fail(ticket, Failure::NoChannel(why, Some(reply.code)), stage);
    }

    /// On to the next way; if the verb went ahead, only after its final reply.
    fn way_failed(&mut self, ticket: Ticket, way: Way, stage: &mut Stage<'_>) {
        let Some(running) = self.running(ticket) else { return };
        running.tried.push(way);
        if let Channel::Asked(pump) = &mut running.channel {
            running.channel = Channel::Closed(pump.take());
        }
        match running.word {
            Word::Unsent => self.open(ticket, stage),
            Word::Sent | Word::Opened => running.again = true,
            Word::Answered(_) => self.conclude(ticket, stage),
        }
    }

    /// REST goes right before the verb: older servers forget it at any other command.
    fn send_rest_or_verb(&mut self, ticket: Ticket, stage: &mut Stage<'_>) {
        let Some(running) = self.running(ticket) else { return };
        if !matches!(running.word, Word::Unsent) {
            return;
        }
        let restart = running.restart;
        if restart == 0 && !self.marked {
            return self.send_verb(ticket, stage);
        }
        if !self.owed.iter().any(|owed| matches!(owed, Owed::Rest(other, _) if *other == ticket)) {
            self.marked = restart > 0;
            self.command(format!("REST {restart}").into_bytes(), Owed::Rest(ticket, restart), stage);
        }
    }

    pub(super) fn rest_answered(&mut self, ticket: Ticket, restart: u64, reply: Reply, stage: &mut Stage<'_>) {
        // 350; 2yz is what some servers make of it.
        if restart == 0 || matches!(reply.kind(), Kind::Intermediate | Kind::Completion) {
            self.send_verb(ticket, stage);
        } else {
            self.fail(ticket, Failure::NoRestart(reply), stage);
        }
    }

    fn send_verb(&mut self, ticket: Ticket, stage: &mut Stage<'_>) {
        let Some(running) = self.running(ticket) else { return };
        if !matches!(running.word, Word::Unsent) {
            return;
        }
        running.word = Word::Sent;
        let line = with_argument(rule(running.verb).name, &running.argument);
        self.command(line, Owed::Verb(ticket), stage);
    }

    /// 1yz.
    pub(super) fn preliminary(&mut self, reply: &Reply, stage: &mut Stage<'_>) {
        let Some(Owed::Verb(ticket)) = self.owed.front().copied() else { return self.stray(reply, stage) };
        let Some(running) = self.running(ticket) else { return };
        running.preliminaries += 1;
        if running.preliminaries > PRELIMINARIES {
            return self.die(Death::TimedOut("waiting for the end of the server's 1yz replies"), stage);
        }
        if running.has_enough() {
            // A segment was cut off when it had all it wanted, and one server in wide use says 150 again instead of
            // 226 or 426 then. Nothing else will come.
            self.owed.pop_front();
            return self.verb_answered(ticket, reply.clone(), stage);
        }
        if matches!(running.word, Word::Sent) {
            running.word = Word::Opened;
            running.announced = announced(reply.text());
            if !running.incoming() {
                stage.profile.begins = Standing::Works;
            }
            if matches!(running.channel, Channel::Up) && !running.incoming() {
                stage.out.push(Output::Order(ticket, Order::Go));
            }
            self.heeded += 1;
        }
    }

    pub(super) fn verb_answered(&mut self, ticket: Ticket, reply: Reply, stage: &mut Stage<'_>) {
        let Some(running) = self.running(ticket) else { return };
        if running.again {
            running.again = false;
            running.word = Word::Unsent;
            return self.open(ticket, stage);
        }
        let failed = matches!(reply.kind(), Kind::Transient | Kind::Permanent);
        // After 1yz, what was sent before it went wrong is still on its way, and worth having.
        let arriving = running.incoming() && matches!((&running.word, &running.channel), (Word::Opened, Channel::Up));
        // An upload that was not let begin: whatever it is that the server calls done, our file is not.
        let unbegun = !running.incoming() && matches!(running.word, Word::Sent);
        running.word = Word::Answered(reply);
        if (unbegun || failed && !arriving) && matches!(running.channel, Channel::Up | Channel::Coming(_)) {
            // No more data is to come; what has come is in the pump, which the DTP gives back.
            stage.out.push(Output::Order(ticket, Order::Cut));
            return;
        }
        self.conclude(ticket, stage);
    }

    pub(super) fn news(&mut self, ticket: Ticket, news: News, stage: &mut Stage<'_>) {
        match news {
            News::Listening(at) => self.listening(ticket, at, stage),
            News::Up => self.is_up(ticket, stage),
            News::Never(pump, missed) => self.never(ticket, pump, missed, stage),
            News::Done { pump, moved, elapsed, result } => {
                let Some(running) = self.running(ticket) else { return };
                running.channel = Channel::Over(Over { pump, moved, elapsed, result });
                self.conclude(ticket, stage);
            }
        }
    }

    fn listening(&mut self, ticket: Ticket, at: std::net::SocketAddr, stage: &mut Stage<'_>) {
        let Some(running) = self.running(ticket) else { return };
        let Channel::Coming(way) = running.channel else { return };
        let line = match (way, at) {
            (Way::Port, std::net::SocketAddr::V4(at)) => format!("PORT {}", address::port_argument(at)),
            _ => format!("EPRT {}", address::eprt_argument(at)),
        };
        self.command(line.into_bytes(), Owed::Way(ticket, way), stage);
    }

    fn is_up(&mut self, ticket: Ticket, stage: &mut Stage<'_>) {
        // Some servers connect before they answer PORT. The verb waits for the answer: pyftpdlib, asked in between, sends
        // the file and then never closes the connection.
        let port_owed = self.owed.iter().any(|owed| matches!(owed, Owed::Way(other, _) if *other == ticket));
        let Some(running) = self.running(ticket) else { return };
        if let Channel::Coming(way) = running.channel {
            stage.profile.note_way(way, Standing::Works);
        }
        running.channel = Channel::Up;
        match running.word {
            Word::Unsent if !port_owed => self.send_rest_or_verb(ticket, stage),
            Word::Opened if !running.incoming() => stage.out.push(Output::Order(ticket, Order::Go)),
            // The server has ended the upload already, 1yz and all: nothing may be sent any more, and nobody else would end it.
            Word::Answered(_) if !running.incoming() => stage.out.push(Output::Order(ticket, Order::Cut)),
            // What is sent before the 1yz waits in the server's socket: a round trip less for each small file.
            Word::Sent if running.eager && stage.profile.takes_early() => {
                running.word = Word::Opened;
                stage.out.push(Output::Order(ticket, Order::Go));
            }
            _ => {}
        }
    }

    /// No connection came about. Before the verb another way is tried. After it the dialogue is in a state that only
    /// the server's own time-out would end, so the session is given up and the wish can be tried on a fresh one.
    fn never(&mut self, ticket: Ticket, pump: Pump, missed: Missed, stage: &mut Stage<'_>) {
        let Some(running) = self.running(ticket) else { return };
        let Channel::Coming(way) = running.channel else { return };
        if let Missed::Failed(kind @ ErrorKind::ConnectionReset) = missed
            && running.listing()
            && !matches!(running.word, Word::Unsent)
        {
            // Taken and thrown away again before it was seen: some servers do so with nothing to list, and say so.
            let (moved, elapsed, result) = (0, Duration::ZERO, Err(Snag::Fault(Fault::Lost(kind))));
            running.channel = Channel::Over(Over { pump, moved, elapsed, result });
            return self.conclude(ticket, stage);
        }
        running.channel = Channel::Closed(Some(pump));
        if running.why.is_empty() {
            running.blame(way, &missed.to_string());
        }
        match running.word {
            Word::Unsent => {
                if way.passive() {
                    stage.profile.note_way(way, Standing::Fails);
                }
                self.way_failed(ticket, way, stage);
            }
            Word::Answered(_) => self.conclude(ticket, stage),
            Word::Sent | Word::Opened => {
                stage.profile.note_way(way, Standing::Fails);
                let why = running.why.clone();
                self.die(Death::NoChannel(why), stage);
            }
        }
    }

    /// Ends the transfer if both sides have ended.
    pub(super) fn conclude(&mut self, ticket: Ticket, stage: &mut Stage<'_>) {
        let secured = self.secured;
        let Some(running) = self.running(ticket) else { return };
        let Word::Answered(reply) = &running.word else { return };
        let (reply, listing, aborted) = (reply.clone(), running.listing(), running.aborted);
        let refused = matches!(reply.kind(), Kind::Transient | Kind::Permanent);
        // Also of a session that has begun before another one learnt it: how often it is tried is the crew's affair.
        if refused && secured && is_about_resumption(&reply) {
            stage.profile.note_unresumed();
            return self.die(Death::Unresumed(reply), stage);
        }
        let over = match std::mem::replace(&mut running.channel, Channel::Closed(None)) {
            Channel::Over(over) => over,
            Channel::Closed(pump) | Channel::Asked(pump) => {
                let result = match (refused, listing) {
                    (true, _) => Err(Failure::Refused(reply)),
                    // An empty directory is not worth a connection to some servers.
                    (false, true) => Err(Failure::Bare(reply)),
                    (false, false) => Err(Failure::NoChannel(running.why.clone(), running.refusal)),
                };
                return self.finish(ticket, pump, 0, Duration::ZERO, result, stage);
            }
            waiting => {
                running.channel = waiting;
                return;
            }
        };
        let Over { pump, moved, elapsed, result } = over;
        let satisfied = matches!(&pump, Pump::In(intake) if intake.satisfied());
        let result = match result {
            _ if aborted => Err(Failure::Aborted),
            // A segment that has all it wanted cuts the server short, which is then free to complain.
            Ok(()) if satisfied => Ok(reply),
            Err(Snag::Unclosed) if !refused => Err(Failure::Unclosed(reply)),
            // Nothing to list, and the connection for it thrown away: all there is was said by the reply.
            Err(snag) if listing && moved == 0 && !refused && (snag.is_loss() || snag.is_cut()) => {
                if secured {
                    Err(Failure::Unclosed(reply))
                } else {
                    Err(Failure::Bare(reply))
                }
            }
            Err(snag) if snag.is_cut() && !refused => {
                Err(Failure::NoChannel("the server ended the upload before it had begun".into(), None))
            }
            // Our own fault is the cause of the server's complaint, not the other way round.
            Err(snag) if !refused || snag.is_ours() => Err(Failure::Snag(snag)),
            _ if refused => Err(Failure::Refused(reply)),
            Ok(()) => Ok(reply),
            Err(snag) => Err(Failure::Snag(snag)),
        };
        self.finish(ticket, Some(pump), moved, elapsed, result, stage);
    }

    fn fail(&mut self, ticket: Ticket, failure: Failure, stage: &mut Stage<'_>) {
        let Some(running) = self.running(ticket) else { return };
        match std::mem::replace(&mut running.channel, Channel::Closed(None)) {
            Channel::Closed(pump) | Channel::Asked(pump) => {
                self.finish(ticket, pump, 0, Duration::ZERO, Err(failure), stage);
            }
            _ => {
                stage.out.push(Output::Order(ticket, Order::Drop));
                self.finish(ticket, None, 0, Duration::ZERO, Err(failure), stage);
            }
        }
    }

    fn finish(
        &mut self,
        ticket: Ticket,
        pump: Option<Pump>,
        moved: u64,
        elapsed: Duration,
        result: Result<Reply, Failure>,
        stage: &mut Stage<'_>,
    ) {
        let running = self.index(ticket).and_then(|at| self.transfers.remove(at));
        let announced = running.and_then(|running| running.announced);
        let outcome = Outcome { pump, moved, announced, elapsed, result };
        stage.out.push(Output::Answer(ticket, Answer::Moved(Box::new(outcome))));
    }

    /// Whether there are transfers.
    pub fn moves(&self) -> bool {
        !self.transfers.is_empty()
    }

    /// The user has had enough: data connections are closed, the server is told.
    pub(super) fn abort(&mut self, stage: &mut Stage<'_>) {
        let mut verbs_out = false;
        let mut unsent = Vec::new();
        for running in &mut self.transfers {
            running.aborted = true;
            match running.word {
                Word::Unsent => unsent.push(running.ticket),
                Word::Sent | Word::Opened => {
                    verbs_out = true;
                    stage.out.push(Output::Order(running.ticket, Order::Cut));
                }
                Word::Answered(_) => stage.out.push(Output::Order(running.ticket, Order::Cut)),
            }
        }
        for ticket in unsent {
            self.fail(ticket, Failure::Aborted, stage);
        }
        if verbs_out {
            self.owe(Owed::Abort);
            stage.out.push(Output::Interrupt);
        }
    }

    fn index(&self, ticket: Ticket) -> Option<usize> {
        self.transfers.iter().position(|running| running.ticket == ticket)
    }

    fn running(&mut self, ticket: Ticket) -> Option<&mut Running> {
        self.transfers.iter_mut().find(|running| running.ticket == ticket)
    }
}

fn refused(reply: &Reply) -> String {
    let what = if reply.kind() == Kind::Completion { "no port in the answer" } else { "refused by the server" };
    format!("{what}: {}", Spoken(reply))
}

/// Whether a server wants data connections to resume the control connection's session. Tickets of TLS 1.3 may run out,
/// or be none of those it knows again; a session of TLS 1.2 can be resumed as often as one likes.
fn is_about_resumption(reply: &Reply) -> bool {
    let text = String::from_utf8_lossy(reply.text()).to_ascii_lowercase();
    // The third is proftpd's, which has EPERM in mind.
    let worded = ["reuse", "resum", "data connection: operation not permitted"].iter().any(|word| text.contains(word));
    reply.code == 522 || (worded && matches!(reply.code, 425 | 426 | 450 | 521 | 534))
}

/// The number in `(1234 bytes)`, which most servers put into their 150: the only word about a file's length where
/// SIZE is not known.
fn announced(text: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let (before, _) = text.rsplit_once(" bytes)")?;
    before.rsplit_once('(')?.1.parse().ok()
}

fn with_argument(verb: &str, argument: &[u8]) -> Vec<u8> {
    if argument.is_empty() { verb.as_bytes().to_vec() } else { [verb.as_bytes(), b" ", argument].concat() }
}
