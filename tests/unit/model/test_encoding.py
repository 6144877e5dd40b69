"""The encoder of values against `cbor2`'s canonical mode, a second implementation: equal bytes for whatever a value may
hold."""

from __future__ import annotations

from typing import Annotated, Literal

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.model.codec import Part, Value, encode
from quorate.model.encoding import map_encoder

SIGNED_64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)


class Inner(Part, frozen=True):
    flag: bool
    name: str


class Sample(Value, frozen=True, tag="sample"):
    size_max = 1 << 20

    number: int
    text: str
    data: Annotated[bytes, msgspec.Meta(max_length=1 << 20)]
    word: Literal["a", "bb"]
    inner: Inner
    maybe: Inner | None
    many: tuple[Inner, ...]
    pair: tuple[int, str]
    a_field_with_a_name_of_more_than_twenty_three_letters: tuple[int, ...]


INNER = st.builds(Inner, st.booleans(), st.text(max_size=40))
SAMPLES = st.builds(
    Sample,
    number=SIGNED_64,
    text=st.text(max_size=2000),
    data=st.binary(max_size=2000),
    word=st.sampled_from(["a", "bb"]),
    inner=INNER,
    maybe=st.none() | INNER,
    many=st.lists(INNER, max_size=40).map(tuple),
    pair=st.tuples(SIGNED_64, st.text(max_size=30)),
    a_field_with_a_name_of_more_than_twenty_three_letters=st.lists(SIGNED_64, max_size=300).map(tuple),
)


def canonical(value: Value) -> bytes:
    plain = msgspec.to_builtins(value, builtin_types=(bytes,))
    return cbor2.dumps({**plain, "v": 1}, canonical=True)


@given(SAMPLES)
def test_equals_the_canonical_mode_of_cbor2(value: Sample) -> None:
    assert encode(value) == canonical(value)


@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 1023, 1024, 65_535, 65_536, 100_000])
def test_heads_at_the_edges_of_their_widths(size: int) -> None:
    inner = Inner(flag=True, name="x" * size)
    value = Sample(
        size, "y" * size, bytes(size), "a", inner, None, (inner,) * min(size, 3), (-size, "z"), (-1 - size, size)
    )
    assert encode(value) == canonical(value)


def test_integers_at_the_edges() -> None:
    inner = Inner(flag=False, name="")
    edges = tuple(sign * (1 << bits) + step for bits in (8, 16, 32, 63) for sign in (1, -1) for step in (-1, 0, 1))
    value = Sample(0, "", b"", "bb", inner, inner, (), (0, ""), edges)
    assert encode(value) == canonical(value)


class Floating(Value, frozen=True, tag="floating"):
    number: float


class Choosing(Value, frozen=True, tag="choosing"):
    either: int | str


@pytest.mark.parametrize("kind", [Floating, Choosing])
def test_types_without_one_byte_form_are_refused(kind: type[Value]) -> None:
    with pytest.raises(TypeError):
        map_encoder(kind, {})
