"""The log of events: an append-only Merkle tree in the shape of RFC 6962 (section 2.1), whose root goes into every
checkpoint.

All complete subtrees are kept, 32 bytes each in one array per level, so that appending costs two hashes on average, and
after one pass over the right edge every inclusion path is read off without hashing. Paths and roots are those of
`crypto.merkle`, which verifies them. The log holds digests only; the bytes of the events lie in the blocks' answers and
in whoever's store keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable

from quorate.crypto.digests import digest
from quorate.crypto.merkle import NODE_DOMAIN
from quorate.errors import InvalidField
from quorate.model.units import DIGEST_BYTES, Digest

EVENT_DOMAIN = "ledger event"
EMPTY_ROOT = digest("ledger empty log")


def event_leaf(event: bytes) -> Digest:
    """The leaf of an event: what `crypto.merkle.verify` takes beside a checkpoint's root, an index, a size and a
    path."""
    return digest(EVENT_DOMAIN, event)


class Journal:
    """Grows at its end; `truncate` takes back what was never made durable."""

    def __init__(self) -> None:
        self._levels: list[bytearray] = [bytearray()]
        self._places: dict[Digest, int] = {}
        self._edge: list[Digest | None] = []
        self._edge_size = -1

    def __len__(self) -> int:
        return len(self._levels[0]) // DIGEST_BYTES

    def extend(self, events: Iterable[bytes]) -> None:
        for event in events:
            self._append(event_leaf(event))

    def _append(self, leaf: Digest) -> None:
        index, node, level = len(self), leaf, 0
        self._places[leaf] = index
        self._levels[0] += leaf
        while index % 2:
            node = digest(NODE_DOMAIN, self._node(level, index - 1), node)
            index, level = index // 2, level + 1
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += node

    def truncate(self, size: int) -> None:
        """Forgets every event from index `size` on. Raises InvalidField when there are fewer."""
        if not 0 <= size <= len(self):
            raise InvalidField(str(size), field="size", limit=f"0 to {len(self)}")
        for index in range(size, len(self)):
            del self._places[self._node(0, index)]
        for level, nodes in enumerate(self._levels):
            del nodes[(size >> level) * DIGEST_BYTES :]
        self._edge_size = -1

    def place(self, event: bytes) -> int | None:
        """The index of an event that is in the log."""
        return self._places.get(event_leaf(event))

    def root(self) -> Digest:
        if not len(self):
            return EMPTY_ROOT
        top = self._right_edge()[-1]
        return top if top is not None else self._node(len(self._right_edge()) - 1, 0)

    def path(self, index: int) -> tuple[Digest, ...]:
        """The siblings of event `index`, from the leaf up, in the log as it is now. Raises InvalidField for an index
        beyond it."""
        if not 0 <= index < len(self):
            raise InvalidField(str(index), field="index", limit=f"below {len(self)}")
        edge, siblings = self._right_edge(), []
        for level in range(len(edge) - 1):
            sibling, complete = index ^ 1, len(self) >> level
            if sibling < complete:
                siblings.append(self._node(level, sibling))
            elif sibling == complete and (partial := edge[level]) is not None:
                siblings.append(partial)
            index //= 2
        return tuple(siblings)

    def _node(self, level: int, index: int) -> Digest:
        return Digest(bytes(self._levels[level][index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]))

    def _right_edge(self) -> list[Digest | None]:
        """For each level up to the root, the incomplete node at its right end, None where all nodes are complete."""
        size = len(self)
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
