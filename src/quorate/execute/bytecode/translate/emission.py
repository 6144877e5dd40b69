"""Writing one function: cycles of each segment, and the places where a run can stop.

A segment is a straight run of instructions that ends with its block, or behind a call or an instruction that the host
carries out. Its fixed cycles are paid at its start. `sites` remembers, for each place where the module can stop, what
turns the cycles that are left then into those that the reference would have left.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from quorate.errors import TooLarge
from quorate.execute.bytecode.container import Container
from quorate.execute.bytecode.decoding import Instruction
from quorate.execute.bytecode.opcodes import TABLE, Op, Trap
from quorate.execute.bytecode.translate.bounds import Counted
from quorate.execute.bytecode.translate.flow import Graph
from quorate.execute.bytecode.translate.layout import CELL_BYTES, CELLS, Locals, exchange_of, locals_inside, locals_of
from quorate.execute.bytecode.translate.values import Constant, Numbers, Operands, Test, Value
from quorate.execute.bytecode.translate.writer import I32, I64, Code, Signature, W

MODULE_BYTES_MAX: Final = 1 << 20
"""A contract whose translation would be larger is not translated. Laying out 381 cells at each of thousands of segments
would otherwise turn 64 KiB of code into tens of megabytes."""
OTHER_ENGINE: Final = "use the reference engine"


class Stop(IntEnum):
    """Why a module stops at a site."""

    TRAP = 0
    HALT = 1
    SEGMENT = 2
    HOST = 3


class Site(NamedTuple):
    """A place to stop at. `refund` are cycles of the segment that were paid and not used; `function` is where it
    stands. TRAP has its trap. From the start of an unaffordable SEGMENT the reference goes on."""

    stop: Stop
    pc: int
    refund: int
    function: int
    trap: Trap = Trap.NONE


INSIDE_BYTES_MAX: Final = 1 << 17
"""How much of a module may be callees that are written inside their callers."""


class Room:
    """What is left of `INSIDE_BYTES_MAX`."""

    def __init__(self) -> None:
        self.left = INSIDE_BYTES_MAX


class Parts(NamedTuple):
    """What all functions of a module share: what they count, the graphs of all, indices of functions of the module,
    the sites, and the room for callees inside callers."""

    container: Container
    counted: Counted
    graphs: list[Graph]
    host: int
    stop: int
    product: int
    first: int
    sites: list[Site]
    room: Room


def check_size(size: int) -> None:
    if size > MODULE_BYTES_MAX:
        limit = f"{MODULE_BYTES_MAX} bytes"
        raise TooLarge("the translation is too large", field="contract", limit=limit, fix=OTHER_ENGINE)


class Emitter:
    """The function being written: its code, its operands, and where in it the writing is."""

    def __init__(self, parts: Parts, index: int, outer: Emitter | None = None) -> None:
        self.parts, self.index = parts, index
        self.container = parts.container
        self.function = parts.container.functions[index]
        self.exchange = exchange_of(parts.container)
        self.level: int = outer.level + 1 if outer else 0
        """How many functions this one is written inside of. Each is one more that is active."""
        self.below = 0
        """Cells of these functions that lie below its own."""
        self.code: Code = outer.code if outer else Code()
        self.names: Locals = self.own_locals()
        self.numbers: Numbers = Numbers(self.names.end)
        if outer is not None:
            self.numbers = outer.numbers
            self.names = locals_inside(outer.names, self.function, self.numbers.end)
            self.numbers.take(self.names.end - self.names.parameters_at)
        self.operands = Operands(self.code, self.names, self.numbers)
        self.pc = 0
        self.unused = 0
        """Cycles of the segment behind the instruction at `pc`."""

    def own_locals(self) -> Locals:
        return locals_of(self.function, self.parts.counted)

    def signature(self) -> Signature:
        """Takes the contract's parameters, cycles left, and what is counted; gives the results and cycles left."""
        counts = (I32,) * (self.parts.counted.depth + self.parts.counted.cells)
        function = self.function
        return Signature((I64,) * (function.parameters + 1) + counts, (I64,) * (function.results + 1))

    def site(self, stop: Stop, trap: Trap = Trap.NONE) -> int:
        self.parts.sites.append(Site(stop, self.pc, self.unused, self.index, trap))
        return len(self.parts.sites) - 1

    def stop(self, stop: Stop, trap: Trap = Trap.NONE) -> None:
        """Ends the run here."""
        self.code.i32(self.site(stop, trap))
        self.code.get(self.names.left)
        self.code.call(self.parts.stop)
        self.code.raw(W.UNREACHABLE)

    def trap_if(self, trap: Trap) -> None:
        """Traps if the 32-bit number on the WebAssembly stack is not zero."""
        self.code.open_unlikely()
        self.stop(Stop.TRAP, trap)
        self.code.end()

    def segment(self, instructions: tuple[Instruction, ...]) -> None:
        check_size(len(self.code.out))
        cost = sum(TABLE[instruction.op].cycles for instruction in instructions)
        self.pc, self.unused = instructions[0].pc, cost
        self.pay(cost)

    def hand_over_cycles(self) -> None:
        """Leaves for a callee or a caller what is left of them."""
        self.code.get(self.names.left)

    def take_back_cycles(self) -> None:
        """Takes from the WebAssembly stack what a callee has left of them."""
        self.code.set(self.names.left)

    def pay(self, cost: int) -> None:
        """Pays for a segment. If that cannot be done, the run stops with all cells of the function laid out."""
        self.code.get(self.names.left)
        self.code.i64(cost)
        self.code.raw(W.I64_SUB)
        self.code.tee(self.names.left)
        self.code.i64(0)
        self.code.raw(W.I64_LT_S)
        self.code.open_unlikely()
        self.lay_out_all()
        self.stop(Stop.SEGMENT)
        self.code.end()

    def begin(self, instruction: Instruction) -> None:
        self.pc = instruction.pc
        self.unused -= TABLE[instruction.op].cycles

    def lay_out_all(self) -> None:
        slots = self.function.locals
        for at in range(slots):
            self.code.i32(0)
            self.code.get(self.names.slot(at))
            self.code.access(W.I64_STORE, self.cell_at(at))
        for at, cell in enumerate(self.operands.cells):
            assert not isinstance(cell, Test)
            self.lay_out(cell, slots + at)

    def cell_at(self, index: int) -> int:
        """The address of a cell of the exchange area."""
        return self.exchange + CELLS + CELL_BYTES * index

    def lay_out(self, value: Value, index: int) -> None:
        self.code.i32(0)
        self.operands.write(value)
        self.code.access(W.I64_STORE, self.cell_at(index))

    def write(self, *items: Value | W | int) -> None:
        """Operands and instructions in turn; a number is a constant."""
        for item in items:
            if isinstance(item, W):
                self.code.raw(item)
            elif isinstance(item, int):
                self.code.i64(item)
            else:
                self.operands.write(item)

    def push(self, value: Value) -> None:
        self.operands.push(value)

    def pop(self) -> Value:
        return self.operands.take()

    def compute(self, *items: Value | W | int) -> None:
        """Writes `items`; what they leave is the new top cell."""
        self.write(*items)
        self.operands.store()


def number_of(value: Value) -> int | None:
    """The number of a constant."""
    return value.value if isinstance(value, Constant) else None


HOSTED = frozenset({Op.HASH, Op.VERIFY_SIG, Op.VERIFY_VRF, Op.BALANCE, Op.TRANSFER, Op.LOG, Op.EMIT})
"""What the host carries out, besides LOAD and STORE of state."""
