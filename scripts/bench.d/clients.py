"""The clients that are compared, against one miniftpd on loopback: whole files, directory trees, start-up, memory.

Every client gets the same task, its fastest documented way of doing it (parallel where it can), and a fresh target; a task is one process whose
wall time, CPU seconds and largest resident memory the kernel tells when it ends. 20 ms of round-trip time come from the tests' relay.
"""

import os
import shutil
import signal
import socket
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from measure import Broken, free_port
from peers import CERTIFICATE, KEY, PROGRAMS, WORK, quiet

MINIFTP, SERVER, RELAY = PROGRAMS / "miniftp", PROGRAMS / "miniftpd", PROGRAMS / "examples/relay"
# How often a task's memory is looked at.
LOOK_SECONDS = 0.01
# A task that takes longer than this has no figure: near, and 20 ms away.
NEAR_SECONDS, FAR_SECONDS = 30, 20
# Who takes so many times as long as the quickest, and so many seconds, is measured once and not in every round.
SLOW_FACTOR, SLOW_SECONDS = 4, 3
GIB = 1 << 30
# One start is too short a time to tell.
STARTS = 9
FLAT_FILES = 2000
TREE = (200, 10)
SMALL_BYTES = 4096
ROUND_TRIP_MS = 20
# The relay's address for TLS, and the passive ports that it and the server behind it share: more than sessions, below the kernel's own.
FAR_HOST, FAR_PASSIVE = "127.0.0.2", "27000-27063"
# Files of a task 20 ms away: its time is waits, in proportion to the files. All of FLAT_FILES are an hour for all clients.
FAR_FILES = 200

# The programs beside ours: their Debian packages.
PROGRAMS = {"curl": "curl", "lftp": "lftp", "wget": "wget", "rclone": "rclone", "ncftpget": "ncftp", "ncftpput": "ncftp", "aria2c": "aria2"}


class TooLong(Broken):
    """A task that took longer than a round can wait for."""


def install():
    """Installs what is missing, as root on a Debian system."""
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet(["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends", *missing])


def run(words, folder, limit=NEAR_SECONDS):
    """Runs a task: (wall seconds, CPU seconds, KiB of the largest resident memory).

    The kernel's ru_maxrss will not do: it begins with the memory of this interpreter, which the task was forked from. The high-water mark is read
    while it runs.
    """
    environment = {**os.environ, "HOME": str(folder), "LC_ALL": "C", "RCLONE_CONFIG": str(folder / "rclone.conf")}
    complaints = folder / "complaints"
    with complaints.open("wb") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen([str(word) for word in words], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                                   env=environment, start_new_session=True)
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
            raise TooLong(f"more than {limit} s")
        time.sleep(0.0005)
    if process.returncode:
        said = complaints.read_text("utf-8", "replace").strip().splitlines()
        raise Broken(f"exit code {process.returncode}{': ' + said[-1][-160:] if said else ''}")
    return wall, usage.ru_utime + usage.ru_stime, largest


def high_water(pid):
    """KiB that a process had resident at the most."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


class Service:
    """Two servers, in the clear and in TLS, and a relay before each for the delay: `with Service(root) as service`."""

    def __init__(self, root):
        self.root, self.processes, self.ways = root, [], {}

    def __enter__(self):
        for tls in (False, True):
            port, far = free_port(), free_port()
            # The relay in TLS cannot replace what it cannot read: it has an address of its own, and the server tells that one.
            secure = ["--tls-cert", CERTIFICATE, "--tls-key", KEY, "--tls-require", "data"] if tls else []
            common = ["-w", "--max-clients", "0", "--max-per-ip", "0", "--log-level", "error", *secure]
            self._start("127.0.0.1", port, [SERVER, "-l", f"127.0.0.1:{port}", *common, self.root])
            self.ways[tls, False] = Where(port, tls)
            if RELAY.exists():
                behind, host = port, FAR_HOST if tls else "127.0.0.1"
                if tls:
                    behind = free_port()
                    self._start("127.0.0.1", behind, [SERVER, "-l", f"127.0.0.1:{behind}", *common, "--passive-ports", FAR_PASSIVE,
                                                      "--public-address", FAR_HOST, self.root])
                self._start(host, far, [RELAY, f"{host}:{far}", f"127.0.0.1:{behind}", ROUND_TRIP_MS, *([FAR_PASSIVE] if tls else [])])
                self.ways[tls, True] = Where(far, tls, host)
        return self

    def _start(self, host, port, words):
        with open(WORK / "service.log", "ab") as log:
            self.processes.append(subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        for _ in range(500):
            with socket.socket() as sock:
                if sock.connect_ex((host, port)) == 0:
                    return
            time.sleep(0.01)
        self.__exit__()
        raise Broken("the clients' server did not start")

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Where:
    """A way to the server, in TLS or in the clear."""

    port: int
    tls: bool
    host: str = "127.0.0.1"

    @property
    def url(self):
        """Without a path."""
        return f"ftp://{self.host}:{self.port}"


@dataclass(frozen=True)
class Job:
    """One task, as a client's words need it: `remote` is a path on the server, `local` one here, `files` the names in a directory."""

    action: str
    where: Where
    remote: str
    local: Path
    files: tuple = ()
    scratch: Path | None = None

    def note(self, name, text):
        """A file that a client reads its task from."""
        if self.scratch:
            (self.scratch / name).write_text(text)
        return name


class No(Exception):
    """A client that has no such thing; the text says what."""


# The certificate is nobody's: every client is told to take it, and to protect data as well, which the server here demands.
LFTP_TLS = "set ssl:verify-certificate no; set ftp:ssl-allow-anonymous true; set ftp:ssl-force true; set ftp:ssl-protect-data true; "


def miniftp(job):
    """8 sessions for directories."""
    ours = [MINIFTP, "-q", *(["--tls", "required", "--insecure"] if job.where.tls else [])]
    url = f"{job.where.url}/{job.remote}"
    return {"start": [MINIFTP, "--version"], "get": [*ours, "get", url, "-o", job.local], "put": [*ours, "put", job.local, url],
            "down": [*ours, "-P", "8", "mirror", url, job.local], "up": [*ours, "-P", "8", "mirror", job.local, url]}[job.action]


def curl(job):
    """`--parallel` with every file named, since it lists no directories itself."""
    ours = ["curl", "-s", *(["-k", "--ssl-reqd"] if job.where.tls else [])]
    url = f"{job.where.url}/{job.remote}"
    if job.action in ("down", "up"):
        local = "output" if job.action == "down" else "upload-file"
        lines = [f'url = "{url}/{file}"\n{local} = "{job.local}/{file}"' for file in job.files]
        text = "\n".join(["create-dirs", "ftp-create-dirs", "parallel", "parallel-max = 8", *lines, ""])
        return [*ours, "-K", job.note("curl.list", text)]
    return {"start": ["curl", "--version"], "get": [*ours, "-o", job.local, url], "put": [*ours, "-T", job.local, url]}[job.action]


def lftp(job):
    """8 sessions for directories."""
    script = {"get": f"get {job.remote} -o {job.local}", "put": f"put {job.local} -o {job.remote}",
              "down": f"mirror --parallel=8 {job.remote} {job.local}", "up": f"mirror -R --parallel=8 {job.local} {job.remote}", "start": ""}[job.action]
    return ["lftp", "--version"] if job.action == "start" else ["lftp", "-c", f"{LFTP_TLS if job.where.tls else ''}open {job.where.url}; {script}"]


def wget(job):
    """One session."""
    if job.action in ("put", "up"):
        raise No("it does not upload")
    ours = ["wget", "-q", *(["--no-check-certificate"] if job.where.tls else [])]
    url = f"{'ftps' if job.where.tls else 'ftp'}://{job.where.host}:{job.where.port}/{job.remote}"
    # Its copy of a directory has the directory's own name in it.
    cut = job.remote.count("/") + 1
    return {"start": ["wget", "--version"], "get": [*ours, "-O", job.local, url],
            "down": [*ours, "-r", "-nH", f"--cut-dirs={cut}", "-P", job.local, url + "/"]}[job.action]


# Four streams, its way with files over 250 MB, end in "426" here: it stops each of them in mid-file and does not expect to hear of it.
ONE_STREAM = ("--multi-thread-streams", "0")


def rclone(job):
    """8 transfers for directories, and a connection more for its listings."""
    tls = ",explicit_tls=true,no_check_certificate=true" if job.where.tls else ""
    remote = f":ftp,host={job.where.host},port={job.where.port},user=anonymous,pass={obscured()},concurrency=9{tls}:{job.remote}"
    return {"start": ["rclone", "--version"], "get": ["rclone", "copyto", *ONE_STREAM, remote, job.local], "put": ["rclone", "copyto", job.local, remote],
            "down": ["rclone", "copy", "--transfers", "8", remote, job.local], "up": ["rclone", "copy", "--transfers", "8", job.local, remote]}[job.action]


def ncftp(job):
    """Its programs for one file."""
    if job.where.tls:
        raise No("it has no TLS")
    if job.action not in ("get", "put"):
        raise No("it has no such option" if job.action == "start" else "compared with single files only")
    to = ["-P", job.where.port, "127.0.0.1"]
    folder = "/" + job.remote.rpartition("/")[0]
    # It keeps the name.
    return ["ncftpget", "-V", *to, job.local.parent, "/" + job.remote] if job.action == "get" else ["ncftpput", "-V", *to, folder, job.local]


def aria2(job):
    """One file, one connection."""
    if job.action in ("put", "up"):
        raise No("it does not upload")
    if job.where.tls or job.action == "down":
        raise No("it has no FTPS" if job.where.tls else "it takes no directories")
    return {"start": ["aria2c", "--version"], "get": ["aria2c", "-q", "--allow-overwrite=true", "--file-allocation=none", "-d", job.local.parent,
                                                      "-o", job.local.name, f"{job.where.url}/{job.remote}"]}[job.action]


WORDS = {"miniftp": miniftp, "curl": curl, "lftp": lftp, "wget": wget, "rclone": rclone, "ncftp": ncftp, "aria2": aria2}
NAMES = list(WORDS)
# What a client is started as.
STARTED_AS = {"miniftp": MINIFTP, "ncftp": "ncftpget", "aria2": "aria2c"}


def obscured():
    """rclone wants even a password that is none in its own disguise."""
    if not hasattr(obscured, "word"):
        said = subprocess.run(["rclone", "obscure", "x@"], capture_output=True, text=True, check=False)
        obscured.word = said.stdout.strip()
    return obscured.word


def far_tree(files):
    """Directories of a task 20 ms away."""
    return max(files // TREE[1], 1)


def plant(root, far):
    """The trees, near ones and those for far away; gives their files' names."""
    flat = lambda files: [f"f{number:05}.dat" for number in range(files)]  # noqa: E731
    tree = lambda folders: [f"d{folder:03}/f{number}.dat" for folder in range(folders) for number in range(TREE[1])]  # noqa: E731
    planted = {("flat", False): flat(FLAT_FILES), ("tree", False): tree(TREE[0]), ("flat", True): flat(far), ("tree", True): tree(far_tree(far))}
    for (shape, away), names in planted.items():
        for name in names:
            path = root / folder_of(shape, away) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(SMALL_BYTES))
    return planted


def folder_of(shape, far):
    """Where a tree is, here and on the server."""
    return f"far-{shape}" if far else shape


def sizes(folder):
    """Sizes of the files below a folder."""
    return [os.path.getsize(os.path.join(at, file)) for at, _, files in os.walk(folder) for file in files]


@dataclass(frozen=True)
class Row:
    """What a row measures: `shape` is start, file, flat or tree."""

    shape: str
    up: bool = False
    tls: bool = False
    far: bool = False

    @property
    def name(self):
        """As --only has it."""
        if self.shape == "start":
            return "c-start"
        return "-".join(["c", *(["tls"] if self.tls else []), *([] if self.shape == "file" else [self.shape]), "up" if self.up else "down",
                         *(["20ms"] if self.far else [])])

    def text(self, far_files):
        """As the table has it."""
        what = {"start": "`--version`", "file": "1 GiB", "flat": f"{far_files if self.far else FLAT_FILES:,} files of 4 KiB",
                "tree": f"{far_tree(far_files) if self.far else TREE[0]} directories of {TREE[1]} files"}[self.shape]
        if self.shape == "start":
            return f"{what}, ms"
        return f"{'FTPS: ' if self.tls else ''}{what} {'up' if self.up else 'down'}{f', {ROUND_TRIP_MS} ms away' if self.far else ''}, s"

    @property
    def action(self):
        """The word that clients have for it."""
        return {"start": "start", "file": "put" if self.up else "get"}.get(self.shape, "up" if self.up else "down")


BOTH = (False, True)
# The order is that of importance: when time is up, what is left is cut.
ALL = [Row("start"), *(Row("file", up, tls) for tls in BOTH for up in BOTH),
       *(Row(shape, up, tls, far) for far in BOTH for tls in BOTH for up in BOTH for shape in ("flat", "tree"))]
ROWS = {row.name: row for row in ALL}


class Tasks:
    """Runs the rows: `run(client, row's name, scratch folder)` gives {figure: value}."""

    def __init__(self, service, root, files):
        self.service, self.root, self.files, self.over = service, root, files, {}

    def unfit(self, client, name):
        """Why the client has no such figure, None when it has."""
        if (client, name) in self.over:
            return self.over[client, name]
        if not shutil.which(STARTED_AS.get(client, client)):
            return "it is not there"
        if (ROWS[name].tls, ROWS[name].far) not in self.service.ways:
            return "the relay is not there"
        try:
            WORDS[client](self._job(name, None))
        except No as no:
            return str(no)
        return None

    def _job(self, name, scratch):
        """With no scratch folder only to see whether the client has words for it."""
        row = ROWS[name]
        where, away = self.service.ways[row.tls, row.far], row.far
        if row.shape in ("start", "file"):
            return Job(row.action, where, "incoming/big" if row.up else "big", self.root / "big" if row.up else (scratch or Path()) / "copy/big")
        folder = folder_of(row.shape, away)
        remote, local = (f"incoming/{folder}", self.root / folder) if row.up else (folder, (scratch or Path()) / "copy")
        return Job(row.action, where, remote, local, tuple(self.files[row.shape, away]), scratch)

    def run(self, client, name, scratch):
        """Runs one task and sees whether all has arrived."""
        row, job = ROWS[name], self._job(name, scratch)
        if row.shape == "start":
            return {name: statistics.median(run(WORDS[client](job), scratch)[0] for _ in range(STARTS)) * 1000}
        if not row.up:
            (scratch / "copy").mkdir()
        try:
            wall, cpu, memory = run(WORDS[client](job), scratch, FAR_SECONDS if row.far else NEAR_SECONDS)
        except TooLong as long:
            self.over[client, name] = str(long)
            raise
        wanted = [GIB] if row.shape == "file" else [SMALL_BYTES] * len(job.files)
        found = sizes(self.root / "incoming" if row.up else scratch / "copy")
        if found != wanted:
            raise Broken(f"{len(found)} of {len(wanted)} files, {sum(found)} of {sum(wanted)} bytes arrived")
        return {name: wall, f"{name}-cpu": cpu, f"{name}-rss": memory / 1024}


def is_slow(figures, client, name):
    """Whether another round of this client would take the time of the others. Of other figures than seconds: no."""
    walls = figures.get(name, {})
    if name not in ROWS or ROWS[name].shape == "start" or client not in walls:
        return False
    mine, best = statistics.median(walls[client]), min(statistics.median(values) for values in walls.values())
    return client != NAMES[0] and mine > SLOW_SECONDS and mine > SLOW_FACTOR * best


def figures(far_files):
    """The table's rows: (text, whether more is better, digits)."""
    found = {}
    for row in ALL:
        found[row.name] = (row.text(far_files), False, 1 if row.shape == "start" else 2)
        if row.shape != "start":
            found[f"{row.name}-cpu"] = ("  CPU s", False, 2)
            found[f"{row.name}-rss"] = ("  resident, MiB", False, 1)
    return found
