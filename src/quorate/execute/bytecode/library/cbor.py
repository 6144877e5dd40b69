"""Deterministic CBOR (RFC 8949, section 4.2.1): ints, byte and text strings, arrays, maps, false, true, null.

Reading takes bytes and a place and gives the place behind what was read. Whatever is not in its one deterministic form
ends the run: a head longer than needed, an open length, keys out of order or twice, floats, tags, an early end. Ints
fit 64 bits. That text is UTF-8 is not looked at. Every item is at least one byte: no count makes a reader run on.
"""

from mhr import address, buffer, memory, nat, set_u8, shift_right, u8

UNSIGNED = 0
NEGATIVE = 1
BYTES = 2
TEXT = 3
ARRAY = 4
MAP = 5
SIMPLE = 7
FALSE = 20
TRUE = 21
NULL = 22
DEPTH_MAX = 16

CUT_OFF = -10
NOT_SHORTEST = -11
NOT_SUPPORTED = -12
OUT_OF_ORDER = -13
TOO_DEEP = -14
OTHER_KIND = -15
NO_ROOM = -16
TRAILING = -17


def big_endian(at: int, size: int) -> int:
    """The number in `size` bytes at an address."""
    value = 0
    for i in range(size):
        value = (value << 8) | u8(at + i)
    return value


def head(data: bytes, at: nat) -> tuple[nat, nat, nat]:
    """The kind of the item, its number or length, and the place behind its head."""
    assert at < len(data), CUT_OFF
    first = u8(address(data) + at)
    kind = first >> 5
    low = first & 31
    if low < 24:
        assert kind != SIMPLE or FALSE <= low <= NULL, NOT_SUPPORTED
        assert kind != 6, NOT_SUPPORTED
        return kind, low, at + 1
    assert low < 28, NOT_SUPPORTED
    assert kind < 6, NOT_SUPPORTED
    size = 1 << (low - 24)
    end = at + 1 + size
    assert end <= len(data), CUT_OFF
    start = address(data) + at + 1
    assert size < 8 or u8(start) < 128, NOT_SUPPORTED
    value = big_endian(start, size)
    least = 24 if size == 1 else 1 << (size << 2)
    assert value >= least, NOT_SHORTEST
    return kind, value, end


def skip(data: bytes, at: nat) -> nat:
    """The place behind one item, all of which is looked at. Small numbers and short byte strings take the short way."""
    assert at < len(data), CUT_OFF
    first = u8(address(data) + at)
    if first < 24:
        return at + 1
    if 64 <= first < 88:
        end = at + first - 63
        assert end <= len(data), CUT_OFF
        return end
    return skip_inside(data, at, 0)


def skip_inside(data: bytes, at: nat, depth: nat) -> nat:
    assert depth < DEPTH_MAX, TOO_DEEP
    kind, value, end = head(data, at)
    if BYTES <= kind <= TEXT:
        assert value <= len(data) - end, CUT_OFF
        return end + value
    if kind == ARRAY:
        for _ in range(value):
            end = skip_inside(data, end, depth + 1)
    if kind == MAP:
        return skip_entries(data, end, value, depth + 1)
    return end


def skip_entries(data: bytes, at: nat, count: nat, depth: nat) -> nat:
    """The place behind `count` entries, whose keys ascend."""
    before = data[at:at]
    for i in range(count):
        end = skip_inside(data, at, depth)
        key = data[at:end]
        assert i == 0 or before < key, OUT_OF_ORDER
        before = key
        at = skip_inside(data, end, depth)
    return at


def check(data: bytes) -> None:
    """Ends the run unless `data` is one item and nothing else."""
    assert skip(data, 0) == len(data), TRAILING


def read(data: bytes, at: nat, kind: nat) -> tuple[nat, nat]:
    """The number or length of an item that has to be of `kind`, and the place behind its head."""
    found, value, end = head(data, at)
    assert found == kind, OTHER_KIND
    return value, end


def read_int(data: bytes, at: nat) -> tuple[int, nat]:
    kind, value, end = head(data, at)
    assert kind <= NEGATIVE, OTHER_KIND
    result = ~value if kind == NEGATIVE else value
    return result, end


def read_bytes(data: bytes, at: nat) -> tuple[bytes, nat]:
    size, start = read(data, at, BYTES)
    assert size <= len(data) - start, CUT_OFF
    return data[start : start + size], start + size


def width(value: nat) -> nat:
    """How many bytes of a head come after its first."""
    if value < 24:
        return 0
    if value < 256:
        return 1
    if value < 65536:
        return 2
    return 4 if value < 4294967296 else 8


def write_head(out: buffer, at: nat, kind: nat, value: nat) -> nat:
    """Puts the head of an item at a place in `out`; the place behind it."""
    size = width(value)
    assert at + 1 + size <= len(out), NO_ROOM
    place = address(out) + at
    if size == 0:
        set_u8(place, (kind << 5) | value)
        return at + 1
    low = 24 if size == 1 else 25 if size == 2 else 26 if size == 4 else 27
    set_u8(place, (kind << 5) | low)
    for i in range(size):
        set_u8(place + size - i, shift_right(value, i << 3))
    return at + 1 + size


def write_int(out: buffer, at: nat, value: int) -> nat:
    if value < 0:
        return write_head(out, at, NEGATIVE, ~value)
    return write_head(out, at, UNSIGNED, value)


def write_bytes(out: buffer, at: nat, value: bytes) -> nat:
    start = write_head(out, at, BYTES, len(value))
    return write_raw(out, start, value)


def write_text(out: buffer, at: nat, value: bytes) -> nat:
    start = write_head(out, at, TEXT, len(value))
    return write_raw(out, start, value)


def write_raw(out: buffer, at: nat, value: bytes) -> nat:
    """Puts bytes that are CBOR already."""
    assert len(value) <= len(out) - at, NO_ROOM
    return at + memory.copy(out[at:], value)
