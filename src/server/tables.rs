//! The tables behind `--states` and `--replies`, made from what runs.

use std::fmt::Write;

use crate::wire::command::{RULES, Status};

use super::pi::state::TRANSITIONS;

/// The session's states and the arrows between them.
pub fn states() -> String {
    let mut text = String::new();
    for (from, event, to) in TRANSITIONS {
        let _infallible = writeln!(text, "{from:<38} {event:<44} {to}");
    }
    text
}

/// Every verb with the replies it can give.
pub fn replies() -> String {
    let mut text = String::new();
    for rule in RULES.iter().filter(|rule| rule.status == Status::On) {
        let codes: Vec<String> = rule.replies.iter().map(u16::to_string).collect();
        let _infallible = writeln!(text, "{:<8} {}", rule.name, codes.join(" "));
    }
    text
}
