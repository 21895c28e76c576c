//! From the greeting to a session that takes wishes.

use std::fmt;

use super::state::{Owed, State};
use super::{Output, Session, Stage};
use crate::user::mail::{Death, Protection, Spoken, Ticket};
use crate::user::profile::Standing;
use crate::wire::features::Features;
use crate::wire::reply::{Kind, Reply};

/// Preliminary replies (120) before the greeting that are waited for.
const DELAYS: usize = 16;

/// Who logs in. Shown without its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// USER.
    pub user: Vec<u8>,
    /// PASS.
    pub password: Vec<u8>,
    /// ACCT, if the server should ask.
    pub account: Option<Vec<u8>>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &String::from_utf8_lossy(&self.user)).finish_non_exhaustive()
    }
}

impl Login {
    /// RFC 1635's guest.
    pub fn anonymous() -> Self {
        Self { user: b"anonymous".to_vec(), password: b"miniftp@".to_vec(), account: None }
    }
}

impl Session {
    pub(super) fn greeted(&mut self, reply: Reply, stage: &mut Stage<'_>) {
        match reply.kind() {
            Kind::Preliminary => {
                self.strays += 1;
                if self.strays > DELAYS {
                    self.die(Death::TimedOut("waiting for the greeting"), stage);
                }
            }
            Kind::Completion => {
                self.heeded += 1;
                stage.profile.greeting = reply.texts().map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
                self.introduce(&reply, stage);
            }
            _ => self.die(Death::Dismissed(reply), stage),
        }
    }

    fn introduce(&mut self, reply: &Reply, stage: &mut Stage<'_>) {
        match self.manners.protection {
            Protection::Explicit if reply.code == 230 => {
                // Logged in before a word was said: a way to talk us out of TLS (CVE-2021-22946).
                self.die(Death::Insecure("the server takes everybody without TLS".into()), stage);
            }
            Protection::Auto if stage.profile.auth == Standing::Fails => self.name(stage),
            Protection::Auto | Protection::Explicit => {
                self.enter(State::Authorising);
                self.command(b"AUTH TLS".to_vec(), Owed::Login, stage);
            }
            Protection::Off | Protection::Implicit => self.name(stage),
        }
    }

    fn name(&mut self, stage: &mut Stage<'_>) {
        self.enter(State::Naming);
        let line = [b"USER ", &self.login.user[..]].concat();
        self.command(line, Owed::Login, stage);
    }

    /// The answer to AUTH. Only a refusal makes `auto` go on in the clear, and never with a host that had TLS before.
    fn authorised(&mut self, reply: &Reply, stage: &mut Stage<'_>) {
        if matches!(reply.code, 234 | 334) {
            self.enter(State::Securing);
            return stage.out.push(Output::StartTls);
        }
        if self.manners.protection == Protection::Auto && stage.profile.auth != Standing::Works {
            stage.profile.auth = Standing::Fails;
            stage.profile.auth_refusal = Some(reply.clone());
            stage.out.push(Output::InTheClear);
            return self.name(stage);
        }
        let text = format!("the server refuses TLS ({}); nothing is sent in the clear instead", Spoken(reply));
        self.die(Death::Insecure(text), stage);
    }

    pub(super) fn secured(&mut self, stage: &mut Stage<'_>) {
        self.secured = true;
        stage.out.push(Output::Covered);
        stage.profile.auth = Standing::Works;
        if self.state == State::Securing {
            self.name(stage);
        }
    }

    pub(super) fn login_step(&mut self, reply: Reply, stage: &mut Stage<'_>) {
        match (self.state, reply.code) {
            (State::Authorising, _) => self.authorised(&reply, stage),
            (State::Asking, _) => self.featured(&reply, stage),
            (State::Buffering, _) => self.protect(stage),
            (State::Protecting, 200..=299) => self.settle(stage),
            (State::Presenting, _) => self.encode(stage),
            (State::Encoding, _) => self.join(stage),
            (State::Protecting, _) => {
                let text = format!("the server does not protect data connections ({})", Spoken(&reply));
                self.die(Death::Insecure(text), stage);
            }
            (State::Naming, 331) => {
                self.enter(State::Proving);
                let line = [b"PASS ", &self.login.password[..]].concat();
                self.command(line, Owed::Login, stage);
            }
            (State::Naming | State::Proving, 332) => match self.login.account.clone() {
                Some(account) => {
                    self.enter(State::Accounting);
                    self.command([b"ACCT ", &account[..]].concat(), Owed::Login, stage);
                }
                None => self.die(Death::Login(reply), stage),
            },
            // 230 and 232 as the RFCs have it; 202, 200 and the like from servers that mean the same.
            (_, 200..=299) => self.logged_in(stage),
            _ => self.die(Death::Login(reply), stage),
        }
    }

    /// FEAT is asked once a host, after the login: before it many servers say less.
    fn logged_in(&mut self, stage: &mut Stage<'_>) {
        if self.manners.guise.terse || stage.profile.features.is_some() {
            return self.buffer(stage);
        }
        self.enter(State::Asking);
        self.command(b"FEAT".to_vec(), Owed::Login, stage);
    }

    fn featured(&mut self, reply: &Reply, stage: &mut Stage<'_>) {
        stage.profile.modern = reply.kind() == Kind::Completion;
        let features = if stage.profile.modern { Features::parse(reply) } else { Features::default() };
        stage.profile.features = Some(features);
        self.buffer(stage);
    }

    /// PBSZ comes before PROT (RFC 4217 9) and says nothing.
    fn buffer(&mut self, stage: &mut Stage<'_>) {
        if !self.secured {
            return self.settle(stage);
        }
        self.enter(State::Buffering);
        self.command(b"PBSZ 0".to_vec(), Owed::Login, stage);
    }

    /// Without this data would travel in the clear, so its answer is waited for.
    fn protect(&mut self, stage: &mut Stage<'_>) {
        self.enter(State::Protecting);
        self.command(b"PROT P".to_vec(), Owed::Login, stage);
    }

    /// Sets the scene. None of these replies matters, so they are waited for only where nothing may be sent ahead.
    fn settle(&mut self, stage: &mut Stage<'_>) {
        if self.manners.guise.terse {
            self.enter(State::Member);
            return stage.out.push(Output::Ready);
        }
        let ahead = stage.profile.pipelines();
        if stage.profile.has("CLNT") {
            // One family of servers takes OPTS only after it.
            if !ahead {
                self.enter(State::Presenting);
                return self.command(b"CLNT miniftp".to_vec(), Owed::Login, stage);
            }
            self.command(b"CLNT miniftp".to_vec(), Owed::Courtesy, stage);
        }
        self.encode(stage);
    }

    fn encode(&mut self, stage: &mut Stage<'_>) {
        if stage.profile.has("UTF8") {
            if !stage.profile.pipelines() {
                self.enter(State::Encoding);
                return self.command(b"OPTS UTF8 ON".to_vec(), Owed::Login, stage);
            }
            self.command(b"OPTS UTF8 ON".to_vec(), Owed::Courtesy, stage);
        }
        self.join(stage);
    }

    fn join(&mut self, stage: &mut Stage<'_>) {
        self.enter(State::Member);
        stage.out.push(Output::Ready);
        self.command(b"TYPE I".to_vec(), Owed::Type(false, None), stage);
        self.text = Some(false); // unless the answer says otherwise
    }

    pub(super) fn typed(&mut self, text: bool, ticket: Option<Ticket>, reply: Reply, stage: &mut Stage<'_>) {
        let accepted = reply.kind() == Kind::Completion;
        self.text = accepted.then_some(text);
        if let Some(ticket) = ticket {
            self.after_type(ticket, accepted.then_some(()).ok_or(reply), stage);
        }
    }
}
