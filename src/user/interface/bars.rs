//! Bars: how far each transfer is, and all of them together.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::screen::rate;
use crate::user::crew::ErrandId;

/// How often bars move: even to the eye, nothing to the processor.
pub const BEAT: Duration = Duration::from_millis(100);

/// Bars drawn at once; the total tells of the others.
const BARS: usize = 8;

/// With a known length.
const MEASURED: &str = "{prefix:18!} {bytes:>10} of {total_bytes:>10} {wide_bar} {msg:>20}";

/// Without.
const ENDLESS: &str = "{prefix:18!} {bytes:>10} {spinner} {msg:>20}";

/// How far a transfer is.
#[derive(Debug)]
pub struct Progress {
    /// Which.
    pub id: ErrandId,
    /// Of what; fit for a terminal.
    pub name: String,
    /// Bytes so far.
    pub moved: u64,
    /// Bytes there will be, where known.
    pub total: Option<u64>,
}

/// One bar.
#[derive(Debug)]
struct Drawn {
    bar: ProgressBar,
    total: Option<u64>,
    /// Where it began, and when: what was there before came at no rate.
    first: u64,
    since: Instant,
}

impl Drawn {
    fn new(multi: &MultiProgress, total: Option<u64>, name: &str, first: u64) -> Self {
        Self { bar: multi.add(bar(total, name)), total, first, since: Instant::now() }
    }

    fn show(&self, moved: u64) {
        let (came, span) = (moved.saturating_sub(self.first), self.since.elapsed());
        self.bar.set_message(pace(came, span, self.total.map(|total| total.saturating_sub(moved))));
        self.bar.set_position(moved);
    }

    fn erase(&self, multi: &MultiProgress) {
        self.bar.finish_and_clear();
        multi.remove(&self.bar);
    }
}

/// The rate, and how long the rest will take; nothing before either can be known.
fn pace(came: u64, span: Duration, left: Option<u64>) -> String {
    if came == 0 || span < BEAT {
        return String::new();
    }
    let eta = left.map(|left| (left as f64 / came as f64 * span.as_secs_f64()).ceil() as u64);
    let eta = eta.map(|seconds| format!(" {:>3}:{:02}", seconds / 60, seconds % 60)).unwrap_or_default();
    rate(came, span) + &eta
}

/// The bars of running transfers.
#[derive(Debug)]
pub struct Bars {
    multi: MultiProgress,
    bars: HashMap<ErrandId, Drawn>,
    /// All transfers together, with what those that are over have moved.
    total: Option<Drawn>,
    past: u64,
    last: HashMap<ErrandId, u64>,
}

impl Bars {
    /// On standard error.
    pub fn new() -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { multi, bars: HashMap::new(), total: None, past: 0, last: HashMap::new() }
    }

    /// Shows where things stand.
    pub fn show(&mut self, running: &[Progress]) {
        let gone: Vec<ErrandId> =
            self.last.keys().filter(|id| !running.iter().any(|one| one.id == **id)).copied().collect();
        for id in gone {
            self.past += self.last.remove(&id).unwrap_or(0);
            if let Some(drawn) = self.bars.remove(&id) {
                drawn.erase(&self.multi);
            }
        }
        for Progress { id, name, moved, total } in running {
            self.last.insert(*id, *moved);
            if self.bars.contains_key(id) || self.bars.len() < BARS {
                let drawn = self.bars.entry(*id).or_insert_with(|| Drawn::new(&self.multi, *total, name, *moved));
                drawn.show(*moved);
            }
        }
        self.show_total(running.len());
    }

    fn show_total(&mut self, running: usize) {
        if running == 0 {
            if let Some(total) = self.total.take() {
                total.erase(&self.multi);
            }
            self.past = 0;
            return;
        }
        // One transfer is its own total.
        if running > 1 || self.total.is_some() {
            let moved = self.past + self.last.values().sum::<u64>();
            self.total.get_or_insert_with(|| Drawn::new(&self.multi, None, "all together", moved)).show(moved);
        }
    }

    /// Takes the bars off the screen while something else is written.
    pub fn aside(&self, write: impl FnOnce()) {
        self.multi.suspend(write);
    }

    /// Takes them off for good.
    pub fn clear(&mut self) {
        self.show(&[]);
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

fn bar(total: Option<u64>, name: &str) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), MEASURED),
        None => (ProgressBar::new_spinner(), ENDLESS),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.set_style(style),
        Err(error) => log::debug!("the bars' template: {error}"),
    }
    bar.with_prefix(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_the_rest() {
        let second = Duration::from_secs(1);
        assert_eq!(pace(1_000_000, second, Some(90_500_000)), "1.0 MB/s   1:31");
        assert_eq!(pace(500, second, None), "500.0 B/s");
        assert_eq!(pace(500, second, Some(0)), "500.0 B/s   0:00");
        // Too early to tell.
        assert_eq!(pace(0, second, Some(5)), "");
        assert_eq!(pace(5_000_000, Duration::from_millis(1), Some(5)), "");
    }
}
