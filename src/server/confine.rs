//! What the loop needs of files and network once it serves: its sandbox is made to this measure.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::accounts::Account;
use super::settings::{Invocation, ListingTime, Settings};
use crate::filesystem::{Right, Rights, Uploads};
use crate::process::sandbox::{Needs, Touch};

/// Where time zones are kept; those of this list that exist are read again at each reload.
const ZONES: [&str; 4] = ["/etc/localtime", "/usr/share/zoneinfo", "/share/zoneinfo", "/etc/zoneinfo"];

/// RFC 959's source port for active data connections.
const FTP_DATA: u16 = 20;

/// Closed homes that the log names one by one: a tree of accounts that has the wrong owner would fill it.
const MOST_NAMED: usize = 3;

/// The needs of a loop with these settings. `alone` has what it reads again by itself, without a keeper.
pub fn needs(settings: &Settings, accounts: &[Account], alone: Option<&Invocation>) -> Needs {
    let mut trees = homes(settings, accounts);
    // Held in reserve against running out of descriptors, and opened anew after it was spent.
    trees.push(("/dev/null".into(), Touch::Read));
    if settings.files.listing_time == ListingTime::Local {
        trees.extend(ZONES.iter().map(PathBuf::from).filter(|path| path.exists()).map(|path| (path, Touch::Read)));
    }
    if let Some(invocation) = alone {
        let read = invocation.config.iter().chain(settings.tls.iter().flat_map(|tls| &tls.files));
        trees.extend(read.flat_map(|file| folders(file)).map(|folder| (folder, Touch::Read)));
        // A rotated log is made anew under its name.
        trees.extend(settings.log.transfers.iter().filter_map(|log| Some((log.parent()?.to_owned(), Touch::Write))));
    }
    let active = &settings.active;
    let mut bind = vec![match settings.passive.ports {
        Some(range) => range.low..=range.high,
        None => 0..=0,
    }];
    if active.enabled {
        bind.push(0..=0);
    }
    if active.enabled && active.from_port_20 {
        bind.push(FTP_DATA..=FTP_DATA);
    }
    Needs { trees, bind, connect: active.enabled }
}

fn homes(settings: &Settings, accounts: &[Account]) -> Vec<(PathBuf, Touch)> {
    let guests = settings.anonymous.iter().map(|guests| (guests.root.clone(), guests.permissions.rights(), Vec::new()));
    let members = accounts.iter().map(|account| {
        let rules = account.rules.iter().map(|rule| rule.permissions.rights()).collect();
        (account.home.clone(), account.permissions.rights(), rules)
    });
    let touch = |rights: Rights, rules: Vec<Rights>| {
        // What atomic uploads of earlier settings left behind is swept away wherever it is.
        let swept = settings.files.uploads == Uploads::Atomic;
        match swept || rules.into_iter().chain([rights]).any(changes) {
            true => Touch::Change,
            false => Touch::Read,
        }
    };
    guests.chain(members).map(|(home, rights, rules)| (home, touch(rights, rules))).collect()
}

/// Warns of roots and homes that this process cannot list or enter: whoever logs in there would meet nothing but 550. One
/// that does not exist is a disk that comes later, and told at the login.
pub fn warn_of_closed(settings: &Settings, accounts: &[Account]) {
    let mut closed: Vec<String> = homes(settings, accounts)
        .iter()
        .filter_map(|(home, _)| obstacle(home).err().map(|(folder, error)| (home, folder, error)))
        .filter(|(_, _, error)| error.kind() != io::ErrorKind::NotFound)
        .map(|(home, folder, error)| format!("{}: cannot enter {}: {error}", home.display(), folder.display()))
        .collect();
    closed.dedup();
    let uid = rustix::process::geteuid();
    closed.iter().take(MOST_NAMED).for_each(|line| log::warn!("as uid {}: {line}", uid.as_raw()));
    if closed.len() > MOST_NAMED {
        log::warn!("as uid {}: {} more homes cannot be entered", uid.as_raw(), closed.len() - MOST_NAMED);
    }
}

/// Whether this process can list a directory and reach what is in it.
///
/// # Errors
/// The first folder on the way that cannot be, and why.
pub fn obstacle(path: &Path) -> Result<(), (PathBuf, io::Error)> {
    let mut way: Vec<&Path> = path.ancestors().filter(|folder| !folder.as_os_str().is_empty()).collect();
    way.reverse();
    // A folder's own "." takes the right to enter it.
    let closed = way.into_iter().find_map(|folder| Some((folder.to_owned(), fs::metadata(folder.join(".")).err()?)));
    closed.map_or_else(|| fs::read_dir(path).map(drop).map_err(|error| (path.to_owned(), error)), Err)
}

/// Whether any of these rights changes what is in a tree.
fn changes(rights: Rights) -> bool {
    let reading = Rights::READ;
    Right::ALL.into_iter().any(|right| rights.has(right) && !reading.has(right))
}

/// The folders in which a file of the configuration is looked for: that of its name, and that of what a link there leads to.
/// Folders, since editors replace files, and a rule about the old one says nothing of the new one.
fn folders(file: &Path) -> Vec<PathBuf> {
    let named = std::path::absolute(file).ok();
    let real = std::fs::canonicalize(file).ok();
    [named, real].into_iter().flatten().filter_map(|path| Some(path.parent()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::settings::{Command, PasswordSource, parse};

    fn needs_of(arguments: &[&str]) -> Needs {
        match parse(arguments.iter().map(std::ffi::OsString::from)).unwrap() {
            Command::Serve(invocation) => {
                let settings = invocation.load(&PasswordSource::Unasked).unwrap().settings;
                needs(&settings, &[], Some(&invocation))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_only_reads_can_change_nothing() {
        let tree = |needs: &Needs| needs.trees.iter().find(|(path, _)| path == Path::new("/srv")).unwrap().1;
        assert_eq!(tree(&needs_of(&["/srv"])), Touch::Read);
        assert_eq!(tree(&needs_of(&["-w", "/srv"])), Touch::Change);
    }

    #[test]
    fn ports_are_those_of_the_configuration() {
        let needs = needs_of(&["--passive-ports", "50000-50009", "/srv"]);
        assert_eq!(needs.bind, [50000..=50009, 0..=0]);
        assert!(needs.connect, "active mode dials");
    }

    #[test]
    fn logs_are_written_and_configurations_read() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("m.toml");
        std::fs::write(&config, "[active]\nenabled = false\n[log]\ntransfers = \"log/x\"").unwrap();
        let needs = needs_of(&["-c", config.to_str().unwrap()]);
        assert!(needs.trees.contains(&(folder.path().join("log"), Touch::Write)), "{needs:?}");
        assert!(needs.trees.contains(&(folder.path().to_owned(), Touch::Read)), "{needs:?}");
        assert!(!needs.connect && needs.bind == [0..=0]);
    }
}
