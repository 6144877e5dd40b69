"""ADD SUB MUL DIV MOD NEG ABS MIN MAX: signed 64-bit integers, and a trap where the result would not fit."""

from __future__ import annotations

from collections.abc import Callable

from quorate.execute.bytecode.host import Trapped
from quorate.execute.bytecode.machine import Machine, in_range
from quorate.execute.bytecode.opcodes import Op, Trap


def add(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.ADD)
    # operation
    m.push(in_range(a + b))
    # program counter
    m.advance()


def sub(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.SUB)
    # operation
    m.push(in_range(a - b))
    # program counter
    m.advance()


def mul(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.MUL)
    # operation
    m.push(in_range(a * b))
    # program counter
    m.advance()


def _divisor(b: int) -> int:
    if b == 0:
        raise Trapped(Trap.DIVISION_BY_ZERO)
    return b


def div(m: Machine) -> None:
    """Rounds toward zero. The least cell divided by -1 does not fit."""
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.DIV)
    # operation
    size = abs(a) // abs(_divisor(b))
    m.push(in_range(size if (a < 0) == (b < 0) else -size))
    # program counter
    m.advance()


def mod(m: Machine) -> None:
    """The remainder of DIV: it has the sign of `a`. The least cell modulo -1 is 0."""
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.MOD)
    # operation
    size = abs(a) % abs(_divisor(b))
    m.push(-size if a < 0 else size)
    # program counter
    m.advance()


def neg(m: Machine) -> None:
    # stack
    a = m.pop()
    # cost
    m.charge(Op.NEG)
    # operation
    m.push(in_range(-a))
    # program counter
    m.advance()


def absolute(m: Machine) -> None:
    # stack
    a = m.pop()
    # cost
    m.charge(Op.ABS)
    # operation
    m.push(in_range(abs(a)))
    # program counter
    m.advance()


def smaller(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.MIN)
    # operation
    m.push(min(a, b))
    # program counter
    m.advance()


def larger(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.MAX)
    # operation
    m.push(max(a, b))
    # program counter
    m.advance()


INSTRUCTIONS: dict[Op, Callable[[Machine], None]] = {
    Op.ADD: add,
    Op.SUB: sub,
    Op.MUL: mul,
    Op.DIV: div,
    Op.MOD: mod,
    Op.NEG: neg,
    Op.ABS: absolute,
    Op.MIN: smaller,
    Op.MAX: larger,
}
