//! Limits of the machine that are in a run's way: said before it begins, with the way around.

use std::fs;
use std::net::UdpSocket;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::options::{MOST_PROCESSES, Options};
use super::source::Sources;

/// Descriptors beside the sessions': standard streams, the poller, pipes, files of /proc while they are read.
const OWN: u64 = 32;

/// What Linux comes with.
const PORTS: (u64, u64) = (32_768, 60_999);

/// Raises the limit of descriptors as far as it goes and sees whether it is enough.
///
/// # Errors
/// Which limit is in the way, and what can be done, for a person.
pub fn make_room(options: &Options) -> Result<(), String> {
    let (_, most) =
        (0..options.processes).map(|part| options.share(part)).max_by_key(|share| share.1).unwrap_or((0, 0));
    let each = if options.scenario.transfers() { 2 } else { 1 };
    descriptors(most as u64 * each + OWN, |allowed| enough_processes(options.clients, each, allowed))?;
    ports(options, ephemeral())?;
    options.sources.map_or(Ok(()), |sources| ours(sources, options.clients))
}

/// Whether the first and the last address that sessions come from are this machine's: the kernel's answer would be the one
/// that it gives when ports run out.
fn ours(sources: Sources, clients: usize) -> Result<(), String> {
    let last = u128::min(clients as u128, sources.count()).saturating_sub(1);
    for session in [0, usize::try_from(last).unwrap_or(usize::MAX)] {
        let address = sources.of(session);
        UdpSocket::bind((address, 0)).map_err(|error| {
            format!("--source: {address}: {error}: give it to an interface (ip address add), or take 127.0.0.0/24")
        })?;
    }
    Ok(())
}

/// In how many processes so many descriptors would do for each. `None`: in no number of them.
fn enough_processes(clients: usize, each: u64, allowed: u64) -> Option<usize> {
    let share = usize::try_from(allowed.saturating_sub(OWN) / each).unwrap_or(usize::MAX);
    let processes = clients.checked_div(share)? + usize::from(!clients.is_multiple_of(share));
    (processes <= MOST_PROCESSES).then_some(processes)
}

fn descriptors(needed: u64, spread: impl Fn(u64) -> Option<usize>) -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(errno) = setrlimit(Resource::Nofile, raised) {
        log::debug!("the limit of descriptors stays as it is: {errno}");
    }
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => Err(format!(
            "{needed} descriptors are needed in one process and {allowed} are allowed: raise the limit \
             (ulimit -Hn {needed} as root, LimitNOFILE= of a unit){}",
            spread(allowed)
                .map_or_else(String::new, |some| format!(", or spread the sessions with --processes {some}"))
        )),
        _ => Ok(()),
    }
}

/// Every session has a local port of its own towards the server's port, at each address that sessions come from.
fn ports(options: &Options, (low, high): (u64, u64)) -> Result<(), String> {
    let there = (high + 1).saturating_sub(low);
    let addresses = options.sources.map_or(1, |sources| sources.count());
    let room = u128::from(there).saturating_mul(addresses);
    if options.clients as u128 <= room {
        return Ok(());
    }
    Err(format!(
        "{} sessions need as many local ports and {addresses} address{} have {room}: spread them with --source 127.0.0.0/24 \
         (or another network of this machine), or widen net.ipv4.ip_local_port_range ({low} {high})",
        options.clients,
        if addresses == 1 { "" } else { "es" },
    ))
}

fn ephemeral() -> (u64, u64) {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(low), Some(high)) => (low, high),
        _ => PORTS,
    }
}

/// What a failure to connect means, where it means this machine's limits.
pub fn hint(class: &str) -> Option<&'static str> {
    match class {
        super::tally::NO_PORT => Some(
            "local ports have run out, those of closed connections stay taken for a minute: more addresses (--source \
             127.0.0.0/24), or net.ipv4.ip_local_port_range",
        ),
        super::tally::NO_DESCRIPTOR => Some("descriptors have run out: ulimit -Hn, fs.file-max, or --processes"),
        _ => None,
    }
}
