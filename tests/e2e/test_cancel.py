"""Cancelling: it answers once the guests are gone, before or after commitments, and is paid for as said (R6)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.support import guests
from tests.support.network import Network, is_gone, until

from quorate import Job, Quorate, ResourceLimits
from quorate.errors import JobCancelled, UnknownJob

ENDLESS = (
    Job.builder()
    .wasm(guests.FOREVER)
    .private_input(b"")
    .with_ownership_proof()
    .replication(3)
    .limits(ResourceLimits(fuel=10**10, run_ms=60_000))
    .build()
)
HELD = "provider-3"


@pytest.fixture(autouse=True)
def let_go(network: Network) -> Iterator[None]:
    yield
    network.release(HELD)


def guests_of(network: Network) -> list[int]:
    """The processes in which guests run now."""
    return [pid for name in network.providers for pid in network.busy_workers(name)]


def test_cancel_answers_once_the_guests_are_gone(network: Network, client: Quorate) -> None:
    job = client.submit(ENDLESS)
    until(lambda: client.status(job).phase == "executing", 10)
    pids = until(lambda: (found := guests_of(network)) and len(found) == 3 and found, 20)
    view = client.cancel(job)
    assert all(is_gone(pid) for pid in pids), "the processes are killed before the answer comes"
    assert (view.state, view.error) == ("cancelled", "JobCancelled")
    with pytest.raises(JobCancelled):
        client.wait(job, 30)
    assert not network.book().paid(job), "nobody had committed"
    assert network.book().settlement(job).cause == "cancel"


def test_cancel_after_commitments_pays_the_attempts(network: Network, client: Quorate) -> None:
    network.hold(HELD)
    for _ in range(20):
        job = client.submit(guests.private(guests.REVERSE, b"abc"))
        view = until(lambda job=job: (now := client.status(job)).round and now, 10)
        if HELD in network.drawn(view):
            break
        client.wait(job, 30)
    until(lambda: client.status(job).replied == 2, 10)
    started = time.monotonic()
    assert client.cancel(job).state == "cancelled"
    assert time.monotonic() - started < 15, "a silent member is not waited for longer than its silence"
    committed = {network.ids[name] for name in network.drawn(view)} - {network.ids[HELD]}
    assert client.wait_settled(job, 40).settled
    paid = network.book().paid(job, "attempt")
    assert set(paid) == committed
    assert not network.book().paid(job, "price")
    assert client.status(job).paid_micro == sum(paid.values()) > 0


def test_a_job_that_nobody_can_run_is_cancelled_at_once(network: Network, client: Quorate) -> None:
    draft = Job.builder().wasm(guests.ANSWER).public_input(b"").regions("nowhere").build()
    job = client.submit(draft)
    assert client.status(job).state == "pending"
    assert client.cancel(job).state == "cancelled"
    assert client.wait_settled(job, 5).settled
    assert not network.book().escrows_of(job), "it never cost anything"


def test_a_finished_job_stays_finished(client: Quorate) -> None:
    job = client.submit(guests.private(guests.REVERSE, b"abc"))
    client.wait(job, 30)
    assert client.cancel(job).state == "completed"
    assert client.result(job).decrypt() == b"cba"


def test_cancelling_twice_is_cancelling_once(network: Network, client: Quorate) -> None:
    job = client.submit(ENDLESS)
    until(lambda: client.status(job).phase == "executing", 10)
    assert client.cancel(job).state == "cancelled"
    assert client.cancel(job).state == "cancelled"
    assert len(network.book().escrows_of(job)) == 1


def test_an_unknown_job_cannot_be_cancelled(client: Quorate) -> None:
    with pytest.raises(UnknownJob):
        client.cancel("ab" * 32)
