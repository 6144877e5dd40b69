"""AND OR XOR NOT SHL SHR: cells as 64 bits. A shift count outside 0 to 63 traps."""

from __future__ import annotations

from collections.abc import Callable

from quorate.execute.bytecode.host import Trapped
from quorate.execute.bytecode.machine import Machine, signed, unsigned
from quorate.execute.bytecode.opcodes import Op, Trap


def both(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.AND)
    # operation
    m.push(a & b)
    # program counter
    m.advance()


def either(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.OR)
    # operation
    m.push(a | b)
    # program counter
    m.advance()


def differing(m: Machine) -> None:
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.XOR)
    # operation
    m.push(a ^ b)
    # program counter
    m.advance()


def inverted(m: Machine) -> None:
    # stack
    a = m.pop()
    # cost
    m.charge(Op.NOT)
    # operation
    m.push(~a)
    # program counter
    m.advance()


def _count(b: int) -> int:
    if not 0 <= b <= 63:
        raise Trapped(Trap.SHIFT_RANGE)
    return b


def shift_left(m: Machine) -> None:
    """Bits that leave at the top are lost."""
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.SHL)
    # operation
    m.push(signed(unsigned(a) << _count(b)))
    # program counter
    m.advance()


def shift_right(m: Machine) -> None:
    """Zeros come in at the top, also for a negative cell."""
    # stack
    b = m.pop()
    a = m.pop()
    # cost
    m.charge(Op.SHR)
    # operation
    m.push(signed(unsigned(a) >> _count(b)))
    # program counter
    m.advance()


INSTRUCTIONS: dict[Op, Callable[[Machine], None]] = {
    Op.AND: both,
    Op.OR: either,
    Op.XOR: differing,
    Op.NOT: inverted,
    Op.SHL: shift_left,
    Op.SHR: shift_right,
}
