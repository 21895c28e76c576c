//! What users say to servers themselves.

use super::*;

fn quote(desk: &mut Desk, ticket: u64, line: &str) {
    desk.handle(Input::Wish(Ticket(ticket), Wish::Ask { line: line.into(), alone: true }));
}

#[test]
fn what_a_user_may_have_changed_is_said_anew_before_the_next_transfer() {
    for (said, anew) in [("TYPE A", &[][..]), ("stru R", &["> STRU F"]), ("SITE FOO", &[])] {
        let mut desk = Desk::member("x");
        quote(&mut desk, 1, said);
        desk.says(&[&format!("> {said}")]);
        desk.hear("200 as you like\r\n");
        desk.says(&["reply 200 for 1"]);
        // Not before the user has said what else he wants to.
        quote(&mut desk, 2, "SIZE a");
        desk.says(&["> SIZE a"]);
        desk.hear("213 5\r\n");
        desk.says(&["reply 213 for 2"]);
        desk.transfer(3, Verb::Retr, "a", 0);
        for line in anew {
            desk.says(&[line]);
            desk.hear("504 not here\r\n");
        }
        desk.says(&["> TYPE I"]);
        desk.hear("200 ok\r\n");
        desk.says(&["> EPSV", "> RETR a"]);
    }
}

#[test]
fn a_users_restart_marker_is_taken_back() {
    let mut desk = Desk::member("x");
    quote(&mut desk, 1, "REST 7");
    desk.hear("350 ok\r\n");
    desk.transfer(2, Verb::Retr, "a", 0);
    desk.says(&["> REST 7", "reply 350 for 1", "> EPSV"]);
    desk.hear("229 (|||4096|)\r\n");
    desk.says(&["dial 2 192.0.2.7:4096", "> REST 0"]);
}

#[test]
fn a_question_costs_the_next_transfer_nothing() {
    let mut desk = Desk::member("x");
    quote(&mut desk, 1, "SIZE a");
    desk.hear("213 5\r\n");
    quote(&mut desk, 2, "MODE Z");
    desk.hear("200 ok\r\n");
    desk.transfer(3, Verb::Retr, "a", 0);
    desk.says(&["> SIZE a", "reply 213 for 1", "> MODE Z", "reply 200 for 2", "> MODE S"]);
    desk.hear("200 ok\r\n");
    desk.says(&["> EPSV", "> RETR a"]);
}
