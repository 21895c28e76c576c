//! What is counted: operations, bytes, errors by class, and a histogram for each phase.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// A part of what a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From the SYN to the connection.
    Connect,
    /// From there to the 220.
    Greeting,
    /// From AUTH to the end of the handshake.
    Tls,
    /// From USER to 230.
    Login,
    /// From any other command that has no data connection to its reply.
    Command,
    /// From a data connection's SYN to the connection.
    DataOpen,
    /// From the verb to the first byte of a download or listing.
    FirstByte,
    /// From there, or from the server's 1yz for an upload, to the end of the data.
    Transfer,
    /// From there to the final reply.
    FinalReply,
    /// All of one operation, from when it was planned.
    Operation,
}

impl Phase {
    /// All, in the order in which they pass.
    pub const ALL: [Self; 10] = [
        Self::Connect,
        Self::Greeting,
        Self::Tls,
        Self::Login,
        Self::Command,
        Self::DataOpen,
        Self::FirstByte,
        Self::Transfer,
        Self::FinalReply,
        Self::Operation,
    ];

    /// As reports have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Tls => "TLS",
            Self::Login => "login",
            Self::Command => "command",
            Self::DataOpen => "data open",
            Self::FirstByte => "first byte",
            Self::Transfer => "transfer",
            Self::FinalReply => "final reply",
            Self::Operation => "operation",
        }
    }
}

/// Errors: no local port was left.
pub const NO_PORT: &str = "no local port";
/// No descriptor was left.
pub const NO_DESCRIPTOR: &str = "no descriptor";
/// No connection was made.
pub const CONNECT: &str = "connect";
/// The server did not welcome.
pub const GREETING: &str = "greeting";
/// No TLS came about.
pub const TLS: &str = "TLS";
/// The login was refused.
pub const LOGIN: &str = "login";
/// 4yz or 5yz to a command.
pub const COMMAND: &str = "command refused";
/// 4yz or 5yz to a transfer.
pub const TRANSFER: &str = "transfer refused";
/// No data connection was made.
pub const DATA: &str = "data connection";
/// A data connection broke.
pub const BROKEN: &str = "transfer broken";
/// What was received is not what was received before, or has another length.
pub const WRONG: &str = "wrong bytes";
/// The data had come to an end and no 226 or 250 followed.
pub const MISSING: &str = "missing 226";
/// The server kept us waiting.
pub const TIMED_OUT: &str = "timed out";
/// The session ended without our doing.
pub const CLOSED: &str = "session lost";
/// What the server says is no FTP.
pub const GARBAGE: &str = "garbage";
/// One of several processes of ours died, and what it had counted with it.
pub const LOST: &str = "process lost";
/// The process that `--server-pid` names is no more.
pub const GONE: &str = "server gone";
/// An operation of the plan found no session free before the end.
pub const NOT_BEGUN: &str = "not begun";

/// What may have been in the way of a process of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// It had no time to spare.
    Busy,
    /// Others had the core that it should have had.
    Crowded,
    /// It was not there when it should have been, for whatever reason: long passes, a stop, a core that others had.
    Late,
}

/// Three digits: percentiles are true to a tenth of a per cent.
const DIGITS: u8 = 3;

/// All of a run's counts.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Operations that succeeded.
    pub operations: u64,
    /// Bytes of data connections.
    pub bytes: u64,
    /// Of these, bytes that were looked at.
    pub looked: u64,
    /// Errors by class.
    pub errors: BTreeMap<String, u64>,
    /// What the server said with the first of each.
    pub samples: BTreeMap<String, String>,
    /// Sessions that were logged in when the measurement began.
    pub standing: u64,
    /// Length of the measurement in seconds.
    pub seconds: f64,
    /// CPU seconds of the process that wanted most of them meanwhile.
    pub cpu: f64,
    /// Seconds for which that process could have run and had no core.
    pub waited: f64,
    /// Microseconds, one for each of [`Phase::ALL`], then the loop's lag.
    pub histograms: Vec<Histogram<u64>>,
}

/// Where the loop's lag stands among the histograms.
const LAG: usize = Phase::ALL.len();

/// What the lag is called in logs.
pub const LAG_NAME: &str = "loop lag";

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    /// When no histogram can be made.
    pub fn new() -> Result<Self, String> {
        let histogram = || Histogram::new(DIGITS).map_err(|error| error.to_string());
        Ok(Self {
            operations: 0,
            bytes: 0,
            looked: 0,
            errors: BTreeMap::new(),
            samples: BTreeMap::new(),
            standing: 0,
            seconds: 0.0,
            cpu: 0.0,
            waited: 0.0,
            histograms: (0..=LAG).map(|_| histogram()).collect::<Result<_, _>>()?,
        })
    }

    /// One phase has passed.
    pub fn passed(&mut self, phase: Phase, took: Duration) {
        if let Some(histogram) = self.histograms.get_mut(phase as usize) {
            note(histogram, took);
        }
    }

    /// A beat of the loop was noticed so late.
    pub fn lagged(&mut self, late: Duration) {
        if let Some(histogram) = self.histograms.get_mut(LAG) {
            note(histogram, late);
        }
    }

    /// Something went wrong.
    pub fn failed(&mut self, class: &str, said: String) {
        log::debug!("{class}: {said}");
        *self.errors.entry(class.to_owned()).or_default() += 1;
        self.samples.entry(class.to_owned()).or_insert(said);
    }

    /// All errors.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// A phase's histogram.
    pub fn phase(&self, phase: Phase) -> Option<&Histogram<u64>> {
        self.histograms.get(phase as usize)
    }

    /// The loop's lag.
    pub fn lag(&self) -> Option<&Histogram<u64>> {
        self.histograms.get(LAG)
    }

    /// Names of the histograms, in their order.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Phase::ALL.iter().map(|phase| phase.name()).chain([LAG_NAME])
    }

    /// Another process's counts come to these.
    ///
    /// # Errors
    /// When histograms cannot be added.
    pub fn merge(&mut self, other: &Self) -> Result<(), String> {
        self.operations += other.operations;
        self.bytes += other.bytes;
        self.looked += other.looked;
        self.standing += other.standing;
        for (class, count) in &other.errors {
            *self.errors.entry(class.clone()).or_default() += count;
        }
        for (class, said) in &other.samples {
            self.samples.entry(class.clone()).or_insert_with(|| said.clone());
        }
        self.seconds = self.seconds.max(other.seconds);
        if other.cpu + other.waited > self.cpu + self.waited {
            (self.cpu, self.waited) = (other.cpu, other.waited);
        }
        for (mine, theirs) in self.histograms.iter_mut().zip(&other.histograms) {
            mine.add(theirs).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// What kept a process of ours from being there in time, so that the figures may be about it and not about the server.
    pub fn limit(&self) -> Option<Limit> {
        /// Of one core: above this the loop has next to no pauses.
        const BUSY: f64 = 0.9;
        /// Of the time, without a core and with something to do. A server on the same cores leaves more: up to 0.6 was seen
        /// of those that fork, where all that is waited for is their turn to answer.
        const CROWDED: f64 = 0.8;
        /// Late by more than this in a hundredth of the time, whatever it was: the 99th percentile of what is timed is about
        /// that. With servers on the same two cores it was 8 ms at most, a few turns of the scheduler's.
        const LATE: Duration = Duration::from_millis(20);
        let share = |of: f64| if self.seconds > 0.0 { of / self.seconds } else { 0.0 };
        if share(self.cpu) > BUSY {
            Some(Limit::Busy)
        } else if share(self.waited) > CROWDED {
            Some(Limit::Crowded)
        } else if self.lag().is_some_and(|lag| lag.value_at_quantile(0.99) > micros(LATE)) {
            Some(Limit::Late)
        } else {
            None
        }
    }
}

/// The histogram grows as far as it must; what it cannot hold even so, an hour and more, counts as the longest it can.
fn note(histogram: &mut Histogram<u64>, span: Duration) {
    if histogram.record(micros(span)).is_err() {
        histogram.saturating_record(micros(span));
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(cpu: f64, waited: f64, late: &[u64]) -> Tally {
        let mut tally = Tally { seconds: 10.0, cpu, waited, ..Tally::new().expect("histograms") };
        (0..1000 - late.len()).for_each(|_| tally.lagged(Duration::from_micros(80)));
        late.iter().for_each(|millis| tally.lagged(Duration::from_millis(*millis)));
        tally
    }

    #[test]
    fn what_is_in_the_way_has_a_name() {
        assert_eq!(tally(3.0, 6.0, &[]).limit(), None, "a core shared with the server");
        assert_eq!(tally(9.5, 0.2, &[]).limit(), Some(Limit::Busy));
        assert_eq!(tally(0.2, 9.0, &[]).limit(), Some(Limit::Crowded));
        assert_eq!(tally(0.2, 0.1, &[12; 500]).limit(), None, "some turns of the scheduler's");
        assert_eq!(tally(0.2, 0.1, &[500; 9]).limit(), None, "so seldom that no percentile is about it");
        assert_eq!(tally(0.2, 0.1, &[30; 11]).limit(), Some(Limit::Late));
        assert_eq!(Tally::new().expect("histograms").limit(), None);
    }

    #[test]
    fn of_several_processes_the_one_that_wanted_most_counts() {
        let mut all = tally(0.5, 0.5, &[]);
        for (cpu, waited) in [(0.2, 9.0), (1.0, 1.0)] {
            all.merge(&tally(cpu, waited, &[])).expect("a sum");
        }
        assert_eq!((all.cpu, all.waited, all.limit()), (0.2, 9.0, Some(Limit::Crowded)));
    }
}
