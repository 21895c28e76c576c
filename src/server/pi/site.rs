//! SITE and its words (RFC 1123 4.1.2.8 asks that they list themselves).

use super::faults::{ReplyTo, named};
use super::{Session, Stage};
use crate::filesystem::{Links, Right};
use crate::server::world::World;
use crate::wire::command::SiteCommand;
use crate::wire::date;
use crate::wire::reply::Reply;

/// SITE CHMOD sets these bits and no others: set-user-ID and set-group-ID have no business on an FTP server.
const CHANGEABLE_BITS: u32 = 0o1777;

const WORDS: [&str; 7] = [
    "CHMOD <SP> mode <SP> path",
    "HELP [<SP> word]",
    "IDLE [<SP> seconds]",
    "SYMLINK <SP> target <SP> link",
    "UMASK [<SP> mask]",
    "UTIME <SP> YYYYMMDDhhmm[ss] <SP> path",
    "WHO",
];

impl Session {
    pub(super) fn site(&mut self, word: SiteCommand, stage: &mut Stage<'_>) {
        let answer = match word {
            SiteCommand::Chmod { mode, path } => self.chmod(mode, &path, stage.world),
            SiteCommand::Utime(argument) => self.utime(&argument, stage.world),
            SiteCommand::Symlink { target, link } => self.symlink(&target, &link),
            SiteCommand::Umask(mask) => Ok(self.set_umask(mask, stage)),
            SiteCommand::Idle(seconds) => self.set_idle(seconds, stage),
            // Nobody is an administrator of a server that has no such account: who else is here is not told.
            SiteCommand::Who => Err(Reply::new(550, "Permission denied.")),
            SiteCommand::Help(_) => Ok(Self::site_help(stage.world)),
        };
        stage.reply(answer.unwrap_or_else(|refusal| refusal));
    }

    pub(super) fn site_help(world: &World) -> Reply {
        let links = world.settings.files.symlinks != Links::Never;
        let offered = WORDS.iter().filter(|word| links || !word.starts_with("SYMLINK"));
        let body = offered.map(|word| word.as_bytes().to_vec()).collect();
        Reply::lines(214, "SITE commands:", body, "End")
    }

    fn chmod(&self, mode: u32, given: &[u8], world: &World) -> Result<Reply, Reply> {
        let member = self.logged_in()?;
        let path = member.resolve(given)?;
        member.require(Right::Mode, &path, given)?;
        let change = || member.seat.root().chmod(&path, mode & CHANGEABLE_BITS);
        member
            .keeping_digest(world, (&path, &path), || change().map_err(|fault| member.faulted(fault, &path, given)))?;
        self.note(member, &format!("Mode set to {:04o}.", mode & CHANGEABLE_BITS), &path);
        Ok(Reply::new(200, "SITE CHMOD command ok."))
    }

    /// Two forms are in the field: `path atime mtime ctime UTC`, and `time path`.
    fn utime(&self, argument: &[u8], world: &World) -> Result<Reply, Reply> {
        let (given, mtime, atime) = utime_words(argument).ok_or_else(|| Reply::new(501, "Bad time or path."))?;
        let member = self.logged_in()?;
        let path = member.resolve(given)?;
        member.require(Right::Time, &path, given)?;
        let change = || member.seat.root().set_times(&path, mtime, atime);
        member
            .keeping_digest(world, (&path, &path), || change().map_err(|fault| member.faulted(fault, &path, given)))?;
        Ok(Reply::new(200, "SITE UTIME command ok."))
    }

    fn symlink(&self, target: &[u8], given: &[u8]) -> Result<Reply, Reply> {
        let member = self.logged_in()?;
        let link = member.resolve_name(given)?;
        member.require(Right::Create, &link, given)?;
        if target.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(named(553, given, "File name not allowed."));
        }
        member.admit_link()?;
        member.seat.root().symlink(target, &link).map_err(|fault| fault.reply_new(given))?;
        member.count_link();
        self.note(member, "Link made.", &link);
        Ok(Reply::new(200, "SITE SYMLINK command ok."))
    }

    fn set_umask(&mut self, mask: Option<u32>, stage: &Stage<'_>) -> Reply {
        let now = self.umask_in_force(stage.world);
        match mask {
            None => Reply::new(200, format!("Current UMASK is {now:03o}")),
            Some(mask) => {
                self.umask = u16::try_from(mask & 0o777).ok();
                Reply::new(200, format!("UMASK set to {:03o} (was {now:03o})", mask & 0o777))
            }
        }
    }

    fn set_idle(&mut self, seconds: Option<u32>, stage: &Stage<'_>) -> Result<Reply, Reply> {
        let most = stage.world.settings.limits.idle.as_secs().min(u16::MAX.into());
        let Some(seconds) = seconds else {
            return Ok(Reply::new(200, format!("Idle limit is {} seconds.", self.idle_limit(stage.world).as_secs())));
        };
        if seconds == 0 || u64::from(seconds) > most {
            return Err(Reply::new(501, format!("Idle limit must be between 1 and {most} seconds.")));
        }
        self.idle = u16::try_from(seconds).ok();
        Ok(Reply::new(200, format!("Idle limit set to {seconds} seconds.")))
    }
}

/// The path, the modification time and, where given, the access time.
fn utime_words(argument: &[u8]) -> Option<(&[u8], i64, Option<i64>)> {
    if let Some((path, [atime, mtime, _])) = five_fields(argument) {
        return Some((path, mtime, Some(atime)));
    }
    let blank = argument.iter().position(|byte| *byte == b' ')?;
    let (stamp, path) = (&argument[..blank], &argument[blank + 1..]);
    let time = padded(stamp)?;
    (!path.is_empty()).then_some((path, time, None))
}

/// `path atime mtime ctime UTC`, read from the end since the path may hold blanks.
fn five_fields(argument: &[u8]) -> Option<(&[u8], [i64; 3])> {
    let mut words = argument.rsplitn(5, |byte| *byte == b' ');
    if !words.next()?.eq_ignore_ascii_case(b"UTC") {
        return None;
    }
    let (ctime, mtime, atime) = (padded(words.next()?)?, padded(words.next()?)?, padded(words.next()?)?);
    let path = words.next().filter(|path| !path.is_empty())?;
    Some((path, [atime, mtime, ctime]))
}

/// `YYYYMMDDhhmm` with or without seconds.
fn padded(stamp: &[u8]) -> Option<i64> {
    let mut digits = stamp.to_vec();
    if digits.len() == 12 {
        digits.extend_from_slice(b"00");
    }
    (digits.len() == 14).then(|| date::parse_stamp(&digits)).flatten()
}
