//! The tables that the server prints of itself: complete, plausible, and held against what it does.
//!
//! That no observed reply lies outside its verb's row is checked wherever a test speaks to the server: see `common`.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Server, rows, states};

/// Codes of RFC 959, 2228, 2428, 3659 and their neighbours that this server has a use for.
const CODES: [u16; 44] = [
    150, 200, 202, 211, 213, 214, 215, 220, 221, 225, 226, 227, 229, 230, 232, 234, 250, 257, 331, 332, 350, 421, 425,
    426, 431, 450, 451, 452, 500, 501, 502, 503, 504, 522, 530, 533, 534, 536, 550, 551, 552, 553, 554, 556,
];

/// The least that RFC 1123 4.1.2.13 asks for, and what everybody uses beside it.
const MINIMUM: [&str; 38] = [
    "USER", "PASS", "ACCT", "CWD", "CDUP", "REIN", "QUIT", "PORT", "PASV", "TYPE", "STRU", "MODE", "RETR", "STOR",
    "STOU", "APPE", "ALLO", "REST", "RNFR", "RNTO", "ABOR", "DELE", "RMD", "MKD", "PWD", "LIST", "NLST", "SITE",
    "SYST", "STAT", "HELP", "NOOP", "FEAT", "OPTS", "EPRT", "EPSV", "SIZE", "MDTM",
];

#[test]
fn rows_name_known_codes_in_order() {
    for (verb, row) in rows() {
        assert!(!row.is_empty(), "{verb}");
        for code in row {
            assert!(CODES.contains(code), "{verb}: {code} is no code of ours");
        }
        let ends = [226, 425, 426].iter().all(|code| row.contains(code));
        assert!(ends || !row.contains(&150), "{verb} opens a data connection and does not say how that may end");
    }
    for verb in MINIMUM {
        assert!(rows().contains_key(verb), "{verb} is missing");
    }
}

#[test]
fn help_lists_the_verbs_of_the_table() {
    let server = Server::full();
    let mut ftp = server.connect();
    let text = ftp.say("HELP").expect(214);
    let listed: BTreeSet<String> = text
        .body()
        .iter()
        .flat_map(|line| String::from_utf8_lossy(line).split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let known: BTreeSet<String> = rows().keys().cloned().collect();
    assert_eq!(listed, known);
    for verb in &known {
        ftp.say(format!("HELP {verb}")).expect(214).says(verb);
    }
}

/// A dialogue that tries to meet many rows.
const DIALOGUE: [&str; 71] = [
    "RETR f",
    "USER ftp",
    "PASS x",
    "ACCT x",
    "PWD",
    "CWD d",
    "CWD nowhere",
    "CDUP",
    "TYPE I",
    "TYPE E",
    "MODE S",
    "MODE C",
    "STRU F",
    "STRU R",
    "PASV",
    "LIST nowhere",
    "LIST",
    "EPSV",
    "RETR nowhere",
    "EPSV 2",
    "EPRT |7|x|1|",
    "PORT 10,9,8,7,200,1",
    "PORT 127,0,0,1,200,10",
    "REST 9",
    "EPSV",
    "RETR f",
    "ALLO 5",
    "STOR d",
    "STOR none/x",
    "RNFR f",
    "RNTO d",
    "RNTO f",
    "DELE d",
    "RMD d",
    "MKD d",
    "MKD e",
    "SIZE f",
    "SIZE d",
    "MDTM f",
    "MDTM d",
    "MLST f",
    "MLSD f",
    "MLST nowhere",
    "FEAT",
    "OPTS UTF8 ON",
    "LANG fr",
    "LANG en",
    "HELP",
    "HELP FOO",
    "SYST",
    "STAT",
    "STAT f",
    "STAT nowhere",
    "NOOP",
    "ABOR",
    "SITE UMASK",
    "SITE HELP",
    "SITE WHO",
    "CLNT x",
    "CSID",
    "HOST x",
    "PRET RETR f",
    "AVBL",
    "MFMT 20200101000000 f",
    "MFF create=1; f",
    "APPE f",
    "STOU",
    "NLST *",
    "REIN",
    "PASS x",
    "QUIT",
];

/// What one session hears of each verb.
#[test]
fn what_is_heard_is_in_the_rows_and_much_of_the_rows_is_heard() {
    let server = Server::full_and("[limits]\nconnect = \"1s\"\n");
    server.put("f", "hello");
    server.put("d/x", "");
    let mut ftp = server.connect();
    let mut heard: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    for line in DIALOGUE {
        let verb = line.split(' ').next().unwrap();
        let mut reply = ftp.say(line);
        heard.entry(verb).or_default().insert(reply.code);
        if reply.code == 150 {
            reply = ftp.reply();
            heard.entry(verb).or_default().insert(reply.code);
        }
    }
    ftp.expect_close();
    for verb in rows().keys().filter(|verb| MINIMUM.contains(&verb.as_str())) {
        assert!(heard.contains_key(verb.as_str()), "{verb} was never said");
    }
}

#[test]
fn arrows_lead_from_states_to_states() {
    let arrows = states();
    let targets: BTreeSet<&str> = arrows.iter().map(|[_, _, to]| to.as_str()).collect();
    for to in &targets {
        assert!(*to == "Leaving" || arrows.iter().any(|[from, ..]| leads_from(from, to)), "no way on from {to}");
    }
    for [from, event, _] in &arrows {
        for name in from.split(", ").filter(|name| !name.contains('*') && *name != "Stranger") {
            assert!(targets.contains(name), "no way to {name}, from where {event} leads on");
        }
    }
}

fn leads_from(pattern: &str, state: &str) -> bool {
    pattern.split(", ").any(|name| match name.strip_suffix('*') {
        Some(start) => state.starts_with(start),
        None => name == state,
    })
}

/// The log at level trace tells the path that sessions really take: each of its steps must be an arrow.
#[test]
fn sessions_walk_along_the_arrows() {
    let server = Server::configured(
        "[anonymous]\npermissions = \"full\"\n[log]\nlevel = \"trace\"\n[limits]\nlogin_delay = \"0s\"\nlogin_attempts = 2\n",
    );
    server.put("f", "hello\n");
    for _ in 0..2 {
        let mut ftp = server.login();
        for line in ["RNFR f", "NOOP", "RNTO f", "RNFR f", "PWD", "TYPE A", "SIZE f"] {
            ftp.say(line);
        }
        ftp.fetch("RETR f");
        let _data = ftp.epsv();
        ftp.say("STOR g").expect(150);
        ftp.say("ABOR").expect(426);
        ftp.reply().expect(226);
        ftp.say("REIN").expect(220);
        ftp.log_in();
        ftp.say("USER nobody").expect(331);
        ftp.say("PASS x").expect(530);
        ftp.say("USER nobody").expect(331);
        ftp.say("PASS x").expect(421);
    }
    server.signal(rustix::process::Signal::TERM);
    let mut log = String::new();
    server.drain_log(&mut log);
    let names: BTreeSet<String> = states().into_iter().flat_map(|[from, _, to]| [from, to]).collect();
    let arrows = states();
    let mut steps = 0;
    for step in log.lines().filter_map(|line| line.split_once(" -> ")) {
        let before = step.0.rsplit("127.0.0.1:").next().and_then(|rest| rest.split_once(": ")).unwrap().1;
        let [from, to] = [before, step.1].map(|text| text.split([' ', '(', '{']).next().unwrap());
        let (from, to) = (full(from), full(to));
        let is_arrow = from == to || arrows.iter().any(|[a, _, b]| leads_from(a, &from) && *b == to);
        assert!(is_arrow, "{from} -> {to} is no arrow of {names:?}");
        steps += 1;
    }
    assert!(steps > 20, "{steps} steps in {log}");
}

/// What a member is doing is logged without the word before it.
fn full(name: &str) -> String {
    let works = ["Idle", "Renaming", "Promising", "Transferring", "Aborting", "Counting"];
    if works.contains(&name) { format!("Member/{name}") } else { name.to_owned() }
}
