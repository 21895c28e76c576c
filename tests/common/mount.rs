//! File systems mounted into a served folder; gone with the test.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// One of them.
pub struct Mounted(PathBuf);

impl Mounted {
    /// As `mount` is told by `words`. None without the rights to mount, which is printed.
    pub fn at(at: PathBuf, words: &[&str]) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let done = Command::new("mount").args(words).arg(&at).output();
        if done.is_ok_and(|output| output.status.success()) {
            return Some(Mounted(at));
        }
        println!("skipped: no file system can be mounted here");
        None
    }

    /// A small disk of a mebibyte.
    pub fn small(at: PathBuf) -> Option<Self> {
        Self::at(at, &["-t", "tmpfs", "-o", "size=1m,nr_inodes=8", "none"])
    }

    /// The same with other options.
    pub fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _stays_mounted = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
