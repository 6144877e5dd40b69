"""Instructions of one function while it is put together: labels, symbols for addresses, and the line each came from.

Code that nothing leads to is dropped as it is emitted, because the verifier refuses it.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.execute.bytecode.compiler.kinds import Kind
from quorate.execute.bytecode.opcodes import ENDS, Mode, Op


class Symbol(NamedTuple):
    """An address that is known when the contract is linked."""

    name: str
    offset: int = 0


Operand = int | str | Symbol


class Item(NamedTuple):
    """An instruction, or with `op` None the place of a label. The operand of a jump is a label, of CALL the key of a
    function, of LOAD and STORE the byte of the mode."""

    op: Op | None
    operand: Operand
    line: int


JUMP_OPS = frozenset({Op.JMP, Op.JZ, Op.JNZ})


class Code:
    """The instructions so far. `alive` is False where the next one would never be reached."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.line = 0
        self.alive = True
        self._labels = 0
        self._targets: set[int] = set()

    def label(self) -> int:
        self._labels += 1
        return self._labels

    def op(self, op: Op, operand: Operand = 0) -> None:
        if self.alive:
            self.items.append(Item(op, operand, self.line))
            self.alive = op not in ENDS

    def ops(self, *ops: Op) -> None:
        for op in ops:
            self.op(op)

    def push(self, value: int | Symbol) -> None:
        self.op(Op.PUSH, value)

    def jump(self, op: Op, label: int) -> None:
        if self.alive:
            self._targets.add(label)
        self.op(op, label)

    def mark(self, label: int) -> bool:
        """Puts `label` here; whether anything leads here."""
        self.alive = self.alive or label in self._targets
        if self.alive:
            self.items.append(Item(None, label, self.line))
        return self.alive

    def load(self, slot: int, kind: Kind = Kind.INT) -> None:
        for cell in range(kind.cells):
            self.op(Op.LOAD, Mode.LOCAL + slot + cell)

    def store(self, slot: int, kind: Kind = Kind.INT) -> None:
        for cell in reversed(range(kind.cells)):
            self.op(Op.STORE, Mode.LOCAL + slot + cell)

    def pop(self, cells: int) -> None:
        for _ in range(cells):
            self.op(Op.POP)
