//! The server: Server-PI and Server-DTP of Figure 1 on one readiness loop.
//!
//! Start with the data: [`Conn`] lists the kinds of record, [`Server`] holds the one table of them and what they
//! share. [`Server::run`] is the loop. A record's turn never touches another record; what it wants of one is put into
//! `mail` and delivered before the next record runs, so that PASV is answered and a small file sent within one turn.

pub mod accounts;
mod armoury;
mod bans;
mod census;
pub mod check;
mod clerk;
mod confine;
mod control;
mod desk;
mod dtp;
mod life;
mod listener;
mod liveness;
pub mod logging;
mod master;
mod passive;
pub mod pi;
mod quota_check;
pub mod realm;
mod scans;
mod scribe;
pub mod settings;
pub mod stamp;
mod sweeper;
mod tables;
#[cfg(feature = "tls")]
pub mod tls;
pub mod transfer_log;
mod vigil;
pub mod world;

use std::cell::OnceCell;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use mio::net::TcpStream;

use crate::filesystem::Writers;
use crate::process::packet::FromWorker;
use crate::process::sandbox::{Rights, Walls};
use crate::reactor::{Hush, Key, Next, Reactor};
use crate::transfer::{Report, Scratch};

use accounts::Account;
use bans::BanList;
use census::Census;
use clerk::Clerk;
use control::Control;
use dtp::{Data, Pool, PoolPort, Waits};
use listener::Listener;
use master::{Command, MasterLink};
use pi::{Input, Output, Verdict};
use quota_check::{QuotaCheck, Tallies};
use scans::Scanner;
use scribe::Scribe;
use settings::{Invocation, ListenAddr, Settings};
use sweeper::Sweeper;
use world::World;

pub use tables::{replies, states};

/// What the process tree hands to the loop.
#[derive(Debug)]
pub struct Inheritance {
    /// The settings, complete.
    pub settings: Settings,
    /// The accounts, without their hashes; empty when there are none.
    pub accounts: Vec<Account>,
    /// The control listeners: bound, listening, non-blocking.
    pub listeners: Vec<Bound>,
    /// Who sends orders.
    pub master: Master,
    /// A SEQPACKET socket to the verifier, where there are accounts.
    pub verifier: Option<OwnedFd>,
    /// The transfer log, open for appending, where the settings name one.
    pub transfers: Option<File>,
    /// As whom the process goes on.
    pub rights: Rights,
    /// Whether to tell the log where the server listens, whatever its level.
    pub announce: bool,
}

/// What a control connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The greeting, in the clear.
    Explicit,
    /// TLS (`implicit`).
    Implicit,
}

/// A listening socket and the address it was configured with.
#[derive(Debug)]
pub struct Bound {
    /// What it is for.
    pub door: Door,
    /// The address as configured; the socket knows the one it got.
    pub label: ListenAddr,
    /// The socket.
    pub listener: TcpListener,
}

/// Who sends orders to the loop.
#[derive(Debug)]
pub enum Master {
    /// Nobody: the loop owns the signals and reads the files again itself.
    Alone {
        /// What to read again.
        invocation: Box<Invocation>,
    },
    /// A SEQPACKET socket to the keeper. Its end of file means that the keeper is gone, and the loop must end.
    Keeper(OwnedFd),
}

/// Serves until drained.
///
/// # Errors
/// What keeps the loop from starting, or the poller itself failing.
pub fn run(inheritance: Inheritance) -> io::Result<()> {
    Server::new(inheritance)?.run()
}

/// The kinds of record in the table.
#[derive(Debug)]
enum Conn {
    /// Accepts control connections.
    Listener(Box<Listener>),
    /// A control connection and its session.
    Control(Box<Control>),
    /// A data connection, from promise to close.
    Data(Box<Data>),
    /// A file being read through.
    Scan(Box<Scanner>),
    /// A port of the passive pool.
    PoolPort(Box<PoolPort>),
    /// Where signals, or the keeper's orders, arrive.
    Master(Box<MasterLink>),
    /// The way to the process that checks passwords.
    Clerk(Box<Clerk>),
    /// Counts what homes with a quota hold.
    QuotaCheck(Box<QuotaCheck>),
    /// Removes what an earlier run left half-uploaded.
    Sweeper(Box<Sweeper>),
}

/// What a record wants of another one.
#[derive(Debug)]
enum Letter {
    /// A control connection was accepted.
    Arrived(Door, TcpStream, SocketAddr),
    /// The connection that a data record was promised.
    Connected(Key, TcpStream),
    /// From a data record to its session.
    Reported { to: Key, from: Key, report: Report },
    /// From the verifier to the session that asked.
    Judged(Key, Verdict),
    /// An address is shut out: to its strangers.
    Banned(IpAddr),
    /// From the master to all.
    Commanded(Command),
}

/// How far the server is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// Serving.
    Running,
    /// No newcomers; transfers may finish until the master's deadline.
    Draining,
    /// What is flushed is flushed.
    Over,
}

/// The loop's state.
#[derive(Debug)]
struct Server {
    reactor: Reactor<Conn>,
    world: World,
    pool: Pool,
    census: Census,
    bans: BanList,
    scratch: Scratch,
    scribe: Scribe,
    /// What to read again on SIGHUP, when there is no keeper to do it.
    invocation: Option<Box<Invocation>>,
    /// What this process can reach, since it began to serve.
    walls: Rc<OnceCell<Walls>>,
    course: Course,
    master: Key,
    clerk: Option<Key>,
    /// Sessions that wait for a file to be read through, and the record that reads it.
    scans: HashMap<Key, Key>,
    quota_check: Option<Key>,
    tallies: Tallies,
    /// Newcomers turned away and strangers at passive ports, for the log.
    crowds: Hush,
    strangers: Hush,
    /// Between records, delivered before the next one runs.
    mail: VecDeque<Letter>,
    /// What the session that just ran wishes; empty between turns.
    wishes: Vec<Output>,
    /// Control records that may have output: each is flushed once, after the mail is delivered.
    touched: Vec<Key>,
    /// Records that are done for; freed by `reap`.
    closing: Vec<Key>,
    /// Files being written in place, of all sessions and of all roots, also of those that a reload replaced.
    writers: Rc<Writers>,
}

impl Server {
    fn run(mut self) -> io::Result<()> {
        while self.course != Course::Over {
            self.reactor.wait_until(self.scribe.due())?; // sleep: sockets, signals, the nearest deadline
            while let Some(key) = self.reactor.next_runnable() {
                self.turn(key);
            }
            self.reap(); // free what closed: nobody borrows a record here
            self.scribe.advance(self.reactor.now());
        }
        Ok(())
    }

    /// One bounded turn of one record, with everything that follows from it.
    fn turn(&mut self, key: Key) {
        self.surviving(key, |server| {
            server.advance(key);
            server.settle();
        });
    }

    /// The one place that survives a panic: a fault in the handling of one record must not take the others along.
    /// The record at work is closed, which is the one the fault is about or the one that set it off.
    fn surviving(&mut self, key: Key, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            log::error!("a fault in this program; the connection at work is closed");
            self.wishes.clear();
            self.closing.push(key);
        }
    }

    fn advance(&mut self, key: Key) {
        let Some((slot, _, now)) = self.reactor.turn(key) else {
            return; // closed after it was queued; the key's generation tells
        };
        let ready = &mut slot.ready;
        let mail = &mut self.mail;
        let next = match &mut slot.conn {
            Conn::Control(_) => return self.advance_control(key),
            Conn::Data(_) => return self.advance_data(key),
            Conn::Scan(_) => return self.advance_scan(key),
            Conn::Listener(listener) => {
                let door = listener.door();
                let arrived = |stream, peer| mail.push_back(Letter::Arrived(door, stream, peer));
                let next = listener.advance(ready, now, arrived);
                slot.deadline = listener.deadline(now);
                next
            }
            Conn::PoolPort(port) => {
                let arrived = |to, stream| mail.push_back(Letter::Connected(to, stream));
                let next = port.advance(ready, now, &mut self.pool, &mut self.strangers, arrived);
                slot.deadline = port.deadline(now);
                next
            }
            Conn::Master(master) => master.advance(ready, |command| mail.push_back(Letter::Commanded(command))),
            Conn::Sweeper(sweeper) => sweeper.advance(),
            Conn::Clerk(clerk) => clerk.advance(ready, |to, verdict| mail.push_back(Letter::Judged(to, verdict))),
            Conn::QuotaCheck(check) => {
                let next = check.advance(now);
                slot.deadline = check.deadline();
                next
            }
        };
        self.follow(key, next);
    }

    /// Delivers until nobody wants anything of anybody, then sends what was said meanwhile.
    fn settle(&mut self) {
        while let Some(letter) = self.mail.pop_front() {
            match letter {
                Letter::Arrived(door, stream, peer) => self.arrived(door, stream, peer),
                Letter::Connected(to, stream) => self.connected(to, stream),
                Letter::Reported { to, from, report } => self.reported(to, from, report),
                Letter::Judged(to, verdict) => self.notify(to, Input::Verdict(verdict)),
                Letter::Banned(peer) => self.shut_out(peer),
                Letter::Commanded(command) => self.commanded(command),
            }
        }
        self.flush();
    }

    /// What a record asked for at the end of its turn.
    fn follow(&mut self, key: Key, next: Next) {
        self.reactor.arm(key);
        match next {
            Next::Yield => self.reactor.run_again(key),
            Next::Sleep => {}
            Next::Close => self.closing.push(key),
        }
    }

    /// Frees what closed during the pass, and what closes because of that.
    fn reap(&mut self) {
        while let Some(key) = self.closing.pop() {
            self.surviving(key, |server| {
                server.free(key);
                server.settle();
            });
        }
        self.check_drained();
    }

    /// The one place that frees a record. A control record takes its data record along.
    fn free(&mut self, key: Key) {
        if self.clerk == Some(key) {
            self.dismiss(key);
            self.clerk = None;
            self.tell_master(&FromWorker::Forlorn);
        }
        match self.reactor.remove(key) {
            Some(Conn::Control(control)) => {
                self.end_scan(key);
                self.forget_question(key);
                self.bury_session(*control);
            }
            Some(Conn::Data(data)) => self.take_back(key, &data),
            Some(Conn::Master(_)) => self.course = Course::Over,
            _ => {}
        }
    }

    /// A data record's promise dies with it.
    fn take_back(&mut self, key: Key, data: &Data) {
        if let Some((peer, address)) = data.promise() {
            self.pool.withdraw(peer, address, key);
        }
    }

    fn waits(&self) -> Waits {
        let limits = &self.world.settings.limits;
        Waits {
            unused: limits.unused_listener,
            connect: limits.connect,
            handshake: limits.tls_handshake,
            stall: limits.stall,
            linger: limits.linger,
        }
    }
}
