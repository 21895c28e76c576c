//! Addresses from which too many wrong passwords came are shut out for a while.
//!
//! ```text
//!             a wrong password          the last one that is allowed
//!   unknown ──────────────────▶ Suspect ─────────────────────────────▶ Banned
//!      ▲                           │ all of them too long ago            │ its time is over
//!      └───────────────────────────┴─────────────────────────────────────┘
//! ```
//!
//! What counts is different guesses: a device that has an old password in its memory repeats that one for ever, and is
//! nobody who guesses. A guess is remembered as a digest under a random key, never as itself.

use std::collections::HashMap;
use std::net::IpAddr;

use super::census::group;
use super::settings::Bans;
use crate::reactor::Moment;

/// Addresses that are remembered. At the default of ten guesses they are some 900 KiB; whoever has more addresses than
/// this to spend, IPv6 networks counting as one, meets the delays and the queue of the verifier.
const MOST: usize = 4096;

/// What is known about addresses.
#[derive(Debug, Default)]
pub struct BanList {
    standings: HashMap<IpAddr, Standing>,
}

#[derive(Debug)]
enum Standing {
    /// Different wrong guesses, oldest first, and when each came first.
    Suspect(Vec<(Moment, u64)>),
    /// Until then.
    Banned(Moment),
}

impl BanList {
    /// Whether somebody from `peer` is shut out at present.
    pub fn holds(&mut self, peer: IpAddr, now: Moment) -> bool {
        let Some(Standing::Banned(until)) = self.standings.get(&group(peer)) else { return false };
        if now < *until {
            return true;
        }
        self.forget(peer);
        false
    }

    /// Takes a wrong guess down. True: with this one the address is banned.
    pub fn note(&mut self, peer: IpAddr, guess: u64, rule: &Bans, now: Moment) -> bool {
        let most = rule.failures.get() as usize;
        let peer = group(peer);
        if !self.standings.contains_key(&peer) {
            self.make_room(rule, now);
        }
        let standing = self.standings.entry(peer).or_insert_with(|| Standing::Suspect(Vec::new()));
        let Standing::Suspect(guesses) = standing else { return false };
        guesses.retain(|(when, _)| now < when.after(rule.within));
        if guesses.iter().all(|(_, known)| *known != guess) {
            guesses.push((now, guess));
        }
        if guesses.len() < most {
            return false;
        }
        *standing = Standing::Banned(now.after(rule.lasting));
        true
    }

    /// Bans are switched off: nothing is held against anybody.
    pub fn clear(&mut self) {
        self.standings = HashMap::new();
    }

    /// Addresses shut out at present.
    pub fn count(&self, now: Moment) -> usize {
        self.standings.values().filter(|standing| matches!(standing, Standing::Banned(until) if now < *until)).count()
    }

    /// Keeps the table within its bound: what is over goes, and if that is nothing, what is over next.
    fn make_room(&mut self, rule: &Bans, now: Moment) {
        if self.standings.len() < MOST {
            return;
        }
        self.standings.retain(|_, standing| standing.end(rule).is_some_and(|end| now < end));
        if self.standings.len() >= MOST
            && let Some(first) =
                self.standings.iter().min_by_key(|(_, standing)| standing.end(rule)).map(|(peer, _)| *peer)
        {
            self.standings.remove(&first);
        }
    }

    fn forget(&mut self, peer: IpAddr) {
        self.standings.remove(&group(peer));
        if self.standings.len() < self.standings.capacity() / 8 {
            self.standings.shrink_to_fit();
        }
    }
}

impl Standing {
    /// When nothing will be left of it.
    fn end(&self, rule: &Bans) -> Option<Moment> {
        match self {
            Self::Suspect(guesses) => guesses.last().map(|(when, _)| when.after(rule.within)),
            Self::Banned(until) => Some(*until),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::reactor::Clock;

    const RULE: Bans = Bans {
        failures: NonZeroU32::new(3).expect("not 0"),
        within: Duration::from_secs(600),
        lasting: Duration::from_secs(1800),
    };

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn moments() -> impl Fn(u64) -> Moment {
        let start = Clock::start().now();
        move |second| start.after(Duration::from_secs(second))
    }

    #[test]
    fn different_guesses_ban_and_the_ban_ends() {
        let (mut bans, at) = (BanList::default(), moments());
        assert!(!bans.note(peer(1), 7, &RULE, at(0)));
        assert!(!bans.note(peer(1), 8, &RULE, at(1)));
        assert!(!bans.holds(peer(1), at(1)));
        assert!(bans.note(peer(1), 9, &RULE, at(2)));
        assert!(bans.holds(peer(1), at(2)) && !bans.holds(peer(2), at(2)));
        // Whoever goes on guessing on an old connection lengthens nothing.
        assert!(!bans.note(peer(1), 10, &RULE, at(1000)));
        assert_eq!(bans.count(at(1801)), 1);
        assert!(bans.holds(peer(1), at(1801)) && !bans.holds(peer(1), at(1802)));
        assert!(bans.standings.is_empty());
    }

    #[test]
    fn one_wrong_password_again_and_again_counts_once() {
        let (mut bans, at) = (BanList::default(), moments());
        assert!((0..10_000).all(|second| !bans.note(peer(1), 7, &RULE, at(second))));
    }

    #[test]
    fn old_guesses_are_forgotten() {
        let (mut bans, at) = (BanList::default(), moments());
        for guess in 0..100 {
            assert!(!bans.note(peer(1), guess, &RULE, at(guess * 301)));
        }
    }

    #[test]
    fn x04_a_v6_network_counts_as_one() {
        let (mut bans, at) = (BanList::default(), moments());
        for host in 1..=3 {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host);
            assert_eq!(bans.note(address.into(), host.into(), &RULE, at(0)), host == 3);
        }
        assert!(bans.holds(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9).into(), at(1)));
        assert!(!bans.holds(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 9, 9, 9, 9).into(), at(1)));
    }

    #[test]
    fn x04_the_table_has_an_end_and_bans_stay_in_it() {
        let (mut bans, at) = (BanList::default(), moments());
        for guess in 0..3 {
            bans.note(peer(1), guess, &RULE, at(0));
        }
        for number in 0..20_000_u32 {
            bans.note(IpAddr::from((0x0a00_0000 + number).to_be_bytes()), 1, &RULE, at(1));
            assert!(bans.standings.len() <= MOST);
        }
        assert!(bans.holds(peer(1), at(2)), "pushed out by mere suspects");
        // What is over makes room for all at once.
        bans.note(peer(2), 1, &RULE, at(700));
        assert_eq!(bans.standings.len(), 2);
    }
}
