"""Who waits for which jobs to come so far. A change wakes those who wait for that job, and them only once enough of
their jobs have come there: a thousand jobs that one client waits for wake it once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from quorate.jobs.state import JobState
from quorate.model.units import JobId

Reached = Callable[[JobState], bool]
"""Whether a job has come so far. What has been reached stays so."""


class _Waiter:
    """One question that waits, and the jobs that have not come so far."""

    def __init__(self, reached: Reached, jobs: Iterable[JobId], missing: int) -> None:
        self.reached = reached
        self.jobs = set(jobs)
        self.missing = missing
        self.enough: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Waiting:
    """The waiters of one node, by job."""

    def __init__(self) -> None:
        self._by_job: dict[JobId, set[_Waiter]] = {}

    def changed(self, state: JobState) -> None:
        for waiter in tuple(self._by_job.get(state.job_id, ())):
            if waiter.reached(state):
                self._leave(waiter, state.job_id)
                waiter.jobs.discard(state.job_id)
                waiter.missing -= 1
                if waiter.missing <= 0 and not waiter.enough.done():
                    waiter.enough.set_result(None)

    async def until(self, reached: Reached, jobs: Iterable[JobId], *, least: int, timeout_ms: int) -> None:
        """Returns when `least` of `jobs`, which have not come so far, have done so, or the time is up."""
        waiter = _Waiter(reached, jobs, least)
        if waiter.missing <= 0 or timeout_ms <= 0:
            return
        for job in waiter.jobs:
            self._by_job.setdefault(job, set()).add(waiter)
        try:
            await asyncio.wait([waiter.enough], timeout=timeout_ms / 1000)
        finally:
            for job in waiter.jobs:
                self._leave(waiter, job)

    def _leave(self, waiter: _Waiter, job: JobId) -> None:
        there = self._by_job[job]
        there.discard(waiter)
        if not there:
            del self._by_job[job]
