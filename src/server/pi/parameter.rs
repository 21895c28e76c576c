//! RFC 959 4.1.2, transfer parameters: TYPE STRU PORT PASV, with EPRT and EPSV (RFC 2428), ALLO and
//! OPTS. MODE and REST stand in `mode`.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use super::state::{Member, Opening, Passive, State, Work};
use super::{Endpoint, Session, Stage, Type};
use crate::codec::Algorithm;
use crate::server::settings::DefaultType;
use crate::server::world::World;
use crate::transfer::{Notice, Order, Report};
use crate::wire::address;
use crate::wire::command::{EpsvWord, OptsCommand, TypeCode, Verb};
use crate::wire::reply::Reply;

/// Ports below this belong to other services: no data connection is dialled there (RFC 2577 3).
const FIRST_UNPRIVILEGED: u16 = 1024;

impl Session {
    pub(super) fn type_code(&mut self, code: TypeCode, stage: &mut Stage<'_>) {
        let (type_, text) = match code {
            TypeCode::Ascii => (Type::Ascii, "Type set to A."),
            TypeCode::Image => (Type::Image, "Type set to I."),
        };
        self.type_ = type_;
        stage.say(200, text);
    }

    /// Whether text is translated: as TYPE said, and until it says anything as configured.
    pub(super) fn ascii(&self, world: &World) -> bool {
        match self.type_ {
            Type::Ascii => true,
            Type::Image => false,
            Type::Unset => world.settings.files.default_type == DefaultType::Ascii,
        }
    }

    pub(super) fn active(&mut self, verb: Verb, address: SocketAddr, stage: &mut Stage<'_>) {
        if let Err(refusal) = self.may_dial(verb, address, stage.world) {
            return stage.reply(refusal);
        }
        self.forget_endpoint(stage);
        self.endpoint = Endpoint::Active(address);
        stage.say(200, if verb == Verb::Port { "PORT command successful." } else { "EPRT command successful." });
    }

    /// The bounce rules: only back to the peer itself, and to no service port (RFC 2577 3).
    fn may_dial(&self, verb: Verb, address: SocketAddr, world: &World) -> Result<(), Reply> {
        if !world.settings.active.enabled {
            return Err(Reply::new(502, "Active mode is off, use PASV or EPSV."));
        }
        if self.epsv_only {
            return Err(Reply::new(501, "EPSV ALL is in force."));
        }
        if verb == Verb::Port && self.peer.is_ipv6() {
            return Err(Reply::new(501, "PORT needs an IPv4 control connection, use EPRT or EPSV."));
        }
        let ip = address.ip().to_canonical();
        if ip.is_ipv4() != self.peer.ip().is_ipv4() {
            return Err(self.wrong_family());
        }
        // A peer on this very machine could have the server talk to itself.
        let own_door = ip == self.local && world.doors.contains(&address.port());
        if ip != self.peer.ip() || address.port() < FIRST_UNPRIVILEGED || own_door {
            log::warn!("{}: refused to dial {address}", self.peer);
            return Err(Reply::new(504, "Only your own address and ports from 1024 on. Use PASV."));
        }
        Ok(())
    }

    pub(super) fn pasv(&mut self, stage: &mut Stage<'_>) {
        if self.epsv_only {
            return stage.say(501, "EPSV ALL is in force.");
        }
        if self.local.is_ipv6() {
            return stage.say(425, "PASV needs an IPv4 control connection, use EPSV.");
        }
        self.promise(Passive::Classic, stage);
    }

    pub(super) fn epsv(&mut self, word: EpsvWord, stage: &mut Stage<'_>) {
        let own = if self.local.is_ipv4() { 1 } else { 2 };
        match word {
            EpsvWord::All => {
                self.epsv_only = true;
                stage.say(200, "EPSV ALL ok.");
            }
            EpsvWord::Family(family) if family != own => stage.reply(self.wrong_family()),
            EpsvWord::Family(_) | EpsvWord::Default => self.promise(Passive::Extended, stage),
        }
    }

    /// RFC 2428's refusal, naming the one family this connection can have.
    pub(super) fn wrong_family(&self) -> Reply {
        let own = if self.peer.is_ipv4() { 1 } else { 2 };
        Reply::new(522, format!("Network protocol not supported, use ({own})"))
    }

    fn promise(&mut self, words: Passive, stage: &mut Stage<'_>) {
        self.work(Work::Promising { words });
        let notice = self.notice();
        stage.order(Order::Promise(notice));
    }

    /// curl's first word as a member is PWD, and no other client's of the field; see [`Notice::InAMoment`].
    fn notice(&self) -> Notice {
        match &self.state {
            State::Member(Member { opening: Opening::Pwd, .. }) => Notice::InAMoment,
            _ => Notice::AtOnce,
        }
    }

    /// The DTP's answer to a promise: an address, or none.
    pub(super) fn promised(&mut self, report: &Report, stage: &mut Stage<'_>) {
        let Some(Work::Promising { words }) = self.work(Work::Idle) else { return };
        let Report::Promised(announced) = report else {
            return stage.say(425, "No passive port is free, try again later.");
        };
        self.endpoint = Endpoint::Passive;
        match (words, self.announced(announced.ip(), stage.world)) {
            (Passive::Classic, IpAddr::V4(ip)) => {
                stage.reply(Reply::new(227, address::pasv_text(SocketAddrV4::new(ip, announced.port()))));
            }
            _ => {
                stage.reply(Reply::new(229, address::epsv_text(announced.port())));
            }
        }
    }

    /// The address told to this peer: the public one to strangers, the dialled one to neighbours.
    fn announced(&self, dialled: IpAddr, world: &World) -> IpAddr {
        let passive = &world.settings.passive;
        match passive.address {
            Some(public) if !passive.local.iter().any(|network| network.contains(self.peer.ip())) => public.into(),
            _ => dialled,
        }
    }

    /// A new endpoint replaces the old one, whose socket and promise go first.
    pub(super) fn forget_endpoint(&mut self, stage: &mut Stage<'_>) {
        if self.endpoint == Endpoint::Passive {
            stage.order(Order::Forget);
        }
        self.endpoint = Endpoint::None;
    }

    /// Answers from the quota and the free space. A quota that is not counted yet says nothing.
    pub(super) fn allo(&self, bytes: u64, stage: &mut Stage<'_>) {
        let Some(member) = self.member() else { return };
        // What is left may be more by the file that this one replaces; only what is more than all will never fit.
        if member.realm().quota.allotment().bytes.is_some_and(|most| bytes > most) {
            return stage.say(552, "More than your quota.");
        }
        match member.seat.root().available(&member.cwd) {
            Ok(free) if bytes > free => stage.say(452, "Not enough space."),
            _ => stage.say(200, "ALLO ok."),
        }
    }

    pub(super) fn opts(&mut self, word: OptsCommand, stage: &mut Stage<'_>) {
        match word {
            OptsCommand::Utf8(true) => stage.say(200, "Always in UTF8 mode."),
            OptsCommand::Utf8(false) => stage.say(501, "Always in UTF8 mode."),
            OptsCommand::Mlst(given) => self.opts_mlst(given.as_deref().unwrap_or_default(), stage),
            OptsCommand::Hash(name) => self.opts_hash(name.as_deref(), stage),
            OptsCommand::ModeZ(given) => self.opts_mode_z(&given, stage),
        }
    }

    /// Chooses HASH's algorithm, or tells which one it is.
    fn opts_hash(&mut self, name: Option<&[u8]>, stage: &mut Stage<'_>) {
        match name.map_or(Some(self.hash), Algorithm::named) {
            Some(algorithm) => {
                self.hash = algorithm;
                stage.say(200, algorithm.name());
            }
            None => stage.say(501, "Unknown algorithm, current selection not changed."),
        }
    }

    fn opts_mlst(&mut self, given: &[u8], stage: &mut Stage<'_>) {
        match crate::wire::listing::FactSet::parse(given) {
            Some(facts) => {
                self.facts = facts;
                stage.reply(Reply::new(200, facts.options_text().to_string()));
            }
            None => stage.say(501, "No blanks among the facts."),
        }
    }

    /// How long this session may be idle: SITE IDLE's choice, else the configured limit.
    pub(super) fn idle_limit(&self, world: &World) -> Duration {
        let limit = world.settings.limits.idle;
        match (&self.state, self.idle) {
            (State::Member(_), Some(seconds)) => Duration::from_secs(seconds.into()).min(limit),
            _ => limit,
        }
    }
}
