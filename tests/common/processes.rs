//! What /proc tells of a server's processes.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

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

/// Waits until just so many children are there and of each is told what `settled` wants to read: whoever has just been
/// started has not given up its rights yet.
#[track_caller]
pub fn await_children(
    of: impl Number,
    count: usize,
    settled: impl Fn(u32, &HashMap<String, Vec<String>>) -> bool,
) -> Vec<(u32, String)> {
    let (of, end) = (of.number(), Instant::now() + PATIENCE);
    loop {
        let family = children(of);
        if family.len() == count && family.iter().all(|(id, _)| settled(*id, &status(*id))) {
            return family;
        }
        let told = || family.iter().map(|(id, name)| (name, status(*id).remove("Uid"))).collect::<Vec<_>>();
        assert!(Instant::now() < end, "{:?}", told());
        std::thread::yield_now();
    }
}

/// Looks at a child until it has taken its name, which it does after its signals.
fn settle(id: u32) {
    let end = Instant::now() + PATIENCE;
    let settled = || match fs::read_to_string(format!("/proc/{id}/comm")) {
        Ok(name) => name.starts_with("miniftpd-"),
        Err(_) => true,
    };
    while !settled() && Instant::now() < end {
        std::thread::yield_now();
    }
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
