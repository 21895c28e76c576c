//! The verifier: the one process that knows hashes, and the one that computes them.
//!
//! It checks one password at a time, in the order asked, so its memory has a bound whatever the clients do. It reads no
//! network, and says nothing but right or wrong.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};

use super::packet::{Assembly, FromVerifier, Instruction, LARGEST_PACKET, Received, ToVerifier, recv, send};
use super::secret::LONGEST_PASSWORD;
use super::{Secrets, decode, wrong_text};
use crate::server::accounts::{Credential, Hash};
use crate::server::logging;

/// Serves until either socket closes.
pub fn run(keeper: OwnedFd) -> io::Result<()> {
    // A core file would hold passwords. Nothing depends on it, so a refusal ends nothing.
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    let mut verifier =
        Verifier { keeper, assembly: Assembly::default(), book: Book::default(), buffer: vec![0; LARGEST_PACKET] };
    let Some(worker) = verifier.await_worker()? else {
        return Ok(());
    };
    verifier.serve(&worker)
}

struct Verifier {
    keeper: OwnedFd,
    assembly: Assembly,
    book: Book,
    buffer: Vec<u8>,
}

impl Verifier {
    /// Hears the keeper until it hands over the worker's socket; `None` when it ends first.
    fn await_worker(&mut self) -> io::Result<Option<OwnedFd>> {
        loop {
            match recv(&self.keeper, &mut self.buffer)? {
                Received::Message(Instruction::Secrets(chunk), _) => {
                    self.learn(chunk)?;
                }
                Received::Message(Instruction::Worker, socket) => return Ok(socket),
                Received::Closed => return Ok(None),
            }
        }
    }

    fn serve(&mut self, worker: &OwnedFd) -> io::Result<()> {
        loop {
            let (news, checks) = self.wait(worker)?;
            // The keeper first: a password changed before a login is asked counts for it.
            if news && self.hear_keeper()? == Heard::End {
                return Ok(());
            }
            if checks && self.check(worker)? == Heard::End {
                return Ok(());
            }
        }
    }

    fn wait(&self, worker: &OwnedFd) -> io::Result<(bool, bool)> {
        let mut fds = [PollFd::new(&self.keeper, PollFlags::IN), PollFd::new(worker, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
        let [news, checks] = fds.map(|fd| !fd.revents().is_empty());
        Ok((news, checks))
    }

    fn hear_keeper(&mut self) -> io::Result<Heard> {
        match recv(&self.keeper, &mut self.buffer)? {
            Received::Message(Instruction::Secrets(chunk), _) => {
                self.learn(chunk)?;
                Ok(Heard::More)
            }
            // A second worker is no part of the protocol.
            Received::Message(Instruction::Worker, _) => Err(wrong_text("a second worker")),
            Received::Closed => Ok(Heard::End),
        }
    }

    fn learn(&mut self, chunk: super::packet::Chunk) -> io::Result<()> {
        let Some(mut body) = self.assembly.add(chunk)? else {
            return Ok(());
        };
        let secrets: Secrets = decode(&body)?;
        logging::start(&secrets.log);
        self.book = Book::new(&secrets.credentials);
        super::secret::wipe(&mut body);
        Ok(())
    }

    fn check(&mut self, worker: &OwnedFd) -> io::Result<Heard> {
        let asked = recv(worker, &mut self.buffer)?;
        let Received::Message(ToVerifier::Check { id, user, password }, _) = asked else {
            return Ok(Heard::End);
        };
        let right = self.book.judge(&user, password.as_bytes());
        drop(password);
        match send(worker.as_fd(), &FromVerifier::Verdict { id, right }, None) {
            Ok(()) => Ok(Heard::More),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Heard::End),
            Err(e) => Err(e),
        }
    }
}

#[derive(PartialEq, Eq)]
enum Heard {
    More,
    End,
}

/// The accounts' hashes, and a stand-in for every other name.
#[derive(Default)]
struct Book {
    hashes: Vec<Hash>,
    by_name: HashMap<Vec<u8>, usize>,
    state: RandomState,
}

impl Book {
    fn new(credentials: &[Credential]) -> Self {
        let mut book = Book::default();
        for Credential { name, hash } in credentials {
            if let Some(Ok(hash)) = hash.as_deref().map(Hash::parse) {
                book.by_name.insert(name.clone().into_bytes(), book.hashes.len());
                book.hashes.push(hash);
            }
        }
        book
    }

    /// Whether `password` is `user`'s. A name without a usable hash takes the time of one that has one.
    fn judge(&self, user: &[u8], password: &[u8]) -> bool {
        // Known or not, a password this long is refused at the same speed.
        if password.len() > LONGEST_PASSWORD {
            return false;
        }
        match self.by_name.get(user).and_then(|&place| self.hashes.get(place)) {
            Some(hash) => hash.verify(password),
            None => {
                self.stand_in(user).verify(password);
                false
            }
        }
    }

    /// The hash an unknown name is checked against: always the same one for the same name, of the families and costs that
    /// the accounts have and as often as they have them. One fixed stand-in would give unknown names away wherever
    /// accounts use anything else.
    fn stand_in(&self, user: &[u8]) -> Hash {
        let pick = usize::try_from(self.state.hash_one(user) >> 33).unwrap_or(0);
        let place = pick.checked_rem(self.hashes.len()).unwrap_or(0);
        self.hashes.get(place).cloned().unwrap_or_else(Hash::nobody)
    }
}

#[cfg(test)]
mod tests;
