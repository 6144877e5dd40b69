"""The state of one run: frames, memory, cycles left, and the journal. The instructions act on it."""

from __future__ import annotations

from typing import Final

from quorate.execute.bytecode.container import Function
from quorate.execute.bytecode.decoding import Instruction
from quorate.execute.bytecode.host import Trapped
from quorate.execute.bytecode.journal import Journal
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, TABLE, Op, Surcharge, Trap
from quorate.execute.bytecode.verify import Contract

_CYCLES: Final = {op: row.cycles for op, row in TABLE.items()}
CALL_DEPTH_MAX: Final = 64
"""The most functions that are active at once, the one called from outside included."""


class Frame:
    """One active function. `base` counts the cells of the frames below; `back` is where its caller goes on."""

    __slots__ = ("back", "base", "function", "locals", "stack")

    def __init__(self, function: Function, arguments: list[int], base: int, back: int) -> None:
        self.function = function
        self.locals = arguments + [0] * (function.locals - function.parameters)
        self.stack: list[int] = []
        self.base = base
        self.back = back


class Machine:
    """A run under way. Its parts may be read, and set to go on from the middle of a run."""

    def __init__(self, contract: Contract, memory: bytearray | memoryview, journal: Journal, cycles: int) -> None:
        self.contract = contract
        self.memory = memory
        self.journal = journal
        self.left = cycles
        self.frames: list[Frame] = []
        self.frame: Frame
        self.instruction: Instruction
        self.pc = 0
        self.ended = False
        self.results: tuple[int, ...] = ()

    def enter(self, frame: Frame) -> None:
        """Makes `frame` the active one, before the first instruction of its function."""
        self.frames.append(frame)
        self.frame = frame
        self.pc = frame.function.start

    def fetch(self) -> Instruction:
        """The instruction at `pc`, which the next instruction function acts on."""
        self.instruction = self.contract.code[self.pc]
        return self.instruction

    def push(self, value: int) -> None:
        self.frame.stack.append(value)

    def pop(self) -> int:
        return self.frame.stack.pop()

    def pop_many(self, count: int) -> list[int]:
        """The `count` cells on top, the topmost last."""
        stack = self.frame.stack
        taken = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        return taken

    def charge(self, op: Op) -> None:
        """Pays the cycles of `op`, or ends the run with nothing of it done."""
        self._pay(_CYCLES[op])

    def charge_length(self, surcharge: Surcharge | None, length: int) -> None:
        """Pays for `length` bytes."""
        if surcharge is not None:
            self._pay(surcharge.of(length))

    def _pay(self, cycles: int) -> None:
        if cycles > self.left:
            raise Trapped(Trap.OUT_OF_CYCLES)
        self.left -= cycles

    def advance(self) -> None:
        self.pc = self.instruction.after

    def span(self, pointer: int, size: int) -> slice:
        """The place of `size` bytes at `pointer`, all of it inside the memory."""
        if pointer < 0 or size < 0 or pointer + size > len(self.memory):
            raise Trapped(Trap.MEMORY_RANGE)
        return slice(pointer, pointer + size)

    def call(self, function: Function) -> None:
        """Enters `function`, whose arguments are the cells on top of the stack."""
        if len(self.frames) == CALL_DEPTH_MAX:
            raise Trapped(Trap.CALL_DEPTH)
        caller = self.frame
        base = caller.base + caller.function.locals + len(caller.stack) - function.parameters
        if base + function.locals + function.stack > self.contract.container.max_cells:
            raise Trapped(Trap.STACK_OVERFLOW)
        arguments = self.pop_many(function.parameters)
        self.enter(Frame(function, arguments, base, self.instruction.after))

    def leave(self) -> None:
        """Hands the results of the function to its caller, or ends the run with them."""
        left = self.frame
        if len(self.frames) == 1:
            self.end(tuple(left.stack))
            return
        self.frames.pop()
        self.frame = self.frames[-1]
        self.frame.stack += left.stack
        self.pc = left.back

    def end(self, results: tuple[int, ...]) -> None:
        self.ended = True
        self.results = results


def in_range(value: int) -> int:
    """`value` if it fits a cell; otherwise the run traps."""
    if not CELL_MIN <= value <= CELL_MAX:
        raise Trapped(Trap.OVERFLOW)
    return value


def unsigned(value: int) -> int:
    """The bits of a cell as a number from 0 to 2^64 - 1."""
    return value & 0xFFFF_FFFF_FFFF_FFFF


def signed(bits: int) -> int:
    """The cell with the low 64 of `bits`."""
    low = unsigned(bits)
    return low - (1 << 64) if low >> 63 else low
