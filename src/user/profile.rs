//! What has been found out about a host, shared by all sessions with it.
//!
//! Nothing here is believed for ever: a fact is learnt when a server shows it, and what it refuses once is not asked
//! again by the next session. Without this every small file would pay for the same failed EPSV.

use super::zone::Zone;
use crate::wire::features::Features;
use crate::wire::reply::Reply;

/// A way to get a data connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// EPSV (RFC 2428): a port only, so nothing to be fooled by.
    Epsv,
    /// PASV (RFC 959): of its address only the port is used.
    Pasv,
    /// PORT (RFC 959): the server connects to us.
    Port,
    /// EPRT (RFC 2428).
    Eprt,
}

impl Way {
    /// Whether we are the one who connects.
    pub const fn passive(self) -> bool {
        matches!(self, Self::Epsv | Self::Pasv)
    }

    /// The verb.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Epsv => "EPSV",
            Self::Pasv => "PASV",
            Self::Port => "PORT",
            Self::Eprt => "EPRT",
        }
    }

    const ALL: usize = 4;
}

/// What experience says about something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// Nothing.
    #[default]
    Untried,
    /// It worked.
    Works,
    /// It was refused or led nowhere.
    Fails,
}

/// How far ahead of its replies a host lets commands be sent. It only ever gets slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Haste {
    /// As far as its greeting gives hope for.
    #[default]
    Trusting,
    /// Not behind a transfer: that has led to trouble.
    Between,
    /// Not at all.
    StepByStep,
}

/// How data connections come to resume the control connection's TLS session with a host that insists on it. In TLS 1.3
/// each ticket serves once, and a server may give fewer than there are transfers. It only ever goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Resuming {
    /// With the tickets there are; without one, not.
    #[default]
    AsItComes,
    /// In TLS 1.2, whose sessions serve again and again.
    Old,
    /// The host has no TLS 1.2: a session that has used up its tickets is given up for a new one.
    Renewed,
}

/// What is known about one host.
#[derive(Debug, Default)]
pub struct Profile {
    /// The 220 of the last session, as text.
    pub greeting: String,
    /// The answer to FEAT: `None` before it was asked.
    pub features: Option<Features>,
    /// FEAT was answered with a list, which says that the server knows of this century.
    pub modern: bool,
    /// AUTH.
    pub auth: Standing,
    /// How it was refused.
    pub auth_refusal: Option<Reply>,
    /// In words, what the last TLS handshake came to.
    pub tls: Option<String>,
    /// What insisting on resumed data connections has led to.
    pub resuming: Resuming,
    /// What sending ahead has led to.
    pub haste: Haste,
    ways: [Standing; Way::ALL],
    /// MLSD as such.
    pub mlsd: Standing,
    /// Where the clock stands that LIST tells times by.
    pub zone: Zone,
    /// LIST with `-a`.
    pub list_all: Standing,
    /// REST before RETR, proven by what was sent.
    pub rest: Standing,
    /// 1yz before an upload. Who leaves it out may say 226 to bytes that it never took.
    pub begins: Standing,
    /// MFMT.
    pub mfmt: Standing,
    /// SIZE.
    pub size: Standing,
    /// MDTM.
    pub mdtm: Standing,
}

impl Profile {
    /// Whether a feature was listed.
    pub fn has(&self, label: &str) -> bool {
        self.features.as_ref().is_some_and(|features| features.has(label))
    }

    /// Whether commands may be sent before earlier ones are answered (never across a transfer).
    pub const fn pipelines(&self) -> bool {
        self.modern && !matches!(self.haste, Haste::StepByStep)
    }

    /// Whether an upload that can be done again may be sent before its 1yz.
    pub const fn takes_early(&self) -> bool {
        self.pipelines() && matches!(self.begins, Standing::Works)
    }

    /// Whether commands may also wait behind a running transfer. Most servers look at the control connection
    /// meanwhile and some of them end the transfer when they see anything there, so only those are trusted that are
    /// known to leave lines alone.
    pub fn queues(&self) -> bool {
        const KNOWN: [&str; 2] = ["miniftpd", "(vsftpd "];
        let greeting = self.greeting.to_ascii_lowercase();
        self.modern && self.haste == Haste::Trusting && KNOWN.iter().any(|name| greeting.contains(name))
    }

    /// Something went wrong while commands were out ahead of their replies, behind a transfer or not. It may be a
    /// coincidence, and it may be that.
    pub fn slow_down(&mut self, behind_transfer: bool) {
        let slower = if behind_transfer { Haste::Between } else { Haste::StepByStep };
        self.haste = self.haste.max(slower);
        log::debug!("commands are sent ahead no further than {:?}", self.haste);
    }

    /// A data connection was refused since it had resumed nothing.
    pub fn note_unresumed(&mut self) {
        self.resuming = self.resuming.max(Resuming::Old);
    }

    /// Whether a data connection without a ticket is not worth making. Known only when one was refused.
    pub const fn counts_tickets(&self) -> bool {
        !matches!(self.resuming, Resuming::AsItComes)
    }

    /// What is known of a way to get data connections.
    pub const fn way(&self, way: Way) -> Standing {
        self.ways[way as usize]
    }

    /// Remembers how a way did the last time: a way that stops working is not tried first again.
    pub fn note_way(&mut self, way: Way, standing: Standing) {
        if self.ways[way as usize] != standing {
            log::debug!("{}: {standing:?}", way.word());
            self.ways[way as usize] = standing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_servers_get_commands_behind_a_transfer() {
        let mut profile = Profile { modern: true, greeting: "miniftpd ready".into(), ..Profile::default() };
        assert!(profile.queues());
        profile.greeting = "(vsFTPd 3.0.3)".into();
        assert!(profile.queues());
        profile.greeting = "pyftpdlib 1.5.6 ready.".into();
        assert!(profile.pipelines() && !profile.queues());
        profile.greeting = "miniftpd ready".into();
        profile.slow_down(true);
        assert!(profile.pipelines() && !profile.queues());
        profile.slow_down(false);
        assert!(!profile.pipelines());
        profile.slow_down(true);
        assert!(!profile.pipelines());
    }
}
