"""Four phase clocks, each run out to the millisecond with its own error; none of them moves another job's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.halted import CLOCKS, halted
from tests.support.job_town import Town

from quorate import errors
from quorate.jobs import lifecycle
from quorate.jobs.clocks import OPEN_MS, PROBE_MS, RUN_GRACE_MS, SILENCE_MS, phase_deadline, running_clock
from quorate.jobs.state import Restarted, Returned, Tick
from quorate.model.assignment import Assignment, Started
from quorate.model.claim import RoundClose
from quorate.model.effects import Send
from quorate.model.units import Millis, NodeId


@pytest.fixture(scope="module")
def three() -> Town:
    """As many providers as members: nobody can take a place over, so that the clocks alone decide."""
    return Town(providers=3)


@pytest.fixture(scope="module")
def four() -> Town:
    """One reserve."""
    return Town(providers=4)


PHASES = [
    ("match", "matching", "match", CLOCKS.match_ms),
    ("escrow", "escrow", "match", CLOCKS.match_ms),
    ("wraps", "wraps", "transfer", CLOCKS.transfer_ms),
    ("start", "round", "transfer", CLOCKS.transfer_ms),
    ("commit", "round", "run", CLOCKS.run_ms + 2 * RUN_GRACE_MS),
    ("opening", "opening", "verify", CLOCKS.verify_ms),
    ("delivery", "delivering", "verify", CLOCKS.verify_ms),
]
ERRORS = {"match": "MatchTimeout", "transfer": "TransferTimeout", "run": "RunTimeout", "verify": "VerifyTimeout"}


@pytest.mark.parametrize(("lacks", "stage", "clock", "term_ms"), PHASES, ids=[phase[0] for phase in PHASES])
def test_each_clock_runs_out_to_the_millisecond_with_its_own_error(
    three: Town, lacks: str, stage: str, clock: str, term_ms: int
) -> None:
    start = three.now
    play = halted(three, lacks)
    assert (play.state.stage, running_clock(play.state)) == (stage, clock)
    assert phase_deadline(play.state) == start + term_ms
    play.wait(start + term_ms - 1)
    assert (play.state.stage, play.state.error, play.state.ended_ms) == (stage, "", 0)
    play.wait(start + term_ms)
    assert (play.state.condition, play.state.error) == ("timed_out", ERRORS[clock])
    assert play.state.ended_ms >= start + term_ms
    assert issubclass(getattr(errors, play.state.error), errors.JobError)


def test_the_four_errors_are_four() -> None:
    kinds = [getattr(errors, name) for name in ERRORS.values()]
    assert {clock for _, _, clock, _ in PHASES} == set(ERRORS)
    assert len(set(kinds)) == 4
    assert not any(issubclass(one, other) for one in kinds for other in kinds if one is not other)


@pytest.mark.parametrize(
    ("lacks", "stage", "term_ms"),
    [(lacks, stage, term_ms) for lacks, stage, _, term_ms in PHASES if stage in ("round", "opening", "delivering")],
)
def test_a_restart_gives_members_their_whole_term_again(three: Town, lacks: str, stage: str, term_ms: int) -> None:
    """Nobody could answer a node that was not there, and it was away for longer than the clock."""
    play = halted(three, lacks)
    three.now += 10 * term_ms
    back = three.now
    play.feed(Restarted())
    play.wait(back + term_ms - 1)
    assert (play.state.stage, play.state.error) == (stage, "")
    play.wait(back + term_ms)
    assert play.state.condition == "timed_out"


@pytest.mark.parametrize("lacks", ["opening", "delivery"])
def test_what_arrives_before_the_verify_clock_has_run_out_counts(town: Town, lacks: str) -> None:
    start = town.now
    play = halted(town, lacks)
    play.wait(start + CLOCKS.verify_ms - 1)
    play.let_go()
    assert (play.state.stage, play.state.condition, play.state.error) == ("done", "completed", "")


@pytest.mark.parametrize("lacks", ["opening", "delivery"])
def test_what_arrives_after_it_changes_nothing(town: Town, lacks: str) -> None:
    play = halted(town, lacks)
    play.wait(town.now + CLOCKS.verify_ms)
    ended = play.state
    play.let_go()
    assert play.held
    assert (play.state.condition, play.state.error) == ("timed_out", "VerifyTimeout")
    assert (play.state.result_digest, play.state.verdict) == (ended.result_digest, ended.verdict) == (b"", None)


def test_a_verify_clock_longer_than_the_wait_for_openings_is_not_what_ends_it(town: Town) -> None:
    """Members that never open end the round, not the job's clock: the job is rejected when no cohort is left."""
    start = town.now
    play = halted(town, "opening", timeouts=msgspec.structs.replace(CLOCKS, verify_ms=10 * OPEN_MS))
    play.wait(start + OPEN_MS - 1)
    assert (play.state.stage, play.state.current.number) == ("opening", 1)
    play.wait(start + OPEN_MS)
    assert (play.state.current.number, play.state.error) == (2, "")


def asked(effects: tuple[Any, ...]) -> list[NodeId]:
    return [effect.to for effect in effects if isinstance(effect, Send) and isinstance(effect.value, Assignment)]


def test_a_member_that_has_acknowledged_is_told_again_at_every_fifth_probe_only(three: Town) -> None:
    patient = msgspec.structs.replace(CLOCKS, transfer_ms=600_000)
    state = halted(three, "start", timeouts=patient).state
    assert all(slot.ack for slot in state.current.live)
    told = []
    for probe in range(1, 11):
        now = Millis(three.now + probe * PROBE_MS)
        state, effects = lifecycle.step(state, Tick({who.node_id: now for who in three.providers}), now)
        told.append(len(asked(effects)))
    assert told == [0, 0, 0, 0, 3, 0, 0, 0, 0, 3]


def test_a_member_that_comes_back_is_told_at_once_and_nobody_else(four: Town) -> None:
    state = halted(four, "start").state
    members = [slot.member for slot in state.current.live]
    (spare,) = (who.node_id for who in four.providers if who.node_id not in members)
    for member in members:
        assert asked(lifecycle.step(state, Returned(member), four.now)[1]) == [member]
    assert lifecycle.step(state, Returned(spare), four.now) == (state, ())


def test_a_member_that_has_committed_is_asked_for_its_opening_when_it_comes_back(four: Town) -> None:
    play = halted(four, "opening")
    state = play.state
    before = lifecycle.step(state, Returned(state.current.live[0].member), four.now)[1]
    assert asked(before) == []
    assert [type(effect.value) for effect in before if isinstance(effect, Send)] == [RoundClose]


def test_the_transfer_clock_covers_assignment_and_retries(four: Town) -> None:
    """A place that never starts goes to the reserve, which has the clock for itself; then the job is over."""
    start, term_ms = four.now, CLOCKS.transfer_ms
    play = halted(four, "start")
    play.wait(start + term_ms - 1)
    assert [slot.gone for slot in play.state.current.slots] == ["", "", ""]
    play.wait(start + term_ms)
    assert [slot.gone for slot in play.state.current.slots] == ["transfer clock", "", "", ""]
    assert (play.state.error, phase_deadline(play.state)) == ("", start + 2 * term_ms)
    play.wait(start + 2 * term_ms - 1)
    assert play.state.error == ""
    play.wait(start + 2 * term_ms)
    assert (play.state.condition, play.state.error) == ("timed_out", "TransferTimeout")


def test_the_run_clock_takes_over_from_it_when_everyone_has_started(four: Town) -> None:
    """Also after a silent member was replaced: the clock counts from the last assignment, then from the last start."""
    start = four.now
    play = halted(four, "start", timeouts=msgspec.structs.replace(CLOCKS, transfer_ms=20_000))
    lost = play.state.current.slots[0].member
    replaced_ms = four.now = start + SILENCE_MS + 1
    play.feed(Tick({who.node_id: Millis(replaced_ms) for who in four.providers if who.node_id != lost}))
    assert [slot.gone for slot in play.state.current.slots] == ["silent", "", "", ""]
    assert (running_clock(play.state), phase_deadline(play.state)) == ("transfer", replaced_ms + 20_000)
    four.now = replaced_ms + 19_999
    for slot in play.state.current.live:
        play.hear(slot.member, Started(**play._place(slot.member, 1)))
    due = four.now + CLOCKS.run_ms + 2 * RUN_GRACE_MS
    assert (running_clock(play.state), phase_deadline(play.state)) == ("run", due)
    play.wait(due - 1)
    assert play.state.error == ""
    play.wait(due)
    assert (play.state.condition, play.state.error) == ("timed_out", "RunTimeout")


def test_the_clocks_of_one_job_move_no_other(three: Town) -> None:
    """Seven jobs of one requester on the same machines, each in another phase: each ends when it would have ended
    alone, and one with a longer clock is completed after all of them."""
    start = three.now
    plays = [(start + term_ms, ERRORS[clock], halted(three, lacks, stall=True)) for lacks, _, clock, term_ms in PHASES]
    late = halted(three, "delivery", stall=True, timeouts=msgspec.structs.replace(CLOCKS, verify_ms=60_000))
    for now in sorted({due for due, _, _ in plays}):
        for due, error, play in plays:
            if now < due:
                play.wait(now)
                assert (play.state.error, phase_deadline(play.state)) == ("", due)
            elif now == due:
                play.wait(now)
                assert (play.state.condition, play.state.error) == ("timed_out", error)
    late.wait(three.now)
    assert phase_deadline(late.state) == start + 60_000
    late.let_go()
    assert (late.state.condition, late.state.error) == ("completed", "")
