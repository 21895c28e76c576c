//! Password hashes as `crypt(3)` and the PHC format write them: read, bounded, compared.
//!
//! | begins with | family | bound |
//! |---|---|---|
//! | `$argon2id$` | Argon2id | 64 MiB, 10 passes, 16 lanes |
//! | `$y$` | yescrypt | 64 MiB |
//! | `$6$`, `$5$` | SHA-512-crypt, SHA-256-crypt | 1,000,000 rounds |
//! | `$2b$`, `$2a$`, `$2y$` | bcrypt | cost 13 |
//!
//! The bounds hold when the file is read, not when somebody logs in: whoever can write a hash must not be able to
//! order gigabytes or minutes of work with it.

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, CustomizedPasswordHasher, Params, PasswordVerifier, Version};

/// Memory of one hash, KiB: what the verifier may need at most, as it computes one at a time.
const MOST_MEMORY_KIB: u64 = 64 << 10;
/// Argon2 passes.
const MOST_PASSES: u32 = 10;
/// Argon2 lanes; computed one after the other here, so they only cost.
const MOST_LANES: u32 = 16;
/// Rounds of the SHA-crypts: about 0.7 s.
const MOST_ROUNDS: u32 = 1_000_000;
/// Fewer rounds are not in the SHA-crypt specification.
const LEAST_ROUNDS: u32 = 1_000;
/// bcrypt's cost: about 0.7 s, and each step doubles it.
const MOST_BCRYPT: u32 = 13;
/// bcrypt looks at no more bytes; a longer password would be right with any tail.
const LONGEST_BCRYPT_PASSWORD: usize = 72;
/// Shorter results of Argon2 are truncated ones. A result of no bytes would match every password.
const LEAST_RESULT: usize = 16;
/// A hash longer than this is none of the families: Argon2id's longest sensible one has some 200 bytes.
const LONGEST_HASH: usize = 512;

/// The cost of hashes made here: 19 MiB and two passes, the floor OWASP recommends; about 60 ms.
const OWN_MEMORY_KIB: u32 = 19_456;
const OWN_PASSES: u32 = 2;
const OWN_LANES: u32 = 1;

/// A usable hash.
#[derive(Clone)]
pub struct Hash {
    family: Family,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Argon2id,
    Yescrypt,
    ShaCrypt,
    Bcrypt,
}

#[cfg(test)]
impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Hash {
    /// Reads a hash. The error says why it cannot be used, without quoting it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let family = match text {
            "" | "*" | "!" => return Err("it has no password".to_owned()),
            _ if text.len() > LONGEST_HASH => return Err("its hash is too long".to_owned()),
            _ if text.starts_with("$argon2id$") => check_argon2(text)?,
            _ if text.starts_with("$y$") => check_yescrypt(text)?,
            _ if text.starts_with("$6$") => check_sha(text, 86)?,
            _ if text.starts_with("$5$") => check_sha(text, 43)?,
            _ if is_bcrypt(text) => check_bcrypt(text)?,
            _ => return Err("its hash is of no known family".to_owned()),
        };
        let text = text.to_owned();
        Ok(Hash { family, text })
    }

    /// Whether `password` is the one. Costs the hash's time whatever the answer.
    pub fn verify(&self, password: &[u8]) -> bool {
        let text = self.text.as_str();
        match self.family {
            Family::Argon2id => Argon2::default().verify_password(password, text).is_ok(),
            Family::Yescrypt => yescrypt::Yescrypt::default().verify_password(password, text).is_ok(),
            Family::ShaCrypt => sha_crypt::ShaCrypt::default().verify_password(password, text).is_ok(),
            Family::Bcrypt => {
                let same = bcrypt::verify(password, text).unwrap_or(false);
                same && password.len() <= LONGEST_BCRYPT_PASSWORD
            }
        }
    }

    /// Hashes `password` with Argon2id and 16 random bytes of salt; the text is what the accounts file holds.
    pub fn make(password: &[u8]) -> std::io::Result<String> {
        let mut salt = [0; 16];
        let mut filled = 0;
        while let Some(rest) = salt.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
        }
        hash_with(password, &salt).map_err(std::io::Error::other)
    }

    /// A hash of the cost that [`Hash::make`] gives, of nobody's password: for names without an account.
    pub fn nobody() -> Self {
        Hash {
            family: Family::Argon2id,
            text: format!(
                "$argon2id$v=19$m={OWN_MEMORY_KIB},t={OWN_PASSES},p={OWN_LANES}$\
                 bm9ib2R5IG5vYm9keQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            ),
        }
    }
}

fn hash_with(password: &[u8], salt: &[u8]) -> Result<String, String> {
    let params = Params::new(OWN_MEMORY_KIB, OWN_PASSES, OWN_LANES, None);
    let params = params.map_err(|e| e.to_string())?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let hash: Result<phc::PasswordHash, _> = argon2.hash_password_customized(password, salt, None, None, params);
    hash.map(|hash| hash.to_string()).map_err(|e| e.to_string())
}

fn check_argon2(text: &str) -> Result<Family, String> {
    let broken = || "its Argon2 hash is broken".to_owned();
    let hash = phc::PasswordHash::new(text).map_err(|_| broken())?;
    let params = Params::try_from(&hash).map_err(|_| broken())?;
    let result = hash.hash.ok_or_else(broken)?;
    if hash.salt.is_none() || result.len() < LEAST_RESULT {
        return Err(broken());
    }
    let dear =
        u64::from(params.m_cost()) > MOST_MEMORY_KIB || params.t_cost() > MOST_PASSES || params.p_cost() > MOST_LANES;
    match dear {
        true => Err(too_dear()),
        false => Ok(Family::Argon2id),
    }
}

fn check_yescrypt(text: &str) -> Result<Family, String> {
    let broken = || "its yescrypt hash is broken".to_owned();
    let [params, salt, result] = fields::<3>(text).ok_or_else(broken)?;
    // Three characters are flavour, memory and block size: all that crypt(3) writes. The optional fields behind them
    // raise time without memory and cannot be bounded through the crate's interface.
    if params.len() != 3 || !params.starts_with('j') {
        return Err(broken());
    }
    let parsed: yescrypt::Params = params.parse().map_err(|_| broken())?;
    let memory = parsed.n().saturating_mul(u64::from(parsed.r())) / 8;
    if memory > MOST_MEMORY_KIB {
        return Err(too_dear());
    }
    if salt.len() > 86 || result.len() != 43 || !is_crypt64(salt) || !is_crypt64(result) {
        return Err(broken());
    }
    Ok(Family::Yescrypt)
}

fn check_sha(text: &str, length: usize) -> Result<Family, String> {
    let broken = || "its SHA-crypt hash is broken".to_owned();
    let (rounds, salt, result) = match fields::<3>(text) {
        Some([rounds, salt, result]) => {
            let rounds = rounds.strip_prefix("rounds=").ok_or_else(broken)?;
            (rounds.parse().map_err(|_| broken())?, salt, result)
        }
        None => {
            let [salt, result] = fields::<2>(text).ok_or_else(broken)?;
            (5_000, salt, result)
        }
    };
    if rounds > MOST_ROUNDS {
        return Err(too_dear());
    }
    let whole = result.len() == length && is_crypt64(result) && salt.len() <= 16;
    match rounds >= LEAST_ROUNDS && whole {
        true => Ok(Family::ShaCrypt),
        false => Err(broken()),
    }
}

fn is_bcrypt(text: &str) -> bool {
    ["$2b$", "$2a$", "$2y$"].iter().any(|id| text.starts_with(id))
}

fn check_bcrypt(text: &str) -> Result<Family, String> {
    let broken = || "its bcrypt hash is broken".to_owned();
    let parts: bcrypt::HashParts = text.parse().map_err(|_| broken())?;
    match parts.get_cost() {
        4..=MOST_BCRYPT if text.len() == 60 => Ok(Family::Bcrypt),
        cost if cost > MOST_BCRYPT => Err(too_dear()),
        _ => Err(broken()),
    }
}

fn too_dear() -> String {
    "its hash would cost too much to check".to_owned()
}

/// The fields behind `$id$`, if there are exactly `N`.
fn fields<const N: usize>(text: &str) -> Option<[&str; N]> {
    let all: Vec<&str> = text.split('$').skip(2).collect();
    all.try_into().ok()
}

fn is_crypt64(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    text.bytes().all(known)
}
