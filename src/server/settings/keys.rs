//! The keys of the configuration file, and what each sets.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::tls::TlsDraft;
use super::{Bans, Fault, Files, Limits, LogSettings, Origin, Passive, Settings, Size, Source, Span, Table};
use crate::codec::Algorithm;
use crate::filesystem::Pattern;
use crate::filesystem::path::NAME_LIMIT;
use crate::server::accounts::Permissions;

/// The accounts file looked for beside a configuration file that names none.
const ACCOUNTS: &str = "accounts.toml";

/// Rates that mean something: above a tebibyte a second there is nothing to limit.
pub(crate) const RATES: RangeInclusive<u64> = 0..=1 << 40;

/// Socket buffers that a kernel may grant.
const SOCKET_BUFFERS: RangeInclusive<u64> = 0..=1 << 30;

/// Worker processes: one for each processor is plenty, and no machine has more.
const WORKERS: RangeInclusive<u64> = 1..=256;
/// What `limits.bans` has where it says nothing of it.
const USUAL_BANS: Bans = Bans {
    failures: NonZeroU32::new(10).expect("not 0"),
    within: Duration::from_secs(600),
    lasting: Duration::from_secs(1800),
};

/// The keys of parts that are not built in: table, key, and the values that ask for nothing.
const LATER: &[(&str, &str, &[&str])] = &[
    ("files", "fsync", &["false"]),
    ("proxy", "trusted", &[]),
    ("status", "listen", &[""]),
    ("hooks", "upload", &[]),
    ("hooks", "events", &[""]),
];

/// The keys of FTPS, for a program without it.
const TLS_KEYS: &[(&str, &str, &[&str])] = &[
    ("tls", "certificate", &[""]),
    ("tls", "key", &[""]),
    ("tls", "require", &["none"]),
    ("tls", "implicit", &[]),
    ("tls", "reuse", &["off"]),
    ("tls", "minimum", &[]),
    ("tls", "client_ca", &[""]),
    ("tls", "client_login", &["false"]),
    ("tls", "ccc", &["false"]),
    ("tls", "strict_close", &["false"]),
];

/// What a configuration file says, before the command line and the accounts complete it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub settings: Settings,
    /// Where `listen` was written, if it was.
    pub listen: Option<Origin>,
    pub accounts: AccountsFile,
    /// `None`: on when there are no accounts.
    pub anonymous: Option<bool>,
    /// `None`: the server's root.
    pub anonymous_root: Option<PathBuf>,
    pub anonymous_permissions: Permissions,
    pub tls: TlsDraft,
    /// The name or number under `user`, not looked up: it may not be there, nor matter.
    pub user: Option<(String, Origin)>,
}

/// Where the accounts are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum AccountsFile {
    /// There is no configuration file to have one beside it.
    #[default]
    None,
    /// The default name beside the configuration file: used if it is there.
    Beside(PathBuf),
    /// Named by the key, so its absence is a fault.
    Named(PathBuf),
}

/// Reads the configuration file `source`; relative paths count from `folder`.
pub(super) fn read(source: &Source, folder: &Path) -> Result<Draft, Fault> {
    let mut draft = Draft::default();
    let mut top = source.table()?;
    refuse_later(&mut top, "")?;
    read_top(&mut top, folder, &mut draft)?;
    each(&mut top, "anonymous", |table| read_anonymous(table, folder, &mut draft))?;
    let settings = &mut draft.settings;
    each(&mut top, "passive", |table| read_passive(table, &mut settings.passive))?;
    each(&mut top, "active", |table| {
        table.set("enabled", &mut settings.active.enabled)?;
        table.set("from_port_20", &mut settings.active.from_port_20)
    })?;
    each(&mut top, "limits", |table| read_limits(table, &mut settings.limits))?;
    each(&mut top, "files", |table| read_files(table, &mut settings.files))?;
    each(&mut top, "log", |table| read_log(table, folder, &mut settings.log))?;
    each(&mut top, "tls", |table| draft.tls.read(table, folder))?;
    each(&mut top, "sandbox", |table| table.set("mode", &mut settings.sandbox))?;
    for name in ["proxy", "status", "hooks"] {
        each(&mut top, name, |_| Ok(()))?;
    }
    top.finish()?;
    Ok(draft)
}

/// Reads one table with `read`, its keys of later parts refused, its unknown keys too.
fn each<'s>(
    top: &mut Table<'s>,
    name: &str,
    read: impl FnOnce(&mut Table<'s>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut table = top.table(name)?;
    refuse_later(&mut table, name)?;
    read(&mut table)?;
    table.finish()
}

fn refuse_later(table: &mut Table<'_>, name: &str) -> Result<(), Fault> {
    let absent = if cfg!(feature = "tls") { &[][..] } else { TLS_KEYS };
    let here = LATER.iter().chain(absent).filter(|(place, ..)| *place == name);
    here.into_iter().try_for_each(|(_, key, harmless)| table.not_built(key, harmless))
}

fn read_top(top: &mut Table<'_>, folder: &Path, draft: &mut Draft) -> Result<(), Fault> {
    let line = top.line_of("listen");
    draft.listen = top.origin("listen");
    if let Some(listen) = top.list("listen")? {
        if listen.is_empty() {
            return Err(top.fault(line, "listen", "wants one address at least"));
        }
        draft.settings.listen = listen;
    }
    draft.settings.root = top.path("root", folder)?.unwrap_or(folder.to_owned());
    draft.accounts = match top.path("accounts", folder)? {
        Some(path) => AccountsFile::Named(path),
        None => AccountsFile::Beside(folder.join(ACCOUNTS)),
    };
    let line = top.line_of("banner");
    top.set("banner", &mut draft.settings.banner)?;
    if draft.settings.banner.chars().any(char::is_control) {
        return Err(top.fault(line, "banner", "wants one line without control characters"));
    }
    let line = top.line_of("workers");
    if let Some(count) = top.value("workers")? {
        draft.settings.workers = some_workers(count).map_err(|why| top.fault(line, "workers", why))?;
    }
    let origin = top.origin("user");
    draft.user = top.value("user")?.and_then(|Blank(name)| name).zip(origin);
    Ok(())
}

fn read_anonymous(table: &mut Table<'_>, folder: &Path, draft: &mut Draft) -> Result<(), Fault> {
    draft.anonymous = table.value("enabled")?;
    draft.anonymous_root = table.path("root", folder)?;
    table.set("permissions", &mut draft.anonymous_permissions)
}

fn read_passive(table: &mut Table<'_>, passive: &mut Passive) -> Result<(), Fault> {
    passive.ports = table.value("ports")?.and_then(|Blank(ports)| ports);
    passive.address = table.value("address")?.and_then(|Blank(address)| address);
    passive.local = table.list("local")?.unwrap_or_default();
    Ok(())
}

/// A value that may also be the empty word, for "none".
struct Blank<T>(Option<T>);

impl<T: FromStr<Err: fmt::Display>> FromStr for Blank<T> {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "" => Ok(Blank(None)),
            word => match word.parse() {
                Ok(value) => Ok(Blank(Some(value))),
                Err(why) => Err(why.to_string()),
            },
        }
    }
}

fn read_limits(table: &mut Table<'_>, limits: &mut Limits) -> Result<(), Fault> {
    for (key, place) in
        [("clients", &mut limits.clients), ("per_ip", &mut limits.per_ip), ("per_user", &mut limits.per_user)]
    {
        if let Some(count) = table.value(key)? {
            *place = NonZeroU32::new(count);
        }
    }
    read_spans(table, limits)?;
    read_counts(table, limits)?;
    limits.bans = read_bans(table)?;
    // SIZE stops the loop's clock for as long as it scans, so even a generous host keeps a bound.
    let largest = 0..=1 << 30;
    ranged(table, "ascii_size", &mut limits.ascii_size, largest)?;
    ranged(table, "inflated", &mut limits.inflated, 0..=i64::MAX as u64)?;
    ranged(table, "upload", &mut limits.upload, RATES)?;
    ranged(table, "download", &mut limits.download, RATES)?;
    ranged(table, "socket_buffer", &mut limits.socket_buffer, SOCKET_BUFFERS)
}

fn read_spans(table: &mut Table<'_>, limits: &mut Limits) -> Result<(), Fault> {
    for (key, place) in [
        ("login_delay", &mut limits.login_delay),
        ("login", &mut limits.login),
        ("idle", &mut limits.idle),
        ("stall", &mut limits.stall),
        ("connect", &mut limits.connect),
        ("tls_handshake", &mut limits.tls_handshake),
        ("drain", &mut limits.drain),
        ("unused_listener", &mut limits.unused_listener),
        ("linger", &mut limits.linger),
        ("output_stall", &mut limits.output_stall),
    ] {
        let line = table.line_of(key);
        if let Some(Span(span)) = table.value(key)? {
            // A delay, a grace or a linger may be nothing; a deadline of nothing would end every session at once.
            if span.is_zero() && !matches!(key, "login_delay" | "drain" | "linger") {
                return Err(table.fault(line, key, "must be more than nothing"));
            }
            *place = span;
        }
    }
    Ok(())
}

/// One word switches bans on, with the usual numbers for the others; none of them, or no failure, is off.
fn read_bans(limits: &mut Table<'_>) -> Result<Option<Bans>, Fault> {
    let mut table = limits.table("bans")?;
    let mut failures = u64::from(USUAL_BANS.failures.get());
    let (mut within, mut lasting) = (USUAL_BANS.within, USUAL_BANS.lasting);
    let mut on = table.line_of("failures") > 0;
    // The upper end is what one address may cost: 16 bytes a guess.
    ranged(&mut table, "failures", &mut failures, 0..=100)?;
    for (key, place) in [("within", &mut within), ("for", &mut lasting)] {
        let line = table.line_of(key);
        if let Some(Span(span)) = table.value(key)? {
            if span.is_zero() {
                return Err(table.fault(line, key, "must be more than nothing"));
            }
            (on, *place) = (true, span);
        }
    }
    table.finish()?;
    let failures = u32::try_from(failures).ok().and_then(NonZeroU32::new);
    Ok(failures.filter(|_| on).map(|failures| Bans { failures, within, lasting }))
}

fn read_counts(table: &mut Table<'_>, limits: &mut Limits) -> Result<(), Fault> {
    // Lower ends: what a well-meaning client needs. Upper ends: what one session may cost.
    for (key, place, range) in [
        ("login_attempts", &mut limits.login_attempts, 1..=100),
        ("line", &mut limits.line, 512..=8 << 10),
        ("path", &mut limits.path, 255..=4095),
        ("held_lines", &mut limits.held_lines, 1..=1024),
        ("held_bytes", &mut limits.held_bytes, 512..=1 << 20),
        ("output", &mut limits.output, 4 << 10..=16 << 20),
        ("listing_sort", &mut limits.listing_sort, 0..=1_000_000),
        ("pattern_steps", &mut limits.pattern_steps, 100..=10_000_000),
        ("stat_lines", &mut limits.stat_lines, 1..=100_000),
        // At 300 KiB each, a thousand are more memory than anybody means to spend on this.
        ("compressed", &mut limits.compressed, 0..=1_000),
    ] {
        let mut wide = u64::from(*place);
        let (low, high) = range.into_inner();
        ranged(table, key, &mut wide, low..=high)?;
        *place = u32::try_from(wide).unwrap_or(*place);
    }
    Ok(())
}

pub(crate) fn ranged(
    table: &mut Table<'_>,
    key: &str,
    place: &mut u64,
    range: RangeInclusive<u64>,
) -> Result<(), Fault> {
    let line = table.line_of(key);
    if let Some(Size(number)) = table.value(key)? {
        if !range.contains(&number) {
            let (low, high) = range.into_inner();
            return Err(table.fault(line, key, format!("must be {low} to {high}")));
        }
        *place = number;
    }
    Ok(())
}

fn read_files(table: &mut Table<'_>, files: &mut Files) -> Result<(), Fault> {
    table.set("default_type", &mut files.default_type)?;
    if let Some(Umask(bits)) = table.value("umask")? {
        files.umask = bits;
    }
    files.digest = table.value("digest")?.and_then(|Blank(word)| word).map(|DigestWord(algorithm)| algorithm);
    table.set("uploads", &mut files.uploads)?;
    table.set("symlinks", &mut files.symlinks)?;
    table.set("hide_dotfiles", &mut files.hide_dotfiles)?;
    table.set("listing_time", &mut files.listing_time)?;
    table.set("make_parents", &mut files.make_parents)?;
    table.set("list_recursive", &mut files.list_recursive)?;
    if let Some(globs) = table.list("deny")? {
        files.deny = globs.into_iter().map(|Glob(glob)| glob).collect();
    }
    Ok(())
}

/// A pattern that names are held against, one component each.
struct Glob(String);

impl FromStr for Glob {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "" => Err("wants patterns, not an empty word".to_owned()),
            word if word.contains('/') => Err(format!("\"{word}\" holds a slash, and is held against single names")),
            word if word.len() > NAME_LIMIT => Err(format!("a pattern of more than {NAME_LIMIT} bytes")),
            word if !Pattern::is_closed(word.as_bytes()) => {
                Err(format!("\"{word}\" has a [ without its ]; [[] is one that stands for itself"))
            }
            word => Ok(Glob(word.to_owned())),
        }
    }
}

/// An algorithm as configurations write it: `sha256`, or `SHA-256` as HASH does.
struct DigestWord(Algorithm);

impl FromStr for DigestWord {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let bare = |name: &str| name.replace('-', "").to_ascii_lowercase();
        let found = Algorithm::ALL.into_iter().find(|algorithm| bare(algorithm.name()) == bare(word));
        found.map(DigestWord).ok_or_else(|| {
            let names = Algorithm::ALL.map(|algorithm| bare(algorithm.name()));
            format!("\"{word}\" is none of {}", names.join(", "))
        })
    }
}

/// A umask in octal, at most 777.
struct Umask(u32);

impl FromStr for Umask {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match u32::from_str_radix(word, 8) {
            Ok(bits) if bits <= 0o777 => Ok(Umask(bits)),
            _ => Err(format!("\"{word}\" is no umask (\"022\")")),
        }
    }
}

fn read_log(table: &mut Table<'_>, folder: &Path, log: &mut LogSettings) -> Result<(), Fault> {
    table.set("level", &mut log.level)?;
    table.set("format", &mut log.format)?;
    let transfers: Option<Blank<String>> = table.value("transfers")?;
    let named = transfers.and_then(|Blank(path)| path);
    log.transfers = named.map(|path| folder.join(path));
    Ok(())
}

/// Reads `--workers`' value, likewise.
pub(super) fn workers(word: &str) -> Result<NonZeroU32, String> {
    some_workers(word.parse().map_err(|_| format!("\"{word}\" is no number"))?)
}

fn some_workers(count: u64) -> Result<NonZeroU32, String> {
    let fits = u32::try_from(count).ok().filter(|_| WORKERS.contains(&count)).and_then(NonZeroU32::new);
    fits.ok_or_else(|| format!("must be {} to {}", WORKERS.start(), WORKERS.end()))
}

/// Reads `--idle-timeout`'s value; shared here so that option and key cannot come to differ.
pub(super) fn idle(word: &str) -> Result<Duration, String> {
    let Span(span) = word.parse()?;
    match span.is_zero() {
        true => Err("must be more than nothing".to_owned()),
        false => Ok(span),
    }
}
