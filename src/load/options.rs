//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use getopts::{Matches, Options as Getopts};

use super::scenario::Scenario;
use super::source::Sources;
use crate::user::mail::Protection;
use crate::user::url::{Place, Scheme};

/// What is printed for `--help`.
pub const HELP: &str = "\
usage: miniftp-load [OPTIONS] URL

Runs many FTP clients against a server and reports percentiles for each phase.

  --clients N        sessions (10)
  --duration S       length of the measurement, from when all sessions stand (10)
  --ramp S           sessions begin evenly over so long (0: all at the same instant)
  --scenario NAME    login    connect, log in, QUIT, again
                     idle     log in and stay
                     command  NOOP, again (the default)
                     get      RETR of the path, again
                     put      STOR, every session a file of its own: PATH-NUMBER, kept
                     list     LIST of the path, again
                     mix      50 get, 15 list, 20 CWD, 5 PWD, 10 new logins in 100
                     FILE.toml  steps of one's own: [[step]] do, path, line, size, weight, think
  --rate R           open loop: R operations a second from a plan; the first phase of an operation counts from its planned
                     start, so a stall is not hidden. Without it the loop is closed: each session begins anew when done
  --think MS         pause of a session between operations, closed loop
  --size BYTES       of an upload (65536); of a download: the length it must have
  --fresh            every upload is a new file, PATH-NUMBER-COUNT: for servers that let nobody write over one. All are kept
  --path P           on the server; instead of the URL's
  --verify N         look at one block of 64 KiB in N of a download (64); the first MiB of each is looked at always, and so
                     are all lengths. 1: every byte, 0: lengths alone
  --timeout S        for a connection, a reply, the next byte (30); 0.001 at least
  --processes N      so many processes, their figures merged; for more than one core or one process's descriptors
  --tls off|required  AUTH TLS (ftps:// is implicit); any certificate is accepted, each session has tickets of its own
  --source NET       spread source addresses over NET (127.0.0.0/24)
  --server-pid PID   RSS, PSS (bytes), CPU seconds and descriptors of that process and its descendants in the report
  --json             one JSON object on stdout, times in ms
  --histogram FILE   all histograms in the HDR log format, microseconds
  -h, --help  -V, --version

Ctrl-C ends the measurement early, with its report.

Exit: 0 no errors, 1 errors, 2 usage or a limit of this machine in the way.
";

/// What a run does.
#[derive(Debug, Clone)]
pub struct Options {
    /// Sessions, of all processes together.
    pub clients: usize,
    /// Of the measurement.
    pub duration: Duration,
    /// Over which the sessions begin.
    pub ramp: Duration,
    /// What they do.
    pub scenario: Scenario,
    /// Operations a second of all processes together; `None` is the closed loop.
    pub rate: Option<f64>,
    /// Between two operations of a session.
    pub think: Duration,
    /// What a download's length must be.
    pub size: Option<u64>,
    /// Whether an upload takes a name that none before it had.
    pub fresh: bool,
    /// One block in so many of a download is looked at.
    pub verify: u32,
    /// For whatever is waited for.
    pub timeout: Duration,
    /// How many processes.
    pub processes: usize,
    /// Which of them this is; the one that was started by a person is none.
    pub part: Option<usize>,
    /// TLS.
    pub protection: Protection,
    /// Where connections come from.
    pub sources: Option<Sources>,
    /// Whose memory and CPU time is reported.
    pub server_pid: Option<u32>,
    /// The report as JSON.
    pub json: bool,
    /// Where histograms go.
    pub histogram: Option<PathBuf>,
    /// The server.
    pub target: Place,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// A run.
    Run(Box<Options>),
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// A day; more is a mistyped number.
const LONGEST: f64 = 86_400.0;

/// More processes than any machine has cores for.
pub const MOST_PROCESSES: usize = 256;

/// More sessions than a machine has descriptors for.
const MOST_CLIENTS: usize = 10_000_000;

/// An upload's length where nothing is said.
const UPLOAD: u64 = 64 * 1024;

fn grammar() -> Getopts {
    let mut grammar = Getopts::new();
    let valued = ["clients", "duration", "ramp", "scenario", "rate", "think", "size", "path", "verify", "timeout"];
    let more = ["processes", "tls", "source", "server-pid", "histogram", "part"];
    for name in valued.into_iter().chain(more) {
        grammar.optopt("", name, "", "");
    }
    grammar.optflag("", "json", "").optflag("", "fresh", "").optflag("h", "help", "").optflag("V", "version", "");
    grammar
}

/// Reads a command line.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Asked, String> {
    let matches = grammar().parse(arguments).map_err(|fault| fault.to_string())?;
    if matches.opt_present("help") {
        return Ok(Asked::Help);
    }
    if matches.opt_present("version") {
        return Ok(Asked::Version);
    }
    let [url] = &matches.free[..] else { return Err("one URL is wanted".into()) };
    let target = place(url)?;
    Ok(Asked::Run(Box::new(Options::read(&matches, target)?)))
}

impl Options {
    fn read(matches: &Matches, target: Place) -> Result<Self, String> {
        let size = number(matches, "size")?;
        let path = matches.opt_str("path").map_or_else(|| target.path.clone(), String::into_bytes);
        let name = matches.opt_str("scenario").unwrap_or_else(|| "command".into());
        let scenario = Scenario::named(&name, &path, size.unwrap_or(UPLOAD))?;
        let processes = number(matches, "processes")?.map_or(1, saturated);
        let clients = number(matches, "clients")?.map_or(10, saturated);
        if !(1..=MOST_PROCESSES).contains(&processes) || !(processes..=MOST_CLIENTS).contains(&clients) {
            return Err(format!(
                "--clients must be 1 to {MOST_CLIENTS}, with at least one for each of the --processes"
            ));
        }
        Ok(Self {
            clients,
            duration: seconds(matches, "duration", 10.0)?,
            ramp: seconds(matches, "ramp", 0.0)?,
            scenario,
            rate: rate(matches)?,
            think: Duration::from_millis(number(matches, "think")?.unwrap_or(0)),
            size,
            fresh: matches.opt_present("fresh"),
            verify: number(matches, "verify")?.map_or(64, |every| u32::try_from(every).unwrap_or(u32::MAX)),
            timeout: some_time(seconds(matches, "timeout", 30.0)?)?,
            processes,
            part: number(matches, "part")?.map(saturated),
            protection: secured(matches, &target)?,
            sources: matches.opt_str("source").map(|text| Sources::parse(&text)).transpose()?,
            server_pid: number(matches, "server-pid")?.map(|pid| u32::try_from(pid).unwrap_or(u32::MAX)),
            json: matches.opt_present("json"),
            histogram: matches.opt_str("histogram").map(PathBuf::from),
            target,
        })
    }

    /// The sessions of one process: the number of the first one, and how many.
    pub const fn share(&self, part: usize) -> (usize, usize) {
        let first = self.clients * part / self.processes;
        (first, self.clients * (part + 1) / self.processes - first)
    }
}

fn place(url: &str) -> Result<Place, String> {
    let whole = if url.contains("://") { url.to_owned() } else { format!("ftp://{url}") };
    match Place::url(&whole) {
        Ok(Some(place)) => Ok(place),
        Ok(None) => Err(format!("{url} is no URL")),
        Err(malformed) => Err(format!("{url}: {malformed}")),
    }
}

/// How sessions are encrypted. Data connections are as the control connection is.
fn secured(matches: &Matches, target: &Place) -> Result<Protection, String> {
    match (matches.opt_str("tls").as_deref(), target.scheme) {
        (None | Some("off"), Scheme::Ftp) => Ok(Protection::Off),
        (Some("off"), _) => Err("--tls off contradicts the URL".into()),
        (None | Some("required"), _) if cfg!(not(feature = "tls")) => Err("this build has no TLS".into()),
        (None | Some("required"), Scheme::Ftps) => Ok(Protection::Implicit),
        (None | Some("required"), _) => Ok(Protection::Explicit),
        (Some(other), _) => Err(format!("--tls: {other} is neither off nor required")),
    }
}

fn number(matches: &Matches, name: &str) -> Result<Option<u64>, String> {
    let Some(text) = matches.opt_str(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| format!("--{name}: {text} is no whole number"))
}

fn seconds(matches: &Matches, name: &str, otherwise: f64) -> Result<Duration, String> {
    let Some(text) = matches.opt_str(name) else { return Ok(Duration::from_secs_f64(otherwise)) };
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=LONGEST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("--{name}: {text} is no number of seconds up to a day")),
    }
}

/// The clock counts in milliseconds, and nothing answers within none.
fn some_time(timeout: Duration) -> Result<Duration, String> {
    let enough = timeout >= Duration::from_millis(1);
    enough.then_some(timeout).ok_or_else(|| "--timeout: at least 0.001".into())
}

fn rate(matches: &Matches) -> Result<Option<f64>, String> {
    let Some(text) = matches.opt_str("rate") else { return Ok(None) };
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e9 => Ok(Some(rate)),
        _ => Err(format!("--rate: {text} is no number of operations a second")),
    }
}

fn saturated(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
