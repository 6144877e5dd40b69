"""One client key is one job, whoever asks again and when (R14)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support import guests
from tests.support.crashes import accounted
from tests.support.network import Network

from quorate import Quorate
from quorate.api.courier import Courier
from quorate.errors import IdempotencyConflict
from quorate.model.submission import Accepted, Submission

ROUNDS_OF_RACE = 4
SUBMIT = """
import sys, quorate
from pathlib import Path
from tests.support import guests
with quorate.connect(Path(sys.argv[1])) as client:
    sys.stdin.readline()
    job = client.submit(guests.private(guests.REVERSE, sys.argv[3].encode()), sys.argv[2])
    print(job, client.wait(job, 30).decrypt().decode())
"""


def test_the_same_key_is_the_same_job(network: Network, client: Quorate) -> None:
    draft = guests.private(guests.REVERSE, b"abc")
    first = client.submit(draft, "invoice 7")
    assert client.submit(draft, "invoice 7") == first
    client.wait(first, 30)
    assert client.submit(draft, "invoice 7") == first, "also when it has ended"
    assert client.submit(guests.private(guests.REVERSE, b"abc"), "invoice 7") == first, "an equal draft, made anew"
    assert not accounted(network, client, first)


def test_another_key_is_another_job(client: Quorate) -> None:
    draft = guests.private(guests.REVERSE, b"abc")
    assert client.submit(draft, "one") != client.submit(draft, "two")
    assert client.submit(draft) != client.submit(draft), "without a key each submission is a job"


@pytest.mark.parametrize("changed", ["input", "program", "replicas"])
def test_the_same_key_for_another_job_is_a_conflict(client: Quorate, changed: str) -> None:
    key = f"changed {changed}"
    job = client.submit(guests.private(guests.REVERSE, b"abc"), key)
    others = {
        "input": guests.private(guests.REVERSE, b"abd"),
        "program": guests.private(guests.FOLD, b"abc"),
        "replicas": guests.private(guests.REVERSE, b"abc", 1),
    }
    with pytest.raises(IdempotencyConflict) as conflict:
        client.submit(others[changed], key)
    assert conflict.value.field == "key"
    assert client.wait(job, 30).decrypt() == b"cba", "the first job is not touched"


def test_the_key_is_known_after_a_restart(network: Network, client: Quorate) -> None:
    draft = guests.private(guests.REVERSE, b"abc")
    job = client.submit(draft, "before the restart")
    client.wait(job, 30)
    network.kill("node")
    network.respawn("node")
    with Quorate(network.home) as again:
        assert again.submit(draft, "before the restart") == job
        with pytest.raises(IdempotencyConflict):
            again.submit(guests.private(guests.REVERSE, b"other"), "before the restart")
    assert not accounted(network, network.client(), job)


def start(network: Network, key: str, text: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SUBMIT, str(network.home), key, text]
    environment = {**os.environ, "PYTHONPATH": str(guests.ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def test_two_processes_at_once_make_one_job(network: Network, client: Quorate) -> None:
    for number in range(ROUNDS_OF_RACE):
        key = f"race {number}"
        before = len(network.book().opened)
        racers = [start(network, key, "stressed") for _ in range(2)]
        with ThreadPoolExecutor(2) as both:
            said = list(both.map(lambda one: one.communicate("go\n", timeout=60), racers))
        assert not [err for _, err in said if err], said
        jobs = {out.split()[0] for out, _ in said}
        assert len(jobs) == 1, "both are told of the one job"
        (job,) = jobs
        assert len(network.book().opened) == before + 1
        assert not accounted(network, client, job)


def test_two_processes_with_different_jobs_for_one_key(network: Network) -> None:
    racers = [start(network, "contended", text) for text in ("stressed", "drawer")]
    with ThreadPoolExecutor(2) as both:
        said = list(both.map(lambda one: one.communicate("go\n", timeout=60), racers))
    won = [out.split()[1] for out, _ in said if out]
    assert len(won) == 1
    assert won[0] in ("desserts", "reward")
    (lost,) = [err for out, err in said if not out]
    assert "IdempotencyConflict" in lost


def test_the_same_bytes_sent_twice_are_one_job(network: Network, client: Quorate) -> None:
    """A copy of a whole submission, as a proxy or a thief could send it again."""
    sent: list[bytes] = []
    send = Courier.send

    async def recording(self: Courier, method: str, path: str, body: bytes | None = None, wait_ms: int = 0) -> bytes:
        if (method, path) == ("POST", "/v1/jobs"):
            assert body is not None
            sent.append(body)
        return await send(self, method, path, body, wait_ms)

    Courier.send = recording  # type: ignore[method-assign]
    try:
        job = client.submit(guests.private(guests.REVERSE, b"abc"))
    finally:
        Courier.send = send  # type: ignore[method-assign]
    client.wait(job, 30)

    async def replayed() -> Accepted:
        from quorate.model.codec import decode

        courier = Courier(network.home / "node" / "door.sock")
        try:
            return await courier.ask("/v1/jobs", Accepted, decode(sent[0], Submission))
        finally:
            await courier.close()

    assert [found.hex() for found in asyncio.run(replayed()).jobs] == [job]
    assert not accounted(network, client, job)
