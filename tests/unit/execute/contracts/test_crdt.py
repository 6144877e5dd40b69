"""Merging inside a contract: commutative, associative, idempotent over 10,000 random histories of each kind, equal to
Python's merge. They run on the machine in C; the reference runs some of them too."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from tests.support.contracts import Contracted

from quorate.execute.bytecode.compiler.program import Compiled, compile_contract
from quorate.execute.bytecode.engines import Engine
from quorate.execute.bytecode.opcodes import Trap
from quorate.execute.bytecode.replica import Replica

SOURCE = """
from mhr import buffer, crdt, emit, export, limits, memory, nat
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
KEEP = """
def keep(a: bytes, b: bytes, out: buffer) -> nat:
    return memory.copy(out, a)

"""
GCOUNTER, GSET, REGISTER, ORSET, RGA = range(5)
KINDS = {"GCounter": GCOUNTER, "GSet": GSET, "LWWRegister": REGISTER, "ORSet": ORSET, "RGA": RGA}
HISTORIES = 10_000
"""For each kind, in about two seconds of processor time."""
SAMPLE = 40
"""The reference takes a hundred times as long."""


@pytest.fixture(scope="module")
def contract() -> Contracted:
    return Contracted(SOURCE)


def canonical(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_contract(SOURCE, "laws.py")


def beginning(kind: int, chance: random.Random) -> Any:
    """What one of three replicas has at first: it may contradict what the others have, as if a writer had lied."""
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


def changed(kind: int, value: Any, writer: int, chance: random.Random) -> Any:
    """`value` after one change by a replica that keeps the rules."""
    name = bytes([97 + writer])
    if kind == REGISTER:
        return [value[0] + chance.randrange(2), name, chance.choice([b"", b"x", b"yy"])]
    value = dict(value)
    if kind == GCOUNTER:
        value[name] = value.get(name, 0) + chance.choice([1, 30, 300])
    elif kind == GSET:
        value[name * chance.randrange(1, 4)] = True
    elif kind == ORSET:
        taken = [key for key, removed in value.items() if not removed]
        key = chance.choice([*taken, name * 15 + bytes([len(value)]) + b"x"])
        value[key] = int(key in value)
    else:
        key = chance.choice([*value, name + bytes([len(value)])])
        before = chance.choice([b"", *(one for one in value if one < key)])
        value[key] = [1, *value[key][1:]] if key in value else [0, before, b"text"]
    return value


def history(kind: int, chance: random.Random) -> list[Any]:
    """What three replicas have after changes of their own and meetings."""
    values = [beginning(kind, chance) for _ in range(3)]
    for _ in range(chance.randrange(5)):
        one, other = chance.sample(range(3), 2)
        if chance.random() < 0.3:
            values[one] = merged(kind, [values[one], values[other]])
        else:
            values[one] = changed(kind, values[one], one, chance)
    return values


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
def test_merging_obeys_its_laws(engine: Engine, compiled: Compiled, name: str) -> None:
    kind, chance, replica = KINDS[name], random.Random(name), Replica(compiled, engine)
    for _ in range(HISTORIES):
        values = history(kind, chance)
        answer = replica.call("laws", kind, *map(canonical, values))
        assert answer.emitted == canonical(merged(kind, values)), values
    assert len(replica.costs) == HISTORIES


@pytest.mark.parametrize("name", KINDS)
def test_the_reference_agrees(engine: Engine, compiled: Compiled, name: str) -> None:
    kind, chance = KINDS[name], random.Random(name)
    fast, reference = Replica(compiled, engine), Replica(compiled)
    for _ in range(SAMPLE):
        values = list(map(canonical, history(kind, chance)))
        assert fast.call("laws", kind, *values) == reference.call("laws", kind, *values)


def test_a_merge_that_is_not_commutative_is_noticed(engine: Engine) -> None:
    """The first of two registers instead of the greater: the contract that tests the laws says which one is broken."""
    source = SOURCE.replace("crdt.merge(kind, ", "keep(").replace("@export", KEEP + "@export", 1)
    replica = Replica(compile_contract(source, "laws.py"), engine)
    one, other = canonical([1, b"a", b"x"]), canonical([2, b"a", b"x"])
    replica.refuses(1, "laws", REGISTER, one, other, other)
    assert replica.call("laws", REGISTER, one, one, one).emitted == one


@pytest.mark.parametrize("name", ["GCounter", "GSet"])
def test_random_histories_are_compared(engine: Engine, compiled: Compiled, name: str) -> None:
    kind, chance, replica = KINDS[name], random.Random(name), Replica(compiled, engine)
    seen = set()
    for _ in range(SAMPLE * 25):
        one, other, _ = history(kind, chance)
        says = order(one, other)
        assert replica.call("compare", kind, canonical(one), canonical(other)).value == says
        seen.add(says)
    assert seen == {0, 1, 2, 3}


def order(one: dict[bytes, int], other: dict[bytes, int]) -> int:
    """0 equal, 1 before, 2 after, 3 concurrent: as vector clocks are compared (Mattern 1988)."""
    keys = one.keys() | other.keys()
    less = any(one.get(key, 0) < other.get(key, 0) for key in keys)
    more = any(one.get(key, 0) > other.get(key, 0) for key in keys)
    return less + 2 * more


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
