"""The servers that are compared, each with an equal configuration: anonymous login, reading and writing below one folder, no logs,
no name look-ups, no limits on clients, loopback only. What a peer does beyond that by default, it may do.

The peers come out of their Debian packages below target/ without being installed (they exclude each other and would start as services).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# A folder with programs that are built already, in place of a build.
BUILT = os.environ.get("MINIFTP_PROGRAMS")
PROGRAMS = Path(BUILT or REPOSITORY / "target/release")
WORK = REPOSITORY / "target" / "bench"
PEER_ROOT = WORK / "peers"
PYFTPDLIB_VERSION = "2.2.0"
# An account beside anonymous, where a peer can hold the same hash as the others: SHA-512 crypt, 5,000 rounds.
USER, PASSWORD = "ann", "secret"
HASH = "$6$saltsaltsalt$PMWE8DTlam1JU37Piyk43bHcMxTJq6sgu5DKB0/tGPjanN35jcY68QkpDfPFUGPWX5uCxIQkSPzMmqEiVNgts."
# Another installation may hold the lock, and a mirror may fail once: waiting and asking again beat failing.
APT = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=5"]
# Package: what its installation complained of.
COMPLAINTS = {}
CERTIFICATE, KEY = WORK / "server.pem", WORK / "server-key.pem"
# Sessions of a long measurement must not be idled out.
IDLE_SECONDS = 3600
# Above the idle test's sessions, for peers that want a number.
CLIENTS = 20000


class Peer:
    """A server under measurement. `sessions` is how many idle ones its memory is measured with: forking peers get fewer."""

    name = ""
    package = None
    binary = None
    sessions = "many"
    needs_root = False
    # The ways to start it: `command`, and of `password_command` and `tls_command` those that it has.
    ways = ("command",)
    # What of TLS it demands, in its own words. Where others compare, nothing: clients then meet the same with all servers.
    tls_demands = ""
    # Debian packages beside its own, with modules.
    modules = ()
    # The tests it is there for, None for all, and why those alone.
    only, only_because = None, ""

    def __init__(self, folder, served):
        self.folder = folder
        self.served = served

    def ready(self):
        """Why this peer cannot be measured here, or None."""
        if self.needs_root and os.geteuid() != 0:
            return "needs root for its chroot"
        if self.binary is not None and not self.binary.exists():
            return f"{self.binary.name} is not there{because(self.package)}"
        return None

    def command(self, port):
        """The words that start it in the foreground on 127.0.0.1:port."""
        raise NotImplementedError

    def password_command(self, port):
        """The words that start it with the account beside anonymous."""
        raise NotImplementedError

    def tls_command(self, port):
        """The words that start it with FTPS on top: TLS 1.3, the common certificate, no reuse demanded."""
        raise NotImplementedError

    def listens_at(self, port):
        """Its port, None while it has none: for those that choose it themselves."""
        return port

    def size(self):
        """Bytes of the program file, None for a script."""
        return self.binary.stat().st_size if self.binary else None

    def write(self, name, text):
        """A configuration file of this peer."""
        path = self.folder / name
        path.write_text(text)
        return path


class Miniftpd(Peer):
    name = "miniftpd"
    ways = ("command", "password_command", "tls_command")
    binary = PROGRAMS / "miniftpd"

    def command(self, port):
        return [self.binary, "-l", f"127.0.0.1:{port}", "-w", "--max-clients", "0", "--max-per-ip", "0",
                "--idle-timeout", IDLE_SECONDS, "--log-level", "error", self.served]

    def password_command(self, port):
        """With the account. Two processes more, so only where it is wanted."""
        accounts = self.write("accounts.toml", f"""\
[[account]]
name = "{USER}"
password = "{HASH}"
home = "{self.served}"
permissions = "full"
""")
        configuration = self.write("accounts.conf", f"""\
root = "{self.served}"
accounts = "{accounts}"
[anonymous]
enabled = true
""")
        return [*self.command(port)[:-1], "--config", configuration]

    def tls_command(self, port):
        more = ["-c", self.write("tls.toml", self.tls_demands)] if self.tls_demands else []
        return [*self.command(port)[:-1], *more, "--tls-cert", CERTIFICATE, "--tls-key", KEY, self.served]


class Vsftpd(Peer):
    name = "vsftpd"
    ways = ("command", "password_command", "tls_command")
    package = "vsftpd"
    binary = PEER_ROOT / "usr/sbin/vsftpd"
    sessions = "few"
    needs_root = True
    tls_demands = "force_local_data_ssl=NO\nforce_local_logins_ssl=NO\nrequire_ssl_reuse=NO\n"

    def command(self, port):
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        return [self.binary, self.write("vsftpd.conf", f"""\
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
local_enable=NO
ftp_username=ftp
anon_root={self.served}
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
xferlog_enable=NO
max_clients=0
max_per_ip=0
secure_chroot_dir={empty}
nopriv_user=nobody
idle_session_timeout={IDLE_SECONDS}
""")]

    def password_command(self, port):
        """Its accounts are the machine's, by PAM: the run's own mount namespace has this one (see private_namespace in scripts/bench)."""
        return self._with(port, f"local_enable=YES\npam_service_name=other\nuser_sub_token=\nlocal_root={self.served}\n")

    def tls_command(self, port):
        return self._with(port, f"""\
ssl_enable=YES
allow_anon_ssl=YES
{self.tls_demands}rsa_cert_file={CERTIFICATE}
rsa_private_key_file={KEY}
ssl_ciphers=HIGH
""")

    def _with(self, port, lines):
        words = self.command(port)
        with open(words[-1], "a", encoding="utf-8") as file:
            file.write(lines)
        return words


class PureFtpd(Peer):
    name = "pure-ftpd"
    ways = ("command", "password_command", "tls_command")
    package = "pure-ftpd"
    binary = PEER_ROOT / "usr/sbin/pure-ftpd"
    sessions = "few"
    needs_root = True
    # -Y: 1 takes TLS and the clear, 3 refuses data connections in the clear.
    tls_demands = "1"

    def command(self, port):
        # -e anonymous only, -M who may make directories, -H no names, -c and -C clients in all and per address, -I minutes, -L entries and depth of a listing.
        return [self.binary, "-S", f"127.0.0.1,{port}", "-e", "-M", "-H", "-c", CLIENTS, "-C", CLIENTS, "-I", IDLE_SECONDS // 60,
                "-L", "200000:10", "-f", "none", "-g", self.folder / "pure-ftpd.pid"]

    def password_command(self, port):
        users, database = self.write("users", f"{USER}:{HASH}:65533:65534::{self.served}/./::::::::::::\n"), self.folder / "users.pdb"
        subprocess.run([PEER_ROOT / "usr/bin/pure-pw", "mkdb", database, "-f", users], check=False, capture_output=True)
        return [*(word for word in self.command(port) if word != "-e"), "-l", f"puredb:{database}"]


    def tls_command(self, port):
        return [*self.command(port), "-Y", self.tls_demands, "-2", f"{CERTIFICATE},{KEY}"]


class Proftpd(Peer):
    name = "proftpd"
    ways = ("command", "password_command", "tls_command")
    package = "proftpd-core"
    modules = ("proftpd-mod-crypto",)
    binary = PEER_ROOT / "usr/sbin/proftpd"
    module = PEER_ROOT / "usr/lib/proftpd/mod_tls.so"
    sessions = "few"
    needs_root = True
    # It demands that sessions are resumed unless it is told not to.
    tls_demands = "TLSRequired off\nTLSOptions NoSessionReuseRequired\n"
    tls_version = "TLSv1.3"

    def password_command(self, port):
        users = self.write("users", f"{USER}:{HASH}:65533:65534::{self.served}:/bin/sh\n")
        users.chmod(0o600)
        words = self.command(port)
        both = f"AuthUserFile {users}\nAuthOrder mod_auth_file.c mod_auth_unix.c"
        words[-1].write_text(words[-1].read_text("utf-8").replace("AuthOrder mod_auth_unix.c", both), "utf-8")
        return words

    def tls_command(self, port):
        words = self.command(port)
        plain = words[-1].read_text("utf-8")
        words[-1].write_text(f"""\
ModulePath {self.module.parent}
LoadModule mod_tls.c
{plain}
TLSEngine on
TLSLog none
TLSProtocol {self.tls_version}
TLSECCertificateFile {CERTIFICATE}
TLSECCertificateKeyFile {KEY}
TLSVerifyClient off
{self.tls_demands}""", "utf-8")
        return words

    def command(self, port):
        return [self.binary, "-n", "-q", "-c", self.write("proftpd.conf", f"""\
ServerType standalone
ServerName bench
DefaultServer on
DefaultAddress 127.0.0.1
SocketBindTight on
Port {port}
User nobody
Group nogroup
MaxInstances none
UseReverseDNS off
UseIPv6 off
RequireValidShell off
AuthOrder mod_auth_unix.c
WtmpLog off
TransferLog none
SystemLog none
DebugLevel 0
ScoreboardFile {self.folder}/proftpd.scoreboard
PidFile {self.folder}/proftpd.pid
DelayTable none
TimeoutIdle {IDLE_SECONDS}
TimeoutNoTransfer {IDLE_SECONDS}
AllowOverwrite on
AllowStoreRestart on
<Anonymous {self.served}>
  User ftp
  Group nogroup
  UserAlias anonymous ftp
  MaxClients none
  <Limit ALL>
    AllowAll
  </Limit>
</Anonymous>
""")]


PYFTPDLIB_SCRIPT = """\
import ctypes, logging, sys, warnings

port, served, idle, clients, way, *rest = sys.argv[1:]
if way != "tls":
    # It would import it wherever it is installed, and have its memory.
    sys.modules["OpenSSL"] = None
from pyftpdlib.authorizers import AuthenticationFailed, DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
handler, authorizer = FTPHandler, DummyAuthorizer()
if way == "password":
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p

    class Hashed(DummyAuthorizer):
        def validate_authentication(self, user, password, handler):
            hash = self.user_table.get(user, {}).get("pwd", "").encode()
            if user != "anonymous" and (not hash or crypt(password.encode(), hash) != hash):
                raise AuthenticationFailed("no")

    authorizer = Hashed()
    authorizer.add_user(rest[0], rest[1], served, perm="elradfmwMT")
if way == "tls":
    from pyftpdlib.handlers import TLS_FTPHandler as handler
    handler.certfile, handler.keyfile = rest
authorizer.add_anonymous(served, perm="elradfmwMT")
handler.authorizer = authorizer
handler.timeout = int(idle)
server = FTPServer(("127.0.0.1", int(port)), handler)
server.max_cons = int(clients)
server.max_cons_per_ip = 0
server.serve_forever()
"""


class Pyftpdlib(Peer):
    name = "pyftpdlib"
    ways = ("command", "password_command", "tls_command")
    python = WORK / "venv/bin/python"

    def ready(self):
        found = self.python.exists() and subprocess.run([self.python, "-c", "import pyftpdlib, OpenSSL"], capture_output=True, check=False).returncode == 0
        return None if found else f"pyftpdlib is not there{because('pyftpdlib')}"

    def command(self, port):
        return self._words(port, "plain")

    def password_command(self, port):
        return self._words(port, "password", USER, HASH)

    def tls_command(self, port):
        return self._words(port, "tls", CERTIFICATE, KEY)

    def _words(self, port, *way):
        demands = self.tls_demands if way[0] == "tls" else ""
        script = PYFTPDLIB_SCRIPT.replace("authorizer.add_anonymous", f"{demands}\nauthorizer.add_anonymous")
        return [self.python, self.write("serve.py", script), port, self.served, IDLE_SECONDS, CLIENTS, *way]


class Workers(Miniftpd):
    """Two processes that share the port, as the forking peers use both cores: for the bulk rows."""

    name = "miniftpd --workers 2"
    ways = ("command",)
    only, only_because = ("down", "up"), "there for the bulk rows alone"

    def command(self, port):
        return [*super().command(port)[:-1], "--workers", "2", self.served]


class Before(Miniftpd):
    """Another build of ours, in the same rounds, so that a change shows: `scripts/bench --against FOLDER`."""

    name = "miniftpd before"
    binary = None

    def ready(self):
        return Peer.ready(self) if self.binary else "no folder was given"


class Bare(Peer):
    """No server: what the kernel gives at the most, by a bare sendfile loop and a bare recv and write loop that answer what they must."""

    name = "bare loops"
    source = REPOSITORY / "scripts/bench.d/bare.c"
    binary = WORK / "bare"
    only, only_because = ("login", "noop", "pipe", "retr", "stor", "down", "up"), "no servers: what they do not answer has no limit here"

    def ready(self):
        if not self.source.exists() or not shutil.which("cc"):
            return "its source or a C compiler is not there"
        built = subprocess.run(["cc", "-O2", "-o", self.binary, self.source], capture_output=True, check=False)
        return "does not compile" if built.returncode else None

    def command(self, port):
        return [self.binary, self.served]

    def listens_at(self, port):
        said = (self.folder / "output.log").read_text("utf-8", "replace")
        return int(said.rsplit(":", 1)[1]) if said.startswith("listening on") and said.endswith("\n") else None


class BareTls(Bare):
    """No server: what rustls does at the most, a blocking loop of read, encrypt, send."""

    name = "bare rustls"
    ways = ("tls_command",)
    binary = PROGRAMS / "examples/bare_tls"
    only, only_because = ("tls_down",), "no server: one blocking transfer, nothing else"

    def ready(self):
        return Peer.ready(self)

    def tls_command(self, port):
        return [self.binary, CERTIFICATE, KEY, self.served]


PEERS = [Miniftpd, Before, Workers, Vsftpd, PureFtpd, Proftpd, Pyftpdlib, Bare, BareTls]
# Ours and the limit are no rivals of ours; an earlier build is.
OURS = ("miniftpd", "miniftpd --workers 2", "bare loops", "bare rustls")


def fetch():
    """Brings what is missing of the peers below target/; a peer that cannot be had is left out later, with its reason."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        wanted = [peer for peer in PEERS if peer.package and not peer.binary.exists()]
        if wanted:
            quiet([*APT, "update"])
        for peer in wanted:
            unpack(peer.package)
        if not Proftpd.module.exists():
            for package in Proftpd.modules:
                unpack(package)
    if Pyftpdlib(None, None).ready():
        quiet([sys.executable, "-m", "venv", "--clear", WORK / "venv"])
        COMPLAINTS["pyftpdlib"] = quiet([WORK / "venv/bin/pip", "-q", "--disable-pip-version-check", "install", f"pyftpdlib=={PYFTPDLIB_VERSION}",
                                         "pyOpenSSL"])
    certify()


def certify():
    """A certificate of the run's own that nobody else has signed, the same for all: ECDSA on P-256, as small as a handshake can be."""
    if not (CERTIFICATE.exists() and KEY.exists()) and shutil.which("openssl"):
        quiet(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:127.0.0.2", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", KEY, "-out", CERTIFICATE])
        KEY.chmod(0o600)


def versions(peers):
    """What is measured, with its version."""
    for peer in peers:
        if isinstance(peer, Pyftpdlib):
            yield f"pyftpdlib {PYFTPDLIB_VERSION}"
        for archive in (WORK / "packages").glob(f"{peer.package}_*.deb") if peer.package else ():
            yield f"{peer.name} {archive.name.split('_')[1]}"


def unpack(package):
    """Takes one Debian package apart and installs the libraries it needs, not the package itself."""
    folder = WORK / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    COMPLAINTS[package] = quiet([*APT, "download", package], cwd=folder)
    for archive in folder.glob(f"{package}_*.deb"):
        quiet(["dpkg-deb", "-x", archive, PEER_ROOT])
        depends = subprocess.run(["dpkg-deb", "-f", archive, "Depends"], capture_output=True, text=True, check=False).stdout
        libraries = [entry.split()[0] for entry in depends.split(",") if entry.strip().startswith("lib")]
        quiet([*APT, "install", "-y", "--no-install-recommends", *libraries])


def because(package):
    """What the installer said, for a program that is not there."""
    said = COMPLAINTS.get(package)
    return f" ({said})" if said else ""


def quiet(words, cwd=None):
    """Runs a command whose failure shows later as a program that is not there; gives the last thing it complained of, "" when it succeeded."""
    done = subprocess.run([str(word) for word in words], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False)
    said = done.stderr.strip().splitlines()
    return (said[-1] if said else f"exit code {done.returncode}") if done.returncode else ""
