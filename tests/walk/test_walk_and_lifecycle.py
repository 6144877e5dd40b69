"""Where nothing fails, the path as seven calls and the path over messages come to the same verdict, payments and
ending.

The job is run by the simulated network in fair weather; then it is walked with the same secret, beacon and entropy.
Members may claim what they like: lie alone or together, report failures. Being silent is a fault and has no place here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.simulation.customers import Customers, Habits
from tests.simulation.fleet import TRUST, Asked, Fleet, Size, assemble, quorum, rerun
from tests.simulation.guests import Claimed, claimed, execution, failure
from tests.simulation.provider import SimulatedProvider
from tests.simulation.scenario import drain
from tests.simulation.weather import Weather
from tests.simulation.world import World

from quorate.crypto.digests import body_digest
from quorate.crypto.wrapping import SealKey
from quorate.execute.engine import Execution
from quorate.jobs.lease import LeaseState
from quorate.jobs.state import JobState
from quorate.jobs.walk import Executor, Surroundings, walk
from quorate.market.book import Listing
from quorate.market.matching import Standing
from quorate.model.job import Job
from quorate.model.policy import Proof
from quorate.model.trap import Status
from quorate.model.units import NodeId

STORIES = ("honest", "honest", "lie alone", "lie together", Status.WORKER_DEATH, Status.WALL_CLOCK)
SEAL_KEY = SealKey(bytes(32))


class Plan(NamedTuple):
    """A job and who says what about it. `stories` are those of the providers, in order."""

    seed: int
    proof: Proof
    program: int
    stories: tuple[str, ...]
    shared: int


def told(story: str, job: Job, member: NodeId) -> Execution:
    """What a member with this story says its guest did."""
    program, argument = job.core.program.digest, job.input_digest
    if story in ("lie alone", "lie together"):
        return execution(program, argument, member if story == "lie alone" else b"together")
    return execution(program, argument) if story == "honest" else failure(Status(story))


def proofs() -> st.SearchStrategy[Proof]:
    return st.one_of(
        st.just(TRUST),
        st.integers(1, 4).map(rerun),
        st.integers(1, 5).flatmap(
            lambda k: st.sampled_from([quorum(k), *(quorum(k, t) for t in range(k // 2 + 1, k + 1))])
        ),
    )


def plans() -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        seed=st.integers(0, 2**32),
        proof=proofs(),
        program=st.integers(0, 40),
        stories=st.lists(st.sampled_from(STORIES), min_size=6, max_size=14).map(tuple),
        shared=st.sampled_from([0, 3, 5]),
    )


def lived(plan: Plan) -> tuple[Fleet, JobState]:
    """The job over messages, to its end."""

    class Scripted(SimulatedProvider):
        story = "honest"

        def claim(self, key: bytes, state: LeaseState, late: bool) -> Claimed | None:
            return claimed(state.job, state.agreement_id, self.node_id, told(self.story, state.job, self.node_id))

    world = World(plan.seed, Weather(delay_ms_max=3, run_ms_max=50))
    fleet = assemble(world, Size(len(plan.stories), 1, plan.shared), lambda index: Scripted)
    for provider, story in zip(fleet.providers, plan.stories, strict=True):
        provider.story = story  # type: ignore[attr-defined]
    customers = Customers(fleet, Habits(1, (plan.proof,)))
    asked = Asked(b"program %d" % plan.program, b"input", plan.proof)
    key = customers.order(0, asked, plan.seed.to_bytes(32, "big"))
    world.run(world.now + 100, 1 << 30)
    drain(fleet, customers)
    state = fleet.requesters[0].state(key)
    assert state is not None
    return fleet, state


def surroundings(fleet: Fleet, state: JobState, plan: Plan) -> Surroundings:
    """The same world, standing still."""
    stories = {provider.node_id: story for provider, story in zip(fleet.providers, plan.stories, strict=True)}
    nonces = {slot.member: slot.opening.nonce for past in state.rounds for slot in past.slots if slot.opening}
    job = state.value

    def executor(member: NodeId) -> Executor:
        return Executor(
            SEAL_KEY, lambda plaintext: told(stories[member], job, member), lambda size: nonces.get(member, bytes(size))
        )

    listings = []
    for provider in fleet.providers:
        signed = fleet.keyring.sign(provider.node_id, provider.offer)
        listings.append(Listing(body_digest("offer", signed.body), provider.offer, signed))
    return Surroundings(
        genesis=fleet.genesis,
        node=fleet.requesters[0].node_id,
        sequencer=fleet.sequencer.node_id,
        listings=listings,
        standing=Standing({provider.node_id: 5_000 for provider in fleet.providers}, {}),
        executors=executor,
        blob=b"input",
        wrap=lambda agreement, member: b"",
        secret=state.secret,
        beacon=state.beacon,
        now_ms=next(line.time_ms for line in state.notes if line.text.startswith("matched")),
    )


def money(settlement: Any) -> tuple[Any, ...]:
    return settlement.accepted, settlement.verdict, settlement.payments, settlement.reputation


@settings(max_examples=60)
@given(plan=plans())
@example(plan=Plan(1, quorum(3), 0, ("lie together",) * 4 + ("honest",) * 5, 0))
@example(plan=Plan(2, TRUST, 0, (Status.WORKER_DEATH,) * 6, 0))
@example(plan=Plan(3, rerun(1), 0, ("honest", "lie alone") * 4, 3))
@example(plan=Plan(4, quorum(3), 13, ("lie alone",) * 9, 0))
def test_walk_and_lifecycle_agree(plan: Plan) -> None:
    fleet, state = lived(plan)
    if state.error == "CohortTooLarge" or not state.agreement:
        return
    ending = walk(state.value, surroundings(fleet, state, plan))
    assert state.stage == "done"
    assert state.settled is not None
    assert ending.verdict.agreement == state.agreement_id
    assert ending.condition == state.condition
    assert ending.verdict == state.verdict
    assert money(ending.settlement) == money(state.settled)


def test_every_ending_is_met() -> None:
    """The property is not true in vain: jobs complete, are rejected, fail and time out."""
    plans_by_ending = {
        "completed": Plan(5, quorum(3), 0, ("honest",) * 6, 0),
        "rejected": Plan(6, quorum(3), 0, ("lie alone",) * 9, 0),
        "failed": Plan(7, quorum(3), 0, (Status.WORKER_DEATH,) * 6, 0),
        "timed_out": Plan(8, TRUST, 0, (Status.WALL_CLOCK,) * 6, 0),
    }
    for condition, plan in plans_by_ending.items():
        fleet, state = lived(plan)
        assert walk(state.value, surroundings(fleet, state, plan)).condition == state.condition == condition


def test_another_secret_is_noticed() -> None:
    """Were the walk given another world, the property would not hold."""
    plan = Plan(9, quorum(3), 0, ("honest",) * 9, 0)
    fleet, state = lived(plan)
    other = surroundings(fleet, state, plan)._replace(beacon=bytes(32))
    ending = walk(state.value, other)
    assert ending.verdict.agreement == state.agreement_id
    assert ending.verdict != state.verdict
