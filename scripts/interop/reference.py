"""A server that is known to be right enough, with the command line the suite expects: `reference.py DIR USER`.

It exists to tell a fault of the suite from a fault of the server under test: whatever fails against both is looked for here first.
"""

import fnmatch
import os
import signal
import socket
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer


class Handler(FTPHandler):
    """What common clients rely on and the library leaves out: options and patterns in name lists, 550 for a folder that is not there."""

    def pre_process_command(self, line, cmd, arg):
        if cmd in ("NLST", "LIST"):
            arg = " ".join(word for word in arg.split(" ") if not word.startswith("-"))
        super().pre_process_command(line, cmd, arg)

    def ftp_NLST(self, path):
        folder, pattern = os.path.split(path)
        if "*" not in pattern:
            return super().ftp_NLST(path)
        names = sorted(fnmatch.filter(os.listdir(folder), pattern))
        self.push_dtp_data("".join(f"{name}\r\n" for name in names).encode(), cmd="NLST")
        return path

    def ftp_MLSD(self, path):
        if not os.path.exists(path):
            self.respond("550 No such directory.")
            return None
        return super().ftp_MLSD(path)


def listener(family, address, both=False):
    """A listening-to-be socket on a port of the kernel's choice."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
    sock.bind((address, 0))
    return sock


def main():
    root, user = sys.argv[1:3]
    authorizer = DummyAuthorizer()
    authorizer.add_user(user, os.environ["MINIFTPD_PASSWORD"], root, perm="elradfmwMT")
    authorizer.add_anonymous(root, perm="elradfmwMT")
    Handler.authorizer = authorizer
    loop = IOLoop.instance()
    servers = []
    for family, address, both in ((socket.AF_INET, "127.0.0.1", False), (socket.AF_INET6, "::1", False), (socket.AF_INET6, "::", True)):
        sock = listener(family, address, both)
        port = sock.getsockname()[1]
        servers.append(FTPServer(sock, Handler, ioloop=loop))
        shown = f"[{address}]" if family == socket.AF_INET6 else address
        print(f"listening on {shown}:{port}", file=sys.stderr, flush=True)
    try:
        loop.loop()
    except (KeyboardInterrupt, SystemExit):
        pass
    finally:
        servers[0].close_all()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main()
