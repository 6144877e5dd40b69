"""The fewest cycles that the code allows: exact where there is one way, never more than a run that returns costs."""

from __future__ import annotations

import pytest
from tests.support.bytecode_vectors.form import vectors
from tests.support.shipped import NAMES, compiled

from quorate.errors import BadContract
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.costs import least_cycles
from quorate.execute.bytecode.host import Call, Context
from quorate.execute.bytecode.reference import run
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.vectors import request_of
from quorate.execute.bytecode.verify import load

CONTEXT = Context(b"c" * 16, b"s" * 16)
WAYS = """
.func straight() -> 0
    PUSH 1
    POP
    CALL inner
    RET
.func inner/0 -> 0
    PUSH 0
    JZ short
    PUSH 1
    POP
    PUSH 1
    POP
short:
    RET
.func aborts() -> 0
    PUSH 7
    ABORT
.func forever() -> 0
    PUSH 0
    JZ deeper
    HALT
deeper:
    CALL forever
    RET
.func endless() -> 0
    CALL endless
    RET
.func halts_inside(n: int) -> 0
    CALL stop
    RET
.func stop/0 -> 0
    HALT
"""


def test_the_cheapest_way_that_returns() -> None:
    assert least_cycles(load(assemble(WAYS))) == {
        "straight": 2 + 5 + 6 + 3,
        "aborts": None,
        "forever": 1 + 2 + 2,
        "endless": None,
        "halts_inside": 5 + 2,
    }


def test_a_straight_line_costs_what_it_says() -> None:
    contract = load(assemble(WAYS))
    assert run(contract, Call("straight"), State(), CONTEXT).cycles == least_cycles(contract)["straight"]


def test_no_vector_that_returns_costs_less() -> None:
    known: dict[bytes, dict[str, int | None]] = {}
    compared = 0
    for vector, containers in vectors():
        if vector["expect"].get("status") != "ok":
            continue
        request = request_of(vector, containers)
        if request.container not in known:
            known[request.container] = least_cycles(load(request.container))
        least = known[request.container][request.call.function]
        assert least is not None
        assert least <= int(vector["expect"]["cycles"]), vector["name"]
        compared += 1
    assert compared > 500


@pytest.mark.parametrize("name", NAMES)
def test_every_function_of_a_shipped_contract_can_return_within_its_cap(name: str) -> None:
    contract = load(compiled(name).container)
    for function, cycles in least_cycles(contract).items():
        assert cycles is not None, function
        assert cycles < contract.container.max_cycles


def test_what_does_not_load_has_no_cost() -> None:
    with pytest.raises(BadContract):
        least_cycles(load(b"MHRB"))
