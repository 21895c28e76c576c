"""One operation by Python's ftplib: `ftplib_driver.py JSON`, see libraries.py."""

import ftplib
import json
import ssl
import sys
from pathlib import Path

TIMEOUT = 20


class Resuming(ftplib.FTP_TLS):
    """FTP_TLS whose data connections resume the control connection's session: the way found on every forum."""

    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            conn = self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session)
        return conn, size


def make(tls):
    if not tls:
        return ftplib.FTP(timeout=TIMEOUT, encoding="utf-8")
    context = ssl.create_default_context(cafile=tls["ca"])
    context.minimum_version = context.maximum_version = ssl.TLSVersion["TLSv" + tls["version"].replace(".", "_")]
    kind = Resuming if tls["resume"] else ftplib.FTP_TLS
    return kind(timeout=TIMEOUT, encoding="utf-8", context=context)


def connect(order):
    ftp = make(order["tls"])
    ftp.set_debuglevel(0)
    ftp.connect(order["host"], order["port"])
    ftp.login(order["user"], order["password"])
    if order["tls"]:
        ftp.prot_p()
    ftp.set_pasv(not order["active"])
    return ftp


def list_(ftp, path):
    """The three ways to list must tell the same: MLSD, NLST and LIST after CWD."""
    facts = {name: facts for name, facts in ftp.mlsd(path, facts=["type", "size", "modify"]) if facts["type"] not in ("cdir", "pdir")}
    short = {name.rsplit("/", 1)[-1] for name in ftp.nlst(path)}
    ftp.cwd(path)
    lines = []
    ftp.dir(lines.append)
    long = [line for line in lines if not line.startswith("total ")]
    if set(facts) != short or len(long) != len(facts):
        raise ValueError(f"MLSD {len(facts)}, NLST {len(short)}, LIST {len(long)} entries")
    return {name: int(fact["size"]) if "size" in fact else None for name, fact in facts.items()}


def download(ftp, remote, local):
    with open(local, "wb") as file:
        ftp.retrbinary(f"RETR {remote}", file.write)
    ftp.voidcmd("TYPE I")
    if ftp.size(remote) != Path(local).stat().st_size:
        raise ValueError("SIZE differs from what came")


def upload(ftp, local, remote):
    with open(local, "rb") as file:
        ftp.storbinary(f"STOR {remote}", file)


def resume_download(ftp, remote, local):
    with open(local, "ab") as file:
        ftp.retrbinary(f"RETR {remote}", file.write, rest=file.tell())


def resume_upload(ftp, local, remote):
    ftp.voidcmd("TYPE I")
    held = ftp.size(remote)
    with open(local, "rb") as file:
        file.seek(held)
        ftp.storbinary(f"STOR {remote}", file, rest=held)


def ascii_download(ftp, remote, local):
    with open(local, "w", newline="") as file:
        ftp.retrlines(f"RETR {remote}", lambda line: file.write(line + "\n"))


def ascii_upload(ftp, local, remote):
    with open(local, "rb") as file:
        ftp.storlines(f"STOR {remote}", file)


def glob_download(ftp, folder, pattern, local):
    ftp.cwd(folder)
    for name in ftp.nlst(pattern):
        download(ftp, name, str(Path(local) / name.rsplit("/", 1)[-1]))


def abort(ftp, remote):
    """ABOR as urgent data in the middle of a file; afterwards the session must still be good for a whole one."""
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd(f"RETR {remote}")
    data.recv(8192)
    first = ftp.abort()
    data.close()
    # ftplib reads one reply: a server that says 426 says 226 as well.
    if first.startswith("426"):
        ftp.voidresp()
    ftp.voidcmd("NOOP")
    got = []
    ftp.retrbinary(f"RETR {remote}2", lambda block: got.append(len(block)))
    if sum(got) != ftp.size(f"{remote}2"):
        raise ValueError("the file after the abort came short")


OPERATIONS = {
    "list": list_, "download": download, "upload": upload, "resume_download": resume_download, "resume_upload": resume_upload,
    "rename": lambda ftp, old, new: ftp.rename(old, new), "delete": lambda ftp, path: ftp.delete(path),
    "mkdir": lambda ftp, path: ftp.mkd(path), "rmdir": lambda ftp, path: ftp.rmd(path),
    "ascii_download": ascii_download, "ascii_upload": ascii_upload, "glob_download": glob_download, "abort": abort,
}


def main():
    order = json.loads(sys.argv[1])
    try:
        ftp = connect(order)
        value = OPERATIONS[order["op"]](ftp, *order["args"])
        ftp.quit()
        answer = {"value": value if isinstance(value, dict) else None}
    except (ftplib.Error, OSError, EOFError, ValueError, KeyError) as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))


main()
