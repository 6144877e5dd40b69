"""Deterministic CBOR (RFC 8949, section 4.2.1) for the types of values: a function written once for each type.

The keys of a type, their order and their bytes are known when its first value is encoded. So the function of a type is
one expression, in which the constant bytes between two fields are one literal. It is put together as source from our
own type definitions and nothing else. That of a `DeliveryAck` is, but for line breaks and joined literals:

    def write(value):
        f0 = value.round
        f1 = value.network
        f2 = value.agreement
        f3 = value.result_digest
        if not len(f1) == len(f2) == len(f3) == 32:
            return write_any(value)
        return join((
            b'\\xa6av\\x01dtypeldelivery_ackeround', INTEGERS[f0] if 0 <= f0 < 1024 else integer(f0),
            b'gnetworkX ', f1, b'iagreementX ', f2, b'mresult_digestX ', f3))

`write_any` goes entry by entry; it is for values whose bytes are not as long as their type says, which nobody decodes.
A type never holds itself. `cbor2` writes the same bytes through a general canonical mode that takes about six times as
long (docs/adr/0006); the tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import count, groupby
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect

from quorate.model.layout import (
    ARRAY,
    BYTES,
    FALSE,
    MAP,
    NEGATIVE,
    NULL,
    TEXT,
    TRUE,
    UNSIGNED,
    Entry,
    described,
    entries_of,
    exact_size,
    head,
    optional_part,
    pack_2,
    pack_4,
    words_of,
    write_text,
)

Write: TypeAlias = Callable[[Any], bytes]

_EMPTY = b"\x80"
_SHORT = 64
"""Lists of digests below this are written at once."""
WORD_CHARS_MAX = 128
"""Lists of texts no longer than this hold words, the same few again and again."""


def _heads(major: int, count: int) -> list[bytes]:
    return [head(major, size) for size in range(count)]


_INTEGERS, _BYTES_HEADS = _heads(UNSIGNED, 1024), _heads(BYTES, 4096)
_TEXT_HEADS, _ARRAY_HEADS = _heads(TEXT, 256), _heads(ARRAY, 256)
"""Prepared for most of what is met: keys and signatures are byte strings of up to 3,500 bytes."""


def _write_integer(value: int) -> bytes:
    if 1 << 8 <= value < 1 << 16:
        return pack_2(25, value)
    if 1 << 16 <= value < 1 << 32:
        return pack_4(26, value)
    return head(UNSIGNED, value) if value >= 0 else head(NEGATIVE, -1 - value)


def _write_bytes(value: bytes) -> bytes:
    return head(BYTES, len(value)) + value


_write_word = lru_cache(maxsize=1024)(write_text)


def _write_bool(value: bool) -> bytes:
    return TRUE if value else FALSE


def _optional(write: Write) -> Write:
    return lambda value: NULL if value is None else write(value)


def _array_head(entries: Sequence[Any]) -> bytes:
    count = len(entries)
    return _ARRAY_HEADS[count] if count < len(_ARRAY_HEADS) else head(ARRAY, count)


def _sequence(write: Write) -> Write:
    return lambda entries: b"".join((_array_head(entries), *map(write, entries)))


def _sequence_of_size(size: int) -> Write:
    """Byte strings of one known size, such as the digests of a path: the same head stands before each."""
    before, write_any = head(BYTES, size), _sequence(_write_bytes)
    starts = [(_ARRAY_HEADS[count], [size] * count) for count in range(_SHORT)]

    def write(entries: Sequence[bytes]) -> bytes:
        count = len(entries)
        if count >= _SHORT:
            return write_any(entries)
        start, sizes = starts[count]
        if [*map(len, entries)] != sizes:
            return write_any(entries)
        return before.join((start, *entries))

    return write


def _fixed_sequence(writes: list[Write]) -> Write:
    def write(entries: Sequence[Any]) -> bytes:
        pairs = zip(writes, entries, strict=True)
        return b"".join((_array_head(entries), *(write(entry) for write, entry in pairs)))

    return write


def _write_for(info: inspect.Type) -> Write:
    """The encoder of whatever has this type."""
    match info:
        case inspect.IntType():
            return _write_integer
        case inspect.BoolType():
            return _write_bool
        case inspect.BytesType():
            return _write_bytes
        case inspect.UnionType():
            return _optional(_write_for(optional_part(info)))
        case inspect.VarTupleType():
            size = exact_size(info.item_type)
            return _sequence(_write_for_each(info.item_type)) if size is None else _sequence_of_size(size)
        case inspect.TupleType():
            return _fixed_sequence([_write_for(item) for item in info.item_types])
        case inspect.StructType():
            return _part_encoder(info.cls)
        case inspect.StrType():
            return write_text
    words_of(info)
    return write_text


def _write_for_each(info: inspect.Type) -> Write:
    """The encoder of the entries of a list."""
    short = isinstance(info, inspect.StrType) and (info.max_length or WORD_CHARS_MAX + 1) <= WORD_CHARS_MAX
    return _write_word if short else _write_for(info)


def map_encoder(kind: type[msgspec.Struct], extra: dict[str, int]) -> Write:
    """Values of `kind` as a map: its fields, its `type` tag if it has one, and the constant entries of `extra`."""
    entries = entries_of(described(kind), extra)
    write_any, source = _entry_by_entry(entries), _Source()
    source.add_map(entries, "value")
    scope = {**_SCOPE, **source.scope, "write_any": write_any}
    # The source consists of names and numbers of our own types; nothing received is ever in it.
    exec(compile(source.text(), f"<encoder of {kind.__name__}>", "exec"), scope)
    write: Write = scope["write"]
    return write


_part_encoder = cache(lambda kind: map_encoder(kind, {}))


def _entry_by_entry(entries: list[Entry]) -> Write:
    start = head(MAP, len(entries))
    plan = [(key, field.name, _write_for(field.type)) if field else (key, "", None) for key, field in entries]

    def write(value: Any) -> bytes:
        pieces = [start]
        for key, name, write_field in plan:
            pieces.append(key)
            if write_field is not None:
                pieces.append(write_field(getattr(value, name)))
        return b"".join(pieces)

    return write


_SCOPE: dict[str, Any] = {
    "INTEGERS": _INTEGERS,
    "BYTES": _BYTES_HEADS,
    "TEXT": _TEXT_HEADS,
    "TRUE": TRUE,
    "FALSE": FALSE,
    "NULL": NULL,
    "EMPTY": _EMPTY,
    "head": head,
    "integer": _write_integer,
    "text": write_text,
    "join": b"".join,
}
"""What the source of every function may name."""


class _Source:
    """The source of one function, as it grows; the functions and words that it names beside `_SCOPE` are in `scope`."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self._lines: list[str] = []
        self._pieces: list[str] = []
        self._named_of_size: dict[int, list[str]] = {}
        self._names = (f"f{number}" for number in count())

    def text(self) -> str:
        sizes = [
            f"    if not {' == '.join(f'len({name})' for name in names)} == {size}:\n        return write_any(value)"
            for size, names in self._named_of_size.items()
        ]
        pieces = groupby(self._pieces, key=lambda piece: piece.startswith(("b'", 'b"')))
        merged = ["".join(group) if literal else ", ".join(group) for literal, group in pieces]
        return "\n".join(["def write(value):", *self._lines, *sizes, f"    return join(({', '.join(merged)},))"])

    def add_map(self, entries: list[Entry], value: str) -> None:
        self._pieces.append(repr(head(MAP, len(entries))))
        for key, field in entries:
            self._pieces.append(repr(key))
            if field is not None:
                self._add_field(field.type, f"{value}.{field.name}")

    def _add_field(self, info: inspect.Type, value: str) -> None:
        name = next(self._names)
        encoded = isinstance(info, inspect.StrType | inspect.EnumType)
        self._lines.append(f"    {name} = {value}" + (".encode()" if encoded else ""))
        if isinstance(info, inspect.StructType):
            self.add_map(entries_of(info, {}), name)
        else:
            self._pieces += self._pieces_of(info, name)

    def _pieces_of(self, info: inspect.Type, name: str) -> list[str]:
        """The expressions whose bytes, in a row, are the field in the local variable `name`."""
        size = exact_size(info)
        if size is not None:
            self._named_of_size.setdefault(size, []).append(name)
            return [repr(head(BYTES, size)), name]
        match info:
            case inspect.IntType():
                return [f"INTEGERS[{name}] if 0 <= {name} < {len(_INTEGERS)} else integer({name})"]
            case inspect.BoolType():
                return [f"TRUE if {name} else FALSE"]
            case inspect.BytesType():
                return [
                    f"BYTES[len({name})] if len({name}) < {len(_BYTES_HEADS)} else head({BYTES}, len({name}))",
                    name,
                ]
            case inspect.StrType() | inspect.EnumType():
                return [f"TEXT[len({name})] if len({name}) < {len(_TEXT_HEADS)} else head({TEXT}, len({name}))", name]
            case inspect.LiteralType():
                self.scope[f"words_{name}"] = {word: write_text(word) for word in words_of(info)}
                return [f"words_{name}.get({name}) or text({name})"]
            case inspect.UnionType():
                self.scope[f"write_{name}"] = _write_for(optional_part(info))
                return [f"NULL if {name} is None else write_{name}({name})"]
        self.scope[f"write_{name}"] = _write_for(info)
        prepared = f" if {name} else EMPTY" if isinstance(info, inspect.VarTupleType) else ""
        return [f"write_{name}({name}){prepared}"]
