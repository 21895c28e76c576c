//! Local files, and what a server may not make of them.
//!
//! A name from a server is used as the last component of a path and as nothing else: [`safe_name`] refuses the ones
//! that could mean more, and every directory and file below a target is opened relative to its parent's descriptor
//! without following a link. So whatever a listing says, nothing is written outside the directory the user named.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

/// What a download is called until it is complete.
pub const PART: &str = ".part";

/// The longest name that Linux's file systems take, in bytes.
const LONGEST_NAME: usize = 255;

/// What a file is called while it is not whole: its name with an ending, or, where that would be too long, the beginning
/// of its name and a number that is the same each time, so that it is found again.
pub fn unfinished(name: &OsStr, ending: &str) -> OsString {
    // FNV-1a. Nothing but chance is to be kept out: of a clash both files know, since each proves what it goes on with.
    let mix = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let whole = name.as_bytes();
    if whole.len() + ending.len() <= LONGEST_NAME {
        return [name, OsStr::new(ending)].into_iter().collect();
    }
    let number = format!("~{:016x}{ending}", whole.iter().fold(0xcbf2_9ce4_8422_2325, mix));
    let kept = whole.get(..LONGEST_NAME - number.len()).unwrap_or_default();
    OsString::from_vec([kept, number.as_bytes()].concat())
}

/// Why a server's name is not used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsafe {
    /// Nothing, `.` or `..`.
    NoName,
    /// It has a separator in it and would lead elsewhere.
    Separator,
    /// NUL, or a line break, which could not be sent back either.
    Control,
    /// Longer than file systems take.
    TooLong,
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoName => "it names no file",
            Self::Separator => "it would lead elsewhere",
            Self::Control => "it has a line break or NUL in it",
            Self::TooLong => "it is too long",
        })
    }
}

/// Whether a name from a listing may become a local file's name.
///
/// # Errors
/// Why not.
pub fn safe_name(name: &[u8]) -> Result<(), Unsafe> {
    match name {
        b"" | b"." | b".." => Err(Unsafe::NoName),
        _ if name.iter().any(|byte| matches!(byte, b'/' | b'\\')) => Err(Unsafe::Separator),
        _ if name.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) => Err(Unsafe::Control),
        _ if name.len() > LONGEST_NAME => Err(Unsafe::TooLong),
        _ => Ok(()),
    }
}

/// A local directory that things are written into. Its descriptor is opened when it is first needed and closed with
/// the last entry that holds the folder, so that a large tree does not need a descriptor a directory.
#[derive(Debug)]
pub struct Folder {
    place: Place,
    descriptor: OnceCell<OwnedFd>,
}

#[derive(Debug)]
enum Place {
    /// Named by the user: links in it are the user's own and are followed.
    Named(PathBuf),
    /// Named by a server, in a folder.
    Within(Rc<Folder>, OsString),
}

/// What is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// Regular file, directory or something else.
    pub kind: FileType,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub modify: i64,
    /// Permission bits.
    pub mode: u32,
    /// A regular file that has no other name: writing to it changes this one only.
    pub sole: bool,
}

impl Folder {
    /// A directory that the user named.
    pub fn named(path: impl Into<PathBuf>) -> Rc<Self> {
        Rc::new(Self { place: Place::Named(path.into()), descriptor: OnceCell::new() })
    }

    /// A directory in this one. Nothing is touched yet.
    ///
    /// # Errors
    /// When the name is none to be used.
    pub fn within(self: &Rc<Self>, name: &[u8]) -> Result<Rc<Self>, Unsafe> {
        safe_name(name)?;
        let place = Place::Within(Rc::clone(self), OsString::from_vec(name.to_vec()));
        Ok(Rc::new(Self { place, descriptor: OnceCell::new() }))
    }

    /// How a person would call it.
    pub fn path(&self) -> PathBuf {
        match &self.place {
            Place::Named(path) => path.clone(),
            Place::Within(parent, name) => parent.path().join(name),
        }
    }

    /// Makes the directory, and what is missing above it within the user's target.
    ///
    /// # Errors
    /// The system's; `ENOTDIR` when something else has the name, a link among it.
    pub fn make(&self) -> Result<(), Errno> {
        match &self.place {
            Place::Named(path) => match std::fs::create_dir_all(path) {
                Ok(()) => {}
                Err(error) => return Err(errno_of(&error)),
            },
            Place::Within(parent, name) => {
                parent.make_missing()?;
                match rustix::fs::mkdirat(parent.fd()?, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
            }
        }
        self.fd().map(|_| ())
    }

    /// The directory must be there; one named by a server is made if it is not.
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub fn make_for_use(&self) -> Result<(), Errno> {
        match self.place {
            Place::Named(_) => self.fd().map(|_| ()),
            Place::Within(..) => self.make_missing(),
        }
    }

    fn make_missing(&self) -> Result<(), Errno> {
        match self.fd() {
            Err(Errno::NOENT) => self.make(),
            other => other.map(|_| ()),
        }
    }

    /// Opens a file for writing; it is made if absent, emptied if `fresh`. Links are not followed, and what is behind one
    /// is not changed, be it a hard link: if `fresh`, the name is taken away from it. The file is locked as long as
    /// it is open: two transfers into one file, of this process or of another, would mix.
    ///
    /// # Errors
    /// The system's; `ETXTBSY` when somebody else writes it; `EEXIST` and `ELOOP` when it is no file, or has other names.
    pub fn create(&self, name: &OsStr, fresh: bool) -> Result<OwnedFd, Errno> {
        let linked = |found: Present| found.kind == FileType::Symlink || (found.kind.is_file() && !found.sole);
        if fresh && self.look(name)?.is_some_and(linked) {
            self.remove(name)?;
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(self.fd()?, name, flags, Mode::from_raw_mode(0o666))?;
        if !Present::of_file(&file)?.sole {
            return Err(Errno::EXIST);
        }
        self.lock(&file, name)?;
        if fresh {
            rustix::fs::ftruncate(&file, 0)?;
        }
        Ok(file)
    }

    fn lock(&self, file: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
        // Not every file system has locks: only "taken" counts.
        if rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::AGAIN) {
            return Err(Errno::TXTBSY);
        }
        // Whoever had the lock may have given the file its final name since it was opened: then it is whole, and not ours.
        let opened = rustix::fs::fstat(file)?;
        match rustix::fs::statat(self.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) if (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino) => Ok(()),
            Ok(_) | Err(Errno::NOENT) => Err(Errno::TXTBSY),
            Err(errno) => Err(errno),
        }
    }

    /// Opens a file for reading. Links are followed: what is uploaded is the user's choice.
    ///
    /// # Errors
    /// The system's.
    pub fn open(&self, name: &OsStr) -> Result<(OwnedFd, Present), Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::openat(self.fd()?, name, flags, Mode::empty())?;
        let present = Present::of(&rustix::fs::fstat(&file)?);
        match present.kind {
            FileType::RegularFile => Ok((file, present)),
            FileType::Directory => Err(Errno::ISDIR),
            _ => Err(Errno::INVAL),
        }
    }

    /// What has a name here; a link is described itself. `None`: nothing.
    ///
    /// # Errors
    /// The system's.
    pub fn look(&self, name: &OsStr) -> Result<Option<Present>, Errno> {
        let fd = match self.fd() {
            Err(Errno::NOENT) => return Ok(None),
            fd => fd?,
        };
        match rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Present::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Gives a file another name, in place of what had it.
    ///
    /// # Errors
    /// The system's.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        let fd = self.fd()?;
        rustix::fs::renameat_with(fd, from, fd, to, RenameFlags::empty())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, name: &OsStr) -> Result<(), Errno> {
        rustix::fs::unlinkat(self.fd()?, name, AtFlags::empty())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// The system's; `ENOTDIR` for a link.
    pub fn remove_directory(&self, name: &OsStr) -> Result<(), Errno> {
        rustix::fs::unlinkat(self.fd()?, name, AtFlags::REMOVEDIR)
    }

    /// A directory that was found in this one, so its name may be any. A link is not followed.
    pub fn inner(self: &Rc<Self>, name: &OsStr) -> Rc<Self> {
        let place = Place::Within(Rc::clone(self), name.to_owned());
        Rc::new(Self { place, descriptor: OnceCell::new() })
    }

    /// What is in the directory, without `.` and `..`, sorted by name.
    ///
    /// # Errors
    /// The system's.
    pub fn entries(&self) -> Result<Vec<(OsString, Present)>, Errno> {
        let fd = self.fd()?;
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(fd)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            if name == "." || name == ".." {
                continue;
            }
            // An entry may be gone again by now.
            if let Ok(stat) = rustix::fs::statat(fd, &name, AtFlags::SYMLINK_NOFOLLOW) {
                entries.push((name, Present::of(&stat)));
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    fn fd(&self) -> Result<BorrowedFd<'_>, Errno> {
        if let Some(fd) = self.descriptor.get() {
            return Ok(fd.as_fd());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match &self.place {
            Place::Named(path) => {
                let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
                rustix::fs::openat(CWD, path, flags, Mode::empty())?
            }
            Place::Within(parent, name) => {
                rustix::fs::openat(parent.fd()?, name, flags | OFlags::NOFOLLOW, Mode::empty()).map_err(|errno| {
                    // Linux says ELOOP for a link here; what matters is that there is no directory.
                    if errno == Errno::LOOP { Errno::NOTDIR } else { errno }
                })?
            }
        };
        Ok(self.descriptor.get_or_init(|| opened).as_fd())
    }
}

impl Present {
    fn of(stat: &rustix::fs::Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modify: stat.st_mtime,
            mode: stat.st_mode & 0o7777,
            sole: FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_nlink == 1,
        }
    }

    /// Whether it may be the beginning of a file whose time is this: there is something, and nothing newer since.
    pub fn may_go_on(&self, modify: Option<i64>) -> bool {
        self.sole && self.size > 0 && modify.is_none_or(|modify| modify <= self.modify)
    }

    /// Of an open file.
    ///
    /// # Errors
    /// The system's.
    pub fn of_file(file: impl AsFd) -> Result<Self, Errno> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }
}

/// Gives an open file the time it has on the server.
///
/// # Errors
/// The system's.
pub fn set_time(file: impl AsFd, modify: i64) -> Result<(), Errno> {
    let time = Timespec { tv_sec: modify, tv_nsec: 0 };
    rustix::fs::futimens(file, &Timestamps { last_access: time, last_modification: time })
}

/// The system's number of an error, `EIO` where it has none.
pub fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn hostile_names_are_refused() {
        for (name, want) in [
            (b"a b".as_slice(), Ok(())),
            (b"..a", Ok(())),
            (b"", Err(Unsafe::NoName)),
            (b"..", Err(Unsafe::NoName)),
            (b"../x", Err(Unsafe::Separator)),
            (b"/etc/x", Err(Unsafe::Separator)),
            (b"a\\b", Err(Unsafe::Separator)),
            (b"a\0", Err(Unsafe::Control)),
            (b"a\r\nb", Err(Unsafe::Control)),
            (&[b'a'; 256], Err(Unsafe::TooLong)),
        ] {
            assert_eq!(safe_name(name), want, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_link_in_the_target_leads_nowhere() {
        let outside = tempfile::tempdir().expect("a directory");
        let target = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(outside.path(), target.path().join("link")).expect("a link");
        std::os::unix::fs::symlink(outside.path().join("f"), target.path().join("file")).expect("a link");
        let root = Folder::named(target.path());
        let link = root.within(b"link").expect("a name");
        assert_eq!(link.make(), Err(Errno::NOTDIR));
        assert!(link.create(OsStr::new("x"), true).is_err());
        fs::write(outside.path().join("other"), b"theirs").expect("a file");
        fs::hard_link(outside.path().join("other"), target.path().join("hard")).expect("a link");
        for name in ["file", "hard"].map(OsStr::new) {
            assert!(root.create(name, false).is_err(), "{name:?}");
            root.create(name, true).expect("a file of its own");
            assert!(root.look(name).expect("looked at").is_some_and(|found| found.sole), "{name:?}");
        }
        assert_eq!(fs::read(outside.path().join("other")).expect("still there"), b"theirs");
        fs::remove_file(outside.path().join("other")).expect("removed");
        assert_eq!(root.inner(OsStr::new("link")).entries().err(), Some(Errno::NOTDIR));
        assert_eq!(root.remove_directory(OsStr::new("link")), Err(Errno::NOTDIR));
        assert_eq!(fs::read_dir(outside.path()).expect("still there").count(), 0);
    }

    #[test]
    fn folders_are_made_with_what_is_above_them() {
        let target = tempfile::tempdir().expect("a directory");
        let root = Folder::named(target.path().join("new"));
        let inner = root.within(b"a").expect("a name").within(b"b").expect("a name");
        inner.make().expect("made");
        let held = inner.create(OsStr::new("y"), true).expect("a file");
        assert_eq!(inner.create(OsStr::new("y"), true).err(), Some(Errno::TXTBSY), "it is being written");
        drop(held);
        inner.create(OsStr::new("y"), true).expect("a file");
        let late = inner.create(OsStr::new("x"), true).expect("a file");
        inner.rename(OsStr::new("x"), OsStr::new("whole")).expect("renamed");
        assert_eq!(inner.lock(&late, OsStr::new("x")).err(), Some(Errno::TXTBSY), "it has got its final name");
        inner.create(OsStr::new("x"), true).expect("a file");
        assert!(target.path().join("new/a/b/x").is_file());
        assert_eq!(root.remove_directory(OsStr::new("a")), Err(Errno::NOTEMPTY));
        fs::remove_dir_all(target.path().join("new/a/b")).expect("removed");
        root.remove_directory(OsStr::new("a")).expect("removed");
        assert!(!target.path().join("new/a").exists());
    }
}
