//! Disks that fail, fill up and refuse: what the system says in mid-transfer is told, and never as success.
//!
//! Names begin with the fault's number in the project's list of them.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

use common::mount::Mounted;
use common::strace::failing;
use common::{Server, noise, read_all, read_some};

const ATOMIC: &str = "[files]\nuploads = \"atomic\"\n";

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn f17_a_call_that_takes_long_is_named() {
    // The disk takes three tenths of a second for each piece.
    let Some(server) = failing(&["pwrite64:delay_enter=300000"], "up") else { return };
    let mut ftp = server.login();
    assert_eq!(upload(&mut ftp, "STOR up", 5), 226);
    // The disk of this machine may be slow at other calls as well.
    let line = server.wait_for(" ms for write");
    assert!(line.contains("the file system took"), "{line}");
}

/// An upload that fails in the middle; answers the final reply's code.
#[track_caller]
fn upload(ftp: &mut common::Peer, line: &str, bytes: usize) -> u16 {
    let mut data = ftp.epsv();
    ftp.say(line).expect(150);
    // The server stops taking bytes: how many it took is its own affair.
    let _cut_short = data.write_all(&noise(bytes));
    drop(data);
    ftp.reply().code
}

#[test]
fn a_name_on_another_disk_is_refused_in_these_words() {
    let server = Server::full();
    let Some(_disk) = Mounted::small(server.path("disk")) else { return };
    server.put("f", "old");
    let mut ftp = server.login();
    ftp.say("RNFR f").expect(350);
    ftp.say("RNTO disk/f").expect(550).says("another file system");
    let line = server.wait_for("RNTO \"disk/f\" refused, 550: On another file system");
    assert!(line.contains("INFO"), "{line}");
}

#[test]
fn f01_a_full_disk_leaves_the_old_file_and_no_trace() {
    let server = Server::full_and(ATOMIC);
    let Some(_disk) = Mounted::small(server.path("disk")) else { return };
    server.put("disk/f", "old");
    let mut ftp = server.login();
    for name in ["f", "new"] {
        assert_eq!(upload(&mut ftp, &format!("STOR disk/{name}"), 4 << 20), 452);
        assert_eq!(entries(&server.path("disk")), ["f"], "the hidden file is gone");
        assert_eq!(server.get("disk/f"), b"old");
        ftp.is_well();
    }
    // What is appended is appended to the file itself: it is longer than before, never shorter.
    assert_eq!(upload(&mut ftp, "APPE disk/f", 4 << 20), 452);
    assert!(server.get("disk/f").starts_with(b"old"));
    ftp.say("DELE disk/f").expect(250);
    ftp.store("STOR disk/small", b"fits").expect(226);
}

#[test]
fn f02_a_quota_of_the_file_system_is_no_fault_of_ours() {
    let Some(server) = failing(&["pwrite64:error=EDQUOT"], "f") else { return };
    let mut ftp = server.login();
    assert_eq!(upload(&mut ftp, "STOR f", 300_000), 552);
    ftp.store("STOR other", b"1").expect(226);
}

#[test]
fn f03_a_write_that_fails_is_never_complete() {
    // The first, the last, and with TYPE A what is held back until the end.
    for (fault, bytes) in [("pwrite64:error=EIO", 10), ("pwrite64:error=EIO:when=2+", 1_000_000)] {
        for line in ["TYPE I", "TYPE A"] {
            let Some(server) = failing(&[fault], "f") else { return };
            let mut ftp = server.login();
            ftp.say(line).expect(200);
            assert_eq!(upload(&mut ftp, "STOR f", bytes), 451, "{fault} {line}");
            ftp.store("STOR other", b"1").expect(226);
        }
    }
}

#[test]
fn f03_what_a_file_system_says_only_at_a_close_is_told_too() {
    for (fault, line, code) in [("EIO", "STOR f", 451), ("ENOSPC", "APPE f", 452), ("EDQUOT", "STOR f", 552)] {
        // A close that strace stops does not happen: the file stays open, and with it the lock of its writer.
        let Some(server) = failing(&[&format!("close:error={fault}")], "f") else { return };
        server.put("f", "old");
        let mut ftp = server.login();
        assert_eq!(upload(&mut ftp, line, 10), code, "{fault}");
        ftp.store("STOR other", b"1").expect(226);
    }
}

#[test]
fn f04_a_read_that_fails_ends_in_451_and_a_reset() {
    // Small files are read, large ones are sent by the kernel; a read that does not wait for the disk is tried first.
    for size in [10, 3_000_000] {
        let faults = ["preadv2:error=EIO", "pread64:error=EIO", "sendfile:error=EIO"];
        let Some(server) = failing(&faults, "f") else { return };
        server.put("f", noise(size));
        server.put("whole", noise(size));
        let mut ftp = server.login();
        for line in ["TYPE I", "TYPE A"] {
            ftp.say(line).expect(200);
            let mut data = ftp.epsv();
            ftp.say("RETR f").expect(150);
            let mut got = Vec::new();
            assert!(data.read_to_end(&mut got).is_err(), "{size} {line}: an orderly end after {} bytes", got.len());
            ftp.reply().expect(451);
        }
        ftp.say("HASH f").expect(451);
        ftp.say("TYPE I").expect(200);
        assert!(ftp.fetch("RETR whole") == noise(size));
    }
}

#[test]
fn f07_each_refusal_has_its_code_and_costs_no_session() {
    let server = Server::full();
    server.put("f", "1");
    symlink("loop", server.path("loop")).unwrap();
    let mut ftp = server.login();
    let long = "x".repeat(255);
    for (line, code) in [
        ("RETR f/x", 550),
        ("RETR loop", 550),
        ("CWD loop", 550),
        ("CWD f", 550),
        ("DELE none", 550),
        ("RMD f", 550),
        ("STOR f/x", 553),
        ("MKD f/x", 553),
        ("STOR loop/x", 550),
        (&format!("STOR {long}x"), 553),
        (&format!("MKD {long}x"), 553),
    ] {
        ftp.epsv();
        assert_eq!(ftp.say(line).code, code, "{line}");
    }
    ftp.is_well();
}

#[test]
fn f07_a_read_only_file_system_refuses_new_names() {
    let server = Server::full();
    let Some(disk) = Mounted::small(server.path("disk")) else { return };
    server.put("disk/f", "1");
    disk.remount("ro");
    let mut ftp = server.login();
    for line in ["STOR disk/f", "APPE disk/f", "STOR disk/new", "MKD disk/d", "DELE disk/f", "SITE CHMOD 600 disk/f"] {
        ftp.epsv();
        let code = ftp.say(line).code;
        assert!(matches!(code, 550 | 553), "{line}: {code}");
    }
    ftp.say("RNFR disk/f").expect(350);
    assert!(matches!(ftp.say("RNTO disk/g").code, 550 | 553));
    assert_eq!(ftp.fetch("RETR disk/f"), b"1");
}

#[test]
fn f07_what_the_kernel_forbids_is_told_as_what_is_not_there() {
    for (errno, code) in [("EACCES", 550), ("EPERM", 550), ("EIO", 451), ("EMFILE", 451), ("EBUSY", 450)] {
        let Some(server) = failing(&[&format!("openat2:error={errno}")], "f") else { return };
        server.put("f", "1");
        let mut ftp = server.login();
        ftp.epsv();
        assert_eq!(ftp.say("RETR f").code, code, "{errno}");
        ftp.store("STOR other", b"1").expect(226);
    }
}

#[test]
fn f14_sendfile_that_is_not_to_be_had_is_done_without() {
    // From the first call on, and in the middle.
    for fault in ["EINVAL", "ENOSYS:when=2+", "EOVERFLOW:when=2+"] {
        let Some(server) = failing(&[&format!("sendfile:error={fault}")], "f") else { return };
        let bytes = noise(3_000_000);
        server.put("f", &bytes);
        let mut ftp = server.login();
        assert!(ftp.fetch("RETR f") == bytes, "{fault}");
        ftp.say("REST 1000000").expect(350);
        assert!(ftp.fetch("RETR f") == bytes[1_000_000..], "{fault}");
    }
}

#[test]
fn f14_a_socket_that_takes_no_more_is_waited_for() {
    let server = Server::full();
    let bytes = noise(20_000_000);
    server.put("f", &bytes);
    let mut ftp = server.login();
    let mut data = ftp.epsv_narrow();
    ftp.say("RETR f").expect(150);
    let mut got = read_some(&mut data, 1000);
    // Nothing is read until the kernel takes no more, which a progress that stands still tells.
    let mut before = String::new();
    loop {
        let now = ftp.wait_for_progress(1);
        if now == before {
            break;
        }
        before = now;
    }
    got.extend(read_all(data));
    ftp.reply().expect(226);
    assert!(got == bytes);
}
