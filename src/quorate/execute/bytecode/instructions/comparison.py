"""EQ NEQ LT GT LTE GTE: signed, with 1 for true and 0 for false."""

from __future__ import annotations

from collections.abc import Callable

from quorate.execute.bytecode.machine import Machine
from quorate.execute.bytecode.opcodes import Op


def equal(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.EQ)
    # operation
    m.push(int(a == b))
    # program counter
    m.advance()


def unequal(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.NEQ)
    # operation
    m.push(int(a != b))
    # program counter
    m.advance()


def less(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.LT)
    # operation
    m.push(int(a < b))
    # program counter
    m.advance()


def greater(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.GT)
    # operation
    m.push(int(a > b))
    # program counter
    m.advance()


def less_or_equal(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.LTE)
    # operation
    m.push(int(a <= b))
    # program counter
    m.advance()


def greater_or_equal(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.GTE)
    # operation
    m.push(int(a >= b))
    # program counter
    m.advance()


INSTRUCTIONS: dict[Op, Callable[[Machine], None]] = {
    Op.EQ: equal,
    Op.NEQ: unequal,
    Op.LT: less,
    Op.GT: greater,
    Op.LTE: less_or_equal,
    Op.GTE: greater_or_equal,
}
