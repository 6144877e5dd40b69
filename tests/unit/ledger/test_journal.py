"""The log of events against the batch tree of `crypto.merkle`: the same roots and paths, and nothing else verifies."""

from __future__ import annotations

import pytest

from quorate.crypto import merkle
from quorate.errors import BadSignature, InvalidField
from quorate.ledger.journal import EMPTY_ROOT, Journal, event_leaf

EVENTS = [f"event {number}".encode() for number in range(70)]


def grown(size: int) -> Journal:
    journal = Journal()
    journal.extend(EVENTS[:size])
    return journal


@pytest.mark.parametrize("size", range(1, 70))
def test_roots_and_paths_are_those_of_the_batch_tree(size: int) -> None:
    journal = grown(size)
    tree = merkle.levels([event_leaf(event) for event in EVENTS[:size]])
    assert journal.root() == tree[-1][0]
    for index in range(size):
        assert journal.path(index) == merkle.path(tree, index)
        merkle.verify(journal.root(), event_leaf(EVENTS[index]), index, size, journal.path(index))


def test_growing_step_by_step_is_growing_at_once() -> None:
    journal = Journal()
    assert journal.root() == EMPTY_ROOT
    for size, event in enumerate(EVENTS, 1):
        journal.extend([event])
        assert journal.root() == grown(size).root()


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 64])
def test_what_is_taken_back_leaves_no_trace(size: int) -> None:
    journal = grown(70)
    journal.truncate(size)
    assert (len(journal), journal.root()) == (size, grown(size).root())
    journal.extend(EVENTS[size:])
    assert journal.root() == grown(70).root()
    assert journal.path(69) == grown(70).path(69)


def test_another_event_index_or_size_does_not_verify() -> None:
    journal = grown(21)
    root, path = journal.root(), journal.path(7)
    for leaf, index, size in ((EVENTS[8], 7, 21), (EVENTS[7], 8, 21), (EVENTS[7], 7, 40)):
        with pytest.raises(BadSignature):
            merkle.verify(root, event_leaf(leaf), index, size, path)
    with pytest.raises(InvalidField):
        journal.path(21)
    with pytest.raises(InvalidField):
        journal.truncate(22)
