//! What a pass of the client's loop is made of: a record's turn, and what follows from it.

use std::net::IpAddr;

use signal_hook::consts::signal::SIGCHLD;

use super::control::{self, Control};
use super::dtp::Data;
use super::mail::{Answer, Death, Ticket};
use super::pi::{Guise, Input, Output};
use super::{Client, Conn, Event, Mark};
use crate::reactor::{Key, Next, Ready};

impl Client {
    pub(super) fn advance(&mut self, key: Key) {
        let Some(slot) = self.reactor.slot_mut(key) else { return };
        match &mut slot.conn {
            Conn::Control(_) => self.advance_control(key),
            Conn::Data(_) => self.advance_data(key),
            Conn::Bell(bell) => {
                slot.ready.clear(Ready::READ);
                if slot.ready.take(Ready::EXPIRED) {
                    self.events.push_back(Event::Woken);
                }
                self.events.extend(bell.messages().map(Event::Helped));
            }
            Conn::Timer(timer) => {
                if timer.has_rung(&mut slot.ready) {
                    self.events.push_back(Event::Woken);
                }
            }
            Conn::Signals(signals) => {
                slot.ready.clear(Ready::READ);
                let told = |signal| if signal == SIGCHLD { Event::ChildEnded } else { Event::Interrupted };
                self.events.extend(signals.pending().map(told));
            }
        }
    }

    pub(super) fn advance_control(&mut self, key: Key) {
        let next = self.with_control(key, |control, turn| control.advance(turn)).unwrap_or(Next::Sleep);
        self.after_control(key, next);
    }

    pub(super) fn tell(&mut self, key: Key, input: Input) -> Option<()> {
        self.with_control(key, |control, turn| control.tell(input, turn))?;
        self.after_control(key, Next::Sleep);
        Some(())
    }

    fn after_control(&mut self, key: Key, next: Next) {
        self.follow(key, next);
        self.touched.push(key);
        self.grant(key);
    }

    /// Does what a session wishes, in order.
    fn grant(&mut self, by: Key) {
        let mut wishes = std::mem::take(&mut self.out);
        for wish in wishes.drain(..) {
            match wish {
                Output::Command(line) => {
                    self.mark(by, Mark::Said { transfer: is_transfer(&line) });
                    self.adjust(by, |control| control.queue_line(&line));
                }
                Output::Interrupt => self.adjust(by, Control::queue_interrupt),
                Output::Order(ticket, order) => self.ordered(by, ticket, order),
                Output::Answer(ticket, answer) => self.events.push_back(Event::Answered(by, ticket, answer)),
                Output::Connected => self.mark(by, Mark::Connected),
                Output::Redialling => {}
                Output::Covered => self.mark(by, Mark::Secured),
                Output::StartTls => self.start_tls(by),
                Output::InTheClear => self.events.push_back(Event::InTheClear(by)),
                Output::Ready => self.ready(by),
                Output::Heard(reply) => {
                    self.mark(by, Mark::Heard(reply.code));
                    if self.terms.tell_replies {
                        self.events.push_back(Event::Heard(by, reply));
                    }
                }
                Output::HangUp(death) => self.hang_up(by, death),
            }
        }
        if self.out.is_empty() {
            self.out = wishes; // its memory serves the next turn
        }
    }

    fn start_tls(&mut self, by: Key) {
        self.with_control(by, |control, turn| control.start_tls(turn));
        self.reactor.run_again(by);
    }

    pub(super) fn mark(&mut self, session: Key, mark: Mark) {
        if self.marks {
            self.events.push_back(Event::Passed(session, mark, self.reactor.clock().now()));
        }
    }

    fn ready(&mut self, key: Key) {
        self.events.push_back(Event::Ready(key));
        for (ticket, wish) in self.held.remove(&key).unwrap_or_default() {
            self.tell(key, Input::Wish(ticket, wish));
        }
    }

    pub(super) fn hang_up(&mut self, key: Key, death: Death) {
        for (ticket, _) in self.held.remove(&key).unwrap_or_default() {
            self.events.push_back(Event::Answered(key, ticket, Answer::Dead(death.clone())));
        }
        let data = self.control(key).map(|control| std::mem::take(&mut control.data)).unwrap_or_default();
        for record in data {
            if self.is_employed(record) {
                self.closing.push(record);
            }
        }
        self.with_control(key, |control, turn| {
            control.flush(turn);
            control.hang_up(turn);
        });
        self.closing.push(key);
        self.events.push_back(Event::Gone(key, death));
    }

    /// News reach their sessions, until nobody has any.
    pub(super) fn settle(&mut self) {
        while let Some((to, ticket, news)) = self.mail.pop_front() {
            self.tell(to, Input::News(ticket, news));
        }
    }

    pub(super) fn follow(&mut self, key: Key, next: Next) {
        self.reactor.arm(key);
        match next {
            Next::Yield => self.reactor.run_again(key),
            Next::Sleep => {}
            Next::Close => self.closing.push(key),
        }
    }

    /// Sends what sessions have said: one write each, however many wishes it came from.
    pub(super) fn flush(&mut self) {
        for key in std::mem::take(&mut self.touched) {
            let next = self.with_control(key, |control, turn| control.flush(turn)).unwrap_or(Next::Sleep);
            self.follow(key, next);
            self.grant(key);
        }
        self.settle();
    }

    /// The one place that frees records.
    pub(super) fn reap(&mut self) {
        for key in std::mem::take(&mut self.closing) {
            if let Some(Conn::Data(data)) = self.reactor.remove(key) {
                self.part(data.owner, key);
            }
        }
    }

    pub(super) fn part(&mut self, owner: Key, data: Key) {
        self.adjust(owner, |control| control.data.retain(|key| *key != data));
    }

    pub(super) fn control(&mut self, key: Key) -> Option<&mut Control> {
        match &mut self.reactor.slot_mut(key)?.conn {
            Conn::Control(control) => Some(control),
            _ => None,
        }
    }

    pub(super) fn adjust(&mut self, key: Key, change: impl FnOnce(&mut Control)) {
        if let Some(control) = self.control(key) {
            change(control);
        }
    }

    fn with_control<R>(&mut self, key: Key, call: impl FnOnce(&mut Control, &mut control::Turn<'_>) -> R) -> Option<R> {
        let (slot, sockets, now) = self.reactor.turn(key)?;
        let Conn::Control(control) = &mut slot.conn else { return None };
        let mut turn = control::Turn { ready: &mut slot.ready, sockets, now, out: &mut self.out };
        let result = call(control, &mut turn);
        slot.deadline = control.deadline();
        self.reactor.arm(key);
        Some(result)
    }

    pub(super) fn with_data<R>(&mut self, key: Key, call: impl FnOnce(&mut Data) -> R) -> Option<R> {
        match &mut self.reactor.slot_mut(key)?.conn {
            Conn::Data(data) => Some(call(data)),
            _ => None,
        }
    }

    fn is_employed(&mut self, key: Key) -> bool {
        self.with_data(key, |data| data.employed()).unwrap_or(false)
    }

    pub(super) fn data_of(&mut self, session: Key, ticket: Ticket) -> Option<Key> {
        let keys = self.control(session)?.data.clone();
        keys.into_iter().find(|key| self.with_data(*key, |data| data.ticket) == Some(ticket))
    }

    pub(super) fn guise_of(&mut self, session: Key) -> Guise {
        self.control(session).and_then(|control| Some(control.session()?.guise())).unwrap_or_default()
    }

    pub(super) fn ends_of(&mut self, session: Key) -> Option<(IpAddr, IpAddr)> {
        let session = self.control(session)?.session()?;
        Some((session.local(), session.peer().ip()))
    }
}

/// Whether a command line is one that a data connection goes with.
fn is_transfer(line: &[u8]) -> bool {
    const VERBS: [&[u8]; 7] = [b"RETR", b"STOR", b"LIST", b"NLST", b"MLSD", b"APPE", b"STOU"];
    line.get(..4).is_some_and(|verb| VERBS.contains(&verb))
}
