"""Tests that the load tester runs: many bulk transfers at once, a light session beside a heavy load, password logins.

It has percentiles, checks what it receives, and says when it is the bottleneck itself. load.c stays for operations a second: it shares no code with the
server, it has many NOOPs in a segment and exactly one GiB, and it stands still while memory is read. A NOOP or a login costs both about the same.
"""

import json
import subprocess
import time

from measure import Broken
from peers import PASSWORD, PROGRAMS, USER

TESTER = PROGRAMS / "miniftp-load"
GIB = 1 << 30
# One block of 64 KiB in so many is compared: looking at all would make the tester the bottleneck.
VERIFY = 64
# A light session's pause between commands, ms.
THINK_MS = 2


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
    """A load that runs while something else is measured: `with Background(server, ...)`."""

    def __init__(self, server, *options, **keys):
        self.words = words(server, *options, "--duration", 60, **keys)

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Until its sessions are at work; what it is at the end is its own matter.
        time.sleep(1)
        if self.process.poll() is not None:
            raise Broken("the load beside it ended early")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def bulk(name, clients, down):
    """GB/s and CPU seconds per GiB of many transfers at once, over a time."""
    # Uploads of a tester's session go to one file, again and again: together 1 GiB.
    size = GIB if down else max(GIB // clients, 1 << 20)
    action = ["--scenario", "get", "--verify", VERIFY] if down else ["--scenario", "put"]
    path = "big" if down else "incoming/b"

    def run(load, plan):
        report = tester(load.server, *action, "--clients", clients, "--size", size, seconds=plan.bulk_seconds, path=path)
        if report["limited_by_client"]:
            plan.limited.add(f"{load.server.peer.name} {name}")
        demand(report, "bytes")
        return {f"{name}_rate": report["bytes"] / report["duration_s"] / 1e9, f"{name}_cpu": report["server"]["cpu_s"] / report["bytes"] * GIB}

    return name, run, not down


def light(name, background):
    """p99 of a session that says NOOP now and then, beside a heavy load."""
    def run(load, plan):
        measured = ["--scenario", "command", "--clients", "1", "--think", THINK_MS]
        if not background:
            report = tester(load.server, *measured, seconds=plan.seconds)
        else:
            options, keys = background
            with Background(load.server, *options, **keys):
                report = tester(load.server, *measured, seconds=plan.seconds)
        return {name: report["phases"]["command"]["p99"]}

    return name, run, False


def passwords(load, plan):
    """Logins a second with a password, SHA-512 crypt of 5,000 rounds on every side."""
    report = tester(load.server, "--scenario", "login", "--clients", 16, seconds=max(plan.seconds, 2), password=True)
    return {"password": report["ops"] / report["duration_s"], "password_cpu": report["server"]["cpu_s"] / report["ops"] * 1e3}


CROWDS = (1, 64, 300)
BULK = [bulk(f"{way}{clients}", clients, way == "down") for clients in CROWDS for way in ("down", "up")]
LIGHT = [light("light", None), light("light_bulk", (["--scenario", "get", "--clients", 100, "--verify", VERIFY, "--size", GIB], {"path": "big"})),
         light("light_list", (["--scenario", "list", "--clients", 20], {"path": "list100000"})),
         light("light_login", (["--scenario", "login", "--clients", 16], {"password": True}))]

FIGURES = {
    "password": ("password logins/s (SHA-512 crypt)", True, 0),
    "password_cpu": ("  CPU ms each", False, 2),
    "light": ("NOOP p99 of one quiet session, ms", False, 3),
    "light_bulk": ("  beside 100 bulk downloads", False, 3),
    "light_list": ("  beside 20 listings of 100,000", False, 3),
    "light_login": ("  beside 16 password-login loops", False, 3),
}
for _clients in CROWDS:
    for _way, _text in (("down", "down"), ("up", "up")):
        _who = f"{_clients} client{'s' if _clients > 1 else ''}"
        FIGURES[f"{_way}{_clients}_rate"] = (f"bulk {_text}, {_who}, GB/s", True, 2)
        FIGURES[f"{_way}{_clients}_cpu"] = ("  CPU s per GiB", False, 3)
