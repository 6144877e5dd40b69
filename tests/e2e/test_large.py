"""Inputs and outputs of several megabytes: by ranges, only what is missing, resumed, and never a corrupt byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import crashing_process, guests
from tests.support.capture import read_wire_log
from tests.support.crashes import accounted
from tests.support.network import Network, until
from tests.support.stored_blobs import asked_for, blob_path, spoil

from quorate import Draft, Job, Quorate, ResourceLimits
from quorate.crypto.digests import blob_digest
from quorate.model.units import MIB
from quorate.node.fetching import RANGE_BYTES

WIRE_LOG = True
SIZE = 5 * MIB + 12_345
FOURTH = "provider-4"


@pytest.fixture(autouse=True)
def let_go(network: Network) -> Iterator[None]:
    yield
    network.release(FOURTH)


def public(data: bytes, module: Path = guests.REVERSE) -> Draft:
    limits = ResourceLimits(output_bytes=8 * MIB)
    return Job.builder().wasm(module).public_input(data).limits(limits).replication(3).build()


def private(data: bytes) -> Draft:
    limits = ResourceLimits(output_bytes=8 * MIB)
    draft = Job.builder().wasm(guests.REVERSE).private_input(data).with_ownership_proof()
    return draft.limits(limits).replication(3).build()


def test_a_large_private_job(network: Network, client: Quorate) -> None:
    data = os.urandom(SIZE)
    job = client.submit(private(data))
    assert client.wait(job, 60).decrypt() == data[::-1]
    assert not accounted(network, client, job)


def test_a_large_input_goes_by_ranges_and_once(network: Network, client: Quorate) -> None:
    data = os.urandom(SIZE)
    digest = blob_digest(data)
    job = client.submit(public(data))
    assert client.wait(job, 60).decrypt() == data[::-1]
    drawn = network.drawn(client.status(job))
    ranges = list(range(0, SIZE, RANGE_BYTES))
    for name in drawn:
        assert asked_for(network, name, digest) == ranges
    before = {name: len(asked_for(network, name, digest)) for name in drawn}
    written = blob_path(network, "node", digest).stat().st_mtime_ns
    again = client.submit(public(data, guests.FOLD))
    client.wait(again, 60)
    for name in set(drawn) & set(network.drawn(client.status(again))):
        assert len(asked_for(network, name, digest)) == before[name], "what is there is not sent again"
    assert blob_path(network, "node", digest).stat().st_mtime_ns == written, "nor by the client"


def drawn_to_the_held(network: Network, client: Quorate, draft: Draft) -> str:
    for _ in range(20):
        job = client.submit(draft)
        view = until(lambda job=job: (now := client.status(job)).round and now, 10)
        if FOURTH in network.drawn(view):
            return job
        client.wait(job, 60)
    raise AssertionError("never drawn")


def without_fourth(network: Network, client: Quorate, data: bytes) -> None:
    """Every other provider has run a job with this input, the fourth has not seen it."""
    network.hold(FOURTH)
    job = client.submit(public(data))
    client.wait(job, 60)
    network.release(FOURTH)
    until(lambda: not blob_path(network, FOURTH, blob_digest(data)).exists(), 1)


def test_a_corrupt_copy_is_refused_and_fetched_elsewhere(network: Network, client: Quorate) -> None:
    data = os.urandom(SIZE)
    digest = blob_digest(data)
    without_fourth(network, client, data)
    network.hold(FOURTH)
    job = drawn_to_the_held(network, client, public(data, guests.FOLD))
    spoil(blob_path(network, "node", digest))
    assert not blob_path(network, FOURTH, digest).exists()
    network.release(FOURTH)
    result = client.wait(job, 60)
    assert result.ok
    assert network.ids[FOURTH] in network.book().paid(job, "price"), "it found a sound copy"
    assert blob_digest(blob_path(network, FOURTH, digest).read_bytes()) == digest
    assert len(asked_for(network, FOURTH, digest)) > len(range(0, SIZE, RANGE_BYTES)), "it had asked for the bad one"


def test_the_client_mends_a_corrupt_copy_of_its_node(network: Network, client: Quorate) -> None:
    data = os.urandom(SIZE)
    digest = blob_digest(data)
    client.wait(client.submit(public(data)), 60)
    spoil(blob_path(network, "node", digest))
    for name in network.providers:
        blob_path(network, name, digest).unlink(missing_ok=True)
    job = client.submit(public(data, guests.FOLD))
    assert client.wait(job, 60).ok
    assert blob_digest(blob_path(network, "node", digest).read_bytes()) == digest


def test_a_member_mends_its_own_corrupt_copy(network: Network, client: Quorate) -> None:
    data = os.urandom(SIZE)
    digest = blob_digest(data)
    job = client.submit(public(data))
    client.wait(job, 60)
    for name in network.drawn(client.status(job)):
        spoil(blob_path(network, name, digest))
    again = client.submit(public(data, guests.FOLD))
    assert client.wait(again, 60).ok
    assert client.status(again).round == 1
    assert "lost its place" not in " ".join(note.text for note in client.status(again).notes)


def test_an_interrupted_transfer_goes_on_where_it_was(network: Network, client: Quorate) -> None:
    data = os.urandom(SIZE)
    digest = blob_digest(data)
    folder = network.home / FOURTH
    network.kill(FOURTH)
    network.respawn(FOURTH, (crashing_process.ENTRY,))
    until(lambda: client.network()["peers"] == 5, 20)
    network.await_standing()
    (folder / crashing_process.ARMED).write_text("3@after append")
    for _ in range(20):
        job = client.submit(public(data))
        view = until(lambda job=job: (now := client.status(job)).round and now, 10)
        if FOURTH in network.drawn(view):
            break
        client.wait(job, 60)
    until(lambda: (folder / crashing_process.HIT).exists() and not network.alive(FOURTH), 20)
    (folder / crashing_process.ARMED).unlink()
    arrived = (folder / "blobs" / "partial" / digest.hex()).stat().st_size
    assert arrived == 3 * RANGE_BYTES
    asked = len(read_wire_log(folder / "wire.log"))
    network.respawn(FOURTH)
    assert client.wait(job, 60).decrypt() == data[::-1]
    assert asked_for(network, FOURTH, digest, asked)[0] == arrived, "not from the beginning again"
    assert not accounted(network, client, job)
