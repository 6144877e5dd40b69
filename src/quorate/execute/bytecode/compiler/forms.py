"""For each form of expression of the subset, what compiles it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final

from quorate.execute.bytecode.compiler import arithmetic, calls, conditions, expressions, views
from quorate.execute.bytecode.compiler.kinds import Value
from quorate.execute.bytecode.compiler.scope import Scope

FORMS: Final[dict[type[ast.expr], Callable[[Scope, Any], Value]]] = {
    ast.Name: expressions.name,
    ast.Attribute: expressions.attribute,
    ast.NamedExpr: expressions.kept,
    ast.BinOp: arithmetic.binary,
    ast.UnaryOp: arithmetic.unary,
    ast.BoolOp: conditions.either,
    ast.Compare: conditions.compare,
    ast.IfExp: conditions.choice,
    ast.Call: calls.call,
    ast.Subscript: views.subscript,
}
