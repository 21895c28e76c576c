//! The worker's beginning: from the keeper's socket to the loop.

use std::io;
use std::os::fd::OwnedFd;

use super::packet::{Assembly, LARGEST_PACKET, Received, ToWorker, recv};
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
            (ToWorker::Settings(chunk), _) => {
                if let Some(body) = assembly.add(chunk)? {
                    return begin(&body, keeper, listeners, verifier).map(Some);
                }
            }
            // Orders wait for the settings: the keeper sends those without a pause, so this is somebody else.
            _ => return Err(wrong_text("an order before the settings")),
        }
    }
}

fn begin(body: &[u8], keeper: OwnedFd, listeners: Vec<Bound>, verifier: Option<OwnedFd>) -> io::Result<Inheritance> {
    let Handover { settings, accounts } = Handover::read(body)?;
    logging::start(&settings.log);
    for socket in [Some(&keeper), verifier.as_ref()].into_iter().flatten() {
        rustix::io::ioctl_fionbio(socket, true)?;
    }
    Ok(Inheritance { settings, accounts, listeners, master: Master::Keeper(keeper), verifier })
}
