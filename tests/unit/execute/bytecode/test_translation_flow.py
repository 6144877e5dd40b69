"""Dominators, loops and reducibility against their definitions, on random graphs."""

from __future__ import annotations

from random import Random

import pytest

from quorate.execute.bytecode.translate.flow import Edges, Flow, dominators, predecessors

DIAMOND: Edges = [(1, 2), (3,), (3,), ()]
LOOP: Edges = [(1,), (2, 3), (1,), ()]
TWO_ENTRIES: Edges = [(1, 2), (2,), (1, 3), ()]


def reached(edges: Edges, without: int | None = None) -> set[int]:
    """What can be reached from block 0 on ways that do not touch `without`."""
    found: set[int] = set()
    ahead = [0] if without != 0 else []
    while ahead:
        block = ahead.pop()
        found.add(block)
        ahead += [target for target in edges[block] if target not in found and target != without]
    return found


def by_definition(edges: Edges) -> list[set[int]]:
    """All dominators of each block: those without which it is not reached."""
    lost = [set(range(len(edges))) - reached(edges, block) for block in range(len(edges))]
    return [{block for block in range(len(edges)) if other in lost[block]} for other in range(len(edges))]


def random_graph(seed: int) -> Edges:
    """Every block can be reached from block 0."""
    random = Random(seed)
    size = random.randint(1, 14)
    edges: list[set[int]] = [set() for _ in range(size)]
    for block in range(1, size):
        edges[random.randrange(block)].add(block)
    for _ in range(random.randint(0, size)):
        edges[random.randrange(size)].add(random.randrange(size))
    return [tuple(random.sample(sorted(targets), len(targets))) for targets in edges]


@pytest.mark.parametrize("seed", range(300))
def test_dominators_are_those_of_the_definition(seed: int) -> None:
    edges = random_graph(seed)
    above, all_above = dominators(edges), by_definition(edges)
    assert above[0] == -1
    for block in range(1, len(edges)):
        strict = all_above[block] - {block}
        assert above[block] in strict
        assert all_above[above[block]] == strict


@pytest.mark.parametrize("seed", range(300))
def test_a_flow_is_reducible_if_the_heads_of_loops_dominate_them(seed: int) -> None:
    edges = random_graph(seed)
    flow, all_above = Flow(edges), by_definition(edges)
    back = [
        (source, target) for source, targets in enumerate(edges) for target in targets if flow.is_back(source, target)
    ]
    assert flow.reducible == all(target in all_above[source] for source, target in back)
    assert flow.loops == {target for _, target in back}


def test_known_flows() -> None:
    assert dominators(DIAMOND) == [-1, 0, 0, 0]
    assert (Flow(DIAMOND).joins, Flow(DIAMOND).loops, Flow(DIAMOND).reducible) == ({3}, set(), True)
    assert (Flow(LOOP).loops, Flow(LOOP).reducible) == ({1}, True)
    assert not Flow(TWO_ENTRIES).reducible
    assert predecessors(TWO_ENTRIES) == [[], [0, 2], [0, 1], [2]]


def test_long_chains_take_no_time_that_grows_with_their_square() -> None:
    """Every block may leave to the last one; as many blocks as 64 KiB of code can have."""
    size = 13_000
    edges: Edges = [(at + 1, size - 1) for at in range(size - 2)] + [(size - 1,), ()]
    assert dominators(edges)[size - 1] == 0
    assert Flow(edges).joins == {size - 1}
