"""FTPS of the servers: AUTH TLS, PROT P, TLS 1.3, one certificate for all; miniftp-load is the generator.

The tester offers TLS_AES_256_GCM_SHA384 first and every server takes that. It offers the tickets that a server gave it; whether a server takes them
back is its own matter. Its own TLS costs what a server's costs: on two cores a server that gets one core for itself is measured, not more.
"""

import heavy
from measure import Test

# Handshakes are made at this pace, or the idle sessions' ramp is a burst.
HANDSHAKES_PER_SECOND = 400
# Idle sessions, of servers that do not fork and of those that do.
MANY, FEW = 1000, 100
CLIENTS = 16
# Seconds: some peers take a quarter of one for a login.
AT_LEAST = 1
SECURE = ("--tls", "required")


def down(load, plan):
    """The big file again and again over one session."""
    report = heavy.tester(load.server, *SECURE, "--scenario", "get", "--clients", 1, "--size", heavy.GIB, "--verify", heavy.VERIFY,
                          seconds=plan.bulk_seconds, path="big")
    heavy.demand(report, "bytes")
    return {"tls_down_rate": report["bytes"] / report["duration_s"] / 1e6, "tls_down_cpu": report["server"]["cpu_s"] / report["bytes"] * heavy.GIB}


def rate(name, *options, path=""):
    """Operations a second and the CPU time of each."""
    def run(load, plan):
        report = heavy.tester(load.server, *SECURE, *options, "--clients", CLIENTS, seconds=max(plan.seconds, AT_LEAST), path=path)
        heavy.demand(report, "ops")
        if report["limited_by_client"]:
            plan.limited.add(f"{load.server.peer.name} {name}")
        return {name: report["ops"] / report["duration_s"], f"{name}_cpu": report["server"]["cpu_s"] / report["ops"] * 1e6}

    return Test(name, run, way="tls_command")


def idle(load, plan):
    """Growth of the whole tree by one session that logged in over TLS and stays."""
    clients = MANY if load.server.peer.sessions == "many" else FEW
    before = load.server.settled()[1]
    report = heavy.tester(load.server, *SECURE, "--scenario", "idle", "--clients", clients, "--ramp", clients / HANDSHAKES_PER_SECOND, seconds=1)
    return {"tls_idle": (report["server"]["pss"] / 1024 - before) / clients}


TESTS = [Test("tls_down", down, way="tls_command"), rate("tls_login", "--scenario", "login"), rate("tls_retr", "--scenario", "get", path="small"),
         Test("tls_idle", idle, way="tls_command")]

FIGURES = {
    "tls_down_rate": ("FTPS: 1 GiB down, MB/s", True, 0),
    "tls_down_cpu": ("  CPU s per GiB", False, 2),
    "tls_login": ("FTPS: logins/s", True, 0),
    "tls_login_cpu": ("  CPU us each", False, 0),
    "tls_retr": ("FTPS: EPSV + RETR of 1 KiB/s", True, 0),
    "tls_retr_cpu": ("  CPU us each", False, 0),
    "tls_idle": ("FTPS: idle session, PSS KiB", False, 1),
    "tls_idle_above": ("  above a plain one", False, 1),
}
