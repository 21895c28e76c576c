//! A file from there to here.
//!
//! ```text
//!             nothing here, facts known
//!   begin ─────────────────────────────────▶ Moving ── as long as SIZE said ──▶ done: time, rename
//!     │ facts unknown, or something to continue ▲  │ other length
//!     └────────────▶ Looking (SIZE, MDTM) ──────┘  └──▶ Rechecking (SIZE) ──▶ done or failed
//! ```
//!
//! The file is written as `NAME.part` and gets its name when it is whole. What is continued is proven: the last bytes
//! that are here are asked for once more and compared, so a server that ignores REST, or a file that has changed, is
//! noticed before a wrong byte is written.

use std::cell::Cell;
use std::rc::Rc;

use super::errand::{Move, Moved, Scene, Yield, ask};
use super::goal::Goal;
use super::proof::PROOF;
use super::stat::{questions, size_in, time_in};
use super::trouble::{Again, Cause, Trouble};
use super::verify::Verify;
use crate::user::mail::{Answer, Failure, Outcome, Transfer, Wish};
use crate::user::profile::Standing;
use crate::user::pump::{Intake, Pump, Snag};
use crate::wire::command::Verb;

/// A file may grow while it is fetched: to twice what SIZE said, or by so much where that is more. What goes on behind
/// that has no end that anybody knows, and would fill the disk.
const GROWTH: u64 = 64 * 1024 * 1024;

/// Fetches one file.
#[derive(Debug)]
pub struct Fetch {
    /// Its path on the server.
    pub remote: Vec<u8>,
    /// Where it goes.
    pub goal: Goal,
    /// Bytes, if a listing said so.
    pub size: Option<u64>,
    /// Seconds since 1970 UTC, if a listing said so exactly.
    pub modify: Option<i64>,
    /// Go on with what an earlier run left.
    pub resume: bool,
    /// As text (TYPE A).
    pub text: bool,
    /// Give the file the server's time.
    pub keep_time: bool,
    /// Compare digests, or the file itself once more, before it gets its name.
    pub verify: bool,
    state: State,
    /// Answers owed to the questions asked before the transfer.
    asked: Asked,
    offset: u64,
    /// The byte that is too much.
    ceiling: Rc<Cell<u64>>,
    /// Something of this run is in the unfinished file, so a second try can go on with it.
    begun: bool,
    outcome: Option<Box<Outcome>>,
    verifying: Option<Box<Verify>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Looking,
    Moving,
    Rechecking,
}

/// Which questions are out, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Asked {
    size: bool,
    time: bool,
}

impl Fetch {
    /// A whole file, nothing known about it.
    pub fn new(remote: Vec<u8>, goal: Goal) -> Self {
        Self {
            remote,
            goal,
            size: None,
            modify: None,
            resume: false,
            text: false,
            keep_time: true,
            verify: false,
            state: State::Looking,
            asked: Asked { size: false, time: false },
            offset: 0,
            ceiling: Rc::new(Cell::new(u64::MAX)),
            begun: false,
            outcome: None,
            verifying: None,
        }
    }

    pub(super) const fn size_known(&self) -> Option<u64> {
        self.size
    }

    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) const fn repeatable(&self) -> bool {
        match &self.goal {
            Goal::File { .. } => true,
            Goal::Stream(stream) => stream.is_some(),
        }
    }

    pub(super) fn begin(&mut self, scene: &mut Scene<'_>) -> Move {
        self.offset = 0;
        self.outcome = None;
        self.verifying = None;
        let going_on = match self.left_over() {
            Ok(size) => size > 0 && !self.text && scene.profile.rest != Standing::Fails,
            Err(trouble) => return Move::Done(Err(trouble)),
        };
        if !going_on && self.size.is_some() {
            return self.transfer(Vec::new());
        }
        let mut wishes = if self.text { Vec::new() } else { questions(&self.remote, scene.profile) };
        self.asked = Asked {
            size: !self.text && scene.profile.size != Standing::Fails,
            time: !self.text && scene.profile.mdtm != Standing::Fails,
        };
        self.state = State::Looking;
        if going_on && self.asked.size {
            return Move::Wishes(wishes);
        }
        // Nothing depends on the answers yet, so the transfer goes right behind the questions.
        match self.transfer(Vec::new()) {
            Move::Wishes(more) => {
                wishes.extend(more);
                Move::Wishes(wishes)
            }
            done @ Move::Done(_) => done,
        }
    }

    /// Bytes that are here already and may be gone on with.
    fn left_over(&mut self) -> Result<u64, Trouble> {
        let Goal::File { folder, name, part } = &self.goal else { return Ok(0) };
        if !self.resume && !self.begun {
            return Ok(0);
        }
        let failed = |errno| Trouble::local(&folder.path().join(part), errno);
        if let Some(present) = folder.look(part).map_err(failed)? {
            // Links are not gone on with, nor what is older than the file is there.
            let fits = present.may_go_on(self.modify.filter(|_| self.resume && !self.begun));
            return Ok(if fits { present.size } else { 0 });
        }
        let whole = folder.look(name).map_err(failed)?;
        // What this run has begun is in the unfinished file or nowhere.
        let whole = whole.filter(|present| present.sole && self.resume && !self.begun);
        Ok(whole.map_or(0, |present| present.size))
    }

    pub(super) fn heard(&mut self, answer: Answer, scene: &mut Scene<'_>) -> Move {
        if let Some(verifying) = &mut self.verifying {
            let next = verifying.heard(answer);
            return self.verified(next);
        }
        match answer {
            Answer::Reply(reply) if self.state == State::Rechecking => {
                let size = size_in(&reply, scene.profile);
                self.rechecked(size, scene)
            }
            Answer::Reply(reply) => {
                if std::mem::take(&mut self.asked.size) {
                    self.size = size_in(&reply, scene.profile);
                    self.bound();
                } else if std::mem::take(&mut self.asked.time) {
                    self.timed(time_in(&reply, scene.profile));
                }
                let all = !self.asked.size && !self.asked.time;
                if self.state == State::Looking && all { self.looked() } else { Move::Wishes(Vec::new()) }
            }
            Answer::Moved(outcome) => self.moved(*outcome, scene),
            Answer::Dead(_) => Move::Wishes(Vec::new()),
        }
    }

    /// What an earlier try of this run has brought is not the beginning of a file that is another one by now.
    fn timed(&mut self, now: Option<i64>) {
        let replaced = now.is_some() && self.modify.is_some() && now != self.modify;
        if replaced && self.begun && self.state == State::Looking {
            self.forget();
        }
        self.modify = now.or(self.modify);
    }

    /// Size and time are known: decide how to go on with what is here.
    fn looked(&mut self) -> Move {
        let here = match self.left_over() {
            Ok(here) => here,
            Err(trouble) => return Move::Done(Err(trouble)),
        };
        let Some(there) = self.size else { return self.transfer(Vec::new()) };
        if let Err(trouble) = self.goal.take_back(there) {
            return Move::Done(Err(trouble));
        }
        if here > there {
            return self.transfer(Vec::new());
        }
        match self.goal.whole_here(there) {
            // What has changed there since is fetched anew, though it may be as long.
            Some(present) if self.modify.is_some_and(|modify| modify > present.modify) => {
                return self.transfer(Vec::new());
            }
            Some(_) => {
                return Move::Done(Ok(Yield::Moved(Moved { skipped: true, offset: there, ..Moved::default() })));
            }
            None if here == 0 => return self.transfer(Vec::new()),
            None => {}
        }
        let proof = here.min(PROOF);
        match self.goal.tail(here, proof) {
            Ok(tail) => {
                self.offset = here - proof;
                self.transfer(tail)
            }
            Err(trouble) => Move::Done(Err(trouble)),
        }
    }

    fn transfer(&mut self, proof: Vec<u8>) -> Move {
        self.state = State::Moving;
        self.bound();
        let intake = match &mut self.goal {
            Goal::Stream(stream) => match stream.take() {
                Some(stream) => Intake::stream(stream, 0),
                None => return Move::Done(Err(Trouble::new(Cause::Local, "the output was used already"))),
            },
            Goal::File { folder, part, .. } => {
                let fresh = proof.is_empty();
                match folder.make_for_use().and_then(|()| folder.create(part, fresh)) {
                    Ok(file) => Intake::file(file, self.offset).proving(proof),
                    Err(errno) => return Move::Done(Err(Trouble::local(&folder.path().join(part), errno))),
                }
            }
        };
        self.begun = true;
        Move::Wishes(vec![Wish::Transfer(Box::new(Transfer {
            verb: Verb::Retr,
            argument: self.remote.clone(),
            text: self.text,
            restart: self.offset,
            pump: Pump::In(Box::new(intake.as_text(self.text).below(Rc::clone(&self.ceiling)))),
            only: None,
        }))])
    }

    /// How much may come, as far as that is known by now. Some servers say 0 where they mean that they do not know.
    fn bound(&self) {
        let most = self.size.filter(|size| !self.text && *size > 0).map(|size| size.saturating_add(size.max(GROWTH)));
        self.ceiling.set(most.unwrap_or(u64::MAX));
    }

    /// Where TLS does not confirm the end, SIZE can: the server says that it went well, and all is here.
    fn settled(&self, outcome: Outcome) -> Outcome {
        let there = self.offset + outcome.moved;
        match &outcome.result {
            Err(Failure::Unclosed(reply)) if !self.text && self.size == Some(there) => {
                log::info!("the data connection ended without TLS's farewell; all {there} bytes of the file are here");
                Outcome { result: Ok(reply.clone()), ..outcome }
            }
            _ => outcome,
        }
    }

    fn moved(&mut self, outcome: Outcome, scene: &mut Scene<'_>) -> Move {
        let outcome = self.settled(outcome);
        match &outcome.result {
            Ok(_) => {
                let there = self.offset + outcome.moved;
                // Some servers say 0 where they mean that they do not know.
                let expected = self.size.filter(|size| !self.text && *size > 0);
                let strange = expected.is_some_and(|size| size != there);
                if let Some(trouble) = self.cut_short(&outcome) {
                    return Move::Done(Err(trouble));
                }
                self.outcome = Some(Box::new(outcome));
                if strange {
                    self.state = State::Rechecking;
                    return Move::Wishes(vec![ask("SIZE", &self.remote)]);
                }
                if self.offset > 0 {
                    scene.profile.rest = Standing::Works;
                }
                self.whole(scene)
            }
            Err(failure) => self.failed(failure, outcome.moved, scene),
        }
    }

    /// Where SIZE says nothing, the 150 may have said how much would come; after REST, of the file or of the rest.
    fn cut_short(&self, outcome: &Outcome) -> Option<Trouble> {
        let announced = outcome.announced.filter(|_| self.size.is_none() && !self.text)?;
        let (moved, there) = (outcome.moved, self.offset + outcome.moved);
        let text = format!("{moved} bytes came, the server announced {announced}");
        (there < announced).then(|| Trouble::new(Cause::Transfer, text).again(Again::Later))
    }

    /// The length is not what was expected. A file that grew or shrank meanwhile has a new size; anything else is a
    /// transfer that was cut, or a server that does not mean what it says.
    fn rechecked(&mut self, size: Option<u64>, scene: &mut Scene<'_>) -> Move {
        let moved = self.outcome.as_ref().map_or(0, |outcome| outcome.moved);
        let there = self.offset + moved;
        let expected = size.or(self.size).unwrap_or(there);
        // A file that is written to all the time was whole as far as it had come.
        let grew = self.size.is_some_and(|first| (first..=expected).contains(&there));
        if there == expected || (grew && Some(expected) > self.size) {
            self.size = Some(there);
            return self.whole(scene);
        }
        let text = format!("{there} bytes came, the server says there are {expected}");
        let trouble = Trouble::new(Cause::Transfer, text);
        if there > expected {
            // Too much after REST: it was ignored, and what is here was continued with the wrong bytes.
            let restarted = self.offset > 0;
            if restarted {
                scene.profile.rest = Standing::Fails;
            }
            self.forget();
            return Move::Done(Err(trouble.again(if restarted { Again::Otherwise } else { Again::Never })));
        }
        Move::Done(Err(trouble.again(Again::Later)))
    }

    fn failed(&mut self, failure: &Failure, moved: u64, scene: &mut Scene<'_>) -> Move {
        let trouble = Trouble::of_transfer(failure, moved);
        let restarted = self.offset > 0;
        let elsewhere = match failure {
            Failure::NoRestart(_) => true,
            Failure::Snag(Snag::Differs) => true,
            Failure::Refused(reply) => restarted && moved == 0 && matches!(reply.code, 501 | 550 | 554),
            _ => false,
        };
        if matches!(failure, Failure::Snag(Snag::Endless)) {
            self.forget();
            return Move::Done(Err(trouble));
        }
        if elsewhere {
            if matches!(failure, Failure::NoRestart(_)) {
                scene.profile.rest = Standing::Fails;
            }
            self.forget();
            return Move::Done(Err(trouble.again(Again::Otherwise)));
        }
        if let Goal::Stream(_) = self.goal {
            return Move::Done(Err(trouble));
        }
        self.tidy();
        Move::Done(Err(trouble))
    }

    /// What is here cannot be right: away with it, and from the first byte next time.
    fn forget(&mut self) {
        self.goal.remove(|_| true);
        self.resume = false;
        self.begun = false;
        self.offset = 0;
    }

    /// An unfinished file without a byte in it says nothing: away with it, if it is ours.
    pub(super) fn tidy(&self) {
        if self.begun {
            self.goal.remove(|present| present.size == 0);
        }
    }

    /// All of it is here, by length. Whether it is the same is found out where that is wished.
    fn whole(&mut self, scene: &mut Scene<'_>) -> Move {
        let Goal::File { folder, part, .. } = &self.goal else { return self.complete() };
        if !self.verify || self.text {
            return self.complete();
        }
        let mut verifying = Verify::new(self.remote.clone(), Rc::clone(folder), part.clone());
        let next = verifying.begin(scene);
        self.verifying = Some(Box::new(verifying));
        self.verified(next)
    }

    fn verified(&mut self, next: Move) -> Move {
        match next {
            Move::Done(Ok(_)) => self.complete(),
            Move::Done(Err(trouble)) if trouble.cause == Cause::Verify => {
                self.forget();
                Move::Done(Err(trouble))
            }
            other => other,
        }
    }

    fn complete(&mut self) -> Move {
        let Some(outcome) = self.outcome.take() else { return Move::Wishes(Vec::new()) };
        let Outcome { pump, moved, elapsed, result, .. } = *outcome;
        let code = result.ok().map(|reply| reply.code);
        if let Some(Pump::In(intake)) = pump
            && let Err(trouble) = self.goal.place(*intake, self.modify.filter(|_| self.keep_time))
        {
            return Move::Done(Err(trouble));
        }
        Move::Done(Ok(Yield::Moved(Moved { bytes: moved, offset: self.offset, elapsed, skipped: false, code })))
    }
}
