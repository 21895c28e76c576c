//! The log: `simple_logger` on a terminal, a logger of our own for a service.
//!
//! Ours exists since `simple_logger` panics when its stream is closed and waits when it is full. A server must do neither:
//! lines leave by writes that cannot block, and those that find no room are counted and dropped. The loop has lines wait
//! for each other a moment ([`gather`]), since a write for each would be every eighth system call of a small download;
//! warnings and errors never wait, and take along what does.
//!
//! Control characters are escaped in [`clean`] and nowhere else: all lines pass through it, on either logger.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use log::{Level, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use simple_logger::SimpleLogger;

use super::settings::{LogFormat, LogSettings};
use super::stamp::Stamp;

/// The longest line, bytes. POSIX writes that much to a pipe whole or not at all (PIPE_BUF on Linux), so that
/// processes sharing the stream never mix their lines.
const LONGEST_LINE: usize = 4096;

/// How long a line may wait for others under [`gather`]: nobody who watches a log notices it.
pub const COMPANY: Duration = Duration::from_millis(10);

/// Standard error as a file of its own.
const STDERR: &str = "/proc/self/fd/2";

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Begins logging to standard error. Once in a process; later calls change the level only, since a stream that others
/// read should not change its form midway.
pub fn start(settings: &LogSettings) {
    let logger = LOGGER.get_or_init(|| Logger::new(settings.format));
    // Fails when a logger is set already, which is then ours.
    let _ = log::set_logger(logger);
    log::set_max_level(settings.level.filter());
}

/// From now on lines that tell of nothing wrong wait for others. The caller sees to it that [`Log::flush`] is called
/// within [`COMPANY`] of the first, and at the end.
pub fn gather() {
    with_stream(|stream| stream.gathers = true);
}

/// Whether lines wait.
pub fn holds_lines() -> bool {
    with_stream(|stream| stream.lines > 0).unwrap_or(false)
}

/// Prints that a listener is ready, whatever the level: `… listening on ADDRESS`. `address` is the socket's own, with
/// anything that goes behind it.
pub fn announce(address: &str) {
    match LOGGER.get().map(|logger| &logger.sink) {
        Some(Sink::Service { form, stream }) => {
            let line = ready_line(*form, Stamp::now(), address);
            locked(stream).put(&line, Level::Error);
        }
        Some(Sink::Terminal(_)) | None => {
            let line = ready_line(LogFormat::Text, Stamp::now(), address);
            // A terminal that is gone has no reader.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

/// Says why a process ends: as a log line where the log has begun, else as a program does to its user.
pub fn complain(why: &str) {
    match LOGGER.get() {
        Some(_) => log::error!("{why}"),
        None => {
            // Nobody may be left to read it; the exit code says it too.
            let _ = writeln!(io::stderr(), "miniftpd: {}", clean(why));
        }
    }
}

struct Logger {
    sink: Sink,
}

enum Sink {
    Terminal(SimpleLogger),
    Service { form: LogFormat, stream: Mutex<Stream> },
}

impl Logger {
    fn new(form: LogFormat) -> Self {
        let sink = match form {
            LogFormat::Text if io::stderr().is_terminal() => {
                // The level is the facade's to judge: it can change.
                Sink::Terminal(SimpleLogger::new().with_level(log::LevelFilter::Trace))
            }
            form => {
                let stream = Mutex::new(Stream::of_stderr());
                Sink::Service { form, stream }
            }
        };
        Logger { sink }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Crates below (the poller, chiefly) trace each of their steps; the server's log is about the server.
        metadata.target().starts_with("miniftp")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = record.args().to_string();
        let message = clean(&message);
        match &self.sink {
            Sink::Terminal(logger) => {
                // It panics when its terminal is gone; the server outlives its terminal.
                let print = std::panic::AssertUnwindSafe(|| print(logger, record, &message));
                let _ = std::panic::catch_unwind(print);
            }
            Sink::Service { form, stream } => {
                let line = log_line(*form, Stamp::now(), record.level(), &message);
                locked(stream).put(&line, record.level());
            }
        }
    }

    fn flush(&self) {
        with_stream(Stream::flush);
    }
}

/// `INFO  [2026-11-23T21:00:00Z] message`: the time stands where the module would, which tells a user nothing. The
/// logger's own time stamps come with a calendar crate of 30 KB.
fn print(logger: &SimpleLogger, record: &Record<'_>, message: &str) {
    let now = Stamp::now().to_string();
    let mut cleaned = Record::builder();
    cleaned.level(record.level()).target(&now);
    logger.log(&cleaned.args(format_args!("{message}")).build());
}

/// The service's stream, once there is one.
fn with_stream<R>(call: impl FnOnce(&mut Stream) -> R) -> Option<R> {
    match &LOGGER.get()?.sink {
        Sink::Service { stream, .. } => Some(call(&mut locked(stream))),
        Sink::Terminal(_) => None,
    }
}

fn locked(stream: &Mutex<Stream>) -> std::sync::MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes text harmless for whatever shows a log: control characters (line ends and escapes among them) and those that
/// change the direction of writing become `\x1b` and `\u{202e}`.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        let code = u32::from(letter);
        // Writing into a String cannot fail.
        let _ = match is_harmful(letter) {
            true if code <= 0xff => write!(cleaned, "\\x{code:02x}"),
            true => write!(cleaned, "\\u{{{code:x}}}"),
            false => cleaned.write_char(letter),
        };
    }
    Cow::Owned(cleaned)
}

fn is_harmful(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn log_line(form: LogFormat, now: Stamp, level: Level, message: &str) -> String {
    match form {
        LogFormat::Text => ended(format!("{now} {level} {message}"), ""),
        LogFormat::Json => {
            let mut line = format!("{{\"time\":\"{now}\",\"level\":\"{level}\",\"message\":\"");
            quote(message, &mut line);
            ended(line, "\"}")
        }
    }
}

fn ready_line(form: LogFormat, now: Stamp, address: &str) -> String {
    match form {
        LogFormat::Text => ended(format!("{now} INFO listening on {address}"), ""),
        LogFormat::Json => {
            let mut line =
                format!("{{\"time\":\"{now}\",\"level\":\"INFO\",\"message\":\"listening\",\"listening\":\"");
            quote(address, &mut line);
            ended(line, "\"}")
        }
    }
}

/// Appends what JSON wants escaped as such; control characters are gone already. Stops before the line grows too long,
/// never within an escape.
fn quote(text: &str, line: &mut String) {
    for letter in text.chars() {
        if line.len() > LONGEST_LINE - 16 {
            return;
        }
        if matches!(letter, '"' | '\\') {
            line.push('\\');
        }
        line.push(letter);
    }
}

fn ended(mut line: String, end: &str) -> String {
    let room = LONGEST_LINE - end.len() - 1;
    line.truncate(head(&line, room).len());
    line + end + "\n"
}

/// The longest beginning of `text` that fits `room` bytes and ends between two characters.
pub fn head(text: &str, room: usize) -> &str {
    let mut end = room.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Standard error, written without ever waiting.
struct Stream {
    way: Way,
    /// Whether lines may wait here.
    gathers: bool,
    /// What waits: no more than a pipe takes whole.
    held: String,
    /// How many lines that is.
    lines: u64,
    lost: u64,
}

/// How a write that would wait is kept from waiting.
enum Way {
    /// A pipe, opened anew: non-blocking for us and not for those who share its other descriptor.
    Reopened(File),
    /// A file, which always takes what there is room for.
    File,
    /// Asked before each write whether it takes a line.
    Asked,
}

impl Stream {
    fn of_stderr() -> Self {
        Stream::new(reopen_pipe().unwrap_or_else(|| if is_file() { Way::File } else { Way::Asked }))
    }

    const fn new(way: Way) -> Self {
        Stream { way, gathers: false, held: String::new(), lines: 0, lost: 0 }
    }

    /// Takes a line, and writes it unless it may wait.
    fn put(&mut self, line: &str, level: Level) {
        if self.held.len() + line.len() > LONGEST_LINE {
            self.flush();
        }
        self.held.push_str(line);
        self.lines += 1;
        if level <= Level::Warn || !self.gathers {
            self.flush();
        }
    }

    /// Writes the lines that wait, or counts them as lost. What gets through first after a loss says how many were.
    fn flush(&mut self) {
        let (held, lines) = (std::mem::take(&mut self.held), std::mem::take(&mut self.lines));
        if self.confess(&held) && self.write(&held) {
            self.lost = 0;
        } else {
            self.lost += lines;
        }
        self.held = held; // for its memory
        self.held.clear();
    }

    /// Tells of lines that were lost before `held`. True: there is nothing more to tell.
    fn confess(&mut self, held: &str) -> bool {
        if self.lost == 0 || held.is_empty() {
            return true;
        }
        let form = if held.starts_with('{') { LogFormat::Json } else { LogFormat::Text };
        let told = self.write(&log_line(form, Stamp::now(), Level::Warn, &lost(self.lost)));
        if told {
            self.lost = 0;
        }
        told
    }

    fn write(&mut self, lines: &str) -> bool {
        let bytes = lines.as_bytes();
        let written = match &mut self.way {
            _ if bytes.is_empty() => return true,
            Way::Reopened(pipe) => pipe.write(bytes),
            Way::File => io::stderr().write(bytes),
            Way::Asked if writable() => io::stderr().write(bytes),
            Way::Asked => return false,
        };
        // A disk that is full takes a part; the rest is not worth a second write that may wait.
        written.is_ok()
    }
}

fn lost(count: u64) -> String {
    format!("{count} log lines lost: nobody took them")
}

fn is_file() -> bool {
    std::fs::metadata(STDERR).is_ok_and(|found| found.file_type().is_file())
}

fn reopen_pipe() -> Option<Way> {
    use std::os::unix::fs::OpenOptionsExt;
    let kind = std::fs::metadata(STDERR).ok()?.file_type();
    if !kind.is_fifo() {
        return None;
    }
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let flags = i32::try_from(flags).ok()?;
    File::options().write(true).custom_flags(flags).open(STDERR).ok().map(Way::Reopened)
}

fn writable() -> bool {
    let stderr = io::stderr();
    let mut fds = [PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = poll(&mut fds, Some(&now)).unwrap_or(0);
    ready > 0 && fds.iter().all(|fd| fd.revents().contains(PollFlags::OUT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const THEN: i64 = 1_795_467_600;

    #[test]
    fn lines_have_their_form() {
        let then = Stamp::at(THEN);
        let text = log_line(LogFormat::Text, then, Level::Info, "hello");
        assert_eq!(text, "2026-11-23T21:00:00Z INFO hello\n");
        let json = log_line(LogFormat::Json, then, Level::Warn, "a \"b\" \\x1b");
        assert_eq!(
            json,
            "{\"time\":\"2026-11-23T21:00:00Z\",\"level\":\"WARN\",\"message\":\"a \\\"b\\\" \\\\x1b\"}\n"
        );
        let ready = ready_line(LogFormat::Text, then, "[::]:2121");
        assert!(ready.ends_with("listening on [::]:2121\n"));
        let ready = ready_line(LogFormat::Json, then, "[::]:2121");
        assert!(ready.contains("\"listening\":\"[::]:2121\"}"));
    }

    #[test]
    fn control_characters_are_escaped() {
        let dirty = "USER a\r\n2026 INFO fake\x1b[2J\x7f\u{85}\u{202e}tail ü";
        let shown = "USER a\\x0d\\x0a2026 INFO fake\\x1b[2J\\x7f\\x85\\u{202e}tail ü";
        assert_eq!(clean(dirty), shown);
        assert!(matches!(clean("plain ü"), Cow::Borrowed(_)));
    }

    #[test]
    fn long_lines_are_cut_whole() {
        let long = "ü\"".repeat(5000);
        for form in [LogFormat::Text, LogFormat::Json] {
            let line = log_line(form, Stamp::at(THEN), Level::Info, &long);
            assert!(line.len() <= LONGEST_LINE);
            assert!(line.ends_with('\n'));
        }
        let json = log_line(LogFormat::Json, Stamp::at(THEN), Level::Info, &long);
        assert!(json.ends_with("\"}\n"));
    }

    #[test]
    fn a_full_pipe_loses_lines_and_says_so() {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let mut stream = Stream::new(Way::Reopened(File::from(writer)));
        let line = "x".repeat(LONGEST_LINE - 1) + "\n";
        for _ in 0..10_000 {
            stream.put(&line, Level::Info);
        }
        assert!(stream.lost > 0);
        let mut sink = vec![0; 1 << 20];
        while rustix::io::read(&reader, &mut sink).is_ok() {}
        stream.put("after\n", Level::Info);
        assert_eq!(stream.lost, 0);
        let got = rustix::io::read(&reader, &mut sink).unwrap();
        let text = String::from_utf8_lossy(&sink[..got]).into_owned();
        assert!(text.contains("log lines lost"), "{text}");
        assert!(text.ends_with("after\n"));
        drop(reader);
        stream.put("to nobody\n", Level::Info);
        assert_eq!(stream.lost, 1);
    }

    #[test]
    fn lines_wait_for_each_other_until_one_is_urgent_or_they_fill_a_write() {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let mut stream = Stream::new(Way::Reopened(File::from(writer)));
        let written = || {
            let mut room = vec![0; 2 * LONGEST_LINE];
            let got = rustix::io::read(&reader, &mut room).unwrap_or(0);
            String::from_utf8_lossy(&room[..got]).into_owned()
        };
        stream.put("at once\n", Level::Info);
        assert_eq!(written(), "at once\n");
        stream.gathers = true;
        stream.put("one\n", Level::Info);
        stream.put("two\n", Level::Debug);
        assert_eq!((written(), stream.lines), (String::new(), 2));
        stream.put("bad\n", Level::Warn);
        assert_eq!((written(), stream.lines), ("one\ntwo\nbad\n".to_owned(), 0));
        let half = "x".repeat(LONGEST_LINE / 2) + "\n";
        stream.put(&half, Level::Info);
        stream.put(&half, Level::Info);
        assert_eq!((written(), stream.lines), (half.clone(), 1));
        stream.flush();
        assert_eq!(written(), half);
    }

    proptest! {
        #[test]
        fn every_line_is_one_line(message in "\\PC*|[\\x00-\\x{9f}\\u{2028}-\\u{202e}]*") {
            let message = clean(&message).into_owned();
            for form in [LogFormat::Text, LogFormat::Json] {
                let line = log_line(form, Stamp::at(THEN), Level::Info, &message);
                prop_assert_eq!(line.chars().filter(|c| c.is_control()).count(), 1);
                prop_assert!(line.len() <= LONGEST_LINE);
            }
        }
    }
}
