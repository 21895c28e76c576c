//! What the client of a control session can resume on its data connections, and nobody else.
//!
//! Tickets (RFC 5077, RFC 8446 4.6.1) are sealed under a key that is the session's own and random: nobody else has such a
//! ticket, and the key of another session opens none. Some clients take none in TLS 1.2 (curl): for them the control
//! connection's session is stored under its session ID (RFC 5246 7.4.1.2).
//!
//! Whoever connects to the data port is given a ticket with the handshake, before it is known whether it is the right one.
//! So each ticket says which connection it is from, and opens only once that connection was proven; otherwise a stranger
//! who was refused would come back with it. To look whether the handshake had opened a ticket before it seals one was
//! rejected: one that was overheard opens too, in a hello that makes rustls turn to a full handshake all the same.
//!
//! rustls' own marks for resumed sessions were tried and rejected: its resumption data exists in TLS 1.3 only, and its
//! store of sessions takes a ticket away at its first use.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::crypto::ring;
use rustls::server::{ProducesTickets, StoresServerSessions};

use crate::server::dtp::Voucher;

/// The number of the control connection.
const CONTROL: u32 = 0;

/// Proven data connections whose tickets are good: TLS libraries keep about that many and use the latest first.
const PROVEN: usize = 8;

/// One session's share. rustls wants it to be fit for threads; there is one.
#[derive(Debug)]
pub(super) struct Resumable {
    seal: Arc<dyn ProducesTickets>,
    /// The control connection's session in TLS 1.2: its ID and what rustls makes of it.
    stored: OnceLock<(Vec<u8>, Vec<u8>)>,
    last: AtomicU32,
    proven: Mutex<VecDeque<u32>>,
    /// Somebody who did not resume was told of.
    told: AtomicBool,
}

/// One connection's view of it.
pub(super) struct Visit {
    resumable: Arc<Resumable>,
    number: u32,
}

impl Resumable {
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let seal = ring::Ticketer::new()?;
        Ok(Self {
            seal,
            stored: OnceLock::new(),
            last: AtomicU32::new(CONTROL),
            proven: Mutex::default(),
            told: AtomicBool::new(false),
        })
    }

    /// The control connection's view.
    pub(super) fn first(this: &Arc<Self>) -> Visit {
        Visit { resumable: Arc::clone(this), number: CONTROL }
    }

    /// The next data connection's view.
    pub(super) fn next(this: &Arc<Self>) -> Visit {
        let number = this.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Visit { resumable: Arc::clone(this), number }
    }

    fn is_good(&self, number: u32) -> bool {
        number == CONTROL || self.proven.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }
}

impl Voucher for Arc<Visit> {
    fn vouch(&self) {
        let mut proven = self.resumable.proven.lock().unwrap_or_else(PoisonError::into_inner);
        proven.truncate(PROVEN - 1);
        proven.push_front(self.number);
    }

    fn notice(&self) -> log::Level {
        match self.resumable.told.swap(true, Ordering::Relaxed) {
            true => log::Level::Debug,
            false => log::Level::Info,
        }
    }
}

impl ProducesTickets for Visit {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.resumable.seal.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.resumable.seal.encrypt(&[&self.number.to_be_bytes(), plain].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let mut plain = self.resumable.seal.decrypt(ticket)?;
        let number = u32::from_be_bytes(*plain.first_chunk()?);
        plain.drain(..size_of::<u32>());
        self.resumable.is_good(number).then_some(plain)
    }
}

/// TLS 1.2 only: with tickets on, rustls asks nobody here in TLS 1.3.
impl StoresServerSessions for Visit {
    fn put(&self, id: Vec<u8>, session: Vec<u8>) -> bool {
        self.number == CONTROL && self.resumable.stored.set((id, session)).is_ok()
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.resumable.stored.get().filter(|(stored, _)| stored == id).map(|(_, session)| session.clone())
    }

    fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        self.number == CONTROL
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").field("number", &self.number).finish_non_exhaustive()
    }
}
