//! The verifier: the one process that knows hashes, and the one that computes them.
//!
//! It checks one password at a time, in the order asked and one of each worker in turn, so its memory has a bound whatever
//! the clients do. It reads no network, and says nothing but right or wrong.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};

use super::packet::{Assembly, FromVerifier, Instruction, LARGEST_PACKET, Received, ToVerifier, recv, send};
use super::sandbox::{Kind, Needs, enter, privilege};
use super::secret::LONGEST_PASSWORD;
use super::{Secrets, decode};
use crate::server::accounts::{Credential, Hash};
use crate::server::logging;

/// Serves until the keeper's socket closes.
pub fn run(keeper: OwnedFd) -> io::Result<()> {
    // A core file would hold passwords. Nothing depends on it, so a refusal ends nothing.
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    let mut verifier = Verifier {
        keeper,
        assembly: Assembly::default(),
        book: Book::default(),
        buffer: vec![0; LARGEST_PACKET],
        workers: Vec::new(),
    };
    let Some(Secrets { run_as, sandbox, .. }) = verifier.await_secrets()? else {
        return Ok(());
    };
    let rights = privilege::shed(run_as.as_ref(), sandbox)?;
    // It opens nothing and connects to nobody.
    enter(Kind::Verifier, sandbox, &rights, &Needs::default())?;
    verifier.serve()
}

struct Verifier {
    keeper: OwnedFd,
    assembly: Assembly,
    book: Book,
    buffer: Vec<u8>,
    workers: Vec<OwnedFd>,
}

impl Verifier {
    /// Hears the keeper until the secrets are complete; `None` when it ends first.
    fn await_secrets(&mut self) -> io::Result<Option<Secrets>> {
        loop {
            match recv(&self.keeper, &mut self.buffer)? {
                Received::Message(Instruction::Secrets(chunk), _) => {
                    if let Some(secrets) = self.learn(chunk)? {
                        return Ok(Some(secrets));
                    }
                }
                Received::Message(Instruction::Worker, socket) => self.workers.extend(socket),
                Received::Closed => return Ok(None),
            }
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            let (news, asking) = self.wait()?;
            // The keeper first: a password changed before a login is asked counts for it.
            if news && self.hear_keeper()? == Heard::End {
                return Ok(());
            }
            // From behind, so that those who end do not move those who are still to be heard.
            for place in asking.into_iter().rev() {
                if self.check(place)? == Heard::End {
                    self.workers.swap_remove(place);
                }
            }
        }
    }

    /// Waits for anybody; tells whether the keeper has something to say, and the places of the workers that have.
    fn wait(&self) -> io::Result<(bool, Vec<usize>)> {
        let all = std::iter::once(&self.keeper).chain(&self.workers);
        let mut fds: Vec<PollFd<'_>> = all.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
        let mut heard = fds.iter().map(|fd| !fd.revents().is_empty());
        let news = heard.next().unwrap_or(false);
        Ok((news, heard.enumerate().filter_map(|(place, heard)| heard.then_some(place)).collect()))
    }

    fn hear_keeper(&mut self) -> io::Result<Heard> {
        match recv(&self.keeper, &mut self.buffer)? {
            Received::Message(Instruction::Secrets(chunk), _) => {
                self.learn(chunk)?;
                Ok(Heard::More)
            }
            Received::Message(Instruction::Worker, socket) => {
                self.workers.extend(socket);
                Ok(Heard::More)
            }
            Received::Closed => Ok(Heard::End),
        }
    }

    fn learn(&mut self, chunk: super::packet::Chunk) -> io::Result<Option<Secrets>> {
        let Some(mut body) = self.assembly.add(chunk)? else {
            return Ok(None);
        };
        let secrets: Secrets = decode(&body)?;
        logging::start(&secrets.log);
        self.book = Book::new(&secrets.credentials);
        super::secret::wipe(&mut body);
        Ok(Some(secrets))
    }

    /// Answers one question. A worker that has ended is forgotten; one that talks nonsense is not what it was, and all of them
    /// get a verifier that it has not talked to.
    fn check(&mut self, place: usize) -> io::Result<Heard> {
        let Some(worker) = self.workers.get(place) else { return Ok(Heard::More) };
        let asked = match recv(worker, &mut self.buffer) {
            Ok(Received::Message(asked, _)) => asked,
            Ok(Received::Closed) => return Ok(Heard::End),
            // It was killed with an answer unread.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(Heard::End),
            Err(e) => return Err(e),
        };
        let ToVerifier::Check { id, user, password } = asked;
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
