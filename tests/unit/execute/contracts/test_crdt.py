"""Merging inside a contract: commutative, associative, idempotent over random histories, equal to Python's merge."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from tests.support.contracts import Contracted

from quorate.execute.bytecode.opcodes import Trap

SOURCE = """
from mhr import buffer, crdt, emit, export, limits, nat
limits(arguments=8192)
ONE = buffer(1024)
TWO = buffer(1024)
THREE = buffer(1024)
NOT_COMMUTATIVE = 1
NOT_ASSOCIATIVE = 2
NOT_IDEMPOTENT = 3

@export
def laws(kind: nat, a: bytes, b: bytes, c: bytes) -> None:
    both = ONE[: crdt.merge(kind, a, b, ONE)]
    other = TWO[: crdt.merge(kind, b, a, TWO)]
    assert both == other, NOT_COMMUTATIVE
    again = TWO[: crdt.merge(kind, both, both, TWO)]
    assert both == again, NOT_IDEMPOTENT
    left = TWO[: crdt.merge(kind, both, c, TWO)]
    right = ONE[: crdt.merge(kind, b, c, ONE)]
    whole = THREE[: crdt.merge(kind, a, right, THREE)]
    assert left == whole, NOT_ASSOCIATIVE
    emit(left)

@export
def merge(kind: nat, a: bytes, b: bytes) -> None:
    emit(ONE[: crdt.merge(kind, a, b, ONE)])

@export
def compare(kind: nat, a: bytes, b: bytes) -> int:
    return crdt.compare(kind, a, b)

@export
def total(a: bytes) -> int:
    return crdt.total(a)

@export
def contains(a: bytes, element: bytes) -> bool:
    return crdt.contains(a, element)
"""
GCOUNTER, GSET, REGISTER, ORSET, RGA = range(5)
KINDS = {"GCounter": GCOUNTER, "GSet": GSET, "LWWRegister": REGISTER, "ORSet": ORSET, "RGA": RGA}
HISTORIES = 150
"""For each kind. The reference takes about 40 ms for one."""


@pytest.fixture(scope="module")
def contract() -> Contracted:
    return Contracted(SOURCE)


def canonical(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


def replica(kind: int, chance: random.Random) -> Any:
    """What one of three replicas has after a few random changes."""
    if kind == REGISTER:
        return [chance.randrange(3), chance.choice([b"a", b"b"]), chance.choice([b"", b"x", b"yy"])]
    value: dict[bytes, Any] = {}
    for _ in range(chance.randrange(3)):
        name = chance.choice([b"a", b"b", b"cc"])
        if kind == GCOUNTER:
            value[name] = value.get(name, 0) + chance.choice([1, 30, 300])
        elif kind == GSET:
            value[name] = True
        elif kind == ORSET:
            value[bytes([chance.randrange(3)]) * 16 + name] = chance.randrange(2)
        else:
            value[name] = [chance.randrange(2), b"", b"text of " + name]
    return value


def merged(kind: int, values: list[Any]) -> Any:
    """Python's merge, by the meaning of each kind and not by the bytes."""
    if kind == REGISTER:
        return max(values, key=lambda one: (one[0], one[1], len(one[2]), one[2]))
    rule: dict[int, Callable[..., Any]] = {
        GCOUNTER: max,
        GSET: lambda one, _: one,
        ORSET: max,
        RGA: lambda one, other: one if one[0] >= other[0] else other,
    }
    result: dict[bytes, Any] = {}
    for value in values:
        for key, entry in value.items():
            result[key] = rule[kind](result[key], entry) if key in result else entry
    return result


@pytest.mark.parametrize("name", KINDS)
def test_merging_obeys_its_laws(contract: Contracted, name: str) -> None:
    kind, chance = KINDS[name], random.Random(name)
    for _ in range(HISTORIES):
        values = [replica(kind, chance) for _ in range(3)]
        outcome = contract.ok("laws", kind, *map(canonical, values))
        assert outcome.emitted == canonical(merged(kind, values)), values


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ({b"a": 1}, {b"a": 1}, 0),
        ({b"a": 1}, {b"a": 2}, 1),
        ({b"a": 1}, {b"a": 1, b"b": 1}, 1),
        ({b"a": 300}, {b"a": 299}, 2),
        ({b"a": 1}, {b"b": 1}, 3),
        ({b"a": 1, b"b": 2}, {b"a": 2, b"b": 1}, 3),
        ({}, {}, 0),
        ({}, {b"a": 1}, 1),
    ],
)
def test_histories_are_compared(contract: Contracted, one: Any, other: Any, says: int) -> None:
    assert contract.value("compare", GCOUNTER, canonical(one), canonical(other)) == says


def test_what_values_say(contract: Contracted) -> None:
    assert contract.value("total", canonical({b"a": 3, b"bb": 300})) == 303
    first, second = b"1" * 16, b"2" * 16
    removed = canonical({first + b"x": 1})
    assert contract.value("contains", removed, b"x") == 0
    again = contract.ok("merge", ORSET, removed, canonical({second + b"x": 0, first + b"x": 0})).emitted
    assert contract.value("contains", again, b"x") == 1
    assert contract.value("contains", again, b"y") == 0


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        (GCOUNTER, {b"a": -1}, -15),
        (GCOUNTER, {"a": 1}, -15),
        (GCOUNTER, [], -15),
        (GSET, {b"a": False}, -20),
        (ORSET, {b"short": 0}, -20),
        (ORSET, {b"1" * 16: 2}, -20),
        (RGA, {b"a": [2, b"", b""]}, -20),
        (RGA, {b"a": [0, b""]}, -20),
        (REGISTER, [1, b"a"], -20),
        (REGISTER, {}, -15),
    ],
)
def test_what_is_no_value_of_the_kind_is_refused(contract: Contracted, kind: int, value: Any, code: int) -> None:
    outcome = contract.call("merge", kind, canonical(value), canonical(value))
    assert (outcome.trap, outcome.code) == (Trap.ABORTED, code)


def test_keys_out_of_order_are_refused(contract: Contracted) -> None:
    outcome = contract.call("merge", GCOUNTER, bytes.fromhex("a2416201416101"), b"\xa0")
    assert (outcome.trap, outcome.code) == (Trap.ABORTED, -13)
