//! What stands here in a build without TLS: types that nobody can have.

use std::convert::Infallible;

use super::Creed;
use crate::reactor::Link;

/// Nobody is trusted.
#[derive(Debug)]
pub struct Trust;

/// Nothing is secret.
#[derive(Debug)]
pub struct Secrets(Infallible);

/// Nothing is put on.
#[derive(Debug)]
pub struct Cloak(Infallible);

/// Nothing is worn.
#[derive(Debug)]
pub struct Worn(Infallible);

impl Trust {
    /// Of no use.
    pub fn new(_: Creed) -> Self {
        Self
    }

    /// There is nothing to be checked.
    ///
    /// # Errors
    /// None.
    pub const fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Never.
    ///
    /// # Errors
    /// Always: this build has no TLS.
    pub fn secrets(&self, _: &str, _: std::net::IpAddr, _: bool) -> Result<Secrets, String> {
        Err("this build has no TLS; nothing is sent in the clear instead".into())
    }
}

impl Secrets {
    /// Never called.
    ///
    /// # Errors
    /// None.
    pub const fn dress(&self, _: &mut Link) -> Result<(), String> {
        match self.0 {}
    }

    /// Never called.
    pub const fn met(&mut self, _: &Link) -> String {
        match self.0 {}
    }

    /// Never called.
    pub const fn why(&self, _: &std::io::Error) -> String {
        match self.0 {}
    }

    /// Never called.
    pub const fn refused_as_old(&self, _: &std::io::Error) -> bool {
        match self.0 {}
    }

    /// Never called.
    pub const fn is_dry(&self) -> bool {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub const fn cloak(&self) -> Result<Cloak, String> {
        match self.0 {}
    }
}

impl Cloak {
    /// Never called.
    pub const fn put_on(self, _: &mut Link) -> Worn {
        match self.0 {}
    }
}

impl Worn {
    /// Never called.
    pub const fn fits(&self, _: &Link) -> bool {
        match self.0 {}
    }
}
