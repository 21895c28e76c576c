//! Bars: how far each transfer is, and all of them together.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::user::crew::ErrandId;

/// How often bars move: even to the eye, nothing to the processor.
pub const BEAT: Duration = Duration::from_millis(100);

/// Bars drawn at once; the total tells of the others.
const BARS: usize = 8;

/// With a known length.
const MEASURED: &str = "{prefix:18!} {bytes:>10} of {total_bytes:>10} {wide_bar} {bytes_per_sec:>12} {eta:>5}";

/// Without.
const ENDLESS: &str = "{prefix:18!} {bytes:>10} {spinner} {bytes_per_sec:>12}";

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

/// The bars of running transfers.
#[derive(Debug)]
pub struct Bars {
    multi: MultiProgress,
    bars: HashMap<ErrandId, ProgressBar>,
    /// All transfers together, with what those that are over have moved.
    total: Option<ProgressBar>,
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
            if let Some(bar) = self.bars.remove(&id) {
                bar.finish_and_clear();
                self.multi.remove(&bar);
            }
        }
        for Progress { id, name, moved, total } in running {
            self.last.insert(*id, *moved);
            if self.bars.contains_key(id) || self.bars.len() < BARS {
                let bar = self.bars.entry(*id).or_insert_with(|| self.multi.add(bar(*total, name)));
                bar.set_position(*moved);
            }
        }
        self.show_total(running.len());
    }

    fn show_total(&mut self, running: usize) {
        if running == 0 {
            if let Some(total) = self.total.take() {
                total.finish_and_clear();
                self.multi.remove(&total);
            }
            self.past = 0;
            return;
        }
        // One transfer is its own total.
        if running > 1 || self.total.is_some() {
            let total = self.total.get_or_insert_with(|| self.multi.add(bar(None, "all together")));
            total.set_position(self.past + self.last.values().sum::<u64>());
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
