//! May this verb run now? Asked before its argument is looked at and before it has any effect.

use super::state::{Member, State, Work};
use super::{Endpoint, Session};
use crate::server::world::World;
use crate::wire::command::{Rule, Status, Verb, When};
use crate::wire::reply::Reply;

impl Session {
    /// The reply that refuses a verb, or none. Checked in the order: built (502), what policy asks of the clear (534), login (530),
    /// sequence (503).
    pub(super) fn gate(&self, rule: &Rule, argument: &[u8], world: &World) -> Option<Reply> {
        if rule.status == Status::Off {
            return Some(Reply::new(502, format!("{} not implemented.", rule.name)));
        }
        if let Some(refusal) = self.exposed(rule.verb, world) {
            return Some(refusal);
        }
        let member = matches!(self.state, State::Member(_));
        if rule.when_given(argument) == When::Member && !member {
            return Some(Reply::new(530, "Please log in with USER and PASS."));
        }
        self.out_of_sequence(rule.verb, member)
    }

    fn out_of_sequence(&self, verb: Verb, member: bool) -> Option<Reply> {
        let text = match verb {
            Verb::Pass if matches!(self.state, State::Stranger) => "Send USER first.",
            Verb::Acct if !member => "Send USER and PASS first.",
            Verb::Host if member => "HOST comes before USER.",
            Verb::Rnto if !self.renaming() => "RNFR required first.",
            _ => return None,
        };
        Some(Reply::new(503, text))
    }

    /// Whether a verb uses up REST's marker, even when it fails.
    pub(super) const fn uses_marker(verb: Verb) -> bool {
        use Verb::{Appe, Hash, List, Mlsd, Nlst, Retr, Stor, Stou};
        matches!(verb, Retr | Stor | Appe | Stou | List | Nlst | Mlsd | Hash)
    }

    /// The answer to a transfer verb that has nothing to transfer over.
    pub(super) fn no_endpoint(&self) -> Option<Reply> {
        (self.endpoint == Endpoint::None).then(|| Reply::new(425, "Use PORT or PASV first."))
    }

    const fn renaming(&self) -> bool {
        matches!(self.state, State::Member(Member { work: Work::Renaming { .. }, .. }))
    }
}
