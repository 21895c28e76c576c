//! Both sides against each other over loopback.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream as StdStream};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::reactor::{Key, Link, Reactor, Ready, Sockets, Weight};

/// Turns of one side, after which a test is stuck.
const PATIENCE: usize = 100_000;

struct Side {
    link: Link,
    ready: Ready,
    key: Key,
}

struct Pair {
    reactor: Reactor<()>,
    server: Side,
    client: Side,
}

struct Configs {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

fn configs(version: &'static rustls::SupportedProtocolVersion) -> Configs {
    let made = rcgen::generate_simple_self_signed(["server.test".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let certificate = made.cert.der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a pair");
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Configs { server: Arc::new(server), client: Arc::new(client) }
}

fn both(mut test: impl FnMut(&Configs)) {
    test(&configs(&rustls::version::TLS12));
    test(&configs(&rustls::version::TLS13));
}

fn sockets_of(reactor: &mut Reactor<()>, key: Key) -> Sockets<'_> {
    reactor.turn(key).expect("alive").1
}

fn side(reactor: &mut Reactor<()>, stream: StdStream) -> Side {
    stream.set_nonblocking(true).expect("non-blocking");
    let link = Link::new(TcpStream::from_std(stream));
    Side { link, ready: Ready::unknown(), key: reactor.insert((), Weight::Light) }
}

fn streams() -> (StdStream, StdStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let far = StdStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    (listener.accept().expect("a connection").0, far)
}

fn name() -> ServerName<'static> {
    ServerName::try_from("server.test").expect("a name")
}

impl Side {
    fn note(&mut self, reactor: &mut Reactor<()>) {
        let slot = reactor.slot_mut(self.key).expect("alive");
        self.ready.set(std::mem::replace(&mut slot.ready, Ready::none()));
    }

    fn handshake(&mut self, reactor: &mut Reactor<()>) -> io::Result<Handshake> {
        self.link.handshake(&mut self.ready, sockets_of(reactor, self.key))
    }

    fn read(&mut self, reactor: &mut Reactor<()>, buffer: &mut [u8]) -> io::Result<Moved> {
        self.link.read(&mut self.ready, sockets_of(reactor, self.key), buffer)
    }

    fn send(&mut self, reactor: &mut Reactor<()>, bytes: &[u8]) {
        self.link.send(&mut self.ready, sockets_of(reactor, self.key), bytes).expect("sent");
    }

    fn flush(&mut self, reactor: &mut Reactor<()>) -> bool {
        self.link.flush(&mut self.ready, sockets_of(reactor, self.key)).expect("flushed")
    }

    fn finish(&mut self, reactor: &mut Reactor<()>) -> bool {
        self.link.finish(&mut self.ready, sockets_of(reactor, self.key)).expect("finished")
    }
}

impl Pair {
    fn new(configs: &Configs) -> Self {
        let mut reactor = Reactor::new().expect("a poller");
        let (near, far) = streams();
        let mut server = side(&mut reactor, near);
        let mut client = side(&mut reactor, far);
        server.link.dress(Tls::server(&configs.server, Vec::new()).expect("a server"));
        client.link.dress(Tls::client(&configs.client, name()).expect("a client"));
        Self { reactor, server, client }
    }

    fn met(configs: &Configs) -> Self {
        let mut pair = Self::new(configs);
        let (mut server, mut client) = (Handshake::Going, Handshake::Going);
        for _ in 0..PATIENCE {
            if client == Handshake::Going {
                client = pair.client.handshake(&mut pair.reactor).expect("the client's side");
            }
            if server == Handshake::Going {
                server = pair.server.handshake(&mut pair.reactor).expect("the server's side");
            }
            if (server, client) == (Handshake::Done, Handshake::Done) {
                return pair;
            }
        }
        panic!("no handshake: {server:?} {client:?}");
    }

    /// Waits for edges. Only what they say, and what calls leave, is in the ready bits: a lost one hangs here.
    fn wait(&mut self) {
        self.reactor.wait().expect("poll");
        while self.reactor.next_runnable().is_some() {}
        self.server.note(&mut self.reactor);
        self.client.note(&mut self.reactor);
    }

    /// From the client to the server, in reads of `piece` bytes, by ready bits alone.
    fn carry(&mut self, bytes: &[u8], piece: usize) -> (Vec<u8>, Moved) {
        let (mut got, mut buffer) = (Vec::new(), vec![0; piece]);
        self.client.send(&mut self.reactor, bytes);
        let mut finished = false;
        for _ in 0..PATIENCE {
            if !finished && self.client.flush(&mut self.reactor) {
                finished = self.client.finish(&mut self.reactor);
            }
            while self.server.ready.has(Ready::READ) {
                match self.server.read(&mut self.reactor, &mut buffer).expect("read") {
                    Moved::Bytes(count) => got.extend_from_slice(&buffer[..count]),
                    Moved::Blocked => {}
                    end => return (got, end),
                }
            }
            if finished || !self.client.ready.has(Ready::WRITE) {
                self.wait();
            }
        }
        panic!("{} of {} bytes", got.len(), bytes.len());
    }
}

fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

#[test]
fn bytes_arrive_whole_and_the_end_is_clean() {
    both(|configs| {
        for (length, piece) in [(0, 100), (1, 100), (70_000, 4096), (3_000_000, 65_536), (100_000, 1)] {
            let bytes = sample(length);
            let (got, end) = Pair::met(configs).carry(&bytes, piece);
            assert!(got == bytes, "{length} bytes in reads of {piece}: {} came", got.len());
            assert_eq!(end, Moved::End);
        }
    });
}

#[test]
fn an_end_without_close_notify_is_told_apart() {
    both(|configs| {
        let mut pair = Pair::met(configs);
        pair.client.send(&mut pair.reactor, b"half a file");
        pair.client.link.socket().shutdown(std::net::Shutdown::Write).expect("FIN");
        let mut buffer = [0; 100];
        let mut ends = Vec::new();
        while ends.len() < 2 {
            match pair.server.read(&mut pair.reactor, &mut buffer).expect("read") {
                Moved::Bytes(_) => {}
                Moved::Blocked => pair.wait(),
                end => ends.push(end),
            }
        }
        assert_eq!(ends, [Moved::Cut, Moved::Cut]);
    });
}

#[test]
fn an_idle_connection_holds_no_buffer() {
    both(|configs| {
        let mut pair = Pair::met(configs);
        pair.client.send(&mut pair.reactor, &sample(50_000));
        let (mut buffer, mut got) = ([0; 1000], 0);
        while got < 50_000 {
            match pair.server.read(&mut pair.reactor, &mut buffer).expect("read") {
                Moved::Bytes(count) => got += count,
                _ => pair.wait(),
            }
        }
        for tls in [&pair.server, &pair.client].map(|side| side.link.tls().expect("TLS")) {
            let held = tls.incoming.capacity() + tls.plain.capacity() + tls.outgoing.held();
            assert_eq!(held, 0);
        }
    });
}

#[test]
fn a_handshake_in_crumbs_succeeds() {
    both(|configs| {
        // Between the two stands somebody who hands one byte at a time to the server.
        let mut reactor = Reactor::new().expect("a poller");
        let (near, mut to_server) = streams();
        let (far, mut to_client) = streams();
        let (mut server, mut client) = (side(&mut reactor, near), side(&mut reactor, far));
        server.link.dress(Tls::server(&configs.server, Vec::new()).expect("a server"));
        client.link.dress(Tls::client(&configs.client, name()).expect("a client"));
        for stream in [&to_server, &to_client] {
            stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a time-out");
            stream.set_nodelay(true).expect("no delay");
        }
        let mut done = (Handshake::Going, Handshake::Going);
        let (mut crumb, mut flight) = ([0; 1], [0; 4096]);
        while done != (Handshake::Done, Handshake::Done) {
            if done.1 == Handshake::Going {
                done.1 = client.handshake(&mut reactor).expect("the client's side");
            }
            if let Ok(1) = to_client.read(&mut crumb) {
                to_server.write_all(&crumb).expect("a crumb on");
            }
            if done.0 == Handshake::Going {
                done.0 = server.handshake(&mut reactor).expect("the server's side");
            }
            if let Ok(count @ 1..) = to_server.read(&mut flight) {
                to_client.write_all(&flight[..count]).expect("the way back");
            }
        }
    });
}

#[test]
fn what_is_no_tls_gets_an_alert_and_an_error() {
    let configs = configs(&rustls::version::TLS13);
    let mut reactor = Reactor::new().expect("a poller");
    let (near, mut far) = streams();
    let mut server = side(&mut reactor, near);
    server.link.dress(Tls::server(&configs.server, Vec::new()).expect("a server"));
    far.write_all(b"USER ann\r\n").expect("written");
    let error = loop {
        match server.handshake(&mut reactor) {
            Ok(Handshake::Going) => {}
            Ok(Handshake::Done) => panic!("that was no handshake"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    drop(server);
    let mut alert = Vec::new();
    far.read_to_end(&mut alert).expect("an alert");
    assert_eq!(alert.first(), Some(&21), "{alert:?}");
}

#[test]
fn close_notify_in_mid_handshake_neither_ends_nor_spins() {
    let configs = configs(&rustls::version::TLS13);
    let mut reactor = Reactor::new().expect("a poller");
    let (near, mut far) = streams();
    let mut server = side(&mut reactor, near);
    server.link.dress(Tls::server(&configs.server, Vec::new()).expect("a server"));
    // Anybody could have sent it, so it ends nothing; nor does it make a turn without an end.
    far.write_all(&[21, 3, 3, 0, 2, 1, 0]).expect("close_notify in the clear");
    while server.ready.has(Ready::READ) {
        assert_eq!(server.handshake(&mut reactor).expect("no error yet"), Handshake::Going);
    }
    drop(far);
    let error = loop {
        match server.handshake(&mut reactor) {
            Ok(Handshake::Going) => {}
            Ok(Handshake::Done) => panic!("that was no handshake"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn back_in_the_clear_nothing_is_swallowed() {
    both(|configs| {
        for answers in [true, false] {
            let mut pair = Pair::met(configs);
            pair.client.send(&mut pair.reactor, b"thrown away");
            let mut plain = None;
            let mut said = false;
            for _ in 0..PATIENCE {
                let sockets = sockets_of(&mut pair.reactor, pair.server.key);
                match pair.server.link.undress(&mut pair.server.ready, sockets).expect("undressing") {
                    Undressing::Going => {}
                    Undressing::Done(rest) => {
                        plain = Some(rest);
                        break;
                    }
                }
                if !said {
                    said = true;
                    if answers {
                        let sockets = sockets_of(&mut pair.reactor, pair.client.key);
                        let asked = pair.client.link.undress(&mut pair.client.ready, sockets).expect("the other side");
                        assert!(matches!(asked, Undressing::Done(_)), "{asked:?}");
                    }
                    let handle = rustix::io::dup(pair.client.link.socket()).expect("a second handle");
                    let mut stream = StdStream::from(handle);
                    stream.write_all(b"NOOP\r\n").expect("in the clear");
                }
            }
            let mut rest = plain.expect("back in the clear");
            let mut buffer = [0; 100];
            while rest.len() < 6 {
                match pair.server.read(&mut pair.reactor, &mut buffer).expect("read") {
                    Moved::Bytes(count) => rest.extend_from_slice(&buffer[..count]),
                    _ => pair.wait(),
                }
            }
            assert_eq!(rest, b"NOOP\r\n", "close_notify answered: {answers}");
        }
    });
}
