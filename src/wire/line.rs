//! Octets to command lines (RFC 959 4.1.3 and 5.3.1, RFC 854's rules for CR).
//!
//! A line ends at LF, with or without CR before it. CR NUL is a CR, and so is a CR before anything else.
//! Lines wait here in order until the session takes them; a session with nothing waiting owns no memory for
//! lines. The two limits keep it small when a peer never ends a line:
//!
//! ```text
//!   Gathering -- LF --------------------------------------> line waits, Gathering
//!       |
//!       +- past LINE_LIMIT -> Skipping -- LF, 1st and 2nd time --> TooLong waits, Gathering
//!                                 |
//!                                 +- 3rd time, or past ENDLESS_LIMIT --> Endless waits, deaf for good
//! ```

use std::fmt;
use std::num::NonZeroU16;

use super::telnet::Telnet;

/// Octets in a line, its end not counted. A path has at most 4095, and MFF or SITE put words before it.
pub const LINE_LIMIT: usize = 8 * 1024;
/// Octets of a line that are read, and skipped, in hope of its end.
pub const ENDLESS_LIMIT: usize = 64 * 1024;
/// So many too long lines are no mistake any more.
const STRIKES: u8 = 3;
/// Complete lines that may wait. The session stops reading at a fraction of this; it only keeps the count, and
/// the one for the last [`Line::Endless`], from overflowing should it not.
const WAITING_LIMIT: u16 = u16::MAX - 1;

const LF: u8 = b'\n';
const CR: u8 = b'\r';

/// What stands next in the stream of commands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// A line without its end; never empty. It may hold a password.
    Text(Vec<u8>),
    /// A line past [`LINE_LIMIT`] came and went: 500.
    TooLong,
    /// Past [`ENDLESS_LIMIT`], or too long for the third time: 421 and close. Nothing follows it.
    Endless,
}

/// The lines of one control connection that have arrived and not yet been taken.
#[derive(Default)]
pub struct LineReader {
    /// Taken lines up to `head`, then waiting ones up to `begun`, each with its LF, then the one still coming.
    /// A waiting line that is empty stands for one too long: empty lines themselves are not kept.
    held: Vec<u8>,
    head: u32,
    begun: u32,
    waiting: u16,
    /// Octets skipped of the line still coming, once it is too long.
    skipped: Option<NonZeroU16>,
    telnet: Telnet,
    /// Too long lines so far; at [`STRIKES`] the reader is deaf.
    strikes: u8,
    /// The last octet was a CR, held as the last of `held` until the next one tells what it is.
    return_open: bool,
}

impl LineReader {
    /// A reader at the start of a connection. Allocates nothing.
    pub const fn new() -> Self {
        LineReader {
            held: Vec::new(),
            head: 0,
            begun: 0,
            waiting: 0,
            skipped: None,
            telnet: Telnet::new(),
            strikes: 0,
            return_open: false,
        }
    }

    /// Takes in what was read from the socket. Refusals of Telnet options are appended to `answers`, a few
    /// dozen octets a call at most.
    pub fn feed(&mut self, raw: &[u8], answers: &mut Vec<u8>) {
        self.close_up();
        let mut telnet = self.telnet;
        telnet.decode(raw, answers, |text| self.take_in(text));
        self.telnet = telnet;
        self.release();
    }

    /// Whether a complete waiting line satisfies `wanted`.
    pub fn any(&self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.lines().any(wanted)
    }

    /// Takes the first waiting line that satisfies `wanted`, past all lines before it.
    pub fn take_first(&mut self, wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let mut start = self.head as usize;
        for line in self.complete().split_inclusive(|octet| *octet == LF) {
            let text = line.strip_suffix(&[LF]).unwrap_or(line);
            if !text.is_empty() && wanted(text) {
                let (text, length) = (text.to_vec(), line.len());
                self.remove(start, length);
                return Some(text);
            }
            start += line.len();
        }
        None
    }

    /// Complete lines waiting, those too long included.
    pub fn waiting(&self) -> usize {
        usize::from(self.waiting)
    }

    /// Octets held for complete lines, one for each line's end, and for the line still coming.
    pub fn bytes(&self) -> usize {
        self.held.len().saturating_sub(self.head as usize)
    }

    /// Whether a line has begun and not ended.
    pub fn partial(&self) -> bool {
        self.skipped.is_some() || self.held.len() > self.begun as usize
    }

    /// Forgets everything, as if the connection were new: what came in the clear before TLS must not be
    /// run after it.
    pub fn clear(&mut self) {
        *self = LineReader::new();
    }

    fn complete(&self) -> &[u8] {
        self.held.get(self.head as usize..self.begun as usize).unwrap_or_default()
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.complete().split(|octet| *octet == LF).filter(|line| !line.is_empty())
    }

    /// Removes a waiting line and its LF from the midst of the others.
    fn remove(&mut self, start: usize, length: usize) {
        self.held.drain(start..start + length);
        self.begun -= length as u32;
        self.waiting -= 1;
        self.release();
    }

    /// Moves what is held to the buffer's start. Done once a read, not once a line, so that a thousand
    /// pipelined lines are not moved a thousand times.
    fn close_up(&mut self) {
        if self.head > 0 {
            self.held.drain(..self.head as usize);
            self.begun -= self.head;
            self.head = 0;
        }
    }

    /// Gives the buffer back when all is taken.
    fn release(&mut self) {
        if self.held.len() == self.head as usize {
            self.held = Vec::new();
            self.head = 0;
            self.begun = 0;
        }
    }

    /// Text without Telnet commands.
    fn take_in(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some((&octet, behind)) = rest.split_first() {
            if self.strikes >= STRIKES {
                return;
            }
            match octet {
                LF => self.end_line(),
                CR => self.open_return(),
                0 if self.return_open => self.gather(&[]),
                _ => {
                    let run = rest.iter().position(|octet| matches!(*octet, LF | CR));
                    let (plain, behind) = rest.split_at(run.unwrap_or(rest.len()));
                    self.gather(plain);
                    rest = behind;
                    continue;
                }
            }
            rest = behind;
        }
    }

    /// Adds octets to the line still coming; an open CR before them turns out to be part of it.
    fn gather(&mut self, run: &[u8]) {
        self.return_open = false;
        let length = match self.skipped {
            Some(skipped) => LINE_LIMIT + usize::from(skipped.get()),
            None => self.held.len() - self.begun as usize,
        } + run.len();
        if length > ENDLESS_LIMIT {
            self.go_deaf();
        } else if length > LINE_LIMIT {
            self.held.truncate(self.begun as usize);
            self.skipped = u16::try_from(length - LINE_LIMIT).ok().and_then(NonZeroU16::new);
        } else {
            self.held.extend_from_slice(run);
        }
    }

    /// Holds a CR back: before LF it belongs to the line's end, and counts for no limit.
    fn open_return(&mut self) {
        if self.skipped.is_some() {
            self.gather(&[CR]);
            return;
        }
        if self.return_open {
            self.gather(&[]);
        }
        if self.skipped.is_none() {
            self.held.push(CR);
            self.return_open = true;
        }
    }

    fn end_line(&mut self) {
        if self.return_open {
            self.return_open = false;
            self.held.pop();
        }
        if self.skipped.take().is_some() {
            self.strikes += 1;
        } else if self.held.len() == self.begun as usize {
            return;
        }
        if self.waiting == WAITING_LIMIT {
            self.go_deaf();
        } else {
            self.keep();
        }
    }

    /// What is gathered becomes a waiting line. None is gathered of a line too long.
    fn keep(&mut self) {
        self.held.push(LF);
        self.begun = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        self.waiting += 1;
    }

    /// The rest of the connection's input is noise.
    fn go_deaf(&mut self) {
        self.held.truncate(self.begun as usize);
        self.skipped = None;
        self.strikes = STRIKES;
        self.keep();
    }
}

/// Never ends for good: after `None`, [`LineReader::feed`] may bring more lines.
impl Iterator for LineReader {
    type Item = Line;

    /// The next complete line in order.
    fn next(&mut self) -> Option<Line> {
        let complete = self.complete();
        let length = complete.iter().position(|octet| *octet == LF)?;
        let text = complete.get(..length).unwrap_or_default().to_vec();
        self.head += length as u32 + 1;
        self.waiting -= 1;
        self.release();
        Some(match (text.is_empty(), self.waiting, self.strikes) {
            (false, ..) => Line::Text(text),
            // Deaf readers keep nothing after the strike, so it is the last one.
            (true, 0, STRIKES..) => Line::Endless,
            (true, ..) => Line::TooLong,
        })
    }
}

/// Shows sizes only: lines hold passwords.
impl fmt::Debug for LineReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineReader")
            .field("waiting", &self.waiting)
            .field("bytes", &self.bytes())
            .field("partial", &self.partial())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything a connection says, taken after each segment; text is shown with its octets escaped.
    fn read(segments: &[&[u8]]) -> Vec<String> {
        let mut reader = LineReader::new();
        let mut lines = Vec::new();
        for segment in segments {
            reader.feed(segment, &mut Vec::new());
            lines.extend(reader.by_ref().map(|line| match line {
                Line::Text(text) => text.escape_ascii().to_string(),
                Line::TooLong => "<too long>".to_owned(),
                Line::Endless => "<endless>".to_owned(),
            }));
        }
        lines
    }

    fn fed(input: &[u8]) -> LineReader {
        let mut reader = LineReader::new();
        reader.feed(input, &mut Vec::new());
        reader
    }

    #[test]
    fn line_ends() {
        for (raw, lines) in [
            (b"NOOP\r\n".as_slice(), [r"NOOP"].as_slice()),
            (b"NOOP\nPWD\n", &["NOOP", "PWD"]),
            (b"\r\n\nNOOP\r\n\r\n", &["NOOP"]),
            (b"a\rb\r\n", &[r"a\rb"]),
            (b"a\r\0b\r\n", &[r"a\rb"]),
            (b"a\r\r\n", &[r"a\r"]),
            (b"a\r\0\n", &[r"a\r"]),
            (b"a\0b\n", &[r"a\x00b"]),
            (b"a\r\xff\xf1\n", &["a"]),
            (b"\xff\xf4\xff\xf2ABOR\r\n", &["ABOR"]),
            (b"NOOP", &[]),
        ] {
            assert_eq!(read(&[raw]), lines, "{raw:?}");
        }
    }

    #[test]
    fn nothing_waiting_means_nothing_owned() {
        let mut reader = fed(b"NOOP\r\nPWD\r\n");
        assert_eq!((reader.waiting(), reader.bytes(), reader.partial()), (2, 9, false));
        assert_eq!(reader.by_ref().count(), 2);
        assert_eq!((reader.held.capacity(), reader.bytes()), (0, 0));
        assert!(size_of::<LineReader>() <= 40);
    }

    #[test]
    fn look_ahead_and_out_of_order() {
        let mut reader = fed(b"NOOP\r\nABOR\r\nPWD\r\nABO");
        assert!(reader.any(|line| line == b"ABOR"));
        assert!(!reader.any(|line| line == b"ABO"));
        assert_eq!(reader.take_first(|line| line == b"ABOR"), Some(b"ABOR".to_vec()));
        assert_eq!(reader.take_first(|line| line == b"ABOR"), None);
        assert!(reader.partial());
        reader.feed(b"R\r\n", &mut Vec::new());
        let rest: Vec<_> = reader.by_ref().collect();
        let text = |text: &[u8]| Line::Text(text.to_vec());
        assert_eq!(rest, [text(b"NOOP"), text(b"PWD"), text(b"ABOR")]);
        assert_eq!((reader.waiting(), reader.held.capacity()), (0, 0));
    }

    #[test]
    fn out_of_order_after_some_were_taken() {
        let mut reader = fed(b"A\nB\nC\nD\n");
        assert_eq!(reader.next(), Some(Line::Text(b"A".to_vec())));
        assert_eq!(reader.take_first(|line| line == b"C"), Some(b"C".to_vec()));
        assert_eq!(reader.waiting(), 2);
        assert_eq!(reader.next(), Some(Line::Text(b"B".to_vec())));
        assert_eq!(reader.take_first(|_| true), Some(b"D".to_vec()));
        assert_eq!((reader.waiting(), reader.held.capacity()), (0, 0));
    }

    #[test]
    fn the_limit_is_on_the_octet() {
        let line = |length: usize, end: &[u8]| [&vec![b'x'; length], end, b"NOOP\n"].concat();
        let full = "x".repeat(LINE_LIMIT);
        for end in [b"\n".as_slice(), b"\r\n"] {
            assert_eq!(read(&[&line(LINE_LIMIT, end)]), [&full, "NOOP"]);
            assert_eq!(read(&[&line(LINE_LIMIT + 1, end)]), ["<too long>", "NOOP"]);
        }
        for end in [b"\r\0\n".as_slice(), b"\r\r\n", b"\ry\n"] {
            assert_eq!(read(&[&line(LINE_LIMIT, end)]), ["<too long>", "NOOP"], "{end:?}");
        }
    }

    #[test]
    fn a_tail_never_runs_as_a_command() {
        let long = [&[b'x'; LINE_LIMIT], b"DELE a\r\nNOOP\r\n".as_slice()].concat();
        assert_eq!(read(&[&long]), ["<too long>", "NOOP"]);
    }

    #[test]
    fn the_third_long_line_is_the_last() {
        let long = [&[b'x'; LINE_LIMIT + 1], b"\nNOOP\n".as_slice()].concat();
        let want = ["<too long>", "NOOP", "<too long>", "NOOP", "<endless>"];
        assert_eq!(read(&[&long, &long, &long, &long]), want);
        assert_eq!(read(&[&long.repeat(4)]), want);
    }

    #[test]
    fn a_line_without_end_is_given_up_and_costs_nothing() {
        let segment = [b'x'; 10_000];
        let mut reader = LineReader::new();
        for fed in 1..=1000 {
            reader.feed(&segment, &mut Vec::new());
            assert!(reader.bytes() <= LINE_LIMIT);
            assert_eq!(reader.waiting(), usize::from(fed * segment.len() > ENDLESS_LIMIT));
        }
        assert_eq!(reader.next(), Some(Line::Endless));
        assert_eq!((reader.next(), reader.held.capacity()), (None, 0));
    }

    #[test]
    fn more_lines_than_can_be_counted_end_the_connection() {
        let mut reader = fed(&b"A\n".repeat(70_000));
        assert_eq!(reader.waiting(), usize::from(u16::MAX));
        assert_eq!(reader.by_ref().last(), Some(Line::Endless));
    }

    #[test]
    fn clearing_forgets_lines_and_telnet_state() {
        let mut reader = fed(b"USER evil\r\nPA\xff");
        reader.clear();
        assert_eq!((reader.waiting(), reader.partial()), (0, false));
        reader.feed(b"\xfbNOOP\n", &mut Vec::new());
        assert_eq!(reader.next(), Some(Line::Text(b"\xfbNOOP".to_vec())));
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let pieces = [b"\r".as_slice(), b"\n", b"\r\n", b"\0", b"\xff", b"\xfb", b"\xfa", b"\xf0", b"A", b"BC"];
        proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn segments_do_not_matter(stream in stream(), cuts in proptest::collection::vec(0usize..80, 0..6)) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let parts: Vec<_> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            let octets: Vec<_> = stream.chunks(1).collect();
            prop_assert_eq!(read(&parts), read(&[&stream]));
            prop_assert_eq!(read(&octets), read(&[&stream]));
        }

        #[test]
        fn counts_agree_with_what_comes_out(stream in stream()) {
            let mut reader = fed(&stream);
            let waiting = reader.waiting();
            prop_assert_eq!(reader.by_ref().count(), waiting);
            prop_assert_eq!(reader.bytes() > 0, reader.partial());
        }
    }
}
