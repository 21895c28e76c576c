//! `probe URL`: what a server can do and what is wrong with the way to it, in words.

use std::time::Instant;

use super::json::Object;
use super::options::usage;
use super::ui::{Remote, Ui};
use crate::user::crew::{Ask, Errand, List, Trouble, Yield};
use crate::user::profile::{Profile, Standing, Way};
use crate::user::text::Shown;
use crate::wire::address::parse_pasv_text;
use crate::wire::reply::{Kind, Reply};

/// What was found out: a name, and a sentence.
type Finding = (&'static str, String);

/// `probe URL`
pub fn probe(ui: &mut Ui, arguments: Vec<String>) -> Result<(), Trouble> {
    let [argument] = &arguments[..] else { return Err(usage("probe URL")) };
    let remote = ui.remote(argument)?;
    let mut findings = Vec::new();
    let begun = Instant::now();
    let system = one(ui, &remote, "SYST")?;
    findings.push(("login", format!("works, {:.0} ms with the greeting", begun.elapsed().as_secs_f64() * 1e3)));
    if system.kind() == Kind::Completion {
        findings.push(("system", Shown(system.text()).to_string()));
    }
    let begun = Instant::now();
    one(ui, &remote, "NOOP")?;
    findings.push(("round trip", format!("{:.1} ms", begun.elapsed().as_secs_f64() * 1e3)));
    findings.push(listing(ui, &remote));
    findings.push(passive_address(ui, &remote)?);
    if let Some(known) = ui.crew.with_profile(remote.site, known) {
        findings.extend(known);
    }
    show(ui, &findings)
}

fn one(ui: &mut Ui, remote: &Remote, line: &str) -> Result<Reply, Trouble> {
    match ui.run(remote.site, Errand::Ask(Ask::raw(line.into())))? {
        Yield::Replies(mut replies) if !replies.is_empty() => Ok(replies.remove(0)),
        _ => Err(usage("no reply")),
    }
}

/// Reads the directory, which takes a data connection and so tries the ways to one.
fn listing(ui: &mut Ui, remote: &Remote) -> Finding {
    let begun = Instant::now();
    let result = ui.run(remote.site, Errand::List(Box::new(List::new(remote.path.clone()))));
    let text = match result {
        Ok(Yield::Listing(parsed)) => {
            let (count, span) = (parsed.entries.len(), begun.elapsed().as_secs_f64() * 1e3);
            match parsed.odd.len() {
                0 => format!("{count} entries, {span:.0} ms"),
                odd => format!("{count} entries, {odd} lines that are not understood, {span:.0} ms"),
            }
        }
        Ok(_) => "nothing".into(),
        Err(trouble) => format!("fails: {trouble}"),
    };
    ("listing", text)
}

/// PASV prints an address: one that is not the server's own tells of a gateway in between.
fn passive_address(ui: &mut Ui, remote: &Remote) -> Result<Finding, Trouble> {
    let reply = one(ui, remote, "PASV")?;
    let peer = ui.crew.peer(remote.site);
    let text = match (reply.texts().find_map(parse_pasv_text), peer) {
        (None, _) if reply.kind() == Kind::Completion => "the answer holds no address".into(),
        (None, _) => format!("refused: {}", Shown(reply.text())),
        (Some(told), Some(peer)) if *told.ip() == peer.ip() => "names the server's own address".to_owned(),
        (Some(told), _) => format!(
            "names {}, which is not the address we talk to: the server is behind a gateway that it does not know of, \
             or sends its clients elsewhere; the address is not used here",
            told.ip()
        ),
    };
    Ok(("PASV", text))
}

fn known(profile: &Profile) -> Vec<Finding> {
    let yes = |label: &str, good: &str, bad: &str| if profile.has(label) { good.to_owned() } else { bad.to_owned() };
    let mut all = vec![("greeting", Shown(profile.greeting.as_bytes()).to_string())];
    if !profile.modern {
        all.push(("features", "FEAT is not known: everything is tried step by step".into()));
    }
    for way in [Way::Epsv, Way::Pasv, Way::Port, Way::Eprt] {
        match profile.way(way) {
            Standing::Untried => {}
            Standing::Works => all.push((way.word(), "data connections work".into())),
            Standing::Fails => {
                let hint = "does not lead to a data connection: refused, or a firewall drops it";
                all.push((way.word(), hint.into()));
            }
        }
    }
    all.push((
        "commands ahead",
        if profile.queues() {
            "also behind transfers"
        } else if profile.pipelines() {
            "between transfers"
        } else {
            "one at a time"
        }
        .into(),
    ));
    all.push(("MLSD", yes("MLST", "listings are exact", "listings must be guessed from LIST")));
    all.push((
        "REST",
        yes("REST STREAM", "transfers can be continued", "not promised: a continued transfer is checked as always"),
    ));
    all.push(("MFMT", yes("MFMT", "files sent keep their times", "files sent get the time of their arrival")));
    all.push(("UTF8", yes("UTF8", "names are UTF-8", "names are bytes of unknown meaning")));
    let hashes = profile.features.as_ref().map(|features| features.hash.join(" ")).unwrap_or_default();
    all.push(("HASH", if hashes.is_empty() { "no digests by HASH".into() } else { hashes }));
    all.push(("AUTH TLS", yes("AUTH TLS", "offered", "not offered: passwords travel in the clear")));
    all
}

fn show(ui: &mut Ui, findings: &[Finding]) -> Result<(), Trouble> {
    if ui.screen.json() {
        let object = findings.iter().fold(Object::new(), |object, (name, text)| object.text(name, text.as_bytes()));
        return ui.screen.data(object.finish().as_bytes());
    }
    for (name, text) in findings {
        ui.screen.data(format!("{name:<15} {text}\n").as_bytes())?;
    }
    Ok(())
}
