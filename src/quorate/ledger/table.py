"""An immutable map for large states: a change copies one bucket and shares the rest, so an old state stays whole at no
cost.

Two levels of 64 places by the bits of the key's hash, small dictionaries at the bottom; about 2 microseconds a change
up to 10^6 entries. Python salts the hash of bytes anew in each process: nobody can aim keys at one bucket, and the
order of iteration means nothing. Whoever iterates sums up or sorts.

A table may stand over another place (`over`): a key that is not in it is looked up there. Its length and its iteration
are about what is in the table itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MASK = 63
_SHIFT = 6


class Table(Generic[K, V]):
    """`put` and `without` return a new table."""

    __slots__ = ("_elsewhere", "_rows", "_size")

    def __init__(self) -> None:
        shared: list[dict[K, V]] = [{}] * (_MASK + 1)
        self._rows: list[list[dict[K, V]]] = [shared] * (_MASK + 1)
        self._size = 0
        self._elsewhere: Callable[[K], V | None] | None = None

    def over(self, elsewhere: Callable[[K], V | None]) -> Table[K, V]:
        """The same rows over another place."""
        return self._made(self._rows, self._size, elsewhere)

    def get(self, key: K) -> V | None:
        place = hash(key)
        found = self._rows[place & _MASK][(place >> _SHIFT) & _MASK].get(key)
        return self._elsewhere(key) if found is None and self._elsewhere else found

    def __getitem__(self, key: K) -> V:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None

    def put(self, key: K, value: V) -> Table[K, V]:
        place = hash(key)
        bucket = self._rows[place & _MASK][(place >> _SHIFT) & _MASK].copy()
        size = self._size + (key not in bucket)
        bucket[key] = value
        return self._with(place, bucket, size)

    def without(self, key: K) -> Table[K, V]:
        place = hash(key)
        bucket = self._rows[place & _MASK][(place >> _SHIFT) & _MASK]
        if key not in bucket:
            return self
        bucket = bucket.copy()
        del bucket[key]
        return self._with(place, bucket, self._size - 1)

    def _with(self, place: int, bucket: dict[K, V], size: int) -> Table[K, V]:
        rows = self._rows.copy()
        row = rows[place & _MASK].copy()
        row[(place >> _SHIFT) & _MASK] = bucket
        rows[place & _MASK] = row
        return self._made(rows, size, self._elsewhere)

    @staticmethod
    def _made(rows: list[list[dict[K, V]]], size: int, elsewhere: Callable[[K], V | None] | None) -> Table[K, V]:
        table: Table[K, V] = Table.__new__(Table)
        table._rows, table._size, table._elsewhere = rows, size, elsewhere
        return table

    def __len__(self) -> int:
        return self._size

    def items(self) -> Iterator[tuple[K, V]]:
        return (item for row in self._rows for bucket in row for item in bucket.items())

    def values(self) -> Iterator[V]:
        return (value for _, value in self.items())
