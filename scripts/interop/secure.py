"""Common clients over TLS: `secure.py [--client NAME]... [--require N]`.

Every client sends and fetches an empty file, one byte and 10 MiB, in TLS 1.2 and 1.3, from a server that logs whether data connections
resume the control connection's session and from one that requires it. A client that cannot resume has to be refused there, with the reason.
One line for each, a closing line `N passed, N failed`; the exit code is 0 when nothing failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clients import Client, Curl, Lftp, Wget
from harness import USER, Conn, Failure, Refused, Runner, Samples, Server, same
from libraries import BasicFtp, Ftplib, NetFtp
from run import REPOSITORY, WORK, Report

SIZES = ("zero", "one", "ten")
VERSIONS = ("1.2", "1.3")
# What the server says of a data connection whose session is not the control connection's.
REFUSAL = "the data connection's TLS session is not the control connection's"


class Secure:
    """What the adapters below have besides: where the certificate is, which version, and in which versions they resume."""

    resumes = VERSIONS

    def dress(self, certificate, version):
        self.certificate, self.version = str(certificate), version
        return self


class CurlTls(Secure, Curl):
    """curl on OpenSSL."""

    @property
    def options(self):
        return ("--ssl-reqd", "--cacert", self.certificate, f"--tlsv{self.version}", "--tls-max", self.version)


class LftpTls(Secure, Lftp):
    """lftp on GnuTLS."""

    @property
    def settings(self):
        return ("ftp:ssl-allow yes", "ftp:ssl-force yes", "ftp:ssl-protect-data yes", "ftp:ssl-protect-list yes",
                f"ssl:ca-file {self.certificate}", f"ssl:priority NORMAL:-VERS-ALL:+VERS-TLS{self.version}")


class WgetTls(Secure, Wget):
    """wget on GnuTLS, which downloads only."""

    @classmethod
    def missing(cls):
        built = super().missing() or subprocess.run(["wget", "--version"], capture_output=True, text=True, check=False).stdout
        return "wget with ftps" if "+ssl" not in built else None

    def url(self, conn, path, login=False):
        return super().url(conn, path, login).replace("ftp://", "ftps://", 1)

    def wget(self, conn, *words):
        return super().wget(conn, f"--ca-certificate={self.certificate}", f"--secure-protocol=TLSv{self.version.replace('.', '_')}", *words)


class LibraryTls(Secure):
    """The drivers take it with their order."""

    resume = False

    @property
    def tls(self):
        return {"ca": self.certificate, "version": self.version, "resume": self.resume}


class FtplibTls(LibraryTls, Ftplib):
    """Python's FTP_TLS as it comes: it resumes nothing."""

    resumes = ()


class FtplibReuse(LibraryTls, Ftplib):
    """The subclass that people write to have it resume."""

    name = "ftplib-reuse"
    resume = True


class BasicFtpTls(LibraryTls, BasicFtp):
    """Node's basic-ftp."""


class NetFtpTls(LibraryTls, NetFtp):
    """Perl's Net::FTP with IO::Socket::SSL, which keeps sessions but looks for them under each data connection's own port."""

    resumes = ()

    @classmethod
    def missing(cls):
        found = subprocess.run(["perl", "-MIO::Socket::SSL", "-e", "1"], capture_output=True, check=False)
        return super().missing() or (None if found.returncode == 0 else "libio-socket-ssl-perl")


class OpenSsl(Secure, Client):
    """`openssl s_client`: a person's way to look into FTPS, with a second one for the data connection."""

    name = "s_client"
    programs = ("openssl",)

    def s_client(self, *words, **how):
        flags = ["-quiet", "-verify_return_error", "-CAfile", self.certificate, f"-tls{self.version.replace('.', '_')}"]
        return subprocess.Popen(["openssl", "s_client", *flags, *words], stderr=subprocess.DEVNULL, **how)

    def transfer(self, conn, line, take):
        """One login, one transfer; `take` does what is to be done with the port and the session."""
        session = self.runner.scratch / "session"
        control = self.s_client("-starttls", "ftp", "-connect", f"{conn.host}:{conn.port}", "-sess_out", session,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with open(self.runner.log, "ab") as log:

            def say(text, *codes):
                control.stdin.write(text.encode() + b"\r\n")
                control.stdin.flush()
                answer = control.stdout.readline()
                log.write(text.encode() + b"\n" + answer)
                if not answer.decode().startswith(codes):
                    raise Refused(answer.decode().strip() or "no answer")
                return answer.decode()

            try:
                for text, code in ((f"USER {conn.user}", "331"), (f"PASS {conn.password}", "230"), ("PBSZ 0", "200"),
                                   ("PROT P", "200"), ("TYPE I", "200")):
                    say(text, code)
                port = say("EPSV", "229").split("|")[3]
                # The handshake follows the 150, and the end of the file the handshake.
                say(line, "150")
                data = take(f"{conn.host}:{port}", session)
                say("NOOP", "226", "522")
                if data.wait(20) not in (0, 1):
                    raise Failure("s_client broke on the data connection")
            finally:
                control.kill()
                control.communicate()

    def download(self, conn, remote, local):
        with open(local, "wb") as file:
            self.transfer(conn, f"RETR {remote}", lambda to, session: self.s_client(
                "-connect", to, "-sess_in", session, stdin=subprocess.DEVNULL, stdout=file))

    def upload(self, conn, local, remote):
        with open(local, "rb") as file:
            self.transfer(conn, f"STOR {remote}", lambda to, session: self.s_client(
                "-no_ign_eof", "-nocommands", "-connect", to, "-sess_in", session, stdin=file, stdout=subprocess.DEVNULL))


CLIENTS = [CurlTls, LftpTls, WgetTls, FtplibTls, FtplibReuse, BasicFtpTls, NetFtpTls, OpenSsl]


def round_trips(client, conn, samples, disk, path, local):
    """Every size there and back; a client that only fetches gets what is there."""
    for size in SIZES:
        source = samples.path(size)
        if "upload" in client.cannot:
            shutil.copyfile(source, disk / size)
        else:
            client.upload(conn, source, f"{path}/{size}")
            same(source, disk / size)
        client.download(conn, f"{path}/{size}", local / size)
        same(source, local / size)


def refused(server, before, action):
    """Demands that the client fails, and that the server says why."""
    try:
        action()
    except Failure:
        pass
    else:
        raise Failure("a data connection that resumes nothing was let in")
    if not server.says(REFUSAL, before):
        raise Failure("refused, but not for its session")


def play(kind, version, reuse, server, certificate, samples, report):
    """One client in one version at one server."""
    tag = f"{kind.name}-tls{version}-{reuse}"
    log = WORK / "logs-secure" / f"{tag}.log"
    disk, scratch = server.root / tag, Path(tempfile.mkdtemp(prefix="case-", dir=WORK))
    disk.mkdir()
    local = scratch / "local"
    local.mkdir()
    error, start, before = None, time.monotonic(), server.log.stat().st_size
    client = kind(Runner(scratch, log)).dress(certificate, version)
    try:
        def action():
            round_trips(client, Conn("127.0.0.1", server.port("v4")), samples, disk, f"/{tag}", local)

        if reuse == "require" and version not in kind.resumes:
            refused(server, before, action)
        else:
            action()
            resumes = version in kind.resumes
            # What should be said is waited for; what should not be would long be there, being said before the first transfer.
            resumed = not server.says("does not resume", before, wait=not resumes)
            if resumed != resumes:
                raise Failure(f"resumed: {resumed}, which is news")
    except Failure as failure:
        error = failure
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError) as broken:
        error = Failure(f"the suite met {type(broken).__name__}: {broken}")
    if not server.alive():
        error = Failure("the server ended")
    report.result(kind.name, f"tls {version}, {reuse}", error, time.monotonic() - start, log)
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(disk, ignore_errors=True)


def identity(folder):
    """A certificate for 127.0.0.1 and its key."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", folder / "key.pem",
                    "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder / "cert.pem"


def launch(folder, root, reuse):
    """A server that says of each data connection whether it resumes."""
    config = folder / f"{reuse}.toml"
    config.write_text(f'listen = ["127.0.0.1:0"]\n[tls]\ncertificate = "cert.pem"\nkey = "key.pem"\nrequire = "data"\nreuse = "{reuse}"\n'
                      '[log]\nlevel = "debug"\n')
    server = Server([str(REPOSITORY / "target/release/miniftpd"), "-c", str(config), "-u", USER, str(root)], root,
                    WORK / "logs-secure" / f"server-{reuse}.log")
    server.start(1)
    return server


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", action="append", choices=[client.name for client in CLIENTS])
    parser.add_argument("--require", type=int, default=0, help="fail when fewer clients than this are installed")
    options = parser.parse_args()
    (WORK / "logs-secure").mkdir(parents=True, exist_ok=True)
    samples, report = Samples(WORK / "samples"), Report()
    kinds = [kind for kind in CLIENTS if not options.client or kind.name in options.client]
    absent = {kind: kind.missing() for kind in kinds}
    for kind, missing in absent.items():
        if missing:
            report.skip(kind.name, f"{missing} is not installed")
    present = [kind for kind in kinds if not absent[kind]]
    if len(present) < options.require:
        report.result("suite", "clients", Failure(f"{len(present)} clients, {options.require} required"), 0.0, WORK / "none")
    with tempfile.TemporaryDirectory(prefix="secure-", dir=WORK) as place:
        certificate = identity(Path(place))
        for reuse in ("log", "require"):
            root = Path(place) / f"served-{reuse}"
            root.mkdir()
            server = launch(Path(place), root, reuse)
            try:
                for kind in present:
                    for version in VERSIONS:
                        play(kind, version, reuse, server, certificate, samples, report)
            finally:
                code = server.stop()
            report.result("server", f"orderly-end, {reuse}", None if code == 0 else Failure(f"exit code {code}"), 0.0, server.log)
    return report.close()


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
