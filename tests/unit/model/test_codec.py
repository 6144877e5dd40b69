"""One byte form per value: whatever bytes arrive, they are the form of one value or refused as malformed, in bounded
time and memory."""

from __future__ import annotations

import time
import tracemalloc
from contextlib import suppress
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect
from tests.support.byte_surgery import ARRAY, BYTES, MAP, TAG, TEXT, Anatomy, canonical, head, integer, text
from tests.support.value_types import every_type, samples, value_types

from quorate.crypto.digests import value_digest
from quorate.errors import InvalidField, MalformedBytes
from quorate.model.agreement import EscrowOpened, Roster
from quorate.model.codec import DEPTH_MAX, ITEMS_MAX, Value, decode, encode, noun, noun_in
from quorate.model.identity import KeyBundle
from quorate.model.job import JobCore, ResourceLimits
from quorate.model.network import Genesis
from quorate.model.output import Output
from quorate.model.submission import JobIds, Submission
from quorate.model.units import AMOUNT_MAX, MIB, Word

TYPES = value_types()
VALUES = [value for kind in TYPES for value in samples(kind).values()]
ENCODED = [(type(value), encode(value)) for value in VALUES]
DECODING_S_MAX = 2.0
"""Far above what an honest value of the largest size takes, far below what an attack would."""


def read_or_refused(data: bytes, kind: type[Value]) -> Value | None:
    """Nothing but MalformedBytes may come out of decoding; what is read has exactly these bytes."""
    try:
        value = decode(data, kind)
    except MalformedBytes:
        return None
    assert encode(value) == data
    return value


# Types


@pytest.mark.parametrize("kind", TYPES, ids=noun)
def test_no_field_has_a_default(kind: type[Value]) -> None:
    """Else a value would have two forms: with the field and without."""
    info = inspect.type_info(kind)
    parts = [item for _, item in every_type(info, noun(kind)) if isinstance(item, inspect.StructType)]
    assert [field.name for part in parts for field in part.fields if not field.required] == []


@pytest.mark.parametrize("kind", TYPES, ids=noun)
def test_every_integer_is_bounded_within_64_bits(kind: type[Value]) -> None:
    for place, info in every_type(inspect.type_info(kind), noun(kind)):
        assert not isinstance(info, inspect.FloatType | inspect.AnyType), place
        if isinstance(info, inspect.IntType):
            lows, highs = (info.ge, info.gt), (info.le, info.lt)
            assert any(bound is not None and bound >= -AMOUNT_MAX - 1 for bound in lows), place
            assert any(bound is not None and bound <= AMOUNT_MAX for bound in highs), place


def test_an_unbounded_integer_would_be_noticed() -> None:
    class Planted(Value, frozen=True, tag="planted"):
        amount: int

    (found,) = (item for _, item in every_type(inspect.type_info(Planted), "") if isinstance(item, inspect.IntType))
    assert (found.ge, found.le) == (None, None)
    assert decode(encode(Planted(amount=1 << 62)), Planted).amount == 1 << 62
    with pytest.raises(MalformedBytes, match="tag 2"):
        decode(canonical({"type": "planted", "v": 1, "amount": 1 << 64}), Planted)


@pytest.mark.parametrize("kind", TYPES, ids=noun)
def test_every_part_refuses_unknown_fields(kind: type[Value]) -> None:
    for place, info in every_type(inspect.type_info(kind), noun(kind)):
        if isinstance(info, inspect.StructType):
            assert info.forbid_unknown_fields, place
            assert info.cls.__struct_config__.frozen, place


# Weapons


def test_every_tag_is_refused() -> None:
    for tag in range(1 << 16):
        with suppress(MalformedBytes):
            noun_in(head(TAG, tag) + b"\x80")
            pytest.fail(f"tag {tag} was read")


def test_shared_references_do_not_multiply() -> None:
    """Tag 28 marks a megabyte, tag 29 names it again a thousand times."""
    shared = head(TAG, 28) + head(BYTES, MIB) + b"a" * MIB
    blobs = head(ARRAY, 1000) + shared + (head(TAG, 29) + b"\0") * 999
    lists = b"".join(text(name) + head(ARRAY, 0) for name in ("orders", "stamps", "bundles"))
    data = head(MAP, 6) + text("v") + b"\1" + text("type") + text("submission") + text("blobs") + blobs + lists
    tracemalloc.start()
    try:
        with pytest.raises(MalformedBytes, match="tag 28"):
            decode(data, Submission)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


def test_a_cycle_is_refused() -> None:
    data = head(TAG, 28) + head(ARRAY, 1) + head(TAG, 29) + b"\0"
    with pytest.raises(MalformedBytes, match=r"tag 2[89]"):
        decode(data, JobIds)


def test_keys_with_equal_hashes_take_no_time() -> None:
    """Python's integers hash modulo 2^61 - 1; as map keys, multiples of it would cost the square of their number."""
    modulus = (1 << 61) - 1
    for keys in (
        [integer(at * modulus) for at in range(1, 20_000)],
        [integer(at << 32) for at in range(1, 100_000)],
        [head(ARRAY, 1) + integer(at << 32) for at in range(1, 50_000)],
    ):
        data = head(MAP, len(keys)) + b"".join(key + b"\0" for key in keys)
        started = time.process_time()
        with pytest.raises(MalformedBytes):
            decode(data, JobIds)
        assert time.process_time() - started < DECODING_S_MAX


@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x61a", b"\xd8\x1c\x81", b"\x9f", b"\xbf\x61a"], ids=bytes.hex)
def test_depth_is_bounded(opening: bytes) -> None:
    for depth in (DEPTH_MAX + 1, 1000, 100_000):
        with pytest.raises(MalformedBytes):
            decode(opening * depth + b"\0", JobIds)


@pytest.mark.parametrize("major", [BYTES, TEXT, ARRAY, MAP])
def test_promised_sizes_take_no_memory(major: int) -> None:
    for size in (1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1):
        with pytest.raises(MalformedBytes):
            decode(head(major, size), JobIds)


@pytest.mark.parametrize("entry", [b"\xf6", b"\x60", b"\x80", b"\xa0"], ids=bytes.hex)
def test_large_lists_of_nothing_are_refused_in_time(entry: bytes) -> None:
    """A tiny item takes up to eighty times its size once it is read."""
    data = list_of_nothing(entry)
    started = time.process_time()
    with pytest.raises(MalformedBytes) as caught:
        decode(data, Submission)
    assert time.process_time() - started < DECODING_S_MAX
    assert (caught.value.field, caught.value.limit) == ("encoding", f"{ITEMS_MAX} items")


def test_large_lists_of_nothing_take_no_memory() -> None:
    data = list_of_nothing(b"\x80")
    tracemalloc.start()
    try:
        with pytest.raises(MalformedBytes):
            decode(data, Submission)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def list_of_nothing(entry: bytes) -> bytes:
    count = 15 * MIB
    return head(MAP, 2) + text("v") + b"\1" + text("blobs") + head(ARRAY, count) + entry * count


def test_large_bytes_are_one_item() -> None:
    value = samples(Submission)["least"]
    assert isinstance(value, Submission)
    large = msgspec.structs.replace(value, blobs=(b"\x80" * (8 * MIB), b"\xff" * MIB))
    assert decode(encode(large), Submission) == large


def test_many_small_items_that_belong_there_are_read() -> None:
    value = samples(JobIds)["least"]
    assert isinstance(value, JobIds)
    most = msgspec.structs.replace(value, jobs=tuple(at.to_bytes(32, "big") for at in range(4096)))
    assert decode(encode(most), JobIds) == most


# Sizes and texts


def test_a_value_above_its_size_is_neither_written_nor_read() -> None:
    fits = Output(status="success", exit_code=0, stdout=b"\0")
    room = Output.size_max - len(encode(fits)) - 3
    for more in range(room, room + 10):
        value = msgspec.structs.replace(fits, stdout=bytes(more))
        data = canonical(msgspec.to_builtins(value, builtin_types=(bytes,)) | {"v": 1})
        if len(data) <= Output.size_max:
            assert encode(value) == data
            continue
        for refused in (lambda: encode(value), lambda: decode(data, Output)):  # noqa: B023
            with pytest.raises(MalformedBytes) as caught:
                refused()
            assert caught.value.field == "size"
        break
    else:
        pytest.fail("the limit was never reached")


def test_text_that_is_not_unicode_is_refused_by_name() -> None:
    (core,) = (value for value in samples(JobCore).values() if value.arguments)  # type: ignore[attr-defined]
    stray = msgspec.structs.replace(core, arguments=("caf\udce9",))
    with pytest.raises(InvalidField) as caught:
        encode(stray)
    assert caught.value.field == "job_core"
    assert "caf" in str(caught.value)


@pytest.mark.parametrize("code", [-(1 << 31), -1, 0, 255, (1 << 32) - 1])
def test_every_exit_code_of_a_guest_has_a_form(code: int) -> None:
    value = Output(status="nonzero_exit", exit_code=code, stdout=b"")
    assert decode(encode(value), Output) == value


@pytest.mark.parametrize("code", [-(1 << 31) - 1, 1 << 32])
def test_no_exit_code_has_more_than_32_bits(code: int) -> None:
    with pytest.raises(MalformedBytes) as caught:
        decode(encode(Output(status="nonzero_exit", exit_code=code, stdout=b"")), Output)
    assert caught.value.field == "exit_code"


def test_the_error_names_the_place_inside() -> None:
    (roster,) = (value for value in samples(Roster).values() if value.entries)  # type: ignore[attr-defined]
    plain = msgspec.to_builtins(roster, builtin_types=(bytes,)) | {"v": 1}
    plain["entries"][1]["weight"] = 0
    with pytest.raises(MalformedBytes) as caught:
        decode(canonical(plain), Roster)
    assert caught.value.field == "entries[1].weight"
    assert "Roster" in caught.value.message
    assert ">= 1" in caught.value.message


def test_a_hostile_field_name_stays_short_and_on_one_line() -> None:
    name = "x` - at `$.a\n" + "y" * 5_000
    with pytest.raises(MalformedBytes) as caught:
        decode(canonical({"type": "job_ids", "v": 1, "jobs": [], "wait_ms": 0, name: 1}), JobIds)
    assert len(caught.value.field) <= 64
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


def test_a_noun_is_found_without_knowing_the_type() -> None:
    for kind, data in ENCODED:
        assert noun_in(data) == noun(kind)
    assert noun_in(canonical({"type": b"job"})) == noun_in(canonical([1])) == noun_in(canonical({})) == ""
    with pytest.raises(MalformedBytes):
        noun_in(b"\xff")


# Any bytes at all


@given(st.sampled_from(ENCODED), st.data())
def test_altered_bytes_are_another_value_or_none(of: tuple[type[Value], bytes], data: st.DataObject) -> None:
    kind, valid = of
    mutated = data.draw(alterations(valid))
    value = read_or_refused(mutated, kind)
    if value is not None:
        assert (value == decode(valid, kind)) == (mutated == valid)


@st.composite
def alterations(draw: st.DrawFn, valid: bytes) -> bytes:
    """A few bytes changed, dropped, put in, moved or repeated."""
    mutated = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(mutated)))
        size = draw(st.integers(0, 8))
        mutated[at : at + size] = draw(pieces(bytes(mutated)))
    return bytes(mutated)


def pieces(data: bytes) -> st.SearchStrategy[bytes]:
    """New bytes, heads of every kind, or bytes from elsewhere."""
    elsewhere = st.integers(0, len(data)).flatmap(lambda at: st.integers(0, 40).map(lambda size: data[at : at + size]))
    heads = st.builds(head, st.integers(0, 7), st.integers(0, 1 << 20), st.sampled_from([4, 8]))
    return st.one_of(st.binary(max_size=4), heads, elsewhere)


@given(st.sampled_from(TYPES), st.binary(max_size=200))
def test_any_bytes_are_refused_as_malformed(kind: type[Value], data: bytes) -> None:
    read_or_refused(data, kind)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.binary(max_size=40) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(ENCODED), ANYTHING, st.data())
def test_well_formed_bytes_with_anything_anywhere(
    of: tuple[type[Value], bytes], any_: Any, data: st.DataObject
) -> None:
    """The item at some place is replaced by any other item in its canonical form."""
    kind, valid = of
    anatomy = Anatomy(valid)
    span = data.draw(st.sampled_from(sorted(anatomy.items.values())))
    mutated = valid[: span.start] + canonical(any_) + valid[span.end :]
    value = read_or_refused(mutated, kind)
    if value is not None and mutated != valid:
        assert value != decode(valid, kind)
        assert value_digest(value) != value_digest(decode(valid, kind))


def test_a_value_of_one_type_is_none_of_another() -> None:
    for kind, data in ENCODED:
        for other in TYPES:
            if other is not kind:
                assert read_or_refused(data, other) is None


# Parts that bind their fields


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1, 1 << 64, 1 << 4000])
@pytest.mark.parametrize("name", ResourceLimits.__struct_fields__)
def test_limits_outside_their_range_are_refused_by_name(name: str, amount: int) -> None:
    (genesis,) = (value for value in samples(Genesis).values() if value.name)  # type: ignore[attr-defined]
    plain = msgspec.to_builtins(genesis, builtin_types=(bytes,)) | {"v": 1}
    plain["caps"]["limits"][name] = amount
    with pytest.raises(MalformedBytes) as caught:
        decode(canonical(plain), Genesis)
    assert caught.value.field.endswith(name) or (amount >= 1 << 64 and caught.value.field == "encoding")


def test_bytes_never_convert_to_what_they_spell() -> None:
    """Text in base64 is no bytes, though the library behind the types would read it so."""
    (event,) = (value for value in samples(EscrowOpened).values() if value.height)  # type: ignore[attr-defined]
    plain = msgspec.to_builtins(event, builtin_types=(bytes,)) | {
        "v": 1,
        "beacon": msgspec.to_builtins(event)["beacon"],
    }
    with pytest.raises(MalformedBytes) as caught:
        decode(canonical(plain), EscrowOpened)
    assert caught.value.field == "beacon"
    assert "str" in caught.value.message


def test_a_bundle_of_the_wrong_size_for_its_suite_is_refused() -> None:
    plain = {"type": "key_bundle", "v": 1, "suite": "ed25519+ml-dsa-65", "ed25519": bytes(32), "ml_dsa": bytes(1951)}
    with pytest.raises(MalformedBytes) as caught:
        decode(canonical(plain), KeyBundle)
    assert (caught.value.field, caught.value.limit) == ("ml_dsa", "1952 bytes for ed25519+ml-dsa-65")


def test_the_bound_of_a_word_counts_characters() -> None:
    class Named(Value, frozen=True, tag="named"):
        name: Annotated[Word, "a name"]

    assert decode(canonical({"type": "named", "v": 1, "name": "é" * 128}), Named).name == "é" * 128
    with pytest.raises(MalformedBytes) as caught:
        decode(canonical({"type": "named", "v": 1, "name": "é" * 129}), Named)
    assert caught.value.field == "name"
