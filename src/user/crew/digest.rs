//! The digest of a remote file: HASH where the server has it, else one of the X-commands of the field.

use super::errand::{Move, Scene, Yield, ask};
use super::trouble::{Cause, Trouble};
use crate::codec::Algorithm;
use crate::user::mail::Answer;
use crate::user::profile::Profile;
use crate::wire::reply::{Kind, Reply};

/// X-commands, the better digest first.
const COMMANDS: [(&str, Algorithm); 6] = [
    ("XSHA512", Algorithm::Sha512),
    ("XSHA256", Algorithm::Sha256),
    ("XSHA1", Algorithm::Sha1),
    ("XSHA", Algorithm::Sha1),
    ("XMD5", Algorithm::Md5),
    ("XCRC", Algorithm::Crc32),
];

/// Asks for a digest.
#[derive(Debug)]
pub struct Digest {
    path: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// OPTS HASH is out, to have an algorithm that is known here.
    Choosing(Algorithm),
    /// HASH or an X-command is out.
    Asking(Algorithm),
}

impl Digest {
    /// Of this file.
    pub const fn new(path: Vec<u8>) -> Self {
        Self { path, state: State::Asking(Algorithm::Sha256) }
    }

    /// Whether the server offers any digest that is known here.
    pub fn offered(profile: &Profile) -> bool {
        of_hash(profile).is_some() || of_commands(profile).is_some()
    }

    pub(super) fn begin(&mut self, scene: &Scene<'_>) -> Move {
        if let Some((algorithm, selected)) = of_hash(scene.profile) {
            if selected {
                self.state = State::Asking(algorithm);
                return Move::Wishes(vec![ask("HASH", &self.path)]);
            }
            self.state = State::Choosing(algorithm);
            return Move::Wishes(vec![ask("OPTS", format!("HASH {}", algorithm.name()).as_bytes())]);
        }
        let Some((command, algorithm)) = of_commands(scene.profile) else {
            return Move::Done(Err(Trouble::new(Cause::Verify, "the server offers no digests")));
        };
        self.state = State::Asking(algorithm);
        Move::Wishes(vec![ask(command, &self.path)])
    }

    pub(super) fn heard(&mut self, answer: Answer) -> Move {
        let Answer::Reply(reply) = answer else { return Move::Wishes(Vec::new()) };
        if reply.kind() != Kind::Completion {
            return Move::Done(Err(Trouble::refused(&reply)));
        }
        match self.state {
            State::Choosing(algorithm) => {
                self.state = State::Asking(algorithm);
                Move::Wishes(vec![ask("HASH", &self.path)])
            }
            State::Asking(algorithm) => Move::Done(match digits(&reply, algorithm) {
                Some(digits) => Ok(Yield::Digest(algorithm, digits)),
                None => Err(Trouble::new(Cause::Verify, "the server's answer holds no digest")),
            }),
        }
    }
}

/// The algorithm HASH would use, and whether it is the selected one.
fn of_hash(profile: &Profile) -> Option<(Algorithm, bool)> {
    let names = &profile.features.as_ref()?.hash;
    let known = |name: &String| Algorithm::named(name.as_bytes());
    let at = names.iter().position(|name| known(name).is_some())?;
    names.get(at).and_then(known).map(|algorithm| (algorithm, at == 0))
}

fn of_commands(profile: &Profile) -> Option<(&'static str, Algorithm)> {
    COMMANDS.into_iter().find(|(command, _)| profile.has(command))
}

/// The word in a reply that is as long as the digest and made of hexadecimal digits, in lower case.
fn digits(reply: &Reply, algorithm: Algorithm) -> Option<String> {
    let length = match algorithm {
        Algorithm::Sha512 => 128,
        Algorithm::Sha256 => 64,
        Algorithm::Sha1 => 40,
        Algorithm::Md5 => 32,
        Algorithm::Crc32 => 8,
    };
    let words = reply.texts().flat_map(|text| text.split(|byte| matches!(byte, b' ' | b'"' | b'=')));
    let fits = |word: &&[u8]| word.len() == length && word.iter().all(u8::is_ascii_hexdigit);
    let word = words.into_iter().find(fits)?;
    Some(String::from_utf8_lossy(word).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_in_replies() {
        let md5 = "5d41402abc4b2a76b9719d911017c592";
        for text in
            [format!("MD5 0-4 {md5} b.bin"), md5.to_uppercase(), format!("\"b.bin\" MD5 {md5}"), format!("XMD5={md5}")]
        {
            assert_eq!(digits(&Reply::new(213, text), Algorithm::Md5).as_deref(), Some(md5));
        }
        assert_eq!(digits(&Reply::new(250, "nothing here"), Algorithm::Md5), None);
    }
}
