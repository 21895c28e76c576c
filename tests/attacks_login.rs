//! Attacks on the login: guessing, telling names apart, exhausting the password check, writing into the log.
//!
//! A test's name begins with the case of the catalogue that it proves.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use common::processes::{self, child};
use common::{PATIENCE, Peer, SECRET_HASH, Server, connect_from, cpu_ticks_of, leave_descriptors, reset};
use rustix::process::Signal;

/// What "secret" is at a price: a tenth of a second.
const DEAR_HASH: &str = "$5$rounds=1000000$saltsalt$Gn0dtIpCXniTLWq81p995LGu6y3sfONszgVp4Rp5ok2";

/// What "secret" is in Argon2id of 19 MiB.
const LARGE_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$+wrDvEWjVQ9vG5zEe6qwAg$QujDiJwmhbNHas8/82a462L0VxzsQs/AeCb4O/f91C8";

/// A server with ann, whose password is "secret" under this hash; bob's under the usual one.
fn server(limits: &str, hash: &str) -> Server {
    let account = |name: &str, hash: &str| {
        format!("[[account]]\nname = \"{name}\"\npassword = \"{hash}\"\nhome = \"root\"\npermissions = \"full\"\n")
    };
    let accounts = account("ann", hash) + &account("bob", SECRET_HASH);
    Server::with_accounts(&format!("[limits]\n{limits}\n"), &accounts)
}

/// A wrong password, answered or not.
fn guess(ftp: &mut Peer, user: &str, password: &str) -> u16 {
    match ftp.say(format!("USER {user}")).code {
        331 => ftp.say(format!("PASS {password}")).code,
        last => last,
    }
}

/// Whether there is nothing to read at the moment.
fn is_silent(ftp: &Peer) -> bool {
    let mut stream = ftp.stream();
    stream.set_nonblocking(true).unwrap();
    let silent = stream.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    silent
}

#[test]
fn a02_a_name_that_is_not_there_costs_the_check_of_one_that_is() {
    /// What lies far above what the clock of the kernel can be off by.
    const ENOUGH: u64 = 40;
    let server = server("login_delay = \"0s\"", DEAR_HASH);
    // Where everybody's hash is dear, the check of nobody's must be.
    let accounts = server.config().with_file_name("accounts.toml");
    fs::write(&accounts, fs::read_to_string(&accounts).unwrap().replace(SECRET_HASH, DEAR_HASH)).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("reload");
    let verifier = child(server.pid(), "miniftpd: verifier");
    let cost = |user: &str| {
        let before = cpu_ticks_of(verifier);
        assert_eq!(guess(&mut server.connect(), user, "wrong"), 530);
        cpu_ticks_of(verifier) - before
    };
    // In turn, and as often as this machine needs for figures that say something.
    let (mut known, mut unknown) = (0, 0);
    for _ in 0..1000 {
        known += cost("ann");
        unknown += cost("nobody");
        if known >= ENOUGH {
            break;
        }
    }
    assert!(known >= ENOUGH, "the hash is too cheap for this test: {known}");
    // Processor time, not time: what else the machine does is not in it.
    assert!(unknown > known / 2 && unknown < known * 2, "{known} for a name, {unknown} for none");
}

#[test]
fn a03_the_third_wrong_password_is_the_last() {
    let server = server("login_delay = \"0s\"", SECRET_HASH);
    let mut ftp = server.connect();
    assert_eq!([(); 3].map(|()| guess(&mut ftp, "ann", "wrong")), [530, 530, 421]);
    ftp.expect_close();
    // The right one does not come too late on a new connection.
    server.login_as("ann", "secret").is_well();
}

#[test]
fn a04_a_refusal_waits_for_its_timer_and_nobody_waits_with_it() {
    let server = server("login_delay = \"1h\"", SECRET_HASH);
    let mut members: Vec<Peer> = (0..20).map(|_| server.login_as("bob", "secret")).collect();
    let mut guesser = server.connect();
    guesser.say("USER ann").expect(331);
    guesser.order("PASS wrong");
    server.wait_for("failed");
    for ftp in &mut members {
        ftp.is_well();
    }
    assert!(is_silent(&guesser), "answered without delay");
    drop(guesser);
    let slow = self::server("login_delay = \"1s\"", SECRET_HASH);
    let mut ftp = slow.connect();
    let start = Instant::now();
    assert_eq!(guess(&mut ftp, "ann", "wrong"), 530);
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a06_an_address_that_guesses_is_shut_out_and_nobody_else() {
    let server = server("login_delay = \"0s\"\nbans = { failures = 8, for = \"2s\" }", SECRET_HASH);
    let mut member = server.login_as("ann", "secret");
    let mut crowd: Vec<Peer> = (0..20).map(|_| server.connect()).collect();
    // All at once, each its own guess: the eighth ends it for all of them.
    for ftp in &mut crowd {
        ftp.say("USER ann").expect(331);
    }
    for (number, ftp) in crowd.iter_mut().enumerate() {
        ftp.order(format!("PASS wrong{number}"));
    }
    let codes: Vec<u16> = crowd.iter_mut().map(|ftp| ftp.reply().code).collect();
    let refused = codes.iter().filter(|code| **code == 530).count();
    assert!(refused <= 8 && codes.iter().all(|code| matches!(code, 530 | 421)), "{codes:?}");
    let mut late = server.knock();
    late.reply().expect(421).says("login failures");
    late.expect_close();
    // Who is in stays in, the account is open to others, and the ban has an end.
    member.is_well();
    let mut elsewhere = Peer::new(connect_from("127.0.0.2", server.address()));
    elsewhere.reply().expect(220);
    assert_eq!(guess(&mut elsewhere, "ann", "secret"), 230);
    let end = Instant::now() + PATIENCE;
    while server.knock().reply().code != 220 {
        assert!(Instant::now() < end, "banned for ever");
    }
}

#[test]
fn a06_one_old_password_again_and_again_bans_nobody() {
    let server = server("login_delay = \"0s\"\nbans = { failures = 3 }", SECRET_HASH);
    for _ in 0..10 {
        assert_eq!(guess(&mut server.connect(), "ann", "of last year"), 530);
    }
    // The same password for another name is another guess.
    for name in ["bob", "eve"] {
        guess(&mut server.connect(), name, "of last year");
    }
    server.knock().reply().expect(421);
}

#[test]
fn a07_no_order_of_user_and_pass_leaves_rights_behind() {
    let server = server("login_delay = \"0s\"", SECRET_HASH);
    server.put("f", "x");
    let mut ftp = server.connect();
    ftp.say("PASS secret").expect(503);
    ftp.say("USER ann").expect(331);
    ftp.say("PASS secret").expect(230);
    ftp.say("PASS secret").expect(503);
    ftp.say("CWD /").expect(250);
    let data = ftp.epsv();
    // A USER inside the session ends it, whatever comes of the new one.
    ftp.say("USER bob").expect(331);
    for line in ["PWD", "RETR f", "DELE f", "LIST", "MKD d"] {
        ftp.say(line).expect(530);
    }
    ftp.say("PASS wrong").expect(530);
    ftp.say("PASS secret").expect(503);
    ftp.say("PWD").expect(530);
    assert_eq!(guess(&mut ftp, "bob", "secret"), 230);
    ftp.say("RETR f").expect(425);
    drop(data);
    assert!(server.has("f") && !server.has("d"));
    // A command behind PASS waits for the verdict and runs with what it gave.
    let mut ftp = server.connect();
    ftp.send("USER ann\r\nPASS wrong\r\nMKD d\r\n");
    for code in [331, 530, 530] {
        ftp.reply().expect(code);
    }
    assert!(!server.has("d"));
}

#[test]
fn a08_too_many_logins_are_told_to_come_back() {
    // The queue holds 512; the check of one takes far longer than it takes to ask.
    const CROWD: usize = 560;
    let server = server("per_ip = 0\nlogin_delay = \"0s\"", DEAR_HASH);
    let mut member = server.login_as("bob", "secret");
    let mut crowd: Vec<Peer> = (0..CROWD).map(|_| server.connect()).collect();
    for ftp in &mut crowd {
        ftp.say("USER ann").expect(331);
    }
    for ftp in &mut crowd {
        ftp.order("PASS secret");
    }
    let mut last = crowd.pop().unwrap();
    last.reply().expect(421).says("Too many logins");
    last.expect_close();
    member.is_well();
    assert!(is_silent(&crowd[CROWD - 100]), "one of the first 512 was not kept waiting");
    // Who goes away makes room.
    crowd.iter().for_each(|ftp| reset(ftp.stream().try_clone().unwrap()));
    drop(crowd);
    let end = Instant::now() + PATIENCE;
    while guess(&mut server.connect(), "bob", "secret") != 230 {
        assert!(Instant::now() < end, "the queue stays full");
    }
}

#[test]
fn a08_the_memory_of_a_check_is_that_of_one_check() {
    const CROWD: usize = 12;
    let server = server("login_delay = \"0s\"", LARGE_HASH);
    let verifier = child(server.pid(), "miniftpd: verifier");
    let mut crowd: Vec<Peer> = (0..CROWD).map(|_| server.connect()).collect();
    for ftp in &mut crowd {
        ftp.say("USER ann").expect(331);
        ftp.order("PASS secret");
    }
    for ftp in &mut crowd {
        ftp.reply().expect(230);
    }
    let status = fs::read_to_string(format!("/proc/{verifier}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak > 19 << 10 && peak < 2 * (19 << 10), "{peak} KiB at the most");
}

#[test]
fn a10_accounts_with_unusable_hashes_are_off_and_cost_nothing() {
    let hashes = [
        "",
        "*",
        "!",
        "$1$old$x",
        "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    ];
    let account =
        |name: &str, hash: &str| format!("[[account]]\nname = \"{name}\"\npassword = \"{hash}\"\nhome = \"root\"\n");
    let bad: String = hashes.iter().enumerate().map(|(number, hash)| account(&format!("u{number}"), hash)).collect();
    let server = Server::with_accounts("[limits]\nlogin_delay = \"0s\"\n", &(bad + &account("ann", SECRET_HASH)));
    for (number, hash) in hashes.iter().enumerate() {
        for password in ["", hash, "x", "secret"] {
            let code = guess(&mut server.connect(), &format!("u{number}"), password);
            assert_eq!(code, 530, "{hash:?} with {password:?}");
        }
    }
    server.login_as("ann", "secret").is_well();
}

/// All that can be seen of a tree: kind and size or content, mode, time.
fn seen(folder: &Path) -> BTreeMap<String, (Vec<u8>, u32, i64)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.to_string_lossy().into_owned();
        if meta.is_dir() {
            all.extend(seen(&path));
        }
        all.insert(name, (fs::read(&path).unwrap_or_default(), meta.mode(), meta.mtime()));
    }
    all
}

/// Every letter, and the commands that need it. `$` parts commands that belong together: the last one is judged.
const NEEDS: [(char, &[&str]); 11] = [
    ('e', &["CWD sub", "CDUP"]),
    ('l', &["LIST", "NLST", "MLSD", "STAT sub", "AVBL"]),
    ('r', &["RETR a", "HASH a", "XMD5 a", "XCRC a", "XSHA256 a"]),
    ('w', &["STOR new", "STOU", "APPE new", "SITE SYMLINK a link"]),
    ('o', &["STOR a", "RNFR b$RNTO a"]),
    ('a', &["APPE a", "REST 1$STOR a"]),
    ('d', &["DELE a", "RMD empty"]),
    ('f', &["RNFR a"]),
    ('m', &["MKD new"]),
    ('M', &["SITE CHMOD 600 a", "MFF UNIX.mode=0600; a"]),
    (
        'T',
        &[
            "MFMT 20240101000000 a",
            "MDTM 20240101000000 a",
            "SITE UTIME 202401010000 a",
            "MFF modify=20240101000000; a",
        ],
    ),
];

#[test]
fn a13_each_permission_is_needed_by_each_of_its_verbs() {
    let all: String = NEEDS.iter().map(|(letter, _)| letter).collect();
    let account = |name: &str, letters: &str| {
        format!(
            "[[account]]\nname = \"{name}\"\npassword = \"{SECRET_HASH}\"\nhome = \"root/{name}\"\npermissions = \"{letters}\"\n"
        )
    };
    let less = |letter: char| account(&format!("without-{}", u32::from(letter)), &all.replace(letter, ""));
    let accounts = account("full", &all) + &NEEDS.iter().map(|(letter, _)| less(*letter)).collect::<String>();
    // The homes are there before the server: its sandbox knows no others.
    let names = NEEDS.iter().map(|(letter, _)| format!("root/without-{}/a", u32::from(*letter)));
    let names: Vec<String> = names.chain(["root/full/a".to_owned()]).collect();
    let homes = names.iter().map(|name| (name.as_str(), ""));
    let files: Vec<(&str, &str)> = homes.chain([("accounts.toml", accounts.as_str())]).collect();
    let server = Server::launch("127.0.0.1:0", "", &files, |command| command);
    let furnish = |name: &str| {
        // The home itself stays: the server knows it by its descriptor.
        for entry in fs::read_dir(server.path(name)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
        for (file, content) in [("a", "hello"), ("b", "other"), ("sub/x", "")] {
            server.put(format!("{name}/{file}"), content);
        }
        fs::create_dir(server.path(format!("{name}/empty"))).unwrap();
    };
    for (letter, commands) in NEEDS {
        let name = format!("without-{}", u32::from(letter));
        for command in commands {
            // With everything it works, so that what fails without the letter fails for want of it.
            furnish("full");
            let code = last_code(&server, "full", command);
            assert!(matches!(code, 200..400), "{command} with all rights: {code}");
            furnish(&name);
            let before = seen(&server.path(&name));
            let code = last_code(&server, &name, command);
            // HASH has a code of its own for this.
            let refused = code == 550 || code == 552 && command.starts_with("HASH");
            assert!(refused, "{command} without {letter}: {code}");
            assert!(seen(&server.path(&name)) == before, "{command} without {letter} changed something");
        }
    }
}

/// The final reply to the last of the commands, on a session of their own.
fn last_code(server: &Server, name: &str, commands: &str) -> u16 {
    let mut ftp = server.login_as(name, "secret");
    let mut code = 0;
    let mut data = ftp.epsv();
    for command in commands.split('$') {
        code = ftp.say(command).code;
    }
    if code != 150 {
        return code;
    }
    // An upload waits for its end, and a download for somebody who takes it.
    data.shutdown(std::net::Shutdown::Write).unwrap();
    data.read_to_end(&mut Vec::new()).unwrap();
    ftp.reply().code
}

#[test]
fn a14_names_that_forge_log_lines_stay_on_one() {
    let server = Server::full_and("[limits]\nlogin_delay = \"0s\"\n");
    let evil = ["x\rINFO forged", "x\x1b[2Jx", "x\x7fx", "\u{202e}x", "x\u{85}INFO forged", "x\u{2028}INFO forged"];
    for name in evil {
        let mut ftp = server.connect();
        ftp.say(format!("USER {name}"));
        ftp.say("PASS x");
        ftp.say(format!("CLNT {name}"));
        ftp.say("USER ftp").expect(331);
        ftp.say(format!("PASS {name}")).expect(230);
        ftp.say(format!("SIZE {name}"));
        ftp.say(format!("MKD {name}"));
    }
    // What fails on our side is logged with the name that it is about, as the client wrote it.
    let mut ftp = server.login();
    ftp.epsv_address();
    leave_descriptors(&server, 0);
    for name in evil.iter().filter(|name| !name.contains('\r')) {
        ftp.say(format!("RETR {name}")).expect(451);
    }
    server.signal(Signal::TERM);
    let mut log = String::new();
    server.drain_log(&mut log);
    let guests = log.lines().filter(|line| line.contains("a guest who says to be")).count();
    assert_eq!(guests, evil.len() + 1, "{log}");
    let is_tame = |c: char| c == '\n' || !(c.is_control() || matches!(c, '\u{202e}' | '\u{2028}'));
    assert!(log.chars().all(is_tame), "{}", log.escape_debug());
    assert!(log.lines().all(|line| !line.starts_with("INFO forged")), "{log}");
}

#[test]
fn a15_a_password_is_in_no_title_status_or_core() {
    let server = server("", SECRET_HASH);
    let mut ftp = server.login_as("ann", "secret");
    assert!(!ftp.say("STAT").expect(211).text().contains("secret"));
    let children = processes::children(server.pid()).into_iter().map(|(pid, _)| pid);
    for pid in children.chain([processes::Number::number(&server.pid())]) {
        let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(!title.windows(6).any(|word| word == b"secret"), "{}", title.escape_ascii());
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", child(server.pid(), "miniftpd: verifier"))).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn a18_places_are_given_back_however_a_session_ends() {
    let limits = "clients = 3\nper_ip = 3\nper_user = 3\nlogin_delay = \"0s\"";
    let server = server(limits, SECRET_HASH);
    server.put("f", "hello");
    let enter = || {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut ftp = server.knock();
            // The server hears of an end at its own pace.
            if ftp.reply().code == 220 && guess(&mut ftp, "ann", "secret") == 230 {
                return ftp;
            }
            assert!(Instant::now() < end, "a place is lost");
        }
    };
    for round in 0..40 {
        let mut ftp = enter();
        match round % 5 {
            0 => drop(ftp),
            1 => reset(ftp.stream().try_clone().unwrap()),
            2 => drop(ftp.say("QUIT")),
            3 => {
                let _data = ftp.epsv();
                ftp.say("STOR g").expect(150);
                reset(ftp.stream().try_clone().unwrap());
            }
            _ => {
                ftp.say("REIN").expect(220);
                assert_eq!(guess(&mut ftp, "ann", "wrong"), 530);
            }
        }
    }
    let _inside = [enter(), enter(), enter()];
    server.knock().reply().expect(421);
}
#[test]
fn a15_passwords_and_control_octets_never_reach_the_log() {
    let text = "[anonymous]\npermissions = \"full\"\n[log]\nlevel = \"trace\"\n\
                [limits]\nlogin_delay = \"0s\"\n";
    let server = Server::configured(text);
    let mut ftp = server.connect();
    ftp.say("USER someone\x1b[31m\u{202e}").expect(331);
    ftp.say("PASS h\u{fc}nter2-sesame").expect(530);
    ftp.say("PASSh\u{fc}nter2-sesame");
    ftp.say("pass  hünter2-sesame");
    ftp.log_in();
    ftp.say("CWD a\x07b\x1b[2Jc").expect(550);
    ftp.store("STOR e\x1b[31m", b"").expect(226);
    drop(ftp);
    let mut seen = String::new();
    server.signal(Signal::TERM);
    server.drain_log(&mut seen);
    // A password typed where the name belongs must not be there either: unknown names are not written down.
    assert!(seen.contains("an unknown name") && !seen.contains("someone"), "{seen}");
    assert!(!seen.contains("sesame"), "a password in the log");
    assert!(seen.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{}", seen.escape_debug());
}
