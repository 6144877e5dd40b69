"""Carries questions to the door over its Unix socket, and turns problems back into exceptions.

Every verb of the door is idempotent, so a question whose connection broke is asked once more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import msgspec

from quorate.api.commands import check_socket_path
from quorate.api.connection import Answer, Broken, Connection
from quorate.api.problems import error_of
from quorate.errors import NoNetwork, QuorateError, WorldError
from quorate.model.codec import Value, decode, encode
from quorate.model.units import Digest

ANSWER_S = 60.0
"""How long the node may take over an answer, beyond what it was asked to wait."""
CONNECTIONS_MAX = 16

V = TypeVar("V", bound=Value)
S = TypeVar("S")


class Courier:
    """One client's connections to one door."""

    def __init__(self, socket_path: Path) -> None:
        check_socket_path(socket_path)
        self._path = socket_path
        self._idle: list[Connection] = []
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)

    async def close(self) -> None:
        self._drop_idle()

    async def ask(self, path: str, kind: type[V], question: Value | None = None, wait_ms: int = 0) -> V:
        """The value that answers: a POST of `question`, or a GET."""
        body = None if question is None else encode(question)
        return decode(await self.send("GET" if question is None else "POST", path, body, wait_ms), kind)

    async def tell(self, path: str, statement: Value) -> None:
        await self.send("POST", path, encode(statement))

    async def view(self, path: str, kind: type[S], question: bytes | None = None, wait_ms: int = 0) -> S:
        """The JSON that answers, as `kind`."""
        answer = await self.send("GET" if question is None else "POST", path, question, wait_ms)
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.DecodeError as fault:
            raise QuorateError(
                f"an answer of {path} that was not understood: {fault}", fix="use one version on both sides"
            ) from None

    async def put(self, digest: Digest, data: bytes) -> None:
        await self.send("PUT", f"/v1/blobs/{digest.hex()}", data)

    async def get(self, digest: Digest) -> bytes:
        return await self.send("GET", f"/v1/blobs/{digest.hex()}")

    async def send(self, method: str, path: str, body: bytes | None = None, wait_ms: int = 0) -> bytes:
        patience_s = ANSWER_S + wait_ms / 1000
        async with self._places:
            try:
                answer = await self._answer(method, path, body, patience_s)
            except Broken:
                # Whatever ended this connection has ended the idle ones too, most likely.
                self._drop_idle()
                answer = await self._again(method, path, body, patience_s)
        if answer.status >= 400:
            raise error_of(answer.body, answer.status)
        return answer.body

    async def _again(self, method: str, path: str, body: bytes | None, patience_s: float) -> Answer:
        try:
            return await self._answer(method, path, body, patience_s)
        except Broken:
            raise self._nobody() from None

    async def _answer(self, method: str, path: str, body: bytes | None, patience_s: float) -> Answer:
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            answer = await connection.ask(method, path, body, patience_s)
        except TimeoutError:
            connection.close()
            raise _too_slow() from None
        except BaseException:
            connection.close()
            raise
        if connection.goes_on:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    async def events(self, path: str) -> AsyncIterator[bytes]:
        """The data of server-sent events until the door ends them."""
        async with self._places:
            connection = await self._connect()
            try:
                async for line in _lines(connection, path):
                    if line.startswith(b"data: "):
                        yield line[6:]
            except TimeoutError:
                raise _too_slow() from None
            except Broken:
                raise self._nobody() from None
            finally:
                connection.close()

    async def _connect(self) -> Connection:
        try:
            return await Connection.open(self._path)
        except OSError:
            raise self._nobody() from None

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _nobody(self) -> NoNetwork:
        return NoNetwork(f"no node answers on {self._path}", field="QUORATE_HOME", fix="quorate localnet up")


async def _lines(connection: Connection, path: str) -> AsyncIterator[bytes]:
    """The lines of an answer as they come. Raises the error that the door answers instead."""
    status, rest = 0, b""
    async with contextlib.aclosing(connection.stream(path, ANSWER_S)) as parts:
        async for part in parts:
            if isinstance(part, int):
                status = part
                continue
            rest += part
            if status < 400:
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    yield line
    if status >= 400:
        raise error_of(rest, status)


def _too_slow() -> WorldError:
    return WorldError("the node does not answer in time", field="door", fix="try again, or see the node's log")


def as_json(plain: object) -> bytes:
    return msgspec.json.encode(plain)
