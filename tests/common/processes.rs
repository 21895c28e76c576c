//! What /proc tells of a server's processes.

use std::collections::HashMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// The lines of a process's status, the words of each by its name.
pub fn status(of: impl Number) -> HashMap<String, Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{}/status", of.number())).unwrap_or_default();
    let line = |line: &str| {
        let (name, words) = line.split_once(':')?;
        Some((name.to_owned(), words.split_whitespace().map(str::to_owned).collect()))
    };
    text.lines().filter_map(line).collect()
}

/// The processes that a process has started: id and argv\[0\]. They have taken their names, and so begun.
pub fn children(of: impl Number) -> Vec<(u32, String)> {
    let parent = of.number().to_string();
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let ids = ids.filter(|id: &u32| status(*id).get("PPid").is_some_and(|words| words[..] == [parent.clone()]));
    let named = ids.filter_map(|id| {
        settle(id);
        let name = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
        Some((id, name.trim_end_matches('\0').to_owned()))
    });
    named.collect()
}

/// The one child of that name.
pub fn child(of: impl Number, name: &str) -> u32 {
    let children = children(of);
    let found = children.iter().find(|(_, other)| other == name);
    found.unwrap_or_else(|| panic!("no {name} in {children:?}")).0
}

/// Sends a signal.
pub fn send(id: u32, signal: Signal) {
    kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Looks at a child until it has taken its name, which it does after its signals.
fn settle(id: u32) {
    const LOOKS: usize = 1_000_000;
    let settled = || match fs::read_to_string(format!("/proc/{id}/comm")) {
        Ok(name) => name.starts_with("miniftpd-"),
        Err(_) => true,
    };
    (0..LOOKS).take_while(|_| !settled()).for_each(|_| std::thread::yield_now());
}

/// A process's number, however it is known.
pub trait Number {
    /// As /proc has it.
    fn number(&self) -> u32;
}

impl Number for u32 {
    fn number(&self) -> u32 {
        *self
    }
}

impl Number for Pid {
    fn number(&self) -> u32 {
        self.as_raw_nonzero().get().unsigned_abs()
    }
}
