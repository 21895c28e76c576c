//! Whether an operation succeeded, and what it is called when it did not.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::crowd::OPERATION;
use super::options::Options;
use super::scenario::Act;
use super::tally;
use super::track::Track;
use crate::user::mail::{Answer, Death, Failure, Outcome, Spoken, Ticket, Transfer, Wish};
use crate::user::pump::audit::{Audit, Print};
use crate::user::pump::{Intake, Outlet, Pump, Snag};
use crate::wire::command::Verb;
use crate::wire::reply::{Kind, Reply};

/// Asked for once a file, and of no consequence: TYPE I, without which some servers refuse SIZE, and SIZE.
const PRELUDE: Ticket = Ticket(2);

/// What uploads repeat: long enough that sending it is few system calls, short enough for the second-level cache.
const PATTERN: usize = 256 * 1024;

/// What became of an operation.
#[derive(Debug)]
pub enum Verdict {
    /// As it should be.
    Good {
        /// Moved.
        bytes: u64,
        /// Of these, looked at.
        looked: u64,
    },
    /// An error.
    Bad {
        /// Its class.
        class: &'static str,
        /// What is known of it.
        said: String,
    },
    /// The session is over, and its end will be told.
    Dead,
}

/// What is known of the files that are moved.
#[derive(Debug)]
pub struct Files {
    known: HashMap<Vec<u8>, Known>,
    verify: u32,
    size: Option<u64>,
    pattern: Rc<[u8]>,
    /// Uploads so far, where each has a name of its own.
    uploads: Option<u64>,
}

/// Of a file whose length nobody has said.
const UNKNOWN: u64 = u64::MAX;

#[derive(Debug)]
struct Known {
    print: Rc<RefCell<Print>>,
    /// What comes beyond it is wrong at once: a server that never ends would never be found out. [`UNKNOWN`] until the
    /// answer to SIZE, or the first download.
    length: Rc<Cell<u64>>,
}

impl Files {
    /// Nothing yet.
    pub fn new(options: &Options) -> Self {
        let pattern: Vec<u8> = (0..PATTERN).map(|at| (at * 7 + at / 251) as u8).collect();
        Self {
            known: HashMap::new(),
            verify: options.verify,
            size: options.size,
            pattern: pattern.into(),
            uploads: options.fresh.then_some(0),
        }
    }

    /// What to wish of a session for an operation; `number` tells its uploads from others'.
    pub fn wishes(&mut self, act: &Act, number: usize) -> Vec<(Ticket, Wish)> {
        match act {
            Act::Login => vec![],
            Act::Command(line) => vec![(OPERATION, Wish::Ask { line: line.clone(), alone: true })],
            Act::Get(path) => self.download(path),
            Act::Put(path, size) => {
                let argument = self.name(path, number);
                let pump = Pump::Out(Box::new(Outlet::pattern(Rc::clone(&self.pattern), *size)));
                vec![transfer(Verb::Stor, argument, pump)]
            }
            Act::List(path) => {
                let audit = Audit::sampling(Rc::default(), 0);
                vec![transfer(Verb::List, path.clone(), Pump::In(Box::new(Intake::nowhere(audit))))]
            }
        }
    }

    fn name(&mut self, path: &[u8], number: usize) -> Vec<u8> {
        let own = [path, &b"-"[..], number.to_string().as_bytes()].concat();
        let Some(uploads) = &mut self.uploads else { return own };
        *uploads += 1;
        [own, format!("-{uploads}").into_bytes()].concat()
    }

    fn download(&mut self, path: &[u8]) -> Vec<(Ticket, Wish)> {
        let mut wishes = Vec::new();
        if !self.known.contains_key(path) {
            let length = Rc::new(Cell::new(self.size.unwrap_or(UNKNOWN)));
            self.known.insert(path.to_vec(), Known { print: Rc::default(), length });
            if self.size.is_none() {
                let ask = |line: Vec<u8>| (PRELUDE, Wish::Ask { line, alone: true });
                wishes.extend([ask(b"TYPE I".to_vec()), ask([b"SIZE ", path].concat())]);
            }
        }
        if let Some(known) = self.known.get(path) {
            let audit = Audit::sampling(Rc::clone(&known.print), self.verify);
            let intake = Intake::nowhere(audit).below(Rc::clone(&known.length));
            wishes.push(transfer(Verb::Retr, path.to_vec(), Pump::In(Box::new(intake))));
        }
        wishes
    }

    /// The answer to what was asked before a file's first download.
    pub fn learn(&mut self, act: &Act, answer: &Answer) {
        if let (Act::Get(path), Answer::Reply(reply)) = (act, answer)
            && reply.code == 213
            && let Some(known) = self.known.get(path)
            && let Some(length) = std::str::from_utf8(reply.text()).ok().and_then(|text| text.trim().parse().ok())
        {
            known.length.set(length);
        }
    }

    /// How an operation ended.
    pub fn judge(&mut self, act: &Act, answer: Answer) -> Verdict {
        match answer {
            Answer::Dead(_) => Verdict::Dead,
            Answer::Reply(reply) => match reply.kind() {
                Kind::Transient | Kind::Permanent => bad(tally::COMMAND, &reply),
                _ => Verdict::Good { bytes: 0, looked: 0 },
            },
            Answer::Moved(outcome) => self.moved(act, *outcome),
        }
    }

    fn moved(&mut self, act: &Act, mut outcome: Outcome) -> Verdict {
        let (class, said) = match &outcome.result {
            Ok(reply) if !matches!(reply.code, 226 | 250) => return bad(tally::MISSING, reply),
            Ok(_) => return self.compare(act, &mut outcome),
            Err(Failure::Snag(Snag::Endless)) => (tally::WRONG, self.excess(act, outcome.moved).unwrap_or_default()),
            Err(Failure::Snag(Snag::Differs)) => (tally::WRONG, "not what was there before".to_owned()),
            Err(failure @ Failure::Snag(_)) => (tally::BROKEN, failure.to_string()),
            Err(failure @ Failure::NoChannel(..)) => (tally::DATA, failure.to_string()),
            Err(failure) => (tally::TRANSFER, failure.to_string()),
        };
        Verdict::Bad { class, said }
    }

    /// What is wrong with a download of so many bytes that has no end yet.
    pub fn excess(&self, act: &Act, bytes: u64) -> Option<String> {
        let Act::Get(path) = act else { return None };
        let wanted = self.known.get(path)?.length.get();
        (bytes > wanted).then(|| format!("{bytes} bytes and no end instead of {wanted}"))
    }

    /// The server is content. Are we?
    fn compare(&mut self, act: &Act, outcome: &mut Outcome) -> Verdict {
        let bytes = outcome.moved;
        let wanted = match act {
            Act::Get(path) => self.known.get(path).map(|known| {
                if known.length.get() == UNKNOWN {
                    known.length.set(bytes);
                }
                known.length.get()
            }),
            Act::Put(_, size) => Some(*size),
            _ => None,
        };
        if let Some(wanted) = wanted.filter(|wanted| *wanted != bytes) {
            return Verdict::Bad { class: tally::WRONG, said: format!("{bytes} bytes instead of {wanted}") };
        }
        let Some(audit) = outcome.pump.as_mut().and_then(Pump::audit) else {
            return Verdict::Good { bytes, looked: 0 };
        };
        if audit.ends() {
            return Verdict::Good { bytes, looked: audit.looked() };
        }
        Verdict::Bad { class: tally::WRONG, said: "the end is not what was there before".into() }
    }
}

fn transfer(verb: Verb, argument: Vec<u8>, pump: Pump) -> (Ticket, Wish) {
    (OPERATION, Wish::Transfer(Box::new(Transfer { verb, argument, text: false, restart: 0, pump, only: None })))
}

fn bad(class: &'static str, reply: &Reply) -> Verdict {
    Verdict::Bad { class, said: Spoken(reply).to_string() }
}

/// Why a session did not come about.
pub fn arrival(track: &Track, death: &Death) -> (&'static str, String) {
    let class = match death {
        Death::Connect(why) => connecting(why),
        Death::Insecure(_) => tally::TLS,
        Death::Login(_) => tally::LOGIN,
        Death::Garbage(_) | Death::NoFtp => tally::GARBAGE,
        _ if !track.is_connected() => tally::CONNECT,
        _ if !track.is_greeted() => tally::GREETING,
        Death::TimedOut(_) => tally::TIMED_OUT,
        _ => tally::LOGIN,
    };
    (class, death.to_string())
}

fn connecting(why: &str) -> &'static str {
    use rustix::io::Errno;
    let is = |errno: Errno| why.contains(&format!("(os error {})", errno.raw_os_error()));
    if is(Errno::ADDRNOTAVAIL) {
        tally::NO_PORT
    } else if is(Errno::MFILE) || is(Errno::NFILE) {
        tally::NO_DESCRIPTOR
    } else {
        tally::CONNECT
    }
}

/// Why a session that stood is gone.
pub fn death(track: Option<&Track>, death: &Death) -> (&'static str, String) {
    let class = match death {
        _ if track.is_some_and(Track::waits_for_226) => tally::MISSING,
        // It may have been quicker to read that the session is over than that the data is: no reply comes either way.
        Death::Closed | Death::Lost(_) if track.is_some_and(Track::is_opened) => tally::MISSING,
        Death::TimedOut(_) => tally::TIMED_OUT,
        Death::Connect(_) => tally::DATA,
        Death::Insecure(_) => tally::TLS,
        Death::Garbage(_) => tally::GARBAGE,
        _ => tally::CLOSED,
    };
    (class, death.to_string())
}
