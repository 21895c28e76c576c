// A file system in memory in place of the kernel's, for fuzzing: see `kernel.rs`, which includes it.
//
// Contents are real (memory files), so that whatever takes a descriptor works on them; names are a tree here. Every
// name that comes in is looked at as a suspicious kernel would: one that could lead out of the root, whatever happens
// to be there, is a panic.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{
    Access, AtFlags, FileType, MemfdFlags, Mode, OFlags, RenameFlags, ResolveFlags, SeekFrom, Stat, fchmod,
    memfd_create, seek,
};
use rustix::io::{Errno, Result};
use rustix::path::Arg;

/// Where the recorder's root is "mounted": the only absolute name it takes.
pub const ROOT: &str = "/recorded";

/// Links that the kernel follows in one path.
const MOST_LINKS: usize = 40;

thread_local! {
    static TREE: RefCell<Tree> = RefCell::new(Tree::new());
}

/// An inode: its number is that of the memory file behind it.
struct Node {
    file: OwnedFd,
    what: What,
}

enum What {
    File,
    Directory(BTreeMap<Vec<u8>, u64>),
    Link(Vec<u8>),
    Fifo,
}

struct Tree {
    nodes: HashMap<u64, Node>,
    root: u64,
}

/// Begins anew: two files, two directories, and links of every kind.
pub fn reset() {
    TREE.with_borrow_mut(|tree| *tree = Tree::new());
}

/// How many names there are.
pub fn names() -> usize {
    TREE.with_borrow(|tree| tree.nodes.len())
}

impl Tree {
    fn new() -> Self {
        let mut tree = Self { nodes: HashMap::new(), root: 0 };
        tree.root = tree.add(What::Directory(BTreeMap::new()), 0o755);
        let root = tree.root;
        let folder = tree.put(root, "d", What::Directory(BTreeMap::new()));
        tree.put(folder, "inner", What::Directory(BTreeMap::new()));
        tree.put(folder, "up", What::Link(b"../a.bin".to_vec()));
        tree.put(root, "a.bin", What::File);
        let text = tree.put(folder, "t.txt", What::File);
        let _ = rustix::io::pwrite(&tree.nodes[&text].file, b"one\ntwo\r\nthree\n", 0);
        for (name, target) in
            [("in", "d/t.txt"), ("indir", "d"), ("out", "../secret"), ("abs", "/etc/passwd"), ("gone", "none")]
        {
            tree.put(root, name, What::Link(target.into()));
        }
        tree.put(root, "loop", What::Link(b"loop".to_vec()));
        tree.put(root, "pipe", What::Fifo);
        tree
    }

    fn add(&mut self, what: What, mode: u32) -> u64 {
        let file = memfd_create("recorded", MemfdFlags::CLOEXEC).expect("memory");
        fchmod(&file, Mode::from_raw_mode(mode)).expect("a mode");
        let number = number(&file);
        self.nodes.insert(number, Node { file, what });
        number
    }

    fn put(&mut self, directory: u64, name: &str, what: What) -> u64 {
        let mode = if matches!(what, What::Directory(_)) { 0o755 } else { 0o644 };
        let number = self.add(what, mode);
        self.entries(directory).expect("a directory").insert(name.into(), number);
        number
    }

    fn entries(&mut self, directory: u64) -> Result<&mut BTreeMap<Vec<u8>, u64>> {
        match self.nodes.get_mut(&directory).map(|node| &mut node.what) {
            Some(What::Directory(entries)) => Ok(entries),
            Some(_) => Err(Errno::NOTDIR),
            None => Err(Errno::NOENT), // removed, but still open somewhere
        }
    }

    fn find(&mut self, directory: u64, name: &[u8]) -> Result<u64> {
        match name {
            b"." => self.entries(directory).map(|_| directory),
            _ => self.entries(directory)?.get(name).copied().ok_or(Errno::NOENT),
        }
    }

    /// A name goes for good once it is in no directory any more; nothing has two names here.
    fn drop_node(&mut self, number: u64) {
        self.nodes.remove(&number);
    }

    /// What the kernel makes of a path below the root under BENEATH or IN_ROOT.
    fn resolve(&mut self, path: &[u8], flags: OFlags, resolve: ResolveFlags) -> Result<u64> {
        let mut trail = vec![self.root];
        let mut rest: Vec<Vec<u8>> = split(path);
        let mut links = 0;
        while !rest.is_empty() {
            let name = rest.remove(0);
            if name == b".." {
                if trail.len() == 1 && resolve.contains(ResolveFlags::BENEATH) {
                    return Err(Errno::XDEV);
                }
                trail.truncate(trail.len().saturating_sub(1).max(1));
                continue;
            }
            let here = *trail.last().expect("the root stays");
            let next = self.find(here, &name)?;
            let target = match &self.nodes[&next].what {
                What::Link(target) if !rest.is_empty() || !flags.contains(OFlags::NOFOLLOW) => target.clone(),
                _ => {
                    if next != here {
                        trail.push(next);
                    }
                    continue;
                }
            };
            links += 1;
            if resolve.contains(ResolveFlags::NO_SYMLINKS) || links > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            if target.starts_with(b"/") {
                if resolve.contains(ResolveFlags::BENEATH) {
                    return Err(Errno::XDEV);
                }
                trail.truncate(1);
            }
            rest.splice(..0, split(&target));
        }
        Ok(*trail.last().expect("the root stays"))
    }

    /// A descriptor of its own, with its own position.
    fn open(&self, number: u64, flags: OFlags) -> Result<OwnedFd> {
        let node = &self.nodes[&number];
        match (&node.what, flags.contains(OFlags::DIRECTORY)) {
            (What::Directory(_), false) if flags.intersects(OFlags::WRONLY | OFlags::RDWR) => return Err(Errno::ISDIR),
            (What::File | What::Fifo, true) => return Err(Errno::NOTDIR),
            (What::Link(_), true) => return Err(Errno::NOTDIR),
            (What::Link(_), false) if !flags.contains(OFlags::PATH) => return Err(Errno::LOOP),
            (What::Fifo, false) if flags.contains(OFlags::WRONLY) => return Err(Errno::NXIO),
            _ => {}
        }
        let kept = OFlags::PATH | OFlags::WRONLY | OFlags::RDWR | OFlags::CLOEXEC;
        let path = format!("/proc/self/fd/{}", node.file.as_raw_fd());
        rustix::fs::open(path, flags & kept, Mode::empty())
    }
}

fn split(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.map(<[u8]>::to_vec).collect()
}

fn number(descriptor: impl AsFd) -> u64 {
    rustix::fs::fstat(descriptor).expect("a descriptor").st_ino
}

fn bytes(path: &impl Arg) -> Vec<u8> {
    path.as_cow_c_str().expect("no NUL in a name").to_bytes().to_vec()
}

/// A name as it may reach a call that resolves nothing: one component, and none that leads up.
fn component(path: &impl Arg) -> Vec<u8> {
    let name = bytes(path);
    assert!(
        !name.contains(&b'/') && name != b".." && !name.is_empty(),
        "a name that is a path: {}",
        name.escape_ascii()
    );
    name
}

/// The directory a call is relative to must be in the tree, or have been.
fn below(directory: impl AsFd) -> u64 {
    assert!(directory.as_fd().as_raw_fd() >= 0, "a path of the host");
    number(directory)
}

/// `openat`, which stays inside only as far as it follows no link and takes one component.
pub fn openat(directory: impl AsFd, path: impl Arg, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    if directory.as_fd().as_raw_fd() < 0 {
        assert_eq!(bytes(&path), ROOT.as_bytes(), "a path of the host");
        return TREE.with_borrow(|tree| tree.open(tree.root, flags));
    }
    let (directory, name) = (below(directory), component(&path));
    assert!(flags.contains(OFlags::NOFOLLOW), "would follow a link: {}", name.escape_ascii());
    TREE.with_borrow_mut(|tree| match tree.find(directory, &name) {
        Ok(_) if flags.contains(OFlags::CREATE | OFlags::EXCL) => Err(Errno::EXIST),
        Ok(found) => tree.open(found, flags),
        Err(Errno::NOENT) if flags.contains(OFlags::CREATE) => {
            tree.entries(directory)?;
            let made = tree.add(What::File, mode.bits() & 0o7777);
            tree.entries(directory)?.insert(name, made);
            tree.open(made, flags)
        }
        Err(errno) => Err(errno),
    })
}

/// `openat2`, the one call that may resolve a path.
pub fn openat2(directory: impl AsFd, path: impl Arg, flags: OFlags, _: Mode, resolve: ResolveFlags) -> Result<OwnedFd> {
    let path = bytes(&path);
    let kept = resolve.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT);
    assert!(kept && resolve.contains(ResolveFlags::NO_MAGICLINKS), "unconfined: {}", path.escape_ascii());
    let steps_out = path.starts_with(b"/") || path.split(|byte| *byte == b'/').any(|part| part == b"..");
    assert!(!steps_out, "left to the kernel: {}", path.escape_ascii());
    assert!(!flags.contains(OFlags::CREATE), "made behind a link: {}", path.escape_ascii());
    let directory = below(directory);
    TREE.with_borrow_mut(|tree| {
        assert_eq!(directory, tree.root, "not beneath the root");
        let found = tree.resolve(&path, flags, resolve)?;
        tree.open(found, flags)
    })
}

/// `fstatat`, of the name itself.
pub fn statat(directory: impl AsFd, path: impl Arg, flags: AtFlags) -> Result<Stat> {
    assert!(flags.contains(AtFlags::SYMLINK_NOFOLLOW), "would follow a link");
    let (directory, name) = (below(directory), component(&path));
    TREE.with_borrow_mut(|tree| {
        let found = tree.find(directory, &name)?;
        if !tree.nodes.contains_key(&found) {
            return Err(Errno::NOENT);
        }
        described(tree, rustix::fs::fstat(&tree.nodes[&found].file)?)
    })
}

/// `fstat`, which must know what stands behind the memory file.
pub fn fstat(descriptor: impl AsFd) -> Result<Stat> {
    let stat = rustix::fs::fstat(descriptor)?;
    TREE.with_borrow(|tree| described(tree, stat))
}

fn described(tree: &Tree, mut stat: Stat) -> Result<Stat> {
    let (kind, size) = match tree.nodes.get(&stat.st_ino).map(|node| &node.what) {
        Some(What::Directory(_)) => (FileType::Directory, 4096),
        Some(What::Link(target)) => (FileType::Symlink, target.len() as i64),
        Some(What::Fifo) => (FileType::Fifo, 0),
        _ => (FileType::RegularFile, stat.st_size),
    };
    stat.st_mode = kind.as_raw_mode() | stat.st_mode & 0o7777;
    stat.st_size = size;
    Ok(stat)
}

/// `unlinkat`.
pub fn unlinkat(directory: impl AsFd, path: impl Arg, flags: AtFlags) -> Result<()> {
    let (directory, name) = (below(directory), component(&path));
    assert_ne!(name, b".", "the directory itself");
    TREE.with_borrow_mut(|tree| {
        let found = tree.find(directory, &name)?;
        match (&tree.nodes[&found].what, flags.contains(AtFlags::REMOVEDIR)) {
            (What::Directory(entries), true) if entries.is_empty() => {}
            (What::Directory(_), true) => return Err(Errno::NOTEMPTY),
            (What::Directory(_), false) => return Err(Errno::ISDIR),
            (_, true) => return Err(Errno::NOTDIR),
            (_, false) => {}
        }
        tree.entries(directory)?.remove(&name);
        tree.drop_node(found);
        Ok(())
    })
}

/// `mkdirat`.
pub fn mkdirat(directory: impl AsFd, path: impl Arg, mode: Mode) -> Result<()> {
    make(directory, path, What::Directory(BTreeMap::new()), mode.bits() & 0o7777)
}

/// `symlinkat`: the text may be anything, what follows it must not.
pub fn symlinkat(target: impl Arg, directory: impl AsFd, path: impl Arg) -> Result<()> {
    make(directory, path, What::Link(bytes(&target)), 0o777)
}

fn make(directory: impl AsFd, path: impl Arg, what: What, mode: u32) -> Result<()> {
    let (directory, name) = (below(directory), component(&path));
    TREE.with_borrow_mut(|tree| match tree.find(directory, &name) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => {
            tree.entries(directory)?;
            let made = tree.add(what, mode);
            tree.entries(directory)?.insert(name, made);
            Ok(())
        }
        Err(errno) => Err(errno),
    })
}

/// `readlinkat` of an open link.
pub fn readlinkat(link: impl AsFd, path: impl Arg, _: Vec<u8>) -> Result<CString> {
    assert!(bytes(&path).is_empty(), "a link by its name");
    let number = below(link);
    TREE.with_borrow(|tree| match tree.nodes.get(&number).map(|node| &node.what) {
        Some(What::Link(target)) => Ok(CString::new(target.clone()).expect("no NUL")),
        _ => Err(Errno::NOENT),
    })
}

/// `faccessat` of a directory itself: everything here is ours.
pub fn accessat(directory: impl AsFd, path: impl Arg, _: Access, _: AtFlags) -> Result<()> {
    assert_eq!(bytes(&path), b".", "another's access");
    below(directory);
    Ok(())
}

/// `rename`.
pub fn renameat(from: impl AsFd, old: impl Arg, to: impl AsFd, new: impl Arg) -> Result<()> {
    renameat_with(from, old, to, new, RenameFlags::empty())
}

/// `renameat2`.
pub fn renameat_with(from: impl AsFd, old: impl Arg, to: impl AsFd, new: impl Arg, flags: RenameFlags) -> Result<()> {
    let (from, old, to, new) = (below(from), component(&old), below(to), component(&new));
    TREE.with_borrow_mut(|tree| {
        let moved = tree.find(from, &old)?;
        tree.entries(to)?;
        if let Ok(there) = tree.find(to, &new) {
            if flags.contains(RenameFlags::NOREPLACE) {
                return Err(Errno::EXIST);
            }
            if there == moved {
                return Ok(());
            }
            match (&tree.nodes[&moved].what, &tree.nodes[&there].what) {
                (What::Directory(_), What::Directory(entries)) if entries.is_empty() => {}
                (What::Directory(_), What::Directory(_)) => return Err(Errno::NOTEMPTY),
                (What::Directory(_), _) => return Err(Errno::NOTDIR),
                (_, What::Directory(_)) => return Err(Errno::ISDIR),
                _ => {}
            }
            tree.entries(to)?.remove(&new);
            tree.drop_node(there);
        }
        if contains(tree, moved, to) {
            return Err(Errno::INVAL);
        }
        tree.entries(from)?.remove(&old);
        tree.entries(to)?.insert(new, moved);
        Ok(())
    })
}

fn contains(tree: &Tree, above: u64, directory: u64) -> bool {
    above == directory
        || match &tree.nodes[&above].what {
            What::Directory(entries) => entries.values().any(|entry| contains(tree, *entry, directory)),
            _ => false,
        }
}

/// `getdents`: the position is that of the descriptor, as with the kernel's.
pub struct RawDir {
    rest: Vec<(CString, u64, FileType)>,
    entry: Option<RawDirEntry>,
    removed: bool,
}

/// One entry.
pub struct RawDirEntry {
    name: CString,
    number: u64,
    kind: FileType,
}

/// Entries a read, so that listings come in several.
const A_READ: usize = 4;

impl RawDir {
    /// The next few entries of a directory.
    pub fn new(directory: impl AsFd, _: &mut [MaybeUninit<u8>]) -> Self {
        let here = below(&directory);
        let at = seek(&directory, SeekFrom::Current(0)).unwrap_or(0);
        let all = TREE.with_borrow_mut(|tree| {
            let entries = tree.entries(here)?.clone();
            let dots = [(b".".to_vec(), here), (b"..".to_vec(), here)];
            let described = dots.into_iter().chain(entries).map(|(name, number)| {
                let kind = match tree.nodes[&number].what {
                    What::Directory(_) => FileType::Directory,
                    What::Link(_) => FileType::Symlink,
                    What::Fifo => FileType::Fifo,
                    What::File => FileType::RegularFile,
                };
                (CString::new(name).expect("no NUL"), number, kind)
            });
            Ok::<_, Errno>(described.collect::<Vec<_>>())
        });
        let removed = all.is_err();
        let mut rest: Vec<_> = all.unwrap_or_default().into_iter().skip(at as usize).take(A_READ).collect();
        let _ = seek(&directory, SeekFrom::Start(at + rest.len() as u64));
        rest.reverse();
        Self { rest, entry: None, removed }
    }

    /// The next entry.
    #[allow(clippy::should_implement_trait, reason = "rustix's, which this stands for, is no iterator either")]
    pub fn next(&mut self) -> Option<Result<&RawDirEntry>> {
        if std::mem::take(&mut self.removed) {
            return Some(Err(Errno::NOENT));
        }
        let (name, number, kind) = self.rest.pop()?;
        Some(Ok(self.entry.insert(RawDirEntry { name, number, kind })))
    }

    /// Whether the next call would ask the kernel.
    pub fn is_buffer_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

impl RawDirEntry {
    /// The name.
    pub fn file_name(&self) -> &CStr {
        &self.name
    }

    /// The inode.
    pub fn ino(&self) -> u64 {
        self.number
    }

    /// The kind.
    pub fn file_type(&self) -> FileType {
        self.kind
    }
}
