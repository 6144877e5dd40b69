"""Bytes: one byte, a part, and the writing of a byte. Bounds follow Python; an index outside ends the run."""

from __future__ import annotations

import ast

from quorate.execute.bytecode.compiler import expressions
from quorate.execute.bytecode.compiler.emit import Symbol
from quorate.execute.bytecode.compiler.kinds import Kind, Value
from quorate.execute.bytecode.compiler.scope import BYTE_RANGE, INDEX_RANGE, Scope
from quorate.execute.bytecode.opcodes import Mode, Op

BYTE_MAX = 255


def subscript(scope: Scope, node: ast.Subscript) -> Value:
    if isinstance(node.value, ast.Name) and node.value.id == "state":
        raise scope.error(node, "an entry of the state needs room", "write `size = state.read(key, BUFFER)`")
    if isinstance(node.slice, ast.Slice):
        return _part(scope, node, node.slice)
    place(scope, node, Kind.BYTES)
    scope.code.op(Op.LOAD, Mode.U8)
    return Value(Kind.INT)


def _constant_place(scope: Scope, node: ast.Subscript) -> int | None:
    """The index if both it and the buffer are known, and it is inside."""
    index = scope.fold(node.slice)
    if not isinstance(node.value, ast.Name) or node.value.id in scope.variables or not isinstance(index, int):
        return None
    size = scope.module.buffers.get(node.value.id, 0)
    return index + size * (index < 0) if -size <= index < size else None


def place(scope: Scope, node: ast.Subscript, kind: Kind) -> None:
    """Pushes the address of one byte."""
    known = _constant_place(scope, node)
    if known is not None and isinstance(node.value, ast.Name):
        name = f"{scope.module.name}:{node.value.id}"
        size = scope.module.buffers[node.value.id]
        scope.code.push(Symbol(scope.layout.buffer(name, size), known))
        return
    expressions.wanted(scope, node.value, kind, "what is indexed")
    expressions.wanted(scope, node.slice, Kind.INT, "an index")
    if not scope.naturals.holds(node.slice):
        scope.code.op(Op.CALL, scope.prelude("item_address"))
        return
    scope.code.ops(Op.SWAP, Op.OVER, Op.GT)
    scope.abort_unless(INDEX_RANGE)
    scope.code.op(Op.ADD)


def write(scope: Scope, target: ast.Subscript, value: ast.expr) -> None:
    """`BUFFER[index] = value`: the value is computed first, as in Python."""
    expressions.wanted(scope, value, Kind.INT, "a byte")
    if not _is_byte(scope, value):
        scope.code.ops(Op.DUP, Op.DUP)
        scope.code.push(BYTE_MAX)
        scope.code.ops(Op.AND, Op.EQ)
        scope.abort_unless(BYTE_RANGE)
    place(scope, target, Kind.BUFFER)
    scope.code.op(Op.SWAP)
    scope.code.op(Op.STORE, Mode.U8)


def _is_byte(scope: Scope, node: ast.expr) -> bool:
    """Whether `node` is known to be from 0 to 255."""
    value = scope.fold(node)
    if value is not None:
        return isinstance(value, int) and 0 <= value <= BYTE_MAX
    if isinstance(node, ast.Subscript):
        return not isinstance(node.slice, ast.Slice)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "u8" and "u8" in scope.module.imports
    if isinstance(node, ast.Compare):
        return True
    if isinstance(node, ast.BinOp):
        right = scope.fold(node.right)
        known = isinstance(right, int)
        if isinstance(node.op, ast.BitAnd):
            return (known and _is_byte(scope, node.right)) or _is_byte(scope, node.left)
        return known and isinstance(node.op, ast.Mod) and 0 < int(right or 0) <= BYTE_MAX + 1
    return False


def _part(scope: Scope, node: ast.Subscript, bounds: ast.Slice) -> Value:
    if bounds.step is not None:
        raise scope.error(bounds.step, "a step is outside the subset", "write a loop")
    value = expressions.wanted(scope, node.value, Kind.BYTES, "what is cut")
    given = [bound for bound in (bounds.lower, bounds.upper) if bound is not None]
    for bound in given:
        expressions.wanted(scope, bound, Kind.INT, "a bound")
    if all(map(scope.naturals.holds, given)):
        _cut(scope, bounds)
    elif len(given) == 2:
        scope.code.op(Op.CALL, scope.prelude("part"))
    else:
        scope.code.op(Op.CALL, scope.prelude("part_from" if bounds.upper is None else "part_to"))
    return Value(value.kind, _known_size(scope, value, bounds))


def _cut(scope: Scope, bounds: ast.Slice) -> None:
    """Bounds that are at least zero: the length shrinks, then the start moves."""
    if bounds.lower is not None and bounds.upper is not None:
        scope.code.ops(Op.ROT, Op.MIN, Op.SWAP)
    elif bounds.upper is not None:
        scope.code.op(Op.MIN)
    if bounds.lower is not None:
        scope.code.ops(Op.OVER, Op.MIN, Op.SWAP, Op.OVER, Op.SUB, Op.ROT, Op.ROT, Op.ADD, Op.SWAP)


def _known_size(scope: Scope, value: Value, bounds: ast.Slice) -> int:
    """The length of the part, where everything is known."""
    lower = scope.fold(bounds.lower) if bounds.lower is not None else 0
    upper = scope.fold(bounds.upper) if bounds.upper is not None else value.size
    if value.size < 0 or not isinstance(lower, int) or not isinstance(upper, int):
        return -1
    return len(range(value.size)[lower:upper])
