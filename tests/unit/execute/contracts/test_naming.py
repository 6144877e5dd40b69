"""Claims to names merge to the same state in whatever order and company they arrive, and to the one that the rule says.
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


class Claim(NamedTuple):
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
        return body + KEYS[self.key].sign(b"quorate naming claim v1 " + self_id + body)


CLAIMS = st.builds(
    Claim,
    st.sampled_from(NAMES),
    st.integers(0, len(KEYS) - 1),
    st.integers(0, EPOCH),
    st.integers(EPOCH - 5, EPOCH + 30),
    st.sampled_from([b"", b"here", b"there"]),
).filter(lambda claim: claim.since < claim.until)


def kept(claims: list[Claim], self_id: bytes) -> list[bytes]:
    """The claims to one name that stay: the greatest of each key, and of these the eight greatest."""
    best: dict[int, bytes] = {}
    for claim in claims:
        best[claim.key] = max(best.get(claim.key, b""), claim.encode(self_id))
    return sorted(best.values(), reverse=True)[:KEPT]


def at_epoch(engine: Engine) -> Replica:
    replica = replica_of("naming", engine)
    replica.epoch = EPOCH
    return replica


def merged(engine: Engine, claims: list[Claim]) -> Replica:
    replica = at_epoch(engine)
    for claim in claims:
        replica.call("merge", claim.encode(replica.self_id))
    return replica


def exchange(one: Replica, other: Replica) -> None:
    """`one` takes what `other` has."""
    for name in NAMES:
        one.call("merge", other.call("claims", name).emitted)


@given(st.lists(CLAIMS, max_size=24), st.randoms(use_true_random=False))
def test_merging_obeys_its_laws(engine: Engine, claims: list[Claim], chance: object) -> None:
    whole = merged(engine, claims)
    for name in NAMES:
        to_name = [claim for claim in claims if claim.name == name]
        assert whole.call("claims", name).emitted == b"".join(kept(to_name, whole.self_id))
    shuffled = claims * 2
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merged(engine, shuffled).state == whole.state


@given(*[st.lists(CLAIMS, max_size=10)] * 3)
def test_replicas_that_meet_in_any_order_are_equal(
    engine: Engine, first: list[Claim], second: list[Claim], third: list[Claim]
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


@given(st.lists(CLAIMS, min_size=1, max_size=8))
def test_the_claim_that_began_first_wins_while_its_term_runs(engine: Engine, claims: list[Claim]) -> None:
    replica, name = merged(engine, claims), claims[0].name
    best: dict[int, Claim] = {}
    for claim in claims:
        if claim.name == name:
            best[claim.key] = max(claim, best.get(claim.key, claim), key=lambda one: one.encode(replica.self_id))
    running = [one for one in best.values() if one.since <= EPOCH < one.until and one.target]
    if running:
        wins = min(running, key=lambda one: (one.since, one.public))
        assert replica.call("resolve", name).emitted == wins.target
        assert replica.call("owner", name).emitted == bytes([wins.key]) * 16
    else:
        replica.refuses(3, "resolve", name)


@given(CLAIMS, st.integers(0, 10_000), st.integers(1, 255))
def test_no_altered_claim_is_taken(engine: Engine, claim: Claim, at: int, bits: int) -> None:
    replica = at_epoch(engine)
    data = bytearray(claim.encode(replica.self_id))
    data[at % len(data)] ^= bits
    with pytest.raises(Refused):
        replica.call("merge", bytes(data))
    assert replica.state.entries == ()
