//! Replies with another code than the RFC has for them, and servers that take one command at a time.

use super::*;

#[test]
fn nothing_is_sent_ahead_at_the_login_either() {
    let mut desk = Desk::new();
    desk.profile.slow_down(false);
    desk.hear("220 x\r\n331 password\r\n230 in\r\n");
    desk.said.clear();
    desk.hear("211-Features:\r\n CLNT\r\n UTF8\r\n211 End\r\n");
    desk.says(&["> CLNT miniftp"]);
    desk.ask(1, "SIZE a");
    desk.says(&[]);
    desk.hear("500 what\r\n");
    desk.says(&["> OPTS UTF8 ON"]);
    desk.hear("200 fine\r\n");
    desk.says(&["ready", "> TYPE I"]);
    desk.hear("200 type\r\n");
    desk.says(&["> SIZE a"]);
    // Where that is not known to be wrong, all of it leaves at once.
    let mut desk = Desk::new();
    desk.hear("220 x\r\n331 password\r\n230 in\r\n");
    desk.said.clear();
    desk.hear("211-Features:\r\n CLNT\r\n UTF8\r\n211 End\r\n");
    desk.says(&["> CLNT miniftp", "> OPTS UTF8 ON", "ready", "> TYPE I"]);
}

#[test]
fn a_port_is_taken_from_any_positive_reply_that_has_one() {
    for (answer, dialled) in [
        ("200 Entering passive mode (10,0,0,1,15,160)", true),
        ("200 ok (|||4000|)", true),
        ("250 (|||4000|)", true),
        // None of these was meant.
        ("200 fine", false),
        ("200 10,0,0,1,15,160", false),
        ("228 Entering Long Passive Mode (4,4,10,0,0,1,2,15,160)", false),
        ("226 done", false),
    ] {
        let mut desk = Desk::member("x");
        desk.profile.slow_down(false);
        desk.transfer(1, Verb::Retr, "a", 0);
        desk.hear(&format!("{answer}\r\n"));
        assert_eq!(desk.said.iter().any(|word| word == "dial 1 192.0.2.7:4000"), dialled, "{answer}: {:?}", desk.said);
    }
}

#[test]
fn commands_may_be_answered_by_226_unless_that_belongs_to_a_transfer() {
    let mut desk = Desk::member("x");
    for (at, line, answer) in [(1, "DELE a", "226 gone"), (2, "RMD d", "226 done"), (3, "SIZE a", "226 5")] {
        desk.ask(at, line);
        desk.hear(&format!("{answer}\r\n"));
        desk.says(&[&format!("> {line}"), &format!("reply 226 for {at}")]);
    }
    desk.transfer(4, Verb::Retr, "a", 0);
    desk.hear("229 (|||4000|)\r\n150 go\r\n");
    desk.up(4);
    desk.done(4);
    desk.hear("226 done\r\n");
    desk.said.clear();
    desk.ask(5, "DELE a");
    desk.hear("226 Transfer complete\r\n250 gone\r\n");
    desk.says(&["> DELE a", "reply 250 for 5"]);
    desk.transfer(6, Verb::Retr, "a", 0);
    desk.hear("229 (|||4000|)\r\n150 go\r\n");
    desk.up(6);
    desk.done(6);
    desk.hear("226 done\r\n");
    desk.said.clear();
    desk.ask(7, "DELE a");
    desk.hear("226 File deleted\r\n");
    desk.says(&["> DELE a", "reply 226 for 7"]);
}

#[test]
fn a_restart_marker_may_be_accepted_by_2yz() {
    let up_to_rest = || {
        let mut desk = Desk::member("x");
        desk.transfer(1, Verb::Retr, "a", 7);
        desk.hear("229 (|||4000|)\r\n");
        desk.said.clear();
        desk
    };
    let mut desk = up_to_rest();
    desk.hear("200 ok\r\n");
    desk.says(&["> RETR a"]);
    // From a server that says things twice only if it says what it means.
    for (answer, taken) in [("200 ok", false), ("200 restarting at 7", true), ("350 ok", true)] {
        let mut desk = up_to_rest();
        desk.session.strays = 1;
        desk.said.clear();
        desk.hear(&format!("{answer}\r\n"));
        assert_eq!(desk.said.iter().any(|word| word == "> RETR a"), taken, "{answer}");
    }
}

#[test]
fn a_server_that_hangs_at_auth_is_left_with_a_hint() {
    for (protection, hint) in [(Protection::Auto, true), (Protection::Explicit, false)] {
        let mut desk = Desk::new();
        desk.session.manners.protection = protection;
        desk.hear("220 x\r\n");
        desk.ask(1, "NOOP");
        desk.handle(Input::Expired);
        let [(_, Answer::Dead(death))] = &desk.answers[..] else { panic!("{:?}", desk.answers) };
        assert_eq!(death.to_string().contains("--tls off"), hint, "{death}");
    }
}
