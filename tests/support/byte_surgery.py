"""A map of where everything lies in canonical CBOR, and edits that turn valid bytes into foreign ones.

Reader and writer are the tests' own (RFC 8949 section 3), so that no fault of the library behind the product hides
here. The reader takes only what values consist of.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, OTHER = range(8)
BREAK = b"\xff"
Path = tuple[str | int, ...]


class Edit(NamedTuple):
    """At offset `at` of the original, `remove` bytes go and `insert` comes, `times` over."""

    at: int
    remove: int
    insert: bytes
    times: int = 1


def edited(data: bytes, edits: Iterable[Edit]) -> bytes:
    """The bytes after all edits; of two at one offset the first comes first."""
    out, at = [], 0
    for edit in sorted(edits, key=lambda item: item.at):
        assert edit.at >= at, "edits overlap"
        out += [data[at : edit.at], edit.insert * edit.times]
        at = edit.at + edit.remove
    return b"".join([*out, data[at:]])


def head(major: int, number: int, width: int | None = None) -> bytes:
    """The head of an item; the shortest, or with the number in `width` bytes."""
    if width is None:
        width = next(size for size in (0, 1, 2, 4, 8) if number < (24 if size == 0 else 1 << 8 * size))
    if width == 0:
        return bytes([major << 5 | number])
    return bytes([major << 5 | 24 + (1, 2, 4, 8).index(width)]) + number.to_bytes(width, "big")


def text(word: str) -> bytes:
    return head(TEXT, len(word.encode())) + word.encode()


def integer(number: int) -> bytes:
    """An integer of any size: beyond 64 bits a bignum (tag 2 or 3)."""
    major, size = (UNSIGNED, number) if number >= 0 else (NEGATIVE, -1 - number)
    if size < 1 << 64:
        return head(major, size)
    raw = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return head(TAG, 2 if number >= 0 else 3) + head(BYTES, len(raw)) + raw


def canonical(plain: Any) -> bytes:
    """The deterministic form of plain data (RFC 8949 section 4.2.1): keys in the order of their encoded bytes."""
    match plain:
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if plain else b"\xf4"
        case int():
            return integer(plain)
        case str():
            return text(plain)
        case bytes():
            return head(BYTES, len(plain)) + plain
        case dict():
            entries = sorted((canonical(key), canonical(item)) for key, item in plain.items())
            return head(MAP, len(entries)) + b"".join(key + item for key, item in entries)
        case list() | tuple():
            return head(ARRAY, len(plain)) + b"".join(map(canonical, plain))
    raise TypeError(type(plain).__name__)


class Span(NamedTuple):
    """An item in the bytes: its head from `start` to `body`, its content to `end`."""

    start: int
    body: int
    end: int
    major: int
    number: int

    @property
    def wider(self) -> bytes:
        """Its head in the next longer form."""
        return head(self.major, self.number, {1: 1, 2: 2, 3: 4, 5: 8}[self.body - self.start])


class Entry(NamedTuple):
    key: Span
    item: Span


class Anatomy:
    """Where the items of canonical bytes are: `items` by path, `entries` of each map in order."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.items: dict[Path, Span] = {}
        self.entries: dict[Path, list[Entry]] = {}
        assert self._read(0, ()).end == len(data)

    def raw(self, span: Span) -> bytes:
        return self.data[span.start : span.end]

    def _head(self, at: int) -> Span:
        first = self.data[at]
        major, short = first >> 5, first & 31
        assert major != TAG
        assert short < 28
        width = 0 if short < 24 else 1 << short - 24
        number = int.from_bytes(self.data[at + 1 : at + 1 + width], "big") if width else short
        body = at + 1 + width
        return Span(at, body, body + (number if major in (BYTES, TEXT) else 0), major, number)

    def _read(self, at: int, path: Path) -> Span:
        span = self._head(at)
        end = span.end
        if span.major == ARRAY:
            for place in range(span.number):
                end = self._read(end, (*path, place)).end
        elif span.major == MAP:
            entries = self.entries.setdefault(path, [])
            for _ in range(span.number):
                key = self._head(end)
                assert key.major == TEXT
                item = self._read(key.end, (*path, self.data[key.body : key.end].decode()))
                entries.append(Entry(key, item))
                end = item.end
        self.items[path] = span._replace(end=end)
        return self.items[path]
