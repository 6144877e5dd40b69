"""Step 12 of checking a receipt: the settlement is in the ledger's log, and is what the ledger should have ruled.

Mostly it is recomputed to the last unit. A member may settle instead of the requester's node, with the openings it
holds, and windows of the ledger take evidence that never reaches the requester: where the ledger may have seen more
than the receipt shows and no result was paid for by the requester's side, its payments are held to the agreement's
bounds.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from quorate.jobs.receipt_call import CallEffect, check_outcome, effect_of
from quorate.jobs.receipt_case import Case, require, short
from quorate.jobs.receipt_terms import checkpoint_of
from quorate.ledger.ballots import NOTHING, Ballot, Ballots, Seat
from quorate.ledger.call import BlockContext
from quorate.ledger.settle import judged, payments, settlement_value
from quorate.market.pricing import attempt_pay, spend_at_most
from quorate.model.network import Checkpoint
from quorate.model.settlement import Payment, Settlement
from quorate.model.units import NodeId
from quorate.verify.verdicts import vote_of

PENDING = "not settled yet: the ledger has not confirmed who was paid"


def check_settlement(case: Case, pinned: Checkpoint | None) -> str:
    check_outcome(case)
    settlement, proven = case.settlement, case.receipt.settlement
    if settlement is None or proven is None:
        return PENDING
    checkpoint = checkpoint_of(case, proven, pinned)
    _check_one_log(case, checkpoint)
    named = (settlement.network, settlement.agreement, settlement.job)
    require(named == (case.network, case.agreement_id, case.job_id), "the settlement is of another agreement")
    after = settlement.height >= case.opened.height and settlement.time_ms >= case.opened.time_ms
    require(after, "the settlement is dated before the escrow")
    within = settlement.height <= checkpoint.height and settlement.time_ms <= checkpoint.time_ms
    require(within, "the settlement is dated after its checkpoint")
    paid = sum(item.amount_micro for item in settlement.payments if item.reason in ("price", "attempt"))
    effect = effect_of(case, settlement)
    how = _how(case, settlement, effect)
    called = f"; the call is {effect.settled.result}" if effect.settled else ""
    return f"{settlement.cause}: {paid} micro-credits paid, {how}, as of checkpoint {checkpoint.height}{called}"


def _check_one_log(case: Case, checkpoint: Checkpoint) -> None:
    """Both checkpoints of the receipt are of one history, as far as sizes alone can tell."""
    first = checkpoint_of(case, case.receipt.escrow, None)
    require(first.size != checkpoint.size or first.root == checkpoint.root, "the ledger has shown two logs of one size")
    ordered = (first.size <= checkpoint.size) == (first.height <= checkpoint.height)
    require(ordered or first.size == checkpoint.size, "the ledger's log shrank")


def _how(case: Case, settlement: Settlement, effect: CallEffect) -> str:
    if any(settlement == expected for expected in _rulings(case, settlement, effect)):
        return "recomputed to the unit"
    open_to_others = settlement.cause == "force" or (
        settlement.cause in ("cancel", "settle") and not settlement.accepted and not case.receipt.verdict.accepted
    )
    require(open_to_others, "the settlement is not what the evidence says")
    _check_bounds(case, settlement)
    return "within the agreement, on evidence that others posted"


def _rulings(case: Case, settlement: Settlement, effect: CallEffect) -> Iterator[Settlement]:
    """What the ledger may have ruled from this receipt's evidence. The requester's bond is gone when its node signed
    two closings."""
    block, terms = BlockContext(settlement.height, settlement.time_ms, b""), case.terms
    for ballots in _postings(case, settlement):
        ruling = judged(terms, ballots, pay_commits=settlement.cause == "cancel")
        for bond in (terms.agreement.bond_micro, 0):
            back = bond + effect.refund_micro
            transfers = payments(terms, ruling.dues, spend_at_most(terms.agreement), back)
            all_paid = (*transfers, *effect.payments)
            yield settlement_value(terms, ruling, all_paid, settlement.cause, block, effect.settled)


def _postings(case: Case, settlement: Settlement) -> Iterator[Ballots]:
    if settlement.cause == "expire":
        yield NOTHING
    elif settlement.cause == "cancel":
        yield _only(case.ballots, frozenset())
    else:
        yield case.ballots
        for ballot in case.ballots.rounds:
            yield from _postings_of_member(case, ballot, settlement)


def _postings_of_member(case: Case, ballot: Ballot, settlement: Settlement) -> Iterator[Ballots]:
    """A member shows its own round alone, with the openings that had reached it: those the settlement speaks of, and
    perhaps those that claimed a failure, of which it does not speak."""
    if ballot.close is None:
        return
    spoken_of = frozenset(event.account for event in settlement.reputation)
    failed = frozenset(seat.member for seat in ballot.seats if seat.opening and vote_of(seat.opening) is None)
    for members in (spoken_of | failed, spoken_of - failed):
        yield _only(msgspec.structs.replace(case.ballots, rounds=(ballot,)), members)


def _only(ballots: Ballots, members: frozenset[NodeId]) -> Ballots:
    """Without the openings of others than `members`."""

    def kept(seat: Seat) -> Seat:
        return seat if seat.member in members else msgspec.structs.replace(seat, opening=None)

    rounds = tuple(
        msgspec.structs.replace(ballot, seats=tuple(kept(seat) for seat in ballot.seats)) for ballot in ballots.rounds
    )
    return msgspec.structs.replace(ballots, rounds=rounds)


def _check_bounds(case: Case, settlement: Settlement) -> None:
    """No more than the escrow, to nobody but drawn members and the requester, nothing twice, none above its offer."""
    terms = case.agreement
    out = sum(item.amount_micro for item in settlement.payments if item.reason not in ("slash", "transfer"))
    whole = spend_at_most(terms) + (case.job.core.call.deposit_micro if case.job.core.call else 0)
    require(out in (whole, whole + terms.bond_micro), "the settlement does not empty the escrow")
    for item in settlement.payments:
        _check_payment(case, item)
    paid = [item.account for item in settlement.payments if item.reason in ("price", "attempt")]
    require(len(set(paid)) == len(paid), "the settlement pays a member twice")
    members = set(case.terms.members)
    strangers = {event.account for event in settlement.reputation} - members
    require(not strangers, "the settlement moves the reputation of someone who was not drawn")


def _check_payment(case: Case, item: Payment) -> None:
    terms, requester = case.agreement, case.agreement.requester
    if item.reason in ("deposit", "transfer"):
        return  # held to the outcome of the call before
    if item.reason == "refund":
        require((item.source, item.account) == (requester, requester), "a refund to somebody else")
        return
    if item.reason == "slash":
        fair = item.source in case.offers and item.account == requester and item.amount_micro <= terms.bond_micro
        require(fair, "a bond is lost that is not at stake")
        return
    offer = case.offers.get(item.account)
    require(offer is not None and item.source == requester, f"{short(item.account)} is paid and was not drawn")
    assert offer is not None
    attempt = item.reason == "attempt"
    most = attempt_pay(offer.prices, terms.attempt_max_micro) if attempt else terms.price_max_micro
    require(item.amount_micro <= most, f"{short(item.account)} is paid more than was agreed")
