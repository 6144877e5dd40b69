"""The draw: a public seed orders the whole roster once, weighted, without replacement; anyone replays it (protocol
message 4).

Sequential weighted sampling with integers only: pick i takes the member in whose weight interval the number
XOF(seed, i) mod total falls, then leaves the interval out. With 256 bits per pick the bias of the modulus is below
2^-200. Rounds take members in that order, one per operator, former members left out (R7); reserves are the next in the
same order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from quorate.crypto.digests import digest, xof
from quorate.errors import CohortTooLarge
from quorate.model.agreement import Roster, RosterEntry
from quorate.model.units import ROUNDS_MAX, Digest, NodeId

PICK_BYTES = 32


def draw_seed(agreement: Digest, beacon: bytes) -> Digest:
    return digest("draw", agreement, beacon)


def draw_order(roster: Roster, seed: Digest) -> tuple[RosterEntry, ...]:
    """The whole roster in the order of the draw. O(n log n) through a Fenwick tree of the remaining weights."""
    entries = roster.entries
    tree = _Fenwick([entry.weight for entry in entries])
    stream = xof("draw-stream", PICK_BYTES * len(entries), seed)
    order: list[RosterEntry] = []
    for pick in range(len(entries)):
        number = int.from_bytes(stream[pick * PICK_BYTES : (pick + 1) * PICK_BYTES], "big") % tree.total
        order.append(entries[tree.take(number)])
    return tuple(order)


def cohort(order: Sequence[RosterEntry], size: int, former: Collection[NodeId]) -> tuple[NodeId, ...]:
    """The first `size` members of one round: in draw order, one per operator, without `former`. Fewer when the roster
    is used up."""
    return tuple(entry.provider for entry in candidates(order, former)[:size])


def candidates(order: Sequence[RosterEntry], former: Collection[NodeId]) -> tuple[RosterEntry, ...]:
    """Everyone who may still take a place in this round, first of each operator, in draw order: the cohort, then its
    reserves."""
    operators: set[str] = set()
    chosen: list[RosterEntry] = []
    for entry in order:
        if entry.provider not in former and entry.operator not in operators:
            operators.add(entry.operator)
            chosen.append(entry)
    return tuple(chosen)


def operators(roster: Roster) -> int:
    return len({entry.operator for entry in roster.entries})


def rounds_allowed(roster: Roster, replicas: int) -> int:
    """floor(roster / K), at most 3 (R7). Raises CohortTooLarge when not even one cohort can be drawn."""
    rounds = min(ROUNDS_MAX, operators(roster) // replicas)
    if rounds < 1:
        raise CohortTooLarge(
            f"{replicas} replicas, {operators(roster)} independent operators offer this",
            field="replication",
            limit=f"at most {operators(roster)}",
            fix="lower --replication or wait for more providers",
        )
    return rounds


def reserves_for(roster: Roster, replicas: int, rounds: int) -> int:
    """Everyone beyond the places of all rounds, up to one cohort, stands by for the silent."""
    return min(replicas, operators(roster) - rounds * replicas)


def wrapped_members(order: Sequence[RosterEntry], replicas: int, rounds: int, reserves: int) -> tuple[NodeId, ...]:
    """The members whose input key the client wraps before it goes away: the first rounds x K + reserves of the draw."""
    return tuple(entry.provider for entry in candidates(order, ())[: rounds * replicas + reserves])


class _Fenwick:
    """Prefix sums of integer weights with removal (Fenwick 1994)."""

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = list(weights)
        self._size = len(weights)
        self._sums = [0] * (self._size + 1)
        for index, amount in enumerate(weights):
            self._add(index, amount)
        self.total = sum(weights)
        self._top = 1 << self._size.bit_length()

    def _add(self, index: int, amount: int) -> None:
        index += 1
        while index <= self._size:
            self._sums[index] += amount
            index += index & -index

    def take(self, number: int) -> int:
        """Removes and returns the index in whose interval `number` falls."""
        position, step = 0, self._top
        while step:
            after = position + step
            if after <= self._size and self._sums[after] <= number:
                position, number = after, number - self._sums[after]
            step >>= 1
        self._add(position, -self._weights[position])
        self.total -= self._weights[position]
        return position
