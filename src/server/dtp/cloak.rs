//! What a data connection wears: nothing (PROT C) or TLS (PROT P).

use crate::reactor::Link;
#[cfg(feature = "tls")]
use crate::reactor::Tls;
#[cfg(not(feature = "tls"))]
use crate::server::settings::Reuse;
#[cfg(feature = "tls")]
pub use crate::server::tls::Terms;
use crate::transfer::Job;

/// There are none.
#[cfg(not(feature = "tls"))]
#[derive(Debug)]
pub enum Terms {}

#[cfg(not(feature = "tls"))]
impl Terms {
    pub const fn reuse(&self) -> Reuse {
        match *self {}
    }

    pub const fn judge(&self, _: &Link) -> bool {
        match *self {}
    }
}

/// Decided when the verb comes; put on when the connection is there.
#[derive(Debug)]
pub enum Cloak {
    /// PROT C.
    None,
    /// PROT P: our side of the handshake, and what is asked of the peer's.
    #[cfg(feature = "tls")]
    Tls(Box<Tls>, Terms),
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
    Handshake(Box<Job>, Terms),
}

impl Errand {
    /// Puts the cloak on.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "there is none to put on"))]
    pub fn begin(self, link: &mut Link) -> Beginning {
        let job = Box::new(self.job);
        match self.cloak {
            Cloak::None => Beginning::Job(job),
            #[cfg(feature = "tls")]
            Cloak::Tls(tls, terms) => {
                link.dress(*tls);
                Beginning::Handshake(job, terms)
            }
        }
    }
}
