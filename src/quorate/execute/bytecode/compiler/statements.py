"""Statements: assignment, tests, returns, asserts. Loops are in `loops`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any, Final

from quorate.execute.bytecode.compiler import calls, conditions, expressions, loops, views
from quorate.execute.bytecode.compiler.kinds import Declared, Kind
from quorate.execute.bytecode.compiler.scope import ASSERTION, Scope
from quorate.execute.bytecode.compiler.subset import outside
from quorate.execute.bytecode.opcodes import Mode, Op


def function_body(scope: Scope) -> None:
    """The whole function: tests of what comes from outside, statements, and the end."""
    node, signature = scope.function.node, scope.function.signature
    scope.code.line = node.lineno
    if scope.function.exported:
        for name, kind in zip(signature.names, signature.parameters, strict=True):
            _test_parameter(scope, name, kind)
    block(scope, node.body)
    if scope.code.alive and signature.results:
        raise scope.error(node, f"{node.name} may end without a value", "end every way with `return`")
    scope.code.op(Op.RET)


def _test_parameter(scope: Scope, name: str, kind: Declared) -> None:
    if kind.natural and kind.kind is Kind.INT:
        scope.code.load(scope.variables[name].slot)
        expressions.test_natural(scope)
        scope.code.op(Op.POP)


def block(scope: Scope, body: Sequence[ast.stmt]) -> None:
    for node in body:
        scope.code.line = node.lineno
        form = _FORMS.get(type(node))
        if form is not None:
            form(scope, node)
        elif not loops.statement(scope, node, block):
            raise outside(scope.module.file, node)


def _assign(scope: Scope, node: ast.Assign) -> None:
    if len(node.targets) > 1:
        raise scope.error(node, "two targets in one assignment", "assign one after the other")
    target = node.targets[0]
    if isinstance(target, ast.Tuple):
        _assign_several(scope, node, target)
    elif isinstance(target, ast.Subscript):
        _assign_item(scope, target, node.value)
    elif isinstance(target, ast.Name):
        _assign_name(scope, target, node.value)
    else:
        raise scope.error(target, "cannot be assigned to")


def _is_field(scope: Scope, target: ast.Name) -> bool:
    if target.id not in scope.module.fields:
        return False
    if target.id not in scope.globals:
        raise scope.error(target, f"{target.id} is a state field", f"write `global {target.id}` before")
    return True


def _assign_name(scope: Scope, target: ast.Name, value: ast.expr) -> None:
    if _is_field(scope, target):
        expressions.push_constant(scope, scope.module.fields[target.id].key)
        expressions.wanted(scope, value, Kind.INT, target.id)
        calls.store_number(scope)
        return
    variable = scope.variables.get(target.id)
    if variable is None:
        kind = expressions.expression(scope, value).kind
        _declare(scope, target, kind)
    else:
        expressions.checked(scope, value, Declared(variable.kind, variable.natural), target.id)
    _store(scope, target)


def _declare(scope: Scope, target: ast.Name, kind: Kind) -> None:
    if kind is Kind.NONE:
        raise scope.error(target, f"there is no value for {target.id}")
    scope.declare(target, target.id, Declared(kind))


def _store(scope: Scope, target: ast.Name) -> None:
    variable = scope.variables[target.id]
    scope.code.store(variable.slot, variable.kind)
    scope.assigned |= {target.id}


def _assign_several(scope: Scope, node: ast.Assign, target: ast.Tuple) -> None:
    """All values are computed before the first is assigned."""
    names = [one for one in target.elts if isinstance(one, ast.Name)]
    if len(names) != len(target.elts) or any(name.id in scope.module.fields for name in names):
        raise scope.error(target, "only local names stand on the left of several values")
    if isinstance(node.value, ast.Tuple) and len(node.value.elts) == len(names):
        kinds = tuple(_given(scope, name, value) for name, value in zip(names, node.value.elts, strict=True))
    elif isinstance(node.value, ast.Call):
        kinds = calls.results_of(scope, node.value)
    else:
        raise scope.error(node.value, f"not {len(names)} values", "as many values, or a call that gives them")
    if len(kinds) != len(names):
        raise scope.error(node.value, f"{len(kinds)} values for {len(names)} names")
    for name, kind in reversed(list(zip(names, kinds, strict=True))):
        _receive(scope, name, kind)


def _given(scope: Scope, name: ast.Name, value: ast.expr) -> Kind:
    variable = scope.variables.get(name.id)
    if variable is None:
        return expressions.expression(scope, value).kind
    expressions.checked(scope, value, Declared(variable.kind, variable.natural), name.id)
    return variable.kind


def _receive(scope: Scope, name: ast.Name, kind: Kind) -> None:
    """Puts cells that are on the stack already into a local."""
    variable = scope.variables.get(name.id)
    if variable is None:
        _declare(scope, name, kind)
    elif not variable.kind.accepts(kind):
        raise scope.error(name, f"{name.id} has to be {variable.kind}, and this is {kind}")
    elif variable.natural:
        expressions.test_natural(scope)
    _store(scope, name)


def _assign_item(scope: Scope, target: ast.Subscript, value: ast.expr) -> None:
    if not isinstance(target.value, ast.Name) or target.value.id != "state":
        if isinstance(target.slice, ast.Slice):
            raise scope.error(target, "a part is not assigned to", "write `memory.copy(target[a:b], source)`")
        views.write(scope, target, value)
        return
    _need_state(scope, target)
    expressions.wanted(scope, target.slice, Kind.BYTES, "a key")
    expressions.wanted(scope, value, Kind.BYTES, "an entry")
    scope.code.op(Op.STORE, Mode.STATE)


def _need_state(scope: Scope, node: ast.AST) -> None:
    if "state" not in scope.module.imports:
        raise scope.error(node, "state is not known here", "write `from mhr import state`")


def _delete(scope: Scope, node: ast.Delete) -> None:
    for target in node.targets:
        known = isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id == "state"
        if not isinstance(target, ast.Subscript) or not known:
            raise outside(scope.module.file, node)
        _need_state(scope, node)
        expressions.wanted(scope, target.slice, Kind.BYTES, "a key")
        scope.code.push(0)
        scope.code.push(-1)
        scope.code.op(Op.STORE, Mode.STATE)


def _annotated(scope: Scope, node: ast.AnnAssign) -> None:
    if not isinstance(node.target, ast.Name):
        raise scope.error(node, "only a name has a type")
    variable = scope.annotated(node, node.target.id)
    if node.value is not None:
        expressions.checked(scope, node.value, Declared(variable.kind, variable.natural), node.target.id)
        _store(scope, node.target)


def _augmented(scope: Scope, node: ast.AugAssign) -> None:
    if not isinstance(node.target, ast.Name):
        raise scope.error(node, "only a name is changed in place", "write `BUFFER[i] = BUFFER[i] + 1`")
    left = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
    value = ast.copy_location(ast.BinOp(left, node.op, node.value), node)
    _assign_name(scope, node.target, value)


def _if(scope: Scope, node: ast.If) -> None:
    other, end = scope.code.label(), scope.code.label()
    conditions.jump(scope, node.test, other, False)
    before = scope.assigned
    block(scope, node.body)
    after = scope.here
    if node.orelse:
        scope.code.jump(Op.JMP, end)
    reached = scope.code.mark(other)
    scope.assigned = before
    block(scope, node.orelse)
    otherwise = scope.here if reached else None
    scope.code.mark(end)
    scope.merge((after, otherwise))


def _return(scope: Scope, node: ast.Return) -> None:
    wanted = scope.function.signature.results
    values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value] if node.value else []
    if len(wanted) > 1 and len(values) == 1 and isinstance(values[0], ast.Call):
        _return_call(scope, values[0], wanted)
    elif len(values) != len(wanted):
        raise scope.error(node, f"{len(values)} values, and {len(wanted)} are declared")
    else:
        for value, want in zip(values, wanted, strict=True):
            expressions.checked(scope, value, want, "the result")
    scope.code.op(Op.RET)


def _return_call(scope: Scope, value: ast.Call, wanted: tuple[Declared, ...]) -> None:
    kinds = calls.results_of(scope, value)
    if kinds != tuple(one.kind for one in wanted) or any(one.natural and one.kind is Kind.INT for one in wanted):
        raise scope.error(value, "gives other values than are declared", "assign them to names and return these")


def _assert(scope: Scope, node: ast.Assert) -> None:
    code = ASSERTION if node.msg is None else scope.fold(node.msg)
    if not isinstance(code, int) or (node.msg is not None and isinstance(code, bool)):
        raise scope.error(node.msg or node, "what an assert ends with is a number", "a constant int")
    good = scope.code.label()
    conditions.jump(scope, node.test, good, True)
    scope.code.push(code)
    scope.code.op(Op.ABORT)
    scope.code.mark(good)


def _expression(scope: Scope, node: ast.Expr) -> None:
    if isinstance(node.value, ast.Call):
        kinds = calls.results_of(scope, node.value)
        scope.code.pop(sum(kind.cells for kind in kinds))
    elif not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
        raise scope.error(node, "a value that nothing is done with", "assign it, or call a function")


def _global(scope: Scope, node: ast.Global) -> None:
    unknown = [name for name in node.names if name not in scope.module.fields]
    if unknown:
        raise scope.error(node, f"{unknown[0]} is not a state field", 'write `name: int = stored(b"key", 0)` above')
    scope.globals.update(node.names)


def _pass(scope: Scope, node: ast.Pass) -> None:
    """Nothing is done."""


_FORMS: Final[dict[type[ast.stmt], Callable[[Scope, Any], None]]] = {
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Assert: _assert,
    ast.Delete: _delete,
    ast.Expr: _expression,
    ast.Global: _global,
    ast.If: _if,
    ast.Pass: _pass,
    ast.Return: _return,
}
