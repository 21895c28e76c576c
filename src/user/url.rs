//! What users write to name a file on a server: URLs and `HOST:PATH`.

use std::fmt;

use crate::user::text::sendable;

/// How a session is protected, as far as the address says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `ftp://`, and everything without a scheme.
    Ftp,
    /// `ftps://`: TLS from the first byte.
    Ftps,
    /// `ftpes://`: AUTH TLS, required.
    Ftpes,
}

impl Scheme {
    /// The port where nothing else is said.
    pub const fn port(self) -> u16 {
        match self {
            Self::Ftp | Self::Ftpes => 21,
            Self::Ftps => 990,
        }
    }
}

/// A place on a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// Protection.
    pub scheme: Scheme,
    /// From the address, not yet from anywhere else.
    pub user: Option<Vec<u8>>,
    /// As above.
    pub password: Option<Vec<u8>>,
    /// Name or address, without brackets.
    pub host: String,
    /// Port of the control connection.
    pub port: u16,
    /// As it goes over the wire; relative to where the login leads unless it begins with a slash. Empty: that place.
    pub path: Vec<u8>,
    /// `;type=a`: as text.
    pub text: Option<bool>,
}

impl fmt::Debug for Place {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {}", self.host, self.port, self.path.escape_ascii())
    }
}

/// Why a text names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Another scheme.
    Scheme,
    /// No host.
    Host,
    /// The port is no number.
    Port,
    /// A `%` without two hexadecimal digits.
    Escape,
    /// A line break or NUL, which no command can carry.
    Unsendable,
    /// `;type=` with something that is neither `a` nor `i`.
    Type,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "only ftp, ftps and ftpes are spoken here",
            Self::Host => "no host in the address",
            Self::Port => "the port is no number from 1 to 65535",
            Self::Escape => "a % needs two hexadecimal digits behind it",
            Self::Unsendable => "a line break or NUL cannot be sent",
            Self::Type => "the type is a or i",
        })
    }
}

impl Place {
    /// Reads a URL. `Ok(None)`: the text is none.
    ///
    /// # Errors
    /// It is one, but malformed.
    pub fn url(text: &str) -> Result<Option<Self>, Malformed> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "ftp" => Scheme::Ftp,
            "ftps" => Scheme::Ftps,
            "ftpes" => Scheme::Ftpes,
            _ => return Err(Malformed::Scheme),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, password, host) = split_user(authority)?;
        let (host, port) = split_port(host)?;
        let (path, text) = split_type(path)?;
        let port = port.unwrap_or(scheme.port());
        Self { scheme, user, password, host, port, path: decode(path)?, text }.checked().map(Some)
    }

    /// Reads `[USER@]HOST[:PATH]`, a bare host, `[V6]:PATH`.
    ///
    /// # Errors
    /// No host in it.
    pub fn short(text: &str) -> Result<Self, Malformed> {
        let (user, rest) = match text.split_once('@') {
            Some((user, rest)) if !user.contains(['/', ':']) => (Some(user.as_bytes().to_vec()), rest),
            _ => (None, text),
        };
        let (host, path) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, behind) = inner.split_once(']').ok_or(Malformed::Host)?;
                (host, behind.strip_prefix(':').unwrap_or(behind))
            }
            None => rest.split_once(':').unwrap_or((rest, "")),
        };
        let (scheme, port) = (Scheme::Ftp, Scheme::Ftp.port());
        let (host, path) = (host.to_owned(), path.as_bytes().to_vec());
        Self { scheme, user, password: None, host, port, path, text: None }.checked()
    }

    /// Where a session is to be opened: as [`Place::short`], but a number behind the colon is a port.
    ///
    /// # Errors
    /// As [`Place::short`].
    pub fn door(text: &str) -> Result<Self, Malformed> {
        let place = Self::short(text)?;
        let number =
            std::str::from_utf8(&place.path).ok().filter(|path| path.bytes().all(|byte| byte.is_ascii_digit()));
        match number.and_then(|number| number.parse().ok()).filter(|port| *port > 0) {
            Some(port) => Ok(Self { port, path: Vec::new(), ..place }),
            None => Ok(place),
        }
    }

    /// Whether a text that is no URL can be meant as `HOST:PATH`: a colon before any slash.
    pub fn looks_short(text: &str) -> bool {
        let head = text.split('/').next().unwrap_or_default();
        head.contains(':') && !head.starts_with(':')
    }

    fn checked(self) -> Result<Self, Malformed> {
        let fine = |bytes: &Option<Vec<u8>>| bytes.as_ref().is_none_or(|bytes| sendable(bytes));
        if self.host.is_empty() || self.host.contains(['/', ' ', '@']) {
            return Err(Malformed::Host);
        }
        let all = sendable(&self.path) && fine(&self.user) && fine(&self.password) && sendable(self.host.as_bytes());
        if all { Ok(self) } else { Err(Malformed::Unsendable) }
    }

    /// The address of another path on the same server, fit to be shown: without the password.
    pub fn show(&self, path: &[u8]) -> String {
        let scheme = match self.scheme {
            Scheme::Ftp => "ftp",
            Scheme::Ftps => "ftps",
            Scheme::Ftpes => "ftpes",
        };
        let user = self.user.as_ref().map(|user| encode(user) + "@").unwrap_or_default();
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = if self.port == self.scheme.port() { String::new() } else { format!(":{}", self.port) };
        // The first slash of an absolute path is no separator (RFC 1738 3.2.2).
        let (root, rest) = path.strip_prefix(b"/").map_or(("", path), |rest| ("%2F", rest));
        format!("{scheme}://{user}{host}{port}/{root}{}", encode(rest))
    }
}

/// What was meant for an address, as it was written but for the password, fit to be complained about.
pub fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@').map(|(login, host)| (login.split_once(':').map_or(login, |(user, _)| user), host))
    {
        Some((user, host)) => format!("{scheme}://{user}@{host}{path}"),
        None => text.to_owned(),
    }
}

type Authority<'a> = (Option<Vec<u8>>, Option<Vec<u8>>, &'a str);

fn split_user(authority: &str) -> Result<Authority<'_>, Malformed> {
    let Some((login, host)) = authority.rsplit_once('@') else { return Ok((None, None, authority)) };
    match login.split_once(':') {
        Some((user, password)) => Ok((Some(decode(user)?), Some(decode(password)?), host)),
        None => Ok((Some(decode(login)?), None, host)),
    }
}

fn split_port(host: &str) -> Result<(String, Option<u16>), Malformed> {
    let (name, port) = match host.strip_prefix('[') {
        Some(inner) => {
            let (name, behind) = inner.split_once(']').ok_or(Malformed::Host)?;
            (name, behind.strip_prefix(':'))
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let port = match port {
        None | Some("") => None,
        Some(text) => Some(text.parse().ok().filter(|port| *port != 0).ok_or(Malformed::Port)?),
    };
    Ok((name.to_owned(), port))
}

fn split_type(path: &str) -> Result<(&str, Option<bool>), Malformed> {
    let Some((path, kind)) = path.rsplit_once(";type=") else { return Ok((path, None)) };
    match kind {
        "a" | "A" => Ok((path, Some(true))),
        "i" | "I" => Ok((path, Some(false))),
        "d" | "D" => Ok((path, None)),
        _ => Err(Malformed::Type),
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| (byte as char).to_digit(16)).ok_or(Malformed::Escape);
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        out.push((high * 16 + low) as u8);
    }
    Ok(out)
}

fn encode(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,=:@".contains(byte);
    bytes.iter().map(|byte| if plain(byte) { (*byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Place {
        Place::url(text).expect("well formed").expect("a URL")
    }

    #[test]
    fn parts_of_a_url() {
        let place = url("ftp://ann:p%40ss@host.example:2121/pub/a%20b;type=a");
        assert_eq!(place.user.as_deref(), Some(b"ann".as_slice()));
        assert_eq!(place.password.as_deref(), Some(b"p@ss".as_slice()));
        assert_eq!((place.host.as_str(), place.port), ("host.example", 2121));
        assert_eq!((&place.path[..], place.text), (b"pub/a b".as_slice(), Some(true)));
        assert_eq!(place.show(&place.path), "ftp://ann@host.example:2121/pub/a%20b");
        assert!(!format!("{place:?}").contains("ss"));
        for path in ["/", "/a b", "//a", "a/b", "a;type=i", "a%2F", ""] {
            let shown = place.show(path.as_bytes());
            assert_eq!(url(&shown).path, path.as_bytes(), "{shown}");
        }
        assert_eq!(place.show(b"/pub/a"), "ftp://ann@host.example:2121/%2Fpub/a");
        assert_eq!(url("ftp://h//abs").path, b"/abs");
        assert_eq!(url("ftp://h/%2Fabs").path, b"/abs");
        assert_eq!((url("ftp://[::1]:2121/x").host.as_str(), url("ftp://[::1]").port), ("::1", 21));
        assert_eq!(url("FTPS://h").port, 990);
    }

    #[test]
    fn what_is_refused() {
        for (text, why) in [
            ("http://h/", Malformed::Scheme),
            ("ftp:///x", Malformed::Host),
            ("ftp://h:0/", Malformed::Port),
            ("ftp://h:99999/", Malformed::Port),
            ("ftp://h/%zz", Malformed::Escape),
            ("ftp://h/a%0d%0aDELE%20b", Malformed::Unsendable),
            ("ftp://h/a%00b", Malformed::Unsendable),
            ("ftp://a%0ab@h/", Malformed::Unsendable),
            ("ftp://h/x;type=z", Malformed::Type),
        ] {
            assert_eq!(Place::url(text), Err(why), "{text}");
        }
        assert_eq!(Place::url("not a url"), Ok(None));
        for (text, shown) in [
            ("ftp://u:p@ss@h:0/a", "ftp://u@h:0/a"),
            ("ftp://u@h/a@b", "ftp://u@h/a@b"),
            ("ftp://h:0/u:p@x", "ftp://h:0/u:p@x"),
            ("h:a@b", "h:a@b"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }

    #[test]
    fn a_door_may_have_a_number() {
        let door = |text| Place::door(text).map(|place| (place.host, place.port, place.path));
        assert_eq!(door("h:2121"), Ok(("h".into(), 2121, b"".to_vec())));
        assert_eq!(door("[::1]:2121"), Ok(("::1".into(), 2121, b"".to_vec())));
        for (text, path) in [("h:70000", "70000"), ("h:0", "0"), ("h:a1", "a1"), ("h", "")] {
            assert_eq!(door(text), Ok(("h".into(), 21, path.as_bytes().to_vec())), "{text}");
        }
    }

    #[test]
    fn short_forms() {
        let place = Place::short("ann@host:dir/file").expect("a place");
        assert_eq!((place.user.as_deref(), place.host.as_str()), (Some(b"ann".as_slice()), "host"));
        assert_eq!(place.path, b"dir/file");
        assert_eq!(Place::short("[::1]:x").expect("a place").host, "::1");
        assert_eq!(Place::short("host").expect("a place").path, b"");
        assert!(Place::looks_short("host:file") && !Place::looks_short("dir/a:b") && !Place::looks_short("file"));
    }
}
