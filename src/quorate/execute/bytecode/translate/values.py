"""The operand stack as it is known while code is written: each cell is a constant or a WebAssembly local.

Moving cells about writes no code. A value that is computed gets a temporary local, which is used again when no cell
holds it any more. The kinds of cells are dataclasses and not tuples: a tuple's equality would take the constant 3 for
local 3.
"""

from __future__ import annotations

from dataclasses import dataclass

from quorate.execute.bytecode.translate.layout import Locals
from quorate.execute.bytecode.translate.writer import Code, W


@dataclass(frozen=True, slots=True)
class Constant:
    value: int


@dataclass(frozen=True, slots=True)
class Local:
    number: int


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison that nothing but the jump behind it sees."""

    instruction: W
    a: Constant | Local
    b: Constant | Local


Value = Constant | Local
Cell = Value | Test


class Numbers:
    """Numbers of WebAssembly locals that are not used yet. `end` is one more than the highest that was ever used."""

    def __init__(self, end: int) -> None:
        self.end = end

    def take(self, count: int) -> int:
        """The first of `count` new ones."""
        self.end += count
        return self.end - count


class Operands:
    """The stack of one block. Cells that an instruction takes keep their locals until `settle`."""

    def __init__(self, code: Code, names: Locals, numbers: Numbers) -> None:
        self.code, self.names, self.numbers = code, names, numbers
        self.cells: list[Cell] = []
        self._uses: dict[int, int] = {}
        """How many cells hold each temporary local."""
        self._free: list[int] = []
        self._taken: list[Cell] = []

    def begin(self, height: int) -> None:
        """The stack at the start of a block: every cell in its own local."""
        self.cells = [Local(self.names.cell(at)) for at in range(height)]

    def push(self, cell: Cell) -> None:
        self.cells.append(cell)
        if isinstance(cell, Local) and cell.number in self._uses:
            self._uses[cell.number] += 1

    def take(self) -> Value:
        cell = self.cells.pop()
        assert not isinstance(cell, Test)
        self._taken.append(cell)
        return cell

    def take_flag(self) -> Cell:
        """The cell that a jump looks at."""
        cell = self.cells.pop()
        self._taken.append(cell)
        return cell

    def settle(self) -> None:
        """The instruction is written: the locals of what it took are free, if no cell holds them."""
        for cell in self._taken:
            if isinstance(cell, Local) and cell.number in self._uses:
                self._uses[cell.number] -= 1
                if not self._uses[cell.number]:
                    self._free.append(cell.number)
        self._taken.clear()

    def store(self) -> Local:
        """Moves the value on the WebAssembly stack to a temporary local, which becomes the top cell."""
        result = self.keep()
        self.push(result)
        return result

    def keep(self) -> Local:
        """Moves the value on the WebAssembly stack to a free temporary local."""
        if not self._free:
            self._free.append(self.numbers.take(1))
        result = Local(self._free.pop())
        self._uses[result.number] = 0
        self.code.set(result.number)
        return result

    def write(self, value: Value) -> None:
        """Puts `value` on the WebAssembly stack."""
        if isinstance(value, Constant):
            self.code.i64(value.value)
        else:
            self.code.get(value.number)

    def release(self, local: int) -> None:
        """`local` is about to change: cells that hold it get a copy."""
        holding = [at for at, cell in enumerate(self.cells) if cell == Local(local)]
        if not holding:
            return
        self.code.get(local)
        copy = self.keep()
        for at in holding:
            self.cells[at] = copy
        self._uses[copy.number] = len(holding)

    def place(self) -> None:
        """Moves every cell to the local of its own, as the next block expects."""
        moved = [(at, cell) for at, cell in enumerate(self.cells) if cell != Local(self.names.cell(at))]
        for _, cell in moved:
            assert not isinstance(cell, Test)
            self.write(cell)
        for at, _ in reversed(moved):
            self.code.set(self.names.cell(at))
        self.drop()

    def drop(self) -> None:
        """Nothing behind this block sees its cells."""
        self._taken += self.cells
        self.cells = []
        self.settle()
