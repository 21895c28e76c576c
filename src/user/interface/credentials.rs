//! Where names and passwords come from. Never from the command line alone: others can read that.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::options::Options;
use crate::user::crew::{Cause, Trouble};
use crate::user::pi::Login;
use crate::user::text::sendable;
use crate::user::url::Place;

/// The variable that may hold the password.
const VARIABLE: &str = "MINIFTP_PASSWORD";

/// A password file is a line; a .netrc is a page.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Who logs in at a place: its own user, `-u`, `~/.netrc`, or the guest.
///
/// # Errors
/// A password file that cannot be read, or a name that cannot be sent.
pub fn login(place: &Place, options: &Options) -> Result<Login, Trouble> {
    let (given, with) = match &options.user {
        Some(text) => match text.split_once(':') {
            Some((user, password)) => (Some(user.as_bytes().to_vec()), Some(password.as_bytes().to_vec())),
            None => (Some(text.as_bytes().to_vec()), None),
        },
        None => (None, None),
    };
    let user = place.user.clone().or(given);
    let password = place.password.clone().or(with);
    let netrc = netrc(&place.host, user.as_deref());
    let login = match (user, netrc) {
        (Some(user), entry) => {
            let account = entry.as_ref().and_then(|entry| entry.account.clone());
            let password = match password {
                Some(password) => password,
                None => find_password(&user, &place.host, entry.and_then(|entry| entry.password), options)?,
            };
            Login { user, password, account }
        }
        (None, Some(Entry { login: Some(user), password: kept, account })) => {
            let password = find_password(&user, &place.host, kept, options)?;
            Login { user, password, account }
        }
        (None, _) => Login::anonymous(),
    };
    let fine = sendable(&login.user) && sendable(&login.password);
    if fine { Ok(login) } else { Err(Trouble::new(Cause::Usage, "a line break in a name or password cannot be sent")) }
}

fn find_password(user: &[u8], host: &str, netrc: Option<Vec<u8>>, options: &Options) -> Result<Vec<u8>, Trouble> {
    if let Some(file) = &options.password_file {
        return first_line(file);
    }
    if let Some(password) = std::env::var_os(VARIABLE) {
        return Ok(password.into_encoded_bytes());
    }
    if let Some(password) = netrc {
        return Ok(password);
    }
    if is_guest(user) {
        return Ok(Login::anonymous().password);
    }
    if io::stdin().is_terminal() {
        let question = format!("Password for {}@{host}: ", String::from_utf8_lossy(user));
        return ask(&question).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => Trouble::new(Cause::Interrupted, "interrupted"),
            _ => Trouble::new(Cause::Login, format!("no password: {error}")),
        });
    }
    Err(Trouble::new(Cause::Login, format!("no password: set ${VARIABLE}, use --password-file or ~/.netrc")))
}

fn is_guest(user: &[u8]) -> bool {
    user.eq_ignore_ascii_case(b"anonymous") || user.eq_ignore_ascii_case(b"ftp")
}

/// Asks on the controlling terminal, with its echo off for as long as that takes.
///
/// # Errors
/// `Interrupted` at Ctrl-C or another signal.
fn ask(question: &str) -> io::Result<Vec<u8>> {
    let terminal = fs::File::options().read(true).write(true).open("/dev/tty")?;
    let loud = tcgetattr(&terminal)?;
    // Before the question: whoever answers at once is not to be seen or forgotten.
    tcsetattr(&terminal, OptionalActions::Flush, &muted(&loud))?;
    let asked = (&terminal).write_all(question.as_bytes());
    let line = asked.and_then(|()| answer(&terminal, loud.special_codes[SpecialCodeIndex::VINTR]));
    tcsetattr(&terminal, OptionalActions::Flush, &loud)?;
    (&terminal).write_all(b"\n")?;
    line
}

/// No echo, and Ctrl-C as one more key that ends the line. As a signal it would come to the loop, which stands still
/// while this question is asked, and a read is begun anew after one.
fn muted(loud: &Termios) -> Termios {
    let mut quiet = loud.clone();
    quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    quiet.special_codes[SpecialCodeIndex::VEOL] = loud.special_codes[SpecialCodeIndex::VINTR];
    quiet
}

/// One line; the terminal hands it over as a whole, and takes no longer one than this.
fn answer(mut terminal: &fs::File, interrupt: u8) -> io::Result<Vec<u8>> {
    let mut line = [0; 4096];
    // Unlike a read this is not begun anew after a signal.
    poll(&mut [PollFd::new(&terminal, PollFlags::IN)], None)?;
    let count = terminal.read(&mut line)?;
    match line.get(..count).unwrap_or_default() {
        [] => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        [.., last] if *last == interrupt => Err(io::Error::from(io::ErrorKind::Interrupted)),
        [text @ .., b'\n'] | text => Ok(text.to_vec()),
    }
}

fn first_line(file: &Path) -> Result<Vec<u8>, Trouble> {
    let failed = |error: io::Error| Trouble::new(Cause::Local, format!("{}: {error}", file.display()));
    let text = read_bounded(file).map_err(failed)?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

fn read_bounded(file: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut text = Vec::new();
    fs::File::open(file)?.take(FILE_LIMIT).read_to_end(&mut text)?;
    Ok(text)
}

/// An entry of `~/.netrc`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    login: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
    account: Option<Vec<u8>>,
}

/// The entry for a host, and for a user if one is known. A file that others can read is not used: its owner would
/// not know that its secrets are none.
fn netrc(host: &str, user: Option<&[u8]>) -> Option<Entry> {
    let path = match std::env::var_os("NETRC") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".netrc"),
    };
    let meta = fs::metadata(&path).ok()?;
    let entry = find(&String::from_utf8_lossy(&read_bounded(&path).ok()?), host, user)?;
    let shared = meta.mode() & 0o077 != 0 && entry.password.is_some();
    if shared && !entry.login.as_deref().is_some_and(is_guest) {
        super::screen::complain(&format!("{}: others can read it, so it is not used (chmod 600)", path.display()));
        return None;
    }
    Some(entry)
}

fn find(text: &str, host: &str, user: Option<&[u8]>) -> Option<Entry> {
    let mut words =
        without_macros(text).filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
    let mut current: Option<Entry> = None;
    let fits = |entry: &Entry| match (&entry.login, user) {
        (Some(login), Some(user)) => login == user,
        _ => true,
    };
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" => {
                if let Some(entry) = current.take().filter(&fits) {
                    return Some(entry);
                }
                let ours = word == "default" || words.next().is_some_and(|name| name.eq_ignore_ascii_case(host));
                current = ours.then(Entry::default);
            }
            "login" | "user" | "password" | "account" => {
                let value = words.next().map(|value| value.trim_matches('"').as_bytes().to_vec());
                if let Some(entry) = &mut current {
                    match word {
                        "password" => entry.password = value,
                        "account" => entry.account = value,
                        _ => entry.login = value,
                    }
                }
            }
            _ => {}
        }
    }
    current.filter(fits)
}

/// The text without the bodies of macros (`macdef NAME`, up to an empty line), whose words are commands.
fn without_macros(text: &str) -> impl Iterator<Item = &str> {
    let mut within = false;
    text.lines().filter(move |line| {
        within = if within { !line.trim().is_empty() } else { line.split_whitespace().any(|word| word == "macdef") };
        !within
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netrc_entries() {
        let text = "machine a login x password 1\n# machine b login no password no\n\
                    machine b\n  login y\n  password 2\nmachine b login z password 3\ndefault login d password 4\n";
        let password = |host, user: Option<&[u8]>| find(text, host, user).and_then(|entry| entry.password);
        assert_eq!(password("a", None).as_deref(), Some(b"1".as_slice()));
        assert_eq!(password("B", None).as_deref(), Some(b"2".as_slice()));
        assert_eq!(password("b", Some(b"z")).as_deref(), Some(b"3".as_slice()));
        assert_eq!(password("c", None).as_deref(), Some(b"4".as_slice()));
        assert_eq!(password("c", Some(b"z")), None);
        let macros = "machine a login x\nmacdef init\nmachine b login y password 2\nbinary\n\npassword 1\n";
        let entry = find(macros, "a", None).and_then(|entry| entry.password);
        assert_eq!((entry.as_deref(), find(macros, "b", None)), (Some(b"1".as_slice()), None));
    }
}
