//! The engine's side of TLS: one step of rustls, whichever side of the connection it is on.

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};

/// rustls as a server or as a client.
pub(super) enum Engine {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What the engine wants done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// To be asked again.
    Again,
    /// More of the peer's bytes.
    Input,
    /// Nothing: the peer's next record, or ours.
    Traffic,
    /// The peer's close_notify was read.
    PeerClosed,
}

/// What is to be done once the engine can send.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish<'a> {
    Nothing,
    Encrypt(&'a [u8]),
    Close,
}

/// Where plaintext goes.
pub(super) struct Reader<'a> {
    pub buffer: &'a mut [u8],
    pub filled: usize,
    pub rest: &'a mut Vec<u8>,
}

impl Reader<'_> {
    fn add(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(self.buffer.len() - self.filled);
        let (now, later) = bytes.split_at(count);
        self.buffer[self.filled..self.filled + count].copy_from_slice(now);
        self.filled += count;
        self.rest.extend_from_slice(later);
    }
}

impl Engine {
    pub(super) fn state(&self) -> &rustls::CommonState {
        match self {
            Self::Server(engine) => engine,
            Self::Client(engine) => engine,
        }
    }

    /// One step: how many bytes of `input` are done with, and what is wanted next.
    pub(super) fn ask(
        &mut self,
        input: &mut [u8],
        output: &mut Outbox,
        reader: &mut Reader<'_>,
        wish: Wish<'_>,
    ) -> (usize, Result<Demand, rustls::Error>) {
        match self {
            Self::Server(engine) => step(engine.process_tls_records(input), output, reader, wish),
            Self::Client(engine) => step(engine.process_tls_records(input), output, reader, wish),
        }
    }

    /// After an error: the alert that tells the peer about it.
    pub(super) fn last_words(&mut self, input: &mut [u8], output: &mut Outbox) {
        let mut nobody = Vec::new();
        let mut reader = Reader { buffer: &mut [], filled: 0, rest: &mut nobody };
        // Asked once more than that, the engine would look at the offending bytes again.
        while self.state().wants_write() {
            if self.ask(input, output, &mut reader, Wish::Nothing).1.is_err() {
                return;
            }
        }
    }
}

fn step<Side>(
    status: UnbufferedStatus<'_, '_, Side>,
    output: &mut Outbox,
    reader: &mut Reader<'_>,
    wish: Wish<'_>,
) -> (usize, Result<Demand, rustls::Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let demand = state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                discard += record.discard;
                reader.add(record.payload);
            }
            Ok(Demand::Again)
        }
        ConnectionState::EncodeTlsData(message) => encode(message, output).map(|()| Demand::Again),
        ConnectionState::TransmitTlsData(sent) => {
            sent.done(); // it is in `output`, which leaves in order
            Ok(Demand::Again)
        }
        ConnectionState::BlockedHandshake => Ok(Demand::Input),
        ConnectionState::WriteTraffic(engine) => grant(engine, output, wish).map(|()| Demand::Traffic),
        ConnectionState::PeerClosed => Ok(Demand::PeerClosed),
        ConnectionState::Closed => Ok(Demand::Traffic),
        // Early data is not offered, and the enum may grow.
        other => Err(rustls::Error::General(format!("unexpected {other:?}"))),
    });
    (discard, demand)
}

/// Appends a message of the engine's own.
fn encode<Side>(mut message: EncodeTlsData<'_, Side>, output: &mut Outbox) -> Result<(), rustls::Error> {
    output.fill(|place| match message.encode(place) {
        Ok(count) => Ok(count),
        Err(EncodeError::InsufficientSize(wanted)) => Err(Some(wanted.required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    })
}

/// Appends what is wished for.
fn grant<Side>(mut engine: WriteTraffic<'_, Side>, output: &mut Outbox, wish: Wish<'_>) -> Result<(), rustls::Error> {
    let room = |error| match error {
        EncryptError::InsufficientSize(wanted) => Some(wanted.required_size),
        EncryptError::EncryptExhausted => None,
    };
    match wish {
        Wish::Nothing => Ok(()),
        Wish::Encrypt(bytes) => output.fill(|place| engine.encrypt(bytes, place).map_err(room)),
        Wish::Close => output.fill(|place| engine.queue_close_notify(place).map_err(room)),
    }
}

/// Bytes on their way out. The memory behind the end is kept, so that the loop's own is cleared only once.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Outbox {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), begin: 0, end: 0 }
    }

    pub(super) const fn clear(&mut self) {
        self.begin = 0;
        self.end = 0;
    }

    pub(super) const fn len(&self) -> usize {
        self.end - self.begin
    }

    /// Memory, whatever is in it.
    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.begin..self.end]
    }

    pub(super) const fn sent(&mut self, count: usize) {
        self.begin += count;
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.truncate(self.end);
        self.bytes.extend_from_slice(bytes);
        self.end = self.bytes.len();
    }

    /// Lets `write` add bytes; it says how much room it needs, or that it cannot.
    fn fill(&mut self, mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>) -> Result<(), rustls::Error> {
        let mut written = write(&mut self.bytes[self.end..]);
        if let Err(Some(room)) = written {
            self.bytes.resize(self.end + room, 0);
            written = write(&mut self.bytes[self.end..]);
        }
        let count = written.map_err(|_| rustls::Error::General("no room for a record".to_owned()))?;
        self.end += count;
        Ok(())
    }
}
