//! The client's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(miniftp::user::interface::run(std::env::args_os().skip(1)))
}
