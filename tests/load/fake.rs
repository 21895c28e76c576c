//! A server that does what a test wants of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::accept;

/// A server of one's own: `answer` gets the verb, the number of times it was heard in all sessions, and the peer.
pub struct Fake {
    pub address: SocketAddr,
    pub sources: Arc<Mutex<Vec<IpAddr>>>,
}

type Answer = dyn Fn(&str, usize) -> Move + Send + Sync;

/// What a fake server does about a command.
pub enum Move {
    /// Says so.
    Say(&'static str),
    /// Sends these bytes as a download, with such a final reply; none and the session's end for none.
    Send(Vec<u8>, Option<&'static str>),
    /// Sends these bytes at once, then a few of them every so often, as many times, with 226 at the end.
    Trickle(Vec<u8>, Duration, usize),
    /// Sends a download that has no end, until the peer has had enough.
    Endless,
    /// Sends these bytes as a download, after a while some more of them, and no end until the peer ends it.
    Hold(Vec<u8>, Duration, usize),
    /// Is busy for a while, with all of its sessions, then says so.
    Stall(Duration, &'static str),
    /// What a decent server does.
    Usual,
}

/// Starts one.
pub fn fake(answer: impl Fn(&str, usize) -> Move + Send + Sync + 'static) -> Fake {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer: Arc<Answer> = Arc::new(answer);
    let (sources, heard) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&sources);
    thread::spawn(move || {
        while let Ok((stream, peer)) = listener.accept() {
            seen.lock().unwrap().push(peer.ip());
            let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
            thread::spawn(move || talk(stream, &*answer, &heard));
        }
    });
    Fake { address, sources }
}

fn talk(mut stream: TcpStream, answer: &Answer, heard: &Mutex<Vec<String>>) -> Option<()> {
    stream.write_all(b"220 fake\r\n").ok()?;
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut passive: Option<TcpListener> = None;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let verb = line.split_whitespace().next().unwrap_or_default().to_owned();
        let mut all = heard.lock().unwrap();
        all.push(verb.clone());
        let count = all.iter().filter(|one| **one == verb).count();
        let mut say = |text: &str| stream.write_all(format!("{text}\r\n").as_bytes()).ok();
        match answer(&verb, count) {
            Move::Say(text) => say(text)?,
            Move::Stall(span, text) => {
                thread::sleep(span);
                say(text)?;
            }
            Move::Send(bytes, reply) => {
                drop(all);
                say("150 here it comes")?;
                accept(&passive.take()?).write_all(&bytes).ok()?;
                say(reply?)?;
            }
            Move::Endless => {
                drop(all);
                say("150 here it comes")?;
                let mut data = accept(&passive.take()?);
                while data.write_all(&[7; 65_536]).is_ok() {}
                say("426 you left")?;
            }
            Move::Hold(bytes, pause, more) => {
                drop(all);
                say("150 here it comes")?;
                let mut data = accept(&passive.take()?);
                data.write_all(&bytes).ok()?;
                thread::sleep(pause);
                data.write_all(bytes.get(..more)?).ok()?;
                let _ = data.read(&mut [0]);
                say("426 you left")?;
            }
            Move::Trickle(bytes, pause, times) => {
                drop(all);
                say("150 here it comes")?;
                let mut data = accept(&passive.take()?);
                data.write_all(&bytes).ok()?;
                for _ in 0..times {
                    thread::sleep(pause);
                    data.write_all(&bytes[..1000]).ok()?;
                }
                drop(data);
                say("226 done")?;
            }
            Move::Usual => {
                let text = match verb.as_str() {
                    "USER" => "331 password".to_owned(),
                    "PASS" => "230 in".to_owned(),
                    "QUIT" => "221 bye".to_owned(),
                    "EPSV" => {
                        let listener = TcpListener::bind("127.0.0.1:0").ok()?;
                        let port = listener.local_addr().ok()?.port();
                        passive = Some(listener);
                        format!("229 here (|||{port}|)")
                    }
                    "SIZE" | "PASV" | "PORT" | "EPRT" => "500 what?".to_owned(),
                    _ => "200 fine".to_owned(),
                };
                say(&text)?;
            }
        }
    }
}
