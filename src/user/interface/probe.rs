//! `probe URL`: what a server can do and what is wrong with the way to it, in words.
//!
//! Findings are told as they come, since some take a time-out each. What cannot be known is not told: no command asks for
//! a server's clock, and the times of files say when those were written.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::json::Object;
use super::options::usage;
use super::ui::{Remote, Ui};
use crate::user::crew::{Ask, Cause, Errand, List, Trouble, Yield};
use crate::user::guard::Creed;
use crate::user::mail::{Protection, Spoken};
use crate::user::profile::{Profile, Standing, Way};
use crate::user::text::Shown;
use crate::wire::address::parse_pasv_text;
use crate::wire::directory::Parsed;
use crate::wire::reply::{Kind, Reply};

/// What was found out.
struct Finding {
    name: &'static str,
    /// Whether the server has it, or it works; `None` where that is not the question.
    works: Option<bool>,
    /// The server's code, where it refused.
    code: Option<u16>,
    /// In words.
    text: String,
}

impl Finding {
    const fn plain(name: &'static str, text: String) -> Self {
        Self { name, works: None, code: None, text }
    }

    const fn verdict(name: &'static str, works: bool, text: String) -> Self {
        Self { name, works: Some(works), code: None, text }
    }

    fn failure(name: &'static str, trouble: &Trouble) -> Self {
        Self { name, works: Some(false), code: trouble.code, text: format!("fails: {trouble}") }
    }
}

/// `probe URL`. It succeeds when the login does and one way to a data connection works.
pub fn probe(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let [argument] = &arguments[..] else { return Err(usage("probe URL")) };
    let remote = ui.remote(argument)?;
    if ui.options.retries.is_none() {
        // What fails at the first try is what is looked for.
        ui.crew.rules().retries = 0;
    }
    enter(ui, &remote)?;
    let peer = ui.crew.peer(remote.site);
    let wished = ui.protection(&remote.place)?;
    let known = ui.crew.with_profile(remote.site, |profile| {
        let mut all = vec![protection(profile, wished, &ui.options.creed)];
        all.extend(features(profile));
        all
    });
    for finding in known.unwrap_or_default() {
        tell(ui, &finding)?;
    }
    restart(ui, &remote)?;
    data(ui, &remote, peer)
}

/// From the connection to the login, and what the server says of itself.
fn enter(ui: &mut Ui, remote: &Remote) -> Result<(), Trouble> {
    let begun = Instant::now();
    let system = match one(ui, remote, "SYST") {
        Ok(reply) => reply,
        Err(trouble) => {
            let name = match trouble.cause {
                Cause::Tls => "TLS",
                Cause::Login => "login",
                _ => "connection",
            };
            tell(ui, &Finding::failure(name, &trouble))?;
            // Said already; only the exit code is left to tell.
            return Err(Trouble { text: String::new(), ..trouble });
        }
    };
    let span = begun.elapsed().as_secs_f64() * 1e3;
    tell(ui, &Finding::verdict("login", true, format!("works, {span:.0} ms with the greeting")))?;
    let greeting = ui.crew.with_profile(remote.site, |profile| Shown(profile.greeting.as_bytes()).to_string());
    tell(ui, &Finding::plain("greeting", greeting.unwrap_or_default()))?;
    let system = match system.kind() {
        Kind::Completion => Shown(system.text()).to_string(),
        _ => format!("not told: {}", Spoken(&system)),
    };
    tell(ui, &Finding::plain("system", system))?;
    let begun = Instant::now();
    one(ui, remote, "NOOP")?;
    let span = begun.elapsed().as_secs_f64() * 1e3;
    tell(ui, &Finding::plain("round trip", format!("{span:.1} ms")))
}

fn protection(profile: &Profile, wished: Protection, creed: &Creed) -> Finding {
    const CLEAR: &str = "names, passwords and files travel in the clear";
    if let Some(met) = &profile.tls {
        let trust = match creed {
            Creed { pin: Some(_), .. } => "the certificate is the pinned one",
            Creed { anything: true, .. } => "the certificate is NOT verified: --insecure accepts any",
            _ => "the certificate is verified",
        };
        return Finding::verdict("TLS", true, format!("{met}; {trust}"));
    }
    match (wished, profile.has("AUTH TLS")) {
        (Protection::Off, true) => Finding::plain("TLS", format!("offered and not used: {CLEAR}")),
        (Protection::Off, false) => Finding::verdict("TLS", false, format!("not offered: {CLEAR}")),
        _ => {
            let told = profile.auth_refusal.as_ref();
            let how = told.map(|reply| format!(" ({})", Spoken(reply))).unwrap_or_default();
            let text = format!("AUTH TLS is refused{how}: {CLEAR}");
            Finding { name: "TLS", works: Some(false), code: told.map(|reply| reply.code), text }
        }
    }
}

fn features(profile: &Profile) -> Vec<Finding> {
    /// The feature, its name here, what it is good for, and what its absence means.
    const LISTED: [(&str, &str, &str, &str); 7] = [
        ("MLST", "MLSD", "listings are exact", "listings must be guessed from LIST"),
        ("UTF8", "UTF8", "names are UTF-8", "names are bytes of unknown meaning"),
        ("SIZE", "SIZE", "lengths can be asked for", "not listed; asked for all the same"),
        ("MDTM", "MDTM", "times can be asked for", "not listed; asked for all the same"),
        ("MFMT", "MFMT", "files sent keep their times", "files sent get the time of their arrival"),
        ("REST STREAM", "REST STREAM", "transfers can be continued", "not promised"),
        ("MODE Z", "MODE Z", "transfers can be compressed", "no compression"),
    ];
    let mut all = Vec::new();
    if !profile.modern {
        all.push(Finding::verdict("FEAT", false, "not known: everything is tried step by step".into()));
    }
    all.extend(LISTED.iter().map(|(label, name, good, bad)| {
        let has = profile.has(label);
        Finding::verdict(name, has, (*if has { good } else { bad }).to_owned())
    }));
    let hashes = profile.features.as_ref().map(|features| Shown(features.hash.join(" ").as_bytes()).to_string());
    let hashes = hashes.filter(|hashes| !hashes.is_empty());
    all.push(Finding::verdict("HASH", hashes.is_some(), hashes.unwrap_or_else(|| "no digests by HASH".into())));
    let ahead = match (profile.queues(), profile.pipelines()) {
        (true, _) => "also behind transfers",
        (_, true) => "between transfers",
        _ => "one at a time",
    };
    all.push(Finding::plain("commands ahead", ahead.into()));
    all
}

/// Whether REST is taken, whatever FEAT says.
fn restart(ui: &mut Ui, remote: &Remote) -> Result<(), Trouble> {
    let finding = match one(ui, remote, "REST 1") {
        Ok(reply) if matches!(reply.kind(), Kind::Intermediate | Kind::Completion) => {
            // Some servers keep the marker for whatever transfer comes next.
            one(ui, remote, "REST 0").map(drop).or_else(|trouble| passing(&trouble))?;
            Finding::verdict("REST", true, format!("honoured: {}", Spoken(&reply)))
        }
        Ok(reply) => {
            let text = format!("not honoured, transfers begin anew: {}", Spoken(&reply));
            Finding { name: "REST", works: Some(false), code: Some(reply.code), text }
        }
        Err(trouble) => {
            passing(&trouble)?;
            Finding::failure("REST", &trouble)
        }
    };
    tell(ui, &finding)
}

/// Each way to a data connection with a listing of its own.
fn data(ui: &mut Ui, remote: &Remote, peer: Option<SocketAddr>) -> Result<(), Trouble> {
    let mut ways = vec![Way::Epsv, Way::Pasv];
    if ui.options.active {
        ways.extend(peer.is_some_and(|peer| peer.is_ipv4()).then_some(Way::Port));
        ways.push(Way::Eprt);
    }
    let (mut works, mut failed) = (false, None);
    for way in ways {
        let result = listing(ui, remote, way);
        let finding = match &result {
            Ok(finding) => finding,
            Err(trouble) => &failure(ui, remote, way, trouble),
        };
        tell(ui, finding)?;
        match result {
            Ok(_) => works = true,
            Err(trouble) => {
                passing(&trouble)?;
                failed.get_or_insert(trouble);
            }
        }
    }
    passive_address(ui, remote, peer)?;
    match failed {
        Some(trouble) if !works => {
            let text = format!("no way to a data connection works; the first one: {trouble}");
            Err(ui.screen.counted(Trouble { text, ..trouble }))
        }
        _ => Ok(()),
    }
}

fn listing(ui: &mut Ui, remote: &Remote, way: Way) -> Result<Finding, Trouble> {
    let begun = Instant::now();
    let list = List::new(remote.path.clone()).by(way);
    let Yield::Listing(parsed) = ui.run(remote.site, Errand::List(Box::new(list)))? else {
        return Ok(Finding::plain(way.word(), "nothing came back".into()));
    };
    let span = begun.elapsed().as_secs_f64() * 1e3;
    let counted = counted(&parsed);
    Ok(match standing(ui, remote, way) {
        Standing::Works => Finding::verdict(way.word(), true, format!("works: {counted}, {span:.0} ms")),
        // Some servers answer for an empty directory without a data connection.
        _ => Finding::plain(way.word(), format!("not tried by the server, which has nothing to send: {counted}")),
    })
}

fn counted(parsed: &Parsed) -> String {
    match parsed.odd.len() {
        0 => format!("{} entries", parsed.entries.len()),
        odd => format!("{} entries, {odd} lines that are not understood", parsed.entries.len()),
    }
}

fn failure(ui: &mut Ui, remote: &Remote, way: Way, trouble: &Trouble) -> Finding {
    let finding = Finding::failure(way.word(), trouble);
    match standing(ui, remote, way) {
        Standing::Works => Finding { text: format!("connects, but the listing fails: {trouble}"), ..finding },
        _ => finding,
    }
}

fn standing(ui: &mut Ui, remote: &Remote, way: Way) -> Standing {
    ui.crew.with_profile(remote.site, |profile| profile.way(way)).unwrap_or_default()
}

/// PASV prints an address: one that is not the server's own tells of a gateway in between. It is asked
/// last, since some servers would have the port that it promises used before any other.
fn passive_address(ui: &mut Ui, remote: &Remote, peer: Option<SocketAddr>) -> Result<(), Trouble> {
    const NAME: &str = "PASV address";
    let reply = match one(ui, remote, "PASV") {
        Ok(reply) if reply.kind() == Kind::Completion => reply,
        Ok(_) => return Ok(()), // as was said of PASV
        Err(trouble) => {
            passing(&trouble)?;
            return tell(ui, &Finding::failure(NAME, &trouble));
        }
    };
    let peer = peer.map(|peer| peer.ip().to_canonical());
    let finding = match (reply.texts().find_map(parse_pasv_text).map(|told| IpAddr::V4(*told.ip())), peer) {
        (None, _) => Finding::verdict(NAME, false, format!("none in the answer: {}", Spoken(&reply))),
        (Some(told), Some(peer)) if told == peer => Finding::verdict(NAME, true, format!("the server's own, {told}")),
        (Some(told), _) if told.is_unspecified() => Finding::plain(NAME, format!("{told}, which stands for any")),
        (Some(told), peer) => {
            let peer = peer.map(|peer| format!(", {peer}")).unwrap_or_default();
            let text = format!(
                "names {told}, which is not the address we talk to{peer}: the server is behind a gateway that it does not \
                 know of, or sends its clients elsewhere; here the address we talk to is used"
            );
            Finding::verdict(NAME, false, text)
        }
    };
    tell(ui, &finding)
}

/// One command, whatever the reply.
fn one(ui: &mut Ui, remote: &Remote, line: &str) -> Result<Reply, Trouble> {
    match ui.run(remote.site, Errand::Ask(Ask::raw(line.into())))? {
        Yield::Replies(mut replies) if !replies.is_empty() => Ok(replies.remove(0)),
        _ => Err(Trouble::new(Cause::Transfer, "no reply")),
    }
}

/// A failure is a finding like any other; only the user's own word ends the probe.
fn passing(trouble: &Trouble) -> Result<(), Trouble> {
    if trouble.cause == Cause::Interrupted { Err(trouble.clone()) } else { Ok(()) }
}

fn tell(ui: &mut Ui, finding: &Finding) -> Result<(), Trouble> {
    let Finding { name, works, code, text } = finding;
    if !ui.screen.json() {
        return ui.screen.data(format!("{name:<15} {text}\n").as_bytes());
    }
    let object = Object::new().text("name", name.as_bytes());
    let object = match works {
        Some(works) => object.truth("works", *works),
        None => object.optional("works", None),
    };
    let object = object.number("code", code.map(u64::from)).text("text", text.as_bytes());
    ui.screen.data(object.finish().as_bytes())
}
