//! What protects a session: TLS as wished (RFC 4217), whom to trust, and the session's tickets.
//!
//! ```text
//!   Trust    one a program: roots, pin, our own certificate
//!     │ secrets(host)
//!   Secrets  one a control connection: its ticket store, its server's certificate
//!     │ cloak()
//!   Cloak    one a data connection: the handshake to come, and whose certificate it must show
//! ```
//!
//! Tickets belong to one control connection: servers that require resumption take it as the proof that both connections
//! have the same client, and a ticket of another session proves something else. In TLS 1.2 the session serves as often
//! as it is needed; in TLS 1.3 each ticket serves once and the newest is taken. To use the last one again was wanted and
//! cannot be had: rustls hands a ticket over and lets nobody copy it. When there is none left the handshake is a full
//! one, and a server that refuses that is talked to in TLS 1.2 from then on, or where it does not speak that, in new
//! sessions, which bring new tickets: a session that has used up its own is left before its next transfer.

#[cfg(feature = "tls")]
mod judge;
#[cfg(not(feature = "tls"))]
mod none;
#[cfg(feature = "tls")]
mod tickets;
#[cfg(feature = "tls")]
mod trust;

use std::path::PathBuf;
use std::rc::Rc;

pub use super::mail::Protection;

#[cfg(not(feature = "tls"))]
pub use none::{Cloak, Secrets, Trust, Worn};
#[cfg(feature = "tls")]
pub use trust::{Cloak, Secrets, Trust, Worn};

/// Whom to trust, as the user says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Creed {
    /// Certificates of authorities (PEM), in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the one certificate that is accepted, whoever signed it.
    pub pin: Option<[u8; 32]>,
    /// Any certificate.
    pub anything: bool,
    /// Our own certificate and key (PEM), for servers that want to see one.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// What a session is begun with: how it is to be protected, whom it talks to and what it trusts.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// How.
    pub protection: Protection,
    /// The name that the certificate must bear, as the user wrote it.
    pub host: String,
    /// Absent where nothing is to be protected.
    pub trust: Option<Rc<Trust>>,
}

/// What is said when a certificate is not accepted: why, what was shown, and what can be done about it.
#[cfg(feature = "tls")]
fn advice(why: &str, shown: &str) -> String {
    format!(
        "the server's certificate is not accepted: {why}. It shows {shown}. If that is what it should show, \
         --pin \"{shown}\" accepts it, --ca-file FILE accepts what an authority of your own has signed, and --insecure \
         accepts anything"
    )
}

/// `sha256 HEX`, `HEX`, with colons or without.
pub fn parse_pin(text: &str) -> Option<[u8; 32]> {
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.strip_prefix("sha256").unwrap_or(&lower);
    let digits: Vec<u8> = bare.bytes().filter(|byte| !matches!(byte, b':' | b' ' | b'=' | b'-')).collect();
    let mut pin = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in pin.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(pin)
}

#[cfg(test)]
mod tests {
    use super::parse_pin;

    #[test]
    fn pins_as_they_are_written() {
        let hex = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        let colons = hex.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair)).collect::<Vec<_>>().join(":");
        for text in [hex.to_owned(), format!("sha256 {hex}"), format!("SHA256:{hex}"), format!("sha256 {colons}")] {
            let pin = parse_pin(&text).expect("a pin");
            assert_eq!((pin[0], pin[1], pin[31]), (0, 0x11, 0xff), "{text}");
        }
        for text in ["", "sha256", &hex[1..], "zz", &hex.replace('0', "g")] {
            assert_eq!(parse_pin(text), None, "{text}");
        }
    }
}
