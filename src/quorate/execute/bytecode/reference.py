"""The reference interpreter, which is the specification of the machine: a second engine that differs is wrong.

It favours plainness over speed. `run` is a pure function of a verified contract, a call, a state and a context.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from quorate.errors import TooLarge, UnknownFunction
from quorate.execute.bytecode.arguments import check_arguments, place_arguments
from quorate.execute.bytecode.container import Kind
from quorate.execute.bytecode.host import Call, Context, Outcome, Status, Trapped, Unresolved
from quorate.execute.bytecode.instructions import (
    arithmetic,
    bitwise,
    comparison,
    control,
    cryptography,
    stack,
    storage,
    system,
)
from quorate.execute.bytecode.journal import Journal
from quorate.execute.bytecode.machine import Frame, Machine
from quorate.execute.bytecode.opcodes import Op, Trap
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.verify import Contract

INSTRUCTIONS: Final[dict[Op, Callable[[Machine], None]]] = {
    op: function
    for family in (stack, arithmetic, bitwise, comparison, control, cryptography, storage, system)
    for op, function in family.INSTRUCTIONS.items()
}


class Step(NamedTuple):
    """What a tracer sees before each instruction: where the run is, the cycles left, and the cells of the function that
    is active."""

    pc: int
    op: Op
    immediate: int
    left: int
    depth: int
    locals: tuple[int, ...]
    stack: tuple[int, ...]


Trace = Callable[[Step], None]


def start(contract: Contract, call: Call, state: State | None, context: Context) -> Machine:
    """A machine that stands before the first instruction. Raises UnknownFunction, WrongArguments, TooLarge."""
    container = contract.container
    export = contract.export_named(call.function)
    if export is None:
        raise UnknownFunction(f"the contract has no function {call.function!r}", field="function")
    parameters = [(name, kind is Kind.BYTES) for name, kind in export.parameters]
    check_arguments(export.name, parameters, call.arguments)
    if state is not None and state.size > container.max_state_size:
        raise TooLarge(f"{state.size} bytes", field="state", limit=f"{container.max_state_size} bytes")
    memory = bytearray(container.max_memory)
    memory[: len(container.data)] = container.data
    placed = place_arguments(call.arguments, container.reserved, container.max_memory)
    for at, data in placed.data:
        memory[at : at + len(data)] = data
    journal = Journal(state, context, container.max_state_size)
    machine = Machine(contract, memory, journal, min(call.cycles_max, container.max_cycles))
    function = container.functions[export.function]
    machine.enter(Frame(function, placed.cells, base=0, back=function.start))
    return machine


def _step_of(machine: Machine) -> Step:
    frame, instruction = machine.frame, machine.fetch()
    return Step(
        instruction.pc,
        instruction.op,
        instruction.immediate,
        machine.left,
        len(machine.frames),
        tuple(frame.locals),
        tuple(frame.stack),
    )


def finish(machine: Machine, limit: int, trace: Trace | None = None) -> Outcome:
    """Runs `machine` to its end. `limit` is the cycles that the run began with."""
    pc = machine.pc
    try:
        while not machine.ended:
            pc = machine.pc
            if trace is not None:
                trace(_step_of(machine))
            INSTRUCTIONS[machine.fetch().op](machine)
    except Trapped as end:
        used = limit if end.trap is Trap.OUT_OF_CYCLES else limit - machine.left
        return Outcome(Status.TRAP, end.trap, pc, used, end.code)
    except Unresolved:
        return Outcome(Status.UNRESOLVED, Trap.NONE, pc, limit - machine.left)
    journal = machine.journal
    return Outcome(
        Status.OK,
        Trap.NONE,
        pc,
        limit - machine.left,
        results=machine.results,
        logs=tuple(journal.logs),
        emitted=bytes(journal.emitted),
        changes=journal.changes(),
        transfers=tuple(journal.transfers),
    )


def run(contract: Contract, call: Call, state: State | None, context: Context, trace: Trace | None = None) -> Outcome:
    """Calls a function of `contract`. `state` is None where the node does not have it: a run that asks for it ends
    UNRESOLVED. Raises UnknownFunction, WrongArguments, TooLarge; everything else is an Outcome."""
    machine = start(contract, call, state, context)
    return finish(machine, machine.left, trace)
