//! The other end of a control connection, as literal as a test needs it.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{SendFlags, send};

use super::{PATIENCE, accept, connect, is_closed, read_all, read_once, table};

/// The longest line of a reply but for those that hold a path.
const REPLY_LIMIT: usize = 500;

/// One reply, all its lines.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The code of its last line.
    pub code: u16,
    /// The lines without code and line end; those between the first and the last as they came.
    pub lines: Vec<Vec<u8>>,
    verb: Option<String>,
}

impl Reply {
    /// Fails unless it is the reply that should come.
    #[track_caller]
    pub fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{} was answered with {}: {}", self.cause(), self.code, self.text());
        self
    }

    /// Fails unless its text has these words.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.text().contains(words), "no \"{words}\" in {} {:?}", self.code, self.text());
        self
    }

    /// Its lines, a character for a line's end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lines.join(&b"\n"[..])).into_owned()
    }

    /// The lines between the first and the last.
    pub fn body(&self) -> &[Vec<u8>] {
        &self.lines[1..self.lines.len() - 1]
    }

    fn cause(&self) -> &str {
        self.verb.as_deref().unwrap_or("something")
    }
}

/// A control connection.
pub struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Verbs sent whose final reply is still to come, in order.
    due: VecDeque<String>,
}

impl Peer {
    /// Takes a connection over, with nothing read yet.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new(), due: VecDeque::new() }
    }

    /// Sends a command and reads one reply.
    #[track_caller]
    pub fn say(&mut self, line: impl AsRef<[u8]>) -> Reply {
        self.order(line);
        self.reply()
    }

    /// Sends a command and leaves its replies for later.
    pub fn order(&mut self, line: impl AsRef<[u8]>) {
        let line = line.as_ref();
        let verb = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        self.due.push_back(String::from_utf8_lossy(verb).to_ascii_uppercase());
        self.send([line, b"\r\n"].concat());
    }

    /// Sends bytes as they are. A server that has said its last word may hang up before it has them all: whether it
    /// might is for the replies to tell, which are there to be read.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.try_send(bytes) {
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        }
    }

    /// Sends bytes and waits until the server has read them, so that whatever follows is a segment of its own.
    pub fn send_apart(&mut self, bytes: impl AsRef<[u8]>) {
        self.send(bytes);
        let end = std::time::Instant::now() + PATIENCE;
        while self.is_unread() {
            assert!(std::time::Instant::now() < end, "not read");
            std::thread::yield_now();
        }
    }

    /// Whether something of ours waits in the server's socket: the kernel tells, on IPv4.
    fn is_unread(&self) -> bool {
        let ports = (self.stream.peer_addr().unwrap().port(), self.stream.local_addr().unwrap().port());
        let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().skip(1).any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (port(words[1]), port(words[2])) == ports && !words[4].ends_with(":00000000")
        })
    }

    /// Sends bytes, to a peer that may be gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends bytes as urgent data.
    pub fn send_urgent(&mut self, bytes: &[u8]) {
        assert_eq!(send(&self.stream, bytes, SendFlags::OOB).unwrap(), bytes.len());
    }

    /// Says all it has to say.
    pub fn finish(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// The next reply.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        let first = self.line();
        let code = code_of(&first);
        let mut lines = vec![first[4..].to_vec()];
        if first[3] == b'-' {
            let last = [&first[..3], b" "].concat();
            loop {
                let line = self.line();
                if line.starts_with(&last) {
                    lines.push(line[4..].to_vec());
                    break;
                }
                assert!(
                    line.starts_with(b" "),
                    "a line within a reply begins with {:?}",
                    line.escape_ascii().to_string()
                );
                lines.push(line);
            }
        } else {
            assert!(first.len() <= REPLY_LIMIT || matches!(code, 150 | 213 | 257), "a reply of {} bytes", first.len());
        }
        Reply { code, lines, verb: self.caused(code) }
    }

    /// Which command a reply belongs to, and whether it may have it.
    fn caused(&mut self, code: u16) -> Option<String> {
        let verb = self.due.front()?.clone();
        if code >= 200 {
            self.due.pop_front();
        }
        table::check(&verb, code);
        Some(verb)
    }

    /// One line without its end, which must be CRLF.
    #[track_caller]
    fn line(&mut self) -> Vec<u8> {
        let mut piece = [0; 4096];
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                assert!(line.ends_with(b"\r\n"), "a bare line feed");
                line.truncate(end - 1);
                return line;
            }
            let count = read_once(&mut self.stream, &mut piece).unwrap();
            assert_ne!(count, 0, "closed; due: {:?}", self.due);
            self.unread.extend_from_slice(&piece[..count]);
        }
    }

    /// Exactly so many bytes that are no reply: Telnet's refusals.
    pub fn raw(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            let mut piece = [0; 512];
            let read = read_once(&mut self.stream, &mut piece).unwrap();
            assert_ne!(read, 0, "closed");
            self.unread.extend_from_slice(&piece[..read]);
        }
        self.unread.drain(..count).collect()
    }

    /// Fails unless the server closes without another word.
    #[track_caller]
    pub fn expect_close(&mut self) {
        assert!(self.unread.is_empty(), "there is more: {}", self.unread.escape_ascii());
        assert!(is_closed(&mut self.stream), "still open");
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Logs in as a guest.
    pub fn log_in(&mut self) {
        self.say("USER anonymous").expect(331);
        self.say("PASS guest@example.net").expect(230);
    }

    /// Fails unless the session is in order and nothing unasked has come.
    #[track_caller]
    pub fn is_well(&mut self) {
        self.say("NOOP").expect(200);
        assert!(self.unread.is_empty(), "unasked: {}", self.unread.escape_ascii());
    }

    /// Asks with STAT until a transfer has moved so many bytes at least; returns the last answer's text.
    #[track_caller]
    pub fn wait_for_progress(&mut self, bytes: u64) -> String {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            self.send("STAT\r\n");
            let due = std::mem::take(&mut self.due);
            let text = self.reply().expect(213).text();
            self.due = due;
            let moved = text.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok());
            if moved.expect("a count") >= bytes {
                return text;
            }
            assert!(std::time::Instant::now() < end, "no progress: {text}");
        }
    }

    /// From here on replies are held against no verb: what was sent as bytes has upset the order.
    pub fn due_is_unknown(&mut self) {
        self.due.clear();
    }

    /// PASV: the address it tells.
    #[track_caller]
    pub fn pasv_address(&mut self) -> SocketAddr {
        let text = self.say("PASV").expect(227).text();
        let words = text.strip_prefix("Entering Passive Mode (").and_then(|rest| rest.strip_suffix(").")).unwrap();
        let numbers: Vec<u8> = words.split(',').map(|number| number.parse().unwrap()).collect();
        let [a, b, c, d, high, low] = numbers[..] else { panic!("not six numbers: {text}") };
        SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))
    }

    /// EPSV: the address it means.
    #[track_caller]
    pub fn epsv_address(&mut self) -> SocketAddr {
        let text = self.say("EPSV").expect(229).text();
        let words = text.strip_prefix("Entering Extended Passive Mode (|||").and_then(|rest| rest.strip_suffix("|)"));
        SocketAddr::new(self.stream.peer_addr().unwrap().ip(), words.unwrap().parse().unwrap())
    }

    /// A data connection by PASV.
    #[track_caller]
    pub fn pasv(&mut self) -> TcpStream {
        connect(self.pasv_address())
    }

    /// A data connection by EPSV.
    #[track_caller]
    pub fn epsv(&mut self) -> TcpStream {
        connect(self.epsv_address())
    }

    /// A data connection by EPSV that takes little at a time: 30 MB sent to it are stuck until they are read, whatever
    /// the machine's settings.
    #[track_caller]
    pub fn epsv_narrow(&mut self) -> TcpStream {
        let data = self.epsv();
        set_socket_recv_buffer_size(&data, 64 * 1024).unwrap();
        data
    }

    /// Where the server shall connect to, told by PORT.
    #[track_caller]
    pub fn port(&mut self) -> TcpListener {
        let listener = self.listen();
        let address = listener.local_addr().unwrap();
        let [high, low] = address.port().to_be_bytes();
        let host = address.ip().to_string().replace('.', ",");
        self.say(format!("PORT {host},{high},{low}")).expect(200);
        listener
    }

    /// Where the server shall connect to, told by EPRT.
    #[track_caller]
    pub fn eprt(&mut self) -> TcpListener {
        let listener = self.listen();
        let address = listener.local_addr().unwrap();
        let family = if address.is_ipv4() { 1 } else { 2 };
        self.say(format!("EPRT |{family}|{}|{}|", address.ip(), address.port())).expect(200);
        listener
    }

    fn listen(&self) -> TcpListener {
        TcpListener::bind(SocketAddr::new(self.stream.local_addr().unwrap().ip(), 0)).unwrap()
    }

    /// A whole download over a passive connection.
    #[track_caller]
    pub fn fetch(&mut self, line: impl AsRef<[u8]>) -> Vec<u8> {
        let data = self.epsv();
        self.say(line).expect(150);
        let bytes = read_all(data);
        self.reply().expect(226);
        bytes
    }

    /// A whole listing as text.
    #[track_caller]
    pub fn lines(&mut self, line: impl AsRef<[u8]>) -> Vec<String> {
        let text = String::from_utf8(self.fetch(line)).unwrap();
        assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
        text.split_terminator("\r\n").map(str::to_owned).collect()
    }

    /// A whole upload over a passive connection. A server that refuses it may hang up before all is sent; one that
    /// says it has it may not.
    #[track_caller]
    pub fn store(&mut self, line: impl AsRef<[u8]>, bytes: &[u8]) -> Reply {
        let mut data = self.epsv();
        self.say(line).expect(150);
        let sent = data.write_all(bytes);
        drop(data);
        let reply = self.reply();
        assert!(sent.is_ok() || reply.code >= 400, "{} {} after {sent:?}", reply.code, reply.text());
        reply
    }

    /// A whole download over an active connection.
    #[track_caller]
    pub fn fetch_active(&mut self, line: impl AsRef<[u8]>) -> Vec<u8> {
        let listener = self.port();
        self.say(line).expect(150);
        let bytes = read_all(accept(&listener));
        self.reply().expect(226);
        bytes
    }
}

fn code_of(line: &[u8]) -> u16 {
    let text = line.escape_ascii().to_string();
    assert!(line.len() >= 4 && matches!(line[3], b' ' | b'-'), "no reply: {text}");
    let code: u16 = text[..3].parse().unwrap();
    assert!((100..600).contains(&code), "no reply: {text}");
    code
}
