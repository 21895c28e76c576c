//! Who may tell the server to stop: signals when it runs alone, the keeper's messages otherwise.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;

use crate::process::packet::{Assembly, FromWorker, LARGEST_PACKET, Received, ToWorker, recv, send};
use crate::reactor::{Next, Ready, Sockets};

/// What the master wants.
#[derive(Debug)]
pub enum Command {
    /// End when the transfers have ended; the second time, end now.
    Drain,
    /// End now.
    Stop,
    /// Read the files again.
    Reload,
    /// The files as the keeper has read them, and the transfer log as it has opened it.
    Handed(Vec<u8>, Option<OwnedFd>),
    /// The way to a new verifier.
    Verifier(OwnedFd),
    /// Say in the log what there is.
    Summary,
}

/// Where commands come from.
pub enum MasterLink {
    /// The process's own signals.
    Signals(Signals),
    /// The keeper.
    Keeper {
        /// The SEQPACKET socket to it.
        socket: OwnedFd,
        /// A reload that is arriving in pieces.
        reload: Assembly,
        /// The transfer log that belongs to it.
        transfers: Option<OwnedFd>,
    },
}

impl fmt::Debug for MasterLink {
    /// The signal crate's type has none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signals(_) => "signals",
            Self::Keeper { .. } => "keeper",
        })
    }
}

impl MasterLink {
    /// Listens to the process's signals.
    ///
    /// # Errors
    /// When handlers cannot be installed.
    pub fn signals() -> io::Result<Self> {
        Ok(Self::Signals(Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?))
    }

    /// Listens to the keeper.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking.
    pub fn keeper(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self::Keeper { socket, reload: Assembly::default(), transfers: None })
    }

    /// Has its edges told.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn register(&mut self, sockets: Sockets<'_>) -> io::Result<()> {
        match self {
            Self::Signals(signals) => sockets.register(signals),
            Self::Keeper { socket, .. } => sockets.register(&mut SourceFd(&socket.as_raw_fd())),
        }
    }

    /// Tells the keeper something; alone there is nobody to tell.
    pub fn tell(&self, message: &FromWorker) {
        if let Self::Keeper { socket, .. } = self
            && let Err(error) = send(socket, message, None)
        {
            log::error!("cannot tell the keeper: {error}");
        }
    }

    /// One turn: everything that was said meanwhile. Without a keeper there is no reason to live on.
    pub fn advance(&mut self, ready: &mut Ready, mut commanded: impl FnMut(Command)) -> Next {
        if ready.take(Ready::EXPIRED) {
            commanded(Command::Stop);
        }
        match self {
            Self::Signals(signals) => {
                ready.clear(Ready::READ);
                for signal in signals.pending() {
                    match signal {
                        SIGHUP => commanded(Command::Reload),
                        SIGUSR1 => commanded(Command::Summary),
                        _ => commanded(Command::Drain),
                    }
                }
                Next::Sleep
            }
            Self::Keeper { socket, reload, transfers } => hear(socket, reload, transfers, ready, commanded),
        }
    }
}

fn hear(
    socket: &OwnedFd,
    reload: &mut Assembly,
    transfers: &mut Option<OwnedFd>,
    ready: &mut Ready,
    mut commanded: impl FnMut(Command),
) -> Next {
    let mut buffer = vec![0; LARGEST_PACKET];
    while ready.has(Ready::READ) {
        match recv::<ToWorker>(socket, &mut buffer) {
            Ok(Received::Message(message, passed)) => match (message, passed) {
                (ToWorker::Drain, _) => commanded(Command::Drain),
                (ToWorker::Stop, _) => commanded(Command::Stop),
                (ToWorker::Summary, _) => commanded(Command::Summary),
                (ToWorker::Verifier, Some(socket)) => commanded(Command::Verifier(socket)),
                (ToWorker::TransferLog, file) => *transfers = file,
                (ToWorker::Reload(chunk), _) => match reload.add(chunk) {
                    Ok(Some(body)) => commanded(Command::Handed(body, transfers.take())),
                    Ok(None) => {}
                    Err(error) => return forsaken(&error, commanded),
                },
                (other, _) => log::error!("the keeper says {other:?} at the wrong time"),
            },
            Ok(Received::Closed) => return forsaken(&io::ErrorKind::UnexpectedEof.into(), commanded),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear(Ready::READ),
            Err(error) => return forsaken(&error, commanded),
        }
    }
    Next::Sleep
}

fn forsaken(error: &io::Error, mut commanded: impl FnMut(Command)) -> Next {
    log::error!("the keeper is gone, ending: {error}");
    commanded(Command::Stop);
    Next::Close
}
