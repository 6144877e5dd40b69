"""The fewest cycles that a call of a function can cost if it returns, from the code alone.

A shortest path (Dijkstra, Numerische Mathematik 1959) over the instructions of each function, where a call costs what
the cheapest way through its callee costs; the functions are gone over until nothing changes, which takes at most as
many rounds as there are functions. No run that ends well costs less. It may cost more: the path may need conditions
that exclude one another, and charges by length are counted as nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, NamedTuple

from quorate.execute.bytecode.decoding import Instruction
from quorate.execute.bytecode.opcodes import ENDS, JUMPS, TABLE, Op
from quorate.execute.bytecode.verify import Contract

_NEVER: Final = 1 << 63
"""More than any run may cost."""


class _Ways(NamedTuple):
    """The cheapest way through a function to a RET of its own, and to a HALT, its own or deeper."""

    returning: int = _NEVER
    halting: int = _NEVER


def least_cycles(contract: Contract) -> dict[str, int | None]:
    """Of each exported function; None for one that never returns."""
    functions = contract.container.functions
    ways = [_Ways()] * len(functions)
    while True:
        again = [_ways(contract, function.start, ways) for function in functions]
        if again == ways:
            break
        ways = again
    least = {export.name: min(ways[export.function]) for export in contract.container.exports}
    return {name: None if cycles >= _NEVER else cycles for name, cycles in least.items()}


def _ways(contract: Contract, start: int, ways: list[_Ways]) -> _Ways:
    """The ways through the function that begins at `start`, with what is known of its callees."""
    waiting, done = [(0, start)], set[int]()
    returning = halting = _NEVER
    while waiting:
        spent, pc = heapq.heappop(waiting)
        if pc in done:
            continue
        done.add(pc)
        instruction = contract.code[pc]
        paid = spent + TABLE[instruction.op].cycles
        if instruction.op is Op.RET:
            returning = min(returning, paid)
        elif instruction.op is Op.HALT:
            halting = min(halting, paid)
        elif instruction.op is Op.CALL:
            callee = ways[instruction.immediate]
            halting = min(halting, paid + callee.halting)
            paid += callee.returning
        if paid < _NEVER:
            for after in _after(instruction):
                heapq.heappush(waiting, (paid, after))
    return _Ways(min(returning, _NEVER), min(halting, _NEVER))


def _after(instruction: Instruction) -> Iterator[int]:
    """Where a run may go on in the same function."""
    if instruction.op in JUMPS:
        yield instruction.immediate
    if instruction.op not in ENDS:
        yield instruction.after
