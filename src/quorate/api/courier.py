"""Carries questions to the door over its Unix socket, and turns problems back into exceptions. The only file that knows
the HTTP library.

Every verb of the door is idempotent, so a question whose connection broke is asked once more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import msgspec

from quorate.api.commands import check_socket_path
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
        transport = httpx2.AsyncHTTPTransport(
            uds=str(socket_path), limits=httpx2.Limits(max_connections=CONNECTIONS_MAX)
        )
        self._http = httpx2.AsyncClient(transport=transport, base_url="http://door", trust_env=False, timeout=ANSWER_S)

    async def close(self) -> None:
        await self._http.aclose()

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
        timeout = httpx2.Timeout(ANSWER_S + wait_ms / 1000, connect=5.0)
        try:
            answer = await self._http.request(method, path, content=body, timeout=timeout)
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            answer = await self._again(method, path, body, timeout)
        except httpx2.HTTPError as fault:
            raise self._unanswered(fault) from None
        if answer.status_code >= 400:
            raise error_of(answer.content, answer.status_code)
        return answer.content

    async def _again(self, method: str, path: str, body: bytes | None, timeout: httpx2.Timeout) -> httpx2.Response:
        try:
            return await self._http.request(method, path, content=body, timeout=timeout)
        except httpx2.HTTPError as fault:
            raise self._unanswered(fault) from None

    async def events(self, path: str) -> AsyncIterator[bytes]:
        """The data of server-sent events until the door ends them."""
        try:
            async with self._http.stream("GET", path, timeout=httpx2.Timeout(ANSWER_S)) as answer:
                if answer.status_code >= 400:
                    raise error_of(await answer.aread(), answer.status_code)
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        yield line[6:].encode()
        except httpx2.HTTPError as fault:
            raise self._unanswered(fault) from None

    def _unanswered(self, fault: Exception) -> WorldError:
        if isinstance(fault, httpx2.TimeoutException) and not isinstance(fault, httpx2.ConnectTimeout):
            return WorldError("the node does not answer in time", field="door", fix="try again, or see the node's log")
        return NoNetwork(f"no node answers on {self._path}", field="QUORATE_HOME", fix="quorate localnet up")


def as_json(plain: Any) -> bytes:
    return msgspec.json.encode(plain)
