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

pub mod codec;
pub mod filesystem;
pub mod process;
pub mod reactor;
pub mod server;
pub mod transfer;
pub mod user;
pub mod wire;
