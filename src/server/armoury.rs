//! Keys for control connections and cloaks for data connections: where the loop meets TLS.

use std::io;

use super::dtp::{Cloak, Errand};
use super::world::SessionKeys;
use super::{Conn, Server};
use crate::reactor::Key;
use crate::transfer::{Job, Protection};

#[cfg(feature = "tls")]
impl Server {
    /// Makes the keyring that the settings ask for. Sessions go on with the one they began with.
    ///
    /// # Errors
    /// What is wrong with certificate and key.
    pub(super) fn forge(&mut self) -> io::Result<()> {
        let made = self.world.settings.tls.as_ref().map(super::tls::Keyring::new).transpose();
        self.world.keyring = made.map_err(io::Error::other)?.map(std::rc::Rc::new);
        Ok(())
    }

    /// A control connection becomes private: at once where it begins so, else when its 234 is out.
    pub(super) fn secure(&mut self, key: Key, keys: SessionKeys) {
        let begun = self.with_control(key, |control, turn| {
            let tls = keys.control(control.take_early())?;
            match control.session().begins_covered() {
                true => control.secure_at_once(keys, tls, turn),
                false => control.secure(keys, tls),
            }
            Ok::<(), io::Error>(())
        });
        match begun {
            Some(Ok(())) => self.reactor.run_again(key),
            Some(Err(error)) => {
                log::error!("cannot begin TLS: {error}");
                self.closing.push(key);
            }
            None => {}
        }
    }

    /// Puts a session's job into what its data connection has to wear.
    pub(super) fn cloaked(&mut self, by: Key, job: Job, protection: Protection) -> io::Result<Errand> {
        use super::tls::Direction;
        let direction =
            if matches!(job.flow, crate::transfer::Flow::Send(_)) { Direction::Download } else { Direction::Upload };
        let cloak = match (protection, self.reactor.slot_mut(by).map(|slot| &slot.conn)) {
            (Protection::Private, Some(Conn::Control(control))) => match &control.keys {
                Some(keys) => {
                    let session = control.session();
                    let who = format!("{}@{}", session.user().unwrap_or("-"), session.peer());
                    let (tls, terms) = keys.data(direction, who.into())?;
                    Cloak::Tls(Box::new(tls), terms)
                }
                None => return Err(io::Error::other("PROT P without TLS")),
            },
            _ => Cloak::None,
        };
        Ok(Errand { job, cloak })
    }
}

#[cfg(not(feature = "tls"))]
impl Server {
    /// There is nothing to be made.
    pub(super) const fn forge(&self) -> io::Result<()> {
        Ok(())
    }

    /// Nobody has keys.
    pub(super) const fn secure(&self, _: Key, keys: SessionKeys) {
        match keys {}
    }

    /// Every data connection is in the clear.
    pub(super) fn cloaked(&mut self, by: Key, job: Job, protection: Protection) -> io::Result<Errand> {
        match (protection, self.reactor.slot_mut(by).map(|slot| &slot.conn)) {
            (Protection::Clear, Some(Conn::Control(_))) => Ok(Errand { job, cloak: Cloak::None }),
            _ => Err(io::Error::other("no TLS in this program")),
        }
    }
}
