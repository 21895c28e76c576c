//! What a data connection wears: nothing (PROT C) or TLS (PROT P).

use crate::reactor::Link;
#[cfg(feature = "tls")]
use crate::reactor::Tls;
use crate::server::settings::Reuse;
use crate::transfer::Job;

/// What a data connection's handshake has to show.
#[derive(Debug)]
pub struct Terms {
    /// The setting that they are from.
    pub reuse: Reuse,
    /// Who wants to know that it did.
    pub voucher: Box<dyn Voucher>,
    /// The session it is for, as the log names it.
    pub who: Box<str>,
}

/// Is told that the peer has resumed the control connection's session.
pub trait Voucher: std::fmt::Debug {
    /// What the connection has handed out is good from now on.
    fn vouch(&self);

    /// How loud to tell that the peer has not: clients that never do would fill the log, so it is told once a session.
    fn notice(&self) -> log::Level;
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

impl Terms {
    /// Whether the peer of a finished handshake is the one of the control connection: only that one could resume it.
    pub fn judge(&self, link: &Link) -> bool {
        #[cfg(feature = "tls")]
        let proven = link.tls().is_some_and(Tls::is_resumed);
        #[cfg(not(feature = "tls"))]
        let proven = link.registered();
        if proven {
            self.voucher.vouch();
        }
        proven
    }
}
