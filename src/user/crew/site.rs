//! One host and login: its sessions, what waits for them, and how many there may be.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use super::ErrandId;
use crate::reactor::{Key, Moment};
use crate::user::guard::Protection;
use crate::user::pi::Login;
use crate::user::profile::Profile;

/// Files that wait before directories have to: enough for the sessions, little enough for memory.
const ENOUGH_TO_MOVE: usize = 256;

/// Errands on one session: a second one only where the server lets commands wait behind a transfer.
const DEPTH: usize = 2;

/// Whom to talk to, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name or address.
    pub host: String,
    /// Port of the control connection.
    pub port: u16,
    /// Who logs in.
    pub login: Login,
    /// TLS.
    pub protection: Protection,
}

/// What waits where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Reading directories.
    Looking,
    /// Everything else.
    Moving,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// On its way to a login.
    Coming,
    /// It can be sent.
    Ready,
    /// Its end has begun to be told: it gets nothing more.
    Dying,
}

#[derive(Debug)]
struct Hand {
    key: Key,
    state: Stage,
    errands: Vec<ErrandId>,
}

/// A site.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) target: Target,
    pub(super) profile: Rc<RefCell<Profile>>,
    pub(super) addresses: Option<Vec<SocketAddr>>,
    pub(super) resolving: bool,
    /// Sessions at most, as learnt.
    pub(super) limit: usize,
    /// A session was once logged in.
    pub(super) worked: bool,
    /// The user has been told that it goes on in the clear.
    pub(super) told_clear: bool,
    /// Sessions in a row that did not get so far.
    pub(super) failures: u32,
    /// No new session before.
    pub(super) not_before: Option<Moment>,
    hands: Vec<Hand>,
    looking: VecDeque<ErrandId>,
    moving: VecDeque<ErrandId>,
}

impl Site {
    pub(super) fn new(target: Target, limit: usize) -> Self {
        Self {
            target,
            profile: Rc::default(),
            addresses: None,
            resolving: false,
            limit: limit.max(1),
            worked: false,
            told_clear: false,
            failures: 0,
            not_before: None,
            hands: Vec::new(),
            looking: VecDeque::new(),
            moving: VecDeque::new(),
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.hands.iter().map(|hand| hand.key)
    }

    pub(super) fn enqueue(&mut self, lane: Lane, id: ErrandId) {
        self.lane(lane).push_back(id);
    }

    pub(super) fn enqueue_first(&mut self, lane: Lane, id: ErrandId) {
        self.lane(lane).push_front(id);
    }

    pub(super) fn dequeue(&mut self, id: ErrandId) {
        self.looking.retain(|other| *other != id);
        self.moving.retain(|other| *other != id);
    }

    pub(super) fn take_queues(&mut self) -> Vec<ErrandId> {
        self.looking.drain(..).chain(self.moving.drain(..)).collect()
    }

    pub(super) fn opened(&mut self, key: Key) {
        self.hands.push(Hand { key, state: Stage::Coming, errands: Vec::new() });
    }

    pub(super) fn ready(&mut self, key: Key) {
        self.worked = true;
        self.failures = 0;
        self.not_before = None;
        if let Some(hand) = self.hands.iter_mut().find(|hand| hand.key == key) {
            hand.state = Stage::Ready;
        }
    }

    /// A session answers that it is dead; that it is gone is told later.
    pub(super) fn dying(&mut self, key: Key) {
        if let Some(hand) = self.hands.iter_mut().find(|hand| hand.key == key && hand.state == Stage::Ready) {
            hand.state = Stage::Dying;
        }
    }

    /// A session is gone. Whether it had been logged in.
    pub(super) fn closed(&mut self, key: Key) -> bool {
        let Some(at) = self.hands.iter().position(|hand| hand.key == key) else { return false };
        self.hands.remove(at).state != Stage::Coming
    }

    /// One session less than there are, if there is more than one. Whether that is so.
    pub(super) fn do_with_less(&mut self) -> bool {
        let several = self.hands.len() > 1;
        if several {
            self.limit = self.hands.len() - 1;
            log::info!("the host runs out of data connections: {} sessions from now on", self.limit);
        }
        several
    }

    /// Sessions that have nothing to do and never will again, since nothing could resume them: they get no more errands.
    pub(super) fn retire(&mut self, dry: &[Key]) -> Vec<Key> {
        let idle = |hand: &&mut Hand| hand.state == Stage::Ready && hand.errands.is_empty();
        let idle = self.hands.iter_mut().filter(idle).filter(|hand| dry.contains(&hand.key));
        idle.map(|hand| {
            hand.state = Stage::Dying;
            hand.key
        })
        .collect()
    }

    /// An errand has come back.
    pub(super) fn returned(&mut self, key: Key, id: ErrandId) {
        if let Some(hand) = self.hands.iter_mut().find(|hand| hand.key == key) {
            hand.errands.retain(|errand| *errand != id);
        }
    }

    /// A session that has time, and the errand it should be sent on.
    pub(super) fn pair(
        &mut self,
        light: impl Fn(ErrandId) -> bool,
        trailing: impl Fn(ErrandId) -> bool,
        dry: &[Key],
    ) -> Option<(Key, ErrandId)> {
        let next = self.peek()?;
        let usable = |hand: &Hand| hand.state == Stage::Ready && !dry.contains(&hand.key);
        let free = self.hands.iter().position(|hand| usable(hand) && hand.errands.is_empty());
        let at = match free {
            Some(at) => at,
            None => {
                let (deep, ahead) = {
                    let profile = self.profile.borrow();
                    let deep = profile.queues() && !profile.counts_tickets() && light(next) && self.may_double();
                    (deep, profile.pipelines())
                };
                let fits = |hand: &Hand| {
                    let of_all = |what: &dyn Fn(ErrandId) -> bool| hand.errands.iter().all(|errand| what(*errand));
                    usable(hand)
                        && hand.errands.len() < DEPTH
                        && ((deep && of_all(&light)) || (ahead && of_all(&trailing)))
                };
                self.hands.iter().position(fits)?
            }
        };
        self.dequeue_front(next);
        let hand = self.hands.get_mut(at)?;
        hand.errands.push(next);
        Some((hand.key, next))
    }

    /// Only while there is more to do than there could be sessions: a file behind another one on the same session is
    /// slower than on a session of its own.
    fn may_double(&self) -> bool {
        self.looking.len() + self.moving.len() + self.hands.len() > self.limit.saturating_sub(self.hands.len())
    }

    /// Whether another session would have something to do.
    pub(super) fn wants_session(&self, now: Moment) -> bool {
        let coming = self.hands.iter().filter(|hand| hand.state == Stage::Coming).count();
        let waiting = self.looking.len() + self.moving.len();
        self.hands.len() < self.limit && coming < waiting && self.not_before.is_none_or(|when| when <= now)
    }

    fn peek(&self) -> Option<ErrandId> {
        let looking = self.looking.front();
        let moving = self.moving.front();
        let first = if self.moving.len() < ENOUGH_TO_MOVE { looking.or(moving) } else { moving.or(looking) };
        first.copied()
    }

    fn dequeue_front(&mut self, id: ErrandId) {
        if self.looking.front() == Some(&id) {
            self.looking.pop_front();
        } else if self.moving.front() == Some(&id) {
            self.moving.pop_front();
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<ErrandId> {
        match lane {
            Lane::Looking => &mut self.looking,
            Lane::Moving => &mut self.moving,
        }
    }
}
