"""Customers: they submit until their order is acknowledged, wrap the input key when the draw is known, sometimes
cancel, and go away."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from tests.simulation.fleet import Asked, Fleet, job_of, order_of, store_input
from tests.simulation.guests import wrap_for

from quorate.cohort.selection import wrapped_members
from quorate.crypto.digests import body_digest
from quorate.jobs.state import JobState, Wrap
from quorate.model.evidence import Signed
from quorate.model.job import Job
from quorate.model.policy import Proof
from quorate.model.units import JobId

RETRY_MS = 400
DRAW_POLL_MS = 150


class Habits(NamedTuple):
    """How much work there is and of which kind. `proofs` are drawn with equal odds."""

    jobs_per_second: int
    proofs: tuple[Proof, ...]
    private_per_mille: int = 0
    cancel_per_mille: int = 0
    programs: int = 8
    inputs: int = 64


class Placed(NamedTuple):
    """An order that was made, by whom."""

    place: int
    job: Job
    order: Signed


class Customers:
    """All customers of a fleet. `acknowledged` are the jobs whose submission was answered."""

    def __init__(self, fleet: Fleet, habits: Habits) -> None:
        self.fleet = fleet
        self.habits = habits
        self.placed: dict[JobId, Placed] = {}
        self.acknowledged: set[JobId] = set()
        self._dice: Random = fleet.world.dice("customers")
        self._closed = False

    def begin(self) -> None:
        self._plan()

    def close(self) -> None:
        """No further orders; those under way are still pushed until they are acknowledged."""
        self._closed = True

    def _plan(self) -> None:
        wait = self._dice.expovariate(self.habits.jobs_per_second / 1_000)
        self.fleet.world.at(self.fleet.world.now + int(wait) + 1, self._arrive)

    def _arrive(self) -> None:
        if self._closed:
            return
        self._plan()
        habits, dice = self.habits, self._dice
        place = dice.randrange(len(self.fleet.requesters))
        asked = Asked(
            program=b"program %d" % dice.randrange(habits.programs),
            argument=b"input %d" % dice.randrange(habits.inputs),
            proof=dice.choice(habits.proofs),
            private=dice.randrange(1000) < habits.private_per_mille,
        )
        self.order(place, asked, dice.randbytes(32))

    def order(self, place: int, asked: Asked, nonce: bytes) -> JobId:
        """Makes a job and keeps submitting it until its node has it."""
        job = job_of(self.fleet, place, asked, nonce)
        store_input(self.fleet.requesters[place], asked)
        order = order_of(self.fleet, job)
        key = JobId(body_digest("job", order.body))
        self.placed[key] = Placed(place, job, order)
        self._submit(key)
        if self._dice.randrange(1000) < self.habits.cancel_per_mille:
            self.fleet.world.at(self.fleet.world.now + self._dice.randrange(6_000), self.cancel, key)
        return key

    def _submit(self, key: JobId) -> None:
        if key in self.acknowledged:
            return
        placed = self.placed[key]
        self.fleet.requesters[placed.place].submit(placed.order, self._acknowledge)
        self.fleet.world.at(self.fleet.world.now + RETRY_MS, self._submit, key)

    def _acknowledge(self, key: JobId) -> None:
        if key not in self.acknowledged:
            self.acknowledged.add(key)
            if self.placed[key].job.private:
                self._look_for_draw(key)

    def _look_for_draw(self, key: JobId) -> None:
        node = self.fleet.requesters[self.placed[key].place]
        state = node.state(key) if node.up else None
        if state is not None and (state.ended_ms or state.wraps):
            return
        if state is not None and state.stage == "wraps":
            node.wrap(key, wraps_for(state), lambda: None)
        self.fleet.world.at(self.fleet.world.now + DRAW_POLL_MS, self._look_for_draw, key)

    def cancel(self, key: JobId) -> None:
        self.fleet.requesters[self.placed[key].place].cancel(key)


def wraps_for(state: JobState) -> tuple[Wrap, ...]:
    """The input key wrapped for exactly the members that may be asked."""
    places = 2 if state.terms.proof.method == "rerun" else state.terms.proof.replicas
    members = wrapped_members(state.order, places, state.terms.rounds, state.terms.reserves)
    return tuple(Wrap(member, wrap_for(state.agreement_id, member)) for member in members)
