//! The transfer log, one line a transfer, in the format of wu-ftpd's `xferlog(5)` that vsftpd and most analysers share.
//!
//! ```text
//! Mon Nov 23 21:00:00 2026 3 192.0.2.7 1048576 /pub/file_name b _ o r alice ftp 0 * c
//! └─ end, UTC ───────────┘ │ └ peer    └ bytes └ path         │ │ │ │ └ user │  │ │ └ complete, incomplete
//!                       seconds                   type a or b ┘ │ │ └ real,  │  │ └ authenticated id: none
//!                                          special action: none ┘ │   anon.  │  └ authentication: none
//!                                              out, in, deleted  ─┘          └ service
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::stamp::Stamp;

/// Permission bits of a log that has to be made: it names users and files.
const MODE: u32 = 0o640;

/// Bytes of lines that wait at the most: some forty of them.
const MOST_HELD: usize = 4096;

/// One transfer that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When it ended.
    pub ended: Stamp,
    /// How long it took; whole seconds are kept, 1 at least, as other servers do.
    pub elapsed: Duration,
    /// The client.
    pub peer: IpAddr,
    /// Bytes that went over the data connection.
    pub bytes: u64,
    /// The path as the session sees it.
    pub path: &'a [u8],
    /// TYPE A.
    pub ascii: bool,
    /// Which way.
    pub direction: Direction,
    /// Who.
    pub user: User<'a>,
    /// Whether it was whole.
    pub complete: bool,
}

/// Which way a transfer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the client.
    Out,
    /// From the client.
    In,
    /// Nowhere: a file was deleted.
    Deleted,
}

/// Whose transfer it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User<'a> {
    /// Anonymous, who gave this as password (RFC 1635 asks for an e-mail address).
    Anonymous(&'a str),
    /// The account of this name.
    Account(&'a str),
}

/// An open transfer log.
#[derive(Debug)]
pub struct TransferLog {
    path: PathBuf,
    file: File,
    /// Lines that wait for [`TransferLog::flush`].
    held: String,
    lost: u64,
}

impl TransferLog {
    /// Opens `path` for appending, making it if need be.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(TransferLog { path: path.to_owned(), file: append(path)?, held: String::new(), lost: 0 })
    }

    /// Takes over a file opened by [`append`]; `path` is for messages.
    pub fn adopt(path: &Path, file: File) -> Self {
        TransferLog { path: path.to_owned(), file, held: String::new(), lost: 0 }
    }

    /// Opens the log's name again, after a rotation moved the file away. When that fails the old file stays in use.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.flush();
        self.file = append(&self.path)?;
        Ok(())
    }

    /// Takes one line. It waits for others until [`TransferLog::flush`], or until they are many.
    pub fn write(&mut self, record: &Record<'_>) {
        self.held += &line(record);
        if self.held.len() >= MOST_HELD {
            self.flush();
        }
    }

    /// Whether lines wait.
    pub fn holds_lines(&self) -> bool {
        !self.held.is_empty()
    }

    /// Writes what waits with one write. What a full disk does not take is lost, and the first such loss is logged: a
    /// transfer that is done stays done.
    pub fn flush(&mut self) {
        if self.held.is_empty() {
            return;
        }
        match self.file.write_all(self.held.as_bytes()) {
            Ok(()) => self.lost = 0,
            Err(e) => {
                if self.lost == 0 {
                    log::error!("transfer log {}: {e}", self.path.display());
                }
                self.lost += 1;
            }
        }
        self.held.clear();
    }
}

impl Drop for TransferLog {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Opens a transfer log for appending, making it if need be.
///
/// # Errors
/// That of opening it.
pub fn append(path: &Path) -> io::Result<File> {
    // Neither opening a pipe that nobody reads nor writing to one that is full may stop the loop.
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    File::options().append(true).create(true).mode(MODE).custom_flags(flags.bits().cast_signed()).open(path)
}

fn line(record: &Record<'_>) -> String {
    let direction = match record.direction {
        Direction::Out => 'o',
        Direction::In => 'i',
        Direction::Deleted => 'd',
    };
    let (access, user) = match record.user {
        User::Anonymous(password) => ('a', password),
        User::Account(name) => ('r', name),
    };
    format!(
        "{} {} {} {} {} {} _ {direction} {access} {} ftp 0 * {}\n",
        record.ended.ctime(),
        record.elapsed.as_secs().max(1),
        record.peer.to_canonical(),
        record.bytes,
        column(record.path),
        if record.ascii { 'a' } else { 'b' },
        column(user.as_bytes()),
        if record.complete { 'c' } else { 'i' },
    )
}

/// Columns are parted by blanks, so a column has none; an empty one is a question mark.
fn column(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let harmless = |letter: char| match letter.is_whitespace() || letter.is_control() {
        true => '_',
        false => letter,
    };
    match text.is_empty() {
        true => "?".to_owned(),
        false => text.chars().map(harmless).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<'static> {
        Record {
            ended: Stamp::at(1_795_467_600),
            elapsed: Duration::from_millis(3200),
            peer: "::ffff:192.0.2.7".parse().unwrap(),
            bytes: 1_048_576,
            path: b"/pub/file name\r\n",
            ascii: false,
            direction: Direction::Out,
            user: User::Account("alice"),
            complete: true,
        }
    }

    #[test]
    fn lines_have_eighteen_columns() {
        let whole = line(&record());
        assert_eq!(whole, "Mon Nov 23 21:00:00 2026 3 192.0.2.7 1048576 /pub/file_name__ b _ o r alice ftp 0 * c\n");
        let broken = Record {
            ascii: true,
            direction: Direction::In,
            user: User::Anonymous(""),
            complete: false,
            elapsed: Duration::ZERO,
            ..record()
        };
        let broken = line(&broken);
        assert!(broken.ends_with("a _ i a ? ftp 0 * i\n"));
        assert_eq!(broken.split(' ').count(), 18);
        assert_eq!(broken.split(' ').nth(5), Some("1"));
    }

    #[test]
    fn rotation_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (now, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut log = TransferLog::open(&now).unwrap();
        log.write(&record());
        std::fs::rename(&now, &old).unwrap();
        log.write(&record());
        log.reopen().unwrap();
        log.write(&record());
        assert!(log.holds_lines());
        drop(log);
        let lines = |path| std::fs::read_to_string(path).unwrap().lines().count();
        assert_eq!((lines(&old), lines(&now)), (2, 1));
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("log");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let refused = append(&pipe).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::NXIO.raw_os_error()), "{refused}");
    }
}
