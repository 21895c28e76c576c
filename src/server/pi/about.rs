//! RFC 959 4.1.3, the informational services: SYST STAT HELP, with FEAT (RFC 2389), LANG (RFC 2640), CLNT and CSID.

use super::faults::named;
use super::state::State;
use super::{Endpoint, Mark, Mode, Session, Stage, Type};
use crate::codec::Algorithm;
use crate::filesystem::{Fill, Links};
use crate::server::world::World;
use crate::wire::command::{RULES, Rule, Status, Verb, find};
use crate::wire::reply::Reply;

/// How often STAT asks its listing for more: it is produced in one turn, and a pattern that matches nothing would walk
/// through any directory. About ten milliseconds; whoever wants more has LIST.
const STAT_LOOKS: usize = 32;

/// Verbs on a line of HELP.
const HELP_COLUMNS: usize = 8;

/// Extensions by the labels that clients compare, apart from those that depend on the session or the configuration.
const FEATURES: [&str; 21] = [
    "AVBL",
    "CLNT",
    "CSID",
    "EPRT",
    "EPSV",
    "HOST",
    "LANG EN*",
    "MDTM",
    "MFF modify;UNIX.mode;",
    "MFMT",
    "PASV",
    "RANG STREAM",
    "REST STREAM",
    "SIZE",
    "TVFS",
    "UTF8",
    "XCRC",
    "XMD5",
    "XSHA1",
    "XSHA256",
    "XSHA512",
];

impl Session {
    pub(super) fn feat(&self, stage: &mut Stage<'_>) {
        let mut body: Vec<Vec<u8>> = FEATURES.iter().map(|label| label.as_bytes().to_vec()).collect();
        // In its place at once, where a sort would be 3 KB of program for these few.
        let mut add = |label: String| {
            let after = body.partition_point(|other| other.as_slice() < label.as_bytes());
            body.insert(after, label.into_bytes());
        };
        add(self.facts.feature_text());
        add(self.hash_feature());
        if stage.world.settings.tls.is_some() {
            for label in ["AUTH TLS", "PBSZ", "PROT"] {
                add(label.to_owned());
            }
        }
        if stage.world.settings.files.symlinks != Links::Never {
            add("SITE SYMLINK".to_owned());
        }
        if stage.world.settings.limits.compressed > 0 {
            add("MODE Z".to_owned());
        }
        stage.reply(Reply::lines(211, "Features:", body, "End"));
    }

    /// HASH with its algorithms, the selected one marked.
    fn hash_feature(&self) -> String {
        let marked = |algorithm: Algorithm| if algorithm == self.hash { "*" } else { "" };
        let names = Algorithm::ALL.map(|algorithm| format!("{}{}", algorithm.name(), marked(algorithm)));
        format!("HASH {}", names.join(";"))
    }

    pub(super) fn stat(&self, argument: Option<&[u8]>, stage: &mut Stage<'_>) {
        let reply = match argument {
            None => self.session_status(stage.world),
            Some(argument) => self.path_status(argument, stage.world).unwrap_or_else(|refusal| refusal),
        };
        stage.reply(reply);
    }

    fn session_status(&self, world: &World) -> Reply {
        let user = match &self.state {
            State::Member(member) => format!("Logged in as {}", member.realm().name),
            _ => String::from("Not logged in"),
        };
        let type_ = match self.type_ {
            Type::Unset if self.ascii(world) => "A (until TYPE says otherwise)",
            Type::Unset => "I (until TYPE says otherwise)",
            Type::Ascii => "A",
            Type::Image => "I",
        };
        let mode = if self.mode == Mode::Stream { "S" } else { "Z" };
        let data = match self.endpoint {
            Endpoint::None => "No data connection",
            Endpoint::Passive => "Passive data connection expected",
            Endpoint::Active(_) => "Active data connection set up",
        };
        let mut body = vec![
            format!("Connected from {}", self.peer.ip()),
            user,
            format!("TYPE: {type_}; STRU: F; MODE: {mode}"),
            String::from(data),
        ];
        match self.mark.as_deref() {
            Some(Mark { first, last: Some(last) }) => body.push(format!("Range: {first} to {last}")),
            Some(Mark { first, last: None }) => body.push(format!("Restart position: {first}")),
            None => {}
        }
        let body = body.into_iter().map(String::into_bytes).collect();
        Reply::lines(211, concat!("miniftpd ", env!("CARGO_PKG_VERSION"), " status:"), body, "End of status")
    }

    fn path_status(&self, argument: &[u8], world: &World) -> Result<Reply, Reply> {
        let member = self.logged_in()?;
        let mut request = member.list_request(Verb::List, Some(argument))?;
        request.below = None; // a reply has no room for a tree
        let mut listing = member.open_listing(request, argument, world)?;
        // The control connection is no place for more.
        let most = world.settings.limits.stat_lines as usize;
        let mut text = Vec::new();
        for _ in 0..STAT_LOOKS {
            if listing.listed() >= most as u64 {
                break;
            }
            match listing.fill(&mut text, usize::MAX) {
                Ok(Fill::More) => {}
                Ok(Fill::End) => break,
                Err(_) => return Err(named(451, argument, "Local error.")),
            }
        }
        let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let body = lines.filter(|line| !line.is_empty()).take(most).map(<[u8]>::to_vec).collect();
        let mut first = b"Status of ".to_vec();
        first.extend_from_slice(argument);
        first.push(b':');
        Ok(Reply::path_lines(213, first, body, "End of status"))
    }

    pub(super) fn help(word: Option<&[u8]>, stage: &mut Stage<'_>) {
        let reply = match word {
            None => Reply::lines(214, "Commands:", table(RULES.iter()), "End"),
            Some(word) if word.eq_ignore_ascii_case(b"SITE") => Self::site_help(stage.world),
            Some(word) => match find(word) {
                Some(rule) => Reply::new(214, format!("Syntax: {}", rule.syntax)),
                None => Reply::new(502, "Unknown command."),
            },
        };
        stage.reply(reply);
    }

    /// One language is spoken. Tags are compared by their first part, as RFC 2640 4.1 has it.
    pub(super) fn lang(tag: Option<&[u8]>, stage: &mut Stage<'_>) {
        let tag = tag.unwrap_or(b"en");
        let well_formed = tag.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'*');
        let first = tag.split(|byte| *byte == b'-').next().unwrap_or_default();
        if !well_formed {
            stage.say(501, "Malformed language tag.");
        } else if first.eq_ignore_ascii_case(b"en") {
            stage.say(200, "Language is English.");
        } else {
            stage.say(504, "Only English is spoken here.");
        }
    }

    pub(super) fn clnt(&self, text: &[u8], stage: &mut Stage<'_>) {
        log::debug!("{}: client says to be {:?}", self.peer, String::from_utf8_lossy(text));
        stage.say(200, "Noted.");
    }

    pub(super) fn csid(stage: &mut Stage<'_>) {
        stage.say(200, concat!("Name=miniftp; Version=", env!("CARGO_PKG_VERSION"), ";"));
    }

    /// The mode bits that new files of this session do not get.
    pub(super) fn umask_in_force(&self, world: &World) -> u32 {
        self.umask.map_or(world.settings.files.umask, u32::from)
    }
}

fn table<'a>(rules: impl Iterator<Item = &'a Rule>) -> Vec<Vec<u8>> {
    let names: Vec<&str> = rules.filter(|rule| rule.status == Status::On).map(|rule| rule.name).collect();
    let line = |row: &[&str]| row.iter().map(|name| format!("{name:<8}")).collect::<String>();
    names.chunks(HELP_COLUMNS).map(|row| line(row).trim_end().as_bytes().to_vec()).collect()
}
