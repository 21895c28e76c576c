//! Data connections seen from the loop: what is done about the orders of sessions.

use std::net::SocketAddr;

use mio::net::TcpListener;

use super::dial::connect;
use super::dtp::{self, Data, Waits};
use super::guard::Cloak;
use super::mail::{Missed, News, Order, Ticket};
use super::pump::Pump;
use super::{Client, Conn, DATA_CONNECT, Mark};
use crate::reactor::{Key, Weight};

impl Client {
    pub(super) fn ordered(&mut self, by: Key, ticket: Ticket, order: Order) {
        match order {
            Order::Dial(to, pump) => {
                self.mark(by, Mark::Dialled);
                self.dial(by, ticket, to, pump);
            }
            Order::Listen(pump) => self.listen(by, ticket, pump),
            Order::Go => {
                let now = self.reactor.now();
                if let Some(key) = self.data_of(by, ticket) {
                    self.mark(by, Mark::Going);
                    self.with_data(key, |data| data.go(now));
                    self.advance_data(key);
                }
            }
            Order::Drop => {
                if let Some(key) = self.data_of(by, ticket) {
                    self.cut(by, key);
                }
            }
            Order::CutIfBare => {
                let key = self.data_of(by, ticket);
                if key.and_then(|key| self.with_data(key, |data| data.moved() == 0)) == Some(true) {
                    self.ordered(by, ticket, Order::Cut);
                }
            }
            Order::Cut => {
                if let Some(key) = self.data_of(by, ticket)
                    && let Some(news) = self.cut(by, key)
                {
                    self.mail.push_back((by, ticket, news));
                }
            }
        }
    }

    fn cut(&mut self, by: Key, key: Key) -> Option<News> {
        let now = self.reactor.now();
        let news = self.with_data(key, |data| data.cut(now)).flatten();
        self.part(by, key);
        self.closing.push(key);
        news
    }

    /// What a session's data connections wear. A session whose cloak cannot be made gets none of them.
    fn cloak_of(&mut self, by: Key) -> Result<Option<Cloak>, String> {
        self.control(by).map_or(Ok(None), |control| control.cloak())
    }

    fn dial(&mut self, by: Key, ticket: Ticket, to: SocketAddr, pump: Pump) {
        let now = self.reactor.now();
        let cloak = match self.cloak_of(by) {
            Ok(cloak) => cloak,
            Err(error) => {
                log::error!("no TLS for a data connection: {error}");
                return self.mail.push_back((by, ticket, News::Never(pump, Missed::Uncovered)));
            }
        };
        let source = self.guise_of(by).source;
        match connect(source, to) {
            Ok(stream) => {
                if let Err(error) = stream.set_nodelay(true) {
                    log::debug!("socket options: {error}");
                }
                pump.prepare(&stream);
                self.employ(by, Data::dialling(by, ticket, stream, to.ip(), pump, now), cloak);
            }
            Err(error) => {
                log::debug!("cannot connect to {to}: {error}");
                self.mail.push_back((by, ticket, News::Never(pump, Missed::Failed(error.kind()))));
            }
        }
    }

    fn listen(&mut self, by: Key, ticket: Ticket, pump: Pump) {
        let Some((local, peer)) = self.ends_of(by) else { return };
        let cloak = match self.cloak_of(by) {
            Ok(cloak) => cloak,
            Err(error) => {
                log::error!("no TLS for a data connection: {error}");
                return self.mail.push_back((by, ticket, News::Never(pump, Missed::Uncovered)));
            }
        };
        let now = self.reactor.now();
        let bound = TcpListener::bind(SocketAddr::new(local, 0)).and_then(|l| l.local_addr().map(|at| (l, at)));
        match bound {
            Ok((listener, at)) => {
                let key = self.employ(by, Data::listening(by, ticket, listener, peer, pump, now), cloak);
                let registered = match self.reactor.turn(key) {
                    Some((slot, sockets, _)) => match &mut slot.conn {
                        Conn::Data(data) => data.register(sockets),
                        _ => Ok(()),
                    },
                    None => Ok(()),
                };
                match registered {
                    Ok(()) => self.mail.push_back((by, ticket, News::Listening(at))),
                    Err(error) => {
                        log::debug!("cannot watch a data port: {error}");
                        if let Some(news) = self.cut(by, key) {
                            self.mail.push_back((by, ticket, news));
                        }
                    }
                }
            }
            Err(error) => {
                log::debug!("cannot listen on {local}: {error}");
                self.mail.push_back((by, ticket, News::Never(pump, Missed::Failed(error.kind()))));
            }
        }
    }

    fn employ(&mut self, by: Key, mut data: Data, cloak: Option<Cloak>) -> Key {
        data.set_pace(self.bucket.clone());
        data.set_cloak(cloak);
        let key = self.reactor.insert(Conn::Data(Box::new(data)), Weight::Heavy);
        self.adjust(by, |control| control.data.push(key));
        self.advance_data(key);
        key
    }

    pub(super) fn advance_data(&mut self, key: Key) {
        let waits = Waits { connect: self.terms.timeout.min(DATA_CONNECT), stall: self.terms.timeout };
        let Some((slot, sockets, now)) = self.reactor.turn(key) else { return };
        let Conn::Data(data) = &mut slot.conn else { return };
        let before = data.moved();
        let outcome = data.advance(&mut dtp::Turn {
            ready: &mut slot.ready,
            sockets,
            now,
            piece: &mut self.piece,
            scratch: &mut self.scratch,
            waits,
        });
        slot.deadline = data.deadline(&waits);
        let (owner, ticket, employed, moved) = (data.owner, data.ticket, data.employed(), data.moved());
        if self.marks {
            self.mark_data(owner, before, moved, &outcome.news);
        }
        self.mail.extend(outcome.news.into_iter().map(|news| (owner, ticket, news)));
        if !employed {
            self.part(owner, key);
        }
        self.follow(key, outcome.next);
    }
    fn mark_data(&mut self, owner: Key, before: u64, after: u64, news: &[News]) {
        if matches!(news.first(), Some(News::Up)) {
            self.mark(owner, Mark::Up);
        }
        let done = news.iter().find_map(|news| match news {
            News::Done { moved, .. } => Some(*moved),
            _ => None,
        });
        if before == 0 && done.unwrap_or(after) > 0 {
            self.mark(owner, Mark::FirstByte);
        }
        if let Some(moved) = done {
            self.mark(owner, Mark::DataOver(moved));
        }
    }
}
