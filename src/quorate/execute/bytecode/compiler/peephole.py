"""Shorter forms of a few instructions in a row. Each rewriting keeps results, traps and order; only cycles go down.

Rules look at instructions between two labels, so that no jump lands inside of what is rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from quorate.execute.bytecode.compiler.emit import JUMP_OPS, Item, Symbol
from quorate.execute.bytecode.opcodes import CELL_MAX, CELL_MIN, ENDS, Mode, Op

_INVERSE: Final = {Op.EQ: Op.NEQ, Op.NEQ: Op.EQ, Op.LT: Op.GTE, Op.GTE: Op.LT, Op.GT: Op.LTE, Op.LTE: Op.GT}
_FLIPPED: Final = {Op.JZ: Op.JNZ, Op.JNZ: Op.JZ}
_MIRRORED: Final = {Op.LT: Op.GT, Op.GT: Op.LT, Op.LTE: Op.GTE, Op.GTE: Op.LTE}
_COMMUTES: Final = frozenset({Op.ADD, Op.MUL, Op.AND, Op.OR, Op.XOR, Op.EQ, Op.NEQ, Op.MIN, Op.MAX})

Window = Sequence[Item]
Rule = Callable[[Window], list[Item] | None]


def _is(item: Item, op: Op, operand: object = None) -> bool:
    return item.op is op and (operand is None or item.operand == operand)


def _local(item: Item, op: Op) -> bool:
    return item.op is op and isinstance(item.operand, int) and item.operand >= Mode.LOCAL


def _plain(item: Item) -> bool:
    """Pushes one cell and does nothing else."""
    return item.op is Op.PUSH or _local(item, Op.LOAD)


def _stored_and_loaded(w: Window) -> list[Item] | None:
    """STORE x, LOAD x: the value is copied before it is stored."""
    if _local(w[0], Op.STORE) and _is(w[1], Op.LOAD, w[0].operand):
        return [Item(Op.DUP, 0, w[0].line), w[0]]
    return None


def _loaded_twice(w: Window) -> list[Item] | None:
    if _local(w[0], Op.LOAD) and w[1][:2] == w[0][:2]:
        return [w[0], Item(Op.DUP, 0, w[1].line)]
    return None


def _popped(w: Window) -> list[Item] | None:
    if (_plain(w[0]) or _is(w[0], Op.DUP)) and _is(w[1], Op.POP):
        return []
    return None


def _swapped(w: Window) -> list[Item] | None:
    """SWAP before what does not care about order, or has a mirror."""
    if not _is(w[0], Op.SWAP):
        return None
    if _is(w[1], Op.SWAP):
        return []
    if w[1].op in _COMMUTES:
        return [w[1]]
    mirror = _MIRRORED.get(w[1].op) if w[1].op else None
    return [Item(mirror, 0, w[1].line)] if mirror else None


def _second_kept(w: Window) -> list[Item] | None:
    """Two cells of which the first is thrown away, as `len` does with an address."""
    if _plain(w[0]) and _plain(w[1]) and _is(w[2], Op.SWAP) and _is(w[3], Op.POP):
        return [w[1]]
    return None


def _moved_address(w: Window) -> list[Item] | None:
    """PUSH address, PUSH number, ADD: the sum is known when the contract is linked."""
    address, number = w[0].operand, w[1].operand
    if not (_is(w[0], Op.PUSH) and _is(w[1], Op.PUSH) and _is(w[2], Op.ADD)):
        return None
    if not isinstance(address, Symbol) or not isinstance(number, int):
        return None
    moved = Symbol(address.name, address.offset + number)
    return [Item(Op.PUSH, moved, w[0].line)] if 0 <= moved.offset < CELL_MAX >> 1 else None


def _nothing_added(w: Window) -> list[Item] | None:
    if _is(w[0], Op.PUSH, 0) and w[1].op in (Op.ADD, Op.SUB, Op.OR, Op.XOR):
        return []
    if _is(w[0], Op.PUSH, 1) and w[1].op in (Op.MUL, Op.DIV):
        return []
    return None


def _folded(w: Window) -> list[Item] | None:
    a, b = w[0].operand, w[1].operand
    if not (_is(w[0], Op.PUSH) and _is(w[1], Op.PUSH) and isinstance(a, int) and isinstance(b, int)):
        return None
    value = {Op.ADD: a + b, Op.SUB: a - b, Op.MUL: a * b}.get(w[2].op) if w[2].op else None
    if value is None or not CELL_MIN <= value <= CELL_MAX:
        return None
    return [Item(Op.PUSH, value, w[0].line)]


def _fetched_again(w: Window) -> list[Item] | None:
    """LOAD a, one cell, LOAD a: OVER has it already."""
    if _local(w[0], Op.LOAD) and _plain(w[1]) and w[2][:2] == w[0][:2]:
        return [w[0], w[1], Item(Op.OVER, 0, w[2].line)]
    return None


def _kept_beside(w: Window) -> list[Item] | None:
    """STORE a, one cell, LOAD a: a copy stays on the stack."""
    if _local(w[0], Op.STORE) and _plain(w[1]) and not _is(w[1], Op.LOAD, w[0].operand):
        if not _is(w[2], Op.LOAD, w[0].operand):
            return None
        swap = Item(Op.SWAP, 0, w[2].line)
        return [Item(Op.DUP, 0, w[0].line), w[0], w[1], swap]
    return None


def _flag_tested(w: Window) -> list[Item] | None:
    """PUSH 0, EQ, JZ: the jump itself tests for zero."""
    if not (_is(w[0], Op.PUSH, 0) and w[1].op in (Op.EQ, Op.NEQ) and w[2].op in (Op.JZ, Op.JNZ)):
        return None
    op = w[2].op if w[1].op is Op.NEQ else _FLIPPED[w[2].op]
    return [Item(op, w[2].operand, w[2].line)]


def _inverted(w: Window) -> list[Item] | None:
    """A comparison and its denial are one comparison."""
    inverse = _INVERSE.get(w[0].op) if w[0].op else None
    if inverse and _is(w[1], Op.PUSH, 0) and _is(w[2], Op.EQ):
        return [Item(inverse, 0, w[0].line)]
    return None


RULES: Final[tuple[tuple[int, Rule], ...]] = (
    (2, _stored_and_loaded),
    (2, _loaded_twice),
    (2, _popped),
    (2, _swapped),
    (2, _nothing_added),
    (3, _moved_address),
    (3, _folded),
    (3, _fetched_again),
    (3, _kept_beside),
    (3, _flag_tested),
    (3, _inverted),
    (4, _second_kept),
)


def _rewritten(items: list[Item]) -> list[Item]:
    """One pass. What a rule gives is looked at again together with what stands before it."""
    done: list[Item] = []
    for item in items:
        done.append(item)
        while True:
            found = next((hit for hit in (_attempt(done, *row) for row in RULES) if hit is not None), None)
            if found is None:
                break
            size, new = found
            done[len(done) - size :] = new
    return done


def _attempt(done: list[Item], size: int, rule: Rule) -> tuple[int, list[Item]] | None:
    window = done[-size:]
    if len(window) < size or any(item.op is None for item in window):
        return None
    new = rule(window)
    return None if new is None else (size, new)


def _landing(items: list[Item]) -> dict[int, int]:
    """Where each label really leads: through the jumps that stand at its place."""
    places = {item.operand: index for index, item in enumerate(items) if item.op is None}
    first: dict[int, int] = {}
    for label, index in places.items():
        assert isinstance(label, int)
        seen: set[int] = set()
        end = label
        while end not in seen:
            seen.add(end)
            at = index if end == label else places[end]
            while at < len(items) and items[at].op is None:
                at += 1
            if at == len(items) or items[at].op is not Op.JMP:
                break
            target = items[at].operand
            assert isinstance(target, int)
            end = target
        first[label] = end
    return first


def _next_instruction(items: list[Item], label: object) -> Item | None:
    at = next((index for index, item in enumerate(items) if item.op is None and item.operand == label), len(items))
    return next((item for item in items[at:] if item.op is not None), None)


def _threaded(items: list[Item]) -> list[Item]:
    """Jumps go where they lead in the end; a jump to RET is RET; a jump to the next instruction is none."""
    landing = _landing(items)
    out: list[Item] = []
    for index, item in enumerate(items):
        if item.op not in JUMP_OPS:
            out.append(item)
            continue
        assert isinstance(item.operand, int)
        target = _forward(items, index, landing[item.operand], item.operand)
        after = _next_instruction(items, target)
        if item.op is Op.JMP and after is not None and after.op is Op.RET:
            out.append(Item(Op.RET, 0, item.line))
        elif _leads_on(items, index, target):
            out += [] if item.op is Op.JMP else [Item(Op.POP, 0, item.line)]
        else:
            out.append(Item(item.op, target, item.line))
    return out


def _forward(items: list[Item], index: int, target: int, old: int) -> int:
    """`target`, unless code would then be reached by a backward jump alone, which the verifier refuses."""
    position = next(at for at, item in enumerate(items) if item.op is None and item.operand == target)
    return target if position > index else old


def _leads_on(items: list[Item], index: int, target: int) -> bool:
    """Whether nothing stands between a jump and its target."""
    for item in items[index + 1 :]:
        if item.op is not None:
            return False
        if item.operand == target:
            return True
    return False


def _over_jumps(items: list[Item]) -> list[Item]:
    """JZ over a JMP is JNZ to where the JMP leads."""
    out: list[Item] = []
    for index, item in enumerate(items):
        previous = out[-1] if out else None
        if item.op is Op.JMP and previous is not None and previous.op in (Op.JZ, Op.JNZ):
            assert isinstance(previous.operand, int)
            if _leads_on(items, index, previous.operand):
                out[-1] = Item(_FLIPPED[previous.op], item.operand, previous.line)
                continue
        out.append(item)
    return out


def _reached(items: list[Item]) -> list[Item]:
    """Only what something before leads to, and only labels that are jumped to."""
    alive, known = True, set[object]()
    out: list[Item] = []
    for item in items:
        if item.op is None:
            alive = alive or item.operand in known
        if not alive:
            continue
        out.append(item)
        if item.op in JUMP_OPS:
            known.add(item.operand)
        alive = item.op is None or item.op not in ENDS
    used = {item.operand for item in out if item.op in JUMP_OPS}
    return [item for item in out if item.op is not None or item.operand in used]


def optimise(items: list[Item]) -> list[Item]:
    """The same function in fewer cycles."""
    while True:
        shorter = _reached(_over_jumps(_threaded(_reached(_rewritten(items)))))
        if shorter == items:
            return items
        items = shorter
