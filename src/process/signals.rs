//! The keeper's signals, as something to poll for.
//!
//! A handler may do next to nothing, so each signal sets its flag and writes a byte to one socket that all share; the flag is
//! set first, so whoever reads the byte finds it.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::low_level::pipe;

/// What a signal asks of the keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// SIGTERM, SIGINT.
    End,
    /// SIGHUP.
    Reload,
    /// SIGUSR1.
    Summary,
}

const ORDERS: [(i32, Order); 4] =
    [(SIGTERM, Order::End), (SIGINT, Order::End), (SIGHUP, Order::Reload), (SIGUSR1, Order::Summary)];

/// Signals taken from their default ways. SIGCHLD wakes too, and is no order: the keeper looks at its children at each wake.
pub struct Signals {
    bell: UnixStream,
    flags: Vec<(Arc<AtomicBool>, Order)>,
}

impl Signals {
    /// Takes the signals over, for the rest of the process.
    pub fn new() -> io::Result<Self> {
        let (bell, rope) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let mut flags = Vec::new();
        for (signal, order) in ORDERS {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            pipe::register(signal, rope.try_clone()?)?;
            flags.push((flag, order));
        }
        pipe::register(SIGCHLD, rope)?;
        Ok(Signals { bell, flags })
    }

    /// The orders that came since the last call. A signal sent twice meanwhile is one order, as signals are.
    pub fn take(&mut self) -> Vec<Order> {
        let mut bytes = [0; 64];
        // Leftover bytes only wake once more.
        let _ = self.bell.read(&mut bytes);
        let came = self.flags.iter().filter(|(flag, _)| flag.swap(false, Ordering::Acquire));
        came.map(|&(_, order)| order).collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// Makes a child deaf to what the keeper answers. A service manager signals every process of the tree, and a child that
/// obeyed would end before the keeper's order to drain. Setting a flag nobody reads is as good as ignoring.
pub fn leave_to_the_keeper() -> io::Result<()> {
    for (signal, _) in ORDERS {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}
