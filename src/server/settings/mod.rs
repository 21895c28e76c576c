//! Everything the server can be told, resolved: the command line over the configuration file over the defaults.
//!
//! ```text
//!   command line ──> Invocation ──load──> Loaded { Settings, Accounts, warnings }
//!                        │                   ▲
//!                        └── --config FILE ──┘   read again at every reload
//! ```
//!
//! [`Settings`] travels from the keeper to the process that faces the network. It holds no password and no hash; the one
//! secret in it is the key that TLS needs there.
//! The keys of parts that are not built in are known, and refused with a message of their own, so that a
//! configuration never promises what nobody does.

mod command_line;
mod keys;
mod load;
mod run_as;
mod share;
mod tls;
mod toml_file;
mod units;

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use keys::{RATES, ranged};

pub use command_line::{Command, HELP, Invocation, VERSION, parse};
pub use load::{Loaded, PasswordSource};
pub use tls::{Identity, IdentitySource, Minimum, Require, Reuse, TlsSettings};
pub use toml_file::{Fault, NOT_BUILT, Origin, Source, Table};
pub use units::{ListenAddr, Network, PortRange, Size, Span};

use super::Door;
use super::accounts::Permissions;
use crate::codec::Algorithm;
use crate::filesystem::{Links, Uploads};

/// The resolved settings of one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Control addresses; never empty.
    pub listen: Vec<ListenAddr>,
    /// The directory served: home of accounts that name none. Absolute.
    pub root: PathBuf,
    /// The text of the 220 greeting, one line without control characters.
    pub banner: String,
    /// What anonymous may do and where; `None` when it is off.
    pub anonymous: Option<Anonymous>,
    /// Passive data connections.
    pub passive: Passive,
    /// Active data connections.
    pub active: Active,
    /// FTPS; `None` when it is not configured.
    pub tls: Option<TlsSettings>,
    /// Every bound and every span of time.
    pub limits: Limits,
    /// How files are made.
    pub files: Files,
    /// The log and the transfer log.
    pub log: LogSettings,
    /// `workers`: processes that serve.
    pub workers: NonZeroU32,
    /// `user`: who serves when root has started the server.
    pub run_as: Option<RunAs>,
    /// `sandbox.mode`.
    pub sandbox: SandboxMode,
}

/// A user to become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// As `/etc/passwd` names it.
    pub name: String,
    /// Its number, never root's.
    pub uid: u32,
    /// The number of its own group. Other groups it may have are not taken along.
    pub gid: u32,
}

/// What is done about parts of the sandbox that the kernel lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// They are named in the log.
    #[default]
    BestEffort,
    /// The server does not start.
    Required,
    /// There is no sandbox.
    Off,
}

impl FromStr for SandboxMode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "best-effort" => Ok(SandboxMode::BestEffort),
            "required" => Ok(SandboxMode::Required),
            "off" => Ok(SandboxMode::Off),
            _ => Err(one_of(word, "best-effort, required, off")),
        }
    }
}

/// Anonymous users (RFC 1635).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anonymous {
    /// Their `/`. Absolute.
    pub root: PathBuf,
    /// What they may do there.
    pub permissions: Permissions,
}

/// `[passive]`: PASV and EPSV.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Passive {
    /// Ports to listen on; `None` leaves each to the kernel.
    pub ports: Option<PortRange>,
    /// The address 227 shows instead of the socket's own, for a server behind address translation.
    /// EPSV shows no address, so there is no IPv6 form.
    pub address: Option<Ipv4Addr>,
    /// Peers for whom `address` does not hold.
    pub local: Vec<Network>,
}

/// `[active]`: PORT and EPRT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Active {
    /// Whether PORT and EPRT are served at all.
    pub enabled: bool,
    /// Whether connections leave from port 20, as RFC 959 has it.
    pub from_port_20: bool,
}

/// `[limits]`. Spans are [`Duration`]s, sizes bytes; `None` is "no limit".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// `clients`: sessions at once; one more gets 421.
    pub clients: Option<NonZeroU32>,
    /// `per_ip`: sessions at once from one address.
    pub per_ip: Option<NonZeroU32>,
    /// `per_user`: sessions at once of one account that sets no number of its own.
    pub per_user: Option<NonZeroU32>,
    /// `login_attempts`: failures after which the connection is closed (RFC 2577 section 5: three to five).
    pub login_attempts: u32,
    /// `login_delay`: what the first failed login waits for its 530; it grows from there.
    pub login_delay: Duration,
    /// `bans`: addresses that are shut out; `None` is nobody.
    pub bans: Option<Bans>,
    /// `login`: from the connection to the login.
    pub login: Duration,
    /// `idle`: between commands (RFC 1123 section 4.1.3.2 asks for five minutes at least).
    pub idle: Duration,
    /// `stall`: a transfer without a byte of progress.
    pub stall: Duration,
    /// `connect`: for a data connection to come up.
    pub connect: Duration,
    /// `tls_handshake`: for TLS to come up, on either connection.
    pub tls_handshake: Duration,
    /// `drain`: what running transfers get when the server stops.
    pub drain: Duration,
    /// `unused_listener`: a passive port that no transfer command follows.
    pub unused_listener: Duration,
    /// `linger`: reading on after our FIN, so that the last reply is not lost to a reset.
    pub linger: Duration,
    /// `output_stall`: a client that does not read its replies.
    pub output_stall: Duration,
    /// `line`: the longest command line, bytes.
    pub line: u32,
    /// `path`: the longest path, bytes. The kernel's own bound is 4095.
    pub path: u32,
    /// `held_lines`: command lines kept while a transfer runs.
    pub held_lines: u32,
    /// `held_bytes`: their bytes; past either, the socket is not read.
    pub held_bytes: u32,
    /// `output`: unread reply bytes past which a session's commands are not read.
    pub output: u32,
    /// `listing_sort`: entries up to which a listing is sorted, as long as their names fit in
    /// [`SORT_BYTES`](crate::filesystem::listing::SORT_BYTES). The sort is one piece of work, during which no other
    /// session is served: about a millisecond for the default's ten thousand.
    pub listing_sort: u32,
    /// `pattern_steps`: steps of one pattern match, after which the name does not match.
    pub pattern_steps: u32,
    /// `ascii_size`: the largest file that SIZE counts line ends in, bytes.
    pub ascii_size: u64,
    /// `stat_lines`: lines of a STAT that lists.
    pub stat_lines: u32,
    /// `compressed`: MODE Z transfers at once; 0 hides MODE Z. Each takes some 300 KiB, and a hundred times the
    /// processor time of a plain one.
    pub compressed: u32,
    /// `inflated`: the largest file that one MODE Z upload may unfold to, bytes; 0 is any size. A compressed megabyte
    /// can hold a gigabyte.
    pub inflated: u64,
    /// `upload`: bytes a second that one session may send; 0 is no limit.
    pub upload: u64,
    /// `download`: bytes a second that one session may fetch; 0 is no limit.
    pub download: u64,
    /// `socket_buffer`: what the kernel may hold of one data connection in each direction, bytes; 0 leaves it to
    /// the kernel's own tuning.
    pub socket_buffer: u64,
}

/// `limits.bans`: how many different wrong passwords shut an address out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bans {
    /// So many.
    pub failures: NonZeroU32,
    /// Counted over this time.
    pub within: Duration,
    /// `for`: shut out so long.
    pub lasting: Duration,
}

/// `[files]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Files {
    /// Permission bits new files and directories do not get.
    pub umask: u32,
    /// The TYPE a session begins with.
    pub default_type: DefaultType,
    /// `digest`: computed of files while they are received, so that HASH has it at once; `None` is none.
    pub digest: Option<Algorithm>,
    /// `uploads`: whether a file is there while it comes in, or when it is complete.
    pub uploads: Uploads,
    /// `symlinks`: which links are followed.
    pub symlinks: Links,
    /// `hide_dotfiles`: names with a dot in front are in no listing, whatever its options.
    pub hide_dotfiles: bool,
    /// `deny`: shell patterns; a name that matches one is absent for every verb, and cannot be made.
    pub deny: Vec<String>,
    /// `listing_time`: the zone of the dates that LIST shows. Facts and MDTM are UTC always.
    pub listing_time: ListingTime,
    /// `make_parents`: MKD and uploads make the directories on the way, where the account may.
    pub make_parents: bool,
    /// `list_recursive`: `LIST -R` is understood.
    pub list_recursive: bool,
}

/// The zone of the dates that LIST shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListingTime {
    /// As MLSD and MDTM tell times.
    #[default]
    Utc,
    /// The host's, from TZ or `/etc/localtime`.
    Local,
}

impl FromStr for ListingTime {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "utc" => Ok(ListingTime::Utc),
            "local" => Ok(ListingTime::Local),
            _ => Err(one_of(word, "utc, local")),
        }
    }
}

impl Default for Files {
    fn default() -> Self {
        Files {
            umask: 0o022,
            default_type: DefaultType::Image,
            uploads: Uploads::default(),
            symlinks: Links::default(),
            hide_dotfiles: false,
            deny: Vec::new(),
            listing_time: ListingTime::default(),
            make_parents: false,
            list_recursive: false,
            digest: None,
        }
    }
}

/// The TYPE a session begins with (RFC 959 section 3.1.1 says ASCII; files come out whole with image).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefaultType {
    /// `A`.
    Ascii,
    /// `I`.
    Image,
}

impl FromStr for DefaultType {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "A" => Ok(DefaultType::Ascii),
            "I" => Ok(DefaultType::Image),
            _ => Err(one_of(word, "\"A\", \"I\"")),
        }
    }
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogSettings {
    /// What is logged at least this important.
    pub level: Level,
    /// The form of the lines.
    pub format: LogFormat,
    /// The transfer log; `None` is none.
    pub transfers: Option<PathBuf>,
}

/// A log level by its name in files and options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing but where the server listens.
    Off,
    /// What keeps the server from its work.
    Error,
    /// What an administrator should know of.
    Warn,
    /// Logins and transfers too.
    Info,
    /// What each session was refused, and why.
    Debug,
    /// Each change of a state.
    Trace,
}

impl Level {
    /// The same in the words of the `log` crate.
    pub fn filter(self) -> log::LevelFilter {
        match self {
            Level::Off => log::LevelFilter::Off,
            Level::Error => log::LevelFilter::Error,
            Level::Warn => log::LevelFilter::Warn,
            Level::Info => log::LevelFilter::Info,
            Level::Debug => log::LevelFilter::Debug,
            Level::Trace => log::LevelFilter::Trace,
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Ok(match word {
            "off" => Level::Off,
            "error" => Level::Error,
            "warn" => Level::Warn,
            "info" => Level::Info,
            "debug" => Level::Debug,
            "trace" => Level::Trace,
            _ => {
                return Err(one_of(word, "off, error, warn, info, debug, trace"));
            }
        })
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `2026-11-23T21:00:00Z INFO message`.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(one_of(word, "text, json")),
        }
    }
}

/// What an enumerated value says of a word it does not know.
fn one_of(word: &str, choices: &str) -> String {
    format!("\"{word}\" is none of {choices}")
}

impl Settings {
    /// Every control address with what its connections begin with.
    pub fn doors(&self) -> impl Iterator<Item = (Door, &ListenAddr)> {
        let implicit = self.tls.iter().flat_map(|tls| &tls.implicit).map(|label| (Door::Implicit, label));
        self.listen.iter().map(|label| (Door::Explicit, label)).chain(implicit)
    }
}

impl Default for Settings {
    /// Anonymous off, the current directory, port 21: what file and command line start from.
    fn default() -> Self {
        Settings {
            listen: vec![ListenAddr::any(21)],
            root: PathBuf::from("."),
            banner: "miniftpd ready".to_owned(),
            anonymous: None,
            passive: Passive::default(),
            active: Active { enabled: true, from_port_20: false },
            tls: None,
            limits: Limits::default(),
            files: Files::default(),
            log: LogSettings { level: Level::Info, format: LogFormat::Text, transfers: None },
            workers: NonZeroU32::MIN,
            run_as: None,
            sandbox: SandboxMode::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            clients: NonZeroU32::new(10_000),
            per_ip: NonZeroU32::new(100),
            per_user: None,
            login_attempts: 3,
            login_delay: Duration::from_secs(2),
            bans: None,
            login: Duration::from_secs(60),
            idle: Duration::from_secs(300),
            stall: Duration::from_secs(300),
            connect: Duration::from_secs(30),
            tls_handshake: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            unused_listener: Duration::from_secs(60),
            linger: Duration::from_secs(5),
            output_stall: Duration::from_secs(60),
            line: 8 << 10,
            path: 4095,
            held_lines: 32,
            held_bytes: 16 << 10,
            output: 256 << 10,
            listing_sort: 10_000,
            pattern_steps: 100_000,
            ascii_size: 8 << 20,
            stat_lines: 1_000,
            compressed: 0,
            inflated: 16 << 30,
            upload: 0,
            download: 0,
            socket_buffer: 0,
        }
    }
}

#[cfg(test)]
mod tests;
