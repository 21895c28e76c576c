//! What can go wrong with an errand, sorted by cause: the exit codes are the causes.

use std::fmt;
use std::path::Path;

use rustix::io::Errno;

use crate::transfer::Fault;
use crate::user::mail::{Death, Failure, Spoken};
use crate::user::pump::Snag;
use crate::user::text::Shown;
use crate::wire::reply::{Kind, Reply};

/// Why something failed. The numbers are the program's exit codes and stay what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The command makes no sense.
    Usage = 1,
    /// The host has no address, or nobody answers there.
    Connect = 2,
    /// TLS or a certificate.
    Tls = 3,
    /// Name or password.
    Login = 4,
    /// The server has no such thing or does not allow it.
    Denied = 5,
    /// The data did not arrive whole.
    Transfer = 6,
    /// The file here.
    Local = 7,
    /// Nothing happened for too long.
    TimedOut = 8,
    /// Size or digest differ.
    Verify = 9,
    /// Some of many failed.
    Some = 10,
    /// Ctrl-C.
    Interrupted = 130,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// No.
    Never,
    /// After a while.
    Later,
    /// At once and in another manner, which the errand has noted.
    Otherwise,
    /// At once: it was the session's other errand that failed, so this has not been tried.
    Untried,
}

/// A failure as it is reported.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// What kind.
    pub cause: Cause,
    /// In words, fit for a terminal.
    pub text: String,
    /// The server's code, where it gave one.
    pub code: Option<u16>,
    /// Whether trying again can help.
    pub again: Again,
}

impl Trouble {
    /// A failure that stays one.
    pub fn new(cause: Cause, text: impl Into<String>) -> Self {
        Self { cause, text: text.into(), code: None, again: Again::Never }
    }

    /// A listing of which nobody knows whether it is whole, for those who have to have all of it.
    pub fn unconfirmed() -> Self {
        Self::new(Cause::Transfer, "the listing may have been cut short, so this copy may lack something")
    }

    /// Entries of a listing that nobody could read, for those who have to have all of them.
    pub fn skipped() -> Self {
        Self::new(Cause::Some, "the listing holds what is not understood, so this copy may lack something")
    }

    /// The same, but worth another try.
    #[must_use]
    pub fn again(self, again: Again) -> Self {
        Self { again, ..self }
    }

    /// A refusal by the server.
    pub fn refused(reply: &Reply) -> Self {
        let again = if reply.kind() == Kind::Transient { Again::Later } else { Again::Never };
        let cause = match reply.code {
            530 | 532 => Cause::Login,
            425 | 426 | 451 | 452 | 552 => Cause::Transfer,
            534 | 536 => Cause::Tls,
            _ => Cause::Denied,
        };
        Self { cause, text: Spoken(reply).to_string(), code: Some(reply.code), again }
    }

    /// A local file's failure.
    pub fn local(path: &Path, errno: Errno) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let shown = Shown(path.as_os_str().as_bytes()).to_string();
        let why = std::io::Error::from(errno).to_string();
        let words = why.split(" (os error").next().unwrap_or(&why);
        Self::new(Cause::Local, format!("{shown}: {words}"))
    }

    /// A failure of a transfer; `moved` bytes had come or gone.
    pub fn of_transfer(failure: &Failure, moved: u64) -> Self {
        match failure {
            Failure::Refused(reply) => {
                let trouble = Self::refused(reply);
                // Data flowed, so it was neither missing nor forbidden.
                let cause = match reply.code {
                    // Of a data connection's protection; MKD says 521 for "exists".
                    521 | 522 => Cause::Tls,
                    _ if moved > 0 => Cause::Transfer,
                    _ => trouble.cause,
                };
                Self { cause, ..trouble }
            }
            Failure::NoRestart(reply) | Failure::NoType(reply) => {
                Self { code: Some(reply.code), ..Self::new(Cause::Transfer, failure.to_string()) }
            }
            Failure::NoChannel(_, code) => {
                let trouble = Self::new(Cause::Transfer, failure.to_string()).again(Again::Later);
                Self { code: *code, ..trouble }
            }
            Failure::Snag(snag) => Self::of_snag(*snag),
            Failure::Unclosed(_) => Self::of_snag(Snag::Unclosed),
            Failure::Bare(_) => Self::new(Cause::Transfer, failure.to_string()),
            Failure::Aborted => Self::new(Cause::Interrupted, "aborted"),
            Failure::Unsendable => Self::new(Cause::Usage, failure.to_string()),
        }
    }

    fn of_snag(snag: Snag) -> Self {
        let (cause, again) = match snag {
            Snag::Fault(Fault::Stalled | Fault::NeverConnected) => (Cause::TimedOut, Again::Later),
            Snag::Fault(Fault::Lost(_)) | Snag::Unclosed => (Cause::Transfer, Again::Later),
            Snag::Fault(Fault::Aborted) => (Cause::Interrupted, Again::Never),
            Snag::Handshake => (Cause::Tls, Again::Later),
            Snag::Impostor => (Cause::Tls, Again::Never),
            Snag::Fault(_) => (Cause::Local, Again::Never),
            Snag::Differs | Snag::Overlong | Snag::Endless => (Cause::Transfer, Again::Never),
        };
        Self::new(cause, snag.to_string()).again(again)
    }

    /// The end of a session that never came to its login.
    pub fn of_birth(death: &Death) -> Self {
        let trouble = Self::of_death(death);
        match death {
            Death::Closed | Death::Lost(_) | Death::Dismissed(_) => Self { cause: Cause::Connect, ..trouble },
            _ => trouble,
        }
    }

    /// The end of a session at work.
    pub fn of_death(death: &Death) -> Self {
        let text = death.to_string();
        match death {
            Death::Connect(_) => Self::new(Cause::Connect, text).again(Again::Later),
            Death::NoChannel(_) => Self::new(Cause::Transfer, text).again(Again::Later),
            Death::TimedOut(_) => Self::new(Cause::TimedOut, text).again(Again::Later),
            Death::Closed | Death::Lost(_) => Self::new(Cause::Transfer, text).again(Again::Later),
            Death::Abandoned => Self::new(Cause::Transfer, text).again(Again::Untried),
            Death::Dismissed(reply) => {
                let again = if reply.kind() == Kind::Transient { Again::Later } else { Again::Never };
                Self { code: Some(reply.code), ..Self::new(Cause::Transfer, text).again(again) }
            }
            Death::Login(reply) => {
                let again =
                    if is_crowded(reply) || reply.kind() == Kind::Transient { Again::Later } else { Again::Never };
                Self { code: Some(reply.code), ..Self::new(Cause::Login, text).again(again) }
            }
            // The host's profile says by now that it must be done otherwise.
            Death::OutOfStep(reply) => {
                Self { code: Some(reply.code), ..Self::new(Cause::Transfer, text).again(Again::Otherwise) }
            }
            Death::Garbage(_) => Self::new(Cause::Transfer, text),
            // Perhaps a word of somebody in between who has no room now.
            Death::NoFtp => Self::new(Cause::Connect, text).again(Again::Later),
            Death::Insecure(_) => Self::new(Cause::Tls, text),
            Death::Unresumed(reply) => {
                Self { code: Some(reply.code), ..Self::new(Cause::Tls, text).again(Again::Otherwise) }
            }
            Death::NotOld => Self::new(Cause::Tls, text).again(Again::Otherwise),
            Death::Left => Self::new(Cause::Interrupted, text),
        }
    }
}

/// Whether a refusal means "too many of you" rather than "not you". RFC 959 has no code for it: 421 is usual, 530 in
/// use, and then only the words tell.
pub fn is_crowded(reply: &Reply) -> bool {
    const WORDS: [&str; 6] = ["too many", "maximum", "limit", "connections", "already logged", "try again later"];
    let text = String::from_utf8_lossy(reply.text()).to_lowercase();
    reply.code == 421 || (matches!(reply.code, 430 | 530) && WORDS.iter().any(|word| text.contains(word)))
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
