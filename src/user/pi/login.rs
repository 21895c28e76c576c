//! From the greeting to a session that takes wishes.

use std::fmt;

use super::state::{Owed, State};
use super::{Output, Session, Stage};
use crate::user::mail::{Death, Ticket};
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
                stage.profile.greeting = reply.texts().map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
                self.enter(State::Naming);
                let line = [b"USER ", &self.login.user[..]].concat();
                self.command(line, Owed::Login, stage);
            }
            _ => self.die(Death::Dismissed(reply), stage),
        }
    }

    pub(super) fn login_step(&mut self, reply: Reply, stage: &mut Stage<'_>) {
        match (self.state, reply.code) {
            (State::Asking, _) => self.featured(&reply, stage),
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
        if self.manners.guise.terse {
            self.enter(State::Member);
            return stage.out.push(Output::Ready);
        }
        if stage.profile.features.is_some() {
            return self.settle(stage);
        }
        self.enter(State::Asking);
        self.command(b"FEAT".to_vec(), Owed::Login, stage);
    }

    fn featured(&mut self, reply: &Reply, stage: &mut Stage<'_>) {
        stage.profile.modern = reply.kind() == Kind::Completion;
        let features = if stage.profile.modern { Features::parse(reply) } else { Features::default() };
        stage.profile.features = Some(features);
        self.settle(stage);
    }

    /// Sets the scene. None of these replies matters, so they are not waited for where commands may be sent ahead.
    fn settle(&mut self, stage: &mut Stage<'_>) {
        self.enter(State::Member);
        stage.out.push(Output::Ready);
        if stage.profile.has("CLNT") {
            // One family of servers takes OPTS only after it.
            self.command(b"CLNT miniftp".to_vec(), Owed::Courtesy, stage);
        }
        if stage.profile.has("UTF8") {
            self.command(b"OPTS UTF8 ON".to_vec(), Owed::Courtesy, stage);
        }
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
