"""A contract's state: keys and values, one byte form, one key that names the whole.

The form is a CBOR map from byte strings to byte strings in core deterministic encoding (RFC 8949, 4.2.1): shortest
lengths, keys in the order of their encodings, which is by length and then by bytes. The state key is the BLAKE3-256 of
that form, so that the content store keeps a state like any other bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from blake3 import blake3

from quorate.errors import MalformedBytes

KEY_BYTES_MAX: Final = 128
_MAP, _BYTES = 0xA0, 0x40

Change = tuple[bytes, bytes | None]
"""A key with its new value; None removes it."""


def _order(key: bytes) -> tuple[int, bytes]:
    return len(key), key


def _head(kind: int, size: int) -> bytes:
    """The shortest head of a CBOR item of at most 2^32 - 1 elements."""
    if size < 24:
        return bytes([kind | size])
    for code, width in ((24, 1), (25, 2), (26, 4)):
        if size < 1 << (8 * width):
            return bytes([kind | code]) + size.to_bytes(width, "big")
    raise MalformedBytes("a length of more than 32 bits", field="state")


def _read_head(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """The size in the head at `at`, and where the head ends. Only shortest heads are taken."""
    low = data[at] & 0x1F if at < len(data) else 0
    width = {24: 1, 25: 2, 26: 4}.get(low, 0)
    end = at + 1 + width
    size = int.from_bytes(data[at + 1 : end], "big") if width else low
    if data[at:end] != _head(kind, size):
        raise MalformedBytes("not the canonical form of a state", field="state", evidence=data[:1024])
    return size, end


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _read_head(data, at, _BYTES)
    if size > len(data) - at:
        raise MalformedBytes("cut off", field="state", evidence=data[:1024])
    return data[at : at + size], at + size


class State(msgspec.Struct, frozen=True):
    """All entries, in the order of the byte form. Make one with `of` or `decode`."""

    entries: tuple[tuple[bytes, bytes], ...] = ()

    @classmethod
    def of(cls, entries: Mapping[bytes, bytes]) -> State:
        return cls(tuple((key, entries[key]) for key in sorted(entries, key=_order)))

    @classmethod
    def decode(cls, data: bytes) -> State:
        """The state in `data`. Raises MalformedBytes unless it is the one form of a state."""
        count, at = _read_head(data, 0, _MAP)
        entries: list[tuple[bytes, bytes]] = []
        for _ in range(count):
            key, at = _read_bytes(data, at)
            value, at = _read_bytes(data, at)
            if entries and _order(key) <= _order(entries[-1][0]):
                raise MalformedBytes("keys out of order", field="state", evidence=data[:1024])
            entries.append((key, value))
        if at != len(data):
            raise MalformedBytes("bytes after the state", field="state", evidence=data[:1024])
        return cls(tuple(entries))

    def encode(self) -> bytes:
        items = (_head(_BYTES, len(part)) + part for entry in self.entries for part in entry)
        return _head(_MAP, len(self.entries)) + b"".join(items)

    @property
    def key(self) -> bytes:
        return blake3(self.encode()).digest()

    @property
    def size(self) -> int:
        """What `max_state_size` bounds: the bytes of all keys and values."""
        return sum(len(key) + len(value) for key, value in self.entries)

    def updated(self, changes: Iterable[Change]) -> State:
        """The state after `changes`."""
        entries = dict(self.entries)
        for key, value in changes:
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
        return State.of(entries)


EMPTY_STATE: Final = State().encode()
"""What every contract without a state of its own is born with."""


def changes_between(before: State, after: Mapping[bytes, bytes]) -> tuple[Change, ...]:
    """What turns `before` into `after`, in the order of the byte form. A value written over by itself is no change."""
    old = dict(before.entries)
    keys = sorted(old.keys() | after.keys(), key=_order)
    return tuple((key, after.get(key)) for key in keys if old.get(key) != after.get(key))
