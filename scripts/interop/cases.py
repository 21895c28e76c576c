"""What every client is asked to do, and how it is judged: by the bytes and names on both disks, never by what the client says.

A case is a function of (client, world). It names the abilities it needs, so that a client without one is reported with its reason.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from harness import Conn, Failure, Refused, Samples, equal, same

BLANKS = "two words  and more.txt"
UNICODE = "Grüße 日本 ñandú.txt"
# Characters that shells, URLs, patterns and quoting rules of some client treat specially.
SPECIAL = "[draft] 100% #1 'q' &c;x.txt"
MANY = 1000
# Thirty days back: old enough that a time of the transfer itself cannot pass for it, young enough that LIST shows hours and minutes.
AGE_SECONDS = 30 * 24 * 3600
TEXT = "first line\nsecond line\n\nlast line\n"
# Deep enough for recursion, with the names that break it.
TREE = {"a.txt": b"a", "sub/b.bin": bytes(range(256)) * 40, "sub/deeper/with blank.txt": b"blank", "sub/deeper/zero": b""}


@dataclass
class World:
    """What a case gets: its folder on the server's disk, the same folder as FTP names it, local space, sample files, ports."""

    disk: Path
    path: str
    local: Path
    samples: Samples
    server: object

    def conn(self, kind="v4", **how):
        """A way to the server over `v4`, `v6` or the `dual` listener (which is asked over IPv4)."""
        return Conn("::1" if kind == "v6" else "127.0.0.1", self.server.port(kind), **how)


@dataclass(frozen=True)
class Case:
    """One line of the report. `abilities` are checked against the client's table, `kind` and `active` against what it speaks."""

    name: str
    run: object
    abilities: tuple
    kind: str = "v4"
    active: bool = False


CASES = []


def case(*abilities, kind="v4", active=False):
    """Registers a function as a case named after it."""
    def register(function):
        CASES.append(Case(function.__name__.replace("_", "-"), function, abilities, kind, active))
        return function

    return register


def lacks(client, *abilities):
    """Whether the client lacks one of them: for the parts of a case that only some clients can play."""
    return any(ability in client.cannot for ability in abilities)


def check_list(client, conn, path, expected):
    """Lists and compares names, and sizes where the client shows them."""
    found = client.list(conn, path)
    equal(set(expected), set(found), "names")
    wrong = {name: size for name, size in found.items() if size is not None and expected[name] is not None and size != expected[name]}
    equal({}, wrong, "sizes")


def round_trip(client, world, conn, name="file.bin"):
    """List, download and upload of one file in the ways the client has."""
    source = world.samples.path("ten")
    os.link(source, world.disk / name)
    if not lacks(client, "list"):
        check_list(client, conn, world.path, {name: source.stat().st_size})
    client.download(conn, f"{world.path}/{name}", world.local / name)
    same(source, world.local / name)
    if not lacks(client, "upload"):
        client.upload(conn, source, f"{world.path}/up-{name}")
        same(source, world.disk / f"up-{name}")


@case("download")
def anonymous(client, world):
    conn = world.conn(user="anonymous", password="guest@")
    source = world.samples.path("ten")
    os.link(source, world.disk / "file.bin")
    client.download(conn, f"{world.path}/file.bin", world.local / "file.bin")
    same(source, world.local / "file.bin")


@case("upload")
def anonymous_upload(client, world):
    source = world.samples.path("ten")
    client.upload(world.conn(user="anonymous", password="guest@"), source, f"{world.path}/file.bin")
    same(source, world.disk / "file.bin")


@case("download")
def account(client, world):
    round_trip(client, world, world.conn())


@case("download")
def wrong_password(client, world):
    (world.disk / "x").write_bytes(b"x")
    refused(lambda: client.download(world.conn(password="wrong"), f"{world.path}/x", world.local / "x"), world.local / "x")


@case("download")
def missing_file(client, world):
    refused(lambda: client.download(world.conn(), f"{world.path}/none", world.local / "none"), world.local / "none")


def refused(action, product):
    """Demands that the client reports a failure and has made nothing but perhaps an empty file."""
    try:
        action()
    except Refused:
        pass
    else:
        if product.exists():
            raise Failure("the client met no refusal")
    if product.exists() and product.stat().st_size:
        raise Failure("bytes came in spite of the refusal")


@case("download")
def sizes_down(client, world):
    for name in Samples.SIZES:
        os.link(world.samples.path(name), world.disk / name)
        client.download(world.conn(), f"{world.path}/{name}", world.local / name)
        same(world.samples.path(name), world.local / name)


@case("upload")
def sizes_up(client, world):
    for name in Samples.SIZES:
        client.upload(world.conn(), world.samples.path(name), f"{world.path}/{name}")
        same(world.samples.path(name), world.disk / name)


@case("upload")
def overwrite(client, world):
    (world.disk / "file").write_bytes(b"old and longer" * 1000)
    client.upload(world.conn(), world.samples.path("one"), f"{world.path}/file")
    same(world.samples.path("one"), world.disk / "file")


@case("resume_download")
def resume_down(client, world):
    whole = world.samples.path("big")
    os.link(whole, world.disk / "big")
    with open(whole, "rb") as file:
        (world.local / "big").write_bytes(file.read(whole.stat().st_size // 3))
    os.utime(world.local / "big", (whole.stat().st_mtime + 60,) * 2)
    client.resume_download(world.conn(), f"{world.path}/big", world.local / "big")
    same(whole, world.local / "big")


@case("resume_upload")
def resume_up(client, world):
    whole = world.samples.path("big")
    with open(whole, "rb") as file:
        (world.disk / "big").write_bytes(file.read(whole.stat().st_size // 3))
    client.resume_upload(world.conn(), whole, f"{world.path}/big")
    same(whole, world.disk / "big")


@case("rename")
def rename(client, world):
    (world.disk / "old").write_bytes(b"content")
    client.rename(world.conn(), f"{world.path}/old", f"{world.path}/new name")
    equal({"new name"}, set(os.listdir(world.disk)), "files")


@case("delete")
def delete(client, world):
    (world.disk / "gone").write_bytes(b"content")
    (world.disk / "kept").write_bytes(b"content")
    client.delete(world.conn(), f"{world.path}/gone")
    equal({"kept"}, set(os.listdir(world.disk)), "files")


@case("mkdir", "rmdir")
def directories(client, world):
    client.mkdir(world.conn(), f"{world.path}/made here")
    equal({"made here"}, set(os.listdir(world.disk)), "after mkdir")
    if not (world.disk / "made here").is_dir():
        raise Failure("not a directory")
    client.rmdir(world.conn(), f"{world.path}/made here")
    equal(set(), set(os.listdir(world.disk)), "after rmdir")


@case("list")
def empty_directory(client, world):
    check_list(client, world.conn(), world.path, {})


@case("list")
def thousand_files(client, world):
    expected = {}
    for index in range(MANY):
        name = f"file {index:04} of many.dat"
        (world.disk / name).write_bytes(b"x" * (index % 7))
        expected[name] = index % 7
    check_list(client, world.conn(), world.path, expected)


def odd_name(client, world, name):
    round_trip(client, world, world.conn(), name)


@case("download")
def name_with_blanks(client, world):
    odd_name(client, world, BLANKS)


@case("download")
def name_in_utf8(client, world):
    odd_name(client, world, UNICODE)


@case("special", "download")
def name_special(client, world):
    odd_name(client, world, SPECIAL)


@case("download", active=True)
def active_v4(client, world):
    round_trip(client, world, world.conn(active=True))


@case("download", kind="v6")
def passive_v6(client, world):
    round_trip(client, world, world.conn("v6"))


@case("download", kind="v6", active=True)
def active_v6(client, world):
    round_trip(client, world, world.conn("v6", active=True))


@case("download", kind="dual")
def dual_stack_passive(client, world):
    round_trip(client, world, world.conn("dual"))


@case("download", kind="dual", active=True)
def dual_stack_active(client, world):
    round_trip(client, world, world.conn("dual", active=True))


@case("ascii_download")
def ascii_down(client, world):
    (world.disk / "text").write_text(TEXT)
    client.ascii_download(world.conn(), f"{world.path}/text", world.local / "text")
    # Some clients turn CRLF into the local line end, some leave it: both prove that the server sent whole lines.
    equal(TEXT, (world.local / "text").read_bytes().decode().replace("\r\n", "\n"), "text")


@case("ascii_upload")
def ascii_up(client, world):
    (world.local / "text").write_text(TEXT)
    client.ascii_upload(world.conn(), world.local / "text", f"{world.path}/text")
    equal(TEXT, (world.disk / "text").read_bytes().decode(), "text on the server")


@case("glob_download")
def pattern(client, world):
    for name in ("one.txt", "two.txt", "three.bin"):
        (world.disk / name).write_bytes(name.encode())
    client.glob_download(world.conn(), world.path, "*.txt", world.local)
    equal({"one.txt", "two.txt"}, {name for name in os.listdir(world.local) if name.endswith((".txt", ".bin"))}, "files")


@case("tree_download")
def tree_down(client, world):
    plant(world.disk / "tree")
    client.tree_download(world.conn(), f"{world.path}/tree", world.local / "tree")
    equal(TREE, harvest(world.local / "tree"), "tree")


@case("tree_upload")
def tree_up(client, world):
    plant(world.local / "tree")
    client.tree_upload(world.conn(), world.local / "tree", f"{world.path}/tree")
    equal(TREE, harvest(world.disk / "tree"), "tree on the server")


def plant(root):
    """Writes TREE below a folder."""
    for name, content in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def harvest(root):
    """Reads a folder back in the form of TREE; wget's own listing files do not count."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != ".listing"}


@case("deep_upload")
def deep_upload(client, world):
    source = world.local / "file"
    os.link(world.samples.path("one"), source)
    (world.disk / "there").mkdir()
    client.deep_upload(world.conn(), source, f"{world.path}/there/new folder/newer/file")
    same(source, world.disk / "there" / "new folder" / "newer" / "file")


@case("dated_download")
def time_down(client, world):
    then = int(time.time()) - AGE_SECONDS
    (world.disk / "dated").write_bytes(b"dated")
    os.utime(world.disk / "dated", (then, then))
    client.dated_download(world.conn(), f"{world.path}/dated", world.local / "dated")
    check_time(client, then, world.local / "dated")


@case("dated_upload")
def time_up(client, world):
    then = int(time.time()) - AGE_SECONDS
    (world.local / "dated").write_bytes(b"dated")
    os.utime(world.local / "dated", (then, then))
    client.dated_upload(world.conn(), world.local / "dated", f"{world.path}/dated")
    check_time(client, then, world.disk / "dated")


def check_time(client, then, path):
    """Demands a file's time, as precisely as the client can know it."""
    off = abs(int(path.stat().st_mtime) - then)
    if off > client.time_slack:
        raise Failure(f"the time of {path.name} is {off} s off")


@case("segments")
def segments(client, world):
    os.link(world.samples.path("big"), world.disk / "big")
    client.segments(world.conn(), f"{world.path}/big", world.local / "big")
    same(world.samples.path("big"), world.local / "big")


@case("abort")
def abort(client, world):
    os.link(world.samples.path("big"), world.disk / "big")
    os.link(world.samples.path("one"), world.disk / "big2")
    client.abort(world.conn(), f"{world.path}/big")
