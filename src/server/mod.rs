//! The server: Server-PI and Server-DTP of Figure 1, and what they are told.

pub mod accounts;
pub mod check;
pub mod logging;
pub mod settings;
pub mod stamp;
pub mod transfer_log;

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use accounts::Account;
use settings::{Invocation, ListenAddr, Settings};

/// What the process tree hands to the loop.
#[derive(Debug)]
pub struct Inheritance {
    /// The settings, complete.
    pub settings: Settings,
    /// The accounts, without their hashes; empty when there are none.
    pub accounts: Vec<Account>,
    /// The control listeners: bound, listening, non-blocking.
    pub listeners: Vec<Bound>,
    /// Who sends orders.
    pub master: Master,
    /// A SEQPACKET socket to the verifier, where there are accounts.
    pub verifier: Option<OwnedFd>,
}

/// A listening socket and the address it was configured with.
#[derive(Debug)]
pub struct Bound {
    /// The address as configured; the socket knows the one it got.
    pub label: ListenAddr,
    /// The socket.
    pub listener: TcpListener,
}

/// Who sends orders to the loop.
#[derive(Debug)]
pub enum Master {
    /// Nobody: the loop owns the signals and reads the files again itself.
    Alone {
        /// What to read again.
        invocation: Invocation,
    },
    /// A SEQPACKET socket to the keeper. Its end of file means that the keeper is gone, and the loop must end.
    Keeper(OwnedFd),
}

/// Serves until drained.
pub fn run(inheritance: Inheritance) -> std::io::Result<()> {
    use crate::process::packet::{FromWorker, LARGEST_PACKET, Received, ToWorker, recv, send};
    for bound in &inheritance.listeners {
        logging::announce(&bound.listener.local_addr()?.to_string());
    }
    let Master::Keeper(keeper) = inheritance.master else {
        return Ok(());
    };
    send(&keeper, &FromWorker::Ready, None)?;
    rustix::io::ioctl_fionbio(&keeper, false)?;
    let mut buffer = vec![0; LARGEST_PACKET];
    loop {
        match recv(&keeper, &mut buffer)? {
            Received::Message(ToWorker::Drain | ToWorker::Stop, _) | Received::Closed => {
                return Ok(());
            }
            Received::Message(message, _) => log::info!("{message:?}"),
        }
    }
}

/// The table of session states, for `--states`.
pub fn states() -> String {
    String::new()
}

/// The table of verbs and replies, for `--replies`.
pub fn replies() -> String {
    String::new()
}
