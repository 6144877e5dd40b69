"""Thresholds, counting, and the odds, each against a computation of the tests' own."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import combinations, product
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.errors import InvalidField
from quorate.model.policy import Proof, quorum_threshold
from quorate.verify.quorum import count, odds, threshold

# Thresholds

DEFAULT = {1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5, 8: 6, 9: 7, 10: 7, 11: 8, 12: 9, 13: 10, 14: 10, 15: 11}
"""ceil(7K/10), worked out by hand."""
TWO_THIRDS = {1: 1, 2: 2, 3: 2, 4: 3, 5: 4, 6: 4, 7: 5, 8: 6, 9: 6, 10: 7, 11: 8, 12: 8, 13: 9, 14: 10, 15: 10}


def quorum(replicas: int, needed: int = 0) -> Proof:
    return Proof(method="quorum", replicas=replicas, threshold=needed, one_in=1)


@pytest.mark.parametrize("replicas", range(1, 16))
def test_the_table_of_thresholds(replicas: int) -> None:
    assert quorum_threshold(replicas) == DEFAULT[replicas] == threshold(quorum(replicas))
    assert 10 * DEFAULT[replicas] >= 7 * replicas > 10 * (DEFAULT[replicas] - 1)


@pytest.mark.parametrize("replicas", range(1, 16))
def test_a_job_may_set_its_own(replicas: int) -> None:
    needed = TWO_THIRDS[replicas]
    if 2 * needed > replicas:
        assert threshold(quorum(replicas, needed)) == needed


@pytest.mark.parametrize("replicas", range(1, 16))
def test_half_is_no_quorum(replicas: int) -> None:
    """Two halves could both win."""
    for needed in range(1, replicas // 2 + 1):
        with pytest.raises(InvalidField):
            quorum(replicas, needed)
    assert quorum(replicas, replicas // 2 + 1).threshold == replicas // 2 + 1


def test_a_round_of_another_width_has_the_default() -> None:
    assert threshold(quorum(3, 2), 3) == 2
    assert threshold(quorum(3, 2), 5) == 4


# Counting

votes_of = st.integers(1, 9).flatmap(
    lambda size: st.tuples(
        st.just(size),
        st.dictionaries(st.integers(0, 20), st.sampled_from(["a", "b", "c", None]), max_size=size),
        st.integers(size // 2 + 1, size),
    )
)


@given(votes_of)
def test_counting_is_what_counting_by_hand_gives(case: tuple[int, dict[int, str | None], int]) -> None:
    size, votes, needed = case
    tallied = Counter(choice for choice in votes.values() if choice is not None)
    winners = [choice for choice, number in tallied.items() if number >= needed]
    found = count(votes, size, needed)
    assert found.failed == tuple(voter for voter, choice in votes.items() if choice is None)
    assert {*found.agreed, *found.dissented, *found.failed} == set(votes)
    assert len(found.agreed) + len(found.dissented) + len(found.failed) == len(votes)
    if winners:
        (winner,) = winners
        assert (found.outcome, found.choice) == ("accepted", winner)
        assert found.agreed == tuple(voter for voter, choice in votes.items() if choice == winner)
        return
    assert (found.choice, found.agreed) == (None, ())
    reachable = any(
        Counter([*tallied.elements(), *rest]).most_common(1)[0][1] >= needed
        for rest in product(["a", "b", "c", "d"], repeat=min(size - len(votes), 4))
        if [*tallied.elements(), *rest]
    )
    if size - len(votes) <= 4:
        assert found.outcome == ("open" if reachable else "split")


@given(votes_of, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(case: tuple[int, dict[int, str | None], int], any_: object) -> None:
    size, votes, needed = case
    items = list(votes.items())
    any_.shuffle(items)  # type: ignore[attr-defined]
    first, second = count(votes, size, needed), count(dict(items), size, needed)
    assert (first.outcome, first.choice) == (second.outcome, second.choice)
    for name in ("agreed", "dissented", "failed"):
        assert set(getattr(first, name)) == set(getattr(second, name))


@given(votes_of, st.sampled_from(["a", "b", None]))
def test_an_end_stays_an_end(case: tuple[int, dict[int, str | None], int], choice: str | None) -> None:
    """Whatever comes later, what was accepted stays accepted, and what was split stays split."""
    size, votes, needed = case
    if len(votes) == size:
        return
    before, after = count(votes, size, needed), count({**votes, 99: choice}, size, needed)
    if before.outcome != "open":
        assert (after.outcome, after.choice) == (before.outcome, before.choice)


@pytest.mark.parametrize(
    ("votes", "size", "needed", "outcome"),
    [
        ("", 3, 3, "open"),
        ("aa", 3, 3, "open"),
        ("aaa", 3, 3, "accepted"),
        ("aab", 3, 3, "split"),
        ("aab", 3, 2, "accepted"),
        ("ab", 3, 2, "open"),
        ("ab", 3, 3, "split"),
        ("aabb", 4, 3, "split"),
        ("aabbc", 5, 4, "split"),
        ("aaaabb", 10, 7, "open"),
        ("aaaabbb", 10, 7, "open"),
        ("aaaabbbb", 10, 7, "split"),
        ("aaaaaabbbb", 10, 7, "split"),
        ("aaaaaaabbb", 10, 7, "accepted"),
        ("xxx", 3, 3, "split"),
        ("xxx", 3, 2, "split"),
        ("x", 1, 1, "split"),
        ("xxa", 3, 2, "split"),
        ("xaa", 3, 2, "accepted"),
        ("xaa", 3, 3, "split"),
    ],
)
def test_ties_splits_and_failures(votes: str, size: int, needed: int, outcome: str) -> None:
    """`x` is a failure: any number of them is no agreement, and each takes a place in the denominator."""
    given_votes = {at: None if letter == "x" else letter for at, letter in enumerate(votes)}
    found = count(given_votes, size, needed)
    assert found.outcome == outcome
    assert len(found.failed) == votes.count("x")


@pytest.mark.parametrize("replicas", range(2, 16))
def test_most_votes_without_the_threshold_never_win(replicas: int) -> None:
    needed = DEFAULT[replicas]
    almost = {at: "a" if at < needed - 1 else f"other {at}" for at in range(replicas)}
    assert count(almost, replicas, needed).outcome == "split"
    enough = {at: "a" if at < needed else f"other {at}" for at in range(replicas)}
    assert count(enough, replicas, needed).outcome == "accepted"


# Odds


def by_enumeration(pool: int, colluders: int, size: int, needed: int, rounds: int) -> tuple[Fraction, Fraction]:
    """Every draw there is, one by one: members 0 to `colluders` - 1 collude."""

    def ends(left: frozenset[int], more: int) -> tuple[Fraction, Fraction]:
        if more == 0 or len(left) < size:
            return Fraction(0), Fraction(1)
        draws = list(combinations(sorted(left), size))
        wrong = stall = Fraction(0)
        for drawn in draws:
            bad = sum(member < colluders for member in drawn)
            if bad >= needed:
                wrong += 1
            elif size - bad < needed:
                later = ends(left - set(drawn), more - 1)
                wrong, stall = wrong + later[0], stall + later[1]
        return wrong / len(draws), stall / len(draws)

    return ends(frozenset(range(pool)), rounds)


@pytest.mark.parametrize(
    ("pool", "size", "rounds"),
    [
        (3, 3, 1),
        (4, 3, 1),
        (6, 3, 1),
        (6, 3, 2),
        (7, 3, 2),
        (6, 2, 3),
        (7, 2, 3),
        (8, 4, 2),
        (8, 5, 1),
        (9, 3, 3),
        (2, 3, 1),
    ],
)
def test_odds_are_those_of_counting_every_draw(pool: int, size: int, rounds: int) -> None:
    for colluders in range(pool + 1):
        for needed in {quorum_threshold(size), size // 2 + 1, size}:
            wrong, stall = by_enumeration(pool, colluders, size, needed, rounds)
            found = odds(pool, colluders, size, needed, rounds)
            assert found.wrong_ppb == -(-wrong * 10**9 // 1), (colluders, needed)
            assert found.stall_ppb == -(-stall * 10**9 // 1), (colluders, needed)


TABLE = {
    (3, 3): [(6e-5, 0.14), (7e-4, 0.27), (7e-3, 0.49), (2.5e-2, 0.66)],
    (10, 7): [(0, 0.000), (8e-7, 0.008), (4e-4, 0.11), (7e-3, 0.35)],
    (16, 11): [(0, 0), (0, 0.001), (3e-6, 0.06), (6e-4, 0.33)],
    (31, 21): [(0, 0), (0, 0), (0, 0.01), (9e-8, 0.28)],
}
"""One round, pool of 100, of which 5, 10, 20 and 30 collude: the odds that colluders have the threshold, and that the
honest have not (a wrong result or none). Worked out independently, and rounded."""


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(("size", "needed"), TABLE)
def test_odds_are_those_of_the_published_table(size: int, needed: int, place: int) -> None:
    colluders = (5, 10, 20, 30)[place]
    wrong, no_right = TABLE[size, needed][place]
    found = odds(100, colluders, size, needed, 1)
    if wrong:
        assert found.wrong_ppb / 10**9 == pytest.approx(wrong, rel=0.1)
    else:
        assert found.wrong_ppb <= 10  # below 10^-8
    lost = (found.wrong_ppb + found.stall_ppb) / 10**9
    assert lost == pytest.approx(no_right, abs=0.0051 if no_right >= 0.01 else 0.00051)


def test_unanimous_three_in_closed_form() -> None:
    """C(m,3)/C(n,3) for wrong; every draw with one to two colluders stalls."""
    for pool, bad in ((10, 3), (20, 2), (100, 30)):
        wrong = Fraction(comb(bad, 3), comb(pool, 3))
        right = Fraction(comb(pool - bad, 3), comb(pool, 3))
        found = odds(pool, bad, 3, 3, 1)
        assert found.wrong_ppb == -(-wrong * 10**9 // 1)
        assert found.stall_ppb == -(-(1 - wrong - right) * 10**9 // 1)


@given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 9), st.integers(1, 3))
def test_odds_stay_odds(pool: int, colluders: int, size: int, rounds: int) -> None:
    colluders, needed = min(colluders, pool), quorum_threshold(size)
    found = odds(pool, colluders, size, needed, rounds)
    assert 0 <= found.wrong_ppb <= 10**9
    assert 0 <= found.stall_ppb <= 10**9
    assert found.wrong_ppb + found.stall_ppb <= 10**9 + 2
    if colluders == 0:
        assert found == (0, 0 if pool >= size else 10**9)
    if colluders < pool:
        assert odds(pool, colluders + 1, size, needed, rounds).wrong_ppb >= found.wrong_ppb


@given(st.integers(3, 30), st.integers(0, 30), st.sampled_from([3, 5]))
def test_more_rounds_stall_less_and_err_more(pool: int, colluders: int, size: int) -> None:
    """The price of trying again: another draw is another chance for colluders."""
    colluders = min(colluders, pool)
    found = [odds(pool, colluders, size, quorum_threshold(size), rounds) for rounds in (1, 2, 3)]
    assert found[0].stall_ppb >= found[1].stall_ppb >= found[2].stall_ppb
    assert found[0].wrong_ppb <= found[1].wrong_ppb <= found[2].wrong_ppb
