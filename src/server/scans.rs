//! Files being read through for a number (SIZE in TYPE A, HASH): a record each, beside the transfers.
//!
//! They are records of their own and not turns of the session that asked, so that they stand in the queue of those
//! that move bulk data, a session's ABOR is heard at once, and idle sessions carry nothing for it.

use super::{Conn, Server};
use crate::reactor::{Key, Next, Ready, Weight};
use crate::transfer::{Report, Scan, Sight};

/// A reading and who waits for it.
#[derive(Debug)]
pub struct Scanner {
    owner: Key,
    scan: Box<Scan>,
}

impl Server {
    /// Begins to read. The first piece waits for its turn like all others: a client may ask a hundred times at once.
    pub(super) fn scan(&mut self, by: Key, scan: Box<Scan>) {
        let record = Scanner { owner: by, scan };
        let key = self.reactor.insert(Conn::Scan(Box::new(record)), Weight::Heavy);
        if let Some(old) = self.scans.insert(by, key) {
            self.closing.push(old);
        }
        self.reactor.run_again(key);
    }

    /// A scan's turn.
    pub(super) fn advance_scan(&mut self, key: Key) {
        let Some((slot, _, now)) = self.reactor.turn(key) else { return };
        let Conn::Scan(record) = &mut slot.conn else { return };
        slot.ready.clear(Ready::EXPIRED);
        let owner = record.owner;
        let outcome = match record.scan.turn(&mut self.scratch, now) {
            Ok(Sight::More) => return self.follow(key, Next::Yield),
            Ok(Sight::Wait(until)) => {
                slot.deadline = Some(until);
                return self.follow(key, Next::Sleep);
            }
            Ok(Sight::Found(found)) => Ok(found),
            Err(fault) => Err(fault),
        };
        self.end_scan(owner);
        self.report(owner, key, Report::Scanned(outcome));
    }

    /// Ends a session's scan. False: there is none.
    pub(super) fn end_scan(&mut self, owner: Key) -> bool {
        let scan = self.scans.remove(&owner);
        self.closing.extend(scan);
        scan.is_some()
    }
}
