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

/// How far all of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Bytes of files that are there.
    pub done: u64,
    /// Bytes of those that wait; none where nobody knows.
    pub waiting: Option<u64>,
    /// What it is the whole of.
    pub extent: Extent,
}

/// Of how many files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// None: all is over.
    Nothing,
    /// One, which is its own total.
    One,
    /// More.
    Several,
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
    fn new(multi: &MultiProgress, name: &str, first: u64) -> Self {
        let bar = ProgressBar::new_spinner().with_prefix(name.to_owned());
        style(&bar, ENDLESS);
        Self { bar: multi.add(bar), total: None, first, since: Instant::now() }
    }

    /// How many there will be may be learnt, or become more, on the way.
    fn show(&mut self, moved: u64, total: Option<u64>) {
        if total != self.total {
            self.bar.set_length(total.unwrap_or(0));
            if total.is_some() != self.total.is_some() {
                style(&self.bar, if total.is_some() { MEASURED } else { ENDLESS });
            }
            self.total = total;
        }
        let (came, span) = (moved.saturating_sub(self.first), self.since.elapsed());
        self.bar.set_message(pace(came, span, total.map(|total| total.saturating_sub(moved))));
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
    /// All transfers together, with those that are over and those that wait.
    total: Option<Drawn>,
}

impl Bars {
    /// On standard error.
    pub fn new() -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { multi, bars: HashMap::new(), total: None }
    }

    /// Shows where things stand.
    pub fn show(&mut self, running: &[Progress], whole: Whole) {
        let gone: Vec<ErrandId> =
            self.bars.keys().filter(|id| !running.iter().any(|one| one.id == **id)).copied().collect();
        for drawn in gone.iter().filter_map(|id| self.bars.remove(id)) {
            drawn.erase(&self.multi);
        }
        for Progress { id, name, moved, total } in running {
            if self.bars.contains_key(id) || self.bars.len() < BARS {
                let drawn = self.bars.entry(*id).or_insert_with(|| Drawn::new(&self.multi, name, *moved));
                drawn.show(*moved, *total);
            }
        }
        self.show_total(running, whole);
    }

    fn show_total(&mut self, running: &[Progress], whole: Whole) {
        if whole.extent == Extent::Nothing {
            if let Some(total) = self.total.take() {
                total.erase(&self.multi);
            }
            return;
        }
        if whole.extent == Extent::Several || self.total.is_some() {
            let (moved, length) = sum(running, whole);
            self.total.get_or_insert_with(|| Drawn::new(&self.multi, "all together", moved)).show(moved, length);
        }
    }

    /// Takes the bars off the screen while something else is written.
    pub fn aside(&self, write: impl FnOnce()) {
        self.multi.suspend(write);
    }

    /// Takes them off for good.
    pub fn clear(&mut self) {
        self.show(&[], Whole { done: 0, waiting: Some(0), extent: Extent::Nothing });
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes of everything, and how many there will be where that is known of each.
fn sum(running: &[Progress], whole: Whole) -> (u64, Option<u64>) {
    let moved = whole.done + running.iter().map(|one| one.moved).sum::<u64>();
    let lengths: Option<u64> = running.iter().map(|one| one.total.map(|total| total.max(one.moved))).sum();
    let length = lengths.zip(whole.waiting).map(|(running, waiting)| whole.done + running + waiting);
    (moved, length)
}

fn style(bar: &ProgressBar, template: &str) {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.set_style(style),
        Err(error) => log::debug!("the bars' template: {error}"),
    }
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
    #[test]
    fn what_all_come_to() {
        let one = |moved, total| Progress { id: ErrandId::default(), name: String::new(), moved, total };
        let whole = |done, waiting| Whole { done, waiting, extent: Extent::Several };
        assert_eq!(sum(&[one(5, Some(10)), one(1, Some(20))], whole(100, Some(70))), (106, Some(200)));
        assert_eq!(sum(&[one(5, Some(10))], whole(100, None)), (105, None));
        assert_eq!(sum(&[one(5, None)], whole(0, Some(7))), (5, None));
        assert_eq!(sum(&[one(15, Some(10))], whole(0, Some(5))), (15, Some(20)), "it has grown");
    }
}
