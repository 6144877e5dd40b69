"""SIGKILL of each process at every moment between submission and settlement (design 4.6, protocol R4): the job ends, is
billed once, nothing acknowledged is lost, nobody honest is slashed.

Three networks run at the same time, one for each role, because most of the time is waiting for a process to start.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from tests.support import guests
from tests.support.crashes import Killer, Survived, accounted
from tests.support.network import Network, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OUTPUT = b"desserts"
MOMENTS_LEAST = {"node": 30, "sequencer": 8, "provider-1": 12}
"""Far fewer than these would mean that the switch does not reach the code."""


class Report(NamedTuple):
    survived: list[Survived]
    faults: list[str]
    paid_twice: list[str]
    after_restart: list[str]


def enumerated(role: str) -> Report:
    with running(4) as network:
        client = network.client()
        draft = guests.private(guests.REVERSE, OUTPUT[::-1])
        client.wait(client.submit(draft), 30)

        def concerned(view: object) -> bool:
            job = client.list(1)[0].job
            return role in ("node", "sequencer") or network.ids[role] in network.book().paid(job)

        survived = Killer(network, role, concerned).every_moment(draft)
        faults = [
            f"{each.number} {each.moment}: {fault}"
            for each in survived
            for fault in accounted(network, client, each.view.job)
        ]
        return Report(survived, faults, doubles(network), forgotten(network, survived))


def doubles(network: Network) -> list[str]:
    """Jobs with an escrow that was not settled exactly once."""
    book = network.book()
    jobs = [event.job.hex() for event in book.opened]
    return [job for job in jobs if jobs.count(job) != 1 or len(book.settlements_of(job)) != 1]


def forgotten(network: Network, survived: list[Survived]) -> list[str]:
    """Jobs whose end or result is not what it was, after one more kill of every process."""
    for name in ("node", "sequencer", *network.providers):
        network.kill(name)
    for name in ("sequencer", *network.providers, "node"):
        network.respawn(name)
    client = network.client()
    return [
        each.view.job
        for each in survived
        if client.status(each.view.job).state != each.view.state
        or (each.output is not None and client.result(each.view.job).decrypt() != each.output)
    ]


@pytest.fixture(scope="module")
def reports() -> Iterator[dict[str, Report]]:
    with ThreadPoolExecutor(len(MOMENTS_LEAST)) as pool:
        yield dict(zip(MOMENTS_LEAST, pool.map(enumerated, MOMENTS_LEAST), strict=True))


@pytest.mark.parametrize("role", MOMENTS_LEAST)
class TestEveryMoment:
    def test_the_moments_are_real(self, reports: dict[str, Report], role: str) -> None:
        moments = [each.moment for each in reports[role].survived]
        assert len(moments) >= MOMENTS_LEAST[role], moments
        kinds = {moment.split(" ", 2)[1] for moment in moments}
        assert {"save", "send"} <= kinds

    def test_every_job_ends_with_its_result(self, reports: dict[str, Report], role: str) -> None:
        ended = {
            (each.number, each.moment): (each.view.state, each.view.error, each.output)
            for each in reports[role].survived
            if (each.view.state, each.output) != ("completed", OUTPUT)
        }
        assert not ended

    def test_every_job_is_billed_once_and_nobody_is_slashed(self, reports: dict[str, Report], role: str) -> None:
        assert not reports[role].faults
        assert not reports[role].paid_twice

    def test_nothing_acknowledged_is_lost(self, reports: dict[str, Report], role: str) -> None:
        assert not reports[role].after_restart
