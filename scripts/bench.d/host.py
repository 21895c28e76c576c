"""What scripts/scale and scripts/small-host share: a server, the load tester, and what the kernel says about both."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# A folder with programs that are built already, in place of a build.
BUILT = os.environ.get("MINIFTP_PROGRAMS")
PROGRAMS = Path(BUILT or REPOSITORY / "target/release")
SERVER, LOAD = PROGRAMS / "miniftpd", PROGRAMS / "miniftp-load"
READY_SECONDS = 20
ENDING_SECONDS = 10
# Put before a command: what a script has started does not outlive it, however the script ends.
BOUND = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


class Failed(Exception):
    """A measurement that came to nothing; the text says why."""


def prepare():
    """Builds the release programs and raises the descriptors to what is allowed; gives that number."""
    if not BUILT:
        subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--bins"], cwd=REPOSITORY, check=False)
    if not (SERVER.exists() and LOAD.exists()):
        raise Failed("the programs are not there")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port():
    """A loopback port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """A server on loopback: `with Server(words) as server`; `wrap` is put before its command line."""

    def __init__(self, words, log, wrap=()):
        self.port = free_port()
        self.log = Path(log)
        command = [*BOUND, *wrap, SERVER, "-l", f"127.0.0.1:{self.port}", *words]
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            start_new_session=True)
        self.url = f"ftp://127.0.0.1:{self.port}/"

    def __enter__(self):
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        said = self.log.read_text("utf-8", "replace").strip()
        self.__exit__()
        raise Failed(f"the server did not start: {said[-500:]}")

    def lives(self):
        """Whether the process that was started is there."""
        return self.process.poll() is None

    def __exit__(self, *_):
        # A session of its own: its group is its process tree, ended by its own id.
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(ENDING_SECONDS)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.process.wait()


class Load:
    """A run of the load tester in the background; `result()` is its JSON."""

    def __init__(self, url, *options, seconds):
        words = [str(word) for word in (*BOUND, LOAD, "--json", *options, url)]
        self.limit = seconds
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def running(self):
        """Whether it has not ended."""
        return self.process.poll() is None

    def result(self):
        """Its report, once it has ended."""
        try:
            out, err = self.process.communicate(timeout=self.limit)
        except subprocess.TimeoutExpired:
            self.end()
            raise Failed(f"the load tester took more than {self.limit} seconds") from None
        if not out:
            raise Failed(err.strip() or "the load tester said nothing")
        return json.loads(out)

    def end(self):
        """Ends it, if it has not."""
        self.process.kill()
        self.process.communicate()


def slab_kib():
    """Kernel objects, in KiB."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Slab:"):
            return int(line.split()[1])
    return 0


def tcp_sockets():
    """(TCP sockets in use, KiB of their buffers)."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        words = line.split()
        if words[0] == "TCP:":
            fields = dict(zip(words[1::2], map(int, words[2::2])))
            return fields["inuse"], fields["mem"] * resource.getpagesize() // 1024
    return 0, 0


def table(head, rows):
    """A table that can be read here and pasted into Markdown."""
    lines = [head, *rows]
    widths = [max(len(str(line[at])) for line in lines) for at in range(len(head))]
    text = ["| " + " | ".join(str(cell).ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print("\n".join(text))


def main(run):
    """Runs a script's body; a failure is one line and exit code 1. SIGTERM and SIGHUP end it as Ctrl-C does: with everything put away."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(run())
    except Failed as failed:
        sys.exit(f"{Path(sys.argv[0]).name}: {failed}")
