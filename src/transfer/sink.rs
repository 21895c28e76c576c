//! Where incoming bytes go.

use std::os::fd::AsFd;

use super::Fault;
use crate::filesystem::Incoming;
use crate::wire::text::FromWire;

/// A file being written, as it comes (TYPE I) or with its line ends translated (TYPE A).
#[derive(Debug)]
pub struct Sink {
    file: Incoming,
    at: u64,
    lines: Option<Lines>,
}

#[derive(Debug)]
struct Lines {
    converter: FromWire,
    piece: Vec<u8>,
}

impl Sink {
    /// A file written from `at` on, byte by byte as received.
    pub fn image(file: impl Into<Incoming>, at: u64) -> Self {
        Self { file: file.into(), at, lines: None }
    }

    /// A file written from `at` on with CRLF turned into LF.
    pub fn text(file: impl Into<Incoming>, at: u64) -> Self {
        Self { file: file.into(), at, lines: Some(Lines { converter: FromWire::new(), piece: Vec::new() }) }
    }

    /// Writes what was received, all of it.
    ///
    /// # Errors
    /// What the file system says; a part may have been written then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Some(mut lines) = self.lines.take() else {
            return self.put(bytes);
        };
        lines.piece.clear();
        lines.converter.convert(bytes, &mut lines.piece);
        let result = self.put(&lines.piece);
        self.lines = Some(lines);
        result
    }

    /// The data has ended: writes what a translation held back, and gives the file its name.
    ///
    /// # Errors
    /// As [`Sink::write`].
    pub fn finish(&mut self) -> Result<(), Fault> {
        if let Some(mut lines) = self.lines.take() {
            lines.piece.clear();
            lines.converter.finish(&mut lines.piece);
            self.put(&lines.piece)?;
        }
        self.file.commit().map_err(Fault::of_file)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(self.file.as_fd(), rest, self.at));
            let count = written.map_err(Fault::of_file)?;
            if count == 0 {
                return Err(Fault::DiskFull);
            }
            self.at += count as u64;
            rest = &rest[count..];
        }
        Ok(())
    }
}
