//! Passwords in memory, and where they come from: the environment, a terminal, standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::ffi::OsStringExt;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The longest password anybody may have, bytes: what fits a [`super::packet::ToVerifier::Check`].
pub const LONGEST_PASSWORD: usize = 512;

/// The environment's password for `--user`. Children are started without it.
pub const PASSWORD_VARIABLE: &str = "MINIFTPD_PASSWORD";

/// Bytes that are zeroed when dropped and never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes `bytes` over. Nothing is copied, so nothing is left behind.
    pub fn new(bytes: Vec<u8>) -> Self {
        Secret(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Zeroes `bytes`. `black_box` keeps the compiler from dropping stores that nobody reads.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}

/// The password of `--user`: from the environment, else asked on the controlling terminal.
pub fn of_user(name: &str) -> io::Result<Secret> {
    if let Some(word) = std::env::var_os(PASSWORD_VARIABLE) {
        return sound(Secret::new(word.into_vec()));
    }
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let terminal = terminal.map_err(|_| {
        let why = format!("no password: set ${PASSWORD_VARIABLE}, or start from a terminal");
        io::Error::other(why)
    })?;
    sound(ask(&terminal, &format!("Password for {name}: "))?)
}

/// The password of `--hash-password`: asked twice when standard input is a terminal, else its first line.
pub fn to_hash() -> io::Result<Secret> {
    if !io::stdin().is_terminal() {
        return sound(read_line(io::stdin().lock())?);
    }
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let first = sound(ask(&terminal, "Password: ")?)?;
    match first == ask(&terminal, "The same again: ")? {
        true => Ok(first),
        false => Err(io::Error::other("the passwords differ")),
    }
}

fn sound(secret: Secret) -> io::Result<Secret> {
    match secret.as_bytes().len() {
        0 => Err(io::Error::other("the password is empty")),
        length if length > LONGEST_PASSWORD => {
            let why = format!("the password is longer than {LONGEST_PASSWORD} bytes");
            Err(io::Error::other(why))
        }
        _ => Ok(secret),
    }
}

/// Asks on `terminal` with its echo off.
fn ask(terminal: &File, prompt: &str) -> io::Result<Secret> {
    let mut screen = terminal;
    screen.write_all(prompt.as_bytes())?;
    let quiet = Quiet::new(terminal)?;
    let secret = read_line(BufReader::new(terminal));
    drop(quiet);
    screen.write_all(b"\n")?;
    secret
}

fn read_line(source: impl BufRead) -> io::Result<Secret> {
    // One allocation that never moves: growing would leave copies behind. The end of the line needs two bytes more.
    let room = LONGEST_PASSWORD + 3;
    let mut line = Vec::with_capacity(room);
    source.take(LONGEST_PASSWORD as u64 + 3).read_until(b'\n', &mut line)?;
    let end = line.iter().rposition(|byte| !b"\r\n".contains(byte));
    line.truncate(end.map_or(0, |last| last + 1));
    Ok(Secret::new(line))
}

/// A terminal without echo, for as long as this lives.
struct Quiet<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Quiet<'t> {
    fn new(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Quiet { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo either.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_only() {
        for (line, password) in [
            (&b"secret\n"[..], &b"secret"[..]),
            (b"secret\r\nmore", b"secret"),
            (b" spaces \n", b" spaces "),
            (b"no end", b"no end"),
            (b"", b""),
        ] {
            assert_eq!(read_line(line).unwrap().as_bytes(), password);
        }
    }

    #[test]
    fn long_and_empty_passwords_are_refused() {
        let long = vec![b'x'; LONGEST_PASSWORD + 1];
        assert!(sound(read_line(&long[..]).unwrap()).is_err());
        assert!(sound(read_line(&long[1..]).unwrap()).is_ok());
        assert!(sound(Secret::default()).is_err());
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "Secret");
    }
}
