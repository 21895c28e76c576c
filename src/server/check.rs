//! `--check`: what the configuration says, what of it can be tried without serving, and what would happen.

#[cfg(feature = "tls")]
mod tls;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::accounts::Accounts;
use super::confine::obstacle;
use super::settings::{Invocation, ListenAddr, ListingTime, Loaded, PasswordSource, RunAs, SandboxMode, Settings};
use super::stamp::Stamp;
use crate::filesystem::{Root, Uploads, Zone};
use crate::process::sandbox::privilege;
use crate::process::{ORDERLY, USAGE, listen};

/// What one compressed transfer takes at the most, KiB: the compressor's windows and tables, and a chunk of the file.
const STREAM_MEMORY: u64 = 450;

/// The permission bit of everybody who is neither the owner nor of the group.
const READ_BY_ALL: u32 = 0o004;

/// The findings, in the order they were made.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<(Grade, String)>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    /// As it should be.
    Good,
    /// Odd, and the server would run.
    Odd,
    /// The server would not run, or not as configured.
    Bad,
}

impl Report {
    /// 0 when the server would run, else 2.
    pub fn exit_code(&self) -> u8 {
        match self.findings.iter().any(|(grade, _)| *grade == Grade::Bad) {
            true => USAGE,
            false => ORDERLY,
        }
    }

    fn add(&mut self, grade: Grade, line: impl Into<String>) {
        self.findings.push((grade, line.into()));
    }
}

impl fmt::Display for Report {
    /// One line a finding, the grade first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|(grade, line)| {
            let word = match grade {
                Grade::Good => "ok     ",
                Grade::Odd => "warning",
                Grade::Bad => "error  ",
            };
            writeln!(f, "{word} {}", super::logging::clean(line))
        })
    }
}

/// Checks everything the invocation names. Nothing is created and nothing is changed.
pub fn check(invocation: &Invocation) -> Report {
    let mut report = Report::default();
    match invocation.load(&PasswordSource::Unasked) {
        Err(fault) => report.add(Grade::Bad, fault.to_string()),
        Ok(loaded) => check_loaded(&loaded, &mut report),
    }
    report
}

fn check_loaded(loaded: &Loaded, report: &mut Report) {
    let settings = &loaded.settings;
    for warning in &loaded.warnings {
        report.add(Grade::Odd, warning);
    }
    for label in &settings.listen {
        check_listener(label, report);
    }
    check_secrets(&loaded.secrets, report);
    check_root("root", &settings.root, settings.run_as.as_ref(), report);
    check_anonymous(settings, report);
    if let Some(accounts) = &loaded.accounts {
        check_accounts(accounts, settings.run_as.as_ref(), report);
    }
    check_processes(loaded, report);
    check_passive(settings, report);
    #[cfg(feature = "tls")]
    tls::check(settings, report);
    check_compression(settings, report);
    check_files(settings, report);
    if let Some(path) = &settings.log.transfers {
        check_transfer_log(path, report);
    }
}

fn check_listener(label: &ListenAddr, report: &mut Report) {
    match listen::bind_one(label) {
        Ok(_) => report.add(Grade::Good, format!("listen {label}: free")),
        // The usual reason is that the server being configured is running.
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            report.add(Grade::Odd, format!("listen {label}: in use now"));
        }
        Err(e) => report.add(Grade::Bad, format!("listen {label}: {e}")),
    }
}

fn check_secrets(secrets: &[PathBuf], report: &mut Report) {
    for path in secrets {
        if fs::metadata(path).is_ok_and(|about| about.mode() & READ_BY_ALL != 0) {
            report.add(Grade::Odd, format!("{}: every user of this host may read it", path.display()));
        }
    }
}

/// Looks at it as whoever serves it would.
fn check_root(what: &str, path: &Path, user: Option<&RunAs>, report: &mut Report) {
    let shown = path.display();
    let whole = || obstacle(path).map_err(|(folder, error)| (folder.display().to_string(), error));
    let looked = match user {
        Some(user) => privilege::trying_as(user, whole).unwrap_or_else(|e| Err((shown.to_string(), e))),
        None => whole(),
    };
    let who = user.map(|user| format!("user {} cannot enter ", user.name));
    match (looked, who) {
        (Ok(()), _) => report.add(Grade::Good, format!("{what} {shown}: a readable directory")),
        (Err((folder, e)), Some(who)) => report.add(Grade::Bad, format!("{what} {shown}: {who}{folder}: {e}")),
        (Err((folder, e)), None) => report.add(Grade::Bad, format!("{what} {shown}: {folder}: {e}")),
    }
}

fn check_anonymous(settings: &Settings, report: &mut Report) {
    let Some(anonymous) = &settings.anonymous else {
        report.add(Grade::Good, "anonymous: off");
        return;
    };
    let letters = anonymous.permissions;
    let line = format!("anonymous: on, permissions \"{letters}\"");
    report.add(Grade::Good, line);
    if anonymous.root != settings.root {
        check_root("anonymous.root", &anonymous.root, settings.run_as.as_ref(), report);
    }
}

fn check_accounts(accounts: &Accounts, user: Option<&RunAs>, report: &mut Report) {
    let all = accounts.accounts.len();
    report.add(Grade::Good, format!("accounts: {all}"));
    for account in &accounts.accounts {
        check_root(&format!("home of \"{}\"", account.name), &account.home, user, report);
        if account.expires.is_some_and(|end| end <= Stamp::now().seconds()) {
            report.add(Grade::Odd, format!("account \"{}\" has expired", account.name));
        }
    }
}

fn check_processes(loaded: &Loaded, report: &mut Report) {
    let settings = &loaded.settings;
    let workers = settings.workers.get();
    let verifier = if loaded.accounts.is_some() { ", a verifier" } else { "" };
    let tree = workers > 1 || settings.run_as.is_some() || loaded.accounts.is_some();
    report.add(
        Grade::Good,
        match tree {
            true => format!("processes: a keeper, workers: {workers}{verifier}"),
            false => "processes: one".to_owned(),
        },
    );
    if workers > 1 {
        let line = "workers: limits.clients and passive.ports are divided among them; limits.per_ip, per_user, bans and the \
            rates and sessions of accounts hold in each by itself";
        report.add(Grade::Good, line);
    }
    match &settings.run_as {
        Some(user) => {
            let line = format!("user {}: workers and verifier become uid {}, gid {}", user.name, user.uid, user.gid);
            report.add(Grade::Good, line);
        }
        None if rustix::process::geteuid().is_root() => {
            report.add(Grade::Odd, "user: not set, so what serves keeps root's rights");
        }
        None => {}
    }
    match settings.sandbox {
        SandboxMode::Off => report.add(Grade::Odd, "sandbox.mode: off"),
        SandboxMode::BestEffort => report.add(Grade::Good, "sandbox.mode: best-effort, the log tells what is missing"),
        SandboxMode::Required => report.add(Grade::Good, "sandbox.mode: required, no start where a part is missing"),
    }
}

fn check_passive(settings: &Settings, report: &mut Report) {
    let passive = &settings.passive;
    if let Some(ports) = passive.ports {
        let line = format!("passive.ports {ports}: {} at once", ports.count());
        report.add(Grade::Good, line);
        let inside = |label: &&ListenAddr| (ports.low..=ports.high).contains(&label.port());
        for label in settings.listen.iter().filter(inside) {
            let line = format!("passive.ports {ports}: the control port of {label} is among them");
            report.add(Grade::Odd, line);
        }
        if ports.low < 1024 {
            let line = format!("passive.ports {ports}: below 1024 they want a privilege");
            report.add(Grade::Odd, line);
        }
    }
    if let Some(address) = passive.address {
        let useless = address.is_unspecified() || address.is_multicast() || address.is_broadcast();
        let line = format!("passive.address {address}");
        match useless {
            true => report.add(Grade::Bad, line + ": no client can connect to it"),
            false if address.is_loopback() => {
                report.add(Grade::Odd, line + ": only clients on this host can connect to it");
            }
            false if listens_locally(settings) => {
                report.add(Grade::Odd, line + ": but the server listens on loopback only");
            }
            false => report.add(Grade::Good, line + ": shown in replies to PASV"),
        }
    }
}

fn check_compression(settings: &Settings, report: &mut Report) {
    let streams = settings.limits.compressed;
    if streams > 0 {
        let memory = u64::from(streams) * STREAM_MEMORY / 1024;
        let line = format!("limits.compressed: MODE Z is offered, {streams} transfers at once, up to {memory} MiB");
        report.add(Grade::Good, line);
    }
}

fn check_files(settings: &Settings, report: &mut Report) {
    let files = &settings.files;
    if files.uploads == Uploads::Atomic {
        let line = "files.uploads: atomic, an upload that breaks off leaves nothing to resume";
        report.add(Grade::Good, line);
    }
    if let Some(algorithm) = files.digest {
        let line = format!("files.digest: {} of what is received, for HASH", algorithm.name());
        report.add(Grade::Good, line);
    }
    if files.listing_time == ListingTime::Local {
        match Zone::local() {
            Ok(zone) => report.add(Grade::Good, format!("files.listing_time: {zone}")),
            Err(why) => report.add(Grade::Odd, format!("files.listing_time: {why}; it would be UTC")),
        }
    }
    if let Ok(root) = Root::open(&settings.root)
        && !root.is_kernel_resolved()
    {
        report.add(Grade::Odd, "openat2 is missing here: paths are kept inside one component at a time");
    }
}

fn listens_locally(settings: &Settings) -> bool {
    let local = |label: &ListenAddr| {
        let all = label.candidates().unwrap_or_default();
        all.iter().all(|address| address.ip().is_loopback())
    };
    settings.listen.iter().all(local)
}

fn check_transfer_log(path: &Path, report: &mut Report) {
    let shown = path.display();
    let folder = path.parent().unwrap_or(Path::new("/"));
    let tried = match path.exists() {
        true if path.is_dir() => Err(rustix::io::Errno::ISDIR),
        true => access(path, Access::WRITE_OK),
        false => access(folder, Access::WRITE_OK | Access::EXEC_OK),
    };
    match tried {
        Ok(()) => report.add(Grade::Good, format!("log.transfers {shown}: writable")),
        Err(e) => report.add(Grade::Bad, format!("log.transfers {shown}: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::settings::{Command, parse};

    fn report(arguments: &[&str]) -> Report {
        let words = arguments.iter().map(std::ffi::OsString::from);
        match parse(words).unwrap() {
            Command::Check(invocation) => check(&invocation),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_sound_set_up_passes() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_str().unwrap();
        let report = report(&["--check", "-l", "127.0.0.1:0", "--user", "alice", dir]);
        assert_eq!(report.exit_code(), 0, "{report}");
        assert!(report.to_string().contains("anonymous: off"), "{report}");
    }

    #[test]
    fn what_is_wrong_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let missing = missing.to_str().unwrap();
        for arguments in [
            &["--check", "-p", "0", missing][..],
            &["--check", "-p", "0", "-c", missing],
            &["--check", "-p", "0", "--public-address", "0.0.0.0"],
            &["--check", "-p", "0", "--transfer-log", "/"],
        ] {
            let report = report(arguments);
            assert_eq!(report.exit_code(), 2, "{report}");
        }
        assert!(!Path::new(missing).exists());
    }

    #[test]
    fn what_the_files_keys_ask_for_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("m.toml");
        let text = "listen = [\"127.0.0.1:0\"]\n[files]\nuploads = \"atomic\"\nlisting_time = \"local\"";
        fs::write(&config, text).unwrap();
        let report = report(&["--check", "-c", config.to_str().unwrap()]);
        assert_eq!(report.exit_code(), 0, "{report}");
        let text = report.to_string();
        assert!(text.contains("files.uploads: atomic") && text.contains("files.listing_time: "), "{text}");
    }

    #[test]
    fn what_is_odd_is_said() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let report = report(&["--check", "-l", &address, "--public-address", "203.0.113.7"]);
        let text = report.to_string();
        assert_eq!(report.exit_code(), 0, "{text}");
        assert!(text.contains("in use now") && text.contains("loopback only"), "{text}");
    }

    #[test]
    fn secrets_that_all_may_read_are_told() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (config, accounts) = (folder.path().join("m.toml"), folder.path().join("accounts.toml"));
        fs::write(&config, "listen = [\"127.0.0.1:0\"]").unwrap();
        fs::write(&accounts, "[[account]]\nname = \"ann\"\npassword = \"*\"").unwrap();
        for (mode, odd) in [(0o644, true), (0o640, false)] {
            fs::set_permissions(&accounts, fs::Permissions::from_mode(mode)).unwrap();
            let report = report(&["--check", "-c", config.to_str().unwrap()]).to_string();
            let line = format!("warning {}: every user of this host may read it", accounts.display());
            assert_eq!(report.contains(&line), odd, "{report}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_is_told_with_its_end_and_its_policy() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let implicit = taken.local_addr().unwrap();
        let (config, key) = (path("m.toml"), path("key.pem"));
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nrequire = \"data\"\n\
            reuse = \"require\"\nclient_ca = \"cert.pem\"\nclient_login = true\nimplicit = [\"{implicit}\"]"
        );
        fs::write(&config, text).unwrap();
        for (year, words) in [(2020, "warning tls.certificate: it has expired, 2020-"), (4000, "it expires 4000-")] {
            let pair = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 2, 3);
            fs::write(path("cert.pem"), params.self_signed(&pair).unwrap().pem()).unwrap();
            fs::write(&key, pair.serialize_pem()).unwrap();
            fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
            let report = report(&["--check", "-c", config.to_str().unwrap()]).to_string();
            for line in [
                words,
                "ok      tls: certificate and key fit",
                "ok      tls.require: data",
                "ok      tls.reuse: require",
                "ok      tls.client_ca: every client has to show a certificate, which stands",
                &format!("warning listen {implicit}: in use now"),
                &format!("warning {}: every user", key.display()),
            ] {
                assert!(report.contains(line), "{line}\n{report}");
            }
        }
    }
}
