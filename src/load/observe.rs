//! What a process tree costs: memory, CPU time, descriptors, read from /proc.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use rustix::param::clock_ticks_per_second;

/// One look at a process and its descendants.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sight {
    /// Resident bytes; shared pages count in every process.
    pub rss: u64,
    /// Resident bytes; a shared page counts once.
    pub pss: u64,
    /// Seconds, those of reaped children included.
    pub cpu: f64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Processes.
    pub processes: u64,
}

/// Looks at a process tree. `None`: there is no such process.
pub fn look(root: u32) -> Option<Sight> {
    let mut sight = Sight::default();
    for pid in tree(root)? {
        let Some(stat) = Stat::of(pid) else { continue };
        sight.processes += 1;
        sight.cpu += stat.cpu;
        let (rss, pss) = memory(pid);
        sight.rss += rss;
        sight.pss += pss;
        sight.descriptors += fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64);
    }
    Some(sight)
}

/// CPU seconds of this process.
pub fn own_cpu() -> f64 {
    Stat::of(std::process::id()).map_or(0.0, |stat| stat.cpu)
}

/// Seconds for which this thread could have run and had no core; 0 where the kernel does not count them.
pub fn own_wait() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|nanoseconds| nanoseconds.parse::<u64>().ok()).unwrap_or(0) as f64 / 1e9
}

struct Stat {
    parent: u32,
    cpu: f64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before the last parenthesis may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let seconds = |from: usize| {
            let ticks: u64 = fields.get(from..from + 2)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
            Some(ticks as f64 / clock_ticks_per_second() as f64)
        };
        let (own, reaped) = (seconds(11)?, seconds(13)?);
        Some(Self { parent: fields.get(1)?.parse().ok()?, cpu: ran(pid).max(own) + reaped })
    }
}

/// Seconds on a core by the scheduler's clock, of all threads that live: each of 300 forked sessions takes less than a tick, and would
/// count as nothing. Of threads that have ended the ticks alone know.
fn ran(pid: u32) -> f64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    let nanoseconds: u64 = tasks.filter_map(|task| of_thread(&task.ok()?.path())).sum();
    nanoseconds as f64 / 1e9
}

fn of_thread(task: &Path) -> Option<u64> {
    fs::read_to_string(task.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
}

fn tree(root: u32) -> Option<Vec<u32>> {
    Stat::of(root)?;
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let numbers = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for pid in numbers {
        if let Some(stat) = Stat::of(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let (mut found, mut queue) = (Vec::new(), vec![root]);
    while let Some(pid) = queue.pop() {
        found.push(pid);
        queue.extend(children.remove(&pid).unwrap_or_default());
    }
    Some(found)
}

fn memory(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    (bytes("Rss:").unwrap_or(0), bytes("Pss:").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    #[test]
    fn this_process_is_seen() {
        let sight = look(std::process::id()).expect("this process lives");
        assert!(sight.rss >= sight.pss && sight.pss > 100_000 && sight.descriptors >= 3 && sight.processes >= 1);
        assert_eq!(look(u32::MAX), None);
    }

    #[test]
    fn what_threads_do_is_the_process_s() {
        use std::sync::mpsc::channel;

        const BURNT: Duration = Duration::from_millis(100);
        /// A tick either way.
        const LEAST: f64 = 0.06;
        let (done, burnt) = channel();
        let (leave, left) = channel();
        let before = own_cpu();
        let thread = std::thread::spawn(move || {
            while Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).is_ok_and(|ran| ran < BURNT) {}
            done.send(()).expect("somebody who waits");
            left.recv()
        });
        burnt.recv().expect("a thread that burns");
        assert!(own_cpu() - before >= LEAST, "while it lives");
        leave.send(()).expect("a thread that waits");
        thread.join().expect("an end").expect("a word");
        assert!(own_cpu() - before >= LEAST, "when it is gone");
    }
}
