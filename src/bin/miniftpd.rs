//! The server's command line.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use miniftp::process::{self, Failed, Role};
use miniftp::server::settings::{self, Command};
use miniftp::server::{self, check, logging};

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_default();
    let ended = match process::role(&name) {
        Role::Child(child) => process::run_child(child),
        Role::First => match settings::parse(arguments) {
            Ok(command) => obey(command),
            Err(fault) => Err(Failed { code: process::USAGE, why: fault.to_string() }),
        },
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(Failed { code, why }) => {
            logging::complain(&why);
            ExitCode::from(code)
        }
    }
}

fn obey(command: Command) -> Result<u8, Failed> {
    match command {
        Command::Serve(invocation) => process::serve(invocation),
        Command::Check(invocation) => {
            let report = check::check(&invocation);
            print(&report.to_string())?;
            Ok(report.exit_code())
        }
        Command::HashPassword => print(&(process::hash_password()? + "\n")),
        Command::States => print(&server::states()),
        Command::Replies => print(&server::replies()),
        Command::Help => print(settings::HELP),
        Command::Version => print(settings::VERSION),
    }
}

fn print(text: &str) -> Result<u8, Failed> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(process::ORDERLY),
        Err(e) => Err(Failed { code: process::FAILURE, why: format!("standard output: {e}") }),
    }
}
