"""Runs the interoperability cases: `run.py [--server COMMAND] [--client NAME]... [--case NAME]... [--keep] [--require N]`.

One line for each client and case, what a client cannot do with its reason, the transcripts of failed cases, and a closing line
`N passed, N failed`. The exit code is 0 when nothing failed.
"""

import argparse
import os
import shlex
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

from cases import CASES, World
from clients import PROGRAMS
from harness import Failure, Runner, Samples, Server, tail
from libraries import LIBRARIES

REPOSITORY = Path(__file__).resolve().parents[2]
WORK = REPOSITORY / "target" / "interop"
SERVER = str(REPOSITORY / "target/release/miniftpd") + " -l 127.0.0.1:0 {v6} -u {user} --anonymous -w {dir}"
V6_LISTENERS = "-l [::1]:0 -l :0"
CLIENTS = PROGRAMS + LIBRARIES


class Report:
    """Counts and prints; keeps what failed for the end."""

    def __init__(self):
        self.passed, self.failed, self.lacking, self.skipped = 0, [], 0, []

    def line(self, client, case, verdict, note=""):
        print(f"{client:<12} {case:<20} {verdict:<5} {note}".rstrip(), flush=True)

    def result(self, client, case, error, seconds, log):
        if error is None:
            self.passed += 1
            self.line(client, case, "ok", f"{seconds:.2f} s")
        else:
            self.failed.append((client, case, error, log))
            self.line(client, case, "FAIL", str(error).splitlines()[0])

    def lack(self, client, case, reason):
        self.lacking += 1
        self.line(client, case, "n/a", reason)

    def skip(self, client, reason):
        self.skipped.append(client)
        self.line(client, "all", "skip", reason)

    def close(self):
        for client, case, error, log in self.failed:
            print(f"\n--- {client} {case}: {error}\n{tail(log)}")
        print(f"\nnot in a client's power: {self.lacking}; clients not installed: {', '.join(self.skipped) or 'none'}")
        print(f"{self.passed} passed, {len(self.failed)} failed")
        return 0 if not self.failed else 1


def has_ipv6():
    """Whether this machine has ::1."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


def has_ipv6_address():
    """Whether it has another one than that, of more than a link."""
    try:
        return any(line.split()[3] == "00" for line in Path("/proc/net/if_inet6").read_text().splitlines())
    except OSError:
        return False


def inability(client, case, ipv6):
    """Why this client cannot play this case, or None."""
    if case.active and not client.active:
        return "passive only"
    if case.kind == "v6" and not client.ipv6:
        return "speaks IPv4 only"
    if case.kind != "v4" and not ipv6:
        return "this machine has no ::1"
    if case.kind == "v6" and client.wants_address and not has_ipv6_address():
        return "has no use for ::1 where that is all there is"
    return next((client.cannot[key] for key in (case.name, *case.abilities) if key in client.cannot), None)


def play(client_class, case, server, samples, report):
    """One case of one client in folders of its own."""
    tag = f"{client_class.name}-{case.name}"
    log = WORK / "logs" / f"{tag}.log"
    disk = server.root / tag
    disk.mkdir()
    disk.chmod(0o777)
    scratch = Path(tempfile.mkdtemp(prefix="case-", dir=WORK))
    error, start = None, time.monotonic()
    try:
        local = scratch / "local"
        local.mkdir()
        client = client_class(Runner(scratch, log))
        case.run(client, World(disk, f"/{tag}", local, samples, server))
    except Failure as failure:
        error = failure
    except (OSError, ValueError, KeyError, TypeError) as broken:
        error = Failure(f"the suite met {type(broken).__name__}: {broken}")
    if not server.alive():
        error = Failure(f"the server ended: {tail(server.log, 5)}")
    report.result(client_class.name, case.name, error, time.monotonic() - start, log)
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(disk, ignore_errors=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default=SERVER, help="command of the server; {dir}, {user} and {v6} are replaced")
    parser.add_argument("--client", action="append", choices=[client.name for client in CLIENTS])
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--require", type=int, default=0, help="fail when fewer clients than this are installed")
    return parser.parse_args()


def main():
    options = arguments()
    shutil.rmtree(WORK / "logs", ignore_errors=True)
    (WORK / "logs").mkdir(parents=True)
    ipv6 = has_ipv6()
    root = Path(tempfile.mkdtemp(prefix="served-", dir=WORK))
    root.chmod(0o755)
    command = shlex.split(options.server.replace("{v6}", V6_LISTENERS if ipv6 else ""))
    server = Server(command, root, WORK / "logs" / "server.log")
    report = Report()
    try:
        server.start(3 if ipv6 else 1)
        run_all(options, server, ipv6, report)
        code = server.stop()
        report.result("server", "orderly-end", None if code == 0 else Failure(f"exit code {code} after SIGTERM"), 0.0, server.log)
    except Failure as failure:
        report.result("server", "start", failure, 0.0, server.log)
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)
    return report.close()


def run_all(options, server, ipv6, report):
    """Every wanted client through every wanted case."""
    samples = Samples(WORK / "samples")
    present = 0
    for client in CLIENTS:
        if options.client and client.name not in options.client:
            continue
        missing = client.missing()
        if missing:
            report.skip(client.name, f"{missing} is not installed")
            continue
        present += 1
        for case in CASES:
            if options.case and case.name not in options.case:
                continue
            reason = inability(client, case, ipv6)
            if reason:
                report.lack(client.name, case.name, reason)
            elif server.alive():
                play(client, case, server, samples, report)
            else:
                report.result(client.name, case.name, Failure("no server any more"), 0.0, server.log)
    if present < options.require:
        report.result("suite", "clients", Failure(f"{present} clients, {options.require} required"), 0.0, server.log)


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
