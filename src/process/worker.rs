//! The worker's beginning: from the keeper's socket to the loop.

use std::io;
use std::os::fd::OwnedFd;

use super::packet::{Assembly, LARGEST_PACKET, Received, ToWorker, recv};
use super::sandbox::privilege;
use super::{Handover, wrong_text};
use crate::server::{self, Bound, Inheritance, Master, logging};

/// Hears what the keeper hands down, then serves.
pub fn run(keeper: OwnedFd) -> io::Result<()> {
    let Some(inheritance) = inherit(keeper)? else {
        return Ok(());
    };
    server::run(inheritance)
}

/// Receives listeners, verifier and settings; `None` when the keeper ends first.
fn inherit(keeper: OwnedFd) -> io::Result<Option<Inheritance>> {
    let mut buffer = vec![0; LARGEST_PACKET];
    let mut assembly = Assembly::default();
    let mut listeners = Vec::new();
    let mut verifier = None;
    let mut transfers = None;
    loop {
        let Received::Message(message, passed) = recv(&keeper, &mut buffer)? else {
            return Ok(None);
        };
        match (message, passed) {
            (ToWorker::Listener(door, label), Some(socket)) => {
                let listener = socket.into();
                listeners.push(Bound { door, label, listener });
            }
            (ToWorker::Verifier, passed) => verifier = passed,
            (ToWorker::TransferLog, passed) => transfers = passed,
            (ToWorker::Settings(chunk), _) => {
                if let Some(body) = assembly.add(chunk)? {
                    let inheritance = begin(&body, keeper, listeners)?;
                    unblock(verifier.as_ref())?;
                    return Ok(Some(Inheritance { verifier, transfers: transfers.map(Into::into), ..inheritance }));
                }
            }
            // Orders wait for the settings: the keeper sends those without a pause, so this is somebody else.
            _ => return Err(wrong_text("an order before the settings")),
        }
    }
}

/// Everything is handed over: from here on the process is who it will be.
fn begin(body: &[u8], keeper: OwnedFd, listeners: Vec<Bound>) -> io::Result<Inheritance> {
    let Handover { settings, accounts, announce } = Handover::read(body)?;
    logging::start(&settings.log);
    unblock(Some(&keeper))?;
    let rights = privilege::shed(settings.run_as.as_ref(), settings.sandbox)?;
    let master = Master::Keeper(keeper);
    Ok(Inheritance { settings, accounts, listeners, master, verifier: None, transfers: None, rights, announce })
}

fn unblock(socket: Option<&OwnedFd>) -> io::Result<()> {
    socket.map_or(Ok(()), |socket| Ok(rustix::io::ioctl_fionbio(socket, true)?))
}
