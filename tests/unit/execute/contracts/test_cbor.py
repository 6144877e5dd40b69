"""Deterministic CBOR inside a contract, against cbor2, the examples of RFC 8949 and damaged bytes."""

from __future__ import annotations

import random
from typing import Any

import cbor2
import pytest
from tests.support.contracts import Contracted

from quorate.execute.bytecode.host import Status
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, Trap

SOURCE = """
from mhr import buffer, cbor, emit, export, limits
limits(arguments=65536)
OUT = buffer(4096)

@export
def check(data: bytes) -> None:
    cbor.check(data)

@export
def number(data: bytes) -> int:
    value, end = cbor.read_int(data, 0)
    assert end == len(data), 1
    return value

@export
def write_number(value: int) -> None:
    emit(OUT[: cbor.write_int(OUT, 0, value)])

@export
def write_strings(data: bytes) -> None:
    at = cbor.write_head(OUT, 0, cbor.ARRAY, 2)
    at = cbor.write_bytes(OUT, at, data)
    at = cbor.write_text(OUT, at, data)
    emit(OUT[:at])
"""


@pytest.fixture(scope="module")
def contract() -> Contracted:
    return Contracted(SOURCE)


@pytest.mark.parametrize("edge", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, CELL_MAX])
def test_numbers_of_every_width(contract: Contracted, edge: int) -> None:
    for value in (edge, ~edge):
        assert CELL_MIN <= value <= CELL_MAX
        data = contract.ok("write_number", value).emitted
        assert data == cbor2.dumps(value)
        assert contract.value("number", data) == value


@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 2000])
def test_strings_of_every_width(contract: Contracted, size: int) -> None:
    data = b"q" * size
    assert contract.ok("write_strings", data).emitted == cbor2.dumps([data, data.decode()])
    contract.ok("check", cbor2.dumps([data, data.decode()]))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", -10),
        ("18", -10),
        ("1801", -11),
        ("1817", -11),
        ("190018", -11),
        ("1a0000ffff", -11),
        ("1b00000000ffffffff", -11),
        ("5801ff", -11),
        ("1b8000000000000000", -12),
        ("1c", -12),
        ("ff", -12),
        ("5f4100ff", -12),
        ("9fff", -12),
        ("bfff", -12),
        ("c000", -12),
        ("f7", -12),
        ("f818", -12),
        ("f97e00", -12),
        ("fb3ff199999999999a", -12),
        ("43aabb", -10),
        ("63aabb", -10),
        ("9a7fffffff", -10),
        ("bb7fffffffffffffff", -10),
        ("5b7fffffffffffffff", -10),
        ("8101" + "00", -17),
        ("a200000000", -13),
        ("a201000000", -13),
        ("a2410000" + "00" + "00", -13),
        ("81" * 16 + "00", -14),
    ],
)
def test_what_is_not_deterministic_traps(contract: Contracted, data: str, code: int) -> None:
    outcome = contract.call("check", bytes.fromhex(data))
    assert (outcome.trap, outcome.code) == (Trap.ABORTED, code)


def item(chance: random.Random, depth: int) -> Any:
    form = chance.randrange(7 if depth else 5)
    if form < 2:
        return chance.choice([1, -1]) * chance.randrange(2 ** chance.randrange(1, 63))
    if form < 4:
        text = "q" * chance.randrange(30)
        return text if form == 2 else text.encode()
    if form == 4:
        return chance.choice([True, False, None])
    inner = [item(chance, depth - 1) for _ in range(chance.randrange(4))]
    return inner if form == 5 else {chance.randrange(1000): one for one in inner}


def is_deterministic(data: bytes) -> bool:
    """What cbor2 thinks: it decodes to something whose deterministic form is the same bytes. Text that is not UTF-8 is
    let through, as the library does."""
    try:
        return bool(cbor2.dumps(cbor2.loads(data), canonical=True) == data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError) as error:
        return isinstance(error.__cause__, UnicodeDecodeError)


def test_random_items_pass_and_damaged_ones_never_hang(contract: Contracted) -> None:
    chance = random.Random(8949)
    for _ in range(300):
        data = bytearray(cbor2.dumps(item(chance, 3), canonical=True))
        contract.ok("check", bytes(data))
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        outcome = contract.call("check", bytes(data))
        assert outcome.trap in (Trap.NONE, Trap.ABORTED)
        if outcome.status is Status.OK:
            assert is_deterministic(bytes(data)), data.hex()
