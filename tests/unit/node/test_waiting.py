"""Waiters are woken by the jobs they wait for, once enough of them have come so far, and by nothing else."""

from __future__ import annotations

import asyncio
import os
from typing import NamedTuple, cast

import pytest

from quorate.jobs.state import JobState
from quorate.model.units import Digest, JobId
from quorate.node.waiting import Waiting

SOON_MS, LONG_MS = 30, 20_000


class Job(NamedTuple):
    """All that a waiter looks at."""

    job_id: JobId
    stage: str


def settled(state: JobState) -> bool:
    return state.stage == "done"


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


def jobs(count: int) -> list[JobId]:
    return [JobId(Digest(os.urandom(32))) for _ in range(count)]


def change(waiting: Waiting, job: JobId, stage: str = "done") -> None:
    waiting.changed(cast("JobState", Job(job, stage)))


async def begun(waiting: Waiting, of: list[JobId], least: int) -> asyncio.Task[None]:
    task = asyncio.create_task(waiting.until(settled, of, least=least, timeout_ms=LONG_MS))
    await asyncio.sleep(0)
    return task


async def test_all_of_many_wake_their_waiter_once(waiting: Waiting) -> None:
    of = jobs(1000)
    task = await begun(waiting, of, len(of))
    for job in of[:-1]:
        change(waiting, job, "settling")
        change(waiting, job)
        change(waiting, job)
    await asyncio.sleep(0.01)
    assert not task.done(), "one is missing"
    change(waiting, of[-1])
    await asyncio.wait_for(task, 1)


async def test_one_of_many_is_enough_when_one_was_asked_for(waiting: Waiting) -> None:
    of = jobs(5)
    task = await begun(waiting, of, 1)
    change(waiting, of[3])
    change(waiting, of[4])
    await asyncio.wait_for(task, 1)


async def test_other_jobs_and_earlier_stages_wake_nobody(waiting: Waiting) -> None:
    (job,) = jobs(1)
    task = await begun(waiting, [job], 1)
    for other in jobs(50):
        change(waiting, other)
    change(waiting, job, "round")
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_several_wait_for_one_job(waiting: Waiting) -> None:
    mine, shared = jobs(2)
    tasks = [await begun(waiting, [shared], 1), await begun(waiting, [shared, mine], 2)]
    change(waiting, shared)
    await asyncio.wait_for(tasks[0], 1)
    assert not tasks[1].done()
    change(waiting, mine)
    await asyncio.wait_for(tasks[1], 1)


async def test_time_ends_every_wait_and_nothing_is_left_behind(waiting: Waiting) -> None:
    of = jobs(10)
    await waiting.until(settled, of, least=10, timeout_ms=SOON_MS)
    await waiting.until(settled, of, least=10, timeout_ms=0)
    await waiting.until(settled, [], least=0, timeout_ms=LONG_MS)
    task = await begun(waiting, of, 10)
    change(waiting, of[0])
    task.cancel()
    await asyncio.wait([task])
    assert waiting._by_job == {}
