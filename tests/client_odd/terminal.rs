//! The shell on a terminal, which script(1) provides: completion, Ctrl-C, and what is said while somebody types.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::fake::{Client, Fake, Talk, says};
use crate::plain;

/// How long something on the screen is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A prompt with nothing behind it yet. Lines of the log hold "> " as well.
const EMPTY: &str = "/> \r";

struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    /// `None`: there is no script(1).
    fn start(client: &Client, arguments: &[&str]) -> Option<Self> {
        let words: Vec<String> = arguments.iter().map(|word| format!("'{word}'")).collect();
        let line = format!("{} {}", env!("CARGO_BIN_EXE_miniftp"), words.join(" "));
        let mut command = std::process::Command::new("script");
        command.args(["-qfec", &line, "/dev/null"]).current_dir(client.path(""));
        command.env("HOME", client.path("")).env("TERM", "xterm").env_remove("XDG_STATE_HOME");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let (keys, mut shown) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = shown.read(&mut piece) {
                let _ = sender.send(piece[..count].to_vec());
            }
        });
        Some(Self { child, keys, screen, seen: String::new() })
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is on the screen behind what was waited for before.
    #[track_caller]
    fn sees(&mut self, what: &str) {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.seen.find(what) {
                self.seen.drain(..at + what.len());
                return;
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(piece) => self.seen += &String::from_utf8_lossy(&piece),
                Err(why) => panic!("no {what:?} ({why}): {:?}", self.seen),
            }
        }
    }

    /// Leaves; everything that was still to be seen.
    fn ends(mut self) -> String {
        self.types("bye\r");
        while let Ok(piece) = self.screen.recv_timeout(PATIENCE) {
            self.seen += &String::from_utf8_lossy(&piece);
        }
        self.child.wait().unwrap();
        self.seen
    }
}

#[test]
fn names_are_completed_without_a_listing_having_been_asked_for() {
    let (fake, client) = (Fake::start(&[("alpha.txt", b"hello"), ("two words", b"x")], plain), Client::new());
    let Some(mut terminal) = Terminal::start(&client, &["--tls", "off", &fake.url("")]) else { return };
    terminal.sees("> ");
    terminal.types("get al\t");
    terminal.sees("get alpha.txt");
    terminal.types("\r");
    terminal.sees("5 bytes");
    terminal.sees("> ");
    terminal.types("get tw\t");
    terminal.sees("two\\ words");
    terminal.types("\r");
    terminal.sees("1 bytes");
    terminal.ends();
    assert_eq!(client.read("alpha.txt"), Some(b"hello".to_vec()));
    assert_eq!(fake.heard("MLSD"), 1, "one listing serves two names");
}

#[test]
fn an_interrupt_ends_the_transfer_and_not_the_shell() {
    let stalls = |talk: &mut Talk, verb: &str, _: &str| match verb {
        "RETR" => {
            talk.say("150 now");
            let mut data = talk.data().unwrap();
            data.write_all(b"he").unwrap();
            // Until the client closes it.
            let _ = data.read_to_end(&mut Vec::new());
            talk.say("426 lost");
            true
        }
        "ABOR" => {
            talk.say("226 aborted");
            true
        }
        _ => false,
    };
    let (fake, client) = (Fake::start(&[("a", b"hello")], stalls), Client::new());
    let Some(mut terminal) = Terminal::start(&client, &["--tls", "off", "-t", "30", &fake.url("")]) else { return };
    terminal.sees("> ");
    terminal.types("get a\r");
    // The bar says that it is under way.
    terminal.sees("2 B of");
    terminal.types("\x03");
    terminal.sees("interrupted");
    terminal.sees("> ");
    terminal.types("pwd\r");
    terminal.sees("/\r\n");
    terminal.ends();
    assert_eq!((fake.heard("RETR"), client.read("a")), (1, None));
    let heard = fake.shared.heard.lock().unwrap();
    assert!(heard.iter().any(|line| line.contains("ABOR")), "{heard:?}");
}

#[test]
fn nobody_is_logged_in_who_did_not_say_so_and_no_log_holds_what_is_typed() {
    let (fake, client) = (Fake::start(&[("a", b"hello")], plain), Client::new());
    let Some(mut terminal) = Terminal::start(&client, &["-N", "-v", "--tls", "off", &fake.url("")]) else { return };
    terminal.sees("not logged in");
    terminal.types("ls\r");
    terminal.sees("user NAME");
    terminal.sees("> ");
    assert_eq!(*fake.shared.sessions.lock().unwrap(), 0);
    terminal.types("user ann hidden\r");
    terminal.sees("PASS ****");
    let rest = terminal.ends();
    assert!(!rest.contains("SelfInsert") && !rest.contains("rustyline"), "{rest}");
    assert_eq!((fake.heard("USER ann"), fake.heard("PASS hidden")), (1, 1));
}

#[test]
fn an_interrupt_ends_the_question_for_a_password() {
    // In the shell it leads back to the prompt, and what is typed there is heard and seen.
    let (fake, client) = (Fake::start(&[("a", b"hello")], plain), Client::new());
    let Some(mut terminal) = Terminal::start(&client, &["--tls", "off"]) else { return };
    terminal.sees("> ");
    terminal.types(&format!("open ftp://ann@{}\r", fake.address));
    terminal.sees("Password for ann@127.0.0.1: ");
    terminal.types("half\x03");
    terminal.sees("interrupted");
    terminal.sees("> ");
    terminal.types("lpwd\r");
    terminal.sees("lpwd");
    terminal.sees(client.path("").to_str().unwrap().trim_end_matches('/'));
    terminal.types(&format!("open ftp://ann@{}\r", fake.address));
    terminal.sees("Password for ann@127.0.0.1: ");
    terminal.types("whole\r");
    terminal.sees("> ");
    terminal.ends();
    assert_eq!((fake.heard("PASS whole"), fake.heard("PASS")), (1, 1));
    // A verb ends by it.
    let Some(mut terminal) = Terminal::start(&client, &["--tls", "off", "ls", &format!("ftp://ann@{}/", fake.address)])
    else {
        return;
    };
    terminal.sees("Password for ann@127.0.0.1: ");
    terminal.types("\x03");
    terminal.sees("interrupted");
    assert_eq!(terminal.child.wait().unwrap().code(), Some(130));
}

#[test]
fn an_interrupt_at_a_question_ends_the_whole_command() {
    let (fake, client) = (Fake::start(&[("a1", b"1"), ("a2", b"2"), ("a3", b"3")], plain), Client::new());
    let Some(mut terminal) = Terminal::start(&client, &["--tls", "off", &fake.url("")]) else { return };
    terminal.sees("> ");
    client.write("a9", b"9");
    for (command, question) in [("mdelete a*", "mdelete a1"), ("mget a*", "mget a1"), ("mput a*", "mput a9")] {
        terminal.types(&format!("{command}\r"));
        terminal.sees(question);
        terminal.sees("? ");
        terminal.types("\x03");
        terminal.sees("interrupted");
        terminal.sees("> ");
    }
    let rest = terminal.ends();
    assert!(!rest.contains("a2"), "{rest}");
    assert_eq!((fake.heard("DELE"), fake.heard("RETR"), fake.heard("STOR")), (0, 0, 0));
}

#[test]
fn the_log_stands_above_the_prompt_and_passwords_are_no_history() {
    let (fake, client) = (Fake::start(&[("alpha", b"1")], plain), Client::new());
    let Some(mut terminal) = Terminal::start(&client, &["-v", "--tls", "off", &fake.url("")]) else { return };
    terminal.sees(EMPTY);
    // The listing for a completion is fetched while the line is on the screen.
    terminal.types("get al\t");
    terminal.sees("<--- 226");
    // What was typed is drawn again below what was said.
    terminal.sees("/> get alpha");
    terminal.types("\x03");
    terminal.sees(EMPTY);
    terminal.types("us ann hidden\r");
    terminal.sees("PASS ****");
    terminal.sees(EMPTY);
    terminal.types("lpwd\r");
    terminal.sees(EMPTY);
    terminal.ends();
    let history = std::fs::read_to_string(client.path(".local/state/miniftp/history")).unwrap();
    assert!(history.contains("lpwd") && !history.contains("hidden"), "{history}");
}

#[test]
fn all_transfers_together_have_a_length() {
    let go_on = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&go_on);
    let halves = move |talk: &mut Talk, verb: &str, argument: &str| {
        verb == "RETR" && {
            let file = talk.file(argument).unwrap();
            talk.say("150 now");
            let mut data = talk.data().unwrap();
            data.write_all(&file[..file.len() / 2]).unwrap();
            let begun = Instant::now();
            while !seen.load(Ordering::Relaxed) && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(10));
            }
            data.write_all(&file[file.len() / 2..]).unwrap();
            drop(data);
            talk.say("226 done");
            true
        }
    };
    let files: [(&str, &[u8]); 3] = [("a", &[b'a'; 1024]), ("b", &[b'b'; 2048]), ("c", &[b'c'; 3072])];
    let (fake, client) = (Fake::start(&files, halves), Client::new());
    let urls = ["a", "b", "c"].map(|name| fake.url(name));
    let arguments = ["--tls", "off", "-P", "3", "get", &urls[0], &urls[1], &urls[2]];
    let Some(mut terminal) = Terminal::start(&client, &arguments) else { return };
    terminal.sees("all together");
    // Once all sizes are known: 3 of 6 KiB.
    terminal.sees("3.00 KiB of   6.00 KiB");
    go_on.store(true, Ordering::Relaxed);
    terminal.sees("3072 bytes");
    terminal.ends();
    assert_eq!(client.names().len(), 3);
}

#[test]
fn a_completed_name_runs_nothing_here() {
    // Whoever may write to a server chooses what its files are called.
    let names = ["r1&!touch ran", "s1;!touch ran", "|touch ran", "-o", "q\"!x'; #"];
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, b"hello".as_slice())).collect();
    let (fake, client) = (Fake::start(&files, plain), Client::new());
    let Some(mut terminal) = Terminal::start(&client, &["--tls", "off", &fake.url("")]) else { return };
    terminal.sees("> ");
    let typed =
        [("get r", "r1"), ("get s", "s1"), (r"get \|", "./"), ("get -", "./"), ("get q", "q\\\""), ("mget s", "s1")];
    for (beginning, completed) in typed {
        terminal.types(&format!("{beginning}\t"));
        terminal.sees(completed);
        terminal.types("\r");
        if beginning == "mget s" {
            terminal.sees("[ynapq]? ");
            terminal.types("y\r");
        }
        terminal.sees("5 bytes");
        terminal.sees("> ");
    }
    terminal.ends();
    assert_eq!(client.read("ran"), None);
    for name in names {
        assert_eq!(client.read(name), Some(b"hello".to_vec()), "{name}");
    }
}

#[test]
fn an_interrupt_ends_a_command_beside_a_verb_and_not_the_shell() {
    let aborts = says(&[("ABOR", "226 aborted\r\n")]);
    let (fake, client) = (Fake::start(&[("a", b"hello")], aborts), Client::new());
    let Some(mut terminal) = Terminal::start(&client, &["--tls", "off", &fake.url("")]) else { return };
    // A program that says something and then waits; a shell that is interrupted between the two would go on.
    client.write("note", b"ready\n");
    for line in [
        // The transfer is over, and the command is waited for.
        "get a \"|cat; exec tail -f note >&2\"",
        "cat a |exec tail -f note",
        "ls |exec tail -f note",
        // The transfer waits for the command.
        "put \"|exec tail -f note >&2\" sent",
        "!exec tail -f note",
    ] {
        terminal.sees("> ");
        terminal.types(&format!("{line}\r"));
        terminal.sees("ready");
        terminal.types("\x03");
        // Or "aborted", where the transfer was not over yet.
        terminal.sees("ted\r\n");
        terminal.sees("> ");
        // Nothing is left of the interrupt.
        terminal.types("!echo after | tr a-z A-Z\r");
        terminal.sees("AFTER");
    }
    terminal.sees("> ");
    // What takes Ctrl-C for itself goes on, and so does the shell.
    terminal.types("!trap 'echo trap''ped; exit 0' INT; echo re''ady; while sleep 1; do :; done\r");
    terminal.sees("ready");
    terminal.types("\x03");
    terminal.sees("trapped");
    terminal.sees("> ");
    terminal.types("pwd\r");
    terminal.sees("/\r\n");
    terminal.ends();
}
