//! From what the user says to configurations, and from those to handshakes.

use std::cell::OnceCell;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::judge::{Judge, fingerprint, is_authority};
use super::tickets::Tickets;
use super::{Creed, advice};
use crate::reactor::{Link, Tls};

/// RFC 7301's name of what is spoken on the control connection, against ALPACA. On data connections nothing is named:
/// servers that name something there disagree about what.
const ALPN: &[u8] = b"ftp";

/// Whom to trust. The system's authorities are read when the first server wants TLS and not before: most never do.
#[derive(Debug)]
pub struct Trust {
    creed: Creed,
    made: OnceCell<Result<Made, String>>,
}

#[derive(Debug)]
struct Made {
    judge: Arc<Judge>,
    provider: Arc<CryptoProvider>,
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// The protection of one control connection.
#[derive(Debug)]
pub struct Secrets {
    control: Arc<ClientConfig>,
    data: Arc<ClientConfig>,
    tickets: Arc<Tickets>,
    /// No newer than TLS 1.2.
    old: bool,
    name: ServerName<'static>,
    shown: Arc<Witness>,
    certificate: Rc<[u8]>,
}

/// A data connection's protection, before its handshake.
#[derive(Debug)]
pub struct Cloak {
    tls: Tls,
    certificate: Rc<[u8]>,
}

/// Whom a data connection must turn out to be with.
#[derive(Debug)]
pub struct Worn(Rc<[u8]>);

/// Remembers what was shown, since an error does not say.
#[derive(Debug)]
struct Witness {
    judge: Arc<Judge>,
    seen: Mutex<Option<[u8; 32]>>,
}

impl Made {
    fn new(creed: &Creed) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        // A pin says all there is to say about a certificate; an authority named beside it must hold as well.
        let unchecked = creed.anything || (creed.pin.is_some() && creed.ca_file.is_none());
        let chain = if unchecked {
            None
        } else {
            let roots = Arc::new(roots(creed.ca_file.as_deref())?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Some(verifier.map_err(|_| {
                "no authority is trusted on this system: name one with --ca-file, the certificate itself with --pin, or \
                 accept any with --insecure"
            })?)
        };
        let own = match &creed.own {
            Some((certificate, key)) => Some((certificates(certificate)?, private_key(key)?)),
            None => None,
        };
        let named = creed.ca_file.as_deref().map_or_else(|| Ok(Vec::new()), certificates)?;
        let judge = Judge { chain, named, pin: creed.pin, provider: Arc::clone(&provider) };
        Ok(Self { judge: Arc::new(judge), provider, own })
    }
}

impl Trust {
    /// As the user says. Files are read when they are needed.
    pub const fn new(creed: Creed) -> Self {
        Self { creed, made: OnceCell::new() }
    }

    /// Whether the files that were named can be used.
    ///
    /// # Errors
    /// In words, which and why not.
    pub fn check(&self) -> Result<(), String> {
        if self.creed.ca_file.is_none() && self.creed.own.is_none() {
            return Ok(());
        }
        self.made().map(drop)
    }

    fn made(&self) -> Result<&Made, String> {
        self.made.get_or_init(|| Made::new(&self.creed)).as_ref().map_err(Clone::clone)
    }

    /// For one control connection with `host`, which is at `address`; `old`: no newer than TLS 1.2.
    ///
    /// # Errors
    /// In words: a file that cannot be used, a host that no certificate can name, a key that does not fit.
    pub fn secrets(&self, host: &str, address: IpAddr, old: bool) -> Result<Secrets, String> {
        self.made()?.secrets(host, address, old)
    }
}

impl Made {
    fn secrets(&self, host: &str, address: IpAddr, old: bool) -> Result<Secrets, String> {
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            // The name only matters where a chain is checked.
            Err(_) if self.judge.chain.is_none() => ServerName::from(address),
            Err(_) => return Err(format!("{host} is no name that a certificate can bear")),
        };
        let shown = Arc::new(Witness { judge: Arc::clone(&self.judge), seen: Mutex::default() });
        let versions: &[_] = if old { &[&TLS12] } else { &[&TLS13, &TLS12] };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&shown) as Arc<dyn ServerCertVerifier>);
        let mut data = match &self.own {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| format!("the certificate and the key of our own: {error}"))?,
            None => builder.with_no_client_auth(),
        };
        let tickets = Arc::new(Tickets::default());
        data.resumption = Resumption::store(Arc::clone(&tickets) as Arc<dyn ClientSessionStore>);
        let mut control = data.clone();
        control.alpn_protocols = vec![ALPN.to_vec()];
        let (control, data, certificate) = (Arc::new(control), Arc::new(data), Rc::from([]));
        Ok(Secrets { control, data, tickets, old, name, shown, certificate })
    }
}

impl Secrets {
    /// Puts the control connection into TLS; the handshake is to follow.
    ///
    /// # Errors
    /// What rustls says.
    pub fn dress(&self, link: &mut Link) -> Result<(), String> {
        let tls = Tls::client(&self.control, self.name.clone()).map_err(|error| error.to_string())?;
        link.dress(tls);
        Ok(())
    }

    /// The handshake is done: from here on data connections must be with the same server. In words, what it came to.
    pub fn met(&mut self, link: &Link) -> String {
        let Some(tls) = link.tls() else { return String::new() };
        if let Some(certificate) = tls.peer_certificate() {
            self.certificate = Rc::from(certificate.as_ref());
        }
        format!("{}; {}", tls.describe(), in_words(&fingerprint(&self.certificate)))
    }

    /// Why a handshake failed, with what can be done about it.
    pub fn why(&self, error: &io::Error) -> String {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let Some(Error::InvalidCertificate(why)) = inner else { return format!("the TLS handshake failed: {error}") };
        let why = match why {
            CertificateError::ApplicationVerificationFailure => "it is not the pinned one".to_owned(),
            CertificateError::UnknownIssuer => "no authority that is trusted here has signed it".to_owned(),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("it is not for {}", self.name.to_str())
            }
            _ if is_authority(&Error::InvalidCertificate(why.clone())) => {
                "it signs itself, and nobody has named it".to_owned()
            }
            other => format!("{other}"),
        };
        let seen = self.shown.seen.lock().unwrap_or_else(PoisonError::into_inner);
        advice(&why, &seen.map_or_else(String::new, |print| in_words(&print)))
    }

    /// Whether the handshake failed for being in TLS 1.2. Servers say it by an alert, and not all by the right one.
    pub fn refused_as_old(&self, error: &io::Error) -> bool {
        use rustls::AlertDescription::{HandshakeFailure, ProtocolVersion};
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        self.old && matches!(inner, Some(Error::AlertReceived(ProtocolVersion | HandshakeFailure)))
    }

    /// Whether the tickets are used up.
    pub fn is_dry(&self) -> bool {
        self.tickets.are_spent()
    }

    /// For a data connection.
    ///
    /// # Errors
    /// What rustls says.
    pub fn cloak(&self) -> Result<Cloak, String> {
        let tls = Tls::client(&self.data, self.name.clone()).map_err(|error| error.to_string())?;
        Ok(Cloak { tls, certificate: Rc::clone(&self.certificate) })
    }
}

impl Cloak {
    /// Puts the data connection into TLS; the handshake is to follow.
    pub fn put_on(self, link: &mut Link) -> Worn {
        link.dress(self.tls);
        Worn(self.certificate)
    }
}

impl Worn {
    /// Whether the data connection has the control connection's certificate. A resumed session has shown it before.
    pub fn fits(&self, link: &Link) -> bool {
        let Some(tls) = link.tls() else { return false };
        log::debug!("data connection: {}{}", tls.describe(), if tls.is_resumed() { ", resumed" } else { "" });
        tls.is_resumed() || tls.peer_certificate().is_some_and(|certificate| certificate.as_ref() == &self.0[..])
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint(end_entity));
        self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

fn in_words(print: &[u8; 32]) -> String {
    print.iter().fold("sha256 ".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The authorities of a file, or those of the system. A single bad certificate in the system's store is its own affair.
fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in certificates(file)? {
                store.add(certificate).map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
        None => {
            let loaded = rustls_native_certs::load_native_certs();
            loaded.errors.iter().for_each(|error| log::debug!("system certificates: {error}"));
            let (_, ignored) = store.add_parsable_certificates(loaded.certs);
            log::debug!("{} authorities of the system, {ignored} ignored", store.len());
        }
    }
    if store.is_empty() {
        // Nothing will be accepted; the handshake's message says what can be done.
        log::debug!("no authority is trusted");
    }
    Ok(store)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error| format!("{}: {error}", file.display());
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(failed)?.collect();
    match all.map_err(failed)? {
        none if none.is_empty() => Err(format!("{}: no certificate in it", file.display())),
        some => Ok(some),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| format!("{}: {error}", file.display()))
}
