//! Names of users and groups, read once.
//!
//! getpwuid(3) would do for each listed entry what may be a question to a directory server on the network;
//! a loop cannot wait for that. Accounts made later show as numbers until the next start.

use crate::wire::listing::Name;
use std::path::Path;

/// Names by number, of users and of groups.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    users: Table,
    groups: Table,
}

/// Sorted by number.
type Table = Vec<(u32, Box<str>)>;

impl Owners {
    /// What `/etc/passwd` and `/etc/group` say now. A file that cannot be read knows nobody.
    pub fn load() -> Self {
        let read = |path: &str| std::fs::read(Path::new(path)).unwrap_or_default();
        Self { users: table(&read("/etc/passwd")), groups: table(&read("/etc/group")) }
    }

    /// Nobody: all owners show as numbers.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The user with this number.
    pub fn user(&self, uid: u32) -> Name<'_> {
        name(&self.users, uid)
    }

    /// The group with this number.
    pub fn group(&self, gid: u32) -> Name<'_> {
        name(&self.groups, gid)
    }
}

fn name(table: &Table, number: u32) -> Name<'_> {
    let place = table.binary_search_by_key(&number, |(number, _)| *number).ok();
    match place.and_then(|place| table.get(place)) {
        Some((_, name)) => Name::Known(name),
        None => Name::Number(number),
    }
}

/// Reads `name:password:number:…` lines, the form of both files. What is no such line is skipped; of two
/// names for one number the first counts, as with getpwuid(3).
fn table(text: &[u8]) -> Table {
    let mut table: Table = text.split(|&byte| byte == b'\n').filter_map(row).collect();
    table.sort_by_key(|(number, _)| *number); // stable: the first of a number stays the first
    table.dedup_by_key(|(number, _)| *number);
    table
}

fn row(line: &[u8]) -> Option<(u32, Box<str>)> {
    let mut fields = line.split(|&byte| byte == b':');
    let name = String::from_utf8_lossy(fields.next()?);
    let number = str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
    // A blank would shift the columns of LIST, a semicolon end the fact in MLSx.
    let harmless = |letter: char| !letter.is_whitespace() && !letter.is_control() && letter != ';';
    let name: String = name.chars().map(|letter| if harmless(letter) { letter } else { '_' }).collect();
    (!name.is_empty()).then(|| (number, name.into_boxed_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_number() {
        let table = table(b"www:x:33:33::/:\nroot:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\ndomain users:*:70:\na;b:x:71:\n\n#x\n:x:5:\nbad:x:no:\nshort:x\nlast:x:4294967295");
        assert_eq!(name(&table, 0), Name::Known("root"));
        assert_eq!(name(&table, 33), Name::Known("www"));
        assert_eq!(name(&table, 70), Name::Known("domain_users"));
        assert_eq!(name(&table, 71), Name::Known("a_b"));
        assert_eq!(name(&table, u32::MAX), Name::Known("last"));
        assert_eq!(name(&table, 5), Name::Number(5));
        assert_eq!(table.len(), 5);
    }

    #[test]
    fn nobody_is_a_number() {
        assert_eq!(Owners::empty().user(0), Name::Number(0));
        assert_eq!(Owners::empty().group(7), Name::Number(7));
    }
}
