//! One child of the keeper: started, heard, given up, waited for, started again.
//!
//! ```text
//!              start                socket closed, let go, distrusted
//!   Absent ──────────────> Running ─────────────────────────────────> Leaving
//!     ▲ due after a pause     │                                          │ past its deadline: killed
//!     └───────────────────────┴──────────── reaped ──────────────────────┘
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::VERIFIER;
use super::packet::{Message, send};
use super::secret::PASSWORD_VARIABLE;

/// The pause before a first restart: nobody notices it, and a child that dies at once does not busy the machine.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause; each failure doubles it until there.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A child that lived this long failed for a new reason: the pauses begin again.
const LIVED: Duration = Duration::from_secs(60);
/// What a child gets between the end of its socket and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// A child that takes no packet for this long is stuck. The keeper must not be stuck with it: it has signals to answer.
const SEND_PATIENCE: Duration = Duration::from_secs(5);

/// A child's place in the tree, whether it is there or not.
pub struct Place {
    name: &'static str,
    state: State,
    failures: u32,
}

enum State {
    /// Not there; to be started again from `due` on.
    Absent { due: Instant },
    /// At work.
    Running { child: Child, socket: OwnedFd, since: Instant },
    /// Its socket is closed, which tells it to end.
    Leaving { child: Child, deadline: Instant },
}

impl Place {
    /// An empty place; `name` is the child's argv[0], by which it knows what it is.
    pub fn new(name: &'static str) -> Self {
        let state = State::Absent { due: Instant::now() };
        Place { name, state, failures: 0 }
    }

    /// Whether the child is absent and may be started.
    pub fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Absent { due } if due <= now)
    }

    /// How often the child has ended since it last lived long.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the child is at work.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// The child's process, if there is one.
    pub fn process(&self) -> Option<u32> {
        match &self.state {
            State::Running { child, .. } | State::Leaving { child, .. } => Some(child.id()),
            State::Absent { .. } => None,
        }
    }

    /// The socket to a running child.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Running { socket, .. } => Some(socket.as_fd()),
            State::Absent { .. } | State::Leaving { .. } => None,
        }
    }

    /// Starts the child. A failure counts as one of the child's own.
    pub fn start(&mut self, now: Instant) -> io::Result<()> {
        match spawn(self.name) {
            Ok((child, socket)) => {
                let since = now;
                self.state = State::Running { child, socket, since };
                Ok(())
            }
            Err(e) => {
                self.fail(now);
                Err(e)
            }
        }
    }

    /// Sends to the child, if it runs; one that does not take its packets is given up.
    pub fn tell(&mut self, message: &impl Message, passed: Option<BorrowedFd<'_>>) {
        let Some(socket) = self.socket() else {
            return;
        };
        if let Err(e) = send(socket, message, passed) {
            self.distrust(&e.to_string());
        }
    }

    /// Closes the child's socket and gives it time to end.
    pub fn let_go(&mut self, now: Instant) {
        self.leave(now + GRACE);
    }

    /// Ends a child that is stuck or talks nonsense.
    pub fn distrust(&mut self, why: &str) {
        log::error!("{}: {why}; ending it", self.name);
        let now = Instant::now();
        self.leave(now);
        self.kill_late(now);
    }

    fn leave(&mut self, deadline: Instant) {
        let absent = State::Absent { due: deadline };
        self.state = match std::mem::replace(&mut self.state, absent) {
            State::Running { child, since, .. } => {
                self.count(since);
                State::Leaving { child, deadline }
            }
            other => other,
        };
    }

    /// Kills a child whose time is up.
    pub fn kill_late(&mut self, now: Instant) {
        if let State::Leaving { child, deadline } = &mut self.state
            && *deadline <= now
        {
            // Fails for a child that has ended, which reaping finds out.
            let _ = child.kill();
            *deadline = now + GRACE;
        }
    }

    /// Whether a running child's process has ended. What it said before may still be heard.
    pub fn has_ended(&mut self) -> bool {
        match &mut self.state {
            State::Running { child, .. } => !matches!(child.try_wait(), Ok(None)),
            State::Absent { .. } | State::Leaving { .. } => false,
        }
    }

    /// The child's status, if it has ended; its place is absent then, and due after a pause.
    pub fn reap(&mut self, now: Instant) -> Option<ExitStatus> {
        let (child, since) = match &mut self.state {
            State::Absent { .. } => return None,
            State::Running { child, since, .. } => (child, Some(*since)),
            State::Leaving { child, .. } => (child, None),
        };
        // An error means that somebody else has waited for it: it is gone, and nobody knows how.
        let status = child.try_wait().unwrap_or_else(|_| Some(ExitStatus::default()))?;
        if let Some(since) = since {
            self.count(since);
        }
        self.fail(now);
        Some(status)
    }

    /// When an absent child may be started.
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Absent { due } => Some(due),
            State::Running { .. } | State::Leaving { .. } => None,
        }
    }

    /// When a leaving child is to be killed.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Leaving { deadline, .. } => Some(deadline),
            State::Absent { .. } | State::Running { .. } => None,
        }
    }

    /// Whether no process is left.
    pub fn is_absent(&self) -> bool {
        matches!(self.state, State::Absent { .. })
    }

    fn count(&mut self, since: Instant) {
        if since.elapsed() >= LIVED {
            self.failures = 0;
        }
    }

    fn fail(&mut self, now: Instant) {
        let pause = pause(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Absent { due: now + pause };
    }
}

fn pause(failures: u32) -> Duration {
    let factor = 2u32.saturating_pow(failures);
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

/// Starts this very binary again: the address space a child works in has seen no file, no password and no client.
fn spawn(name: &str) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&ours, Timeout::Send, Some(SEND_PATIENCE))?;
    let child = Command::new(own_binary()?)
        .arg0(name)
        .env_remove(PASSWORD_VARIABLE)
        .envs(allocation(name))
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        // A terminal's Ctrl-C goes to its whole group; only the keeper is to hear it.
        .process_group(0)
        .spawn()?;
    Ok((child, ours))
}

/// Has a verifier's C library map each hash's memory by itself and give it back afterwards. Left alone, glibc takes to
/// serving such sizes from its heap, which aligned blocks of 19 MiB fragment: 140 MiB stayed resident after 50 logins.
/// The others' buffers are better off in the heap.
fn allocation(name: &str) -> Option<(&'static str, &'static str)> {
    (name == VERIFIER).then_some(("MALLOC_MMAP_THRESHOLD_", "262144"))
}

/// The link leads to the running binary even when its file has been replaced or removed.
fn own_binary() -> io::Result<std::path::PathBuf> {
    let link = Path::new("/proc/self/exe");
    match link.exists() {
        true => Ok(link.to_owned()),
        false => std::env::current_exe(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        assert_eq!(pause(0), FIRST_PAUSE);
        assert_eq!(pause(3), FIRST_PAUSE * 8);
        assert_eq!(pause(7), LONGEST_PAUSE);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
