//! The load tester: many clients on one loop, the same one that the client has.
//!
//! ```text
//!   options ──▶ crowd ── sessions, operations ──▶ user::Client (User-PI, User-DTP)
//!                 │  ◀── marks, answers ─────────
//!                 ▼
//!    track ──▶ tally ──▶ report, hdr_log          family: several processes, merged
//! ```
//!
//! [`scenario`] says what sessions do, [`plan`] when (open loop), [`judge`] whether it went well. [`observe`] looks at the
//! server's processes, [`limits`] at what this machine allows.

mod crowd;
mod family;
mod hdr_log;
mod judge;
mod limits;
mod observe;
mod options;
mod plan;
mod report;
mod scenario;
mod source;
mod tally;
mod track;

use std::ffi::OsString;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::SystemTime;

use crowd::Crowd;
use family::Family;
use hdr_log::Log;
use observe::Sight;
use options::{Asked, Options};
use report::Report;
use tally::{GONE, Tally};

/// No errors.
const FINE: u8 = 0;
/// Some.
const ERRORS: u8 = 1;
/// The command line, or a limit of this machine.
const USAGE: u8 = 2;

/// Runs a command line; gives the exit code.
pub fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.collect();
    let ended = match options::parse(arguments.iter().cloned()) {
        Ok(Asked::Help) => say(options::HELP),
        Ok(Asked::Version) => say(concat!("miniftp-load ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Asked::Run(options)) => obey(&options, &arguments),
        Err(why) => Err(why),
    };
    ended.unwrap_or_else(|why| {
        // Nobody may be there to read it; the exit code says as much.
        let _ = writeln!(std::io::stderr(), "miniftp-load: {why}");
        USAGE
    })
}

fn say(text: &str) -> Result<u8, String> {
    let mut stdout = std::io::stdout();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| error.to_string())?;
    Ok(FINE)
}

fn obey(options: &Options, arguments: &[OsString]) -> Result<u8, String> {
    limits::make_room(options)?;
    let addresses = addresses(options)?;
    if let Some(part) = options.part {
        return serve_part(options, addresses, part);
    }
    let server = options.server_pid.map(|pid| observe::look(pid).ok_or(format!("--server-pid: no process {pid}")));
    server.transpose()?;
    // A name that cannot be written to is found out before the run, not after it.
    let log = options.histogram.as_deref().map(Log::open).transpose()?;
    let began = SystemTime::now();
    let (mut tally, server) =
        if options.processes == 1 { alone(options, addresses)? } else { together(options, arguments)? };
    if let (Some(pid), None) = (options.server_pid, server) {
        tally.failed(GONE, format!("there is no process {pid} any more"));
    }
    let report = Report { options, tally: &tally, server };
    say(&if options.json { report.json() } else { report.text() })?;
    if let Some(log) = log {
        log.keep(&tally, began)?;
    }
    Ok(if tally.error_count() == 0 { FINE } else { ERRORS })
}

fn serve_part(options: &Options, addresses: Vec<SocketAddr>, part: usize) -> Result<u8, String> {
    family::follow_parent();
    let mut crowd = Crowd::new(options, addresses, part)?;
    crowd.gather()?;
    if family::stand_by() {
        let began = SystemTime::now();
        family::tell(&crowd.measure(|| {})?, began).map_err(|error| error.to_string())?;
    }
    Ok(FINE)
}

fn alone(options: &Options, addresses: Vec<SocketAddr>) -> Result<(Tally, Option<Sight>), String> {
    let mut crowd = Crowd::new(options, addresses, 0)?;
    crowd.gather()?;
    let watch = Watch::begin(options);
    let mut seen = None;
    let tally = crowd.measure(|| seen = watch.end())?;
    Ok((tally, seen))
}

fn together(options: &Options, arguments: &[OsString]) -> Result<(Tally, Option<Sight>), String> {
    let mut family = Family::start(options, arguments)?;
    let watch = Watch::begin(options);
    family.go()?;
    family.last(options.duration);
    let seen = watch.end();
    Ok((family.gather()?, seen))
}

/// The server's processes over a measurement.
struct Watch {
    pid: Option<u32>,
    before: Option<Sight>,
}

impl Watch {
    fn begin(options: &Options) -> Self {
        Self { pid: options.server_pid, before: options.server_pid.and_then(observe::look) }
    }

    /// The sight at the end, with the CPU time since the beginning.
    fn end(&self) -> Option<Sight> {
        let sight = observe::look(self.pid?)?;
        let before = self.before.map_or(0.0, |before| before.cpu);
        Some(Sight { cpu: (sight.cpu - before).max(0.0), ..sight })
    }
}

/// Of several addresses those that a source address can reach.
fn addresses(options: &Options) -> Result<Vec<SocketAddr>, String> {
    let (host, port) = (options.target.host.as_str(), options.target.port);
    let found = (host, port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
    let fits =
        |address: &SocketAddr| options.sources.is_none_or(|sources| sources.of(0).is_ipv4() == address.is_ipv4());
    let fitting: Vec<SocketAddr> = found.filter(fits).collect();
    if fitting.is_empty() { Err(format!("{host}: no address that --source fits")) } else { Ok(fitting) }
}
