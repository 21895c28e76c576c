"""What every interoperability case stands on: the server under test, bounded child processes, files with known bytes.

A server is ready when it has said so on stderr, a client is done when its process has ended; every wait has a deadline, and every
child is ended by its own id.
"""

import hashlib
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

USER = "tester"
PASSWORD = "correct-horse"

# A client that needs longer than this for 32 MiB over loopback is stuck: no case takes a tenth of it on two busy cores.
CLIENT_SECONDS = 60
# Python starts in well under a second and the server in milliseconds; more means it failed without saying so.
READY_SECONDS = 20
# Longer than a drain of idle sessions, which should be at once.
STOP_SECONDS = 20
# Enough of a transcript to see the dialogue of a failed case without burying the summary.
SHOWN_LINES = 25


class Failure(Exception):
    """A client or the server did something else than the case demands; the text is shown to the reader."""


class Refused(Failure):
    """The client reported a refusal by the server: what the negative cases wait for."""


@dataclass(frozen=True)
class Conn:
    """How one client run reaches the server: host literal, port, account or anonymous, active or passive."""

    host: str
    port: int
    active: bool = False
    user: str = USER
    password: str = PASSWORD

    @property
    def bracketed(self):
        """The host as URLs want it: an IPv6 literal in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def anonymous(self):
        """Whether this run logs in as anybody."""
        return self.user == "anonymous"


class Server:
    """The server under test. `command` is a list of words; `{dir}` and `{user}` in them are replaced."""

    def __init__(self, command, root, log):
        self.command = [word.replace("{dir}", str(root)).replace("{user}", USER) for word in command]
        self.root = Path(root)
        self.log = Path(log)
        self.addresses = {}
        self.process = None

    def start(self, expected):
        """Starts the server and waits until it has named `expected` listening addresses on stderr."""
        environment = dict(os.environ, MINIFTPD_PASSWORD=PASSWORD)
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment, start_new_session=True)
        lines = queue.Queue()
        threading.Thread(target=self._drain, args=(lines,), daemon=True).start()
        deadline = time.monotonic() + READY_SECONDS
        while len(self.addresses) < expected:
            try:
                line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.stop()
                raise Failure(f"the server did not get ready: {' '.join(self.command)}\n{tail(self.log)}")
            found = re.search(r"listening on (\S+):(\d+)$", line.strip())
            if found:
                self.addresses[found.group(1)] = int(found.group(2))

    def _drain(self, lines):
        # One thread keeps stderr empty, else a chatty server would block on a full pipe and the case would blame the client.
        with open(self.log, "wb") as log:
            for line in self.process.stderr:
                log.write(line)
                log.flush()
                lines.put(line.decode("utf-8", "replace"))
        lines.put(None)

    def says(self, words, behind, wait=True):
        """Whether the log has these words behind a place. Lines come through a pipe, and some wait a moment for others."""
        deadline = time.monotonic() + (READY_SECONDS if wait else 0)
        while words.encode() not in self.log.read_bytes()[behind:]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def port(self, kind):
        """The port of a listener: `v4` and `v6` are the loopback ones, `dual` the one for both families, None if there is none."""
        names = {"v4": ("127.0.0.1",), "v6": ("[::1]",), "dual": ("[::]",)}[kind]
        return next((self.addresses[name] for name in names if name in self.addresses), None)

    def alive(self):
        """Whether the process still runs."""
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Ends the server as a service manager would and gives its exit code; None when it had to be killed."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


@dataclass
class Finished:
    """One ended client process: exit code, standard output, and all output in the order of its streams."""

    code: int
    out: str
    transcript: str


class Runner:
    """Runs client programs for one case: own home, bounded time, everything they say kept in the case's log file."""

    def __init__(self, scratch, log):
        self.scratch = Path(scratch)
        self.log = Path(log)
        self.home = self.scratch / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")

    def run(self, words, stdin=None, cwd=None, env=None, check=True):
        """Runs a client to its end. With `check` an exit code other than 0 is `Refused`; a time-out always is a `Failure`."""
        words = [str(word) for word in words]
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=cwd or self.scratch, env={**self._environment(), **(env or {})}, start_new_session=True)
        try:
            out, err = process.communicate(stdin.encode() if stdin is not None else None, CLIENT_SECONDS)
        except subprocess.TimeoutExpired:
            # The client leads its own process group, so helpers it forked go with it.
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            self._note(words, stdin, out, err, "killed")
            raise Failure(f"still running after {CLIENT_SECONDS} s: {' '.join(words)}") from None
        self._note(words, stdin, out, err, process.returncode)
        text = out.decode("utf-8", "surrogateescape")
        finished = Finished(process.returncode, text, text + err.decode("utf-8", "surrogateescape"))
        if check and process.returncode != 0:
            raise Refused(f"exit code {process.returncode}")
        return finished

    def _environment(self):
        # Proxies and the user's own client configuration must not take part.
        kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and k not in ("NETRC", "LS_COLORS")}
        return {**kept, "HOME": str(self.home), "LC_ALL": "C.UTF-8", "TERM": "dumb", "TZ": "UTC", "XDG_CONFIG_HOME": str(self.home),
                "XDG_DATA_HOME": str(self.home), "XDG_CACHE_HOME": str(self.home)}

    def _note(self, words, stdin, out, err, code):
        with open(self.log, "ab") as log:
            log.write(f"$ {' '.join(words)}\n".encode("utf-8", "surrogateescape"))
            if stdin:
                log.write(b"< " + stdin.encode().replace(b"\n", b"\n< ") + b"\n")
            log.write(err + out + f"[exit {code}]\n".encode())


def tail(path, lines=SHOWN_LINES):
    """The last lines of a log as text, or a note that there is none."""
    try:
        content = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError as error:
        return f"(no log: {error})"
    return "\n".join(content[-lines:])


def digest(path):
    """SHA-256 of a file in hexadecimal digits."""
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            hasher.update(piece)
    return hasher.hexdigest()


def same(expected, actual):
    """Demands that two files hold the same bytes."""
    if not Path(actual).exists():
        raise Failure(f"{Path(actual).name} was not made")
    if digest(expected) != digest(actual):
        raise Failure(f"{Path(actual).name}: {Path(actual).stat().st_size} bytes, not the {Path(expected).stat().st_size} expected, or others")


def equal(expected, actual, what):
    """Demands equality and names the first differences of two sets, dictionaries or values."""
    if expected == actual:
        return
    if isinstance(expected, (set, dict)) and isinstance(actual, (set, dict)):
        missing = sorted(set(expected) - set(actual))[:3]
        extra = sorted(set(actual) - set(expected))[:3]
        other = [k for k in expected if k in actual and expected[k] != actual[k]][:3] if isinstance(expected, dict) else []
        raise Failure(f"{what}: {len(actual)} of {len(expected)}, missing {missing}, unexpected {extra}, different {other}")
    raise Failure(f"{what}: {actual!r} instead of {expected!r}")


class Samples:
    """Files with repeatable, incompressible bytes, made once: a shift or a repeated block changes their digest."""

    SIZES = {"zero": 0, "one": 1, "ten": 10 << 20, "big": (32 << 20) + 7}

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, size in self.SIZES.items():
            self._write(name, size)

    def path(self, name):
        """The file of that name."""
        return self.folder / name

    def _write(self, name, size):
        seed = hashlib.shake_256(name.encode())
        # In one step: another run in the same checkout never sees half of it.
        fresh = self.folder / f"{name}.{os.getpid()}"
        fresh.write_bytes(seed.digest(size))
        fresh.replace(self.folder / name)


def program(name):
    """The path of an installed program or None."""
    return shutil.which(name)
