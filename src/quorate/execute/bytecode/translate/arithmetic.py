"""ADD SUB MUL DIV MOD NEG ABS MIN MAX, with their traps; checks that a constant operand answers are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from quorate.execute.bytecode.opcodes import CELL_MIN, Op, Trap
from quorate.execute.bytecode.translate.emission import Emitter, number_of
from quorate.execute.bytecode.translate.values import Value
from quorate.execute.bytecode.translate.writer import Code, W

_HALF: Final = 1 << 31


def _moved(e: Emitter, a: Value, number: int, instruction: W) -> None:
    """`a` plus or minus a constant: the result lies on the side of `a` to which it was moved, or it did not fit."""
    up = (number > 0) == (instruction is W.I64_ADD)
    e.write(a, number, instruction)
    result = e.operands.keep()
    e.write(result, a, W.I64_LT_S if up else W.I64_GT_S)
    e.trap_if(Trap.OVERFLOW)
    e.push(result)


def add(e: Emitter) -> None:
    b, a = e.pop(), e.pop()
    if number_of(b) is None:
        a, b = b, a
    number = number_of(b)
    if number == 0:
        e.push(a)
    elif number is not None:
        _moved(e, a, number, W.I64_ADD)
    else:
        e.write(a, b, W.I64_ADD)
        result = e.operands.keep()
        e.write(a, result, W.I64_XOR, b, result, W.I64_XOR, W.I64_AND, 0, W.I64_LT_S)
        e.trap_if(Trap.OVERFLOW)
        e.push(result)


def sub(e: Emitter) -> None:
    b, a = e.pop(), e.pop()
    number = number_of(b)
    if number == 0:
        e.push(a)
    elif number is not None:
        _moved(e, a, number, W.I64_SUB)
    else:
        e.write(a, b, W.I64_SUB)
        result = e.operands.keep()
        e.write(a, b, W.I64_XOR, a, result, W.I64_XOR, W.I64_AND, 0, W.I64_LT_S)
        e.trap_if(Trap.OVERFLOW)
        e.push(result)


def mul(e: Emitter) -> None:
    """Operands of 32 bits always fit; others are looked at by a function of the module."""
    b, a = e.pop(), e.pop()
    e.write(a, _HALF, W.I64_ADD, b, _HALF, W.I64_ADD, W.I64_OR, 32, W.I64_SHR_U, 0, W.I64_NE)
    e.code.open_unlikely()
    e.write(a, b)
    e.code.call(e.parts.product)
    e.trap_if(Trap.OVERFLOW)
    e.code.end()
    e.compute(a, b, W.I64_MUL)


def product_overflows() -> Code:
    """The body of the function (a, b) -> whether a * b does not fit. -1 cannot be divided by: the least cell would
    trap."""
    code = Code()
    code.get(0)
    code.raw(W.I64_EQZ)
    code.open(W.IF)
    code.i32(0)
    code.raw(W.RETURN)
    code.end()
    code.get(0)
    code.i64(-1)
    code.raw(W.I64_EQ)
    code.open(W.IF)
    code.get(1)
    code.i64(CELL_MIN)
    code.raw(W.I64_EQ, W.RETURN)
    code.end()
    code.get(0)
    code.get(1)
    code.raw(W.I64_MUL)
    code.get(0)
    code.raw(W.I64_DIV_S)
    code.get(1)
    code.raw(W.I64_NE)
    return code


def _check_divisor(e: Emitter, b: Value) -> None:
    if number_of(b) in (None, 0):
        e.write(b, W.I64_EQZ)
        e.trap_if(Trap.DIVISION_BY_ZERO)


def div(e: Emitter) -> None:
    b, a = e.pop(), e.pop()
    _check_divisor(e, b)
    if number_of(b) in (None, -1):
        e.write(a, CELL_MIN, W.I64_EQ, b, -1, W.I64_EQ, W.I32_AND)
        e.trap_if(Trap.OVERFLOW)
    e.compute(a, b, W.I64_DIV_S)


def mod(e: Emitter) -> None:
    b, a = e.pop(), e.pop()
    _check_divisor(e, b)
    e.compute(a, b, W.I64_REM_S)


def neg(e: Emitter) -> None:
    a = e.pop()
    e.write(a, CELL_MIN, W.I64_EQ)
    e.trap_if(Trap.OVERFLOW)
    e.compute(0, a, W.I64_SUB)


def absolute(e: Emitter) -> None:
    a = e.pop()
    e.write(a, CELL_MIN, W.I64_EQ)
    e.trap_if(Trap.OVERFLOW)
    e.compute(0, a, W.I64_SUB, a, a, 0, W.I64_LT_S, W.SELECT)


def smaller(e: Emitter) -> None:
    b, a = e.pop(), e.pop()
    e.compute(a, b, a, b, W.I64_LT_S, W.SELECT)


def larger(e: Emitter) -> None:
    b, a = e.pop(), e.pop()
    e.compute(a, b, a, b, W.I64_GT_S, W.SELECT)


EMISSIONS: dict[Op, Callable[[Emitter], None]] = {
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
