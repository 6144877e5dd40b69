"""The only encoding of values: deterministic CBOR (RFC 8949 section 4.2.1), one byte form per value.

A value is a CBOR map with text keys: its fields, `type` (its noun) and `v` (the version of the encoding). Floats, tags,
simple values other than true, false and null, indefinite lengths, duplicate keys and trailing bytes have no place in
it. `cbor2` sorts keys length first (RFC 7049); for text keys that order and the bytewise order of RFC 8949 are the
same.

Decoding is strict: the size is checked first, then the bytes are decoded, converted to the value's types (which leaves
no room for tags, floats or keys that are not text), encoded again and compared.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import cbor2
import msgspec

from quorate.errors import InvalidField, MalformedBytes
from quorate.model.units import MIB

VERSION = 1
DEPTH_MAX = 24
VALUE_BYTES_MAX = 4 * MIB


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of every value that is stored, sent or signed. `size_max` bounds its encoding in bytes. Fields have no
    defaults."""

    size_max: ClassVar[int] = VALUE_BYTES_MAX


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of a group of fields inside a value: it has no noun and no digest of its own."""


def noun(kind: type[Value] | Value) -> str:
    """The noun of a value: its type tag, its domain in digests and signatures."""
    tag = (kind if isinstance(kind, type) else type(kind)).__struct_config__.tag
    assert isinstance(tag, str)
    return tag


V = TypeVar("V", bound=Value)


def _plain(value: Value) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value, builtin_types=(bytes,))
    plain["v"] = VERSION
    return plain


def encode(value: Value) -> bytes:
    """The canonical bytes of `value`. Raises MalformedBytes when they exceed the value's own size limit."""
    data: bytes = cbor2.dumps(_plain(value), canonical=True)
    if len(data) > value.size_max:
        raise MalformedBytes(
            f"{type(value).__name__} takes {len(data)} bytes", field="size", limit=f"{value.size_max} bytes"
        )
    return data


def decode(data: bytes, kind: type[V]) -> V:
    """The value of type `kind` in `data`. Raises MalformedBytes, naming the fault, for anything but its one byte
    form."""
    if len(data) > kind.size_max:
        raise MalformedBytes(f"{len(data)} bytes", field="size", limit=f"{kind.size_max} bytes", evidence=data[:256])
    plain = _loaded(data)
    if not isinstance(plain, dict) or plain.pop("v", None) != VERSION:
        raise MalformedBytes("not a map of this version", field="v", limit=f"version {VERSION}", evidence=data[:256])
    try:
        value = msgspec.convert(plain, kind, strict=True)
    except (msgspec.ValidationError, RecursionError, InvalidField) as fault:
        _require_canonical(data)
        raise MalformedBytes(str(fault), field=kind.__name__, evidence=data[:256]) from None
    if cbor2.dumps(_plain(value), canonical=True) != data:
        _require_canonical(data)
        # Canonical, and yet not what the value encodes to: a field with a default was left out.
        raise MalformedBytes("a field is left out", field=kind.__name__, evidence=data[:256])
    return value


def _loaded(data: bytes) -> Any:
    try:
        return cbor2.loads(data, max_depth=DEPTH_MAX, allow_indefinite=False, allow_duplicate_keys=False)
    except (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError) as fault:
        raise MalformedBytes(f"not CBOR: {fault}", field="encoding", evidence=data[:256]) from None


def _require_canonical(data: bytes) -> None:
    """Tells a fault of the encoding from a fault of the value; only looked for when there is a fault."""
    try:
        again = cbor2.dumps(_loaded(data), canonical=True)
    except (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError) as fault:
        raise MalformedBytes(f"not encodable: {fault}", field="encoding", evidence=data[:256]) from None
    if again != data:
        raise MalformedBytes("not the canonical form", field="encoding", evidence=data[:256])
