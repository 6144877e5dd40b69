"""Blobs from peers: only what is missing, range by range, resumed where it stopped, checked by digest, from the next
source when corrupt. Jobs that want the same blob share one download."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from quorate.errors import QuorateError
from quorate.model.units import Digest, Millis, NodeId
from quorate.ports import Blobs, Downloads, Transport

RANGE_BYTES = 1 << 20
RANGE_TIMEOUT_MS = Millis(5_000)
TRIES = 12
PAUSE_S = 0.25
AT_ONCE_MAX = 4


class Shelf(Blobs, Downloads, Protocol):
    """A blob store that can also take a blob in parts."""


class Fetcher:
    """Downloads for one node."""

    def __init__(self, shelf: Shelf, transport: Transport, size_max: int) -> None:
        self._shelf = shelf
        self._transport = transport
        self._size_max = size_max
        self._under_way: dict[Digest, asyncio.Task[bool]] = {}
        self._places = asyncio.Semaphore(AT_ONCE_MAX)

    async def bring(self, digests: Sequence[Digest], sources: Sequence[NodeId]) -> tuple[Digest, ...]:
        """Brings every blob that is not here; returns those that no source could give."""
        wanted = [digest for digest in dict.fromkeys(digests) if not self._shelf.has(digest)]
        came = await asyncio.gather(*(self._shared(digest, sources) for digest in wanted))
        return tuple(digest for digest, here in zip(wanted, came, strict=True) if not here)

    async def _shared(self, digest: Digest, sources: Sequence[NodeId]) -> bool:
        task = self._under_way.get(digest)
        if task is None:
            task = asyncio.ensure_future(self._from_any(digest, sources))
            self._under_way[digest] = task
            task.add_done_callback(lambda _: self._under_way.pop(digest, None))
        return await asyncio.shield(task)

    async def _from_any(self, digest: Digest, sources: Sequence[NodeId]) -> bool:
        async with self._places:
            for source in sources:
                if await self._patiently(digest, source):
                    return True
        return False

    async def _patiently(self, digest: Digest, source: NodeId) -> bool:
        for _ in range(TRIES):
            try:
                return await self._from(digest, source)
            except QuorateError:
                # A lost answer or a peer that is just coming back: what has arrived is kept, and the rest is asked for
                # again.
                await asyncio.sleep(PAUSE_S)
        return False

    async def _from(self, digest: Digest, source: NodeId) -> bool:
        """True when the whole blob is here and its digest is right; False when the source has it not, or not
        uncorrupted."""
        offset = self._shelf.received(digest)
        while offset <= self._size_max:
            part = await self._transport.fetch(source, digest, offset, RANGE_BYTES, RANGE_TIMEOUT_MS)
            if part is None:
                return False
            if part:
                offset = await self._shelf.append(digest, offset, part)
            if not part and offset == 0:
                return await self._shelf.put(part) == digest
            if len(part) < RANGE_BYTES:
                return await self._shelf.finish(digest)
        await self._shelf.discard(digest)
        return False
