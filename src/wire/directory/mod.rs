//! Listings as servers send them, read by a client.
//!
//! MLSD (RFC 3659) is the only form that was made to be read by programs. LIST is whatever the server's `dir` command
//! prints, so each line is shown to one reader after the other until one knows it:
//!
//! ```text
//!   +i1,m2,s3,\tname            EPLF
//!   -rw-r--r-- 1 o g 5 Mar …    Unix and what imitates it, NetWare with its brackets
//!   03-09-24  05:05PM  5 name   DOS and Windows, OS/2 with the size first
//!   NAME.EXT;1  5 9-MAR-2024 …  VMS, the name perhaps on a line of its own
//!   OWNER 5 09/03/24 … *FILE …  OS/400
//! ```
//!
//! Names stay bytes and are what the server says they are: whether one may be used here is decided where it is used.

mod dates;
mod dos;
mod mlsx;
mod other;
#[cfg(test)]
mod tests;
mod unix;

pub(crate) use mlsx::stamp;
pub use mlsx::{parse_fact_line, parse_mlsd};

/// Entries of one directory that are taken: the largest in use are smaller, and each costs some 200 bytes of memory, which
/// a listing of names of one letter would otherwise make fifty times its own size.
const ENTRIES: usize = 250_000;

/// Seconds a day.
const DAY: i64 = 86_400;

/// Lines that no reader knew are kept for a message, so many of them.
const ODD_KEPT: usize = 16;

/// What an entry is, as far as the listing tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FoundKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link to who knows what.
    Link,
    /// A device, socket or the like.
    Other,
    /// The listing does not say.
    Unknown,
}

/// How much of a time a listing tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// All of it, in UTC.
    Second,
    /// As on the server's wall.
    Minute,
    /// The date only.
    Day,
}

/// One entry of a listing. Everything but the name may be unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As sent; never empty, but possibly hostile.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: FoundKind,
    /// Bytes.
    pub size: Option<u64>,
    /// Seconds since 1970: UTC from MLSD, the server's idea of local time from LIST.
    pub modify: Option<i64>,
    /// How much of `modify` the listing tells.
    pub grain: Grain,
    /// Permission bits, at most 07777.
    pub mode: Option<u32>,
    /// Owner.
    pub owner: Option<Vec<u8>>,
    /// Group.
    pub group: Option<Vec<u8>>,
    /// Where a link points.
    pub target: Option<Vec<u8>>,
}

impl Found {
    fn new(name: &[u8], kind: FoundKind) -> Self {
        Self {
            name: name.to_vec(),
            kind,
            size: None,
            modify: None,
            grain: Grain::Minute,
            mode: None,
            owner: None,
            group: None,
            target: None,
        }
    }

    /// A date without a time of day was read as midnight, and midnight itself looks no different.
    fn grained(self) -> Self {
        let grain = match self.grain {
            Grain::Minute if self.modify.is_some_and(|when| when % DAY == 0) => Grain::Day,
            grain => grain,
        };
        Self { grain, ..self }
    }
}

/// How a listing ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum End {
    /// With its last entry, as far as anybody can tell.
    #[default]
    Whole,
    /// There were more entries than are taken.
    Beyond,
    /// Nothing confirms that there was no more of it.
    Unconfirmed,
}

/// A listing, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The entries in the order they came, without `.` and `..`.
    pub entries: Vec<Found>,
    /// Lines that were no entry and no known decoration.
    pub odd: Vec<Vec<u8>>,
    /// The directory itself, or the one above it, was among the entries: it is certainly there.
    pub itself: bool,
    /// Why there may be more than was listed, although every line was understood.
    pub doubt: Option<Vec<u8>>,
    /// How it ended.
    pub end: End,
}

impl Parsed {
    fn add(&mut self, found: Found) {
        if matches!(&found.name[..], b"." | b"..") {
            self.itself = true;
        } else if self.entries.len() < ENTRIES {
            self.entries.push(found);
        } else {
            self.end = End::Beyond;
        }
    }

    /// What speaks against this being all there is: nothing is deleted on the strength of a listing that has any of it.
    pub fn doubts(&self) -> impl Iterator<Item = &[u8]> {
        self.odd.iter().chain(&self.doubt).map(Vec::as_slice)
    }

    /// Whether it is certainly all there is.
    pub fn is_certain(&self) -> bool {
        self.doubts().next().is_none()
    }

    fn add_odd(&mut self, line: &[u8]) {
        if self.odd.len() < ODD_KEPT {
            self.odd.push(line.to_vec());
        }
    }
}

/// Reads the text of LIST. `now`, in seconds since 1970 UTC, tells the year where a line does not.
pub fn parse_list(text: &[u8], now: i64) -> Parsed {
    let mut parsed = Parsed::default();
    let mut waiting: Option<&[u8]> = None; // a VMS name whose facts come on the next line
    for line in lines(text) {
        let joined;
        let whole = match waiting.take() {
            Some(name) if line.starts_with(b" ") => {
                joined = [name, line].concat();
                &joined
            }
            Some(name) => {
                parsed.add_odd(name);
                line
            }
            None => line,
        };
        match read_line(whole, now) {
            Some(found) => parsed.add(found.grained()),
            None if other::is_vms_name(whole) => waiting = Some(line),
            None if is_decoration(whole) => {}
            None => parsed.add_odd(whole),
        }
    }
    parsed
}

/// Reads the text of NLST: names only. Servers send base names, names with the directory before them, or full paths;
/// the last component is the same in all three.
pub fn parse_nlst(text: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    for line in lines(text) {
        let trimmed = line.strip_suffix(b"/").unwrap_or(line);
        let name = trimmed.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if name.is_empty() {
            parsed.add_odd(line);
        } else {
            parsed.add(Found::new(name, if trimmed.len() < line.len() { FoundKind::Dir } else { FoundKind::Unknown }));
        }
    }
    parsed
}

fn read_line(line: &[u8], now: i64) -> Option<Found> {
    other::eplf(line)
        .or_else(|| unix::parse(line, now))
        .or_else(|| dos::parse(line))
        .or_else(|| other::netware(line, now))
        .or_else(|| other::vms(line))
        .or_else(|| other::os400(line))
}

/// Lines with neither CR LF nor emptiness.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let stripped = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    stripped.filter(|line| !line.iter().all(|byte| matches!(byte, b' ' | b'\t')))
}

/// `total 12` and headers of VMS, which are no entries and nothing to wonder at.
fn is_decoration(line: &[u8]) -> bool {
    let lower = line.to_ascii_lowercase();
    let lower = lower.trim_ascii();
    lower.starts_with(b"total ") || lower.starts_with(b"directory ") || lower.ends_with(b":") || is_total(lower)
}

/// As `ls` says it where the server's account speaks another language.
fn is_total(line: &[u8]) -> bool {
    const WORDS: [&str; 12] = [
        "total",
        "totale",
        "totaal",
        "totalt",
        "insgesamt",
        "gesamt",
        "razem",
        "celkem",
        "yhteens\u{e4}",
        "\u{438}\u{442}\u{43e}\u{433}\u{43e}",
        "\u{5408}\u{8a08}",
        "\u{603b}\u{7528}\u{91cf}",
    ];
    match &words(line)[..] {
        [(_, word)] => *word == b"total",
        [(_, word), (_, number)] => WORDS.iter().any(|known| *word == known.as_bytes()) && size_of(number).is_some(),
        _ => false,
    }
}

/// Words with the place where each begins.
fn words(line: &[u8]) -> Vec<(usize, &[u8])> {
    let mut words = Vec::new();
    let mut at = 0;
    for word in line.split(|byte| matches!(byte, b' ' | b'\t')) {
        if !word.is_empty() {
            words.push((at, word));
        }
        at += word.len() + 1;
    }
    words
}

/// Decimal digits, thousands perhaps set off by commas.
fn size_of(word: &[u8]) -> Option<u64> {
    let digits: Vec<u8> = word.iter().copied().filter(|byte| *byte != b',').collect();
    let starts = word.first().is_some_and(u8::is_ascii_digit);
    if starts { super::address::number(&digits, u64::MAX) } else { None }
}
