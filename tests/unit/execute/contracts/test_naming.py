"""Deeds to names merge to the same state in whatever order and company they arrive, and to the one that the rule says.
What a user sees of the contract is tested beside it, in contracts/naming/naming_test.py."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.support.shipped import replica_of

from quorate.execute.bytecode.engines import Engine
from quorate.execute.bytecode.replica import Refused, Replica

EPOCH = 50
KEPT = 8
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in range(1, 12)]
NAMES = [b"maryam", b"maryam@tehran-mesh"]


class Deed(NamedTuple):
    name: bytes
    key: int
    since: int
    until: int
    target: bytes

    @property
    def public(self) -> bytes:
        return KEYS[self.key].public_key().public_bytes_raw()

    def encode(self, self_id: bytes) -> bytes:
        body = self.until.to_bytes(8, "big") + self.since.to_bytes(8, "big") + self.public + bytes([self.key]) * 16
        body += bytes([len(self.name)]) + self.name + bytes([len(self.target)]) + self.target
        return body + KEYS[self.key].sign(b"quorate naming deed v1  " + self_id + body)


DEEDS = st.builds(
    Deed,
    st.sampled_from(NAMES),
    st.integers(0, len(KEYS) - 1),
    st.integers(0, EPOCH),
    st.integers(EPOCH - 5, EPOCH + 30),
    st.sampled_from([b"", b"here", b"there"]),
).filter(lambda deed: deed.since < deed.until)


def kept(deeds: list[Deed], self_id: bytes) -> list[bytes]:
    """The deeds to one name that stay: the greatest of each key, and of these the eight greatest."""
    best: dict[int, bytes] = {}
    for deed in deeds:
        best[deed.key] = max(best.get(deed.key, b""), deed.encode(self_id))
    return sorted(best.values(), reverse=True)[:KEPT]


def at_epoch(engine: Engine) -> Replica:
    replica = replica_of("naming", engine)
    replica.epoch = EPOCH
    return replica


def merged(engine: Engine, deeds: list[Deed]) -> Replica:
    replica = at_epoch(engine)
    for deed in deeds:
        replica.call("merge", deed.encode(replica.self_id))
    return replica


def exchange(one: Replica, other: Replica) -> None:
    """`one` takes what `other` has."""
    for name in NAMES:
        one.call("merge", other.call("deeds", name).emitted)


@given(st.lists(DEEDS, max_size=24), st.randoms(use_true_random=False))
def test_merging_obeys_its_laws(engine: Engine, deeds: list[Deed], chance: object) -> None:
    whole = merged(engine, deeds)
    for name in NAMES:
        to_name = [deed for deed in deeds if deed.name == name]
        assert whole.call("deeds", name).emitted == b"".join(kept(to_name, whole.self_id))
    shuffled = deeds * 2
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merged(engine, shuffled).state == whole.state


@given(*[st.lists(DEEDS, max_size=10)] * 3)
def test_replicas_that_meet_in_any_order_are_equal(
    engine: Engine, first: list[Deed], second: list[Deed], third: list[Deed]
) -> None:
    whole = merged(engine, first + second + third).state
    a, b, c = (merged(engine, part) for part in (first, second, third))
    bc = b.fork()
    exchange(bc, c)
    a_bc = a.fork()
    exchange(a_bc, bc)
    exchange(a, b)
    exchange(c, a)
    assert a_bc.state == c.state == whole
    exchange(c, a_bc)
    assert c.state == whole


@given(st.lists(DEEDS, min_size=1, max_size=8))
def test_the_deed_that_began_first_wins_while_its_term_runs(engine: Engine, deeds: list[Deed]) -> None:
    replica, name = merged(engine, deeds), deeds[0].name
    best: dict[int, Deed] = {}
    for deed in deeds:
        if deed.name == name:
            best[deed.key] = max(deed, best.get(deed.key, deed), key=lambda one: one.encode(replica.self_id))
    running = [one for one in best.values() if one.since <= EPOCH < one.until and one.target]
    if running:
        wins = min(running, key=lambda one: (one.since, one.public))
        assert replica.call("resolve", name).emitted == wins.target
        assert replica.call("owner", name).emitted == bytes([wins.key]) * 16
    else:
        replica.refuses(3, "resolve", name)


@given(DEEDS, st.integers(0, 10_000), st.integers(1, 255))
def test_no_altered_deed_is_taken(engine: Engine, deed: Deed, at: int, bits: int) -> None:
    replica = at_epoch(engine)
    data = bytearray(deed.encode(replica.self_id))
    data[at % len(data)] ^= bits
    with pytest.raises(Refused):
        replica.call("merge", bytes(data))
    assert replica.state.entries == ()
