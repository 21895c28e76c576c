//! Which system calls a process may make once it serves: a list for each kind, everything else is EPERM.
//!
//! Two filters lie on each other and the kernel obeys the stricter. The first kills the process at a call that only an
//! intruder would make; the second allows a list and refuses the rest. A refusal instead of death, since a C library
//! or a kernel that brings a new call must cost one operation and not all sessions; under audit it is death, so that no
//! missing call goes unnoticed.
//!
//! The lists hold what glibc and musl use of the same function (`newfstatat` and `statx`, `poll` and `ppoll`), whichever
//! this build was linked with: both are tried by the tests of whoever builds there.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use super::Kind;

/// Memory, time, signals, the end: what any program of the standard library does.
const EVERYBODY: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// What the loop does: sockets, files below its roots, and who it is (the `perm` fact, and the limit on descriptors at a reload).
const WORKER: &[c_long] = &[
    // Readiness.
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    // Sockets.
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_ioctl,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    // Data from here to there.
    libc::SYS_fadvise64,
    libc::SYS_pipe2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_readv,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_sync_file_range,
    // Files.
    libc::SYS_dup,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_linkat,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    // Who this is.
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getgroups,
    libc::SYS_getuid,
    libc::SYS_prlimit64,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_getrlimit,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
];

/// What only somebody else's code would do: run programs, look into other processes, change the machine.
const NEVER: &[c_long] = &[
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_delete_module,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Filters this process's calls, for good. Returns how many calls are allowed.
///
/// # Errors
/// What the kernel says, or that this machine is none whose calls are known.
pub fn filter(kind: Kind) -> io::Result<usize> {
    let rules = allowed(kind)?;
    let count = rules.len();
    let refusal = match super::is_audited() {
        true => SeccompAction::KillProcess,
        false => SeccompAction::Errno(Errno::PERM.raw_os_error().unsigned_abs()),
    };
    let deadly = whatever_the_arguments(NEVER.iter());
    install(deadly, SeccompAction::Allow, SeccompAction::KillProcess)?;
    install(rules, refusal, SeccompAction::Allow)?;
    Ok(count)
}

fn allowed(kind: Kind) -> io::Result<Rules> {
    let more = match kind {
        Kind::Worker => WORKER,
        Kind::Verifier => &[],
    };
    let mut rules = whatever_the_arguments(EVERYBODY.iter().chain(more));
    // Memory that can be run is how bytes become a program.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![rule(2, SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0)?]);
    }
    // abort() signals the process itself, and nobody else.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![rule(0, SeccompCmpOp::Eq, own)?]);
    if kind == Kind::Worker {
        let internet =
            [libc::AF_INET, libc::AF_INET6].map(|family| rule(0, SeccompCmpOp::Eq, family.unsigned_abs().into()));
        rules.insert(libc::SYS_socket, internet.into_iter().collect::<io::Result<_>>()?);
    }
    Ok(rules)
}

/// One by one: to collect a BTreeMap brings a sort of its own into the program, 5 KB for a list that is short.
fn whatever_the_arguments<'a>(calls: impl Iterator<Item = &'a i64>) -> Rules {
    let mut rules = Rules::new();
    for call in calls {
        rules.insert(*call, Vec::new());
    }
    rules
}

/// A rule that looks at one argument's lower half, which is all of those that are looked at.
fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> io::Result<SeccompRule> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(io::Error::other)
}

fn install(rules: Rules, otherwise: SeccompAction, listed: SeccompAction) -> io::Result<()> {
    let machine = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, otherwise, listed, machine).map_err(io::Error::other)?;
    let program = BpfProgram::try_from(filter).map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}
