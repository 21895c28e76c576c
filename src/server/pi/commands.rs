//! From a line to the handler of its command.
//!
//! ```text
//!   line ── split ── gate ── parse ── protection ── run ──► handler
//!             │ 500    │ 530, 503, 502  │ 501     │ 521, 522
//! ```

use std::borrow::Cow;

use super::state::{Member, State, Work};
use super::{Output, Session, Stage, faults};
use crate::wire::command::{self, Command, Malformed, Rule, Unknown, Verb};

/// Unknown verbs that a session may try: what a page in somebody's browser can say to this port, and what the oddest
/// client asks for before it settles.
const UNKNOWN_OF_STRANGERS: u8 = 20;
const UNKNOWN_OF_MEMBERS: u8 = 100;

impl Session {
    pub(super) fn line(&mut self, line: &[u8], stage: &mut Stage<'_>) {
        match command::split(line) {
            Err(Unknown::Word) => self.unknown(stage),
            Err(Unknown::NotFtp) => self.foreign(stage),
            Ok((rule, argument)) => {
                let before = stage.out.len();
                self.ruled(rule, argument, stage);
                stage.out.iter().skip(before).for_each(|wish| self.tell_refusal(rule, argument, wish));
            }
        }
    }

    /// A refusal's line in the log: `info` when the system or a quota is the cause, which an administrator can mend;
    /// `debug` for names that are not there or not granted, with which a client could fill the log.
    fn tell_refusal(&self, rule: &Rule, argument: &[u8], wish: &Output) {
        let Output::Reply(reply) = wish else { return };
        if !matches!(reply.code, 450 | 452 | 550 | 552 | 553) {
            return;
        }
        let level = if reply.cause().is_some() { log::Level::Info } else { log::Level::Debug };
        let cause = reply
            .cause()
            .map(|cause| Cow::Borrowed(faults::words(cause)))
            .unwrap_or_else(|| String::from_utf8_lossy(reply.text()));
        let (who, peer) = (self.user().unwrap_or("-"), self.peer);
        log::log!(
            level,
            "{who}@{peer}: {} \"{}\" refused, {}: {cause}",
            rule.name,
            argument.escape_ascii(),
            reply.code
        );
    }

    /// The order of checks: known, login, sequence, syntax, and only then the command itself.
    fn ruled(&mut self, rule: &'static Rule, argument: &[u8], stage: &mut Stage<'_>) {
        if let State::Member(member) = &mut self.state {
            member.opening.hear(rule.verb);
        }
        if let Some(refusal) = self.gate(rule, argument, stage.world) {
            self.forget_rename(rule.verb);
            return match rule.verb {
                Verb::User => self.refuse_login(refusal, stage),
                _ => stage.reply(refusal),
            };
        }
        self.forget_rename(rule.verb);
        match command::parse(rule, argument) {
            Ok(command) => match self.unprotected(rule.verb, stage.world) {
                Some(refusal) => {
                    self.mark = None;
                    stage.reply(refusal);
                }
                None => self.run(command, argument, stage),
            },
            Err(malformed) => self.malformed(rule, malformed, stage),
        }
    }

    /// What a command uses up it uses up even when it is not understood.
    fn malformed(&mut self, rule: &Rule, malformed: Malformed, stage: &mut Stage<'_>) {
        if Self::uses_marker(rule.verb) || rule.verb == Verb::Rang {
            self.mark = None;
        }
        if rule.verb == Verb::Rnto {
            self.work(Work::Idle);
        }
        match (rule.verb, malformed.code) {
            (Verb::Epsv, 522) => stage.reply(self.wrong_family()),
            _ => stage.say(malformed.code, malformed.text),
        }
    }

    /// A browser was talked into speaking to this port: not one more line of it is looked at.
    pub(super) fn foreign(&mut self, stage: &mut Stage<'_>) {
        log::warn!("{}: does not speak FTP, closed", self.peer);
        self.leave(421, "This is an FTP server.", stage);
    }

    /// Clients ask for a few verbs that are not there; who goes on speaks another protocol, or looks for holes.
    fn unknown(&mut self, stage: &mut Stage<'_>) {
        self.forget_rename(Verb::Site);
        let most = if self.member().is_some() { UNKNOWN_OF_MEMBERS } else { UNKNOWN_OF_STRANGERS };
        self.unknown = self.unknown.saturating_add(1);
        if self.unknown > most {
            log::warn!("{}: too many unknown commands, closed", self.peer);
            return self.leave(421, "Too many unknown commands, closing.", stage);
        }
        stage.say(500, "Unknown command.");
    }

    /// Any command but these forgets a half-done rename; RNTO itself uses it up.
    pub(super) fn forget_rename(&mut self, verb: Verb) {
        if matches!(verb, Verb::Rnto | Verb::Noop | Verb::Stat | Verb::Abor) {
            return;
        }
        if matches!(self.state, State::Member(Member { work: Work::Renaming { .. }, .. })) {
            self.work(Work::Idle);
        }
    }

    fn run(&mut self, command: Command, argument: &[u8], stage: &mut Stage<'_>) {
        match command {
            Command::User(name) => self.user_named(name, stage),
            Command::Pass(password) => self.pass(password, stage),
            Command::Acct => self.acct(stage),
            Command::Cwd(path) => self.cwd(path, stage),
            Command::Cdup => self.cdup(stage),
            Command::Rein => self.rein(stage),
            Command::Quit => self.leave(221, "Goodbye.", stage),
            Command::Host(name) => self.host(&name.0, stage),
            Command::Type(code) => self.type_code(code, stage),
            Command::Stru => stage.say(200, "Structure set to F."),
            Command::Mode(code) => self.mode(code, stage),
            Command::Port(address) => self.active(Verb::Port, address, stage),
            Command::Eprt(address) => self.active(Verb::Eprt, address, stage),
            Command::Pasv => self.pasv(stage),
            Command::Epsv(word) => self.epsv(word, stage),
            Command::Pret => stage.say(200, "OK."),
            Command::Rest(offset) => self.rest(offset, stage),
            Command::Rang(first, last) => self.rang(first, last, stage),
            Command::Opts(word) => self.opts(word, stage),
            Command::Allo(bytes) => self.allo(bytes, stage),
            Command::Retr(path) => self.retr(&path, stage),
            Command::Stor(path) => self.stor(Verb::Stor, &path, stage),
            Command::Appe(path) => self.stor(Verb::Appe, &path, stage),
            Command::Stou(prefix) => self.stou(prefix.as_deref(), stage),
            Command::List(argument) => self.list(Verb::List, argument.as_deref(), stage),
            Command::Nlst(argument) => self.list(Verb::Nlst, argument.as_deref(), stage),
            Command::Mlsd(path) => self.mlsd(path.as_deref(), stage),
            Command::Abor => self.abor(stage),
            other => self.run_rest(other, argument, stage),
        }
    }

    fn run_rest(&mut self, command: Command, argument: &[u8], stage: &mut Stage<'_>) {
        match command {
            Command::Mlst(path) => self.mlst(path.as_deref(), stage),
            Command::Hash(path) => self.hash(&path, stage),
            Command::Digest(verb, argument) => self.x_digest(verb, &argument, stage),
            Command::Size(path) => self.size(&path, stage),
            Command::Mdtm(argument) => self.mdtm(&argument, stage),
            Command::Mfmt { time, path } => self.mfmt(&time, &path, stage),
            Command::Mff { facts, path } => self.mff(&facts, &path, stage),
            Command::Avbl(path) => self.avbl(path.as_deref(), stage),
            Command::Rnfr(path) => self.rnfr(&path, stage),
            Command::Rnto(path) => self.rnto(&path, stage),
            Command::Dele(path) => self.dele(&path, stage),
            Command::Rmd(path) => self.rmd(&path, stage),
            Command::Mkd(path) => self.mkd(&path, stage),
            Command::Pwd => self.pwd(stage),
            Command::Site(word) => self.site(word, stage),
            Command::Syst => stage.say(215, "UNIX Type: L8"),
            Command::Stat(argument) => self.stat(argument.as_deref(), stage),
            Command::Help(word) => Self::help(word.as_deref(), stage),
            Command::Noop => stage.say(200, "NOOP ok."),
            Command::Feat => self.feat(stage),
            Command::Lang(tag) => Self::lang(tag.as_deref(), stage),
            Command::Auth(mechanism) => self.auth(&mechanism, stage),
            Command::Pbsz(_) => self.pbsz(stage),
            Command::Prot(level) => self.prot(level, stage),
            Command::Ccc => self.ccc(stage),
            Command::Clnt(text) => self.clnt(&text, stage),
            Command::Csid(_) => Self::csid(stage),
            other => {
                log::error!("{}: {other:?} passed the gate but nobody runs it ({argument:?})", self.peer);
                stage.say(502, "Command not implemented.");
            }
        }
    }
}
