//! Bytes from a server on their way to a terminal, and on their way back.
//!
//! Names and replies are bytes that somebody else chose. Shown raw they can move the cursor, rename the window or
//! type into the shell; so every byte that is no printable character is shown as an escape, in this one place.

use std::fmt::{self, Write as _};

/// Shows bytes so that a terminal takes none of them for an order. Valid UTF-8 stays readable.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                if harmless(letter) { f.write_char(letter)? } else { write!(f, "{}", letter.escape_default())? }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Control characters steer terminals; the bidirectional ones make a name read as another.
fn harmless(letter: char) -> bool {
    !(letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'))
}

/// Whether a command line may hold these bytes: a line break would end it and begin another (RFC 959 5.3.1), and NUL
/// has no meaning every server shares.
pub fn sendable(bytes: &[u8]) -> bool {
    !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// A path in a directory of a server.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() || directory.ends_with(b"/") {
        [directory, name].concat()
    } else {
        [directory, b"/", name].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_given_no_orders() {
        for (raw, shown) in [
            (b"plain name".as_slice(), "plain name"),
            ("gr\u{fc}n".as_bytes(), "gr\u{fc}n"),
            (b"\x1b[2Jx", r"\u{1b}[2Jx"),
            (b"a\r\nb\x07", r"a\r\nb\u{7}"),
            (b"\x9b31m\xff", r"\x9b31m\xff"),
            ("\u{9b}31m".as_bytes(), r"\u{9b}31m"),
            ("abc\u{202e}gpj".as_bytes(), r"abc\u{202e}gpj"),
        ] {
            assert_eq!(Shown(raw).to_string(), shown);
        }
    }

    #[test]
    fn line_breaks_are_not_sent() {
        assert!(sendable(b"a b\xff\t"));
        for bad in [b"a\rb".as_slice(), b"a\nb", b"\0"] {
            assert!(!sendable(bad));
        }
    }
}
