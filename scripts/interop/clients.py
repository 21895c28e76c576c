"""The command-line clients: how a person would make each of them do what a case asks.

An adapter has one method per ability (`list`, `download`, `upload`, `resume_download`, `resume_upload`, `rename`, `delete`, `mkdir`,
`rmdir`, `ascii_download`, `ascii_upload`, `glob_download`, `tree_download`, `tree_upload`, `segments`, `abort`, `deep_upload` into
folders that are not there yet, `dated_download` and `dated_upload` that keep the file's time). Remote paths are absolute, local ones are `Path`s. What a client cannot do stands in its `cannot` table with the reason, which the report prints:
an ability is never skipped in silence. `list` gives {name: size}, with None for sizes the client does not show.
"""

import re
from pathlib import Path
from urllib.parse import quote
from html import unescape

from harness import Failure, Refused, program

NO_UPLOAD = "downloads only"
NO_MANAGEMENT = "has no command for it"
NO_IPV6 = "speaks IPv4 only"
NO_TREE = "does not recurse"
NO_SEGMENTS = "fetches a file in one piece"
NO_GLOB = "no patterns on remote names"
NO_ABORT = "has no way to abort and go on"
NO_ASCII = "image type only"
# The server starts in TYPE I (`default_type`), as most do today: its files arrive as they left.
UNSAID_TYPE_A = "sends no TYPE A since RFC 959 starts in it"
NO_TIME = "does not keep the time of a file"
NO_PARENTS = "makes no folders on the way"

UNIX_LINE = re.compile(r"^[-dl][-rwxsStT]{9}[.+]?\s+\d+\s+\S+\s+\S+\s+(\d+)\s+\w{3}\s+\d+\s+[\d:]+ (.*)$")


def parse_unix(text):
    """Reads a LIST in the form of `ls -l`; every line but a total must have it, so the server's format is tested with it."""
    entries = {}
    for line in text.splitlines():
        line = line.rstrip("\r")
        if not line or line.startswith("total "):
            continue
        found = UNIX_LINE.match(line)
        if not found:
            raise Failure(f"no line of `ls -l`: {line!r}")
        entries[found.group(2).split(" -> ")[0]] = int(found.group(1))
    return entries


def names(text):
    """Reads a name list: one a line, the folder in front of it taken away."""
    return {line.rstrip("\r").rsplit("/", 1)[-1]: None for line in text.splitlines() if line.strip()}


class Client:
    """What all adapters share: name, the programs they need, the abilities they lack."""

    name = ""
    programs = ()
    cannot = {}
    ipv6 = True
    # Whether it takes a machine without an IPv6 address beside ::1 for one without IPv6.
    wants_address = False
    active = True
    # How far a kept time may be off: the precision of what the client reads it from.
    time_slack = 0

    def __init__(self, runner):
        self.runner = runner

    @classmethod
    def missing(cls):
        """The first program that is not installed, or None."""
        return next((name for name in cls.programs if program(name) is None), None)

    def url(self, conn, path, login=False):
        """An ftp URL below the account's home; `login` puts the account into it."""
        who = f"{conn.user}:{conn.password}@" if login and not conn.anonymous else ""
        return f"ftp://{who}{conn.bracketed}:{conn.port}{quote(path)}"


class Curl(Client):
    """curl as it comes: EPSV or EPRT, one CWD for each part of a path."""

    name = "curl"
    programs = ("curl",)
    cannot = {"tree_download": NO_TREE, "tree_upload": NO_TREE, "glob_download": NO_GLOB, "segments": "only by ranges: see abort",
              "dated_upload": NO_TIME}
    options = ()
    active_options = ()

    def curl(self, conn, *words):
        login = [] if conn.anonymous else ["--user", f"{conn.user}:{conn.password}"]
        active = ["--ftp-port", conn.host, *self.active_options] if conn.active else []
        return self.runner.run(["curl", "-q", "-sS", "-v", "--globoff", "--connect-timeout", "10", *self.options, *active, *login, *words])

    def list(self, conn, path):
        url = self.url(conn, path.rstrip("/") + "/")
        entries = parse_unix(self.curl(conn, url).out)
        short = names(self.curl(conn, "--list-only", url).out)
        if set(short) != set(entries):
            raise Failure(f"NLST gives {len(short)} names, LIST {len(entries)}")
        return entries

    def download(self, conn, remote, local):
        self.curl(conn, "-o", local, self.url(conn, remote))

    def upload(self, conn, local, remote):
        self.curl(conn, "-T", local, self.url(conn, remote))

    def resume_download(self, conn, remote, local):
        self.curl(conn, "-C", "-", "-o", local, self.url(conn, remote))

    def resume_upload(self, conn, local, remote):
        self.curl(conn, "-C", "-", "-T", local, self.url(conn, remote))

    def deep_upload(self, conn, local, remote):
        self.curl(conn, "--ftp-create-dirs", "-T", local, self.url(conn, remote))

    def dated_download(self, conn, remote, local):
        self.curl(conn, "-R", "-o", local, self.url(conn, remote))

    def quote(self, conn, *commands):
        words = [word for command in commands for word in ("-Q", command)]
        self.curl(conn, *words, "-I", self.url(conn, "/"))

    def rename(self, conn, old, new):
        self.quote(conn, f"RNFR {old}", f"RNTO {new}")

    def delete(self, conn, path):
        self.quote(conn, f"DELE {path}")

    def mkdir(self, conn, path):
        self.quote(conn, f"MKD {path}")

    def rmdir(self, conn, path):
        self.quote(conn, f"RMD {path}")

    def ascii_download(self, conn, remote, local):
        self.curl(conn, "--use-ascii", "-o", local, self.url(conn, remote))

    def ascii_upload(self, conn, local, remote):
        self.curl(conn, "--use-ascii", "--crlf", "-T", local, self.url(conn, remote))

    def abort(self, conn, remote):
        """A range that ends inside the file: curl closes the data connection early, then uses the session for a second file."""
        second = self.runner.scratch / "second"
        login = ["--user", f"{conn.user}:{conn.password}"]
        self.curl(conn, "-r", "1000-1999", "-o", "/dev/null", self.url(conn, remote),
                  "--next", "-sS", "-v", *self.options, *login, "-o", second, self.url(conn, remote + "2"))
        if not second.exists():
            raise Failure("the second file was not fetched")


class CurlOldStyle(Curl):
    """curl told to use PASV and PORT and whole paths, which older devices do."""

    name = "curl-pasv"
    cannot = Curl.cannot | {"deep_upload": "makes folders only when it walks through them"}
    options = ("--disable-epsv", "--ftp-method", "nocwd")
    active_options = ("--disable-eprt",)


class Wget(Client):
    """GNU wget: LIST for names, patterns and recursion; REST for `-c`."""

    name = "wget"
    programs = ("wget",)
    cannot = {ability: NO_UPLOAD for ability in ("upload", "resume_upload", "rename", "delete", "mkdir", "rmdir", "ascii_upload", "tree_upload",
                                               "deep_upload", "dated_upload")} | {"segments": NO_SEGMENTS, "abort": NO_ABORT}
    # LIST shows minutes.
    time_slack = 60

    def wget(self, conn, *words):
        login = [] if conn.anonymous else [f"--ftp-user={conn.user}", f"--ftp-password={conn.password}"]
        active = ["--no-passive-ftp"] if conn.active else []
        return self.runner.run(["wget", "--no-config", "-d", "--tries=1", "--timeout=20", *active, *login, *words])

    def list(self, conn, path):
        page = self.runner.scratch / "index.html"
        self.wget(conn, "-O", page, self.url(conn, path.rstrip("/") + "/"))
        text = page.read_text("utf-8", "surrogateescape")
        # File  <a href="ftp://...">name</a>  (12 bytes)
        found = re.findall(r'<a href="[^"]*">(.*?)</a>\s*(?:\(([\d,.]+) bytes\))?', text)
        return {unescape(name).rstrip("/"): int(size.replace(",", "")) if size else None for name, size in found}

    def download(self, conn, remote, local):
        self.wget(conn, "--no-glob", "-O", local, self.url(conn, remote))

    def resume_download(self, conn, remote, local):
        self.wget(conn, "-c", "-O", local, self.url(conn, remote))

    def dated_download(self, conn, remote, local):
        # With -O it leaves the time alone; without -N it takes none.
        self.wget(conn, "-N", "-P", local.parent, self.url(conn, remote))

    def ascii_download(self, conn, remote, local):
        self.wget(conn, "-O", local, self.url(conn, remote) + ";type=a")

    def glob_download(self, conn, folder, pattern, local):
        self.wget(conn, "-P", local, self.url(conn, folder) + "/" + pattern)

    def tree_download(self, conn, remote, local):
        depth = remote.strip("/").count("/") + 1
        self.wget(conn, "-r", "-l", "5", "-nH", f"--cut-dirs={depth}", "-P", local, self.url(conn, remote) + "/")


class Lftp(Client):
    """lftp with its defaults but TLS: pipelined commands, LIST parsing, FEAT and OPTS."""

    name = "lftp"
    programs = ("lftp",)
    wants_address = True
    # Its EPRT carries the machine's first global address, and :: when the peer is ::1; then it waits a minute and turns passive.
    cannot = {"abort": NO_ABORT, "ascii_upload": UNSAID_TYPE_A, "active-v6": "announces :: as its loopback address"}
    settings = ()

    def lftp(self, conn, *commands):
        settings = ["cmd:fail-exit yes", "net:max-retries 1", "net:timeout 20", "ftp:ssl-allow no", "xfer:clobber yes",
                    f"ftp:passive-mode {'no' if conn.active else 'yes'}", *self.settings]
        login = "" if conn.anonymous else f"-u {conn.user},{conn.password} "
        script = [f"set {setting}" for setting in settings] + [f"open {login}ftp://{conn.bracketed}:{conn.port}/", *commands]
        return self.runner.run(["lftp", "--norc", "-d", "-c", "; ".join(script)])

    @staticmethod
    def word(text):
        """A word as lftp's own parser takes it."""
        return '"' + re.sub(r'(["\\])', r"\\\1", str(text)) + '"'

    def list(self, conn, path):
        long, short = self.runner.scratch / "long", self.runner.scratch / "short"
        w = self.word
        self.lftp(conn, f"cd {w(path)}", f"ls > {w(long)}", f"cls -1 > {w(short)}")
        entries = {k: v for k, v in parse_unix(long.read_text("utf-8", "surrogateescape")).items() if k not in (".", "..")}
        classed = {name.rstrip("/"): None for name in short.read_text("utf-8", "surrogateescape").splitlines()}
        if set(classed) != set(entries):
            raise Failure(f"cls gives {len(classed)} names, ls {len(entries)}")
        return entries

    def download(self, conn, remote, local):
        self.lftp(conn, f"get {self.word(remote)} -o {self.word(local)}")

    def upload(self, conn, local, remote):
        self.lftp(conn, f"put {self.word(local)} -o {self.word(remote)}")

    def resume_download(self, conn, remote, local):
        self.lftp(conn, f"get -c {self.word(remote)} -o {self.word(local)}")

    def resume_upload(self, conn, local, remote):
        self.lftp(conn, f"put -c {self.word(local)} -o {self.word(remote)}")

    def rename(self, conn, old, new):
        self.lftp(conn, f"mv {self.word(old)} {self.word(new)}")

    def delete(self, conn, path):
        self.lftp(conn, f"rm {self.word(path)}")

    def mkdir(self, conn, path):
        self.lftp(conn, f"mkdir {self.word(path)}")

    def rmdir(self, conn, path):
        self.lftp(conn, f"rmdir {self.word(path)}")

    def ascii_download(self, conn, remote, local):
        self.lftp(conn, f"get -a {self.word(remote)} -o {self.word(local)}")

    def ascii_upload(self, conn, local, remote):
        self.lftp(conn, f"put -a {self.word(local)} -o {self.word(remote)}")

    def glob_download(self, conn, folder, pattern, local):
        self.lftp(conn, f"cd {self.word(folder)}", f"mget -O {self.word(local)} {pattern}")

    def tree_download(self, conn, remote, local):
        self.lftp(conn, f"mirror -P 3 {self.word(remote)} {self.word(local)}")

    def tree_upload(self, conn, local, remote):
        self.lftp(conn, f"mirror -R -P 3 {self.word(local)} {self.word(remote)}")

    def deep_upload(self, conn, local, remote):
        folder = remote.rsplit("/", 1)[0]
        self.lftp(conn, f"mkdir -p {self.word(folder)}", f"put {self.word(local)} -o {self.word(remote)}")

    def dated_download(self, conn, remote, local):
        self.download(conn, remote, local)

    def dated_upload(self, conn, local, remote):
        self.upload(conn, local, remote)

    def segments(self, conn, remote, local):
        self.lftp(conn, f"pget -n 4 {self.word(remote)} -o {self.word(local)}")


class LftpModern(Lftp):
    """lftp told to prefer EPSV and to list by MLSD."""

    name = "lftp-mlsd"
    settings = ("ftp:prefer-epsv yes", "ftp:use-mlsd yes")


class Ncftp(Client):
    """ncftpget, ncftpput and ncftpls for files, the ncftp shell for the rest."""

    name = "ncftp"
    programs = ("ncftp", "ncftpget", "ncftpput", "ncftpls")
    ipv6 = False
    cannot = {"segments": NO_SEGMENTS, "abort": NO_ABORT, "ascii_upload": UNSAID_TYPE_A}

    def flags(self, conn):
        login = [] if conn.anonymous else ["-u", conn.user, "-p", conn.password]
        return [*login, "-P", conn.port, "-t", "20", "-r", "1", "-d", "stderr", "-E" if conn.active else "-F"]

    def get(self, conn, *words):
        return self.runner.run(["ncftpget", "-V", *self.flags(conn), *words])

    def put(self, conn, *words):
        return self.runner.run(["ncftpput", "-V", *self.flags(conn), *words])

    def shell(self, conn, *commands):
        login = [] if conn.anonymous else ["-u", conn.user, "-p", conn.password]
        mode = f"set passive {'off' if conn.active else 'on'}"
        script = "\n".join([mode, *commands, "quit", ""])
        finished = self.runner.run(["ncftp", *login, "-P", conn.port, conn.host], stdin=script, check=False)
        if re.search(r"failed|denied|no such|not found|could not|error", finished.transcript, re.IGNORECASE):
            raise Refused("the shell reported an error")

    def list(self, conn, path):
        url = self.url(conn, path.rstrip("/") + "/")
        long = self.runner.run(["ncftpls", *self.flags(conn), "-l", url]).out
        short = self.runner.run(["ncftpls", *self.flags(conn), "-1", url]).out
        entries = parse_unix(long)
        if set(names(short)) != set(entries):
            raise Failure(f"NLST gives {len(names(short))} names, LIST {len(entries)}")
        return entries

    def download(self, conn, remote, local):
        self.get(conn, "-Z", "-C", conn.host, remote, local)

    def upload(self, conn, local, remote):
        self.put(conn, "-Z", "-C", conn.host, local, remote)

    def resume_download(self, conn, remote, local):
        # Only the form with a directory resumes; the local name is the remote one.
        self.get(conn, "-z", conn.host, Path(local).parent, remote)

    def resume_upload(self, conn, local, remote):
        # -s: with its sendfile this version sends the whole file after REST.
        self.put(conn, "-z", "-s", conn.host, remote.rsplit("/", 1)[0], local)

    def rename(self, conn, old, new):
        self.shell(conn, f'rename "{old}" "{new}"')

    def delete(self, conn, path):
        self.shell(conn, f'rm "{path}"')

    def mkdir(self, conn, path):
        self.shell(conn, f'mkdir "{path}"')

    def rmdir(self, conn, path):
        self.shell(conn, f'rmdir "{path}"')

    def ascii_download(self, conn, remote, local):
        self.get(conn, "-a", "-Z", "-C", conn.host, remote, local)

    def ascii_upload(self, conn, local, remote):
        self.put(conn, "-a", "-Z", "-C", conn.host, local, remote)

    def glob_download(self, conn, folder, pattern, local):
        self.get(conn, conn.host, local, f"{folder}/{pattern}")

    def tree_download(self, conn, remote, local):
        self.get(conn, "-R", "-T", conn.host, local.parent, remote)

    def deep_upload(self, conn, local, remote):
        self.put(conn, "-m", conn.host, remote.rsplit("/", 1)[0], local)

    def dated_download(self, conn, remote, local):
        self.get(conn, conn.host, local.parent, remote)

    def dated_upload(self, conn, local, remote):
        self.put(conn, conn.host, remote.rsplit("/", 1)[0], local)

    def tree_upload(self, conn, local, remote):
        self.put(conn, "-R", conn.host, remote.rsplit("/", 1)[0], local)


class BsdFtp(Client):
    """The classic interactive client: a script on its standard input, judged by its replies since it always exits with 0."""

    cannot = {"tree_download": NO_TREE, "tree_upload": NO_TREE, "segments": NO_SEGMENTS, "abort": NO_ABORT, "deep_upload": NO_PARENTS,
              "dated_upload": NO_TIME}
    before = ()

    def words(self, conn):
        """Program and options for one session."""
        raise NotImplementedError

    def script(self, conn, *commands):
        login = f"user {conn.user} {'guest@' if conn.anonymous else conn.password}"
        text = "\n".join([login, *self.before, "binary", *commands, "bye", ""])
        finished = self.runner.run(self.words(conn), stdin=text, check=False)
        # A 5yz alone proves nothing: both try EPSV, SIZE or MLST first and go on without. The disks tell the rest.
        refused = re.search(r"^Login failed|^Not connected", finished.transcript, re.MULTILINE)
        if refused:
            raise Refused(refused.group(0))
        return finished

    def list(self, conn, path):
        long, short = self.runner.scratch / "long", self.runner.scratch / "short"
        for stale in (long, short):
            stale.unlink(missing_ok=True)
        self.script(conn, f'ls "{path}" "{long}"' if self.name == "tnftp" else f'dir "{path}" "{long}"', f'nlist "{path}" "{short}"')
        entries = parse_unix(long.read_text("utf-8", "surrogateescape"))
        found = names(short.read_text("utf-8", "surrogateescape"))
        if set(found) != set(entries):
            raise Failure(f"NLST gives {len(found)} names, LIST {len(entries)}")
        return entries

    def download(self, conn, remote, local):
        self.script(conn, f'get "{remote}" "{local}"')

    def upload(self, conn, local, remote):
        self.script(conn, f'put "{local}" "{remote}"')

    def resume_download(self, conn, remote, local):
        self.script(conn, f'reget "{remote}" "{local}"')

    def resume_upload(self, conn, local, remote):
        # The marker is what the server holds already; both programs skip as much of the local file.
        held = self.held(conn, remote)
        self.script(conn, f"restart {held}", f'put "{local}" "{remote}"')

    def held(self, conn, remote):
        """The remote size, from the client's own `size`."""
        found = re.search(r"^(?:213 (\d+)|.*\t(\d+)$)", self.script(conn, f'size "{remote}"').transcript, re.MULTILINE)
        if not found:
            raise Failure("size gave no number")
        return found.group(1) or found.group(2)

    def rename(self, conn, old, new):
        self.script(conn, f'rename "{old}" "{new}"')

    def delete(self, conn, path):
        self.script(conn, f'delete "{path}"')

    def mkdir(self, conn, path):
        self.script(conn, f'mkdir "{path}"')

    def rmdir(self, conn, path):
        self.script(conn, f'rmdir "{path}"')

    def ascii_download(self, conn, remote, local):
        self.script(conn, "ascii", f'get "{remote}" "{local}"')

    def ascii_upload(self, conn, local, remote):
        self.script(conn, "ascii", f'put "{local}" "{remote}"')

    def dated_download(self, conn, remote, local):
        self.download(conn, remote, local)

    def glob_download(self, conn, folder, pattern, local):
        self.script(conn, f'lcd "{local}"', f'cd "{folder}"', f"mget {pattern}")


class Tnftp(BsdFtp):
    """NetBSD's ftp, as macOS and Debian ship it: FEAT, EPSV, EPRT first."""

    name = "tnftp"
    programs = ("tnftp",)

    def words(self, conn):
        return ["tnftp", "-n", "-i", "-v", "-d", "-A" if conn.active else "-p", conn.host, conn.port]


class Inetutils(BsdFtp):
    """GNU inetutils' ftp: active by default, the last of its old kind."""

    name = "inetutils"
    programs = ("inetutils-ftp",)
    cannot = BsdFtp.cannot | {"dated_download": NO_TIME}

    def words(self, conn):
        family = "-6" if ":" in conn.host else "-4"
        return ["inetutils-ftp", family, "-n", "-i", "-v", "-d", "-A" if conn.active else "-p", conn.host, conn.port]


class Aria2(Client):
    """aria2: SIZE, REST and several connections for one file."""

    name = "aria2"
    programs = ("aria2c",)
    cannot = {ability: NO_UPLOAD for ability in ("upload", "resume_upload", "rename", "delete", "mkdir", "rmdir", "ascii_upload", "tree_upload",
                                               "deep_upload", "dated_upload")} | {
        "list": "fetches files, shows no folders", "tree_download": NO_TREE, "glob_download": NO_GLOB, "abort": NO_ABORT}

    def aria2(self, conn, remote, local, *words):
        login = [] if conn.anonymous else [f"--ftp-user={conn.user}", f"--ftp-passwd={conn.password}"]
        local = Path(local)
        finished = self.runner.run(["aria2c", "--no-conf=true", "--log-level=debug", "--log=-", "--console-log-level=error", "--summary-interval=0",
                                "--file-allocation=none", "--allow-overwrite=true", "--auto-file-renaming=false", "--max-tries=1", "--timeout=20",
                                f"--ftp-pasv={'false' if conn.active else 'true'}", *login, *words, "-d", local.parent, "-o", local.name,
                                self.url(conn, remote)])
        # It waits in vain for a 226 that it has read together with the 150, and then calls the download complete all the same.
        if "Timeout before receiving transfer complete" in finished.transcript:
            raise Failure("the 226 went unseen")

    def download(self, conn, remote, local):
        self.aria2(conn, remote, local)

    def resume_download(self, conn, remote, local):
        self.aria2(conn, remote, local, "-c")

    def ascii_download(self, conn, remote, local):
        self.aria2(conn, remote, local, "--ftp-type=ascii")

    def dated_download(self, conn, remote, local):
        self.aria2(conn, remote, local, "--remote-time=true")

    def segments(self, conn, remote, local):
        self.aria2(conn, remote, local, "-x", "4", "-s", "4", "-k", "1M")


class Rclone(Client):
    """rclone: a pool of logins, MLSD or LIST, MFMT."""

    name = "rclone"
    programs = ("rclone",)
    active = False
    cannot = {"resume_download": "starts again from the beginning", "resume_upload": "starts again from the beginning",
              "ascii_download": NO_ASCII, "ascii_upload": NO_ASCII, "abort": NO_ABORT,
              "segments": "this version takes the 426 of its own early close for a failure"}
    options = ()

    def rclone(self, conn, *words):
        secret = self.runner.run(["rclone", "obscure", "guest@" if conn.anonymous else conn.password]).out.strip()
        env = {"RCLONE_FTP_HOST": conn.bracketed, "RCLONE_FTP_PORT": str(conn.port), "RCLONE_FTP_USER": conn.user, "RCLONE_FTP_PASS": secret,
               "RCLONE_CONFIG": str(self.runner.home / "rclone.conf")}
        return self.runner.run(["rclone", "-vv", "--dump", "responses", "--retries", "1", "--low-level-retries", "1", "--contimeout", "10s",
                                *self.options, *words], env=env)

    def list(self, conn, path):
        text = self.rclone(conn, "lsf", "--format", "sp", "--separator", "/", f":ftp:{path}").out
        found = [line.split("/", 1) for line in text.splitlines()]
        return {name.rstrip("/"): None if name.endswith("/") else int(size) for size, name in found}

    def download(self, conn, remote, local):
        self.rclone(conn, "copyto", f":ftp:{remote}", local)

    def upload(self, conn, local, remote):
        self.rclone(conn, "copyto", "--ignore-times", local, f":ftp:{remote}")

    def rename(self, conn, old, new):
        self.rclone(conn, "moveto", f":ftp:{old}", f":ftp:{new}")

    def delete(self, conn, path):
        self.rclone(conn, "deletefile", f":ftp:{path}")

    def mkdir(self, conn, path):
        self.rclone(conn, "mkdir", f":ftp:{path}")

    def rmdir(self, conn, path):
        self.rclone(conn, "rmdir", f":ftp:{path}")

    def glob_download(self, conn, folder, pattern, local):
        self.rclone(conn, "copy", "--include", f"/{pattern}", f":ftp:{folder}", local)

    def tree_download(self, conn, remote, local):
        self.rclone(conn, "sync", f":ftp:{remote}", local)

    def deep_upload(self, conn, local, remote):
        self.upload(conn, local, remote)

    def dated_download(self, conn, remote, local):
        self.download(conn, remote, local)

    def dated_upload(self, conn, local, remote):
        self.upload(conn, local, remote)

    def tree_upload(self, conn, local, remote):
        self.rclone(conn, "sync", local, f":ftp:{remote}")


class RcloneList(Rclone):
    """rclone told to keep off MLSD and EPSV."""

    name = "rclone-list"
    # PASV knows no IPv6 addresses.
    ipv6 = False
    time_slack = 60
    options = ("--ftp-disable-mlsd", "--ftp-disable-epsv")


PROGRAMS = [Curl, CurlOldStyle, Wget, Lftp, LftpModern, Ncftp, Tnftp, Inetutils, Aria2, Rclone, RcloneList]
