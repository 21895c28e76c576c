//! The system calls that take a name or tell what a descriptor is, behind one name.
//!
//! Built as usual they are rustix's own, at no cost. Built for fuzzing (`cfg(fuzzing)`, which cargo-fuzz sets) a recorder
//! stands in their place: a tree in memory that no disk is behind, and that panics as soon as a call could have led out
//! of it. A trait on [`Root`](super::Root) was the alternative, and would have gone through every session's types.

#[cfg(not(fuzzing))]
pub(super) use rustix::fs::{
    RawDir, accessat, fstat, mkdirat, openat, openat2, readlinkat, renameat, renameat_with, statat, symlinkat, unlinkat,
};

#[cfg(fuzzing)]
#[path = "../../tests/fuzz/recorder.rs"]
mod recorder;

#[cfg(fuzzing)]
pub use recorder::*;
