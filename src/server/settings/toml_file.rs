//! A TOML file read key by key, so that every complaint names file, line and key.
//!
//! Derived deserializers were tried first: they report the line of a wrong type, but lose the key's path, cannot tell
//! "unknown" from "not in this build", and check values only after the lines are gone.

use std::collections::BTreeMap;
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    place: String,
    why: String,
}

impl Fault {
    /// A fault of a command line's option, such as `--listen`.
    pub fn option(name: &str, why: impl Into<String>) -> Self {
        let (place, why) = (name.to_owned(), why.into());
        Fault { place, why }
    }

    /// A fault of a file as a whole.
    pub fn file(path: &Path, why: impl Into<String>) -> Self {
        let (place, why) = (path.display().to_string(), why.into());
        Fault { place, why }
    }

    /// A fault of a setting, found after the reading.
    pub fn of(origin: &Origin, why: impl fmt::Display) -> Self {
        Fault { place: origin.0.clone(), why: why.to_string() }
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
        write!(f, "{}: {}", self.place, self.why)
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
        let place = format!("{}:{line}", self.path.display());
        Fault { place, why }
    }
}

/// One table of a [`Source`]. Readers take the keys they know; [`Table::finish`] refuses what is left.
#[derive(Debug)]
pub struct Table<'s> {
    source: &'s Source,
    prefix: String,
    entries: BTreeMap<String, Entry<'s>>,
}

#[derive(Debug)]
struct Entry<'s> {
    line: usize,
    value: DeValue<'s>,
}

impl<'s> Table<'s> {
    fn new(source: &'s Source, prefix: String, table: DeTable<'s>) -> Self {
        // One by one: to collect a BTreeMap brings a sort of its own into the program, 5 KB for a dozen keys.
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let line = source.line(key.span());
            entries.insert(key.into_inner().into_owned(), Entry { line, value: value.into_inner() });
        }
        Table { source, prefix, entries }
    }

    /// The value of `key`, read from its word. Strings, integers and booleans all count as words, so `"300"` and
    /// `300` are the same.
    pub fn value<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Result<Option<T>, Fault> {
        let Some(entry) = self.entries.remove(key) else { return Ok(None) };
        let word = word(&entry.value).map_err(|why| self.fault(entry.line, key, why))?;
        self.parse(key, entry.line, &word).map(Some)
    }

    /// Sets `place` when the file has `key`.
    pub fn set<T: FromStr<Err: fmt::Display>>(&mut self, key: &str, place: &mut T) -> Result<(), Fault> {
        if let Some(value) = self.value(key)? {
            *place = value;
        }
        Ok(())
    }

    /// The list under `key`, each item read from its word.
    pub fn list<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Result<Option<Vec<T>>, Fault> {
        let line = self.line_of(key);
        let words = self.with(key, |value| match value {
            DeValue::Array(items) => items.iter().map(|item| word(item.get_ref())).collect::<Result<Vec<_>, _>>(),
            other => Err(format!("wants a list, not {}", kind(&other))),
        })?;
        words.map(|words| words.iter().map(|word| self.parse(key, line, word)).collect()).transpose()
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
        let Some(entry) = self.entries.remove(key) else {
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
        let Some(entry) = self.entries.remove(key) else {
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
        let entry = self.entries.get(key)?;
        Some(Origin(format!("{}:{}: {}", self.source.path.display(), entry.line, self.full(key))))
    }

    /// The line `key` stands on, while it has not been taken; 0 when it is absent.
    pub fn line_of(&self, key: &str) -> usize {
        self.entries.get(key).map_or(0, |entry| entry.line)
    }

    /// Refuses whatever no reader has taken.
    pub fn finish(self) -> Result<(), Fault> {
        let first = self.entries.iter().min_by_key(|(_, entry)| entry.line);
        match first {
            None => Ok(()),
            Some((key, entry)) => Err(self.fault(entry.line, key, "unknown key")),
        }
    }

    /// The one part of reading that differs by type.
    fn parse<T: FromStr<Err: fmt::Display>>(&self, key: &str, line: usize, word: &str) -> Result<T, Fault> {
        word.parse().map_err(|why: T::Err| self.misread(key, line, word, &why))
    }

    fn misread(&self, key: &str, line: usize, word: &str, why: &dyn fmt::Display) -> Fault {
        self.fault(line, key, quoting(word, why))
    }

    fn with<T>(&mut self, key: &str, read: impl FnOnce(DeValue<'s>) -> Result<T, String>) -> Result<Option<T>, Fault> {
        let Some(entry) = self.entries.remove(key) else {
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

/// What is wrong with a word, which the messages of numbers and addresses do not repeat.
pub(super) fn quoting(word: &str, why: &dyn fmt::Display) -> String {
    let why = why.to_string();
    if why.contains(word) { why } else { format!("\"{}\": {why}", word.escape_debug()) }
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
