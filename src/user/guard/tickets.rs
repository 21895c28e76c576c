//! The tickets of one control connection.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Tickets that are kept: what a server gives at once, and some more from data connections.
const KEPT: usize = 8;

/// A store for one peer, so names are not looked at.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    group: Option<NamedGroup>,
    /// TLS 1.2: may be used again and again.
    session: Option<Tls12ClientSessionValue>,
    /// TLS 1.3: each is used once, the newest first, since it is the least likely to have been forgotten.
    tickets: VecDeque<Tls13ClientSessionValue>,
    /// Of those there has been one.
    given: bool,
}

impl Tickets {
    /// Whether all that came are used up. Who never gave any is not waited for: a new session would not have more.
    pub(super) fn are_spent(&self) -> bool {
        self.held(|held| held.given && held.tickets.is_empty())
    }

    /// A thread that panicked while it held the lock, of which there are none here, leaves whole values behind.
    fn held<R>(&self, use_it: impl FnOnce(&mut Held) -> R) -> R {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.held(|held| held.group = Some(group));
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.held(|held| held.group)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.held(|held| held.session = Some(value));
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.held(|held| held.session.clone())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.held(|held| held.session = None);
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.held(|held| {
            held.given = true;
            held.tickets.push_back(value);
            if held.tickets.len() > KEPT {
                held.tickets.pop_front();
            }
        });
    }

    fn take_tls13_ticket(&self, _: &ServerName<'_>) -> Option<Tls13ClientSessionValue> {
        self.held(|held| held.tickets.pop_back())
    }
}
