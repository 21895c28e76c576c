//! A TOML file read key by key, so that every complaint names file, line and key.
//!
//! Derived deserializers were tried first: they report the line of a wrong type, but lose the key's path, cannot tell
//! "unknown" from "not in this build", and check values only after the lines are gone.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::filesystem::plain;

/// A megabyte of configuration is a mistaken file name, not a configuration.
/// Accounts files are held to the same bound: it is room for some ten thousand accounts.
const LARGEST_FILE: u64 = 4 << 20;

/// What is wrong with a configuration, a users' file or a command line. Its text is one line.
///
/// Boxed: nearly every function that reads settings returns one, and each would move six words where one does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(Box<Complaint>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Complaint {
    place: String,
    why: String,
}

impl Fault {
    fn new(place: String, why: String) -> Self {
        Fault(Box::new(Complaint { place, why }))
    }

    /// A fault of a command line's option, such as `--listen`.
    pub fn option(name: &str, why: impl Into<String>) -> Self {
        Fault::new(name.to_owned(), why.into())
    }

    /// A fault of a file as a whole.
    pub fn file(path: &Path, why: impl Into<String>) -> Self {
        Fault::new(path.display().to_string(), why.into())
    }

    /// A fault of a setting, found after the reading.
    pub fn of(origin: &Origin, why: impl fmt::Display) -> Self {
        Fault::new(origin.0.clone(), why.to_string())
    }
}

/// Where a setting was made: file, line and key, or the option. For faults that show only when everything has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// A command line's option, such as `--listen`, or a key that nobody has written.
    pub fn option(name: impl Into<String>) -> Self {
        Origin(name.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.place, self.0.why)
    }
}

impl std::error::Error for Fault {}

/// The text of a configuration file and its name.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Reads `path`; a missing, unreadable, enormous or non-UTF-8 file is a fault of that file.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let bytes = plain::read(path, LARGEST_FILE).map_err(|e| Fault::file(path, e.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| Fault::file(path, "is not UTF-8"))?;
        Ok(Source::new(path, text))
    }

    /// A source whose text is at hand.
    pub fn new(path: &Path, text: String) -> Self {
        let path = path.to_owned();
        Source { path, text }
    }

    /// The file's top table.
    pub fn table(&self) -> Result<Table<'_>, Fault> {
        let parsed = DeTable::parse(&self.text).map_err(|e| {
            let line = self.line(e.span().unwrap_or(0..0));
            self.fault(line, "", e.message())
        })?;
        Ok(Table::new(self, String::new(), parsed.into_inner()))
    }

    fn line(&self, span: Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(span.start);
        1 + before.filter(|&&byte| byte == b'\n').count()
    }

    fn fault(&self, line: usize, key: &str, why: impl fmt::Display) -> Fault {
        let why = match key {
            "" => why.to_string(),
            key => format!("{key}: {why}"),
        };
        Fault::new(format!("{}:{line}", self.path.display()), why)
    }
}

/// One table of a [`Source`]. Readers take the keys they know; [`Table::finish`] refuses what is left.
#[derive(Debug)]
pub struct Table<'s> {
    source: &'s Source,
    prefix: String,
    /// In no order, and looked through from the front: a table has a dozen keys.
    entries: Vec<Entry<'s>>,
}

#[derive(Debug)]
struct Entry<'s> {
    key: String,
    line: usize,
    value: DeValue<'s>,
}

impl<'s> Table<'s> {
    fn new(source: &'s Source, prefix: String, table: DeTable<'s>) -> Self {
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let line = source.line(key.span());
            entries.push(Entry { key: key.into_inner().into_owned(), line, value: value.into_inner() });
        }
        Table { source, prefix, entries }
    }

    /// The value of `key`, read from its word. Strings, integers and booleans all count as words, so `"300"` and
    /// `300` are the same.
    pub fn value<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Result<Option<T>, Fault> {
        let mut value = None;
        self.read(key, &mut |word| parse(word).map(|read| value = Some(read)))?;
        Ok(value)
    }

    /// Sets `place` when the file has `key`.
    pub fn set<T: FromStr<Err: fmt::Display>>(&mut self, key: &str, place: &mut T) -> Result<(), Fault> {
        self.read(key, &mut |word| parse(word).map(|read| *place = read))
    }

    /// The list under `key`, each item read from its word.
    pub fn list<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Result<Option<Vec<T>>, Fault> {
        let mut list = Vec::new();
        let there = self.read_each(key, &mut |word| parse(word).map(|read| list.push(read)))?;
        Ok(there.then_some(list))
    }

    /// The path under `key`, relative ones counted from `folder`.
    pub fn path(&mut self, key: &str, folder: &Path) -> Result<Option<PathBuf>, Fault> {
        self.with(key, |value| match text(&value) {
            Some("") => Err("wants a path".to_owned()),
            Some(path) => Ok(folder.join(path)),
            None => Err(format!("wants a path, not {}", kind(&value))),
        })
    }

    /// The table under `key`; an absent one is empty.
    pub fn table(&mut self, key: &str) -> Result<Table<'s>, Fault> {
        let path = self.full(key);
        let Some(entry) = self.take(key) else {
            return Ok(Table::new(self.source, path, DeTable::new()));
        };
        match entry.value {
            DeValue::Table(table) => Ok(Table::new(self.source, path, table)),
            other => {
                let why = format!("wants a table, not {}", kind(&other));
                Err(self.source.fault(entry.line, &path, why))
            }
        }
    }

    /// The tables of the array `[[key]]`; an absent one is empty. Each knows its line, for [`Table::fault`].
    pub fn tables(&mut self, key: &str) -> Result<Vec<(usize, Table<'s>)>, Fault> {
        let path = self.full(key);
        let Some(entry) = self.take(key) else {
            return Ok(Vec::new());
        };
        let fault = |line| self.source.fault(line, &path, format!("wants [[{path}]] tables"));
        let DeValue::Array(items) = entry.value else {
            return Err(fault(entry.line));
        };
        let one = |item: Spanned<DeValue<'s>>| {
            let line = self.source.line(item.span());
            match item.into_inner() {
                DeValue::Table(table) => Ok((line, Table::new(self.source, path.clone(), table))),
                _ => Err(fault(line)),
            }
        };
        items.into_iter().map(one).collect()
    }

    /// Refuses `key` as belonging to a part that is not built in, unless its value is one of `harmless`, or an empty
    /// list or table: then the file only says what happens anyway.
    pub fn not_built(&mut self, key: &str, harmless: &[&str]) -> Result<(), Fault> {
        let same = |value: DeValue<'s>| match &value {
            DeValue::Array(items) => Ok(items.is_empty()),
            DeValue::Table(table) => Ok(table.is_empty()),
            scalar => Ok(word(scalar).is_ok_and(|word| harmless.contains(&word.as_str()))),
        };
        let line = self.line_of(key);
        match self.with(key, same)? {
            None | Some(true) => Ok(()),
            Some(false) => Err(self.source.fault(line, &self.full(key), NOT_BUILT)),
        }
    }

    /// A fault of this table's `key` at `line`.
    pub fn fault(&self, line: usize, key: &str, why: impl fmt::Display) -> Fault {
        self.source.fault(line, &self.full(key), why)
    }

    /// Where `key` stands, while it has not been taken; `None` when it is absent.
    pub fn origin(&self, key: &str) -> Option<Origin> {
        let entry = self.entry(key)?;
        Some(Origin(format!("{}:{}: {}", self.source.path.display(), entry.line, self.full(key))))
    }

    /// The line `key` stands on, while it has not been taken; 0 when it is absent.
    pub fn line_of(&self, key: &str) -> usize {
        self.entry(key).map_or(0, |entry| entry.line)
    }

    /// Refuses whatever no reader has taken.
    pub fn finish(self) -> Result<(), Fault> {
        let first = self.entries.iter().min_by_key(|entry| entry.line);
        match first {
            None => Ok(()),
            Some(entry) => Err(self.fault(entry.line, &entry.key, "unknown key")),
        }
    }

    /// Hands the word of `key`, if it is there, to `take`, the one part of reading that differs by type. Everything
    /// else is in the program once, not once for each type.
    fn read(&mut self, key: &str, take: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<(), Fault> {
        let Some(entry) = self.take(key) else { return Ok(()) };
        self.hand(&entry, &entry.value, take)
    }

    /// As [`Table::read`], for each item of a list. Whether the list is there.
    fn read_each(&mut self, key: &str, take: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<bool, Fault> {
        let Some(entry) = self.take(key) else { return Ok(false) };
        let DeValue::Array(items) = &entry.value else {
            return Err(self.fault(entry.line, key, format!("wants a list, not {}", kind(&entry.value))));
        };
        items.iter().try_for_each(|item| self.hand(&entry, item.get_ref(), take))?;
        Ok(true)
    }

    fn hand(
        &self,
        entry: &Entry<'s>,
        value: &DeValue<'s>,
        take: &mut dyn FnMut(&str) -> Result<(), String>,
    ) -> Result<(), Fault> {
        let fault = |why| self.fault(entry.line, &entry.key, why);
        let word = word(value).map_err(fault)?;
        take(&word).map_err(|why| fault(quoting(&word, &why)))
    }

    fn entry(&self, key: &str) -> Option<&Entry<'s>> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn take(&mut self, key: &str) -> Option<Entry<'s>> {
        let place = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.swap_remove(place))
    }

    fn with<T>(&mut self, key: &str, read: impl FnOnce(DeValue<'s>) -> Result<T, String>) -> Result<Option<T>, Fault> {
        let Some(entry) = self.take(key) else {
            return Ok(None);
        };
        match read(entry.value) {
            Ok(value) => Ok(Some(value)),
            Err(why) => Err(self.fault(entry.line, key, why)),
        }
    }

    fn full(&self, key: &str) -> String {
        match self.prefix.as_str() {
            "" => key.to_owned(),
            prefix => format!("{prefix}.{key}"),
        }
    }
}

/// What is said of keys and options whose part is not built in.
pub const NOT_BUILT: &str = "not in this build";

/// Reads a word.
pub(super) fn parse<T: FromStr<Err: fmt::Display>>(word: &str) -> Result<T, String> {
    word.parse().map_err(|why: T::Err| why.to_string())
}

/// What is wrong with a word, which the messages of numbers and addresses do not repeat.
pub(super) fn quoting(word: &str, why: &str) -> String {
    if why.contains(word) { why.to_owned() } else { format!("\"{}\": {why}", word.escape_debug()) }
}

fn word(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Datetime(when) => Ok(when.to_string()),
        other => Err(format!("wants one value, not {}", kind(other))),
    }
}

fn text<'v>(value: &'v DeValue<'_>) -> Option<&'v str> {
    match value {
        DeValue::String(text) => Some(text),
        _ => None,
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    value.type_str()
}
