"""Calls: functions of the contract and of libraries, builtins that are opcodes, methods of the state."""

from __future__ import annotations

import ast
from typing import Final

from quorate.execute.bytecode.compiler import conditions, expressions
from quorate.execute.bytecode.compiler.kinds import Declared, Kind, Value
from quorate.execute.bytecode.compiler.module import Function
from quorate.execute.bytecode.compiler.names import BUILTINS, Builtin
from quorate.execute.bytecode.compiler.scope import TOO_SHORT, Scope
from quorate.execute.bytecode.opcodes import Mode, Op

_OPS: Final[dict[str, tuple[tuple[Op, int], ...]]] = {
    "balance": ((Op.BALANCE, 0),),
    "transfer": ((Op.TRANSFER, 0),),
    "emit": ((Op.EMIT, 0),),
    "log": ((Op.LOG, 0),),
    "self_id": ((Op.SELF, 0),),
    "sender": ((Op.SENDER, 0),),
    "digest": ((Op.HASH, 0),),
    "verify_sig": ((Op.VERIFY_SIG, 0),),
    "verify_vrf": ((Op.VERIFY_VRF, 0),),
    "epoch": ((Op.EPOCH, 0),),
    "memory_size": ((Op.MSIZE, 0),),
    "abort": ((Op.ABORT, 0),),
    "halt": ((Op.HALT, 0),),
    "address": ((Op.POP, 0),),
    "view": (),
    "u8": ((Op.LOAD, Mode.U8),),
    "u16": ((Op.LOAD, Mode.U16),),
    "u32": ((Op.LOAD, Mode.U32),),
    "i64": ((Op.LOAD, Mode.I64),),
    "set_u8": ((Op.STORE, Mode.U8),),
    "set_u16": ((Op.STORE, Mode.U16),),
    "set_u32": ((Op.STORE, Mode.U32),),
    "set_i64": ((Op.STORE, Mode.I64),),
    "quotient": ((Op.DIV, 0),),
    "remainder": ((Op.MOD, 0),),
    "shift_left": ((Op.SHL, 0),),
    "shift_right": ((Op.SHR, 0),),
}


def call(scope: Scope, node: ast.Call) -> Value:
    """Pushes what a call gives."""
    kinds = results_of(scope, node)
    if len(kinds) > 1:
        raise scope.error(node, f"gives {len(kinds)} values", "write `a, b = function(...)`")
    return Value(kinds[0]) if kinds else Value(Kind.NONE)


def results_of(scope: Scope, node: ast.Call) -> tuple[Kind, ...]:
    """Compiles a call that may give several values; their kinds."""
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise scope.error(node, "arguments are given by position only")
    function = scope.called(node)
    if function is not None:
        return _function(scope, node, function)
    if isinstance(node.func, ast.Attribute):
        return _method(scope, node, node.func)
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in _PYTHON:
        return (_PYTHON[name](scope, node).kind,)
    if name not in BUILTINS or name not in scope.module.imports:
        fix = f"write `from mhr import {name}`" if name in BUILTINS else "define it, or import its library from mhr"
        raise scope.error(node, f"{ast.unparse(node.func)} is not a function here", fix)
    return _builtin(scope, node, name, BUILTINS[name])


def _count(scope: Scope, node: ast.Call, *expected: int) -> None:
    if len(node.args) not in expected:
        wanted = " or ".join(map(str, expected))
        raise scope.error(node, f"{ast.unparse(node.func)} takes {wanted} arguments, not {len(node.args)}")


def _function(scope: Scope, node: ast.Call, function: Function) -> tuple[Kind, ...]:
    signature = function.signature
    _count(scope, node, len(signature.names))
    for name, want, argument in zip(signature.names, signature.parameters, node.args, strict=True):
        expressions.checked(scope, argument, want, name)
    scope.code.line = node.lineno
    scope.code.op(Op.CALL, scope.key_of(node, function))
    return tuple(one.kind for one in signature.results)


def _builtin(scope: Scope, node: ast.Call, name: str, builtin: Builtin) -> tuple[Kind, ...]:
    _count(scope, node, len(builtin.parameters))
    for position, (kind, argument) in enumerate(zip(builtin.parameters, node.args, strict=True)):
        value = expressions.wanted(scope, argument, kind, f"argument {position + 1} of {name}")
        least = builtin.sizes[position] if position < len(builtin.sizes) else 0
        if least:
            _only_address(scope, argument, value, least)
    if name == "view" and not scope.naturals.holds(node.args[1]):
        _test_view(scope)
    for op, mode in _OPS[name]:
        scope.code.op(op, mode)
    return () if builtin.result.kind is Kind.NONE else (builtin.result.kind,)


def _only_address(scope: Scope, node: ast.expr, value: Value, least: int) -> None:
    """Takes the length of bytes away, once it is sure that there are enough."""
    if value.size >= least:
        scope.code.op(Op.POP)
    elif value.size >= 0:
        raise scope.error(node, f"{value.size} bytes where {least} are needed")
    else:
        scope.code.push(least)
        scope.code.op(Op.GTE)
        scope.abort_unless(TOO_SHORT)


def _test_view(scope: Scope) -> None:
    """A length below zero would turn every later check around."""
    scope.code.op(Op.DUP)
    scope.code.push(0)
    scope.code.op(Op.GTE)
    scope.abort_unless(TOO_SHORT)


def _length(scope: Scope, node: ast.Call) -> Value:
    _count(scope, node, 1)
    value = expressions.wanted(scope, node.args[0], Kind.BYTES, "what `len` measures")
    if value.size >= 0:
        scope.code.pop(2)
        scope.code.push(value.size)
    else:
        scope.code.ops(Op.SWAP, Op.POP)
    return Value(Kind.INT)


def _absolute(scope: Scope, node: ast.Call) -> Value:
    _count(scope, node, 1)
    expressions.wanted(scope, node.args[0], Kind.INT, "the argument")
    scope.code.op(Op.ABS)
    return Value(Kind.INT)


def _extreme(scope: Scope, node: ast.Call) -> Value:
    _count(scope, node, *range(2, 9))
    for position, argument in enumerate(node.args):
        expressions.wanted(scope, argument, Kind.INT, "an argument")
        if position:
            scope.code.op(Op.MIN if isinstance(node.func, ast.Name) and node.func.id == "min" else Op.MAX)
    return Value(Kind.INT)


def _to_int(scope: Scope, node: ast.Call) -> Value:
    _count(scope, node, 1)
    expressions.wanted(scope, node.args[0], Kind.INT, "the argument")
    return Value(Kind.INT)


def _to_bool(scope: Scope, node: ast.Call) -> Value:
    _count(scope, node, 1)
    conditions.truth(scope, node.args[0])
    scope.code.push(0)
    scope.code.op(Op.NEQ)
    return Value(Kind.BOOL)


_PYTHON: Final = {
    "len": _length,
    "abs": _absolute,
    "min": _extreme,
    "max": _extreme,
    "int": _to_int,
    "bool": _to_bool,
}


def _method(scope: Scope, node: ast.Call, called: ast.Attribute) -> tuple[Kind, ...]:
    on_state = isinstance(called.value, ast.Name) and called.value.id == "state" and "state" in scope.module.imports
    if not on_state or called.attr not in _STATE:
        fix = "a function of an imported library, or state.read, state.number, state.set_number"
        raise scope.error(node, f"there is no {ast.unparse(called)}", fix)
    kinds = _STATE[called.attr]
    _count(scope, node, len(kinds))
    if called.attr == "read":
        for kind, argument in zip(kinds, node.args, strict=True):
            expressions.wanted(scope, argument, kind, "the argument")
        expressions.load_state(scope)
        return (Kind.INT,)
    if called.attr == "number":
        return _number(scope, node)
    return _set_number(scope, node)


_STATE: Final = {
    "read": (Kind.BYTES, Kind.BUFFER),
    "number": (Kind.BYTES, Kind.INT),
    "set_number": (Kind.BYTES, Kind.INT),
}


def _number(scope: Scope, node: ast.Call) -> tuple[Kind, ...]:
    """`state.number(key, default)`: the default waits where the value will come to lie."""
    key, default = node.args
    expressions.wanted(scope, key, Kind.BYTES, "a key")
    expressions.checked(scope, default, Declared(Kind.INT), "a default")
    expressions.push_scratch(scope)
    scope.code.op(Op.SWAP)
    scope.code.op(Op.STORE, Mode.I64)
    expressions.fetch_number(scope)
    return (Kind.INT,)


def _set_number(scope: Scope, node: ast.Call) -> tuple[Kind, ...]:
    key, value = node.args
    expressions.wanted(scope, key, Kind.BYTES, "a key")
    expressions.wanted(scope, value, Kind.INT, "a number")
    store_number(scope)
    return ()


def store_number(scope: Scope) -> None:
    """Takes a key and an int, and puts the int into the state."""
    expressions.push_scratch(scope)
    scope.code.op(Op.SWAP)
    scope.code.op(Op.STORE, Mode.I64)
    expressions.push_scratch(scope)
    scope.code.push(expressions.INT_BYTES)
    scope.code.op(Op.STORE, Mode.STATE)
