"""Tests: jumps with short circuit, chained comparisons, and the truth of a value."""

from __future__ import annotations

import ast
from typing import Final

from quorate.execute.bytecode.compiler import expressions
from quorate.execute.bytecode.compiler.kinds import Kind, Value, join
from quorate.execute.bytecode.compiler.scope import Scope
from quorate.execute.bytecode.opcodes import Op

COMPARISONS: Final[dict[type[ast.cmpop], Op]] = {
    ast.Eq: Op.EQ,
    ast.NotEq: Op.NEQ,
    ast.Lt: Op.LT,
    ast.Gt: Op.GT,
    ast.LtE: Op.LTE,
    ast.GtE: Op.GTE,
}


def jump(scope: Scope, node: ast.expr, label: int, when: bool) -> None:
    """Jumps to `label` if the truth of `node` is `when`, and goes on otherwise."""
    value = scope.fold(node)
    if value is not None:
        if bool(value) is when:
            scope.code.jump(Op.JMP, label)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        jump(scope, node.operand, label, not when)
    elif isinstance(node, ast.BoolOp):
        _jump_either(scope, node, label, when)
    elif isinstance(node, ast.Compare) and len(node.ops) > 1:
        jump(scope, unchained(scope, node), label, when)
    else:
        truth(scope, node)
        scope.code.jump(Op.JNZ if when else Op.JZ, label)


def _jump_either(scope: Scope, node: ast.BoolOp, label: int, when: bool) -> None:
    if isinstance(node.op, ast.Or) == when:
        for value in node.values:
            jump(scope, value, label, when)
        return
    end = scope.code.label()
    for value in node.values[:-1]:
        jump(scope, value, end, not when)
    jump(scope, node.values[-1], label, when)
    scope.code.mark(end)


def truth(scope: Scope, node: ast.expr) -> None:
    """Pushes a cell that is zero if `node` is false; for bytes, the length."""
    kind = expressions.expression(scope, node).kind
    if kind.cells == 2:
        scope.code.ops(Op.SWAP, Op.POP)
    elif kind is Kind.NONE:
        raise scope.error(node, "gives no value to test")


def unchained(scope: Scope, node: ast.Compare) -> ast.expr:
    """`a < b < c` as `a < b and b < c`, with b computed once."""
    left, parts = node.left, list[ast.expr]()
    for position, (op, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
        last = position == len(node.ops) - 1
        if last or scope.fold(right) is not None or isinstance(right, ast.Name):
            kept, again = right, right
        else:
            name = scope.hidden(right, Kind.INT)
            again = ast.copy_location(ast.Name(name, ast.Load()), right)
            kept = ast.copy_location(ast.NamedExpr(ast.Name(name, ast.Store()), right), right)
        parts.append(ast.copy_location(ast.Compare(left, [op], [kept]), node))
        left = again
    return ast.copy_location(ast.BoolOp(ast.And(), parts), node)


def compare(scope: Scope, node: ast.Compare) -> Value:
    """Pushes 1 or 0."""
    if len(node.ops) > 1:
        return expressions.expression(scope, unchained(scope, node))
    op, right = node.ops[0], node.comparators[0]
    if isinstance(op, (ast.In, ast.NotIn)):
        return _in_state(scope, node, right)
    if type(op) not in COMPARISONS:
        raise scope.error(node, f"{type(op).__name__} is outside the subset", "write == or !=")
    one = expressions.expression(scope, node.left).kind
    other = expressions.expression(scope, right).kind
    if one.cells != other.cells or one is Kind.NONE:
        raise scope.error(node, f"{one} and {other} cannot be compared")
    if one.cells == 2:
        _compare_bytes(scope, op)
    else:
        scope.code.op(COMPARISONS[type(op)])
    return Value(Kind.BOOL)


def _compare_bytes(scope: Scope, op: ast.cmpop) -> None:
    if isinstance(op, (ast.Eq, ast.NotEq)):
        scope.code.op(Op.CALL, scope.prelude("equal"))
        if isinstance(op, ast.NotEq):
            scope.code.push(0)
            scope.code.op(Op.EQ)
        return
    scope.code.op(Op.CALL, scope.prelude("compare"))
    scope.code.push(0)
    scope.code.op(COMPARISONS[type(op)])


def _in_state(scope: Scope, node: ast.Compare, right: ast.expr) -> Value:
    """`key in state`: the size of the entry, read without room for it, is -1 if there is none."""
    if not isinstance(right, ast.Name) or right.id != "state" or "state" not in scope.module.imports:
        raise scope.error(node, "`in` is only for `key in state`", "write the comparisons out")
    expressions.wanted(scope, node.left, Kind.BYTES, "a key")
    scope.code.push(0)
    scope.code.push(0)
    expressions.load_state(scope)
    scope.code.push(0)
    scope.code.op(Op.GTE if isinstance(node.ops[0], ast.In) else Op.LT)
    return Value(Kind.BOOL)


def either(scope: Scope, node: ast.BoolOp) -> Value:
    """`and` and `or` give the operand that decides, as in Python."""
    end = scope.code.label()
    kind = expressions.expression(scope, node.values[0]).kind
    for value in node.values[1:]:
        scope.code.op(Op.DUP)
        scope.code.jump(Op.JZ if isinstance(node.op, ast.And) else Op.JNZ, end)
        scope.code.op(Op.POP)
        other = expressions.expression(scope, value).kind
        joined = join(kind, other)
        if joined is None or joined.cells != 1:
            raise scope.error(value, f"`and` and `or` of {kind} and {other}", "ints and bools; test bytes by `len`")
        kind = joined
    scope.code.mark(end)
    return Value(kind)


def choice(scope: Scope, node: ast.IfExp) -> Value:
    other, end = scope.code.label(), scope.code.label()
    jump(scope, node.test, other, False)
    one = expressions.expression(scope, node.body)
    scope.code.jump(Op.JMP, end)
    scope.code.mark(other)
    two = expressions.expression(scope, node.orelse)
    scope.code.mark(end)
    kind = join(one.kind, two.kind)
    if kind is None or kind is Kind.NONE:
        raise scope.error(node, f"either {one.kind} or {two.kind}", "both sides of one kind")
    return Value(kind, one.size if one.size == two.size else -1)
