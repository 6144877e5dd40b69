"""The reference: calls, context, effects, the trace, and what holds for every run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.bytecode_vectors.form import reference
from tests.support.bytecode_vectors.programs import COUNTER, FIB_LOOP
from tests.support.bytecode_vectors.refusing import GOOD
from tests.support.random_contracts import request

from quorate.errors import InvalidField, TooLarge, UnknownFunction, WrongArguments
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.host import Call, Context, Outcome, Status
from quorate.execute.bytecode.machine import CALL_DEPTH_MAX
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, Op, Trap
from quorate.execute.bytecode.reference import INSTRUCTIONS, Step, finish, run, start
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.vectors import SELF_ID, SENDER
from quorate.execute.bytecode.verify import load

CONTEXT = Context(SELF_ID, SENDER)
SEEDS = st.integers(0, 2**40)


def limited(asked, cycles_max):
    return asked._replace(call=Call(asked.call.function, asked.call.arguments, cycles_max))


def traced(asked):
    """The outcome and the steps of a run."""
    steps: list[Step] = []
    contract = load(asked.container)
    return contract, run(contract, asked.call, asked.state, asked.context, steps.append), steps


def test_every_opcode_has_its_function():
    assert set(INSTRUCTIONS) == set(Op)
    assert len({function.__qualname__ + function.__module__ for function in INSTRUCTIONS.values()}) == 47


@given(SEEDS)
@settings(max_examples=150)
def test_no_run_breaks_an_invariant(seed):
    asked = request(seed)
    contract, outcome, steps = traced(asked)
    limit = min(asked.call.cycles_max, contract.container.max_cycles)
    assert outcome.cycles <= limit
    assert outcome.pc == steps[-1].pc
    assert [step.left for step in steps] == sorted((step.left for step in steps), reverse=True)
    for step in steps:
        assert len(step.stack) == contract.heights[step.pc]
        assert all(CELL_MIN <= cell <= CELL_MAX for cell in step.stack + step.locals)
        assert 1 <= step.depth <= CALL_DEPTH_MAX
    if outcome.status is not Status.OK:
        assert (outcome.results, outcome.logs, outcome.emitted) == ((), (), b"")
        assert (outcome.changes, outcome.transfers) == ((), ())
    if outcome.status is Status.OK and asked.state is not None:
        assert asked.state.updated(outcome.changes).size <= contract.container.max_state_size
    assert sum(one.amount for one in outcome.transfers if one.to != SELF_ID) <= 100


@given(SEEDS)
@settings(max_examples=50)
def test_a_run_is_a_function_of_its_inputs(seed):
    assert reference(request(seed)) == reference(request(seed))


@given(SEEDS, st.data())
@settings(max_examples=100)
def test_out_of_cycles_is_exact(seed, data):
    """With fewer cycles than a run takes, it stops at the very instruction that cannot be paid; with as many, it is the
    same run."""
    asked = limited(request(seed), 5_000)
    _, whole, steps = traced(asked)
    if whole.trap is not Trap.OUT_OF_CYCLES:
        assert reference(limited(asked, whole.cycles)) == whole
    limit = data.draw(st.integers(1, whole.cycles - 1)) if whole.cycles > 1 else 0
    if limit:
        spent = [5_000 - step.left for step in steps]
        pc = next(step.pc for step, paid in zip(reversed(steps), reversed(spent), strict=True) if paid <= limit)
        expected = Outcome(Status.TRAP, Trap.OUT_OF_CYCLES, pc, limit)
        assert reference(limited(asked, limit)) == expected


def test_random_contracts_end_in_many_ways():
    """Otherwise the properties above would hold for nothing."""
    ends = [reference(request(seed)).trap for seed in range(400)]
    assert ends.count(Trap.NONE) > 60
    assert len(set(ends)) >= 8


def test_an_endless_loop_stops_at_its_declared_cycles():
    contract = load(assemble(".cycles 777\n.func main() -> 0\nagain:\nJMP again"))
    outcome = run(contract, Call("main"), None, CONTEXT)
    assert (outcome.trap, outcome.cycles) == (Trap.OUT_OF_CYCLES, 777)
    assert run(contract, Call("main", cycles_max=10**6), None, CONTEXT).cycles == 777
    assert run(contract, Call("main", cycles_max=76), None, CONTEXT).cycles == 76


def test_unknown_function_and_wrong_arguments_are_different_errors():
    contract = load(assemble(GOOD))
    with pytest.raises(UnknownFunction):
        run(contract, Call("inner", (1,)), None, CONTEXT)
    for arguments in ((), (1,), (b"", b""), (1, 1), (2**63, b""), (1, bytes(57))):
        with pytest.raises(WrongArguments):
            run(contract, Call("main", arguments), None, CONTEXT)
    with pytest.raises(TooLarge):
        run(contract, Call("main", (1, b"")), State.of({b"k": bytes(32)}), CONTEXT)
    assert run(contract, Call("main", (1, b"")), None, CONTEXT).results == (1,)


def test_state_goes_from_call_to_call():
    contract, state = load(assemble(COUNTER)), State()
    for step, total in ((5, 5), (-2, 3), (10, 13)):
        outcome = run(contract, Call("main", (step,)), state, CONTEXT)
        assert outcome.results == (total,)
        state = state.updated(outcome.changes)
    assert run(contract, Call("main", (1,)), state, Context(SELF_ID, b"\x01" * 16)).results == (1,)
    assert run(contract, Call("main", (1,)), None, CONTEXT).status is Status.UNRESOLVED


def test_a_run_changes_nothing_that_it_was_given():
    contract, state = load(assemble(COUNTER)), State.of({SENDER: bytes(8)})
    run(contract, Call("main", (1,)), state, CONTEXT)
    assert state == State.of({SENDER: bytes(8)})


def test_a_run_can_be_finished_from_its_middle():
    contract = load(assemble(FIB_LOOP))
    whole = run(contract, Call("main", (30,)), None, CONTEXT)
    machine = start(contract, Call("main", (30,)), None, CONTEXT)
    limit = machine.left
    for _ in range(200):
        INSTRUCTIONS[machine.fetch().op](machine)
    assert finish(machine, limit) == whole


@pytest.mark.parametrize(
    "fields",
    [
        {"self_id": bytes(15)},
        {"sender": bytes(17)},
        {"epoch": -1},
        {"epoch": 2**63},
        {"balances": ((bytes(15), 1),)},
        {"balances": ((SELF_ID, -1),)},
        {"balances": ((SELF_ID, 2**63 - 1), (SENDER, 1))},
        {"balances": ((SENDER, 1), (SELF_ID, 1))},
        {"balances": ((SELF_ID, 1), (SELF_ID, 1))},
    ],
)
def test_a_context_that_cannot_be_is_refused(fields):
    assert Context(SELF_ID, SENDER, 0, ((SELF_ID, 2**63 - 2), (SENDER, 1)))
    with pytest.raises(InvalidField):
        Context(**({"self_id": SELF_ID, "sender": SENDER} | fields))


@pytest.mark.parametrize("cycles", [0, -1, 2**63])
def test_a_limit_out_of_range_is_refused(cycles):
    with pytest.raises(InvalidField):
        Call("main", (), cycles)
