"""Equivocation: two statements that exclude each other cost the bond; everything honest parties do costs nothing
(R8)."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.ledger_world import BALANCE, BOND, Claim, Deal, World

from quorate.ledger.invariants import check
from quorate.model.assignment import Assignment
from quorate.model.claim import Commit
from quorate.model.codec import decode
from quorate.model.evidence import Signed
from quorate.model.ledger_events import Slashed
from quorate.model.transaction import Equivocation


def proof(world: World, first: Signed, second: Signed) -> Equivocation:
    return Equivocation(network=world.network, first=first, second=second)


def start(k: int = 3) -> tuple[World, Deal, list[Claim]]:
    world = World()
    deal = world.open(k=k)
    return world, deal, [deal.claim(member) for member in deal.cohort()]


def test_two_commitments_of_a_member_cost_its_bond() -> None:
    world, deal, claims = start()
    liar = claims[0].member
    reply = world.post(world.providers[0], proof(world, claims[0].commit, deal.claim(liar, tag="b").commit))
    event = decode(reply.events[0].event, Slashed)
    assert (event.offender, event.payments[0].account, event.payments[0].amount_micro) == (
        liar,
        deal.agreement.requester,
        BOND,
    )
    assert world.stake(liar) == 20_000 - BOND
    assert world.score(liar) == 0
    assert world.balance(world.requester) == BALANCE - deal.opened.escrow_micro + BOND
    check(world.state)


def test_two_closings_cost_the_requesters_bond_out_of_the_escrow() -> None:
    world, deal, claims = start()
    second = deal.close(claims, salt=b"\x06" * 32)
    assert world.status(world.providers[0], proof(world, deal.close(claims), second)) == "ok"
    share, rest = divmod(BOND, 3)
    paid = [world.balance(claim.member) - 1_000 for claim in claims]
    assert paid == [share + rest, share, share]
    assert world.state.escrows[deal.id].bond_micro == 0
    check(world.state)
    assert world.status(world.node, deal.settle(claims)) == "ok"
    assert world.balance(world.requester) == BALANCE - BOND - 330
    check(world.state)


def test_after_the_settlement_the_requesters_stake_pays() -> None:
    world, deal, claims = start()
    assert world.status(world.node, deal.settle(claims)) == "ok"
    first, second = deal.close(claims), deal.close(claims, salt=b"\x06" * 32)
    assert world.status(world.providers[0], proof(world, first, second)) == "ok"
    assert world.stake(world.requester) == 20_000 - BOND
    check(world.state)


def test_a_round_that_was_closed_and_aborted_costs_the_bond_too() -> None:
    world, deal, claims = start()
    assert world.status(world.providers[0], proof(world, deal.abort(), deal.close(claims))) == "ok"
    assert world.state.escrows[deal.id].bond_micro == 0


def test_two_abortions_name_nobody_and_pay_whoever_shows_them() -> None:
    world, deal, _ = start()
    assert world.status(world.providers[0], proof(world, deal.abort(), deal.abort(reason="other"))) == "ok"
    assert world.balance(world.providers[0]) == 1_000 + BOND
    check(world.state)


def test_two_acknowledgements_of_one_round_contradict_each_other() -> None:
    world, deal, claims = start()
    assert world.status(world.providers[0], proof(world, deal.ack(claims[0]), deal.ack(claims[1]))) == "ok"


def _reassigned(deal: Deal, claims: list[Claim]) -> tuple[Signed, Signed]:
    """A node that wraps the key anew makes another assignment of it: the member answers both."""
    other = msgspec.structs.replace(decode(claims[0].assignment.body, Assignment), wrap=b"another")
    first = deal.sign(deal.node, other)
    return claims[0].assignment, first


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (lambda deal, claims: (claims[0].commit, claims[0].commit), "not_equivocation"),
        (lambda deal, claims: (claims[0].commit, claims[1].commit), "wrong_signer"),
        (lambda deal, claims: (claims[0].commit, deal.claim(claims[0].member, 2).commit), "not_equivocation"),
        (lambda deal, claims: (deal.close(claims), deal.close(claims, 2)), "not_equivocation"),
        (lambda deal, claims: (deal.close(claims), deal.ack(claims[0])), "not_equivocation"),
        (_reassigned, "malformed"),
    ],
)
def test_honest_statements_are_no_equivocation(make: object, status: str) -> None:
    world, deal, claims = start()
    first, second = make(deal, claims)  # type: ignore[operator]
    assert world.status(world.node, proof(world, first, second)) == status
    assert all(world.stake(claim.member) == 20_000 for claim in claims)


def test_a_forged_second_commitment_slashes_nobody() -> None:
    world, deal, claims = start()
    forged = deal.sign(world.node, decode_commit(deal.claim(claims[0].member, tag="b")))
    assert world.status(world.node, proof(world, claims[0].commit, forged)) == "wrong_signer"
    claimed = msgspec.structs.replace(forged, signer=claims[0].member)
    assert world.status(world.node, proof(world, claims[0].commit, claimed)) == "bad_signature"
    assert world.stake(claims[0].member) == 20_000


def decode_commit(claim: Claim) -> Commit:
    return decode(claim.commit.body, Commit)


def test_the_same_statement_under_two_signatures_is_said_once() -> None:
    """A restarted provider signs the same bytes anew: leaves are compared, never signatures."""
    world, deal, claims = start()
    again = deal.sign(claims[0].member, decode_commit(claims[0]))
    moved = msgspec.structs.replace(again, salt=b"\x01" * 16)
    assert world.status(world.node, proof(world, claims[0].commit, moved)) == "not_equivocation"


def test_one_bond_is_lost_once() -> None:
    world, deal, claims = start()
    liar = claims[0].member
    second, third = deal.claim(liar, tag="b").commit, deal.claim(liar, tag="c").commit
    assert world.status(world.node, proof(world, claims[0].commit, second)) == "ok"
    assert world.status(world.node, proof(world, second, third)) == "already_slashed"
    assert world.status(world.providers[0], proof(world, claims[0].commit, second)) == "already_slashed"
    assert world.stake(liar) == 20_000 - BOND


def test_a_stake_below_the_bond_is_lost_whole_and_its_offers_cease_to_stand() -> None:
    world = World()
    liar = None
    for _ in range(5):
        deal = world.open(k=6, terms={"rounds": 1}) if liar is None or world.stake(liar) >= BOND else None
        if deal is None:
            break
        liar = liar or deal.cohort()[0]
        pair = proof(world, deal.claim(liar).commit, deal.claim(liar, tag="b").commit)
        assert world.status(world.node, pair) == "ok"
    assert liar is not None
    assert world.stake(liar) == 0
    assert world.state.accounts[liar].offers == ()
