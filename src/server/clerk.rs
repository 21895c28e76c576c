//! The way to the verifier: the loop never computes a hash, it asks and is told.
//!
//! One question is under way at a time, since the verifier works on one hash at a time anyway; the others wait here,
//! where a session that gives up can be forgotten, and not in a socket buffer.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use mio::unix::SourceFd;
use std::os::fd::AsRawFd;

use crate::process::packet::{FromVerifier, LARGEST_PACKET, Received, ToVerifier, recv, send};
use crate::process::secret::Secret;
use crate::reactor::{Key, Next, Ready, Sockets};
use crate::server::pi::Verdict;

/// Logins that may wait for their turn. At 16 hashes a second the last of them waits half a minute; whoever comes
/// after that is better told to come back.
const QUEUE: usize = 512;

/// A socket to the verifier and the logins that wait for it.
#[derive(Debug)]
pub struct Clerk {
    socket: OwnedFd,
    queue: VecDeque<Question>,
    asked: Option<Key>,
}

#[derive(Debug)]
struct Question {
    by: Key,
    user: Vec<u8>,
    password: Secret,
}

impl Clerk {
    /// Takes over a SEQPACKET socket.
    ///
    /// # Errors
    /// When it cannot be made non-blocking.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { socket, queue: VecDeque::new(), asked: None })
    }

    /// Has its edges told.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn register(&self, sockets: Sockets<'_>) -> io::Result<()> {
        sockets.register(&mut SourceFd(&self.socket.as_raw_fd()))
    }

    /// Takes a question in. False: too many wait already.
    ///
    /// # Errors
    /// When the verifier cannot be asked: it is to be given up.
    pub fn ask(&mut self, by: Key, user: &[u8], password: &[u8]) -> io::Result<bool> {
        if self.queue.len() >= QUEUE {
            return Ok(false);
        }
        self.queue.push_back(Question { by, user: user.to_vec(), password: Secret::new(password.to_vec()) });
        self.put_next().map(|()| true)
    }

    /// Nobody waits for this answer any more. A question under way is answered all the same; one that waits is not asked.
    pub fn forget(&mut self, by: Key) {
        self.queue.retain(|question| question.by != by);
    }

    /// One turn: verdicts come out, the next question goes in.
    pub fn advance(&mut self, ready: &mut Ready, mut judged: impl FnMut(Key, Verdict)) -> Next {
        let mut buffer = vec![0; LARGEST_PACKET];
        while ready.has(Ready::READ) {
            match recv::<FromVerifier>(&self.socket, &mut buffer) {
                Ok(Received::Message(FromVerifier::Verdict { id, right }, _)) => {
                    let key = Key::from_u64(id);
                    if self.asked.take() != Some(key) {
                        log::error!("the verifier answers what nobody asked; it is given up");
                        return Next::Close;
                    }
                    judged(key, if right { Verdict::Right } else { Verdict::Wrong });
                }
                Ok(Received::Closed) => return Next::Close,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear(Ready::READ),
                Err(error) => {
                    log::error!("the verifier is given up: {error}");
                    return Next::Close;
                }
            }
        }
        match self.put_next() {
            Ok(()) => Next::Sleep,
            Err(error) => {
                log::error!("cannot ask the verifier, it is given up: {error}");
                Next::Close
            }
        }
    }

    /// Everybody who waits for an answer that will not come.
    pub fn orphans(&mut self) -> Vec<Key> {
        self.asked.take().into_iter().chain(self.queue.drain(..).map(|question| question.by)).collect()
    }

    /// Asks the next question when none is under way. With one question at a time the socket's buffer is never full:
    /// any failure means that the other end is not what it was.
    fn put_next(&mut self) -> io::Result<()> {
        if self.asked.is_some() {
            return Ok(());
        }
        let Some(Question { by, user, password }) = self.queue.pop_front() else {
            self.queue = VecDeque::new();
            return Ok(());
        };
        self.asked = Some(by);
        send(&self.socket, &ToVerifier::Check { id: by.to_u64(), user, password }, None)
    }
}
