//! A file from here to there.
//!
//! ```text
//!   begin ──▶ Moving (STOR) ───────────────────────────▶ Stamping (MFMT) ──▶ Checking (SIZE) ──▶ done
//!     │ to be continued              ▲ APPE                                                      ▲
//!     └──▶ Looking (SIZE) ──▶ proof ─┤                                                           │
//!                               │    └── all of it is there ─────────────────────────────────────┘
//!                               └── other bytes: begun anew
//! ```
//!
//! Nothing is put behind what is there before its last bytes have been read back and are those of the file here.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;

use super::errand::{Move, Moved, Scene, Yield, ask};
use super::proof::{Behind, Proof};
use super::stat::size_in;
use super::trouble::{Again, Cause, Trouble};
use super::verify::Verify;
use crate::user::local::Folder;
use crate::user::mail::{Answer, Failure, Outcome, Transfer, Wish};
use crate::user::profile::Standing;
use crate::user::pump::{Outlet, Pump};
use crate::user::text::Shown;
use crate::wire::command::Verb;
use crate::wire::date::append_stamp;
use crate::wire::reply::{Kind, Reply};

/// Sends one file.
#[derive(Debug)]
pub struct Send {
    /// Its path on the server.
    pub remote: Vec<u8>,
    /// Where it comes from.
    pub origin: Origin,
    /// Bytes, as they were when somebody looked.
    pub size: Option<u64>,
    /// Go on behind what the server has.
    pub resume: bool,
    /// Put it behind what the server has, whatever that is.
    pub append: bool,
    /// As text (TYPE A).
    pub text: bool,
    /// Give the server's file the time it has here.
    pub keep_time: bool,
    /// The server has no such file, as far as is known: its time may be set behind the transfer without looking.
    pub fresh: bool,
    /// Ask for the size afterwards.
    pub check_size: bool,
    /// Compare digests afterwards, or read the file back.
    pub verify: bool,
    state: State,
    offset: u64,
    begun: bool,
    modify: Option<i64>,
    stamp: Stamp,
    moved: Moved,
    proving: Option<Box<Proof>>,
    verifying: Option<Box<Verify>>,
}

/// Where a file comes from.
#[derive(Debug)]
pub enum Origin {
    /// A file in a folder.
    File(Rc<Folder>, OsString),
    /// Standard input or a pipe. Emptied once it is used.
    Stream(Option<OwnedFd>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Looking,
    Moving,
    Stamping,
    Checking,
}

/// MFMT, where it is sent right behind the transfer.
#[derive(Debug)]
enum Stamp {
    Unsent,
    Owed,
    /// The transfer has failed; its reply to MFMT is still to come.
    OwedAfter(Trouble),
    Answered,
}

impl Send {
    /// A whole file.
    pub const fn new(origin: Origin, remote: Vec<u8>) -> Self {
        Self {
            remote,
            origin,
            size: None,
            resume: false,
            append: false,
            text: false,
            keep_time: true,
            fresh: false,
            check_size: true,
            verify: false,
            proving: None,
            verifying: None,
            stamp: Stamp::Unsent,
            state: State::Looking,
            offset: 0,
            begun: false,
            modify: None,
            moved: Moved { bytes: 0, offset: 0, elapsed: Duration::ZERO, skipped: false, code: None },
        }
    }

    pub(super) const fn size_known(&self) -> Option<u64> {
        self.size
    }

    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) const fn is_trailing(&self) -> bool {
        self.verifying.is_none() && matches!(self.state, State::Stamping | State::Checking)
    }

    pub(super) const fn repeatable(&self) -> bool {
        match &self.origin {
            // Appending twice is not the same as appending once.
            Origin::File(..) => !(self.append && self.begun),
            Origin::Stream(stream) => stream.is_some(),
        }
    }

    pub(super) fn begin(&mut self, scene: &mut Scene<'_>) -> Move {
        self.offset = 0;
        (self.proving, self.verifying) = (None, None);
        self.stamp = Stamp::Unsent;
        // What a try of this run left is gone on with only where nothing was before: a server that failed before it
        // emptied the old file, or that writes elsewhere first, still has that one, and ours would go behind it.
        let goes_on = (self.resume || (self.begun && self.fresh)) && !self.text && !self.append;
        if goes_on && scene.profile.size != Standing::Fails && matches!(self.origin, Origin::File(..)) {
            self.state = State::Looking;
            return Move::Wishes(vec![ask("SIZE", &self.remote)]);
        }
        self.transfer(scene)
    }

    pub(super) fn heard(&mut self, answer: Answer, scene: &mut Scene<'_>) -> Move {
        if let Some(verifying) = &mut self.verifying {
            let next = verifying.heard(answer);
            return self.verified(next);
        }
        if let Some(proving) = self.proving.take() {
            let next = proving.heard(answer, scene);
            return self.proven(proving, next, scene);
        }
        match (self.state, answer) {
            (State::Looking, Answer::Reply(reply)) => {
                let there = size_in(&reply, scene.profile).unwrap_or(0);
                self.looked(there, scene)
            }
            (State::Moving, Answer::Moved(outcome)) => self.sent(*outcome, scene),
            (State::Moving | State::Stamping, Answer::Reply(reply)) => self.stamped(&reply, scene),
            (State::Checking, Answer::Reply(reply)) => {
                let size = if reply.kind() == Kind::Completion { size_in(&reply, scene.profile) } else { None };
                self.checked(size, scene)
            }
            _ => Move::Wishes(Vec::new()),
        }
    }

    /// So much is there already.
    fn looked(&mut self, there: u64, scene: &mut Scene<'_>) -> Move {
        let Origin::File(folder, name) = &self.origin else { return self.transfer(scene) };
        // One that cannot be opened is complained about by the transfer.
        let Some(here) = folder.open(name).ok().map(|(_, present)| present.size).filter(|_| there > 0) else {
            return self.transfer(scene);
        };
        if there > here {
            let text = format!("it has {there} bytes, the file here {here}");
            return self.replacing(Trouble::new(Cause::Verify, text));
        }
        self.offset = there;
        let proof = Proof::new(self.remote.clone(), Rc::clone(folder), name.clone(), there, Behind::Nothing);
        let next = proof.begin(scene);
        self.proven(Box::new(proof), next, scene)
    }

    fn proven(&mut self, proof: Box<Proof>, next: Move, scene: &mut Scene<'_>) -> Move {
        match next {
            Move::Done(Ok(_)) => self.transfer(scene),
            // Other bytes, or nobody may read it: then it is replaced, as it would be by a transfer from the beginning.
            Move::Done(Err(trouble)) if matches!(trouble.cause, Cause::Verify | Cause::Denied) => {
                self.replacing(trouble)
            }
            Move::Done(Err(trouble)) => Move::Done(Err(trouble)),
            wishes @ Move::Wishes(_) => {
                self.proving = Some(proof);
                wishes
            }
        }
    }

    /// From the first byte, and not without a word: what is there is no beginning of the file here.
    fn replacing(&mut self, trouble: Trouble) -> Move {
        (self.resume, self.begun) = (false, false);
        let text = format!("what the server has is replaced: {}", trouble.text);
        Move::Done(Err(Trouble { text, ..trouble }.again(Again::Otherwise)))
    }

    fn transfer(&mut self, scene: &Scene<'_>) -> Move {
        self.state = State::Moving;
        let outlet = match &mut self.origin {
            Origin::Stream(stream) => match stream.take() {
                Some(stream) => Outlet::stream(stream, self.text),
                None => return Move::Done(Err(Trouble::new(Cause::Local, "the input was read already"))),
            },
            Origin::File(folder, name) => match folder.open(name) {
                Ok((file, present)) => {
                    self.size = Some(present.size);
                    self.modify = Some(present.modify);
                    if self.offset > present.size {
                        self.offset = 0;
                    }
                    if self.offset == present.size && self.offset > 0 {
                        self.moved.skipped = true;
                        self.moved.offset = self.offset;
                        return Move::Done(Ok(Yield::Moved(self.moved.clone())));
                    }
                    if is_made_up(&file, present.size) {
                        self.size = None;
                        Outlet::stream(file, self.text)
                    } else if self.text {
                        Outlet::text(file, present.size)
                    } else {
                        Outlet::image(file, self.offset, present.size)
                    }
                }
                Err(errno) => return Move::Done(Err(unread(&folder.path().join(name), errno))),
            },
        };
        self.begun = true;
        // APPE goes on behind what is there by definition; REST before STOR is filled up with zeros by some servers.
        let verb = if self.append || self.offset > 0 { Verb::Appe } else { Verb::Stor };
        let transfer = Wish::Transfer(Box::new(Transfer {
            verb,
            argument: self.remote.clone(),
            text: self.text,
            restart: 0,
            pump: Pump::Out(Box::new(outlet)),
            only: None,
        }));
        // Only where there is no older file, which would get this one's time if the transfer failed.
        match self.mfmt(scene).filter(|_| self.fresh && !self.append && scene.profile.queues()) {
            Some(mfmt) => {
                self.stamp = Stamp::Owed;
                Move::Wishes(vec![transfer, mfmt])
            }
            None => Move::Wishes(vec![transfer]),
        }
    }

    fn sent(&mut self, outcome: Outcome, scene: &mut Scene<'_>) -> Move {
        let Outcome { moved, elapsed, result, .. } = outcome;
        match result {
            Ok(reply) => {
                self.moved =
                    Moved { bytes: moved, offset: self.offset, elapsed, skipped: false, code: Some(reply.code) };
                self.stamp(scene)
            }
            Err(failure) => {
                let trouble = Trouble::of_transfer(&failure, moved);
                if self.offset > 0 && matches!(&failure, Failure::Refused(reply) if is_about_appending(reply, moved)) {
                    self.resume = false;
                    self.begun = false;
                    return Move::Done(Err(trouble.again(Again::Otherwise)));
                }
                if matches!(self.stamp, Stamp::Owed) {
                    self.stamp = Stamp::OwedAfter(trouble);
                    return Move::Wishes(Vec::new());
                }
                Move::Done(Err(trouble))
            }
        }
    }

    fn stamp(&mut self, scene: &mut Scene<'_>) -> Move {
        let mfmt = match &self.stamp {
            Stamp::Answered => None,
            Stamp::Owed | Stamp::OwedAfter(_) => Some(Vec::new()),
            Stamp::Unsent => self.mfmt(scene).map(|wish| vec![wish]),
        };
        let Some(wishes) = mfmt else { return self.check(scene) };
        self.state = State::Stamping;
        Move::Wishes(wishes)
    }

    /// The question that gives the server's file its time, where that is wished and known to be understood.
    fn mfmt(&self, scene: &Scene<'_>) -> Option<Wish> {
        let wanted = self.keep_time && scene.profile.has("MFMT") && scene.profile.mfmt != Standing::Fails;
        let modify = self.modify.filter(|_| wanted)?;
        let mut argument = Vec::with_capacity(15 + self.remote.len());
        append_stamp(modify, &mut argument);
        argument.push(b' ');
        argument.extend_from_slice(&self.remote);
        Some(ask("MFMT", &argument))
    }

    fn stamped(&mut self, reply: &Reply, scene: &mut Scene<'_>) -> Move {
        if matches!(reply.code, 500 | 502 | 504) {
            scene.profile.mfmt = Standing::Fails;
        }
        match std::mem::replace(&mut self.stamp, Stamp::Answered) {
            Stamp::OwedAfter(trouble) => Move::Done(Err(trouble)),
            // Answered before the data connection's end was noticed.
            _ if self.state == State::Moving => Move::Wishes(Vec::new()),
            _ => self.check(scene),
        }
    }

    /// 226 says that the server has what it got; SIZE says that it got what was sent.
    fn check(&mut self, scene: &mut Scene<'_>) -> Move {
        let known = !self.text && !self.append && scene.profile.size != Standing::Fails;
        if !(self.check_size && known) {
            return self.compare(scene);
        }
        self.state = State::Checking;
        Move::Wishes(vec![ask("SIZE", &self.remote)])
    }

    fn checked(&mut self, size: Option<u64>, scene: &mut Scene<'_>) -> Move {
        let sent = self.offset + self.moved.bytes;
        match size {
            Some(there) if there != sent => {
                let text = format!("{sent} bytes were sent, the server has {there}");
                Move::Done(Err(Trouble::new(Cause::Transfer, text).again(Again::Later)))
            }
            _ => self.compare(scene),
        }
    }

    fn compare(&mut self, scene: &mut Scene<'_>) -> Move {
        let Origin::File(folder, name) = &self.origin else { return self.done() };
        if !self.verify || self.text || self.append {
            return self.done();
        }
        let mut verifying = Verify::new(self.remote.clone(), Rc::clone(folder), name.clone());
        let next = verifying.begin(scene);
        self.verifying = Some(Box::new(verifying));
        self.verified(next)
    }

    fn verified(&self, next: Move) -> Move {
        match next {
            Move::Done(Ok(_)) => self.done(),
            other => other,
        }
    }

    fn done(&self) -> Move {
        Move::Done(Ok(Yield::Moved(self.moved.clone())))
    }
}

/// Whether a file of no length has something in it all the same, as those of /proc have: it ends where reading ends.
fn is_made_up(file: &OwnedFd, size: u64) -> bool {
    size == 0 && matches!(rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut [0; 1], 0)), Ok(1))
}

fn unread(path: &Path, errno: Errno) -> Trouble {
    let trouble = Trouble::local(path, errno);
    match errno {
        Errno::INVAL => {
            Trouble { text: format!("{}: not a regular file; put - sends what a pipe gives", shown(path)), ..trouble }
        }
        _ => trouble,
    }
}

fn shown(path: &Path) -> String {
    Shown(path.as_os_str().as_bytes()).to_string()
}

/// Whether what was refused is that the file be appended to: who may not do that may still write anew. Bytes may have
/// left before the refusal came, since they are not kept back for the 1yz; no space left (552) is another matter.
fn is_about_appending(reply: &Reply, moved: u64) -> bool {
    reply.kind() == Kind::Permanent && (moved == 0 || matches!(reply.code, 500 | 502 | 504 | 550 | 553))
}
