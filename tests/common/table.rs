//! The tables that the server prints of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

/// RFC 775's names, and the verbs they stand for.
const ALIASES: [(&str, &str); 6] =
    [("XCWD", "CWD"), ("XCUP", "CDUP"), ("XPWD", "PWD"), ("XMKD", "MKD"), ("XRMD", "RMD"), ("XSHA", "XSHA1")];

/// What any verb can answer, and no row lists: service ends, unknown or too long, bad argument.
const ANY: [u16; 3] = [421, 500, 501];

/// Verbs and the codes of their rows, from `--replies`.
pub fn rows() -> &'static BTreeMap<String, BTreeSet<u16>> {
    static ROWS: OnceLock<BTreeMap<String, BTreeSet<u16>>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let row = |line: &str| {
            let (verb, codes) = line.split_once(' ').unwrap();
            (verb.to_owned(), codes.split_whitespace().map(|code| code.parse().unwrap()).collect())
        };
        print("--replies").lines().map(row).collect()
    })
}

/// State, event and next state, from `--states`.
pub fn states() -> Vec<[String; 3]> {
    let arrow = |line: &str| {
        let mut parts = line.split("  ").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
        [parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap()]
    };
    print("--states").lines().map(arrow).collect()
}

/// Whether this build carries a verb out.
pub fn is_on(verb: &str) -> bool {
    row_of(verb).is_some()
}

/// Holds an observed reply against the verb's row.
pub fn check(verb: &str, code: u16) {
    let fits = match row_of(verb) {
        Some(row) => row.contains(&code) || ANY.contains(&code),
        // Unknown, or known and off.
        None => matches!(code, 500 | 502 | 421),
    };
    assert!(fits, "{verb} was answered with {code}, which is not in its row of --replies");
}

fn row_of(verb: &str) -> Option<&'static BTreeSet<u16>> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == verb);
    rows().get(alias.map_or(verb, |(_, verb)| verb))
}

fn print(option: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_miniftpd")).arg(option).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}
