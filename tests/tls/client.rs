//! A client that speaks TLS, as literal as a test needs it: rustls over a blocking socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::common::{Server, connect, read_once};

/// TLS over TCP.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Both versions, for what must hold in each.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// A certificate for localhost, its key, and the same as PEM.
pub struct Pair {
    pub certificate: CertificateDer<'static>,
    pub chain_pem: String,
    pub key_pem: String,
}

impl Pair {
    pub fn new() -> Self {
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            certificate: cert.der().clone(),
            chain_pem: pem("CERTIFICATE", cert.der()),
            key_pem: pem("PRIVATE KEY", &signing_key.serialize_der()),
        }
    }

    /// A server with this certificate and more in its `[tls]`.
    pub fn server(&self, tls: &str, tables: &str) -> Server {
        let text = format!(
            "[anonymous]\npermissions = \"full\"\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n{tls}\n{tables}"
        );
        let files = [("cert.pem", self.chain_pem.as_str()), ("key.pem", self.key_pem.as_str())];
        Server::launch("127.0.0.1:0", &text, &files, |command| command)
    }

    /// A client that trusts it.
    pub fn client(&self, version: &'static SupportedProtocolVersion) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

/// Base64 between the lines of RFC 7468.
pub fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in der.chunks(3) {
        let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = ALPHABET[(word >> (18 - 6 * place)) as usize % 64];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A client's certificate and key for rustls, signed by an authority.
pub fn signed(name: &str, authority: &rcgen::Issuer<'_, KeyPair>) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// The client's side of a connection that is there; the handshake is driven to its end.
pub fn dress(config: &Arc<ClientConfig>, stream: TcpStream) -> std::io::Result<Stream> {
    let connection = ClientConnection::new(Arc::clone(config), name()).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A control connection, in the clear or in TLS.
pub struct Client {
    pub config: Arc<ClientConfig>,
    channel: Channel,
    unread: Vec<u8>,
}

enum Channel {
    Clear(TcpStream),
    Private(Box<Stream>),
    None,
}

impl Client {
    /// A newcomer who has heard the greeting in the clear.
    pub fn new(server: &Server, config: ClientConfig) -> Self {
        let mut client = Self::silent(server.address(), config);
        client.expect(220);
        client
    }

    /// A newcomer who has not read a byte.
    pub fn silent(to: SocketAddr, config: ClientConfig) -> Self {
        Self { config: Arc::new(config), channel: Channel::Clear(connect(to)), unread: Vec::new() }
    }

    /// After AUTH TLS and PROT P, logged in as a guest, images.
    pub fn private(server: &Server, config: ClientConfig) -> Self {
        let mut client = Self::new(server, config);
        client.auth();
        client.log_in();
        client.protect();
        client
    }

    pub fn auth(&mut self) {
        self.say("AUTH TLS", 234);
        self.dress().unwrap();
    }

    pub fn log_in(&mut self) {
        self.say("USER anonymous", 331);
        self.say("PASS me@", 230);
        self.say("TYPE I", 200);
    }

    pub fn protect(&mut self) {
        self.say("PBSZ 0", 200);
        self.say("PROT P", 200);
    }

    /// The handshake on the control connection.
    pub fn dress(&mut self) -> std::io::Result<()> {
        let Channel::Clear(stream) = std::mem::replace(&mut self.channel, Channel::None) else { panic!("in TLS") };
        self.channel = Channel::Private(Box::new(dress(&self.config, stream)?));
        Ok(())
    }

    /// Back to the clear: our close_notify, the server's, and then TCP again.
    pub fn bare(&mut self) {
        let Channel::Private(mut tls) = std::mem::replace(&mut self.channel, Channel::None) else { panic!("clear") };
        let mut rest = Vec::new();
        tls.read_to_end(&mut rest).expect("its close_notify");
        assert!(rest.is_empty(), "{rest:?}");
        tls.conn.send_close_notify();
        tls.conn.complete_io(&mut tls.sock).expect("ours");
        self.channel = Channel::Clear(tls.sock);
    }

    pub fn tls(&mut self) -> &mut Stream {
        match &mut self.channel {
            Channel::Private(stream) => stream,
            _ => panic!("in the clear"),
        }
    }

    pub fn socket(&self) -> &TcpStream {
        match &self.channel {
            Channel::Clear(stream) => stream,
            Channel::Private(stream) => &stream.sock,
            Channel::None => panic!("no connection"),
        }
    }

    /// Sends bytes as they are. A server that has had enough may hang up before it has them all: whether it might is
    /// for what it says to tell.
    pub fn send(&mut self, bytes: &[u8]) {
        let sent = match &mut self.channel {
            Channel::Clear(stream) => stream.write_all(bytes),
            Channel::Private(stream) => stream.write_all(bytes),
            Channel::None => panic!("no connection"),
        };
        if let Err(error) = sent {
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.channel {
            Channel::Clear(stream) => read_once(stream, buffer),
            Channel::Private(stream) => read_once(stream, buffer),
            Channel::None => panic!("no connection"),
        }
    }

    /// One reply, which must have the code; its lines joined.
    #[track_caller]
    pub fn expect(&mut self, code: u16) -> String {
        let mut text = String::new();
        loop {
            let line = self.line();
            text += &line;
            text.push('\n');
            if line.as_bytes().get(3) == Some(&b' ') && line.as_bytes()[0].is_ascii_digit() {
                assert_eq!(line.get(..3), Some(code.to_string().as_str()), "{text}");
                return text;
            }
        }
    }

    #[track_caller]
    pub fn say(&mut self, line: &str, code: u16) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.expect(code)
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut piece = [0; 4096];
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return String::from_utf8(line).unwrap().trim_end().to_owned();
            }
            let count = self.read(&mut piece).unwrap();
            assert_ne!(count, 0, "closed");
            self.unread.extend_from_slice(&piece[..count]);
        }
    }

    /// Fails unless the server closes without a further reply.
    #[track_caller]
    pub fn expect_close(&mut self) {
        assert!(self.unread.is_empty());
        match self.read(&mut [0; 100]) {
            Ok(0) => {}
            Ok(count) => panic!("{count} bytes more"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof), "{error}");
            }
        }
    }

    /// EPSV and the TCP connection that follows it.
    pub fn data(&mut self) -> TcpStream {
        let text = self.say("EPSV", 229);
        let port = text.split('|').nth(3).unwrap().parse().unwrap();
        connect(SocketAddr::new(self.socket().peer_addr().unwrap().ip(), port))
    }

    /// A whole download in TLS, with the session that was resumed or not.
    pub fn fetch(&mut self, line: &str) -> (Vec<u8>, bool) {
        let data = self.data();
        self.say(line, 150);
        let (bytes, resumed) = receive(&self.config, data);
        self.expect(226);
        (bytes, resumed)
    }

    /// A whole upload in TLS.
    pub fn store(&mut self, line: &str, bytes: &[u8]) {
        let data = self.data();
        self.say(line, 150);
        send(&self.config, data, bytes);
        self.expect(226);
    }
}

/// Everything up to the server's close_notify, which must be there.
pub fn receive(config: &Arc<ClientConfig>, data: TcpStream) -> (Vec<u8>, bool) {
    let mut data = dress(config, data).unwrap();
    let mut bytes = Vec::new();
    data.read_to_end(&mut bytes).expect("an end with close_notify");
    let resumed = data.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    data.conn.send_close_notify();
    let _gone_perhaps = data.conn.complete_io(&mut data.sock);
    (bytes, resumed)
}

/// All bytes, close_notify, FIN, and then the server's close_notify.
pub fn send(config: &Arc<ClientConfig>, data: TcpStream, bytes: &[u8]) {
    let mut data = dress(config, data).unwrap();
    data.write_all(bytes).unwrap();
    data.conn.send_close_notify();
    data.flush().unwrap();
    while data.conn.wants_write() {
        data.conn.complete_io(&mut data.sock).unwrap();
    }
    data.sock.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    data.read_to_end(&mut rest).expect("the server's close_notify");
    assert!(rest.is_empty());
}

impl Client {
    /// Fails unless what comes next is the server's refusal of the handshake.
    #[track_caller]
    pub fn expect_alert(&mut self) {
        let error = self.read(&mut [0; 10]).expect_err("an alert");
        assert!(error.to_string().contains("ertificate"), "{error}");
    }
}
