"""Contracts on the ledger: heads move by compare-and-swap, money goes where the outcome says, and whatever fails leaves
nothing behind."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.ledger_calls import BORN, CallDeal, Calls
from tests.support.ledger_world import BALANCE, World

from quorate.crypto.digests import value_digest
from quorate.ledger.contracts import head_of
from quorate.ledger.invariants import check
from quorate.model.codec import decode
from quorate.model.ledger_events import Deployed
from quorate.model.settlement import Settlement
from quorate.model.transaction import Cancel, CloseForced
from quorate.model.units import Digest

NEXT, OTHER = b"\x31" * 32, b"\x32" * 32


@pytest.fixture
def calls() -> Calls:
    return Calls(World())


@pytest.fixture
def contract(calls: Calls) -> Digest:
    return calls.deploy()


def record_of(calls: Calls, contract: Digest):  # type: ignore[no-untyped-def]
    return calls.world.state.contracts[contract]


def in_all(world: World) -> None:
    check(world.state)


def test_a_deployment_has_the_head_it_is_born_with(calls: Calls) -> None:
    deployment = calls.deployment()
    reply = calls.world.post(calls.world.node, calls.order(deployment))
    event = decode(reply.events[0].event, Deployed)
    assert event.contract == value_digest(deployment)
    head = head_of(calls.world.state, calls.world.state.time_ms, event.contract, ()).head
    assert head is not None
    assert (head.state, head.version, head.balance_micro) == (BORN, 0, 0)
    assert head.holders == (calls.world.node.node_id,)


def test_nobody_knows_a_contract_that_was_never_deployed(calls: Calls) -> None:
    assert head_of(calls.world.state, calls.world.state.time_ms, Digest(bytes(32)), ()).head is None


def test_the_epoch_goes_on_while_the_ledger_is_quiet(calls: Calls, contract: Digest) -> None:
    state = calls.world.state
    told = head_of(state, state.time_ms, contract, ())
    assert head_of(state, state.time_ms + 3 * state.genesis.epoch_ms, contract, ()).epoch == told.epoch + 3
    assert head_of(state, state.time_ms - 3 * state.genesis.epoch_ms, contract, ()).epoch == told.epoch


def test_a_settled_call_moves_the_head(calls: Calls, contract: Digest) -> None:
    deal = calls.open(calls.call(contract))
    settled = deal.settled(deal.output(NEXT))
    assert settled.call is not None
    assert (settled.call.result, settled.call.state, settled.call.version) == ("applied", NEXT, 1)
    record = record_of(calls, contract)
    assert (record.state, record.version) == (NEXT, 1)
    assert set(record.holders) == {calls.world.node.node_id, *deal.cohort()}
    in_all(calls.world)


def test_of_two_calls_on_one_head_the_second_is_a_conflict(calls: Calls, contract: Digest) -> None:
    first, second = calls.open(calls.call(contract)), calls.open(calls.call(contract, deposit=500))
    assert first.settled(first.output(NEXT)).call.result == "applied"  # type: ignore[union-attr]
    before = calls.world.balance(calls.world.requester.node_id)
    lost = second.settled(second.output(OTHER, (bytes(second.agreement.requester[:16]), 100)))
    assert lost.call is not None
    assert (lost.call.result, lost.call.state, lost.call.version) == ("conflict", NEXT, 1)
    assert not [payment for payment in lost.payments if payment.reason in ("deposit", "transfer")]
    paid = sum(payment.amount_micro for payment in lost.payments if payment.reason == "price")
    assert paid > 0
    record = record_of(calls, contract)
    assert (record.state, record.version, record.balance_micro) == (NEXT, 1, 0)
    assert calls.world.balance(calls.world.requester.node_id) == before + second.opened.escrow_micro - paid
    in_all(calls.world)


def test_a_call_on_a_head_that_has_moved_opens_no_escrow(calls: Calls, contract: Digest) -> None:
    stale = calls.call(contract)
    deal = calls.open(calls.call(contract))
    deal.settled(deal.output(NEXT))
    assert calls.world.status(calls.world.node, calls.opening(stale)) == "state_conflict"
    in_all(calls.world)


def test_a_call_that_only_reads_conflicts_with_nobody(calls: Calls, contract: Digest) -> None:
    reading, writing = calls.open(calls.call(contract)), calls.open(calls.call(contract))
    writing.settled(writing.output(NEXT))
    read = reading.settled(reading.output(BORN))
    assert read.call is not None
    assert (read.call.result, read.call.version) == ("read", 1)


def test_a_deposit_goes_in_and_transfers_go_out(calls: Calls, contract: Digest) -> None:
    world, stranger = calls.world, calls.world.providers[0].node_id
    deal = calls.open(calls.call(contract, deposit=1_000))
    deal.settled(deal.output(NEXT))
    assert record_of(calls, contract).balance_micro == 1_000
    before = world.balance(stranger)
    deal = calls.open(calls.call(contract))
    settled = deal.settled(deal.output(OTHER, (bytes(stranger[:16]), 300), (bytes(contract[:16]), 50)))
    assert [payment.amount_micro for payment in settled.payments if payment.reason == "transfer"] == [300, 50]
    assert record_of(calls, contract).balance_micro == 700
    earned = sum(payment.amount_micro for payment in settled.payments if payment.account == stranger)
    assert world.balance(stranger) == before + earned
    in_all(world)


def test_money_alone_moves_a_head(calls: Calls, contract: Digest) -> None:
    deal = calls.open(calls.call(contract, deposit=5))
    settled = deal.settled(deal.output(BORN))
    assert settled.call is not None
    assert (settled.call.result, settled.call.version) == ("applied", 1)


def test_a_contract_pays_nobody_unknown(calls: Calls, contract: Digest) -> None:
    deal = calls.open(calls.call(contract, deposit=1_000))
    settled = deal.settled(deal.output(NEXT, (bytes(16), 10)))
    assert settled.call is not None
    assert settled.call.result == "unpayable"
    assert (record_of(calls, contract).state, record_of(calls, contract).balance_micro) == (BORN, 0)
    in_all(calls.world)


def test_a_quorum_that_pays_more_than_there_is_pays_nothing(calls: Calls, contract: Digest) -> None:
    deal = calls.open(calls.call(contract, deposit=1_000))
    settled = deal.settled(deal.output(NEXT, (bytes(calls.world.requester.node_id[:16]), 1_001)))
    assert settled.call is not None
    assert settled.call.result == "unpayable"
    in_all(calls.world)


def test_an_agreed_abort_is_paid_and_changes_nothing(calls: Calls, contract: Digest) -> None:
    deal = calls.open(calls.call(contract, deposit=1_000))
    settled = deal.settled(deal.output(BORN, status="trap"))
    assert settled.call is not None
    assert (settled.call.result, settled.accepted) == ("failed", True)
    assert record_of(calls, contract).version == 0
    in_all(calls.world)


@pytest.mark.parametrize("shown", [b"", b"junk"])
def test_without_the_agreed_output_a_call_is_not_settled(calls: Calls, contract: Digest, shown: bytes) -> None:
    deal = calls.open(calls.call(contract))
    assert calls.world.status(calls.world.node, deal.settling(deal.output(NEXT), shown)) == "outcome_mismatch"
    assert record_of(calls, contract).version == 0


def test_another_outcome_than_was_voted_for_is_refused(calls: Calls, contract: Digest) -> None:
    deal = calls.open(calls.call(contract))
    other = deal.output(NEXT, (bytes(calls.world.requester.node_id[:16]), 1))
    assert calls.world.status(calls.world.node, deal.settling(deal.output(NEXT), other)) == "outcome_mismatch"


def test_a_job_that_is_no_call_shows_no_outcome(calls: Calls) -> None:
    deal = calls.world.open()
    settle = deal.settle([deal.claim(member) for member in deal.cohort()])
    shown = msgspec.structs.replace(settle, outcome=b"x")
    assert calls.world.status(calls.world.node, shown) == "outcome_mismatch"


def test_a_cancelled_call_gives_the_deposit_back(calls: Calls, contract: Digest) -> None:
    world = calls.world
    deal = calls.open(calls.call(contract, deposit=1_000))
    acks = tuple(deal.cancel_ack(member, committed=False) for member in deal.members)
    reply = world.post(world.node, Cancel(network=world.network, agreement=deal.id, evidence=acks))
    settled = decode(reply.events[0].event, Settlement)
    assert settled.call is not None
    assert settled.call.result == "void"
    assert world.balance(world.requester.node_id) == BALANCE
    in_all(world)


def test_members_whose_round_was_forced_show_the_outcome_themselves(calls: Calls, contract: Digest) -> None:
    world = calls.world
    deal = calls.open(calls.call(contract, deposit=1_000))
    claims = deal.claims(deal.output(NEXT))
    settled = forced(deal, claims, reveal=True)
    assert settled.call is not None
    assert (settled.call.result, record_of(calls, contract).state) == ("applied", NEXT)
    assert record_of(calls, contract).balance_micro == 1_000
    in_all(world)


def forced(deal: CallDeal, claims, reveal: bool) -> Settlement:  # type: ignore[no-untyped-def]
    world = deal.world
    who = [world.identities[claim.member] for claim in claims]
    assert world.status(who[0], deal.force(claims[0], deal.close(claims))) == "ok"
    for identity, claim in zip(who[1:], claims[1:], strict=True):
        assert world.status(identity, deal.force_commit(claim)) == "ok"
    world.wait(2_001)
    for identity, claim in zip(who, claims, strict=True):
        assert world.status(identity, deal.reveal(claim, None if reveal else b"")) == "ok"
    world.wait(2_001)
    reply = world.post(who[0], CloseForced(network=world.network, agreement=deal.id))
    return decode(reply.events[0].event, Settlement)


def test_a_replay_comes_to_the_same_heads(calls: Calls, contract: Digest) -> None:
    deal = calls.open(calls.call(contract, deposit=1_000))
    deal.settled(deal.output(NEXT, (bytes(calls.world.requester.node_id[:16]), 400)))
    before = calls.world.state
    calls.world.crash()
    assert calls.world.state.digest == before.digest
    assert dict(calls.world.state.contracts.items()) == dict(before.contracts.items())
