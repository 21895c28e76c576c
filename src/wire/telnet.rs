//! The Telnet layer of the control connection (RFC 959 4.1.3, RFC 854): what is left when its commands
//! are taken out.
//!
//! FTP needs none of them. Interrupt Process and the Synch signal that RFC 959 puts before ABOR carry no
//! meaning of their own here, as ABOR is read during transfers anyway: they are swallowed, and nothing up to
//! the data mark is dropped, since that would lose pipelined lines. Options are refused, never offered.
//!
//! ```text
//!            other than IAC: passed on            FF: passed on
//!               +----+      IAC      +-----------+ -> Text
//!               v    |               |
//!             Text --+---------> Command -- FB..FE --> Option -- any --> Text   (FB, FD: answered)
//!               ^                    |
//!               |                    +-- FA --> Subnegotiation <---- other ----+
//!               |                                   +-- IAC --> SubCommand ----+
//!               +---------------- FF F0, or too long ---------------+
//! ```

/// Interpret As Command.
const IAC: u8 = 0xff;
const DONT: u8 = 0xfe;
const DO: u8 = 0xfd;
const WONT: u8 = 0xfc;
const WILL: u8 = 0xfb;
const SUBNEGOTIATION: u8 = 0xfa;
const SUBNEGOTIATION_END: u8 = 0xf0;

/// Refusals written per call. A Telnet client opens with a dozen offers at most; a flood of them gets
/// silence, as answering it would let a peer grow our output with half the octets.
const REFUSALS_LIMIT: usize = 16;

/// The decoder's place in the stream, kept from segment to segment. Two octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Telnet {
    /// Between commands.
    #[default]
    Text,
    /// Behind IAC.
    Command,
    /// Behind WILL or WONT: the refusal of the option to come, 0 if none is due.
    Option(u8),
    /// Within a subnegotiation, which ends by itself when this many octets more have come.
    Subnegotiation(u8),
    /// Behind IAC within a subnegotiation.
    SubCommand(u8),
}

impl Telnet {
    /// The state of a fresh connection.
    pub const fn new() -> Self {
        Telnet::Text
    }

    /// Hands the text within `raw` to `text` in runs, in order, and appends refusals to `answers`.
    pub fn decode(&mut self, raw: &[u8], answers: &mut Vec<u8>, mut text: impl FnMut(&[u8])) {
        let mut refusals = 0;
        let mut rest = raw;
        while let Some((&octet, behind)) = rest.split_first() {
            if *self == Telnet::Text {
                let run = rest.iter().position(|octet| *octet == IAC).unwrap_or(rest.len());
                let (plain, command) = rest.split_at(run);
                if !plain.is_empty() {
                    text(plain);
                }
                if let Some((_, behind)) = command.split_first() {
                    *self = Telnet::Command;
                    rest = behind;
                } else {
                    rest = &[];
                }
                continue;
            }
            if let Telnet::Option(refusal) = *self
                && refusal != 0
                && refusals < REFUSALS_LIMIT
            {
                answers.extend([IAC, refusal, octet]);
                refusals += 1;
            }
            *self = self.follow(octet, &mut text);
            rest = behind;
        }
    }

    /// One octet behind an IAC.
    fn follow(self, octet: u8, text: &mut impl FnMut(&[u8])) -> Telnet {
        match (self, octet) {
            (Telnet::Command, WILL) => Telnet::Option(DONT),
            (Telnet::Command, DO) => Telnet::Option(WONT),
            (Telnet::Command, WONT | DONT) => Telnet::Option(0),
            (Telnet::Command, SUBNEGOTIATION) => Telnet::Subnegotiation(u8::MAX),
            (Telnet::Command, SUBNEGOTIATION_END..=SUBNEGOTIATION) => Telnet::Text,
            (Telnet::Command, IAC) => {
                text(&[IAC]);
                Telnet::Text
            }
            // Latin-1 names hold FF as a letter and some clients do not double it.
            (Telnet::Command, _) => {
                text(&[IAC, octet]);
                Telnet::Text
            }
            (Telnet::SubCommand(_), SUBNEGOTIATION_END) => Telnet::Text,
            (Telnet::Subnegotiation(0) | Telnet::SubCommand(0), _) => Telnet::Text,
            (Telnet::Subnegotiation(room), IAC) => Telnet::SubCommand(room - 1),
            (Telnet::Subnegotiation(room) | Telnet::SubCommand(room), _) => Telnet::Subnegotiation(room - 1),
            (Telnet::Option(_) | Telnet::Text, _) => Telnet::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(chunks: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let (mut text, mut answers) = (Vec::new(), Vec::new());
        let mut telnet = Telnet::new();
        for chunk in chunks {
            telnet.decode(chunk, &mut answers, |run| text.extend_from_slice(run));
        }
        (text, answers)
    }

    #[test]
    fn commands_vanish_and_options_are_refused() {
        for (raw, text, answers) in [
            (b"a\xff\xf4\xff\xf2ABOR".as_slice(), b"aABOR".as_slice(), b"".as_slice()),
            (b"a\xff\xffb", b"a\xffb", b""),
            (b"\xff\xfb\x01x", b"x", b"\xff\xfe\x01"),
            (b"\xff\xfd\x03x", b"x", b"\xff\xfc\x03"),
            (b"\xff\xfc\x03\xff\xfe\x04x", b"x", b""),
            (b"\xff\xfb\xffx", b"x", b"\xff\xfe\xff"),
            (b"\xff\xfa\x18\x00\xff\xff\xff\xf0x", b"x", b""),
            (b"na\xffve", b"na\xffve", b""),
            (b"x\xff", b"x", b""),
            (b"\xff\xf0x", b"x", b""),
        ] {
            assert_eq!(decoded(&[raw]), (text.to_vec(), answers.to_vec()), "{raw:x?}");
        }
    }

    #[test]
    fn endless_subnegotiation_ends() {
        let raw = [b"\xff\xfa".as_slice(), &[b'-'; 256], b"NOOP"].concat();
        assert_eq!(decoded(&[&raw]).0, b"NOOP");
        for plain in 250..260 {
            let raw = [b"\xff\xfa".as_slice(), &vec![b'-'; plain], &[IAC; 20], b"NOOP"].concat();
            assert!(decoded(&[&raw]).0.ends_with(b"NOOP"), "{plain}");
        }
    }

    #[test]
    fn a_flood_of_offers_is_met_with_few_refusals() {
        let (text, answers) = decoded(&[&b"\xff\xfb\x01".repeat(1000)]);
        assert_eq!((text.len(), answers.len()), (0, 3 * REFUSALS_LIMIT));
    }

    proptest! {
        #[test]
        fn segments_do_not_matter(
            raw in proptest::collection::vec(prop_oneof![0xf0u8..=0xff, any::<u8>()], 0..40),
            at in 0usize..40,
        ) {
            let (head, tail) = raw.split_at(at.min(raw.len()));
            prop_assert_eq!(decoded(&[head, tail]), decoded(&[&raw]));
        }
    }
}
