//! The keys of the targets that have TLS in them.

use miniftp::server::settings::{Identity, Minimum, Require, Reuse, TlsSettings};

/// What a server with a certificate has when nothing more is said.
pub fn settings(identity: Identity) -> TlsSettings {
    TlsSettings {
        identity,
        require: Require::None,
        implicit: Vec::new(),
        reuse: Reuse::Log,
        minimum: Minimum::Tls12,
        client_ca: None,
        client_login: false,
        ccc: false,
        strict_close: false,
        files: Vec::new(),
    }
}
