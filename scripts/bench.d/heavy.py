"""Tests that the load tester runs: many bulk transfers at once, a light session beside a heavy load, password logins.

It has percentiles, checks what it receives, and says when it is the bottleneck itself. load.c stays for operations a second: it shares no code with the
server, it has many NOOPs in a segment and moves exactly one GiB, and it stands still while memory is read. A NOOP or a login costs both about the same.
"""

import json
import subprocess
import time
from pathlib import Path

from measure import Broken, Test, memory
from peers import PASSWORD, PROGRAMS, USER

TESTER = PROGRAMS / "miniftp-load"
GIB = 1 << 30
# One block of 64 KiB in so many is compared: looking at all would make the tester the bottleneck.
VERIFY = 64
# A light session's pause between commands, ms.
THINK_MS = 2
# Many clients do not arrive at one instant: a forking server's queue of newcomers holds 32, and that is not what is measured.
ARRIVALS_PER_SECOND = 200
# A load beside a measurement has so long to come up (password logins of a loop: all the time it gets), and is then left to begin its transfers.
ARRIVAL_SECONDS, AT_WORK_SECONDS = 4, 0.3
# Password logins are slow: fewer seconds would count too few.
PASSWORD_SECONDS = 2
# A p99 wants some hundreds of pauses and answers.
LIGHT_SECONDS = 2
# Downloads under way while memory is looked at.
TRANSFERS = 300


def words(server, *options, path="", password=False):
    """The tester's command line."""
    who = f"{USER}:{PASSWORD}@" if password else ""
    options = [str(option) for option in options]
    return [str(TESTER), "--json", "--timeout", "20", "--source", "127.0.0.0/24", *options, f"ftp://{who}127.0.0.1:{server.port}/{path}"]


def tester(server, *options, seconds, **keys):
    """Runs it and gives its report; errors make the figure worthless."""
    try:
        done = subprocess.run(words(server, *options, "--server-pid", server.process.pid, "--duration", seconds, **keys),
                              capture_output=True, text=True, timeout=seconds + 60, check=False)
    except subprocess.TimeoutExpired:
        raise Broken("the load tester did not end") from None
    if not done.stdout:
        raise Broken(done.stderr.strip() or "the load tester said nothing")
    report = json.loads(done.stdout)
    if report["errors"]:
        raise Broken(f"errors {report['errors']}")
    return report


def demand(report, what):
    """A run without any of it is no figure."""
    if not report[what]:
        raise Broken(f"no {what}")


class Background:
    """A load that runs while something else is measured: `with Background(server, clients, ...)`."""

    def __init__(self, server, clients, *options, **keys):
        self.server, self.clients = server, clients
        self.words = words(server, *options, "--clients", clients, "--duration", 60, **keys)

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end, stand = time.monotonic() + ARRIVAL_SECONDS, 0
        # Until its sessions stand. Those that log in again and again never all do: then it has had its time.
        while time.monotonic() < end and stand < self.clients and self.process.poll() is None:
            stand = connections(self.server.port)
            time.sleep(0.05)
        time.sleep(AT_WORK_SECONDS)
        if self.process.poll() is not None:
            raise Broken("the load beside it ended early")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def connections(port):
    """Established connections of a local port, from the kernel's table."""
    found = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        found += fields[3] == "01" and int(fields[1].rpartition(":")[2], 16) == port
    return found


def many_down(clients):
    """GB/s and CPU seconds per GiB of downloads of the big file by many clients at once, over a time."""
    name = f"down{clients}"

    def run(load, plan):
        report = tester(load.server, "--scenario", "get", "--verify", VERIFY, "--size", GIB, "--clients", clients,
                        "--ramp", clients / ARRIVALS_PER_SECOND, seconds=plan.bulk_seconds, path="big")
        if report["limited_by_client"]:
            plan.limited.add(f"{load.server.peer.name} {name}")
        demand(report, "bytes")
        return {f"{name}_rate": report["bytes"] / report["duration_s"] / 1e9, f"{name}_cpu": report["server"]["cpu_s"] / report["bytes"] * GIB}

    return Test(name, run)


def many_up(clients):
    """The same of uploads, each client one file, together 1 GiB, from the first byte to the last 226.

    Not over a time: what stands in socket buffers when time is up has been sent and not received, and with many clients that is most of it.
    Names of their own: pure-ftpd does not let anonymous users write over a file.
    """
    name, size = f"up{clients}", GIB // clients

    def run(load, plan):
        result = load.run("stor", conns=clients, count=clients, size=size, path="incoming/b", sources=clients)
        if result["errors"] or result["stalled"] or result["operations"] != clients:
            raise Broken(f"{result['errors']} errors, {result['operations']} of {clients} uploads")
        return {f"{name}_rate": size * clients / result["seconds"] / 1e9, f"{name}_cpu": result["cpu"] / (size * clients) * GIB}

    return Test(name, run, warm=True)


def light(name, background, way="command"):
    """p99 of a session that says NOOP now and then, beside a heavy load."""
    def run(load, plan):
        measured = ["--scenario", "command", "--clients", "1", "--think", THINK_MS]
        seconds = max(plan.seconds, LIGHT_SECONDS)
        if not background:
            report = tester(load.server, *measured, seconds=seconds)
        else:
            clients, options, keys = background
            with Background(load.server, clients, *options, **keys):
                report = tester(load.server, *measured, seconds=seconds)
        return {name: report["phases"]["command"]["p99"]}

    return Test(name, run, way=way)


def transfers(load, plan):
    """Memory of one of many downloads under way at once, its session included, above the server alone."""
    before = load.server.settled()[1]
    with Background(load.server, TRANSFERS, "--scenario", "get", "--verify", 0, "--size", GIB, path="big"):
        return {"transfers_pss": (memory(load.server.process.pid)[1] - before) / TRANSFERS}


def passwords(load, plan):
    """Logins a second with a password, SHA-512 crypt of 5,000 rounds on every side."""
    report = tester(load.server, "--scenario", "login", "--clients", 16, seconds=max(plan.seconds, PASSWORD_SECONDS), password=True)
    demand(report, "ops")
    return {"password": report["ops"] / report["duration_s"], "password_cpu": report["server"]["cpu_s"] / report["ops"] * 1e3}


CROWDS = (64, 300)
BULK = [kind(clients) for clients in CROWDS for kind in (many_down, many_up)]
LIGHT = [light("light", None), light("light_bulk", (100, ["--scenario", "get", "--verify", VERIFY, "--size", GIB], {"path": "big"})),
         light("light_list", (20, ["--scenario", "list"], {"path": "list100000"})),
         light("light_login", (16, ["--scenario", "login"], {"password": True}), way="password_command")]

FIGURES = {
    "transfers_pss": (f"one of {TRANSFERS} downloads under way, PSS KiB", False, 1),
    "password": ("password logins/s (SHA-512 crypt)", True, 0),
    "password_cpu": ("  CPU ms each", False, 2),
    "light": ("NOOP p99 of one quiet session, ms", False, 3),
    "light_bulk": ("  beside 100 bulk downloads", False, 3),
    "light_list": ("  beside 20 listings of 100,000", False, 3),
    "light_login": ("  beside 16 password-login loops", False, 3),
}
for _clients in CROWDS:
    for _way in ("down", "up"):
        FIGURES[f"{_way}{_clients}_rate"] = (f"bulk {_way}, {_clients} clients, GB/s", True, 2)
        FIGURES[f"{_way}{_clients}_cpu"] = ("  CPU s per GiB", False, 3)
