"""What every transport promises, run over all of them. Faults and certificates have their own files."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.meshes import (
    CalmSimulatedMesh,
    InprocMesh,
    Mesh,
    Receiver,
    ZenohMesh,
    node,
    started,
    until,
)

from quorate.adapters.transport.limits import BLOB_RANGE_BYTES_MAX, MESSAGE_BYTES_MAX
from quorate.errors import InvalidField, TooLarge, WorldError
from quorate.model.units import Digest, Millis, NodeId
from quorate.ports import Transport

KINDS = ("inproc", "simulated", "zenoh", "zenoh-open")
SECOND = Millis(1000)
DIGEST = Digest(b"\x07" * 32)


class Stage:
    """Starts transports and closes every one of them at the end."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.open: list[Transport] = []

    async def enter(self, number: int) -> tuple[Transport, Receiver]:
        transport = self.mesh.make(number)
        receiver = await started(transport)
        self.open.append(transport)
        return transport, receiver

    async def pair(self) -> tuple[tuple[Transport, Receiver], tuple[Transport, Receiver]]:
        one, other = await self.enter(0), await self.enter(1)
        await until(lambda: node(1) in one[0].peers() and node(0) in other[0].peers())
        return one, other


@pytest.fixture(params=KINDS)
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    meshes = {
        "inproc": InprocMesh,
        "simulated": CalmSimulatedMesh,
        "zenoh": lambda: ZenohMesh(tmp_path),
        "zenoh-open": lambda: ZenohMesh(tmp_path, members=False),
    }
    stage = Stage(meshes[request.param]())
    yield stage
    for transport in stage.open:
        await transport.close()


async def test_a_message_arrives_with_its_sender(stage: Stage) -> None:
    (one, first), (other, second) = await stage.pair()
    await one.send(node(1), b"there")
    await other.send(node(0), b"and back")
    await until(lambda: first.messages and second.messages)
    assert second.messages == [(node(0), b"there")]
    assert first.messages == [(node(1), b"and back")]


async def test_messages_of_one_sender_keep_their_order(stage: Stage) -> None:
    (one, _), (_, second) = await stage.pair()
    sizes = [0, 1, 200, 70_000, 5, 300_000, 17]
    sent = [number.to_bytes(4, "big") + bytes(sizes[number % len(sizes)]) for number in range(400)]
    for message in sent:
        await one.send(node(1), message)
    await until(lambda: len(second.messages) == len(sent), 30)
    assert [message for _, message in second.messages] == sent


async def test_a_large_message_arrives_whole_and_a_larger_one_is_refused(stage: Stage) -> None:
    (one, _), (_, second) = await stage.pair()
    large = bytes(range(256)) * (MESSAGE_BYTES_MAX // 256)
    await one.send(node(1), large)
    with pytest.raises(TooLarge, match=f"message: .* limit: {MESSAGE_BYTES_MAX} bytes"):
        await one.send(node(1), large + b"x")
    await one.send(node(1), b"after")
    await until(lambda: len(second.messages) == 2, 30)
    assert second.messages[0][1] == large
    assert second.messages[1][1] == b"after"


async def test_everyone_reaches_everyone_whatever_the_order_of_starting(stage: Stage) -> None:
    members = {number: await stage.enter(number) for number in (3, 0, 2, 1)}
    everyone = frozenset(node(number) for number in members)
    await until(lambda: all(transport.peers() == everyone - {node(n)} for n, (transport, _) in members.items()))
    for number, (transport, _) in members.items():
        for peer in members:
            await transport.send(node(peer), b"from %d" % number)
    await until(lambda: all(len(receiver.messages) == 4 for _, receiver in members.values()))
    for _, receiver in members.values():
        assert {(sender, message) for sender, message in receiver.messages} == {
            (node(number), b"from %d" % number) for number in members
        }


async def test_a_message_to_nobody_is_lost_without_complaint(stage: Stage) -> None:
    (one, _), (_, second) = await stage.pair()
    await one.send(node(5), b"nobody there")
    await one.send(node(1), b"still works")
    await until(lambda: second.messages)
    assert second.messages == [(node(0), b"still works")]


async def test_a_failing_handler_loses_only_its_own_message(stage: Stage) -> None:
    transport = stage.mesh.make(0)
    seen: list[bytes] = []

    async def handle(sender: NodeId, message: bytes) -> None:
        seen.append(message)
        if message == b"bad":
            raise RuntimeError("handler bug")

    await transport.start(handle, Receiver().source)
    stage.open.append(transport)
    other, _ = await stage.enter(1)
    await until(lambda: node(0) in other.peers())
    for message in (b"good", b"bad", b"good again"):
        await other.send(node(0), message)
    await until(lambda: len(seen) == 3)
    assert seen == [b"good", b"bad", b"good again"]


async def test_fifty_megabytes_by_ranges(stage: Stage) -> None:
    (one, _), (_, second) = await stage.pair()
    blob = hashlib.shake_128(b"fifty megabytes").digest(50_000_000)
    second.blobs[DIGEST] = blob
    got = bytearray()
    while len(got) < len(blob):
        part = await one.fetch(node(1), DIGEST, len(got), BLOB_RANGE_BYTES_MAX, Millis(20_000))
        assert part
        got += part
    assert hashlib.sha256(got).digest() == hashlib.sha256(blob).digest()
    assert await one.fetch(node(1), DIGEST, 7, 5, SECOND) == blob[7:12]
    assert await one.fetch(node(1), DIGEST, len(blob), 5, SECOND) == b""


async def test_an_absent_blob_is_none(stage: Stage) -> None:
    (one, _), _ = await stage.pair()
    assert await one.fetch(node(1), DIGEST, 0, 10, SECOND) is None


async def test_a_fetch_from_nobody_fails_in_time(stage: Stage) -> None:
    (one, _), _ = await stage.pair()
    began = time.monotonic()
    with pytest.raises(WorldError, match="peer"):
        await one.fetch(node(5), DIGEST, 0, 10, SECOND)
    assert time.monotonic() - began < 3


async def test_a_peer_that_does_not_answer_times_out(stage: Stage) -> None:
    transport = stage.mesh.make(0)

    async def stuck(digest: Digest, offset: int, size: int) -> bytes | None:
        await asyncio.sleep(3600)
        return b""

    await transport.start(Receiver().handle, stuck)
    stage.open.append(transport)
    other, _ = await stage.enter(1)
    await until(lambda: node(0) in other.peers())
    began = time.monotonic()
    with pytest.raises(WorldError, match="did not answer within 300 ms"):
        await other.fetch(node(0), DIGEST, 0, 10, Millis(300))
    assert time.monotonic() - began < 3


async def test_a_failing_blob_source_is_a_world_error(stage: Stage) -> None:
    transport = stage.mesh.make(0)

    async def broken(digest: Digest, offset: int, size: int) -> bytes | None:
        raise OSError(5, "disk")

    await transport.start(Receiver().handle, broken)
    stage.open.append(transport)
    other, _ = await stage.enter(1)
    await until(lambda: node(0) in other.peers())
    with pytest.raises(WorldError, match="could not read"):
        await other.fetch(node(0), DIGEST, 0, 10, SECOND)


async def test_a_handler_may_send_and_fetch(stage: Stage) -> None:
    transport = stage.mesh.make(0)
    fetched: list[bytes | None] = []

    async def handle(sender: NodeId, message: bytes) -> None:
        fetched.append(await transport.fetch(sender, DIGEST, 0, 10, SECOND))
        await transport.send(sender, b"thanks")

    await transport.start(handle, Receiver().source)
    stage.open.append(transport)
    other, receiver = await stage.enter(1)
    receiver.blobs[DIGEST] = b"a blob"
    await until(lambda: node(0) in other.peers())
    await other.send(node(0), b"fetch it")
    await until(lambda: receiver.messages)
    assert fetched == [b"a blob"]


@pytest.mark.parametrize(
    ("offset", "size", "timeout", "error"),
    [
        (0, BLOB_RANGE_BYTES_MAX + 1, 1000, TooLarge),
        (-1, 1, 1000, InvalidField),
        (2**63, 1, 1000, InvalidField),
        (0, 0, 1000, InvalidField),
        (0, 1, 0, InvalidField),
    ],
)
async def test_ranges_out_of_bounds_are_refused(
    stage: Stage, offset: int, size: int, timeout: int, error: type[Exception]
) -> None:
    transport, _ = await stage.enter(0)
    with pytest.raises(error):
        await transport.fetch(node(1), DIGEST, offset, size, Millis(timeout))


async def test_ids_of_the_wrong_size_are_refused(stage: Stage) -> None:
    transport, _ = await stage.enter(0)
    with pytest.raises(InvalidField, match="peer"):
        await transport.send(NodeId(b"short"), b"")
    with pytest.raises(InvalidField, match="digest"):
        await transport.fetch(node(1), Digest(b"short"), 0, 1, SECOND)


async def test_a_node_that_comes_back_is_reached_again(stage: Stage) -> None:
    (one, first), (other, _) = await stage.pair()
    for round_number in range(3):
        await other.close()
        await until(lambda: node(1) not in one.peers())
        await one.send(node(1), b"lost, or late")
        other, receiver = await stage.enter(1)
        await until(lambda other=other: node(1) in one.peers() and node(0) in other.peers())
        await one.send(node(1), b"hello again %d" % round_number)
        await other.send(node(0), b"back %d" % round_number)
        hello = (node(0), b"hello again %d" % round_number)
        await until(lambda receiver=receiver, hello=hello: hello in receiver.messages)
    await until(lambda: len(first.messages) == 3)


async def test_a_node_reaches_itself(stage: Stage) -> None:
    transport, receiver = await stage.enter(0)
    receiver.blobs[DIGEST] = b"mine"
    await transport.send(node(0), b"note to self")
    await until(lambda: receiver.messages)
    assert receiver.messages == [(node(0), b"note to self")]
    assert node(0) not in transport.peers()


async def test_closing_twice_is_fine_and_a_closed_transport_says_so(stage: Stage) -> None:
    (one, _), (other, _) = await stage.pair()
    await one.close()
    await one.close()
    assert one.peers() == frozenset()
    with pytest.raises(WorldError, match="closed"):
        await one.send(node(1), b"")
    with pytest.raises(WorldError, match="closed"):
        await one.fetch(node(1), DIGEST, 0, 1, SECOND)
    await until(lambda: node(0) not in other.peers())


async def test_a_transport_starts_once(stage: Stage) -> None:
    transport, receiver = await stage.enter(0)
    with pytest.raises(WorldError, match="already started"):
        await transport.start(receiver.handle, receiver.source)
    with pytest.raises(WorldError, match="closed"):
        await stage.mesh.make(1).send(node(0), b"before start")


async def test_closing_leaves_no_threads_and_no_tasks(stage: Stage) -> None:
    threads, tasks = threading.active_count(), len(asyncio.all_tasks())
    (one, _), (other, second) = await stage.pair()
    second.blobs[DIGEST] = b"blob"
    await one.send(node(1), bytes(1_000_000))
    assert await one.fetch(node(1), DIGEST, 0, 10, SECOND) == b"blob"
    await one.close()
    await other.close()
    await until(lambda: threading.active_count() == threads and len(asyncio.all_tasks()) == tasks)
