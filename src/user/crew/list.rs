//! What is in a directory: MLSD, else LIST, else NLST.

use super::errand::ask;
use super::errand::{Move, Scene, Yield};
use super::stat::time_in;
use super::trouble::{Cause, Trouble};
use crate::user::mail::{Answer, Failure, Outcome, Transfer, Wish};
use crate::user::profile::{Profile, Standing, Way};
use crate::user::pump::{Intake, Pump};
use crate::wire::command::Verb;
use crate::wire::directory::{End, Found, Parsed, parse_list, parse_mlsd, parse_nlst};
use crate::wire::reply::{Kind, Reply, directory_in};

/// Bytes of a listing that are held: a quarter of a million entries with all their facts, more than most servers list
/// at all. A server that sends more wants our memory, and would have this much of it for as long as it sends.
const LISTING_LIMIT: usize = 32 * 1024 * 1024;

/// Lists a directory.
#[derive(Debug)]
pub struct List {
    path: Vec<u8>,
    /// The one way to a data connection that will do.
    way: Option<Way>,
    forms: Forms,
    state: State,
    /// What an earlier, lesser form of the command brought.
    best: Option<Parsed>,
}

#[derive(Debug)]
enum State {
    Asking(Form),
    /// An empty answer or a refusal may mean an empty directory or none: CWD tells.
    Home(Option<Trouble>),
    /// There and back again, said in one breath: nobody else's command may come to stand between the two.
    Entering(Option<Trouble>),
    Returning(Result<(), Trouble>),
    /// MDTM is out for a file that the listing shows this time of.
    Dating(i64, Parsed),
}

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forms {
    /// The best that the server has.
    Any,
    /// No MLSD, which may tell what is behind a link as if it stood there (RFC 3659 7.5.1.5).
    WithLinks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Mlsd,
    ListAll,
    List,
    Nlst,
}

impl List {
    /// Of this directory; empty: the working directory.
    pub const fn new(path: Vec<u8>) -> Self {
        Self { path, way: None, forms: Forms::Any, state: State::Asking(Form::Mlsd), best: None }
    }

    /// By this way to a data connection and no other.
    #[must_use]
    pub fn by(self, way: Way) -> Self {
        Self { way: Some(way), ..self }
    }

    /// In a form that shows links as such, if the server has one.
    #[must_use]
    pub fn showing_links(self) -> Self {
        Self { forms: Forms::WithLinks, ..self }
    }

    /// Whether one command is all there is to it.
    pub(super) fn is_light(&self, profile: &Profile) -> bool {
        self.forms == Forms::Any && profile.mlsd == Standing::Works
    }

    pub(super) fn begin(&mut self, scene: &mut Scene<'_>) -> Move {
        self.best = None;
        let mlsd = self.forms == Forms::Any && scene.profile.has("MLST") && scene.profile.mlsd != Standing::Fails;
        self.ask(if mlsd {
            Form::Mlsd
        } else if scene.profile.list_all == Standing::Fails {
            Form::List
        } else {
            Form::ListAll
        })
    }

    fn ask(&mut self, form: Form) -> Move {
        self.state = State::Asking(form);
        // A name that begins with a dash would be taken for an option.
        let dashed = self.path.starts_with(b"-") && form != Form::Mlsd;
        let path = if dashed { [b"./", &self.path[..]].concat() } else { self.path.clone() };
        let (verb, argument) = match form {
            Form::Mlsd => (Verb::Mlsd, path),
            Form::ListAll if path.is_empty() => (Verb::List, b"-a".to_vec()),
            Form::ListAll => (Verb::List, [b"-a ", &path[..]].concat()),
            Form::List => (Verb::List, path),
            Form::Nlst => (Verb::Nlst, path),
        };
        let pump = Pump::In(Box::new(Intake::memory(LISTING_LIMIT)));
        let transfer = Transfer { verb, argument, text: false, restart: 0, pump, only: self.way };
        Move::Wishes(vec![Wish::Transfer(Box::new(transfer))])
    }

    pub(super) fn heard(&mut self, answer: Answer, scene: &mut Scene<'_>) -> Move {
        match (std::mem::replace(&mut self.state, State::Returning(Ok(()))), answer) {
            (State::Asking(form), Answer::Moved(outcome)) => self.listed(form, *outcome, scene),
            (State::Home(trouble), Answer::Reply(reply)) => {
                // Who does not know where he is does not go elsewhere to look: there is no way back.
                let Some(home) = directory_in(&reply) else { return self.unchecked(trouble) };
                self.state = State::Entering(trouble);
                Move::Wishes(vec![ask("CWD", &self.path), ask("CWD", &home)])
            }
            (State::Entering(trouble), Answer::Reply(reply)) => {
                let entered = reply.kind() == Kind::Completion;
                let refused = || trouble.unwrap_or_else(|| Trouble::refused(&reply));
                self.state = State::Returning(if entered { Ok(()) } else { Err(refused()) });
                Move::Wishes(Vec::new())
            }
            (State::Dating(shown, parsed), Answer::Reply(reply)) => {
                let truly = time_in(&reply, scene.profile);
                scene.profile.zone.learn(shown, truly);
                done(scene.profile.zone.applied(parsed))
            }
            (State::Returning(entered), _) => {
                Move::Done(entered.map(|()| Yield::Listing(self.best.take().unwrap_or_default())))
            }
            (state, _) => {
                self.state = state;
                Move::Wishes(Vec::new())
            }
        }
    }

    fn listed(&mut self, form: Form, outcome: Outcome, scene: &mut Scene<'_>) -> Move {
        let Outcome { pump, moved, result, .. } = outcome;
        let text = match pump {
            Some(Pump::In(intake)) => intake.into_bytes(),
            _ => Vec::new(),
        };
        match result {
            Ok(_) => self.parsed(form, parse(form, &text, scene.wall), scene),
            // Nothing says how long a listing should be. What ends with a line is shown, since there are servers that
            // never end TLS; nothing is deleted on the strength of it, nor is nothing taken for an empty directory.
            Err(Failure::Unclosed(_)) if text.ends_with(b"\n") => {
                let mut parsed = parse(form, &text, scene.wall);
                if parsed.end == End::Whole {
                    parsed.end = End::Unconfirmed;
                }
                parsed.doubt = Some(b"the end of the listing, which TLS did not confirm: there may be more".to_vec());
                self.parsed(form, parsed, scene)
            }
            Err(Failure::Bare(_)) if form == Form::ListAll => self.ask(Form::List),
            Err(Failure::Bare(reply)) => {
                self.doubt(&reply);
                self.check_emptiness(None)
            }
            Err(Failure::Refused(reply)) => self.refused(form, &reply, moved, scene),
            Err(failure) => Move::Done(Err(Trouble::of_transfer(&failure, moved))),
        }
    }

    fn parsed(&mut self, form: Form, mut parsed: Parsed, scene: &mut Scene<'_>) -> Move {
        // A directory that may not be read is listed by some servers as its own only entry: nothing is known of what is
        // in it. One that does hold such a directory is only spared deletions.
        if form != Form::Mlsd && !parsed.itself && shows_itself(&self.path, &parsed.entries) {
            parsed.doubt = Some(b"only the directory itself".to_vec());
        }
        let empty = parsed.entries.is_empty();
        match form {
            Form::Mlsd => {
                scene.profile.mlsd = Standing::Works;
                // Nothing at all, not even the directory itself: some servers say that of what is not there.
                let nothing = empty && parsed.is_certain() && !parsed.itself;
                return if nothing { self.check_emptiness(None) } else { done(parsed) };
            }
            Form::ListAll if !empty => scene.profile.list_all = Standing::Works,
            // Some servers take `-a` for a name that nothing has.
            Form::ListAll if scene.profile.list_all != Standing::Works => return self.ask(Form::List),
            Form::List if !empty => scene.profile.list_all = Standing::Fails,
            Form::List | Form::ListAll if parsed.odd.len() > 1 => {
                self.best = Some(parsed);
                return self.ask(Form::Nlst);
            }
            _ => {}
        }
        if empty && parsed.is_certain() { self.check_emptiness(None) } else { self.date(parsed, scene) }
    }

    /// LIST tells local time, and nothing says where. MDTM tells UTC: one file with both says how far they are apart.
    fn date(&mut self, parsed: Parsed, scene: &mut Scene<'_>) -> Move {
        let example = if scene.profile.mdtm == Standing::Fails { None } else { scene.profile.zone.example(&parsed) };
        let Some((name, shown)) = example else { return done(scene.profile.zone.applied(parsed)) };
        let path = match &self.path[..] {
            b"" => name,
            path if path.ends_with(b"/") => [path, &name].concat(),
            path => [path, b"/", &name].concat(),
        };
        self.state = State::Dating(shown, parsed);
        Move::Wishes(vec![ask("MDTM", &path)])
    }

    fn refused(&mut self, form: Form, reply: &Reply, moved: u64, scene: &mut Scene<'_>) -> Move {
        let unknown = matches!(reply.code, 500 | 502 | 504);
        match form {
            Form::Mlsd if unknown => {
                scene.profile.mlsd = Standing::Fails;
                self.ask(Form::ListAll)
            }
            Form::ListAll => self.ask(Form::List),
            Form::List if unknown => self.ask(Form::Nlst),
            // What LIST brought is all there is to go by.
            Form::Nlst if self.best.is_some() => done(self.best.take().unwrap_or_default()),
            // 450 and 550 also say "nothing in there".
            _ if moved == 0 && may_mean_empty(reply) && (form != Form::Mlsd || !self.is_top() || says_empty(reply)) => {
                self.doubt(reply);
                self.check_emptiness(Some(Trouble::refused(reply)))
            }
            _ => Move::Done(Err(Trouble::of_transfer(&Failure::Refused(reply.clone()), moved))),
        }
    }

    /// A reply that may mean "nothing in there" and does not say so is no reason to delete anything.
    fn doubt(&mut self, reply: &Reply) {
        let doubt = (!says_empty(reply)).then(|| reply.text().to_vec());
        self.best = Some(Parsed { doubt, ..Parsed::default() });
    }

    fn unchecked(&mut self, trouble: Option<Trouble>) -> Move {
        match trouble {
            Some(trouble) => Move::Done(Err(trouble)),
            None => self.nothing(),
        }
    }

    fn nothing(&mut self) -> Move {
        Move::Done(Ok(Yield::Listing(self.best.take().unwrap_or_default())))
    }

    /// Where CWD proves nothing: we are there. Servers that have MLSD are believed there only if they say so in words.
    fn is_top(&self) -> bool {
        matches!(&self.path[..], b"" | b"." | b"/")
    }

    fn check_emptiness(&mut self, trouble: Option<Trouble>) -> Move {
        if self.is_top() {
            return self.nothing();
        }
        self.state = State::Home(trouble);
        Move::Wishes(vec![ask("PWD", b"")])
    }
}

/// Whether a directory is its own only entry.
fn shows_itself(path: &[u8], entries: &[Found]) -> bool {
    let last = path.rsplit(|byte| *byte == b'/').find(|part| !part.is_empty());
    matches!(entries, [only] if Some(&only.name[..]) == last || only.name == path)
}

/// Whether a refusal may be the answer to an empty directory.
fn may_mean_empty(reply: &Reply) -> bool {
    matches!(reply.code, 450 | 550) && (says_empty(reply) || !(denies(reply) || fails(reply)))
}

/// Whether a refusal speaks of rights: then the directory may be full.
fn denies(reply: &Reply) -> bool {
    const WORDS: [&str; 8] =
        ["denied", "permission", "permitted", "not allowed", "forbidden", "privilege", "access", "authoriz"];
    says(reply, &WORDS)
}

/// Whether it speaks of something that went wrong, which may go well another time.
fn fails(reply: &Reply) -> bool {
    says(reply, &["error", "fail", "unable", "cannot", "could not", "not available", "time"])
}

/// Whether it says that there is nothing.
fn says_empty(reply: &Reply) -> bool {
    says(reply, &["no files", "empty"])
}

fn says(reply: &Reply, words: &[&str]) -> bool {
    let text = String::from_utf8_lossy(reply.text()).to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

fn parse(form: Form, text: &[u8], wall: i64) -> Parsed {
    match form {
        Form::Mlsd => parse_mlsd(text),
        Form::ListAll | Form::List => parse_list(text, wall),
        Form::Nlst => parse_nlst(text),
    }
}

/// A listing of which nothing at all could be read is a failure, not an empty directory.
fn done(parsed: Parsed) -> Move {
    if parsed.end == End::Beyond {
        return Move::Done(Err(Trouble::new(Cause::Transfer, "the listing has more entries than anybody needs")));
    }
    if parsed.entries.is_empty() && !parsed.is_certain() {
        return Move::Done(Err(Trouble::new(Cause::Transfer, "the listing is in no known form")));
    }
    Move::Done(Ok(Yield::Listing(parsed)))
}
