//! RFC 2228 and RFC 4217: AUTH PBSZ PROT CCC, and what the configuration asks of a connection in the clear.

use super::state::{State, Work};
use super::{Certificate, Cover, Mode, Output, Session, Stage, Type};
use crate::codec::Level;
use crate::server::settings::Require;
use crate::server::world::World;
use crate::transfer::Protection;
use crate::wire::command::{ProtLevel, Verb};
use crate::wire::reply::Reply;

impl Session {
    /// The connection begins in TLS (port 990): PBSZ and PROT P are understood.
    #[must_use]
    pub fn covered(mut self) -> Self {
        self.state = State::Switching;
        self.cover = Cover::Implicit;
        self.protection = Protection::Private;
        self
    }

    /// Whether TLS comes before the greeting.
    pub fn begins_covered(&self) -> bool {
        self.cover == Cover::Implicit
    }

    pub(super) fn auth(&mut self, mechanism: &[u8], stage: &mut Stage<'_>) {
        // The draft before RFC 4217 had data connections protected with the control connection.
        let protection = match mechanism.to_ascii_uppercase().as_slice() {
            b"TLS" | b"TLS-C" => Protection::Clear,
            b"SSL" | b"TLS-P" => Protection::Private,
            _ => return stage.say(504, "Unknown mechanism, use AUTH TLS."),
        };
        if self.cover.is_on() {
            return stage.say(534, "TLS is already on.");
        }
        // Not for a certificate that has expired: who pins it can go on with it, and others must not be led into the clear.
        let Some(keys) = stage.world.keys() else { return stage.say(431, "TLS is not available now.") };
        self.log_out(stage);
        (self.type_, self.mode, self.level) = (Type::Unset, Mode::Stream, Level::DEFAULT);
        (self.cover, self.protection) = (Cover::Private, protection);
        stage.say(234, "Proceed with negotiation.");
        stage.out.push(Output::Secure(keys));
        self.enter(State::Switching);
    }

    /// The handshake is done.
    pub(super) fn secured(&mut self, certificate: Option<Box<Certificate>>, stage: &mut Stage<'_>) {
        self.certificate = certificate;
        if matches!(self.state, State::Switching) {
            self.enter(State::Stranger);
        }
        if self.cover == Cover::Implicit {
            self.greet(stage);
        }
    }

    /// TLS is off, after CCC or REIN.
    pub(super) fn bared(&mut self) {
        self.certificate = None;
        match &self.state {
            State::Switching => self.enter(State::Stranger),
            State::Member(_) => {
                self.work(Work::Idle);
            }
            _ => {}
        }
    }

    pub(super) fn pbsz(&mut self, stage: &mut Stage<'_>) {
        match self.cover {
            Cover::Clear | Cover::Lifted => return stage.say(503, "AUTH TLS comes first."),
            Cover::Private => self.cover = Cover::Sized,
            Cover::Sized | Cover::Implicit => {}
        }
        stage.say(200, "PBSZ=0");
    }

    pub(super) fn prot(&mut self, level: ProtLevel, stage: &mut Stage<'_>) {
        match self.cover {
            Cover::Clear | Cover::Lifted => return stage.say(503, "AUTH TLS comes first."),
            Cover::Private => return stage.say(503, "PBSZ comes first."),
            Cover::Sized | Cover::Implicit => {}
        }
        match level {
            ProtLevel::Safe | ProtLevel::Confidential => stage.say(536, "Use PROT P or PROT C."),
            ProtLevel::Clear if required(stage.world) == Require::Data => stage.say(534, "Policy requires PROT P."),
            ProtLevel::Clear => {
                self.protection = Protection::Clear;
                stage.say(200, "Protection level set to C.");
            }
            ProtLevel::Private => {
                self.protection = Protection::Private;
                stage.say(200, "Protection level set to P.");
            }
        }
    }

    pub(super) fn ccc(&mut self, stage: &mut Stage<'_>) {
        if !self.cover.is_on() {
            return stage.say(533, "The control connection is not protected.");
        }
        let allowed = stage.world.settings.tls.as_ref().is_some_and(|tls| tls.ccc);
        if !allowed || self.cover == Cover::Implicit {
            return stage.say(534, "CCC is not permitted.");
        }
        self.mark = None;
        self.cover = Cover::Lifted;
        stage.say(200, "Control connection goes on in the clear.");
        stage.out.push(Output::Bare);
        self.work(Work::Switching);
    }

    /// REIN's part in it: TLS ends behind the 220 (RFC 4217 13). A connection that began in TLS stays in it.
    pub(super) fn uncover(&mut self, stage: &mut Stage<'_>) {
        match self.cover {
            Cover::Implicit => self.protection = Protection::Private,
            Cover::Clear | Cover::Lifted => (self.cover, self.protection) = (Cover::Clear, Protection::Clear),
            Cover::Private | Cover::Sized => {
                (self.cover, self.protection) = (Cover::Clear, Protection::Clear);
                stage.out.push(Output::Bare);
                self.enter(State::Switching);
            }
        }
    }

    /// The refusal of a verb that wants TLS first, or that TLS is not there for.
    pub(super) fn exposed(&self, verb: Verb, world: &World) -> Option<Reply> {
        if matches!(verb, Verb::Auth | Verb::Pbsz | Verb::Prot | Verb::Ccc) && world.settings.tls.is_none() {
            return Some(Reply::new(502, "TLS is not configured."));
        }
        if self.cover.is_on() || required(world) == Require::None {
            return None;
        }
        use Verb::{Auth, Ccc, Clnt, Csid, Feat, Help, Host, Lang, Noop, Opts, Pbsz, Prot, Quit, Syst, User};
        match verb {
            // After CCC whoever is in stays in: it was let go into the clear by the configuration. Whoever has left is a
            // stranger in the clear like any other, should a reload want TLS between its USER and its PASS.
            _ if self.cover == Cover::Lifted && self.member().is_some() && verb != User => None,
            Auth | Host | Feat | Opts | Lang | Clnt | Csid | Syst | Help | Noop | Quit | Pbsz | Prot | Ccc => None,
            User => Some(Reply::new(534, "Policy requires TLS: AUTH TLS comes first.")),
            _ => Some(Reply::new(530, "Policy requires TLS: AUTH TLS comes first.")),
        }
    }

    /// A login in the clear where policy wants TLS: it counts as one that failed, or a client that does not listen could go on
    /// sending names for ever.
    pub(super) fn refuse_login(&mut self, refusal: Reply, stage: &mut Stage<'_>) {
        self.failures = self.failures.saturating_add(1);
        let most = stage.world.settings.limits.login_attempts;
        log::warn!("{}: a login in the clear was refused, {} of {most}", self.peer, self.failures);
        if most > 0 && u32::from(self.failures) >= most {
            return self.leave(421, "Too many login failures, closing.", stage);
        }
        stage.reply(refusal);
    }

    /// The refusal of a transfer in the clear where policy wants it private.
    pub(super) fn unprotected(&self, verb: Verb, world: &World) -> Option<Reply> {
        use Verb::{Appe, List, Mlsd, Nlst, Retr, Stor, Stou};
        let transfers = matches!(verb, Retr | Stor | Appe | Stou | List | Nlst | Mlsd);
        let refused = transfers && required(world) == Require::Data && self.protection == Protection::Clear;
        refused.then(|| Reply::new(522, "Policy requires PROT P for data connections."))
    }

    /// Whether the client's certificate stands for the user's password.
    pub(super) fn is_certified(&self, user: &[u8]) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| World::certifies(&certificate.0, user))
    }
}

fn required(world: &World) -> Require {
    world.settings.tls.as_ref().map_or(Require::None, |tls| tls.require)
}
