"""What the transport sends, kept for a test to search: in plain where it is handed over, or as bytes on the wire.

recorder = Recorder(); ZenohTransport(settings, observer=recorder)      one process, payloads in plain
read_wire_log(path)                                                     the same from `MeshSettings.wire_log_path`
Tee(port_of_the_listener)                                               a relay on loopback, bytes as sent (TLS)
shared_windows(secret, captured)                                        where they have eight bytes in common
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Iterable
from pathlib import Path

WINDOW_BYTES = 8


class Recorder:
    """An observer that keeps every payload."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def __call__(self, payload: bytes) -> None:
        self.payloads.append(payload)


def read_wire_log(path: Path) -> list[bytes]:
    """The payloads of a wire log. A record cut off by a killed process is given as far as it goes."""
    data = path.read_bytes()
    payloads, at = [], 0
    while at + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        payloads.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return payloads


def shared_windows(secret: bytes, captured: Iterable[bytes], window: int = WINDOW_BYTES) -> list[int]:
    """Offsets in `secret` of every run of `window` bytes that occurs anywhere in what was captured."""
    wanted: dict[bytes, list[int]] = {}
    for offset in range(len(secret) - window + 1):
        wanted.setdefault(secret[offset : offset + window], []).append(offset)
    assert wanted, "the secret is shorter than one window"
    found: set[bytes] = set()
    layout = struct.Struct(f"{window}s")
    for data in captured:
        for shift in range(min(window, len(data))):
            whole = (len(data) - shift) // window * window
            found.update(run for (run,) in layout.iter_unpack(data[shift : shift + whole]) if run in wanted)
    return sorted(offset for run in found for offset in wanted[run])


class Tee:
    """Listens on a loopback port of its own, relays each connection to `target_port` and keeps both directions."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._relays: set[asyncio.Task[None]] = set()
        self.upstream = bytearray()
        self.downstream = bytearray()
        self.connections = 0

    async def start(self, port: int = 0) -> int:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._relays):
            task.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there = await asyncio.open_connection("127.0.0.1", self._target_port)
            up = asyncio.create_task(self._copy(reader, there[1], self.upstream))
            down = asyncio.create_task(self._copy(there[0], writer, self.downstream))
            try:
                await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                up.cancel()
                down.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
                there[1].close()
        writer.close()
        self._relays.discard(task)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
        while data := await reader.read(1 << 16):
            kept += data
            writer.write(data)
            await writer.drain()
