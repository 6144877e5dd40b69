"""A process dies while a job runs and does not come back: the job goes on elsewhere, or ends with its reason, and is
billed once (S-E60)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from tests.support import crashing_process, guests, patched_process
from tests.support.crashes import accounted
from tests.support.network import Network, is_gone, running, until
from tests.support.shipped import compiled

from quorate import Job, JobView, Quorate, ResourceLimits
from quorate.api.builder import Builder
from quorate.crypto.digests import value_digest
from quorate.errors import JobRejected
from quorate.jobs.receipts import check

TURNS = 1_000_000_000
CLOSING, CLOSED = "4@before save", "3@after send round_close"
"""Moments of a requester's node: three have committed and it has not kept that it closes the round; all have heard."""


def slow_job(client: Quorate) -> str:
    """Runs for a second or more on three providers."""
    limits = ResourceLimits(fuel=10**10, run_ms=60_000)
    draft = Job.builder().wasm(guests.SPIN).private_input(guests.turns(TURNS)).with_ownership_proof()
    return client.submit(draft.limits(limits).replication(3).build())


def working(network: Network, client: Quorate, job: str) -> JobView:
    """The job once all three guests run."""
    until(lambda: sum(len(network.busy_workers(name, 0.1)) for name in network.providers) >= 3, 20)
    return client.status(job)


def a_running_provider_is_killed_and_its_reserve_takes_over() -> None:
    with running(4) as network:
        client = network.client()
        job = slow_job(client)
        victim = network.drawn(working(network, client, job))[0]
        workers = network.workers(victim)
        network.kill(victim)
        until(lambda: all(is_gone(pid) for pid in workers), 5)
        assert client.wait(job, 60).decrypt() == guests.turns(TURNS)[:4]
        view = client.status(job)
        assert view.round == 1
        assert any(note.text.startswith("replaced by") for note in view.notes)
        paid = network.book().paid(job, "price")
        assert len(paid) == 3
        assert network.ids[victim] not in paid
        assert not accounted(network, client, job)


def without_a_reserve_the_job_is_rejected_with_its_reason() -> None:
    with running(4) as network:
        client = network.client()
        job = slow_job(client)
        drawn = network.drawn(working(network, client, job))
        for victim in drawn[:2]:
            network.kill(victim)
        with pytest.raises(JobRejected):
            client.wait(job, 60)
        view = client.status(job)
        assert view.detail
        paid = network.book().paid(job)
        assert not {network.ids[victim] for victim in drawn[:2]} & set(paid)
        assert not accounted(network, client, job)


def the_ledger_is_away_for_a_while() -> None:
    with running(4) as network:
        client = network.client()
        job = slow_job(client)
        working(network, client, job)
        network.kill("sequencer")
        until(lambda: client.status(job).state == "completed", 60)
        assert client.result(job).decrypt() == guests.turns(TURNS)[:4], "the result does not wait for the bill"
        assert not client.status(job).settled
        network.respawn("sequencer")
        assert client.wait_settled(job, 30).settled
        assert not accounted(network, client, job)


def paid_while_the_node_is_away(network: Network, client: Quorate, draft: Builder, moment: str) -> str:
    """The requester's node dies at that moment and stays away: the members force the round (R7)."""
    network.kill("node")
    network.respawn("node", (crashing_process.ENTRY,))
    until(lambda: client.network()["peers"] == 4, 20)
    network.await_standing()
    folder = network.home / "node"
    (folder / crashing_process.ARMED).write_text(moment)
    clocks = {"transfer_ms": 500, "run_ms": 500, "verify_ms": 500}
    job = client.submit(draft.timeouts(**clocks).replication(3).build())
    until(lambda: not network.alive("node"), 20)
    assert (folder / crashing_process.HIT).exists()
    (folder / crashing_process.ARMED).unlink()
    until(lambda: network.book().settlements_of(job), 60, 0.2)
    settlement = network.book().settlement(job)
    assert settlement.cause == "force"
    assert settlement.accepted, "a result posted on the ledger stands for the acknowledgement"
    assert set(network.book().paid(job, "price")) == {network.ids[name] for name in network.providers}
    assert not network.book().slashes()
    network.respawn("node")
    return job


def completed(network: Network, client: Quorate, job: str) -> None:
    view = client.wait_settled(job, 30)
    assert (view.state, view.settled) == ("completed", True)
    report = check(client.receipt(job), network=value_digest(network.genesis))
    assert report.outcome == "valid", report.line
    assert not accounted(network, client, job)


def what_members_of_a_dead_requester_were_paid_for_is_delivered() -> None:
    """A result of a round that was not closed, a private one of a closed round, and a call, whose effect the ledger has
    taken: the next call finds the state it led to."""
    entry = (patched_process.ENTRY, "quorate.jobs.forcing:FORCE_AFTER_MS=2000")
    with running(3) as network:
        for name in network.providers:
            network.kill(name)
            network.respawn(name, entry)
        client = network.client()
        until(lambda: client.network()["peers"] == 4, 20)
        network.await_standing()
        known = guests.private(guests.REVERSE, b"stressed", 3)
        assert client.wait(client.submit(known), 20).decrypt() == b"desserts", "all three have the program now"
        public = Job.builder().wasm(guests.REVERSE).public_input(b"stressed")
        sealed = Job.builder().wasm(guests.REVERSE).private_input(b"stressed").with_ownership_proof()
        for draft, moment in ((public, CLOSING), (sealed, CLOSED)):
            draft.limits(ResourceLimits(run_ms=500))
            job = paid_while_the_node_is_away(network, client, draft, moment)
            assert client.wait(job, 30).decrypt() == b"desserts"
            completed(network, client, job)
        naming = client.deploy(compiled("naming").container)
        taken = Job.builder().call(client.contract(naming), "register", b"maryam", b"node", 5)
        job = paid_while_the_node_is_away(network, client, taken, CLOSED)
        assert client.wait(job, 30).call().status == "ok"
        completed(network, client, job)
        head = client.contract(naming)
        asked = client.submit(Job.builder().call(head, "resolve", b"maryam").replication(3).build())
        assert client.wait(asked, 30).call().emitted == b"node"


def a_restart_makes_no_new_offer_and_an_old_one_is_renewed() -> None:
    """Only so many offers stand at a time: a provider that restarts often must not use them up, and one that runs for
    long must not let its own expire."""
    name, valid_ms = "provider-1", 40_000
    short_lived = (patched_process.ENTRY, f"quorate.node.selftest:OFFER_VALID_MS={valid_ms}")
    with running(2) as network:
        client = network.client()
        provider = network.ids[name]
        for _ in range(3):
            network.kill(name)
            network.respawn(name)
        until(lambda: client.network()["peers"] == 3, 20)
        assert len(network.book().state.accounts[provider].offers) == 1
        path = network.home / name / "config.json"
        path.write_text(path.read_text().replace('"base_micro":100', '"base_micro":101'))
        network.kill(name)
        network.respawn(name, short_lived)
        two = guests.private(guests.REVERSE, b"stressed", 2)
        dearer: list[int] = []
        deadline = time.monotonic() + 1.5 * valid_ms / 1000
        while len(dearer) < 2 and time.monotonic() < deadline:
            assert client.wait(client.submit(two), 20).decrypt() == b"desserts"
            time.sleep(0.5)
            state = network.book().state
            offers = [state.offers[offer] for offer in state.accounts[provider].offers]
            dearer = [offer.issued_ms for offer in offers if offer.prices.base_micro == 101]
        assert len(dearer) == 2
        assert max(dearer) - min(dearer) >= valid_ms / 2 - 200, "it was renewed at half of its term"


STORIES: tuple[Callable[[], None], ...] = (
    what_members_of_a_dead_requester_were_paid_for_is_delivered,
    without_a_reserve_the_job_is_rejected_with_its_reason,
    a_restart_makes_no_new_offer_and_an_old_one_is_renewed,
    a_running_provider_is_killed_and_its_reserve_takes_over,
    the_ledger_is_away_for_a_while,
)


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Future[None]]]:
    """Each story on a network of its own, some at the same time: most of it is waiting."""
    with ThreadPoolExecutor(2) as pool:
        yield {story.__name__: pool.submit(story) for story in STORIES}


@pytest.mark.parametrize("story", [story.__name__ for story in STORIES])
def test_story(told: dict[str, Future[None]], story: str) -> None:
    told[story].result()
