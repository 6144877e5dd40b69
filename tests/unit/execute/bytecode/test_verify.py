"""The verifier beyond its vectors: what it lets through runs, and random code is accepted or refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.bytecode_vectors.refusing import CODE

from quorate.errors import BadContract
from quorate.execute.bytecode.assembler import with_stacks
from quorate.execute.bytecode.container import Container, Export, Function, encode
from quorate.execute.bytecode.decoding import Instruction, decode, encode_sleb
from quorate.execute.bytecode.decoding import encode as encode_instruction
from quorate.execute.bytecode.faults import Fault
from quorate.execute.bytecode.host import Call, Context
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, TABLE, Immediate, Op
from quorate.execute.bytecode.reference import run
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.vectors import SELF_ID, SENDER
from quorate.execute.bytecode.verify import load

FAULTS_OF_CODE = list(Fault)[list(Fault).index(Fault.UNKNOWN_OPCODE) :]
CONTEXT = Context.of(SELF_ID, SENDER, 1, {SELF_ID: 10})


def contract_of(code, slots=3):
    draft = Container(64, 500, 100, (Function(0, 0, 0, slots, 0),), (Export(0, "main", ()),), code)
    return load(encode(with_stacks(draft)))


def refusal_of(code):
    """The fault and its address; None if the code verifies."""
    try:
        contract_of(code)
    except BadContract as error:
        return error.fault, error.at
    return None


OPERANDS = {
    Immediate.NONE: st.just(0),
    Immediate.CELL: st.integers(-5, 40),
    Immediate.TARGET: st.integers(0, 30),
    Immediate.FUNCTION: st.just(0),
    Immediate.MODE: st.sampled_from([0, 1, 2, 3, 8, 0x40, 0x41, 0x42]),
}


@st.composite
def instructions(draw):
    op = draw(st.sampled_from([Op.PUSH] * 20 + list(Op)))
    return encode_instruction(op, draw(OPERANDS[TABLE[op].immediate]))


@given(st.lists(instructions(), min_size=1, max_size=12))
@settings(max_examples=400)
def test_what_is_verified_never_meets_a_broken_stack(parts):
    """Random instructions, most of them nonsense: either refused by name, or the run ends as an outcome."""
    code = b"".join(parts) + bytes([Op.HALT])
    refused = refusal_of(code)
    if refused is not None:
        fault, at = refused
        assert fault in FAULTS_OF_CODE
        assert 0 <= at < len(code)
        return
    run(contract_of(code), Call("main"), State(), CONTEXT)


@given(st.binary(min_size=1, max_size=40))
def test_random_bytes_are_accepted_or_refused_by_name(code):
    refused = refusal_of(code)
    assert refused is None or refused[0] in FAULTS_OF_CODE


def test_each_fault_of_code_has_a_case():
    assert {fault for fault, *_ in CODE} == set(FAULTS_OF_CODE)


@given(st.integers(CELL_MIN, CELL_MAX))
def test_immediates_make_the_round_trip_in_the_shortest_form(value):
    code = encode_instruction(Op.PUSH, value)
    assert decode(code, 0, len(code)) == Instruction(0, Op.PUSH, value, len(code))
    shortest = max(1, -(-((value if value >= 0 else ~value).bit_length() + 1) // 7))
    assert len(encode_sleb(value)) == shortest


@given(st.integers(CELL_MIN, CELL_MAX), st.integers(1, 3))
def test_a_longer_form_is_refused(value, extra):
    short = encode_sleb(value)
    filler = 0xFF if value < 0 else 0x80
    last = 0x7F if value < 0 else 0x00
    code = bytes([Op.PUSH]) + short[:-1] + bytes([short[-1] | 0x80]) + bytes([filler] * (extra - 1) + [last])
    with pytest.raises(BadContract) as caught:
        decode(code, 0, len(code))
    assert caught.value.fault in {"long_immediate", "wide_immediate"}


def test_heights_are_known_for_every_instruction():
    contract = contract_of(bytes.fromhex("0105010310") + bytes([Op.POP, Op.RET]))
    assert contract.heights == {0: 0, 2: 1, 4: 2, 5: 1, 6: 0}
    assert set(contract.heights) == set(contract.code)
