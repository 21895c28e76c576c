//! TLS under a link, the server's side: a peer that says whatever it likes, and one that keeps to the protocol until it
//! does not.
//!
//! No panic; what arrives is what was said, in order, up to the first octet that somebody forged; what is kept for a
//! peer stays bounded. The socket is one end of a pair, so nothing leaves this process.

#![no_main]

#[path = "../keys.rs"]
mod keys;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use miniftp::reactor::{Handshake, Key, Link, Moved, Next, Reactor, Ready, Undressing, Weight};
use miniftp::server::settings::{Identity, TlsSettings};
use miniftp::server::tls::{Keyring, self_signed};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

/// Rounds of a handshake between two that understand each other: there are fewer.
const ROUNDS: usize = 16;

/// What a link may keep of what its peer does not take: what it was given, and what TLS adds to that.
const KEPT: usize = 512 * 1024;

/// New keys that a peer may ask for before it is taken for one that only makes work.
const UPDATES: u32 = 16;

#[derive(Arbitrary, Debug)]
struct Play {
    /// TLS 1.2 or 1.3.
    old: bool,
    alpn: Option<Vec<u8>>,
    /// Octets that came before the 234 was out.
    early: Vec<u8>,
    /// Steps before the handshake, in its midst, and after it.
    events: Vec<Event>,
}

#[derive(Arbitrary, Debug)]
enum Event {
    /// A client of rustls goes on as far as it can.
    Shake,
    /// It says something, and so many octets of the records get there.
    Say(Vec<u8>),
    /// A new key.
    Update,
    /// It says that it is done.
    Close,
    /// Its next records have an octet changed.
    Flip(u16, u8),
    /// Its next records are cut there.
    Cut(u16),
    /// Octets of nobody's.
    Raw(Vec<u8>),
    /// A record of this kind, with a body of this length and content.
    Record(u8, u16, u8),
    /// FIN.
    Fin,
    /// The server answers.
    Answer(u16),
    /// The server leaves TLS.
    Undress,
    /// The server says that it is done.
    Finish,
}

fuzz_target!(|play: Play| {
    let mut pair = Pair::new(&play);
    play.events.iter().for_each(|event| pair.happens(event));
    pair.serve();
});

thread_local! {
    static REACTOR: RefCell<Reactor<Link>> = RefCell::new(Reactor::new().expect("a poller"));
}

fn keyring() -> Rc<Keyring> {
    static MADE: OnceLock<Identity> = OnceLock::new();
    thread_local! {
        static RING: Rc<Keyring> = {
            let identity = MADE.get_or_init(|| self_signed().expect("a certificate")).clone();
            let settings = TlsSettings { ccc: true, ..keys::settings(identity) };
            Rc::new(Keyring::new(&settings).expect("a keyring"))
        };
    }
    RING.with(Rc::clone)
}

/// Both ends of a connection.
struct Pair {
    key: Key,
    peer: TcpStream,
    client: ClientConnection,
    /// What the server's side is good for.
    stage: Stage,
    /// What the client has said and the server has not yet heard; nothing counts after the first forged octet.
    said: Vec<u8>,
    honest: bool,
    closed: bool,
    updates: u32,
    flip: Option<(u16, u8)>,
    cut: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Shaking,
    Open,
    Undressing,
    Gone,
}

impl Pair {
    fn new(play: &Play) -> Self {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
                .expect("a pair");
        let tls = keyring().begin().and_then(|keys| keys.control(play.early.clone())).expect("TLS");
        let mut link = Link::new(mio::net::TcpStream::from_std(TcpStream::from(ours)));
        link.dress(tls);
        let key = REACTOR.with_borrow_mut(|reactor| reactor.insert(link, Weight::Light));
        let mut config = client(play.old);
        config.alpn_protocols.extend(play.alpn.clone().filter(|name| !name.is_empty() && name.len() < 256));
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let peer = TcpStream::from(theirs);
        // Who names other protocols only is turned away.
        let honest = play.early.is_empty() && play.alpn.as_ref().is_none_or(|name| name.is_empty() || name == b"ftp");
        let (said, stage) = (Vec::new(), Stage::Shaking);
        Self { key, peer, client, stage, said, honest, closed: false, updates: 0, flip: None, cut: None }
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Shake => (0..ROUNDS).for_each(|_| self.exchange()),
            Event::Say(octets) => {
                let may_speak = !self.closed && !self.client.is_handshaking();
                if may_speak && self.client.writer().write_all(octets).is_ok() {
                    self.said.extend_from_slice(octets);
                }
                self.exchange();
            }
            Event::Update => {
                // Not in TLS 1.2, and not before there are keys.
                let _too_early = self.client.refresh_traffic_keys();
                self.updates += 1;
                self.honest &= self.updates <= UPDATES;
                self.exchange();
            }
            Event::Close => {
                // Whoever closes in the midst of a handshake breaks it off.
                self.honest &= !self.client.is_handshaking();
                self.closed = true;
                self.client.send_close_notify();
            }
            Event::Flip(at, with) => self.flip = Some((*at, *with)),
            Event::Cut(at) => self.cut = Some(*at),
            Event::Raw(octets) => self.forge(octets),
            Event::Record(kind, length, octet) => {
                let [high, low] = length.to_be_bytes();
                self.forge(&[&[*kind, 3, 3, high, low][..], &vec![*octet; usize::from(*length)]].concat());
            }
            Event::Fin => drop(self.peer.shutdown(std::net::Shutdown::Write)),
            Event::Answer(count) => self.answer(usize::from(*count)),
            Event::Undress if self.stage == Stage::Open => {
                self.stage = Stage::Undressing;
                self.honest = false;
                self.serve();
            }
            Event::Finish if self.stage == Stage::Open => {
                self.with_link(|link, ready, sockets| link.finish(ready, sockets).map(drop));
            }
            Event::Undress | Event::Finish => {}
        }
    }

    /// One round: the client's records, the server's turn, the server's records.
    fn exchange(&mut self) {
        let mut records = Vec::new();
        while self.client.wants_write() && self.client.write_tls(&mut records).is_ok_and(|count| count > 0) {}
        if let (Some((at, with)), false) = (self.flip, records.is_empty()) {
            let place = usize::from(at) % records.len();
            records[place] ^= with;
            self.honest &= with == 0;
            self.flip = None;
        }
        if let (Some(at), false) = (self.cut, records.is_empty()) {
            records.truncate(usize::from(at) % records.len());
            (self.honest, self.cut) = (false, None);
        }
        self.put(&records);
        self.serve();
        let mut answer = [0; 64 * 1024];
        while let Ok(count @ 1..) = (&self.peer).read(&mut answer) {
            let mut rest = &answer[..count];
            while !rest.is_empty()
                && self.client.read_tls(&mut rest).is_ok_and(|count| count > 0)
                && self.client.process_new_packets().is_ok()
            {
                let mut heard = Vec::new();
                let _none_yet = self.client.reader().read_to_end(&mut heard);
            }
        }
    }

    fn forge(&mut self, octets: &[u8]) {
        self.honest &= octets.is_empty();
        self.put(octets);
        self.serve();
    }

    /// A peer that finds the socket full gives up, as one that finds it closed.
    fn put(&mut self, octets: &[u8]) {
        if (&self.peer).write_all(octets).is_err() {
            self.honest = false;
        }
    }

    fn answer(&mut self, count: usize) {
        if self.stage == Stage::Open {
            let octets = vec![b'x'; count];
            self.with_link(|link, ready, sockets| match link.unsent() {
                0 => link.send(ready, sockets, &octets),
                _ => link.flush(ready, sockets).map(drop),
            });
        }
    }

    /// The server's side has its turns until it waits for its peer.
    fn serve(&mut self) {
        for _ in 0..ROUNDS {
            let before = self.stage;
            let next = match before {
                Stage::Shaking => self.shake(),
                Stage::Open => self.hear(),
                Stage::Undressing => self.undress(),
                Stage::Gone => return,
            };
            if next == Next::Sleep && before == self.stage {
                return;
            }
        }
    }

    fn shake(&mut self) -> Next {
        match self.with_link(|link, ready, sockets| link.handshake(ready, sockets)) {
            Some(Handshake::Done) => {
                self.stage = Stage::Open;
                Next::Yield
            }
            _ => Next::Sleep,
        }
    }

    fn hear(&mut self) -> Next {
        let mut buffer = [0; 1000];
        match self.with_link(|link, ready, sockets| link.read(ready, sockets, &mut buffer)) {
            Some(Moved::Bytes(count)) => {
                let heard = &buffer[..count];
                assert!(self.said.starts_with(heard), "heard what nobody said");
                self.said.drain(..count);
                Next::Yield
            }
            Some(Moved::End) if self.honest => {
                assert!(self.said.is_empty(), "an end before the end");
                Next::Sleep
            }
            _ => Next::Sleep,
        }
    }

    fn undress(&mut self) -> Next {
        match self.with_link(|link, ready, sockets| link.undress(ready, sockets)) {
            Some(Undressing::Done(_)) => {
                self.stage = Stage::Gone;
                Next::Close
            }
            _ => Next::Sleep,
        }
    }

    /// A call on the link, which is tried as if its socket were ready. An error ends it.
    fn with_link<R>(
        &mut self,
        call: impl FnOnce(&mut Link, &mut Ready, miniftp::reactor::Sockets<'_>) -> std::io::Result<R>,
    ) -> Option<R> {
        if self.stage == Stage::Gone {
            return None;
        }
        let result = REACTOR.with_borrow_mut(|reactor| {
            let (slot, sockets, _) = reactor.turn(self.key).expect("it lives");
            slot.ready = Ready::unknown();
            let result = call(&mut slot.conn, &mut slot.ready, sockets);
            assert!(slot.conn.unsent() < KEPT, "{} octets kept", slot.conn.unsent());
            result
        });
        match result {
            Ok(result) => Some(result),
            Err(error) => {
                assert!(!self.honest || error.kind() != std::io::ErrorKind::InvalidData, "refused: {error}");
                self.stage = Stage::Gone;
                None
            }
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        REACTOR.with_borrow_mut(|reactor| drop(reactor.remove(self.key)));
    }
}

fn client(old: bool) -> ClientConfig {
    let version = if old { &rustls::version::TLS12 } else { &rustls::version::TLS13 };
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_no_client_auth()
}

/// Takes every certificate: whose it is does not matter here, and checking takes time.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
