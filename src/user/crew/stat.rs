//! What is known about one path: MLST, or SIZE, MDTM and CWD where that is missing.

use super::errand::{Move, Scene, Yield, ask};
use super::trouble::{Cause, Trouble};
use crate::user::mail::{Answer, Wish};
use crate::user::profile::{Profile, Standing};
use crate::wire::address::number;
use crate::wire::directory::{Found, FoundKind, Grain, parse_fact_line, stamp};
use crate::wire::reply::{Kind, Reply, directory_in};

/// Describes one path.
#[derive(Debug)]
pub struct Stat {
    path: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// MLST is out.
    Facts,
    /// SIZE, then MDTM are out.
    Size,
    Time(Option<u64>),
    /// The path may be a directory: where are we, can we go there, and back again.
    Home,
    Entering {
        home: Vec<u8>,
    },
    Returning,
}

impl Stat {
    /// Of this path.
    pub const fn new(path: Vec<u8>) -> Self {
        Self { path, state: State::Facts }
    }

    pub(super) fn begin(&mut self, scene: &mut Scene<'_>) -> Move {
        if scene.profile.has("MLST") {
            self.state = State::Facts;
            return Move::Wishes(vec![ask("MLST", &self.path)]);
        }
        self.state = State::Size;
        Move::Wishes(vec![ask("SIZE", &self.path), ask("MDTM", &self.path)])
    }

    pub(super) fn heard(&mut self, answer: Answer, scene: &mut Scene<'_>) -> Move {
        let Answer::Reply(reply) = answer else { return Move::Wishes(Vec::new()) };
        match std::mem::replace(&mut self.state, State::Facts) {
            State::Facts => self.facts(&reply),
            State::Size => {
                let size = size_in(&reply, scene.profile);
                self.state = State::Time(size);
                Move::Wishes(Vec::new())
            }
            State::Time(size) => {
                let modify = time_in(&reply, scene.profile);
                if size.is_none() && modify.is_none() {
                    self.state = State::Home;
                    return Move::Wishes(vec![ask("PWD", b"")]);
                }
                Move::Done(Ok(Yield::Entry(self.found(FoundKind::File, size, modify))))
            }
            State::Home => {
                let Some(home) = directory_in(&reply) else {
                    return Move::Done(Ok(Yield::Entry(self.found(FoundKind::Unknown, None, None))));
                };
                self.state = State::Entering { home };
                Move::Wishes(vec![ask("CWD", &self.path)])
            }
            State::Entering { home } => {
                if reply.kind() != Kind::Completion {
                    return Move::Done(Err(Trouble::refused(&reply)));
                }
                self.state = State::Returning;
                Move::Wishes(vec![ask("CWD", &home)])
            }
            State::Returning => Move::Done(Ok(Yield::Entry(self.found(FoundKind::Dir, None, None)))),
        }
    }

    fn facts(&mut self, reply: &Reply) -> Move {
        if reply.kind() == Kind::Completion {
            // The facts stand between the first and the last line; some servers send them in the only one.
            let entry = reply.texts().filter(|text| text.contains(&b'=')).find_map(parse_fact_line);
            return Move::Done(match entry {
                Some(entry) => Ok(Yield::Entry(Found { name: self.path.clone(), ..entry })),
                None => Err(Trouble::new(Cause::Transfer, "the server's answer to MLST holds no facts")),
            });
        }
        if matches!(reply.code, 500 | 502 | 504) {
            self.state = State::Size;
            return Move::Wishes(vec![ask("SIZE", &self.path), ask("MDTM", &self.path)]);
        }
        Move::Done(Err(Trouble::refused(reply)))
    }

    fn found(&self, kind: FoundKind, size: Option<u64>, modify: Option<i64>) -> Found {
        Found {
            name: self.path.clone(),
            kind,
            size,
            modify,
            grain: Grain::Second,
            mode: None,
            owner: None,
            group: None,
            target: None,
        }
    }
}

/// The number in the answer to SIZE. Servers that do not know the verb are not asked again.
pub fn size_in(reply: &Reply, profile: &mut Profile) -> Option<u64> {
    if matches!(reply.code, 500 | 502) {
        profile.size = Standing::Fails;
    }
    if reply.kind() != Kind::Completion {
        return None;
    }
    // Some servers put words before the number.
    let last = reply.text().rsplit(|byte| *byte == b' ').find(|word| !word.is_empty())?;
    number(last, u64::MAX)
}

/// The time in the answer to MDTM, as [`size_in`].
pub fn time_in(reply: &Reply, profile: &mut Profile) -> Option<i64> {
    if matches!(reply.code, 500 | 502) {
        profile.mdtm = Standing::Fails;
    }
    if reply.kind() != Kind::Completion {
        return None;
    }
    stamp(reply.text().trim_ascii())
}

/// SIZE and MDTM for a path, as far as the server is known to have them.
pub fn questions(path: &[u8], profile: &Profile) -> Vec<Wish> {
    let mut wishes = Vec::with_capacity(2);
    if profile.size != Standing::Fails {
        wishes.push(ask("SIZE", path));
    }
    if profile.mdtm != Standing::Fails {
        wishes.push(ask("MDTM", path));
    }
    wishes
}
