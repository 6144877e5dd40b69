"""A commitment binds network, assignment, member, body and nonce; changing any of them no longer opens it."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.ledger_world import World

from quorate.errors import BadCommitment
from quorate.verify.claims import check_opening, commit_digest


def test_an_opening_opens_its_commitment_and_nothing_else_does() -> None:
    world = World()
    deal = world.open()
    claim = deal.claim(deal.members[0])
    check_opening(claim.opening, claim.commitment)
    body = claim.opening.body
    changes = {
        "network": b"\x01" * 32,
        "assignment": b"\x01" * 32,
        "member": deal.members[1],
        "nonce": b"\x01" * 32,
        "body": msgspec.structs.replace(body, memory_bucket_bytes=body.memory_bucket_bytes + 1),
    }
    for name, value in changes.items():
        with pytest.raises(BadCommitment):
            check_opening(msgspec.structs.replace(claim.opening, **{name: value}), claim.commitment)


def test_the_round_and_agreement_are_bound_through_the_assignment() -> None:
    world = World()
    deal = world.open(terms={"rounds": 2})
    first, second = deal.claim(deal.members[0], 1), deal.claim(deal.members[0], 2)
    assert first.opening.assignment != second.opening.assignment
    assert commit_digest(
        world.network, first.opening.assignment, first.member, first.opening.body, first.opening.nonce
    ) != commit_digest(
        world.network, second.opening.assignment, second.member, second.opening.body, second.opening.nonce
    )
