"""Cancel and Expire: no free compute, and nothing stays locked (R6)."""

from __future__ import annotations

import pytest
from tests.support.ledger_world import BALANCE, Claim, Deal, World

from quorate.ledger.blocks import Overdue, Reply
from quorate.ledger.invariants import check
from quorate.model.codec import decode
from quorate.model.ledger_events import WindowsOpened
from quorate.model.settlement import Settlement
from quorate.model.transaction import CloseForced, Expire


def ended(deal: Deal, reply: Reply) -> Settlement:
    assert reply.answer.status == "ok", reply.answer
    check(deal.world.state)
    return decode(reply.events[0].event, Settlement)


def close(deal: Deal) -> CloseForced:
    return CloseForced(network=deal.world.network, agreement=deal.id)


def two_claims(deal: Deal) -> list[Claim]:
    return [deal.claim(member) for member in deal.cohort()[:2]]


def test_a_cancel_pays_shown_commitments_after_its_window() -> None:
    world = World()
    deal = world.open(k=3)
    claims = two_claims(deal)
    reply = world.post(world.node, deal.cancel(claims[0].commit))
    assert decode(reply.events[0].event, WindowsOpened).cause == "cancel"
    assert world.status(world.node, close(deal)) == "too_early"
    world.wait(2_001)
    result = ended(deal, world.post(world.node, close(deal)))
    assert (result.cause, result.accepted) == ("cancel", False)
    assert world.balance(claims[0].member) == 1_020
    assert world.balance(world.requester) == BALANCE - 20


def test_a_commitment_that_the_cancel_leaves_out_is_shown_by_its_member() -> None:
    world = World()
    deal = world.open(k=3)
    claims = two_claims(deal)
    assert world.status(world.requester, deal.cancel()) == "ok"
    assert world.status(world.identities[claims[1].member], deal.force_commit(claims[1])) == "ok"
    world.wait(2_001)
    assert world.status(world.identities[claims[0].member], deal.force_commit(claims[0])) == "too_late"
    ended(deal, world.post(world.providers[5], close(deal)))
    assert (world.balance(claims[0].member), world.balance(claims[1].member)) == (1_000, 1_020)


def test_who_takes_the_results_and_cancels_pays_the_full_price() -> None:
    world = World()
    deal = world.open(k=3)
    claims = [deal.claim(member) for member in deal.cohort()]
    assert world.status(world.node, deal.cancel(*(claim.commit for claim in claims))) == "ok"
    cheated = world.identities[claims[0].member]
    assert world.status(cheated, deal.force(claims[0], deal.close(claims))) == "ok"
    for claim in claims[1:]:
        assert world.status(world.identities[claim.member], deal.force_commit(claim)) == "ok"
    world.wait(2_001)
    for claim in claims:
        assert world.status(world.identities[claim.member], deal.reveal(claim)) == "ok"
    world.wait(2_000)
    result = ended(deal, world.post(cheated, close(deal)))
    assert (result.accepted, result.cause) == (True, "force")
    assert world.balance(world.requester) == BALANCE - 330


def test_false_statements_of_the_node_keep_no_commitment_out() -> None:
    """The cancel shows a closing of another round that lists the member with an invented commitment."""
    world = World()
    deal = world.open(k=3, terms={"rounds": 2})
    claim = deal.claim(deal.cohort()[0])
    invented = [deal.claim(member, 2, "invented") for member in (claim.member, *deal.cohort(2)[:2])]
    invented_close = deal.close(invented, 2)
    assert world.status(world.node, deal.cancel(invented_close, deal.abort(1))) == "ok"
    assert world.status(world.identities[claim.member], deal.force_commit(claim)) == "ok"
    world.wait(2_001)
    ended(deal, world.post(world.node, close(deal)))
    assert world.balance(claim.member) == 1_020


def test_with_the_word_of_every_member_a_cancel_ends_at_once() -> None:
    world = World()
    deal = world.open(k=3, terms={"rounds": 2})
    acks = [deal.cancel_ack(member, committed=False) for member in deal.members]
    assert world.status(world.node, deal.cancel(*acks[:-1], deal.cancel_ack(deal.members[-1], committed=True))) == "ok"
    deal = world.open(k=3, terms={"rounds": 2})
    acks = [deal.cancel_ack(member, committed=False) for member in deal.members]
    result = ended(deal, world.post(world.node, deal.cancel(*acks)))
    assert [payment.reason for payment in result.payments] == ["refund"]


def test_a_quorum_may_still_be_settled_beside_a_cancel() -> None:
    world = World()
    deal = world.open(k=3)
    claims = [deal.claim(member) for member in deal.cohort()]
    assert world.status(world.node, deal.cancel()) == "ok"
    assert world.status(world.node, deal.cancel()) == "ok"  # the same bytes: the first answer
    assert world.status(world.requester, deal.cancel()) == "window_open"
    assert ended(deal, world.post(world.identities[claims[0].member], deal.settle(claims))).accepted


def test_fees_never_exceed_what_the_escrow_holds() -> None:
    """More members commit than the rounds have places: the first in draw order are paid."""
    world = World()
    deal = world.open(k=1, terms={"rounds": 1, "reserves": 5})
    claims = [deal.claim(member) for member in deal.members]
    assert len(claims) == 6
    assert world.status(world.node, deal.cancel(*(claim.commit for claim in claims))) == "ok"
    world.wait(2_001)
    result = ended(deal, world.post(world.node, close(deal)))
    paid = sum(payment.amount_micro for payment in result.payments if payment.reason == "attempt")
    assert paid == 6 * 20 <= deal.opened.escrow_micro


def test_expiry_refunds_everything_and_is_open_to_anyone() -> None:
    world = World()
    deal = world.open(k=3)
    value = Expire(network=world.network, agreement=deal.id)
    assert world.status(world.sequencer, value) == "too_early"
    world.wait(deal.agreement.settle_by_ms - world.now)
    assert world.status(world.sequencer, value) == "too_early"
    world.wait(1)
    assert world.status(world.stranger, value) == "signer_unregistered"
    result = ended(deal, world.post(world.sequencer, value))
    assert (result.cause, world.balance(world.requester)) == ("expire", BALANCE)


def test_an_expired_job_opens_nothing_and_a_settled_one_does_not_expire() -> None:
    world = World()
    deal = world.open(k=3)
    claims = [deal.claim(member) for member in deal.cohort()]
    assert ended(deal, world.post(world.node, deal.settle(claims))).accepted
    world.wait(1_000_000)
    assert world.status(world.node, Expire(network=world.network, agreement=deal.id)) == "already_settled"


def test_the_sequencer_knows_what_is_overdue() -> None:
    world = World()
    overdue = Overdue(world.state)
    deal, other = world.open(k=3), world.open(k=3)
    for opened in (deal, other):
        overdue.note(world.state, opened.opened)
    reply = world.post(world.node, deal.cancel())
    overdue.note(world.state, decode(reply.events[0].event, WindowsOpened))
    rebuilt = Overdue(world.state)
    for queue in (overdue, rebuilt):
        assert queue.take(world.state, world.now + 2_000) == ()
        assert queue.next_ms() == world.now + 2_001
        assert queue.take(world.state, world.now + 2_001) == (close(deal),)
    world.wait(2_001)
    assert world.status(world.sequencer, close(deal)) == "ok"
    late = other.agreement.settle_by_ms + 1
    assert overdue.take(world.state, late) == (Expire(network=world.network, agreement=other.id),)
    assert overdue.next_ms() is None


def test_settled_agreements_do_not_fill_the_queue_of_the_overdue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.ledger.blocks.SETTLED_IN_QUEUE_MIN", 2)
    world = World()
    overdue = Overdue(world.state)
    waiting = world.open(k=3)
    overdue.note(world.state, waiting.opened)
    for _ in range(20):
        deal = world.open(k=3)
        overdue.note(world.state, deal.opened)
        settled = ended(deal, world.post(world.node, deal.settle([deal.claim(member) for member in deal.cohort()])))
        overdue.note(world.state, settled)
        assert len(overdue) < 8
    late = waiting.agreement.settle_by_ms + 1
    assert overdue.take(world.state, late) == (Expire(network=world.network, agreement=waiting.id),)
