"""Where things lie: the contract's memory from address 0, behind it an exchange area that no contract can address, and
the locals of a translated function.

    SITE    u32   the place in the code at which the run stopped
    LAST    u32   the address of the RET that ended the run
    LEFT    i64   cycles left, both ways
    EPOCH   i64   the epoch of the call
    SENDER  16    the caller's id
    SELF    16    the contract's id
    CELLS         arguments, results, operands of host calls, or the locals and stack of a function that stopped
"""

from __future__ import annotations

from typing import Final, NamedTuple

from quorate.execute.bytecode.container import Container, Function
from quorate.execute.bytecode.opcodes import LOCALS_MAX
from quorate.execute.bytecode.translate.bounds import Counted
from quorate.execute.bytecode.verify import HEIGHT_MAX

SITE: Final = 0
LAST: Final = 4
LEFT: Final = 8
EPOCH: Final = 16
SENDER: Final = 24
SELF: Final = 40
CELLS: Final = 56
CELL_BYTES: Final = 8
EXCHANGE_BYTES: Final = CELLS + CELL_BYTES * (LOCALS_MAX + HEIGHT_MAX)
PAGE_BYTES: Final = 65_536


def exchange_of(container: Container) -> int:
    """The address of the exchange area."""
    return container.max_memory + -container.max_memory % CELL_BYTES


def pages_of(container: Container) -> int:
    return -(-(exchange_of(container) + EXCHANGE_BYTES) // PAGE_BYTES)


class Locals(NamedTuple):
    """The WebAssembly locals of a function. Its callers give the contract's parameters, then cycles left and what is
    counted of active functions and cells of the frames below. Then come the next block of a dispatched function, the
    contract's other locals, and the operand stack as it is between blocks. A function that is written inside another
    has its own parameters and stack behind all that the other uses, and its results behind these."""

    left: int
    active: int
    below: int
    following: int
    parameters: int
    parameters_at: int
    others_at: int
    stack_at: int
    results_at: int
    end: int

    def slot(self, index: int) -> int:
        """The contract's local `index`."""
        first = self.parameters_at if index < self.parameters else self.others_at - self.parameters
        return first + index

    def cell(self, height: int) -> int:
        """The cell of the operand stack with `height` cells below it."""
        return self.stack_at + height


def locals_of(function: Function, counted: Counted, metered: bool = True) -> Locals:
    """Without `metered` the function does not count cycles, and has no `left`."""
    left = function.parameters - (not metered)
    active = left + counted.depth
    below = active + counted.cells
    others = below + 2
    stack = others + function.locals - function.parameters
    end = stack + function.stack
    return Locals(left, active, below, below + 1, function.parameters, 0, others, stack, end, end)


def locals_inside(outer: Locals, function: Function, first: int) -> Locals:
    """The locals of a function that is written inside another, from number `first` upwards."""
    others, stack = first + function.parameters, first + function.locals
    results = stack + function.stack
    return outer._replace(
        parameters=function.parameters,
        parameters_at=first,
        others_at=others,
        stack_at=stack,
        results_at=results,
        end=results + function.results,
    )
