"""Settlements that others brought about: a member, the windows of the ledger, the passing of time; and their bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.support.forced import evidence_of, forced, posted, said
from tests.support.job_town import Play, Town, quorum
from tests.support.receipt_forge import Forge

from quorate.crypto.digests import body_digest
from quorate.jobs.receipts import Report, check
from quorate.model.claim import Commit, RoundClose
from quorate.model.codec import decode
from quorate.model.evidence import Proven
from quorate.model.outcome import Receipt
from quorate.model.settlement import Payment, ReputationEvent, Settlement
from quorate.model.transaction import (
    Cancel,
    CloseForced,
    Equivocation,
    Expire,
    ForceCommit,
    Settle,
)

replace = msgspec.structs.replace
EXACT, BOUNDED = "recomputed to the unit", "within the agreement"


def reported(play: Play, proven: Proven) -> tuple[Receipt, Report]:
    receipt = play.town.receipt(play.settle(proven))
    return receipt, check(receipt, network=play.town.network)


def member_settles(play: Play, without: int) -> list[Proven]:
    """A member has the delivery's receipt and settles with the openings that reached it: all but one."""
    member = play.state.current.slots[0].member
    openings = [slot.opening for slot in play.state.current.slots if slot.opening]
    value = Settle(
        network=play.town.network,
        agreement=play.state.agreement_id,
        evidence=(*evidence_of(play, member), *said(play)["delivery_ack"]),
        openings=tuple(opening for place, opening in enumerate(openings) if place != without),
        outcome=b"",
    )
    return posted(play, member, value)


@pytest.mark.parametrize(("votes", "without"), [({}, 99), ({4: "wrong"}, 4), ({4: "fail"}, 4), ({3: "wrong"}, 3)])
def test_a_member_settles_with_what_it_holds(town: Town, votes: dict[int, str], without: int) -> None:
    play = town.stalled(town.job(quorum(5)), votes)
    _, report = reported(play, member_settles(play, without)[-1])
    assert report.outcome == "valid", report.line
    assert EXACT in report.steps[12].sentence


def test_a_member_settles_the_second_round_without_the_first(town: Town) -> None:
    play = town.stalled(town.job(quorum(3)), {1: "wrong"})
    assert play.state.current.number == 2
    _, report = reported(play, member_settles(play, 99)[-1])
    assert report.outcome == "valid", report.line
    assert EXACT in report.steps[12].sentence


def test_an_escrow_that_expired_goes_back(town: Town) -> None:
    play = town.stalled(town.job(quorum(3)))
    town.now = max(town.now, play.state.terms.settle_by_ms + 1)
    expire = Expire(network=town.network, agreement=play.state.agreement_id)
    _, report = reported(play, posted(play, town.sequencer.node_id, expire)[-1])
    assert report.outcome == "valid", report.line
    assert report.steps[12].sentence.startswith("expire: 0 micro-credits paid, recomputed")


@pytest.mark.parametrize("reveal", [3, 2])
def test_a_forced_round_is_settled_by_what_stands_on_the_ledger(town: Town, reveal: int) -> None:
    play = town.stalled(town.job(quorum(3)))
    opened = [slot.opening for slot in play.state.current.slots if slot.opening]
    receipt, report = reported(play, forced(play, opened[:reveal]))
    assert report.outcome == "valid", report.line
    assert report.steps[12].sentence.startswith("force: ")
    settlement = decode(receipt.settlement.event, Settlement)
    assert settlement.accepted == (reveal == 3)
    assert (EXACT if reveal == 3 else BOUNDED) in report.steps[12].sentence


def test_a_bond_lost_for_two_closings_is_missing_from_the_refund(town: Town) -> None:
    play = town.stalled(town.job(quorum(3)))
    first = said(play)["round_close"][0]
    (second,) = town.sign(town.node, replace(decode(first.body, RoundClose), salt=b"\1" * 32))
    member = play.state.current.slots[0].member
    posted(play, member, Equivocation(network=town.network, first=first, second=second))
    receipt, report = reported(play, member_settles(play, 99)[-1])
    assert report.outcome == "valid", report.line
    assert EXACT in report.steps[12].sentence
    refund = decode(receipt.settlement.event, Settlement).payments[-1]
    opened = sum(item.amount_micro for item in decode(receipt.settlement.event, Settlement).payments)
    assert refund.reason == "refund"
    assert opened == play.state.terms.price_max_micro * 3 + play.state.terms.attempt_max_micro * 3 * 2


def test_a_cancelled_job_pays_a_commitment_that_a_member_showed(town: Town) -> None:
    """R6: the requester's node cancels and leaves a commitment out; its member shows it in the window."""
    play = town.stalled(town.job(quorum(3)))
    shown = said(play)
    kept = tuple(slot.commit for slot in play.state.current.slots[1:])
    cancel = Cancel(network=town.network, agreement=play.state.agreement_id, evidence=(*shown["assignment"], *kept))
    posted(play, town.node.node_id, cancel)
    left_out = play.state.current.slots[0]
    place = {"network": town.network, "agreement": play.state.agreement_id, "round": 1}
    posted(play, left_out.member, ForceCommit(**place, evidence=(shown["assignment"][0], left_out.commit)))
    town.now += town.genesis.windows.cancel_ms + 1
    close = CloseForced(network=town.network, agreement=play.state.agreement_id)
    receipt, report = reported(play, posted(play, town.sequencer.node_id, close)[-1])
    assert report.outcome == "valid", report.line
    paid = {item.account for item in decode(receipt.settlement.event, Settlement).payments}
    assert decode(left_out.commit.body, Commit).member in paid


# What the ledger may rule on evidence that the receipt does not show is bounded by the agreement.

Change = Callable[[Forge, Receipt, Settlement], dict[str, Any]]


def pays_a_stranger(forge: Forge, receipt: Receipt, ruled: Settlement) -> dict[str, Any]:
    first, *rest = ruled.payments
    return {"payments": (replace(first, account=forge.town.stranger.node_id), *rest)}


def pays_twice(forge: Forge, receipt: Receipt, ruled: Settlement) -> dict[str, Any]:
    first, second, *rest = ruled.payments
    return {"payments": (first, replace(second, account=first.account), *rest)}


def pays_above_the_attempt_fee(forge: Forge, receipt: Receipt, ruled: Settlement) -> dict[str, Any]:
    first, *rest, refund = ruled.payments
    less = replace(refund, amount_micro=refund.amount_micro - 1)
    return {"payments": (replace(first, amount_micro=first.amount_micro + 1), *rest, less)}


def pays_above_the_price(forge: Forge, receipt: Receipt, ruled: Settlement) -> dict[str, Any]:
    first, *rest, refund = ruled.payments
    less = replace(refund, amount_micro=refund.amount_micro - 1_000)
    return {"payments": (replace(first, amount_micro=first.amount_micro + 1_000, reason="price"), *rest, less)}


def keeps_a_part(forge: Forge, receipt: Receipt, ruled: Settlement) -> dict[str, Any]:
    *rest, refund = ruled.payments
    return {"payments": (*rest, replace(refund, amount_micro=refund.amount_micro - 1))}


def refunds_somebody_else(forge: Forge, receipt: Receipt, ruled: Settlement) -> dict[str, Any]:
    *rest, refund = ruled.payments
    return {"payments": (*rest, replace(refund, account=forge.town.node.node_id))}


def slashes_a_stranger(forge: Forge, receipt: Receipt, ruled: Settlement) -> dict[str, Any]:
    slash = Payment(
        source=forge.town.stranger.node_id, account=forge.town.requester.node_id, amount_micro=1, reason="slash"
    )
    return {"payments": (*ruled.payments, slash)}


def slashes_more_than_the_bond(forge: Forge, receipt: Receipt, ruled: Settlement) -> dict[str, Any]:
    member = receipt.offers[0].signer
    slash = Payment(source=member, account=forge.town.requester.node_id, amount_micro=5_001, reason="slash")
    return {"payments": (*ruled.payments, slash)}


def moves_a_strangers_reputation(forge: Forge, receipt: Receipt, ruled: Settlement) -> dict[str, Any]:
    return {"reputation": (ReputationEvent(forge.town.stranger.node_id, "equivocated"),)}


def accepts_what_nobody_saw(forge: Forge, receipt: Receipt, ruled: Settlement) -> dict[str, Any]:
    return {"accepted": True}


BEYOND = [
    (pays_a_stranger, "was not drawn"),
    (pays_twice, "pays a member twice"),
    (pays_above_the_attempt_fee, "more than was agreed"),
    (pays_above_the_price, "more than was agreed"),
    (keeps_a_part, "does not empty the escrow"),
    (refunds_somebody_else, "refund to somebody else"),
    (slashes_a_stranger, "not at stake"),
    (slashes_more_than_the_bond, "not at stake"),
    (moves_a_strangers_reputation, "not drawn"),
    (accepts_what_nobody_saw, "not what the evidence says"),
]


@pytest.mark.parametrize(("change", "words"), BEYOND, ids=[change.__name__ for change, _ in BEYOND])
def test_a_ruling_beyond_the_agreement_is_caught(
    forge: Forge, receipts: dict[str, Receipt], change: Change, words: str
) -> None:
    receipt = receipts["cancelled late"]
    proven = receipt.settlement
    assert proven is not None
    ruled = decode(proven.event, Settlement)
    changed = replace(ruled, **change(forge, receipt, ruled))
    report = check(forge.put(receipt, settlement=forge.proven(changed, proven)), network=forge.town.network)
    assert (report.outcome, report.step) == ("invalid", 12), report.line
    assert words in report.line


def test_within_the_bounds_the_ledger_is_taken_at_its_word(forge: Forge, receipts: dict[str, Receipt]) -> None:
    """It may have seen a commitment that never reached the requester's node; the report says that it was not
    recomputed."""
    receipt = receipts["cancelled"]
    proven = receipt.settlement
    assert proven is not None
    ruled = decode(proven.event, Settlement)
    (refund,) = ruled.payments
    fee = Payment(source=refund.source, account=receipt.offers[0].signer, amount_micro=20, reason="attempt")
    less = replace(refund, amount_micro=refund.amount_micro - 20)
    forged = forge.put(receipt, settlement=forge.proven(replace(ruled, payments=(fee, less)), proven))
    report = check(forged, network=forge.town.network)
    assert report.outcome == "valid"
    assert BOUNDED in report.steps[12].sentence


def test_escrow_and_agreement_are_of_one_job(receipts: dict[str, Receipt]) -> None:
    for receipt in receipts.values():
        settlement = decode(receipt.settlement.event, Settlement)
        assert settlement.job == body_digest("job", receipt.job.body)
