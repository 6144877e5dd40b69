"""Settlement for each proof method: who is paid what, by whose word, and what is refused."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.ledger_world import AUDIT_SEED, BALANCE, BOND, Claim, Deal, World

from quorate.crypto.digests import value_digest
from quorate.ledger.blocks import Reply, next_context
from quorate.ledger.invariants import check
from quorate.ledger.settle import settlement_of
from quorate.ledger.status import Refused
from quorate.model.codec import decode
from quorate.model.ledger_events import WindowsOpened
from quorate.model.settlement import Settlement
from quorate.model.transaction import CloseForced, Settle
from quorate.verify.verdicts import audited


def settled(reply: Reply) -> Settlement:
    assert reply.answer.status == "ok", reply.answer
    return decode(reply.events[0].event, Settlement)


def claims_of(deal: Deal, *tags: str, number: int = 1) -> list[Claim]:
    return [deal.claim(member, number, tag) for member, tag in zip(deal.cohort(number), tags, strict=True)]


def kinds(settlement: Settlement) -> list[tuple[str, int]]:
    return [(payment.reason, payment.amount_micro) for payment in settlement.payments]


def test_a_quorum_pays_those_who_agree_and_refunds_the_rest() -> None:
    world = World()
    deal = world.open(k=3, threshold=2)
    claims = claims_of(deal, "right", "right", "wrong")
    result = settled(world.post(world.node, deal.settle(claims)))
    assert result.accepted
    assert kinds(result)[:2] == [("price", 110), ("price", 110)]
    assert [payment.account for payment in result.payments[:2]] == [claims[0].member, claims[1].member]
    assert world.balance(claims[2].member) == 1_000
    assert world.balance(world.requester) == BALANCE - 220
    assert [(event.account, event.kind) for event in result.reputation] == [
        (claims[0].member, "agreed"),
        (claims[1].member, "agreed"),
        (claims[2].member, "dissented"),
    ]
    assert world.score(claims[0].member) > world.score(claims[2].member) == 5_000
    assert world.stake(claims[2].member) == 20_000
    check(world.state)


def test_each_is_paid_by_its_own_offer_under_the_cap_of_the_agreement() -> None:
    world = World()
    for place, who in enumerate(world.providers):
        prices = msgspec.structs.replace(world.offer(who).prices, base_micro=100 + place)
        world.stand(who, prices=prices)
    deal = world.open(k=3)
    claims = [deal.claim(member, fuel=2_000_001) for member in deal.cohort()]
    result = settled(world.post(world.node, deal.settle(claims)))
    for payment in result.payments[:3]:
        assert payment.amount_micro == world.offers[payment.account].prices.base_micro + 3 * 10


def test_fuel_above_the_limit_is_paid_up_to_the_cap() -> None:
    world = World()
    deal = world.open("trust")
    claim = deal.claim(deal.members[0], fuel=10**12)
    result = settled(world.post(world.node, deal.settle([claim])))
    assert kinds(result)[0] == ("price", deal.agreement.price_max_micro)


def test_a_deterministic_trap_is_billed_and_a_failure_is_not() -> None:
    world = World()
    deal = world.open("trust")
    claim = deal.claim(deal.members[0], status="out_of_fuel")
    assert settled(world.post(world.node, deal.settle([claim]))).accepted
    deal = world.open("trust", terms={"rounds": 1})
    claim = deal.claim(deal.members[0], status="wall_clock")
    result = settled(world.post(world.node, deal.settle([claim], ack=False)))
    assert not result.accepted
    assert kinds(result)[0] == ("attempt", 20)


def test_a_split_in_every_round_pays_attempt_fees() -> None:
    world = World()
    deal = world.open(k=3, terms={"rounds": 2})
    first, second = claims_of(deal, "a", "b", "c"), claims_of(deal, "a", "a", "b", number=2)
    result = settled(world.post(world.node, deal.settle(first, second, ack=False)))
    assert not result.accepted
    assert kinds(result)[:-1] == [("attempt", 20)] * 6
    assert {event.kind for event in result.reputation} == {"attempted"}
    assert world.balance(world.requester) == BALANCE - 6 * 20


def test_a_split_then_a_quorum_pays_both_rounds() -> None:
    world = World()
    deal = world.open(k=3, terms={"rounds": 2})
    first, second = claims_of(deal, "a", "b", "c"), claims_of(deal, "a", "a", "a", number=2)
    result = settled(world.post(world.node, deal.settle(first, second)))
    assert kinds(result)[:-1] == [("attempt", 20)] * 3 + [("price", 110)] * 3


def test_an_ended_job_with_rounds_left_waits_for_its_members() -> None:
    world = World()
    deal = world.open(k=3, terms={"rounds": 2})
    reply = world.post(world.node, deal.settle(claims_of(deal, "a", "b", "c"), ack=False))
    window = decode(reply.events[0].event, WindowsOpened)
    assert (reply.answer.status, window.cause, window.reveal_by_ms) == ("ok", "settle", world.now + 2_000)
    close = CloseForced(network=world.network, agreement=deal.id)
    assert world.status(world.providers[0], close) == "too_early"
    world.wait(2_001)
    result = settled(world.post(world.providers[0], close))
    assert (result.cause, result.accepted) == ("settle", False)
    assert kinds(result)[:-1] == [("attempt", 20)] * 3


def test_a_member_settles_with_its_own_commitment_alone() -> None:
    world = World()
    deal = world.open(k=3)
    claims = claims_of(deal, "a", "a", "a")
    value = deal.settle(claims, drop=(claims[1].commit, claims[2].commit, claims[1].assignment, claims[2].assignment))
    assert world.status(world.node, value) == "commit_unsigned"
    assert settled(world.post(world.identities[claims[0].member], value)).accepted


def test_an_acknowledgement_counts_for_an_agreeing_member_of_its_round_only() -> None:
    world = World()
    deal = world.open(k=3, threshold=2)
    claims = claims_of(deal, "right", "right", "wrong")
    for ack in (deal.ack(claims[2]), deal.ack(claims[0], number=2)):
        assert world.status(world.node, deal.settle(claims, ack=False, add=(ack,))) == "not_delivered"
    forged = msgspec.structs.replace(deal.ack(claims[0]), signer=claims[0].member)
    assert world.status(world.node, deal.settle(claims, ack=False, add=(forged,))) == "wrong_signer"
    assert settled(world.post(world.node, deal.settle(claims))).accepted


@pytest.mark.parametrize("posters", [("node", "node"), ("node", "member"), ("member", "node")])
def test_settling_twice_pays_once(posters: tuple[str, str]) -> None:
    world = World()
    deal = world.open(k=3)
    claims = claims_of(deal, "a", "a", "a")
    people = {"node": world.node, "member": world.identities[claims[0].member]}
    first = settled(world.post(people[posters[0]], deal.settle(claims)))
    money = [world.balance(who) for who in (*world.providers, world.requester)]
    reply = world.post(people[posters[1]], deal.settle(claims, ack=True))
    again = world.post(people[posters[1]], deal.settle(claims, add=(deal.abort(2),)))
    assert reply.answer.status == ("ok" if posters[0] == posters[1] else "already_settled")
    assert again.answer.status == "already_settled"
    for said in (reply, again):
        assert decode(said.events[0].event, Settlement) == first
        assert not said.fresh
    assert [world.balance(who) for who in (*world.providers, world.requester)] == money


def test_a_rerun_that_is_not_audited_needs_one_claim() -> None:
    world = World()
    deal = world.open("rerun", one_in=10**6)
    claim = deal.claim(deal.members[0])
    assert not audited(deal.agreement.proof, AUDIT_SEED, claim.commitment)
    result = settled(world.post(world.node, deal.settle([claim])))
    assert kinds(result)[0] == ("price", 110)


def test_an_audited_rerun_needs_a_second_claim_that_agrees() -> None:
    world = World()
    deal = world.open("rerun", one_in=1, terms={"rounds": 1})
    claims = claims_of(deal, "a", "a")
    assert world.status(world.node, deal.settle(claims[:1])) == "close_malformed"
    result = settled(world.post(world.node, deal.settle(claims)))
    assert kinds(result)[:2] == [("price", 110)] * 2
    deal = world.open("rerun", one_in=1, terms={"rounds": 1})
    result = settled(world.post(world.node, deal.settle(claims_of(deal, "a", "b"), ack=False)))
    assert kinds(result)[:2] == [("attempt", 20)] * 2


def test_a_rerun_after_a_split_has_two_places_whatever_the_choice() -> None:
    world = World()
    deal = world.open("rerun", one_in=10**6, terms={"rounds": 2})
    failed = deal.claim(deal.members[0], status="worker_death")
    second = [deal.claim(member, 2) for member in deal.members[1:3]]
    assert world.status(world.node, deal.settle([failed], second[:1])) == "close_malformed"
    assert settled(world.post(world.node, deal.settle([failed], second))).accepted


def test_a_closing_lists_members_in_draw_order_each_once() -> None:
    world = World()
    deal = world.open(k=3)
    claims = claims_of(deal, "a", "a", "a")
    for members in (
        tuple(claim.member for claim in reversed(claims)),
        (claims[0].member, claims[0].member, claims[2].member),
        (claims[0].member,),
    ):
        close = deal.close(claims, members=members)
        value = deal.settle(claims, drop=(deal.close(claims),), add=(close,))
        assert world.status(world.node, value) == "close_malformed"
    four = [deal.claim(member) for member in deal.members[:4]]
    assert world.status(world.node, deal.settle(four)) == "close_malformed"


def test_the_settlement_is_computed_without_a_ledger_too() -> None:
    world = World()
    deal = world.open(k=3, threshold=2)
    value = deal.settle(claims_of(deal, "right", "right", "wrong"))
    context = next_context(world.state, world.now, b"\0" * 32)
    outside, verdict = settlement_of(deal.terms, value.evidence, value.openings, context, world.signatures.verify)
    inside = settled(world.post(world.node, value))
    assert outside == inside
    assert inside.verdict == value_digest(verdict)
    with pytest.raises(Refused):
        settlement_of(deal.terms, (), (), context, world.signatures.verify)


def test_evidence_of_nothing_decides_nothing_for_a_member() -> None:
    world = World()
    deal = world.open(k=3)
    empty = Settle(network=world.network, agreement=deal.id, evidence=(), openings=(), outcome=b"")
    assert world.status(world.providers[0], empty) == "undecided"
    assert world.balance(world.requester) == BALANCE - deal.opened.escrow_micro
    assert deal.opened.escrow_micro > BOND
