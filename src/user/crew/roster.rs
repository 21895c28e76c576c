//! The sessions of the crew: when one is opened, what its end means, and what has to wait.

use std::io;
use std::rc::Rc;

use super::after::back_off;
use super::trouble::{self, Again, Cause, Trouble};
use super::{Crew, ErrandId, Family, SiteId, Told};
use crate::reactor::Key;
use crate::user::guard::Guard;
use crate::user::mail::{Death, Ticket, Wish};
use crate::user::pi::{Guise, Login};

impl Crew {
    /// Who logs in at a site, unless it is the guest.
    pub fn user(&self, site: SiteId) -> Option<Vec<u8>> {
        let login = self.sites.get(site.0).map(|site| &site.target.login)?;
        (*login != Login::anonymous()).then(|| login.user.clone())
    }

    pub(super) fn ready(&mut self, session: Key) {
        if let Some(id) = self.site_of(session) {
            if let Some(site) = self.sites.get_mut(id.0) {
                site.ready(session);
            }
            self.assign(id);
        }
    }

    /// Puts as many sessions to work as there is work for, and opens more where that helps.
    pub(super) fn assign(&mut self, id: SiteId) {
        let dry = self.retire(id);
        loop {
            let now = self.client.now();
            let Some(site) = self.sites.get_mut(id.0) else { return };
            let duties = &self.duties;
            let profile = Rc::clone(&site.profile);
            let light = |id: ErrandId| duties.get(&id).is_some_and(|duty| duty.errand.is_light(&profile.borrow()));
            let trailing = |id: ErrandId| duties.get(&id).is_some_and(|duty| duty.errand.is_trailing());
            if let Some((session, errand)) = site.pair(light, trailing, &dry) {
                self.start(session, errand);
                continue;
            }
            if !site.wants_session(now) {
                break;
            }
            match site.addresses.clone() {
                Some(addresses) => {
                    let (login, profile) = (site.target.login.clone(), site.profile.clone());
                    let (protection, host) = (site.target.protection, site.target.host.clone());
                    let guard = Guard { protection, host, trust: self.trust.clone() };
                    let session = self.client.connect_guarded((addresses, login, profile), Guise::default(), guard);
                    if let Some(site) = self.sites.get_mut(id.0) {
                        site.opened(session);
                    }
                }
                None if site.resolving => break,
                None => {
                    site.resolving = true;
                    let (host, port) = (site.target.host.clone(), site.target.port);
                    if let Err(error) = self.client.helper().resolve(&host, port) {
                        self.give_up(id, &Trouble::new(Cause::Connect, format!("cannot resolve {host}: {error}")));
                    }
                    break;
                }
            }
        }
        self.set_alarm();
    }

    /// Sessions whose tickets are used up, with a host that wants one for each data connection. Those without work leave
    /// and make room for new ones, instead of having their next transfer refused.
    fn retire(&mut self, id: SiteId) -> Vec<Key> {
        let Some(site) = self.sites.get_mut(id.0) else { return Vec::new() };
        if !site.profile.borrow().counts_tickets() {
            return Vec::new();
        }
        let keys: Vec<Key> = site.keys().collect();
        let dry: Vec<Key> = keys.into_iter().filter(|key| self.client.is_dry(*key)).collect();
        for session in site.retire(&dry) {
            self.client.wish(session, Ticket(0), Wish::Quit);
        }
        dry
    }

    pub(super) fn resolved(&mut self, host: &str, port: u16, addresses: io::Result<Vec<std::net::SocketAddr>>) {
        let family = self.rules.family;
        let fits = |address: &std::net::SocketAddr| match family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        };
        let waiting: Vec<usize> = (0..self.sites.len())
            .filter(|at| {
                self.sites
                    .get(*at)
                    .is_some_and(|site| site.resolving && site.target.host == host && site.target.port == port)
            })
            .collect();
        for at in waiting {
            let Some(site) = self.sites.get_mut(at) else { continue };
            site.resolving = false;
            let why = match &addresses {
                Ok(all) => {
                    let usable: Vec<_> = all.iter().copied().filter(fits).collect();
                    if !usable.is_empty() {
                        site.addresses = Some(usable);
                        self.assign(SiteId(at));
                        continue;
                    }
                    "no address of the wanted kind".to_owned()
                }
                Err(error) => error.to_string(),
            };
            self.give_up(SiteId(at), &Trouble::new(Cause::Connect, format!("cannot resolve {host}: {why}")));
        }
    }

    /// Nothing can be done for this site: everything that waits for it has failed.
    fn give_up(&mut self, id: SiteId, trouble: &Trouble) {
        let Some(site) = self.sites.get_mut(id.0) else { return };
        let mut waiting = site.take_queues();
        waiting.extend(
            self.pauses
                .iter()
                .map(|(_, errand)| *errand)
                .filter(|errand| self.duties.get(errand).is_some_and(|duty| duty.site == id)),
        );
        self.pauses.retain(|(_, errand)| !waiting.contains(errand));
        for errand in waiting {
            self.close(errand, Err(trouble.clone()));
        }
    }

    /// A session has ended. What it was doing was answered before; here is decided what becomes of the site.
    pub(super) fn gone(&mut self, session: Key, death: &Death) {
        let Some(id) = self.site_of(session) else { return };
        let now = self.client.now();
        let Some(site) = self.sites.get_mut(id.0) else { return };
        let was_ready = site.closed(session);
        let others = site.keys().count();
        let crowded = match death {
            Death::Dismissed(reply) | Death::Login(reply) => trouble::is_crowded(reply),
            _ => false,
        };
        if crowded && others > 0 {
            log::info!("the host takes no more than {others} sessions");
            site.limit = others;
        } else if !was_ready && !matches!(death, Death::NotOld) {
            let trouble = Trouble::of_birth(death);
            let hopeless = trouble.again == Again::Never || (!site.worked && !self.rules.insist && !crowded);
            site.failures += 1;
            if others == 0 && (hopeless || site.failures > self.rules.retries) {
                self.give_up(id, &trouble);
            } else if others == 0 {
                site.not_before = Some(now.after(back_off(site.failures)));
            } else {
                site.limit = others;
            }
        }
        self.assign(id);
    }

    pub(super) fn woken(&mut self) {
        let now = self.client.now();
        if let (Some(span), Some(when)) = (self.tick, self.next_tick)
            && when <= now
        {
            self.next_tick = Some(now.after(span));
            self.told.push_back(Told::Tick);
        }
        let due: Vec<ErrandId> = self.pauses.iter().filter(|(when, _)| *when <= now).map(|(_, id)| *id).collect();
        self.pauses.retain(|(when, _)| *when > now);
        for id in due {
            let Some(duty) = self.duties.get(&id) else { continue };
            if let Some(site) = self.sites.get_mut(duty.site.0) {
                site.enqueue_first(duty.lane, id);
            }
        }
        for at in 0..self.sites.len() {
            self.assign(SiteId(at));
        }
        self.set_alarm();
    }

    pub(super) fn set_alarm(&mut self) {
        let now = self.client.now();
        let pauses = self.pauses.iter().map(|(when, _)| *when);
        let sites = self.sites.iter().filter_map(|site| site.not_before).filter(|when| *when > now);
        let next = pauses.chain(sites).chain(self.next_tick).min();
        self.client.wake_at(next);
    }
}
