"""One provider stands still: the others' replies are counted, and it is waited for or replaced (S-C61, S-E60, R7)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.support import guests
from tests.support.network import Network, until

from quorate import Quorate
from quorate.api.schemas import JobView
from quorate.jobs.clocks import SILENCE_MS

HELD = "provider-2"
BOTH = b"abc"


@pytest.fixture(autouse=True)
def let_go(network: Network) -> Iterator[None]:
    yield
    network.release(HELD)


def submitted_while_held(network: Network, client: Quorate) -> str:
    """A job that was drawn to the held provider. The draw cannot be chosen, so jobs are submitted until it is."""
    network.hold(HELD)
    for _ in range(20):
        job = client.submit(guests.private(guests.REVERSE, BOTH))
        view = until(lambda job=job: (now := client.status(job)).round and now, 10)
        if HELD in network.drawn(view):
            return job
        client.wait(job, 30)
    raise AssertionError("never drawn in 20 jobs")


def replied(client: Quorate, job: str, count: int) -> JobView:
    return until(lambda: (view := client.status(job)).replied == count and view, 10)


def test_status_counts_the_replies_and_the_time(network: Network, client: Quorate) -> None:
    job = submitted_while_held(network, client)
    view = replied(client, job, 2)
    assert view.line == "executing (2/3 validators replied)"
    assert view.state == "running"
    (listed,) = [row for row in client.list() if row.job == job]
    assert listed.line == view.line, "a list tells what is, not what was saved last"
    assert not view.ended
    time.sleep(0.5)
    later = client.status(job)
    assert later.line == view.line
    assert later.elapsed_ms >= view.elapsed_ms + 400
    network.release(HELD)
    assert client.wait(job, 30).decrypt() == b"cba"
    assert client.status(job).replied == 3
    assert network.ids[HELD] in network.book().paid(job), "it was late and still is paid"


def test_a_short_silence_replaces_nobody(network: Network, client: Quorate) -> None:
    job = submitted_while_held(network, client)
    replied(client, job, 2)
    time.sleep(1)
    network.release(HELD)
    client.wait(job, 30)
    words = " ".join(note.text for note in client.status(job).notes)
    assert "lost its place" not in words


def test_a_long_silence_brings_the_reserve(network: Network, client: Quorate) -> None:
    started = time.monotonic()
    job = submitted_while_held(network, client)
    assert client.wait(job, 30).decrypt() == b"cba"
    assert time.monotonic() - started < SILENCE_MS / 1000 + 8
    view = client.status(job)
    held = network.ids[HELD].hex()[:8]
    assert view.round == 1, "a silent member is replaced within the round (R7)"
    lines = [line["text"] for line in client.explain(job)["notes"]]
    assert any(line.startswith(f"{held} lost its place:") for line in lines), lines
    (replaced,) = [line for line in lines if line.startswith("replaced by")]
    reserve = network.name_of(replaced.split()[-1])
    assert reserve not in network.drawn(view)
    book = network.book()
    assert network.ids[HELD] not in book.paid(job)
    assert network.ids[reserve] in book.paid(job, "price")
    assert len(book.paid(job, "price")) == 3, "billed once"
    assert not book.slashes(), "silence is not punished"
    network.release(HELD)


def test_the_replaced_provider_serves_again(network: Network, client: Quorate) -> None:
    network.await_standing()
    for _ in range(12):
        job = client.submit(guests.private(guests.REVERSE, BOTH))
        assert client.wait(job, 30).ok
        if HELD in network.drawn(client.status(job)):
            return
    raise AssertionError("never drawn again in 12 jobs")
