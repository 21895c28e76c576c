//! What a member may do where, and how a failure is told.

use rustix::io::Errno;

use super::state::Member;
use crate::filesystem::{Fault, Last, PathFault, Right, VirtualPath};
use crate::transfer;
use crate::wire::reply::{Cause, Reply};

/// What is absent and what is forbidden get the same words: existence is not given away.
const ABSENT: &str = "No such file or directory.";

const FORBIDDEN: &str = "Permission denied.";

impl Member {
    /// What a client's path really means, for verbs that open what is there: the path that rights are judged on and
    /// that is used.
    pub(super) fn resolve(&self, given: &[u8]) -> Result<VirtualPath, Reply> {
        self.settle(self.textual(given)?, Last::Follow, given)
    }

    /// The same for verbs that make, move or remove a name: a link of that name is meant itself.
    pub(super) fn resolve_name(&self, given: &[u8]) -> Result<VirtualPath, Reply> {
        self.settle(self.textual(given)?, Last::Keep, given)
    }

    /// A client's path against the working directory, as text.
    pub(super) fn textual(&self, given: &[u8]) -> Result<VirtualPath, Reply> {
        let too_long = || Reply::new(553, "File name too long.");
        let path = self.cwd.resolve(given).map_err(|fault| match fault {
            PathFault::Unsendable => Reply::new(553, "File name not allowed."),
            PathFault::TooLong => too_long(),
        })?;
        if path.as_bytes().len() > self.realm().path_limit { Err(too_long()) } else { Ok(path) }
    }

    pub(super) fn settle(&self, path: VirtualPath, last: Last, given: &[u8]) -> Result<VirtualPath, Reply> {
        self.seat.root().settle(path, last).map_err(|fault| fault.reply(given))
    }

    /// Whether the right is granted at the path, in words that hide whether it exists.
    pub(super) fn require(&self, right: Right, path: &VirtualPath, given: &[u8]) -> Result<(), Reply> {
        if self.may(right, path) { Ok(()) } else { Err(self.refuse(right, given)) }
    }

    /// Whether any of the rights is granted at the path.
    pub(super) fn require_any(&self, rights: &[Right], path: &VirtualPath, given: &[u8]) -> Result<(), Reply> {
        if rights.iter().any(|right| self.may(*right, path)) {
            return Ok(());
        }
        Err(named(550, given, ABSENT))
    }

    /// A fault of the file system at the path. Whoever may list the names there knows already that this one exists,
    /// and is told when it is the system that forbids it.
    pub(super) fn faulted(&self, fault: Fault, path: &VirtualPath, given: &[u8]) -> Reply {
        match fault {
            Fault::Os(errno @ (Errno::ACCESS | Errno::PERM)) if self.may(Right::List, &path.parent()) => {
                named(550, given, FORBIDDEN).because(system(errno))
            }
            other => other.reply(given),
        }
    }

    pub(super) fn may(&self, right: Right, path: &VirtualPath) -> bool {
        self.realm().rules.at(path).has(right)
    }

    fn refuse(&self, right: Right, given: &[u8]) -> Reply {
        match right {
            Right::Read | Right::List | Right::Enter => named(550, given, ABSENT),
            _ => Reply::new(550, "Permission denied."),
        }
    }
}

/// A fault of the file system as a reply about what the client named.
pub(super) trait ReplyTo {
    /// For verbs on something that should exist.
    fn reply(self, given: &[u8]) -> Reply;
    /// For verbs that make a new name.
    fn reply_new(self, given: &[u8]) -> Reply;
}

impl ReplyTo for Fault {
    fn reply(self, given: &[u8]) -> Reply {
        match self {
            Self::Os(errno) => of_errno(errno, given),
            Self::NotRegular => named(550, given, "Not a plain file."),
            Self::IsDirectory => named(550, given, "Is a directory."),
            Self::NotDirectory => named(550, given, "Not a directory."),
            Self::Exists => named(550, given, "File exists."),
            Self::BeyondEnd { size } => Reply::new(554, format!("Restart position is beyond the file size {size}.")),
            Self::Forbidden => Reply::new(550, "Permission denied."),
            Self::Elsewhere => named(550, given, "Cannot be moved to another file system.").because(Cause::Elsewhere),
            Self::TooDeep => named(553, given, "Too many directories would have to be made."),
            Self::Denied => named(550, given, ABSENT),
        }
    }

    fn reply_new(self, given: &[u8]) -> Reply {
        match self {
            Self::Os(Errno::NOENT | Errno::NOTDIR) => named(553, given, "No such directory to put it in."),
            Self::Denied => named(553, given, "File name not allowed."),
            // A new name gives nothing away: the directory refuses any.
            Self::Os(errno @ (Errno::ACCESS | Errno::PERM)) => named(550, given, FORBIDDEN).because(system(errno)),
            other => other.reply(given),
        }
    }
}

/// What the client itself can mend is no cause for the log.
fn of_errno(errno: Errno, given: &[u8]) -> Reply {
    let reply = match errno {
        Errno::NOENT | Errno::ACCESS | Errno::PERM | Errno::LOOP | Errno::XDEV => named(550, given, ABSENT),
        Errno::NOTDIR => named(550, given, "Not a directory."),
        Errno::ISDIR => named(550, given, "Is a directory."),
        Errno::EXIST => named(550, given, "File exists."),
        Errno::NOTEMPTY => named(550, given, "Directory not empty."),
        Errno::NAMETOOLONG | Errno::INVAL => named(553, given, "File name not allowed."),
        Errno::ROFS => named(553, given, "Read-only file system."),
        Errno::BUSY | Errno::TXTBSY | Errno::AGAIN => named(450, given, "Busy, try again later."),
        Errno::NOSPC => named(452, given, "No space left on the device."),
        Errno::DQUOT | Errno::FBIG => named(552, given, "Quota or size limit exceeded."),
        other => named(451, given, &format!("Local error: {}.", std::io::Error::from(other))),
    };
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY | Errno::NAMETOOLONG => reply,
        _ => reply.because(system(errno)),
    }
}

fn system(errno: Errno) -> Cause {
    Cause::System(u8::try_from(errno.raw_os_error()).unwrap_or_default())
}

/// A cause in words.
pub fn words(cause: Cause) -> &'static str {
    match cause {
        Cause::System(number) => Fault::Os(Errno::from_raw_os_error(number.into())).text(),
        Cause::Elsewhere => Fault::Elsewhere.text(),
        Cause::Counting => "what the home holds is being counted",
        Cause::UsedUp => "the quota is used up",
    }
}

/// `name: text`, the name as the client gave it.
pub(super) fn named(code: u16, given: &[u8], text: &str) -> Reply {
    let mut line = Vec::with_capacity(given.len() + text.len() + 2);
    if !given.is_empty() {
        line.extend_from_slice(given);
        line.extend_from_slice(b": ");
    }
    line.extend_from_slice(text.as_bytes());
    Reply::bytes(code, line)
}

/// The final reply of a transfer that failed after its 150.
pub(super) fn of_transfer(fault: transfer::Fault) -> Reply {
    use transfer::Fault as F;
    match fault {
        F::NeverConnected => Reply::new(425, "Cannot open data connection."),
        F::Insecure => Reply::new(522, "TLS on the data connection failed."),
        F::Unproven => {
            Reply::new(522, "TLS session of data connection not resumed; it must be the control connection's.")
        }
        F::Lost(_) => Reply::new(426, "Data connection lost; transfer aborted."),
        F::Stalled => Reply::new(426, "Data connection stalled; transfer aborted."),
        F::Aborted => Reply::new(426, "Transfer aborted; data connection closed."),
        F::Noise => Reply::new(426, "Unexpected data from the client; transfer aborted."),
        F::Truncated => Reply::new(451, "The file became shorter meanwhile."),
        F::Local(errno) => Reply::new(451, "Local error; transfer aborted.").because(system(errno)),
        F::DiskFull => Reply::new(452, "No space left on the device."),
        F::Damaged => Reply::new(426, "Compressed stream damaged or incomplete; transfer aborted."),
        F::OverQuota => Reply::new(552, "Quota or size limit exceeded."),
    }
}
