//! Peers that vanish without a word: the kernel asks after them and gives them up.
//!
//! Set on a listening socket it holds for whoever is accepted there, which costs no call a connection. The times follow
//! from the limits that hold for peers that are there and do nothing: nobody is given up before those would end him.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io;
use rustix::net::sockopt;

use super::settings::Limits;

/// Questions that go unanswered before a silent peer is given up.
const QUESTIONS: u32 = 4;

/// What the kernel takes as a time between questions; it counts whole seconds.
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(2 * 60 * 60);

/// For control connections: asked when they have been quiet for as long as replies may stay unread, given up after as
/// long again. An idle session is so noticed to be gone before it is noticed to be idle.
///
/// # Errors
/// What the kernel says.
pub fn watch_control(socket: impl AsFd, limits: &Limits) -> io::Result<()> {
    watch(socket, limits, 2 * limits.output_stall)
}

/// For data connections: as above, and given up after twice as long as a transfer may stall. The limit for stalls ends it
/// before that, and by name; this is for connections that nothing is to be sent on.
///
/// # Errors
/// What the kernel says.
pub fn watch_data(socket: impl AsFd, limits: &Limits) -> io::Result<()> {
    watch(socket, limits, 2 * limits.stall)
}

fn watch(socket: impl AsFd, limits: &Limits, gone: Duration) -> io::Result<()> {
    let quiet = limits.output_stall;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, quiet.clamp(LEAST, MOST))?;
    sockopt::set_tcp_keepintvl(&socket, (quiet / QUESTIONS).clamp(LEAST, MOST))?;
    sockopt::set_tcp_keepcnt(&socket, QUESTIONS)?;
    let millis = gone.clamp(LEAST, MOST).as_millis();
    sockopt::set_tcp_user_timeout(&socket, u32::try_from(millis).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x14_whoever_is_accepted_is_asked_after() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        type Watch = fn(&std::net::TcpListener, &Limits) -> io::Result<()>;
        let watches: [(Watch, u32); 2] =
            [(|one, limits| watch_control(one, limits), 120_000), (|one, limits| watch_data(one, limits), 600_000)];
        for (watch, gone) in watches {
            watch(&listener, &Limits::default()).expect("options");
            let _caller = std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("a caller");
            let (accepted, _) = listener.accept().expect("somebody");
            assert!(sockopt::socket_keepalive(&accepted).expect("an option"));
            assert_eq!(sockopt::tcp_keepidle(&accepted), Ok(Duration::from_secs(60)));
            assert_eq!(sockopt::tcp_keepintvl(&accepted), Ok(Duration::from_secs(15)));
            assert_eq!(sockopt::tcp_keepcnt(&accepted), Ok(QUESTIONS));
            assert_eq!(sockopt::tcp_user_timeout(&accepted), Ok(gone));
        }
    }

    #[test]
    fn the_kernel_takes_the_shortest_and_the_longest_times() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        for span in [Duration::from_millis(1), Duration::from_secs(366 * 24 * 60 * 60)] {
            let limits = Limits { output_stall: span, stall: span, ..Limits::default() };
            assert_eq!((watch_control(&listener, &limits), watch_data(&listener, &limits)), (Ok(()), Ok(())));
        }
    }
}
