"""The log of events: an append-only Merkle tree in the shape of RFC 6962 (section 2.1), whose root goes into every
checkpoint.

All complete subtrees are kept, 32 bytes each, level by level, so that appending costs two hashes on average, and after
one pass over the right edge every inclusion path is read off without hashing. Paths and roots are those of
`crypto.merkle`, which verifies them. The log holds digests only; the bytes of the events lie in the blocks' answers and
in whoever's store keeps them.

Each level is cut into tiles. One that is full never changes: once whoever keeps the log has it on disk, it may leave
memory, and is looked up when an old path is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from quorate.crypto.digests import digest
from quorate.crypto.merkle import NODE_DOMAIN
from quorate.errors import InvalidField
from quorate.model.units import DIGEST_BYTES, Digest

EVENT_DOMAIN = "ledger event"
EMPTY_ROOT = digest("ledger empty log")
TILE_NODES = 256
_TILE_BYTES = TILE_NODES * DIGEST_BYTES


def event_leaf(event: bytes) -> Digest:
    """The leaf of an event: what `crypto.merkle.verify` takes beside a checkpoint's root, an index, a size and a
    path."""
    return digest(EVENT_DOMAIN, event)


class Tile(NamedTuple):
    """A full tile: its level, its number in it from the left, its nodes."""

    level: int
    number: int
    nodes: bytes


FindTile = Callable[[int, int], bytes]
"""The nodes of a tile that was put away, by level and number."""


def _nothing_put_away(level: int, number: int) -> bytes:
    raise InvalidField(f"tile {number} of level {level}", field="index", limit="events in memory")


class Journal:
    """Grows at its end; `truncate` takes back what was never made durable."""

    def __init__(self, find_tile: FindTile = _nothing_put_away) -> None:
        self._find_tile = find_tile
        self._levels: list[bytearray] = [bytearray()]
        self._away: list[int] = [0]
        """Of each level, how many nodes were put away: a whole number of tiles."""
        self._size = 0
        self._edge: list[Digest | None] = []
        self._edge_size = -1

    def __len__(self) -> int:
        return self._size

    def extend(self, events: Iterable[bytes]) -> None:
        for event in events:
            self._append(event_leaf(event))

    def _append(self, leaf: Digest) -> None:
        index, node, level = self._size, leaf, 0
        self._size += 1
        self._levels[0] += leaf
        while index % 2:
            node = digest(NODE_DOMAIN, self._node(level, index - 1), node)
            index, level = index // 2, level + 1
            if level == len(self._levels):
                self._levels.append(bytearray())
                self._away.append(0)
            self._levels[level] += node

    def truncate(self, size: int) -> None:
        """Forgets every event from index `size` on. Raises InvalidField when there are fewer, or when it was put
        away."""
        least = max(away << level for level, away in enumerate(self._away))
        if not least <= size <= self._size:
            raise InvalidField(str(size), field="size", limit=f"{least} to {self._size}")
        for level, nodes in enumerate(self._levels):
            del nodes[((size >> level) - self._away[level]) * DIGEST_BYTES :]
        self._size = size
        self._edge_size = -1

    def full_tiles(self) -> Iterator[Tile]:
        """Those that are in memory."""
        for level, nodes in enumerate(self._levels):
            for start in range(0, len(nodes) - _TILE_BYTES + 1, _TILE_BYTES):
                number = self._away[level] // TILE_NODES + start // _TILE_BYTES
                yield Tile(level, number, bytes(nodes[start : start + _TILE_BYTES]))

    def put_away(self, size: int) -> None:
        """Lets the tiles leave memory that were full when the log had `size` events: they are durable, and `find_tile`
        finds them."""
        for level, nodes in enumerate(self._levels):
            full = (size >> level) // TILE_NODES * TILE_NODES
            if full > self._away[level]:
                del nodes[: (full - self._away[level]) * DIGEST_BYTES]
                self._away[level] = full

    def root(self) -> Digest:
        if not self._size:
            return EMPTY_ROOT
        top = self._right_edge()[-1]
        return top if top is not None else self._node(len(self._right_edge()) - 1, 0)

    def path(self, index: int) -> tuple[Digest, ...]:
        """The siblings of event `index`, from the leaf up, in the log as it is now. Raises InvalidField for an index
        beyond it."""
        if not 0 <= index < self._size:
            raise InvalidField(str(index), field="index", limit=f"below {self._size}")
        edge, siblings = self._right_edge(), []
        for level in range(len(edge) - 1):
            sibling, complete = index ^ 1, self._size >> level
            if sibling < complete:
                siblings.append(self._node(level, sibling))
            elif sibling == complete and (partial := edge[level]) is not None:
                siblings.append(partial)
            index //= 2
        return tuple(siblings)

    def _node(self, level: int, index: int) -> Digest:
        place, nodes = index - self._away[level], self._levels[level]
        if place < 0:
            number, place = divmod(index, TILE_NODES)
            return Digest(self._find_tile(level, number)[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES])
        return Digest(bytes(nodes[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]))

    def _right_edge(self) -> list[Digest | None]:
        """For each level up to the root, the incomplete node at its right end, None where all nodes are complete."""
        size = self._size
        if self._edge_size == size:
            return self._edge
        edge: list[Digest | None] = [None]
        level = 0
        while (size - 1) >> level:
            partial = edge[-1]
            if (size >> level) % 2:
                last = self._node(level, (size >> level) - 1)
                partial = digest(NODE_DOMAIN, last, partial) if partial is not None else last
            edge.append(partial)
            level += 1
        self._edge, self._edge_size = edge, size
        return edge
