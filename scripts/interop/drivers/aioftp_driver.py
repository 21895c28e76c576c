"""One operation by aioftp: `aioftp_driver.py JSON`, see libraries.py."""

import asyncio
import json
import sys
from pathlib import Path, PurePosixPath

import aioftp

TIMEOUT = 20
BLOCK = 1 << 16


async def list_(client, path):
    return {entry.name: int(info["size"]) if info["type"] == "file" else None for entry, info in await client.list(path)}


async def download(client, remote, local):
    await client.download(remote, local, write_into=True)


async def upload(client, local, remote):
    # The high-level call makes every parent first; the plain stream is what a program that knows its folder uses.
    await send(client.upload_stream(remote), local, 0)


async def send(opening, local, start):
    with open(local, "rb") as file:
        file.seek(start)
        async with opening as stream:
            while piece := file.read(BLOCK):
                await stream.write(piece)


async def resume_download(client, remote, local):
    with open(local, "ab") as file:
        async with client.download_stream(remote, offset=file.tell()) as stream:
            async for piece in stream.iter_by_block(BLOCK):
                file.write(piece)


async def resume_upload(client, local, remote):
    held = int((await client.stat(remote))["size"])
    await send(client.upload_stream(remote, offset=held), local, held)


async def deep_upload(client, local, remote):
    await client.upload(local, remote, write_into=True)


async def tree_upload(client, local, remote):
    target = PurePosixPath(remote)
    await client.change_directory(target.parent)
    await client.upload(Path(local), target.name, write_into=True)


async def abort(client, remote):
    stream = await client.download_stream(remote)
    await stream.read(8192)
    await client.abort()
    stream.close()
    await client.command("NOOP", "2xx")
    got = 0
    async with client.download_stream(remote + "2") as second:
        async for piece in second.iter_by_block(BLOCK):
            got += len(piece)
    if got != int((await client.stat(remote + "2"))["size"]):
        raise ValueError("the file after the abort came short")


OPERATIONS = {
    "list": list_, "download": download, "upload": upload, "resume_download": resume_download, "resume_upload": resume_upload,
    "rename": lambda client, old, new: client.rename(old, new), "delete": lambda client, path: client.remove_file(path),
    "mkdir": lambda client, path: client.make_directory(path, parents=False), "rmdir": lambda client, path: client.remove_directory(path),
    "tree_download": lambda client, remote, local: client.download(remote, local, write_into=True), "tree_upload": tree_upload, "abort": abort,
    "deep_upload": deep_upload,
}


async def run(order):
    async with aioftp.Client.context(order["host"], order["port"], order["user"], order["password"], socket_timeout=TIMEOUT) as client:
        value = await OPERATIONS[order["op"]](client, *order["args"])
        return value if isinstance(value, dict) else None


def main():
    order = json.loads(sys.argv[1])
    try:
        answer = {"value": asyncio.run(run(order))}
    except (aioftp.AIOFTPException, OSError, ValueError, KeyError, asyncio.TimeoutError) as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))


main()
