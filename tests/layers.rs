//! Who may import whom: the arrows between the rooms of the crate, read from its sources.

use std::fs;
use std::path::{Path, PathBuf};

/// A room, and what beside itself it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("codec", &[]),
    ("reactor", &[]),
    ("filesystem", &["wire"]),
    ("transfer", &["wire::text", "codec", "filesystem", "reactor"]),
    ("server::pi", &["wire", "codec", "filesystem", "transfer", "server::realm", "server::world", "server::settings"]),
    ("server::dtp", &["transfer", "reactor", "server::settings"]),
    ("server", &["wire", "codec", "filesystem", "reactor", "transfer", "process"]),
    ("process", &["server"]),
    ("user::pi", &["wire", "transfer", "user::mail", "user::profile", "user::pump", "user::text"]),
    ("user::dtp", &["transfer", "reactor", "user::guard", "user::mail", "user::pump"]),
    ("user::guard", &["reactor", "user::mail"]),
    ("user::pump", &["wire::text", "transfer", "reactor"]),
    ("user::crew", &["wire", "codec", "reactor", "transfer", "user"]),
    ("user::interface", &["wire", "filesystem", "user"]),
    ("user", &["wire", "codec", "filesystem", "reactor", "transfer"]),
    ("load", &["user", "transfer", "reactor", "wire"]),
    ("bin", &["server", "process", "user", "load"]),
];

/// Rooms that are pure, and what would make them otherwise: sockets, clocks, files.
const PURE: &[(&str, &[&str])] = &[
    ("wire", &["mio::", "rustix::", "std::fs", "TcpStream", "Instant", "SystemTime"]),
    ("codec", &["mio::", "rustix::", "std::fs", "TcpStream", "Instant", "SystemTime"]),
    ("server::pi", &["mio::", "std::fs", "TcpStream", "Instant", "SystemTime"]),
    ("user::pi", &["mio::", "std::fs", "TcpStream", "Instant", "SystemTime"]),
];

/// A source file: where it stands in the crate, and its text without tests.
struct Source {
    file: PathBuf,
    module: Vec<String>,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.is_dir() {
                folders.push(file);
            } else if file.extension().is_some_and(|ext| ext == "rs") && !file.ends_with("tests.rs") {
                let text = fs::read_to_string(&file).unwrap();
                let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let module = module_of(file.strip_prefix(&root).unwrap());
                found.push(Source { module, text: without_comments(code), file });
            }
        }
    }
    found
}

/// `server/pi/mod.rs` is `server::pi`, `server/pi/gate.rs` is `server::pi::gate`.
fn module_of(file: &Path) -> Vec<String> {
    let mut words: Vec<String> =
        file.with_extension("").iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if words.last().is_some_and(|last| last == "mod" || last == "lib") {
        words.pop();
    }
    words
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every path of this crate that a text names, from the crate's root.
fn named(source: &Source) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (start, word) in ["crate::", "super::", "miniftp::"].iter().flat_map(|word| source.text.match_indices(word)) {
        let before = source.text[..start].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':')) {
            continue; // in the middle of a path, or of another word
        }
        let base = if word == "super::" {
            source.module[..source.module.len().saturating_sub(1)].to_vec()
        } else {
            Vec::new()
        };
        tree(&source.text[start + word.len()..], base, &mut found);
    }
    found
}

/// Reads a path or a tree of them as `use` has it; returns what is left of the text.
fn tree<'a>(text: &'a str, mut base: Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let mut rest = text.trim_start();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner.trim_start();
        while !rest.is_empty() && !rest.starts_with('}') {
            rest = tree(rest, base.clone(), found).trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (word, after) = rest.split_at(length.max(rest.chars().next().map_or(0, char::len_utf8).min(rest.len())));
    match word {
        "super" => drop(base.pop()),
        "self" => {}
        word => base.push(word.to_owned()),
    }
    match after.strip_prefix("::") {
        Some(deeper) => tree(deeper, base, found),
        None => {
            found.push(base);
            after.split_once([',', '}', ';', '(', ')', '\n']).map_or("", |(name, _)| &after[name.len()..])
        }
    }
}

fn is_within(path: &[String], room: &str) -> bool {
    let room: Vec<&str> = room.split("::").collect();
    path.len() >= room.len() && path.iter().zip(&room).all(|(a, b)| a == b)
}

/// The innermost room of the table that a path lies in.
fn room_of(path: &[String]) -> Option<&'static (&'static str, &'static [&'static str])> {
    ARROWS.iter().filter(|(room, _)| is_within(path, room)).max_by_key(|(room, _)| room.len())
}

#[test]
fn imports_follow_the_arrows() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.module.is_empty()) {
        let (room, allowed) = room_of(&source.module).unwrap_or_else(|| panic!("{:?} is in no room", source.file));
        for path in named(source) {
            let own = is_within(&path, room) || path.len() < 2 && room_of(&path).is_none();
            if !own && !allowed.iter().any(|other| is_within(&path, other)) {
                wrong.push(format!("{}: {} is not for {room}", source.file.display(), path.join("::")));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_rooms_name_no_machine() {
    for source in sources() {
        for (room, words) in PURE.iter().filter(|(room, _)| is_within(&source.module, room)) {
            for word in *words {
                assert!(!source.text.contains(word), "{}: {word} in {room}", source.file.display());
            }
        }
    }
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let source = Source {
        file: PathBuf::new(),
        module: ["server", "pi", "gate"].map(str::to_owned).to_vec(),
        text: "use crate::wire::{text, date::{self, stamp}};\nuse super::Session;\nuse super::super::mail;\nlet x = crate::reactor::Key(1);"
            .to_owned(),
    };
    let mut paths: Vec<String> = named(&source).iter().map(|path| path.join("::")).collect();
    paths.sort();
    let wanted =
        ["reactor::Key", "server::mail", "server::pi::Session", "wire::date", "wire::date::stamp", "wire::text"];
    assert_eq!(paths, wanted);
}
