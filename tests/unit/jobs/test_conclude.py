"""A receipt is made of what was signed, once the job has ended; what is missing is said (protocol message 12)."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.job_town import Town, quorum

from quorate.crypto.digests import value_digest
from quorate.crypto.signing import node_id
from quorate.errors import NotFinished
from quorate.jobs import lifecycle
from quorate.jobs.conclude import KeptKeys, drawn_members, receipt
from quorate.jobs.receipts import check
from quorate.jobs.state import JobState
from quorate.jobs.statements import own_statements
from quorate.model.codec import decode
from quorate.model.offer import Offer
from quorate.model.settlement import Settlement


@pytest.fixture(scope="module")
def ended(town: Town) -> JobState:
    return town.run(town.job(quorum(3)), {1: "silent"})


def test_it_shows_every_member_that_was_asked_and_every_offer_of_the_draw(town: Town, ended: JobState) -> None:
    made = town.receipt(ended)
    assert [decode(signed.body, Offer).provider for signed in made.offers] == list(drawn_members(ended))
    assert len(made.rounds[0].assignments) == 4
    assert len(made.rounds[0].acks) == len(made.rounds[0].commits) == len(made.rounds[0].openings) == 3


def test_the_ledgers_verdict_is_the_receipts(town: Town, ended: JobState) -> None:
    made = town.receipt(ended)
    assert made.settlement is not None
    assert decode(made.settlement.event, Settlement).verdict == value_digest(made.verdict)


def test_it_takes_only_the_keys_and_stamps_it_needs(town: Town, ended: JobState) -> None:
    made = town.receipt(ended)
    assert node_id(town.stranger.bundle) not in {node_id(bundle) for bundle in made.bundles}
    assert len(made.stamps) < len(town.stamps)


def test_the_same_state_and_statements_give_the_same_receipt(town: Town, ended: JobState) -> None:
    own = town.sign(town.node, *own_statements(ended))
    assert town.receipt(ended, own) == town.receipt(ended, own)
    assert town.receipt(ended, own[::-1]) == town.receipt(ended, own)


def test_a_newer_offer_of_a_member_does_not_end_the_receipt(town: Town) -> None:
    """Rosters name offers by digest: the one that was agreed on is still needed, and a newer one is not it."""
    state = town.run(town.job(quorum(3)))
    member = drawn_members(state)[0]
    agreed = town.book.get(member)
    newer = town.stand(town.identities[member], operator=agreed.offer.operator, issued_ms=town.now + 5)
    assert town.book.get(member).signed == newer
    with pytest.raises(NotFinished, match="that the agreement names"):
        town.receipt(state)
    offers = [town.book.named(entry.offer).signed for entry in state.roster.entries]
    made = receipt(
        state,
        genesis=town.genesis,
        offers=offers,
        own=town.sign(town.node, *own_statements(state)),
        keys=KeptKeys(list(town.bundles.values()), list(town.stamps.values())),
    )
    assert check(made, network=town.network).outcome == "valid"


def test_there_is_none_before_the_end(town: Town, ended: JobState) -> None:
    begun, _ = lifecycle.begin(ended.job, ended.job_id, b"\1" * 32, town.now)
    for state in (begun, msgspec.structs.replace(ended, ended_ms=0), msgspec.structs.replace(ended, escrow=None)):
        with pytest.raises(NotFinished):
            town.receipt(state)


def test_a_missing_stamp_or_key_is_said(town: Town, ended: JobState) -> None:
    given = {
        "genesis": town.genesis,
        "offers": [town.book.named(entry.offer).signed for entry in ended.roster.entries],
        "own": town.sign(town.node, *own_statements(ended)),
    }
    bundles, stamps = list(town.bundles.values()), list(town.stamps.values())
    with pytest.raises(NotFinished, match="is not here"):
        receipt(ended, **given, keys=KeptKeys(bundles, []))
    with pytest.raises(NotFinished, match="is not here"):
        receipt(ended, **given, keys=KeptKeys([], stamps))


def test_before_the_settlement_the_receipt_says_so(town: Town) -> None:
    play = town.stalled(town.job(quorum(3)))
    report = check(town.receipt(play.state), network=town.network)
    assert report.outcome == "unauthenticated"
    assert report.accepted
