"""Members had the ledger pay for a result that had not reached the requester's node: it is fetched, not lost (R7)."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.forced import forced
from tests.support.halted import CLOCKS, LONG_RUN, Halted, halted
from tests.support.job_town import Town

from quorate.jobs import lease, lifecycle
from quorate.jobs.clocks import OPEN_MS, SILENCE_MS
from quorate.jobs.lease_state import LeaseState
from quorate.jobs.receipts import check
from quorate.jobs.state import CancelAsked, Restarted, Tick
from quorate.model.assignment import Brief
from quorate.model.claim import Delivery, Opening, RoundClose
from quorate.model.codec import decode, encode
from quorate.model.effects import Effect, Send
from quorate.model.evidence import Proven
from quorate.model.settlement import Settlement
from quorate.model.units import Millis, NodeId


def openings(play: Halted) -> list[Opening]:
    return [play.opening(slot.member) for slot in play.state.current.slots]


def paid(town: Town, lacks: str) -> tuple[Halted, Proven]:
    play = halted(town, lacks, stall=True)
    return play, forced(play, openings(play))


STAGES = {"commitment": "round", "opening": "opening", "delivery": "delivering"}


@pytest.mark.parametrize("lacks", STAGES)
def test_the_result_is_asked_for_and_completes_the_job(town: Town, lacks: str) -> None:
    play, proven = paid(town, lacks)
    play.held.clear()
    state = play.settle(proven)
    assert (state.stage, state.ended_ms, state.settled_ms) == (STAGES[lacks], 0, town.now)
    asked = {member for member, _ in play.held}
    assert asked == {slot.member for slot in state.current.slots}, "everyone of the round was asked again"
    play.let_go()
    state = play.state
    assert (state.stage, state.condition) == ("done", "completed")
    assert not play.posted, "there is nothing left to settle"
    report = check(town.receipt(state), network=town.network)
    assert report.outcome == "valid", report.line
    assert report.accepted
    assert report.steps[12].sentence.startswith("force: ")


def test_nobody_else_is_asked_once_the_ledger_has_ruled(town: Town) -> None:
    """A reserve would work for an escrow that is empty."""
    play, proven = paid(town, "commitment")
    play.settle(proven)
    cohort = {slot.member for slot in play.state.current.slots}
    silent = Millis(town.now + SILENCE_MS + 1)
    town.now = silent
    play.feed(Tick(dict.fromkeys(list(cohort)[1:], silent)))
    play.wait(town.now + 2 * LONG_RUN.run_ms)
    assert {slot.member for slot in play.state.current.slots} == cohort
    assert (play.state.stage, play.state.condition, play.state.error) == ("done", "failed", "JobFailed")
    assert "do not deliver" in play.state.detail


def test_without_it_the_verify_clock_ends_the_job(town: Town) -> None:
    play, proven = paid(town, "opening")
    began = town.now
    play.settle(proven)
    play.wait(began + CLOCKS.verify_ms - 1)
    assert not play.state.ended_ms
    play.wait(began + CLOCKS.verify_ms)
    assert (play.state.stage, play.state.condition, play.state.error) == ("done", "timed_out", "VerifyTimeout")
    assert not play.posted
    assert check(town.receipt(play.state), network=town.network).outcome == "valid"


def test_openings_have_as_long_as_after_any_closing(town: Town) -> None:
    """The node was cut off for longer than openings are waited for."""
    play = halted(town, "opening", stall=True, timeouts=msgspec.structs.replace(CLOCKS, verify_ms=10 * OPEN_MS))
    proven = forced(play, openings(play))
    town.now += 2 * OPEN_MS
    play.settle(proven)
    play.wait(town.now + OPEN_MS - 1)
    assert play.state.stage == "opening"
    play.let_go()
    assert play.state.condition == "completed"


def test_it_may_still_be_cancelled(town: Town) -> None:
    play, proven = paid(town, "opening")
    play.settle(proven)
    play.feed(CancelAsked())
    assert (play.state.stage, play.state.condition) == ("done", "cancelled")


def test_a_ruling_without_a_result_ends_the_job_at_once(town: Town) -> None:
    play = halted(town, "opening", stall=True)
    state = play.settle(forced(play, openings(play)[:2]))
    assert (state.stage, state.condition) == ("done", "failed")


def test_the_ruling_outlives_a_restart(town: Town) -> None:
    play, proven = paid(town, "opening")
    before = play.state
    assert lifecycle.must_save(before, play.settle(proven))
    town.now += 10 * CLOCKS.verify_ms
    play.feed(Restarted())
    play.wait(town.now + 1)
    assert play.state.stage == "opening", "the clock starts anew: nobody could answer a node that was not there"
    play.let_go()
    assert play.state.condition == "completed"


# The member's side


def member_of(play: Halted, place: int) -> LeaseState:
    """A member of the round as it stands once it has committed."""
    state = play.state
    slot = state.current.slots[place]
    body, nonce, assignment = play.bodies[slot.member]
    assert state.agreement_signed is not None
    assert state.escrow is not None
    assert state.roster is not None
    brief = Brief(job=state.job, agreement=state.agreement_signed, escrow=state.escrow, roster=state.roster)
    (signed,) = play.town.sign(play.town.node, assignment)
    now = Millis(play.town.now)
    return LeaseState(
        agreement_id=state.agreement_id,
        assignment=signed,
        brief=encode(brief),
        stage="committed",
        since_ms=now,
        said_ms=now,
        body=body,
        nonce=nonce,
    )


def asked_for(play: Halted, state: LeaseState, sender: NodeId) -> tuple[Effect, ...]:
    close = play.state.current.close
    assert isinstance(close, RoundClose)
    (signed,) = play.town.sign(play.town.node, close)
    return lease.step(state, lease.Received(sender, close, signed), Millis(play.town.now))[1]


def settled(play: Halted, state: LeaseState, proven: Proven) -> LeaseState:
    ruled = decode(proven.event, Settlement)
    return lease.step(state, lease.Settled(ruled, proven), Millis(play.town.now))[0]


def test_a_paid_member_delivers_to_the_node_that_asks_late(town: Town) -> None:
    play, proven = paid(town, "opening")
    state = settled(play, member_of(play, 0), proven)
    assert state.stage == "done"
    sent = asked_for(play, state, play.town.node.node_id)
    assert [type(effect.value) for effect in sent if isinstance(effect, Send)] == [Opening, Delivery]
    assert {effect.to for effect in sent if isinstance(effect, Send)} == {play.town.node.node_id}
    assert asked_for(play, state, play.town.stranger.node_id) == (), "nobody else gets it"


def test_a_paid_member_says_its_commitment_again(town: Town) -> None:
    """The node died before it closed the round, and has forgotten what it was told."""
    play, proven = paid(town, "commitment")
    state = settled(play, member_of(play, 0), proven)
    again = lease.Received(play.town.node.node_id, state.order, state.assignment)
    (sent,) = lease.step(state, again, Millis(town.now))[1]
    assert isinstance(sent, Send)
    assert sent.value == play.commitment(state.order.member)


def test_a_member_that_was_not_paid_delivers_nothing(town: Town) -> None:
    play = halted(town, "opening", stall=True)
    proven = forced(play, openings(play)[:2])
    state = settled(play, member_of(play, 2), proven)
    assert asked_for(play, state, play.town.node.node_id) == ()
