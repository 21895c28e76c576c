"""The clients that are compared, against one miniftpd on loopback: whole files, directory trees, start-up, memory.

Every client gets the same task, its fastest documented way of doing it (parallel where it can), and a fresh target; a task is one process whose
wall time, CPU seconds and largest resident memory the kernel tells when it ends. 20 ms of round-trip time come from the tests' relay.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from measure import Broken, free_port
from peers import CERTIFICATE, KEY, PROGRAMS, WORK, quiet

MINIFTP, SERVER, RELAY = PROGRAMS / "miniftp", PROGRAMS / "miniftpd", PROGRAMS / "examples/relay"
# How often a task's memory is looked at.
LOOK_SECONDS = 0.01
# A task that takes longer than this has no figure.
TASK_SECONDS = 60
GIB = 1 << 30
FLAT_FILES = 2000
TREE = (200, 10)
SMALL_BYTES = 4096
ROUND_TRIP_MS = 20

# The programs beside ours: their Debian packages.
PROGRAMS = {"curl": "curl", "lftp": "lftp", "wget": "wget", "rclone": "rclone", "ncftpget": "ncftp", "ncftpput": "ncftp", "aria2c": "aria2"}
NAMES = ["miniftp", "curl", "lftp", "wget", "rclone", "ncftp", "aria2"]


def install():
    """Installs what is missing, as root on a Debian system."""
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet(["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends", *missing])


def run(words, folder, limit=TASK_SECONDS):
    """Runs a task: (wall seconds, CPU seconds, KiB of the largest resident memory).

    The kernel's ru_maxrss will not do: it begins with the memory of this interpreter, which the task was forked from. The high-water mark is read
    while it runs.
    """
    environment = {**os.environ, "HOME": str(folder), "LC_ALL": "C", "RCLONE_CONFIG": str(folder / "rclone.conf")}
    begun = time.perf_counter()
    process = subprocess.Popen([str(word) for word in words], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=environment, start_new_session=True)
    largest, next_look = 0, begun
    while True:
        if time.perf_counter() >= next_look:
            largest, next_look = high_water(process.pid) or largest, time.perf_counter() + LOOK_SECONDS
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        wall = time.perf_counter() - begun
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            break
        if wall > limit:
            os.killpg(process.pid, signal.SIGKILL)
            os.wait4(process.pid, 0)
            process.returncode = -signal.SIGKILL
            raise Broken(f"more than {limit} s")
        time.sleep(0.0005)
    if process.returncode:
        raise Broken(f"exit code {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, largest


def high_water(pid):
    """KiB that a process had resident at the most."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


class Service:
    """The server of all tasks, with a relay before it if there is to be a delay: `with Service(root) as service`."""

    def __init__(self, root):
        self.root, self.processes, self.slow_port = root, [], None

    def __enter__(self):
        self.port = free_port()
        self._start([SERVER, "-l", f"127.0.0.1:{self.port}", "-w", "--max-clients", "0", "--max-per-ip", "0", "--log-level", "error", self.root])
        self._await(self.port)
        self.tls_port = free_port()
        self._start([SERVER, "-l", f"127.0.0.1:{self.tls_port}", "-w", "--max-clients", "0", "--max-per-ip", "0", "--log-level", "error",
                     "--tls-cert", CERTIFICATE, "--tls-key", KEY, "--tls-require", "data", self.root])
        self._await(self.tls_port)
        if RELAY.exists():
            self.slow_port = free_port()
            self._start([RELAY, f"127.0.0.1:{self.slow_port}", f"127.0.0.1:{self.port}", ROUND_TRIP_MS])
            self._await(self.slow_port)
        return self

    def _start(self, words):
        log = open(WORK / "service.log", "ab")
        self.processes.append(subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        log.close()

    @staticmethod
    def _await(port):
        import socket

        for _ in range(500):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.01)
        raise Broken("the clients' server did not start")

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def down_words(name, port, target):
    """1 GiB down, into a file."""
    url = f"ftp://127.0.0.1:{port}/big"
    return {"miniftp": [MINIFTP, "get", "-q", url, "-o", target / "big"], "curl": ["curl", "-s", "-o", target / "big", url],
            "wget": ["wget", "-q", "-O", target / "big", url], "lftp": ["lftp", "-c", f"get {url} -o {target}/big"],
            "ncftp": ["ncftpget", "-V", "-P", port, "127.0.0.1", target, "/big"],
            "aria2": ["aria2c", "-q", "--allow-overwrite=true", "--file-allocation=none", "-d", target, "-o", "big", url]}.get(name)


def up_words(name, port, source):
    """1 GiB up, from a file."""
    url = f"ftp://127.0.0.1:{port}/incoming/"
    return {"miniftp": [MINIFTP, "put", "-q", source, url + name], "curl": ["curl", "-s", "-T", source, url + name],
            "lftp": ["lftp", "-c", f"put {source} -o {url}{name}"],
            "ncftp": ["ncftpput", "-V", "-P", port, "127.0.0.1", "/incoming", source]}.get(name)


def mirror_words(name, port, folder, target, files):
    """A whole directory down."""
    url = f"ftp://127.0.0.1:{port}/{folder}"
    listed = target.parent / f"{target.name}.list"
    if name == "curl":
        lines = [f'url = "ftp://127.0.0.1:{port}/{file}"\noutput = "{target}/{file}"' for file in files]
        listed.write_text("\n".join(["create-dirs", "silent", "parallel", "parallel-max = 8", *lines, ""]))
    return {"miniftp": [MINIFTP, "mirror", "-q", "-P", "8", url, target], "curl": ["curl", "-K", listed],
            "lftp": ["lftp", "-c", f"open ftp://127.0.0.1:{port}; mirror --parallel=8 {folder} {target}"],
            "wget": ["wget", "-q", "-r", "-nH", "-P", target, url + "/"],
            "rclone": ["rclone", "copy", "--transfers", "8", f":ftp,host=127.0.0.1,port={port},user=anonymous,pass={obscured()},concurrency=9:{folder}",
                       target]}.get(name)


def mirror_up_words(name, port, source, to):
    """A whole directory up."""
    return {"miniftp": [MINIFTP, "mirror", "-q", "-P", "8", source, f"ftp://127.0.0.1:{port}/{to}"],
            "lftp": ["lftp", "-c", f"open ftp://127.0.0.1:{port}; mirror -R --parallel=8 {source} {to}"],
            "rclone": ["rclone", "copy", "--transfers", "8", source,
                       f":ftp,host=127.0.0.1,port={port},user=anonymous,pass={obscured()},concurrency=9:{to}"]}.get(name)


# The certificate is nobody's: every client is told to take it, and to protect data as well, which the server here demands.
LFTP_TLS = "set ssl:verify-certificate no; set ftp:ssl-allow-anonymous true; set ftp:ssl-force true; set ftp:ssl-protect-data true"


def tls_words(name, port, action, root, target, files):
    """The tasks over AUTH TLS, for the clients that can."""
    url = f"ftp://127.0.0.1:{port}"
    if name == "curl" and action == "flat":
        lines = [f'url = "{url}/{file}"\noutput = "{target}/{file}"' for file in files]
        (target.parent / "list").write_text("\n".join(["create-dirs", "silent", "insecure", "ssl-reqd", "parallel", "parallel-max = 8", *lines, ""]))
    rclone = f":ftp,host=127.0.0.1,port={port},user=anonymous,pass={obscured()},concurrency=9,explicit_tls=true,no_check_certificate=true:flat"
    ours, curl = [MINIFTP, "-q", "--tls", "required", "--insecure"], ["curl", "-s", "-k", "--ssl-reqd"]
    return {
        "down": {"miniftp": [*ours, "get", f"{url}/big", "-o", target / "big"], "curl": [*curl, "-o", target / "big", f"{url}/big"],
                 "lftp": ["lftp", "-c", f"{LFTP_TLS}; get {url}/big -o {target}/big"],
                 "wget": ["wget", "-q", "--no-check-certificate", "-O", target / "big", f"ftps://127.0.0.1:{port}/big"]},
        "up": {"miniftp": [*ours, "put", root / "big", f"{url}/incoming/big"], "curl": [*curl, "-T", root / "big", f"{url}/incoming/big"],
               "lftp": ["lftp", "-c", f"{LFTP_TLS}; put {root}/big -o {url}/incoming/big"]},
        "flat": {"miniftp": [*ours, "-P", "8", "mirror", f"{url}/flat", target], "curl": [*curl, "-K", target.parent / "list"],
                 "lftp": ["lftp", "-c", f"{LFTP_TLS}; open {url}; mirror --parallel=8 flat {target}"],
                 "rclone": ["rclone", "copy", "--transfers", "8", rclone, target]},
    }[action].get(name)


def obscured():
    """rclone wants even a password that is none in its own disguise."""
    if not hasattr(obscured, "word"):
        said = subprocess.run(["rclone", "obscure", "x@"], capture_output=True, text=True, check=False)
        obscured.word = said.stdout.strip()
    return obscured.word


def plant(root):
    """The trees; gives their files' names."""
    flat = [f"flat/f{number:05}.dat" for number in range(FLAT_FILES)]
    tree = [f"tree/d{folder:03}/f{number}.dat" for folder in range(TREE[0]) for number in range(TREE[1])]
    for name in flat + tree:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(SMALL_BYTES))
    return {"flat": flat, "tree": tree}


def count(folder):
    """Files below a folder."""
    return sum(len(files) for _, _, files in os.walk(folder))


class Tasks:
    """The rows: each is a name and a function (client's name, scratch folder) -> {figure: value}, None where the client cannot."""

    def __init__(self, service, root, files):
        self.service, self.root, self.files = service, root, files
        self.rows = [("c-start", self.start), ("c-down", self.down), ("c-up", self.up),
                     *((f"c-tls-{action}", self._tls(action)) for action in ("down", "up", "flat"))]
        ports = [("", service.port)] + ([("-20ms", service.slow_port)] if service.slow_port else [])
        for suffix, port in ports:
            for folder in ("flat", "tree"):
                self.rows.append((f"c-{folder}{suffix}", self._mirror(folder, port, f"c-{folder}{suffix}")))
                self.rows.append((f"c-{folder}-up{suffix}", self._mirror_up(folder, port, f"c-{folder}-up{suffix}")))

    def start(self, name, scratch):
        """`--version`."""
        program = {"miniftp": MINIFTP, "ncftp": "ncftpget", "aria2": "aria2c"}.get(name, name)
        if name == "ncftp":
            return None
        times = sorted(run([program, "--version"], scratch)[0] for _ in range(9))
        return {"c_start": times[4] * 1000}

    def down(self, name, scratch):
        words = down_words(name, self.service.port, scratch)
        if not words:
            return None
        wall, cpu, memory = run(words, scratch)
        if (scratch / "big").stat().st_size != GIB:
            raise Broken("bytes are missing")
        return {"c_down_wall": wall, "c_down_cpu": cpu, "c_down_rss": memory}

    def up(self, name, scratch):
        words = up_words(name, self.service.port, self.root / "big")
        if not words:
            return None
        wall, cpu, _ = run(words, scratch)
        sizes = [entry.stat().st_size for entry in (self.root / "incoming").iterdir()]
        if sizes != [GIB]:
            raise Broken("bytes are missing")
        return {"c_up_wall": wall, "c_up_cpu": cpu}

    def _tls(self, action):
        def task(name, scratch):
            target = scratch / "copy"
            target.mkdir()
            words = tls_words(name, self.service.tls_port, action, self.root, target, self.files["flat"])
            if not words:
                return None
            wall, cpu, _ = run(words, scratch)
            arrived = self.root / "incoming" if action == "up" else target
            if count(arrived) != (len(self.files["flat"]) if action == "flat" else 1) or action != "flat" and (arrived / "big").stat().st_size != GIB:
                raise Broken("files or bytes are missing")
            return {f"c-tls-{action}": wall, f"c-tls-{action}-cpu": cpu}

        return task

    def _mirror(self, folder, port, figure):
        def task(name, scratch):
            target = scratch / "copy"
            target.mkdir()
            words = mirror_words(name, port, folder, target, self.files[folder])
            # wget takes one file after the other: far away that is minutes, and no news.
            if not words or name == "wget" and port == self.service.slow_port:
                return None
            wall, _, memory = run(words, scratch)
            if count(target) != len(self.files[folder]):
                raise Broken(f"{count(target)} of {len(self.files[folder])} files")
            return {figure: wall, f"{figure}-rss": memory}

        return task

    def _mirror_up(self, folder, port, figure):
        def task(name, scratch):
            words = mirror_up_words(name, port, self.root / folder, f"incoming/{folder}")
            if not words:
                return None
            wall, _, _ = run(words, scratch)
            if count(self.root / "incoming") != len(self.files[folder]):
                raise Broken(f"{count(self.root / 'incoming')} of {len(self.files[folder])} files")
            return {figure: wall}

        return task


FIGURES = {
    "c_start": ("`--version`, ms", False, 1),
    "c_down_wall": ("1 GiB down, s", False, 2),
    "c_down_cpu": ("  CPU s", False, 2),
    "c_down_rss": ("  resident, KiB", False, 0),
    "c_up_wall": ("1 GiB up, s", False, 2),
    "c_up_cpu": ("  CPU s", False, 2),
    "c-tls-down": ("FTPS: 1 GiB down, s", False, 2),
    "c-tls-down-cpu": ("  CPU s", False, 2),
    "c-tls-up": ("FTPS: 1 GiB up, s", False, 2),
    "c-tls-up-cpu": ("  CPU s", False, 2),
    "c-tls-flat": ("FTPS: 2,000 files down, s", False, 2),
    "c-tls-flat-cpu": ("  CPU s", False, 2),
    "c-flat": ("2,000 files of 4 KiB down, s", False, 2),
    "c-flat-rss": ("  resident, KiB", False, 0),
    "c-tree": ("200 directories of 10 files down, s", False, 2),
    "c-tree-rss": ("  resident, KiB", False, 0),
    "c-flat-up": ("2,000 files up, s", False, 2),
    "c-tree-up": ("200 directories up, s", False, 2),
    "c-flat-20ms": ("2,000 files down, 20 ms away, s", False, 2),
    "c-flat-20ms-rss": ("  resident, KiB", False, 0),
    "c-tree-20ms": ("200 directories down, 20 ms away, s", False, 2),
    "c-tree-20ms-rss": ("  resident, KiB", False, 0),
    "c-flat-up-20ms": ("2,000 files up, 20 ms away, s", False, 2),
    "c-tree-up-20ms": ("200 directories up, 20 ms away, s", False, 2),
}
