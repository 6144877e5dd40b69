"""The container: one byte form, an address, and a refusal for every byte that is changed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bytecode_vectors.form import vectors
from tests.support.bytecode_vectors.refusing import GOOD
from tests.support.random_contracts import source

from quorate.errors import BadContract
from quorate.execute.bytecode.assembler import assemble, parse
from quorate.execute.bytecode.container import EMPTY_STATE_KEY, Kind, address_of, check_of, decode, encode
from quorate.execute.bytecode.faults import Fault
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.verify import load


def fault_of(data):
    """The name of the refusal; None if it loads. Any other error goes through."""
    try:
        load(data)
    except BadContract as error:
        return error.fault
    return None


def test_encode_and_decode_are_inverse():
    container = parse(GOOD)
    data = encode(container)
    assert decode(data) == container
    assert encode(decode(data)) == data
    assert container.exports[0].parameters[1] == ("y", Kind.BYTES)
    assert container.state_key == EMPTY_STATE_KEY == State().key


@given(st.integers(0, 2**32))
def test_round_trip_of_random_contracts(seed):
    data = assemble(source(seed))
    assert encode(decode(data)) == data


def test_a_contract_is_named_by_its_digest():
    data = assemble(GOOD)
    assert load(data, address_of(data)).address == address_of(data)
    other = assemble(GOOD.replace(".cycles 1000", ".cycles 1001"))
    assert address_of(other) != address_of(data)
    with pytest.raises(BadContract) as caught:
        load(other, address_of(data))
    assert caught.value.fault == "wrong_address"


def test_every_flipped_byte_is_refused():
    data = assemble(GOOD)
    for at in range(len(data)):
        with pytest.raises(BadContract):
            load(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


@given(st.binary(max_size=300), st.booleans())
def test_hostile_bytes_are_refused_and_nothing_else(data, sealed):
    head = assemble(GOOD)[:64] if sealed else b""
    body = head + data
    assert fault_of(body + check_of(body)) in set(Fault)


@given(st.data())
def test_a_good_container_with_a_changed_byte_and_a_right_check_loads_or_is_refused_by_name(data):
    body = bytearray(assemble(GOOD)[:-4])
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    whole = bytes(body) + check_of(bytes(body))
    fault = fault_of(whole)
    assert fault in set(Fault) or encode(load(whole).container) == whole


@pytest.mark.parametrize("field", ["max_cells", "max_memory", "max_state_size", "max_cycles"])
def test_each_limit_has_its_own_refusal(field):
    data = encode(msgspec.structs.replace(parse(GOOD), **{field: 2**16 - 1 if field == "max_cells" else 2**32 - 1}))
    if field == "max_cycles":
        assert load(data).container.max_cycles == 2**32 - 1
        return
    with pytest.raises(BadContract) as caught:
        decode(data)
    assert caught.value.fault in {"limit_cells", "limit_memory", "limit_state"}
    assert field in caught.value.message


def test_a_refusal_says_where_and_how_to_mend_it():
    vector, containers = next(pair for pair in vectors() if pair[0]["name"] == "refused/underflow/add_one")
    data = vector["container"]
    with pytest.raises(BadContract) as caught:
        load(bytes.fromhex(containers.get(data, data)))
    assert caught.value.at == 2
    assert str(caught.value).startswith("code byte 2: takes 2 cells of 1")
    assert caught.value.fix
