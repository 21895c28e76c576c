//! The argument of XCRC, XMD5, XSHA1, XSHA256 and XSHA512, which no document describes: a path, perhaps in double
//! quotes, perhaps followed by where to begin and where to end, parted by blanks or by semicolons.

use super::address::number;

/// One way to read an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The file.
    pub path: &'a [u8],
    /// The first byte.
    pub first: u64,
    /// The byte after the last; `None`: to the end of the file.
    pub end: Option<u64>,
}

/// Every way to read an argument, the plainest first. The first whose path names a file is what was meant: a file may
/// well be called `report 2024`.
pub fn readings(argument: &[u8]) -> impl Iterator<Item = Reading<'_>> {
    let whole = Reading { path: argument, first: 0, end: None };
    [Some(whole), quoted(argument), two(argument, b' '), one(argument, b' '), two(argument, b';'), one(argument, b';')]
        .into_iter()
        .flatten()
        .filter(|reading| !reading.path.is_empty())
}

/// `"path"` alone.
fn quoted(argument: &[u8]) -> Option<Reading<'_>> {
    let path = unquoted(argument);
    (path.len() < argument.len()).then_some(Reading { path, first: 0, end: None })
}

/// `path first end`.
fn two(argument: &[u8], between: u8) -> Option<Reading<'_>> {
    let (rest, end) = last_number(argument, between)?;
    let (path, first) = last_number(rest, between)?;
    Some(Reading { path: unquoted(path), first, end: Some(end) })
}

/// `path first`.
fn one(argument: &[u8], between: u8) -> Option<Reading<'_>> {
    let (path, first) = last_number(argument, between)?;
    Some(Reading { path: unquoted(path), first, end: None })
}

/// Parts a number off the end.
fn last_number(text: &[u8], between: u8) -> Option<(&[u8], u64)> {
    let at = text.iter().rposition(|octet| *octet == between)?;
    let (path, digits) = text.split_at_checked(at)?;
    let digits = digits.get(1..)?.trim_ascii();
    Some((path, number(digits, i64::MAX as u64)?))
}

fn unquoted(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"\"").and_then(|path| path.strip_suffix(b"\"")).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(argument: &str) -> Vec<(String, u64, Option<u64>)> {
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        readings(argument.as_bytes()).map(|reading| (text(reading.path), reading.first, reading.end)).collect()
    }

    #[test]
    fn the_forms_of_the_field() {
        let has = |argument: &str, path: &str, first, end| {
            let all = read(argument);
            assert!(all.contains(&(path.to_owned(), first, end)), "{argument}: {all:?}");
        };
        has("a", "a", 0, None);
        has("\"a b\"", "a b", 0, None);
        has("a 5", "a", 5, None);
        has("a b 5 9", "a b", 5, Some(9));
        has("\"a b\" 5 9", "a b", 5, Some(9));
        has("a b;5;9", "a b", 5, Some(9));
        has("a;5", "a", 5, None);
    }

    #[test]
    fn the_plainest_reading_comes_first_and_none_is_empty() {
        assert_eq!(read("x 1 2")[0], ("x 1 2".to_owned(), 0, None));
        assert_eq!(read("plain"), [("plain".to_owned(), 0, None)]);
        assert_eq!(read("\"x\"")[0].0, "\"x\"", "quotes may be part of a name");
        assert!(read(" 5").iter().all(|(path, ..)| !path.is_empty()));
        assert_eq!(read("a 99999999999999999999"), [("a 99999999999999999999".to_owned(), 0, None)]);
    }
}
