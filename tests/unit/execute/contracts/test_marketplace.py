"""Funds are conserved in every interleaving: all states that two escrows of four parties can come to are visited, and
long random histories with other prices are followed. What a user sees of the contract is tested beside it, in
contracts/marketplace/marketplace_test.py."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support.shipped import replica_of

from quorate.execute.bytecode.engines import Engine
from quorate.execute.bytecode.replica import Refused, Replica, account

PEOPLE = [account(name) for name in ("seller", "buyer", "arbiter", "other")]
SELLER, BUYER, ARBITER, OTHER = PEOPLE
FUNDS = 10**6
OPEN, PAID, DISPUTED = 1, 2, 3
PRICE_AT, DEADLINE_AT = 49, 57
WAIT = 100
TWO = 2


def fresh(engine: Engine) -> Replica:
    replica = replica_of("marketplace", engine)
    for person in PEOPLE:
        replica.fund(person, FUNDS)
    return replica


def listings_of(replica: Replica) -> dict[int, bytes]:
    """The listings in the state, by number."""
    entries = [(key, value) for key, value in replica.state.entries if len(key) == 9 and key[:1] == b"l"]
    return {int.from_bytes(key[1:], "little"): value for key, value in entries}


def price_of(listing: bytes) -> int:
    return int.from_bytes(listing[PRICE_AT:DEADLINE_AT], "little")


def assert_conserved(replica: Replica) -> None:
    """What the contract has is exactly what is in its escrows, and nothing was made or lost."""
    escrows = sum(price_of(listing) for listing in listings_of(replica).values() if listing[0] != OPEN)
    assert replica.balances.get(replica.self_id, 0) == escrows
    assert sum(replica.balances.values()) == FUNDS * len(PEOPLE)
    held = dict(replica.state.entries).get(b"held", bytes(8))
    assert int.from_bytes(held, "little") == escrows


def moves(replica: Replica) -> list[tuple[Any, ...]]:
    """Every call that anybody might make about the listings there are, sensible or not: sender, deposit, function,
    arguments."""
    found: list[tuple[Any, ...]] = []
    for number, listing in listings_of(replica).items():
        price = price_of(listing)
        for person in PEOPLE:
            found += [
                (person, 0, name, number) for name in ("withdraw", "release", "refund", "collect", "dispute", "lapse")
            ]
            found += [(person, deposit, "buy", number) for deposit in (0, price, price + 1)]
            found += [(person, 0, "resolve", number, share) for share in (0, price // 3, price, price + 1)]
    return found


def key_of(replica: Replica) -> tuple[Any, ...]:
    return replica.state.key, replica.epoch, tuple(sorted(replica.balances.items()))


def after(replica: Replica, move: tuple[Any, ...]) -> Replica | None:
    person, deposit, function, *arguments = move
    other = replica.fork()
    try:
        other.call(function, *arguments, sender=person, deposit=deposit)
    except Refused:
        assert key_of(other) == key_of(replica)
        return None
    return other


def neighbours(replica: Replica) -> list[Replica]:
    later = replica.fork()
    later.epoch += WAIT
    found = [later] if later.epoch <= TWO * WAIT else []
    return found + [other for move in moves(replica) if (other := after(replica, move)) is not None]


def test_funds_are_conserved_in_every_interleaving_of_two_escrows(engine: Engine) -> None:
    start = fresh(engine)
    start.call("list_item", ARBITER, 101, b"bicycle", b"", sender=SELLER)
    start.call("list_item", OTHER, 30, b"bell", b"", sender=BUYER)
    waiting, seen, ended = [start], {key_of(start)}, 0
    while waiting:
        replica = waiting.pop()
        assert_conserved(replica)
        ended += not listings_of(replica)
        for other in neighbours(replica):
            if key_of(other) not in seen:
                seen.add(key_of(other))
                waiting.append(other)
    assert len(seen) > 500
    assert ended > 100


class Market(RuleBasedStateMachine):
    """Long histories: many listings, any price, any deposit, time that jumps."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.replica = fresh(engine)

    def attempt(self, person: bytes, function: str, *arguments: Any, deposit: int = 0) -> None:
        with suppress(Refused):
            self.replica.call(function, *arguments, sender=person, deposit=min(deposit, self.replica.balances[person]))

    @rule(person=st.sampled_from(PEOPLE), arbiter=st.sampled_from(PEOPLE), price=st.integers(-1, FUNDS))
    def list_item(self, person: bytes, arbiter: bytes, price: int) -> None:
        self.attempt(person, "list_item", arbiter, price, b"x", b"")

    @precondition(lambda self: listings_of(self.replica))
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        person, deposit, function, *arguments = data.draw(st.sampled_from(moves(self.replica)))
        self.attempt(person, function, *arguments, deposit=deposit)

    @rule(epochs=st.integers(1, 150))
    def wait(self, epochs: int) -> None:
        self.replica.epoch += epochs

    @invariant()
    def nothing_is_lost(self) -> None:
        assert_conserved(self.replica)


def test_funds_are_conserved_in_long_histories(engine: Engine) -> None:
    run_state_machine_as_test(lambda: Market(engine))


def test_a_lost_coin_would_be_noticed(engine: Engine) -> None:
    replica = fresh(engine)
    replica.call("list_item", ARBITER, 5, b"x", b"", sender=SELLER)
    replica.call("buy", 0, sender=BUYER, deposit=5)
    assert_conserved(replica)
    replica.balances[replica.self_id] -= 1
    with pytest.raises(AssertionError):
        assert_conserved(replica)
