//! What the processes say to each other: one message a packet, over `SOCK_SEQPACKET` socket pairs.
//!
//! ```text
//!               ToWorker (+ listeners, transfer log, a verifier's socket)
//!      keeper ───────────────────────────────────────────> worker, of which there may be several
//!        │    <───────────────────────────────────────────   │ ▲
//!        │                     FromWorker                    │ │
//!        │  Instruction (+ a worker's socket)     ToVerifier │ │ FromVerifier
//!        └─────────────────────────────────────> verifier <──┘ │
//!                                                    └─────────┘
//! ```
//!
//! A packet is one byte of kind and a body. Whatever does not decode exactly, carries a descriptor it should not, or lacks
//! one it should have, is [`io::ErrorKind::InvalidData`]: the peer is not what it was, and is to be given up.
//! Both ends are the same binary, so there are no versions. [`send`] and [`recv`] block or not as the socket does.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use super::secret::{LONGEST_PASSWORD, Secret, wipe};
use crate::server::Door;
use crate::server::accounts::LONGEST_NAME;
use crate::server::logging::head;
use crate::server::settings::ListenAddr;

/// The largest packet, and so the room [`recv`] wants. Well below the kernel's default socket buffer (208 KiB),
/// which must hold a packet whole.
pub const LARGEST_PACKET: usize = 32 << 10;

/// Body bytes of one [`Chunk`], after its kind and its flag.
const CHUNK_BYTES: usize = LARGEST_PACKET - 2;

/// The longest body sent in chunks: four times the largest file it is made of.
const LONGEST_BODY: usize = 16 << 20;

/// The longest reason in a [`FromWorker::Refused`], bytes.
const LONGEST_REASON: usize = 1024;

/// A message that fits a packet.
pub trait Message: Sized {
    /// Appends the packet's bytes.
    fn encode(&self, packet: &mut Vec<u8>);
    /// Reads a packet; `None` when it is malformed.
    fn decode(packet: &[u8]) -> Option<Self>;
    /// Whether a descriptor travels with the message.
    fn carries(&self) -> bool;
}

/// From the keeper to the worker.
#[derive(Debug, Clone, PartialEq)]
pub enum ToWorker {
    /// A listening socket comes along; the address is the configured one.
    Listener(Door, ListenAddr),
    /// The transfer log comes along, for the settings or the reload that follow.
    TransferLog,
    /// The start's [`super::Handover`]. Its last chunk ends what a worker needs to begin.
    Settings(Chunk),
    /// A socket to a new verifier comes along; it replaces the one before.
    Verifier,
    /// A reload's [`super::Handover`]. Answered by Reloaded, Refused or Outgrown.
    Reload(Chunk),
    /// Stop accepting, let transfers finish, end.
    Drain,
    /// End now.
    Stop,
    /// Log a summary of the sessions.
    Summary,
}

/// From the worker to the keeper.
#[derive(Debug, Clone, PartialEq)]
pub enum FromWorker {
    /// It accepts connections.
    Ready,
    /// The reload holds.
    Reloaded,
    /// The reload does not hold, and why; the old settings do.
    Refused(String),
    /// The reload is good, but not for a process with this one's sandbox, and what is outside; the old settings hold.
    Outgrown(String),
    /// The verifier is not to be trusted, or is gone: this worker has no way to one.
    Forlorn,
}

/// From the worker to the verifier.
#[derive(Debug, Clone, PartialEq)]
pub enum ToVerifier {
    /// Is this the password of that account?
    Check {
        /// Comes back in the verdict.
        id: u64,
        /// What USER said, at most [`LONGEST_NAME`] bytes.
        user: Vec<u8>,
        /// What PASS said, at most [`LONGEST_PASSWORD`] bytes.
        password: Secret,
    },
}

/// From the verifier to the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromVerifier {
    /// The answer to the check of that id. Verdicts come in the order of the checks.
    Verdict {
        /// The check's.
        id: u64,
        /// Whether name and password belong together.
        right: bool,
    },
}

/// From the keeper to the verifier.
#[derive(Debug, Clone, PartialEq)]
pub enum Instruction {
    /// A piece of the accounts' names and hashes: at the start, and again at each reload.
    Secrets(Chunk),
    /// A socket to a worker comes along: one for each worker, and one more for each that is started anew.
    Worker,
}

/// A piece of a body that may be longer than a packet.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunk {
    last: bool,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Chunk {
    /// Without the bytes: some chunks are of hashes, and debug output ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunk of {} bytes", self.bytes.len())
    }
}

impl Chunk {
    /// Cuts `body` into chunks, one at least.
    pub fn cut(body: &[u8]) -> impl Iterator<Item = Chunk> {
        let mut rest = Some(body);
        std::iter::from_fn(move || {
            let (head, tail) = rest?.split_at_checked(CHUNK_BYTES).unwrap_or((rest?, &[]));
            rest = (!tail.is_empty()).then_some(tail);
            let (last, bytes) = (rest.is_none(), head.to_vec());
            Some(Chunk { last, bytes })
        })
    }

    fn encode(&self, kind: u8, packet: &mut Vec<u8>) {
        packet.extend([kind, u8::from(self.last)]);
        packet.extend(&self.bytes);
    }

    fn decode(body: &[u8]) -> Option<Chunk> {
        let (last, bytes) = body.split_first()?;
        let last = flag(*last)?;
        let bytes = (bytes.len() <= CHUNK_BYTES).then(|| bytes.to_vec())?;
        Some(Chunk { last, bytes })
    }
}

/// Chunks becoming a body again.
#[derive(Default)]
pub struct Assembly {
    bytes: Vec<u8>,
}

impl Assembly {
    /// Adds a chunk. The last one gives the body and leaves the assembly ready for the next; one that is too long is
    /// [`io::ErrorKind::InvalidData`].
    pub fn add(&mut self, chunk: Chunk) -> io::Result<Option<Vec<u8>>> {
        if self.bytes.len() + chunk.bytes.len() > LONGEST_BODY {
            return Err(malformed());
        }
        self.bytes.extend(chunk.bytes);
        Ok(chunk.last.then(|| std::mem::take(&mut self.bytes)))
    }
}

impl Message for ToWorker {
    fn encode(&self, packet: &mut Vec<u8>) {
        match self {
            ToWorker::Listener(door, label) => {
                packet.push(match door {
                    Door::Explicit => b'l',
                    Door::Implicit => b'i',
                });
                packet.extend(label.to_string().as_bytes());
            }
            ToWorker::TransferLog => packet.push(b't'),
            ToWorker::Settings(chunk) => chunk.encode(b's', packet),
            ToWorker::Verifier => packet.push(b'v'),
            ToWorker::Reload(chunk) => chunk.encode(b'r', packet),
            ToWorker::Drain => packet.push(b'd'),
            ToWorker::Stop => packet.push(b'x'),
            ToWorker::Summary => packet.push(b'u'),
        }
    }

    fn decode(packet: &[u8]) -> Option<Self> {
        let (kind, body) = packet.split_first()?;
        match (kind, body) {
            (b'l' | b'i', label) => {
                let label = std::str::from_utf8(label).ok()?.parse().ok()?;
                let door = if *kind == b'i' { Door::Implicit } else { Door::Explicit };
                Some(ToWorker::Listener(door, label))
            }
            (b't', []) => Some(ToWorker::TransferLog),
            (b's', body) => Chunk::decode(body).map(ToWorker::Settings),
            (b'v', []) => Some(ToWorker::Verifier),
            (b'r', body) => Chunk::decode(body).map(ToWorker::Reload),
            (b'd', []) => Some(ToWorker::Drain),
            (b'x', []) => Some(ToWorker::Stop),
            (b'u', []) => Some(ToWorker::Summary),
            _ => None,
        }
    }

    fn carries(&self) -> bool {
        matches!(self, ToWorker::Listener(..) | ToWorker::TransferLog | ToWorker::Verifier)
    }
}

impl Message for FromWorker {
    fn encode(&self, packet: &mut Vec<u8>) {
        match self {
            FromWorker::Ready => packet.push(b'y'),
            FromWorker::Reloaded => packet.push(b'r'),
            FromWorker::Refused(why) => {
                packet.push(b'n');
                packet.extend(head(why, LONGEST_REASON).as_bytes());
            }
            FromWorker::Outgrown(why) => {
                packet.push(b'o');
                packet.extend(head(why, LONGEST_REASON).as_bytes());
            }
            FromWorker::Forlorn => packet.push(b'f'),
        }
    }

    fn decode(packet: &[u8]) -> Option<Self> {
        match packet.split_first()? {
            (b'y', []) => Some(FromWorker::Ready),
            (b'r', []) => Some(FromWorker::Reloaded),
            (b'f', []) => Some(FromWorker::Forlorn),
            (kind @ (b'n' | b'o'), why) if why.len() <= LONGEST_REASON => {
                let why = std::str::from_utf8(why).ok()?.to_owned();
                Some(if *kind == b'n' { FromWorker::Refused(why) } else { FromWorker::Outgrown(why) })
            }
            _ => None,
        }
    }

    fn carries(&self) -> bool {
        false
    }
}

impl Message for ToVerifier {
    fn encode(&self, packet: &mut Vec<u8>) {
        let ToVerifier::Check { id, user, password } = self;
        packet.push(b'c');
        packet.extend(id.to_be_bytes());
        // Too long a name wraps here and the peer refuses the packet: senders check, receivers do not trust them.
        packet.extend((user.len() as u16).to_be_bytes());
        packet.extend(user);
        packet.extend(password.as_bytes());
    }

    fn decode(packet: &[u8]) -> Option<Self> {
        let rest = packet.strip_prefix(b"c")?;
        let (id, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (user, password) = rest.split_at_checked(length)?;
        if user.len() > LONGEST_NAME || password.len() > LONGEST_PASSWORD {
            return None;
        }
        let (id, user) = (u64::from_be_bytes(*id), user.to_vec());
        let password = Secret::new(password.to_vec());
        Some(ToVerifier::Check { id, user, password })
    }

    fn carries(&self) -> bool {
        false
    }
}

impl Message for FromVerifier {
    fn encode(&self, packet: &mut Vec<u8>) {
        let FromVerifier::Verdict { id, right } = self;
        packet.extend([b'j', u8::from(*right)]);
        packet.extend(id.to_be_bytes());
    }

    fn decode(packet: &[u8]) -> Option<Self> {
        let (right, id) = packet.strip_prefix(b"j")?.split_first()?;
        let right = flag(*right)?;
        let id = u64::from_be_bytes(id.try_into().ok()?);
        Some(FromVerifier::Verdict { id, right })
    }

    fn carries(&self) -> bool {
        false
    }
}

impl Message for Instruction {
    fn encode(&self, packet: &mut Vec<u8>) {
        match self {
            Instruction::Secrets(chunk) => chunk.encode(b'a', packet),
            Instruction::Worker => packet.push(b'w'),
        }
    }

    fn decode(packet: &[u8]) -> Option<Self> {
        match packet.split_first()? {
            (b'a', body) => Chunk::decode(body).map(Instruction::Secrets),
            (b'w', []) => Some(Instruction::Worker),
            _ => None,
        }
    }

    fn carries(&self) -> bool {
        matches!(self, Instruction::Worker)
    }
}

fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Sends one message, with a descriptor if it carries one. `WouldBlock` leaves nothing sent; `BrokenPipe` means that
/// the peer is gone.
pub fn send<M: Message>(socket: impl AsFd, message: &M, passed: Option<BorrowedFd<'_>>) -> io::Result<()> {
    if message.carries() != passed.is_some() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if let Some(fd) = &passed {
        control.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(fd)));
    }
    // Large enough for a check whole, so that no copy of a password is left by growing.
    let mut packet = Vec::with_capacity(LONGEST_NAME + LONGEST_PASSWORD + 16);
    message.encode(&mut packet);
    let sent = rustix::io::retry_on_intr(|| {
        let parts = [IoSlice::new(&packet)];
        sendmsg(&socket, &parts, &mut control, SendFlags::NOSIGNAL)
    });
    wipe(&mut packet);
    sent?;
    Ok(())
}

/// What [`recv`] got.
#[derive(Debug)]
pub enum Received<M> {
    /// A message, and the descriptor it carries (close-on-exec).
    Message(M, Option<OwnedFd>),
    /// The peer is gone.
    Closed,
}

/// Receives one message into `buffer`, which wants [`LARGEST_PACKET`] bytes and is zeroed where it was used.
/// Malformed packets are [`io::ErrorKind::InvalidData`].
pub fn recv<M: Message>(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received<M>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::io::retry_on_intr(|| {
        let mut parts = [IoSliceMut::new(buffer)];
        recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut passed = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            passed.extend(fds);
        }
    }
    if got.bytes == 0 {
        return Ok(Received::Closed);
    }
    let packet = buffer.get_mut(..got.bytes).ok_or_else(malformed)?;
    let message = M::decode(packet);
    wipe(packet);
    let message = message.ok_or_else(malformed)?;
    let cut = got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    if cut || passed.len() != usize::from(message.carries()) {
        return Err(malformed());
    }
    Ok(Received::Message(message, passed.pop()))
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed packet")
}

#[cfg(test)]
mod tests;
