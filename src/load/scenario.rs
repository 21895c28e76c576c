//! What sessions do: named scenarios, and steps of one's own from a file.
//!
//! ```toml
//! [[step]]
//! do = "get"            # login, command, get, put, list
//! path = "pub/a.bin"    # get, put, list; otherwise that of the command line
//! line = "PWD"          # command; otherwise NOOP
//! size = 65536          # put
//! weight = 5            # how often in proportion to the others; 1
//! think = 100           # ms of pause after it, in place of --think
//! ```

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use crate::user::text::sendable;

/// What one operation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A new session: connect and log in. One that stands is left first.
    Login,
    /// One command.
    Command(Vec<u8>),
    /// RETR.
    Get(Vec<u8>),
    /// STOR of so many bytes, under this name and the session's number.
    Put(Vec<u8>, u64),
    /// LIST.
    List(Vec<u8>),
}

/// One step of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub act: Act,
    /// The pause after it; otherwise that of the command line.
    pub think: Option<Duration>,
    weight: u32,
}

/// Steps, of which each operation takes one by weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Nothing for sessions that only stay.
    steps: Vec<Step>,
}

/// A step as a file has it.
#[derive(Default)]
struct Row {
    what: String,
    path: Option<String>,
    line: Option<String>,
    size: Option<u64>,
    weight: Option<u64>,
    think: Option<u64>,
}

/// Weights are proportions; more than this is a mistyped number, and the sum must not overflow.
const HEAVIEST: u32 = 1_000_000;

/// Steps in a file.
const MOST_STEPS: usize = 1000;

impl Scenario {
    /// The scenario of a name, or the one in the file of that name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn named(name: &str, path: &[u8], size: u64) -> Result<Self, String> {
        let step = |act, weight| Step { act, think: None, weight };
        let steps = match name {
            "login" => vec![step(Act::Login, 1)],
            "idle" => vec![],
            "command" => vec![step(Act::Command(b"NOOP".to_vec()), 1)],
            "get" => vec![step(Act::Get(path.to_vec()), 1)],
            "put" => vec![step(Act::Put(upload(path), size), 1)],
            "list" => vec![step(Act::List(path.to_vec()), 1)],
            "mix" => vec![
                step(Act::Get(path.to_vec()), 50),
                step(Act::List(Vec::new()), 15),
                step(Act::Command(b"CWD .".to_vec()), 20),
                step(Act::Command(b"PWD".to_vec()), 5),
                step(Act::Login, 10),
            ],
            file if file.ends_with(".toml") => return Self::file(file, path, size),
            other => {
                return Err(format!("--scenario: no {other}; login, idle, command, get, put, list, mix or FILE.toml"));
            }
        };
        Self { steps }.checked(name)
    }

    fn file(name: &str, path: &[u8], size: u64) -> Result<Self, String> {
        let text = std::fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?;
        let rows = rows(&text).map_err(|why| format!("{name}: {why}"))?;
        let steps: Result<Vec<Step>, String> = rows.into_iter().map(|row| row.step(path, size)).collect();
        let scenario = Self { steps: steps.map_err(|why| format!("{name}: {why}"))? };
        if scenario.steps.is_empty() || scenario.steps.len() > MOST_STEPS {
            return Err(format!("{name}: 1 to {MOST_STEPS} steps"));
        }
        scenario.checked(name)
    }

    fn checked(self, name: &str) -> Result<Self, String> {
        for step in &self.steps {
            match &step.act {
                Act::Get(path) if path.is_empty() => {
                    return Err(format!("{name} downloads a file: which, --path says"));
                }
                Act::Get(bytes) | Act::Put(bytes, _) | Act::List(bytes) | Act::Command(bytes) if !sendable(bytes) => {
                    return Err(format!("{name}: a line break cannot be sent"));
                }
                _ => {}
            }
        }
        Ok(self)
    }

    /// Whether sessions only stay.
    pub const fn stays(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether every operation is a session of its own.
    pub fn only_logins(&self) -> bool {
        !self.stays() && self.steps.iter().all(|step| step.act == Act::Login)
    }

    /// Whether there are data connections.
    pub fn transfers(&self) -> bool {
        self.steps.iter().any(|step| !matches!(step.act, Act::Login | Act::Command(_)))
    }

    /// The step that a random number chooses.
    pub fn pick(&self, random: u64) -> usize {
        let total: u64 = self.steps.iter().map(|step| u64::from(step.weight)).sum();
        let mut left = random % total.max(1);
        for (index, step) in self.steps.iter().enumerate() {
            let weight = u64::from(step.weight);
            if left < weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    /// A step by its number.
    pub fn step(&self, index: usize) -> Option<&Step> {
        self.steps.get(index)
    }
}

/// The array `step` and nothing else.
fn rows(text: &str) -> Result<Vec<Row>, String> {
    let table = DeTable::parse(text).map_err(|error| error.message().to_owned())?.into_inner();
    let mut rows = Vec::new();
    for (key, value) in table {
        match (key.get_ref().as_ref(), value.into_inner()) {
            ("step", DeValue::Array(array)) => {
                for entry in array {
                    let DeValue::Table(entry) = entry.into_inner() else { return Err("step is no table".into()) };
                    rows.push(Row::read(entry)?);
                }
            }
            (other, _) => return Err(format!("{other} is not known; [[step]] is")),
        }
    }
    Ok(rows)
}

impl Row {
    fn read(table: DeTable<'_>) -> Result<Self, String> {
        let mut row = Self::default();
        for (key, value) in table {
            let key = key.into_inner();
            let wrong = || format!("step.{key} has a value that does not fit");
            match (&*key, value.get_ref()) {
                ("do", value) => row.what = value.as_str().ok_or_else(wrong)?.to_owned(),
                ("path", value) => row.path = Some(value.as_str().ok_or_else(wrong)?.to_owned()),
                ("line", value) => row.line = Some(value.as_str().ok_or_else(wrong)?.to_owned()),
                ("size", value) => row.size = Some(whole(value).ok_or_else(wrong)?),
                ("weight", value) => row.weight = Some(whole(value).ok_or_else(wrong)?),
                ("think", value) => row.think = Some(whole(value).ok_or_else(wrong)?),
                _ => return Err(format!("step.{key} is not known")),
            }
        }
        Ok(row)
    }

    fn step(self, path: &[u8], size: u64) -> Result<Step, String> {
        let path = self.path.map_or_else(|| path.to_vec(), String::into_bytes);
        let act = match self.what.as_str() {
            "login" => Act::Login,
            "command" => Act::Command(self.line.unwrap_or_else(|| "NOOP".into()).into_bytes()),
            "get" => Act::Get(path),
            "put" => Act::Put(upload(&path), self.size.unwrap_or(size)),
            "list" => Act::List(path),
            other => return Err(format!("do = \"{other}\": login, command, get, put or list")),
        };
        let weight = self.weight.unwrap_or(1);
        let Some(weight) = u32::try_from(weight).ok().filter(|weight| (1..=HEAVIEST).contains(weight)) else {
            return Err(format!("weight = {weight}: 1 to {HEAVIEST}"));
        };
        Ok(Step { act, think: self.think.map(Duration::from_millis), weight })
    }
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The name before an upload's number. Without a path it is one that nobody else's file has; a directory takes that too.
fn upload(path: &[u8]) -> Vec<u8> {
    match path {
        [] | [.., b'/'] => [path, b"miniftp-load"].concat(),
        _ => path.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_by_weight() {
        let mix = Scenario::named("mix", b"f", 1).expect("a scenario");
        let mut taken = [0; 5];
        (0..1000).for_each(|random| taken[mix.pick(random)] += 1);
        assert_eq!(taken, [500, 150, 200, 50, 100]);
        assert!(mix.transfers() && !mix.only_logins() && !mix.stays());
    }

    #[test]
    fn a_file_has_steps_of_its_own() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("steps.toml");
        let read = |text: &str| {
            std::fs::write(&file, text).expect("written");
            Scenario::named(file.to_str().expect("a name"), b"default", 7)
        };
        let scenario = read("[[step]]\ndo = 'get'\nweight = 3\n[[step]]\ndo = 'put'\npath = 'in/'\nthink = 5\n");
        let scenario = scenario.expect("a scenario");
        assert_eq!(scenario.step(0).map(|step| &step.act), Some(&Act::Get(b"default".to_vec())));
        assert_eq!(scenario.step(1).map(|step| &step.act), Some(&Act::Put(b"in/miniftp-load".to_vec(), 7)));
        assert_eq!(scenario.step(1).and_then(|step| step.think), Some(Duration::from_millis(5)));
        for wrong in ["", "[[step]]\ndo = 'dance'", "[[step]]\ndo = 'get'\nweigth = 1", "[[step]]\ndo='get'\nweight=0"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("[[step]]\ndo = 'command'\nline = \"PWD\\r\\nDELE x\"").is_err());
    }

    #[test]
    fn a_download_needs_a_name() {
        assert!(Scenario::named("get", b"", 1).is_err());
        assert!(Scenario::named("nothing", b"x", 1).is_err());
        assert_eq!(
            Scenario::named("put", b"", 9).map(|it| it.step(0).cloned().map(|step| step.act)),
            Ok(Some(Act::Put(b"miniftp-load".to_vec(), 9)))
        );
    }
}
