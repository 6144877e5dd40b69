"""One connection to the door: HTTP/1.1 over a Unix socket, kept open between questions. The only file that knows the
HTTP library (h11, which reads and writes the protocol and nothing else)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

import h11

CONNECT_S = 5.0
READ_BYTES = 1 << 18
JOINED_BYTES_MAX = 1 << 16
"""A body up to this size goes out in one piece with its head."""


class Broken(Exception):
    """The connection ended before its answer was whole, or what came was no HTTP."""


class Answer(NamedTuple):
    status: int
    body: bytes


class Connection:
    """Asks one question at a time. After an exception, or when it does not go on, it is only good to be closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self.goes_on = True

    @classmethod
    async def open(cls, path: Path) -> Connection:
        """Raises OSError, TimeoutError among them."""
        async with asyncio.timeout(CONNECT_S):
            return cls(*await asyncio.open_unix_connection(path, limit=READ_BYTES))

    def close(self) -> None:
        self._writer.close()

    async def ask(self, method: str, path: str, body: bytes | None, patience_s: float) -> Answer:
        """The whole answer. Raises Broken, or TimeoutError when nothing moves for `patience_s`."""
        try:
            async with asyncio.timeout(patience_s) as waiting:
                await self._say(method, path, body)
                status, pieces = 0, []
                async for event in self._events():
                    if isinstance(event, h11.Response):
                        status = event.status_code
                    elif isinstance(event, h11.Data):
                        pieces.append(bytes(event.data))
                        waiting.reschedule(asyncio.get_running_loop().time() + patience_s)
                self._end_of_cycle()
                return Answer(status, b"".join(pieces))
        except (h11.ProtocolError, ConnectionError) as fault:
            raise Broken(str(fault)) from None

    def _end_of_cycle(self) -> None:
        """The door may have said that it closes after this answer."""
        self.goes_on = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        if self.goes_on:
            self._http.start_next_cycle()

    async def stream(self, path: str, patience_s: float) -> AsyncGenerator[int | bytes, None]:
        """The status, then the body as it comes. Raises like `ask`."""
        try:
            await self._say("GET", path, None)
            events = self._events()
            while True:
                async with asyncio.timeout(patience_s):
                    event = await anext(events, None)
                if event is None:
                    return
                if isinstance(event, h11.Response):
                    yield event.status_code
                elif isinstance(event, h11.Data):
                    yield bytes(event.data)
        except (h11.ProtocolError, ConnectionError) as fault:
            raise Broken(str(fault)) from None

    async def _say(self, method: str, path: str, body: bytes | None) -> None:
        headers = [("host", "door")]
        if body is not None:
            headers.append(("content-length", str(len(body))))
        head = self._http.send(h11.Request(method=method, target=path, headers=headers)) or b""
        data = (self._http.send(h11.Data(data=body)) or b"") if body else b""
        self._http.send(h11.EndOfMessage())
        for piece in (head + data,) if len(data) <= JOINED_BYTES_MAX else (head, data):
            self._writer.write(piece)
        await self._writer.drain()

    async def _events(self) -> AsyncGenerator[h11.Event, None]:
        """What the door says until the end of its message."""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(READ_BYTES))
            elif isinstance(event, h11.Event) and not isinstance(event, h11.ConnectionClosed):
                yield event
                if isinstance(event, h11.EndOfMessage):
                    return
            else:
                raise Broken("closed")
