//! How a dialogue ends: silence, 421, a closed connection, and what is still saved from it.

use super::state::{Channel, Owed, Running, State, Word};
use super::{KEEPALIVES, Output, Session, Stage};
use crate::user::mail::{Answer, Death, Order, Protection};
use crate::user::profile::Standing;
use crate::wire::reply::{Kind, Reply};

impl Running {
    /// Whether it is a listing that has its final reply without a 1yz, and a data connection that is not over.
    pub(super) fn is_done_unbegun(&self) -> bool {
        let done = matches!(&self.word, Word::Answered(reply) if reply.kind() == Kind::Completion);
        done && self.listing() && self.preliminaries == 0 && matches!(self.channel, Channel::Up)
    }

    /// Whether the server has said that it went well, and only its last bytes are still on their way.
    fn awaits_only_data(&self) -> bool {
        let praised = matches!(&self.word, Word::Answered(reply) if reply.kind() == Kind::Completion);
        praised && self.incoming() && !self.aborted && matches!(self.channel, Channel::Up)
    }
}

impl Session {
    pub(super) fn awaits_only_data(&self) -> bool {
        self.transfers.front().is_some_and(Running::awaits_only_data)
    }

    /// The server has left. Some do so right behind their 226, and that is heard before the end of the data is seen.
    pub(super) fn left(&mut self, death: Death, stage: &mut Stage<'_>) {
        let by_server = matches!(death, Death::Closed | Death::Lost(_) | Death::Dismissed(_));
        match self.state {
            State::Member if by_server && self.awaits_only_data() => self.enter(State::Deserted),
            State::Deserted if by_server => {}
            _ => self.die(death, stage),
        }
    }

    pub(super) fn dismissed(&mut self, reply: Reply, stage: &mut Stage<'_>) {
        let quitting = self.state == State::Leaving;
        self.left(if quitting { Death::Left } else { Death::Dismissed(reply) }, stage);
    }

    pub(super) fn expired(&mut self, stage: &mut Stage<'_>) {
        if self.state == State::Member && (self.begin_without_1yz(stage) || self.cut_what_is_empty(stage)) {
            return;
        }
        match self.state {
            State::Member if self.idle() => {
                if self.keepalives < KEEPALIVES {
                    self.keepalives += 1;
                    self.command(b"NOOP".to_vec(), Owed::Courtesy, stage);
                }
            }
            State::Leaving => self.die(Death::Left, stage),
            State::Dead | State::Deserted => {}
            State::Member => {
                self.close_without_reply(stage);
                self.die(Death::TimedOut("waiting for the server's reply"), stage);
            }
            State::Greeting => self.die(Death::TimedOut(self.waited_for_greeting()), stage),
            State::Authorising | State::Securing => self.die(Death::TimedOut(self.waited_for_tls()), stage),
            State::Naming
            | State::Proving
            | State::Accounting
            | State::Asking
            | State::Presenting
            | State::Encoding
            | State::Buffering
            | State::Protecting => self.die(Death::TimedOut("logging in"), stage),
        }
    }

    /// A transfer that has all it wanted, or had more than it wanted, is over, whether the server has a word to say about
    /// it or not.
    pub(super) fn close_without_reply(&mut self, stage: &mut Stage<'_>) {
        let Some(front) = self.transfers.front_mut() else { return };
        let reply = match (front.has_enough(), front.is_spoilt()) {
            (true, _) => Reply::new(226, "enough"),
            (_, true) => Reply::new(426, "enough"),
            _ => return,
        };
        front.word = Word::Answered(reply);
        let ticket = front.ticket;
        self.conclude(ticket, stage);
    }

    /// An upload whose 1yz does not come begins without it. False: there is none.
    pub(super) fn begin_without_1yz(&mut self, stage: &mut Stage<'_>) -> bool {
        let Some(front) = self.transfers.front_mut() else { return false };
        if front.incoming() || front.aborted || !matches!((&front.word, &front.channel), (Word::Sent, Channel::Up)) {
            return false;
        }
        front.word = Word::Opened;
        stage.out.push(Output::Order(front.ticket, Order::Go));
        true
    }

    /// A listing that the server calls done without having begun it, and of which nothing comes: there is nothing to list.
    /// False: it is no such listing.
    fn cut_what_is_empty(&self, stage: &mut Stage<'_>) -> bool {
        let empty = self.transfers.front().filter(|front| front.is_done_unbegun());
        stage.out.extend(empty.map(|front| Output::Order(front.ticket, Order::CutIfBare)));
        empty.is_some()
    }

    /// Who did not insist on TLS may not know that it is what takes so long.
    /// A server that waits for a ClientHello is silent just the same.
    fn waited_for_greeting(&self) -> &'static str {
        match self.manners.protection {
            Protection::Implicit => "waiting for the greeting",
            _ => "waiting for the greeting; a port that begins in TLS is ftps://",
        }
    }

    fn waited_for_tls(&self) -> &'static str {
        match self.manners.protection {
            Protection::Auto => "asking for TLS; with --tls off it is not asked for",
            _ => "asking for TLS",
        }
    }

    /// The end: everything that was wished is answered.
    pub(super) fn die(&mut self, death: Death, stage: &mut Stage<'_>) {
        if self.state == State::Dead {
            return;
        }
        self.enter(State::Dead);
        if unanswered(&death) && self.owed.len() > 1 {
            stage.profile.slow_down(self.transfers.len() > 1);
        }
        if let (Some(Owed::Way(_, way)), true) = (self.owed.front(), unanswered(&death)) {
            // Silence, or a slammed door, was the answer to EPSV: the next session asks in another way.
            stage.profile.note_way(*way, Standing::Fails);
        }
        for running in self.transfers.drain(..) {
            let ticket = running.ticket;
            stage.out.push(Output::Order(ticket, Order::Drop));
            let answer = match running.content() {
                Some(outcome) => Answer::Moved(Box::new(outcome)),
                None => Answer::Dead(death.clone()),
            };
            stage.out.push(Output::Answer(ticket, answer));
        }
        for owed in self.owed.drain(..) {
            if let Owed::Ask(ticket, _) = owed {
                stage.out.push(Output::Answer(ticket, Answer::Dead(death.clone())));
            }
        }
        for (ticket, _) in self.agenda.drain(..) {
            stage.out.push(Output::Answer(ticket, Answer::Dead(death.clone())));
        }
        stage.out.push(Output::HangUp(death));
    }
}

/// Whether a session ended where a reply should have been.
const fn unanswered(death: &Death) -> bool {
    matches!(death, Death::TimedOut(_) | Death::Closed | Death::Lost(_) | Death::OutOfStep(_))
}
