//! What is read out of a file's bytes without sending them: HASH (draft-bryan-ftpext-hash), the X-digests of the
//! field, and SIZE in TYPE A. The DTP's side reads; the session waits in `Computing`.

use std::ops::Range;
use std::os::fd::OwnedFd;

use super::faults::{ReplyTo, named, of_transfer};
use super::state::{Asked, Member, Question, Work};
use super::{Mark, Session, Stage};
use crate::codec::{Algorithm, Hasher, Sum};
use crate::filesystem::{Fault, Right, Stat};
use crate::server::world::World;
use crate::transfer::{self, Found, Order, Scan, Tally};
use crate::wire::command::Verb;
use crate::wire::digest::{Reading, readings};
use crate::wire::reply::Reply;
use crate::wire::text::Count;

/// What a question comes to: an answer, or a file to be read for it.
pub(super) enum Answer {
    Known(Reply),
    ToScan(Box<Asked>, Box<Scan>),
}

impl Session {
    pub(super) fn hash(&mut self, given: &[u8], stage: &mut Stage<'_>) {
        let mark = self.mark.take();
        let answer = self.hashed(given, mark.as_deref(), stage.world);
        self.answer(answer, stage);
    }

    fn hashed(&self, given: &[u8], mark: Option<&Mark>, world: &World) -> Result<Answer, Reply> {
        let member = self.logged_in()?;
        let path = member.resolve(given)?;
        if !member.may(Right::Read, &path) {
            return Err(Reply::new(552, "HASH is not permitted here."));
        }
        let (file, stat) = member.seat.root().read(&path).map_err(|fault| hash_fault(fault, given))?;
        let stretch = stretch(mark, stat.size)?;
        let question = Question::Hash { stretch: stretch.clone() };
        Ok(digest(Asked::new(question, given), self.hash, file, &stat, stretch, world))
    }

    pub(super) fn x_digest(&mut self, verb: Verb, argument: &[u8], stage: &mut Stage<'_>) {
        let answer = self.x_digested(verb, argument, stage.world);
        self.answer(answer, stage);
    }

    fn x_digested(&self, verb: Verb, argument: &[u8], world: &World) -> Result<Answer, Reply> {
        let member = self.logged_in()?;
        let (reading, file, stat) = member.first_to_exist(argument)?;
        let end = reading.end.unwrap_or(stat.size);
        if reading.first > end || end > stat.size {
            return Err(Reply::new(501, format!("Bad range, the file has {} bytes.", stat.size)));
        }
        let asked = Asked::new(Question::XDigest, reading.path);
        Ok(digest(asked, algorithm_of(verb), file, &stat, reading.first..end, world))
    }

    /// SIZE in TYPE A of a file of so many bytes.
    pub(super) fn count_lines(file: OwnedFd, size: u64, given: &[u8]) -> Answer {
        let scan = Scan::new(file, 0..size, Tally::Lines(Count::new()));
        Answer::ToScan(Box::new(Asked::new(Question::Size, given)), Box::new(scan))
    }

    pub(super) fn answer(&mut self, answer: Result<Answer, Reply>, stage: &mut Stage<'_>) {
        match answer {
            Ok(Answer::Known(reply)) | Err(reply) => stage.reply(reply),
            Ok(Answer::ToScan(asked, scan)) => {
                stage.order(Order::Scan(scan));
                self.work(Work::Computing(asked));
            }
        }
    }

    /// The file is read.
    pub(super) fn scanned(&mut self, outcome: Result<Found, transfer::Fault>, stage: &mut Stage<'_>) {
        let mut ended = None;
        self.step(|work| match work {
            Work::Computing(asked) => {
                ended = Some(asked);
                Work::Idle
            }
            other => other,
        });
        let Some(asked) = ended else {
            return log::warn!("{}: the end of a computation in {}, dropped", self.peer, self.state);
        };
        stage.reply(match outcome {
            Ok(found) => asked.answered(&found),
            Err(fault) => asked.failed(of_transfer(fault)),
        });
    }

    /// It takes long: the client hears that nobody has died.
    pub(super) fn remark(&mut self, stage: &mut Stage<'_>) {
        self.step(|work| match work {
            Work::Computing(mut asked) => {
                stage.reply(match asked.begun {
                    false => Reply::opening(213, "Computing, one moment."),
                    true => Reply::inner(213, "Still computing."),
                });
                asked.begun = true;
                Work::Computing(asked)
            }
            other => other,
        });
    }
}

impl Member {
    /// What an X-digest means: the first reading of its argument that names a file.
    fn first_to_exist<'a>(&self, argument: &'a [u8]) -> Result<(Reading<'a>, OwnedFd, Stat), Reply> {
        let mut refusal = None;
        for reading in readings(argument) {
            match self.to_be_read(reading.path) {
                Ok((file, stat)) => return Ok((reading, file, stat)),
                // What the plainest reading says is what the client most likely meant.
                Err(reply) => refusal = refusal.or(Some(reply)),
            }
        }
        Err(refusal.unwrap_or_else(|| Reply::new(501, "Missing argument.")))
    }

    fn to_be_read(&self, given: &[u8]) -> Result<(OwnedFd, Stat), Reply> {
        let path = self.resolve(given)?;
        self.require(Right::Read, &path, given)?;
        self.seat.root().read(&path).map_err(|fault| self.faulted(fault, &path, given))
    }
}

impl Asked {
    fn new(question: Question, given: &[u8]) -> Self {
        Self { question, given: given.into(), begun: false }
    }

    /// Whether the client must hear something every few seconds. Those that send X-digests expect one line.
    pub(super) const fn wants_remarks(&self) -> bool {
        matches!(self.question, Question::Hash { .. })
    }

    fn answered(&self, found: &Found) -> Reply {
        match (&self.question, found) {
            (Question::Hash { stretch }, Found::Digest(sum)) => hash_reply(sum, stretch, &self.given),
            (_, Found::Digest(sum)) => Reply::new(250, format!("{sum:X}")),
            (_, Found::Lines(count)) => Reply::new(213, count.to_string()),
        }
    }

    /// A reply that has begun can only end as what it began as (RFC 959 4.2): then the words must tell.
    pub(super) fn failed(&self, refusal: Reply) -> Reply {
        match self.begun {
            false => refusal,
            true => {
                let mut text = b"Not computed: ".to_vec();
                text.extend_from_slice(refusal.text());
                Reply::bytes(213, text)
            }
        }
    }
}

/// The digest from what is remembered, else the file to be read for it.
fn digest(
    asked: Asked,
    algorithm: Algorithm,
    file: OwnedFd,
    stat: &Stat,
    stretch: Range<u64>,
    world: &World,
) -> Answer {
    let whole = stretch == (0..stat.size);
    if let Some(sum) = world.digests.recall(stat, algorithm).filter(|_| whole) {
        return Answer::Known(asked.answered(&Found::Digest(sum)));
    }
    let tally = Tally::Digest(Box::new(Hasher::new(algorithm)));
    Answer::ToScan(Box::new(asked), Box::new(Scan::new(file, stretch, tally)))
}

/// What of a file of `size` bytes HASH is about. A range's last byte is named, so only an empty file has an empty one.
fn stretch(mark: Option<&Mark>, size: u64) -> Result<Range<u64>, Reply> {
    let Some(mark) = mark.filter(|mark| !mark.is_everything()) else { return Ok(0..size) };
    if mark.first >= size {
        let place = if mark.first > size { "beyond the file size" } else { "the end of the file, whose size is" };
        return Err(Reply::new(554, format!("Position {} is {place} {size}.", mark.first)));
    }
    Ok(mark.first..mark.end().min(size))
}

/// `ALG first-last hex path`, the last byte included; an empty file is `0-0`.
fn hash_reply(sum: &Sum, stretch: &Range<u64>, given: &[u8]) -> Reply {
    let last = stretch.end.saturating_sub(1);
    let mut text = format!("{} {}-{last} {sum:x} ", sum.algorithm().name(), stretch.start).into_bytes();
    text.extend_from_slice(given);
    Reply::path_line(213, text)
}

fn hash_fault(fault: Fault, given: &[u8]) -> Reply {
    match fault {
        Fault::IsDirectory => named(553, given, "Is a directory."),
        other => other.reply(given),
    }
}

const fn algorithm_of(verb: Verb) -> Algorithm {
    match verb {
        Verb::Xcrc => Algorithm::Crc32,
        Verb::Xmd5 => Algorithm::Md5,
        Verb::Xsha1 => Algorithm::Sha1,
        Verb::Xsha512 => Algorithm::Sha512,
        _ => Algorithm::Sha256,
    }
}
