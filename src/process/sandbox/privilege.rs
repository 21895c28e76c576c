//! Rights given up for good: user, groups, capabilities, the way back to any of them.
//!
//! ```text
//!   started as root, `user` set ──> bounding set emptied ──> groups, gid, uid ──> all sets emptied ──> a way back? ── yes: abort
//!   started as root, no `user` ───> kept, and said so                                                       └─ no: Dropped
//!   started otherwise ────────────> all sets emptied ──> Own
//!   then: no new privileges, not dumpable
//! ```
//!
//! The order matters: only root may empty the bounding set, and groups cannot be changed once the user is. The calls work
//! on a thread, not on a process, and the server has one.

use std::fmt;
use std::io;

use rustix::process::{DumpableBehavior, Gid, Uid, getegid, geteuid, getgroups, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::server::settings::{RunAs, SandboxMode};

/// As whom a process goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// As whoever started it, who is not root.
    Own,
    /// As root, since nobody said who else.
    Root,
    /// As this user, without a way back.
    Dropped(RunAs),
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rights::Own => write!(f, "uid {}", geteuid().as_raw()),
            Rights::Root => f.write_str("root, since `user` is not set"),
            Rights::Dropped(RunAs { name, uid, gid }) => {
                write!(f, "user {name} (uid {uid}, gid {gid}), no capabilities, no way back")
            }
        }
    }
}

/// Whether this process may do what only root may.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Gives up what can be given up.
///
/// # Errors
/// Any refusal of the kernel, and any right that is still there afterwards: the process must not serve then.
pub fn shed(run_as: Option<&RunAs>, mode: SandboxMode) -> io::Result<Rights> {
    let rights = match (is_root(), run_as) {
        (true, Some(user)) => {
            drop_to(user).map_err(|e| saying(&format!("cannot become user {}", user.name), &e))?;
            Rights::Dropped(user.clone())
        }
        (true, None) => Rights::Root,
        (false, _) if mode == SandboxMode::Off => Rights::Own,
        (false, _) => {
            give_up_capabilities().map_err(|e| saying("cannot give up capabilities", &e))?;
            Rights::Own
        }
    };
    if mode != SandboxMode::Off || matches!(rights, Rights::Dropped(_)) {
        harden().map_err(|e| saying("cannot refuse new privileges", &e))?;
    }
    Ok(rights)
}

/// Does something as a user, and comes back: for whoever wants to know what that user could do. Root only.
///
/// # Errors
/// A refusal of the kernel, going or coming back.
pub fn trying_as<T>(user: &RunAs, what: impl FnOnce() -> T) -> io::Result<T> {
    let (root, wheel, groups) = (Uid::ROOT, getegid(), getgroups()?);
    set_thread_groups(&[])?;
    set_thread_res_gid(wheel, Gid::from_raw(user.gid), wheel)?;
    set_thread_res_uid(root, Uid::from_raw(user.uid), root)?;
    let done = what();
    set_thread_res_uid(root, root, root)?;
    set_thread_res_gid(wheel, wheel, wheel)?;
    set_thread_groups(&groups)?;
    Ok(done)
}

/// No program started from here gains rights, and nobody of the same user may look into this process or have its core.
/// When calls are audited the core is what is wanted.
pub fn harden() -> io::Result<()> {
    set_no_new_privs(true)?;
    if !super::is_audited() {
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

fn drop_to(user: &RunAs) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            Err(_) => break, // past the last one this kernel knows
        }
    }
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    give_up_capabilities()?;
    no_way_back()
}

fn give_up_capabilities() -> io::Result<()> {
    let none = CapabilitySet::empty();
    clear_ambient_capability_set()?;
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    let left = capabilities(None)?;
    let all = left.effective | left.permitted | left.inheritable;
    if all.is_empty() { Ok(()) } else { Err(io::Error::other("capabilities are left")) }
}

/// Asks for everything back. What is granted was not given up: kernels, containers and security modules have had such holes.
fn no_way_back() -> io::Result<()> {
    let (root, wheel) = (Uid::ROOT, Gid::ROOT);
    let regained = set_thread_res_uid(root, root, root).is_ok()
        || set_thread_res_gid(wheel, wheel, wheel).is_ok()
        || set_thread_groups(&[wheel]).is_ok();
    match regained || is_root() || !getgroups()?.is_empty() {
        true => Err(io::Error::other("root's rights can be regained")),
        false => Ok(()),
    }
}

fn saying(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
