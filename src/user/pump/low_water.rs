//! When the kernel tells of received bytes.

use mio::net::TcpStream;
use nix::sys::socket::{setsockopt, sockopt};

/// Bytes that have to be there before the kernel tells of them; an end is told at once. Neither rustix nor nix has this option.
#[derive(Debug, Clone, Copy)]
struct LowWater;

nix::setsockopt_impl!(LowWater, libc::SOL_SOCKET, libc::SO_RCVLOWAT, u32, sockopt::SetStruct<u32>);

/// Has the kernel tell of received bytes only when there are so many, so that a fast stream is few wakings. False: it stays.
pub(super) fn set_low_water(socket: &TcpStream, bytes: u32) -> bool {
    setsockopt(socket, LowWater, &bytes).is_ok()
}
