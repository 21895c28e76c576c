//! Descriptors that whoever started the server had open: a shell's redirections, another daemon's files. They are none of
//! its business, and a process that faces the network would hold them behind every wall around it.
//!
//! ```text
//!   strays? ── none ──> on
//!      └── some: marked to be closed ──> this very program again, in the same process ──> strays? none
//! ```
//!
//! Closing a number that may be somebody's is `unsafe`; an exec closes what is marked, and marking is not.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Standard input, output and error.
const STANDARD: i32 = 3;

/// Goes on without strays: returns when there are none, and by beginning anew otherwise. Without /proc there is no telling.
///
/// # Errors
/// A stray that stays, or a program that cannot be started again.
pub fn leave_behind() -> io::Result<()> {
    let given = handed_over();
    let strays =
        || fs::read_dir("/proc/self/fdinfo").is_ok_and(|all| all.flatten().any(|one| is_stray(&one.path(), &given)));
    if !strays() {
        return Ok(());
    }
    close_fds::set_fds_cloexec(STANDARD, &given.clone().collect::<Vec<_>>());
    // Begun anew with them the server would begin anew for ever.
    if strays() {
        return Err(io::Error::other("descriptors from whoever started it cannot be closed"));
    }
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| OsString::from("miniftpd"));
    let error = Command::new(own_binary()).arg0(name).args(words).exec();
    Err(io::Error::new(error.kind(), format!("cannot begin anew without inherited descriptors: {error}")))
}

/// The sockets of a service manager (`sd_listen_fds(3)`), by the rules of the crate that takes them later.
fn handed_over() -> Range<i32> {
    let number = |name: &str| std::env::var(name).ok().and_then(|word| word.parse::<i32>().ok());
    let for_us = match std::env::var("LISTEN_PID") {
        Ok(word) if !word.is_empty() => word.parse() == Ok(std::process::id()),
        Ok(_) | Err(std::env::VarError::NotPresent) => true,
        Err(std::env::VarError::NotUnicode(_)) => false,
    };
    let first = number("LISTEN_FDS_FIRST_FD").unwrap_or(STANDARD).max(STANDARD);
    let count = number("LISTEN_FDS").filter(|_| for_us).unwrap_or(0).max(0);
    first..first.saturating_add(count)
}

/// Whether an entry of fdinfo is a descriptor that an exec would leave open, and nobody has handed over.
fn is_stray(entry: &Path, given: &Range<i32>) -> bool {
    let number = entry.file_name().and_then(|name| name.to_str()?.parse::<i32>().ok());
    if number.is_none_or(|number| number < STANDARD || given.contains(&number)) {
        return false;
    }
    // The one that lists them is gone by now.
    let Ok(text) = fs::read_to_string(entry) else { return false };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|word| u32::from_str_radix(word.trim(), 8).ok());
    flags.is_some_and(|flags| flags & rustix::fs::OFlags::CLOEXEC.bits() == 0)
}

/// By its name, so that it keeps it in lists of processes; when its file has been replaced meanwhile, by the link to it.
fn own_binary() -> PathBuf {
    let link = PathBuf::from("/proc/self/exe");
    std::env::current_exe().ok().filter(|path| path.exists()).unwrap_or(link)
}
