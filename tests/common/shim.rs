//! The test program started once more, in a process whose kernel lacks what a test says: between `fork` and `exec` this
//! crate may do nothing itself, so a test of the name [`SHIM`] does it there.

use std::process::Command;

/// The name of the test, in each file that uses [`command`], that calls its own function and never returns.
pub const SHIM: &str = "shim";

/// Tells the shim that it is one, and what to do.
pub const TASK: &str = "MINIFTP_TEST_TASK";

/// This test program, to run its shim with a task.
pub fn command(task: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    // One thread: what is done to it is done to the process.
    command.args(["--exact", SHIM, "--nocapture", "--test-threads=1"]).env(TASK, task);
    command
}

/// The task, when this process is a shim.
pub fn task() -> Option<String> {
    std::env::var(TASK).ok()
}
