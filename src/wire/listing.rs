//! One directory entry as bytes: the LIST line every client learnt to read, and the facts of MLSx
//! (RFC 3659 section 7).
//!
//! Nothing here allocates for an entry: a listing is one buffer that lines are appended to.

use super::date::{append_stamp, list_date};

#[cfg(test)]
mod tests;

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link that is shown as such.
    Link,
    /// A named pipe.
    Fifo,
    /// A local socket.
    Socket,
    /// A character device.
    Char,
    /// A block device.
    Block,
}

/// An owner or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// Its name; holds neither blanks nor `;`.
    Known(&'a str),
    /// Its number, where nobody knows a name.
    Number(u32),
}

/// Everything a line can say about one entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Name in its directory, or a path in the reply to MLST. Raw bytes of the disk.
    pub name: &'a [u8],
    /// What it is; for MLSx what a link leads to.
    pub kind: Kind,
    /// Permission bits, at most 07777.
    pub mode: u32,
    /// Hard links.
    pub links: u32,
    /// Owner.
    pub owner: Name<'a>,
    /// Group.
    pub group: Name<'a>,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, seconds since 1970 UTC.
    pub mtime: i64,
    /// Where a [`Kind::Link`] points, when that may be shown.
    pub target: Option<&'a [u8]>,
    /// Device and inode.
    pub identity: (u64, u64),
    /// What this session may do with it.
    pub perm: Perm,
}

impl Entry<'_> {
    /// Appends the LIST line with its CRLF. `now`, in seconds since 1970 UTC, decides how the date is shown.
    ///
    /// Bytes that would end the line are shown as `?`.
    pub fn append_list(&self, now: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(&mode_text(self.kind, self.mode));
        append_right(u64::from(self.links), 3, out);
        out.extend_from_slice(b" ");
        append_left(self.owner, out);
        append_left(self.group, out);
        // Device nodes have no size; "major, minor" in its place breaks the columns for most parsers.
        let size = if matches!(self.kind, Kind::Char | Kind::Block) { 0 } else { self.size };
        append_right(size, 12, out);
        out.extend_from_slice(&list_date(self.mtime, now));
        append_harmless(self.name, out);
        if let (Kind::Link, Some(target)) = (self.kind, self.target) {
            out.extend_from_slice(b" -> ");
            append_harmless(target, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the facts of `set`, one space and the name, without CRLF (RFC 3659 section 7.2). The name must
    /// be [`sendable`].
    pub fn append_facts(&self, set: FactSet, out: &mut Vec<u8>) {
        for (label, fact) in FACTS {
            let shown = set.has(fact) && (fact != Fact::Size || self.kind == Kind::File);
            if shown {
                out.extend_from_slice(label.as_bytes());
                out.push(b'=');
                self.append_value(fact, out);
                out.push(b';');
            }
        }
        out.push(b' ');
        out.extend_from_slice(self.name);
    }

    fn append_value(&self, fact: Fact, out: &mut Vec<u8>) {
        match fact {
            Fact::Type => self.append_type(out),
            Fact::Size => append_number(self.size, out),
            Fact::Modify => append_stamp(self.mtime, out),
            Fact::Perm => self.perm.append(out),
            Fact::Unique => {
                append_hex(self.identity.0, out);
                out.push(b'U');
                append_hex(self.identity.1, out);
            }
            Fact::UnixMode => {
                out.extend([9, 6, 3, 0].map(|shift| b'0' + (self.mode >> shift & 7) as u8));
            }
            Fact::UnixOwner => append_name(self.owner, out),
            Fact::UnixGroup => append_name(self.group, out),
        }
    }

    fn append_type(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.kind {
            Kind::File => b"file",
            Kind::Dir => b"dir",
            Kind::Link => b"OS.unix=slink",
            Kind::Fifo => b"OS.unix=fifo",
            Kind::Socket => b"OS.unix=socket",
            Kind::Char => b"OS.unix=chr",
            Kind::Block => b"OS.unix=blk",
        });
        if let (Kind::Link, Some(target)) = (self.kind, self.target) {
            // A target that would end the fact, or the facts, is left out rather than quoted: no parser
            // knows a quoting here.
            if target.iter().all(|&byte| byte > b' ' && byte != b';' && byte != 0x7f) {
                out.push(b':');
                out.extend_from_slice(target);
            }
        }
    }
}

/// Whether a name can be told to a client and come back: one with CR, LF or NUL cannot (RFC 959 5.3.1).
pub fn sendable(name: &[u8]) -> bool {
    !name.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// One fact of RFC 3659 section 7.5 that this server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    Type,
    Size,
    Modify,
    Perm,
    Unique,
    UnixMode,
    UnixOwner,
    UnixGroup,
}

/// In the order they are sent, with the spelling FEAT promises. No `create`: the birth time is not known
/// everywhere, and guessing is forbidden (RFC 3659 section 7.5.4).
const FACTS: [(&str, Fact); 8] = [
    ("type", Fact::Type),
    ("size", Fact::Size),
    ("modify", Fact::Modify),
    ("perm", Fact::Perm),
    ("unique", Fact::Unique),
    ("UNIX.mode", Fact::UnixMode),
    ("UNIX.owner", Fact::UnixOwner),
    ("UNIX.group", Fact::UnixGroup),
];

/// The facts a session wants to see (OPTS MLST, RFC 3659 section 7.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactSet(u8);

impl FactSet {
    /// All facts: what a session starts with.
    pub const fn all() -> Self {
        Self(u8::MAX)
    }

    /// Reads the argument of OPTS MLST: fact names each ended by `;`, the last perhaps not. Unknown names
    /// are dropped without complaint; nothing at all selects no fact. A blank makes it no list: `None`.
    pub fn parse(argument: &[u8]) -> Option<Self> {
        if argument.contains(&b' ') {
            return None;
        }
        let wanted = argument.split(|&byte| byte == b';');
        let known =
            wanted.filter_map(|word| FACTS.iter().find(|(label, _)| word.eq_ignore_ascii_case(label.as_bytes())));
        Some(Self(known.fold(0, |set, (_, fact)| set | 1 << *fact as u8)))
    }

    /// The text of the 200 reply to OPTS MLST: `MLST OPTS type;size;`.
    pub fn options_text(self) -> String {
        let labels = FACTS.iter().filter(|(_, fact)| self.has(*fact));
        let list: String = labels.flat_map(|(label, _)| [label, ";"]).collect();
        if list.is_empty() { "MLST OPTS".into() } else { format!("MLST OPTS {list}") }
    }

    /// The line of FEAT, a `*` after what is selected: `MLST type*;size;…`.
    pub fn feature_text(self) -> String {
        let marks = FACTS.iter().map(|(label, fact)| (label, if self.has(*fact) { "*;" } else { ";" }));
        marks.fold("MLST ".into(), |text, (label, mark)| text + label + mark)
    }

    /// Whether entries need their `perm`, the only fact that costs more than a stat.
    pub(crate) const fn wants_perm(self) -> bool {
        self.has(Fact::Perm)
    }

    const fn has(self, fact: Fact) -> bool {
        self.0 & (1 << fact as u8) != 0
    }
}

/// What a session may do with an entry: the letters of the `perm` fact (RFC 3659 section 7.5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Perm(u16);

impl Perm {
    /// No letter.
    pub const NONE: Self = Self(0);
    /// `a`: APPE may be applied to the file.
    pub const APPEND: Self = Self(1);
    /// `c`: files may be made in the directory.
    pub const CREATE: Self = Self(1 << 1);
    /// `d`: it may be deleted.
    pub const DELETE: Self = Self(1 << 2);
    /// `e`: CWD may lead there.
    pub const ENTER: Self = Self(1 << 3);
    /// `f`: it may be renamed.
    pub const RENAME: Self = Self(1 << 4);
    /// `l`: the directory may be listed.
    pub const LIST: Self = Self(1 << 5);
    /// `m`: directories may be made in it.
    pub const MAKE: Self = Self(1 << 6);
    /// `p`: what is in the directory may be deleted.
    pub const PURGE: Self = Self(1 << 7);
    /// `r`: RETR may be applied to the file.
    pub const READ: Self = Self(1 << 8);
    /// `w`: STOR may be applied to the file.
    pub const WRITE: Self = Self(1 << 9);

    /// The letters by bit, lowest first: sorted, so files read `adfrw` and directories `cdeflmp`.
    const LETTERS: &'static [u8; 10] = b"acdeflmprw";

    /// These letters, if `granted`.
    #[must_use]
    pub const fn with(self, letter: Self, granted: bool) -> Self {
        if granted { Self(self.0 | letter.0) } else { self }
    }

    fn append(self, out: &mut Vec<u8>) {
        let letters = Self::LETTERS.iter().enumerate();
        out.extend(letters.filter(|(bit, _)| self.0 & 1 << bit != 0).map(|(_, letter)| letter));
    }
}

/// The ten columns of ls(1) and a blank: kind, then rwx three times with s and t in them.
fn mode_text(kind: Kind, mode: u32) -> [u8; 11] {
    let bit = |mask: u32, letter: u8| if mode & mask != 0 { letter } else { b'-' };
    let run = |mask: u32, special: u32, letter: u8| match (mode & special != 0, mode & mask != 0) {
        (false, _) => bit(mask, b'x'),
        (true, true) => letter,
        (true, false) => letter.to_ascii_uppercase(),
    };
    let first = match kind {
        Kind::File => b'-',
        Kind::Dir => b'd',
        Kind::Link => b'l',
        Kind::Fifo => b'p',
        Kind::Socket => b's',
        Kind::Char => b'c',
        Kind::Block => b'b',
    };
    [
        first,
        bit(0o400, b'r'),
        bit(0o200, b'w'),
        run(0o100, 0o4000, b's'),
        bit(0o040, b'r'),
        bit(0o020, b'w'),
        run(0o010, 0o2000, b's'),
        bit(0o004, b'r'),
        bit(0o002, b'w'),
        run(0o001, 0o1000, b't'),
        b' ',
    ]
}

/// Room for the decimal digits of any u64.
const DIGITS: usize = 20;

/// Writes the decimal digits of `number` to the end of `buffer`; answers where they begin.
fn digits(mut number: u64, buffer: &mut [u8; DIGITS]) -> usize {
    let mut unused = buffer.len();
    for slot in buffer.iter_mut().rev() {
        *slot = b'0' + (number % 10) as u8;
        number /= 10;
        unused -= 1;
        if number == 0 {
            break;
        }
    }
    unused
}

fn append_number(number: u64, out: &mut Vec<u8>) {
    let mut buffer = [0; DIGITS];
    let begin = digits(number, &mut buffer);
    out.extend_from_slice(buffer.split_at(begin).1);
}

/// The number right-aligned in `width` columns, at most [`DIGITS`]; a wider one pushes, as in ls(1).
fn append_right(number: u64, width: usize, out: &mut Vec<u8>) {
    let mut buffer = [b' '; DIGITS];
    let begin = digits(number, &mut buffer);
    out.extend_from_slice(buffer.split_at(begin.min(DIGITS.saturating_sub(width))).1);
}

/// The name left-aligned in eight columns and one blank; a longer one pushes, since a cut one could be
/// somebody else's.
fn append_left(name: Name<'_>, out: &mut Vec<u8>) {
    const BLANKS: &[u8; 9] = b"         ";
    let start = out.len();
    append_name(name, out);
    let missing = BLANKS.get(out.len() - start..).filter(|blanks| !blanks.is_empty());
    out.extend_from_slice(missing.unwrap_or(b" "));
}

fn append_name(name: Name<'_>, out: &mut Vec<u8>) {
    match name {
        Name::Known(name) => out.extend_from_slice(name.as_bytes()),
        Name::Number(number) => append_number(u64::from(number), out),
    }
}

fn append_hex(number: u64, out: &mut Vec<u8>) {
    let first = 15 - (number | 1).leading_zeros() / 4;
    out.extend((0..=first).rev().map(|nibble| match (number >> (4 * nibble) & 15) as u8 {
        digit @ 0..10 => b'0' + digit,
        letter => b'a' + letter - 10,
    }));
}

/// The bytes, with `?` for those that would end the line.
fn append_harmless(bytes: &[u8], out: &mut Vec<u8>) {
    if sendable(bytes) {
        return out.extend_from_slice(bytes);
    }
    out.extend(bytes.iter().map(|&byte| if sendable(&[byte]) { byte } else { b'?' }));
}
