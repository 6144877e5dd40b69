"""Loops. The test stands at the end of the body, so that a turn pays for one jump; before the first turn there is one
more test."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from quorate.execute.bytecode.compiler import conditions, expressions
from quorate.execute.bytecode.compiler.kinds import Declared, Kind
from quorate.execute.bytecode.compiler.scope import Loop, Scope
from quorate.execute.bytecode.opcodes import Op

Block = Callable[[Scope, Sequence[ast.stmt]], None]


def statement(scope: Scope, node: ast.stmt, block: Block) -> bool:
    """Compiles `node` if it belongs to a loop."""
    if isinstance(node, ast.While):
        _while(scope, node, block)
    elif isinstance(node, ast.For):
        _for(scope, node, block)
    elif isinstance(node, ast.Break):
        loop = scope.loops[-1]
        loop.broken.extend([scope.assigned] if scope.code.alive else [])
        scope.code.jump(Op.JMP, loop.end)
    elif isinstance(node, ast.Continue):
        scope.code.jump(Op.JMP, scope.loops[-1].again)
    else:
        return False
    return True


def _turns(scope: Scope, node: ast.While | ast.For, loop: Loop, block: Block) -> None:
    if node.orelse:
        raise scope.error(node, "a loop has no `else` here", "set a flag before `break`")
    scope.loops.append(loop)
    block(scope, node.body)
    scope.loops.pop()
    scope.code.mark(loop.again)


def _while(scope: Scope, node: ast.While, block: Block) -> None:
    loop = Loop(scope.code.label(), scope.code.label(), [])
    body = scope.code.label()
    conditions.jump(scope, node.test, loop.end, False)
    before = scope.assigned
    scope.code.mark(body)
    _turns(scope, node, loop, block)
    scope.assigned = before
    conditions.jump(scope, node.test, body, True)
    endless = bool(scope.fold(node.test))
    scope.code.mark(loop.end)
    scope.merge(loop.broken if endless else [before])


class _Range(NamedTuple):
    """What a loop runs over. `stop` pushes the bound; `sure` says that there is at least one turn."""

    start: ast.expr
    stop: ast.expr
    step: int
    sure: bool


def _range(scope: Scope, node: ast.For) -> _Range:
    call = node.iter
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "range":
        raise scope.error(node.iter, "a loop runs over a range", "write `for i in range(len(data))`")
    if call.keywords or not 1 <= len(call.args) <= 3:
        raise scope.error(call, "range takes 1 to 3 arguments")
    zero = ast.copy_location(ast.Constant(0), call)
    start, stop = (zero, call.args[0]) if len(call.args) == 1 else call.args[:2]
    step = scope.fold(call.args[2]) if len(call.args) == 3 else 1
    if not isinstance(step, int) or step == 0:
        raise scope.error(call, "the step of a range is a constant that is not 0")
    first, last = scope.fold(start), scope.fold(stop)
    known = isinstance(first, int) and isinstance(last, int)
    return _Range(start, stop, step, known and len(range(int(first or 0), int(last or 0), step)) > 0)


def _stored(body: Sequence[ast.stmt]) -> set[str]:
    """The names that a body assigns to."""
    nodes = (node for one in body for node in ast.walk(one))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _read_elsewhere(root: ast.AST, loop: ast.For, name: str) -> Iterator[ast.Name]:
    """Where `name` is read outside of `loop`, but for other loops that give it a value of their own."""
    for child in ast.iter_child_nodes(root):
        inside = isinstance(root, ast.For) and child in root.body
        own = isinstance(root, ast.For) and isinstance(root.target, ast.Name) and root.target.id == name
        if inside and own and (root is loop or loop not in ast.walk(root)):
            continue
        if isinstance(child, ast.Name) and child.id == name and not _is_target(root, child):
            yield child
        yield from _read_elsewhere(child, loop, name)


def _is_target(root: ast.AST, child: ast.Name) -> bool:
    return isinstance(child.ctx, ast.Store) and not isinstance(root, ast.AugAssign)


def _for(scope: Scope, node: ast.For, block: Block) -> None:
    if not isinstance(node.target, ast.Name):
        raise scope.error(node.target, "a loop over a range has one name")
    over, name = _range(scope, node), node.target.id
    expressions.wanted(scope, over.start, Kind.INT, "a bound")
    stop = _kept_stop(scope, node, over.stop)
    if name not in scope.variables:
        scope.declare(node.target, name, Declared(Kind.INT))
    if not Kind.INT.accepts(scope.variables[name].kind):
        raise scope.error(node.target, f"{name} is {scope.variables[name].kind}")
    counter = scope.hidden(node, Kind.INT) if name in _stored(node.body) or _restricted(scope, name) else name
    loop, body, never = Loop(scope.code.label(), scope.code.label(), []), scope.code.label(), scope.code.label()
    if not over.sure:
        scope.code.op(Op.DUP)
        _test(scope, stop, over.step)
        scope.code.jump(Op.JZ, never)
    before = scope.assigned
    scope.code.store(scope.variables[counter].slot)
    scope.code.mark(body)
    _begin_turn(scope, node.target, counter)
    _turns(scope, node, loop, block)
    _next_turn(scope, counter, stop, over.step)
    scope.code.jump(Op.JNZ, body)
    if counter == name and next(_read_elsewhere(scope.function.node, node, name), None) is not None:
        _step_back(scope, counter, over.step)
    scope.code.jump(Op.JMP, loop.end)
    if scope.code.mark(never):
        scope.code.op(Op.POP)
    scope.code.mark(loop.end)
    scope.assigned = before


def _restricted(scope: Scope, name: str) -> bool:
    """Whether a `nat` or `bool` is counted with, which has to be tested in each turn."""
    variable = scope.variables[name]
    return variable.natural or variable.kind is Kind.BOOL


def _kept_stop(scope: Scope, node: ast.For, stop: ast.expr) -> ast.expr:
    """The bound as it is read again in each turn: itself if nothing in the loop can change it, or a copy."""
    assert isinstance(node.target, ast.Name)
    is_local = isinstance(stop, ast.Name) and stop.id in scope.variables
    changed = _stored(node.body) | {node.target.id}
    if scope.fold(stop) is not None or (is_local and isinstance(stop, ast.Name) and stop.id not in changed):
        _check_bound(scope, stop)
        return stop
    expressions.wanted(scope, stop, Kind.INT, "a bound")
    name = scope.hidden(stop, Kind.INT)
    scope.code.store(scope.variables[name].slot)
    return ast.copy_location(ast.Name(name, ast.Load()), stop)


def _check_bound(scope: Scope, stop: ast.expr) -> None:
    """Refuses a bound that is no int, before it is read for the first time."""
    if isinstance(scope.fold(stop), bytes):
        raise scope.error(stop, "a bound has to be int, and this is bytes")
    if isinstance(stop, ast.Name) and stop.id in scope.variables and scope.variables[stop.id].kind.cells == 2:
        raise scope.error(stop, f"a bound has to be int, and this is {scope.variables[stop.id].kind}")


def _test(scope: Scope, stop: ast.expr, step: int) -> None:
    """Whether the counter on the stack is still before the bound."""
    expressions.wanted(scope, stop, Kind.INT, "a bound")
    scope.code.op(Op.LT if step > 0 else Op.GT)


def _begin_turn(scope: Scope, target: ast.Name, counter: str) -> None:
    variable = scope.variables[target.id]
    if counter != target.id:
        scope.code.load(scope.variables[counter].slot)
        if variable.natural:
            expressions.test_natural(scope)
        scope.code.store(variable.slot)
    scope.assigned |= {target.id}


def _next_turn(scope: Scope, counter: str, stop: ast.expr, step: int) -> None:
    slot = scope.variables[counter].slot
    scope.code.load(slot)
    scope.code.push(abs(step))
    scope.code.ops(Op.ADD if step > 0 else Op.SUB, Op.DUP)
    scope.code.store(slot)
    _test(scope, stop, step)


def _step_back(scope: Scope, counter: str, step: int) -> None:
    """After the last turn the counter is what the body saw last."""
    slot = scope.variables[counter].slot
    scope.code.load(slot)
    scope.code.push(abs(step))
    scope.code.op(Op.SUB if step > 0 else Op.ADD)
    scope.code.store(slot)
