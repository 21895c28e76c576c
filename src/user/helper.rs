//! The two helper threads, and the bell with which they wake the loop.
//!
//! Line editing and name resolution block and cannot be asked to do otherwise. They are the only things that have a
//! thread here; each says what it has to say through one channel and rings.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use mio::Waker;

/// What a helper thread has to say.
#[derive(Debug)]
pub enum Message {
    /// The addresses of a host.
    Resolved {
        /// As asked for.
        host: String,
        /// As asked for.
        port: u16,
        /// What the system's resolver says.
        addresses: io::Result<Vec<SocketAddr>>,
    },
    /// A line was typed; `None` at the end of input.
    Typed(Option<String>),
    /// Ctrl-C at the prompt.
    Cancelled,
    /// The names in a directory of the server, as it was typed, would help to complete one.
    Wanted(String),
}

/// The loop's end of the channel.
#[derive(Debug)]
pub(super) struct Bell(Receiver<Message>);

impl Bell {
    pub(super) fn new() -> (Self, Sender<Message>) {
        let (sender, receiver) = mpsc::channel();
        (Self(receiver), sender)
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = Message> {
        self.0.try_iter()
    }
}

/// A thread's end of the channel.
#[derive(Debug, Clone)]
pub struct Typist {
    sender: Sender<Message>,
    waker: Arc<Waker>,
}

impl Typist {
    /// Says something and rings. False: nobody listens any more.
    pub fn say(&self, message: Message) -> bool {
        self.sender.send(message).is_ok() && self.waker.wake().is_ok()
    }
}

/// Starts the threads and gives them work.
#[derive(Debug)]
pub struct Helper {
    typist: Typist,
    questions: Option<Sender<(String, u16)>>,
}

impl Helper {
    pub(super) fn new(waker: Waker, sender: Sender<Message>) -> Self {
        Self { typist: Typist { sender, waker: Arc::new(waker) }, questions: None }
    }

    /// What a line-editing thread speaks through.
    pub fn typist(&self) -> Typist {
        self.typist.clone()
    }

    /// Has a host's addresses looked up; [`Message::Resolved`] answers. An address needs no thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn resolve(&mut self, host: &str, port: u16) -> io::Result<()> {
        if let Ok(address) = host.parse() {
            let addresses = Ok(vec![SocketAddr::new(address, port)]);
            self.typist.say(Message::Resolved { host: host.to_owned(), port, addresses });
            return Ok(());
        }
        let questions = match self.questions.take() {
            Some(questions) => questions,
            None => start_resolver(self.typist.clone())?,
        };
        let asked = questions.send((host.to_owned(), port));
        self.questions = Some(questions);
        asked.map_err(|_| io::Error::other("the resolver is gone"))
    }
}

fn start_resolver(typist: Typist) -> io::Result<Sender<(String, u16)>> {
    let (sender, questions) = mpsc::channel::<(String, u16)>();
    thread::Builder::new().name("resolver".into()).spawn(move || {
        for (host, port) in questions {
            let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            if !typist.say(Message::Resolved { host, port, addresses }) {
                return;
            }
        }
    })?;
    Ok(sender)
}
