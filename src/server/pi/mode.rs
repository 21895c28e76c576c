//! MODE and its options, and what MODE Z (draft-preston-ftpext-deflate) makes of a job; the restart marker and RANG.

use super::{Mark, Mode, Session, Stage};
use crate::codec::Level;
use crate::server::world::World;
use crate::transfer::{Deflated, Inflating, Place, Sender, Source};
use crate::wire::command::ModeCode;
use crate::wire::reply::Reply;

impl Session {
    pub(super) fn mode(&mut self, code: ModeCode, stage: &mut Stage<'_>) {
        match code {
            ModeCode::Stream => {
                self.mode = Mode::Stream;
                stage.say(200, "Mode set to S.");
            }
            ModeCode::Zlib if stage.world.settings.limits.compressed > 0 => {
                self.mode = Mode::Deflate;
                stage.say(200, "Mode set to Z.");
            }
            ModeCode::Zlib => stage.say(504, "Mode Z not supported."),
        }
    }

    /// OPTS MODE Z: `LEVEL n`, or nothing for the defaults.
    pub(super) fn opts_mode_z(&mut self, given: &[u8], stage: &mut Stage<'_>) {
        if stage.world.settings.limits.compressed == 0 {
            return stage.say(501, "Option not understood.");
        }
        match level(given) {
            Some(level) => {
                self.level = level;
                stage.reply(Reply::new(200, format!("MODE Z LEVEL set to {}.", level.number())));
            }
            None => stage.say(501, "Only LEVEL 0 to 9 can be set."),
        }
    }

    /// A place among the compressed streams, if this session's transfers are such. 450 before any 150 when all are
    /// taken: the client may wait, or go back to MODE S.
    pub(super) fn compression(&self, world: &World) -> Result<Option<Place>, Reply> {
        if self.mode == Mode::Stream {
            return Ok(None);
        }
        let place = world.compressors.take(world.settings.limits.compressed);
        place.map(Some).ok_or_else(|| Reply::new(450, "Too many compressed transfers, try MODE S or try again later."))
    }

    /// Sends `source`, compressed if there is a place for that.
    pub(super) fn sender(&self, source: Source, place: Option<Place>) -> Sender {
        Sender::new(match place {
            Some(place) => Source::Deflated(Box::new(Deflated::new(source, self.level, place))),
            None => source,
        })
    }

    /// The marker of REST. Any offset will do now; whether it lies in the file is asked when there is one.
    pub(super) fn rest(&mut self, offset: u64, stage: &mut Stage<'_>) {
        self.mark = Some(Box::new(Mark { first: offset, last: None }));
        stage.reply(Reply::new(350, format!("Restarting at {offset}. Send STOR or RETR.")));
    }

    /// RANG (draft-bryan-ftp-range): a marker with an end. `1 0`, which can be no range, takes it away.
    pub(super) fn rang(&mut self, first: u64, last: u64, stage: &mut Stage<'_>) {
        if (first, last) == (1, 0) {
            self.mark = None;
            return stage.say(350, "Range reset.");
        }
        if self.ascii(stage.world) || self.mode != Mode::Stream {
            return stage.say(551, "RANG needs TYPE I and MODE S.");
        }
        self.mark = Some(Box::new(Mark { first, last: Some(last) }));
        stage.reply(Reply::new(350, format!("Restarting at {first}, ending at {last}. Send STOR or RETR.")));
    }

    /// A range that was set before TYPE or MODE changed means nothing any more.
    pub(super) fn range_fits(&self, mark: Option<&Mark>, world: &World) -> Result<(), Reply> {
        let ranged = mark.is_some_and(|mark| mark.last.is_some());
        if ranged && (self.ascii(world) || self.mode != Mode::Stream) {
            return Err(Reply::new(554, "A range needs TYPE I and MODE S."));
        }
        Ok(())
    }
}

/// What a client's stream may swell to.
pub(super) fn inflating(place: Option<Place>, world: &World) -> Option<Inflating> {
    let most = match world.settings.limits.inflated {
        0 => u64::MAX,
        most => most,
    };
    place.map(|place| Inflating::new(most, place))
}

fn level(given: &[u8]) -> Option<Level> {
    let mut words = given.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (None, ..) => Some(Level::DEFAULT),
        (Some(key), Some([digit @ b'0'..=b'9']), None) if key.eq_ignore_ascii_case(b"LEVEL") => {
            Level::new(digit - b'0')
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_one_digit() {
        assert_eq!(level(b""), Some(Level::DEFAULT));
        assert_eq!(level(b"level 9"), Level::new(9));
        assert_eq!(level(b"LEVEL 0"), Level::new(0));
        for given in [&b"LEVEL"[..], b"LEVEL 10", b"LEVEL -1", b"LEVEL 1 2", b"METHOD 8", b"9", b"ENGINE ZLIB"] {
            assert_eq!(level(given), None);
        }
    }
}
