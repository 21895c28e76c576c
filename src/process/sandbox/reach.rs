//! What a process can reach of files and network: Landlock's rules, and what they hold.
//!
//! A rule belongs to a directory as it is when the rule is made: what is mounted over it later is another one. Rules can
//! only grow tighter, so whoever needs more must be started anew; [`Walls::hold`] tells.

use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

/// Restrictions asked for: all there are up to this version of the interface (Linux 6.12). Older kernels leave some away.
const ASKED: ABI = ABI::V6;

/// The first version that knows of the network (Linux 6.7): below it the walls have a hole worth naming.
const WHOLE: ABI = ABI::V4;

/// What may be done in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touch {
    /// Its files are read and its directories listed.
    Read,
    /// Files are added to, and made; nothing is removed (logs).
    Write,
    /// Everything: made, written, renamed, removed.
    Change,
}

impl Touch {
    fn rights(self) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        match self {
            Touch::Read => read,
            Touch::Write => read | AccessFs::WriteFile | AccessFs::MakeReg,
            // Devices, sockets and programs are nothing that FTP makes or runs.
            Touch::Change => {
                read | AccessFs::WriteFile
                    | AccessFs::Truncate
                    | AccessFs::MakeReg
                    | AccessFs::MakeDir
                    | AccessFs::MakeSym
                    | AccessFs::RemoveFile
                    | AccessFs::RemoveDir
                    | AccessFs::Refer
            }
        }
    }
}

/// What a process needs for its work. Nothing, by default.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Files, and directories with all below them.
    pub trees: Vec<(PathBuf, Touch)>,
    /// Ports to listen on or to dial from; 0 is one of the kernel's choice.
    pub bind: Vec<RangeInclusive<u16>>,
    /// Whether it dials. Ports cannot tell peers apart, so it is any peer or none.
    pub connect: bool,
}

/// The walls around a process.
#[derive(Debug, Default)]
pub enum Walls {
    /// There are none.
    #[default]
    Open,
    /// There are, and this is inside.
    Closed {
        /// By device and inode.
        trees: HashMap<(u64, u64), Touch>,
        /// As asked for.
        bind: Vec<RangeInclusive<u16>>,
        /// As asked for.
        connect: bool,
    },
}

impl Walls {
    /// Whether a tree is inside, at least to be read.
    pub fn reach(&self, path: &Path) -> bool {
        let needs = Needs { trees: vec![(path.to_owned(), Touch::Read)], ..Needs::default() };
        self.hold(&needs).is_ok()
    }

    /// Whether what is needed is inside.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn hold(&self, needs: &Needs) -> Result<(), String> {
        let Walls::Closed { trees, bind, connect } = self else { return Ok(()) };
        for (path, touch) in &needs.trees {
            // What is not there now cannot be reached by anybody.
            let Ok(real) = std::fs::canonicalize(path) else { continue };
            let within =
                real.ancestors().filter_map(identity).filter_map(|id| trees.get(&id)).any(|held| held >= touch);
            if !within {
                return Err(format!("{} is outside", path.display()));
            }
        }
        let held = |ports: &&RangeInclusive<u16>| {
            bind.iter().any(|all| all.contains(ports.start()) && all.contains(ports.end()))
        };
        if needs.bind.iter().any(|ports| !held(&ports)) || (needs.connect && !connect) {
            return Err("its ports are outside".to_owned());
        }
        Ok(())
    }
}

/// How much of the walls there is.
#[derive(Debug, PartialEq, Eq)]
pub enum Built {
    /// All that matters.
    Whole,
    /// Something is missing: what and why.
    Lacking(String),
}

/// Builds the walls around this process, for good.
///
/// # Errors
/// When the kernel has them and refuses them.
pub fn build(needs: &Needs) -> io::Result<(Walls, Built)> {
    let status = enforce(needs).map_err(|e| io::Error::other(format!("Landlock: {e}")))?;
    let built = judge(&status);
    let trees = needs.trees.iter().filter_map(|(path, touch)| Some((identity(path)?, *touch)));
    let mut held = HashMap::new();
    for (id, touch) in trees {
        let most = held.entry(id).or_insert(touch);
        *most = touch.max(*most);
    }
    let none = matches!(status.landlock, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented);
    let walls = match none {
        true => Walls::Open,
        false => Walls::Closed { trees: held, bind: needs.bind.clone(), connect: needs.connect },
    };
    Ok((walls, built))
}

fn judge(status: &RestrictionStatus) -> Built {
    match status.landlock {
        LandlockStatus::NotEnabled => Built::Lacking("Landlock is switched off in this kernel".to_owned()),
        LandlockStatus::NotImplemented => Built::Lacking("this kernel has no Landlock".to_owned()),
        LandlockStatus::Available { effective_abi, .. } if effective_abi < WHOLE => {
            Built::Lacking("this kernel's Landlock does not know the network".to_owned())
        }
        _ => Built::Whole,
    }
}

fn enforce(needs: &Needs) -> Result<RestrictionStatus, RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(ASKED))?.handle_access(AccessNet::BindTcp)?;
    if !needs.connect {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut rules = ruleset.scope(Scope::from_all(ASKED))?.create()?;
    for (path, touch) in &needs.trees {
        rules = allow(rules, path, *touch)?;
    }
    for port in needs.bind.iter().cloned().flatten() {
        rules = rules.add_rule(NetPort::new(port, AccessNet::BindTcp))?;
    }
    rules.restrict_self()
}

/// A tree that is not there gets no rule: a disk may be mounted there later, which the rule would not be about.
fn allow(rules: RulesetCreated, path: &Path, touch: Touch) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(fd) => rules.add_rule(PathBeneath::new(fd, touch.rights())),
        Err(error) => {
            log::warn!("{error}; it stays out of reach until the server is told to reload");
            Ok(rules)
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
