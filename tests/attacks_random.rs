//! Dialogues that nobody wrote, and what holds in all of them. `scripts/fuzz` tries many more, with the session alone in
//! memory; here the whole server stands behind the words.
//!
//! A test's name begins with the case of the catalogue that it proves.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::{Peer, Server, connect, noise, reset, rows};

/// Commands to each server. Each may have a transfer behind it.
const COMMANDS: usize = 2500;

/// What lies outside the root, in a file and in its name.
const SECRET: &[u8] = b"the-secret";

/// Arguments: names that are there and that are not, ways out, numbers, words of one verb or another, and nonsense.
const ARGUMENTS: [&str; 72] = [
    "",
    " ",
    "a.bin",
    "t.txt",
    "sub",
    "sub/inner",
    "sub/deep",
    "empty",
    "new",
    "new/x",
    "up",
    "/",
    ".",
    "..",
    "../..",
    "../outside",
    "../outside/the-secret",
    "out",
    "out/the-secret",
    "abs",
    "abs/the-secret",
    "file",
    "loop",
    "pipe",
    "/sub/../../outside/the-secret",
    "sub/../..",
    "-a",
    "-laR",
    "-R /",
    "*",
    "*/*",
    "[a-z]*",
    "sub/*",
    "%2e%2e",
    "..\\",
    "~",
    "0",
    "1",
    "-1",
    "3",
    "9223372036854775807",
    "18446744073709551616",
    "1e3",
    "0 1",
    "1 0",
    "A",
    "I",
    "E",
    "L 8",
    "S",
    "Z",
    "F",
    "R",
    "ALL",
    "2",
    "127,0,0,1,255,255",
    "127,0,0,2,200,10",
    "|1|127.0.0.1|65535|",
    "|3|x|1|",
    "TLS",
    "P",
    "C",
    "anonymous",
    "x\u{202e}\x1b[2J",
    "UTF8 ON",
    "MLST type;size;",
    "HASH MD5",
    "20240229120000 a.bin",
    "modify=20240101000000; t.txt",
    "CHMOD 777 file",
    "SYMLINK ../outside link",
    "UMASK 000",
];

/// Numbers that look like nothing in particular, the same in each run.
struct Dice(std::vec::IntoIter<u8>);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        let mut byte = || usize::from(self.0.next().expect("enough of them"));
        (byte() << 8 | byte()) % end
    }

    fn line(&mut self) -> String {
        let verbs: Vec<&String> = rows().keys().collect();
        // What ends a session or asks for silence says little about anything else.
        let verb = match verbs[self.below(verbs.len())].as_str() {
            "QUIT" | "REIN" | "USER" | "HOST" if self.below(8) > 0 => "EPSV",
            verb => verb,
        };
        let argument = ARGUMENTS[self.below(ARGUMENTS.len())];
        match self.below(16) {
            0 => format!("{verb}{argument}"),
            1 => format!("{verb}  {argument}\0{}", ARGUMENTS[self.below(ARGUMENTS.len())]),
            2 => format!("{verb} {argument}/{}", ARGUMENTS[self.below(ARGUMENTS.len())]),
            3 | 4 => verb.to_owned(),
            _ => format!("{verb} {argument}"),
        }
    }
}

/// Links of every kind that lead out, as far as an earlier command has removed or renamed them.
fn plant(server: &Server, secret: &Path) {
    let links: [(&Path, &str); 4] =
        [(&server.outside(), "abs"), (Path::new("../outside"), "out"), (secret, "file"), (Path::new("loop"), "loop")];
    for (target, name) in links {
        let _there_already = symlink(target, server.path(name));
    }
}

#[test]
fn r18_whatever_is_said_has_one_answer_and_leads_nowhere_outside() {
    // With the walls around the process, and without: whatever they would hold back is not to be tried in the first place.
    for mode in ["best-effort", "off"] {
        wander(&Server::full_and(&format!("[sandbox]\nmode = \"{mode}\"\n")));
    }
}

fn wander(server: &Server) {
    for (name, content) in [("a.bin", "hello"), ("t.txt", "x\ny\n"), ("sub/inner", "12"), ("sub/deep/x", "")] {
        server.put(name, content);
    }
    let secret = server.outside().join(std::str::from_utf8(SECRET).unwrap());
    fs::write(&secret, SECRET).unwrap();
    let before = fs::metadata(&secret).unwrap();
    let mut dice = Dice(noise(16 * COMMANDS).into_iter());
    let (mut ftp, mut passive) = (server.login(), None);
    for _ in 0..COMMANDS {
        plant(server, &secret);
        let line = dice.line();
        // Each reply is held against the row of the verb that is owed one.
        let reply = ftp.say(&line);
        let code = match reply.code {
            227 | 229 => {
                passive = Some(promised(&ftp, reply.code, &reply.text()));
                reply.code
            }
            150 => {
                let seen = transfer(&mut dice, passive.take());
                assert!(!seen.windows(SECRET.len()).any(|window| window == SECRET), "{line:?} brought the secret");
                ftp.reply().code
            }
            code => code,
        };
        match code {
            200 if line.starts_with("PORT") || line.starts_with("EPRT") => passive = None,
            221 | 421 => (ftp, passive) = (server.login(), None),
            // Nobody is in any more.
            530 if dice.below(4) == 0 => (ftp, passive) = (server.login(), None),
            _ => {}
        }
        if dice.below(64) == 0 {
            ftp.is_well();
        }
    }
    drop(ftp);
    server.login().is_well();
    let after = fs::metadata(&secret).unwrap();
    assert_eq!(fs::read(&secret).unwrap(), SECRET);
    assert_eq!((before.permissions(), before.modified().unwrap()), (after.permissions(), after.modified().unwrap()));
    assert_eq!(fs::read_dir(server.outside()).unwrap().count(), 1, "something was made outside");
}

/// The address in the text of a 227 or a 229.
fn promised(ftp: &Peer, code: u16, text: &str) -> SocketAddr {
    let numbers: Vec<u16> = text.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    let port = if code == 227 { numbers[4] << 8 | numbers[5] } else { numbers[0] };
    SocketAddr::new(ftp.stream().peer_addr().unwrap().ip(), port)
}

/// What a client may do with a data connection, where it is the one who connects. What it read, if it did.
fn transfer(dice: &mut Dice, passive: Option<SocketAddr>) -> Vec<u8> {
    let mut seen = Vec::new();
    let Some(address) = passive else { return seen };
    let mut data = connect(address);
    match dice.below(4) {
        0 => reset(data),
        1 => drop(data.write_all(b"something")),
        _ => {
            // An upload waits for the client, and whoever is only read from says nothing.
            let _gone = data.shutdown(std::net::Shutdown::Write);
            let _reset = data.read_to_end(&mut seen);
        }
    }
    seen
}
