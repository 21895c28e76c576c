//! Histograms in the HDR log format, in which they also travel from a process to the one that merges them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};

use super::tally::Tally;

/// The file that a run's histograms go to, opened before the run and written after it.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    /// Made by this run, and empty: it does not stay so when the run comes to nothing.
    blank: bool,
}

impl Log {
    /// Opens a file, which may be there; it keeps what it holds until there is something to write.
    ///
    /// # Errors
    /// For a person.
    pub fn open(path: &Path) -> Result<Self, String> {
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        let (file, blank) = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (OpenOptions::new().write(true).open(path), false)
            }
            made => (made, true),
        };
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path: path.to_owned(), file, blank })
    }

    /// Writes the log.
    ///
    /// # Errors
    /// For a person.
    pub fn keep(mut self, tally: &Tally, began: SystemTime) -> Result<(), String> {
        self.blank = false;
        self.put(tally, began).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn put(&self, tally: &Tally, began: SystemTime) -> io::Result<()> {
        // A pipe or a terminal has no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        let mut out = BufWriter::new(&self.file);
        write(tally, began, &mut out)?;
        out.flush()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.blank
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::debug!("{}: {error}", self.path.display());
        }
    }
}

/// Writes each histogram that has anything in it, tagged with its name (a space is an underscore there).
///
/// # Errors
/// The output's.
pub fn write(tally: &Tally, began: SystemTime, to: &mut impl Write) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("miniftp-load: microseconds").with_start_time(began).with_max_value_divisor(1000.0);
    let mut writer = builder.begin_log_with(to, &mut serializer)?;
    let length = Duration::from_secs_f64(tally.seconds.max(0.0));
    for (name, histogram) in Tally::names().zip(&tally.histograms) {
        let tag = name.replace(' ', "_");
        if histogram.is_empty() {
            continue;
        }
        let written = writer.write_histogram(histogram, Duration::ZERO, length, Tag::new(&tag));
        written.map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    Ok(())
}

/// Reads what [`write()`] wrote into a tally's histograms.
///
/// # Errors
/// What is no such log.
pub fn read(text: &[u8], into: &mut Tally) -> Result<(), String> {
    let mut deserializer = Deserializer::new();
    for entry in IntervalLogIterator::new(text) {
        let LogEntry::Interval(interval) = entry.map_err(|error| format!("{error:?}"))? else { continue };
        let tag = interval.tag().map(|tag| tag.as_str().replace('_', " ")).unwrap_or_default();
        let Some(index) = Tally::names().position(|name| name == tag) else { continue };
        let histogram = decode(interval.encoded_histogram(), &mut deserializer)?;
        if let Some(place) = into.histograms.get_mut(index) {
            place.add(histogram).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn decode(text: &str, deserializer: &mut Deserializer) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    deserializer.deserialize(&mut &bytes[..]).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tally::Phase;

    #[test]
    fn what_was_written_is_read() {
        let mut tally = Tally::new().expect("histograms");
        for millis in 1..=100 {
            tally.passed(Phase::DataOpen, Duration::from_millis(millis));
        }
        tally.lagged(Duration::from_micros(5));
        let mut text = Vec::new();
        write(&tally, SystemTime::now(), &mut text).expect("memory");
        let mut other = Tally::new().expect("histograms");
        read(&text, &mut other).expect("a log");
        read(&text, &mut other).expect("again");
        let phase = other.phase(Phase::DataOpen).expect("a histogram");
        assert_eq!(phase.len(), 200);
        assert_eq!(phase.value_at_quantile(0.5) / 100, 500);
        assert_eq!(other.lag().map(hdrhistogram::Histogram::len), Some(2));
        assert!(read(b"Tag=connect,0,1,2,!!!\n", &mut other).is_err());
    }
}
