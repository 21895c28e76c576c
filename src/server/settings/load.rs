//! From the command line and the files it names to [`Settings`] and [`Accounts`].

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::keys::{self, AccountsFile, Draft};
use super::{Anonymous, Fault, Invocation, ListenAddr, Origin, RunAs, Settings, Source, run_as};
use crate::server::accounts::{Account, Accounts, Credential, Permissions, QuotaLimits};

/// Settings and accounts, read together since each shapes the other.
#[derive(Debug)]
pub struct Loaded {
    /// The settings, complete.
    pub settings: Settings,
    /// The accounts, if a file or `--user` provides any. `Some` and empty: there is a file, without an account.
    pub accounts: Option<Accounts>,
    /// What is odd but no fault: a line each.
    pub warnings: Vec<String>,
    /// The files with secrets in them: the private key, the accounts.
    pub secrets: Vec<PathBuf>,
}

/// How the password of `--user` reaches the accounts.
#[derive(Debug, Clone)]
pub enum PasswordSource {
    /// Its hash, made once at start from what the environment or the terminal gave.
    Hash(String),
    /// It has not been asked for, since nobody will log in (`--check`).
    Unasked,
}

/// The same address twice would be this server in its own way. Port 0 is another port each time.
fn distinct(draft: &Draft) -> Result<(), Fault> {
    let (explicit, implicit) = (&draft.settings.listen, &draft.tls.implicit);
    let all: Vec<&ListenAddr> = explicit.iter().chain(implicit).collect();
    let twice = all.iter().enumerate().find(|(at, label)| label.port() != 0 && all[..*at].contains(label));
    let Some((at, label)) = twice else { return Ok(()) };
    let origin = match &draft.listen {
        _ if at >= explicit.len() => draft.tls.origin("implicit"),
        Some(origin) => origin.clone(),
        None => Origin::option("listen"),
    };
    Err(Fault::of(&origin, format_args!("{label} is there twice")))
}

/// Each worker has at least one of what is divided, and nothing is asked for that only one process could keep exact: a
/// quota that each worker counts for itself would be one more times over for each of them.
fn divisible(settings: &Settings, accounts: Option<&Accounts>) -> Result<(), Fault> {
    let workers = settings.workers.get();
    let quota = |account: &&Account| account.quota != QuotaLimits::default();
    if workers > 1
        && let Some(account) = accounts.into_iter().flat_map(|all| &all.accounts).find(quota)
    {
        let why = format!("{workers} cannot keep the quota of \"{}\" together; quotas want one worker", account.name);
        return Err(Fault::option("workers", why));
    }
    let few = |key: &str, count: u32| match count < workers {
        true => Err(Fault::option(key, format!("{count} cannot be divided among {workers} workers"))),
        false => Ok(()),
    };
    settings.limits.clients.map_or(Ok(()), |clients| few("limits.clients", clients.get()))?;
    settings
        .passive
        .ports
        .map_or(Ok(()), |ports| few("passive.ports", u32::try_from(ports.count()).unwrap_or(u32::MAX)))
}

impl Invocation {
    /// Reads the files and resolves everything. Called at start and at each reload.
    pub fn load(&self, password: &PasswordSource) -> Result<Loaded, Fault> {
        let mut warnings = Vec::new();
        let (mut draft, folder) = self.draft()?;
        self.apply(&mut draft);
        draft.settings.root = absolute(&draft.settings.root)?;
        distinct(&draft)?;
        let tls = std::mem::take(&mut draft.tls);
        let secrets = tls.key_file().into_iter().chain(draft.accounts.path()?).map(Path::to_owned).collect();
        draft.settings.tls = tls.resolve()?;
        let accounts = self.accounts(&draft, &folder, password, &mut warnings)?;
        let any = accounts.as_ref().is_some_and(|all| !all.accounts.is_empty());
        let mut settings = draft.settings;
        if self.anonymous || draft.anonymous.unwrap_or(!any) {
            let root = draft.anonymous_root.as_ref().unwrap_or(&settings.root);
            settings.anonymous = Some(Anonymous { root: absolute(root)?, permissions: draft.anonymous_permissions });
        }
        if let Some(log) = &mut settings.log.transfers {
            *log = absolute(log)?;
        }
        settings.run_as = self.run_as(draft.user.as_ref(), &mut warnings)?;
        warnings.extend(without_port_20(&settings));
        fit(&mut settings, descriptors(), &mut warnings);
        divisible(&settings, accounts.as_ref())?;
        if settings.anonymous.is_none() && !any {
            warnings.push("nobody can log in: no account, and anonymous is off".to_owned());
        }
        Ok(Loaded { settings, accounts, warnings, secrets })
    }

    /// Reads the files again for a loop that runs alone. Accounts that have appeared are a fault: it has no verifier.
    pub fn load_alone(&self) -> Result<(Settings, Vec<String>), Fault> {
        let loaded = self.load(&PasswordSource::Unasked)?;
        match loaded.accounts {
            None => Ok((loaded.settings, loaded.warnings)),
            Some(_) => Err(Fault::option("accounts", "take effect at the next start")),
        }
    }

    /// The configuration file's draft, and the folder that relative paths in it count from.
    fn draft(&self) -> Result<(Draft, PathBuf), Fault> {
        let Some(path) = &self.config else {
            return Ok((Draft::default(), PathBuf::from(".")));
        };
        let folder = match absolute(path)?.parent() {
            Some(folder) => folder.to_owned(),
            None => PathBuf::from("/"),
        };
        let draft = keys::read(&Source::read(path)?, &folder)?;
        Ok((draft, folder))
    }

    /// Lays the options over the draft.
    fn apply(&self, draft: &mut Draft) {
        let settings = &mut draft.settings;
        replace(&mut settings.root, &self.dir);
        if !self.listen.is_empty() {
            settings.listen.clone_from(&self.listen);
            draft.listen = Some(Origin::option("--listen"));
        }
        if self.write {
            draft.anonymous_permissions = Permissions::full();
        }
        draft.tls.lay_over(&self.identity);
        if let Some(require) = self.tls_require {
            draft.tls.require = require;
            draft.tls.set_by("require", "--tls-require");
        }
        if !self.implicit.is_empty() {
            draft.tls.implicit.clone_from(&self.implicit);
            draft.tls.set_by("implicit", "--implicit");
        }
        settings.passive.ports = self.passive_ports.or(settings.passive.ports);
        settings.passive.address = self.public_address.or(settings.passive.address);
        replace(&mut settings.limits.clients, &self.max_clients);
        replace(&mut settings.limits.per_ip, &self.max_per_ip);
        replace(&mut settings.limits.idle, &self.idle_timeout);
        replace(&mut settings.workers, &self.workers);
        replace(&mut settings.log.level, &self.log_level);
        replace(&mut settings.log.format, &self.log_format);
        if self.transfer_log.is_some() {
            settings.log.transfers.clone_from(&self.transfer_log);
        }
    }

    /// The user to become, where this process can become anybody.
    fn run_as(&self, user: Option<&(String, Origin)>, warnings: &mut Vec<String>) -> Result<Option<RunAs>, Fault> {
        let Some((word, origin)) = user else { return Ok(None) };
        if !rustix::process::geteuid().is_root() {
            warnings.push(format!("user: \"{word}\" is for a server that root starts; nothing to drop here"));
            return Ok(None);
        }
        let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
        let found = run_as::find(word, &String::from_utf8_lossy(&passwd));
        found.map(Some).map_err(|why| Fault::of(origin, why))
    }

    fn accounts(
        &self,
        draft: &Draft,
        folder: &Path,
        password: &PasswordSource,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Accounts>, Fault> {
        let path = draft.accounts.path()?;
        let home = &draft.settings.root;
        let mut accounts = match path {
            Some(path) => Some(Accounts::read(&Source::read(path)?, folder, home, warnings)?),
            None => None,
        };
        if let Some(name) = &self.user {
            let hash = match password {
                PasswordSource::Hash(hash) => Some(hash.clone()),
                PasswordSource::Unasked => None,
            };
            let all = accounts.get_or_insert_default();
            let account = Account::owner(name.clone(), home.clone());
            let name = name.clone();
            all.add(account, Credential { name, hash }).map_err(|why| Fault::option("--user", why))?;
        }
        Ok(accounts)
    }
}

impl AccountsFile {
    /// The file to be read.
    fn path(&self) -> Result<Option<&Path>, Fault> {
        Ok(match self {
            AccountsFile::Named(path) => Some(path),
            AccountsFile::Beside(path) if is_there(path)? => Some(path),
            AccountsFile::Beside(_) | AccountsFile::None => None,
        })
    }
}

/// `active.from_port_20` where who serves has no right to that port: transfers work, from whatever port there is.
fn without_port_20(settings: &Settings) -> Option<String> {
    let keeps_root = settings.run_as.is_none() && rustix::process::geteuid().is_root();
    let wanted = settings.active.enabled && settings.active.from_port_20;
    let open = || {
        let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok();
        first.and_then(|word| word.trim().parse::<u32>().ok()).is_some_and(|first| first <= 20)
    };
    let line = "active.from_port_20: who serves has no right to that port; data connections come from any other";
    (wanted && !keeps_root && !open()).then(|| line.to_owned())
}

/// A file that cannot be asked for is not absent: without its accounts the server would let anonymous in.
fn is_there(path: &Path) -> Result<bool, Fault> {
    path.try_exists().map_err(|e| Fault::file(path, e.to_string()))
}

fn replace<T: Clone>(place: &mut T, option: &Option<T>) {
    if let Some(value) = option {
        place.clone_from(value);
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Fault> {
    std::path::absolute(path).map_err(|e| Fault::file(path, e.to_string()))
}

/// Raises the soft limit on descriptors to the hard one, which children inherit, and returns it.
fn descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(_) => current.unwrap_or(u64::MAX),
    }
}

/// Descriptors that are not a client's: listeners, the passive pool's start, logs, the spare one for a 421.
const OWN_DESCRIPTORS: u64 = 64;

/// Clamps the number of clients to what `descriptors` of each worker can carry: three quarters of them may be control connections,
/// the rest serve data connections and files. Not every client transfers at once; when too many do, a transfer gets
/// 425 and no session is lost, so room for all of them three times over would only turn clients away.
fn fit(settings: &mut Settings, descriptors: u64, warnings: &mut Vec<String>) {
    let each = (descriptors.saturating_sub(OWN_DESCRIPTORS) / 4 * 3).max(1);
    let room = u32::try_from(each.saturating_mul(settings.workers.get().into())).unwrap_or(u32::MAX);
    let Some(clients) = settings.limits.clients else {
        return;
    };
    if clients.get() > room {
        settings.limits.clients = NonZeroU32::new(room);
        let line = format!("limits.clients: {clients} is more than {descriptors} descriptors allow; {room} it is");
        warnings.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_clamped_to_the_descriptors() {
        let mut settings = Settings::default();
        let mut warnings = Vec::new();
        fit(&mut settings, 1 << 20, &mut warnings);
        assert_eq!(settings.limits.clients, NonZeroU32::new(10_000));
        assert!(warnings.is_empty());
        fit(&mut settings, 1024, &mut warnings);
        assert_eq!(settings.limits.clients, NonZeroU32::new(720));
        assert_eq!(warnings.len(), 1);
        fit(&mut settings, 0, &mut warnings);
        assert_eq!(settings.limits.clients, NonZeroU32::new(1));
        settings.limits.clients = None;
        fit(&mut settings, 16, &mut warnings);
        assert_eq!(settings.limits.clients, None);
    }
}
