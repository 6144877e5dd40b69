"""Forced rounds: windows in ledger time, withheld openings, pinned closings."""

from __future__ import annotations

from tests.support.ledger_world import BALANCE, BOND, TIMEOUTS, Claim, Deal, World

from quorate.ledger.blocks import Reply
from quorate.ledger.invariants import check
from quorate.model.codec import decode
from quorate.model.ledger_events import WindowsOpened
from quorate.model.settlement import Settlement
from quorate.model.transaction import CloseForced


def close(deal: Deal) -> CloseForced:
    return CloseForced(network=deal.world.network, agreement=deal.id)


def ended(deal: Deal, reply: Reply) -> Settlement:
    assert reply.answer.status == "ok", reply.answer
    check(deal.world.state)
    return decode(reply.events[0].event, Settlement)


def forced(world: World, deal: Deal, claims: list[Claim], closed: bool = True) -> WindowsOpened:
    """The first claim's member forces, the others commit."""
    more = (deal.close(claims),) if closed else ()
    reply = world.post(world.identities[claims[0].member], deal.force(claims[0], *more))
    assert reply.answer.status == "ok", reply.answer
    for claim in claims[1:]:
        assert world.status(world.identities[claim.member], deal.force_commit(claim)) == "ok"
    return decode(reply.events[0].event, WindowsOpened)


def reveal(world: World, deal: Deal, claims: list[Claim]) -> None:
    for claim in claims:
        assert world.status(world.identities[claim.member], deal.reveal(claim)) == "ok"


def test_a_requester_that_closes_its_eyes_pays_all_the_same() -> None:
    world = World()
    deal = world.open(k=3)
    claims = [deal.claim(member) for member in deal.cohort()]
    window = forced(world, deal, claims)
    assert (window.commit_by_ms, window.reveal_by_ms) == (world.now + 2_000, world.now + 4_000)
    early = world.identities[claims[0].member]
    assert world.status(early, deal.reveal(claims[0])) == "too_early"
    world.wait(2_001)
    reveal(world, deal, claims)
    assert world.status(early, close(deal)) == "too_early"
    world.wait(2_000)
    result = ended(deal, world.post(early, close(deal)))
    assert (result.cause, result.accepted) == ("force", True)
    assert world.balance(world.requester) == BALANCE - 330


def test_without_a_closing_the_window_waits_for_the_clocks_of_the_round() -> None:
    world = World()
    deal = world.open(k=3)
    claims = [deal.claim(member) for member in deal.cohort()]
    window = forced(world, deal, claims, closed=False)
    clocks = TIMEOUTS.transfer_ms + TIMEOUTS.run_ms
    assert window.commit_by_ms == max(world.now + 2_000, deal.opened.time_ms + clocks)
    deal = world.open(k=3, terms={"rounds": 2})
    late = [deal.claim(member, 2) for member in deal.cohort(2)]
    window = forced(world, deal, late, closed=False)
    assert window.commit_by_ms == deal.opened.time_ms + 2 * clocks


def test_a_withheld_opening_costs_the_bond_and_dissent_does_not() -> None:
    world = World()
    deal = world.open(k=3)
    claims = [deal.claim(member, tag=tag) for member, tag in zip(deal.cohort(), "aab", strict=True)]
    forced(world, deal, claims)
    world.wait(2_001)
    reveal(world, deal, [claims[0], claims[2]])
    world.wait(2_000)
    result = ended(deal, world.post(world.node, close(deal)))
    silent = claims[1].member
    assert not result.accepted
    assert [(item.source, item.amount_micro) for item in result.payments if item.reason == "slash"] == [(silent, BOND)]
    assert world.stake(silent) == 20_000 - BOND
    assert world.score(silent) == 2_500
    assert world.stake(claims[2].member) == 20_000
    assert world.balance(claims[0].member) == world.balance(claims[2].member) == 1_020
    assert world.balance(world.requester) == BALANCE - 40 + BOND


def test_a_member_that_never_came_to_the_ledger_is_not_slashed() -> None:
    world = World()
    deal = world.open(k=3)
    claims = [deal.claim(member) for member in deal.cohort()]
    assert world.status(world.identities[claims[0].member], deal.force(claims[0], deal.close(claims))) == "ok"
    world.wait(2_001)
    reveal(world, deal, claims[:1])
    world.wait(2_000)
    result = ended(deal, world.post(world.node, close(deal)))
    assert {payment.reason for payment in result.payments} == {"attempt", "refund"}
    assert all(world.stake(claim.member) == 20_000 for claim in claims)


def test_an_accepted_round_pays_its_price_only_with_a_posted_result() -> None:
    world = World()
    deal = world.open(k=3)
    claims = [deal.claim(member) for member in deal.cohort()]
    forced(world, deal, claims)
    world.wait(2_001)
    for claim in claims:
        assert world.status(world.identities[claim.member], deal.reveal(claim, b"")) == "ok"
    world.wait(2_000)
    result = ended(deal, world.post(world.node, close(deal)))
    assert (result.accepted, result.note) == (False, "accepted, not delivered")
    assert world.balance(world.requester) == BALANCE - 3 * 20


def test_a_result_may_be_posted_after_the_opening() -> None:
    world = World()
    deal = world.open(k=3)
    claims = [deal.claim(member) for member in deal.cohort()]
    forced(world, deal, claims)
    world.wait(2_001)
    for claim in claims:
        assert world.status(world.identities[claim.member], deal.reveal(claim, b"")) == "ok"
    reveal(world, deal, claims[:1])
    world.wait(2_000)
    assert ended(deal, world.post(world.node, close(deal))).accepted


def test_a_closing_pins_who_counts() -> None:
    """A late committer cannot push out a member that the closing lists."""
    world = World()
    deal = world.open(k=2, terms={"rounds": 1, "reserves": 2})
    listed = [deal.claim(member) for member in deal.members[1:3]]
    lurker = deal.claim(deal.members[0], tag="copied")
    assert world.status(world.identities[lurker.member], deal.force(lurker)) == "ok"
    assert world.status(world.node, deal.pin(deal.close(listed))) == "ok"
    for claim in listed:
        assert world.status(world.identities[claim.member], deal.force_commit(claim)) == "ok"
    world.wait(2_001)
    reveal(world, deal, [lurker, *listed])
    world.wait(2_001)
    result = ended(deal, world.post(world.node, close(deal)))
    assert result.accepted
    assert [(item.account, item.reason) for item in result.payments[:3]] == [
        (listed[0].member, "price"),
        (listed[1].member, "price"),
        (lurker.member, "attempt"),
    ]


def test_two_closings_of_one_round_void_each_other() -> None:
    world = World()
    deal = world.open(k=2, threshold=2, terms={"rounds": 1, "reserves": 2})
    honest = [deal.claim(member) for member in deal.members[:2]]
    own = [deal.claim(member, tag="b") for member in deal.members[2:4]]
    assert world.status(world.node, deal.cancel(deal.close(own))) == "ok"
    first = world.identities[honest[0].member]
    assert world.status(first, deal.force(honest[0], deal.close(honest))) == "ok"
    assert world.status(world.identities[honest[1].member], deal.force_commit(honest[1])) == "ok"
    world.wait(2_001)
    reveal(world, deal, honest)
    world.wait(2_000)
    assert ended(deal, world.post(first, close(deal))).accepted


def test_an_unforced_round_has_no_windows_and_a_strangers_commitment_no_seat() -> None:
    world = World()
    deal = world.open(k=2, terms={"rounds": 2})
    claims = [deal.claim(member) for member in deal.cohort()]
    member = world.identities[claims[0].member]
    assert world.status(member, deal.force_commit(claims[0])) == "no_window"
    assert world.status(member, deal.reveal(claims[0])) == "no_window"
    other = next(who for who in world.providers if who.node_id not in deal.members)
    assert world.status(other, deal.force(deal.claim(other.node_id))) == "not_drawn"
    assert world.status(member, deal.force(claims[1])) == "not_committed"
    unassigned = deal.force(claims[0])
    assert world.status(world.identities[claims[1].member], unassigned) == "not_committed"
    assert world.status(member, deal.force(claims[0])) == "ok"
    world.wait(2_001)
    assert world.status(world.identities[claims[1].member], deal.reveal(claims[0])) == "not_authorised"
    assert world.status(world.identities[claims[1].member], deal.reveal(claims[1])) == "opening_unlisted"


def test_a_copied_vote_does_not_open() -> None:
    world = World()
    deal = world.open(k=2, terms={"rounds": 1})
    claims = [deal.claim(member) for member in deal.cohort()]
    forced(world, deal, claims)
    world.wait(2_001)
    thief = claims[1]
    copied = claims[0].opening.body
    stolen = deal.claim_of(thief.member, 1, copied, claims[0].result)
    assert world.status(world.identities[thief.member], deal.reveal(stolen)) == "opening_mismatch"


def test_without_a_closing_a_rerun_forgoes_its_audit() -> None:
    world = World()
    deal = world.open("rerun", one_in=1, terms={"rounds": 1})
    claim = deal.claim(deal.members[0])
    forced(world, deal, [claim], closed=False)
    world.wait(2_001)
    reveal(world, deal, [claim])
    world.wait(2_001)
    assert ended(deal, world.post(world.node, close(deal))).accepted


def test_a_live_node_settles_in_the_middle_of_a_forced_round() -> None:
    world = World()
    deal = world.open(k=3)
    claims = [deal.claim(member) for member in deal.cohort()]
    forced(world, deal, claims[:1], closed=False)
    result = ended(deal, world.post(world.node, deal.settle(claims)))
    assert (result.cause, result.accepted) == ("settle", True)
    assert world.status(world.node, close(deal)) == "already_settled"
