"""A node of a Zenoh mesh as a process of its own: `python -m tests.support.mesh_process SETTINGS.json`.

It prints one JSON object a line: {"started": pid, "seconds": ...}, then {"peers": [...]} at every change and one for
each message. Messages that begin with "echo" go back to their sender; "sockets" asks for the process's open sockets.
It ends when its standard input does.
"""

from __future__ import annotations

import time

BEGAN = time.monotonic()

import asyncio  # noqa: E402
import contextlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from quorate.adapters.transport.mesh_settings import Credentials, MeshSettings  # noqa: E402
from quorate.adapters.transport.zenoh import ZenohTransport  # noqa: E402
from quorate.model.units import Digest, NodeId  # noqa: E402


def to_json(settings: MeshSettings) -> str:
    paths = settings.credentials
    return json.dumps(
        {
            "network": settings.network.hex(),
            "node": settings.node.hex(),
            "listen": settings.listen,
            "connect": settings.connect,
            "members": settings.members and [member.hex() for member in sorted(settings.members)],
            "credentials": [str(paths.authority_path), str(paths.certificate_path), str(paths.key_path)],
            "wire_log_path": settings.wire_log_path and str(settings.wire_log_path),
        }
    )


def from_json(text: str) -> MeshSettings:
    values = json.loads(text)
    members, log = values["members"], values["wire_log_path"]
    return MeshSettings(
        network=bytes.fromhex(values["network"]),
        node=NodeId(bytes.fromhex(values["node"])),
        listen=values["listen"],
        credentials=Credentials(*(Path(path) for path in values["credentials"])),
        connect=tuple(values["connect"]),
        members=members and frozenset(NodeId(bytes.fromhex(member)) for member in members),
        wire_log_path=log and Path(log),
    )


def sockets() -> list[tuple[str, str, str]]:
    """(protocol, local address, state) of every internet socket of this process, from /proc."""
    inodes = set()
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(f"/proc/self/fd/{entry}")))
    found = []
    for protocol in ("tcp", "tcp6", "udp", "udp6", "udplite", "raw", "raw6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/self/net/{protocol}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[9] in inodes:
                    found.append((protocol, fields[1], fields[3]))
    return found


def tell(**values: Any) -> None:
    print(json.dumps(values), flush=True)


async def run(settings: MeshSettings) -> None:
    transport = ZenohTransport(settings)

    async def handle(sender: NodeId, message: bytes) -> None:
        if message.startswith(b"echo"):
            await transport.send(sender, message)
        elif message == b"sockets":
            tell(sockets=sockets())
        tell(sender=sender.hex(), bytes=len(message), text="" if len(message) > 64 else message.decode("latin-1"))

    async def source(digest: Digest, offset: int, size: int) -> bytes | None:
        return None

    await transport.start(handle, source)
    tell(started=os.getpid(), seconds=time.monotonic() - BEGAN)
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(sys.stdin.fileno(), lambda: os.read(0, 4096) or ended.done() or ended.set_result(None))
    known: frozenset[NodeId] = frozenset()
    while not ended.done():
        if transport.peers() != known:
            known = transport.peers()
            tell(peers=sorted(peer.hex() for peer in known), seconds=time.monotonic() - BEGAN)
        await asyncio.wait({ended}, timeout=0.005)
    loop.remove_reader(sys.stdin.fileno())
    await transport.close()
    tell(closed=True)


if __name__ == "__main__":
    asyncio.run(run(from_json(Path(sys.argv[1]).read_text())))
