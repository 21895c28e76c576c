//! The process tree around the loop.
//!
//! ```text
//!   miniftpd ─┬─ no accounts, no rights to drop, one worker: the loop, in this very process
//!             │
//!             └─ else: the keeper ─┬─ miniftpd: worker     the loop; faces the network, knows no hash; N of them
//!                 keeps its rights ├─ …
//!                                  └─ miniftpd: verifier   knows the hashes; faces nobody; there when there are accounts
//! ```
//!
//! Children are this binary started anew, told apart by their `argv[0]`, with a socket to the keeper for standard input.
//! [`packet`] has what they say to each other. A process given up by its peer is killed and started again; who loses the
//! keeper ends.

mod contents;
mod crew;
mod inherited;
mod keeper;
pub mod listen;
pub mod packet;
mod place;
mod reload;
pub mod sandbox;
pub mod secret;
mod signals;
mod verifier;
mod worker;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::server::accounts::{Account, Credential, Hash};
use crate::server::settings::{Invocation, Loaded, LogSettings, PasswordSource, RunAs, SandboxMode, Settings};
use crate::server::{self, Inheritance, Master, logging, transfer_log};
use contents::{Contents, Standing};
use keeper::{Keeper, Listeners};
use sandbox::privilege;

/// Exit code of an orderly end.
pub const ORDERLY: u8 = 0;
/// Exit code of a failure at work.
pub const FAILURE: u8 = 1;
/// Exit code of wrong usage or a wrong configuration.
pub const USAGE: u8 = 2;

/// `argv[0]` of a worker. No shell starts a program by a name with a blank unless told to.
const WORKER: &str = "miniftpd: worker";
/// `argv[0]` of a verifier.
const VERIFIER: &str = "miniftpd: verifier";

/// What a worker gets, at its start and at each reload. No secret is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// The settings, complete.
    pub settings: Settings,
    /// The accounts without their hashes.
    pub accounts: Vec<Account>,
    /// Whether this worker tells the log where the server listens: one of them does.
    pub announce: bool,
}

impl Handover {
    /// Reads what the keeper has written.
    ///
    /// # Errors
    /// `InvalidData` for what is none.
    pub fn read(body: &[u8]) -> io::Result<Self> {
        decode(body)
    }
}

/// What a verifier gets, at its start and at each reload.
#[derive(Debug, Serialize, Deserialize)]
struct Secrets {
    log: LogSettings,
    run_as: Option<RunAs>,
    sandbox: SandboxMode,
    credentials: Vec<Credential>,
}

/// What a process of the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that was started: its command line counts.
    First,
    /// Started by the keeper.
    Child(Child),
}

/// What a child of the keeper is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// The loop.
    Worker,
    /// The hashes.
    Verifier,
}

/// The role that `argv[0]` tells.
pub fn role(name: &OsStr) -> Role {
    match name.to_str() {
        Some(WORKER) => Role::Child(Child::Worker),
        Some(VERIFIER) => Role::Child(Child::Verifier),
        _ => Role::First,
    }
}

/// An end before serving, with what to tell the user.
#[derive(Debug)]
pub struct Failed {
    /// The exit code.
    pub code: u8,
    /// One line.
    pub why: String,
}

impl Failed {
    fn usage(why: impl ToString) -> Self {
        let (code, why) = (USAGE, why.to_string());
        Failed { code, why }
    }

    fn work(why: impl ToString) -> Self {
        let (code, why) = (FAILURE, why.to_string());
        Failed { code, why }
    }
}

/// Runs the server, as one process or as a tree; returns the exit code when it has ended.
pub fn serve(invocation: Box<Invocation>) -> Result<u8, Failed> {
    inherited::leave_behind().map_err(Failed::work)?;
    let password = password(&invocation)?;
    let loaded = invocation.load(&password).map_err(Failed::usage)?;
    let Loaded { settings, accounts, warnings, .. } = loaded;
    logging::start(&settings.log);
    for warning in warnings {
        log::warn!("{warning}");
    }
    // A directory that is not there is wrong usage, and better said before anything is bound.
    if let Some(guests) = &settings.anonymous {
        std::fs::read_dir(&guests.root).map_err(|e| Failed::usage(format!("{}: {e}", guests.root.display())))?;
    }
    show_fingerprint(&invocation).map_err(Failed::work)?;
    let listeners = listen::bind_all(&settings).map_err(Failed::work)?;
    let alone = accounts.is_none() && listeners.sets.len() == 1 && !(privilege::is_root() && settings.run_as.is_some());
    if !alone {
        let mut contents = Contents::new(&settings, accounts, listeners.sets.len()).map_err(Failed::work)?;
        contents.open_transfers().map_err(Failed::work)?;
        let standing = Standing::of(&settings);
        let keeper = Keeper::new(invocation, password, contents, standing, listeners);
        return keeper.and_then(Keeper::run).map_err(Failed::work);
    }
    serve_alone(invocation, settings, listeners).map_err(Failed::work)?;
    Ok(ORDERLY)
}

fn serve_alone(invocation: Box<Invocation>, settings: Settings, listeners: Listeners) -> io::Result<()> {
    let rights = privilege::shed(None, settings.sandbox)?;
    let transfers = match &settings.log.transfers {
        Some(path) => {
            Some(transfer_log::append(path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?)
        }
        None => None,
    };
    server::run(Inheritance {
        settings,
        accounts: Vec::new(),
        listeners: listeners.sets.into_iter().flatten().collect(),
        master: Master::Alone { invocation },
        verifier: None,
        transfers,
        rights,
        announce: true,
    })
}

/// `--tls-self-signed`: what clients pin, on standard output for scripts and in the log for people.
#[cfg(feature = "tls")]
fn show_fingerprint(invocation: &Invocation) -> Result<(), String> {
    if let crate::server::settings::IdentitySource::Made(identity) = &invocation.identity {
        use std::io::Write;
        let line = format!("sha256 {}", crate::server::tls::fingerprint(identity).map_err(|flaw| flaw.to_string())?);
        // Nobody may be reading there; the server does not need them to.
        let _unheard = writeln!(io::stdout(), "{line}");
        log::info!("self-signed certificate, {line}");
    }
    Ok(())
}

/// Without TLS there is none.
#[cfg(not(feature = "tls"))]
const fn show_fingerprint(_: &Invocation) -> Result<(), String> {
    Ok(())
}

/// The password of `--user`, hashed once; nothing keeps the password itself.
fn password(invocation: &Invocation) -> Result<PasswordSource, Failed> {
    let Some(name) = &invocation.user else {
        return Ok(PasswordSource::Unasked);
    };
    let secret = secret::of_user(name).map_err(Failed::usage)?;
    let hash = Hash::make(secret.as_bytes()).map_err(Failed::work)?;
    Ok(PasswordSource::Hash(hash))
}

/// `--hash-password`: the hash of a password read from the terminal or standard input.
pub fn hash_password() -> Result<String, Failed> {
    let secret = secret::to_hash().map_err(Failed::usage)?;
    Hash::make(secret.as_bytes()).map_err(Failed::work)
}

/// Runs a child until it has ended.
pub fn run_child(child: Child) -> Result<u8, Failed> {
    let run = || {
        signals::leave_to_the_keeper()?;
        let keeper = adopt_stdin(child)?;
        match child {
            Child::Worker => worker::run(keeper),
            Child::Verifier => verifier::run(keeper),
        }
    };
    match run() {
        Ok(()) => Ok(ORDERLY),
        Err(e) if child == Child::Worker => Err(Failed::work(format!("worker: {e}"))),
        Err(e) => Err(Failed::work(format!("verifier: {e}"))),
    }
}

/// Takes the keeper's socket from standard input, which becomes /dev/null: no library may stumble over a socket there.
fn adopt_stdin(child: Child) -> io::Result<OwnedFd> {
    let keeper = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    // Started through /proc/self/exe, the process would be listed as "exe". Only a name, so a refusal ends nothing.
    let name = match child {
        Child::Worker => "miniftpd-worker",
        Child::Verifier => "miniftpd-verify",
    };
    let _ = std::fs::write("/proc/self/comm", name);
    Ok(keeper)
}

/// Reads what the keeper has written, all of it. The reader's complaints quote nothing: there may be a hash in it.
fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    match postcard::take_from_bytes(body).map_err(wrong_text)? {
        (whole, []) => Ok(whole),
        _ => Err(wrong_text("more than was asked for")),
    }
}

/// A peer that says what it should not.
fn wrong_text(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}
