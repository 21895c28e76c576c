//! What is computed from the bytes of a file and knows nothing else: digests, and the compression of MODE Z.
//!
//! Pure, and cut so that every call is bounded by what it is given: a caller that feeds pieces gives the loop back
//! between them.

pub mod deflate;
pub mod digest;

pub use deflate::{Damage, Deflate, Flow, Inflate, Level};
pub use digest::{Algorithm, Hasher, Sum};
