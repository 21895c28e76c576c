//! Who may log in, where, and to do what: the accounts file.
//!
//! ```text
//!   accounts.toml ──read──> Accounts ─┬─ Account     name, home, permissions …   to the process that faces the network
//!                                     └─ Credential  name, hash                  to the verifier, and nowhere else
//! ```
//!
//! The two halves are two types, so that no code of the loop can come to hold a hash.

pub mod hash;
mod permissions;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use hash::Hash;
pub use permissions::{Permissions, Rule};

use super::settings::{Fault, Network, RATES, Source, Table, ranged};
use crate::wire::date::Civil;

/// The longest account name, bytes: what fits a verifier's packet, and twice what vsftpd takes.
pub const LONGEST_NAME: usize = 256;

/// An account as the loop knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// What USER says, compared byte by byte.
    pub name: String,
    /// The account's `/`. Absolute.
    pub home: PathBuf,
    /// What it may do where no rule says otherwise.
    pub permissions: Permissions,
    /// Directories with permissions of their own; paths are canonical and differ.
    pub rules: Vec<Rule>,
    /// Sessions at once; `None` leaves it to `limits.per_user`.
    pub sessions: Option<NonZeroU32>,
    /// Where its sessions may come from; empty is anywhere.
    pub allow_from: Vec<Network>,
    /// Bytes a second that its sessions may send together; 0 is no limit.
    #[serde(default)]
    pub upload: u64,
    /// Bytes a second that its sessions may fetch together; 0 is no limit.
    #[serde(default)]
    pub download: u64,
    /// What its home may hold.
    #[serde(default)]
    pub quota: QuotaLimits,
    /// The second since 1970 (UTC) from which on it may not log in. To be asked at each login: the verifier
    /// judges passwords only.
    pub expires: Option<i64>,
}

/// An account's `quota`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaLimits {
    /// Bytes in files; 0 is no limit.
    #[serde(default)]
    pub bytes: u64,
    /// Files and links; 0 is no limit.
    #[serde(default)]
    pub files: u64,
}

impl Account {
    /// The account of `--user`: full rights on `home`.
    pub fn owner(name: String, home: PathBuf) -> Self {
        Account {
            name,
            home,
            permissions: Permissions::full(),
            rules: Vec::new(),
            sessions: None,
            allow_from: Vec::new(),
            upload: 0,
            download: 0,
            quota: QuotaLimits::default(),
            expires: None,
        }
    }
}

/// What proves an account.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// The account's name.
    pub name: String,
    /// Its password's hash, bounded and complete; `None`: disabled, no password is right.
    pub hash: Option<String>,
}

impl std::fmt::Debug for Credential {
    /// Without the hash: debug output ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("name", &self.name).field("disabled", &self.hash.is_none()).finish()
    }
}

/// All accounts, in the order of the file; both lists have the same names.
#[derive(Debug, Default)]
pub struct Accounts {
    /// For the loop.
    pub accounts: Vec<Account>,
    /// For the verifier.
    pub credentials: Vec<Credential>,
}

impl Accounts {
    /// Reads an accounts file. Relative homes count from `folder`; an account without one gets `home`.
    ///
    /// A hash that is empty, unknown or would cost too much disables its account and adds a line to `warnings`; all
    /// else that is wrong is a fault, since a file half understood may grant more than was meant.
    pub fn read(source: &Source, folder: &Path, home: &Path, warnings: &mut Vec<String>) -> Result<Self, Fault> {
        let mut top = source.table()?;
        let mut all = Accounts::default();
        let mut seen = BTreeSet::new();
        for (line, mut table) in top.tables("account")? {
            let (account, password) = read_account(&mut table, line, folder, home)?;
            if !seen.insert(account.name.clone()) {
                let why = format!("\"{}\" is there twice", account.name);
                return Err(table.fault(line, "name", why));
            }
            table.finish()?;
            let hash = usable(password, &account.name, warnings);
            let name = account.name.clone();
            all.accounts.push(account);
            all.credentials.push(Credential { name, hash });
        }
        top.finish()?;
        Ok(all)
    }

    /// Adds one account; refused when its name is taken.
    pub fn add(&mut self, account: Account, credential: Credential) -> Result<(), String> {
        if self.accounts.iter().any(|one| one.name == account.name) {
            return Err(format!("the accounts file has \"{}\" too", account.name));
        }
        self.accounts.push(account);
        self.credentials.push(credential);
        Ok(())
    }
}

fn read_account(table: &mut Table<'_>, line: usize, folder: &Path, home: &Path) -> Result<(Account, String), Fault> {
    let Some(AccountName(name)) = table.value("name")? else {
        return Err(table.fault(line, "name", "is missing"));
    };
    let (mut upload, mut download) = (0, 0);
    ranged(table, "upload", &mut upload, RATES)?;
    ranged(table, "download", &mut download, RATES)?;
    let quota = read_quota(table)?;
    let rules = read_rules(table)?;
    let expires: Option<Expiry> = table.value("expires")?;
    let account = Account {
        name,
        home: table.path("home", folder)?.unwrap_or(home.to_owned()),
        permissions: table.value("permissions")?.unwrap_or_default(),
        rules,
        sessions: table.value("sessions")?.and_then(NonZeroU32::new),
        allow_from: table.list("allow_from")?.unwrap_or_default(),
        upload,
        download,
        quota,
        expires: expires.map(|Expiry(second)| second),
    };
    Ok((account, table.value("password")?.unwrap_or_default()))
}

fn read_quota(table: &mut Table<'_>) -> Result<QuotaLimits, Fault> {
    let mut entry = table.table("quota")?;
    let mut quota = QuotaLimits::default();
    ranged(&mut entry, "bytes", &mut quota.bytes, 0..=i64::MAX as u64)?;
    ranged(&mut entry, "files", &mut quota.files, 0..=i64::MAX as u64)?;
    entry.finish()?;
    Ok(quota)
}

fn read_rules(table: &mut Table<'_>) -> Result<Vec<Rule>, Fault> {
    let mut rules: Vec<Rule> = Vec::new();
    for (line, mut entry) in table.tables("rule")? {
        let (Some(path), Some(permissions)) = (entry.value("path")?, entry.value("permissions")?) else {
            return Err(entry.fault(line, "path", "and permissions are both needed"));
        };
        let rule = Rule { path, permissions };
        if rules.iter().any(|other| other.path == rule.path) {
            return Err(entry.fault(line, "path", format!("\"{}\" is there twice", rule.path)));
        }
        entry.finish()?;
        rules.push(rule);
    }
    Ok(rules)
}

/// The hash if it can be used, else nothing and a warning.
fn usable(password: String, name: &str, warnings: &mut Vec<String>) -> Option<String> {
    match Hash::parse(&password) {
        Ok(_) => Some(password),
        Err(why) => {
            warnings.push(format!("account \"{name}\" is disabled: {why}"));
            None
        }
    }
}

/// Whether `name` can be an account's: it may end up in paths, in log lines and in a transfer log's columns.
pub fn check_name(name: &str) -> Result<(), String> {
    let wrong = match name {
        "" => "is empty",
        "." | ".." => "is a directory's name",
        _ if name.len() > LONGEST_NAME => "is too long",
        _ if name.contains('/') || name.contains("..") => "holds \"/\" or \"..\"",
        _ if name.chars().any(char::is_control) => "holds control characters",
        _ => return Ok(()),
    };
    Err(format!("\"{}\" {wrong}", name.escape_debug()))
}

struct AccountName(String);

impl FromStr for AccountName {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        // USER of either word is the anonymous user (RFC 1635); an account of that name could never be reached.
        if ["anonymous", "ftp"].contains(&word.to_ascii_lowercase().as_str()) {
            return Err(format!("\"{word}\" means the anonymous user"));
        }
        check_name(word).map(|()| AccountName(word.to_owned()))
    }
}

/// The second from which on an account is expired. `2027-01-31` is its last good day, `2027-01-31T12:00:00Z` its
/// first bad second; all in UTC.
struct Expiry(i64);

impl FromStr for Expiry {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || format!("\"{word}\" is no date (2027-01-31, 2027-01-31T12:00:00Z)");
        let parsed: toml_datetime::Datetime = word.parse().map_err(|_| wrong())?;
        let date = parsed.date.ok_or_else(wrong)?;
        let (year, month, day) = (date.year, date.month, date.day);
        let day = Civil { year, month, day, hour: 0, minute: 0, second: 0 }.to_epoch();
        let Some(time) = parsed.time else {
            return Ok(Expiry(day + 86_400));
        };
        let second = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
        let offset = match parsed.offset {
            Some(toml_datetime::Offset::Custom { minutes }) => i64::from(minutes) * 60,
            Some(toml_datetime::Offset::Z) | None => 0,
        };
        Ok(Expiry(day + second - offset))
    }
}

#[cfg(test)]
mod tests;
