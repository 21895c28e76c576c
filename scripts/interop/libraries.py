"""The client libraries: one small program for each in `drivers/`, called with one operation as JSON, answering with one line of JSON.

Their abilities have the names and the arguments of `clients.py`.
"""

import json
import os
import sys
from pathlib import Path

from clients import NO_ABORT, NO_ASCII, NO_GLOB, NO_PARENTS, NO_SEGMENTS, NO_TIME, NO_TREE, Client
from harness import Failure, Refused

DRIVERS = Path(__file__).parent / "drivers"
ABILITIES = ("list", "download", "upload", "resume_download", "resume_upload", "rename", "delete", "mkdir", "rmdir", "ascii_download",
             "ascii_upload", "glob_download", "tree_download", "tree_upload", "segments", "abort", "deep_upload",
             "dated_download", "dated_upload")


class Library(Client):
    """An adapter whose abilities are all the driver's: it forwards the name and the arguments."""

    driver = ()
    # What the driver has to know of TLS: None, or the authority's file, the version and whether to resume (secure.py).
    tls = None
    # None of them touches the time of a file by itself.
    UNTIMED = {"dated_download": NO_TIME, "dated_upload": NO_TIME}

    @classmethod
    def command(cls):
        """The words that start the driver."""
        return [str(word) for word in cls.driver]

    def call(self, conn, ability, *arguments):
        order = {"host": conn.host, "port": conn.port, "user": conn.user, "password": "guest@" if conn.anonymous else conn.password,
                 "active": conn.active, "tls": self.tls, "op": ability, "args": [str(argument) for argument in arguments]}
        finished = self.runner.run([*self.command(), json.dumps(order)], check=False)
        try:
            answer = json.loads(finished.out.strip().splitlines()[-1])
        except (IndexError, ValueError):
            raise Failure(f"the driver broke, exit code {finished.code}") from None
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["value"]


def _forward(ability):
    def method(self, conn, *arguments):
        return self.call(conn, ability, *arguments)

    return method


for _ability in ABILITIES:
    setattr(Library, _ability, _forward(_ability))


class Ftplib(Library):
    """Python's own ftplib, blocking, with NLST, LIST and MLSD."""

    name = "ftplib"
    driver = (sys.executable, DRIVERS / "ftplib_driver.py")
    cannot = Library.UNTIMED | {"tree_download": NO_TREE, "tree_upload": NO_TREE, "segments": NO_SEGMENTS, "deep_upload": NO_PARENTS}


class Aioftp(Library):
    """aioftp: MLSD, EPSV, on asyncio."""

    name = "aioftp"
    active = False
    driver = (os.environ.get("INTEROP_AIOFTP_PYTHON", sys.executable), DRIVERS / "aioftp_driver.py")
    cannot = Library.UNTIMED | {"ascii_download": NO_ASCII, "ascii_upload": NO_ASCII, "glob_download": NO_GLOB, "segments": NO_SEGMENTS}

    @classmethod
    def missing(cls):
        import subprocess

        found = subprocess.run([cls.command()[0], "-c", "import aioftp"], capture_output=True, check=False)
        return None if found.returncode == 0 else "aioftp"


class NetFtp(Library):
    """Perl's Net::FTP."""

    name = "net-ftp"
    programs = ("perl",)
    driver = ("perl", DRIVERS / "net_ftp.pl")
    cannot = Library.UNTIMED | {"tree_download": NO_TREE, "tree_upload": NO_TREE, "segments": NO_SEGMENTS}


class BasicFtp(Library):
    """Node's basic-ftp: MLSD or `LIST -a`, EPSV or PASV."""

    name = "basic-ftp"
    programs = ("node",)
    active = False
    driver = ("node", DRIVERS / "basic_ftp.cjs")
    cannot = Library.UNTIMED | {"ascii_download": NO_ASCII, "ascii_upload": NO_ASCII, "glob_download": NO_GLOB, "segments": NO_SEGMENTS,
                                "abort": NO_ABORT}

    @classmethod
    def missing(cls):
        modules = os.environ.get("NODE_PATH", "")
        return super().missing() or (None if (Path(modules) / "basic-ftp").is_dir() else "basic-ftp")


LIBRARIES = [Ftplib, Aioftp, NetFtp, BasicFtp]
