"""CPython as the judge of compiled programs: ints that raise where they leave 64 bits, over an otherwise untouched
interpreter. What Python computes with them is what a contract has to compute, or it has to trap."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, Trap

COUNT_MAX = 63


class Left(Exception):
    """Where a contract traps; `trap` says how."""

    def __init__(self, trap: Trap) -> None:
        super().__init__(trap.name)
        self.trap = trap


def cell(value: Any) -> Any:
    """An int that stays in 64 bits, other values as they are."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if not CELL_MIN <= value <= CELL_MAX:
        raise Left(Trap.OVERFLOW)
    return Cell(value)


def _checked(apply: Callable[[int, int], int], swapped: bool = False) -> Any:
    def method(self: int, other: Any) -> Any:
        if not isinstance(other, int):
            return NotImplemented
        left, right = (int(other), int(self)) if swapped else (int(self), int(other))
        if apply in (operator.floordiv, operator.mod) and right == 0:
            raise Left(Trap.DIVISION_BY_ZERO)
        if apply in (operator.lshift, operator.rshift) and not 0 <= right <= COUNT_MAX:
            raise Left(Trap.SHIFT_RANGE)
        return cell(apply(left, right))

    return method


class Cell(int):
    """A 64-bit int."""

    def __neg__(self) -> Any:
        return cell(-int(self))

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return cell(abs(int(self)))

    def __invert__(self) -> Any:
        return cell(~int(self))


for _name in ("add", "sub", "mul", "floordiv", "mod", "and_", "or_", "xor", "lshift", "rshift"):
    _method = _name.rstrip("_")
    setattr(Cell, f"__{_method}__", _checked(getattr(operator, _name)))
    setattr(Cell, f"__r{_method}__", _checked(getattr(operator, _name), swapped=True))


class _Constants(ast.NodeTransformer):
    """Every int of the source becomes a Cell."""

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """`-9223372036854775808` is one number, as the compiler reads it."""
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and node.operand.value == -CELL_MIN:
            return self.visit_Constant(ast.copy_location(ast.Constant(CELL_MIN), node))
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, int) and not isinstance(node.value, bool):
            call = ast.Call(ast.Name("cell", ast.Load()), [node], [])
            return ast.fix_missing_locations(ast.copy_location(call, node))
        return node


class Aborted(Exception):
    pass


def _abort(code: int) -> None:
    raise Aborted(int(code))


def load(source: str) -> dict[str, Any]:
    """The functions of `source`, run by CPython. Imports from `mhr` are left out."""
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom)]
    names: dict[str, Any] = {
        "cell": cell,
        "export": lambda function: function,
        "nat": int,
        "buffer": bytearray,
        "abort": _abort,
        "range": lambda *bounds: map(cell, range(*bounds)),
        "len": lambda value: cell(len(value)),
    }
    exec(compile(ast.fix_missing_locations(_Constants().visit(tree)), "contract", "exec"), names)
    return names
