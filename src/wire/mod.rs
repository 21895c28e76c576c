//! The arrow "FTP Commands / FTP Replies" as bytes: pure, no socket, no clock, no file.

pub mod date;
pub mod listing;
