//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use getopts::{Matches, ParsingStyle};

use super::words::{self, Word};
use crate::user::crew::{Cause, Family, Trouble};
use crate::user::guard::{Creed, parse_pin};

/// How long to wait for a reply, a connection or the next byte, where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Sessions with one host where nothing is said.
const PARALLEL: usize = 4;

/// Sessions that can be asked for; more is no client any more.
const PARALLEL_LIMIT: usize = 1000;

/// Tries after the first where nothing is said.
const RETRIES: u32 = 2;

/// What the program is to do.
#[derive(Debug)]
pub enum Command {
    /// One verb of the table and what stands behind it.
    Once(&'static Word, Vec<String>),
    /// The shell, with a host to begin with perhaps.
    Shell(Vec<String>),
    /// Commands in the shell's language.
    Script(Script, Vec<String>),
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// Where a script comes from.
#[derive(Debug)]
pub enum Script {
    /// `-e`.
    Text(String),
    /// `-f`.
    File(PathBuf),
}

/// TLS as wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// If the server has it.
    Auto,
    /// No.
    Off,
    /// Or not at all.
    Required,
}

/// Everything the options say.
#[derive(Debug, Clone)]
pub struct Options {
    /// `-t`
    pub timeout: Duration,
    /// `--retries`
    pub retries: Option<u32>,
    /// `-c`
    pub resume: bool,
    /// `--active`
    pub active: bool,
    /// `-4`, `-6`
    pub family: Family,
    /// `-P`
    pub parallel: Option<usize>,
    /// `-n`
    pub segments: usize,
    /// `--tls`
    pub tls: Tls,
    /// `--ca-file`, `--pin`, `--insecure`, `--cert` and `--key`
    pub creed: Creed,
    /// `--limit-rate`
    pub rate: Option<u64>,
    /// `--newer`
    pub newer: bool,
    /// `--delete`
    pub delete: bool,
    /// `--dry-run`
    pub dry_run: bool,
    /// `--include`
    pub include: Vec<String>,
    /// `--exclude`
    pub exclude: Vec<String>,
    /// `--verify`
    pub verify: bool,
    /// `--ascii`
    pub text: bool,
    /// `--json`
    pub json: bool,
    /// `-q`
    pub quiet: bool,
    /// `-v`, counted
    pub verbose: usize,
    /// `-u`
    pub user: Option<String>,
    /// `--password-file`
    pub password_file: Option<PathBuf>,
    /// `-o`
    pub output: Option<String>,
    /// `-d`
    pub directory: Option<PathBuf>,
    /// `-l`
    pub long: bool,
    /// `--keep-going`
    pub keep_going: bool,
    /// `-i`
    pub no_questions: bool,
    /// `-N`
    pub no_login: bool,
    /// The shell's `mirror -R`.
    pub reverse: bool,
}

impl Options {
    /// `-P`, or what is usual.
    pub fn parallel(&self) -> usize {
        self.parallel.unwrap_or(PARALLEL)
    }

    /// `--retries`, or what is usual.
    pub fn retries(&self) -> u32 {
        self.retries.unwrap_or(RETRIES)
    }
}

/// Reads the command line.
///
/// # Errors
/// What is wrong with it.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<(Command, Options), Trouble> {
    let matches = table().parse(arguments).map_err(|fail| usage(&fail.to_string()))?;
    let options = read(&matches)?;
    if matches.opt_present("help") {
        return Ok((Command::Help, options));
    }
    if matches.opt_present("version") {
        return Ok((Command::Version, options));
    }
    let mut free = matches.free.clone();
    let script = match (matches.opt_str("e"), matches.opt_str("f")) {
        (Some(_), Some(_)) => return Err(usage("-e and -f exclude each other")),
        (Some(text), None) => Some(Script::Text(text)),
        (None, Some(file)) => Some(Script::File(file.into())),
        (None, None) => None,
    };
    if let Some(script) = script {
        return Ok((Command::Script(script, free), options));
    }
    match free.first().and_then(|first| words::once(first)) {
        Some(word) => {
            free.remove(0);
            Ok((Command::Once(word, free), options))
        }
        None => match &free[..] {
            [first, second, ..] if second.parse::<u16>().is_err() => {
                Err(usage(&format!("{first}: no such verb, and no host with a port behind it; try --help")))
            }
            _ => Ok((Command::Shell(free), options)),
        },
    }
}

/// The text of `--help`.
pub fn help() -> String {
    let verbs: String = words::all_once().map(|word| format!("  miniftp {:<9} {}\n", word.name, word.syntax)).collect();
    let brief = format!(
        "Usage: miniftp [OPTIONS] [URL|HOST|HOST:PORT]     a shell; commands from stdin when that is no terminal\n  \
         miniftp [OPTIONS] -e \"cmd; cmd\" | -f FILE [URL]\n{verbs}"
    );
    table().usage(&brief)
}

fn table() -> getopts::Options {
    let mut table = getopts::Options::new();
    table.parsing_style(ParsingStyle::FloatingFrees);
    table
        .optopt("t", "timeout", "wait so long for a reply, a connection, the next byte (60)", "S")
        .optopt("", "retries", "tries after the first (2)", "N")
        .optflag("c", "continue", "go on with what an earlier run left")
        .optflag("", "active", "let the server connect to us")
        .optflag("4", "", "IPv4 only")
        .optflag("6", "", "IPv6 only")
        .optopt("P", "parallel", "sessions with one host (4)", "N")
        .optopt("n", "segments", "fetch one file in so many pieces at once", "N")
        .optopt("", "tls", "auto, off or required", "MODE")
        .optopt("", "ca-file", "trust these authorities (PEM) in place of the system's", "F")
        .optopt("", "pin", "accept this certificate and no other", "SHA256")
        .optflag("", "insecure", "accept any certificate")
        .optopt("", "cert", "our own certificate (PEM), for servers that ask for one", "F")
        .optopt("", "key", "its key (PEM)", "F")
        .optopt("", "limit-rate", "bytes a second, all transfers together; K, M, G", "R")
        .optflag("", "newer", "mirror: only what is newer")
        .optflag("", "delete", "mirror: remove what the source does not have")
        .optflag("", "dry-run", "mirror: only say what would be done")
        .optmulti("", "include", "mirror: only these files", "GLOB")
        .optmulti("", "exclude", "mirror: neither these files nor what is below", "GLOB")
        .optflag("", "verify", "compare digests afterwards")
        .optflag("", "ascii", "transfer text (TYPE A)")
        .optflag("", "json", "one JSON object a line on standard output")
        .optflag("q", "quiet", "only errors")
        .optflagmulti("v", "verbose", "show the dialogue")
        .optopt(
            "u",
            "user",
            "who logs in; $MINIFTP_PASSWORD, a file, ~/.netrc or a prompt give the password",
            "NAME[:PW]",
        )
        .optopt("", "password-file", "its first line is the password", "F")
        .optopt("o", "output", "get: local name, - for standard output", "FILE")
        .optopt("d", "directory", "get: local directory", "DIR")
        .optflag("l", "long", "ls: with size and time")
        .optflag("1", "", "ls: names only")
        .optopt("e", "", "commands to run", "CMDS")
        .optopt("f", "", "a file of commands to run", "FILE")
        .optflag("", "keep-going", "scripts: go on after a failure")
        .optflag("i", "", "shell: no questions for mget and mput")
        .optflag("N", "", "shell: no login by itself")
        .optflag("h", "help", "this text")
        .optflag("V", "version", "the version");
    table
}

fn read(matches: &Matches) -> Result<Options, Trouble> {
    let segments = number(matches, "segments", 1, 64)?.unwrap_or(1);
    Ok(Options {
        timeout: number(matches, "timeout", 1, 86_400)?.map_or(TIMEOUT, |span| Duration::from_secs(span as u64)),
        retries: number(matches, "retries", 0, 1000)?.map(|tries| tries as u32),
        resume: matches.opt_present("continue"),
        active: matches.opt_present("active"),
        family: match (matches.opt_present("4"), matches.opt_present("6")) {
            (true, true) => return Err(usage("-4 and -6 exclude each other")),
            (true, false) => Family::V4,
            (false, true) => Family::V6,
            (false, false) => Family::Any,
        },
        parallel: number(matches, "parallel", 1, PARALLEL_LIMIT)?,
        segments,
        tls: match matches.opt_str("tls").as_deref() {
            // Whoever names the one certificate to be accepted does not mean "or none".
            None | Some("auto") if matches.opt_present("pin") => Tls::Required,
            None | Some("auto") => Tls::Auto,
            // Nobody would be asked for the certificate that was named.
            Some("off") if matches.opt_present("pin") || matches.opt_present("ca-file") => {
                return Err(usage("--tls off contradicts --pin and --ca-file"));
            }
            Some("off") => Tls::Off,
            Some("required") => Tls::Required,
            Some(_) => return Err(usage("--tls is auto, off or required")),
        },
        creed: creed(matches)?,
        rate: matches.opt_str("limit-rate").map(|text| rate(&text)).transpose()?,
        newer: matches.opt_present("newer"),
        delete: matches.opt_present("delete"),
        dry_run: matches.opt_present("dry-run"),
        include: matches.opt_strs("include"),
        exclude: matches.opt_strs("exclude"),
        verify: matches.opt_present("verify"),
        text: matches.opt_present("ascii"),
        json: matches.opt_present("json"),
        quiet: matches.opt_present("quiet"),
        verbose: matches.opt_count("verbose"),
        user: matches.opt_str("user"),
        password_file: matches.opt_str("password-file").map(PathBuf::from),
        output: matches.opt_str("output"),
        directory: matches.opt_str("directory").map(PathBuf::from),
        long: matches.opt_present("long") && !matches.opt_present("1"),
        keep_going: matches.opt_present("keep-going"),
        no_questions: matches.opt_present("i"),
        no_login: matches.opt_present("N"),
        reverse: false,
    })
}

fn creed(matches: &Matches) -> Result<Creed, Trouble> {
    let pin = matches.opt_str("pin").map(|text| {
        parse_pin(&text).ok_or_else(|| usage("--pin is the SHA-256 of a certificate, 64 hexadecimal digits"))
    });
    let own = match (matches.opt_str("cert"), matches.opt_str("key")) {
        (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
        (None, None) => None,
        _ => return Err(usage("--cert and --key belong together")),
    };
    Ok(Creed {
        ca_file: matches.opt_str("ca-file").map(PathBuf::from),
        pin: pin.transpose()?,
        anything: matches.opt_present("insecure"),
        own,
    })
}

fn number(matches: &Matches, name: &str, least: usize, most: usize) -> Result<Option<usize>, Trouble> {
    let Some(text) = matches.opt_str(name) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.map(Some).ok_or_else(|| usage(&format!("--{name} is a number from {least} to {most}")))
}

/// `500`, `64K`, `10MiB`: binary multiples, whatever the spelling.
fn rate(text: &str) -> Result<u64, Trouble> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(usage("--limit-rate is a number with K, M or G behind it")),
    };
    let value = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).filter(|rate| *rate > 0);
    value.ok_or_else(|| usage("--limit-rate is a number with K, M or G behind it"))
}

/// A mistake on the command line.
pub fn usage(text: &str) -> Trouble {
    Trouble::new(Cause::Usage, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Command, Options), Trouble> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn verbs_and_hosts() {
        assert!(matches!(read("get -c ftp://h/x"), Ok((Command::Once(word, rest), options))
            if word.name == "get" && rest == ["ftp://h/x"] && options.resume));
        assert!(matches!(read("-P 8 mirror a b"), Ok((Command::Once(..), options)) if options.parallel() == 8));
        assert!(matches!(read("ftp://h/"), Ok((Command::Shell(rest), _)) if rest == ["ftp://h/"]));
        assert!(matches!(read("-e bye h"), Ok((Command::Script(Script::Text(_), _), _))));
        assert!(matches!(read("put - ftp://h/x"), Ok((Command::Once(_, rest), _)) if rest == ["-", "ftp://h/x"]));
    }

    #[test]
    fn mistakes_are_named() {
        let pinned = format!("--pin {} --tls off h", "a5".repeat(32));
        for line in [
            &pinned,
            "--tls off --ca-file f get ftp://h/x",
            "--nonsense",
            "-t 0 h",
            "-P x h",
            "--tls maybe h",
            "-4 -6 h",
            "--limit-rate fast h",
            "-n 0 h",
        ] {
            assert_eq!(read(line).expect_err(line).cause, Cause::Usage, "{line}");
        }
        assert_eq!(rate("10MiB").expect("a rate"), 10 << 20);
    }
}
