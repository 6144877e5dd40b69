"""Refused encodings of a value, each made from its valid bytes and named after its fault.

A fault is a name, the edits that make it, and the field that the refusal must name: `encoding` where the right value
is written in another form, else the field that holds what it must not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect
from tests.support.byte_surgery import (
    ARRAY,
    BREAK,
    BYTES,
    MAP,
    TAG,
    TEXT,
    UNSIGNED,
    Anatomy,
    Edit,
    Entry,
    Span,
    head,
    integer,
    text,
)
from tests.support.value_types import Field, fields_of, least, most, solid

from quorate.model.codec import DEPTH_MAX, Value, encode, noun
from quorate.model.units import AMOUNT_MAX

ENCODING = "encoding"
TRUE, FALSE, NULL, UNDEFINED = b"\xf5", b"\xf4", b"\xf6", b"\xf7"
ONE_AS_HALF, ONE_AS_DOUBLE = b"\xf9\x3c\x00", b"\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00"
NAN, INFINITY, SIMPLE = b"\xf9\x7e\x00", b"\xf9\x7c\x00", b"\xe0"


class Fault(NamedTuple):
    """`field` is what the error must name."""

    name: str
    edits: tuple[Edit, ...]
    field: str


def faults_of(value: Value) -> Iterator[Fault]:
    """All refused encodings of one value."""
    anatomy = Anatomy(encode(value))
    for fault in _all(anatomy, value):
        yield fault._replace(field=_first_seen(fault, len(anatomy.data), value.size_max))


def _first_seen(fault: Fault, size: int, size_max: int) -> str:
    """The size is looked at first: what is too large is refused for that."""
    grown = sum(len(edit.insert) * edit.times - edit.remove for edit in fault.edits)
    return "size" if size + grown > size_max else fault.field


def _all(anatomy: Anatomy, value: Value) -> Iterator[Fault]:
    plain: dict[str, Any] = msgspec.to_builtins(value, builtin_types=(bytes,))
    yield from _of_the_whole(anatomy, type(value))
    yield from _of_map(anatomy, (), noun(value))
    yield from _of_version(anatomy)
    yield from _of_noun(anatomy, ())
    for field in fields_of(type(value), plain):
        for fault in _of_field(anatomy, field):
            yield fault._replace(name=f"{fault.name}: {field.dotted}")


def _instead(span: Span, data: bytes) -> tuple[Edit, ...]:
    return (Edit(span.start, span.end - span.start, data),)


def _before(span: Span, data: bytes) -> tuple[Edit, ...]:
    return (Edit(span.start, 0, data),)


def _new_head(span: Span, data: bytes) -> Edit:
    return Edit(span.start, span.body - span.start, data)


def _open_ended(span: Span, raw: bytes) -> tuple[Edit, ...]:
    """The same item of indefinite length: text and bytes as one chunk, arrays and maps without a count."""
    start = bytes([span.major << 5 | 31])
    last = Edit(span.end, 0, BREAK)
    return (Edit(span.start, 0, start), last) if span.major in (BYTES, TEXT) else (_new_head(span, start), last)


def _of_the_whole(anatomy: Anatomy, kind: type[Value]) -> Iterator[Fault]:
    root, data = anatomy.items[()], anatomy.data
    first, second = anatomy.entries[()][:2]
    yield Fault("empty", _instead(root, b""), ENCODING)
    yield Fault("truncated", (Edit(root.end - 1, 1, b""),), ENCODING)
    yield Fault("trailing_byte", (Edit(root.end, 0, b"\0"),), ENCODING)
    yield Fault("trailing_copy", (Edit(root.end, 0, data),), ENCODING)
    yield Fault("over_size", (Edit(root.end, 0, b"\0", kind.size_max + 1 - len(data)),), "size")
    yield Fault("not_a_map", _instead(root, b"\x80"), "v")
    yield Fault("self_described", _before(root, head(TAG, 55799)), ENCODING)
    yield Fault("shareable", _before(root, head(TAG, 28)), ENCODING)
    yield Fault("string_references", _before(root, head(TAG, 256)), ENCODING)
    yield Fault("bytes_around", _before(root, head(BYTES, len(data))), "v")
    yield Fault("unknown_tag", _before(root, head(TAG, 60000)), ENCODING)
    yield Fault("reserved_length", (Edit(root.start, 1, b"\xbc"),), ENCODING)
    yield Fault("long_key_length", (_new_head(first.key, first.key.wider),), ENCODING)
    yield Fault("indefinite_key", _open_ended(first.key, b""), ENCODING)
    yield Fault("key_of_bytes", (Edit(first.key.start, 1, bytes([BYTES << 5 | first.key.number])),), "v")
    yield Fault("key_not_utf8", (Edit(second.key.body, 1, b"\xff"),), ENCODING)
    yield Fault("too_deep", _instead(second.item, b"\x81" * DEPTH_MAX + b"\x80"), ENCODING)


def _of_map(anatomy: Anatomy, path: tuple[str | int, ...], owner: str) -> Iterator[Fault]:
    """Faults of a map: of the whole value, or of a part of it (`owner` is then its path)."""
    span, entries = anatomy.items[path], anatomy.entries[path]
    prefix = f"{owner}." if path else ""
    more, fewer = (_new_head(span, head(MAP, span.number + by)) for by in (1, -1))
    copy = anatomy.data[entries[0].key.start : entries[0].item.end]
    yield Fault("duplicate_key", (more, Edit(entries[0].item.end, 0, copy)), ENCODING)
    other = anatomy.raw(entries[0].key) + NULL
    yield Fault("duplicate_key_of_another_value", (more, Edit(entries[-1].item.end, 0, other)), ENCODING)
    yield Fault("long_map_length", (_new_head(span, span.wider),), ENCODING)
    yield Fault("indefinite_map", _open_ended(span, b""), ENCODING)
    if len(entries) > 1:
        yield Fault("wrong_key_order", _swapped(anatomy, entries[-2], entries[-1]), ENCODING)
    yield Fault("key_not_text", (more, Edit(span.body, 0, b"\x00\x00")), ENCODING)
    unknown = "z" * max(24, *(entry.key.end - entry.key.body for entry in entries))  # the last key of all
    yield Fault("unknown_field", (more, Edit(span.end, 0, text(unknown) + NULL)), f"{prefix}{unknown}")
    for entry in entries:
        name = anatomy.data[entry.key.body : entry.key.end].decode()
        if name not in ("v", "type"):
            gone = Edit(entry.key.start, entry.item.end - entry.key.start, b"")
            yield Fault(f"missing_field_{name}", (fewer, gone), f"{prefix}{name}")


def _swapped(anatomy: Anatomy, first: Entry, second: Entry) -> tuple[Edit, ...]:
    data = anatomy.data
    moved = data[second.key.start : second.item.end] + data[first.key.start : first.item.end]
    return (Edit(first.key.start, second.item.end - first.key.start, moved),)


def _of_version(anatomy: Anatomy) -> Iterator[Fault]:
    span, root = anatomy.items["v",], anatomy.items[()]
    (entry,) = (item for item in anatomy.entries[()] if item.item == span)
    gone = Edit(entry.key.start, entry.item.end - entry.key.start, b"")
    yield Fault("missing_version", (_new_head(root, head(MAP, root.number - 1)), gone), "v")
    yield Fault("long_version", (Edit(span.start, 1, head(UNSIGNED, 1, 1)),), ENCODING)
    others = {"0": integer(0), "2": integer(2), "negative": integer(-1), "as_text": text("1"), "true": TRUE}
    others |= {"null": NULL, "as_float": ONE_AS_HALF, "as_double": ONE_AS_DOUBLE}
    for name, raw in others.items():
        yield Fault(f"version_{name}", _instead(span, raw), "v")
    yield Fault("version_as_bignum", _instead(span, b"\xc2\x41\x01"), ENCODING)


def _of_noun(anatomy: Anatomy, path: tuple[str | int, ...], prefix: str = "") -> Iterator[Fault]:
    """Faults of the type tag, of the value itself or of a value inside it."""
    span, owner = anatomy.items[*path, "type"], anatomy.items[path]
    (entry,) = (item for item in anatomy.entries[path] if item.item == span)
    field = f"{prefix}type"
    gone = Edit(entry.key.start, entry.item.end - entry.key.start, b"")
    yield Fault("missing_noun", (_new_head(owner, head(MAP, owner.number - 1)), gone), "type")
    yield Fault("wrong_noun", _instead(span, text("nothing")), field)
    yield Fault("noun_as_bytes", (Edit(span.start, 1, bytes([anatomy.data[span.start] & 31 | BYTES << 5])),), field)
    yield Fault("noun_null", _instead(span, NULL), field)


def _of_field(anatomy: Anatomy, field: Field) -> Iterator[Fault]:
    """Faults of one field, by its type."""
    span, info = anatomy.items[field.path], solid(field.info)
    if field.plain is None:
        return
    if info is field.info and len(field.path) == 1:
        yield Fault("null", _instead(span, NULL), field.dotted)
    match info:
        case inspect.IntType():
            yield from _of_integer(span, info, field)
        case inspect.BytesType():
            yield from _of_bytes(anatomy, span, info, field)
        case inspect.BoolType():
            yield Fault("integer_for_boolean", _instead(span, integer(int(field.plain))), field.dotted)
        case inspect.StrType() | inspect.LiteralType() | inspect.EnumType():
            yield from _of_text(anatomy, span, info, field)
        case inspect.VarTupleType() | inspect.TupleType():
            yield from _of_array(anatomy, span, info, field)
        case inspect.StructType():
            yield from _of_struct(anatomy, info, field)


def _of_integer(span: Span, info: inspect.IntType, field: Field) -> Iterator[Fault]:
    low, high = least(info), most(info)
    yield Fault("negative" if low == 0 else "below_least", _instead(span, integer(low - 1)), field.dotted)
    yield Fault("above_most", _instead(span, integer(high + 1)), field.dotted)
    if high != AMOUNT_MAX:
        yield Fault("above_63_bits", _instead(span, integer(AMOUNT_MAX + 1)), field.dotted)
    yield Fault("above_64_bits", _instead(span, integer(1 << 64)), ENCODING)
    yield Fault("below_64_bits", _instead(span, integer(-(1 << 64) - 1)), ENCODING)
    if span.body - span.start < 9:
        yield Fault("long_integer", _instead(span, span.wider), ENCODING)
    yield Fault("float_for_integer", _instead(span, ONE_AS_HALF), field.dotted)
    yield Fault("long_float", _instead(span, ONE_AS_DOUBLE), ENCODING)
    yield Fault("nan", _instead(span, NAN), field.dotted)
    yield Fault("infinity", _instead(span, INFINITY), field.dotted)
    yield Fault("boolean_for_integer", _instead(span, TRUE), field.dotted)
    yield Fault("text_for_integer", _instead(span, text(str(low))), field.dotted)
    yield Fault("undefined", _instead(span, UNDEFINED), field.dotted)
    yield Fault("simple_value", _instead(span, SIMPLE), field.dotted)
    yield Fault("time_for_integer", _before(span, head(TAG, 1)), ENCODING)


def _of_bytes(anatomy: Anatomy, span: Span, info: inspect.BytesType, field: Field) -> Iterator[Fault]:
    raw = anatomy.data[span.body : span.end]
    letters = raw.hex().encode()[: len(raw)]
    yield Fault("text_for_bytes", _instead(span, head(TEXT, len(letters)) + letters), field.dotted)
    yield Fault("array_for_bytes", _instead(span, head(ARRAY, 0)), field.dotted)
    yield Fault("indefinite_bytes", _open_ended(span, raw), ENCODING)
    yield Fault("long_length", (_new_head(span, span.wider),), ENCODING)
    yield Fault("tagged_bytes", _before(span, head(TAG, 24)), ENCODING)
    if info.min_length:
        yield Fault("too_short", _instead(span, head(BYTES, info.min_length - 1) + raw[:-1]), field.dotted)
    if info.max_length is not None:
        yield Fault("too_long", _grown(span, info.max_length + 1, b"\0"), field.dotted)


def _grown(span: Span, size: int, filling: bytes) -> tuple[Edit, ...]:
    return (
        _new_head(span, head(span.major, size)),
        Edit(span.end, 0, filling, size - span.number),
    )


def _of_text(anatomy: Anatomy, span: Span, info: inspect.Type, field: Field) -> Iterator[Fault]:
    raw = anatomy.data[span.body : span.end]
    yield Fault("bytes_for_text", _instead(span, head(BYTES, len(raw)) + raw), field.dotted)
    yield Fault("indefinite_text", _open_ended(span, raw), ENCODING)
    yield Fault("long_length", (_new_head(span, span.wider),), ENCODING)
    yield Fault("not_utf8", _instead(span, head(TEXT, 1) + b"\xff"), ENCODING)
    yield Fault("surrogate", _instead(span, head(TEXT, 3) + b"\xed\xa0\x80"), ENCODING)
    yield Fault("overlong_utf8", _instead(span, head(TEXT, 2) + b"\xc1\x81"), ENCODING)
    yield Fault("tagged_text", _before(span, head(TAG, 32)), ENCODING)
    if isinstance(info, inspect.StrType) and info.max_length is not None:
        longer = info.max_length + 1 - len(raw.decode())
        edits = (_new_head(span, head(TEXT, len(raw) + longer)), Edit(span.end, 0, b"a", longer))
        yield Fault("too_long", edits, field.dotted)
    if not isinstance(info, inspect.StrType):
        yield Fault("unknown_word", _instead(span, text("nothing")), field.dotted)
        yield Fault("upper_case", _instead(span, text(field.plain.swapcase())), field.dotted)


def _of_array(anatomy: Anatomy, span: Span, info: inspect.Type, field: Field) -> Iterator[Fault]:
    yield Fault("map_for_array", _instead(span, head(MAP, 0)), field.dotted)
    yield Fault("text_for_array", _instead(span, text("")), field.dotted)
    yield Fault("indefinite_array", _open_ended(span, b""), ENCODING)
    yield Fault("long_length", (_new_head(span, span.wider),), ENCODING)
    yield Fault("set_for_array", _before(span, head(TAG, 258)), ENCODING)
    yield Fault("one_more_promised", (_new_head(span, head(ARRAY, span.number + 1)),), ENCODING)
    yield Fault("null_entry", _instead(span, head(ARRAY, 1) + NULL), _blamed(info, field))
    if isinstance(info, inspect.VarTupleType) and info.max_length is not None:
        entry = anatomy.raw(anatomy.items[*field.path, 0])
        longer = info.max_length + 1 - span.number
        edits = (_new_head(span, head(ARRAY, info.max_length + 1)), Edit(span.end, 0, entry, longer))
        yield Fault("too_many", edits, field.dotted)


def _blamed(info: inspect.Type, field: Field) -> str:
    """One null where entries belong: a pair is too short, a list has a wrong entry."""
    return field.dotted if isinstance(info, inspect.TupleType) else f"{field.dotted}[0]"


def _of_struct(anatomy: Anatomy, info: inspect.StructType, field: Field) -> Iterator[Fault]:
    span = anatomy.items[field.path]
    yield Fault("array_for_map", _instead(span, head(ARRAY, 0)), field.dotted)
    if info.tag is None:
        yield from _of_map(anatomy, field.path, field.dotted)
        return
    yield from _of_noun(anatomy, field.path, f"{field.dotted}.")
    more = _new_head(span, head(MAP, span.number + 1))
    version = Edit(span.body, 0, text("v") + integer(1))
    yield Fault("version_inside", (more, version), f"{field.dotted}.v")


def as_json(faults: Iterable[Fault]) -> list[dict[str, Any]]:
    """Faults as vectors hold them."""
    return [
        {
            "fault": fault.name,
            "field": fault.field,
            "edits": [[edit.at, edit.remove, edit.insert.hex(), edit.times] for edit in fault.edits],
        }
        for fault in faults
    ]
