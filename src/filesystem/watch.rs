//! A clock beside the calls that may wait for a disk.
//!
//! Opening, removing or listing on a cold or broken disk has no form that does not wait, short of another thread. The
//! loop stands still meanwhile, and whoever looks for the reason should find the call's name in the log.

use std::time::{Duration, Instant};

/// A call that took longer is named in the log: ten times what a session may notice, half of what a person does.
pub const SLOW: Duration = Duration::from_millis(50);

/// Runs a system call and names it in the log if it took long. The clock costs some 50 ns, no system call.
pub fn watched<R>(call: &'static str, run: impl FnOnce() -> R) -> R {
    let begun = Instant::now();
    let result = run();
    if let Some(line) = complaint(call, begun.elapsed()) {
        log::warn!("{line}");
    }
    result
}

/// What to say about a call that took so long, if anything.
fn complaint(call: &str, took: Duration) -> Option<String> {
    (took >= SLOW).then(|| format!("the file system took {} ms for {call}; every session waited", took.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slow_calls_are_named() {
        assert_eq!(complaint("open", SLOW - Duration::from_nanos(1)), None);
        let line = complaint("unlink", Duration::from_millis(1234)).expect("a line");
        assert!(line.contains("1234 ms") && line.contains("unlink"), "{line}");
        assert_eq!(watched("nothing", || 5), 5);
    }
}
