//! The line ends of TYPE A (RFC 959 3.1.1.1), safe across chunks of any size.
//!
//! Files here end lines with LF, the wire with CRLF. A CRLF within a file goes out as it is, so a file that
//! came from elsewhere in image mode is not given two CRs; a lone CR passes in both directions, a lone LF
//! from the wire too.

const CR: u8 = b'\r';
const LF: u8 = b'\n';
/// Pairs that [`Count`] looks at before it widens the sum: as many as an octet can count.
const BLOCK: usize = 255;

/// File to wire: LF becomes CRLF.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ToWire {
    after_return: bool,
}

impl ToWire {
    /// At the start of a file.
    pub const fn new() -> Self {
        ToWire { after_return: false }
    }

    /// Appends the converted `input`, at most twice its length, to `out`.
    pub fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for line in input.split_inclusive(|octet| *octet == LF) {
            match line.strip_suffix(&[LF]) {
                Some(text) if !ends_in_return(text, self.after_return) => {
                    out.extend_from_slice(text);
                    out.extend_from_slice(&[CR, LF]);
                }
                _ => out.extend_from_slice(line),
            }
            self.after_return = line.ends_with(&[CR]);
        }
    }
}

/// Wire to file: CRLF becomes LF.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FromWire {
    /// A CR was last and is not written yet: LF may follow.
    return_held: bool,
}

impl FromWire {
    /// At the start of a transfer.
    pub const fn new() -> Self {
        FromWire { return_held: false }
    }

    /// Appends the converted `input`, at most one octet more than its length, to `out`.
    pub fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        if let (true, Some(next)) = (self.return_held, rest.first()) {
            if *next != LF {
                out.push(CR);
            }
            self.return_held = false;
        }
        if let Some(before) = rest.strip_suffix(&[CR]) {
            self.return_held = true;
            rest = before;
        }
        for line in rest.split_inclusive(|octet| *octet == LF) {
            match line.strip_suffix(&[CR, LF]) {
                Some(text) => {
                    out.extend_from_slice(text);
                    out.push(LF);
                }
                None => out.extend_from_slice(line),
            }
        }
    }

    /// At the end of the transfer: a CR that nothing followed was an octet of the file.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.return_held) {
            out.push(CR);
        }
    }
}

/// How long a file is on the wire in TYPE A (RFC 3659 4 wants SIZE exact, never guessed).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    total: u64,
    after_return: bool,
}

impl Count {
    /// At the start of a file.
    pub const fn new() -> Self {
        Count { total: 0, after_return: false }
    }

    /// Counts the next octets of the file.
    pub fn feed(&mut self, input: &[u8]) {
        let Some((first, rest)) = input.split_first() else {
            return;
        };
        let opening = *first == LF && !self.after_return;
        // Pairs instead of a running flag, in blocks whose count fits an octet: the compiler makes vector
        // code of this.
        let pairs = input.chunks(BLOCK).zip(rest.chunks(BLOCK));
        let inner = pairs.map(|(left, right)| {
            let ends = left.iter().zip(right).map(|(l, r)| u8::from((*r == LF) & (*l != CR)));
            u64::from(ends.sum::<u8>())
        });
        self.total += input.len() as u64 + u64::from(opening) + inner.sum::<u64>();
        self.after_return = input.ends_with(&[CR]);
    }

    /// Octets on the wire for all that was fed.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// Whether the octet before a LF is a CR; without text on this side of the chunk's start, the last octet of
/// the chunk before tells.
fn ends_in_return(text: &[u8], before: bool) -> bool {
    text.last().map_or(before, |last| *last == CR)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to_wire(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut converter, mut out) = (ToWire::new(), Vec::new());
        chunks.iter().for_each(|chunk| converter.convert(chunk, &mut out));
        out
    }

    fn from_wire(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut converter, mut out) = (FromWire::new(), Vec::new());
        chunks.iter().for_each(|chunk| converter.convert(chunk, &mut out));
        converter.finish(&mut out);
        out
    }

    fn count(chunks: &[&[u8]]) -> u64 {
        let mut count = Count::new();
        chunks.iter().for_each(|chunk| count.feed(chunk));
        count.total()
    }

    #[test]
    fn line_ends_both_ways() {
        for (file, wire) in [
            ("", ""),
            ("\n", "\r\n"),
            ("x\ny\n", "x\r\ny\r\n"),
            ("x\r\ny", "x\r\ny"),
            ("\r\r\n\n", "\r\r\n\r\n"),
            ("\rx\r", "\rx\r"),
        ] {
            assert_eq!(to_wire(&[file.as_bytes()]), wire.as_bytes(), "{file:?}");
            assert_eq!(count(&[file.as_bytes()]), wire.len() as u64, "{file:?}");
        }
        for (wire, file) in
            [("x\r\ny\r\n", "x\ny\n"), ("x\ny\rz", "x\ny\rz"), ("\r\r\n", "\r\n"), ("\r", "\r"), ("\r\n\r", "\n\r")]
        {
            assert_eq!(from_wire(&[wire.as_bytes()]), file.as_bytes(), "{wire:?}");
        }
    }

    #[test]
    fn a_return_at_a_chunks_end_waits_for_the_next() {
        assert_eq!(from_wire(&[b"y\r", b"", b"\n"]), b"y\n");
        assert_eq!(from_wire(&[b"y\r", b"\r", b"z"]), b"y\r\rz");
        assert_eq!(to_wire(&[b"y\r", b"", b"\n"]), b"y\r\n");
        assert_eq!(count(&[b"y\r", b"", b"\n"]), 3);
    }

    #[test]
    fn counting_in_blocks_misses_no_line_end() {
        for length in (0..3).chain(BLOCK - 1..BLOCK + 3).chain([2 * BLOCK, 2 * BLOCK + 1]) {
            assert_eq!(count(&[&vec![LF; length]]), 2 * length as u64);
            let mixed: Vec<u8> = [CR, LF, LF].into_iter().cycle().take(length).collect();
            assert_eq!(count(&[&mixed]), to_wire(&[&mixed]).len() as u64, "{length}");
        }
    }

    fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let octet = prop_oneof![Just(CR), Just(LF), Just(b'x')];
        proptest::collection::vec(proptest::collection::vec(octet, 0..6), 0..8)
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(chunks in chunks()) {
            let parts: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let whole = chunks.concat();
            let wire = to_wire(&[&whole]);
            prop_assert_eq!(to_wire(&parts), wire.clone());
            prop_assert_eq!(from_wire(&parts), from_wire(&[&whole]));
            prop_assert_eq!(count(&parts), wire.len() as u64);
            prop_assert_eq!(count(&[&whole]), wire.len() as u64);
        }

        #[test]
        fn files_without_returns_survive_the_round_trip(lines in "[a-z\n]{0,60}") {
            let wire = to_wire(&[lines.as_bytes()]);
            prop_assert_eq!(from_wire(&[&wire]), lines.as_bytes());
        }
    }
}
