//! The control connection's way into TLS and out of it (RFC 4217 4, 5, 13).

use super::{Control, LF, Phase, Turn};
use crate::reactor::{Handshake, Next, Ready, Undressing};
#[cfg(feature = "tls")]
use crate::server::pi::Certificate;
use crate::server::pi::Input;
#[cfg(feature = "tls")]
use crate::server::tls::SessionKeys;
use crate::wire::command::{self, Verb};

/// A ClientHello that did not wait for the 234 may be so long.
const EARLY_LIMIT: usize = 16 * 1024;

/// How a record of a handshake begins.
const HELLO: [u8; 2] = [0x16, 0x03];

impl Control {
    /// 234 is queued. Once it is out the handshake begins; what came behind the AUTH line in the clear is forgotten, for
    /// anybody on the way could have put it there. Only the beginning of a handshake is kept: some clients do not wait.
    #[cfg(feature = "tls")]
    pub fn secure(&mut self, keys: SessionKeys, tls: crate::reactor::Tls) {
        self.lines.clear();
        self.keys = Some(keys);
        self.phase = Phase::Answering(Box::new(tls));
    }

    /// The beginning of a handshake that came before it was asked for.
    pub fn take_early(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.early)
    }

    /// TLS from the first octet on.
    #[cfg(feature = "tls")]
    pub fn secure_at_once(&mut self, keys: SessionKeys, tls: crate::reactor::Tls, turn: &mut Turn<'_>) {
        self.keys = Some(keys);
        self.link.dress(tls);
        self.phase = Phase::Securing;
        self.vigil.restart(turn.now);
        turn.ready.set(Ready::unknown());
    }

    /// The reply to CCC or REIN is queued. It goes out in TLS; then both sides take that off.
    pub fn bare(&mut self, turn: &mut Turn<'_>) {
        self.lines.clear();
        self.phase = Phase::Baring;
        self.vigil.restart(turn.now);
    }

    /// The reply to AUTH is out.
    #[cfg(feature = "tls")]
    pub(super) fn dress(&mut self, turn: &mut Turn<'_>) -> Next {
        match std::mem::replace(&mut self.phase, Phase::Securing) {
            Phase::Answering(tls) => self.link.dress(*tls),
            other => self.phase = other,
        }
        self.vigil.restart(turn.now);
        turn.ready.set(Ready::READ);
        Next::Yield
    }

    /// The handshake's next step.
    pub(super) fn shake_hands(&mut self, turn: &mut Turn<'_>) -> Next {
        match self.link.handshake(turn.ready, turn.sockets) {
            Ok(Handshake::Done) => {
                self.phase = Phase::Open;
                self.vigil.restart(turn.now);
                self.met(turn);
                Next::Yield
            }
            Ok(Handshake::Going) if turn.ready.has(Ready::READ) => Next::Yield,
            Ok(Handshake::Going) => Next::Sleep,
            Err(error) => {
                log::info!("{}: no TLS: {error}", self.session.peer());
                Next::Close
            }
        }
    }

    fn met(&mut self, turn: &mut Turn<'_>) {
        let mut certificate = None;
        #[cfg(feature = "tls")]
        if let Some(tls) = self.link.tls() {
            log::debug!("{}: {}", self.session.peer(), tls.describe());
            let wanted = turn.world.settings.tls.as_ref().is_some_and(|tls| tls.client_login);
            certificate = tls.peer_certificate().filter(|_| wanted).map(|der| Box::new(Certificate(der.to_vec())));
        }
        self.feed(Input::Secured(certificate.take()), turn);
    }

    /// A step of the way back to the clear.
    pub(super) fn take_off(&mut self, turn: &mut Turn<'_>) -> Next {
        match self.link.undress(turn.ready, turn.sockets) {
            Ok(Undressing::Done(rest)) => {
                self.phase = Phase::Open;
                self.vigil.restart(turn.now);
                turn.ready.set(Ready::unknown());
                self.feed(Input::Bared, turn);
                self.take_in(&rest, turn);
                Next::Yield
            }
            Ok(Undressing::Going) if turn.ready.has(Ready::READ) => Next::Yield,
            Ok(Undressing::Going) => Next::Sleep,
            Err(error) => {
                log::info!("{}: did not leave TLS: {error}", self.session.peer());
                Next::Close
            }
        }
    }

    /// Sets the beginning of a handshake aside that follows an AUTH line unasked; returns what is left to be read as lines.
    pub(super) fn part_early<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        if !self.early.is_empty() {
            let room = EARLY_LIMIT.saturating_sub(self.early.len());
            self.early.extend_from_slice(&bytes[..bytes.len().min(room)]);
            return &[];
        }
        let mut end = 0;
        for line in bytes.split_inclusive(|byte| *byte == LF) {
            end += line.len();
            let (lines, rest) = bytes.split_at(end);
            let auth = matches!(command::split(line.trim_ascii_end()), Ok((rule, _)) if rule.verb == Verb::Auth);
            if auth && rest.starts_with(&HELLO) {
                self.early = rest.to_vec();
                return lines;
            }
        }
        bytes
    }

    /// AUTH was refused: what came behind it is no handshake, and is read like everything else.
    pub(super) fn rejoin_early(&mut self, turn: &mut Turn<'_>) {
        let refused = matches!(self.phase, Phase::Open) && self.session.state().takes_lines();
        if !self.early.is_empty() && refused && self.lines.waiting() == 0 {
            let early = self.take_early();
            self.take_lines(&early, turn);
        }
    }
}
