//! Where incoming bytes go.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::Fault;
use super::writing::Writing;
use crate::filesystem::Incoming;
use crate::filesystem::quota::Charge;
use crate::filesystem::watch::watched;
use crate::reactor::Moment;
use crate::wire::text::FromWire;

/// A file being written, as it comes (TYPE I) or with its line ends translated (TYPE A).
#[derive(Debug)]
pub struct Sink {
    file: Incoming,
    at: u64,
    lines: Option<Lines>,
    writing: Writing,
    /// What the account may still add to the disk; none without a quota.
    charge: Option<Charge>,
}

#[derive(Debug)]
struct Lines {
    converter: FromWire,
    piece: Vec<u8>,
}

impl Sink {
    /// A file written from `at` on, byte by byte as received.
    pub fn image(file: impl Into<Incoming>, at: u64) -> Self {
        Self { file: file.into(), at, lines: None, writing: Writing::from(at), charge: None }
    }

    /// A file written from `at` on with CRLF turned into LF.
    pub fn text(file: impl Into<Incoming>, at: u64) -> Self {
        let lines = Some(Lines { converter: FromWire::new(), piece: Vec::new() });
        Self { file: file.into(), at, lines, writing: Writing::from(at), charge: None }
    }

    /// The same on an account's quota.
    #[must_use]
    pub fn charged(self, charge: Option<Charge>) -> Self {
        Self { charge, ..self }
    }

    /// When to come back, if the disk has to catch up before more is taken from the peer.
    pub fn hold(&mut self, now: Moment) -> Option<Moment> {
        self.writing.hold(self.file.as_fd(), now)
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
        self.settle().map_err(Fault::of_file)
    }

    /// Gives a hidden file its name. What it replaces is looked at only where somebody counts it.
    fn settle(&mut self) -> Result<(), Errno> {
        let Some(charge) = self.charge.as_ref().filter(|_| self.file.is_hidden()) else {
            return watched("rename", || self.file.commit());
        };
        let replaced = self.file.replaces();
        watched("rename", || self.file.commit())?;
        charge.settled(replaced.as_ref());
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = self.charge.as_ref().map_or(rest.len(), |charge| charge.room(self.at, rest.len()));
            let piece = rest.get(..room).unwrap_or(rest);
            if piece.is_empty() {
                return Err(Fault::OverQuota);
            }
            let write = || rustix::io::retry_on_intr(|| rustix::io::pwrite(self.file.as_fd(), piece, self.at));
            let count = watched("write", write).map_err(Fault::of_file)?;
            if count == 0 {
                return Err(Fault::DiskFull);
            }
            self.at += count as u64;
            if let Some(charge) = &self.charge {
                charge.written(self.at);
            }
            rest = rest.get(count..).unwrap_or_default();
        }
        self.writing.advanced(self.file.as_fd(), self.at);
        Ok(())
    }
}
