//! Standard error, which the prompt, words for people and the log share. Who has the terminal is known here and nowhere
//! else: while a line is being typed, everything else goes above it.
//!
//! The log has no logger of a crate's: those panic when standard error is closed (`miniftp -v ... 2>&1 | head`), and know
//! nothing of the prompt.

use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Log, Metadata, Record};

use super::screen::iso;
use super::typist::Above;

/// What is logged is this program's: the line editor would log every key, those of passwords too.
const OURS: &str = "miniftp";

/// Who has the terminal. There is one standard error in a process, so there is one of these.
#[derive(Debug)]
enum Floor {
    /// Nobody else: words go straight out.
    Free(Option<Above>),
    /// A line is being typed.
    Typing(Above),
    /// The editor waits for the loop and reads nothing. It takes one message and makes the next one wait, so the loop
    /// would wait for it in turn: what is said meanwhile is said afterwards.
    Waiting(Above, String),
}

/// What is kept to be said afterwards; a screenful or two.
const HELD: usize = 16 * 1024;

static FLOOR: Mutex<Floor> = Mutex::new(Floor::Free(None));

fn floor() -> MutexGuard<'static, Floor> {
    FLOOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on there is a way past the line that is being typed.
pub fn speak_through(above: Option<Above>) {
    *floor() = Floor::Free(above);
}

/// A line is being typed from now on, or no longer.
pub fn type_on(typing: bool) {
    let mut floor = floor();
    *floor = match std::mem::replace(&mut *floor, Floor::Free(None)) {
        Floor::Free(Some(above)) if typing => Floor::Typing(above),
        Floor::Typing(above) if !typing => Floor::Free(Some(above)),
        Floor::Waiting(mut above, held) if !typing => {
            if !held.is_empty() {
                above.say(&held);
            }
            Floor::Free(Some(above))
        }
        same => same,
    };
}

/// The editor waits for the loop from now on, or no longer.
pub fn keep_waiting(waiting: bool) {
    let mut floor = floor();
    *floor = match std::mem::replace(&mut *floor, Floor::Free(None)) {
        Floor::Typing(above) if waiting => Floor::Waiting(above, String::new()),
        Floor::Waiting(mut above, held) if !waiting => {
            if !held.is_empty() {
                above.say(&held);
            }
            Floor::Typing(above)
        }
        same => same,
    };
}

/// Words for a person. Nobody may be left to read them, which is no reason to stop.
pub fn say(text: &str) {
    speak(&format!("miniftp: {text}\n"));
}

fn speak(line: &str) {
    match &mut *floor() {
        Floor::Typing(above) => above.say(line),
        Floor::Waiting(_, held) if held.len() + line.len() <= HELD => held.push_str(line),
        Floor::Waiting(..) => {}
        Floor::Free(_) => drop(io::stderr().write_all(line.as_bytes())),
    }
}

/// The log of `-v`.
struct Journal;

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target.strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let second = iso(i64::try_from(now.as_secs()).unwrap_or_default());
            let (second, millis) = (second.trim_end_matches('Z'), now.subsec_millis());
            speak(&format!("{second}.{millis:03}Z {:<5} {}\n", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

/// Logs down to this level from now on. False: somebody else keeps the log.
pub fn keep_journal(level: LevelFilter) -> bool {
    let kept = log::set_logger(&Journal).is_ok();
    if kept {
        log::set_max_level(level);
    }
    kept
}
