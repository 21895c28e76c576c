//! Shell patterns for the last component of LIST, NLST and STAT.
//!
//! One star is remembered, the latest: when the rest does not fit, it takes one byte more. Earlier stars need
//! never be tried again, so the work is at most name times pattern, where a backtracking matcher can be kept
//! busy for years by a handful of stars. Braces and `~` are not known: they multiply.

/// Steps after which a match counts as failed, unless the configuration says otherwise. No component of a path
/// reaches it (255 by 255 bytes); it holds the loop's time should a pattern come from elsewhere.
pub const STEP_LIMIT: usize = 100_000;

/// A pattern of `*`, `?`, `[a-z]` and `[!a-z]`, for one component, matched against bytes.
///
/// A `[` without its `]` stands for itself, `\` always does: on the wire it is part of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    tokens: Box<[Token]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Any number of bytes.
    Star,
    /// One byte.
    Any,
    Byte(u8),
    Set {
        ranges: Box<[(u8, u8)]>,
        negated: bool,
    },
}

impl Pattern {
    /// Reads a pattern. Every text is one; without a special character it matches just itself.
    pub fn parse(text: &[u8]) -> Self {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some((&first, tail)) = rest.split_first() {
            rest = tail;
            let token = match first {
                b'*' if tokens.last() == Some(&Token::Star) => continue,
                b'*' => Token::Star,
                b'?' => Token::Any,
                b'[' => match set(tail) {
                    Some((set, after)) => {
                        rest = after;
                        set
                    }
                    None => Token::Byte(b'['),
                },
                byte => Token::Byte(byte),
            };
            tokens.push(token);
        }
        Self { tokens: tokens.into() }
    }

    /// Whether `text` has anything that makes it more than a name.
    pub fn is_special(text: &[u8]) -> bool {
        text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
    }

    /// Whether every `[` of `text` has its `]`: of what an administrator writes, another one is a slip.
    pub fn is_closed(text: &[u8]) -> bool {
        !Self::parse(text).tokens.contains(&Token::Byte(b'['))
    }

    /// Whether it begins with a dot itself and so means hidden files too, as in a shell.
    pub fn wants_hidden(&self) -> bool {
        self.tokens.first() == Some(&Token::Byte(b'.'))
    }

    /// Whether the whole of `name` fits, found out within `limit` steps. The steps it took are added to `steps`,
    /// for a caller with a budget.
    pub fn matches(&self, name: &[u8], limit: usize, steps: &mut usize) -> bool {
        let (mut tokens, mut bytes) = (&self.tokens[..], name);
        // What is left of both after the latest star, should it have to take one byte more.
        let mut star: Option<(&[Token], &[u8])> = None;
        for _ in 0..limit {
            *steps += 1;
            match (tokens.split_first(), bytes.split_first()) {
                (None, None) => return true,
                (Some((Token::Star, after)), _) => {
                    star = Some((after, bytes));
                    tokens = after;
                }
                (Some((token, after)), Some((&byte, left))) if token.takes(byte) => {
                    (tokens, bytes) = (after, left);
                }
                _ => match star.and_then(|(after, from)| Some((after, from.split_first()?.1))) {
                    Some((after, from)) => {
                        star = Some((after, from));
                        (tokens, bytes) = (after, from);
                    }
                    None => return false,
                },
            }
        }
        false
    }
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::Byte(own) => *own == byte,
            Self::Set { ranges, negated } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&byte)) != *negated
            }
        }
    }
}

/// Reads a set after its `[`, up to and with its `]`; answers what follows too. A `]` right at the beginning
/// belongs to the set.
fn set(text: &[u8]) -> Option<(Token, &[u8])> {
    let (negated, body) = match text.split_first() {
        Some((b'!' | b'^', body)) => (true, body),
        _ => (false, text),
    };
    let end = 1 + body.iter().skip(1).position(|&byte| byte == b']')?;
    let (mut inside, after) = (body.get(..end)?, body.get(end + 1..)?);
    let mut ranges = Vec::new();
    while let Some((&low, tail)) = inside.split_first() {
        let (high, left) = match tail {
            [b'-', high, left @ ..] => (*high, left),
            _ => (low, tail),
        };
        ranges.push((low, high));
        inside = left;
    }
    Some((Token::Set { ranges: ranges.into(), negated }, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern.as_bytes()).matches(name.as_bytes(), STEP_LIMIT, &mut 0)
    }

    #[test]
    fn stars_marks_and_sets() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "a.txt.gz", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("**a**", "a", true),
            ("[a-c]1", "b1", true),
            ("[!a-c]1", "b1", false),
            ("[^a-c]1", "d1", true),
            ("[]x]", "]", true),
            ("[a-]", "-", true),
            ("[", "[", true),
            ("[ab", "[ab", true),
            ("a\\*", "a\\xyz", true),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} against {name}");
        }
    }

    #[test]
    fn fifty_stars_take_no_time() {
        let pattern = Pattern::parse(&[&b"*a".repeat(127)[..], b"b"].concat());
        let mut steps = 0;
        assert!(!pattern.matches(&[b'a'; 255], usize::MAX, &mut steps));
        assert!(steps < STEP_LIMIT, "{steps}");
        assert!(Pattern::parse(b"a*").matches(b"abc", 5, &mut 0));
        assert!(!Pattern::parse(b"a*").matches(b"abc", 4, &mut 0), "one step too few");
    }

    #[test]
    fn hidden_files_are_meant_only_by_a_dot() {
        assert!(Pattern::parse(b".*").wants_hidden());
        assert!(!Pattern::parse(b"*").wants_hidden() && !Pattern::parse(b"[.]x").wants_hidden());
    }

    /// The definition, with all its backtracking.
    fn naive(tokens: &[Token], name: &[u8]) -> bool {
        match (tokens.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((Token::Star, after)), _) => {
                naive(after, name) || name.split_first().is_some_and(|(_, left)| naive(tokens, left))
            }
            (Some((token, after)), Some((byte, left))) => token.takes(*byte) && naive(after, left),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn as_the_definition_says(pattern in "[ab*?]{0,8}(\\[[!ab-]{0,3}\\])?[ab*?]{0,3}", name in "[ab-]{0,10}") {
            let pattern = Pattern::parse(pattern.as_bytes());
            prop_assert_eq!(pattern.matches(name.as_bytes(), STEP_LIMIT, &mut 0), naive(&pattern.tokens, name.as_bytes()));
        }

        #[test]
        fn any_bytes_are_a_pattern(pattern: Vec<u8>, name: Vec<u8>) {
            Pattern::parse(&pattern).matches(&name, STEP_LIMIT, &mut 0);
        }
    }
}
