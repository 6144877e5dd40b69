"""The reader of the one byte form against the long way round: what it reads is what `cbor2` and `msgspec` would make of
it, it reads every canonical value, and nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect
from tests.support.byte_surgery import Anatomy, canonical, head
from tests.support.value_types import every_type, samples, value_types

from quorate.errors import InvalidField, MalformedBytes
from quorate.model.codec import DEPTH_MAX, VERSION, Part, Value, decode, encode, judged, noun
from quorate.model.decoding import OTHERWISE, map_reader
from quorate.model.identity import Suite
from quorate.model.units import Bytes32, Word

TYPES = value_types()
NOTHING = object()


class Inner(Part, frozen=True):
    low: Annotated[int, msgspec.Meta(gt=2, lt=300)]
    other: Annotated[int, msgspec.Meta(ge=-70_000, le=70_000)]

    def __post_init__(self) -> None:
        if self.low == 77:
            raise InvalidField("77", field="low")


class Sample(Value, frozen=True, tag="sample"):
    """A field of every shape that values have."""

    digest: Bytes32
    pair: tuple[bool, Bytes32]
    path: Annotated[tuple[Bytes32, ...], msgspec.Meta(min_length=1, max_length=40)]
    salts: tuple[Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)], ...]
    few: Annotated[bytes, msgspec.Meta(min_length=2, max_length=300)]
    word: Word
    words: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...]
    kind: Literal["a", "bb"]
    suite: Suite
    count: Annotated[int, msgspec.Meta(ge=0)]
    any_number: int
    inner: Inner
    maybe: Inner | None
    last: Bytes32 | None


BYTES32 = st.binary(min_size=32, max_size=32)
INNER = st.builds(Inner, st.integers(3, 299).filter(lambda low: low != 77), st.integers(-70_000, 70_000))
SAMPLES = st.builds(
    Sample,
    digest=BYTES32,
    pair=st.tuples(st.booleans(), BYTES32),
    path=st.lists(BYTES32, min_size=1, max_size=40).map(tuple),
    salts=st.lists(st.binary(min_size=16, max_size=16), max_size=3).map(tuple),
    few=st.binary(min_size=2, max_size=300),
    word=st.text(max_size=128),
    words=st.lists(st.text(min_size=1), max_size=3).map(tuple),
    kind=st.sampled_from(["a", "bb"]),
    suite=st.sampled_from(Suite),
    count=st.integers(0, (1 << 64) - 1),
    any_number=st.integers(-(1 << 63), (1 << 63) - 1),
    inner=INNER,
    maybe=st.none() | INNER,
    last=st.none() | BYTES32,
)
ENCODED = [(kind, encode(value)) for kind in TYPES for value in samples(kind).values()]


def read(data: bytes, kind: type[Value]) -> object:
    """By the reader alone."""
    try:
        value, end = map_reader(kind, VERSION)(data, 0)
    except OTHERWISE:
        return NOTHING
    return value if end == len(data) else NOTHING


def read_the_long_way(data: bytes, kind: type[Value]) -> object:
    try:
        return judged(data, kind)
    except MalformedBytes:
        return NOTHING


@pytest.mark.parametrize("kind", TYPES, ids=noun)
def test_every_sample_is_read_at_the_first_attempt(kind: type[Value]) -> None:
    for value in samples(kind).values():
        found = read(encode(value), kind)
        assert found == value
        assert type(found) is type(value)


@given(SAMPLES)
def test_whatever_a_field_may_hold_is_read(value: Sample) -> None:
    data = encode(value)
    assert data == canonical(msgspec.to_builtins(value, builtin_types=(bytes,)) | {"v": VERSION})
    found = read(data, Sample)
    assert found == value == judged(data, Sample)
    assert isinstance(found, Sample)
    assert type(found.suite) is Suite


@pytest.mark.parametrize("kind", TYPES, ids=noun)
def test_bytes_that_are_cut_short_or_too_long_are_not_read(kind: type[Value]) -> None:
    data = encode(samples(kind)["full"])
    assert all(read(data[:size], kind) is NOTHING for size in range(min(len(data), 2000)))
    assert read(data[:-1], kind) is NOTHING
    assert read(data + b"\0", kind) is NOTHING


@given(st.sampled_from(ENCODED) | SAMPLES.map(lambda value: (Sample, encode(value))), st.data())
def test_altered_bytes_are_read_alike_on_both_ways(of: tuple[type[Value], bytes], data: st.DataObject) -> None:
    kind, valid = of
    altered = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(altered)))
        altered[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    assert read(bytes(altered), kind) == read_the_long_way(bytes(altered), kind)


@given(SAMPLES.map(encode), st.data())
def test_any_item_anywhere_is_read_alike_on_both_ways(valid: bytes, data: st.DataObject) -> None:
    """Items of every kind, in their shortest form and in longer ones."""
    span = data.draw(st.sampled_from(sorted(Anatomy(valid).items.values())))
    size = data.draw(
        st.sampled_from([0, 1, 2, 3, 15, 16, 23, 24, 31, 32, 33, 77, 127, 128, 129, 255, 256, 299, 300, 301])
    )
    item = data.draw(st.sampled_from([canonical(part) for part in (size, -size, bytes(size), "x" * size, None, True)]))
    longer = data.draw(st.booleans()) and size < 24
    item = bytes([item[0] & 0xE0 | 24, item[0] & 31]) + item[1:] if longer and item[0] < 0x80 else item
    altered = valid[: span.start] + item + valid[span.end :]
    assert read(altered, Sample) == read_the_long_way(altered, Sample)


@pytest.mark.parametrize("size", [0, 1, 2, 23, 24, 39, 40, 41, 300])
def test_lists_within_and_beyond_their_bounds(size: int) -> None:
    """Short lists of digests are read at once, long ones one by one; the bounds of the type hold for both."""
    value = a_sample(path=tuple(bytes([at % 256]) * 32 for at in range(size)))
    found = read(encode(value), Sample)
    assert found == (value if 1 <= size <= 40 else NOTHING)
    assert found == read_the_long_way(encode(value), Sample)


@pytest.mark.parametrize("wrong", [31, 33, 0])
@pytest.mark.parametrize("field", ["digest", "path", "salts", "pair", "last"])
def test_bytes_of_another_length_are_written_as_they_are_and_not_read(field: str, wrong: int) -> None:
    other: dict[str, object] = {
        "path": (bytes(32), bytes(wrong)),
        "salts": (bytes(wrong),),
        "pair": (True, bytes(wrong)),
    }
    value = a_sample(**{field: other.get(field, bytes(wrong))})
    data = encode(value)
    assert data == canonical(msgspec.to_builtins(value, builtin_types=(bytes,)) | {"v": VERSION})
    assert read(data, Sample) is NOTHING
    with pytest.raises(MalformedBytes, match="length"):
        decode(data, Sample)


def test_what_a_type_refuses_is_not_read() -> None:
    with pytest.raises(MalformedBytes) as caught:
        decode(
            canonical(
                msgspec.to_builtins(a_sample(), builtin_types=(bytes,)) | {"v": 1, "inner": {"low": 77, "other": 0}}
            ),
            Sample,
        )
    assert caught.value.field == "low"


def test_other_buffers_than_bytes_go_the_long_way() -> None:
    """Parts of them would be of their own kind."""
    value = a_sample()
    found = decode(bytearray(encode(value)), Sample)  # type: ignore[arg-type]
    assert found == value
    assert type(found.few) is bytes


def test_a_promised_number_of_entries_takes_no_memory() -> None:
    data = encode(a_sample())
    start = Anatomy(data).items[("salts",)].start
    for size in (1 << 20, (1 << 64) - 1):
        assert read(data[:start] + head(4, size) + b"\x50" + bytes(16), Sample) is NOTHING


@pytest.mark.parametrize("kind", TYPES, ids=noun)
def test_no_type_nests_deeper_than_is_decoded(kind: type[Value]) -> None:
    """The reader does not count depth: it goes where the types go."""
    deepest = max(path.count(".") + path.count("[") for path, _ in every_type(inspect.type_info(kind), "value"))
    assert deepest < DEPTH_MAX


class LongWord(Value, frozen=True, tag="long_word"):
    word: Literal["a word of more than 23 bytes"]


class Patterned(Value, frozen=True, tag="patterned"):
    text: Annotated[str, msgspec.Meta(pattern="^a")]


class Numbered(Value, frozen=True, tag="numbered"):
    word: Literal[1, 2]


@pytest.mark.parametrize("kind", [LongWord, Patterned, Numbered])
def test_types_that_the_reader_would_not_hold_to_are_refused(kind: type[Value]) -> None:
    with pytest.raises(TypeError, match="values have no fields of type"):
        map_reader(kind, VERSION)


def a_sample(**changes: object) -> Sample:
    made: dict[str, object] = {
        "digest": b"\1" * 32, "pair": (False, b"\2" * 32), "path": (b"\3" * 32,), "salts": (), "few": b"few",
        "word": "w", "words": ("x",), "kind": "a", "suite": Suite.ED25519, "count": 5, "any_number": -5,
        "inner": Inner(3, 0), "maybe": None, "last": None,
    }  # fmt: skip
    return Sample(**(made | changes))  # type: ignore[arg-type]
