//! FTP after RFC 959, drawn as its Figure 1 draws it.
//!
//! ```text
//!                                            |/---------\|
//!                                            ||   User  ||    --------
//!                                            ||Interface|<--->| User |
//!                                            |\----^----/|    --------
//!                  ----------                |     |     |
//!                  |/------\|  FTP Commands  |/----V----\|
//!                  ||Server|<---------------->|   User  ||
//!                  ||  PI  ||   FTP Replies  ||    PI   ||
//!                  |\--^---/|                |\----^----/|
//!                  |   |    |                |     |     |
//!      --------    |/--V---\|      Data      |/----V----\|    --------
//!      | File |<--->|Server|<---------------->|  User   |<--->| File |
//!      |System|    || DTP  ||   Connection   ||   DTP   ||    |System|
//!      --------    |\------/|                |\---------/|    --------
//!                  ----------                -------------
//! ```
//!
//! The boxes are [`server::pi`], [`server`] (its DTP beside it), [`user::pi`], [`user`] and [`filesystem`]. The arrow of
//! commands and replies is [`wire`], pure; the arrow between a PI and its DTP is [`transfer`]; what all of them run on is
//! [`reactor`], which knows sockets and time but not FTP. [`load`] is many users at once. [`codec`] holds digests and MODE Z, [`process`] the server's
//! process tree.
//!
//! ```text
//! wire, codec, reactor → nothing        server, user → all of the left-hand rooms, never each other
//! filesystem           → wire           server::pi   → no socket, no clock, no reactor
//! transfer             → wire::text, codec, filesystem, reactor
//! load                 → user, but not its interface
//! ```
//!
//! A test reads the `use` lines and holds them against these arrows. Begin with [`reactor`], then `server/mod.rs`, which
//! is the loop, then `server/pi/state.rs`, which draws the session.

pub mod codec;
pub mod filesystem;
pub mod load;
pub mod process;
pub mod reactor;
pub mod server;
pub mod transfer;
pub mod user;
pub mod wire;
