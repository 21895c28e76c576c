//! RFC 959 4.1.1, access control: USER PASS ACCT CWD CDUP REIN QUIT, and HOST (RFC 7151).

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::state::{Member, Opening, State, Work};
use super::{Abort, Mode, Output, Session, Stage, Type};
use crate::codec::{Algorithm, Level};
use crate::filesystem::{Last, Right, VirtualPath};
use crate::server::realm::{Rates, Realm, Refusal, Seat};
use crate::server::world::World;
use crate::wire::command::PathText;
use crate::wire::listing::FactSet;
use crate::wire::reply::Reply;

/// How much longer each further wrong password has to wait, and the most it can come to (RFC 2577 5 names 5 seconds).
const PENALTY_STEP: Duration = Duration::from_secs(1);
const PENALTY_MOST: Duration = Duration::from_secs(5);

/// What the verifier found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Name and password belong together.
    Right,
    /// No such name, or not its password: nobody is told which.
    Wrong,
    /// The verifier died over it.
    Lost,
    /// Too many wait to be checked.
    Crowded,
}

impl Session {
    pub(super) fn user_named(&mut self, user: PathText, stage: &mut Stage<'_>) {
        self.log_out(stage);
        let guest = stage.world.anonymous.is_some() && is_guest(&user);
        if let Some(realm) = self.certified(&user, stage.world) {
            self.enter(State::Named { user });
            return self.admit(&realm, 232, stage);
        }
        self.enter(State::Named { user });
        if guest {
            stage.say(331, "Guest login ok, send your e-mail address as password.");
        } else {
            stage.say(331, "Password required.");
        }
    }

    pub(super) fn pass(&mut self, password: PathText, stage: &mut Stage<'_>) {
        let user = match &mut self.state {
            State::Named { user } => std::mem::take(user),
            State::Member(_) if self.certificate.is_some() => return stage.say(202, "No password needed."),
            State::Member(_) => return stage.say(503, "Already logged in."),
            _ => return stage.say(503, "Send USER first."),
        };
        if let Some(realm) = stage.world.anonymous.as_ref().filter(|_| is_guest(&user)) {
            log::info!("{}: a guest who says to be {:?}", self.peer, String::from_utf8_lossy(&password));
            return self.admit(&Rc::clone(realm), 230, stage);
        }
        let guess = stage.world.guesses.hash_one((&user, &password));
        self.enter(State::Checking { user: user.clone(), guess });
        // Where nobody has an account nobody has to be asked; a verifier that is away is another matter.
        if stage.world.accounts.is_empty() {
            self.verdict(Verdict::Wrong, stage);
        } else {
            stage.out.push(Output::Check { user, password });
        }
    }

    pub(super) fn verdict(&mut self, verdict: Verdict, stage: &mut Stage<'_>) {
        let State::Checking { user, .. } = &self.state else { return };
        let name = String::from_utf8_lossy(user).into_owned();
        match verdict {
            Verdict::Right => match stage.world.accounts.get(name.as_str()) {
                Some(realm) => self.admit(&Rc::clone(realm), 230, stage),
                None => self.turn_away(&name, "no such account any more", stage),
            },
            Verdict::Wrong => self.turn_away(&name, "wrong name or password", stage),
            Verdict::Lost => {
                self.enter(State::Stranger);
                stage.say(451, "Cannot check passwords at the moment, try again.");
            }
            Verdict::Crowded => self.leave(421, "Too many logins at the moment, try again later.", stage),
        }
    }

    /// The account whose password the client's certificate makes up for.
    fn certified(&self, user: &[u8], world: &World) -> Option<Rc<Realm>> {
        let realm = world.accounts.get(std::str::from_utf8(user).ok()?)?;
        self.is_certified(user).then(|| Rc::clone(realm))
    }

    /// Lets somebody in whose password, if any, was right.
    fn admit(&mut self, realm: &Rc<Realm>, code: u16, stage: &mut Stage<'_>) {
        match realm.admit(self.peer.ip(), World::wall()) {
            Ok(()) => {}
            Err(Refusal::Sessions) => {
                log::info!("{}@{}: too many sessions of this account", realm.name, self.peer);
                return self.leave(421, "Too many sessions of this account.", stage);
            }
            Err(refusal) => return self.turn_away(&realm.name, refusal.text(), stage),
        }
        let limits = &stage.world.settings.limits;
        match Seat::take(realm, Rates::new(limits.upload, limits.download)) {
            Ok(seat) => {
                self.enter(State::Member(Member {
                    seat,
                    cwd: VirtualPath::root(),
                    opening: Opening::Unsaid,
                    work: Work::Idle,
                }));
                log::info!("{}@{}: logged in", realm.name, self.peer);
                stage.say(code, "Login successful.");
            }
            Err(error) => {
                log::error!("{}@{}: cannot open the home directory: {error}", realm.name, self.peer);
                self.enter(State::Stranger);
                stage.say(451, "Home directory unavailable.");
            }
        }
    }

    /// A failed login is answered later, by timer: see [`Session::penalty_over`].
    fn turn_away(&mut self, name: &str, why: &str, stage: &mut Stage<'_>) {
        self.failures = self.failures.saturating_add(1);
        // People type their password where the name belongs: only names that exist are written down.
        let who = if stage.world.accounts.contains_key(name) { name } else { "an unknown name" };
        let most = stage.world.settings.limits.login_attempts;
        log::warn!("{}: login of {who} failed ({why}), {} of {most}", self.peer, self.failures);
        if let State::Checking { guess, .. } = self.state {
            stage.out.push(Output::Guessed(guess));
        }
        self.enter(State::Penalised);
    }

    /// The address is banned: strangers of it go, members stay.
    pub(super) fn banned(&mut self, stage: &mut Stage<'_>) {
        if !matches!(self.state, State::Member(_) | State::Leaving) {
            self.leave(421, "Too many login failures from your address.", stage);
        }
    }

    /// How long the answer to the latest wrong password is held back.
    pub(super) fn penalty(&self, first: Duration) -> Duration {
        let further = PENALTY_STEP * u32::from(self.failures.saturating_sub(1));
        (first + further).min(PENALTY_MOST.max(first))
    }

    pub(super) fn penalty_over(&mut self, stage: &mut Stage<'_>) {
        let most = stage.world.settings.limits.login_attempts;
        if most > 0 && u32::from(self.failures) >= most {
            return self.leave(421, "Too many login failures, closing.", stage);
        }
        self.enter(State::Stranger);
        stage.say(530, "Login incorrect.");
    }

    pub(super) fn acct(&self, stage: &mut Stage<'_>) {
        stage.say(202, "No account needed.");
    }

    pub(super) fn rein(&mut self, stage: &mut Stage<'_>) {
        self.log_out(stage);
        self.type_ = Type::Unset;
        self.mode = Mode::Stream;
        self.level = Level::DEFAULT;
        self.hash = Algorithm::Sha256;
        self.epsv_only = false;
        self.umask = None;
        self.idle = None;
        self.facts = FactSet::all();
        stage.say(220, "Ready for a new user.");
        self.uncover(stage);
    }

    /// Forgets who was logged in and what was half done. TYPE and the like stay (RFC 959 on USER).
    pub(super) fn log_out(&mut self, stage: &mut Stage<'_>) {
        self.forget_endpoint(stage);
        self.mark = None;
        self.abort = Abort::Idle;
        self.enter(State::Stranger);
    }

    pub(super) fn cwd(&mut self, argument: Option<PathText>, stage: &mut Stage<'_>) {
        let Some(member) = self.member() else { return };
        let given = argument.as_deref().unwrap_or(b"/");
        let mut outcome = Self::enter_directory(member, given);
        if outcome.is_err() && given.first() == Some(&b'~') {
            outcome = Self::enter_directory(member, home_relative(given));
        }
        match outcome {
            Ok(path) => self.moved_to(path, stage),
            Err(reply) => stage.reply(reply),
        }
    }

    pub(super) fn cdup(&mut self, stage: &mut Stage<'_>) {
        let Some(member) = self.member() else { return };
        let parent = member.cwd.parent();
        // A directory that was left behind by a removal must not be a trap: up is allowed without looking.
        let real = member.settle(parent.clone(), Last::Follow, b"..").unwrap_or_else(|_| parent.clone());
        if !member.may(Right::Enter, &real) {
            return stage.say(550, "Permission denied.");
        }
        self.moved_to(parent, stage);
    }

    fn enter_directory(member: &Member, given: &[u8]) -> Result<VirtualPath, Reply> {
        let path = member.textual(given)?;
        let real = member.settle(path.clone(), Last::Follow, given)?;
        member.require(Right::Enter, &real, given)?;
        member.seat.root().enter(&real).map_err(|fault| member.faulted(fault, &real, given))?;
        // The session stays where it said: CDUP leads back to where the link is.
        Ok(path)
    }

    fn moved_to(&mut self, path: VirtualPath, stage: &mut Stage<'_>) {
        if let State::Member(member) = &mut self.state {
            member.cwd = path;
        }
        stage.say(250, "Directory changed.");
    }

    /// One host is served: the one at the address that was dialled. Its names are not ours to know.
    pub(super) fn host(&mut self, name: &[u8], stage: &mut Stage<'_>) {
        let text = String::from_utf8_lossy(name);
        let literal = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
        match literal.parse::<IpAddr>() {
            Ok(address) if address.to_canonical() == self.local => {
                self.log_out(stage);
                self.greet(stage);
            }
            _ => stage.say(504, "Unknown host."),
        }
    }
}

/// RFC 1635's two names for guests.
fn is_guest(user: &[u8]) -> bool {
    user.eq_ignore_ascii_case(b"anonymous") || user.eq_ignore_ascii_case(b"ftp")
}

/// `~` and `~/x` mean the home directory, which is the root, when nothing of that name exists.
fn home_relative(given: &[u8]) -> &[u8] {
    match given.get(1..) {
        None | Some(b"") => b"/",
        Some(rest) if rest.first() == Some(&b'/') => rest,
        Some(_) => given,
    }
}
