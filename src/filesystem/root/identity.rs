//! Who this process is to the file system, asked once: the `perm` fact needs it for every entry.

use super::{Kind, Stat};

/// Effective user and groups of this process at the time the root was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    uid: u32,
    groups: Box<[u32]>,
}

/// What mode bits grant to one identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Contents may be read.
    pub read: bool,
    /// Contents may be changed; entries of a directory, together with `search`.
    pub write: bool,
    /// A directory may be passed through, a file run.
    pub search: bool,
}

impl Identity {
    /// This process. A failing look-up of supplementary groups counts as none: the fact is a hint.
    pub fn current() -> Self {
        let mut groups = rustix::process::getgroups().unwrap_or_default();
        groups.push(rustix::process::getegid());
        Self {
            uid: rustix::process::geteuid().as_raw(),
            groups: groups.into_iter().map(|group| group.as_raw()).collect(),
        }
    }

    /// What the mode bits grant; the superuser may do all but search what nobody may.
    pub fn access(&self, stat: &Stat) -> Access {
        if self.uid == 0 {
            let search = stat.kind == Kind::Dir || stat.mode & 0o111 != 0;
            return Access { read: true, write: true, search };
        }
        let bits = if stat.uid == self.uid {
            stat.mode >> 6
        } else if self.groups.contains(&stat.gid) {
            stat.mode >> 3
        } else {
            stat.mode
        };
        Access { read: bits & 4 != 0, write: bits & 2 != 0, search: bits & 1 != 0 }
    }

    /// Whether entries of the directory `parent` that belong to `entry`'s owner may be removed or renamed:
    /// write and search on the directory, and in a sticky one ownership of either.
    pub fn may_unlink(&self, parent: &Stat, entry: &Stat) -> bool {
        const STICKY: u32 = 0o1000;
        let access = self.access(parent);
        let mine = self.uid == 0 || [parent.uid, entry.uid].contains(&self.uid);
        access.write && access.search && (parent.mode & STICKY == 0 || mine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(kind: Kind, mode: u32, uid: u32, gid: u32) -> Stat {
        let (size, mtime, mtime_nsec, nlink, dev, ino) = (0, 0, 0, 1, 1, 1);
        let (ctime, ctime_nsec) = (0, 0);
        Stat { kind, size, mode, mtime, mtime_nsec, ctime, ctime_nsec, uid, gid, nlink, dev, ino }
    }

    #[test]
    fn owner_then_group_then_others() {
        let me = Identity { uid: 10, groups: [20, 21].into() };
        let bits = |uid, gid| {
            let access = me.access(&stat(Kind::File, 0o421, uid, gid));
            (access.read, access.write, access.search)
        };
        assert_eq!(bits(10, 20), (true, false, false));
        assert_eq!(bits(11, 21), (false, true, false));
        assert_eq!(bits(11, 22), (false, false, true));
    }

    #[test]
    fn the_superuser_needs_an_x_on_files_only() {
        let root = Identity { uid: 0, groups: [0].into() };
        assert!(!root.access(&stat(Kind::File, 0o666, 5, 5)).search);
        assert!(root.access(&stat(Kind::Dir, 0, 5, 5)).search);
    }

    #[test]
    fn a_sticky_directory_protects_what_others_own() {
        let me = Identity { uid: 10, groups: [20].into() };
        let (open, sticky) = (stat(Kind::Dir, 0o777, 0, 0), stat(Kind::Dir, 0o1777, 0, 0));
        let (mine, theirs) = (stat(Kind::File, 0, 10, 0), stat(Kind::File, 0o777, 11, 0));
        assert!(me.may_unlink(&open, &theirs) && me.may_unlink(&sticky, &mine));
        assert!(!me.may_unlink(&sticky, &theirs));
        assert!(!me.may_unlink(&stat(Kind::Dir, 0o775, 0, 0), &mine));
    }
}
