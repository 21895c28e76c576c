"""One measurement: a fresh server, a load, and what the process tree of the server cost."""

import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 20
# Three equal samples in a row of a tree that has just started: nothing is being forked any more.
SETTLED_SAMPLES = 3
SAMPLE_SECONDS = 0.02
# Over the generator's own stall limit, so that its report is what ends a run.
LOAD_SECONDS = 300
TICK = os.sysconf("SC_CLK_TCK")


class Broken(Exception):
    """A measurement that gave no figure; the text says why."""


class Test:
    """One test: `run(load, plan)` gives {figure name: value}, named as in the tables; `warm` says that it fills memory (see warm_memory
    in scripts/bench), `way` how the server is started."""

    def __init__(self, name, run, warm=False, way="command"):
        self.name, self.run, self.warm, self.way = name, run, warm, way

    def unfit(self, peer):
        """Why the peer has no such figure, None when it has."""
        if peer.only is not None and self.name.rstrip("0123456789") not in peer.only:
            return peer.only_because
        return None if self.way in peer.ways else "it has no such way to start"


def tree(root):
    """The ids of a process and all its descendants."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat(int(entry))
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(entry))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue.extend(parents.get(pid, ()))
    return found


def stat(pid):
    """The fields of /proc/PID/stat after the name, from the state on; None when it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def cpu_seconds(root):
    """CPU time of a tree: what lives, in the scheduler's nanoseconds (a tick is more than each of 300 sessions takes), threads that have ended
    in ticks, and what its members have reaped."""
    seconds = 0.0
    for pid in tree(root):
        fields = stat(pid)
        if fields:
            own, reaped = (sum(int(field) for field in fields[at:at + 2]) / TICK for at in (11, 13))
            seconds += max(ran(pid), own) + reaped
    return seconds


def ran(pid):
    """Seconds on a core of a process's threads that live."""
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            nanoseconds += int(task.read_text().split()[0])
        except (OSError, ValueError):
            continue
    return nanoseconds / 1e9


def memory(root):
    """(RSS, PSS) of a tree in KiB."""
    rss = pss = 0
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith("Rss:"):
                rss += int(line.split()[1])
            elif line.startswith("Pss:"):
                pss += int(line.split()[1])
    return rss, pss


def free_port():
    """A loopback port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Running:
    """A started server: `with Running(peer) as server`. `way` is one of the peer's."""

    def __init__(self, peer, way="command"):
        self.peer = peer
        self.port = free_port()
        words = [str(word) for word in getattr(peer, way)(self.port)]
        log = open(peer.folder / "output.log", "wb")
        begun = time.perf_counter()
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()
        self.start_seconds = self._await(begun)

    def _await(self, begun):
        # A refused connect takes microseconds: trying without a pause is the measurement.
        while time.perf_counter() - begun < READY_SECONDS:
            self.port = self.peer.listens_at(self.port) or self.port
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return time.perf_counter() - begun
            if self.process.poll() is not None:
                break
        said = (self.peer.folder / "output.log").read_text("utf-8", "replace").strip().splitlines()
        self.__exit__()
        raise Broken(f"did not start: {said[-1] if said else 'without a word'}")

    def settled(self):
        """(RSS, PSS) once the tree has stopped to change."""
        before, equal = None, 0
        while equal < SETTLED_SAMPLES:
            now = sorted(tree(self.process.pid))
            equal = equal + 1 if now == before else 0
            before = now
            time.sleep(SAMPLE_SECONDS)
        return memory(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Ours: a group of its own, by its own id; forked sessions go with it.
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(3)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.process.wait()


@dataclass
class Load:
    """A load on a running server, in its two phases: sessions stand, then figures."""

    generator: Path
    server: Running

    def run(self, mode, **keys):
        """Runs one mode; gives its JSON with `cpu` (seconds of the server's tree), `rss` and `pss` growth since before the sessions."""
        words = [str(self.generator), mode, "127.0.0.1", str(self.server.port), *(f"{key}={value}" for key, value in keys.items())]
        base = self.server.settled()
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        watchdog = Watchdog(process)
        try:
            standing = process.stdout.readline().split()
            if len(standing) != 2:
                raise Broken("the generator ended early")
            grown = memory(self.server.process.pid) if mode == "idle" else base
            before = cpu_seconds(self.server.process.pid)
            process.stdin.write("go\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            cpu = cpu_seconds(self.server.process.pid) - before
        finally:
            watchdog.cancel()
            process.stdin.close()
            process.wait()
        if not answer:
            raise Broken("the generator gave no figures")
        result = json.loads(answer)
        return {**result, "sessions": int(standing[1]), "cpu": cpu, "rss": grown[0] - base[0], "pss": grown[1] - base[1]}


class Watchdog:
    """Ends a generator that outlives every limit of its own."""

    def __init__(self, process):
        import threading

        self.timer = threading.Timer(LOAD_SECONDS, process.kill)
        self.timer.daemon = True
        self.timer.start()

    def cancel(self):
        """The process has ended by itself."""
        self.timer.cancel()
