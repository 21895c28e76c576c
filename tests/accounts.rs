//! Accounts: who is let in, how often, from where, until when, and what each preset lets them do.

mod common;

use std::fs;
use std::io::Read;

use common::processes::{child, send};
use common::{Peer, SECRET_HASH, Server, connect_from};
use rustix::process::Signal;

/// Accounts of the names given, each with its own lines; all have the password "secret" and live in `root`.
fn server(limits: &str, accounts: &[(&str, &str)]) -> Server {
    let account = |(name, lines): &(&str, &str)| {
        format!("[[account]]\nname = \"{name}\"\npassword = \"{SECRET_HASH}\"\nhome = \"root\"\n{lines}\n")
    };
    let text = format!("[limits]\nlogin_delay = \"0s\"\n{limits}");
    Server::with_accounts(&text, &accounts.iter().map(account).collect::<String>())
}

#[test]
fn anonymous_goes_when_accounts_come() {
    let server = server("", &[("ann", "")]);
    let mut ftp = server.connect();
    ftp.say("USER anonymous").expect(331);
    ftp.say("PASS a@b").expect(530);
    server.login_as("ann", "secret").is_well();
}

#[test]
fn presets_give_what_they_say() {
    let presets =
        [("none", "r-------"), ("read", "rl------"), ("drop", "--w-----"), ("write", "rlwoam--"), ("full", "rlwoamdf")];
    for (preset, letters) in presets {
        let server = server("", &[("ann", &format!("permissions = \"{preset}\""))]);
        server.put("old", "content");
        server.put("doomed", "");
        let mut ftp = server.login_as("ann", "secret");
        let tries = [
            ('r', "RETR old"),
            ('l', "LIST"),
            ('w', "STOR new"),
            ('o', "STOR old"),
            ('a', "APPE old"),
            ('m', "MKD made"),
            ('d', "DELE doomed"),
            ('f', "RNFR old"),
        ];
        for (letter, line) in tries {
            let data = ftp.epsv();
            let code = ftp.say(line).code;
            drop(data);
            if code == 150 {
                ftp.reply();
            }
            let may = preset != "none" && letters.contains(letter);
            assert_eq!(code != 550, may, "{preset}: {line}: {code}");
        }
    }
}

#[test]
fn sessions_of_an_account_are_counted() {
    let server = server("", &[("ann", "sessions = 2"), ("bob", "")]);
    let (first, second) = (server.login_as("ann", "secret"), server.login_as("ann", "secret"));
    let mut third = server.connect();
    third.say("USER ann").expect(331);
    third.say("PASS secret").expect(421);
    server.login_as("bob", "secret").is_well();
    drop(first);
    drop(third);
    // The server hears of that at its own pace.
    let end = std::time::Instant::now() + common::PATIENCE;
    loop {
        let mut again = server.connect();
        again.say("USER ann").expect(331);
        if again.say("PASS secret").code == 230 {
            break;
        }
        assert!(std::time::Instant::now() < end, "the place is not given back");
    }
    drop(second);
}

#[test]
fn addresses_and_dates_shut_accounts() {
    let accounts = [
        ("here", "allow_from = [\"127.0.0.1/32\"]"),
        ("there", "allow_from = [\"10.0.0.0/8\"]"),
        ("past", "expires = \"2001-01-01\""),
        ("future", "expires = \"2101-01-01\""),
    ];
    let server = server("", &accounts);
    for (name, code) in [("here", 230), ("there", 530), ("past", 530), ("future", 230)] {
        let mut ftp = server.connect();
        ftp.say(format!("USER {name}")).expect(331);
        assert_eq!(ftp.say("PASS secret").code, code, "{name}");
    }
    let mut elsewhere = Peer::new(connect_from("127.0.0.2", server.address()));
    elsewhere.reply().expect(220);
    elsewhere.say("USER here").expect(331);
    elsewhere.say("PASS secret").expect(530);
}

#[test]
fn homes_are_roots() {
    let accounts = [("ann", "permissions = \"full\""), ("bob", "permissions = \"full\"")];
    let server = server("", &accounts);
    let text = fs::read_to_string(server.config().with_file_name("accounts.toml")).unwrap();
    fs::create_dir(server.path("bob")).unwrap();
    let moved = text
        .replacen("home = \"root\"", "home = \"root\" # ann", 1)
        .replace("home = \"root\"\nperm", "home = \"root/bob\"\nperm");
    fs::write(server.config().with_file_name("accounts.toml"), moved).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("reload");
    let (mut ann, mut bob) = (server.login_as("ann", "secret"), server.login_as("bob", "secret"));
    bob.store("STOR mine", b"1").expect(226);
    bob.say("CWD ..").expect(250);
    assert_eq!(bob.lines("NLST"), ["mine"]);
    assert_eq!(ann.lines("NLST"), ["bob"]);
    ann.say("SIZE bob/mine").expect(213);
}

#[test]
fn a11_wrong_passwords_are_just_wrong() {
    let server = server("", &[("ann", "")]);
    let long = "secret".to_owned() + &"x".repeat(2000);
    for password in ["", " ", "*", "!", "Secret", "secret ", " secret", "secre", SECRET_HASH, &long] {
        // Each on a connection of its own: the delay grows from try to try.
        let mut ftp = server.connect();
        ftp.say("USER ann").expect(331);
        let reply = ftp.say(format!("PASS {password}"));
        assert_eq!(reply.code, 530, "{} octets: {}", password.len(), reply.text());
    }
    let mut ftp = server.login_as("ann", "secret");
    // In again as somebody else: nothing of the old login is left.
    ftp.say("USER nobody").expect(331);
    ftp.say("PWD").expect(530);
    ftp.say("PASS secret").expect(530);
    ftp.say("PWD").expect(530);
}

#[test]
fn a08_two_hundred_logins_at_once_delay_nobody_else() {
    let account = format!("[[account]]\nname = \"ann\"\npassword = \"{SECRET_HASH}\"\n");
    let server = Server::with_accounts("[limits]\nper_ip = 0\n", &account);
    let mut other = server.login_as("ann", "secret");
    let mut crowd: Vec<Peer> = (0..200).map(|_| server.connect()).collect();
    for ftp in &mut crowd {
        ftp.say("USER ann").expect(331);
    }
    // However dear a hash may be: this check takes until it is let go on.
    let verifier = child(server.pid(), "miniftpd: verifier");
    send(verifier, Signal::STOP);
    for ftp in &mut crowd {
        ftp.order("PASS secret");
    }
    for _ in 0..10 {
        other.is_well();
    }
    let mut last = crowd.last().unwrap().stream();
    last.set_nonblocking(true).unwrap();
    let waits = last.read(&mut [0]).is_err();
    last.set_nonblocking(false).unwrap();
    assert!(waits, "checked by whom?");
    send(verifier, Signal::CONT);
    for ftp in &mut crowd {
        ftp.reply().expect(230);
    }
}
