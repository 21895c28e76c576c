//! Sessions and their data connections, seen from the loop: who is let in, and what is done about their wishes.

use std::net::{IpAddr, SocketAddr};

use mio::net::TcpStream;

use super::census::{Crowded, group};
use super::control::{Control, Turn};
use super::dtp::{self, Data, Errand};
use super::listener::refuse;
use super::pi::{Finished, Input, Output, Session};
use super::realm::GUEST;
use super::stamp::Stamp;
use super::transfer_log::{Direction, Record, User};
use super::{Conn, Door, Letter, Server};
use crate::reactor::{Key, Next, Ready, Weight};
use crate::transfer::{Fault, Order, Report};
use crate::wire::command::{Verb, rule};

impl Server {
    /// Lets a newcomer in, or says why not before any 220.
    pub(super) fn arrived(&mut self, door: Door, stream: TcpStream, peer: SocketAddr) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let Ok(local) = stream.local_addr() else { return };
        if self.bans.holds(peer.ip(), self.reactor.now()) {
            if let Some(others) = self.crowds.speak(self.reactor.now()) {
                log::warn!("{peer}: turned away, banned{others}");
            }
            return refuse(door, stream, b"421 Too many login failures from your address.\r\n");
        }
        let limits = &self.world.settings.limits;
        let (total, each) = (limits.clients.map(Into::into), limits.per_ip.map(Into::into));
        if let Err(crowded) = self.census.enter(peer.ip(), total, each) {
            if let Some(others) = self.crowds.speak(self.reactor.now()) {
                log::warn!("{peer}: turned away, too many connections ({crowded:?}){others}");
            }
            let line: &[u8] = match crowded {
                Crowded::Server => b"421 Too many connections, try again later.\r\n",
                Crowded::Address => b"421 Too many connections from your address.\r\n",
            };
            return refuse(door, stream, line);
        }
        let session = Session::new(peer, local.ip().to_canonical());
        let session = if door == Door::Implicit { session.covered() } else { session };
        let control = Box::new(Control::new(stream, session, self.reactor.now()));
        let key = self.reactor.insert(Conn::Control(control), Weight::Light);
        log::debug!("{peer}: connected");
        if let Err(error) = self.with_control(key, |control, turn| control.register(turn)).unwrap_or(Ok(())) {
            log::error!("{peer}: cannot watch the connection: {error}");
            return self.closing.push(key);
        }
        match door {
            Door::Explicit => {
                self.with_control(key, Control::open);
            }
            Door::Implicit => match self.world.keys() {
                Some(keys) => self.secure(key, keys),
                None => self.closing.push(key),
            },
        }
        self.grant(key);
    }

    /// A control record's turn.
    pub(super) fn advance_control(&mut self, key: Key) {
        let next = self.with_control(key, Control::advance).unwrap_or(Next::Sleep);
        self.after_control(key, next);
    }

    /// Something happened that a session waits for.
    pub(super) fn notify(&mut self, key: Key, input: Input) {
        let next = self.with_control(key, |control, turn| control.notify(input, turn)).unwrap_or(Next::Sleep);
        self.after_control(key, next);
    }

    fn after_control(&mut self, key: Key, next: Next) {
        self.follow(key, next);
        self.touched.push(key);
        self.grant(key);
    }

    /// Sends what sessions have said during this turn: one write each.
    pub(super) fn flush(&mut self) {
        while let Some(key) = self.touched.pop() {
            let next = self.with_control(key, Control::flush).unwrap_or(Next::Sleep);
            self.follow(key, next);
        }
    }

    /// Runs a call on a control record with everything it may use, and keeps its deadline.
    pub(super) fn with_control<R>(
        &mut self,
        key: Key,
        call: impl FnOnce(&mut Control, &mut Turn<'_>) -> R,
    ) -> Option<R> {
        let (slot, sockets, now) = self.reactor.turn(key)?;
        let Conn::Control(control) = &mut slot.conn else { return None };
        let out = &mut self.wishes;
        let result = call(control, &mut Turn { ready: &mut slot.ready, sockets, now, world: &self.world, out });
        slot.deadline = control.deadline(&self.world);
        Some(result)
    }

    /// Changes a control record, if it still lives.
    pub(super) fn adjust(&mut self, key: Key, change: impl FnOnce(&mut Control)) {
        self.with_control(key, |control, _| change(control));
    }

    /// Does what a session wishes, in order.
    fn grant(&mut self, by: Key) {
        let mut wishes = std::mem::take(&mut self.wishes);
        for wish in wishes.drain(..) {
            match wish {
                Output::Reply(reply) => self.adjust(by, |control| control.queue(&reply)),
                Output::HangUp => self.adjust(by, Control::hang_up),
                Output::Order(order) => self.ordered(by, order),
                Output::Secure(keys) => self.secure(by, keys),
                Output::Bare => {
                    self.with_control(by, Control::bare);
                    self.reactor.run_again(by);
                }
                Output::Check { user, password } => self.check_password(by, &user, &password),
                Output::Guessed(guess) => self.guessed(by, guess),
                Output::Record(finished) => self.record(by, &finished),
            }
        }
        self.wishes = wishes; // empty, but its memory serves the next turn
        self.touched.push(by);
    }

    /// A wrong password counts against its sender's address, where that is asked for.
    fn guessed(&mut self, by: Key, guess: u64) {
        let Some((peer, _)) = self.ends_of(by) else { return };
        let Some(rule) = &self.world.settings.limits.bans else { return };
        if self.bans.note(peer.ip(), guess, rule, self.reactor.now()) {
            log::warn!("{}: banned for {:?}, too many login failures", peer.ip(), rule.lasting);
            self.mail.push_back(Letter::Banned(peer.ip()));
        }
    }

    /// Guesses on other connections end too; who is in has shown who he is.
    pub(super) fn shut_out(&mut self, banned: IpAddr) {
        let theirs =
            |conn: &Conn| matches!(conn, Conn::Control(one) if group(one.session().peer().ip()) == group(banned));
        for key in self.keys_of(theirs) {
            self.notify(key, Input::Banned);
        }
    }

    fn ordered(&mut self, by: Key, order: Order) {
        match order {
            Order::Promise(notice) => self.promise(by, notice),
            Order::Begin(job, address, protection) => match (self.cloaked(by, job, protection), address) {
                (Ok(errand), None) => self.begin(by, errand),
                (Ok(errand), Some(address)) => self.dial(by, errand, address),
                (Err(error), _) => {
                    log::error!("cannot protect a data connection: {error}");
                    self.forget_data(by);
                    self.report(by, by, failed(Fault::Insecure));
                }
            },
            Order::Scan(scan) => self.scan(by, scan),
            Order::Abort => self.abort(by),
            Order::Forget => {
                self.end_scan(by);
                self.forget_data(by);
            }
            Order::Inquire => self.inquire(by),
        }
    }

    /// The job goes to the data record that waits for it; a small file is mostly on its way when this returns.
    fn begin(&mut self, by: Key, errand: Errand) {
        let now = self.reactor.now();
        let Some(data) = self.data_of(by) else {
            return self.report(by, by, never());
        };
        if let Some(record) = self.data_mut(data) {
            record.begin(errand, now);
        }
        self.take_up(data);
    }

    /// A transfer that can begin does so at once, within the turn of the session that asked for it: then a small file costs
    /// no pass of its own. A crowd that asks at the same moment would make that pass a long one.
    fn take_up(&mut self, data: Key) {
        if self.reactor.has_time() { self.advance_data(data) } else { self.reactor.run_again(data) }
    }

    fn dial(&mut self, by: Key, errand: Errand, address: SocketAddr) {
        self.forget_data(by);
        let Some((_, local)) = self.ends_of(by) else { return };
        if address.ip() == local && self.pool.ports(local).any(|port| port == address.port()) {
            log::warn!("refused to dial the passive port {address}");
            return self.report(by, by, never());
        }
        let settings = &self.world.settings;
        match super::passive::dial(local, address, settings.active.from_port_20, &settings.limits) {
            Ok(stream) => {
                let now = self.reactor.now();
                let record = Data::dialling(by, stream, address.ip(), errand, now);
                let data = self.reactor.insert(Conn::Data(Box::new(record)), Weight::Heavy);
                self.adjust(by, |control| control.data = Some(data));
                self.advance_data(data);
            }
            Err(error) => {
                log::warn!("cannot dial {address}: {error}");
                self.report(by, by, never());
            }
        }
    }

    /// A data record's turn.
    pub(super) fn advance_data(&mut self, key: Key) {
        let waits = self.waits();
        let Some((slot, sockets, now)) = self.reactor.turn(key) else { return };
        let Conn::Data(data) = &mut slot.conn else { return };
        let scratch = &mut self.scratch;
        let promise = data.promise();
        let outcome = data.advance(&mut dtp::Turn { ready: &mut slot.ready, sockets, now, scratch, waits });
        // A promise that ran out is taken back here: the record no longer knows of it when it is freed.
        if let Some((peer, address)) = promise.filter(|_| data.promise().is_none()) {
            self.pool.withdraw(peer, address, key);
        }
        slot.deadline = data.deadline(&waits);
        let owner = data.owner;
        if let Some(report) = outcome.report {
            self.report(owner, key, report);
        }
        self.follow(key, outcome.next);
    }

    /// The connection that was promised has come.
    pub(super) fn connected(&mut self, to: Key, stream: TcpStream) {
        let now = self.reactor.now();
        let Some(slot) = self.reactor.slot_mut(to) else { return };
        let Conn::Data(data) = &mut slot.conn else { return };
        slot.ready = Ready::unknown();
        data.connected(stream, now);
        self.take_up(to);
    }

    /// A report reaches its session; a data record that is through with it is no longer the session's.
    pub(super) fn reported(&mut self, to: Key, from: Key, report: Report) {
        if matches!(report, Report::Done { .. } | Report::Lapsed) {
            self.adjust(to, |control| {
                if control.data == Some(from) {
                    control.data = None;
                }
            });
        }
        self.notify(to, Input::Report(report));
    }

    fn abort(&mut self, by: Key) {
        if self.end_scan(by) {
            return;
        }
        if let Some((data, Some(report))) = self.end_data(by) {
            self.report(by, data, report);
        }
    }

    /// Ends whatever the session's data record does and parts the two.
    fn end_data(&mut self, by: Key) -> Option<(Key, Option<Report>)> {
        let now = self.reactor.now();
        let data = self.with_control(by, |control, _| control.data.take())??;
        let record = self.data_mut(data)?;
        let promise = record.promise();
        let report = record.abort(now);
        if let Some((peer, address)) = promise {
            self.pool.withdraw(peer, address, data);
        }
        self.closing.push(data);
        Some((data, report))
    }

    /// As [`Server::end_data`], with nobody to hear of it.
    pub(super) fn forget_data(&mut self, by: Key) {
        let _unheard = self.end_data(by);
    }

    fn inquire(&mut self, by: Key) {
        let (moved, total) = match self.data_of(by).and_then(|data| self.data_mut(data)) {
            Some(record) => record.progress(),
            None => (0, None),
        };
        self.report(by, by, Report::Progress { moved, total });
    }

    pub(super) fn report(&mut self, to: Key, from: Key, report: Report) {
        self.mail.push_back(Letter::Reported { to, from, report });
    }

    fn record(&mut self, by: Key, finished: &Finished) {
        let Some((peer, _)) = self.ends_of(by) else { return };
        self.note_transfer(peer, finished);
    }

    pub(super) fn note_transfer(&mut self, peer: SocketAddr, finished: &Finished) {
        let Finished { verb, user, path, moved, elapsed, fault, .. } = finished;
        let (seconds, millis) = (elapsed.as_secs(), elapsed.subsec_millis());
        let verb = rule(*verb).name;
        match fault {
            None => log::info!("{user}@{peer}: {verb} {path:?}: {moved} bytes in {seconds}.{millis:03} s, complete"),
            Some(fault) => {
                log::warn!("{user}@{peer}: {verb} {path:?}: {moved} bytes in {seconds}.{millis:03} s, {fault}")
            }
        }
        let file = matches!(finished.verb, Verb::Retr | Verb::Stor | Verb::Stou | Verb::Appe);
        if let Some(transfers) = self.scribe.transfers.as_mut().filter(|_| file) {
            transfers.write(&xferlog(peer, finished));
        }
    }

    /// A control record is gone: what it had under way is ended, counted and written down.
    pub(super) fn bury_session(&mut self, mut control: Control) {
        let peer = control.session().peer();
        self.census.leave(peer.ip());
        let now = self.reactor.now();
        if let Some(data) = control.data.take()
            && let Some(Conn::Data(mut record)) = self.reactor.remove(data)
        {
            self.take_back(data, &record);
            if let Some(finished) = record.abort(now).and_then(|report| control.bury(report, &self.world)) {
                self.note_transfer(peer, &finished);
            }
        }
        log::debug!("{peer}: disconnected");
    }

    fn data_of(&mut self, by: Key) -> Option<Key> {
        self.with_control(by, |control, _| control.data)?
    }

    pub(super) fn data_mut(&mut self, key: Key) -> Option<&mut Data> {
        match &mut self.reactor.slot_mut(key)?.conn {
            Conn::Data(data) => Some(data),
            _ => None,
        }
    }

    /// The peer's and our own address of a control connection.
    pub(super) fn ends_of(&mut self, key: Key) -> Option<(SocketAddr, IpAddr)> {
        self.with_control(key, |control, _| (control.session().peer(), control.session().local()))
    }
}

/// A finished transfer of a file in the transfer log's terms.
fn xferlog(peer: SocketAddr, finished: &Finished) -> Record<'_> {
    let Finished { verb, user, path, ascii, moved, elapsed, fault } = finished;
    let incoming = matches!(verb, Verb::Stor | Verb::Stou | Verb::Appe);
    Record {
        ended: Stamp::now(),
        elapsed: *elapsed,
        peer: peer.ip(),
        bytes: *moved,
        path: path.as_bytes(),
        ascii: *ascii,
        direction: if incoming { Direction::In } else { Direction::Out },
        user: if &**user == GUEST { User::Anonymous("?") } else { User::Account(user) },
        complete: fault.is_none(),
    }
}

const fn never() -> Report {
    failed(Fault::NeverConnected)
}

const fn failed(fault: Fault) -> Report {
    Report::Done { moved: 0, elapsed: std::time::Duration::ZERO, result: Err(fault) }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::reactor::Weight;
    use crate::server::dtp::Cloak;
    use crate::server::master::MasterLink;
    use crate::server::scribe::Scribe;
    use crate::server::settings::Settings;
    use crate::server::world::World;
    use crate::transfer::{Farewell, Flow, Job, Notice, Pace, Sender, Source};

    /// A server in a pass that has just begun, and the other end of its master.
    fn server() -> (Server, UnixStream) {
        let (master, keeper) = UnixStream::pair().expect("a pair");
        let master = MasterLink::keeper(master.into()).expect("a master");
        let world = World::empty(Settings::default());
        (Server::vacant(master, Scribe::new(None), world).expect("a server"), keeper)
    }

    /// Has the next pass begin without a sleep, whoever waits to run.
    fn open_pass(server: &mut Server) {
        server.reactor.run_again(server.master);
        server.reactor.wait().expect("no sleep");
    }

    /// A download of a few bytes that waits for its connection, that connection, and its peer's end.
    fn small_download(server: &mut Server) -> (Key, mio::net::TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let peer = TcpStream::connect(address).expect("connected");
        let (socket, _) = listener.accept().expect("accepted");
        socket.set_nonblocking(true).expect("a mode");
        let file = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut &file, b"hello").expect("written");
        let flow = Flow::Send(Box::new(Sender::new(Source::image(file.into(), 0, 5))));
        let job = Job { flow, total: Some(5), pace: Pace::default(), farewell: Farewell::AtOnce };
        let mut record = Data::new(Key::from_u64(u64::MAX), address.ip(), server.reactor.now());
        record.promise_at(address, Notice::AtOnce);
        record.begin(Errand { job, cloak: Cloak::None }, server.reactor.now());
        let data = server.reactor.insert(Conn::Data(Box::new(record)), Weight::Heavy);
        (data, mio::net::TcpStream::from_std(socket), peer)
    }

    fn is_done(server: &Server) -> bool {
        server
            .mail
            .iter()
            .any(|letter| matches!(letter, Letter::Reported { report: Report::Done { moved: 5, .. }, .. }))
    }

    #[test]
    fn a_small_transfer_costs_no_pass_of_its_own_while_there_is_time() {
        let (mut server, _keeper) = server();
        for _ in 0..1000 {
            let (data, stream, _peer) = small_download(&mut server);
            open_pass(&mut server);
            server.connected(data, stream);
            // On a busy machine a pass may be over before it has begun: only one that has time left tells.
            if server.reactor.has_time() {
                return assert!(is_done(&server));
            }
            server.mail.clear();
        }
        panic!("no pass ever had time");
    }

    #[test]
    fn a_transfer_that_comes_when_a_pass_is_over_is_the_next_ones() {
        let (mut server, _keeper) = server();
        let (data, stream, _peer) = small_download(&mut server);
        open_pass(&mut server);
        while server.reactor.has_time() {} // as long as the turns of others take
        server.connected(data, stream);
        assert!(server.mail.is_empty(), "a crowd makes a pass a long one");
        open_pass(&mut server);
        while let Some(key) = server.reactor.next_runnable() {
            server.advance(key);
        }
        assert!(is_done(&server));
    }
}
