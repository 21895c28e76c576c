//! The load tester's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(miniftp::load::run(std::env::args_os().skip(1)))
}
