//! System calls that fail on command: `strace` stands between the server and the kernel.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Server;

const FULL: &str = "[anonymous]\npermissions = \"full\"\n";

/// A server with every right, some of whose system calls fail: each of `faults` is strace's word for it
/// (`pwrite64:error=EIO`), and only calls on the served file `name` are meant. None where there is no strace, or none may
/// trace, which is printed.
pub fn failing(faults: &[&str], name: &str) -> Option<Server> {
    if !may_trace() {
        println!("skipped: strace cannot trace here");
        return None;
    }
    let server = Server::launch("127.0.0.1:0", FULL, &[], |command| {
        let config = command.get_args().last().expect("a configuration");
        let file = Path::new(config).parent().expect("its folder").join("root").join(name);
        // -D: the server stays our child, and strace goes when it goes.
        let mut traced = Command::new("strace");
        // By descriptor and, as openat2 is given it, by its name beneath the root.
        traced.args(["-D", "-f", "-qqq", "-o", "/dev/null", "-P"]).arg(file).args(["-P", name]);
        for fault in faults {
            traced.args(["-e", &format!("inject={fault}")]);
        }
        traced.arg(command.get_program()).args(command.get_args());
        traced
    });
    Some(server)
}

/// A server with every right some of whose system calls fail, whatever they are about: `accept4:error=ECONNABORTED`.
pub fn refusing(faults: &[&str]) -> Option<Server> {
    if !may_trace() {
        println!("skipped: strace cannot trace here");
        return None;
    }
    let server = Server::launch("127.0.0.1:0", FULL, &[], |command| {
        let mut traced = Command::new("strace");
        traced.args(["-D", "-f", "-qqq", "-o", "/dev/null"]);
        for fault in faults {
            traced.args(["-e", &format!("inject={fault}")]);
        }
        traced.arg(command.get_program()).args(command.get_args());
        traced
    });
    Some(server)
}

/// A server with every right all of whose calls that open something are written to `record`, with the paths of the
/// descriptors that come out.
pub fn recorded(record: &Path) -> Option<Server> {
    if !may_trace() {
        println!("skipped: strace cannot trace here");
        return None;
    }
    let server = Server::launch("127.0.0.1:0", FULL, &[], |command| {
        let mut traced = Command::new("strace");
        traced.args(["-D", "-f", "-q", "-y", "-e", "trace=open,openat,openat2,creat", "-o"]).arg(record);
        traced.arg(command.get_program()).args(command.get_args());
        traced
    });
    Some(server)
}

fn may_trace() -> bool {
    let mut probe = Command::new("strace");
    probe.args([OsStr::new("-qqq"), OsStr::new("-o"), OsStr::new("/dev/null"), OsStr::new("true")]);
    probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
