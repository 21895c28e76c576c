"""The servers of the field once more, in TLS as strict as each can be: TLS demanded on both connections, and where the server knows
how, data connections only in the control connection's TLS session. Certificate and the rest of the configuration are those of scripts/bench.
"""

import peers


class Secure:
    """What these servers have in common: they are started by `tls_command`."""

    def ready(self):
        return super().ready() or (None if peers.CERTIFICATE.exists() and peers.KEY.exists() else "openssl is not there")


class Miniftpd(Secure, peers.Miniftpd):
    name = "miniftpd/tls"
    tls_demands = '[tls]\nrequire = "data"\nreuse = "require"\n'


class Miniftpd13(Miniftpd):
    name = "miniftpd/1.3"
    tls_demands = Miniftpd.tls_demands + 'minimum = "1.3"\n'


class Vsftpd(Secure, peers.Vsftpd):
    name = "vsftpd/tls"
    tls_demands = "force_anon_logins_ssl=YES\nforce_anon_data_ssl=YES\nrequire_ssl_reuse=YES\nstrict_ssl_read_eof=YES\n"


class PureFtpd(Secure, peers.PureFtpd):
    name = "pure-ftpd/tls"
    tls_demands = "3"


class Proftpd(Secure, peers.Proftpd):
    name = "proftpd/1.3"
    tls_demands = "TLSRequired on\n"

    def ready(self):
        return super().ready() or (None if self.module.exists() else "mod_tls is not there")


class Proftpd12(Proftpd):
    name = "proftpd/1.2"
    tls_version = "TLSv1.2"


class Pyftpdlib(Secure, peers.Pyftpdlib):
    name = "pyftpdlib/tls"
    tls_demands = "handler.tls_control_required = handler.tls_data_required = True"


PEERS = [Miniftpd, Miniftpd13, Vsftpd, PureFtpd, Proftpd, Proftpd12, Pyftpdlib]
