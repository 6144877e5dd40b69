"""Rows in memory, for tests and simulation: the same answers as `sqlite`, gone with the process.

A save applies when its coroutine runs and never suspends, so a simulation that keeps the store across a crash of its
node models a disk that loses nothing acknowledged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from quorate.adapters.storage import check_rows
from quorate.errors import WorldError
from quorate.ports import Row


class MemoryStore:
    def __init__(self) -> None:
        self._kinds: dict[str, dict[bytes, bytes]] = {}
        self._sorted: dict[str, list[bytes]] = {}  # keys in order; dropped when a kind gains or loses a key
        self._closed = False

    async def save(self, rows: Sequence[Row]) -> None:
        self._refuse_closed()
        rows = tuple(rows)
        check_rows(rows)
        for kind, key, value in rows:
            table = self._kinds.setdefault(kind, {})
            if (key in table) != (value is not None):
                self._sorted.pop(kind, None)
            if value is None:
                table.pop(key, None)
            else:
                table[key] = value

    def load(self, kind: str, key: bytes) -> bytes | None:
        self._refuse_closed()
        return self._kinds.get(kind, {}).get(key)

    def scan(self, kind: str, *, after: bytes = b"", limit: int = 1 << 30) -> Iterable[tuple[bytes, bytes]]:
        self._refuse_closed()
        return self._rows(kind, after, limit)

    async def close(self) -> None:
        self._closed = True

    def _rows(self, kind: str, after: bytes, limit: int) -> Iterator[tuple[bytes, bytes]]:
        # The key is looked up again at every step, because rows may be saved or deleted while the caller reads.
        while limit > 0 and (key := self._next_key(kind, after)) is not None:
            yield key, self._kinds[kind][key]
            after, limit = key, limit - 1

    def _next_key(self, kind: str, after: bytes) -> bytes | None:
        keys = self._sorted.get(kind)
        if keys is None:
            keys = self._sorted[kind] = sorted(self._kinds.get(kind, ()))
        place = bisect_right(keys, after)
        return keys[place] if place < len(keys) else None

    def _refuse_closed(self) -> None:
        if self._closed:
            raise WorldError("the store is closed", field="store")
