//! What a command of the user's own (`quote`) may have changed behind the dialogue's back. It is put right before the next
//! transfer and not at once: whoever says TYPE A and then SIZE wants to hear of the text.

use super::state::Owed;
use super::{Session, Stage};
use crate::user::mail::Ticket;

/// What leaves TYPE alone. Anything else makes it be said anew.
const HARMLESS: [&[u8]; 13] = [
    b"SIZE", b"MDTM", b"MLST", b"STAT", b"HELP", b"SYST", b"FEAT", b"PWD", b"NOOP", b"HASH", b"DELE", b"REST", b"MODE",
];

impl Session {
    /// The user speaks to the server himself. Where names lead is no matter of CWD: whoever lets users speak sends whole
    /// paths.
    pub(super) fn doubt(&mut self, line: &[u8]) {
        let verb = line.split(|byte| *byte == b' ').next().unwrap_or_default().to_ascii_uppercase();
        if !HARMLESS.contains(&verb.as_slice()) {
            self.text = None;
        }
        let usual: &[u8] = match verb.as_slice() {
            b"REST" => {
                self.marked = !line.ends_with(b" 0");
                return;
            }
            b"MODE" => b"MODE S",
            b"STRU" => b"STRU F",
            b"PROT" | b"PBSZ" if self.secured => b"PROT P",
            _ => return,
        };
        if !self.doubts.contains(&usual) {
            self.doubts.push(usual);
        }
    }

    /// Says one of the things in doubt, for this transfer. False: there is none. A refusal means that the server knows
    /// nothing else, or the transfer will show it.
    pub(super) fn dispel(&mut self, ticket: Ticket, stage: &mut Stage<'_>) -> bool {
        let Some(line) = self.doubts.pop() else { return false };
        self.command(line.to_vec(), Owed::Doubt(ticket), stage);
        true
    }
}
