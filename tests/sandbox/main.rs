//! What a process of the server cannot do any more, and what becomes of the server where the kernel has no such walls.

#[path = "../common/mod.rs"]
mod common;

mod reloads;
mod streams;
mod users;
mod walls;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{SECRET_HASH, Server, shim};
use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

/// Runs in a process of its own; see [`shim`].
#[test]
fn shim() {
    let Some(task) = shim::task() else { return };
    match task.split_once(' ').unwrap() {
        ("deny", rest) => deny(rest),
        ("walled", what) => walls::walled(what),
        _ => panic!("{task}"),
    }
}

/// "ERRNO CALL,CALL…": makes these calls fail, then becomes the server that the environment names.
fn deny(task: &str) {
    let (errno, calls) = task.split_once(' ').unwrap();
    let calls = calls.split(',').map(|call| (call.parse().unwrap(), Vec::new())).collect();
    let refusal = SeccompAction::Errno(errno.parse().unwrap());
    let machine = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refusal, machine).unwrap();
    apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
    let arguments = std::env::var("MINIFTP_TEST_ARGUMENTS").unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_miniftpd"));
    panic!("{}", server.args(arguments.split('\n')).exec());
}

/// The server of a command on a kernel that lacks these calls.
fn lacking(errno: Errno, calls: &[i64]) -> impl FnOnce(Command) -> Command + use<> {
    let calls = calls.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    lacking_task(&format!("deny {} {calls}", errno.raw_os_error()))
}

fn lacking_task(task: &str) -> impl FnOnce(Command) -> Command + use<> {
    let mut shim = shim::command(task);
    move |command| {
        let arguments = command.get_args().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join("\n");
        shim.env("MINIFTP_TEST_ARGUMENTS", arguments).stdin(Stdio::null());
        shim
    }
}

fn of_config(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miniftpd"));
    command.arg("-c").arg(config).stdin(Stdio::null());
    command
}

/// The exit code and the log of a server that should not start; one that does is ended.
fn refuses(mut command: Command) -> (Option<i32>, String) {
    let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    for line in BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok) {
        text = text + &line + "\n";
        if line.contains("listening on ") {
            let _gone_already = server.kill();
        }
    }
    (server.wait().unwrap().code(), text)
}

fn member(home: &str, user: &str) -> (String, String) {
    let text = format!("user = \"{user}\"\n[anonymous]\nenabled = true\npermissions = \"full\"\n");
    (
        text,
        format!(
            "[[account]]\nname = \"ann\"\npassword = \"{SECRET_HASH}\"\nhome = \"{home}\"\npermissions = \"full\"\n"
        ),
    )
}

/// Opens a server's folder to a user, who owns what is served.
fn open_to(user: u32) -> impl FnOnce(Command) -> Command {
    move |command| {
        let config = PathBuf::from(command.get_args().last().unwrap());
        let folder = config.parent().unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        chown(folder.join("root"), Some(user), Some(user)).unwrap();
        command
    }
}

/// Logs in, uploads, lists and downloads.
fn works(server: &Server) {
    let mut ftp = server.login();
    server.put("sub/inner", "12");
    ftp.store("STOR sub/a", b"hello").expect(226);
    assert_eq!(ftp.fetch("RETR sub/a"), b"hello");
    ftp.say("CWD sub").expect(250);
    assert!(String::from_utf8(ftp.fetch("NLST")).unwrap().contains("inner"));
    fs::write(server.outside().join("f"), "secret").unwrap();
    symlink(server.outside(), server.path("out")).unwrap();
    ftp.say("SIZE ../out/f").expect(550);
    ftp.say("RETR /../outside/f").expect(550);
}
