"""Four phase clocks, each with its own error, on by default; a clock counts for one job alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from tests.support import guests
from tests.support.network import Network, running, until

from quorate import Draft, Job, Quorate, ResourceLimits
from quorate.api.builder import Builder
from quorate.errors import CohortTooLarge, MatchTimeout, RunTimeout, TransferTimeout, WorldError
from quorate.jobs.clocks import RUN_GRACE_MS


@pytest.fixture(autouse=True)
def let_go(network: Network) -> Iterator[None]:
    yield
    network.release("sequencer")


@pytest.fixture(scope="module")
def ran_out() -> list[str]:
    """The jobs of this module that ended by a clock."""
    return []


def endless(run_ms: int, replicas: int = 1) -> Builder:
    limits = ResourceLimits(fuel=10**10, run_ms=run_ms)
    return Job.builder().wasm(guests.FOREVER).public_input(b"").limits(limits).replication(replicas)


def submitted_without_wraps(client: Quorate, draft: Draft) -> str:
    """As by a client that dies before it could wrap the input key."""
    inner = client._client
    (job,) = client._run(inner._submitter._send_batch([draft], "")).jobs
    return job.hex()


def test_match_without_enough_providers(client: Quorate) -> None:
    draft = Job.builder().wasm(guests.ANSWER).public_input(b"").regions("nowhere").timeouts(match_ms=800).build()
    started = time.monotonic()
    job = client.submit(draft)
    with pytest.raises(CohortTooLarge):
        client.wait(job, 10)
    assert 0.7 < time.monotonic() - started < 3
    view = client.status(job)
    assert view.state == "timed_out"
    assert len(client.explain(job)["removed"]) == 4, "each provider, and the rule that removed it"
    assert {removed["rule"] for removed in client.explain(job)["removed"]} == {"region"}


def test_match_without_the_ledger(network: Network, client: Quorate, ran_out: list[str]) -> None:
    network.hold("sequencer")
    job = client.submit(
        Job.builder().wasm(guests.ANSWER).public_input(b"").replication(3).timeouts(match_ms=1_000).build()
    )
    until(lambda: client.status(job).ended, 5)
    view = client.status(job)
    assert (view.state, view.error) == ("timed_out", "MatchTimeout")
    network.release("sequencer")
    with pytest.raises(MatchTimeout):
        client.result(job)
    ran_out.append(job)


def test_transfer_without_the_input_key(client: Quorate, ran_out: list[str]) -> None:
    draft = Job.builder().wasm(guests.REVERSE).private_input(b"abc").with_ownership_proof()
    job = submitted_without_wraps(client, draft.timeouts(transfer_ms=1_000).build())
    until(lambda: client.status(job).needs_wraps, 5)
    assert client.status(job).clock == "transfer"
    view = until(lambda: (now := client.status(job)).ended and now, 4)
    assert (view.state, view.error) == ("timed_out", "TransferTimeout")
    assert 900 <= view.elapsed_ms <= 2_500
    with pytest.raises(TransferTimeout):
        client.result(job)
    ran_out.append(job)


def test_a_late_client_gives_the_key_after_all(client: Quorate) -> None:
    draft = Job.builder().wasm(guests.REVERSE).private_input(b"abc").with_ownership_proof().build()
    job = submitted_without_wraps(client, draft)
    until(lambda: client.status(job).needs_wraps, 5)
    assert client.wait(job, 20).decrypt() == b"cba"


@pytest.mark.parametrize("replicas", [1, 3])
def test_run_ends_within_a_second_of_its_limit(client: Quorate, replicas: int, ran_out: list[str]) -> None:
    job = client.submit(endless(500, replicas).build())
    started = until(lambda: client.status(job).phase == "executing" and time.monotonic(), 10)
    view = until(lambda: (now := client.status(job)).ended and now, 10)
    assert time.monotonic() - started < 1.5
    assert (view.state, view.error) == ("timed_out", "RunTimeout")
    with pytest.raises(RunTimeout):
        client.result(job)
    ran_out.append(job)


def test_every_clock_is_on_by_default() -> None:
    clocks = Job.builder().wasm(guests.ANSWER).build().timeouts
    assert (clocks.match_ms, clocks.transfer_ms, clocks.run_ms, clocks.verify_ms) == (30_000, 300_000, 30_000, 60_000)


def test_fuel_ends_a_guest_before_any_clock(client: Quorate) -> None:
    limits = ResourceLimits(fuel=10**6, run_ms=30_000)
    job = client.submit(Job.builder().wasm(guests.FOREVER).public_input(b"").limits(limits).replication(3).build())
    result = client.wait(job, 10)
    assert result.status == "out_of_fuel", "votable, so it is an outcome and is paid (R5)"
    assert result.paid_micro > 0


def test_jobs_at_the_same_time_keep_their_own_clocks(client: Quorate, ran_out: list[str]) -> None:
    """Short clocks run out beside a long job on the same machines; the long one is not cut short."""
    long = client.submit(guests.spin(300_000_000).replication(3).build())
    shorts = [client.submit(endless(400).proof("trust").build()) for _ in range(6)]
    assert client.wait(long, 60).ok
    views = [until(lambda job=job: (now := client.status(job)).ended and now, 30) for job in shorts]
    assert {(view.state, view.error) for view in views} == {("timed_out", "RunTimeout")}
    ran_out.extend(shorts)


def test_waiting_for_a_slot_is_not_running() -> None:
    """On a provider whose slots are taken a job waits longer than its own run clock, and is not cut short."""
    with running(1) as small:
        client = small.client()
        slots = max(1, min(4, len(os.sched_getaffinity(0))))
        taken = client.submit_many([endless(4_500).proof("trust").build() for _ in range(slots)])
        until(lambda: len(small.busy_workers("provider-1")) == slots, 10)
        draft = Job.builder().wasm(guests.ANSWER).public_input(b"").proof("trust")
        job = client.submit(draft.limits(ResourceLimits(run_ms=300)).build())
        assert client.wait(job, 30).decrypt() == guests.ANSWER_OUTPUT
        view = client.status(job)
        assert view.elapsed_ms > 300 + RUN_GRACE_MS, "it did wait"
        assert {client.status(other).error for other in taken} == {"RunTimeout"}


def test_waiting_has_a_limit_of_its_own(client: Quorate) -> None:
    job = client.submit(endless(3_000).build())
    with pytest.raises(WorldError) as late:
        client.wait(job, 0.3)
    assert late.value.field == "timeout"
    client.cancel(job)


def test_watch_tells_every_change(client: Quorate, ran_out: list[str]) -> None:
    job = client.submit(endless(600).build())

    seen: list[str] = []
    for view in client.watch(job):
        seen.append(view.line)
        if view.ended:
            break
    assert any(line.startswith("executing") for line in seen)
    assert seen[-1] == "timed out"
    ran_out.append(job)


def test_a_clock_that_ran_out_is_no_result_and_costs_no_price(
    network: Network, client: Quorate, ran_out: list[str]
) -> None:
    """The last test: the ledger leaves members some seconds to show what they have before it settles."""
    assert len(ran_out) >= 10
    views = client.wait_all(ran_out)
    assert {view.state for view in views} == {"timed_out"}
    book = network.book()
    assert not any(book.paid(job, "price") for job in ran_out)
    assert not book.slashes()
    opened = sum(book.escrows_of(job)[0].escrow_micro for job in ran_out)
    out = sum(payment.amount_micro for job in ran_out for payment in book.settlement(job).payments)
    assert opened == out
