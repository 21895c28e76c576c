//! A server that can be as odd as the test wants: it behaves unless the test's rule takes a command over.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long the server waits for a data connection or bytes on one: a client that never comes must not hang a test.
const PATIENCE: Duration = Duration::from_secs(20);

pub use crate::common::client::Client;

pub type Files = BTreeMap<String, Vec<u8>>;

/// A rule sees each command first. True: it has dealt with it.
pub type Rule = dyn Fn(&mut Talk, &str, &str) -> bool + Send + Sync;

/// What the test can look at and what sessions share.
#[derive(Default)]
pub struct Shared {
    pub files: Mutex<Files>,
    /// Every command line, in order, all sessions mixed.
    pub heard: Mutex<Vec<String>>,
    pub sessions: Mutex<usize>,
}

pub struct Fake {
    pub address: SocketAddr,
    pub shared: Arc<Shared>,
}

/// One session.
pub struct Talk {
    pub control: TcpStream,
    pub lines: BufReader<TcpStream>,
    pub shared: Arc<Shared>,
    pub passive: Option<TcpListener>,
    pub active: Option<SocketAddr>,
    pub restart: usize,
    /// Which session this is, from 1 on.
    pub number: usize,
    /// How often each verb was heard in this session.
    pub count: BTreeMap<String, usize>,
}

impl Fake {
    pub fn start(
        files: &[(&str, &[u8])],
        rule: impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), files, rule)
    }

    pub fn on(
        listener: TcpListener,
        files: &[(&str, &[u8])],
        rule: impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        for (name, bytes) in files {
            shared.files.lock().unwrap().insert((*name).to_owned(), bytes.to_vec());
        }
        let rule: Arc<Rule> = Arc::new(rule);
        let all = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (all, rule) = (Arc::clone(&all), Arc::clone(&rule));
                thread::spawn(move || serve(stream, all, &*rule));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("ftp://{}/{path}", self.address)
    }

    /// How often a command that begins so was heard.
    pub fn heard(&self, start: &str) -> usize {
        self.shared.heard.lock().unwrap().iter().filter(|line| line.starts_with(start)).count()
    }
}

fn serve(stream: TcpStream, shared: Arc<Shared>, rule: &Rule) {
    let number = {
        let mut sessions = shared.sessions.lock().unwrap();
        *sessions += 1;
        *sessions
    };
    stream.set_nodelay(true).unwrap();
    let lines = BufReader::new(stream.try_clone().unwrap());
    let count = BTreeMap::new();
    let mut talk = Talk { control: stream, lines, shared, passive: None, active: None, restart: 0, number, count };
    if !rule(&mut talk, "", "") {
        talk.say("220 fake ready");
    }
    loop {
        let mut line = Vec::new();
        match talk.lines.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        talk.shared.heard.lock().unwrap().push(line.clone());
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let verb = verb.trim_start_matches(|letter: char| !letter.is_ascii_alphabetic()).to_ascii_uppercase();
        *talk.count.entry(verb.clone()).or_default() += 1;
        if !rule(&mut talk, &verb, argument) {
            talk.obey(&verb, argument);
        }
        if verb == "QUIT" {
            return;
        }
    }
}

impl Talk {
    pub fn say(&mut self, line: &str) {
        self.raw(format!("{line}\r\n").as_bytes());
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        // A client may have left; its exit code is what the test looks at.
        let _ = self.control.write_all(bytes);
    }

    /// The argument of the last command.
    pub fn heard_last(&self) -> String {
        let heard = self.shared.heard.lock().unwrap();
        heard.last().and_then(|line| line.split_once(' ')).map(|(_, argument)| argument.to_owned()).unwrap_or_default()
    }

    pub fn times(&self, verb: &str) -> usize {
        self.count.get(verb).copied().unwrap_or(0)
    }

    pub fn hang_up(&mut self) {
        let _ = self.control.shutdown(std::net::Shutdown::Both);
    }

    /// Throws away what was sent ahead, what comes within a moment included. Whether there was anything.
    pub fn forget_lines(&mut self) -> bool {
        let held = self.lines.buffer().len();
        self.lines.consume(held);
        self.control.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let came = self.control.read(&mut [0; 4096]).unwrap_or(0);
        self.control.set_read_timeout(None).unwrap();
        held + came > 0
    }

    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        self.shared.files.lock().unwrap().get(name.trim_start_matches('/')).cloned()
    }

    pub fn listen(&mut self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        self.passive = Some(listener);
        port
    }

    /// The data connection, however it comes about.
    pub fn data(&mut self) -> Option<TcpStream> {
        let stream = match (self.passive.take(), self.active.take()) {
            (Some(listener), _) => accept(&listener)?,
            (None, Some(address)) => TcpStream::connect(address).ok()?,
            (None, None) => return None,
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(stream)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.say("150 here it comes");
        match self.data() {
            Some(mut data) => {
                let sent = data.write_all(bytes);
                drop(data);
                self.say(if sent.is_ok() { "226 done" } else { "426 lost" });
            }
            None => self.say("425 no data connection"),
        }
    }

    pub fn receive(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(mut data) = self.data() {
            let _ = data.read_to_end(&mut bytes);
        }
        bytes
    }

    pub fn obey(&mut self, verb: &str, argument: &str) {
        match verb {
            "USER" => self.say("331 password please"),
            "PASS" => self.say("230 in"),
            "FEAT" => self.raw(b"211-Features:\r\n EPSV\r\n MDTM\r\n MLST type*;size*;modify*;\r\n REST STREAM\r\n SIZE\r\n211 End\r\n"),
            "TYPE" | "NOOP" | "OPTS" | "CLNT" => self.say("200 fine"),
            "PWD" => self.say("257 \"/\" here"),
            "CWD" => self.say("250 there"),
            "SYST" => self.say("215 UNIX Type: L8"),
            "QUIT" => self.say("221 bye"),
            "SIZE" => match self.file(argument) {
                Some(file) => self.say(&format!("213 {}", file.len())),
                None => self.say("550 no such file"),
            },
            "MDTM" => match self.file(argument) {
                Some(_) => self.say("213 20240309170509"),
                None => self.say("550 no such file"),
            },
            "MLST" => match self.file(argument) {
                Some(file) => {
                    let facts = format!("250-x\r\n type=file;size={};modify=20240309170509; {argument}\r\n250 end", file.len());
                    self.say(&facts);
                }
                None => self.say("550 no such file"),
            },
            "EPSV" => {
                let port = self.listen();
                self.say(&format!("229 Entering Extended Passive Mode (|||{port}|)"));
            }
            "PASV" => {
                let port = self.listen();
                self.say(&format!("227 Entering Passive Mode (127,0,0,1,{},{}).", port >> 8, port & 255));
            }
            "PORT" => {
                let numbers: Vec<u16> = argument.split(',').map(|number| number.parse().unwrap()).collect();
                self.active = Some(SocketAddr::from(([127, 0, 0, 1], numbers[4] << 8 | numbers[5])));
                self.say("200 ok");
            }
            "REST" => {
                self.restart = argument.parse().unwrap();
                self.say("350 ok");
            }
            "RETR" => {
                let from = std::mem::take(&mut self.restart);
                match self.file(argument) {
                    Some(file) => self.send(file.get(from..).unwrap_or_default()),
                    None => self.say("550 no such file"),
                }
            }
            "STOR" | "APPE" => {
                let from = std::mem::take(&mut self.restart);
                self.say("150 go on");
                let bytes = self.receive();
                let name = argument.trim_start_matches('/').to_owned();
                {
                    let mut files = self.shared.files.lock().unwrap();
                    let file = files.entry(name).or_default();
                    let keep = if verb == "APPE" { file.len() } else { from };
                    file.truncate(keep);
                    file.extend_from_slice(&bytes);
                }
                self.say("226 stored");
            }
            _ => self.list(verb),
        }
    }

    /// The files in a listing.
    fn list(&mut self, verb: &str) {
        match verb {
            "MLSD" => {
                let lines = self.shared.files.lock().unwrap().iter().fold(String::new(), |all, (name, file)| {
                    all + &format!("type=file;size={};modify=20240309170509; {name}\r\n", file.len())
                });
                self.send(lines.as_bytes());
            }
            "LIST" => {
                let lines = self.shared.files.lock().unwrap().iter().fold(String::new(), |all, (name, file)| {
                    all + &format!("-rw-r--r-- 1 a b {} Mar  9  2024 {name}\r\n", file.len())
                });
                self.send(lines.as_bytes());
            }
            "NLST" => {
                let names: Vec<String> = self.shared.files.lock().unwrap().keys().cloned().collect();
                self.send((names.join("\r\n") + "\r\n").as_bytes());
            }
            _ => self.say("500 unknown"),
        }
    }
}

fn accept(listener: &TcpListener) -> Option<TcpStream> {
    let patience = Timespec::try_from(PATIENCE).unwrap();
    let called = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&patience)).unwrap() > 0;
    called.then(|| listener.accept().unwrap().0)
}

/// A rule that answers verbs with fixed text, line ends and all; "" is the greeting.
pub fn says(table: &[(&'static str, &'static str)]) -> impl Fn(&mut Talk, &str, &str) -> bool + Send + Sync + 'static {
    let table = table.to_vec();
    move |talk, verb, _| match table.iter().find(|(known, _)| *known == verb) {
        Some((_, text)) => {
            talk.raw(text.as_bytes());
            true
        }
        None => false,
    }
}
