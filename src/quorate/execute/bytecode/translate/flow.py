"""The control flow of one function: its basic blocks, their order, dominators, loops and joins.

Dominators are found by Lengauer and Tarjan's algorithm with path compression (1979): a hostile contract has thousands
of blocks, and an algorithm that is quadratic in them would be a weapon.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from quorate.execute.bytecode.decoding import Instruction
from quorate.execute.bytecode.opcodes import ENDS, JUMPS
from quorate.execute.bytecode.verify import Code, Contract

Edges = list[tuple[int, ...]]


class Block(NamedTuple):
    """Instructions that always run one after the other. Successors are block numbers; of a conditional jump the target
    is the first of two, or the only one if both ways lead to one place."""

    instructions: tuple[Instruction, ...]
    successors: tuple[int, ...]

    @property
    def last(self) -> Instruction:
        return self.instructions[-1]


def _leaders(instructions: list[Instruction]) -> set[int]:
    found = {instructions[0].pc}
    for instruction in instructions:
        if instruction.op in JUMPS:
            found.add(instruction.immediate)
        if instruction.op in JUMPS or instruction.op in ENDS:
            found.add(instruction.after)
    return found


def blocks_of(code: Code, start: int, end: int) -> list[Block]:
    """The basic blocks of the function in `code` from `start` to `end`, in order of address; block 0 is its entry."""
    instructions = [code[pc] for pc in _addresses(code, start, end)]
    leaders = _leaders(instructions)
    groups: list[list[Instruction]] = []
    for instruction in instructions:
        if instruction.pc in leaders:
            groups.append([])
        groups[-1].append(instruction)
    numbers = {group[0].pc: number for number, group in enumerate(groups)}
    return [Block(tuple(group), _successors(group[-1], numbers)) for group in groups]


def _addresses(code: Code, start: int, end: int) -> list[int]:
    found, pc = [], start
    while pc < end:
        found.append(pc)
        pc = code[pc].after
    return found


def _successors(last: Instruction, numbers: dict[int, int]) -> tuple[int, ...]:
    targets = [last.immediate] if last.op in JUMPS else []
    if last.op not in ENDS:
        targets.append(last.after)
    return tuple(dict.fromkeys(numbers[target] for target in targets))


def _depth_first(edges: Edges) -> tuple[list[int], list[int], list[int]]:
    """Blocks in the order in which a walk from block 0 enters and leaves them, and from where it entered each."""
    entered, left, parents = [0], [], [-1] * len(edges)
    seen = [False] * len(edges)
    seen[0] = True
    path = [(0, iter(edges[0]))]
    while path:
        block, rest = path[-1]
        for successor in rest:
            if not seen[successor]:
                seen[successor] = True
                parents[successor] = block
                entered.append(successor)
                path.append((successor, iter(edges[successor])))
                break
        else:
            path.pop()
            left.append(block)
    return entered, left, parents


class _Forest:
    """Lengauer and Tarjan's forest: from each block the best semidominator on the way to its root."""

    def __init__(self, size: int) -> None:
        self.semi = [-1] * size
        self.ancestor = [-1] * size
        self.label = list(range(size))

    def best(self, block: int) -> int:
        path = []
        while self.ancestor[block] >= 0 and self.ancestor[self.ancestor[block]] >= 0:
            path.append(block)
            block = self.ancestor[block]
        for below in reversed(path):
            above = self.ancestor[below]
            if self.semi[self.label[above]] < self.semi[self.label[below]]:
                self.label[below] = self.label[above]
            self.ancestor[below] = self.ancestor[above]
        return self.label[path[0] if path else block]


def dominators(edges: Edges) -> list[int]:
    """The immediate dominator of each block; -1 for block 0. Every block can be reached from block 0."""
    entered, _, parents = _depth_first(edges)
    forest, result = _Forest(len(edges)), [-1] * len(edges)
    waiting: list[list[int]] = [[] for _ in edges]
    for number, block in enumerate(entered):
        forest.semi[block] = number
    before = predecessors(edges)
    for block in reversed(entered[1:]):
        forest.semi[block] = min(forest.semi[forest.best(source)] for source in before[block])
        waiting[entered[forest.semi[block]]].append(block)
        parent = parents[block]
        forest.ancestor[block] = parent
        for below in waiting[parent]:
            best = forest.best(below)
            result[below] = best if forest.semi[best] < forest.semi[below] else parent
        waiting[parent].clear()
    for block in entered[1:]:
        if result[block] != entered[forest.semi[block]]:
            result[block] = result[result[block]]
    return result


def predecessors(edges: Edges) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in edges]
    for source, targets in enumerate(edges):
        for target in targets:
            found[target].append(source)
    return found


class Flow:
    """What structured emission asks of a function: the place of each block in reverse postorder, the blocks that each
    immediately dominates, the heads of loops, the joins of forward edges, and whether every loop has one entry."""

    def __init__(self, edges: Edges) -> None:
        _, left, _ = _depth_first(edges)
        self.order = [0] * len(edges)
        for number, block in enumerate(reversed(left)):
            self.order[block] = number
        above = dominators(edges)
        self.children: list[list[int]] = [[] for _ in edges]
        for block in sorted(range(1, len(edges)), key=self.order.__getitem__):
            self.children[above[block]].append(block)
        pairs = [(source, target) for source, targets in enumerate(edges) for target in targets]
        back = [pair for pair in pairs if self.is_back(*pair)]
        self.loops = {target for _, target in back}
        forward = [target for source, target in pairs if not self.is_back(source, target)]
        self.joins = {block for block, count in Counter(forward).items() if count > 1}
        entered, left_at = self._spans()
        self.reducible = all(
            entered[target] <= entered[source] and left_at[source] <= left_at[target] for source, target in back
        )

    def is_back(self, source: int, target: int) -> bool:
        return self.order[target] <= self.order[source]

    def _spans(self) -> tuple[list[int], list[int]]:
        """When a walk over the dominator tree enters and leaves each block: a block dominates those inside its span."""
        edges = [tuple(children) for children in self.children]
        entered, left, _ = _depth_first(edges)
        entered_at, left_at = [0] * len(edges), [0] * len(edges)
        for number, block in enumerate(entered):
            entered_at[block] = number
        for number, block in enumerate(left):
            left_at[block] = number
        return entered_at, left_at


class Graph(NamedTuple):
    """A function's blocks and their flow."""

    blocks: list[Block]
    flow: Flow


def graph_of(contract: Contract, index: int) -> Graph:
    container = contract.container
    blocks = blocks_of(contract.code, container.functions[index].start, container.end_of(index))
    return Graph(blocks, Flow([block.successors for block in blocks]))
