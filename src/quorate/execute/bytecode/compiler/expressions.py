"""Values: every expression of the subset leaves its cells on the stack and says what kind they are."""

from __future__ import annotations

import ast
from typing import Final

from quorate.execute.bytecode.compiler.constants import Constant
from quorate.execute.bytecode.compiler.emit import Symbol
from quorate.execute.bytecode.compiler.kinds import Declared, Kind, Value
from quorate.execute.bytecode.compiler.module import Field
from quorate.execute.bytecode.compiler.names import BUILTINS
from quorate.execute.bytecode.compiler.scope import NOT_NATURAL, Scope
from quorate.execute.bytecode.compiler.subset import outside
from quorate.execute.bytecode.opcodes import Mode, Op

INT_BYTES: Final = 8
_SCRATCH: Final = "$scratch"


def expression(scope: Scope, node: ast.expr) -> Value:
    """Pushes the value of `node`."""
    scope.code.line = getattr(node, "lineno", scope.code.line)
    value = scope.fold(node)
    if value is not None:
        return push_constant(scope, value)
    form = scope.forms.get(type(node))
    if form is None:
        raise _no_form(scope, node)
    return form(scope, node)


def _no_form(scope: Scope, node: ast.expr) -> Exception:
    if not isinstance(node, ast.Constant):
        return outside(scope.module.file, node)
    if isinstance(node.value, int):
        return scope.error(node, "does not fit 64 bits", "-2**63 to 2**63 - 1")
    fix = "write b'text'" if isinstance(node.value, str) else "ints and bytes"
    return scope.error(node, f"a {type(node.value).__name__} is outside the subset", fix)


def push_constant(scope: Scope, value: Constant) -> Value:
    if isinstance(value, bytes):
        scope.code.push(Symbol(scope.layout.constant(value)))
        scope.code.push(len(value))
        return Value(Kind.BYTES, len(value))
    scope.code.push(int(value))
    return Value(Kind.BOOL if isinstance(value, bool) else Kind.INT)


def wanted(scope: Scope, node: ast.expr, kind: Kind, what: str) -> Value:
    """Pushes `node`, which has to be of `kind`."""
    value = expression(scope, node)
    if not kind.accepts(value.kind):
        raise scope.error(node, f"{what} has to be {kind}, and this is {value.kind}", _conversion(kind, value.kind))
    return value


def _conversion(kind: Kind, given: Kind) -> str:
    if (kind, given) == (Kind.BOOL, Kind.INT):
        return "compare it: `x != 0`"
    if (kind, given) == (Kind.BUFFER, Kind.BYTES):
        return "only a buffer is written to"
    return ""


def checked(scope: Scope, node: ast.expr, want: Declared, what: str) -> None:
    """Pushes `node` as what is declared; an int that is declared `nat` is tested unless it is known to be one."""
    wanted(scope, node, want.kind, what)
    if want.natural and want.kind is Kind.INT and not scope.naturals.holds(node):
        test_natural(scope)


def test_natural(scope: Scope) -> None:
    """Ends the run if the int on top is below zero."""
    scope.code.op(Op.DUP)
    scope.code.push(0)
    scope.code.op(Op.GTE)
    scope.abort_unless(NOT_NATURAL)


def name(scope: Scope, node: ast.Name) -> Value:
    found = node.id
    variable = scope.variables.get(found)
    if variable is not None:
        if found not in scope.assigned and scope.code.alive:
            raise scope.error(node, f"{found} may have no value here", "give it one before")
        scope.code.load(variable.slot, variable.kind)
        return Value(variable.kind)
    if found in scope.module.buffers:
        return push_buffer(scope, found)
    if found in scope.module.fields:
        return _field(scope, scope.module.fields[found])
    known = found in scope.module.functions or found in BUILTINS or found in scope.module.imports
    fix = "call it" if known else "assign to it first, or import it from mhr"
    raise scope.error(node, f"{found} is not a value here", fix)


def push_buffer(scope: Scope, name: str) -> Value:
    size = scope.module.buffers[name]
    scope.code.push(Symbol(scope.layout.buffer(f"{scope.module.name}:{name}", size)))
    scope.code.push(size)
    return Value(Kind.BUFFER, size)


def push_scratch(scope: Scope) -> None:
    """The address of eight bytes that ints of the state pass through."""
    scope.code.push(Symbol(scope.layout.buffer(_SCRATCH, INT_BYTES)))


def load_state(scope: Scope) -> None:
    scope.code.op(Op.LOAD, Mode.STATE)


def _field(scope: Scope, field: Field) -> Value:
    """A state field: its default lies in the scratch bytes, unless the state has more to say."""
    push_scratch(scope)
    scope.code.push(field.default)
    scope.code.op(Op.STORE, Mode.I64)
    push_constant(scope, field.key)
    return fetch_number(scope)


def fetch_number(scope: Scope) -> Value:
    """Takes a key; gives the int that the state has for it, or what lies in the scratch bytes."""
    push_scratch(scope)
    scope.code.push(INT_BYTES)
    load_state(scope)
    scope.code.op(Op.POP)
    push_scratch(scope)
    scope.code.op(Op.LOAD, Mode.I64)
    return Value(Kind.INT)


def attribute(scope: Scope, node: ast.Attribute) -> Value:
    raise scope.error(node, f"{ast.unparse(node)} is not a value here", "only constants of an imported library")


def kept(scope: Scope, node: ast.NamedExpr) -> Value:
    """A value that is also put into a local. Only the compiler itself makes one, for chained comparisons."""
    if not node.target.id.startswith("$"):
        raise outside(scope.module.file, node)
    wanted(scope, node.value, Kind.INT, "what is compared twice")
    scope.code.op(Op.DUP)
    scope.code.store(scope.variables[node.target.id].slot)
    return Value(Kind.INT)
