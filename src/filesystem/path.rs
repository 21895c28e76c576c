//! Names as a session speaks them: absolute below its own root, resolved by text.
//!
//! A session's `/` is its account's home. `.`, `..` and `//` are taken out here, before the kernel sees
//! anything, so `..` never reaches a system call and a rule per directory is looked up under the same
//! spelling that is opened. What links do is not decided here but by [`Root`](super::root::Root).

use std::fmt;

/// Longest path in bytes that is resolved: PATH_MAX of Linux without its final NUL.
pub const PATH_LIMIT: usize = 4095;
/// Longest single component in bytes: NAME_MAX of every file system in use.
pub const NAME_LIMIT: usize = 255;

/// A canonical absolute path below the session's root.
///
/// Begins with `/`; holds no empty component, no `.`, no `..` and no trailing `/`. The root itself is `/`.
/// The bytes are those of the client, in no particular character set.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VirtualPath(Option<Box<[u8]>>); // None is the root, so that a fresh session allocates nothing

/// Why an argument is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathFault {
    /// It holds CR, LF or NUL: no control connection could ever name that file again (RFC 959 5.3.1).
    Unsendable,
    /// The result is longer than [`PATH_LIMIT`], or one component longer than [`NAME_LIMIT`].
    TooLong,
}

impl VirtualPath {
    /// The session's `/`.
    pub fn root() -> Self {
        Self(None)
    }

    /// What `argument` means to a session whose working directory is `self`.
    ///
    /// A leading `/` starts at the root, `..` at the root stays there. Nothing is looked up: `a/../b` is `b`
    /// even where `a` does not exist or is a link, since a client that shortens its paths itself must get
    /// the same file as one that does not.
    pub fn resolve(&self, argument: &[u8]) -> Result<Self, PathFault> {
        if argument.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(PathFault::Unsendable);
        }
        let base = if argument.starts_with(b"/") { &[][..] } else { self.stem() };
        let mut bytes = Vec::with_capacity(base.len() + 1 + argument.len());
        bytes.extend_from_slice(base);
        for component in argument.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => bytes.truncate(parent_length(&bytes)),
                name if name.len() > NAME_LIMIT => return Err(PathFault::TooLong),
                name => {
                    bytes.push(b'/');
                    bytes.extend_from_slice(name);
                }
            }
        }
        if bytes.len() > PATH_LIMIT {
            return Err(PathFault::TooLong);
        }
        Ok(Self::from_stem(bytes))
    }

    /// The path as the client sees it.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(b"/")
    }

    /// Whether this is the session's `/`.
    pub fn is_root(&self) -> bool {
        self.0.is_none()
    }

    /// The directory this path is in; the root is its own parent, as CDUP at the root is (RFC 959 4.1.1).
    pub fn parent(&self) -> Self {
        let stem = self.stem();
        Self::from_stem(stem.iter().take(parent_length(stem)).copied().collect())
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.stem().rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    /// The entry `name` of this directory.
    ///
    /// `name` comes from the disk and is one component; it is not looked at again, and may hold bytes that
    /// [`VirtualPath::resolve`] refuses.
    pub fn join(&self, name: &[u8]) -> Self {
        let stem = self.stem();
        let mut bytes = Vec::with_capacity(stem.len() + 1 + name.len());
        bytes.extend_from_slice(stem);
        bytes.push(b'/');
        bytes.extend_from_slice(name);
        Self::from_stem(bytes)
    }

    /// Whether `self` is `prefix` or lies below it. Whole components count: `/ab` is not below `/a`.
    pub fn starts_with(&self, prefix: &Self) -> bool {
        match self.stem().strip_prefix(prefix.stem()) {
            Some(rest) => rest.is_empty() || rest.starts_with(b"/"),
            None => false,
        }
    }

    /// Whether a link in this directory with the text `target` stays inside, read as text: it is relative,
    /// and its `..` never outnumber what they can take away.
    pub(crate) fn keeps(&self, target: &[u8]) -> bool {
        if target.is_empty() || target.starts_with(b"/") {
            return false;
        }
        let depth = self.stem().iter().filter(|&&byte| byte == b'/').count();
        let left = target.split(|&byte| byte == b'/').try_fold(depth, |depth, name| match name {
            b"" | b"." => Some(depth),
            b".." => depth.checked_sub(1),
            _ => Some(depth + 1),
        });
        left.is_some()
    }

    /// The path as system calls want it beside a directory descriptor; `.` for the root.
    pub(crate) fn relative(&self) -> &[u8] {
        match self.stem().split_first() {
            Some((_, rest)) => rest,
            None => b".",
        }
    }

    /// The path with the root as the empty string: every form of it then ends without a slash.
    fn stem(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    fn from_stem(bytes: Vec<u8>) -> Self {
        Self((!bytes.is_empty()).then(|| bytes.into_boxed_slice()))
    }
}

impl fmt::Debug for VirtualPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl fmt::Display for PathFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unsendable => "File name not allowed",
            Self::TooLong => "File name too long",
        })
    }
}

/// Where the last component of a stem begins: the length of its parent's stem.
fn parent_length(stem: &[u8]) -> usize {
    stem.iter().rposition(|&byte| byte == b'/').unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolved(cwd: &str, argument: &str) -> String {
        let cwd = VirtualPath::root().resolve(cwd.as_bytes()).expect("cwd");
        let path = cwd.resolve(argument.as_bytes()).expect("argument");
        String::from_utf8_lossy(path.as_bytes()).into_owned()
    }

    #[test]
    fn dots_slashes_and_parents_are_taken_out() {
        for (cwd, argument, expected) in [
            ("/", "", "/"),
            ("/", "..", "/"),
            ("/a", "../../../..", "/"),
            ("/a/b", "c", "/a/b/c"),
            ("/a/b", "/c", "/c"),
            ("/a/b", "../c/./d//", "/a/c/d"),
            ("/", "//x", "/x"),
            ("/", "/x/.", "/x"),
            ("/", "/x/y/..", "/x"),
            ("/", "...", "/..."),
            ("/", ".. /", "/.. "),
            ("/", "..\\x", "/..\\x"),
            ("/", "%2e%2e", "/%2e%2e"),
            ("/a", " b ", "/a/ b "),
        ] {
            assert_eq!(resolved(cwd, argument), expected, "{argument:?} in {cwd:?}");
        }
    }

    #[test]
    fn what_cannot_be_sent_or_opened_is_refused() {
        let root = VirtualPath::root();
        for argument in [&b"a\rb"[..], b"a\nb", b"a\0b"] {
            assert_eq!(root.resolve(argument), Err(PathFault::Unsendable));
        }
        assert!(root.resolve(&[b'a'; NAME_LIMIT]).is_ok());
        assert_eq!(root.resolve(&[b'a'; NAME_LIMIT + 1]), Err(PathFault::TooLong));
        let deep = b"/a".repeat(2047);
        assert!(root.resolve(&deep).is_ok());
        assert_eq!(root.resolve(&b"/a".repeat(2048)), Err(PathFault::TooLong));
        let cwd = root.resolve(&deep).expect("deep");
        assert_eq!(cwd.resolve(b"bc"), Err(PathFault::TooLong));
    }

    #[test]
    fn parts_fit_together() {
        let path = VirtualPath::root().resolve(b"/a/b.c").expect("path");
        assert_eq!(path.name(), b"b.c");
        assert_eq!(path.parent().as_bytes(), b"/a");
        assert_eq!(path.parent().parent(), VirtualPath::root());
        assert_eq!(VirtualPath::root().parent(), VirtualPath::root());
        assert_eq!(path.parent().join(b"b.c"), path);
        assert_eq!(path.relative(), b"a/b.c");
        assert_eq!(VirtualPath::root().relative(), b".");
        assert_eq!(VirtualPath::root().name(), b"");
        assert!(VirtualPath::root().join(b"x").starts_with(&VirtualPath::root()));
    }

    #[test]
    fn a_prefix_ends_at_a_component() {
        let path = |text: &[u8]| VirtualPath::root().resolve(text).expect("path");
        assert!(path(b"/a").starts_with(&path(b"/a")));
        assert!(path(b"/a/b").starts_with(&path(b"/a")));
        assert!(!path(b"/ab").starts_with(&path(b"/a")));
        assert!(!path(b"/a").starts_with(&path(b"/a/b")));
    }

    #[test]
    fn a_link_text_is_kept_as_long_as_it_stays_inside() {
        let path = |text: &[u8]| VirtualPath::root().resolve(text).expect("path");
        for (directory, target, kept) in [
            ("/", "x", true),
            ("/", "..", false),
            ("/", "a/../b", true),
            ("/", "a/../../b", false),
            ("/a/b", "../../x", true),
            ("/a/b", "../../../x", false),
            ("/a", "/x", false),
            ("/a", "", false),
        ] {
            assert_eq!(path(directory.as_bytes()).keeps(target.as_bytes()), kept, "{target}");
        }
    }

    proptest! {
        #[test]
        fn resolving_is_canonical_and_idempotent(cwd in "[a./]{0,12}", argument in proptest::collection::vec(prop_oneof![
            Just(b'/'), Just(b'.'), Just(b'a'), any::<u8>()], 0..40)) {
            let cwd = VirtualPath::root().resolve(cwd.as_bytes()).expect("cwd");
            if let Ok(path) = cwd.resolve(&argument) {
                let bytes = path.as_bytes();
                prop_assert!(bytes.starts_with(b"/"));
                prop_assert!(path.is_root() || !bytes.ends_with(b"/"));
                prop_assert!(path.is_root() || bytes[1..].split(|&b| b == b'/').all(|c| !matches!(c, b"" | b"." | b"..")));
                prop_assert_eq!(cwd.resolve(bytes), Ok(path.clone()));
                prop_assert_eq!(VirtualPath::root().resolve(path.relative()), Ok(path));
            }
        }
    }
}
