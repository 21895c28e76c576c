//! The page cache asked before it is used, so that a cold disk is one more thing with readiness.
//!
//! There is no readiness event for a file. But a read with `RWF_NOWAIT` gives only what memory holds and says EAGAIN
//! for the rest, `WILLNEED` has the disk fetch without waiting for it, and `DONTNEED` has it write. `cachestat` and
//! `sync_file_range` would say and do the same more directly; no crate offers them without `unsafe`.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags};

use super::watch::watched;

/// What one `WILLNEED` may ask for: the kernel fetches no more at once than its read-ahead window, 128 KiB where
/// nobody has changed it, and silently forgets the rest.
const FETCH: u64 = 128 * 1024;

/// The grid on which [`evict`] works: pieces of it that were written at once are whole in the page cache.
pub const GRAIN: u64 = 128 * 1024;

/// What memory holds of a stretch of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cached {
    /// So many bytes were read; 0 is the end of the file.
    Bytes(usize),
    /// The disk would have to be waited for.
    Cold,
}

/// What a file lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// A disk, or nobody knows: what memory holds of it is asked for.
    Disk,
    /// Memory itself (tmpfs), which never has to be waited for and refuses to be asked: a system call a piece for nothing.
    Memory,
}

impl Backing {
    /// Of the files on the file system that `directory` is on.
    pub fn of(directory: impl AsFd) -> Self {
        match rustix::fs::fstatfs(directory) {
            Ok(system) if system.f_type == libc::TMPFS_MAGIC => Self::Memory,
            _ => Self::Disk,
        }
    }
}

/// Reads what memory holds at `at`. File systems that cannot tell (tmpfs among them) count as memory.
///
/// # Errors
/// What the file system says.
pub fn read(file: BorrowedFd<'_>, buffer: &mut [u8], at: u64) -> Result<Cached, Errno> {
    let mut slices = [std::io::IoSliceMut::new(buffer)];
    match rustix::io::preadv2(file, &mut slices, at, ReadWriteFlags::NOWAIT) {
        Ok(count) => Ok(Cached::Bytes(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Cached::Cold),
        Err(errno) if cannot_tell(errno) => read_blocking(file, buffer, at).map(Cached::Bytes),
        Err(errno) => Err(errno),
    }
}

/// Reads and waits for the disk, however long that takes: also the only way to hear of an I/O error.
///
/// # Errors
/// What the file system says, EIO among it.
pub fn read_blocking(file: BorrowedFd<'_>, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
    watched("read", || rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *buffer, at)))
}

/// Whether the page of the byte at `at` is in memory.
pub fn holds(file: BorrowedFd<'_>, at: u64) -> Residence {
    let mut byte = [0];
    let mut slices = [std::io::IoSliceMut::new(&mut byte)];
    match rustix::io::preadv2(file, &mut slices, at, ReadWriteFlags::NOWAIT) {
        Ok(_) => Residence::Memory,
        Err(Errno::AGAIN | Errno::INTR) => Residence::Disk,
        Err(_) => Residence::Unknown,
    }
}

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residence {
    /// In the page cache.
    Memory,
    /// Not there, or still on its way.
    Disk,
    /// The file system does not say.
    Unknown,
}

/// Has the disk fetch a stretch; returns at once. What is in memory already costs next to nothing.
pub fn fetch(file: BorrowedFd<'_>, from: u64, to: u64) {
    let mut at = from;
    while at < to {
        let length = (to - at).min(FETCH);
        advise(file, at, length, Advice::WillNeed, "fadvise(WILLNEED)");
        at += length;
    }
}

/// Has the disk write a stretch; returns at once as long as the device's queue has room, so nobody may have much under
/// way. The kernel's `DONTNEED` begins with exactly the call that `sync_file_range(WRITE)` makes; pages that are being
/// written then stay in memory.
pub fn start_writing(file: impl AsFd, from: u64, length: u64) {
    advise(file.as_fd(), from, length, Advice::DontNeed, "fadvise(DONTNEED)");
}

/// Drops a stretch from memory as far as it is on the disk: what [`holds`] then still finds is not written yet.
pub fn evict(file: BorrowedFd<'_>, from: u64, length: u64) {
    advise(file, from, length, Advice::DontNeed, "fadvise(DONTNEED)");
}

/// Advice that is not taken costs speed, nothing else.
fn advise(file: BorrowedFd<'_>, at: u64, length: u64, advice: Advice, name: &'static str) {
    let length = std::num::NonZeroU64::new(length);
    if let Err(errno) = watched(name, || rustix::fs::fadvise(file, at, length, advice)) {
        log::trace!("{name}: {errno}");
    }
}

const fn cannot_tell(errno: Errno) -> bool {
    matches!(errno, Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_was_just_written_is_read_without_waiting() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"hello").expect("written");
        let mut buffer = [0; 8];
        assert_eq!(read(file.as_fd(), &mut buffer, 1), Ok(Cached::Bytes(4)));
        assert_eq!(&buffer[..4], b"ello");
        assert_eq!(read(file.as_fd(), &mut buffer, 5), Ok(Cached::Bytes(0)));
        assert_ne!(holds(file.as_fd(), 0), Residence::Disk);
    }

    #[test]
    fn what_left_memory_is_cold_and_comes_back_when_fetched() {
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).expect("a file");
        file.write_all(&vec![7; 1 << 20]).expect("written");
        file.sync_all().expect("on the disk");
        evict(file.as_fd(), 0, 1 << 20);
        if holds(file.as_fd(), 4096) != Residence::Disk {
            return; // a file system that lives in memory
        }
        let mut buffer = [0; 8];
        assert_eq!(read(file.as_fd(), &mut buffer, 4096), Ok(Cached::Cold));
        fetch(file.as_fd(), 0, 1 << 20);
        assert_eq!(read_blocking(file.as_fd(), &mut buffer, 0), Ok(8));
        assert_eq!(read(file.as_fd(), &mut buffer, 0), Ok(Cached::Bytes(8)));
    }

    #[test]
    fn who_refuses_to_be_asked_is_memory() {
        for folder in ["/dev/shm", env!("CARGO_MANIFEST_DIR")] {
            let Ok(mut file) = tempfile::tempfile_in(folder) else { continue };
            file.write_all(b"hello").expect("written");
            let asked = holds(file.as_fd(), 0);
            let backing = if asked == Residence::Unknown { Backing::Memory } else { Backing::Disk };
            assert_eq!(Backing::of(&file), backing, "{folder}: {asked:?}");
        }
    }

    #[test]
    fn a_file_not_open_for_reading_does_not_tell() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = std::fs::File::create(folder.path().join("x")).expect("a file");
        assert_eq!(holds(file.as_fd(), 0), Residence::Unknown);
    }
}
