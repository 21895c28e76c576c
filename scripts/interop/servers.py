"""Our client against servers of the field: `servers.py [--server NAME]... [--case NAME]... [--require N]`.

The servers are those of scripts/bench, each on a loopback port with the configuration it has there, its program below target/, and
again in TLS (secure_servers.py), with fewer cases. One line for each server and case, judged by the bytes and names on both disks; the
closing line is `N passed, N failed`. Every server is ended by its process id, whatever happens.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import READY_SECONDS, STOP_SECONDS, Failure, Runner, Samples, equal, same, tail

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "scripts" / "bench.d"))
import peers  # noqa: E402  the folder has to be known first
import secure_servers  # noqa: E402

WORK = REPOSITORY / "target" / "interop"
# What can only be measured against is no server.
SERVERS = [peer for peer in peers.PEERS if not issubclass(peer, peers.Bare)]
CLIENT = REPOSITORY / "target/release/miniftp"
# Set once the process has a mount namespace of its own.
INSIDE = "INTEROP_OWN_PASSWD"
NAMES = ["two words  and more.txt", "Grüße 日本.txt", "100% #1 'q' &c;x.txt", "-dash"]
TREE = {"a.txt": b"a", "sub/b.bin": bytes(range(256)) * 40, "sub/deeper/with blank.txt": b"blank", "sub/deeper/zero": b""}
# More than the sessions of a mirror at once, and more than one window of errands.
MANY = 150
# A port that is taken three times in a row is not taken: the server has another reason.
PORTS_TRIED = 3
# More than any of the servers gives tickets at once.
ROW = 12
# pure-ftpd does not let guests change what is there, on purpose.
KEEPS = {"pure-ftpd": {"remove": "guests may not remove", "rename": "guests may not rename", "resume-put": "guests may not append",
                       "delete-extra": "guests may not remove", "replace": "guests may not overwrite"}}


class World:
    """One case: a folder on the server's disk and its URL, local space, the client."""

    def __init__(self, disk, url, local, samples, runner, trust):
        self.disk, self.url, self.local, self.samples, self.runner, self.trust = disk, url, local, samples, runner, trust

    def client(self, *words, code=0):
        """Runs our client; any other exit code than expected is a failure."""
        done = self.runner.run([CLIENT, "-q", *self.trust, *words], cwd=self.local, check=False)
        if done.code != code:
            raise Failure(f"exit code {done.code} instead of {code}: miniftp {' '.join(str(word) for word in words)}")
        return done

    def at(self, name=""):
        """The URL of a name in this case's folder."""
        return f"{self.url}/{quoted(name)}" if name else self.url

    def served(self, name, content):
        """A file on the server's disk."""
        path = self.disk / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        open_up(self.disk)
        return path


def quoted(name):
    """A path as URLs want it."""
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 or chr(byte) in "/.-_" else f"%{byte:02X}" for byte in name.encode())


def open_up(top):
    """Servers that run as somebody else may do everything here."""
    for folder, folders, files in os.walk(top):
        os.chmod(folder, 0o777)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o666)


def contents(top):
    """Every file below a folder: path and bytes."""
    return {str(path.relative_to(top)): path.read_bytes() for path in Path(top).rglob("*") if path.is_file()}


def get(world):
    for name in ("zero", "one", "ten"):
        shutil.copy(world.samples.path(name), world.disk / name)
        world.client("get", world.at(name))
        same(world.samples.path(name), world.local / name)


def put(world):
    for name in ("zero", "one", "ten"):
        world.client("put", world.samples.path(name), world.at(f"{name}.up"))
        same(world.samples.path(name), world.disk / f"{name}.up")


def replace(world):
    world.served("r", b"x" * 5000)
    world.client("put", world.samples.path("one"), world.at("r"))
    same(world.samples.path("one"), world.disk / "r")


def names(world):
    for name in NAMES:
        (world.local / "up").write_bytes(name.encode())
        world.client("put", "up", world.at(name))
        world.client("get", world.at(name), "-o", "down")
        equal(name.encode(), (world.local / "down").read_bytes(), name)
    listed = [json.loads(line)["name"] for line in world.client("--json", "ls", world.at()).out.splitlines()]
    equal(set(NAMES), set(listed), "names listed")


def resume_get(world):
    whole = world.samples.path("ten").read_bytes()
    world.served("ten", whole)
    (world.local / "ten.part").write_bytes(whole[:3_000_001])
    world.client("-c", "get", world.at("ten"))
    same(world.samples.path("ten"), world.local / "ten")


def resume_put(world):
    whole = world.samples.path("ten").read_bytes()
    world.served("ten", whole[:3_000_001])
    world.client("-c", "put", world.samples.path("ten"), world.at("ten"))
    same(world.samples.path("ten"), world.disk / "ten")


def segments(world):
    shutil.copy(world.samples.path("big"), world.disk / "big")
    world.client("-n", "4", "get", world.at("big"))
    same(world.samples.path("big"), world.local / "big")


def active(world):
    world.served("a", b"active" * 1000)
    world.client("--active", "get", world.at("a"))
    equal(b"active" * 1000, (world.local / "a").read_bytes(), "a")


def plant(top):
    for name, content in TREE.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    for number in range(MANY):
        (top / f"f{number}").write_bytes(f"{number} ".encode() * number)


def mirror_down(world):
    (world.disk / "tree").mkdir()
    plant(world.disk / "tree")
    open_up(world.disk)
    world.client("-P", "8", "mirror", world.at("tree"), "copy")
    equal(contents(world.disk / "tree"), contents(world.local / "copy"), "the copy")


def mirror_up(world):
    (world.local / "tree").mkdir()
    plant(world.local / "tree")
    world.client("-P", "8", "mirror", "tree", world.at("copy"))
    equal(contents(world.local / "tree"), contents(world.disk / "copy"), "the copy")
    again = world.client("--json", "mirror", "tree", world.at("copy"))
    equal("", again.out, "moved a second time")


def delete_extra(world):
    world.served("tree/old/x", b"x")
    world.served("tree/y", b"y")
    (world.local / "tree").mkdir()
    (world.local / "tree" / "z").write_bytes(b"z")
    world.client("--delete", "mirror", "tree", world.at("tree"))
    equal({"z": b"z"}, contents(world.disk / "tree"), "what is left")


def directories(world):
    world.client("mkdir", world.at("a"), world.at("a/b c"))
    equal(True, (world.disk / "a" / "b c").is_dir(), "made")


def remove(world):
    world.served("d/x", b"x")
    world.client("rm", world.at("d/x"))
    world.client("rmdir", world.at("d"))
    equal(False, (world.disk / "d").exists(), "there still")


def rename(world):
    world.served("a", b"a")
    world.client("mv", world.at("a"), world.at("b b"))
    equal({"b b": b"a"}, contents(world.disk), "names")


def stat(world):
    world.served("s", b"12345")
    equal(5, json.loads(world.client("--json", "stat", world.at("s")).out)["size"], "size")
    equal(b"12345".decode(), world.client("cat", world.at("s")).out, "cat")


def check(world):
    world.served("c", b"same")
    (world.local / "c").write_bytes(b"same")
    world.client("check", "c", world.at("c"))
    (world.local / "c").write_bytes(b"else")
    world.client("check", "c", world.at("c"), code=9)


def missing(world):
    world.client("get", world.at("nowhere"), code=5)
    equal([], list(world.local.iterdir()), "left behind")


CASES = [get, put, replace, names, resume_get, resume_put, segments, active, mirror_down, mirror_up, delete_extra, directories, remove,
         rename, stat, check, missing]


def puts_in_a_row(world):
    """More uploads than a server gives tickets, in one session."""
    names = [f"u{number}" for number in range(ROW)]
    for name in names:
        (world.local / name).write_bytes(name.encode() * 100)
    world.client("-P", "1", "put", *names, f"{world.at()}/")
    equal(contents(world.local), contents(world.disk), "what arrived")


def gets_in_a_row(world):
    for number in range(ROW):
        world.served(f"d{number}", f"{number}".encode() * 100)
    world.client("-P", "1", "get", *(world.at(f"d{number}") for number in range(ROW)))
    equal(contents(world.disk), contents(world.local), "what arrived")


SECURE_CASES = [get, put, puts_in_a_row, gets_in_a_row, mirror_down, mirror_up, segments]


def case_name(case):
    return case.__name__.replace("_", "-")


def own_passwd(served):
    """Gives this process a mount namespace where the account `ftp` lives in the served folder, as the forking peers demand."""
    if os.geteuid() != 0 or os.environ.get(INSIDE):
        return
    lines = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("ftp:")]
    copy = WORK / "passwd"
    copy.write_text("\n".join([*lines, f"ftp:x:65533:65534::{served}:/usr/sbin/nologin", ""]))
    os.environ[INSIDE] = str(served)
    words = ["mount --bind \"$0\" /etc/passwd && exec \"$@\"", str(copy), sys.executable, __file__, *sys.argv[1:]]
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "sh", "-c", *words])


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def start(peer, port):
    """Starts a server and waits until it greets."""
    words = peer.tls_command(port) if isinstance(peer, secure_servers.Secure) else peer.command(port)
    process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL,
                               stdout=open(peer.folder / "log", "wb"), stderr=subprocess.STDOUT, start_new_session=True)
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as sock:
                sock.settimeout(READY_SECONDS)
                if sock.recv(3) == b"220":
                    return process
        except OSError:
            time.sleep(0.05)
    stop(process)
    raise Failure(f"{peer.name} did not get ready\n{tail(peer.folder / 'log')}")


def stop(process):
    """Ends a server by its id."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Report:
    def __init__(self):
        self.passed, self.failed = 0, []

    def line(self, server, case, verdict, note=""):
        print(f"{server:<12} {case:<14} {verdict:<5} {note}".rstrip(), flush=True)

    def result(self, server, case, error, seconds, log):
        if error is None:
            self.passed += 1
            self.line(server, case, "ok", f"{seconds:.2f} s")
        else:
            self.failed.append((server, case, error, log))
            self.line(server, case, "FAIL", str(error).splitlines()[0])

    def close(self):
        for server, case, error, log in self.failed:
            print(f"\n--- {server} {case}: {error}\n{tail(log)}")
        print(f"{self.passed} passed, {len(self.failed)} failed")
        return 1 if self.failed or not self.passed else 0


def trust(peer):
    """What the client is told about the server's certificate."""
    return ["--tls", "required", "--ca-file", str(peers.CERTIFICATE)] if isinstance(peer, secure_servers.Secure) else []


def play(peer, port, case, served, samples, report):
    """One case on folders of its own."""
    tag = f"{peer.name.replace('/', '-')}-{case_name(case)}"
    log = WORK / "logs" / f"servers-{tag}.log"
    # vsftpd takes no root that its guests can write to, so everything happens one folder below.
    disk = served / tag
    disk.mkdir()
    disk.chmod(0o777)
    scratch = Path(tempfile.mkdtemp(prefix="case-", dir=WORK))
    error, begun = None, time.monotonic()
    try:
        (scratch / "local").mkdir()
        case(World(disk, f"ftp://127.0.0.1:{port}/{tag}", scratch / "local", samples, Runner(scratch, log), trust(peer)))
    except Failure as failure:
        error = failure
    except (OSError, ValueError, KeyError, TypeError) as broken:
        error = Failure(f"the suite met {type(broken).__name__}: {broken}")
    report.result(peer.name, case_name(case), error, time.monotonic() - begun, log)
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(disk, ignore_errors=True)


def start_somewhere(peer):
    """Starts a server on a port that was free a moment ago; somebody else may have it by now, so a few are tried."""
    for left in range(PORTS_TRIED - 1, -1, -1):
        port = free_port()
        try:
            return start(peer, port), port
        except Failure:
            if not left:
                raise


def run(peer, options, served, samples, report):
    process = None
    try:
        process, port = start_somewhere(peer)
        for case in SECURE_CASES if isinstance(peer, secure_servers.Secure) else CASES:
            reason = KEEPS.get(peer.name, {}).get(case_name(case))
            if options.case and case_name(case) not in options.case:
                continue
            if reason:
                report.line(peer.name, case_name(case), "n/a", reason)
            else:
                play(peer, port, case, served, samples, report)
    except Failure as failure:
        report.result(peer.name, "start", failure, 0.0, peer.folder / "log")
    finally:
        if process:
            stop(process)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", action="append", choices=[peer.name for peer in [*SERVERS, *secure_servers.PEERS]])
    parser.add_argument("--case", action="append", choices=sorted({case_name(case) for case in [*CASES, *SECURE_CASES]}))
    parser.add_argument("--require", type=int, default=0, help="fail when fewer servers than this are there")
    options = parser.parse_args()
    (WORK / "logs").mkdir(parents=True, exist_ok=True)
    served = Path(os.environ.get(INSIDE) or tempfile.mkdtemp(prefix="served-"))
    served.chmod(0o755)
    own_passwd(served)
    report, present = Report(), 0
    try:
        peers.fetch()
        samples = Samples(WORK / "samples")
        for kind in [*SERVERS, *secure_servers.PEERS]:
            if options.server and kind.name not in options.server:
                continue
            folder = WORK / "servers" / kind.name.replace("/", "-")
            folder.mkdir(parents=True, exist_ok=True)
            peer = kind(folder, served)
            missing_why = peer.ready()
            if missing_why:
                report.line(kind.name, "all", "skip", missing_why)
                continue
            present += 1
            run(peer, options, served, samples, report)
    finally:
        shutil.rmtree(served, ignore_errors=True)
    if present < options.require:
        report.result("suite", "servers", Failure(f"{present} servers, {options.require} required"), 0.0, WORK / "none")
    return report.close()


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
