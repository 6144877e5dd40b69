"""What the calls of a contract can come to: whether a run could ever reach the limits of depth and cells.

Where the answer is no, the translated functions do not count. An answer of no is a proof; an answer of yes is not.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.execute.bytecode.machine import CALL_DEPTH_MAX
from quorate.execute.bytecode.opcodes import Op
from quorate.execute.bytecode.verify import Contract


class Counted(NamedTuple):
    """What functions have to count at run time."""

    depth: bool
    cells: bool


class _Call(NamedTuple):
    """A call; `below` are the caller's cells that stay below the callee's."""

    caller: int
    callee: int
    below: int


def _calls(contract: Contract) -> list[_Call]:
    container = contract.container
    found = []
    for index, function in enumerate(container.functions):
        end = container.end_of(index)
        for pc in (pc for pc in contract.code if function.start <= pc < end):
            if contract.code[pc].op is Op.CALL:
                callee = contract.code[pc].immediate
                taken = container.functions[callee].parameters
                found.append(_Call(index, callee, function.locals + contract.heights[pc] - taken))
    return found


def called(contract: Contract) -> frozenset[int]:
    """The functions that others, or they themselves, call."""
    return frozenset(call.callee for call in _calls(contract))


def _longest(count: int, calls: list[_Call]) -> tuple[list[int], list[int]] | None:
    """The greatest number of active functions, and of cells below, with which each function can be entered. None if
    functions call one another in a circle."""
    waiting = [0] * count
    of_caller: list[list[_Call]] = [[] for _ in range(count)]
    for call in calls:
        waiting[call.callee] += 1
        of_caller[call.caller].append(call)
    ready = [index for index in range(count) if not waiting[index]]
    depth, below = [1] * count, [0] * count
    for caller in ready:
        for call in of_caller[caller]:
            depth[call.callee] = max(depth[call.callee], depth[caller] + 1)
            below[call.callee] = max(below[call.callee], below[caller] + call.below)
            waiting[call.callee] -= 1
            if not waiting[call.callee]:
                ready.append(call.callee)
    return (depth, below) if len(ready) == count else None


def counted(contract: Contract) -> Counted:
    functions, limit = contract.container.functions, contract.container.max_cells
    calls = _calls(contract)
    longest = _longest(len(functions), calls)
    if longest is not None:
        frames = [at + one.locals + one.stack for at, one in zip(longest[1], functions, strict=True)]
        return Counted(max(longest[0]) > CALL_DEPTH_MAX, max(frames) > limit)
    most = max(call.below for call in calls) * (CALL_DEPTH_MAX - 1)
    return Counted(True, most + max(one.locals + one.stack for one in functions) > limit)
