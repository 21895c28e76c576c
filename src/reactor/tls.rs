//! TLS over a socket that never blocks, for both sides of it.
//!
//! ```text
//!              handshake()                     close()
//! Handshaking ─────────────▶ Open ───────────────────────▶ Finished
//!     │                       │ close_notify               │ close_notify
//!     │                       ▼             close()        ▼
//!     │                     Ended ───────────────────────▶ Over
//!     │  wrong bytes, a fatal alert (from any state)
//!     └─────────────▶ Broken
//! ```
//!
//! rustls' unbuffered interface: the engine decides, the buffers are ours. Records are read into one buffer of the loop
//! and encrypted into another ([`Wire`]), so a session owns nothing while it is idle. Only what did not come to its end
//! is kept with it: the beginning of a record, plaintext that the reader had no room for, ciphertext that the socket did
//! not take. rustls' own buffers (`read_tls`) were rejected: they read 4 KiB a call and stay with each connection.
//!
//! *A client* makes one from a [`rustls::ClientConfig`] (its `alpn_protocols` and its `resumption` count) and the name
//! it dialled, which becomes SNI where it is no address: [`Tls::client`], then [`Link::dress`], then [`Link::handshake`]
//! whenever the record is ready until it says [`Handshake::Done`]; from there reads and writes go on as in the clear. A
//! data connection that shall resume its control connection's session uses the same configuration and the same name.
//! The certificate was checked by the configuration's verifier when the handshake is done; a refusal is an error of kind
//! `InvalidData` whose inner error is a [`rustls::Error`].
//!
//! [`Link::dress`]: super::Link::dress
//! [`Link::handshake`]: super::Link::handshake

mod engine;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, HandshakeKind, ServerConfig};

use engine::{Demand, Engine, Outbox, Reader, Wish};

use super::link::Moved;
use super::transport::{Call, Handshake, Proof, Undressing, plainly, retry};

/// The largest record there is: header, 2^14 octets, and what TLS 1.2 lets ciphers add.
const RECORD: usize = 5 + (1 << 14) + 2048;

/// Plaintext that is encrypted and written at once, and so the most that waits for a slow peer. Half of it took a twentieth
/// more CPU time a byte (each write wakes the peer), twice as much no less.
const PIECE: usize = 128 * 1024;

/// What records are read into: a piece and the record that was begun before it. It also bounds handshake messages.
const INPUT: usize = PIECE + RECORD;

/// The least that is read at once, whatever room the reader has.
const LEAST: usize = 4096;

/// The first octets of records (RFC 8446 B.1, and heartbeats). None begins a command.
const RECORD_TYPES: std::ops::RangeInclusive<u8> = 20..=24;

/// Reads in one call that may bring nothing for the reader: handshake messages in crumbs, key updates.
const ROUNDS: usize = 16;

/// The loop's own buffers: one pair serves every connection, since only one has its turn at a time. They are made when
/// the first connection needs them and are cleared once, not at each call.
#[derive(Debug, Default)]
pub struct Wire {
    input: Vec<u8>,
    /// How much of `input` the call at work has filled.
    filled: usize,
    output: Outbox,
}

/// One connection's TLS.
pub struct Tls {
    engine: Engine,
    phase: Phase,
    /// The beginning of a record, or of a handshake message in several.
    incoming: Vec<u8>,
    /// What the reader had no room for.
    plain: Vec<u8>,
    /// How much of `plain` was taken.
    taken: usize,
    /// Records that the socket did not take yet.
    outgoing: Outbox,
}

/// See the diagram above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Handshaking,
    Open,
    /// Our close_notify is queued.
    Finished,
    /// The peer's close_notify is in.
    Ended,
    /// Both.
    Over,
    /// The peer, or we, sent an alert: nothing more goes either way.
    Broken,
}

impl Tls {
    /// The server's side. `early` are bytes of the handshake that came before the peer could know that it may begin.
    ///
    /// # Errors
    /// What rustls says of the configuration.
    pub fn server(config: &Arc<ServerConfig>, early: Vec<u8>) -> io::Result<Self> {
        let engine = UnbufferedServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Self::new(Engine::Server(engine), early))
    }

    /// The client's side, of a connection to the server called `name`.
    ///
    /// # Errors
    /// What rustls says of the configuration.
    pub fn client(config: &Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let engine = UnbufferedClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Self::new(Engine::Client(engine), Vec::new()))
    }

    const fn new(engine: Engine, incoming: Vec<u8>) -> Self {
        let phase = Phase::Handshaking;
        Self { engine, phase, incoming, plain: Vec::new(), taken: 0, outgoing: Outbox::new() }
    }

    /// Whether the session was resumed: the peer has proven that it was at an earlier handshake.
    pub fn is_resumed(&self) -> bool {
        self.engine.state().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The certificate that the peer has shown and proven to hold the key of.
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.engine.state().peer_certificates()?.first()
    }

    /// The protocol that both sides named (RFC 7301).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.engine.state().alpn_protocol()
    }

    /// Version and cipher suite, for people.
    pub fn describe(&self) -> String {
        let state = self.engine.state();
        let version = match state.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS",
        };
        match state.negotiated_cipher_suite() {
            Some(suite) => format!("{version}, {:?}", suite.suite()),
            None => version.to_owned(),
        }
    }

    /// Drives the handshake as far as it goes now. The proofs are about reading and about writing.
    pub(super) fn handshake(
        &mut self,
        socket: &mut TcpStream,
        wire: &RefCell<Wire>,
    ) -> io::Result<(Handshake, Proof, Proof)> {
        let wire = &mut *wire.borrow_mut();
        let (mut read, mut written) = (Proof::None, Proof::None);
        self.load(wire);
        for _ in 0..ROUNDS {
            self.process(socket, wire, &mut [])?;
            written = self.flush(socket)?;
            match self.phase {
                Phase::Handshaking => {}
                // A peer with nothing to say may have closed its direction already.
                Phase::Open | Phase::Ended => return Ok((Handshake::Done, read, written)),
                Phase::Finished | Phase::Over | Phase::Broken => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
            let call = self.receive(socket, wire, INPUT)?;
            read = call.proof;
            match call.moved {
                Moved::Bytes(_) => {}
                Moved::Blocked => break,
                Moved::End | Moved::Cut => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok((Handshake::Going, read, written))
    }

    /// Reads plaintext.
    pub(super) fn read(&mut self, socket: &mut TcpStream, wire: &RefCell<Wire>, buffer: &mut [u8]) -> io::Result<Call> {
        let count = self.take(buffer);
        if count > 0 {
            return Ok(Call { moved: Moved::Bytes(count), proof: Proof::None });
        }
        let wire = &mut *wire.borrow_mut();
        for _ in 0..ROUNDS {
            match self.phase {
                Phase::Ended | Phase::Over => return Ok(Call { moved: Moved::End, proof: Proof::None }),
                Phase::Broken => return Err(io::ErrorKind::InvalidData.into()),
                Phase::Handshaking | Phase::Open | Phase::Finished => {}
            }
            let call = self.receive(socket, wire, buffer.len())?;
            let Moved::Bytes(_) = call.moved else { return Ok(call) };
            let count = self.process(socket, wire, buffer)?;
            if count > 0 {
                // The end may have come along with the last bytes, and no edge will tell: some peers keep TCP open until
                // they have our close_notify.
                let more = !self.plain.is_empty() || matches!(self.phase, Phase::Ended | Phase::Over | Phase::Broken);
                let proof = if more { Proof::None } else { call.proof };
                return Ok(Call { moved: Moved::Bytes(count), proof });
            }
        }
        Ok(Call { moved: Moved::Bytes(0), proof: Proof::None })
    }

    /// Encrypts and sends, as much as fits into one piece. What the socket does not take is kept.
    pub(super) fn write(&mut self, socket: &mut TcpStream, wire: &RefCell<Wire>, bytes: &[u8]) -> io::Result<Call> {
        let blocked = Call { moved: Moved::Blocked, proof: Proof::Blocked };
        match self.phase {
            Phase::Open | Phase::Ended => {}
            // The end of the handshake brings the ready bit back.
            Phase::Handshaking => return Ok(blocked),
            Phase::Finished | Phase::Over | Phase::Broken => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        if self.flush(socket)? == Proof::Blocked {
            return Ok(blocked);
        }
        if self.pending() > 0 {
            return Ok(Call { moved: Moved::Bytes(0), proof: Proof::Short });
        }
        let piece = &bytes[..bytes.len().min(PIECE)];
        let output = &mut wire.borrow_mut().output;
        output.clear();
        self.ask(output, Wish::Encrypt(piece))?;
        let call = plainly(output.len(), retry(|| socket.write(output.waiting())))?;
        if let Moved::Bytes(count) = call.moved {
            output.sent(count);
        }
        self.outgoing.append(output.waiting());
        Ok(Call { moved: Moved::Bytes(piece.len()), proof: call.proof })
    }

    /// Sends what the socket did not take before.
    pub(super) fn flush(&mut self, socket: &mut TcpStream) -> io::Result<Proof> {
        if self.pending() == 0 {
            return Ok(Proof::None);
        }
        let call = plainly(self.pending(), retry(|| socket.write(self.outgoing.waiting())))?;
        if let Moved::Bytes(count) = call.moved {
            self.outgoing.sent(count);
        }
        if self.pending() == 0 {
            self.outgoing = Outbox::new();
        }
        Ok(call.proof)
    }

    /// Ciphertext that the socket did not take yet.
    pub(super) const fn pending(&self) -> usize {
        self.outgoing.len()
    }

    /// Sends close_notify, once.
    pub(super) fn close(&mut self, socket: &mut TcpStream) -> io::Result<Proof> {
        let next = match self.phase {
            Phase::Open => Phase::Finished,
            Phase::Ended => Phase::Over,
            // Before there are keys, and when an alert went already, FIN says it all.
            Phase::Handshaking | Phase::Finished | Phase::Over | Phase::Broken => return self.flush(socket),
        };
        let mut output = std::mem::take(&mut self.outgoing);
        let asked = self.ask(&mut output, Wish::Close);
        self.outgoing = output;
        asked?;
        self.phase = next;
        self.flush(socket)
    }

    /// Ends TLS and keeps the connection (CCC, REIN). What the peer sends before its close_notify is thrown away; a peer
    /// that goes on in the clear without one is known by its first octet, which begins no record.
    pub(super) fn undress(&mut self, socket: &mut TcpStream, wire: &RefCell<Wire>) -> io::Result<(Undressing, Proof)> {
        self.close(socket)?;
        let wire = &mut *wire.borrow_mut();
        for _ in 0..ROUNDS {
            self.plain = Vec::new();
            self.taken = 0;
            match self.phase {
                Phase::Over if self.pending() == 0 => {
                    return Ok((Undressing::Done(std::mem::take(&mut self.incoming)), Proof::None));
                }
                Phase::Over => return Ok((Undressing::Going, Proof::None)),
                Phase::Finished => {}
                Phase::Handshaking | Phase::Open | Phase::Ended | Phase::Broken => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            let call = self.receive(socket, wire, LEAST)?;
            match call.moved {
                Moved::Bytes(_) if !RECORD_TYPES.contains(&wire.input[0]) => {
                    self.phase = Phase::Over;
                    self.incoming = wire.input[..wire.filled].to_vec();
                }
                Moved::Bytes(_) => {
                    self.process(socket, wire, &mut [])?;
                }
                Moved::Blocked => return Ok((Undressing::Going, call.proof)),
                Moved::End | Moved::Cut => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok((Undressing::Going, Proof::None))
    }

    /// Plaintext that an earlier call had no room for.
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let rest = &self.plain[self.taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        if self.taken == self.plain.len() {
            self.plain = Vec::new();
            self.taken = 0;
        }
        count
    }

    /// Puts what is kept of an earlier call into the loop's buffer.
    fn load(&self, wire: &mut Wire) {
        if wire.input.is_empty() {
            wire.input = vec![0; INPUT];
        }
        wire.filled = self.incoming.len();
        wire.input[..wire.filled].copy_from_slice(&self.incoming);
    }

    /// Reads once into the loop's buffer, behind what is kept of an earlier call. No more is read than the reader has
    /// room for, or a handshake could need.
    fn receive(&self, socket: &mut TcpStream, wire: &mut Wire, room: usize) -> io::Result<Call> {
        self.load(wire);
        let kept = wire.filled;
        let most = room.saturating_sub(kept).max(LEAST).min(INPUT - kept);
        if most == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a TLS message without end"));
        }
        match plainly(most, retry(|| socket.read(&mut wire.input[kept..kept + most])))? {
            Call { moved: Moved::Bytes(0), proof } => Ok(Call { moved: Moved::Cut, proof }),
            call => {
                if let Moved::Bytes(count) = call.moved {
                    wire.filled += count;
                }
                Ok(call)
            }
        }
    }

    /// Has the engine look at all that is in the loop's input buffer, and keeps what it is not through with. Plaintext
    /// goes to `buffer` and, past its end, into `plain`; answers of the engine's own leave at once if the socket takes
    /// them.
    fn process(&mut self, socket: &mut TcpStream, wire: &mut Wire, buffer: &mut [u8]) -> io::Result<usize> {
        let input = &mut wire.input[..wire.filled];
        let mut reader = Reader { buffer, filled: 0, rest: &mut self.plain };
        let mut begin = 0;
        let outcome = loop {
            let (used, demand) = self.engine.ask(&mut input[begin..], &mut self.outgoing, &mut reader, Wish::Nothing);
            begin += used;
            match demand {
                Ok(Demand::Again) => {}
                Ok(Demand::Input) => break Ok(()),
                Ok(Demand::Traffic) => {
                    if self.phase == Phase::Handshaking {
                        self.phase = Phase::Open;
                    }
                    break Ok(());
                }
                Ok(Demand::PeerClosed) => match self.phase {
                    Phase::Open => self.phase = Phase::Ended,
                    Phase::Handshaking if !self.engine.state().is_handshaking() => self.phase = Phase::Ended,
                    Phase::Finished => self.phase = Phase::Over,
                    _ => break Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                },
                Err(error) => {
                    self.engine.last_words(&mut input[begin..], &mut self.outgoing);
                    break Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        };
        let filled = reader.filled;
        self.incoming = input[begin..].to_vec();
        if outcome.is_err() {
            self.phase = Phase::Broken;
        }
        self.flush(socket)?;
        outcome.map(|()| filled)
    }

    /// Has the engine do something for us between the peer's records.
    fn ask(&mut self, output: &mut Outbox, wish: Wish<'_>) -> io::Result<()> {
        let mut reader = Reader { buffer: &mut [], filled: 0, rest: &mut self.plain };
        loop {
            match self.engine.ask(&mut self.incoming, output, &mut reader, wish) {
                (used, Ok(demand)) => {
                    self.incoming.drain(..used);
                    match demand {
                        Demand::Again => {}
                        Demand::Traffic => return Ok(()),
                        // Every complete record was looked at when it came.
                        Demand::Input | Demand::PeerClosed => return Err(io::ErrorKind::InvalidData.into()),
                    }
                }
                (_, Err(error)) => {
                    self.phase = Phase::Broken;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("phase", &self.phase).field("pending", &self.pending()).finish_non_exhaustive()
    }
}
