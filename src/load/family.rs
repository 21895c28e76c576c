//! Several processes: each has its share of the sessions, one of them merges what they counted.
//!
//! ```text
//!   parent ── starts ──▶ parts: gather, say "standing"
//!          ◀───────────
//!          ── "go" ────▶ measure, say counts and histograms, end
//!          ── SIGINT ──▶ end early, with the counts, also while they gather; a parent that dies sends it too
//! ```
//!
//! A part is this program again with one more option, so nothing is shared but two pipes.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use signal_hook::consts::signal::{SIGINT, SIGTERM};

use super::hdr_log;
use super::options::Options;
use super::tally::{self, Tally};

/// Where the log of histograms begins.
const LOG: &str = "log";

/// What a part says when its sessions stand.
const STANDING: &str = "standing";

/// How often the parent looks whether it was interrupted, while it waits for its parts or for the time to pass.
const LOOK_UP: Duration = Duration::from_millis(50);

/// A part, from the parent's side.
struct Part {
    child: Child,
    says: BufReader<ChildStdout>,
}

/// The parts of a run. SIGINT and SIGTERM are the parent's and passed on: the parts have a process group of their own, or a terminal's
/// Ctrl-C would reach them twice, and the second one does not wait for what is under way.
pub struct Family {
    parts: Vec<Part>,
    interrupted: Arc<AtomicBool>,
    /// The parts were told to end: only their counts are to be waited for.
    told: bool,
}

impl Family {
    /// Starts a process for each part and waits until the sessions of all stand.
    ///
    /// # Errors
    /// When one cannot be started or ends early.
    pub fn start(options: &Options, arguments: &[OsString]) -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| error.to_string())?;
        let mut family = Self { parts: Vec::new(), interrupted: Arc::default(), told: false };
        for signal in [SIGINT, SIGTERM] {
            let flag = Arc::clone(&family.interrupted);
            signal_hook::flag::register(signal, flag).map_err(|error| error.to_string())?;
        }
        for number in 0..options.processes {
            let mut command = Command::new(&program);
            command.args(arguments).arg(format!("--part={number}")).process_group(0);
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let mut child = child.map_err(|error| format!("{}: {error}", program.display()))?;
            let Some(says) = child.stdout.take().map(BufReader::new) else { continue };
            family.parts.push(Part { child, says });
        }
        // From the last one, so that leaving one out does not move those that are still to be heard.
        for at in (0..family.parts.len()).rev() {
            let mut line = Vec::new();
            family.hear(at, &mut line, |said| said.ends_with(b"\n"))?;
            match line.trim_ascii() == STANDING.as_bytes() {
                true => {}
                // The interrupt has reached it before it listened to such: it has counted nothing.
                false if family.told => family.parts.remove(at).end(),
                false => return Err("a process ended early".into()),
            }
        }
        Ok(family)
    }

    /// Lets all begin.
    ///
    /// # Errors
    /// When one has ended.
    pub fn go(&mut self) -> Result<(), String> {
        for part in &mut self.parts {
            let Some(stdin) = &mut part.child.stdin else { continue };
            stdin.write_all(b"go\n").map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Lets so much time pass; less when interrupted.
    pub fn last(&mut self, span: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until && !self.told {
            self.pass_on();
            thread::sleep(LOOK_UP.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// What all of them counted. One that has died is an error among the others' figures.
    ///
    /// # Errors
    /// When their counts cannot be added.
    pub fn gather(mut self) -> Result<Tally, String> {
        let mut all = Tally::new()?;
        for at in 0..self.parts.len() {
            let mut text = Vec::new();
            let heard = self.hear(at, &mut text, |_| false);
            match heard.and_then(|()| decode(&text)) {
                Ok(tally) => all.merge(&tally)?,
                Err(why) => all.failed(tally::LOST, format!("process {}: {why}", at + 1)),
            }
        }
        Ok(all)
    }

    /// Hears a part until `enough` says so, or it has nothing more to say.
    fn hear(&mut self, at: usize, into: &mut Vec<u8>, enough: impl Fn(&[u8]) -> bool) -> Result<(), String> {
        loop {
            self.pass_on();
            let Some(Part { says, .. }) = self.parts.get_mut(at) else { return Ok(()) };
            if says.buffer().is_empty() && !speaks(says.get_ref())? {
                continue;
            }
            let said = says.fill_buf().map_err(|error| error.to_string())?;
            let line = said.iter().position(|byte| *byte == b'\n').map_or(said.len(), |end| end + 1);
            into.extend_from_slice(said.get(..line).unwrap_or_default());
            says.consume(line);
            if line == 0 || enough(into) {
                return Ok(());
            }
        }
    }

    /// Tells the parts of an interrupt.
    fn pass_on(&mut self) {
        let interrupted = self.interrupted.swap(false, Ordering::Relaxed);
        for part in self.parts.iter().filter(|_| interrupted) {
            // Not yet waited for, so the number is its own.
            let told = kill_process(Pid::from_child(&part.child), Signal::INT);
            log::debug!("interrupt: {told:?}");
        }
        self.told |= interrupted;
    }
}

impl Part {
    /// Whatever happened, it does not stay.
    fn end(mut self) {
        drop(self.child.stdin.take());
        let ended = self.child.kill().and_then(|()| self.child.wait());
        log::debug!("part: {ended:?}");
    }
}

/// Whether there is anything to read, or an end, within the time after which to look up.
fn speaks(says: &ChildStdout) -> Result<bool, String> {
    let span = Timespec::try_from(LOOK_UP).map_err(|error| error.to_string())?;
    match poll(&mut [PollFd::new(says, PollFlags::IN)], Some(&span)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.to_string()),
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.parts.drain(..).for_each(Part::end);
    }
}

/// The other side, as the first thing: should the parent die without a word, this part ends as if interrupted.
pub fn follow_parent() {
    if let Err(errno) = set_parent_process_death_signal(Some(Signal::INT)) {
        log::debug!("a dead parent goes unnoticed: {errno}");
    }
}

/// Says that the sessions stand, and waits for the word. False: nobody is there to give it.
pub fn stand_by() -> bool {
    let mut stdout = io::stdout();
    let mut line = String::new();
    let told = writeln!(stdout, "{STANDING}").and_then(|()| stdout.flush());
    told.is_ok() && io::stdin().read_line(&mut line).is_ok_and(|count| count > 0)
}

/// Tells the parent what was counted.
///
/// # Errors
/// The pipe's.
pub fn tell(tally: &Tally, began: SystemTime) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "operations {}", tally.operations)?;
    writeln!(out, "bytes {}", tally.bytes)?;
    writeln!(out, "looked {}", tally.looked)?;
    writeln!(out, "standing {}", tally.standing)?;
    writeln!(out, "seconds {}", tally.seconds)?;
    writeln!(out, "cpu {}", tally.cpu)?;
    writeln!(out, "waited {}", tally.waited)?;
    for (class, count) in &tally.errors {
        let said = tally.samples.get(class).map(String::as_str).unwrap_or_default().replace(['\n', '\t'], " ");
        writeln!(out, "error {count}\t{class}\t{said}")?;
    }
    writeln!(out, "{LOG}")?;
    hdr_log::write(tally, began, &mut out)?;
    out.flush()
}

fn decode(text: &[u8]) -> Result<Tally, String> {
    let mut tally = Tally::new()?;
    let mut rest = text;
    loop {
        let mut line = String::new();
        rest.read_line(&mut line).map_err(|error| error.to_string())?;
        match line.trim_end().split_once(' ') {
            Some((name, value)) => note(name, value, &mut tally),
            None if line.trim_end() == LOG => break,
            None => return Err("a process ended without its counts".into()),
        }
    }
    hdr_log::read(rest, &mut tally)?;
    Ok(tally)
}

fn note(name: &str, value: &str, tally: &mut Tally) {
    let number = || value.parse().unwrap_or(0);
    match name {
        "operations" => tally.operations = number(),
        "bytes" => tally.bytes = number(),
        "looked" => tally.looked = number(),
        "standing" => tally.standing = number(),
        "seconds" => tally.seconds = value.parse().unwrap_or(0.0),
        "cpu" => tally.cpu = value.parse().unwrap_or(0.0),
        "waited" => tally.waited = value.parse().unwrap_or(0.0),
        "error" => {
            let mut parts = value.splitn(3, '\t');
            let count = parts.next().and_then(|count| count.parse().ok()).unwrap_or(0);
            let class = parts.next().unwrap_or_default().to_owned();
            tally.errors.insert(class.clone(), count);
            tally.samples.insert(class, parts.next().unwrap_or_default().to_owned());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_report() {
        assert!(decode(b"operations 5\n").is_err());
        let tally = decode(b"operations 5\nerror 2\tconnect\trefused\nlog\n").expect("a report");
        assert_eq!((tally.operations, tally.error_count()), (5, 2));
    }
}
