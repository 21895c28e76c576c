//! What becomes of an errand that comes back from its session: done, tried again after a pause, or given up.

use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};

use super::errand::Yield;
use super::site::Site;
use super::trouble::{Again, Cause, Trouble};
use super::{Crew, ErrandId, Told};
use crate::user::mail::Death;

/// The first pause before another try; it doubles with each.
const BACK_OFF: Duration = Duration::from_secs(1);

/// And does not grow beyond this.
const BACK_OFF_LIMIT: Duration = Duration::from_secs(30);

/// "At once, but otherwise" is no licence to go round in circles. More than there are manners to change, since one errand
/// may be under way on several sessions, one after the other, that turn out to have run out of TLS tickets.
const OTHERWISE_LIMIT: u32 = 6;

impl Crew {
    pub(super) fn forget_tickets(&mut self, id: ErrandId) {
        self.tickets.retain(|_, errand| *errand != id);
        if let Some(duty) = self.duties.get_mut(&id) {
            duty.owed = 0;
        }
    }

    /// An errand has come back from its session: done, failed, or to be tried again.
    pub(super) fn finished(&mut self, id: ErrandId, result: Result<Yield, Trouble>) {
        let Some(duty) = self.duties.get_mut(&id) else { return };
        let site = duty.site;
        if let Some(session) = duty.at.take() {
            // 425 may just mean that all of the server's data ports are taken, most of them by us.
            let short = matches!(&result, Err(trouble) if trouble.code == Some(425) && trouble.again == Again::Later);
            let give_up = short && self.sites.get_mut(site.0).is_some_and(Site::do_with_less);
            if duty.owed == 0 && !give_up {
                if let Some(site) = self.sites.get_mut(site.0) {
                    site.returned(session, id);
                }
            } else {
                // A session too many, or one that is kept busy by answers that nobody waits for any more.
                self.client.drop_session(session, &Death::Abandoned);
            }
        }
        self.forget_tickets(id);
        let cancelled = self.duties.get(&id).is_some_and(|duty| duty.cancelled);
        match result {
            Err(trouble) if cancelled && trouble.again == Again::Untried => {
                self.close(id, Err(Trouble::new(Cause::Interrupted, "interrupted")));
            }
            Err(trouble) if self.may_retry(id, &trouble) => self.retry(id, trouble),
            result => self.close(id, result),
        }
        self.assign(site);
    }

    fn may_retry(&mut self, id: ErrandId, trouble: &Trouble) -> bool {
        let retries = self.rules.retries;
        let Some(duty) = self.duties.get_mut(&id) else { return false };
        if duty.cancelled || !duty.errand.repeatable() {
            return false;
        }
        match trouble.again {
            Again::Never => false,
            Again::Later => duty.tries < retries,
            Again::Otherwise => duty.otherwise < OTHERWISE_LIMIT,
            // As often as others fail, and those are counted.
            Again::Untried => true,
        }
    }

    fn retry(&mut self, id: ErrandId, trouble: Trouble) {
        let Some(duty) = self.duties.get_mut(&id) else { return };
        let pause = match trouble.again {
            Again::Otherwise => {
                duty.otherwise += 1;
                Duration::ZERO
            }
            Again::Untried => Duration::ZERO,
            Again::Later | Again::Never => {
                duty.tries += 1;
                back_off(duty.tries)
            }
        };
        let (site, lane) = (duty.site, duty.lane);
        if pause.is_zero() {
            if let Some(site) = self.sites.get_mut(site.0) {
                site.enqueue_first(lane, id);
            }
        } else {
            self.pauses.push((self.client.now().after(pause), id));
            self.set_alarm();
        }
        self.told.push_back(Told::Retrying(id, trouble, pause));
    }

    pub(super) fn close(&mut self, id: ErrandId, result: Result<Yield, Trouble>) {
        if let Some(mut duty) = self.duties.remove(&id) {
            if result.is_err() {
                duty.errand.abandon();
            }
            self.told.push_back(Told::Done(id, result));
        }
    }
}

/// Doubles with each try, and is spread so that clients that failed together do not come back together.
pub(super) fn back_off(tries: u32) -> Duration {
    let full = BACK_OFF.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(BACK_OFF_LIMIT);
    let mut dice = [0; 1];
    let rolled = getrandom(&mut dice, GetRandomFlags::empty()).map_or(0, |_| u32::from(dice[0]));
    full / 2 + full / 512 * rolled
}
