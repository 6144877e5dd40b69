"""Blobs from peers: only what is missing, range by range, resumed where it stopped, checked by digest, from the next
source when corrupt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quorate.errors import QuorateError
from quorate.model.units import Digest, Millis, NodeId
from quorate.node.shell import World

RANGE_BYTES = 1 << 20
RANGE_TIMEOUT_MS = Millis(5_000)
TRIES = 3


async def fetch_all(
    world: World, digests: Sequence[Digest], sources: Sequence[NodeId], size_max: int
) -> tuple[Digest, ...]:
    """Brings every blob that is not here; returns those that no source could give."""
    missing = []
    for digest in dict.fromkeys(digests):
        if not world.blobs.has(digest) and not await _fetch(world, digest, sources, size_max):
            missing.append(digest)
    return tuple(missing)


async def _fetch(world: World, digest: Digest, sources: Sequence[NodeId], size_max: int) -> bool:
    for source in sources:
        for _ in range(TRIES):
            try:
                if await _fetch_from(world, digest, source, size_max):
                    return True
                break
            except QuorateError:
                continue
    return False


async def _fetch_from(world: World, digest: Digest, source: NodeId, size_max: int) -> bool:
    """True when the whole blob is here and its digest is right; False when the source does not have it, or not
    uncorrupted."""
    blobs: Any = world.blobs
    offset = blobs.received(digest)
    while offset <= size_max:
        part = await world.transport.fetch(source, digest, offset, RANGE_BYTES, RANGE_TIMEOUT_MS)
        if part is None:
            return False
        if part:
            offset = await blobs.append(digest, offset, part)
        if len(part) < RANGE_BYTES:
            return bool(await blobs.finish(digest))
    await blobs.discard(digest)
    return False
