//! The report: for a person, or as JSON.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::limits;
use super::observe::Sight;
use super::options::Options;
use super::tally::{Limit, Phase, Tally};

/// Quantiles of the report, by their names.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// An operation waits for the loop several times, to begin and for each reply: with three other programs on its core a 99th
/// percentile that was all the client's own was three to four times the lag's.
const WAITS: u64 = 4;

/// Microseconds of lag, at the 99th percentile, below which nothing is said of it: a loop that has a core has a tenth.
const LITTLE: u64 = 1000;

/// What is printed.
pub struct Report<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// What was counted.
    pub tally: &'a Tally,
    /// What the server's processes cost; CPU time is that of the measurement.
    pub server: Option<Sight>,
}

impl Report<'_> {
    /// One object on one line.
    pub fn json(&self) -> String {
        let tally = self.tally;
        let errors = tally.errors.iter().map(|(class, count)| format!("{}:{count}", quoted(class)));
        let phases = present(tally).map(|(phase, histogram)| {
            let quantiles = QUANTILES.map(|(name, at)| format!("\"{name}\":{}", ms(histogram.value_at_quantile(at))));
            let (count, max) = (histogram.len(), ms(histogram.max()));
            format!("{}:{{\"count\":{count},{},\"max\":{max}}}", quoted(phase.name()), quantiles.join(","))
        });
        let server = self.server.map_or_else(
            || "null".to_owned(),
            |sight| {
                let Sight { rss, pss, cpu, descriptors, .. } = sight;
                format!("{{\"rss\":{rss},\"pss\":{pss},\"cpu_s\":{cpu:.2},\"fds\":{descriptors}}}")
            },
        );
        format!(
            "{{\"clients\":{},\"duration_s\":{:.6},\"ops\":{},\"errors\":{{{}}},\"bytes\":{},\"phases\":{{{}}},\
             \"loop_lag_ms\":{},\"limited_by_client\":{},\"server\":{server}}}\n",
            self.options.clients,
            tally.seconds,
            tally.operations,
            errors.collect::<Vec<_>>().join(","),
            tally.bytes,
            phases.collect::<Vec<_>>().join(","),
            ms(tally.lag().map_or(0, Histogram::max)),
            tally.limit().is_some(),
        )
    }

    /// A table.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.summary(&mut text).and_then(|()| self.table(&mut text)).and_then(|()| self.notes(&mut text));
        text
    }

    fn summary(&self, text: &mut String) -> std::fmt::Result {
        let (tally, options) = (self.tally, self.options);
        let seconds = tally.seconds.max(1e-9);
        let mode = match options.rate {
            Some(rate) => format!("open loop, {rate} operations a second planned"),
            None => "closed loop".into(),
        };
        writeln!(
            text,
            "{} clients ({} stood) in {} process{}, {:.1} s, {mode}",
            options.clients,
            tally.standing,
            options.processes,
            if options.processes == 1 { "" } else { "es" },
            tally.seconds,
        )?;
        if tally.seconds <= 0.0 {
            return writeln!(text, "interrupted before all sessions stood: nothing was measured");
        }
        writeln!(text, "{} operations, {:.1} a second", tally.operations, tally.operations as f64 / seconds)?;
        if tally.bytes > 0 {
            let rate = tally.bytes as f64 / seconds / 1e6;
            writeln!(text, "{} bytes, {rate:.1} MB/s, {} of them compared", tally.bytes, tally.looked)?;
        }
        Ok(())
    }

    fn table(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "\n{:<12} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "ms", "count", "p50", "p90", "p99", "p99.9", "max"
        )?;
        for (phase, histogram) in present(self.tally) {
            write!(text, "{:<12} {:>9}", phase.name(), histogram.len())?;
            for (_, at) in QUANTILES {
                write!(text, " {:>9}", ms(histogram.value_at_quantile(at)))?;
            }
            writeln!(text, " {:>9}", ms(histogram.max()))?;
        }
        Ok(())
    }

    fn notes(&self, text: &mut String) -> std::fmt::Result {
        let tally = self.tally;
        writeln!(text)?;
        for (class, count) in &tally.errors {
            let said = tally.samples.get(class).map(String::as_str).unwrap_or_default();
            writeln!(text, "error: {count} x {class} (the first: {said})")?;
            if let Some(hint) = limits::hint(class) {
                writeln!(text, "  {hint}")?;
            }
        }
        if let Some(sight) = self.server {
            let (rss, pss) = (sight.rss / 1024, sight.pss / 1024);
            let Sight { cpu, descriptors, processes, .. } = sight;
            writeln!(
                text,
                "server: {processes} processes, RSS {rss} KiB, PSS {pss} KiB, {descriptors} descriptors, {cpu:.2} CPU seconds"
            )?;
        }
        let lag = |at| ms(tally.lag().map_or(0, |lag| lag.value_at_quantile(at)));
        let [ran, waited] = [tally.cpu, tally.waited].map(|of| 100.0 * of / tally.seconds.max(1e-9));
        writeln!(
            text,
            "client: loop lag p99 {} ms, max {} ms; {ran:.0} % of a core, and {waited:.0} % of the time it waited for one",
            lag(0.99),
            lag(1.0)
        )?;
        match tally.limit() {
            Some(limit) => writeln!(text, "the client is the bottleneck: {}", advice(limit)),
            None if self.is_near_lag() => {
                writeln!(
                    text,
                    "the 99th percentile of operations is so near the loop lag's that it may be the client's own"
                )
            }
            None => Ok(()),
        }
    }

    fn is_near_lag(&self) -> bool {
        let at_99 = |histogram: Option<&Histogram<u64>>| histogram.map_or(0, |it| it.value_at_quantile(0.99));
        let (lag, operation) = (at_99(self.tally.lag()), at_99(self.tally.phase(Phase::Operation)));
        lag >= LITTLE && operation > 0 && operation <= WAITS * lag
    }
}

const fn advice(limit: Limit) -> &'static str {
    match limit {
        Limit::Busy => "it used up its core, and the server may do more (more --processes, another machine)",
        Limit::Crowded => {
            "it had no core most of the time, and that is in the figures (fewer programs beside it, another machine)"
        }
        Limit::Late => {
            "its loop was late, and that is in the times (fewer sessions a process, fewer programs beside it, another machine)"
        }
    }
}

fn present(tally: &Tally) -> impl Iterator<Item = (Phase, &Histogram<u64>)> {
    Phase::ALL.into_iter().filter_map(|phase| Some((phase, tally.phase(phase)?))).filter(|(_, it)| !it.is_empty())
}

/// Microseconds as milliseconds.
fn ms(micros: u64) -> String {
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::options::{Asked, parse};

    #[test]
    fn what_may_be_the_client_s_own_is_said_to_be() {
        let asked = parse(["ftp://127.0.0.1/".into()].into_iter());
        let Ok(Asked::Run(options)) = asked else { panic!("{asked:?}") };
        for (lag, operation, told) in [(3000, 11_000, true), (3000, 13_000, false), (80, 90, false), (0, 0, false)] {
            let mut tally = Tally { seconds: 1.0, ..Tally::new().expect("histograms") };
            tally.lagged(Duration::from_micros(lag));
            tally.passed(Phase::Operation, Duration::from_micros(operation));
            let text = Report { options: &options, tally: &tally, server: None }.text();
            assert_eq!(text.contains("may be the client's own"), told, "{text}");
            assert!(!text.contains("bottleneck"), "{text}");
        }
    }
}
