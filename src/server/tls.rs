//! The server's keys. What they are put to is the business of control and data connections.
//!
//! A [`Keyring`] is made of the settings: certificate, versions, whom to trust. Each control session that becomes private
//! takes [`SessionKeys`] from it, with what its client may resume (`tls/resumption.rs`). A data connection that resumes
//! proves that its client was at the control connection's handshake, in TLS 1.2 and 1.3 alike and as often as it likes.
//! A reload makes a new keyring; sessions go on with the one they began with.

mod resumption;

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, RootCertStore, ServerConfig, SupportedProtocolVersion};
use sha2::{Digest, Sha256};

use super::dtp::Terms;
use super::settings::{Identity, Minimum, Reuse, TlsSettings};
use crate::reactor::Tls;

use resumption::{Resumable, Visit};

/// The one protocol this port speaks. A client that names others only was sent here by somebody else (ALPACA). FileZilla's
/// own name is never taken: it stands for demands on the data connection that no RFC has.
const ALPN: &[u8] = b"ftp";

/// Tickets of a control connection: as many data connections can begin at once before the first of them brings more.
const CONTROL_TICKETS: usize = 4;

/// The ticket that a download brings for the next one. An upload brings none: its client may never read, and would close
/// with the ticket unread, which is a reset that takes the end of the file along.
const DOWNLOAD_TICKETS: usize = 1;

const NO_CERTIFICATE: &str = "no certificate in the file";

/// The word by which an encrypted key is known.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// The last second that a certificate can name, 9999-12-31T23:59:59Z (RFC 5280 4.1.2.5), and one.
const END_OF_DATES: Duration = Duration::from_secs(253_402_300_800);

/// Everything that the settings make of TLS.
pub struct Keyring {
    /// For control connections; the data connections' have neither ALPN nor client certificates.
    control: ServerConfig,
    data: ServerConfig,
    reuse: Reuse,
}

/// Why there is no keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The key of `[tls]` that names the file with the fault in it.
    pub key: &'static str,
    /// What is wrong, in a few words.
    pub why: String,
}

impl Flaw {
    fn of(key: &'static str) -> impl Fn(&dyn fmt::Display) -> Self {
        move |why| Self { key, why: why.to_string() }
    }

    /// Of a pair that rustls does not take.
    fn of_pair(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(_) => Self::of("certificate")(error),
            rustls::Error::InconsistentKeys(_) => Self::of("key")(&"is not the key of this certificate"),
            _ => Self::of("key")(error),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls.{}: {}", self.key, self.why)
    }
}

impl std::error::Error for Flaw {}

/// Which way the bytes of a data connection go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the client.
    Download,
    /// To us.
    Upload,
}

/// The keys of one control session and its data connections.
pub struct SessionKeys {
    ring: Rc<Keyring>,
    resumable: Arc<Resumable>,
}

impl Keyring {
    /// Reads the PEM and tries whether certificate and key belong together.
    ///
    /// # Errors
    /// What is wrong with them, in a few words.
    pub fn new(settings: &TlsSettings) -> Result<Self, Flaw> {
        let Identity { chain, key } = &settings.identity;
        let chain = certificates(chain, "certificate")?;
        let key = private_key(key)?;
        let data = Self::builder(settings)?.with_no_client_auth().with_single_cert(chain.clone(), key.clone_key());
        let mut control = match &settings.client_ca {
            None => Self::builder(settings)?.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(authority, "client_ca")? {
                    roots.add(root).map_err(|error| Flaw::of("client_ca")(&error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                Self::builder(settings)?
                    .with_client_cert_verifier(verifier.build().map_err(|error| Flaw::of("client_ca")(&error))?)
            }
        }
        .with_single_cert(chain, key)
        .map_err(|error| Flaw::of_pair(&error))?;
        control.alpn_protocols = vec![ALPN.to_vec()];
        let mut data = data.map_err(|error| Flaw::of_pair(&error))?;
        for config in [&mut control, &mut data] {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.ignore_client_order = has_aes();
            config.send_tls13_tickets = 0;
            config.max_early_data_size = 0;
        }
        Ok(Self { control, data, reuse: settings.reuse })
    }

    fn builder(settings: &TlsSettings) -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, Flaw> {
        let all: &[&SupportedProtocolVersion] = match settings.minimum {
            Minimum::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            Minimum::Tls13 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(all);
        builder.map_err(|error| Flaw::of("minimum")(&error))
    }

    /// Keys for a control connection that is about to become private.
    ///
    /// # Errors
    /// When the system has no random numbers to give.
    pub fn begin(self: &Rc<Self>) -> io::Result<SessionKeys> {
        let resumable = Resumable::new().map_err(io::Error::other)?;
        Ok(SessionKeys { ring: Rc::clone(self), resumable: Arc::new(resumable) })
    }
}

impl SessionKeys {
    /// The server's side of the control connection. `early` are octets of the handshake that are here already.
    ///
    /// # Errors
    /// As rustls has them.
    pub fn control(&self, early: Vec<u8>) -> io::Result<Tls> {
        let visit = Arc::new(Resumable::first(&self.resumable));
        Tls::server(&self.config(&self.ring.control, &visit, CONTROL_TICKETS), early)
    }

    /// The server's side of a data connection of this session, and what its client has to show.
    ///
    /// # Errors
    /// As rustls has them.
    pub fn data(&self, direction: Direction, who: Box<str>) -> io::Result<(Tls, Terms)> {
        let tickets = if direction == Direction::Download { DOWNLOAD_TICKETS } else { 0 };
        let visit = Arc::new(Resumable::next(&self.resumable));
        let tls = Tls::server(&self.config(&self.ring.data, &visit, tickets), Vec::new())?;
        Ok((tls, Terms { reuse: self.ring.reuse, voucher: Box::new(visit), who }))
    }

    fn config(&self, base: &ServerConfig, visit: &Arc<Visit>, tickets: usize) -> Arc<ServerConfig> {
        let mut config = base.clone();
        if self.ring.reuse != Reuse::Off {
            config.ticketer = Arc::<Visit>::clone(visit);
            config.session_storage = Arc::<Visit>::clone(visit);
            config.send_tls13_tickets = tickets;
        }
        Arc::new(config)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("reuse", &self.reuse).finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKeys").field("ring", &self.ring).finish_non_exhaustive()
    }
}

/// Whether a client's certificate, which was verified, names the user: as a DNS name, its only name that can be a word.
pub fn names(certificate: &[u8], user: &[u8]) -> bool {
    let name = std::str::from_utf8(user).ok().and_then(|user| ServerName::try_from(user).ok());
    let certificate = CertificateDer::from(certificate);
    match (name, ParsedCertificate::try_from(&certificate)) {
        (Some(name @ ServerName::DnsName(_)), Ok(certificate)) => {
            rustls::client::verify_server_name(&certificate, &name).is_ok()
        }
        _ => false,
    }
}

/// A certificate that nobody has signed but itself, for a trial.
///
/// # Errors
/// As rcgen has them.
pub fn self_signed() -> Result<Identity, String> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| error.to_string())?;
    let pem = |label: &str, der: &[u8]| -> Vec<u8> {
        let mut text = format!("-----BEGIN {label}-----\n");
        // rcgen's own PEM would bring a crate along for it.
        for line in STANDARD.encode(der).as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str(&format!("-----END {label}-----\n"));
        text.into_bytes()
    };
    Ok(Identity {
        chain: pem("CERTIFICATE", made.cert.der()),
        key: pem("PRIVATE KEY", &made.signing_key.serialize_der()),
    })
}

/// SHA-256 of the certificate's DER, as clients that pin want it.
///
/// # Errors
/// When there is no certificate in it.
pub fn fingerprint(identity: &Identity) -> Result<String, Flaw> {
    let chain = certificates(&identity.chain, "certificate")?;
    let first = chain.first().ok_or_else(|| Flaw::of("certificate")(&NO_CERTIFICATE))?;
    Ok(Sha256::digest(first).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The last second of the server's certificate, since 1970; `None` when it cannot be read.
///
/// rustls has no name for that field, but when it refuses a certificate as expired it tells since when; and in the last
/// year that dates can have, it refuses every one. A parser for this one date was rejected.
pub fn expiry(identity: &Identity) -> Option<u64> {
    let chain = certificates(&identity.chain, "certificate").ok()?;
    let certificate = ParsedCertificate::try_from(chain.first()?).ok()?;
    let algorithms = provider().signature_verification_algorithms.all;
    let (roots, late) = (RootCertStore::empty(), UnixTime::since_unix_epoch(END_OF_DATES));
    match rustls::client::verify_server_cert_signed_by_trust_anchor(&certificate, &roots, &[], late, algorithms) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(not_after.as_secs())
        }
        _ => None,
    }
}

fn certificates(pem: &[u8], key: &'static str) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(Flaw::of(key)(&NO_CERTIFICATE)),
        Ok(all) => Ok(all),
        Err(error) => Err(Flaw::of(key)(&error)),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Flaw> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let flaw = Flaw::of("key");
        match error {
            // In PKCS #8's label or in a header of the older forms.
            _ if pem.windows(ENCRYPTED.len()).any(|word| word == ENCRYPTED) => {
                flaw(&"is encrypted, and nobody is there to be asked for the passphrase")
            }
            rustls::pki_types::pem::Error::NoItemsFound => flaw(&"no private key in the file"),
            error => flaw(&error),
        }
    })
}

/// ring, AES-128-GCM first: where the processor has AES, it moves a fifth more bytes than AES-256-GCM.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let name = format!("{:?}", suite.suite());
        (!name.contains("AES_128"), !name.contains("AES"))
    });
    Arc::new(provider)
}

/// Whether AES is done in hardware. If not, the client may know better which cipher is fast.
fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let known = std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    let known = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let known = false;
    known
}
