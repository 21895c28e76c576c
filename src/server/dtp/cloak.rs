//! What a data connection wears: nothing (PROT C) or TLS (PROT P).

use crate::reactor::Link;
#[cfg(feature = "tls")]
use crate::reactor::Tls;
use crate::server::settings::Reuse;
use crate::transfer::Job;

/// Decided when the verb comes; put on when the connection is there.
#[derive(Debug)]
pub enum Cloak {
    /// PROT C.
    None,
    /// PROT P: our side of the handshake, and what is asked of the peer's.
    #[cfg(feature = "tls")]
    Tls(Box<Tls>, Reuse),
}

/// A job that waits for its connection.
#[derive(Debug)]
pub struct Errand {
    /// What to do.
    pub job: Job,
    /// In what.
    pub cloak: Cloak,
}

/// What comes next on a connection that is there.
#[derive(Debug)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "in the clear no handshake comes first"))]
pub enum Beginning {
    /// The job itself.
    Job(Box<Job>),
    /// A handshake before it.
    Handshake(Box<Job>, Reuse),
}

impl Errand {
    /// Puts the cloak on.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "there is none to put on"))]
    pub fn begin(self, link: &mut Link) -> Beginning {
        let job = Box::new(self.job);
        match self.cloak {
            Cloak::None => Beginning::Job(job),
            #[cfg(feature = "tls")]
            Cloak::Tls(tls, reuse) => {
                link.dress(*tls);
                Beginning::Handshake(job, reuse)
            }
        }
    }
}

/// Whether the peer of a finished handshake is the one of the control connection: only that one has a ticket of it.
pub fn is_proven(link: &Link) -> bool {
    #[cfg(feature = "tls")]
    return link.tls().is_some_and(crate::reactor::Tls::is_resumed);
    #[cfg(not(feature = "tls"))]
    return link.registered();
}
