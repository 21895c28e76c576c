//! The sandbox: what a process that serves can no longer do, whoever has taken it over.
//!
//! ```text
//!   shed: user, capabilities ──> sockets, files, logs are opened ──> enter: files and ports (Landlock), then calls (seccomp)
//! ```
//!
//! Each layer holds without the others. The keeper is in none of them: it starts processes, reads files and binds, and it
//! hears nobody but its children.
//!
//! What this kernel lacks is named in the log under `best-effort`, and keeps the server from starting under `required`.

mod calls;
pub mod privilege;
mod reach;

use std::fmt::Write as _;
use std::io;

pub use privilege::Rights;
pub use reach::{Needs, Touch, Walls};

use crate::server::settings::SandboxMode;
use reach::Built;

/// Set by tests: a call outside its list ends the process, and processes leave a core.
pub const AUDIT_VARIABLE: &str = "MINIFTPD_SANDBOX_AUDIT";

/// Which list of system calls is a process's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The loop.
    Worker,
    /// The hashes.
    Verifier,
}

/// Whether a refused call is to end the process. It only makes the sandbox stricter, so whoever sets the environment may.
pub fn is_audited() -> bool {
    std::env::var_os(AUDIT_VARIABLE).is_some()
}

/// Closes the sandbox around this process, and says in one line of the log what it is made of.
///
/// # Errors
/// Under `required`, whatever part is missing; a part that the kernel has and refuses, always.
pub fn enter(kind: Kind, mode: SandboxMode, rights: &Rights, needs: &Needs) -> io::Result<Walls> {
    let mut line = match kind {
        Kind::Worker => format!("worker {}: {rights}", std::process::id()),
        Kind::Verifier => format!("verifier {}: {rights}", std::process::id()),
    };
    if mode == SandboxMode::Off {
        log::warn!("{line}; sandbox: off");
        return Ok(Walls::Open);
    }
    let (walls, built) = reach::build(needs)?;
    let mut missing = Vec::new();
    // Writing to a String cannot fail.
    let _ = match built {
        Built::Whole => write!(line, "; no new privileges; Landlock: {} trees", needs.trees.len()),
        Built::Lacking(why) => {
            missing.push(why);
            write!(line, "; no new privileges")
        }
    };
    match calls::filter(kind) {
        Ok(count) => drop(write!(line, "; seccomp: {count} calls")),
        Err(error) => missing.push(format!("no seccomp ({error})")),
    }
    if missing.is_empty() {
        match rights {
            Rights::Root => log::warn!("{line}"),
            Rights::Own | Rights::Dropped(_) => log::info!("{line}"),
        }
        return Ok(walls);
    }
    let missing = missing.join(", ");
    if mode == SandboxMode::Required {
        return Err(io::Error::other(format!("sandbox.mode is \"required\", but {missing}")));
    }
    log::warn!("{line}; MISSING: {missing}");
    Ok(walls)
}
