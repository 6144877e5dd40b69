"""From a graph of blocks to WebAssembly's nested blocks and loops.

`structured` follows the dominator tree (Ramsey, "Beyond Relooper", 2022): each block is written where its dominator is
left; a join stands behind a block that branches to it leave, a loop's head inside a loop. It needs loops of one entry.
`dispatched` takes every graph, at the price of a table that each jump goes through. Both keep their work in a list:
the depth of Python's own calls does not follow the contract.
"""

from __future__ import annotations

from collections.abc import Callable

from quorate.execute.bytecode.translate.flow import Flow
from quorate.execute.bytecode.translate.writer import Code, W

WriteBlock = Callable[[int], tuple[int, ...]]
"""Writes the instructions of a block, and answers where it may go on. With two successors it leaves a flag on the
WebAssembly stack: not zero for the first."""

_TREE, _END, _ELSE = range(3)


class _Structured:
    def __init__(self, flow: Flow, code: Code, write: WriteBlock) -> None:
        self.flow, self.code, self.write = flow, code, write
        self.loop_depths: dict[int, int] = {}
        self.join_depths: dict[int, int] = {}
        self.work: list[tuple[int, int]] = [(_TREE, 0)]

    def run(self) -> None:
        while self.work:
            kind, block = self.work.pop()
            if kind == _TREE:
                self.tree(block)
            elif kind == _ELSE:
                self.code.raw(W.ELSE)
            else:
                self.code.end()

    def tree(self, block: int) -> None:
        """Opens what must stand around `block`, writes it, and leaves the rest of its tree for later."""
        if block in self.flow.loops:
            self.loop_depths[block] = self.code.open(W.LOOP)
            self.work.append((_END, block))
        for join in reversed(self.flow.children[block]):
            if join in self.flow.joins:
                self.work += [(_TREE, join), (_END, block)]
                self.join_depths[join] = self.code.open(W.BLOCK)
        self.leave(block, self.write(block))

    def leave(self, block: int, successors: tuple[int, ...]) -> None:
        labels = [self.label(block, successor) for successor in successors]
        if len(successors) == 1:
            self.go(successors[0], labels[0])
        elif labels == [None, None]:
            self.code.open(W.IF)
            self.work += [(_END, block), (_TREE, successors[1]), (_ELSE, block), (_TREE, successors[0])]
        elif len(successors) == 2:
            first = 0 if labels[0] is not None else 1
            if first:
                self.code.raw(W.I32_EQZ)
            depth = labels[first]
            assert depth is not None
            self.code.branch(W.BR_IF, depth)
            self.go(successors[1 - first], labels[1 - first])

    def label(self, source: int, target: int) -> int | None:
        """The depth of the block or loop that leads to `target`; None if it is to be written here."""
        if self.flow.is_back(source, target):
            return self.loop_depths[target]
        return self.join_depths[target] if target in self.flow.joins else None

    def go(self, block: int, label: int | None) -> None:
        if label is None:
            self.work.append((_TREE, block))
        else:
            self.code.branch(W.BR, label)


def structured(flow: Flow, code: Code, write: WriteBlock) -> None:
    """Writes all blocks; for a flow that is reducible."""
    _Structured(flow, code, write).run()
    code.raw(W.UNREACHABLE)


def dispatched(count: int, code: Code, write: WriteBlock, following: int) -> None:
    """Writes all blocks as the cases of a table in a loop. Local `following` holds the number of the next block and is
    zero at first."""
    again = code.open(W.LOOP)
    for _ in range(count):
        code.open(W.BLOCK)
    code.get(following)
    code.table(count)
    for block in range(count):
        code.end()
        successors = write(block)
        if successors:
            _choose(code, successors)
            code.set(following)
            code.branch(W.BR, again)
    code.end()
    code.raw(W.UNREACHABLE)


def _choose(code: Code, successors: tuple[int, ...]) -> None:
    """Leaves the number of the next block; takes the flag if there are two."""
    if len(successors) == 1:
        code.i32(successors[0])
        return
    code.open_choice()
    code.i32(successors[0])
    code.raw(W.ELSE)
    code.i32(successors[1])
    code.end()
