//! Lines to commands, and what commands carry: paths, patterns, dates, facts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use miniftp::filesystem::pattern::STEP_LIMIT;
use miniftp::filesystem::{Pattern, VirtualPath};
use miniftp::wire::command::{self, Unknown};
use miniftp::wire::listing::FactSet;
use miniftp::wire::{date, digest};

fuzz_target!(|line: &[u8]| {
    command::is_foreign(line);
    match command::split(line) {
        Ok((rule, argument)) => {
            assert!(line.ends_with(argument));
            if let Err(malformed) = command::parse(rule, argument) {
                assert!(matches!(malformed.code, 500 | 501 | 502 | 504 | 522), "{}", malformed.code);
                assert!(malformed.text.is_ascii());
            }
            path(argument);
            words(argument);
        }
        Err(Unknown::Word | Unknown::NotFtp) => {}
    }
});

/// Whatever is asked for, a path that comes out is canonical: `..` never reaches the file system.
fn path(argument: &[u8]) {
    let root = VirtualPath::root();
    let Ok(path) = root.resolve(argument) else { return };
    canonical(&path);
    canonical(&path.parent());
    assert!(path.starts_with(&path.parent()));
    if let Ok(below) = path.resolve(argument) {
        canonical(&below);
    }
    assert_eq!(root.resolve(path.as_bytes()).as_ref(), Ok(&path));
    let mut steps = 0;
    let pattern = Pattern::parse(argument);
    pattern.matches(path.name(), STEP_LIMIT, &mut steps);
    assert!(steps <= STEP_LIMIT + 1);
}

fn canonical(path: &VirtualPath) {
    let text = path.as_bytes();
    assert!(text.len() <= 4095 && text.starts_with(b"/"), "{path:?}");
    if !path.is_root() {
        for component in text[1..].split(|byte| *byte == b'/') {
            assert!(!matches!(component, b"" | b"." | b".."), "{path:?}");
            assert!(component.len() <= 255 && !component.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
        }
    }
}

fn words(argument: &[u8]) {
    if let Some(seconds) = date::parse_stamp(argument) {
        let mut stamp = Vec::new();
        date::append_stamp(seconds, &mut stamp);
        assert_eq!(date::parse_stamp(&stamp), Some(seconds));
    }
    if let Some(facts) = FactSet::parse(argument) {
        assert!(facts.options_text().is_ascii() && facts.feature_text().is_ascii());
    }
    assert!(digest::readings(argument).take(1000).count() < 1000);
}
