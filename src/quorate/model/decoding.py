"""Reads the one byte form of a value straight into the value: a function written once for each type.

In the canonical form everything but the contents of fields stands at places that the type alone decides. A function
takes these places as they must be and raises `Otherwise` (or any of `OTHERWISE`) at the first byte that is anything
else; it never says what is wrong. So it reads canonical bytes only, by construction, and needs no second encoding to
compare with; whatever it does not read is judged by `cbor2` and `msgspec` (`model/codec.py`), which name the fault.

That of a `DeliveryAck` is:

    def read(data, at):
        end = at + 28
        if not (data[at:end] == b'\\xa6av\\x01dtypeldelivery_ackeround'):
            raise Otherwise
        at = end
        f0 = data[at]
        at += 1
        if f0 > 23:
            f0, at = number(data, at, f0)
        if not (f0 <= 9223372036854775807):
            raise Otherwise
        c0, f1, c2, f2, c4, f3 = unpack5(data, at)
        at += 134
        if not (c0 == b'gnetworkX ' and c2 == b'iagreementX ' and c4 == b'mresult_digestX '):
            raise Otherwise
        return DeliveryAck4(f1, f2, f0, f3), at
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec import inspect

from quorate.errors import InvalidField
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
    described,
    entries_of,
    exact_size,
    head,
    optional_part,
    words_of,
    write_text,
)

Read: TypeAlias = Callable[[bytes, int], tuple[Any, int]]
"""From the bytes and a place in them: what is read there, and the place after it. A place beyond the end of the bytes
says that they were cut short."""


class Otherwise(Exception):
    """The bytes are not the one form of a value of this type."""


class _Sized(NamedTuple):
    """A field of bytes whose number is known, and the local variable for it."""

    name: str
    size: int


OTHERWISE = (Otherwise, IndexError, KeyError, ValueError, TypeError, struct.error, InvalidField)
"""What reading raises for bytes that are anything else: running past the end, a word that is none of the words, text
that is not Unicode, or what the type itself refuses."""

_SHORT = 24
"""Lists of digests below this are read at once; their head is one byte."""
_ANY = 1 << 64
"""More than any list has."""
_EMPTY = head(ARRAY, 0)
_WIDER = ((24, ">B", 24), (25, ">H", 1 << 8), (26, ">I", 1 << 16), (27, ">Q", 1 << 32))
_LONG = {marker: (struct.Struct(form).unpack_from, struct.calcsize(form), least) for marker, form, least in _WIDER}
"""For each marker of a long head how to read the number behind it, its bytes, and the least number that needs them."""


def _number(data: bytes, at: int, marker: int) -> tuple[int, int]:
    """The number behind a head that is too short for it."""
    unpack, width, least = _LONG[marker]
    (number,) = unpack(data, at)
    if number < least:
        raise Otherwise
    return number, at + width


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """An integer that may be negative."""
    first, at = data[at], at + 1
    if first >= BYTES:
        raise Otherwise
    number = first % NEGATIVE
    if number > 23:
        number, at = _number(data, at, number)
    return (-1 - number if first >= NEGATIVE else number), at


def _sequence(read: Read, least: int, most: int) -> Read:
    def read_all(data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        size, at = data[at] - ARRAY, at + 1
        if not 0 <= size < 24:
            size, at = _number(data, at, size)
        if not least <= size <= most:
            raise Otherwise
        entries = []
        for _ in range(size):
            entry, at = read(data, at)
            entries.append(entry)
        return tuple(entries), at

    return read_all


def _sequence_of_size(info: inspect.Type, size: int, least: int, most: int) -> Read:
    """Byte strings of one known size with a head of two bytes, such as the digests of a path: a short list is taken at
    once."""
    step = 2 + size
    first, second = (bytes([byte]) for byte in head(BYTES, size))
    forms = [
        (first * count, second * count, struct.Struct(f"2x{size}s" * count).unpack_from) for count in range(_SHORT)
    ]
    read_long = _sequence(_reader_for(info), least, most)

    def read_all(data: bytes, at: int) -> tuple[tuple[bytes, ...], int]:
        length = data[at] - ARRAY
        if not 0 <= length < _SHORT:
            return read_long(data, at)
        at += 1
        end = at + step * length
        firsts, seconds, unpack = forms[length]
        if data[at:end:step] != firsts or data[at + 1 : end : step] != seconds or not least <= length <= most:
            raise Otherwise
        return unpack(data, at), end

    return read_all


@cache
def map_reader(kind: type[msgspec.Struct], version: int | None = None) -> Read:
    """Values of `kind` in the form that `encoding.map_encoder` writes; `version` is what their entry `v` must say."""
    source = _Source()
    return source.function(source.add_map(described(kind), {} if version is None else {"v": version}))


def _reader_for(info: inspect.Type) -> Read:
    """Reads whatever has this type."""
    match info:
        case inspect.StructType():
            return map_reader(info.cls)
        case inspect.VarTupleType():
            size, bounds = exact_size(info.item_type), (info.min_length or 0, info.max_length or _ANY)
            if size is not None and len(head(BYTES, size)) == 2:
                return _sequence_of_size(info.item_type, size, *bounds)
            return _sequence(_reader_for(info.item_type), *bounds)
    source = _Source()
    return source.function(source.add(info))


class _Source:
    """The source of one function, as it grows. Fields of known size and the constants around them wait in `_run`, so
    that one call takes them all."""

    def __init__(self) -> None:
        self._scope: dict[str, Any] = {"Otherwise": Otherwise, "number": _number, "integer": _integer}
        self._lines: list[str] = []
        self._run: list[bytes | _Sized] = []
        self._names = (str(number) for number in count())

    def function(self, result: str) -> Read:
        """The function that reads all that was added and returns `result`."""
        self._end_run()
        lines = ["def read(data, at):", *(f"    {line}" for line in self._lines), f"    return {result}, at"]
        # The source consists of names and numbers of our own types; nothing received is ever in it.
        exec(compile("\n".join(lines), f"<reader of {result[:40]}>", "exec"), self._scope)
        read: Read = self._scope["read"]
        return read

    def add_map(self, info: inspect.StructType, extra: dict[str, int]) -> str:
        """Reads a map; what is returned is the expression for its value."""
        entries, values = entries_of(info, extra), {}
        self._add_constant(head(MAP, len(entries)))
        for key, field in entries:
            self._add_constant(key)
            if field is not None:
                values[field.name] = self.add(field.type)
        made = self._named(info.cls.__name__, info.cls)
        return f"{made}({', '.join(values[name] for name in info.cls.__struct_fields__)})"

    def add(self, info: inspect.Type) -> str:
        """Reads something of this type; what is returned is the expression for it."""
        if isinstance(info, inspect.StructType):
            return self.add_map(info, {})
        if isinstance(info, inspect.TupleType):
            self._add_constant(head(ARRAY, len(info.item_types)))
            return f"({''.join(f'{self.add(item)}, ' for item in info.item_types)})"
        name, size = f"f{next(self._names)}", exact_size(info)
        if size is not None:
            self._add_constant(head(BYTES, size))
            self._run.append(_Sized(name, size))
            return name
        self._end_run()
        self._lines += self._lines_of(info, name)
        return name

    def _named(self, name: str, item: Any) -> str:
        """A name of its own for something that the source uses."""
        unique = name + next(self._names)
        self._scope[unique] = item
        return unique

    def _add_constant(self, data: bytes) -> None:
        last = self._run[-1] if self._run else None
        if isinstance(last, bytes):
            self._run[-1] = last + data
        else:
            self._run.append(data)

    def _end_run(self) -> None:
        """Takes all that waits."""
        run, self._run = self._run, []
        if len(run) == 1:
            (constant,) = run
            assert isinstance(constant, bytes)  # no field comes without a head before it
            self._lines += [f"end = at + {len(constant)}", *_unless(f"data[at:end] == {constant!r}"), "at = end"]
        elif run:
            sizes = [len(item) if isinstance(item, bytes) else item.size for item in run]
            names = [f"c{at}" if isinstance(item, bytes) else item.name for at, item in enumerate(run)]
            unpack = self._named("unpack", struct.Struct("".join(f"{size}s" for size in sizes)).unpack_from)
            self._lines += [f"{', '.join(names)} = {unpack}(data, at)", f"at += {sum(sizes)}"]
            pairs = zip(names, run, strict=True)
            self._lines += _unless(
                " and ".join(f"{name} == {item!r}" for name, item in pairs if isinstance(item, bytes))
            )

    def _lines_of(self, info: inspect.Type, name: str) -> list[str]:
        """Reads what has no known size into the local variable `name`."""
        match info:
            case inspect.IntType(multiple_of=None):
                return _integer_lines(info, name)
            case inspect.BoolType():
                bools = self._named("bools", {TRUE[0]: True, FALSE[0]: False})
                return [f"{name} = {bools}[data[at]]", "at += 1"]
            case inspect.BytesType():
                return [*_content_lines(BYTES, name, "data[at:end]"), *_length_lines(info, name)]
            case inspect.StrType(pattern=None):
                return [*_content_lines(TEXT, name, "data[at:end].decode()"), *_length_lines(info, name)]
            case inspect.UnionType():
                read = self._named("read", _reader_for(optional_part(info)))
                return _default_lines(name, NULL, "None", read)
            case inspect.VarTupleType():
                read = self._named("read", _reader_for(info))
                return (
                    [f"{name}, at = {read}(data, at)"] if info.min_length else _default_lines(name, _EMPTY, "()", read)
                )
        words = self._named("words", {write_text(str(word)): word for word in words_of(info)})
        return [f"end = at + data[at] - {TEXT - 1}", f"{name} = {words}[data[at:end]]", "at = end"]


def _unless(condition: str) -> list[str]:
    return [f"if not ({condition}):", "    raise Otherwise"]


def _default_lines(name: str, form: bytes, default: str, read: str) -> list[str]:
    """Something with a form of one byte that is met most often."""
    return [
        f"if data[at] == {form[0]}:",
        f"    {name} = {default}",
        "    at += 1",
        "else:",
        f"    {name}, at = {read}(data, at)",
    ]


def _head_lines(major: int, name: str) -> list[str]:
    """The number that a head of this major type holds."""
    if major == UNSIGNED:
        return [f"{name} = data[at]", "at += 1", f"if {name} > 23:", f"    {name}, at = number(data, at, {name})"]
    first = f"{name} = data[at] - {major}"
    return [first, "at += 1", f"if not 0 <= {name} < 24:", f"    {name}, at = number(data, at, {name})"]


def _content_lines(major: int, name: str, content: str) -> list[str]:
    return [*_head_lines(major, name), f"end = at + {name}", f"{name} = {content}", "at = end"]


def _length_lines(info: inspect.BytesType | inspect.StrType, name: str) -> list[str]:
    least, most = info.min_length or 0, info.max_length
    if most is None:
        return _unless(f"{least} <= len({name})") if least else []
    return _unless(f"{least} <= len({name}) <= {most}" if least else f"len({name}) <= {most}")


def _integer_lines(info: inspect.IntType, name: str) -> list[str]:
    lows = [low for low in (info.ge, None if info.gt is None else info.gt + 1) if low is not None]
    highs = [high for high in (info.le, None if info.lt is None else info.lt - 1) if high is not None]
    unsigned = bool(lows) and max(lows) >= 0
    lines = _head_lines(UNSIGNED, name) if unsigned else [f"{name}, at = integer(data, at)"]
    bounds = [f"{name} >= {low}" for low in lows if low != 0 or not unsigned] + [f"{name} <= {high}" for high in highs]
    return [*lines, *(_unless(" and ".join(bounds)) if bounds else [])]
