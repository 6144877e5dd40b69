"""Operators on ints, with Python's rules: division rounds down, `>>` keeps the sign, `<<` never loses bits."""

from __future__ import annotations

import ast
from typing import Final

from quorate.execute.bytecode.compiler import conditions, expressions
from quorate.execute.bytecode.compiler.kinds import Kind, Value
from quorate.execute.bytecode.compiler.scope import Scope
from quorate.execute.bytecode.opcodes import Op

_PLAIN: Final[dict[type[ast.operator], Op]] = {
    ast.Add: Op.ADD,
    ast.Sub: Op.SUB,
    ast.Mult: Op.MUL,
    ast.BitAnd: Op.AND,
    ast.BitOr: Op.OR,
    ast.BitXor: Op.XOR,
}
_SHIFT_BY_PRODUCT_MAX: Final = 62
_INSTEAD: Final[dict[type[ast.operator], str]] = {
    ast.Div: "write `//`, which rounds down",
    ast.Pow: "multiply; only constants may have powers",
    ast.MatMult: "write loops",
}


def unary(scope: Scope, node: ast.UnaryOp) -> Value:
    if isinstance(node.op, ast.Not):
        conditions.truth(scope, node.operand)
        scope.code.push(0)
        scope.code.op(Op.EQ)
        return Value(Kind.BOOL)
    expressions.wanted(scope, node.operand, Kind.INT, "an operand")
    if not isinstance(node.op, ast.UAdd):
        scope.code.op(Op.NEG if isinstance(node.op, ast.USub) else Op.NOT)
    return Value(Kind.INT)


def binary(scope: Scope, node: ast.BinOp) -> Value:
    op = type(node.op)
    if op in _PLAIN:
        kind = _operand(scope, node.left)
        other = _operand(scope, node.right)
        scope.code.op(_PLAIN[op])
        logical = op in (ast.BitAnd, ast.BitOr, ast.BitXor) and kind is other is Kind.BOOL
        return Value(Kind.BOOL if logical else Kind.INT)
    if op is ast.FloorDiv:
        _floor_divide(scope, node)
    elif op is ast.Mod:
        _modulo(scope, node)
    elif op is ast.LShift:
        _shift_left(scope, node)
    elif op is ast.RShift:
        _shift_right(scope, node)
    else:
        raise scope.error(node, f"{op.__name__} is outside the subset", _INSTEAD.get(op, ""))
    return Value(Kind.INT)


def _operand(scope: Scope, node: ast.expr) -> Kind:
    value = expressions.expression(scope, node)
    if not Kind.INT.accepts(value.kind):
        fix = "copy bytes into a buffer: `from mhr import memory`" if value.kind.cells == 2 else ""
        raise scope.error(node, f"an operand has to be int, and this is {value.kind}", fix)
    return value.kind


def _power_of_two(scope: Scope, node: ast.expr) -> int:
    """The exponent if `node` is a constant power of two, otherwise -1."""
    value = scope.fold(node)
    if not isinstance(value, int) or value <= 0 or value & (value - 1):
        return -1
    return value.bit_length() - 1


def _unsigned_left(scope: Scope, node: ast.expr) -> None:
    """Pushes a mask of the sign of `node`, and `node` with its bits turned by it: at least zero."""
    _operand(scope, node)
    scope.code.op(Op.DUP)
    scope.code.push(0)
    scope.code.ops(Op.LT, Op.NEG, Op.SWAP, Op.OVER, Op.XOR)


def _rounding_down(scope: Scope, node: ast.BinOp, op: Op) -> None:
    """`op` on an int of either sign and one that is at least zero: ~(~a op b) below zero."""
    if scope.naturals.holds(node.left):
        _operand(scope, node.left)
        _operand(scope, node.right)
        scope.code.op(op)
        return
    _unsigned_left(scope, node.left)
    _operand(scope, node.right)
    scope.code.ops(op, Op.XOR)


def _floor_divide(scope: Scope, node: ast.BinOp) -> None:
    exponent = _power_of_two(scope, node.right)
    if exponent >= 0:
        count = ast.copy_location(ast.Constant(exponent), node.right)
        _rounding_down(scope, ast.copy_location(ast.BinOp(node.left, ast.RShift(), count), node), Op.SHR)
    elif scope.naturals.holds(node.right):
        _rounding_down(scope, node, Op.DIV)
    else:
        _called(scope, node, "floor_divide")


def _modulo(scope: Scope, node: ast.BinOp) -> None:
    exponent = _power_of_two(scope, node.right)
    divisor = scope.fold(node.right)
    if exponent >= 0:
        _operand(scope, node.left)
        scope.code.push((1 << exponent) - 1)
        scope.code.op(Op.AND)
    elif scope.naturals.holds(node.left) and scope.naturals.holds(node.right):
        _operand(scope, node.left)
        _operand(scope, node.right)
        scope.code.op(Op.MOD)
    elif isinstance(divisor, int) and divisor > 0:
        _modulo_of_constant(scope, node.left, divisor)
    else:
        _called(scope, node, "floor_modulo")


def _modulo_of_constant(scope: Scope, left: ast.expr, divisor: int) -> None:
    """The remainder, and the divisor once more if it is below zero."""
    _operand(scope, left)
    scope.code.push(divisor)
    scope.code.ops(Op.MOD, Op.DUP)
    scope.code.push(0)
    scope.code.op(Op.LT)
    scope.code.push(divisor)
    scope.code.ops(Op.MUL, Op.ADD)


def _shift_left(scope: Scope, node: ast.BinOp) -> None:
    count = scope.fold(node.right)
    if isinstance(count, int) and 0 <= count <= _SHIFT_BY_PRODUCT_MAX:
        _operand(scope, node.left)
        scope.code.push(1 << count)
        scope.code.op(Op.MUL)
    else:
        _called(scope, node, "shift_left_checked")


def _shift_right(scope: Scope, node: ast.BinOp) -> None:
    _rounding_down(scope, node, Op.SHR)


def _called(scope: Scope, node: ast.BinOp, name: str) -> None:
    _operand(scope, node.left)
    _operand(scope, node.right)
    scope.code.op(Op.CALL, scope.prelude(name))
