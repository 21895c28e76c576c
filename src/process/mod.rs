//! The process tree around the loop.
