"""PUSH POP DUP SWAP OVER ROT: cells of the operand stack."""

from __future__ import annotations

from collections.abc import Callable

from quorate.execute.bytecode.machine import Machine
from quorate.execute.bytecode.opcodes import Op


def push(m: Machine) -> None:
    # stack
    value = m.instruction.immediate
    # cost
    m.charge(Op.PUSH)
    # operation
    m.push(value)
    # program counter
    m.advance()


def pop(m: Machine) -> None:
    # stack
    m.pop()
    # cost
    m.charge(Op.POP)
    # operation: the cell is gone
    # program counter
    m.advance()


def dup(m: Machine) -> None:
    # stack
    a = m.pop()
    # cost
    m.charge(Op.DUP)
    # operation
    m.push(a)
    m.push(a)
    # program counter
    m.advance()


def swap(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.SWAP)
    # operation
    m.push(b)
    m.push(a)
    # program counter
    m.advance()


def over(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.OVER)
    # operation
    m.push(a)
    m.push(b)
    m.push(a)
    # program counter
    m.advance()


def rot(m: Machine) -> None:
    """The third cell comes to the top."""
    # stack
    a, b, c = m.pop_many(3)
    # cost
    m.charge(Op.ROT)
    # operation
    m.push(b)
    m.push(c)
    m.push(a)
    # program counter
    m.advance()


INSTRUCTIONS: dict[Op, Callable[[Machine], None]] = {
    Op.PUSH: push,
    Op.POP: pop,
    Op.DUP: dup,
    Op.SWAP: swap,
    Op.OVER: over,
    Op.ROT: rot,
}
