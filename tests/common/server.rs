//! The built server as a child process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{PATIENCE, Peer, connect};

/// What the configuration says of anonymous users that may do everything: no password, so no second process.
const FULL: &str = "[anonymous]\npermissions = \"full\"\n";

/// A running server and its folder: `root` is served, `outside` lies beside it. Killed when dropped.
pub struct Server {
    child: Child,
    folder: TempDir,
    log: Receiver<String>,
    address: SocketAddr,
    beginning: String,
}

impl Server {
    /// Anonymous and read-only, on IPv4.
    pub fn read_only() -> Self {
        Self::configured("")
    }

    /// Anonymous with every right, on IPv4.
    pub fn full() -> Self {
        Self::configured(FULL)
    }

    /// As [`Server::full`], with a few things in it.
    pub fn furnished() -> Self {
        let server = Self::full();
        server.put("a.bin", "hello");
        server.put("t.txt", "x\ny\n");
        server.put("sub/inner", "12");
        server.put("sub/deep/x", "");
        fs::create_dir(server.path("empty")).unwrap();
        server
    }

    /// As [`Server::full`], with more in the configuration: tables, since `[anonymous]` comes first.
    pub fn full_and(tables: &str) -> Self {
        Self::configured(&format!("{FULL}{tables}"))
    }

    /// Every right on another address.
    pub fn full_on(listen: &str) -> Self {
        Self::launch(listen, FULL, &[], |command| command)
    }

    /// With a configuration of one's own, on IPv4.
    pub fn configured(text: &str) -> Self {
        Self::launch("127.0.0.1:0", text, &[], |command| command)
    }

    /// With an accounts file too.
    pub fn with_accounts(text: &str, accounts: &str) -> Self {
        Self::launch("127.0.0.1:0", text, &[("accounts.toml", accounts)], |command| command)
    }

    /// Started by `wrap`, which gets the command that would be run and returns the one that is.
    pub fn launch(listen: &str, text: &str, files: &[(&str, &str)], wrap: impl FnOnce(Command) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["root", "outside"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let config = folder.path().join("miniftpd.toml");
        fs::write(&config, format!("listen = [\"{listen}\"]\nroot = \"root\"\n{text}")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_miniftpd"));
        command.arg("--config").arg(&config);
        // Whatever a test makes the server do: a system call that its sandbox does not know ends it.
        command.env("MINIFTPD_SANDBOX_AUDIT", "1");
        command.stdin(Stdio::null());
        let mut child = wrap(command).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, log) = channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || pass_on(stderr, &sender));
        let mut server =
            Server { child, folder, log, address: SocketAddr::from(([0; 4], 0)), beginning: String::new() };
        let (before, line) = server.read_to("listening on ");
        server.address = line.rsplit(' ').next().unwrap().parse().unwrap();
        server.beginning = before;
        server
    }

    /// What it logged before it listened.
    pub fn beginning(&self) -> &str {
        &self.beginning
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder that is served.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A folder beside it that no client may ever reach.
    pub fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("miniftpd.toml")
    }

    /// A path in the folder that is served; the name may be any bytes.
    pub fn path(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.root().join(Path::new(std::ffi::OsStr::from_bytes(name.as_ref())))
    }

    /// Puts a file there, with the directories above it.
    pub fn put(&self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// What a file there holds.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Whether something of that name is there, a broken link included.
    pub fn has(&self, name: impl AsRef<[u8]>) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    /// A newcomer who has heard the greeting.
    pub fn connect(&self) -> Peer {
        let mut peer = self.knock();
        peer.reply().expect(220);
        peer
    }

    /// A newcomer who has not read a byte.
    pub fn knock(&self) -> Peer {
        Peer::new(connect(self.address))
    }

    /// A guest who is in.
    pub fn login(&self) -> Peer {
        let mut peer = self.connect();
        peer.log_in();
        peer
    }

    /// Somebody with an account who is in.
    pub fn login_as(&self, name: &str, password: &str) -> Peer {
        let mut peer = self.connect();
        peer.say(format!("USER {name}")).expect(331);
        peer.say(format!("PASS {password}")).expect(230);
        peer
    }

    /// Reads the log up to a line with `words`, and returns it.
    pub fn wait_for(&self, words: &str) -> String {
        self.read_to(words).1
    }

    /// The log up to a line with `words`, and that line.
    fn read_to(&self, words: &str) -> (String, String) {
        let mut seen = String::new();
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(words) => return (seen, line),
                Ok(line) => seen += &line,
                Err(error) => panic!("no \"{words}\" in the log ({error}):\n{seen}"),
            }
        }
    }

    /// Reads the rest of the log, up to the end of its last process.
    pub fn drain_log(&self, into: &mut String) {
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            *into += &line;
            into.push('\n');
        }
    }

    /// The process that was started.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal to it.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The exit code, once all its processes are gone: only then does the log end.
    pub fn end(mut self) -> Option<i32> {
        while self.log.recv_timeout(PATIENCE).map_err(|error| assert!(is_end(error), "it does not end")).is_ok() {}
        self.child.wait().unwrap().code()
    }

    /// Tells it to end, waits until it has, and returns its folder.
    pub fn end_in(mut self) -> TempDir {
        self.signal(Signal::TERM);
        while self.log.recv_timeout(PATIENCE).map_err(|error| assert!(is_end(error), "it does not end")).is_ok() {}
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// Waits until the server has no more descriptors than it needs for one session: nothing was leaked.
    pub fn settled(&self, _of: &Peer) {
        let end = std::time::Instant::now() + PATIENCE;
        // Standard streams, poller, signals, listener with its reserve, roots, passive ports, and the one session.
        const ENOUGH: usize = 24;
        while self.descriptors() > ENOUGH {
            assert!(std::time::Instant::now() < end, "{} descriptors stay open", self.descriptors());
            std::thread::yield_now();
        }
    }

    /// How many descriptors the process has open.
    pub fn descriptors(&self) -> usize {
        self.open_descriptors().count()
    }

    /// Their numbers and what they are open on.
    pub fn open_files(&self) -> impl Iterator<Item = (usize, String)> {
        let folder = PathBuf::from(format!("/proc/{}/fd", self.child.id()));
        let what =
            move |number: &usize| Some(fs::read_link(folder.join(number.to_string())).ok()?.display().to_string());
        self.open_descriptors().filter_map(move |number| Some((number, what(&number)?)))
    }

    /// Their numbers.
    pub fn open_descriptors(&self) -> impl Iterator<Item = usize> {
        let all = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        all.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}

fn is_end(error: std::sync::mpsc::RecvTimeoutError) -> bool {
    matches!(error, std::sync::mpsc::RecvTimeoutError::Disconnected)
}

/// Keeps the pipe empty, so that the server never finds it full.
fn pass_on(stderr: ChildStderr, to: &Sender<String>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    while stderr.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        // A test that is over reads no log; the pipe is emptied all the same.
        let _nobody = to.send(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
}
