"""The only encoding of values: deterministic CBOR (RFC 8949 section 4.2.1), one byte form per value.

A value is a CBOR map with text keys: its fields, `type` (its noun) and `v` (the version of the encoding). Floats, tags,
simple values other than true, false and null, indefinite lengths, duplicate keys and trailing bytes have no place in
it. `cbor2` sorts keys length first (RFC 7049); for text keys that order and the bytewise order of RFC 8949 are the
same.

Decoding is strict: the size is checked first, then the bytes are read as the one form that their type has
(`model/decoding.py`). What is not read so is decoded by `cbor2`, converted to the value's types, encoded again and
compared, and what is at fault is named. Tags and map keys that are not text are refused while reading, because they are
also weapons: shared references (tags 28 and 29) make a gigabyte out of a megabyte, and keys with equal hashes take
quadratic time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar, NoReturn, TypeVar

import cbor2
import msgspec

from quorate.errors import InvalidField, MalformedBytes
from quorate.model.decoding import OTHERWISE, map_reader
from quorate.model.encoding import Write, map_encoder
from quorate.model.units import KIB, MIB

VERSION = 1
DEPTH_MAX = 24
VALUE_BYTES_MAX = 4 * MIB
DIAGNOSED_BYTES_MAX = 64 * KIB
"""In more bytes than this a fault of the encoding is not told from a fault of the value: finding out costs more than
the sender paid."""
ITEMS_MAX = 1 << 20
"""Most items of CBOR in one value. Sixteen megabytes of empty lists would take more than a gigabyte of memory."""


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


@cache
def _encoder(kind: type[Value]) -> Write:
    return map_encoder(kind, {"v": VERSION})


def encode(value: Value) -> bytes:
    """The canonical bytes of `value`. Raises MalformedBytes when they exceed the value's own size limit, InvalidField
    for text that is not Unicode (such as a command line argument of stray bytes)."""
    try:
        data = _encoder(type(value))(value)
    except UnicodeEncodeError as fault:
        raise InvalidField(f"holds {fault.object[:64]!r}", field=noun(value), limit="Unicode text") from None
    if len(data) > value.size_max:
        raise MalformedBytes(
            f"{type(value).__name__} takes {len(data)} bytes", field="size", limit=f"{value.size_max} bytes"
        )
    return data


def decode(data: bytes, kind: type[V]) -> V:
    """The value of type `kind` in `data`. Raises MalformedBytes for anything but its one byte form; `field` is the path
    of the field at fault, `size`, `v` (another version), or `encoding` (the right value in another form)."""
    if len(data) > kind.size_max:
        raise MalformedBytes(f"{len(data)} bytes", field="size", limit=f"{kind.size_max} bytes", evidence=data[:256])
    if len(data) > ITEMS_MAX or type(data) is not bytes:  # an item takes a byte, so in fewer there is nothing to count
        return judged(data, kind)
    try:
        value, end = map_reader(kind, VERSION)(data, 0)
    except OTHERWISE:
        return judged(data, kind)
    return value if end == len(data) else judged(data, kind)


def judged(data: bytes, kind: type[V]) -> V:
    """What `decode` says, the long way: for everything that is not read at the first attempt, and to name its fault."""
    plain = _loaded(data)
    version = plain.pop("v", None) if isinstance(plain, dict) else None
    if type(version) is not int or version != VERSION:
        raise MalformedBytes("not a map of this version", field="v", limit=f"version {VERSION}", evidence=data[:256])
    try:
        value = msgspec.convert(plain, kind, strict=True, builtin_types=(bytes,))
    except (msgspec.ValidationError, RecursionError, InvalidField) as fault:
        _require_canonical(data)
        raise _misfit(fault, kind, data) from None
    if _encoder(kind)(value) != data:
        _require_canonical(data)
        if len(data) > DIAGNOSED_BYTES_MAX:
            raise MalformedBytes("not the canonical form", field="encoding", evidence=data[:256])
        # Canonical, and yet not what the value encodes to: a noun is missing, for msgspec does not ask for it.
        raise MalformedBytes(f"{kind.__name__}: a noun is left out", field="type", evidence=data[:256])
    return value


def noun_in(data: bytes) -> str:
    """The noun that a map names, empty if it names none; nothing else about it is checked. Raises MalformedBytes."""
    plain = _loaded(data)
    found = plain.get("type") if isinstance(plain, dict) else None
    return found if isinstance(found, str) else ""


class _NoTags(Mapping[int, Callable[..., NoReturn]]):
    """A decoder for every tag there is, which refuses it."""

    def __getitem__(self, tag: int) -> Callable[..., NoReturn]:
        return _refuse_tag

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("a tag")


_NO_TAGS = _NoTags()
_PLACE = re.compile(r"(?P<text>.*?)(?: - at `\$\.?(?P<path>[\w.\[\]]*)`)?", re.DOTALL)
_NAMED = re.compile(r"Object (?:missing required|contains unknown) field `(.*)`", re.DOTALL)
_FIELD_CHARS_MAX = 64


def _require_few_items(data: bytes) -> None:
    """Counts heads, stepping over bytes and text. What is not CBOR is left for the decoder to refuse."""
    at = items = 0
    while at < len(data) and items <= ITEMS_MAX:
        items += 1
        major, number = data[at] >> 5, data[at] & 31
        at += 1
        if number >= 24:
            width = 1 << number - 24
            number = int.from_bytes(data[at : at + width], "big")
            at += width
        if major in (2, 3):
            at += number
    if items > ITEMS_MAX:
        raise MalformedBytes("too many items", field="encoding", limit=f"{ITEMS_MAX} items", evidence=data[:256])


def _loaded(data: bytes) -> Any:
    if len(data) > DIAGNOSED_BYTES_MAX:
        _require_few_items(data)
    try:
        return cbor2.loads(
            data,
            semantic_decoders=_NO_TAGS,
            max_depth=DEPTH_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError) as fault:
        raise MalformedBytes(f"not CBOR: {fault}", field="encoding", evidence=data[:256]) from None


def _require_canonical(data: bytes) -> None:
    """Tells a fault of the encoding from a fault of the value; only looked for when there is a fault."""
    if len(data) > DIAGNOSED_BYTES_MAX:
        return
    try:
        again = cbor2.dumps(_loaded(data), canonical=True)
    except (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError) as fault:
        raise MalformedBytes(f"not encodable: {fault}", field="encoding", evidence=data[:256]) from None
    if again != data:
        more = f"{len(data) - len(again)} more bytes after the value" if data.startswith(again) else ""
        raise MalformedBytes(more or "not the canonical form", field="encoding", evidence=data[:256])


def _misfit(fault: Exception, kind: type[Value], data: bytes) -> MalformedBytes:
    """Bytes that hold no value of this type, and the field that is to blame."""
    if isinstance(fault, InvalidField):
        said, field, limit = fault.message, fault.field, fault.limit
    else:
        place = _PLACE.fullmatch(str(fault))
        assert place is not None  # the first part takes anything
        named = _NAMED.fullmatch(place["text"])
        said, limit = place["text"], ""
        field = ".".join(part for part in (place["path"], named and named[1]) if part)
    field = (field or noun(kind))[:_FIELD_CHARS_MAX]
    return MalformedBytes(f"{kind.__name__}: {said}"[:512], field=field, limit=limit, evidence=data[:256])
