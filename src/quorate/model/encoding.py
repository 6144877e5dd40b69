"""Deterministic CBOR (RFC 8949, section 4.2.1) for the types of values: an encoder put together once for each type.

The keys of a type, their order and their bytes are known when its first value is encoded; what is left for each value
is to append heads and contents. `cbor2` writes the same bytes through a general canonical mode that takes about ten
times as long (docs/adr/0006); the tests hold the two equal, and `cbor2` does all decoding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, TypeAlias, Union, get_args, get_origin, get_type_hints

import msgspec

Pieces: TypeAlias = list[bytes]
Put: TypeAlias = Callable[[Pieces, Any], None]

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP = 0x00, 0x20, 0x40, 0x60, 0x80, 0xA0
_FALSE, _TRUE, _NULL = b"\xf4", b"\xf5", b"\xf6"
_PREPARED = 1024


def _head(major: int, size: int) -> bytes:
    """The shortest head of a major type (RFC 8949, section 3)."""
    if size < 24:
        return bytes((major | size,))
    for marker, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if size < 1 << 8 * width:
            return bytes((major | marker,)) + size.to_bytes(width, "big")
    raise OverflowError(f"{size} does not fit into 64 bits")


_INTEGER_HEADS = [_head(_UNSIGNED, size) for size in range(_PREPARED)]
_BYTES_HEADS = [_head(_BYTES, size) for size in range(_PREPARED)]
_TEXT_HEADS = [_head(_TEXT, size) for size in range(_PREPARED)]


def _put_int(out: Pieces, value: int) -> None:
    if 0 <= value < _PREPARED:
        out.append(_INTEGER_HEADS[value])
    else:
        out.append(_head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value))


def _put_bytes(out: Pieces, value: bytes) -> None:
    size = len(value)
    out.append(_BYTES_HEADS[size] if size < _PREPARED else _head(_BYTES, size))
    out.append(value)


def _put_text(out: Pieces, value: str) -> None:
    data = value.encode()
    size = len(data)
    out.append(_TEXT_HEADS[size] if size < _PREPARED else _head(_TEXT, size))
    out.append(data)


def _put_bool(out: Pieces, value: bool) -> None:
    out.append(_TRUE if value else _FALSE)


def _text(value: str) -> bytes:
    pieces: Pieces = []
    _put_text(pieces, value)
    return b"".join(pieces)


def _order(key: str) -> tuple[int, bytes]:
    """Bytewise order of encoded keys; for text keys that is length first."""
    data = key.encode()
    return len(data), data


def map_encoder(kind: type[msgspec.Struct], extra: dict[str, int]) -> Put:
    """Values of `kind` as a map: its fields, its `type` tag if it has one, and the constant entries of `extra`."""
    hints = get_type_hints(kind, include_extras=True)
    constants = {key: _head(_UNSIGNED, number) for key, number in extra.items()}
    tag = kind.__struct_config__.tag
    if tag is not None:
        constants[str(kind.__struct_config__.tag_field)] = _text(str(tag))
    keys = sorted((*kind.__struct_fields__, *constants), key=_order)
    plan = [
        (
            _text(key) + constants.get(key, b""),
            key if key not in constants else "",
            _put_for(hints[key]) if key not in constants else None,
        )
        for key in keys
    ]
    start = _head(_MAP, len(keys))

    def put(out: Pieces, value: Any) -> None:
        out.append(start)
        for key, name, put_field in plan:
            out.append(key)
            if put_field is not None:
                put_field(out, getattr(value, name))

    return put


_map_encoder = cache(lambda kind: map_encoder(kind, {}))


def _put_for(hint: Any) -> Put:
    """The encoder of whatever a field of this type may hold."""
    while True:
        if get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        elif isinstance(hint, NewType):
            hint = hint.__supertype__
        else:
            break
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _one_of([part for part in get_args(hint) if part is not NoneType])
    if origin is tuple:
        return _sequence(hint)
    if origin is Literal:
        return _put_text
    return _plain_or_map(hint)


def _plain_or_map(hint: Any) -> Put:
    if hint is bool:
        return _put_bool
    if hint is int:
        return _put_int
    if hint is bytes:
        return _put_bytes
    if isinstance(hint, type) and issubclass(hint, str):
        return _put_text
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _later(hint)
    raise TypeError(f"values have no fields of type {hint}")


def _later(kind: type[msgspec.Struct]) -> Put:
    """Looked up when first used: a type may hold itself."""

    def put(out: Pieces, value: Any) -> None:
        _map_encoder(kind)(out, value)

    return put


def _one_of(parts: list[Any]) -> Put:
    """An optional field. Values have no other unions."""
    if len(parts) != 1:
        raise TypeError("values have no unions but with None")
    put_part = _put_for(parts[0])

    def put(out: Pieces, value: Any) -> None:
        if value is None:
            out.append(_NULL)
        else:
            put_part(out, value)

    return put


def _sequence(hint: Any) -> Put:
    arguments = get_args(hint)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        put_each = _put_for(arguments[0])

        def put_all(out: Pieces, value: Any) -> None:
            out.append(_head(_ARRAY, len(value)))
            for entry in value:
                put_each(out, entry)

        return put_all
    puts = [_put_for(argument) for argument in arguments]

    def put_fixed(out: Pieces, value: Any) -> None:
        out.append(_head(_ARRAY, len(value)))
        for put_entry, entry in zip(puts, value, strict=True):
            put_entry(out, entry)

    return put_fixed
