//! When the kernel tells of received bytes, and of room for more to send.

use mio::net::TcpStream;
use nix::sys::socket::{setsockopt, sockopt};

/// Bytes that have to be there before the kernel tells of them; an end is told at once. Neither rustix nor nix has this option.
#[derive(Debug, Clone, Copy)]
struct LowWater;

// The macro is nix's way to an option that it has not: what of it is unsafe stays in its crate, and this one forbids that.
nix::setsockopt_impl!(LowWater, libc::SOL_SOCKET, libc::SO_RCVLOWAT, u32, sockopt::SetStruct<u32>);

/// Has the kernel tell of received bytes only when there are so many, so that a fast stream is few wakings. False: it stays.
pub(super) fn set_low_water(socket: &TcpStream, bytes: u32) -> bool {
    setsockopt(socket, LowWater, &bytes).is_ok()
}

/// Unsent bytes below which the kernel tells of room. Neither rustix nor nix has this option.
#[derive(Debug, Clone, Copy)]
struct Unsent;

nix::setsockopt_impl!(Unsent, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, u32, sockopt::SetStruct<u32>);

/// What may wait unsent in the kernel, from the first byte on: what was queued long ago has left the caches when its turn
/// comes. From a file to a server on loopback CPU times come in two groups, and this makes the lower one, 0.24 s a GiB, the
/// more frequent; the kernel's own two or three MiB mostly give the upper, 0.41 s. Set when much is under way already it
/// gains nothing. What is sent and not acknowledged does not count, so long ways are filled all the same, and progress
/// tells of what has left. With 64 KiB a GiB took 3 % longer, with 256 KiB a tenth.
const UNSENT_BYTES: u32 = 32 * 1024;

/// Has the kernel keep little that it cannot send yet.
pub fn keep_little_unsent(socket: &TcpStream) {
    if let Err(errno) = setsockopt(socket, Unsent, &UNSENT_BYTES) {
        log::debug!("the kernel keeps as much unsent as it likes: {errno}");
    }
}
