"""How the fields of a type lie in its one byte form: the heads of CBOR (RFC 8949, section 3), the order of entries, and
which types a field may have. Writing (`model/encoding.py`) and reading (`model/decoding.py`) share it.
"""

from __future__ import annotations

from functools import cache
from struct import Struct
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP = 0x00, 0x20, 0x40, 0x60, 0x80, 0xA0
FALSE, TRUE, NULL = b"\xf4", b"\xf5", b"\xf6"
WORD_BYTES_MAX = 23
"""Longest word of a field that holds one of several: its head is one byte."""
_pack_1, pack_2, pack_4, _pack_8 = (Struct(form).pack for form in (">BB", ">BH", ">BI", ">BQ"))


def head(major: int, size: int) -> bytes:
    """The shortest head of a major type (RFC 8949, section 3)."""
    if size < 24:
        return bytes((major | size,))
    if size < 1 << 8:
        return _pack_1(major | 24, size)
    if size < 1 << 16:
        return pack_2(major | 25, size)
    if size < 1 << 32:
        return pack_4(major | 26, size)
    if size < 1 << 64:
        return _pack_8(major | 27, size)
    raise OverflowError(f"{size} does not fit into 64 bits")


def write_text(value: str) -> bytes:
    data = value.encode()
    return head(TEXT, len(data)) + data


def exact_size(info: inspect.Type) -> int | None:
    """The only length that bytes of this type have, if there is only one."""
    if isinstance(info, inspect.BytesType) and info.min_length == info.max_length:
        return info.min_length
    return None


def optional_part(info: inspect.UnionType) -> inspect.Type:
    """What an optional field holds when it is not None. Values have no other unions."""
    parts = [part for part in info.types if not isinstance(part, inspect.NoneType)]
    if len(parts) != 1 or len(info.types) != 2:
        raise TypeError("values have no unions but with None")
    return parts[0]


def words_of(info: inspect.Type) -> list[str]:
    """The words that a field of one of several words may hold."""
    words: list[Any] = []
    if isinstance(info, inspect.EnumType):
        words = list(info.cls)
    elif isinstance(info, inspect.LiteralType):
        words = list(info.values)
    if not words or not all(isinstance(word, str) and len(word.encode()) <= WORD_BYTES_MAX for word in words):
        raise TypeError(f"values have no fields of type {info}")
    return words


class Entry(NamedTuple):
    """One entry of a map: the bytes of its key, with the whole entry if that is constant, and else its field."""

    constant: bytes
    field: inspect.Field | None


@cache
def described(kind: type[msgspec.Struct]) -> inspect.StructType:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return info


def entries_of(info: inspect.StructType, extra: dict[str, int]) -> list[Entry]:
    """The entries of a struct in their order: its fields, its `type` tag if it has one, and `extra`. The order is that
    of encoded keys, bytewise; for text keys that is length first."""
    found = {key: Entry(write_text(key) + head(UNSIGNED, number), None) for key, number in extra.items()}
    if info.tag is not None:
        found[str(info.tag_field)] = Entry(write_text(str(info.tag_field)) + write_text(str(info.tag)), None)
    found |= {field.name: Entry(write_text(field.name), field) for field in info.fields}
    return [found[key] for key in sorted(found, key=lambda key: (len(key.encode()), key.encode()))]
