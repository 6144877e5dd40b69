"""Expressions that are known before a contract runs: ints of 64 bits, bools and bytes."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Final

from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN

Constant = int | bytes
"""A bool is an int here as in Python."""
Lookup = Callable[[ast.expr], Constant | None]
"""The constant that a name or an attribute stands for, if it stands for one."""

_BINARY: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_UNARY: Final[dict[type[ast.unaryop], Callable[[int], int]]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_SHIFTS: Final = (ast.LShift, ast.RShift)
COUNT_MAX: Final = 63
"""The greatest count of a shift."""


def in_cell(value: int) -> bool:
    return CELL_MIN <= value <= CELL_MAX


def _binary(node: ast.BinOp, lookup: Lookup) -> Constant | None:
    left, right = constant(node.left, lookup), constant(node.right, lookup)
    if isinstance(left, bytes) and isinstance(right, bytes) and isinstance(node.op, ast.Add):
        return left + right
    if not isinstance(left, int) or not isinstance(right, int):
        return None
    if isinstance(node.op, ast.Pow):
        value = left**right if 0 <= right <= COUNT_MAX else None
        return value if value is not None and in_cell(value) else None
    apply = _BINARY.get(type(node.op))
    divides = isinstance(node.op, (ast.FloorDiv, ast.Mod))
    if apply is None or (divides and right == 0):
        return None
    if isinstance(node.op, _SHIFTS) and not 0 <= right <= COUNT_MAX:
        return None
    value = apply(left, right)
    return value if in_cell(value) else None


def _unary(node: ast.UnaryOp, lookup: Lookup) -> Constant | None:
    if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and node.operand.value == -CELL_MIN:
        return CELL_MIN
    value = constant(node.operand, lookup)
    if not isinstance(value, int):
        return None
    if isinstance(node.op, ast.Not):
        return not value
    result = _UNARY[type(node.op)](int(value))
    return result if in_cell(result) else None


def constant(node: ast.expr, lookup: Lookup) -> Constant | None:
    """The value of `node`; None if only a run can tell, or if the run would trap."""
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, int) and in_cell(value):
            return value
        return value if isinstance(value, bytes) else None
    if isinstance(node, ast.BinOp):
        return _binary(node, lookup)
    if isinstance(node, ast.UnaryOp):
        return _unary(node, lookup)
    if isinstance(node, ast.Call):
        return _length(node, lookup)
    return lookup(node) if isinstance(node, (ast.Name, ast.Attribute)) else None


def _length(node: ast.Call, lookup: Lookup) -> Constant | None:
    """`len` of constant bytes."""
    if not isinstance(node.func, ast.Name) or node.func.id != "len" or len(node.args) != 1 or node.keywords:
        return None
    value = constant(node.args[0], lookup)
    return len(value) if isinstance(value, bytes) else None
