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

from typing import Final

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


class Locals:
    """The WebAssembly locals of a function: the contract's parameters, then, all given by the caller, cycles left and
    what is counted of active functions and cells of the frames below; then the next block of a dispatched function,
    the contract's other locals, the operand stack as it is between blocks, and temporary values."""

    def __init__(self, function: Function, counted: Counted) -> None:
        self.parameters = function.parameters
        self.left = function.parameters
        self.active = self.left + counted.depth
        self.below = self.active + counted.cells
        self.following = self.below + 1
        self._stack = self.following + 1 + function.locals - function.parameters
        self.temporary = self._stack + function.stack

    def slot(self, index: int) -> int:
        """The contract's local `index`."""
        return index if index < self.parameters else index + self.following + 1 - self.parameters

    def cell(self, height: int) -> int:
        """The cell of the operand stack with `height` cells below it."""
        return self._stack + height
