"""The servers of the field once more, in TLS as strict as each can be: TLS demanded on both connections, and where the server knows
how, data connections only in the control connection's TLS session.
"""

from pathlib import Path

import peers


def certificate(folder):
    """One for 127.0.0.1 that nobody else has signed, and its key. None where it cannot be made."""
    chain, key = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=miniftp interop", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
             "-keyout", key, "-out", chain]
    folder.mkdir(parents=True, exist_ok=True)
    peers.quiet(words)
    return (chain, key) if chain.exists() and key.exists() else None


class Secure:
    """What these servers have in common. `version` is the only one of TLS that it speaks, None: as it likes."""

    pair = None
    version = None

    def ready(self):
        return "openssl is not there" if self.pair is None else super().ready()


class Miniftpd(Secure, peers.Miniftpd):
    name = "miniftpd/tls"
    # More of its [tls] table.
    keys = ""

    def command(self, port):
        chain, key = self.pair
        strict = self.write("tls.toml", f"""\
[tls]
certificate = "{chain}"
key = "{key}"
require = "data"
reuse = "require"
{self.keys}
""")
        return [*super().command(port)[:-1], "-c", strict, self.served]


class Miniftpd13(Miniftpd):
    name = "miniftpd/1.3"
    keys = 'minimum = "1.3"'


class Vsftpd(Secure, peers.Vsftpd):
    name = "vsftpd/tls"

    def command(self, port):
        chain, key = self.pair
        words = super().command(port)
        with open(words[-1], "a", encoding="utf-8") as file:
            file.write(f"""\
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES
strict_ssl_read_eof=YES
ssl_ciphers=HIGH
rsa_cert_file={chain}
rsa_private_key_file={key}
""")
        return words


class PureFtpd(Secure, peers.PureFtpd):
    name = "pure-ftpd/tls"

    def command(self, port):
        chain, key = self.pair
        # Both of one file, or of two with a comma; -Y 3 refuses data connections in the clear.
        return [*super().command(port), "-Y", "3", "-2", f"{chain},{key}"]


class Proftpd(Secure, peers.Proftpd):
    name = "proftpd/1.3"
    version = "TLSv1.3"
    module = peers.PEER_ROOT / "usr/lib/proftpd/mod_tls.so"

    def ready(self):
        return super().ready() or (None if self.module.exists() else "mod_tls is not there")

    def command(self, port):
        chain, key = self.pair
        words = super().command(port)
        path = Path(words[-1])
        # It demands that sessions are resumed unless it is told not to.
        path.write_text(f"""\
ModulePath {self.module.parent}
LoadModule mod_tls.c
TLSEngine on
TLSRequired on
TLSProtocol {self.version}
TLSLog none
TLSECCertificateFile {chain}
TLSECCertificateKeyFile {key}
{path.read_text(encoding="utf-8")}""", encoding="utf-8")
        return words


class Proftpd12(Proftpd):
    name = "proftpd/1.2"
    version = "TLSv1.2"


class Pyftpdlib(Secure, peers.Pyftpdlib):
    name = "pyftpdlib/tls"

    def command(self, port):
        words = self._words(port, "tls", *self.pair)
        demand = "handler.tls_control_required = handler.tls_data_required = True\n"
        self.write("serve.py", peers.PYFTPDLIB_SCRIPT.replace("authorizer.add_anonymous", f"{demand}authorizer.add_anonymous"))
        return words


PEERS = [Miniftpd, Miniftpd13, Vsftpd, PureFtpd, Proftpd, Proftpd12, Pyftpdlib]

