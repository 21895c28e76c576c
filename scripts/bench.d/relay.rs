//! The tests' relay as a program, for measurements: `relay LISTEN SERVER ROUND-TRIP-MS [LOW-HIGH]`, on IPv4. It says where it
//! listens and stays until it is ended. With passive ports, for TLS, LISTEN is another address than SERVER's.

#[path = "../../tests/common/relay.rs"]
#[allow(dead_code)] // A test starts it otherwise.
mod relay;

use std::net::SocketAddr;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((listen, server, round_trip, passive)) = read(&arguments) else {
        eprintln!("relay LISTEN SERVER ROUND-TRIP-MS [LOW-HIGH]");
        return ExitCode::from(1);
    };
    match relay::Relay::beside(listen, server, round_trip / 2, passive) {
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

fn read(arguments: &[String]) -> Option<(SocketAddr, SocketAddr, Duration, Range<u16>)> {
    let (listen, server, round_trip, passive) = match arguments {
        [listen, server, round_trip] => (listen, server, round_trip, None),
        [listen, server, round_trip, passive] => (listen, server, round_trip, Some(passive)),
        _ => return None,
    };
    let ports = match passive {
        Some(text) => {
            let (low, high) = text.split_once('-')?;
            low.parse().ok()?..high.parse::<u16>().ok()?.checked_add(1)?
        }
        None => 0..0,
    };
    Some((listen.parse().ok()?, server.parse().ok()?, Duration::from_millis(round_trip.parse().ok()?), ports))
}
