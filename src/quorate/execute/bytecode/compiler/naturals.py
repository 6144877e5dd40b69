"""Which ints are known to be at least zero, so that division and shifts need no care for the sign.

A result that leaves 64 bits traps, so the sum and product of two such ints is one again.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Final

from quorate.execute.bytecode.compiler.constants import Constant

Oracle = Callable[[ast.expr], bool]
"""Whether a call or an index gives such an int."""
Folded = Callable[[ast.expr], Constant | None]

_BOTH: Final = (ast.Add, ast.Mult, ast.FloorDiv, ast.BitOr, ast.BitXor)
_LEFT: Final = (ast.RShift, ast.LShift)


class Naturals:
    """What is known in one function. `names` are the local ints that only ever hold such values."""

    def __init__(self, folded: Folded, oracle: Oracle) -> None:
        self._folded, self._oracle = folded, oracle
        self.names: set[str] = set()

    def holds(self, node: ast.expr) -> bool:
        """Whether `node` is known to be at least zero."""
        value = self._folded(node)
        if value is not None:
            return isinstance(value, int) and value >= 0
        if isinstance(node, ast.Name):
            return node.id in self.names
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.BoolOp):
            return all(map(self.holds, node.values))
        if isinstance(node, ast.IfExp):
            return self.holds(node.body) and self.holds(node.orelse)
        if isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            return True
        return isinstance(node, (ast.Call, ast.Subscript)) and self._called(node)

    def _binary(self, node: ast.BinOp) -> bool:
        if isinstance(node.op, ast.BitAnd):
            return self.holds(node.left) or self.holds(node.right)
        if isinstance(node.op, ast.Mod):
            return self.holds(node.right)
        if isinstance(node.op, _LEFT):
            return self.holds(node.left)
        return isinstance(node.op, _BOTH) and self.holds(node.left) and self.holds(node.right)

    def _called(self, node: ast.Call | ast.Subscript) -> bool:
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if isinstance(node, ast.Call) and name == "min":
            return all(map(self.holds, node.args))
        if isinstance(node, ast.Call) and name == "max":
            return any(map(self.holds, node.args))
        return name == "abs" or self._oracle(node)

    def learn(self, function: ast.FunctionDef, checked: set[str], never: set[str]) -> None:
        """Finds `names`: every local is taken for one, until something else is assigned to it. What is assigned to a
        `checked` name is tested in the run."""
        pairs = [pair for node in ast.walk(function) for pair in _assignments(node)]
        self.names = ({name for name, _ in pairs} - never) | checked
        while wrong := {name for name, value in pairs if name in self.names - checked and not self._fits(value)}:
            self.names -= wrong

    def _fits(self, value: ast.expr | ast.For | None) -> bool:
        if isinstance(value, ast.For):
            return self._counts_up(value)
        return value is not None and self.holds(value)

    def _counts_up(self, loop: ast.For) -> bool:
        """Whether a loop over a range only ever gives such ints."""
        if not isinstance(loop.iter, ast.Call) or not 1 <= len(loop.iter.args) <= 3:
            return False
        arguments = loop.iter.args
        step = self._folded(arguments[2]) if len(arguments) == 3 else 1
        if isinstance(step, int) and step > 0:
            return len(arguments) == 1 or self.holds(arguments[0])
        stop = self._folded(arguments[1]) if len(arguments) == 3 else None
        return isinstance(stop, int) and stop >= -1 and self.holds(arguments[0])


def _assignments(node: ast.AST) -> Iterator[tuple[str, ast.expr | ast.For | None]]:
    """Each name that `node` assigns to, with the value; None for what is not looked into."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _pairs(target, node.value)
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id, node.value
    elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        left = ast.Name(node.target.id, ast.Load())
        yield node.target.id, ast.BinOp(left, node.op, node.value)
    elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
        yield node.target.id, node


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one, part in zip(target.elts, value.elts, strict=True):
            yield from _pairs(one, part)
    elif isinstance(target, ast.Tuple):
        yield from ((one.id, None) for one in target.elts if isinstance(one, ast.Name))
