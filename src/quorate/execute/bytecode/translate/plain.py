"""Stack, bits and comparisons. What only moves cells writes no code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from quorate.execute.bytecode.opcodes import Op, Trap
from quorate.execute.bytecode.translate.emission import Emitter, number_of
from quorate.execute.bytecode.translate.values import Test
from quorate.execute.bytecode.translate.writer import W

COMPARISONS: Final = {
    Op.EQ: W.I64_EQ,
    Op.NEQ: W.I64_NE,
    Op.LT: W.I64_LT_S,
    Op.GT: W.I64_GT_S,
    Op.LTE: W.I64_LE_S,
    Op.GTE: W.I64_GE_S,
}


def pop(e: Emitter) -> None:
    e.operands.take_flag()


def dup(e: Emitter) -> None:
    a = e.pop()
    e.push(a)
    e.push(a)


def swap(e: Emitter) -> None:
    b, a = e.pop(), e.pop()
    e.push(b)
    e.push(a)


def over(e: Emitter) -> None:
    b, a = e.pop(), e.pop()
    e.push(a)
    e.push(b)
    e.push(a)


def rot(e: Emitter) -> None:
    c, b, a = e.pop(), e.pop(), e.pop()
    e.push(b)
    e.push(c)
    e.push(a)


def _two(instruction: W) -> Callable[[Emitter], None]:
    def emit(e: Emitter) -> None:
        b, a = e.pop(), e.pop()
        e.compute(a, b, instruction)

    return emit


def _shift(instruction: W) -> Callable[[Emitter], None]:
    def emit(e: Emitter) -> None:
        b, a = e.pop(), e.pop()
        number = number_of(b)
        if number is None or not 0 <= number <= 63:
            e.write(b, 63, W.I64_GT_U)
            e.trap_if(Trap.SHIFT_RANGE)
        e.compute(a, b, instruction)

    return emit


def inverted(e: Emitter) -> None:
    e.compute(e.pop(), -1, W.I64_XOR)


def compare(e: Emitter, op: Op, *, only_for_a_jump: bool) -> None:
    """A comparison. If the next instruction is a jump that takes it, the two are written as one."""
    b, a = e.pop(), e.pop()
    if only_for_a_jump:
        e.operands.push(Test(COMPARISONS[op], a, b))
    else:
        e.compute(a, b, COMPARISONS[op], W.I64_EXTEND_I32_U)


EMISSIONS: dict[Op, Callable[[Emitter], None]] = {
    Op.POP: pop,
    Op.DUP: dup,
    Op.SWAP: swap,
    Op.OVER: over,
    Op.ROT: rot,
    Op.AND: _two(W.I64_AND),
    Op.OR: _two(W.I64_OR),
    Op.XOR: _two(W.I64_XOR),
    Op.NOT: inverted,
    Op.SHL: _shift(W.I64_SHL),
    Op.SHR: _shift(W.I64_SHR_U),
}
