//! The command line of `miniftpd`.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use getopts::{Matches, Options, ParsingStyle};

use super::toml_file::{parse as parse_word, quoting};
use super::{Fault, IdentitySource, Level, ListenAddr, LogFormat, NOT_BUILT, PortRange, Require, keys};

/// What `--help` prints: 80 columns, 24 lines. getopts' own listing would need 40.
pub const HELP: &str = "\
Usage: miniftpd [OPTIONS] [DIR]
Serve DIR (default \".\") by FTP: without an account to anyone, read only.
  -l, --listen ADDR     HOST:PORT, [V6]:PORT or :PORT; repeatable; default :21
  -p, --port PORT       short for --listen :PORT (0: the kernel chooses)
  -w, --write           anonymous may write too
  -u, --user NAME       one account with full rights on DIR; its password comes
                        from $MINIFTPD_PASSWORD, else is asked on the terminal
      --anonymous       keep anonymous although accounts exist
  -c, --config FILE     TOML; options given here win over it
      --passive-ports LO-HI     --public-address IP
      --tls-cert FILE --tls-key FILE (PEM), or --tls-self-signed   for FTPS
      --tls-require none|login|data     --implicit ADDR   TLS from the start
      --max-clients N   --max-per-ip N (0: no limit)   --idle-timeout SECONDS
      --log-level off|error|warn|info|debug|trace      --log-format text|json
      --transfer-log FILE       append one xferlog line for each transfer
      --workers N       N processes divide clients and ports; other limits each
      --check           read the configuration, test it, say what would happen
      --hash-password   read a password, print its hash
      --states          print a session's states    --replies  print replies
  -h, --help   -V, --version
Not in this build: --status
Signals: TERM, INT drain and stop (twice: at once), HUP reloads, USR1 reports.
Exit: 0 orderly end, 1 failure at work, 2 wrong usage or configuration.
";

/// What `--version` prints.
pub const VERSION: &str = concat!("miniftpd ", env!("CARGO_PKG_VERSION"), "\n");

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Run the server.
    Serve(Box<Invocation>),
    /// `--check`.
    Check(Box<Invocation>),
    /// `--hash-password`.
    HashPassword,
    /// `--states`.
    States,
    /// `--replies`.
    Replies,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// The options that shape the settings, kept for as long as the server runs: each reload applies them again over the
/// configuration file as it then is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Invocation {
    /// DIR.
    pub dir: Option<PathBuf>,
    /// `--listen` and `--port`, in the order of their kinds; empty when neither was given.
    pub listen: Vec<ListenAddr>,
    /// `--write`.
    pub write: bool,
    /// `--user`.
    pub user: Option<String>,
    /// `--anonymous`.
    pub anonymous: bool,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--passive-ports`.
    pub passive_ports: Option<PortRange>,
    /// `--public-address`.
    pub public_address: Option<std::net::Ipv4Addr>,
    /// `--max-clients`; the inner `None` is its 0.
    pub max_clients: Option<Option<NonZeroU32>>,
    /// `--max-per-ip`, likewise.
    pub max_per_ip: Option<Option<NonZeroU32>>,
    /// `--idle-timeout`.
    pub idle_timeout: Option<Duration>,
    /// `--log-level`.
    pub log_level: Option<Level>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
    /// `--transfer-log`.
    pub transfer_log: Option<PathBuf>,
    /// `--tls-cert`, `--tls-key` or `--tls-self-signed`.
    pub identity: IdentitySource,
    /// `--tls-require`.
    pub tls_require: Option<Require>,
    /// `--implicit`.
    pub implicit: Vec<ListenAddr>,
    /// `--workers`.
    pub workers: Option<NonZeroU32>,
}

/// Reads the arguments that follow the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Fault> {
    let given = options().parse(arguments).map_err(|fail| Fault::option("command line", fail.to_string()))?;
    let alone = [
        ("help", Command::Help),
        ("version", Command::Version),
        ("hash-password", Command::HashPassword),
        ("states", Command::States),
        ("replies", Command::Replies),
    ];
    for (name, command) in alone {
        if given.opt_present(name) {
            return Ok(command);
        }
    }
    refuse_later(&given)?;
    let invocation = Box::new(invocation(&given)?);
    match given.opt_present("check") {
        true => Ok(Command::Check(invocation)),
        false => Ok(Command::Serve(invocation)),
    }
}

fn options() -> Options {
    let mut options = Options::new();
    options.parsing_style(ParsingStyle::FloatingFrees);
    options.optmulti("l", "listen", "", "ADDR");
    options.optopt("p", "port", "", "PORT");
    options.optflag("w", "write", "");
    options.optopt("u", "user", "", "NAME");
    options.optflag("", "anonymous", "");
    options.optopt("c", "config", "", "FILE");
    options.optflag("h", "help", "");
    options.optflag("V", "version", "");
    options.optmulti("", "implicit", "", "ADDR");
    for flag in ["tls-self-signed", "check", "hash-password", "states", "replies"] {
        options.optflag("", flag, "");
    }
    for valued in VALUED {
        options.optopt("", valued, "", "");
    }
    options
}

/// The long names of all options, for the test of [`HELP`].
#[cfg(test)]
pub(super) fn names() -> Vec<String> {
    let usage = options().usage("");
    let words = usage.split(|letter: char| letter.is_whitespace() || letter == ',');
    let long = words.filter_map(|word| word.strip_prefix("--"));
    long.map(str::to_owned).collect()
}

/// The options with a value and no letter.
const VALUED: [&str; 13] = [
    "passive-ports",
    "public-address",
    "tls-cert",
    "tls-key",
    "tls-require",
    "max-clients",
    "max-per-ip",
    "idle-timeout",
    "workers",
    "log-level",
    "log-format",
    "transfer-log",
    "status",
];

fn refuse_later(given: &Matches) -> Result<(), Fault> {
    let tls = ["tls-cert", "tls-key", "tls-self-signed", "tls-require", "implicit"];
    let absent = if cfg!(feature = "tls") { &[][..] } else { &tls };
    for name in ["status"].iter().chain(absent).copied() {
        let harmless = match name {
            "tls-require" => "none",
            _ => "",
        };
        let asked = given.opt_present(name);
        if asked && (harmless.is_empty() || given.opt_str(name).as_deref() != Some(harmless)) {
            return Err(Fault::option(&format!("--{name}"), NOT_BUILT));
        }
    }
    Ok(())
}

fn invocation(given: &Matches) -> Result<Invocation, Fault> {
    let mut listen = Vec::new();
    for word in given.opt_strs("listen") {
        listen.push(read("listen", &word)?);
    }
    if let Some(port) = value(given, "port")? {
        listen.push(ListenAddr::any(port));
    }
    if given.free.len() > 1 {
        return Err(Fault::option("command line", "more than one DIR"));
    }
    let count = |name| Ok(value::<u32>(given, name)?.map(NonZeroU32::new));
    Ok(Invocation {
        dir: given.free.first().map(PathBuf::from),
        listen,
        write: given.opt_present("write"),
        user: user(given)?,
        anonymous: given.opt_present("anonymous"),
        config: given.opt_str("config").map(PathBuf::from),
        passive_ports: value(given, "passive-ports")?,
        public_address: value(given, "public-address")?,
        max_clients: count("max-clients")?,
        max_per_ip: count("max-per-ip")?,
        idle_timeout: idle(given)?,
        log_level: value(given, "log-level")?,
        log_format: value(given, "log-format")?,
        transfer_log: given.opt_str("transfer-log").map(PathBuf::from),
        identity: identity(given)?,
        tls_require: value(given, "tls-require")?,
        implicit: given.opt_strs("implicit").iter().map(|word| read("implicit", word)).collect::<Result<_, _>>()?,
        workers: workers(given)?,
    })
}

/// A pair of files or a pair made now; the two together are one too many.
fn identity(given: &Matches) -> Result<IdentitySource, Fault> {
    let path = |name| given.opt_str(name).map(PathBuf::from);
    let (certificate, key) = (path("tls-cert"), path("tls-key"));
    match (certificate, key, given.opt_present("tls-self-signed")) {
        (None, None, false) => Ok(IdentitySource::None),
        (certificate, key, false) => Ok(IdentitySource::Files { certificate, key }),
        (None, None, true) => self_signed(),
        _ => Err(Fault::option("--tls-self-signed", "stands beside --tls-cert or --tls-key")),
    }
}

#[cfg(feature = "tls")]
fn self_signed() -> Result<IdentitySource, Fault> {
    let made = crate::server::tls::self_signed().map_err(|why| Fault::option("--tls-self-signed", why))?;
    Ok(IdentitySource::Made(made))
}

/// Refused before it came to this.
#[cfg(not(feature = "tls"))]
fn self_signed() -> Result<IdentitySource, Fault> {
    Err(Fault::option("--tls-self-signed", NOT_BUILT))
}

fn user(given: &Matches) -> Result<Option<String>, Fault> {
    let Some(name) = given.opt_str("user") else {
        return Ok(None);
    };
    match crate::server::accounts::check_name(&name) {
        Ok(()) => Ok(Some(name)),
        Err(why) => Err(Fault::option("--user", why)),
    }
}

fn idle(given: &Matches) -> Result<Option<Duration>, Fault> {
    let word = given.opt_str("idle-timeout");
    let read = word.map(|word| keys::idle(&word));
    read.transpose().map_err(|why| Fault::option("--idle-timeout", why))
}

fn workers(given: &Matches) -> Result<Option<NonZeroU32>, Fault> {
    let word = given.opt_str("workers");
    word.map(|word| keys::workers(&word)).transpose().map_err(|why| Fault::option("--workers", why))
}

fn value<T: std::str::FromStr<Err: std::fmt::Display>>(given: &Matches, name: &str) -> Result<Option<T>, Fault> {
    let word = given.opt_str(name);
    word.map(|word| read(name, &word)).transpose()
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, word: &str) -> Result<T, Fault> {
    parse_word(word).map_err(|why| misread(name, word, &why))
}

fn misread(name: &str, word: &str, why: &str) -> Fault {
    Fault::option(&format!("--{name}"), quoting(word, why))
}
