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
/// An operation of the plan found no session free before the end.
pub const NOT_BEGUN: &str = "not begun";

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
    /// CPU seconds of the process that used most of them meanwhile.
    pub cpu: f64,
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
            histograms: (0..=LAG).map(|_| histogram()).collect::<Result<_, _>>()?,
        })
    }

    /// One phase has passed.
    pub fn passed(&mut self, phase: Phase, took: Duration) {
        if let Some(histogram) = self.histograms.get_mut(phase as usize) {
            note(histogram, took);
        }
    }

    /// An event was handled so long after the poller told it.
    pub fn lagged(&mut self, late: Duration) {
        if let Some(histogram) = self.histograms.get_mut(LAG) {
            note(histogram, late);
        }
    }

    /// What was the lag before does not count: the measurement begins.
    pub fn forget_lag(&mut self) {
        if let Some(histogram) = self.histograms.get_mut(LAG) {
            histogram.reset();
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
        self.cpu = self.cpu.max(other.cpu);
        for (mine, theirs) in self.histograms.iter_mut().zip(&other.histograms) {
            mine.add(theirs).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Whether a process of ours had no time to spare, so that the figures may be about it.
    pub fn is_limited(&self) -> bool {
        /// Of one core: above this the loop has next to no pauses.
        const BUSY: f64 = 0.9;
        /// Late by more than this in one event of a hundred, whatever kept it.
        const LATE: Duration = Duration::from_millis(20);
        let late = self.lag().is_some_and(|lag| lag.value_at_quantile(0.99) > micros(LATE));
        late || (self.seconds > 0.0 && self.cpu / self.seconds > BUSY)
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
