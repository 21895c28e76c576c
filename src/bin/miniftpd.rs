//! The server's command line.

use std::process::ExitCode;

use miniftp::server::settings::{self, Command, PasswordSource};
use miniftp::server::{self, Bound, Inheritance, Master, logging};

fn main() -> ExitCode {
    match settings::parse(std::env::args_os().skip(1)) {
        Ok(Command::Serve(invocation)) => {
            let loaded = invocation.load(&PasswordSource::Unasked).expect("settings");
            logging::start(&loaded.settings.log);
            let listeners = loaded
                .settings
                .listen
                .iter()
                .map(|label| Bound {
                    label: label.clone(),
                    listener: label
                        .candidates()
                        .expect("addresses")
                        .into_iter()
                        .find_map(|address| std::net::TcpListener::bind(address).ok())
                        .expect("a port"),
                })
                .collect();
            let master = Master::Alone { invocation };
            server::run(Inheritance {
                settings: loaded.settings,
                accounts: Vec::new(),
                listeners,
                master,
                verifier: None,
            })
            .expect("the loop");
            ExitCode::SUCCESS
        }
        Ok(Command::States) => {
            print!("{}", server::states());
            ExitCode::SUCCESS
        }
        Ok(Command::Replies) => {
            print!("{}", server::replies());
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(2),
    }
}
