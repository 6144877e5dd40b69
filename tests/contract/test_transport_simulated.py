"""The faults of the simulated network, seen through the port: what is lost, doubled and out of order, and no more."""

from __future__ import annotations

import random

import pytest
from tests.support.meshes import Receiver, node, started, until

from quorate.adapters.transport.simulated import Faults, Network
from quorate.adapters.transport.simulated_mesh import SimulatedMesh, SimulatedTransport
from quorate.errors import WorldError
from quorate.model.units import Digest, Millis

COUNT = 500


async def run(faults: Faults, seed: int = 7) -> tuple[SimulatedMesh, list[int]]:
    """Sends numbered messages from node 0 to node 1 and gives back those that came."""
    mesh = SimulatedMesh(Network(faults, random.Random(seed)))
    one, other = SimulatedTransport(mesh, node(0)), SimulatedTransport(mesh, node(1))
    await started(one)
    receiver = await started(other)
    for number in range(COUNT):
        await one.send(node(1), number.to_bytes(4, "big"))
    await until(lambda: mesh.network.next_at() is None)
    await until(lambda: len(receiver.messages) == mesh.network.counts.delivered)
    await one.close()
    await other.close()
    return mesh, [int.from_bytes(message, "big") for _, message in receiver.messages]


async def test_drop() -> None:
    mesh, came = await run(Faults(drop_per_mille=200))
    assert came == sorted(set(came)), "what arrives is in order and single"
    assert len(came) == COUNT - mesh.network.counts.dropped
    assert COUNT // 10 < mesh.network.counts.dropped < COUNT * 3 // 10


async def test_duplicate() -> None:
    mesh, came = await run(Faults(duplicate_per_mille=200))
    assert set(came) == set(range(COUNT))
    assert len(came) == COUNT + mesh.network.counts.duplicated
    assert mesh.network.counts.duplicated > COUNT // 10


async def test_reorder() -> None:
    mesh, came = await run(Faults(reorder_per_mille=500, delay_ms_min=Millis(1), delay_ms_max=Millis(50)))
    assert sorted(came) == list(range(COUNT))
    assert came != sorted(came)
    assert mesh.network.counts.reordered > COUNT // 3


async def test_delay_alone_keeps_the_order() -> None:
    mesh, came = await run(Faults(delay_ms_min=Millis(1), delay_ms_max=Millis(50)))
    assert came == list(range(COUNT))
    assert 1 <= mesh.now_ms <= 50


async def test_all_faults_together_repeat_from_one_seed() -> None:
    faults = Faults(100, 100, 300, Millis(1), Millis(30))
    first_mesh, first = await run(faults, 11)
    again_mesh, again = await run(faults, 11)
    other_mesh, other = await run(faults, 12)
    assert (first, first_mesh.network.trace()) == (again, again_mesh.network.trace())
    assert first != other
    assert first_mesh.network.trace() != other_mesh.network.trace()


async def test_a_lost_question_times_out_in_virtual_time() -> None:
    mesh = SimulatedMesh(Network(Faults(drop_per_mille=1000), random.Random(1)))
    one, other = SimulatedTransport(mesh, node(0)), SimulatedTransport(mesh, node(1))
    for transport in (one, other):
        await started(transport)
    with pytest.raises(WorldError, match="did not answer within 3600000 ms"):
        await one.fetch(node(1), Digest(bytes(32)), 0, 1, Millis(3_600_000))
    assert mesh.now_ms == 3_600_000
    for transport in (one, other):
        await transport.close()


async def test_a_doubled_answer_is_taken_once() -> None:
    mesh = SimulatedMesh(Network(Faults(duplicate_per_mille=1000), random.Random(1)))
    one, other = SimulatedTransport(mesh, node(0)), SimulatedTransport(mesh, node(1))
    await started(one)
    receiver = Receiver()
    receiver.blobs[Digest(bytes(32))] = b"blob"
    await other.start(receiver.handle, receiver.source)
    for _ in range(5):
        assert await one.fetch(node(1), Digest(bytes(32)), 0, 4, Millis(1000)) == b"blob"
    assert mesh.network.counts.duplicated >= 10
    for transport in (one, other):
        await transport.close()


async def test_a_partition_separates_and_heals() -> None:
    mesh = SimulatedMesh(Network(Faults(), random.Random(1)))
    transports = [SimulatedTransport(mesh, node(number)) for number in range(3)]
    receivers = [await started(transport) for transport in transports]
    mesh.network.partition({node(0)}, {node(1), node(2)})
    assert transports[0].peers() == frozenset()
    assert transports[1].peers() == {node(2)}
    await transports[0].send(node(1), b"lost")
    await transports[1].send(node(2), b"same side")
    await until(lambda: receivers[2].messages)
    mesh.network.heal()
    await transports[0].send(node(1), b"healed")
    await until(lambda: receivers[1].messages)
    assert receivers[1].messages == [(node(0), b"healed")]
    assert mesh.network.counts.cut == 1
    for transport in transports:
        await transport.close()
