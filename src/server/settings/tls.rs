//! `[tls]`: what the configuration says about FTPS, with the contents of the files it names.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Fault, ListenAddr, Origin, Table, one_of};
use crate::filesystem::plain;

/// A megabyte of certificates is a mistaken file name.
const LARGEST_PEM: u64 = 1 << 20;

/// The keys of the table.
pub(super) const KEYS: [&str; 10] = [
    "certificate",
    "key",
    "client_ca",
    "require",
    "implicit",
    "reuse",
    "minimum",
    "client_login",
    "ccc",
    "strict_close",
];

/// TLS as it is configured. The files' contents travel with it: who faces the network opens none of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TlsSettings {
    /// The server's certificate and its key.
    pub identity: Identity,
    /// `require`.
    pub require: Require,
    /// `implicit`: control addresses where TLS comes before the greeting.
    pub implicit: Vec<ListenAddr>,
    /// `reuse`.
    pub reuse: Reuse,
    /// `minimum`.
    pub minimum: Minimum,
    /// `client_ca`: the authority, PEM, that signs the certificate which every client has to show.
    pub client_ca: Option<Vec<u8>>,
    /// `client_login`: such a certificate that names the user makes up for the password.
    pub client_login: bool,
    /// `ccc`: whether the control connection may go back to the clear.
    pub ccc: bool,
    /// `strict_close`: an upload that ends without close_notify failed.
    pub strict_close: bool,
    /// Where it was read, and is read again by a process that runs alone.
    pub files: Vec<PathBuf>,
}

/// A certificate chain and its private key, PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The server's certificate first.
    pub chain: Vec<u8>,
    /// PKCS #8, PKCS #1 or SEC 1.
    pub key: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// Where the server's certificate comes from.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum IdentitySource {
    /// Nowhere yet.
    #[default]
    None,
    /// From files, read again at each reload.
    Files {
        /// `certificate`, `--tls-cert`.
        certificate: Option<PathBuf>,
        /// `key`, `--tls-key`.
        key: Option<PathBuf>,
    },
    /// `--tls-self-signed`: made at the start, and the same after a reload.
    Made(Identity),
}

/// `tls.require`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Require {
    /// TLS is offered.
    #[default]
    None,
    /// USER in the clear is refused.
    Login,
    /// As `Login`, and so is a transfer in the clear.
    Data,
}

/// `tls.reuse`: what the data connection's TLS session has to do with the control connection's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reuse {
    /// Nothing: no session is resumed.
    Off,
    /// It may resume it; the log tells when it did not.
    #[default]
    Log,
    /// It must: that proves that the same client has connected.
    Require,
}

/// `tls.minimum`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Minimum {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl FromStr for Require {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "none" => Ok(Self::None),
            "login" => Ok(Self::Login),
            "data" => Ok(Self::Data),
            _ => Err(one_of(word, "none, login, data")),
        }
    }
}

impl FromStr for Reuse {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "off" => Ok(Self::Off),
            "log" => Ok(Self::Log),
            "require" => Ok(Self::Require),
            _ => Err(one_of(word, "off, log, require")),
        }
    }
}

impl FromStr for Minimum {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            _ => Err(one_of(word, "1.2, 1.3")),
        }
    }
}

/// The table as written, before the command line completes it and the files are read.
#[derive(Debug, Default)]
pub(super) struct TlsDraft {
    pub identity: IdentitySource,
    pub require: Require,
    pub implicit: Vec<ListenAddr>,
    pub reuse: Reuse,
    pub minimum: Minimum,
    pub client_ca: Option<PathBuf>,
    pub client_login: bool,
    pub ccc: bool,
    pub strict_close: bool,
    /// Where each key was written, for those that were; the last entry of a key counts.
    origins: Vec<(&'static str, Origin)>,
}

impl TlsDraft {
    pub(super) fn read(&mut self, table: &mut Table<'_>, folder: &Path) -> Result<(), Fault> {
        self.origins = KEYS.iter().filter_map(|key| Some((*key, table.origin(key)?))).collect();
        let (certificate, key) = (table.path("certificate", folder)?, table.path("key", folder)?);
        if certificate.is_some() || key.is_some() {
            self.identity = IdentitySource::Files { certificate, key };
        }
        table.set("require", &mut self.require)?;
        self.implicit = table.list("implicit")?.unwrap_or_default();
        table.set("reuse", &mut self.reuse)?;
        table.set("minimum", &mut self.minimum)?;
        self.client_ca = table.path("client_ca", folder)?;
        table.set("client_login", &mut self.client_login)?;
        table.set("ccc", &mut self.ccc)?;
        table.set("strict_close", &mut self.strict_close)
    }

    /// An option names a file: it replaces the one of the table.
    pub(super) fn lay_over(&mut self, option: &IdentitySource) {
        match option {
            IdentitySource::None => {}
            IdentitySource::Made(_) => self.identity = option.clone(),
            IdentitySource::Files { certificate, key } => {
                for (key, option, given) in [("certificate", "--tls-cert", certificate), ("key", "--tls-key", key)] {
                    if given.is_some() {
                        self.set_by(key, option);
                    }
                }
                let (old_certificate, old_key) = match std::mem::take(&mut self.identity) {
                    IdentitySource::Files { certificate, key } => (certificate, key),
                    IdentitySource::None | IdentitySource::Made(_) => (None, None),
                };
                self.identity = IdentitySource::Files {
                    certificate: certificate.clone().or(old_certificate),
                    key: key.clone().or(old_key),
                };
            }
        }
    }

    /// Reads the files and tries their contents. None: TLS is not configured, and nothing asks for it.
    pub(super) fn resolve(self) -> Result<Option<TlsSettings>, Fault> {
        let Some(identity) = self.pair()? else { return self.nothing_asked().map(|()| None) };
        if self.client_login && self.client_ca.is_none() {
            return Err(self.fault("client_login", "wants client_ca"));
        }
        let client_ca = self.client_ca.as_deref().map(|path| self.contents("client_ca", path)).transpose()?;
        let files = KEYS.iter().filter_map(|key| self.file(key)).map(Path::to_owned).collect();
        let settings = TlsSettings {
            identity,
            require: self.require,
            implicit: self.implicit.clone(),
            reuse: self.reuse,
            minimum: self.minimum,
            client_ca,
            client_login: self.client_login,
            ccc: self.ccc,
            strict_close: self.strict_close,
            files,
        };
        #[cfg(feature = "tls")]
        crate::server::tls::Keyring::new(&settings).map_err(|flaw| self.fault(flaw.key, flaw.why))?;
        Ok(Some(settings))
    }

    /// Where the private key is.
    pub(super) fn key_file(&self) -> Option<&Path> {
        self.file("key")
    }

    /// An option has set `key`.
    pub(super) fn set_by(&mut self, key: &'static str, option: &str) {
        self.origins.push((key, Origin::option(option)));
    }

    fn pair(&self) -> Result<Option<Identity>, Fault> {
        match &self.identity {
            IdentitySource::Files { certificate: Some(certificate), key: Some(key) } => Ok(Some(Identity {
                chain: self.contents("certificate", certificate)?,
                key: self.contents("key", key)?,
            })),
            // The one that is there tells where.
            IdentitySource::Files { certificate: None, .. } => {
                Err(self.fault("key", "wants tls.certificate beside it"))
            }
            IdentitySource::Files { key: None, .. } => Err(self.fault("certificate", "wants tls.key beside it")),
            IdentitySource::Made(identity) => Ok(Some(identity.clone())),
            IdentitySource::None => Ok(None),
        }
    }

    /// Whoever wants connections to be safer than in the clear must not get them in the clear for want of a certificate,
    /// and what is said of TLS must not be passed over.
    fn nothing_asked(&self) -> Result<(), Fault> {
        let asked = [
            ("require", self.require != Require::None),
            ("implicit", !self.implicit.is_empty()),
            ("client_ca", self.client_ca.is_some()),
            ("client_login", self.client_login),
            ("reuse", self.reuse == Reuse::Require),
            ("minimum", self.minimum != Minimum::Tls12),
            ("strict_close", self.strict_close),
            ("ccc", self.ccc),
        ];
        match asked.iter().find(|(_, asked)| *asked) {
            Some((key, _)) => Err(Fault::of(&self.origin(key), "wants a certificate and its key")),
            None => Ok(()),
        }
    }

    fn contents(&self, key: &str, path: &Path) -> Result<Vec<u8>, Fault> {
        plain::read(path, LARGEST_PEM).map_err(|error| self.fault(key, error))
    }

    /// A fault of `key`, or of what is in the file that it names.
    fn fault(&self, key: &str, why: impl fmt::Display) -> Fault {
        let origin = self.origin(key);
        match self.file(key) {
            Some(path) => Fault::of(&origin, format_args!("{}: {why}", path.display())),
            None => Fault::of(&origin, why),
        }
    }

    /// Where `key` was written.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let written = self.origins.iter().rev().find(|(written, _)| *written == key);
        written.map_or_else(|| Origin::option(format!("tls.{key}")), |(_, origin)| origin.clone())
    }

    /// The file that `key` names.
    fn file(&self, key: &str) -> Option<&Path> {
        match (key, &self.identity) {
            ("certificate", IdentitySource::Files { certificate, .. }) => certificate.as_deref(),
            ("key", IdentitySource::Files { key, .. }) => key.as_deref(),
            ("client_ca", _) => self.client_ca.as_deref(),
            _ => None,
        }
    }
}
