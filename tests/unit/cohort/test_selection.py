"""The draw, replayed by a second and simpler computation; and what cohorts are made of.

`python -m tests.unit.cohort.test_selection --rewrite` writes `tests/vectors/cohort/draw.json` again: a difference in it
means that old receipts no longer verify.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from quorate.cohort.selection import (
    candidates,
    cohort,
    draw_order,
    draw_seed,
    operators,
    reserves_for,
    rounds_allowed,
    wrapped_members,
)
from quorate.crypto.digests import value_digest
from quorate.errors import CohortTooLarge
from quorate.market import matching
from quorate.market.matching import weight
from quorate.model.agreement import Roster, RosterEntry
from quorate.model.units import ROUNDS_MAX, Digest, NodeId

FILE = Path(__file__).parents[2] / "vectors" / "cohort" / "draw.json"
NETWORK = Digest(b"\x01" * 32)
DRAWS = 4_000
CHI_SQUARE_999 = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 7: 24.32, 9: 27.88}
"""What a chi-square statistic exceeds once in a thousand times, by degrees of freedom (any table of the
distribution)."""


def node(at: int) -> NodeId:
    return NodeId(bytes([at % 251, at // 251]) * 16)


def roster_of(weights: Sequence[int], names: Sequence[str] = ()) -> Roster:
    entries = [
        RosterEntry(
            offer=Digest(b"\x02" * 32),
            provider=node(at),
            operator=names[at] if names else f"operator {at}",
            weight=amount,
        )
        for at, amount in enumerate(weights)
    ]
    return Roster(network=NETWORK, entries=tuple(entries))


def seed_of(number: int) -> Digest:
    return draw_seed(Digest(b"\x03" * 32), number.to_bytes(32, "big"))


rosters = st.builds(
    lambda entries: roster_of([entry[0] for entry in entries], [f"operator {entry[1]}" for entry in entries]),
    st.lists(st.tuples(st.integers(1, 10_000), st.integers(0, 40)), min_size=1, max_size=50),
)
seeds = st.binary(min_size=32, max_size=32).map(Digest)


# A second computation


def plain_order(roster: Roster, seed: bytes) -> list[RosterEntry]:
    """One entry after the other by adding up weights, with the hash function alone."""
    left, order = list(roster.entries), []
    hasher = blake3(derive_key_context="quorate v1 draw-stream")
    hasher.update(len(seed).to_bytes(8, "big") + seed)
    stream = hasher.digest(length=32 * len(left))
    for pick in range(len(left)):
        number = int.from_bytes(stream[32 * pick : 32 * pick + 32], "big") % sum(entry.weight for entry in left)
        for entry in left:
            if number < entry.weight:
                break
            number -= entry.weight
        order.append(entry)
        left.remove(entry)
    return order


@given(rosters, seeds)
def test_the_draw_is_the_one_that_the_rule_describes(roster: Roster, seed: Digest) -> None:
    order = draw_order(roster, seed)
    assert list(order) == plain_order(roster, seed)
    assert sorted(order, key=lambda entry: entry.provider) == sorted(roster.entries, key=lambda entry: entry.provider)


def test_an_empty_roster_draws_nobody() -> None:
    assert draw_order(roster_of([]), seed_of(0)) == ()


def test_the_seed_is_of_agreement_and_beacon() -> None:
    hasher = blake3(derive_key_context="quorate v1 draw")
    for part in (b"\x03" * 32, b"\x04" * 32):
        hasher.update((32).to_bytes(8, "big") + part)
    assert draw_seed(Digest(b"\x03" * 32), b"\x04" * 32) == hasher.digest()
    assert len({seed_of(at) for at in range(100)} | {draw_seed(Digest(b"\x05" * 32), bytes(32))}) == 101


@given(rosters, seeds, seeds)
def test_neither_requester_nor_ledger_alone_knows_the_draw(roster: Roster, first: Digest, second: Digest) -> None:
    """Another beacon under the same agreement is another seed, and so is another agreement under the same beacon."""
    if first != second:
        assert draw_seed(first, bytes(second)) != draw_seed(second, bytes(first))
        assert draw_seed(first, bytes(first)) != draw_seed(first, bytes(second))


# Vectors

CASES: dict[str, tuple[list[int], list[str], int]] = {
    "one": ([1], [], 1),
    "two_equal": ([5, 5], [], 2),
    "all_equal": ([10_000] * 7, [], 3),
    "steps": (list(range(1, 13)), [], 4),
    "one_heavy": ([1, 1, 1_000_000, 1, 1], [], 5),
    "shared_operators": ([100] * 9, ["red", "red", "red", "blue", "blue", "blue", "green", "green", "green"], 6),
    "fifty": ([1 + at * at % 97 * 100 for at in range(50)], [], 7),
}


def vector(name: str) -> dict[str, Any]:
    weights, names, number = CASES[name]
    roster, seed = roster_of(weights, names), seed_of(number)
    order = draw_order(roster, seed)
    return {
        "name": name,
        "agreement": (b"\x03" * 32).hex(),
        "beacon": number.to_bytes(32, "big").hex(),
        "seed": seed.hex(),
        "roster_digest": value_digest(roster).hex(),
        "roster": [
            {"provider": entry.provider.hex(), "operator": entry.operator, "weight": entry.weight}
            for entry in roster.entries
        ],
        "order": [roster.entries.index(entry) for entry in order],
        "one_per_operator": [roster.entries.index(entry) for entry in candidates(order, ())],
    }


def file_text() -> str:
    lines = ",\n  ".join(json.dumps(vector(name), separators=(",", ":")) for name in CASES)
    return f'{{\n "source": "computed by quorate, protocol message 4",\n "draws": [\n  {lines}\n ]\n}}\n'


def test_every_draw_is_the_one_on_file() -> None:
    assert FILE.read_text() == file_text()


@pytest.mark.parametrize("name", CASES)
def test_a_draw_on_file_follows_from_its_roster_and_seed(name: str) -> None:
    (case,) = (item for item in json.loads(FILE.read_text())["draws"] if item["name"] == name)
    roster = roster_of([item["weight"] for item in case["roster"]], [item["operator"] for item in case["roster"]])
    seed = draw_seed(Digest(bytes.fromhex(case["agreement"])), bytes.fromhex(case["beacon"]))
    assert seed.hex() == case["seed"]
    assert value_digest(roster).hex() == case["roster_digest"]
    drawn = plain_order(roster, seed)
    assert [roster.entries.index(entry) for entry in drawn] == case["order"]
    seen: set[str] = set()
    first = [entry for entry in drawn if not (entry.operator in seen or seen.add(entry.operator))]  # type: ignore[func-returns-value]
    assert [roster.entries.index(entry) for entry in first] == case["one_per_operator"]


def test_one_weight_more_is_another_draw() -> None:
    weights, _, number = CASES["fifty"]
    other = [*weights[:-1], weights[-1] + 1]
    before, after = (draw_order(roster_of(item), seed_of(number)) for item in (weights, other))
    assert [entry.provider for entry in before] != [entry.provider for entry in after]


# Odds


def first_picks(weights: Sequence[int], draws: int = DRAWS) -> list[int]:
    """How often each entry comes first, over fixed seeds."""
    roster = roster_of(weights)
    places = {entry.provider: at for at, entry in enumerate(roster.entries)}
    counted = Counter(places[draw_order(roster, seed_of(at))[0].provider] for at in range(draws))
    return [counted[at] for at in range(len(weights))]


def chi_square(counted: Sequence[int], weights: Sequence[int]) -> float:
    scale = sum(counted) / sum(weights)
    return sum((found - amount * scale) ** 2 / (amount * scale) for found, amount in zip(counted, weights, strict=True))


@pytest.mark.parametrize("weights", [[1] * 10, [1, 2, 3, 4], [50, 100, 200], [7_000, 9_000], [1, 1, 1, 97, 1]])
def test_the_odds_of_the_first_pick_are_the_weights(weights: list[int]) -> None:
    counted = first_picks(weights)
    assert chi_square(counted, weights) < CHI_SQUARE_999[len(weights) - 1]


def test_the_odds_are_not_equal_when_the_weights_are_not() -> None:
    """The same statistic notices when it is held against the wrong weights."""
    counted = first_picks([1, 2, 3, 4])
    assert chi_square(counted, [1] * 4) > 10 * CHI_SQUARE_999[3]


def test_later_picks_follow_the_weights_that_are_left() -> None:
    """P(second is b | first is a) = w_b / (total - w_a)."""
    weights = [1, 2, 3]
    roster = roster_of(weights)
    places = {entry.provider: at for at, entry in enumerate(roster.entries)}
    orders = Counter(
        tuple(places[entry.provider] for entry in draw_order(roster, seed_of(at))[:2]) for at in range(DRAWS)
    )
    pairs = sorted((a, b) for a in range(3) for b in range(3) if a != b)
    expected = [DRAWS * weights[a] / 6 * weights[b] / (6 - weights[a]) for a, b in pairs]
    found = [orders[pair] for pair in pairs]
    assert sum((a - b) ** 2 / b for a, b in zip(found, expected, strict=True)) < 20.52  # five degrees of freedom


def shares(scores: Sequence[tuple[int, int]]) -> list[float]:
    counted = first_picks([weight(reputation, load) for reputation, load in scores])
    return [found / DRAWS for found in counted]


def test_load_and_reputation_each_change_the_pick() -> None:
    even = shares([(8_000, 0), (8_000, 0)])
    loaded = shares([(8_000, 750), (8_000, 0)])
    reputed = shares([(2_000, 0), (8_000, 0)])
    assert abs(even[0] - 0.5) < 0.03
    assert abs(loaded[0] - 0.2) < 0.03
    assert abs(reputed[0] - 0.2) < 0.03
    for scores in ([(8_000, 750), (8_000, 0)], [(2_000, 0), (8_000, 0)]):
        changed = [weight(*score) for score in scores]
        assert any(
            draw_order(roster_of(changed), seed_of(at))[0].provider
            != draw_order(roster_of([8_000, 8_000]), seed_of(at))[0].provider
            for at in range(50)
        )


@pytest.mark.parametrize(
    ("reputation", "load", "expected"),
    [
        (10_000, 0, 10_000), (10_000, 500, 5_000), (5_000, 500, 2_500), (10_000, 1000, 1), (0, 0, 1), (200, 0, 200),
        (99_999, 0, 10_000), (10_000, 5_000, 1), (10_000, -5, 10_000), (1, 999, 1), (-7, 0, 1),
    ],
)  # fmt: skip
def test_the_published_score(reputation: int, load: int, expected: int) -> None:
    assert weight(reputation, load) == expected


@given(st.integers(-100, 11_000), st.integers(-100, 1_100))
def test_a_score_is_a_weight_of_the_draw(reputation: int, load: int) -> None:
    assert 1 <= weight(reputation, load) <= matching.SCORE_MAX


@given(st.integers(0, 10_000), st.integers(0, 999), st.integers(0, 1_000))
def test_more_reputation_or_less_load_never_lowers_the_score(reputation: int, load: int, more: int) -> None:
    assert weight(reputation + more, load) >= weight(reputation, load)
    assert weight(reputation, min(load + more, 1000)) <= weight(reputation, load)


# Cohorts


@given(rosters, seeds, st.integers(1, 12))
def test_a_cohort_is_the_beginning_of_the_draw_one_per_operator(roster: Roster, seed: Digest, size: int) -> None:
    order = draw_order(roster, seed)
    members = cohort(order, size, ())
    by_node = {entry.provider: entry for entry in order}
    assert len(members) == min(size, operators(roster))
    assert len({by_node[member].operator for member in members}) == len(members)
    drawn = [entry.provider for entry in order]
    assert list(members) == sorted(members, key=drawn.index)
    for at, entry in enumerate(order):
        passed_over = entry.provider not in members and drawn.index(members[-1]) > at
        assert not passed_over or entry.operator in {by_node[member].operator for member in members}


@given(rosters, seeds, st.data())
def test_former_members_take_no_place_again(roster: Roster, seed: Digest, data: st.DataObject) -> None:
    order = draw_order(roster, seed)
    former = set(data.draw(st.lists(st.sampled_from([entry.provider for entry in order]), unique=True)))
    left = candidates(order, former)
    assert not former & {entry.provider for entry in left}
    assert {entry.operator for entry in left} == {entry.operator for entry in order if entry.provider not in former}
    assert candidates(order, {entry.provider for entry in order}) == ()


@given(rosters, seeds, st.integers(1, 12))
def test_rounds_are_disjoint_and_reserves_come_after_them(roster: Roster, seed: Digest, replicas: int) -> None:
    people = operators(roster)
    if replicas > people:
        with pytest.raises(CohortTooLarge) as caught:
            rounds_allowed(roster, replicas)
        assert (caught.value.field, caught.value.limit) == ("replication", f"at most {people}")
        return
    rounds = rounds_allowed(roster, replicas)
    reserves = reserves_for(roster, replicas, rounds)
    assert rounds == min(ROUNDS_MAX, people // replicas)
    assert 0 <= reserves <= replicas
    assert rounds * replicas + reserves <= people
    assert reserves == replicas or rounds * replicas + reserves == people
    order = draw_order(roster, seed)
    wrapped = wrapped_members(order, replicas, rounds, reserves)
    assert len(wrapped) == len(set(wrapped)) == rounds * replicas + reserves
    former: list[NodeId] = []
    for _ in range(rounds):
        members = cohort([entry for entry in order if entry.provider in wrapped], replicas, former)
        assert len(members) == replicas
        assert not set(members) & set(former)
        assert set(members) <= set(wrapped)
        former += members


@pytest.mark.parametrize("size", range(1, 51))
def test_every_roster_up_to_fifty(size: int) -> None:
    roster = roster_of([1 + at for at in range(size)])
    order = draw_order(roster, seed_of(size))
    for replicas in (1, 3, 5, 7):
        if replicas > size:
            with pytest.raises(CohortTooLarge):
                rounds_allowed(roster, replicas)
            continue
        rounds = rounds_allowed(roster, replicas)
        places = rounds * replicas + reserves_for(roster, replicas, rounds)
        assert places == min(size, (rounds + 1) * replicas)
        drawn = tuple(entry.provider for entry in order)
        assert wrapped_members(order, replicas, rounds, reserves_for(roster, replicas, rounds)) == drawn[:places]


def test_one_operator_of_many_nodes_is_one_place() -> None:
    roster = roster_of([10_000] * 20, ["large"] * 18 + ["small", "tiny"])
    assert operators(roster) == 3
    assert rounds_allowed(roster, 3) == 1
    for at in range(50):
        members = cohort(draw_order(roster, seed_of(at)), 3, ())
        assert {roster.entries[18].provider, roster.entries[19].provider} <= set(members)
    with pytest.raises(CohortTooLarge):
        rounds_allowed(roster, 4)


if __name__ == "__main__":
    if sys.argv[1:] != ["--rewrite"]:
        sys.exit("usage: python -m tests.unit.cohort.test_selection --rewrite")
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(file_text())
