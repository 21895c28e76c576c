//! Where one control dialogue stands.
//!
//! ```text
//!            USER                PASS                    right
//! Stranger ───────▶ Named ───────────────▶ Checking ───────────────▶ Member { work }
//!    ▲               │  ▲                     │ wrong                   │      │
//!    │               └──┘ USER again          ▼                         │      │ USER, REIN
//!    ├──────────────────────────────────── Penalised (a timer runs)     │      ▼
//!    │  530                                   │ the last try            │   Named, Stranger
//!    │                                        ▼                         │
//!    └───────── (anonymous goes from Named  Leaving ◀──── QUIT, 421 ────┘
//!                straight to Member)
//!
//! Member.work:
//!           RNFR 350            any command but NOOP, STAT, ABOR
//!   Idle ───────────▶ Renaming ───────────────────────────────▶ Idle
//!    │ PASV, EPSV                 the DTP answers
//!    ├──────────▶ Promising ──────────────────────▶ Idle
//!    │ RETR, STOR, LIST … 150     226, 4yz, 5yz
//!    ├──────────▶ Transferring ───────────────────▶ Idle
//!    │                │ ABOR                         ▲
//!    │                └─────────▶ Aborting ──────────┘ 426, later 226
//!    │ HASH, SIZE in TYPE A       read, ABOR
//!    └──────────▶ Computing ──────────────────────▶ Idle
//! ```
//!
//! Around it, with TLS:
//!
//!   Stranger, Named, Member ── AUTH, or REIN in TLS ──▶ Switching ── the transport has changed ──▶ Stranger
//!   Member.work: Idle ── CCC ──▶ Switching ── TLS left ──▶ Idle
//!
//! Only in `Stranger`, `Named` and `Member` with `Idle` or `Renaming` work is a line taken from the reader; in every
//! other state lines wait where they are (protocol order is kept by not reading), but for ABOR and STAT.

use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use crate::filesystem::VirtualPath;
use crate::server::realm::{Realm, Seat};
use crate::wire::command::{PathText, Verb};

/// The session's state. [`super::Session::enter`] is its only writer.
#[derive(Debug)]
pub enum State {
    /// 220 is out. USER may come.
    Stranger,
    /// 331 is out. PASS leads on.
    Named {
        /// As given; whether it exists is nobody's business yet.
        user: PathText,
    },
    /// The verifier has the password. Lines wait.
    Checking {
        /// Who wants in.
        user: PathText,
        /// Name and password as a keyed digest: should they be wrong, it tells whether they were so before.
        guess: u64,
    },
    /// The password was wrong: 530 (or, for the last try, 421) goes out when the timer says so. Lines wait.
    Penalised,
    /// 230 is out.
    Member(Member),
    /// 234 is out, or REIN's 220 in TLS: the connection changes between the clear and TLS. Lines wait.
    Switching,
    /// 221 or 421 is queued: it is flushed and the connection closed. No further line is read.
    Leaving,
}

/// A logged-in user.
#[derive(Debug)]
pub struct Member {
    /// Counted in the account's sessions for as long as this lives.
    pub seat: Seat,
    /// The working directory.
    pub cwd: VirtualPath,
    /// How it began.
    pub opening: Opening,
    /// What the session is in the middle of.
    pub work: Work,
}

/// The first word of a client as a member: it tells one client of the field from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Nothing yet, or how to protect what comes.
    Unsaid,
    /// PWD.
    Pwd,
    /// Anything else.
    Other,
}

impl Opening {
    /// Hears a member's command.
    pub fn hear(&mut self, verb: Verb) {
        *self = match (*self, verb) {
            (Self::Unsaid, Verb::Pbsz | Verb::Prot) => Self::Unsaid,
            (Self::Unsaid, Verb::Pwd) => Self::Pwd,
            (Self::Unsaid, _) => Self::Other,
            (told, _) => told,
        }
    }
}

impl Member {
    /// The account's world: root and rights.
    pub fn realm(&self) -> &Rc<Realm> {
        self.seat.realm()
    }
}

/// What a member's session is in the middle of.
#[derive(Debug)]
pub enum Work {
    /// Between commands.
    Idle,
    /// 350 is out. Any command but RNTO, NOOP, STAT and ABOR forgets `from`.
    Renaming {
        /// What RNTO will rename.
        from: VirtualPath,
    },
    /// PASV or EPSV waits for the DTP's answer, which comes in the same turn.
    Promising {
        /// In which words to tell the port.
        words: Passive,
    },
    /// 150 is out; the DTP has the job. Lines other than ABOR and STAT wait.
    Transferring(Box<Errand>),
    /// The abort went down to the DTP; 426 follows its report, 226 the ABOR line when its turn comes.
    Aborting(Box<Errand>),
    /// A file is being read through for HASH, an X-digest or SIZE in TYPE A. Lines other than ABOR wait.
    Computing(Box<Asked>),
    /// CCC's 200 is out: the connection leaves TLS. Lines wait.
    Switching,
}

/// How a passive port is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passive {
    /// 227 with an address.
    Classic,
    /// 229 with a port only.
    Extended,
}

/// A transfer as the session remembers it: what to log and what to say when it is over.
#[derive(Debug)]
pub struct Errand {
    /// Which verb asked for it.
    pub verb: Verb,
    /// The file or directory.
    pub path: VirtualPath,
    /// Sent or received as text.
    pub ascii: bool,
}

/// What a file is being read through for.
#[derive(Debug)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// The path as the client gave it.
    pub given: Box<[u8]>,
    /// The first line of the reply is out: it said that this takes a moment.
    pub begun: bool,
}

/// Whose answer it will be.
#[derive(Debug)]
pub enum Question {
    /// SIZE in TYPE A.
    Size,
    /// HASH.
    Hash {
        /// Bytes of the file.
        stretch: Range<u64>,
    },
    /// XCRC, XMD5 and their like.
    XDigest,
}

/// The arrows of the diagram above: state, what happens, next state. `miniftpd --states` prints them; a test holds
/// them against the names of the states.
pub const TRANSITIONS: &[(&str, &str, &str)] = &[
    ("Stranger", "USER: 331", "Named"),
    ("Named", "USER: 331", "Named"),
    ("Named", "PASS of a guest: 230", "Member/Idle"),
    ("Named", "PASS", "Checking"),
    ("Checking", "right: 230", "Member/Idle"),
    ("Checking", "wrong", "Penalised"),
    ("Checking", "verifier lost: 451", "Stranger"),
    ("Checking", "queue full: 421", "Leaving"),
    ("Penalised", "timer: 530", "Stranger"),
    ("Penalised", "timer after the last try: 421", "Leaving"),
    ("Member/*", "USER: 331", "Named"),
    ("Member/*", "REIN: 220", "Stranger"),
    ("Member/Idle", "RNFR: 350", "Member/Renaming"),
    ("Member/Renaming", "RNTO, or any command but NOOP STAT ABOR", "Member/Idle"),
    ("Member/Idle", "PASV, EPSV", "Member/Promising"),
    ("Member/Promising", "DTP: 227, 229, 425", "Member/Idle"),
    ("Member/Idle", "HASH, X-digest, SIZE in TYPE A", "Member/Computing"),
    ("Member/Computing", "read: 213, 250, 451", "Member/Idle"),
    ("Member/Computing", "ABOR seen: 451", "Member/Idle"),
    ("Member/Idle", "RETR STOR STOU APPE LIST NLST MLSD: 150", "Member/Transferring"),
    ("Member/Transferring", "DTP: 226, 425, 426, 451, 452, 552", "Member/Idle"),
    ("Member/Transferring", "ABOR seen", "Member/Aborting"),
    ("Member/Aborting", "DTP: 426", "Member/Idle"),
    ("Stranger, Named, Member/*", "AUTH: 234", "Switching"),
    ("Stranger, Named, Member/*", "REIN in TLS: 220", "Switching"),
    ("Switching", "handshake done, or TLS left", "Stranger"),
    ("Member/Idle", "CCC: 200", "Member/Switching"),
    ("Member/Switching", "TLS left", "Member/Idle"),
    ("Named", "USER certified: 232", "Member/Idle"),
    ("Stranger, Named", "login time over: 421", "Leaving"),
    ("Member/Idle", "idle too long: 421", "Leaving"),
    ("Stranger, Named, Member/Idle", "a command line without end: 421", "Leaving"),
    ("Stranger, Named, Member/Idle", "too many unknown commands: 421", "Leaving"),
    ("Stranger, Named, Checking, Penalised", "the address is banned: 421", "Leaving"),
    ("*", "QUIT: 221", "Leaving"),
    ("*", "the server ends: 421", "Leaving"),
];

impl State {
    /// Whether the next line may be taken.
    pub const fn takes_lines(&self) -> bool {
        match self {
            Self::Stranger | Self::Named { .. } => true,
            Self::Member(member) => matches!(member.work, Work::Idle | Work::Renaming { .. }),
            Self::Switching | Self::Checking { .. } | Self::Penalised | Self::Leaving => false,
        }
    }

    /// Whether a transfer is under way, so that ABOR and STAT are looked for among the waiting lines.
    pub const fn transferring(&self) -> bool {
        matches!(self, Self::Member(Member { work: Work::Transferring(_) | Work::Aborting(_), .. }))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stranger => "Stranger",
            Self::Named { .. } => "Named",
            Self::Checking { .. } => "Checking",
            Self::Penalised => "Penalised",
            Self::Switching => "Switching",
            Self::Leaving => "Leaving",
            Self::Member(member) => member.work.name(),
        })
    }
}

impl Work {
    /// As the printed table has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Idle => "Member/Idle",
            Self::Renaming { .. } => "Member/Renaming",
            Self::Promising { .. } => "Member/Promising",
            Self::Transferring(_) => "Member/Transferring",
            Self::Aborting(_) => "Member/Aborting",
            Self::Computing(_) => "Member/Computing",
            Self::Switching => "Member/Switching",
        }
    }
}
