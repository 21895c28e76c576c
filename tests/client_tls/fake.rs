//! A small FTP server in TLS, blocking, a thread a session, with the oddities that the tests want.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use sha2::{Digest as _, Sha256};

use crate::common::client::Client;

/// How long the server waits for a client that does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is odd about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// TLS from the first byte.
    Implicit,
    Only12,
    Only13,
    /// So many tickets at the control handshake and none on data connections.
    Tickets(usize),
    RequireResumption,
    /// Sent in the clear right behind 234.
    Inject(&'static str),
    NoAuth,
    Greeting(&'static str),
    /// The answer to PROT, or to another of the commands that lead to protected data connections.
    Refuses(&'static str, &'static str),
    Expired,
    /// Data connections show another certificate and resume nothing.
    OtherOnData,
    SelfSigned,
    /// The client must have a certificate.
    WantsOurs,
    /// Data connections end without close_notify.
    Cut,
    SilentHandshake,
    SilentData,
}

/// Somebody who signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    fn sign(&self, name: &str, expired: bool) -> (CertificateDer<'static>, KeyPair, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), key, certificate.pem())
    }
}

#[derive(Default)]
struct Seen {
    heard: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
    resumed: usize,
    full: usize,
}

pub struct Fake {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
    pem: String,
    der: CertificateDer<'static>,
}

struct House {
    oddities: Vec<Oddity>,
    control: Arc<ServerConfig>,
    data: Arc<ServerConfig>,
    seen: Arc<Mutex<Seen>>,
}

impl House {
    fn is(&self, oddity: Oddity) -> bool {
        self.oddities.contains(&oddity)
    }
}

impl Fake {
    pub fn start(authority: &Authority, name: &str, oddities: &[Oddity]) -> Self {
        let is = |oddity| oddities.contains(&oddity);
        let (der, key, pem) = if is(Oddity::SelfSigned) {
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            (certificate.der().clone(), key, certificate.pem())
        } else {
            authority.sign(name, is(Oddity::Expired))
        };
        let versions: &[&SupportedProtocolVersion] = match () {
            () if is(Oddity::Only12) => &[&rustls::version::TLS12],
            () if is(Oddity::Only13) => &[&rustls::version::TLS13],
            () => &[&rustls::version::TLS13, &rustls::version::TLS12],
        };
        let mut control = config(versions, der.clone(), &key, is(Oddity::WantsOurs).then_some(authority));
        control.alpn_protocols = vec![b"ftp".to_vec()];
        let mut data = control.clone();
        if let Some(Oddity::Tickets(count)) = oddities.iter().find(|oddity| matches!(oddity, Oddity::Tickets(_))) {
            control.send_tls13_tickets = *count;
            data.send_tls13_tickets = 0;
        }
        if is(Oddity::OtherOnData) {
            let (der, key, _) = authority.sign(name, false);
            data = config(versions, der, &key, None);
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let oddities = oddities.to_vec();
        let house = House { oddities, control: Arc::new(control), data: Arc::new(data), seen: Arc::clone(&seen) };
        let house = Arc::new(house);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), house) = (stream, Arc::clone(&house)) else { return };
                // A client that breaks a session off is what most of these tests are about.
                thread::spawn(move || drop(serve(stream, &house)));
            }
        });
        Self { port, seen, pem, der }
    }

    pub fn heard(&self) -> Vec<String> {
        self.seen.lock().unwrap().heard.clone()
    }

    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        self.seen.lock().unwrap().files.get(name).cloned()
    }

    /// Data connections that resumed a session.
    pub fn resumed(&self) -> usize {
        self.seen.lock().unwrap().resumed
    }

    /// Data connections with a handshake of their own.
    pub fn full(&self) -> usize {
        self.seen.lock().unwrap().full
    }

    pub fn fingerprint(&self) -> String {
        Sha256::digest(&self.der).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }
}

fn config(
    versions: &[&'static SupportedProtocolVersion],
    der: CertificateDer<'static>,
    key: &KeyPair,
    wanted: Option<&Authority>,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let builder = match wanted {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder.with_single_cert(vec![der], PrivateKeyDer::try_from(key.serialize_der()).unwrap()).unwrap()
}

type Secret = StreamOwned<ServerConnection, TcpStream>;

enum Wire {
    Clear(TcpStream),
    Secret(Box<Secret>),
}

impl Wire {
    fn say(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.write_all(format!("{line}\r\n").as_bytes()),
            Self::Secret(stream) => stream.write_all(format!("{line}\r\n").as_bytes()).and_then(|()| stream.flush()),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            match self {
                Self::Clear(stream) => stream.read_exact(&mut byte)?,
                Self::Secret(stream) => stream.read_exact(&mut byte)?,
            }
            match byte[0] {
                b'\n' => return Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
                byte => line.push(byte),
            }
        }
    }
}

fn secure(mut stream: TcpStream, config: &Arc<ServerConfig>) -> io::Result<Secret> {
    let mut connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn serve(stream: TcpStream, house: &House) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut wire = Wire::Clear(stream.try_clone()?);
    if house.is(Oddity::Implicit) {
        wire = Wire::Secret(Box::new(secure(stream.try_clone()?, &house.control)?));
    }
    let greeting = house.oddities.iter().find_map(|oddity| match oddity {
        Oddity::Greeting(text) => Some(*text),
        _ => None,
    });
    wire.say(greeting.unwrap_or("220 fake ready"))?;
    let mut passive = None;
    loop {
        let line = wire.line()?;
        let secret = if matches!(wire, Wire::Secret(_)) { "tls " } else { "" };
        house.seen.lock().unwrap().heard.push(format!("{secret}{line}"));
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let refusal = house.oddities.iter().find_map(|oddity| match oddity {
            Oddity::Refuses(what, reply) if *what == verb => Some(*reply),
            _ => None,
        });
        match verb {
            _ if refusal.is_some() => wire.say(refusal.unwrap_or_default())?,
            "AUTH" if house.is(Oddity::NoAuth) => wire.say("500 what")?,
            "AUTH" => {
                let injected = house.oddities.iter().find_map(|oddity| match oddity {
                    Oddity::Inject(text) => Some(*text),
                    _ => None,
                });
                (&stream).write_all(format!("234 go on\r\n{}", injected.unwrap_or("")).as_bytes())?;
                if house.is(Oddity::SilentHandshake) {
                    thread::sleep(Duration::from_secs(8));
                }
                wire = Wire::Secret(Box::new(secure(stream.try_clone()?, &house.control)?));
            }
            "USER" => wire.say("331 password please")?,
            "PASS" => wire.say("230 in")?,
            "FEAT" => wire.say("211-Features:\r\n EPSV\r\n SIZE\r\n REST STREAM\r\n211 End")?,
            "PBSZ" => wire.say("200 PBSZ=0")?,
            "TYPE" | "PROT" => wire.say("200 fine")?,
            "SIZE" => match house.seen.lock().unwrap().files.get(argument) {
                Some(file) => wire.say(&format!("213 {}", file.len()))?,
                None => wire.say("213 5")?,
            },
            "EPSV" => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                wire.say(&format!("229 Extended (|||{}|)", listener.local_addr()?.port()))?;
                passive = Some(listener);
            }
            "RETR" | "STOR" | "NLST" => {
                let Some(listener) = passive.take() else { return wire.say("425 no") };
                wire.say("150 go")?;
                let reply = match wire {
                    Wire::Clear(_) => in_the_clear(&listener),
                    Wire::Secret(_) => transfer(&listener, verb, argument, house),
                };
                let reply = reply.unwrap_or("426 lost");
                wire.say(reply)?;
            }
            "QUIT" => return wire.say("221 bye"),
            _ => wire.say("500 what")?,
        }
    }
}

fn in_the_clear(listener: &TcpListener) -> io::Result<&'static str> {
    listener.accept()?.0.write_all(b"hello").map(|()| "226 done")
}

fn transfer(listener: &TcpListener, verb: &str, argument: &str, house: &House) -> io::Result<&'static str> {
    let (stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    if house.is(Oddity::SilentData) {
        thread::sleep(Duration::from_secs(8));
    }
    let mut data = secure(stream, &house.data)?;
    let resumed = data.conn.handshake_kind() == Some(HandshakeKind::Resumed);
    {
        let mut seen = house.seen.lock().unwrap();
        if resumed { seen.resumed += 1 } else { seen.full += 1 }
    }
    if house.is(Oddity::RequireResumption) && !resumed {
        return Ok("522 SSL connection failed: session reuse required");
    }
    if matches!(verb, "RETR" | "NLST") {
        data.write_all(if verb == "NLST" { b"hello\r\n" } else { b"hello" })?;
        data.flush()?;
        if !house.is(Oddity::Cut) {
            data.conn.send_close_notify();
            data.flush()?;
        }
        return Ok("226 done");
    }
    let mut bytes = Vec::new();
    // An upload that ends without close_notify is an error here.
    data.read_to_end(&mut bytes)?;
    house.seen.lock().unwrap().files.insert(argument.trim_start_matches('/').to_owned(), bytes);
    Ok("226 stored")
}

/// A client with an authority's certificate as `ca.pem` and a pair it signed as `own`.
pub fn client_of(authority: &Authority) -> Client {
    let client = Client::new();
    let (_, key, pem) = authority.sign("client.example", false);
    client.write("ca.pem", authority.pem.as_bytes());
    client.write("own.pem", pem.as_bytes());
    client.write("own.key", key.serialize_pem().as_bytes());
    client
}
