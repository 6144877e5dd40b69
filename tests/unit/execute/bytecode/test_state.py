"""State: one byte form, equal to cbor2's canonical one, and a key that names it."""

from __future__ import annotations

import cbor2
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from quorate.errors import MalformedBytes
from quorate.execute.bytecode.state import State, changes_between

ENTRIES = st.dictionaries(st.binary(max_size=40), st.binary(max_size=300), max_size=30)


@given(ENTRIES)
def test_the_byte_form_is_canonical_cbor(entries):
    state = State.of(entries)
    assert state.encode() == cbor2.dumps(entries, canonical=True)
    assert State.decode(state.encode()) == state
    assert state.key == blake3(state.encode()).digest()
    assert state.size == sum(len(key) + len(value) for key, value in entries.items())


@given(ENTRIES, ENTRIES)
def test_changes_lead_from_one_state_to_the_other(before, after):
    changes = changes_between(State.of(before), after)
    assert State.of(before).updated(changes) == State.of(after)
    assert all(before.get(key) != value for key, value in changes)


def test_order_of_insertion_is_not_seen():
    pairs = {b"b": b"1", b"a": b"2", b"": b"3", b"aa": b"4"}
    assert State.of(pairs) == State.of(dict(reversed(pairs.items())))
    assert [key for key, _ in State.of(pairs).entries] == [b"", b"a", b"b", b"aa"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xa1",
        b"\xa1\x40",
        b"\xa1\x41a",
        b"\xa0\x00",
        b"\xb8\x00",
        b"\xa1\x58\x01a\x40",
        b"\xa2\x41b\x40\x41a\x40",
        b"\xa2\x41a\x40\x41a\x40",
        b"\xa2\x42aa\x40\x41a\x40",
        b"\xa1\x61a\x40",
        b"\xa1\x41a\x01",
        b"\xbf\xff",
        b"\xa1\x41a\x5a\xff\xff\xff\xff",
        b"\x80",
        b"\xc0\xa0",
    ],
)
def test_other_forms_are_refused(data):
    with pytest.raises(MalformedBytes):
        State.decode(data)


@given(st.binary(max_size=60))
def test_hostile_bytes_are_the_one_form_or_refused(data):
    try:
        state = State.decode(data)
    except MalformedBytes:
        return
    assert state.encode() == data
