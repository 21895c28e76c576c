//! One worker's share of what several divide.

use std::num::NonZeroU32;

use super::Settings;
use super::units::PortRange;

impl Settings {
    /// The settings of worker `number` of `workers`.
    ///
    /// Divided are what must never be exceeded in all, or cannot be shared: clients, compressed transfers and the ports of
    /// the passive range, each with its remainder spread over the first workers. What counts by address or by account
    /// holds in each worker by itself.
    #[must_use]
    pub fn share(&self, number: usize, workers: usize) -> Settings {
        let mut share = self.clone();
        let (number, workers) = (u32::try_from(number).unwrap_or(0), u32::try_from(workers).unwrap_or(1).max(1));
        let part = |all: u32| all / workers + u32::from(number < all % workers);
        share.limits.clients =
            self.limits.clients.map(|all| NonZeroU32::new(part(all.get())).unwrap_or(NonZeroU32::MIN));
        share.limits.compressed = match self.limits.compressed {
            0 => 0,
            all => part(all).max(1), // nobody may find MODE Z in one session and not in the next
        };
        share.passive.ports = self.passive.ports.map(|range| {
            let all = u32::from(range.high - range.low) + 1;
            let before = number * (all / workers) + number.min(all % workers);
            let low = u32::from(range.low) + before;
            let high = (low + part(all)).saturating_sub(1).max(low);
            let port = |number: u32| u16::try_from(number).unwrap_or(range.high).min(range.high);
            PortRange { low: port(low), high: port(high) }
        });
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(clients: u32, ports: &str) -> Settings {
        let mut settings = Settings::default();
        settings.limits.clients = NonZeroU32::new(clients);
        settings.passive.ports = Some(ports.parse().unwrap());
        settings
    }

    #[test]
    fn nothing_is_lost_and_nothing_is_there_twice() {
        let all = settings(10, "50000-50099");
        let shares: Vec<Settings> = (0..3).map(|number| all.share(number, 3)).collect();
        let clients: u32 = shares.iter().map(|share| share.limits.clients.unwrap().get()).sum();
        assert_eq!(clients, 10);
        let ports: Vec<u16> =
            shares.iter().map(|share| share.passive.ports.unwrap()).flat_map(|range| range.low..=range.high).collect();
        assert_eq!(ports, (50_000..=50_099).collect::<Vec<u16>>());
    }

    #[test]
    fn one_worker_has_all() {
        let all = settings(10, "50000-65535");
        assert_eq!(all.share(0, 1), all);
    }

    #[test]
    fn no_limit_stays_none() {
        let mut all = settings(10, "50000-50002");
        all.limits.clients = None;
        all.limits.compressed = 2;
        let last = all.share(2, 3);
        assert_eq!((last.limits.clients, last.limits.compressed), (None, 1));
        assert_eq!(last.passive.ports, Some("50002".parse().unwrap()));
    }
}
