//! The arrow "FTP Commands / FTP Replies" as bytes: pure, no socket, no clock, no file.
//!
//! ```text
//!   octets of the control connection
//!        |                                      ^
//!     telnet   strips IAC sequences             |  FF doubled
//!        |                                      |
//!      line    octets -> lines             reply   Reply -> octets   (and back, for the User-PI)
//!        |                                      ^
//!     command  line -> Rule + Command           |
//!        |                                      |
//!        +------------->  a PI  ----------------+
//! ```
//!
//! [`address`] turns PORT, PASV, EPRT and EPSV into socket addresses and back; [`text`] holds the
//! line-end rules of TYPE A, which belong to the data connection but are as pure as the rest.
//! Both ends of Figure 1 use this module, so nothing in here knows which end it serves.

pub mod address;
pub mod command;
pub mod date;
pub mod digest;
pub mod directory;
pub mod features;
pub mod line;
pub mod listing;
pub mod reply;
pub mod rules;
pub mod telnet;
pub mod text;
