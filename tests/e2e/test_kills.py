"""SIGKILL of each process at every moment between submission and settlement (design 4.6, protocol R4): the job ends, is
billed once, nothing acknowledged is lost, nobody honest is slashed.

Several networks run at the same time, because most of the time is waiting for a process to start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support import crashing_client, guests
from tests.support.crashes import Calling, Cancelling, Killer, Story, Submitting, Survived, accounted
from tests.support.network import Network, running

import quorate
from quorate import Job, ResourceLimits
from quorate.execute.bytecode import reference
from quorate.execute.bytecode.assembler import assemble
from quorate.execute.bytecode.host import Call, Context
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.verify import load
from quorate.execute.contracts.outcomes import ended

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NETWORKS_AT_ONCE = 5
SMALL = b"desserts"
LARGE = bytes(range(256)) * 800
ENDLESS = Job.builder().wasm(guests.FOREVER).private_input(b"").with_ownership_proof().replication(3)
ENDLESS = ENDLESS.limits(ResourceLimits(fuel=10**10, run_ms=60_000))


class Case(NamedTuple):
    """`least`: far fewer moments would mean that the switch does not reach the code. `calls` must be among them; `only`
    leaves others out."""

    role: str
    nodes: int
    story: Callable[[], Story]
    ending: tuple[str, bytes | None]
    least: int
    calls: frozenset[str]
    only: frozenset[str] = frozenset()

    def wants(self, moment: str) -> bool:
        return not self.only or call_of(moment) in self.only


def call_of(moment: str) -> str:
    """`save` of `3@after save`."""
    return moment.split("@")[1].split()[1]


def submitting(output: bytes, replicas: int) -> Callable[[], Story]:
    return lambda: Submitting(guests.private(guests.REVERSE, output[::-1], replicas))


def cancelling() -> Story:
    return Cancelling(ENDLESS.build())


COUNTER = assemble((guests.ROOT / "examples" / "contracts" / "counter.mha").read_text())
COUNTED = ended(
    reference.run(load(COUNTER), Call("add", (5,)), State(), Context.of(bytes(16), bytes(16))),
    State(),
    1 << 20,
)[1]


def calling() -> Story:
    return Calling(COUNTER, "add", 5)


DONE, CANCELLED = ("completed", SMALL), ("cancelled", None)
WRITING = frozenset({"put_many", "save"})
CASES = {
    "node": Case("node", 4, submitting(SMALL, 3), DONE, 30, frozenset({"save", "send", "put_many"})),
    "provider": Case("provider-1", 4, submitting(SMALL, 3), DONE, 12, frozenset({"save", "send", "run", "put_many"})),
    "sequencer": Case("sequencer", 4, submitting(SMALL, 3), DONE, 8, frozenset({"save", "send"})),
    "provider, result in a file": Case(
        "provider-1", 2, submitting(LARGE, 1), ("completed", LARGE), 6, WRITING, only=WRITING
    ),
    "node, cancelling": Case("node", 3, cancelling, CANCELLED, 10, frozenset({"save", "send"})),
    "node, calling a contract": Case("node", 4, calling, ("completed", COUNTED), 6, WRITING, only=WRITING),
    "provider, called": Case("provider-1", 4, calling, ("completed", COUNTED), 3, WRITING, only=WRITING),
    "provider, cancelling": Case("provider-1", 3, cancelling, CANCELLED, 5, frozenset({"cancel", "send"})),
}


class Report(NamedTuple):
    survived: list[Survived]
    faults: list[str]
    doubles: list[str]
    forgotten: list[str]
    workers_left: list[str]


def enumerated(case: Case) -> Report:
    with running(case.nodes) as network:
        client = network.client()
        client.wait(client.submit(guests.private(guests.ANSWER, b"", min(3, case.nodes))), 30)
        killer = Killer(network, case.role, case.story(), lambda job: concerned(network, case.role, job))
        survived = killer.every_moment(case.wants)
        faults = [f"{each.moment}: {fault}" for each in survived for fault in accounted(network, client, each.view.job)]
        return Report(survived, faults, doubles(network), forgotten(network, survived), workers_left(network))


def workers_left(network: Network) -> list[str]:
    """Guests that still run, once the workers that replace killed ones have started."""
    left: list[str] = []
    for _ in range(10):
        left = [f"{name}: {pid}" for name in network.providers for pid in network.busy_workers(name)]
        if not left:
            break
        time.sleep(1)
    return left


def concerned(network: Network, role: str, job: str) -> bool:
    """Whether the process had a part in the job: a provider may not have been drawn."""
    if role in ("node", "sequencer"):
        return True
    notes = " ".join(note.text for note in network.client().status(job).notes)
    return network.ids[role].hex()[:8] in notes


def doubles(network: Network) -> list[str]:
    """Jobs with more than one escrow, or whose escrow was not settled exactly once."""
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
def reports() -> Iterator[dict[str, Future[Report]]]:
    with ThreadPoolExecutor(NETWORKS_AT_ONCE) as pool:
        yield {name: pool.submit(enumerated, case) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
class TestEveryMoment:
    @pytest.fixture
    def report(self, reports: dict[str, Future[Report]], name: str) -> Report:
        return reports[name].result()

    def test_the_moments_are_real(self, report: Report, name: str) -> None:
        moments = [each.moment for each in report.survived]
        assert len(moments) >= CASES[name].least, moments
        assert CASES[name].calls <= {call_of(moment) for moment in moments}

    def test_every_job_ends_as_it_would_have(self, report: Report, name: str) -> None:
        otherwise = {
            each.moment: (each.view.state, each.view.error, each.output)
            for each in report.survived
            if (each.view.state, each.output) != CASES[name].ending
        }
        assert not otherwise

    def test_every_job_is_billed_once_and_nobody_is_slashed(self, report: Report, name: str) -> None:
        assert not report.faults
        assert not report.doubles

    def test_nothing_acknowledged_is_lost(self, report: Report, name: str) -> None:
        assert not report.forgotten

    def test_no_guest_is_left_running(self, report: Report, name: str) -> None:
        assert not report.workers_left


def test_a_client_killed_at_every_moment_finds_its_job_again(network: Network) -> None:
    script = str(Path(crashing_client.__file__))
    environment = {**os.environ, "PYTHONPATH": str(guests.ROOT)}
    number, killed = 0, 0
    while True:
        number += 1
        command = [sys.executable, script, str(network.home), str(number)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
        if ended.returncode == 0:
            break
        assert ended.returncode == -9, ended.stderr
        killed += 1
        before = {event.job for event in network.book().opened}
        with quorate.connect(network.home) as client:
            job = client.submit(crashing_client.draft(), f"{crashing_client.KEY} {number}")
            assert client.wait(job, 120).decrypt() == b"desserts"
        fresh = {event.job for event in network.book().opened} - before
        assert {event.hex() for event in fresh} <= {job}, "one key, one job"
        assert not accounted(network, network.client(), job)
    assert killed >= 10
    assert ended.stdout.split()[1] == "desserts"
    assert not doubles(network)
