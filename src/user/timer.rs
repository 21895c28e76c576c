//! A timer finer than the poller's, which counts in milliseconds.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::reactor::{Ready, Sockets};

/// A timer as a descriptor.
#[derive(Debug)]
pub(super) struct Timer(OwnedFd);

impl Timer {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?))
    }

    pub(super) fn register(&self, sockets: Sockets<'_>) -> io::Result<()> {
        sockets.register(&mut SourceFd(&self.0.as_raw_fd()))
    }

    /// Goes off once, after `span`; a later call replaces an earlier one.
    pub(super) fn set(&self, span: Duration) -> io::Result<()> {
        // Zero would stop it.
        let value = Timespec::try_from(span.max(Duration::from_nanos(1))).map_err(io::Error::other)?;
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Whether it has gone off.
    pub(super) fn has_rung(&self, ready: &mut Ready) -> bool {
        ready.clear(Ready::READ);
        let mut count = [0; 8];
        rustix::io::read(&self.0, &mut count).is_ok()
    }
}
