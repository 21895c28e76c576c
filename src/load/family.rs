//! Several processes: each has its share of the sessions, one of them merges what they counted.
//!
//! ```text
//!   parent ── starts ──▶ parts: gather, say "standing"
//!          ◀───────────
//!          ── "go" ────▶ measure, say counts and histograms, end
//! ```
//!
//! A part is this program again with one more option, so nothing is shared but two pipes.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::SystemTime;

use super::hdr_log;
use super::options::Options;
use super::tally::Tally;

/// Where the log of histograms begins.
const LOG: &str = "log";

/// What a part says when its sessions stand.
const STANDING: &str = "standing";

/// A part, from the parent's side.
struct Part {
    child: Child,
    says: BufReader<ChildStdout>,
}

/// The parts of a run.
pub struct Family(Vec<Part>);

impl Family {
    /// Starts a process for each part and waits until the sessions of all stand.
    ///
    /// # Errors
    /// When one cannot be started or ends early.
    pub fn start(options: &Options, arguments: &[OsString]) -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| error.to_string())?;
        let mut family = Self(Vec::new());
        for number in 0..options.processes {
            let mut command = Command::new(&program);
            command.args(arguments).arg(format!("--part={number}")).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
            let Some(says) = child.stdout.take().map(BufReader::new) else { continue };
            family.0.push(Part { child, says });
        }
        for part in &mut family.0 {
            let mut line = String::new();
            part.says.read_line(&mut line).map_err(|error| error.to_string())?;
            if line.trim() != STANDING {
                return Err("a process ended early".into());
            }
        }
        Ok(family)
    }

    /// Lets all begin.
    ///
    /// # Errors
    /// When one has ended.
    pub fn go(&mut self) -> Result<(), String> {
        for part in &mut self.0 {
            let Some(stdin) = &mut part.child.stdin else { continue };
            stdin.write_all(b"go\n").map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// What all of them counted.
    ///
    /// # Errors
    /// When one has nothing to say.
    pub fn gather(mut self) -> Result<Tally, String> {
        let mut all = Tally::new()?;
        for part in &mut self.0 {
            let mut text = Vec::new();
            part.says.read_to_end(&mut text).map_err(|error| error.to_string())?;
            all.merge(&decode(&text)?)?;
        }
        Ok(all)
    }
}

impl Drop for Family {
    /// Whatever happened, none of them stays.
    fn drop(&mut self) {
        for part in &mut self.0 {
            drop(part.child.stdin.take());
            let ended = part.child.kill().and_then(|()| part.child.wait());
            log::debug!("part: {ended:?}");
        }
    }
}

/// The other side: says that the sessions stand, and waits for the word. False: nobody is there to give it.
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
