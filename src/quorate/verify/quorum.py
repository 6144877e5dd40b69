"""Quorum arithmetic and nothing else: thresholds, counting equal votes, and the odds (protocol message 9, R5, R7).

The denominator is always K. A failure is not a vote. The most voted outcome without the threshold never wins. One
module counts results, settlements and forced rounds.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from fractions import Fraction
from math import ceil, comb
from typing import Generic, Literal, NamedTuple, TypeVar

from quorate.model.policy import Proof, quorum_threshold

Choice = TypeVar("Choice", bound=Hashable)
Voter = TypeVar("Voter", bound=Hashable)


class Count(NamedTuple, Generic[Voter, Choice]):
    """`outcome` accepted: `choice` has the threshold. split: no choice can reach it any more. open: it still can.
    `agreed` are the voters of `choice`, `dissented` those of other choices, `failed` those who answered without a
    vote."""

    outcome: Literal["accepted", "split", "open"]
    choice: Choice | None
    agreed: tuple[Voter, ...]
    dissented: tuple[Voter, ...]
    failed: tuple[Voter, ...]


def threshold(proof: Proof, replicas: int | None = None) -> int:
    """T for a round of K members: the job's own, or ceil(7K/10)."""
    members = proof.replicas if replicas is None else replicas
    return proof.threshold if proof.threshold and members == proof.replicas else quorum_threshold(members)


def count(votes: Mapping[Voter, Choice | None], size: int, needed: int) -> Count[Voter, Choice]:
    """Counts `votes` (None is a failure) of a round of `size` members of which `needed` must agree; voters keep their
    order."""
    groups: dict[Choice, list[Voter]] = {}
    failed: list[Voter] = []
    for voter, choice in votes.items():
        if choice is None:
            failed.append(voter)
        else:
            groups.setdefault(choice, []).append(voter)
    best = max(groups, key=lambda choice: len(groups[choice]), default=None)
    top = len(groups[best]) if best is not None else 0
    if best is not None and top >= needed:
        others = tuple(voter for choice, voters in groups.items() if choice != best for voter in voters)
        return Count("accepted", best, tuple(groups[best]), others, tuple(failed))
    awaited = size - len(votes)
    everyone = tuple(voter for voters in groups.values() for voter in voters)
    return Count("open" if top + awaited >= needed else "split", None, (), everyone, tuple(failed))


class Odds(NamedTuple):
    """In parts per 10^9, rounded up: of a wrong result accepted, and of a job without a result, over all rounds
    together."""

    wrong_ppb: int
    stall_ppb: int


def odds(pool: int, colluders: int, size: int, needed: int, rounds: int) -> Odds:
    """Hypergeometric odds that a draw without replacement gives colluders the threshold (wrong) or nobody (stall), for
    up to `rounds` disjoint cohorts: a stalled round is followed by a draw from those left over. Colluders vote
    together. Exact fractions."""
    wrong, stall = _chain(pool, colluders, size, needed, rounds)
    return Odds(ceil(wrong * 10**9), ceil(stall * 10**9))


def _chain(pool: int, colluders: int, size: int, needed: int, rounds: int) -> tuple[Fraction, Fraction]:
    if rounds == 0 or pool < size:
        return Fraction(0), Fraction(1)
    wrong, stall, ways = Fraction(0), Fraction(0), comb(pool, size)
    for bad in range(max(0, size - (pool - colluders)), min(size, colluders) + 1):
        here = Fraction(comb(colluders, bad) * comb(pool - colluders, size - bad), ways)
        if bad >= needed:
            wrong += here
        elif size - bad < needed:
            later_wrong, later_stall = _chain(pool - size, colluders - bad, size, needed, rounds - 1)
            wrong, stall = wrong + here * later_wrong, stall + here * later_stall
    return wrong, stall
