//! The built client, in a directory of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long the client may run at all; every test's client is done in a fraction of it unless it hangs.
const GUARD: Duration = Duration::from_secs(120);

/// The client in a directory of its own.
pub struct Client {
    pub directory: tempfile::TempDir,
}

impl Client {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path(name)).ok()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_miniftp"));
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null());
        command.env("HOME", self.directory.path()).env_remove("MINIFTP_PASSWORD").env_remove("NETRC");
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Runs it to its end; the exit code.
    pub fn code(&self, arguments: &[&str]) -> i32 {
        let output = self.run(arguments);
        let code = output.status.code().unwrap_or(-1);
        eprintln!("{arguments:?}: {code}\n{}", String::from_utf8_lossy(&output.stderr));
        code
    }

    /// Runs it to its end, as [`Self::run`] does; the exit code and the most memory it had, in bytes.
    pub fn code_and_memory(&self, arguments: &[&str]) -> (i32, u64) {
        let mut child = self.command(arguments).spawn().unwrap();
        let status = std::path::PathBuf::from(format!("/proc/{}/status", child.id()));
        let (mut most, end) = (0, Instant::now() + GUARD);
        loop {
            if Instant::now() > end {
                child.kill().unwrap();
            }
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = peak.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
            most = most.max(kilobytes.unwrap_or(0) * 1024);
            if let Some(status) = child.try_wait().unwrap() {
                return (status.code().unwrap_or(-1), most);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into()).collect();
        names.sort();
        names
    }
}

/// Waits for a program's end. One that hangs is killed, so that the test fails instead of waiting for ever.
fn finish(child: Child) -> Output {
    let id = rustix::process::Pid::from_child(&child);
    let (over, wait) = mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        if wait.recv_timeout(GUARD) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(over);
    guard.join().unwrap();
    output
}
