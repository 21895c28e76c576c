//! Why something on the disk did not happen.

use rustix::io::Errno;
use std::fmt;

/// Why an operation below a [`Root`](super::Root) failed. The session turns it into a reply code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The system call's own verdict. EXDEV from a path means that it leads out of the root.
    Os(Errno),
    /// A FIFO, a socket or a device where a file is wanted.
    NotRegular,
    /// A directory where a file is wanted.
    IsDirectory,
    /// It exists and is no directory.
    NotDirectory,
    /// The new name is taken.
    Exists,
    /// The restart marker is past the end of the file, which has `size` bytes.
    BeyondEnd {
        /// Bytes the file has; 0 when it does not exist.
        size: u64,
    },
    /// What [`Allow`](super::Allow) does not grant, a link that leads out, or the root itself.
    Forbidden,
    /// The new name is on another file system.
    Elsewhere,
    /// So many directories would have to be made on the way that it is no name meant for people.
    TooDeep,
    /// The configuration says that there is no such name, and that none can be made.
    Denied,
}

impl Fault {
    /// What to say about it in the log, without a path and without a period.
    pub fn text(self) -> &'static str {
        match self {
            Self::Os(errno) => errno_text(errno),
            Self::NotRegular => "Not a regular file",
            Self::IsDirectory => "Is a directory",
            Self::NotDirectory => "Not a directory",
            Self::Exists => "File exists",
            Self::BeyondEnd { .. } => "Restart position is beyond the file size",
            Self::Forbidden => "Permission denied",
            Self::Elsewhere => "On another file system",
            Self::TooDeep => "Too many directories would have to be made",
            Self::Denied => errno_text(Errno::NOENT),
        }
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ISDIR => Self::IsDirectory,
            Errno::EXIST => Self::Exists,
            // Opening a socket, or a FIFO nobody reads, without waiting.
            Errno::NXIO => Self::NotRegular,
            // ENOTDIR stays as it is: it may speak of a component before the last.
            other => Self::Os(other),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeyondEnd { size } => write!(formatter, "{} ({size} bytes)", self.text()),
            _ => formatter.write_str(self.text()),
        }
    }
}

impl std::error::Error for Fault {}

/// The words of strerror(3) for what file systems say, constant and free of allocation.
fn errno_text(errno: Errno) -> &'static str {
    match errno {
        Errno::NOENT => "No such file or directory",
        Errno::NOTDIR => "Not a directory",
        Errno::XDEV => "It leads out of the root",
        Errno::LOOP => "A link that is not followed, or too many",
        Errno::ACCESS => "Permission denied",
        Errno::PERM => "not permitted, by the file's owner or by this process's sandbox",
        Errno::NOTEMPTY => "Directory not empty",
        Errno::NAMETOOLONG => "File name too long",
        Errno::INVAL => "Invalid argument",
        Errno::ROFS => "Read-only file system",
        Errno::BUSY | Errno::TXTBSY | Errno::AGAIN => "Resource busy, try again",
        Errno::NOSPC => "No space left on device",
        Errno::DQUOT => "Disk quota exceeded",
        Errno::FBIG => "File too large",
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => "Out of resources, try again",
        Errno::IO => "Input/output error",
        _ => "Local error",
    }
}
