"""The checkers catch what they are there for: a bug planted in one function breaks the rule that forbids it.

Each bug runs in a small world that is harmless without it, which is tested too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.simulation.checkers import Violation
from tests.simulation.customers import Customers
from tests.simulation.machine import SimulatedNode, Turn
from tests.simulation.requester import SimulatedRequester
from tests.simulation.scenario import Scenario, read, run

from quorate.jobs import endings, lease, lifecycle, rounds
from quorate.jobs.lease_state import LeaseState
from quorate.jobs.state import JobState, Settled
from quorate.ledger import closing, settle
from quorate.model.effects import Run
from quorate.verify import quorum, verdicts

FLEET = {"providers": 20, "requesters": 2}
CRASHES = {"crashes_per_minute": 300, "down_ms_max": 2_000, "drop_per_mille": 30, "slow_save_per_mille": 300}
HONEST = read(
    "honest", {"fleet": FLEET, "work": {"jobs_per_second": 8, "proofs": ["quorum of 3", "trust", "rerun 1 in 2"]}}
)
CRASHING = read(
    "crashing",
    {"fleet": FLEET, "work": {"jobs_per_second": 8, "proofs": ["quorum of 3", "quorum of 5"]}, "weather": CRASHES},
)
REPEATING = read(
    "repeating",
    {
        "fleet": FLEET,
        "work": {"jobs_per_second": 8, "proofs": ["quorum of 3", "quorum of 5"]},
        "weather": CRASHES | {"duplicate_per_mille": 600, "delay_ms_max": 700, "slow_save_per_mille": 600},
    },
)
LYING = read(
    "lying",
    {
        "fleet": FLEET,
        "work": {"jobs_per_second": 8, "proofs": ["quorum of 5"]},
        "byzantine_members": {"wrong_byte": 2, "false_failure": 3, "equivocation": 1},
    },
)
DYING = read(
    "dying",
    {
        "fleet": FLEET,
        "work": {"jobs_per_second": 8, "proofs": ["quorum of 3"]},
        "weather": {"worker_deaths_per_mille": 700},
    },
)
WORLDS = (HONEST, CRASHING, REPEATING, LYING, DYING)
Patch = Callable[[pytest.MonkeyPatch], None]


def failures_as_votes(patch: pytest.MonkeyPatch) -> None:
    for module in (verdicts, rounds, endings, settle, lease):
        if hasattr(module, "vote_of"):
            patch.setattr(module, "vote_of", lambda opening: opening.body.vote)


def threshold_off_by_one(patch: pytest.MonkeyPatch) -> None:
    true = quorum.threshold
    patch.setattr(verdicts, "threshold", lambda proof, replicas=None: true(proof, replicas) - 1)


def most_voted_wins(patch: pytest.MonkeyPatch) -> None:
    true = quorum.count

    def count(votes: Any, size: int, needed: int) -> Any:
        return true(votes, size, needed if len(votes) < size else 1)

    patch.setattr(verdicts, "count", count)


def said_before_saved(patch: pytest.MonkeyPatch) -> None:
    def save(node: SimulatedNode, turn: Turn) -> None:
        node._finish(turn)
        turn.later, turn.after, turn.signed = [], [], []
        true(node, turn)

    true = SimulatedNode._save
    patch.setattr(SimulatedNode, "_save", save)


def said_before_earlier_saves(patch: pytest.MonkeyPatch) -> None:
    """A turn without rows of its own does not wait for the turn before it."""

    def save(node: SimulatedNode, turn: Turn) -> None:
        if turn.rows:
            true(node, turn)
        else:
            node._finish(turn)

    true = SimulatedNode._save
    patch.setattr(SimulatedNode, "_save", save)


def claims_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    """No replay of the same bytes (R4): after a restart the member runs again, under another nonce."""
    true = lease._restarted

    def restarted(state: LeaseState, event: lease.Restarted, now: Any) -> Any:
        if state.stage == "committed":
            return msgspec.structs.replace(state, stage="running", body=None, nonce=b"", commit=None), (Run(),)
        return true(state, event, now)

    patch.setitem(lease.ANY, lease.Restarted, restarted)


def paid_twice(patch: pytest.MonkeyPatch) -> None:
    true = settle._prices
    patch.setattr(settle, "_prices", lambda *given: [*true(*given), *true(*given)])


def bond_kept(patch: pytest.MonkeyPatch) -> None:
    true = closing.payments
    patch.setattr(closing, "payments", lambda terms, dues, spend, bond: true(terms, dues, spend, 0))


def settled_twice(patch: pytest.MonkeyPatch) -> None:
    true = closing.closed

    def closed(state: Any, escrow: Any, *given: Any) -> Any:
        done = true(state, escrow, *given)
        key = escrow.terms.agreement_id
        again = done.state.escrows[key]
        reopened = msgspec.structs.replace(again, settlement=None)
        return done._replace(state=msgspec.structs.replace(done.state, escrows=done.state.escrows.put(key, reopened)))

    patch.setattr(closing, "closed", closed)


def dissent_is_slashed(patch: pytest.MonkeyPatch) -> None:
    """Every member of a settled agreement that did not agree is taken for one that withheld."""
    true = settle.judged

    def judged(terms: Any, ballots: Any, pay_commits: bool = False) -> Any:
        ruling = true(terms, ballots, pay_commits)
        agreed = ruling.verdict.rounds[-1].agreed if ruling.verdict.rounds else ()
        others = tuple(seat.member for ballot in ballots.rounds for seat in ballot.seats if seat.member not in agreed)
        return ruling._replace(unopened=others)

    for module in (settle, closing):
        patch.setattr(module, "judged", judged)


def timers_forgotten(patch: pytest.MonkeyPatch) -> None:
    """No job is looked at again by itself. Most go on all the same, because members and the ledger have clocks of their
    own; one that waits for offers does not."""
    patch.setattr(lifecycle, "deadline", lambda state: None)


def terminal_state_moves(patch: pytest.MonkeyPatch) -> None:
    true = endings.settled

    def settled(state: JobState, event: Settled, now: Any) -> JobState:
        return msgspec.structs.replace(true(state, event, now), condition="failed")

    patch.setattr(endings, "settled", settled)


def submission_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The door acknowledges a job that is in memory only."""

    def submit(node: SimulatedRequester, order: Any, done: Any) -> None:
        true(node, order, lambda job: None)
        if node.up:
            done(lifecycle_id(order))

    def lifecycle_id(order: Any) -> Any:
        from quorate.crypto.digests import body_digest

        return body_digest("job", order.body)

    true = SimulatedRequester.submit
    patch.setattr(SimulatedRequester, "submit", submit)
    patch.setattr(Customers, "_look_for_draw", lambda customers, key: None)


class Planted(NamedTuple):
    """A bug, where it shows, and the rules that may break by it."""

    bug: Patch
    world: Scenario
    rules: tuple[str, ...]
    seeds: tuple[int, ...] = (1, 2, 3)


BUGS = (
    Planted(failures_as_votes, DYING, ("a failure is no vote",)),
    Planted(threshold_off_by_one, LYING, ("the threshold is met",)),
    Planted(most_voted_wins, LYING, ("the threshold is met", "no wrong result without enough colluders")),
    Planted(said_before_saved, CRASHING, ("one statement for one place", "no honest party is slashed")),
    Planted(
        said_before_earlier_saves, REPEATING, ("one statement for one place", "no honest party is slashed"), (3, 4, 5)
    ),
    Planted(claims_are_not_kept, CRASHING, ("one statement for one place", "no honest party is slashed")),
    Planted(paid_twice, HONEST, ("nobody is paid twice",)),
    Planted(bond_kept, HONEST, ("an escrow pays out what it holds", "the ledger's invariants")),
    Planted(settled_twice, HONEST, ("one terminal transaction for each agreement", "every escrow is settled")),
    Planted(dissent_is_slashed, CRASHING, ("no honest party is slashed",)),
    Planted(timers_forgotten, CRASHING, ("every job ends",)),
    Planted(terminal_state_moves, HONEST, ("states move along the allowed graph",)),
    Planted(submission_forgotten, CRASHING, ("an acknowledged job is never lost",)),
)
EVENTS = 12_000


def _run_all(planted: Planted) -> None:
    for seed in planted.seeds:
        run(planted.world, seed, EVENTS)


@pytest.mark.parametrize("planted", BUGS, ids=lambda planted: planted.bug.__name__)
def test_a_planted_bug_is_caught(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.bug(monkeypatch)
    with pytest.raises(Violation) as caught:
        _run_all(planted)
    assert str(caught.value).partition(":")[0] in planted.rules


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_the_bug_the_same_world_is_sound(world: Scenario, seed: int) -> None:
    assert run(world, seed, EVENTS).events >= EVENTS
