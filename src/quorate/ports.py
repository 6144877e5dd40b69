"""The world as small Protocols. Adapters implement them, the node awaits them, machines never see them.

Guarantees are part of each interface: an adapter passes the contract suite of its port in `tests/contract/`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from quorate.model.units import Digest, Millis, NodeId


class Clock(Protocol):
    """Time. `now_ms` is civil time (UTC, for expiry dates in signed values); `monotonic_ms` never jumps (for
    durations)."""

    def now_ms(self) -> Millis: ...

    def monotonic_ms(self) -> Millis: ...


class Entropy(Protocol):
    """Randomness fit for keys. Deterministic only in simulation, which production refuses."""

    def draw(self, size: int) -> bytes: ...


Handler = Callable[[NodeId, bytes], Awaitable[None]]
"""What a transport calls for each message: the peer that sent it, for which the transport vouches, and the bytes. What
others have to believe too is signed."""

BlobSource = Callable[[Digest, int, int], Awaitable[bytes | None]]
"""Answers a peer's request for bytes [offset, offset + size) of a blob; None when the blob is not here."""


class Transport(Protocol):
    """Messages between nodes.

    `send` is fire and forget: a message may be lost, repeated or reordered, never altered without notice, and never
    blocks for longer than a hand-over to the operating system. `fetch` asks a peer for a byte range of a blob and
    raises WorldError when it does not answer in time. Closing is idempotent.
    """

    async def start(self, handler: Handler, blobs: BlobSource) -> None: ...

    async def send(self, peer: NodeId, message: bytes) -> None: ...

    async def fetch(self, peer: NodeId, digest: Digest, offset: int, size: int, timeout_ms: Millis) -> bytes | None: ...

    def peers(self) -> frozenset[NodeId]: ...

    async def close(self) -> None: ...


class Row(NamedTuple):
    """One record: `kind` is a noun of the domain, `key` its id, `value` its bytes (None deletes)."""

    kind: str
    key: bytes
    value: bytes | None


class Store(Protocol):
    """Durable rows.

    `save` is atomic over its rows and returns only when they would survive a power cut; saves that are under way
    together may share one sync. Saves are applied in the order of their calls. Reads see everything saved before them.
    Raises DiskFull or WorldError; a failed save leaves nothing behind.
    """

    async def save(self, rows: Sequence[Row]) -> None: ...

    def load(self, kind: str, key: bytes) -> bytes | None: ...

    def scan(self, kind: str, *, after: bytes = b"", limit: int = 1 << 30) -> Iterable[tuple[bytes, bytes]]: ...

    async def close(self) -> None: ...


class Blobs(Protocol):
    """Content-addressed bytes. `put` is durable when it returns; `get` checks the digest on every read and removes what
    is corrupt.

    Blobs of at most `row_bytes_max` bytes are rows of the node's Store (-1: none are): `put_many` of such blobs alone
    has queued them there before it first waits, so that a save that is called next is never durable before them.
    """

    row_bytes_max: int

    async def put(self, data: bytes) -> Digest: ...

    async def put_many(self, blobs: Sequence[bytes]) -> list[Digest]: ...

    async def get(self, digest: Digest) -> bytes | None: ...

    def has(self, digest: Digest) -> bool: ...

    def read_range(self, digest: Digest, offset: int, size: int) -> bytes | None: ...

    async def remove(self, digest: Digest) -> None: ...


class Downloads(Protocol):
    """Blobs that arrive in ranges, in order, over several connections and restarts.

    `received` is the offset to go on from. `append` adds a range that starts there and changes nothing otherwise; it
    answers the offset to go on from. `finish` makes the blob durable if its digest is right; if not, it discards what
    came and answers False.
    """

    def received(self, digest: Digest) -> int: ...

    async def append(self, digest: Digest, offset: int, data: bytes) -> int: ...

    async def finish(self, digest: Digest) -> bool: ...

    async def discard(self, digest: Digest) -> None: ...
