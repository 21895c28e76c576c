//! Both "File System" boxes of Figure 1.
//!
//! ```text
//!   client's text ──path──► VirtualPath ──rights──► allowed? ──root──► descriptor, confined by the kernel
//!                                                                 └──► listing: lines, a slice at a time
//! ```
//!
//! Two decisions never meet: [`path`] and [`rights`] work on text and know no disk; [`root`] asks the kernel
//! to resolve below one directory descriptor and trusts no text. So no check on a string is ever followed
//! by a use of that string.

pub mod cache;
#[cfg(fuzzing)]
pub mod kernel;
#[cfg(not(fuzzing))]
mod kernel;
pub mod listing;
pub mod owners;
pub mod path;
pub mod pattern;
pub mod plain;
pub mod policy;
pub mod quota;
pub mod rights;
pub mod root;
pub mod watch;
pub mod zone;

pub use listing::{Fill, Form, Listing, Order, Request};
pub use owners::Owners;
pub use path::{PathFault, VirtualPath};
pub use pattern::Pattern;
pub use policy::{Links, Policy, Uploads};
pub use rights::{Right, Rights, Rules};
pub(crate) use root::proc_name as descriptor_name;
pub use root::{Allow, Fault, Guard, Incoming, Last, Root, Start, Stat, Sweep, Writers, Written};
pub use zone::Zone;

pub use crate::wire::listing::Kind;
