"""Four phase clocks, each with its own error, on by default; a clock counts for one job alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from tests.support import guests
from tests.support.network import Network, until

from quorate import Draft, Job, Quorate, ResourceLimits
from quorate.api.builder import Builder
from quorate.errors import CohortTooLarge, MatchTimeout, RunTimeout, TransferTimeout


@pytest.fixture(autouse=True)
def let_go(network: Network) -> Iterator[None]:
    yield
    network.release("sequencer")


def endless(run_ms: int, replicas: int = 1) -> Builder:
    limits = ResourceLimits(fuel=10**10, run_ms=run_ms)
    return Job.builder().wasm(guests.FOREVER).public_input(b"").limits(limits).replication(replicas)


def submitted_without_wraps(client: Quorate, draft: Draft) -> str:
    """As by a client that dies before it could wrap the input key."""
    inner = client._client
    (job,) = client._run(inner._submitter._send_batch([draft], ""))
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


def test_match_without_the_ledger(network: Network, client: Quorate) -> None:
    network.hold("sequencer")
    job = client.submit(
        Job.builder().wasm(guests.ANSWER).public_input(b"").replication(3).timeouts(match_ms=1_000).build()
    )
    until(lambda: client.status(job).ended, 5)
    view = client.status(job)
    assert (view.state, view.error) == ("timed_out", "MatchTimeout")
    network.release("sequencer")
    assert client.wait_settled(job, 40).state == "timed_out", "the escrow that opened late is closed again"
    with pytest.raises(MatchTimeout):
        client.wait(job, 10)
    assert not network.book().paid(job)


def test_transfer_without_the_input_key(network: Network, client: Quorate) -> None:
    draft = Job.builder().wasm(guests.REVERSE).private_input(b"abc").with_ownership_proof()
    job = submitted_without_wraps(client, draft.timeouts(transfer_ms=1_000).build())
    until(lambda: client.status(job).needs_wraps, 5)
    assert client.status(job).clock == "transfer"
    view = until(lambda: (now := client.status(job)).ended and now, 4)
    assert (view.state, view.error) == ("timed_out", "TransferTimeout")
    assert 900 <= view.elapsed_ms <= 2_500
    assert client.wait_settled(job, 20).settled
    with pytest.raises(TransferTimeout):
        client.wait(job, 5)
    assert not network.book().paid(job)


def test_a_late_client_gives_the_key_after_all(client: Quorate) -> None:
    draft = Job.builder().wasm(guests.REVERSE).private_input(b"abc").with_ownership_proof().build()
    job = submitted_without_wraps(client, draft)
    until(lambda: client.status(job).needs_wraps, 5)
    assert client.wait(job, 20).decrypt() == b"cba"


@pytest.mark.parametrize("replicas", [1, 3])
def test_run_ends_within_a_second_of_its_limit(network: Network, client: Quorate, replicas: int) -> None:
    job = client.submit(endless(500, replicas).build())
    started = until(lambda: client.status(job).phase == "executing" and time.monotonic(), 10)
    view = until(lambda: (now := client.status(job)).ended and now, 10)
    assert time.monotonic() - started < 1.5
    assert (view.state, view.error) == ("timed_out", "RunTimeout")
    with pytest.raises(RunTimeout):
        client.wait(job, 20)
    assert not network.book().paid(job, "price"), "a clock that ran out is no result"


def test_every_clock_is_on_by_default() -> None:
    clocks = Job.builder().wasm(guests.ANSWER).build().timeouts
    assert (clocks.match_ms, clocks.transfer_ms, clocks.run_ms, clocks.verify_ms) == (30_000, 300_000, 30_000, 60_000)


def test_fuel_ends_a_guest_before_any_clock(client: Quorate) -> None:
    limits = ResourceLimits(fuel=10**6, run_ms=30_000)
    job = client.submit(Job.builder().wasm(guests.FOREVER).public_input(b"").limits(limits).replication(3).build())
    result = client.wait(job, 10)
    assert result.status == "out_of_fuel", "votable, so it is an outcome and is paid (R5)"
    assert result.paid_micro > 0


def test_jobs_at_the_same_time_keep_their_own_clocks(client: Quorate) -> None:
    """Short clocks run out beside a long job on the same machines; the long one is not cut short."""
    long = client.submit(guests.spin(300_000_000).replication(3).build())
    shorts = [client.submit(endless(400).proof("trust").build()) for _ in range(6)]
    views = client.wait_all(shorts)
    assert {(view.state, view.error) for view in views} == {("timed_out", "RunTimeout")}
    assert client.wait(long, 60).ok


def test_waiting_for_a_slot_is_not_running(client: Quorate) -> None:
    """More jobs than slots: those that wait do not use up their run clock."""
    limits = ResourceLimits(fuel=10**10, run_ms=1_500)
    draft = Job.builder().wasm(guests.SPIN).public_input(guests.turns(200_000_000)).limits(limits).proof("trust")
    jobs = client.submit_many([draft.build() for _ in range(40)])
    started = time.monotonic()
    views = client.wait_all(jobs)
    assert {view.state for view in views} == {"completed"}, {view.error for view in views}
    assert time.monotonic() - started > 3, "they did wait for each other"


def test_waiting_has_a_limit_of_its_own(client: Quorate) -> None:
    job = client.submit(endless(3_000).build())
    from quorate.errors import WorldError

    with pytest.raises(WorldError) as late:
        client.wait(job, 0.3)
    assert late.value.field == "timeout"
    client.cancel(job)


def test_watch_tells_every_change(client: Quorate) -> None:
    job = client.submit(endless(600).build())

    async def lines() -> list[str]:
        return [view.line for view in await asyncio.to_thread(lambda: list(client.watch(job)))]

    seen = asyncio.run(lines())
    assert any(line.startswith("executing") for line in seen)
    assert seen[-1] == "timed out"
