//! The tests' relay as a program, for measurements: `relay LISTEN SERVER ROUND-TRIP-MS`, on IPv4. It says where it listens
//! and stays until it is ended.

#[path = "../../tests/common/relay.rs"]
#[allow(dead_code)] // A test starts it otherwise.
mod relay;

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match &arguments[..] {
        [listen, server, milliseconds] => listen.parse().ok().zip(server.parse().ok()).zip(milliseconds.parse().ok()),
        _ => None,
    };
    let Some(((listen, server), round_trip)) = parsed else {
        eprintln!("relay LISTEN SERVER ROUND-TRIP-MS");
        return ExitCode::from(1);
    };
    match relay::Relay::listen(listen, server, Duration::from_millis(round_trip) / 2) {
        Ok(relay) => {
            println!("{}", relay.address());
            relay.stay();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::from(2)
        }
    }
}
